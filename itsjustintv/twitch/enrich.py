"""
Details for an event from Helix, in the time there is.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from itsjustintv.errors import TwitchError, TwitchRejected
from itsjustintv.interfaces import IEnricher
from itsjustintv.model import (
    CHANNEL_UPDATE,
    STREAM_OFFLINE,
    STREAM_ONLINE,
    Broadcast,
    Enrichment,
    Event,
    Picture,
    StreamDetails,
    Streamer,
    parse_rfc3339,
)
from itsjustintv.twitch.api.lookups import Channel, Lookups, Stream, User, Video

__all__ = ["CountMissing", "FindPicture", "LiveStatusEnricher", "TotalFollowers", "TwitchEnricher"]

# Seconds for which Get Streams may still list a stream that has ended, as it lists a new one late.
_LIST_DELAY = 75.0

# Seconds after the end of a broadcast within which a stream whose message did not arrive may go on with it.
_DROP = 900.0

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
    :ivar count: called with ``user``, ``channel``, ``stream``, ``followers``, ``picture`` or ``videos``, and
        ``timeout``, ``unavailable``, ``rejected``, ``missing`` or ``error``.
    """

    _lookups: Lookups
    _followers: TotalFollowers
    _picture: FindPicture
    _clock: IReactorTime
    _timeout: Callable[[], float]
    _image: Callable[[], str]
    _count: CountMissing

    log = Logger()

    def enrich(self, event: Event, streamer: Streamer, broadcast: Broadcast | None = None) -> Deferred[Enrichment]:
        """
        Find what can be had in time. Never fails, unless it is cancelled.
        """
        return Deferred.fromCoroutine(self._enrich(event, streamer, broadcast))

    async def _enrich(self, event: Event, streamer: Streamer, broadcast: Broadcast | None) -> Enrichment:
        user_id = event.broadcaster_id
        lookups: dict[str, Deferred[Any]] = {
            "user": self._lookups.user(user_id),
            "channel": self._lookups.channel(user_id),
            "stream": self._lookups.stream(user_id),
            "followers": Deferred.fromCoroutine(self._followers(user_id)),
            "picture": Deferred.fromCoroutine(self._picture_of(user_id)),
        }
        if event.event_type == STREAM_OFFLINE and broadcast is not None:
            lookups["videos"] = Deferred.fromCoroutine(self._lookups.recordings(user_id))
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
        age = self._clock.seconds() - event.received_at
        return found.enrichment(event, broadcast, age)

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

    def enrichment(self, event: Event, broadcast: Broadcast | None, age: float) -> Enrichment:
        """
        :param broadcast: whose recordings are wanted.
        :param age: seconds since the event was received.
        """
        user: User | None = self.results.get("user")
        channel: Channel | None = self.results.get("channel")
        stream: Stream | None = self.results.get("stream")
        if stream is not None and not _is_of(stream, event, broadcast, age):
            stream = None
        source = stream or channel
        tags = () if source is None else source.tags
        details = _details(stream, channel)
        if event.event_type == CHANNEL_UPDATE:
            # Helix may be behind for a minute.
            details = evolve(
                details,
                title=event.title,
                game_id=event.category_id,
                game_name=event.category,
                language=event.language or details.language,
            )
        return Enrichment(
            stream=details,
            tags=None if source is None and not {"channel", "stream"} <= self.results.keys() else tags,
            followers_count=self.results.get("followers"),
            description="" if user is None else user.description,
            picture=self.results.get("picture") or _address(user),
            vods=_addresses(self.results.get("videos", ()), () if broadcast is None else broadcast.stream_ids),
            problems=tuple(self.problems),
        )


def _is_of(stream: Stream, event: Event, broadcast: Broadcast | None, age: float) -> bool:
    """
    Whether a stream that is listed is the one that an event is about, or contradicts its end.

    :param age: seconds since the event was received.
    """
    if event.event_type != STREAM_OFFLINE:
        return not event.stream_id or stream.id == event.stream_id
    if not event.recovered and age < _LIST_DELAY:
        return False
    if broadcast is None or stream.id in broadcast.stream_ids:
        return True
    # The message about another stream may be late or lost. One that began long after the end is another broadcast.
    began_at = parse_rfc3339(stream.started_at)
    return bool(broadcast.offline_at) and began_at is not None and began_at - (broadcast.offline_at or 0.0) <= _DROP


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


def _addresses(videos: Sequence[Video], stream_ids: Sequence[str]) -> tuple[str, ...]:
    """
    The recordings of streams, in the order of those. One without a recording is left out.
    """
    found = {each.stream_id: each.url for each in reversed(videos) if each.url.startswith("https://")}
    return tuple(found[each] for each in stream_ids if each in found)


def _address(user: User | None) -> Picture | None:
    """
    A picture without its bytes: one that could not be fetched still has its address.
    """
    return Picture(url=user.image_url) if user is not None and user.image_url else None


@implementer(IEnricher)
@define(eq=False)
class LiveStatusEnricher:
    """
    Enriches as another enricher does, and reports each start of a broadcast and what was found about it, so that the
    admin page shows a new broadcast without asking Twitch.

    :ivar went_live: called when an event arrives, and again with its details. Never raises.
    """

    _enricher: IEnricher
    _went_live: Callable[[Event, Enrichment], None]

    def enrich(self, event: Event, streamer: Streamer, broadcast: Broadcast | None = None) -> Deferred[Enrichment]:
        if event.event_type != STREAM_ONLINE:
            return self._enricher.enrich(event, streamer, broadcast)
        self._went_live(event, Enrichment())

        def report(found: Enrichment) -> Enrichment:
            self._went_live(event, found)
            return found

        answer: Deferred[Enrichment] = self._enricher.enrich(event, streamer, broadcast)
        return answer.addCallback(report)
