"""
Test notifications: whether a destination would get a real one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from itsjustintv.errors import OperationRefused
from itsjustintv.interfaces import Render, Resolve, Send
from itsjustintv.model import (
    Attempt,
    Delivery,
    Enrichment,
    Event,
    Notice,
    StreamDetails,
    Streamer,
    rfc3339,
)

__all__ = ["SampleSender"]


@define(eq=False)
class SampleSender:
    """
    Sends test notifications: rendered and signed like a real one, and marked in three places: ``id``, ``test`` and the
    title. They are neither stored nor deduplicated.

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

    log = Logger()

    async def send(self, name: str) -> Attempt | None:
        """
        Send one to a destination.

        :return: how the only attempt ended; ``None`` when there is no such destination.
        :raises OperationRefused: one is under way to it already.
        """
        destination = self._resolve(name, "")
        if destination is None:
            return None
        if name in self._under_way:
            raise OperationRefused(f"a test notification to {name} is already under way")
        self._under_way.add(name)
        try:
            attempt = await self._send(self._delivery(name), destination)
        finally:
            self._under_way.discard(name)
        self.log.info(
            "sent a test notification to {destination}: {reason}. {detail}",
            destination=name,
            reason=attempt.reason,
            detail=attempt.explanation,
            status=attempt.status,
        )
        return attempt

    def _delivery(self, name: str) -> Delivery:
        now = self._clock.seconds()
        streamer = next((each for each in self._streamers() if name in each.destinations), Streamer(key="example"))
        login = streamer.login or streamer.key
        event = Event(
            id=f"test-{self._new_id()}",
            message_id="",
            stream_id="0",
            broadcaster_id=streamer.user_id or "0",
            broadcaster_login=login,
            broadcaster_name=login,
            type="live",
            started_at=rfc3339(now),
            received_at=now,
        )
        title = "A test notification from itsjustintv, not a live broadcast"
        enrichment = Enrichment(stream=StreamDetails(title=title, game_name="Just Chatting", language="en"), tags=())
        notice = Notice(event=event, streamer=streamer, enrichment=enrichment, built_at=now, test=True)
        return Delivery(
            id=f"{event.id}-1",
            event_id=event.id,
            streamer=streamer.key,
            destination=name,
            accepted_at=now,
            next_attempt_at=now,
            body=self._render(notice, name),
        )
