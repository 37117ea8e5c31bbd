"""
Tests for :mod:`itsjustintv.delivery.places`, and for what the queue makes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import Retry
from itsjustintv.delivery.queue import DeliveryQueue
from itsjustintv.model import Action, Attempt, Delivery, Destination, DestinationPolicy, State, Verdict
from tests.doubles import MemoryJournal, Outcomes

START = 1_800_000_000.0


def destination(name: str, host: str = "chat.example", **more: Any) -> Destination:
    """
    A destination that keeps posts, at a place of its own unless it is given one.
    """
    return Destination(name=name, url=f"https://{host}/{name}", keeps_posts=True, concurrency=1, **more)


class PlaceTests(SynchronousTestCase):
    """
    A queue whose answers are scripted, and its journal, which survives.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.journal = MemoryJournal()
        self.outcomes = Outcomes()
        self.configured = {each: destination(each) for each in ("a", "b")}
        self.configured["far"] = destination("far", "other.example")
        self.answers: list[dict[str, Any]] = []
        self.sent: list[tuple[float, str, bool, str]] = []
        self.actions: list[Action] = []
        self.number = 0
        self.queue = self.start()

    def start(self) -> DeliveryQueue:
        queue = DeliveryQueue(
            self.journal,
            self.send,
            lambda name, _key: self.configured.get(name),
            lambda: Retry(jitter=0.0),
            (self.outcomes,),
            self.clock,
            lambda: 0.5,
        )
        queue.startService()
        return queue

    def restart(self) -> None:
        self.successResultOf(self.queue.stopService())
        self.queue = self.start()

    def send(self, delivery: Delivery, where: Destination) -> Deferred[Attempt]:
        self.actions.append(delivery.action)
        self.sent.append((self.clock.seconds() - START, where.name, delivery.plain, where.moved_to))
        answer = self.answers.pop(0) if self.answers else {}
        verdict = answer.get("verdict", Verdict.OK)
        ok = verdict is Verdict.OK
        values = {
            "ok": ok,
            "reason": "delivered" if ok else verdict.value,
            "detail": "",
            "started_at": self.clock.seconds(),
            "duration": 0.0,
            "status": 200 if ok else 400,
            "place": where.place,
            "access": where.access,
            "verdict": verdict,
        }
        return succeed(Attempt(**{**values, **answer}))

    def submit(self, *names: str, **more: Any) -> list[str]:
        """
        Prepare a delivery for each destination.
        """
        ids = []
        for name in names:
            self.number += 1
            delivery = Delivery(
                id=f"e{self.number}-1",
                event_id=f"e{self.number}",
                streamer="tanuki",
                destination=name,
                accepted_at=self.clock.seconds(),
                next_attempt_at=self.clock.seconds(),
                state=State.PENDING,
                body=b"{}",
                broadcast="x",
                **more,
            )
            self.journal.put(delivery)
            self.queue.submit(delivery)
            self.clock.advance(0)
            ids.append(delivery.id)
        return ids

    def states(self, ids: Sequence[str]) -> list[State]:
        return [self.journal.deliveries[each].state for each in ids]

    def where(self) -> list[tuple[float, str]]:
        return [(at, name) for at, name, _, _ in self.sent]

    def test_gone_is_asked_once(self) -> None:
        """
        A place that is gone gets no further request, by any name and after a restart; others do.
        """
        self.configured["b"] = evolve(self.configured["a"], name="b")
        self.answers = [{"verdict": Verdict.DESTINATION_GONE}]
        ids = self.submit("a", "a", "b", "far")
        self.assertEqual(self.states(ids), [State.DEAD] * 3 + [State.DELIVERED])
        self.restart()
        self.assertEqual(self.states(self.submit("a", "b", "far")), [State.DEAD] * 2 + [State.DELIVERED])
        self.assertEqual([name for _, name, _, _ in self.sent], ["a", "far", "far"])

    def test_a_second_one_that_is_gone(self) -> None:
        """
        What becomes known of one place leaves what is known of others.
        """
        self.answers = [{"verdict": Verdict.DESTINATION_GONE}] * 2
        self.assertEqual(self.states(self.submit("a", "b", "a")), [State.DEAD] * 3)
        self.assertEqual([name for _, name, _, _ in self.sent], ["a", "b"])

    def test_asked_for_by_an_operator(self) -> None:
        """
        What an operator requeues is sent though memory says that the place is gone: the journal has the last word.
        """
        self.answers = [{"verdict": Verdict.DESTINATION_GONE}]
        self.submit("a")
        self.journal.known_places = {}
        self.assertEqual(self.states(self.submit("a")), [State.DELIVERED])

    def test_moved(self) -> None:
        """
        After a move the same delivery, and all later ones, go to the new address at once.
        """
        self.answers = [{"verdict": Verdict.MOVED, "moved_to": "-100"}]
        ids = self.submit("a")
        self.clock.advance(0)
        self.assertEqual(self.states(ids + self.submit("a")), [State.DELIVERED] * 2)
        self.assertEqual([moved for _, _, _, moved in self.sent], ["", "-100", "-100"])

    def test_moving_without_end(self) -> None:
        """
        A service that says so again and again is not asked without a pause.
        """
        self.answers = [{"verdict": Verdict.MOVED, "moved_to": str(number)} for number in range(9)]
        self.submit("a")
        self.clock.pump([0.0] * 20)
        self.assertEqual(len(self.sent), 4)

    def test_pause(self) -> None:
        """
        A pause of a place, also after a success, holds for every name of it; one of a host for every place there.
        """
        self.configured["b"] = evolve(self.configured["a"], name="b")
        self.answers = [{"pause": 5.0}]
        self.submit("a", "b", "far")
        self.assertEqual(self.where(), [(0.0, "a"), (0.0, "far")])
        self.clock.pump([1.0] * 6)
        self.assertEqual(self.where()[2:], [(5.0, "b")])

    def test_pause_of_a_host(self) -> None:
        """
        While one webhook was told to stop for all, the others at its host wait, and those elsewhere do not.
        """
        self.answers = [{"verdict": Verdict.PAUSE, "status": 429, "retry_after": 7.0, "pause": 7.0, "pause_host": True}]
        self.submit("a", "b", "far")
        self.assertEqual(self.where(), [(0.0, "a"), (0.0, "far")])
        self.clock.pump([1.0] * 9)
        self.assertEqual(sorted(self.where()[2:]), [(7.0, "a"), (7.0, "b")])

    def test_degraded_once(self) -> None:
        """
        What is rejected is sent once as plain text, and is dead if that is rejected too; a deletion is not sent again.
        """
        self.answers = [{"verdict": Verdict.REJECTED}, {"verdict": Verdict.REJECTED}]
        ids = self.submit("a")
        self.clock.advance(0)
        self.assertEqual((self.states(ids), [plain for _, _, plain, _ in self.sent]), ([State.DEAD], [False, True]))
        self.answers = [{"verdict": Verdict.REJECTED}]
        self.assertEqual(self.states(self.submit("b", action=Action.DELETE)), [State.DEAD])
        self.assertEqual(len(self.sent), 3)

    def test_refresh(self) -> None:
        """
        What sends a refresh sees an edit. One that is rejected is not sent as plain text, which would remove the card:
        the post stays as it is, and nothing has to be requeued.
        """
        self.answers = [{"verdict": Verdict.REJECTED}]
        ids = self.submit("a", action=Action.REFRESH)
        self.clock.advance(0)
        self.assertEqual((self.states(ids), self.actions), ([State.SUPERSEDED], [Action.EDIT]))
        self.assertEqual(self.states(self.submit("b", action=Action.REFRESH)), [State.DELIVERED])

    def test_needless(self) -> None:
        """
        A change of what is gone or closed there ends without harm.
        """
        for verdict in (Verdict.MESSAGE_GONE, Verdict.SKIPPED):
            self.answers = [{"verdict": verdict}]
            self.assertEqual(self.states(self.submit("a", action=Action.EDIT)), [State.SUPERSEDED])

    def test_possible_doubles(self) -> None:
        """
        A creation without an answer that is sent again may stand twice, unless the service knows it by a key; an edit
        does not.
        """
        self.configured["b"] = evolve(self.configured["b"], has_key=True)
        lost = {"verdict": Verdict.RETRY, "status": None, "reason": "timeout"}
        self.answers = [lost, lost, {**lost, "reason": "refused"}]
        self.submit("a", "b", "far")
        self.answers = [lost]
        self.configured["edited"] = destination("edited", "edits.example", policy=DestinationPolicy(edit_max_age=60.0))
        self.submit("edited", action=Action.EDIT)
        self.assertEqual([each.may_double for each in self.outcomes.seen], [True, False, False, False])
