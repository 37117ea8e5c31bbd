"""
Recovers starts and ends of broadcasts that no EventSub message reported: asks Get Streams who is live, and hands over
what is new as events. Knows no subscriptions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf

from attrs import Factory, define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from itsjustintv.config.sections import Config
from itsjustintv.errors import TwitchError, TwitchRejected
from itsjustintv.interfaces import Accept
from itsjustintv.model import Acceptance, Broadcast, parse_rfc3339
from itsjustintv.support.backoff import RetryingTask
from itsjustintv.support.counts import Counted
from itsjustintv.support.durations import Seconds, duration
from itsjustintv.support.periodic_service import PeriodicService
from itsjustintv.twitch.api.batching import FULL_CALL, all_of, full_calls
from itsjustintv.twitch.api.lookups import Lookups, Stream, User
from itsjustintv.twitch.eventsub.event_types import STREAM_OFFLINE, STREAM_ONLINE, Occurrence

__all__ = ["CatchUpService", "CatchUpSettings", "LiveBroadcasts"]

#: The broadcasts whose end is not known, of streamers whose ends are asked for.
LiveBroadcasts = Callable[[], Deferred[Sequence[Broadcast]]]

# Seconds that ids wait for others to be asked about in one call: at first, and after a call.
_DELAY = 0.5
_INTERVAL = 10.0

# Get Streams lists a broadcast up to a minute after its start (observed; nothing official), so a single look at a
# streamer whose subscription was just enabled may be too early for the broadcast, and the subscription too late. For as
# long a broadcast that is not listed may have just begun.
_SECOND_LOOK = 75.0

# Seconds between two looks whether what is live has ended. A call asks about a hundred.
_LOOK_EVERY = 600.0

# Ends that are looked into at the same time.
_AT_ONCE = 20


def _no_broadcasts() -> Deferred[Sequence[Broadcast]]:
    return succeed(())


@frozen(kw_only=True)
class CatchUpSettings:
    """
    :ivar max_age: seconds since its start after which a broadcast is no longer announced.
    """

    enabled: bool
    max_age: float

    @classmethod
    def of(cls, config: Config) -> CatchUpSettings:
        """
        Read them from a configuration.

        A broadcast is remembered for ``cache.ttl`` from its announcement, which is not before its start. As long as
        recovered ones are no older than that, none can have been announced and forgotten.
        """
        return cls(enabled=config.catch_up.enabled, max_age=min(config.catch_up.max_age, config.cache.ttl))


@define
class _Tally:
    """
    Streamers asked about, by result.
    """

    asked: int = 0
    live: int = 0
    recovered: int = 0
    known: int = 0
    old: int = 0


@define(eq=False)
class CatchUpService(Service):
    """
    Asks about streamers whose broadcasts may have been missed, and about those that are live as far as is known. What
    it finds becomes an event like any other but for ``recovered``.

    :ivar accept: drops what was announced already.
    :ivar new_id: makes the ids of events.
    :ivar wall: the time by which Twitch dates broadcasts, in seconds since the epoch.
    :ivar live_broadcasts: asked at each catch-up; and so is ``stands_by``, whether another program announces what
        begins.
    """

    _lookups: Lookups
    _accept: Accept
    _clock: IReactorTime
    _new_id: Callable[[], str]
    _settings: Callable[[], CatchUpSettings]
    _task: RetryingTask = field(
        default=Factory(
            lambda self: RetryingTask(self._clock, "ask Twitch who is live", self._recover_all), takes_self=True
        ),
        kw_only=True,
    )
    _wall: Callable[[], float] = field(default=Factory(lambda self: self._clock.seconds, takes_self=True), kw_only=True)
    _stands_by: Callable[[], Deferred[bool]] = field(default=lambda: succeed(False), kw_only=True)
    _live_broadcasts: LiveBroadcasts = field(default=_no_broadcasts, kw_only=True)
    _look: PeriodicService = field(
        init=False,
        default=Factory(
            lambda self: PeriodicService(
                self._clock, _LOOK_EVERY, "look for broadcasts that have ended", self._ask_about_live, now=False
            ),
            takes_self=True,
        ),
    )
    _unlisted: dict[tuple[str, str], float] = field(factory=dict, init=False)
    _pending: dict[str, float] = field(factory=dict, init=False)
    _tally: _Tally = field(factory=_Tally, init=False)
    _next: IDelayedCall | None = field(default=None, init=False)
    _second_looks: set[IDelayedCall] = field(factory=set, init=False)
    _began_at: float = field(default=-inf, init=False)

    log = Logger()

    def startService(self) -> None:
        super().startService()
        self._look.startService()
        self._schedule()

    def stopService(self) -> None:
        super().stopService()
        self._look.stopService()
        for call in (self._next, *self._second_looks):
            if call is not None and call.active():
                call.cancel()
        self._next = None
        self._second_looks.clear()
        self._task.stop()
        self._pending.clear()

    def ask(self, broadcaster_ids: Iterable[str], within: float = inf) -> None:
        """
        Ask soon, and a second time later, whether these are live: a broadcast of theirs may have been missed. Never
        raises.

        :param within: seconds until now; what began before is not announced.
        """
        ids = list(broadcaster_ids)
        if not ids or not self._settings().enabled:
            return
        began_after = self._wall() - within
        self._add(ids, began_after)

        def look_again() -> None:
            self._second_looks.discard(call)
            self._add(ids, began_after)

        call = self._clock.callLater(_SECOND_LOOK, look_again)
        self._second_looks.add(call)

    def problem(self) -> str | None:
        """
        Why a missed broadcast may not be found, or ``None``.
        """
        return self._task.problem()

    async def _ask_about_live(self) -> None:
        """
        Ask about the broadcasts that are live as far as is known: no message may have told of their end.
        """
        self._add(list(await self._broadcasts()))

    def _add(self, ids: Iterable[str], began_after: float = -inf) -> None:
        for each in ids:
            self._pending[each] = min(began_after, self._pending.get(each, inf))
        self._schedule()

    def _schedule(self) -> None:
        if not self._pending or not self.running:
            return
        full = len(self._pending) >= FULL_CALL
        if self._next is not None and self._next.active():
            if not full:
                return
            self._next.cancel()
        now = self._clock.seconds()
        delay = min(max(_DELAY, self._began_at + _INTERVAL - now), _INTERVAL)
        self._next = self._clock.callLater(0 if full else delay, self._begin)

    def _begin(self) -> None:
        self._began_at = self._clock.seconds()
        self._task.run()

    async def _recover_all(self) -> None:
        """
        Ask about all pending ids, and about every live broadcast. A call that Twitch rejects does not stop the others.

        :raises TwitchError: some were not asked about.
        :raises JournalUnavailable: some of what was found was not stored, or the live broadcasts are not known.
        """
        if await self._stands_by():
            self._pending.clear()
            return
        broadcasts = await self._broadcasts()
        self._pending = {**self._pending, **{each: -inf for each in broadcasts if each not in self._pending}}
        asked, self._pending = self._pending, {}
        remaining = dict(asked)
        fault: TwitchRejected | None = None
        over: list[Broadcast] = []
        try:
            for ids in full_calls(list(asked)):
                try:
                    over += await self._recover(ids, broadcasts, asked)
                except TwitchRejected as error:
                    fault = error
                else:
                    for each in ids:
                        del remaining[each]
        finally:
            self._pending = {**remaining, **self._pending}
        # Each costs a look-up, and no start must wait for it.
        for start in range(0, len(over), _AT_ONCE):
            await all_of(Deferred.fromCoroutine(self._announce_end(each)) for each in over[start : start + _AT_ONCE])
        if fault is not None:
            raise fault
        tally, self._tally = self._tally, _Tally()
        if tally.asked:
            self.log.info(
                "asked Twitch about {asked}: {live} live, {recovered} recovered, {known} announced before, {old}"
                " live for more than {limit}",
                asked=Counted(tally.asked, "streamer"),
                live=tally.live,
                recovered=tally.recovered,
                known=tally.known,
                old=tally.old,
                limit=Seconds(self._settings().max_age),
            )

    async def _broadcasts(self) -> Mapping[str, Sequence[Broadcast]]:
        """
        Find the live broadcasts, by user id.
        """
        found: dict[str, list[Broadcast]] = {}
        if self._settings().enabled:
            for each in await self._live_broadcasts():
                found.setdefault(each.broadcaster_id, []).append(each)
        known = {_last_stream(each) for broadcasts in found.values() for each in broadcasts}
        self._unlisted = {key: at for key, at in self._unlisted.items() if key in known}
        return found

    async def _recover(
        self, ids: Sequence[str], broadcasts: Mapping[str, Sequence[Broadcast]], began_after: Mapping[str, float]
    ) -> Sequence[Broadcast]:
        """
        Ask about some ids, and announce what began.

        :param began_after: by user id; what began before was announced by another program.
        :return: the broadcasts whose end is still to be announced.
        """
        settings = self._settings()
        if not settings.enabled:
            return ()
        found = await all_of(self._lookups.stream(each) for each in ids)
        now = self._wall()
        ended = [
            (each, stream)
            for user_id, stream in zip(ids, found, strict=True)
            for each in broadcasts.get(user_id, ())
            if self._has_ended(each, stream, now)
        ]
        # An end before the next start of the channel, which may be another broadcast.
        before = [each for each, stream in ended if stream is not None]
        await all_of(Deferred.fromCoroutine(self._announce_end(each)) for each in before)
        live = [stream for stream in found if stream is not None and stream.id and stream.type == "live"]
        young = [stream for stream in live if _age(stream, now) <= settings.max_age]
        news = [stream for stream in young if now - _age(stream, now) >= began_after.get(stream.user_id, -inf)]
        results = await all_of(Deferred.fromCoroutine(self._announce(stream, now)) for stream in news)
        self._tally.asked += len(ids)
        self._tally.live += len(live)
        self._tally.old += len(live) - len(young)
        self._tally.recovered += results.count(Acceptance.ACCEPTED)
        self._tally.known += results.count(Acceptance.DUPLICATE) + len(young) - len(news)
        return [each for each, stream in ended if stream is None]

    def _has_ended(self, broadcast: Broadcast, stream: Stream | None, now: float) -> bool:
        """
        Whether a broadcast is over: Get Streams lists another one that began later; or none, although this one is no
        longer so young that it may not be listed yet.
        """
        began_at = parse_rfc3339(broadcast.started_at)
        if stream is not None:
            self._unlisted.pop(_last_stream(broadcast), None)
            if stream.id in broadcast.stream_ids or began_at is None:
                return False
            later = parse_rfc3339(stream.started_at)
            # The list may be behind, and have the broadcast before.
            return stream.type == "live" and later is not None and later > began_at
        if began_at is not None and len(broadcast.stream_ids) == 1 and now - began_at >= _SECOND_LOOK:
            return True
        # When its last stream began is not known, so a second look decides.
        return now - self._unlisted.setdefault(_last_stream(broadcast), now) >= _SECOND_LOOK

    async def _announce_end(self, broadcast: Broadcast) -> None:
        broadcast_id, stream_id = _last_stream(broadcast)
        now = self._wall()
        ended_at = await self._ended_at(broadcast, stream_id, now)
        user = await self._user(broadcast.broadcaster_id)
        occurrence = Occurrence(
            stream_id=stream_id,
            broadcaster_id=broadcast.broadcaster_id,
            broadcaster_login="" if user is None else user.login,
            broadcaster_name="" if user is None else user.name,
            occurred_at=ended_at or 0.0,
            ended=(broadcast_id, stream_id),
        )
        event = STREAM_OFFLINE.event(occurrence, self._new_id(), "", self._clock.seconds(), recovered=True)
        if await self._accept(event) is Acceptance.ACCEPTED:
            self.log.info(
                "recovered {event_id}: {streamer} went offline {when}; no EventSub message arrived",
                event_id=event.id,
                streamer=event.broadcaster_login or event.broadcaster_id,
                when=f"{duration(now - ended_at)} ago" if ended_at else "at an unknown time",
            )

    async def _user(self, user_id: str) -> User | None:
        try:
            return await self._lookups.user(user_id)
        except TwitchError:
            return None  # the names are not needed

    async def _ended_at(self, broadcast: Broadcast, stream_id: str, now: float) -> float | None:
        """
        When a stream ended, as its recording says; ``None`` when there is none.
        """
        try:
            recordings = await self._lookups.recordings(broadcast.broadcaster_id)
        except TwitchError as error:
            self.log.debug(
                "cannot look up the recordings of {streamer}: {reason}", streamer=broadcast.streamer, reason=str(error)
            )
            return None
        ends = [each.ended_at for each in recordings if each.stream_id == stream_id and each.ended_at is not None]
        began_at = parse_rfc3339(broadcast.started_at)
        return max((min(each, now) for each in ends if began_at is None or each >= began_at), default=None)

    async def _announce(self, stream: Stream, now: float) -> Acceptance:
        occurrence = Occurrence(
            stream_id=stream.id,
            broadcaster_id=stream.user_id,
            broadcaster_login=stream.user_login,
            broadcaster_name=stream.user_name,
            type=stream.type,
            started_at=stream.started_at,
        )
        event = STREAM_ONLINE.event(occurrence, self._new_id(), "", self._clock.seconds(), recovered=True)
        result = await self._accept(event)
        if result is Acceptance.ACCEPTED:
            self.log.info(
                "recovered {event_id}: {streamer} went live {age} ago; no EventSub message arrived",
                event_id=event.id,
                streamer=event.broadcaster_login or event.broadcaster_id,
                age=Seconds(_age(stream, now)),
            )
        return result


def _last_stream(broadcast: Broadcast) -> tuple[str, str]:
    """
    The ids of a broadcast and of its last stream.
    """
    return broadcast.id, broadcast.stream_ids[-1] if broadcast.stream_ids else ""


def _age(stream: Stream, now: float) -> float:
    """
    Seconds since a broadcast began; infinity when it does not say when.
    """
    began_at = parse_rfc3339(stream.started_at)
    return inf if began_at is None else now - began_at
