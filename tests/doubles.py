"""
Stand-ins that keep the contracts of :mod:`itsjustintv.interfaces`, for tests of whoever uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from itsjustintv.errors import JournalUnavailable
from itsjustintv.interfaces import IDeliveryJournal, IKeyValues, IOutcomeSink
from itsjustintv.model import (
    Accounting,
    Action,
    Attempt,
    Broadcast,
    Delivery,
    Due,
    Event,
    Outcome,
    Standing,
    State,
    Verdict,
)

__all__ = ["MemoryJournal", "MemoryLastKnown", "Outcomes"]

T = TypeVar("T")


@implementer(IKeyValues)
@define(eq=False)
class MemoryLastKnown:
    """
    What was known before.

    :ivar broken: while it is set, nothing is kept or read, for this reason.
    """

    values: dict[str, dict[str, tuple[int, float]]] = field(factory=dict)
    broken: str | None = None

    def recall(self, kind: str, key: str) -> Deferred[tuple[int, float] | None]:
        return self._do(lambda: self.values.get(kind, {}).get(key))

    def recall_all(self, kind: str) -> Deferred[Mapping[str, tuple[int, float]]]:
        return self._do(lambda: dict(self.values.get(kind, {})))

    def remember(self, kind: str, key: str, value: int, now: float) -> Deferred[None]:
        return self.remember_all(kind, {key: value}, now)

    def remember_all(self, kind: str, values: Mapping[str, int], now: float) -> Deferred[None]:
        kept = {key: (value, now) for key, value in values.items()}
        return self._do(lambda: self.values.setdefault(kind, {}).update(kept))

    def forget(self, kind: str, keys: Sequence[str]) -> Deferred[None]:
        def forget() -> None:
            for key in keys:
                self.values.get(kind, {}).pop(key, None)

        return self._do(forget)

    def _do(self, what: Callable[[], T]) -> Deferred[T]:
        return succeed(what()) if self.broken is None else fail(JournalUnavailable(self.broken))


@implementer(IOutcomeSink)
@define(eq=False)
class Outcomes:
    """
    A sink that remembers.
    """

    seen: list[Outcome] = field(factory=list)

    def record(self, outcome: Outcome) -> None:
        self.seen.append(outcome)

    @property
    def states(self) -> list[tuple[str, State, str]]:
        """
        Which delivery came to which state for which reason.
        """
        return [(each.delivery.id, each.delivery.state, each.delivery.reason) for each in self.seen]


@implementer(IDeliveryJournal)
@define(eq=False)
class MemoryJournal:
    """
    A journal without a disk.

    :ivar broken: while it is set, nothing is kept or read, for this reason.
    :ivar clock: if set, every answer takes ``latency`` seconds, and what it is about happens only then, one after the
        other as behind a single writer.
    :ivar calls: names of the methods called, in order.
    :ivar standings: of posts, by the id of a delivery; what is written does not change them.
    :ivar resumed: ids of broadcasts that turned out to be live.
    """

    broken: str | None = None
    clock: IReactorTime | None = None
    latency: Callable[[], float] = lambda: 0.001
    calls: list[str] = field(factory=list)
    events: dict[str, Event] = field(factory=dict)
    deliveries: dict[str, Delivery] = field(factory=dict)
    attempts: dict[str, list[tuple[Attempt, float]]] = field(factory=dict)
    standings: dict[str, Standing] = field(factory=dict)
    resumed: list[str] = field(factory=list)
    live: list[Broadcast] = field(factory=list)
    known_places: dict[str, tuple[Verdict, str]] = field(factory=dict)
    _keys: dict[str, float] = field(factory=dict, init=False)
    _order: list[str] = field(factory=list, init=False)
    _written: bool = field(default=False, init=False)
    _free_at: float = field(default=0.0, init=False)

    def _do(self, name: str, what: Callable[[], T]) -> Deferred[T]:
        self.calls.append(name)

        def now() -> Deferred[T]:
            if self.broken is not None:
                return fail(JournalUnavailable(self.broken))
            return succeed(what())

        if self.clock is None:
            return now()
        answer: Deferred[T] = Deferred(lambda _: None)

        def later() -> None:
            result = now()
            if answer.called:  # abandoned, but done
                result.addErrback(lambda _: None)
            else:
                result.chainDeferred(answer)

        self._free_at = max(self._free_at, self.clock.seconds() + self.latency())
        self.clock.callLater(self._free_at - self.clock.seconds(), later)
        return answer

    # What somebody else may do

    def put(self, *deliveries: Delivery) -> None:
        """
        Hold deliveries as they are.
        """
        for delivery in deliveries:
            self.deliveries[delivery.id] = delivery

    def operator(self, delivery_id: str, **changes: object) -> None:
        """
        Change a delivery from another process.
        """
        self.deliveries[delivery_id] = evolve(self.deliveries[delivery_id], **changes)
        self._written = True

    # IDeliveryJournal

    def accept(
        self, event: Event, deliveries: Sequence[Delivery], expires_at: float, window: float = 0.0
    ) -> Deferred[bool]:
        def accept() -> bool:
            if any(self._keys.get(key, 0.0) > event.received_at for key in event.keys):
                return False
            self.events[event.id] = event
            self._keys.update(dict.fromkeys(event.keys, expires_at))
            self.put(*deliveries)
            return True

        return self._do("accept", accept)

    def seen(self, now: float) -> Deferred[Sequence[tuple[str, float]]]:
        return self._do("seen", lambda: [each for each in self._keys.items() if each[1] > now])

    def unprepared(self, now: float, limit: int) -> Deferred[Sequence[tuple[Event, Delivery]]]:
        def unprepared() -> Sequence[tuple[Event, Delivery]]:
            found = [
                each
                for each in self.deliveries.values()
                if each.state is State.ACCEPTED and each.next_attempt_at <= now
            ]
            found.sort(key=lambda each: (each.accepted_at, each.id))
            return [(self.events[each.event_id], each) for each in found[:limit]]

        return self._do("unprepared", unprepared)

    def prepare(  # noqa: PLR0917 - as IDeliveryJournal has it
        self,
        delivery_id: str,
        body: bytes,
        picture: bytes | None,
        now: float,
        title: str = "",
        category: str = "",
        *,
        action: Action = Action.CREATE,
        shown: str = "",
        mention: bool = False,
        form: str = "",
        refreshes: Sequence[float] = (),
    ) -> Deferred[bool]:
        def prepare() -> bool:
            delivery = self.deliveries[delivery_id]
            if delivery.state is not State.ACCEPTED:
                return False
            self.deliveries[delivery_id] = evolve(
                delivery,
                state=State.PENDING,
                body=body,
                picture=picture,
                next_attempt_at=now,
                action=action,
                shown=shown,
                mention=mention,
                form=form,
                refreshes=tuple(refreshes),
            )
            return True

        return self._do("prepare", prepare)

    def unprepare(self, delivery_id: str, now: float) -> Deferred[None]:
        def unprepare() -> None:
            delivery = self.deliveries[delivery_id]
            self.deliveries[delivery_id] = evolve(
                delivery, state=State.ACCEPTED, body=b"", picture=None, form="", next_attempt_at=now
            )

        return self._do("unprepare", unprepare)

    def standing(self, delivery_id: str, _place: str = "") -> Deferred[Standing]:
        return self._do("standing", lambda: self.standings.get(delivery_id, Standing()))

    def resume(self, broadcast: str, now: float) -> Deferred[None]:
        return self._do("resume", lambda: self.resumed.append(broadcast))

    def live_broadcasts(self) -> Deferred[Sequence[Broadcast]]:
        return self._do("live_broadcasts", lambda: self.live)

    def latest_broadcast(self, broadcaster_id: str) -> Deferred[Broadcast | None]:
        found = [each for each in self.live if each.broadcaster_id == broadcaster_id]
        return self._do("latest_broadcast", lambda: found[-1] if found else None)

    def places(self) -> Deferred[Mapping[str, tuple[Verdict, str]]]:
        return self._do("places", lambda: dict(self.known_places))

    def forget_places(self, places: Sequence[str]) -> Deferred[None]:
        def forget() -> None:
            for place in places:
                self.known_places.pop(place, None)

        return self._do("forget_places", forget)

    def hold(self, delivery_id: str, until: float, reason: str) -> Deferred[None]:
        def hold() -> None:
            self.deliveries[delivery_id] = evolve(self.deliveries[delivery_id], next_attempt_at=until, reason=reason)

        return self._do("hold", hold)

    def settle(  # noqa: PLR0917 - as IDeliveryJournal has it
        self,
        delivery_id: str,
        state: State,
        reason: str,
        now: float,
        attempt: Attempt | None = None,
        next_attempt_at: float | None = None,
        *,
        plain: bool = False,
    ) -> Deferred[Delivery]:
        def settle() -> Delivery:
            delivery = self.deliveries[delivery_id]
            if attempt is not None:
                self.attempts.setdefault(delivery_id, []).append((attempt, now))
                self._order = [*(each for each in self._order if each != delivery_id), delivery_id]
                delivery = evolve(delivery, attempts=delivery.attempts + 1)
                if attempt.verdict in (Verdict.DESTINATION_GONE, Verdict.UNAUTHORIZED, Verdict.MOVED):
                    self.known_places[attempt.access] = (attempt.verdict, attempt.moved_to)
            if delivery.state is not State.CANCELLED or state is State.DELIVERED:
                at = delivery.next_attempt_at if next_attempt_at is None else next_attempt_at
                delivery = evolve(
                    delivery, state=state, reason=reason, next_attempt_at=at, plain=plain or delivery.plain
                )
            self.deliveries[delivery_id] = delivery
            return delivery

        return self._do("settle", settle)

    def destinations(self) -> Deferred[Sequence[str]]:
        return self._do("destinations", lambda: sorted({each.destination for each in self._pending()}))

    def due(self, destination: str, after: Due | None, limit: int) -> Deferred[Sequence[Due]]:
        def due() -> Sequence[Due]:
            found = sorted(
                Due(each.next_attempt_at, each.id) for each in self._pending() if each.destination == destination
            )
            return [each for each in found if after is None or each > after][:limit]

        return self._do("due", due)

    def load(self, delivery_id: str) -> Deferred[Delivery | None]:
        return self._do("load", lambda: self.deliveries.get(delivery_id))

    def outcomes(self, limit: int) -> Deferred[Sequence[Outcome]]:
        def outcomes() -> Sequence[Outcome]:
            return [
                Outcome(
                    delivery=self.deliveries[each], attempt=self.attempts[each][-1][0], at=self.attempts[each][-1][1]
                )
                for each in self._order[-limit:]
            ]

        return self._do("outcomes", outcomes)

    def accounting(self) -> Deferred[Accounting]:
        return self._do("accounting", self.accounting_now)

    def accounting_now(self) -> Accounting:
        """
        Count, as somebody would who looks on.
        """
        counts = {state.value: 0 for state in State}
        for each in self.deliveries.values():
            counts[each.state.value] += 1
        return Accounting(wanted=len(self.deliveries), **counts)

    def changed(self) -> Deferred[bool]:
        def changed() -> bool:
            written, self._written = self._written, False
            return written

        return self._do("changed", changed)

    def problem(self) -> str | None:
        return self.broken

    def _pending(self) -> Sequence[Delivery]:
        return [each for each in self.deliveries.values() if each.state is State.PENDING]
