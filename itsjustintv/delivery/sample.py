"""
Test notifications: whether a destination would get a real one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from itsjustintv.delivery.sample_notice import SampleNotice, action_for
from itsjustintv.errors import OperationRefused
from itsjustintv.interfaces import Render, Resolve, Send
from itsjustintv.model import Action, Attempt, Delivery, Destination, Streamer

__all__ = ["SampleSender"]

# What is done with a post, of which the id must be known.
_CHANGES = (Action.EDIT, Action.DELETE)


@frozen
class _TestPost:
    """
    A test that stands at a destination.
    """

    about: SampleNotice
    remote: str


@define(eq=False)
class SampleSender:
    """
    Sends test notifications: rendered and signed like a real one, and marked in three places: ``id``, ``test`` and the
    title; where there are posts, also in the name of the streamer. They are neither stored nor deduplicated, and
    mention no one.

    :ivar streamers: those who are configured; the notification is about one who is announced there.
    :ivar new_id: makes the id of the event.
    """

    _send: Send
    _render: Render
    _resolve: Resolve
    _streamers: Callable[[], Sequence[Streamer]]
    _new_id: Callable[[], str]
    _clock: IReactorTime
    _under_way: set[str] = field(factory=set, init=False)
    _posts: dict[str, _TestPost] = field(factory=dict, init=False)

    log = Logger()

    async def send(self, name: str, event: str = "online", action: Action | None = None) -> Attempt | None:
        """
        Send one to a destination. Where there are posts, a change is that of the last test, and without one a new one
        is sent first.

        :param event: ``online``, ``update`` or ``offline``.
        :param action: what is done with the post; by default what is configured for the event.
        :return: how the only attempt ended, or the first one that failed; ``None`` when there is no such destination.
        :raises OperationRefused: one is under way to it already.
        """
        destination = self._resolve(name, "")
        if destination is None:
            return None
        if name in self._under_way:
            raise OperationRefused(f"a test notification to {name} is already under way")
        wanted = action_for(event, destination) if action is None else action
        self._under_way.add(name)
        try:
            if wanted in _CHANGES and name not in self._posts:
                attempt = await self._attempt(destination, "online", Action.CREATE)
                if not attempt.ok:
                    return attempt
            return await self._attempt(destination, event, wanted)
        finally:
            self._under_way.discard(name)

    async def _attempt(self, destination: Destination, event: str, action: Action) -> Attempt:
        name, post = destination.name, self._posts.get(destination.name)
        if post is None or action is Action.CREATE:
            post = _TestPost(self._new_sample(name), "")
        if action in _CHANGES and not post.remote:
            return Attempt(
                ok=False,
                reason="error",
                detail=f"{name} gave no id for its test, which therefore cannot be changed or deleted.",
                started_at=self._clock.seconds(),
                duration=0.0,
            )
        attempt = await self._send(self._delivery(post, destination, event, action), destination)
        if attempt.ok and destination.keeps_posts:
            if action is Action.CREATE:
                self._posts[name] = evolve(post, remote=attempt.remote)
            elif action is Action.DELETE:
                self._posts.pop(name, None)
        elif action in _CHANGES:
            # Whatever stands there, the next test begins anew.
            self._posts.pop(name, None)
        self.log.info(
            "sent a test notification to {destination}: {reason}. {detail}",
            destination=name,
            reason=attempt.reason,
            detail=attempt.explanation,
            status=attempt.status,
        )
        return attempt

    def _new_sample(self, name: str) -> SampleNotice:
        streamer = next((each for each in self._streamers() if name in each.destinations), Streamer(key="example"))
        return SampleNotice(streamer=streamer, id=f"test-{self._new_id()}", now=self._clock.seconds(), is_test=True)

    def _delivery(self, post: _TestPost, destination: Destination, event: str, action: Action) -> Delivery:
        now = self._clock.seconds()
        notice = evolve(post.about, now=now).make(event, destination, action)
        return Delivery(
            id=f"{notice.event.id}-1",
            event_id=notice.event.id,
            streamer=notice.streamer.key,
            destination=destination.name,
            accepted_at=now,
            next_attempt_at=now,
            body=self._render(notice, destination.name),
            broadcast="" if notice.broadcast is None else notice.broadcast.id,
            action=action,
            remote=post.remote if action in _CHANGES else "",
        )
