"""
Who is live at this moment, for somebody who looks.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence, Set
from math import inf
from typing import Any

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from itsjustintv.errors import TwitchError
from itsjustintv.interfaces import IEnricher
from itsjustintv.model import Enrichment, Event, Picture, Presence, Streamer
from itsjustintv.twitch.api.batching import all_of
from itsjustintv.twitch.api.lookups import Lookups, Stream

__all__ = ["LiveStatus", "LiveStatusEnricher"]

_AT_ONCE = 100

# Seconds between two rounds, at the least; and for each streamer, so that ten thousand cost no more than 20 points of
# the 800 in a minute.
_INTERVAL = 60.0
_FOR_EACH = 0.03

# Get Streams lists a broadcast up to a minute after its start (observed; nothing official): for so long, in seconds, an
# event counts for more than the list.
_LAG = 75.0


@frozen
class _Profile:
    """
    What a streamer is called and looks like.
    """

    name: str
    image_url: str


_NOBODY = _Profile("", "")


@frozen(kw_only=True)
class _Heard:
    """
    A broadcast that has just begun: as little of it as is shown, since the enrichment may hold a picture.
    """

    stream_id: str
    at: float
    presence: Presence


@define(eq=False)
class LiveStatus(Service):
    """
    Asks Twitch who is live while somebody looks, and for nothing when nobody does.

    :ivar wanted: user id to the name of the streamer in the configuration.
    :ivar picture: fetches the profile image of a user id at an address.
    :ivar version: another number whenever something is different.
    """

    _directory: Lookups
    _wanted: Callable[[], Mapping[str, str]]
    _picture: Callable[[str, str], Coroutine[Deferred[Any], Any, Picture]]
    _clock: IReactorTime
    version: int = field(default=0, init=False)
    _faces: dict[str, _Profile] = field(factory=dict, init=False)
    _streams: dict[str, Stream] = field(factory=dict, init=False)
    _heard: dict[str, _Heard] = field(factory=dict, init=False)
    _asked: set[str] = field(factory=set, init=False)
    _began_at: float = field(default=-inf, init=False)
    _asking: set[Deferred[None]] = field(factory=set, init=False)
    _round: Deferred[None] | None = field(default=None, init=False)

    log = Logger()

    def stopService(self) -> None:
        """
        Ask no more.
        """
        super().stopService()
        for each in list(self._asking):
            each.cancel()

    def look(self) -> None:
        """
        Take note that somebody looks, and see that what is known is not old. Never raises.
        """
        now = self._clock.seconds()
        wanted = self._wanted()
        interval = max(_INTERVAL, len(wanted) * _FOR_EACH)
        if self.running and self._round is None and now - self._began_at >= interval:
            self._began_at = now
            self._round = self._begin(self._ask_all(list(wanted)))
            self._round.addCallback(lambda _: setattr(self, "_round", None))

    def went_live(self, event: Event, found: Enrichment) -> None:
        """
        Take note of somebody who has just gone live. Never raises.

        :param found: what is known of the broadcast so far.
        """
        now, who = self._clock.seconds(), event.broadcaster_id
        if found.picture is not None:
            self._faces[who] = _Profile(event.broadcaster_name, found.picture.url)
        face = self._faces.get(who, _NOBODY)
        # The oldest stand first.
        self._heard.pop(who, None)
        while self._heard and now - next(iter(self._heard.values())).at >= _LAG:
            del self._heard[next(iter(self._heard))]
        self._heard[who] = _Heard(
            stream_id=event.stream_id,
            at=now,
            presence=Presence(
                live=True,
                name=face.name or event.broadcaster_name,
                title=found.stream.title,
                game=found.stream.game_name,
                viewers=found.stream.viewer_count,
                started_at=event.started_at,
                pictured=bool(face.image_url),
            ),
        )
        self.version += 1

    def live(self) -> Set[str]:
        """
        The user ids of all who are live.
        """
        since = self._clock.seconds() - _LAG
        return self._streams.keys() | {each for each, heard in self._heard.items() if heard.at > since}

    def called(self, user_id: str) -> str:
        """
        What somebody is called; empty while it is not known.
        """
        return self._faces.get(user_id, _NOBODY).name

    def presence(self, user_id: str) -> Presence:
        """
        What is known of somebody, at once.
        """
        face, stream, heard = self._faces.get(user_id, _NOBODY), self._streams.get(user_id), self._heard.get(user_id)
        fresh = heard is not None and self._clock.seconds() - heard.at < _LAG
        if heard is not None and fresh and (stream is None or stream.id != heard.stream_id):
            return heard.presence
        if stream is not None:
            return Presence(
                live=True,
                name=face.name or stream.user_name,
                title=stream.title,
                game=stream.game_name,
                viewers=stream.viewer_count,
                started_at=stream.started_at,
                pictured=bool(face.image_url),
            )
        live = False if user_id in self._asked else None
        return Presence(live=live, name=face.name, pictured=bool(face.image_url))

    async def picture(self, user_id: str) -> Picture | None:
        """
        The profile image of somebody who is wanted, or ``None``.
        """
        face = self._faces.get(user_id)
        if face is None or not face.image_url or user_id not in self._wanted():
            return None
        try:
            return await self._picture(user_id, face.image_url)
        except TwitchError:
            return None

    def _begin(self, asking: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        begun = Deferred.fromCoroutine(self._quietly(asking))
        self._asking.add(begun)
        begun.addCallback(lambda _: self._asking.discard(begun))
        return begun

    async def _quietly(self, asking: Coroutine[Deferred[Any], Any, None]) -> None:
        """
        Make do without an answer: what is shown is a little older then, and deliveries do not depend on it.
        """
        try:
            await asking
        except (TwitchError, CancelledError) as error:
            self.log.debug("cannot ask twitch who is live: {reason}", reason=str(error))
        except Exception:  # noqa: BLE001 - nobody waits for this
            self.log.failure("cannot find out who is live, will try again")

    async def _ask_all(self, ids: Sequence[str]) -> None:
        for about in (self._faces, self._streams):
            for gone in about.keys() - set(ids):
                del about[gone]
        self._asked.intersection_update(ids)
        for start in range(0, len(ids), _AT_ONCE):
            await self._ask(ids[start : start + _AT_ONCE])

    async def _ask(self, ids: Sequence[str]) -> None:
        found = await all_of(self._directory.stream(each) for each in ids)
        before = {each: self._streams.get(each) for each in ids}
        for each, stream in zip(ids, found, strict=True):
            self._streams.pop(each, None)
            if stream is not None and stream.type == "live":
                self._streams[each] = stream
        news = any(self._streams.get(each) != before[each] for each in ids) or not self._asked.issuperset(ids)
        self._asked.update(ids)
        unknown = [each for each in ids if each not in self._faces]
        for user in await all_of(self._directory.user(each) for each in unknown):
            if user is not None:
                self._faces[user.id] = _Profile(user.name, user.image_url)
                news = True
        self.version += news


@implementer(IEnricher)
@define(eq=False)
class LiveStatusEnricher:
    """
    An enricher that lets the roster hear of whoever goes live, and of what was found about it, so that nobody has to
    ask Twitch again.
    """

    _enricher: IEnricher
    _roster: LiveStatus

    def enrich(self, event: Event, streamer: Streamer) -> Deferred[Enrichment]:
        """
        Enrich as the other one does.
        """
        self._roster.went_live(event, Enrichment())

        def tell(found: Enrichment) -> Enrichment:
            self._roster.went_live(event, found)
            return found

        answer: Deferred[Enrichment] = self._enricher.enrich(event, streamer)
        return answer.addCallback(tell)
