"""
Tests for :mod:`itsjustintv.delivery.lane`.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.delivery.lane import Lane
from itsjustintv.model import Due
from tests import examples

SIZE = 4


class Line(RuleBasedStateMachine):
    """
    A lane beside a journal that knows everything, with readings that take their time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lane = Lane("home", SIZE)
        self.journal: dict[str, float] = {}
        self.taken: set[str] = set()
        self.now = 0.0
        self.number = 0
        self.reading: tuple[list[Due], bool] | None = None

    def pending(self) -> list[Due]:
        """
        What the journal would list.
        """
        return sorted(Due(at, each) for each, at in self.journal.items())

    @rule(count=st.integers(1, 12))
    def news(self, count: int) -> None:
        """
        Deliveries are prepared and submitted.
        """
        for _ in range(count):
            self.number += 1
            name = f"{self.number:04}"
            self.journal[name] = self.now
            self.lane.add_fresh(Due(self.now, name))

    @rule(seconds=st.integers(1, 5))
    def wait(self, seconds: int) -> None:
        """
        Time passes.
        """
        self.now += seconds

    @rule()
    def take(self) -> None:
        """
        An attempt begins.
        """
        due = self.lane.head(self.now)
        if due is not None:
            assert self.lane.take(self.now) is due
            assert due.at <= self.now
            assert due.id not in self.taken, "taken twice"
            self.taken.add(due.id)

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), delay=st.none() | st.integers(0, 6))
    def end(self, data: st.DataObject, delay: int | None) -> None:
        """
        An attempt ends, with another one to come or not.
        """
        name = data.draw(st.sampled_from(sorted(self.taken)))
        self.taken.discard(name)
        if delay is None or name not in self.journal:
            self.journal.pop(name, None)
            self.lane.release(name, None)
        else:
            self.journal[name] = self.now + delay
            self.lane.release(name, Due(self.now + delay, name))

    @precondition(lambda self: self.reading is None and self.lane.room)
    @rule()
    def begin_reading(self) -> None:
        """
        The journal is asked; it answers with what it holds now, later.
        """
        limit = self.lane.room
        after = self.lane.begin_reading()
        found = [each for each in self.pending() if after is None or each > after][:limit]
        self.reading = found, len(found) < limit

    @precondition(lambda self: self.reading is not None)
    @rule(fails=st.booleans())
    def end_reading(self, fails: bool) -> None:
        """
        The journal answers, or does not.
        """
        assert self.reading is not None
        found, complete = self.reading
        self.reading = None
        if fails:
            self.lane.abandon_reading()
        else:
            self.lane.end_reading(found, complete)

    @rule()
    def forget(self) -> None:
        """
        Somebody else has written to the journal.
        """
        self.lane.forget()

    @invariant()
    def bounded(self) -> None:
        """
        Memory holds no more than it may.
        """
        assert len(self.lane._window) <= SIZE
        assert len(self.lane._fresh) <= SIZE
        assert len(self.lane._meanwhile) <= SIZE

    @invariant()
    def one_place_each(self) -> None:
        """
        Nothing is in line twice, and nothing is in line that is being attempted.
        """
        places = [each.id for each in (*self.lane._fresh, *self.lane._window)]
        assert len(places) == len(set(places))
        assert self.taken.isdisjoint(places)

    def teardown(self) -> None:
        """
        In the end everything in the journal has its turn, if only the journal is read when the lane asks for it.
        """
        if self.reading is not None:
            self.end_reading(False)
        for name in sorted(self.taken):
            self.taken.discard(name)
            self.journal.pop(name, None)
            self.lane.release(name, None)
        self.now += 100
        for _ in range(10 * len(self.journal) + 10):
            if self.lane.room:
                self.begin_reading()
                self.end_reading(False)
            due = self.lane.head(self.now)
            if due is not None:
                self.lane.take(self.now)
                self.journal.pop(due.id, None)
                self.lane.release(due.id, None)
        assert self.journal == {}, f"forgotten: {self.journal}"
        assert self.lane.next_at() is None


class LaneTests(SynchronousTestCase):
    """
    Nothing that is in the journal is forgotten, and memory is bounded.
    """

    def test_any_life(self) -> None:
        """
        Whatever happens in whichever order, every delivery has its turn, once at a time.
        """
        run_state_machine_as_test(
            Line, settings=settings(max_examples=examples(120), stateful_step_count=40, deadline=None)
        )

    def test_forgotten_while_reading(self) -> None:
        """
        What was read before the journal changed is not believed, even if something was added since.
        """
        lane = Lane("home", SIZE)
        lane.forget()
        lane.begin_reading()
        lane.end_reading([Due(float(at), f"{at}") for at in range(SIZE)], complete=False)
        for at in range(SIZE):
            self.assertEqual(lane.take(9.0).at, at)
        lane.begin_reading()
        lane.forget()
        lane.release("0", Due(5.0, "0"))
        lane.end_reading([Due(4.0, "4")], complete=True)
        self.assertIsNone(lane.head(9.0))
        self.assertEqual(lane.room, SIZE)
        self.assertIsNone(lane.begin_reading())

    def test_pause_is_never_shortened(self) -> None:
        """
        A pause that is asked for while a longer one holds changes nothing.
        """
        lane = Lane("home", SIZE)
        lane.add(Due(1.0, "a"))
        lane.pause_until(20.0)
        lane.pause_until(10.0)
        self.assertIsNone(lane.head(19.0))
        self.assertEqual(lane.next_at(), 20.0)
        self.assertEqual(lane.head(20.0), Due(1.0, "a"))
