"""
One event's way from the door to the queue of its deliveries.

At the door (:meth:`Pipeline.accept`) an event is matched, checked for a duplicate and committed to the journal; then
Twitch gets its answer. Behind the door each delivery is prepared: enriched, filtered, given its payload, committed
again and handed to the queue. The journal, not this module's memory, says what is still to be done: whatever a crash,
a full disk or a crowd left unprepared is found there by the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from attrs import Factory, define, evolve, field
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from itsjustintv.dedup import Seen, SeenEvents
from itsjustintv.errors import JournalUnavailable
from itsjustintv.filters import FilterResult, decide, of_another_type
from itsjustintv.interfaces import GraceEnd, IEnricher, IJournal, IOutcomeSink, Match, Render, Submit
from itsjustintv.model import Acceptance, Delivery, Enrichment, Event, Notice, Outcome, State, Streamer
from itsjustintv.support.durations import Seconds
from itsjustintv.support.periodic_service import PeriodicService

__all__ = ["Kept", "OnError", "Pipeline"]

#: Is told of an event that the journal has kept, or known already, and when it was asked to. Never raises.
Kept = Callable[[Event, float], None]


class OnError(Enum):
    """
    What to do when a tag filter cannot be decided.
    """

    SEND = "send"
    HOLD = "hold"


@define(eq=False)
class Pipeline(Service):
    """
    Accepts events and prepares their deliveries.

    :ivar ttl: seconds for which a broadcast is remembered.
    :ivar max_age: seconds after which an event is no longer news.
    :ivar ends: when what was accepted for a streamer who is not configured any more ends, by key, in seconds since the
        epoch.
    :ivar on_kept: is told of every event that the journal was asked to keep, when it has answered.
    :ivar wall: the time of the machine, in seconds since the epoch, for payloads.
    :ivar at_once: how many deliveries are prepared at the same time; more wait in the journal.
    """

    _clock: IReactorTime
    _journal: IJournal
    _seen: SeenEvents
    _match: Match
    _enricher: IEnricher
    _render: Render
    _submit: Submit
    _sinks: Sequence[IOutcomeSink]
    _ttl: Callable[[], float]
    _on_error: Callable[[], OnError]
    _max_age: Callable[[], float]
    _on_kept: Kept = lambda _event, _asked_at: None
    _ends: GraceEnd = lambda _: 0.0
    _at_once: int = 1000
    _every: float = 2.0
    _hold: float = 30.0
    _wall: Callable[[], float] = field(default=Factory(lambda self: self._clock.seconds, takes_self=True), kw_only=True)
    _accepting: set[Deferred[Acceptance]] = field(factory=set, init=False)
    _preparing: dict[str, Deferred[None]] = field(factory=dict, init=False)
    _prepared: set[str] = field(factory=set, init=False)
    _loop: PeriodicService = field(
        init=False,
        default=Factory(
            lambda self: PeriodicService(self._clock, self._every, "read what is still to be prepared", self._catch_up),
            takes_self=True,
        ),
    )
    _away: bool = field(default=False, init=False)

    log = Logger()

    def startService(self) -> None:
        """
        Remember what was seen before, and go on with what the journal says is unprepared.
        """
        super().startService()
        Deferred.fromCoroutine(self._remember()).addErrback(
            lambda failure: self.log.failure("could not read what was announced before", failure)
        )
        self._loop.startService()

    def stopService(self) -> Deferred[None]:
        """
        Accept nothing more, let acceptances under way reach the journal, and leave unprepared deliveries to it.
        """
        super().stopService()
        looking = self._loop.stopService()
        preparing = list(self._preparing.values())
        for each in preparing:
            each.cancel()
        under_way: list[Deferred[Any]] = [looking, *self._accepting, *preparing]
        return DeferredList(under_way, consumeErrors=True).addCallback(lambda _: None)

    def problem(self) -> str | None:
        """
        Why nothing would be prepared, or ``None`` while all is well.
        """
        return self._loop.problem()

    def accept(self, event: Event) -> Deferred[Acceptance]:
        """
        Keep an event, or know it already, or have no use for it. Once the answer is there, it is on stable storage.

        Cancelling the answer abandons a wait, never an event: what the journal has been given, it keeps.

        :raises JournalUnavailable: the event was not kept and Twitch must send it again.
        """
        accepting = Deferred.fromCoroutine(self._accept(event))
        self._accepting.add(accepting)

        def ended(result: Acceptance | Failure) -> Acceptance | Failure:
            self._accepting.discard(accepting)
            return result

        return accepting.addBoth(ended)

    async def _accept(self, event: Event) -> Acceptance:
        if not self.running:
            raise JournalUnavailable("the daemon is stopping")
        streamers = self._match(event)
        if not streamers:
            return Acceptance.IGNORED
        keys = event.keys
        # A copy that arrives while the first is being committed waits for that commit: if it fails, the copy is the
        # one to keep.
        while (seen := self._seen.state(keys)) is Seen.PENDING:
            await self._seen.settled(keys)
        if seen is Seen.KNOWN:
            return Acceptance.DUPLICATE
        now = self._clock.seconds()
        expires_at = now + self._ttl()
        deliveries = [
            Delivery(
                id=f"{event.id}-{number}",
                event_id=event.id,
                streamer=key,
                destination=destination,
                accepted_at=now,
                next_attempt_at=now,
                trace=event.trace,
            )
            for number, (key, destination) in enumerate(
                ((streamer.key, destination) for streamer in streamers for destination in streamer.destinations), 1
            )
        ]
        self._seen.claim(keys)
        try:
            kept = await self._journal.accept(event, deliveries, expires_at)
        except BaseException:
            self._seen.release(keys)
            raise
        self._seen.confirm(keys, expires_at)
        self._on_kept(event, now)
        if not kept:
            return Acceptance.DUPLICATE
        if len(self._preparing) < self._at_once:
            # On the next turn of the reactor, so that Twitch's answer leaves first.
            self._clock.callLater(0, self._begin_all, event, deliveries)
        return Acceptance.ACCEPTED

    async def _remember(self) -> None:
        self._seen.load(await self._journal.seen(self._clock.seconds()))

    async def _catch_up(self) -> None:
        """
        Begin with what the journal holds unprepared.

        While the journal cannot be written, one delivery at a time finds out whether it still cannot: more would only
        ask Twitch the same again every time, for nothing.
        """
        room = (1 if self._away else self._at_once) - len(self._preparing)
        if room <= 0:
            return
        # A delivery that is prepared while the journal is being read may still be in what was read.
        self._prepared.clear()
        try:
            # What is already under way is listed as well, so ask for that many more.
            found = await self._journal.unprepared(self._clock.seconds(), room + len(self._preparing))
        except JournalUnavailable as error:
            if not self._away:
                self.log.warn(
                    "cannot read what is still to be prepared: {reason}; retrying in {delay}",
                    reason=str(error),
                    delay=Seconds(self._every),
                )
            self._away = True
        else:
            self._away = self._away and bool(found)
            for event, delivery in found:
                if delivery.id not in self._prepared:
                    self._begin(event, delivery)

    def _begin_all(self, event: Event, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._begin(event, delivery)

    def _begin(self, event: Event, delivery: Delivery) -> None:
        if not self.running or delivery.id in self._preparing or len(self._preparing) >= self._at_once:
            return
        preparing = Deferred.fromCoroutine(self._prepare(event, delivery))
        self._preparing[delivery.id] = preparing

        def ended(_: object) -> None:
            del self._preparing[delivery.id]
            self._prepared.add(delivery.id)

        preparing.addBoth(ended)

    async def _prepare(self, event: Event, delivery: Delivery) -> None:
        """
        Bring one delivery to the queue, or to its end. Never raises, but for a cancellation at stop.
        """
        try:
            await self._bring(event, delivery)
        except CancelledError:
            raise
        except JournalUnavailable as error:
            self._wait(delivery, error)
        except Exception:  # noqa: BLE001 - one event's defect must not take the others with it
            self.log.failure(
                "cannot prepare the delivery of {event_id} to {destination}, will try again",
                event_id=event.id,
                destination=delivery.destination,
            )
            await self._later(delivery, "could not be prepared")

    async def _bring(self, event: Event, delivery: Delivery) -> None:
        if self._clock.seconds() - delivery.accepted_at >= self._max_age():
            await self._end(delivery, State.EXPIRED, delivery.reason or "too old to be news")
            return
        streamers = self._match(event)
        if not streamers:
            if self._ends(delivery.streamer) > self._clock.seconds():
                await self._later(delivery, "streamer not configured")
            else:
                await self._end(delivery, State.CANCELLED, "streamer removed from the configuration")
            return
        # The entry may have another name by now.
        streamer = next((each for each in streamers if each.key == delivery.streamer), streamers[0])
        if reason := of_another_type(streamer, event):
            await self._end(delivery, State.FILTERED, reason)
            return
        enrichment = await self._enricher.enrich(event, streamer)
        decision, reason = decide(streamer, enrichment)
        if decision is FilterResult.BLOCKED:
            await self._end(delivery, State.FILTERED, reason)
            return
        if decision is FilterResult.UNKNOWN and not await self._go_on(delivery, reason):
            return
        await self._queue(event, streamer, enrichment, delivery)

    async def _queue(self, event: Event, streamer: Streamer, enrichment: Enrichment, delivery: Delivery) -> None:
        now = self._clock.seconds()
        notice = Notice(event=event, streamer=streamer, enrichment=enrichment, built_at=self._wall())
        body = self._render(notice, delivery.destination)
        picture = None if enrichment.picture is None else enrichment.picture.data
        prepared = await self._journal.prepare(delivery.id, body, picture, now)
        self._away = False
        if prepared:
            self._submit(evolve(delivery, state=State.PENDING, next_attempt_at=now, body=body, picture=picture))

    async def _go_on(self, delivery: Delivery, reason: str) -> bool:
        """
        Decide what the filter could not: whether to send now.
        """
        if self._on_error() is OnError.SEND:
            self.log.warn(
                "the tag filter of {streamer} cannot be decided ({reason}); sending anyway, as filter.on_error asks",
                streamer=delivery.streamer,
                reason=reason,
                event_id=delivery.event_id,
            )
            return True
        self.log.warn(
            "the tag filter of {streamer} cannot be decided ({reason}); held for {delay}, as filter.on_error asks",
            streamer=delivery.streamer,
            reason=reason,
            event_id=delivery.event_id,
            delay=Seconds(self._hold),
        )
        await self._later(delivery, reason)
        return False

    async def _later(self, delivery: Delivery, reason: str) -> None:
        try:
            await self._journal.hold(delivery.id, self._clock.seconds() + self._hold, reason)
        except JournalUnavailable as error:
            self._wait(delivery, error)
        else:
            self._away = False

    def _wait(self, delivery: Delivery, error: JournalUnavailable) -> None:
        """
        Leave a delivery to the loop. That the journal is away is said once, not of every delivery every time.
        """
        if not self._away:
            self.log.warn(
                "the delivery of {event_id} to {destination} waits for the journal, as do those after it: {reason}",
                event_id=delivery.event_id,
                destination=delivery.destination,
                reason=str(error),
            )
        self._away = True

    async def _end(self, delivery: Delivery, state: State, reason: str) -> None:
        now = self._clock.seconds()
        settled = await self._journal.settle(delivery.id, state, reason, now)
        self._away = False
        self._report_end(settled)
        for sink in self._sinks:
            sink.record(Outcome(delivery=settled, attempt=None, at=now))

    def _report_end(self, delivery: Delivery) -> None:
        if delivery.state.undelivered:
            self.log.warn(
                "{event_id} of {streamer} to {destination} expired before it was prepared: {reason}. To requeue it:"
                " itsjustintv deliveries retry {delivery}",
                event_id=delivery.event_id,
                delivery=delivery.id,
                streamer=delivery.streamer,
                destination=delivery.destination,
                reason=delivery.reason,
            )
            return
        self.log.info(
            "{state}: {event_id} of {streamer} is not sent to {destination}: {reason}",
            state=delivery.state.value,
            event_id=delivery.event_id,
            streamer=delivery.streamer,
            destination=delivery.destination,
            reason=delivery.reason,
        )
