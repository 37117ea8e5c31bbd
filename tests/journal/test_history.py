"""
What the journal tells of an event.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.journal.history import EventHistory
from itsjustintv.journal.sqlite import writes
from itsjustintv.journal.sqlite.database import create
from itsjustintv.journal.sqlite.history_reads import whole_event
from itsjustintv.journal.sqlite.reads import get
from itsjustintv.model import State
from tests.journal.sqlite.values import accept
from tests.journal.values import attempt, deliveries, event

#: An event that was received at 1000, accepted at 1000.25 and prepared at 1001.
BODY = b'{"timestamp":"1970-01-01T00:16:41.000000Z"}'


class StoryTests(SynchronousTestCase):
    """
    Events of every kind.
    """

    def setUp(self) -> None:
        """
        A journal.
        """
        self.connection = create(Path(self.mktemp()).absolute() / "journal.db")
        self.addCleanup(self.connection.close)

    def accept(self, *destinations: str, started_at: str = "1970-01-01T00:16:38Z", recovered: bool = False) -> None:
        """
        Keep the event e1.
        """
        news = event("e1", started_at=started_at, recovered=recovered)
        accept(self.connection, news, deliveries(news, *destinations, at=1000.25), 9999.0, 1000.25)

    def told(self, name: str = "e1") -> EventHistory:
        """
        The story of an event that is there.
        """
        found = whole_event(self.connection, name)
        assert found is not None
        return found

    def steps(self) -> list[tuple[float, float | None, str, str]]:
        """
        What happened: when, for how long, what, and to whom.
        """
        return [(step.at, step.took, step.name, step.destination) for step in self.told().steps()]

    def test_from_the_post_to_the_last_attempt(self) -> None:
        """
        Each step has its moment and what it took, those of all destinations in the order of time.
        """
        self.accept("a", "b", "c")
        writes.prepare(self.connection, "e1-1", BODY, None, 1001.0)
        writes.settle(
            self.connection, "e1-1", State.PENDING, "http_503", 1001.5, attempt(started_at=1001.1, duration=0.5), 1031.0
        )
        writes.settle(
            self.connection, "e1-1", State.DELIVERED, "", 1032.0, attempt(True, started_at=1031.0, duration=0.25)
        )
        writes.settle(self.connection, "e1-2", State.FILTERED, "no tag", 1000.75)
        self.assertEqual(
            self.steps(),
            [
                (1000.0, 2.0, "received", ""),
                (1000.25, 0.25, "kept", ""),
                (1000.75, 0.75, "filtered", "b"),
                (1001.0, 0.75, "prepared", "a"),
                (1001.1, 0.5, "attempt", "a"),
                (1031.0, 0.25, "attempt", "a"),
                (1032.0, 32.0, "delivered", "a"),
            ],
        )
        self.assertIn("for 3 destinations", self.told().steps()[1].text)
        self.assertIn("filtered out: no tag", self.told().steps()[2].text)

    def test_the_receivers_own_words(self) -> None:
        """
        A failed attempt is told with what the receiver said, as one line.
        """
        self.accept("a")
        writes.prepare(self.connection, "e1-1", BODY, None, 1001.0)
        said = attempt(started_at=1001.5, response="no such\nhook \x1b[2J")
        writes.settle(self.connection, "e1-1", State.DEAD, "exhausted", 1002.0, said)
        texts = [step.text for step in self.told().steps() if step.name == "attempt"]
        self.assertEqual(texts, [r"attempt 1: the receiver answered It said: 'no such hook \x1b[2J'."])

    def test_found_by_any_of_its_names(self) -> None:
        """
        An event is found by its id, by a delivery's, and by the message's; nothing else is.
        """
        self.accept("a")
        for name in ("e1", "e1-1", "message of e1"):
            self.assertEqual(self.told(name).event.id, "e1")
        self.assertIsNone(whole_event(self.connection, "e1-2"))

    def test_sent_again(self) -> None:
        """
        An operator's second try is a step of its own, and what came before it keeps its times.
        """
        self.accept("a")
        writes.prepare(self.connection, "e1-1", BODY, None, 1001.0)
        writes.settle(self.connection, "e1-1", State.DEAD, "exhausted", 1002.0, attempt(started_at=1001.5))
        dead = get(self.connection, "e1-1")
        assert dead is not None
        writes.retry(self.connection, dead, 5000.0)
        self.assertEqual(
            self.steps(),
            [
                (1000.0, 2.0, "received", ""),
                (1000.0, 0.0, "kept", ""),
                (1001.0, None, "prepared", "a"),
                (1001.5, 0.25, "attempt", "a"),
                (5000.0, None, "again", "a"),
            ],
        )

    def test_delivered_again(self) -> None:
        """
        What was delivered and is sent again is a step of its own with its own id, and no further destination.
        """
        self.accept("a")
        writes.prepare(self.connection, "e1-1", BODY, None, 1001.0)
        writes.settle(self.connection, "e1-1", State.DELIVERED, "", 1002.0, attempt(True, started_at=1001.5))
        done = get(self.connection, "e1-1")
        assert done is not None
        writes.resend(self.connection, done, 5000.0)
        told = self.told().steps()
        self.assertIn("for 1 destination", told[1].text)
        self.assertEqual(
            [step.name for step in told], ["received", "kept", "prepared", "attempt", "delivered", "again"]
        )
        self.assertIn("e1-2", told[-1].text)

    def test_what_is_not_known(self) -> None:
        """
        A broadcast whose beginning is no time, and a payload of the original program, are told without.
        """
        self.accept("a", started_at="soon", recovered=True)
        writes.prepare(self.connection, "e1-1", b'{"title":"x"}', None, 1001.0)
        self.assertEqual(self.steps(), [(1000.0, None, "received", ""), (1000.25, 0.25, "kept", "")])
        self.assertIn("found by asking Twitch", self.told().steps()[0].text)
