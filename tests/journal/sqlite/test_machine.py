"""
The journal against a reference in plain Python, through everything that can happen to it, crashes included.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import OperationRefused
from itsjustintv.journal.sqlite import reads, writes
from itsjustintv.journal.sqlite.database import create
from itsjustintv.journal.sqlite.offline_journal import SQLiteOfflineJournal
from itsjustintv.model import Delivery, Due, Event, State
from tests import examples
from tests.journal.sqlite.values import accept
from tests.journal.values import attempt, deliveries, event

TTL = 100.0
KEEP = 300.0

FINAL = [state for state in State if state.is_final]


class JournalMachine(RuleBasedStateMachine):
    """
    ``self.kept`` and its neighbours are what the journal must hold.
    """

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(mkdtemp())
        self.path = self.directory / "0" / "journal.db"
        self.connection = create(self.path)
        self.now = 1000.0
        self.opened = 0
        self.wanted = 0
        self.removed = Counter[State]()
        self.events: dict[str, Event] = {}
        self.keys: dict[str, float] = {}
        self.kept: dict[str, Delivery] = {}
        self.finished: dict[str, float] = {}
        self.attempts: dict[str, int] = {}
        self.order: list[str] = []

    def teardown(self) -> None:
        """
        Leave nothing behind.
        """
        self.connection.close()
        shutil.rmtree(self.directory)

    @rule(
        target=ids,
        stream=st.integers(0, 5),
        message=st.none() | st.integers(0, 20),
        second=st.integers(0, 1),
        destinations=st.lists(st.sampled_from("abc"), max_size=3, unique=True),
    )
    def accept(self, stream: int, message: int | None, second: int, destinations: list[str]) -> str:
        """
        An event is kept unless one of its keys is alive; there is one without a message as well.
        """
        news = event(
            f"e{len(self.events)}",
            stream_id=f"s{stream}",
            message_id="" if message is None else f"m{message}",
            started_at=f"2026-01-02T03:04:0{second}Z",
            received_at=self.now,
            recovered=message is None,
        )
        wanted = deliveries(news, *destinations)
        fresh = all(self.keys.get(key, 0.0) <= self.now for key in news.keys)
        with self.connection:
            self.connection.execute("BEGIN")
            assert accept(self.connection, news, wanted, self.now + TTL, self.now) is fresh
        if fresh:
            self.events[news.id] = news
            self.keys.update(dict.fromkeys(news.keys, self.now + TTL))
            self.kept.update({delivery.id: delivery for delivery in wanted})
            self.wanted += len(wanted)
        return f"{news.id}-{max(1, len(destinations))}"

    @rule(name=ids, picture=st.none() | st.binary(max_size=3))
    def prepare(self, name: str, picture: bytes | None) -> None:
        """
        Only an accepted delivery becomes pending.
        """
        delivery = self.kept.get(name)
        accepted = delivery is not None and delivery.state is State.ACCEPTED
        assert writes.prepare(self.connection, name, b"{}", picture, self.now) is accepted
        if accepted and delivery is not None:
            self.kept[name] = evolve(
                delivery, state=State.PENDING, body=b"{}", picture=picture, next_attempt_at=self.now, reason=""
            )

    @rule(name=ids, later=st.floats(0, 50))
    def hold(self, name: str, later: float) -> None:
        """
        Only an accepted delivery is held.
        """
        writes.hold(self.connection, name, self.now + later, "held")
        delivery = self.kept.get(name)
        if delivery is not None and delivery.state is State.ACCEPTED:
            self.kept[name] = evolve(delivery, next_attempt_at=self.now + later, reason="held")

    @rule(name=ids, state=st.sampled_from([State.PENDING, *FINAL]), tried=st.booleans(), later=st.floats(0, 50))
    def settle(self, name: str, state: State, tried: bool, later: float) -> None:
        """
        What ended stays as it ended unless it was delivered; attempts are counted whatever the state.
        """
        delivery = self.kept.get(name)
        if delivery is None or (delivery.state is State.ACCEPTED and state is State.PENDING):
            return
        next_at = self.now + later if state is State.PENDING else None
        made = attempt(ok=state is State.DELIVERED, duration=later) if tried else None
        with self.connection:
            self.connection.execute("BEGIN")
            answer = writes.settle(self.connection, name, state, f"{state}", self.now, made, next_at)
        if tried:
            delivery = evolve(delivery, attempts=delivery.attempts + 1)
            self.attempts[name] = self.attempts.get(name, 0) + 1
            self.order = [other for other in self.order if other != name] + [name]
        if not delivery.state.is_final or (state is State.DELIVERED and delivery.state is not State.DELIVERED):
            delivery = evolve(
                delivery,
                state=state,
                reason=f"{state}",
                next_attempt_at=delivery.next_attempt_at if next_at is None else next_at,
            )
            if state.is_final:
                self.finished[name] = self.now
        self._keep(delivery)
        assert answer == evolve(self.kept[name], picture=None)

    @rule(name=ids, what=st.sampled_from(["retry", "cancel"]))
    def operate(self, name: str, what: str) -> None:
        """
        The operator revives what ended undelivered and was not overtaken, and cancels what has not ended.
        """
        delivery = self.kept.get(name)
        state = None if delivery is None else delivery.state
        possible = state is not None and (
            not state.is_final
            if what == "cancel"
            else state.is_final and state not in (State.DELIVERED, State.SUPERSEDED)
        )
        signals = reads.signals(self.connection)
        journal = SQLiteOfflineJournal.open(self.path, lambda: self.now)
        try:
            getattr(journal, what)(name)
        except OperationRefused:
            assert not possible
            return
        assert possible
        assert delivery is not None
        assert reads.signals(self.connection) == signals + 1
        if what == "cancel":
            self.finished[name] = self.now
            self._keep(evolve(delivery, state=State.CANCELLED, reason="cancelled by the operator"))
        else:
            del self.finished[name]
            self._keep(
                evolve(
                    delivery,
                    state=State.PENDING if delivery.body else State.ACCEPTED,
                    reason="",
                    attempts=0,
                    accepted_at=self.now,
                    next_attempt_at=self.now,
                    requested=True,
                )
            )

    @rule(target=ids, name=ids)
    def resend(self, name: str) -> str:
        """
        The operator wants again what was delivered: one more is wanted, and what was delivered stays delivered.
        """
        delivery = self.kept.get(name)
        under_way = delivery is not None and any(
            each.event_id == delivery.event_id and each.destination == delivery.destination and not each.state.is_final
            for each in self.kept.values()
        )
        possible = delivery is not None and delivery.state is State.DELIVERED and delivery.body and not under_way
        signals = reads.signals(self.connection)
        try:
            again = SQLiteOfflineJournal.open(self.path, lambda: self.now).resend(name)
        except OperationRefused:
            assert not possible
            return name
        assert possible
        assert delivery is not None
        assert reads.signals(self.connection) == signals + 1
        assert again.id not in self.kept
        self.wanted += 1
        self._keep(
            evolve(
                delivery,
                id=again.id,
                state=State.PENDING,
                reason="",
                attempts=0,
                accepted_at=self.now,
                next_attempt_at=self.now,
                requested=True,
            )
        )
        self.attempts.pop(again.id, None)
        assert again == self.kept[again.id]
        return again.id

    @rule(seconds=st.sampled_from([1.0, 60.0, TTL, KEEP]))
    def wait(self, seconds: float) -> None:
        """
        Time passes.
        """
        self.now += seconds

    @rule(limit=st.integers(1, 3))
    def purge(self, limit: int) -> None:
        """
        Retention removes what ended long ago, and only that.
        """
        before = self.now - KEEP
        while writes.purge(self.connection, before, self.now, limit):
            pass
        for name in [name for name, at in self.finished.items() if at < before]:
            self.removed[self.kept.pop(name).state] += 1
            del self.finished[name]
            self.attempts.pop(name, None)
        self.order = [name for name in self.order if name in self.kept]
        needed = {delivery.event_id for delivery in self.kept.values()}
        left = {name for name, news in self.events.items() if news.received_at >= before or name in needed}
        assert {news.id: news for news in reads.events(self.connection)} == {name: self.events[name] for name in left}
        self.keys = {key: at for key, at in self.keys.items() if at > self.now}

    @rule()
    def crash(self) -> None:
        """
        What is on the disk at this moment, log included, is all there is.
        """
        self.opened += 1
        copy = self.directory / str(self.opened)
        shutil.copytree(self.path.parent, copy)
        for shared in copy.glob("*-shm"):
            shared.unlink()
        self.connection.close()
        self.path = copy / self.path.name
        self.connection = create(self.path)

    @rule()
    def stop(self) -> None:
        """
        An orderly stop and start.
        """
        self.connection.close()
        self.connection = create(self.path)

    def _keep(self, delivery: Delivery) -> None:
        if delivery.state.is_final and delivery.state is not State.DEAD:
            delivery = evolve(delivery, picture=None)
        self.kept[delivery.id] = delivery

    @invariant()
    def accounts(self) -> None:
        """
        Every (event, destination) is in exactly one state, counted independently.
        """
        accounting = reads.accounting(self.connection)
        assert accounting.imbalance == 0
        assert accounting.wanted == self.wanted
        states: Counter[Any] = self.removed + Counter(delivery.state for delivery in self.kept.values())
        assert {state: getattr(accounting, state) for state in State} == {state: states[state] for state in State}

    @invariant()
    def holds(self) -> None:
        """
        Every delivery, place in line, outcome and key is there as it should be.
        """
        assert {name: reads.load(self.connection, name) for name in self.kept} == self.kept
        assert {d.id for d in reads.deliveries(self.connection, (), None, None, 999)} == set(self.kept)
        assert dict(reads.seen(self.connection, self.now)) == {k: at for k, at in self.keys.items() if at > self.now}
        pending = [delivery for delivery in self.kept.values() if delivery.state is State.PENDING]
        assert reads.destinations(self.connection) == sorted({delivery.destination for delivery in pending})
        for destination in "abc":
            assert reads.due(self.connection, destination, None, 999) == sorted(
                Due(delivery.next_attempt_at, delivery.id)
                for delivery in pending
                if delivery.destination == destination
            )
        assert {delivery.id for _, delivery in reads.unprepared(self.connection, self.now, 999)} == {
            delivery.id
            for delivery in self.kept.values()
            if delivery.state is State.ACCEPTED and delivery.next_attempt_at <= self.now
        }
        assert [outcome.delivery.id for outcome in reads.outcomes(self.connection, 999)] == self.order
        for name, number in self.attempts.items():
            assert len(reads.attempts(self.connection, name)) == number


class MachineTests(SynchronousTestCase):
    """
    Whatever happens, in whatever order.
    """

    def test_journal_agrees_with_the_reference(self) -> None:
        """
        After every step of any sequence the journal holds what the reference holds, and the accounts balance.
        """
        run_state_machine_as_test(
            JournalMachine, settings=settings(max_examples=examples(40), stateful_step_count=40, deadline=None)
        )
