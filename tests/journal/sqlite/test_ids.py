"""
Tests of :mod:`itsjustintv.journal.sqlite.ids`.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from itsjustintv.errors import AmbiguousId
from itsjustintv.journal.history import SHORTEST_ID, shorten_id
from itsjustintv.journal.sqlite import ids, writes
from tests.journal.sqlite.test_writes import OperationsCase
from tests.journal.values import deliveries, event

FIRST, SECOND, THIRD = "019b7c9f0f3e0001", "019b7c9f0f3e0002", "029b7c9f0f3e0001"


class IdsTests(OperationsCase):
    """
    What an operator types of an id.
    """

    def setUp(self) -> None:
        super().setUp()
        self.accept(FIRST, "a", "b")
        self.accept(SECOND, "a")
        self.accept(THIRD, "a")

    def test_a_delivery(self) -> None:
        """
        It is found by its id, by a beginning of it, and by a beginning of its event's with its number.
        """
        for text, found in (
            (f"{FIRST}-1", f"{FIRST}-1"),
            (SECOND, f"{SECOND}-1"),
            ("029b7c9f", f"{THIRD}-1"),
            ("029b7c9f-1", f"{THIRD}-1"),
            ("019b7c9f-2", f"{FIRST}-2"),
            ("019b7c9f0f3e0001-2", f"{FIRST}-2"),
            ("029b7c9f-2", None),
            ("029b7c9", None),
            ("029b7c9-1", None),
            ("zzzzzzzzzz", None),
            ("", None),
            ("________", None),
            ("%", None),
        ):
            self.assertEqual(ids.find_delivery(self.connection, text), found, text)

    def test_several(self) -> None:
        """
        A beginning of several is refused, and they are listed.
        """
        for text, candidates in (
            ("019b7c9f", (f"{FIRST}-1", f"{FIRST}-2", f"{SECOND}-1")),
            (FIRST, (f"{FIRST}-1", f"{FIRST}-2")),
            ("019b7c9f-1", (f"{FIRST}-1", f"{SECOND}-1")),
        ):
            error = self.assertRaises(AmbiguousId, ids.find_delivery, self.connection, text)
            for each in candidates:
                self.assertIn(each, str(error))
            self.assertNotIn(THIRD, str(error))
        self.assertRaises(AmbiguousId, ids.find_event, self.connection, "019b7c9f0")

    def test_an_event(self) -> None:
        """
        It is found by its id, by a beginning of it, and by what finds one of its deliveries.
        """
        for text, found in (
            (FIRST, FIRST),
            ("029b7c9f", THIRD),
            ("019b7c9f-2", FIRST),
            (f"{SECOND}-1", SECOND),
            ("zzzzzzzzzz", None),
        ):
            self.assertEqual(ids.find_event(self.connection, text), found, text)

    def test_what_may_have_been_meant(self) -> None:
        """
        An unknown id that begins like one is near it.
        """
        self.assertEqual(ids.find_similar(self.connection, "deliveries", f"{THIRD}-9"), [f"{THIRD}-1"])
        self.assertEqual(ids.find_similar(self.connection, "events", "zzzzzzzzzz"), [])


class LengthTests(OperationsCase):
    """
    What a list shows of ids.
    """

    def test_what_is_shown_can_be_typed(self) -> None:
        """
        Whatever the ids, each that is shown names its delivery and no other in the journal, shown or not.
        """

        @given(st.lists(st.text("01", min_size=1, max_size=24), unique=True, min_size=1, max_size=12), st.data())
        def holds(names: list[str], data: st.DataObject) -> None:
            self.connection.executescript("DELETE FROM deliveries; DELETE FROM events")
            writes.insert_events(self.connection, map(event, names))
            for name in names:
                writes.insert_deliveries(self.connection, deliveries(event(name), "a", "b"))
            shown = data.draw(st.lists(st.sampled_from(names), unique=True))
            length = ids.distinct_length(self.connection, shown)
            self.assertGreaterEqual(length, SHORTEST_ID)
            for name in shown:
                for number in (1, 2):
                    text = shorten_id(f"{name}-{number}", name, length)
                    self.assertEqual(ids.find_delivery(self.connection, text), f"{name}-{number}")
                self.assertEqual(ids.find_event(self.connection, name[:length]), name)

        holds()
