"""
Broadcasts that began while nobody was listening: who is live is asked for, and what nobody knows of is announced late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from math import inf

from attrs import Factory, define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from itsjustintv.config.sections import Config
from itsjustintv.errors import TwitchRejected
from itsjustintv.interfaces import Accept
from itsjustintv.model import Acceptance, Event
from itsjustintv.support.backoff import RetryingTask
from itsjustintv.support.counts import Counted
from itsjustintv.support.durations import Seconds
from itsjustintv.twitch.api.batching import all_of
from itsjustintv.twitch.api.lookups import Lookups, Stream

__all__ = ["CatchUpService", "CatchUpSettings"]

_AT_ONCE = 100

# Those who are asked for one by one wait this long for company, in seconds: at first, and after a call.
_GATHERING = 0.5
_INTERVAL = 10.0

# Get Streams lists a broadcast up to a minute after its start (observed; nothing official), so a single look at
# somebody whose subscription is just enabled may be too early for the broadcast, and the subscription too late.
_SECOND_LOOK = 75.0


@frozen(kw_only=True)
class CatchUpSettings:
    """
    What is wanted at this moment.

    :ivar max_age: seconds since its start after which a broadcast is not announced any more.
    """

    enabled: bool
    max_age: float

    @classmethod
    def of(cls, config: Config) -> CatchUpSettings:
        """
        Take them from a configuration.

        A broadcast is remembered for ``cache.ttl`` from its announcement, which is not before its start. As long as
        what is announced late is no older than that, it cannot have been announced and forgotten.
        """
        return cls(enabled=config.catch_up.enabled, max_age=min(config.catch_up.max_age, config.cache.ttl))


@define
class _Tally:
    """
    What came of a round.
    """

    asked: int = 0
    live: int = 0
    recovered: int = 0
    known: int = 0
    old: int = 0


@define(eq=False)
class CatchUpService(Service):
    """
    Asks Get Streams for streamers whose broadcasts may have been missed, and hands over what it finds as an event that
    is like any other but for ``recovered``.

    :ivar accept: knows what was announced already.
    :ivar new_id: makes the ids of events.
    :ivar wall: the time by which Twitch dates broadcasts, in seconds since the epoch.
    """

    _directory: Lookups
    _accept: Accept
    _clock: IReactorTime
    _new_id: Callable[[], str]
    _settings: Callable[[], CatchUpSettings]
    _errand: RetryingTask = field(
        default=Factory(lambda self: RetryingTask(self._clock, "ask twitch who is live", self._round), takes_self=True),
        kw_only=True,
    )
    _wall: Callable[[], float] = field(default=Factory(lambda self: self._clock.seconds, takes_self=True), kw_only=True)
    _wanted: dict[str, None] = field(factory=dict, init=False)
    _tally: _Tally = field(factory=_Tally, init=False)
    _next: IDelayedCall | None = field(default=None, init=False)
    _second_looks: set[IDelayedCall] = field(factory=set, init=False)
    _began_at: float = field(default=-inf, init=False)

    log = Logger()

    def startService(self) -> None:
        """
        Begin with whoever was asked for before.
        """
        super().startService()
        self._look_soon()

    def stopService(self) -> None:
        """
        Ask for nobody any more.
        """
        super().stopService()
        for call in (self._next, *self._second_looks):
            if call is not None and call.active():
                call.cancel()
        self._next = None
        self._second_looks.clear()
        self._errand.stop()
        self._wanted.clear()

    def ask(self, broadcaster_ids: Iterable[str]) -> None:
        """
        Find out soon, and once more later, whether these are live, since a broadcast of theirs may have been missed.
        Never raises.
        """
        ids = list(broadcaster_ids)
        if not ids or not self._settings().enabled:
            return
        self._want(ids)

        def look_again() -> None:
            self._second_looks.discard(call)
            self._want(ids)

        call = self._clock.callLater(_SECOND_LOOK, look_again)
        self._second_looks.add(call)

    def problem(self) -> str | None:
        """
        Why something missed may not be found, or ``None``.
        """
        return self._errand.problem()

    def _want(self, ids: Sequence[str]) -> None:
        self._wanted.update(dict.fromkeys(ids))
        self._look_soon()

    def _look_soon(self) -> None:
        if not self._wanted or not self.running:
            return
        if self._next is not None and self._next.active():
            if len(self._wanted) < _AT_ONCE:
                return
            self._next.cancel()
        now = self._clock.seconds()
        delay = min(max(_GATHERING, self._began_at + _INTERVAL - now), _INTERVAL)
        self._next = self._clock.callLater(0 if len(self._wanted) >= _AT_ONCE else delay, self._look)

    def _look(self) -> None:
        self._began_at = self._clock.seconds()
        self._errand.go()

    async def _round(self) -> None:
        """
        Look at everybody who is wanted by now. A call that Twitch finds fault with does not stop the others.

        :raises TwitchError: not everybody was looked at.
        :raises JournalUnavailable: not everything that was found was kept.
        """
        asked, self._wanted = list(self._wanted), {}
        left = dict.fromkeys(asked)
        fault: TwitchRejected | None = None
        try:
            for start in range(0, len(asked), _AT_ONCE):
                ids = asked[start : start + _AT_ONCE]
                try:
                    await self._recover(ids)
                except TwitchRejected as error:
                    fault = error
                else:
                    for each in ids:
                        del left[each]
        finally:
            self._wanted = {**left, **self._wanted}
        if fault is not None:
            raise fault
        tally, self._tally = self._tally, _Tally()
        if tally.asked:
            self.log.info(
                "asked twitch about {asked}: {live} live, {recovered} of them announced late,"
                " {known} announced before, {old} live for more than {limit}",
                asked=Counted(tally.asked, "streamer"),
                live=tally.live,
                recovered=tally.recovered,
                known=tally.known,
                old=tally.old,
                limit=Seconds(self._settings().max_age),
            )

    async def _recover(self, ids: Sequence[str]) -> None:
        settings = self._settings()
        if not settings.enabled:
            return
        found = await all_of(self._directory.stream(each) for each in ids)
        now = self._wall()
        live = [stream for stream in found if stream is not None and stream.id and stream.type == "live"]
        young = [stream for stream in live if _age(stream, now) <= settings.max_age]
        verdicts = await all_of(Deferred.fromCoroutine(self._announce(stream, now)) for stream in young)
        self._tally.asked += len(ids)
        self._tally.live += len(live)
        self._tally.old += len(live) - len(young)
        self._tally.recovered += verdicts.count(Acceptance.ACCEPTED)
        self._tally.known += verdicts.count(Acceptance.DUPLICATE)

    async def _announce(self, stream: Stream, now: float) -> Acceptance:
        event = Event(
            id=self._new_id(),
            message_id="",
            stream_id=stream.id,
            broadcaster_id=stream.user_id,
            broadcaster_login=stream.user_login,
            broadcaster_name=stream.user_name,
            type=stream.type,
            started_at=stream.started_at,
            received_at=self._clock.seconds(),
            recovered=True,
        )
        verdict = await self._accept(event)
        if verdict is Acceptance.ACCEPTED:
            self.log.info(
                "recovered {event_id}: {streamer} went live {age} ago and nobody told us",
                event_id=event.id,
                streamer=event.broadcaster_login or event.broadcaster_id,
                age=Seconds(_age(stream, now)),
            )
        return verdict


def _age(stream: Stream, now: float) -> float:
    """
    Seconds since a broadcast began; one that does not say when is no news.
    """
    try:
        began = datetime.fromisoformat(stream.started_at)
    except ValueError:
        return inf
    return inf if began.tzinfo is None else now - began.timestamp()
