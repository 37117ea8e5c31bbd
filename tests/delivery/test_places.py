"""
Tests for :mod:`itsjustintv.delivery.places`.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.delivery.places import Places
from itsjustintv.model import Attempt, Destination, Verdict
from tests.doubles import MemoryJournal

HERE = Destination(name="here", url="https://chat.example/a", secrets=("token",), place="one")
TWIN = Destination(name="twin", url="https://chat.example/a", secrets=("token",), place="one")
NEIGHBOUR = Destination(name="neighbour", url="https://chat.example/b", secrets=("token",), place="two")
ELSEWHERE = Destination(name="elsewhere", url="https://other.example/a", secrets=("token",), place="three")


def attempt(verdict: Verdict = Verdict.PAUSE, **changes: Any) -> Attempt:
    """
    Make an attempt that was answered with a verdict.
    """
    values: dict[str, Any] = {"reason": "x", "detail": "x.", "started_at": 0.0, "duration": 0.0}
    return Attempt(ok=verdict is Verdict.OK, verdict=verdict, **{**values, **changes})


class PlacesTests(SynchronousTestCase):
    """
    What a service says of one destination, and for which others it holds.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.journal = MemoryJournal()
        self.places = Places(self.journal, self.clock)

    def paused(self) -> list[str]:
        now = self.clock.seconds()
        return [each.name for each in (HERE, TWIN, NEIGHBOUR, ELSEWHERE) if self.places.paused_until(each) > now]

    def test_a_pause_holds_for_the_place(self) -> None:
        """
        Two names for one place are paused together, and a shorter pause does not end a longer one.
        """
        self.places.learn(HERE, attempt(pause=10.0))
        self.places.learn(TWIN, attempt(Verdict.OK, pause=1.0))
        self.clock.advance(5.0)
        self.assertEqual(self.paused(), ["here", "twin"])
        self.clock.advance(5.0)
        self.assertEqual(self.paused(), [])

    def test_a_pause_for_the_host(self) -> None:
        """
        A pause for a host holds for all of its places; no service may pause for more than an hour.
        """
        self.places.learn(HERE, attempt(pause=1e9, pause_host=True))
        self.assertEqual(self.paused(), ["here", "twin", "neighbour"])
        self.clock.advance(3600.0)
        self.assertEqual(self.paused(), [])

    def test_a_pace(self) -> None:
        """
        After a limit that was not announced each request makes the next one wait, for an hour.
        """
        self.places.learn(HERE, attempt(pace=2.0))
        self.assertEqual(self.paused(), [])
        self.places.begin(TWIN)
        self.assertEqual(self.paused(), ["here", "twin"])
        self.clock.advance(2.0)
        self.assertEqual(self.paused(), [])
        self.clock.advance(3600.0)
        self.places.begin(HERE)
        self.assertEqual(self.paused(), [])

    def test_gone_until_an_address_or_a_secret_is_replaced(self) -> None:
        """
        What is gone is gone under each of its names, until its address or its token is another one.
        """
        self.places.learn(HERE, attempt(Verdict.UNAUTHORIZED))
        self.assertIs(self.places.refusal(TWIN), Verdict.UNAUTHORIZED)
        self.assertIsNone(self.places.refusal(NEIGHBOUR))
        replaced = Destination(name="here", url=HERE.url, secrets=("another token",), place="one")
        self.assertIsNone(self.places.refusal(replaced))

    def test_moved(self) -> None:
        """
        What has moved is used at its new address.
        """
        self.places.learn(HERE, attempt(Verdict.MOVED, moved_to="-100"))
        self.assertIsNone(self.places.refusal(HERE))
        self.assertEqual(self.places.current(HERE), evolve(HERE, moved_to="-100"))
        self.assertEqual(self.places.current(NEIGHBOUR), NEIGHBOUR)

    def test_what_the_journal_knows(self) -> None:
        """
        After a restart the journal says what is gone.
        """
        self.assertFalse(self.places.is_loaded)
        self.journal.known_places[HERE.access] = (Verdict.DESTINATION_GONE, "")
        self.successResultOf(Deferred.fromCoroutine(self.places.load()))
        self.assertTrue(self.places.is_loaded)
        self.assertIs(self.places.refusal(HERE), Verdict.DESTINATION_GONE)
