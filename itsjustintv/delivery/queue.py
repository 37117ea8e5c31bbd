"""
The queue of every delivery, its first attempt included. Knows no payload and no HTTP: it is handed ``send``.

The journal holds the deliveries; this holds a lane for each destination, with the ids of those that are due, and the
attempts under way. Of an attempt that ended, the retry policy decides what follows; that is stored, and then reported.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from math import inf
from typing import Any

from attrs import Factory, define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from itsjustintv.config.sections import Retry
from itsjustintv.delivery.attempt import AttemptRunner, Orphaned
from itsjustintv.delivery.lane import Lane
from itsjustintv.delivery.places import Places
from itsjustintv.errors import JournalUnavailable
from itsjustintv.interfaces import GraceEnd, IDeliveryJournal, IOutcomeSink, Resolve, Send
from itsjustintv.model import Delivery, Destination, Due, rfc3339
from itsjustintv.support.counts import Counted
from itsjustintv.support.durations import Seconds
from itsjustintv.support.log_throttle import LogOnChange
from itsjustintv.support.periodic_service import PeriodicService

__all__ = ["DeliveryQueue", "QueueLimits"]


@frozen(kw_only=True)
class QueueLimits:
    """
    What the queue may use, and how long it waits.

    :ivar shared: beyond so many attempts in all, no destination gets a second one at the same time.
    :ivar ceiling: so many attempts in all, whatever the number of destinations.
    :ivar window: ids that a lane keeps in memory, of fresh deliveries and of others each.
    :ivar stop: seconds that attempts under way are waited for when the service stops.
    :ivar first_pause: seconds after which the journal is asked again.
    :ivar longest_pause: seconds for which a lane pauses after a defect.
    """

    shared: int = 64
    ceiling: int = 512
    window: int = 1000
    stop: float = 20.0
    first_pause: float = 1.0
    longest_pause: float = 30.0


@define(eq=False)
class DeliveryQueue(Service):
    """
    Brings every delivery to its end.

    Destinations do not wait for each other. Each has its own lane with its own share of attempts; whatever the others
    do, a lane with nothing under way may begin an attempt at once, until ``limits.ceiling`` is reached. It is the
    second attempt at the same time that is rationed, so that any number of receivers that never answer hold no more
    than one slot each once slots are short. Lanes that must wait are served in the order in which they began to.

    :ivar policy: the current ``[retry]``.
    :ivar sinks: notified of every outcome, once it is stored.
    :ivar random: from 0 to 1.
    :ivar poll_interval: seconds between two looks whether another process has written to the journal.
    :ivar grace_end: until when deliveries to a destination that is not configured are suspended: neither attempted nor
        ended.
    :ivar forget: called when nothing waits for such a destination any more.
    :ivar orphaned: when a delivery ends because its streamer is not configured.
    :ivar find_owners: finds out, from the journal, which channels the destinations that are not configured belong to;
        may fail as the journal does.
    """

    _journal: IDeliveryJournal
    _send: Send
    _resolve: Resolve
    _policy: Callable[[], Retry]
    _sinks: Sequence[IOutcomeSink]
    _clock: IReactorTime
    _random: Callable[[], float]
    _limits: QueueLimits = QueueLimits()
    _poll_interval: float = 1.0
    _grace_end: GraceEnd = lambda _: 0.0
    _forget: Callable[[str], None] = lambda _: None
    _orphaned: Orphaned = lambda _: None
    _find_owners: Callable[[], Deferred[None]] = lambda: succeed(None)
    _lanes: dict[str, Lane] = field(factory=dict, init=False)
    _in_flight: int = field(default=0, init=False)
    _attempting: set[Deferred[Due | None]] = field(factory=set, init=False)
    _attempted: set[str] = field(factory=set, init=False)
    _readings: set[Deferred[None]] = field(factory=set, init=False)
    _waiting: dict[Lane, None] = field(factory=dict, init=False)
    _to_serve: dict[Lane, Delivery | None] = field(factory=dict, init=False)
    _serving: bool = field(default=False, init=False)
    _lanes_read: bool = field(default=False, init=False)
    _logged: LogOnChange = field(factory=LogOnChange, init=False)
    _poll: PeriodicService = field(
        init=False,
        default=Factory(
            lambda self: PeriodicService(
                self._clock, self._poll_interval, "read the pending deliveries from the journal", self._poll_journal
            ),
            takes_self=True,
        ),
    )
    _places: Places = field(init=False)
    _runner: AttemptRunner = field(init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        self._places = Places(self._journal, self._clock)
        self._runner = AttemptRunner(
            self._journal,
            self._send,
            self._resolve,
            self._policy,
            self._sinks,
            self._clock,
            self._random,
            lambda: bool(self.running),
            self._grace_end,
            self._orphaned,
            self._places,
        )

    @property
    def under_way(self) -> int:
        """
        How many attempts are being made or recorded.
        """
        return self._in_flight

    def paused(self) -> Sequence[str]:
        """
        The destinations that get no attempt for a while: the receiver asked to wait, or the journal is unavailable.
        """
        now = self._clock.seconds()
        return [name for name, lane in self._lanes.items() if lane.paused_until > now]

    def paused_until(self, destination: Destination) -> float:
        """
        No request may be sent to a destination before this moment; it may have passed.
        """
        return self._places.paused_until(destination)

    def is_under_way(self, delivery_id: str) -> bool:
        """
        Whether an attempt on a delivery is being made or recorded.
        """
        return delivery_id in self._attempted

    def problem(self) -> str | None:
        """
        Why nothing would be delivered, or ``None`` while all is well.
        """
        return self._poll.problem()

    def startService(self) -> None:
        """
        Go on with what the journal holds, without reading all of it.
        """
        super().startService()
        self._lanes_read = False
        self._poll.startService()

    def stopService(self) -> Deferred[None]:
        """
        Begin no more attempts and wait for those under way, for ``limits.stop`` seconds at most: what is then cancelled
        is not recorded, and so will be attempted again.
        """
        super().stopService()
        self._poll.stopService()
        for lane in self._lanes.values():
            if lane.timer is not None:
                lane.timer.cancel()
                lane.timer = None
        self._lanes.clear()
        self._waiting.clear()
        self._to_serve.clear()
        for reading in list(self._readings):
            reading.cancel()
        return Deferred.fromCoroutine(self._finish(list(self._attempting)))

    def submit(self, delivery: Delivery) -> None:
        """
        Take over a delivery that the journal has just made pending. If there is room its attempt begins at once;
        otherwise its id waits in the lane, before those that were attempted already.
        """
        if not self.running:
            return
        lane = self._lane(delivery.destination)
        lane.add_fresh(Due(delivery.next_attempt_at, delivery.id))
        self._to_serve[lane] = delivery
        self._serve_lanes()

    def refresh(self) -> None:
        """
        Follow a change of the configuration: a destination that was removed gets no further attempt, and what waits for
        it ends after its grace; a higher concurrency is used at once. Attempts under way go on.
        """
        for name, lane in list(self._lanes.items()):
            if lane.removed and lane.is_idle:
                del self._lanes[name]
        self._serve_lanes(*self._lanes.values())

    # Lanes

    def _lane(self, name: str) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(name, self._limits.window)
        return lane

    def _has_room(self, lane: Lane) -> bool:
        if lane.in_flight == 0:
            return self._in_flight < self._limits.ceiling
        return lane.in_flight < self._concurrency(lane) and self._in_flight < self._limits.shared

    def _concurrency(self, lane: Lane) -> int:
        return self._policy().concurrency if lane.concurrency is None else lane.concurrency

    def _serve_lanes(self, *lanes: Lane) -> None:
        """
        Begin the attempts that lanes may begin now. Lanes in which an attempt ends meanwhile are served afterwards, in
        the same loop: any number of them would otherwise be calls within calls.
        """
        if not self.running:
            return
        for lane in lanes:
            self._to_serve.setdefault(lane, None)
        if self._serving:
            return
        self._serving = True
        try:
            while self._to_serve:
                lane = next(iter(self._to_serve))
                submitted = self._to_serve.pop(lane)
                try:
                    self._serve(lane, submitted)
                except Exception:  # noqa: BLE001 - a defect in one lane must not stop the others
                    self.log.failure(
                        "cannot serve {destination}; retrying in {delay}",
                        destination=lane.name,
                        delay=Seconds(self._limits.longest_pause),
                    )
                    self._wake(lane, self._clock.seconds() + self._limits.longest_pause)
        finally:
            self._serving = False

    def _serve(self, lane: Lane, submitted: Delivery | None) -> None:
        """
        Begin the attempts that a lane may begin now.

        :param submitted: a delivery in it that need not be read from the journal.
        """
        now = self._clock.seconds()
        self._check_destination(lane, now)
        while lane.head(now) is not None and self._has_room(lane):
            due = lane.take(now)
            first = submitted if submitted is not None and submitted.id == due.id else None
            if first is not None:
                submitted = None  # a second attempt is made of what the journal holds then
            self._begin(lane, due, first)
        if lane.paused_until <= now and (limit := lane.room):
            self._track(self._read_lane(lane, lane.begin_reading(), limit))
        if lane.head(now) is None:
            self._wake(lane, lane.next_at())
            return
        # An attempt that ends will make room: one of its own, or of any other lane.
        self._wake(lane, None)
        if lane.in_flight < self._concurrency(lane):
            self._waiting[lane] = None

    def _check_destination(self, lane: Lane, now: float) -> None:
        """
        Find out whether the destination of a lane is configured, and if not, until when its deliveries are suspended.
        """
        destination = self._resolve(lane.name, "")
        lane.removed = destination is None
        lane.concurrency = None if destination is None else destination.concurrency
        lane.suspended_until = self._grace_end(lane.name) if lane.removed and not lane.is_idle else 0.0
        ending = lane.removed and lane.suspended_until <= now
        if ending and not lane.ending:
            lane.paused_until = now  # no receiver asks for a pause any more
        lane.ending = ending
        if lane.removed and lane.is_idle:
            self._forget(lane.name)
        if not lane.removed and lane.removal_logged:
            lane.removal_logged = False
            self.log.info(
                "destination {destination} is configured again; its deliveries continue", destination=lane.name
            )
        elif (
            lane.removed
            and not lane.removal_logged
            and now < lane.suspended_until < inf
            and lane.length
            and not lane.reading
        ):
            lane.removal_logged = True
            self.log.warn(
                "destination {destination} was removed from the configuration; its deliveries ({count}) are suspended,"
                " and end at {end} unless it is configured again",
                destination=lane.name,
                count=lane.length if lane.is_complete else f"{lane.length} or more",
                end=rfc3339(lane.suspended_until),
            )

    def _wake(self, lane: Lane, at: float | None) -> None:
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        if at is not None and self.running:
            # When its deliveries end may not be known yet.
            delay = self._poll_interval if at == inf else max(0.0, at - self._clock.seconds())
            lane.timer = self._clock.callLater(delay, self._woken, lane)

    def _woken(self, lane: Lane) -> None:
        lane.timer = None
        self._serve_lanes(lane)

    # What the journal holds

    async def _poll_journal(self) -> None:
        """
        Read the lanes again if another process has written to the journal.
        """
        try:
            if self._lanes_read:
                self._lanes_read = not await self._journal.changed()
            if not self._lanes_read:
                await self._find_owners()
                await self._places.load()
            names = [] if self._lanes_read else await self._journal.destinations()
        except JournalUnavailable as error:
            self._log_unavailable(error)
            return
        self._logged.reset()
        if self._lanes_read:
            return
        self._lanes_read = True
        for name in names:
            self._lane(name)
        for lane in self._lanes.values():
            lane.forget()
        self._serve_lanes(*self._lanes.values())

    def _track(self, reading: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        begun = Deferred.fromCoroutine(reading)
        self._readings.add(begun)
        begun.addBoth(lambda _: self._readings.discard(begun))
        return begun

    async def _read_lane(self, lane: Lane, after: Due | None, limit: int) -> None:
        try:
            found = await self._journal.due(lane.name, after, limit)
        except CancelledError:
            if not self.running:
                return
        except JournalUnavailable as error:
            self._log_unavailable(error)
        except Exception:  # noqa: BLE001 - a defect here must not stop the lane for ever
            self.log.failure(
                "cannot read the pending deliveries for {destination}; retrying in {delay}",
                destination=lane.name,
                delay=Seconds(self._limits.first_pause),
            )
        else:
            self._logged.reset()
            lane.end_reading(found, complete=len(found) < limit)
            self._serve_lanes(lane)
            return
        lane.abandon_reading()
        self._pause(lane, self._limits.first_pause)
        self._serve_lanes(lane)

    def _log_unavailable(self, error: JournalUnavailable) -> None:
        """
        Log an outage of the journal once, not every second.
        """
        if self._logged.is_new():
            self.log.warn(
                "cannot read or write the journal: {reason}; deliveries wait for it",
                reason=str(error),
            )

    def _pause(self, lane: Lane, seconds: float) -> None:
        lane.pause_until(self._clock.seconds() + seconds)

    # Attempts

    def _begin(self, lane: Lane, due: Due, submitted: Delivery | None) -> None:
        lane.in_flight += 1
        self._in_flight += 1
        self._attempted.add(due.id)
        attempt = Deferred.fromCoroutine(self._attempt(lane, due, submitted))
        self._attempting.add(attempt)
        attempt.addBoth(self._attempt_ended, lane, due, attempt)

    def _attempt_ended(self, again: Due | None, lane: Lane, due: Due, attempt: Deferred[Due | None]) -> None:
        self._attempting.discard(attempt)
        self._attempted.discard(due.id)
        self._in_flight -= 1
        lane.in_flight -= 1
        lane.release(due.id, again)
        waiting, self._waiting = self._waiting, {}
        self._serve_lanes(*waiting, lane)

    async def _attempt(self, lane: Lane, due: Due, submitted: Delivery | None) -> Due | None:
        """
        Run one attempt. Never raises.

        :return: when the delivery is due next, if it is still pending.
        """
        try:
            return await self._runner.run(lane, due, submitted)
        except JournalUnavailable as error:
            self._log_unavailable(error)
            self._pause(lane, self._limits.first_pause)
        except CancelledError:
            if not self.running:
                return None
            self._pause(lane, self._limits.first_pause)
        except Exception:  # noqa: BLE001 - one delivery's defect must not take the lane with it
            self.log.failure(
                "cannot attempt {delivery}; retrying in {delay}",
                delivery=due.id,
                delay=Seconds(self._limits.longest_pause),
                event_id=due.id.rpartition("-")[0],
                destination=lane.name,
            )
            self._pause(lane, self._limits.longest_pause)
        return due

    async def _finish(self, attempts: Sequence[Deferred[Due | None]]) -> None:
        def abandon() -> None:
            self.log.warn(
                "{count} interrupted by the stop: no answer yet; repeated after the next start",
                count=Counted(len(self._attempting), "attempt"),
            )
            for attempt in attempts:
                attempt.cancel()

        abandoning = self._clock.callLater(self._limits.stop, abandon)
        await DeferredList(attempts)
        if abandoning.active():
            abandoning.cancel()
