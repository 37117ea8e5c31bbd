"""
Details for an event from Helix, in the time there is.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from itsjustintv.errors import TwitchError, TwitchRejected
from itsjustintv.interfaces import IEnricher
from itsjustintv.model import Enrichment, Event, Picture, StreamDetails, Streamer
from itsjustintv.twitch.api.lookups import Channel, Lookups, Stream, User

__all__ = ["CountMissing", "FindPicture", "LiveStatusEnricher", "TotalFollowers", "TwitchEnricher"]

#: Counts a detail that is missing: which one, and one word for the reason.
CountMissing = Callable[[str, str], None]
#: Finds the followers of a user id.
TotalFollowers = Callable[[str], Coroutine[Deferred[Any], Any, int]]
#: Finds the picture of a user id at an address.
FindPicture = Callable[[str, str], Coroutine[Deferred[Any], Any, Picture]]


@implementer(IEnricher)
@define(eq=False)
class TwitchEnricher:
    """
    Asks for everything at once and returns what arrives in time.

    Get Streams lists a broadcast up to a minute after its event. It is asked once and not waited for: until then title,
    game and tags are the channel's, which are the same.

    :ivar timeout: seconds for everything together.
    :ivar image: ``embed`` fetches the picture, ``url`` only names its address.
    :ivar count: called with ``user``, ``channel``, ``stream``, ``followers`` or ``picture``, and ``timeout``,
        ``unavailable``, ``rejected``, ``missing`` or ``error``.
    """

    _lookups: Lookups
    _followers: TotalFollowers
    _picture: FindPicture
    _clock: IReactorTime
    _timeout: Callable[[], float]
    _image: Callable[[], str]
    _count: CountMissing

    log = Logger()

    def enrich(self, event: Event, streamer: Streamer) -> Deferred[Enrichment]:
        """
        Find what can be had in time. Never fails, unless it is cancelled.
        """
        return Deferred.fromCoroutine(self._enrich(event, streamer))

    async def _enrich(self, event: Event, streamer: Streamer) -> Enrichment:
        user_id = event.broadcaster_id
        lookups: dict[str, Deferred[Any]] = {
            "user": self._lookups.user(user_id),
            "channel": self._lookups.channel(user_id),
            "stream": self._lookups.stream(user_id),
            "followers": Deferred.fromCoroutine(self._followers(user_id)),
            "picture": Deferred.fromCoroutine(self._picture_of(user_id)),
        }
        timeout = self._timeout()
        for lookup in lookups.values():
            lookup.addTimeout(timeout, self._clock)
        ended: list[tuple[bool, Any]] = await DeferredList(list(lookups.values()), consumeErrors=True)
        found = _Found()
        for name, (_, result) in zip(lookups, ended, strict=True):
            if isinstance(result, Failure):
                self._missed(found, name, result, event, streamer)
            else:
                found.results[name] = result
        for name in ("user", "channel"):
            if found.results.get(name, found) is None:
                self._note(found, name, "missing", "Twitch does not know it")
        if found.problems:
            self.log.warn(
                "cannot fetch all details of {event_id} of {streamer}: {reason}; continuing without them",
                event_id=event.id,
                streamer=streamer.key,
                reason="; ".join(found.problems),
            )
        return found.enrichment(event.stream_id)

    async def _picture_of(self, user_id: str) -> Picture | None:
        try:
            user = await self._lookups.user(user_id)
        except TwitchError:
            return None  # reported as the failure of the user's look-up
        if user is None or not user.image_url or self._image() == "url":
            return None
        return await self._picture(user_id, user.image_url)

    def _missed(self, found: _Found, name: str, failure: Failure, event: Event, streamer: Streamer) -> None:
        """
        Note a look-up that failed.

        :raises CancelledError: it failed because the enrichment was cancelled.
        """
        error = failure.value
        if isinstance(error, CancelledError):
            raise error
        if isinstance(error, DeferredTimeout):
            self._note(found, name, "timeout", "timed out")
        elif isinstance(error, TwitchError):
            self._note(found, name, "rejected" if isinstance(error, TwitchRejected) else "unavailable", str(error))
        else:
            self._note(found, name, "error", "an unexpected error")
            self.log.failure(
                "cannot look up the {what} of {streamer} for {event_id}",
                failure,
                what=name,
                streamer=streamer.key,
                event_id=event.id,
            )

    def _note(self, found: _Found, name: str, reason: str, detail: str) -> None:
        found.problems.append(f"{name}: {detail}")
        self._count(name, reason)


@define
class _Found:
    """
    The results of the look-ups by name; one that failed has none.
    """

    results: dict[str, Any] = field(factory=dict)
    problems: list[str] = field(factory=list)

    def enrichment(self, stream_id: str) -> Enrichment:
        """
        :param stream_id: of the event; a stream with another id is an earlier broadcast and does not count.
        """
        user: User | None = self.results.get("user")
        channel: Channel | None = self.results.get("channel")
        stream: Stream | None = self.results.get("stream")
        if stream is not None and stream.id != stream_id:
            stream = None
        source = stream or channel
        tags = () if source is None else source.tags
        return Enrichment(
            stream=_details(stream, channel),
            tags=None if source is None and not {"channel", "stream"} <= self.results.keys() else tags,
            followers_count=self.results.get("followers"),
            description="" if user is None else user.description,
            picture=self.results.get("picture") or _address(user),
            problems=tuple(self.problems),
        )


def _details(stream: Stream | None, channel: Channel | None) -> StreamDetails:
    source = stream or channel
    if source is None:
        return StreamDetails()
    return StreamDetails(
        listed=stream is not None,
        title=source.title,
        game_id=source.game_id,
        game_name=source.game_name,
        viewer_count=None if stream is None else stream.viewer_count,
        language=source.language if channel is None else channel.language,
        thumbnail_url="" if stream is None else stream.thumbnail_url,
    )


def _address(user: User | None) -> Picture | None:
    """
    A picture without its bytes: one that could not be fetched still has its address.
    """
    return Picture(url=user.image_url) if user is not None and user.image_url else None


@implementer(IEnricher)
@define(eq=False)
class LiveStatusEnricher:
    """
    Enriches as another enricher does, and reports each event and what was found about it, so that the admin page shows
    a new broadcast without asking Twitch.

    :ivar went_live: called when an event arrives, and again with its details. Never raises.
    """

    _enricher: IEnricher
    _went_live: Callable[[Event, Enrichment], None]

    def enrich(self, event: Event, streamer: Streamer) -> Deferred[Enrichment]:
        self._went_live(event, Enrichment())

        def report(found: Enrichment) -> Enrichment:
            self._went_live(event, found)
            return found

        answer: Deferred[Enrichment] = self._enricher.enrich(event, streamer)
        return answer.addCallback(report)
