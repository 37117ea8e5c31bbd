"""
Tests for :mod:`itsjustintv.pipeline`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from itsjustintv.dedup import SeenEvents
from itsjustintv.destinations.payload import build_payload
from itsjustintv.errors import JournalUnavailable
from itsjustintv.interfaces import IEnricher
from itsjustintv.model import (
    Acceptance,
    Broadcast,
    Delivery,
    Enrichment,
    Event,
    Notice,
    Picture,
    State,
    StreamDetails,
    Streamer,
)
from itsjustintv.pipeline import OnError, Pipeline
from tests.doubles import MemoryJournal, Outcomes

TANUKI = Streamer(key="tanuki", user_id="42", login="tanuki", destinations=("streamers.tanuki",))


def online(number: int = 1, **changes: object) -> Event:
    """
    A ``stream.online`` of tanuki.
    """
    values: dict[str, Any] = {
        "id": f"event{number}",
        "message_id": f"message-{number}",
        "stream_id": f"{7000 + number}",
        "broadcaster_id": "42",
        "broadcaster_login": "tanuki",
        "broadcaster_name": "Tanuki",
        "type": "live",
        "started_at": "2026-01-02T04:00:00Z",
        "received_at": 0.0,
    }
    return Event(**{**values, **changes})


@implementer(IEnricher)
@define(eq=False)
class Enricher:
    """
    An enricher that answers what it is told to, at once or when it is let go.
    """

    answer: Callable[[], Enrichment] = lambda: Enrichment(tags=("English",))
    held: list[Deferred[None]] | None = None
    asked: list[str] = field(factory=list)

    def enrich(self, event: Event, streamer: Streamer, broadcast: Broadcast | None = None) -> Deferred[Enrichment]:
        """
        Answer, or wait to be let go.
        """
        self.asked.append(event.id)
        if self.held is None:
            return succeed(None).addCallback(lambda _: self.answer())
        gate: Deferred[None] = Deferred()
        self.held.append(gate)
        return gate.addCallback(lambda _: self.answer())


@define(eq=False)
class FullJournal(MemoryJournal):
    """
    A journal that accepts and can be read, and has no room for a payload.
    """

    full: bool = True

    def prepare(self, *args: Any, **kwargs: Any) -> Deferred[bool]:
        """
        Fail while it is full.
        """
        return fail(JournalUnavailable("disk full")) if self.full else super().prepare(*args, **kwargs)


class PipelineTests(SynchronousTestCase):
    """
    From the door to the queue.
    """

    def setUp(self) -> None:
        """
        A running pipeline.
        """
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.journal = MemoryJournal()
        self.outcomes = Outcomes()
        self.enricher = Enricher()
        self.submitted: list[Delivery] = []
        self.rendered: list[str] = []
        self.streamers = {"42": TANUKI}
        self.twin: Streamer | None = None
        self.on_error = OnError.SEND
        self.pipeline = self.build()
        self.pipeline.startService()

    def build(self, **settings: object) -> Pipeline:
        """
        A pipeline on this test's journal.
        """
        return Pipeline(
            clock=self.clock,
            journal=self.journal,
            seen=SeenEvents(self.clock),
            match=lambda event: tuple(filter(None, (self.streamers.get(event.broadcaster_id), self.twin))),
            enricher=self.enricher,
            render=self.render,
            submit=self.submitted.append,
            sinks=(self.outcomes,),
            ttl=lambda: 7200.0,
            on_error=lambda: self.on_error,
            max_age=lambda: 21600.0,
            **settings,
        )

    def render(self, notice: Notice, destination: str) -> bytes:
        """
        Render for a webhook, and remember for which.
        """
        self.rendered.append(destination)
        return build_payload(notice)

    def accept(self, event: Event) -> Acceptance:
        """
        Accept an event, with time for what follows.
        """
        verdict = self.successResultOf(self.pipeline.accept(event))
        self.clock.advance(0)
        return verdict

    # Traces

    def test_deliveries_are_in_the_trace_of_their_event(self) -> None:
        """
        The journal gets the trace with each delivery, and so does whoever enriches and sends.
        """
        self.accept(online(trace="a trace"))
        self.assertEqual([each.trace for each in self.journal.deliveries.values()], ["a trace"])
        self.assertEqual([each.trace for each in self.submitted], ["a trace"])

    def test_who_asks_hears_when_the_journal_has_answered(self) -> None:
        """
        It is told of every event that the journal kept or knew, when it was asked, and of no other.
        """
        kept: list[tuple[str, float]] = []
        self.pipeline = self.build(on_stored=lambda event, at: kept.append((event.id, at)))
        self.pipeline.startService()
        self.accept(online())
        self.accept(online())
        self.journal.broken = "full"
        self.failureResultOf(self.pipeline.accept(online(2)), JournalUnavailable)
        self.assertEqual(kept, [("event1", 1_000_000.0)])

    # Two entries

    def test_two_entries_of_a_channel_are_two_deliveries(self) -> None:
        """
        Of entries that turned out to be the same channel each gets its delivery, by its own filter and with its own
        tags.
        """
        self.streamers["42"] = evolve(TANUKI, destinations=("a",), tag_filter=("Chess",))
        self.twin = evolve(TANUKI, key="twin", destinations=("b",), additional_tags=("twin",))
        self.accept(online())
        self.assertEqual([(each.streamer, each.destination) for each in self.submitted], [("twin", "b")])
        self.assertEqual(self.rendered, ["b"])
        body = orjson.loads(self.submitted[0].body)
        self.assertIn("twin", body["tags"])
        self.assertEqual([each.delivery.state for each in self.outcomes.seen], [State.FILTERED])

    # At the door

    def test_an_accepted_event_is_in_the_journal_with_a_delivery_for_each_destination(self) -> None:
        """
        Once the answer is there, the event and its deliveries are kept.
        """
        self.streamers["42"] = evolve(TANUKI, destinations=("a", "b"))
        self.assertEqual(self.accept(online()), Acceptance.ACCEPTED)
        self.assertEqual(list(self.journal.events), ["event1"])
        kept = [(each.id, each.destination) for each in self.journal.deliveries.values()]
        self.assertEqual(kept, [("event1-1", "a"), ("event1-2", "b")])

    def test_a_recovered_broadcast_and_its_message_are_one(self) -> None:
        """
        What was found by asking makes a message about the same broadcast a duplicate, and the other way round.
        """
        found = {"message_id": "", "recovered": True, "started_at": "2026-01-02T04:00:01Z"}
        self.assertEqual(self.accept(online(1, **found)), Acceptance.ACCEPTED)
        self.assertEqual(self.accept(online(2, stream_id="7001")), Acceptance.DUPLICATE)
        self.assertEqual(self.accept(online(3)), Acceptance.ACCEPTED)
        self.assertEqual(self.accept(online(4, **found, stream_id="7003")), Acceptance.DUPLICATE)
        self.assertEqual(self.accept(online(5, **found)), Acceptance.ACCEPTED)

    def test_the_answer_leaves_before_anything_is_asked_of_twitch(self) -> None:
        """
        Preparing begins on a later turn of the reactor than the one in which the answer is known.
        """
        self.successResultOf(self.pipeline.accept(online()))
        self.assertEqual(self.enricher.asked, [])
        self.clock.advance(0)
        self.assertEqual(self.enricher.asked, ["event1"])

    def test_an_event_nobody_wants_is_not_kept(self) -> None:
        """
        An event of a broadcaster who is not configured is ignored.
        """
        self.assertEqual(self.accept(online(broadcaster_id="43")), Acceptance.IGNORED)
        self.assertEqual(self.journal.events, {})

    def test_the_same_broadcast_under_another_message_id_is_a_duplicate(self) -> None:
        """
        Twitch sometimes announces a broadcast twice; only the first announcement counts.
        """
        self.accept(online(1))
        self.assertEqual(self.accept(online(2, stream_id="7001")), Acceptance.DUPLICATE)
        self.assertEqual(len(self.submitted), 1)

    def test_the_same_message_is_a_duplicate(self) -> None:
        """
        A message that is sent again is known by its id.
        """
        self.accept(online(1))
        self.assertEqual(self.accept(online(2, message_id="message-1")), Acceptance.DUPLICATE)

    def test_a_duplicate_is_known_after_a_restart(self) -> None:
        """
        A new process learns from the journal what was announced.
        """
        self.accept(online(1))
        self.pipeline = self.build()
        self.pipeline.startService()
        self.journal.calls.clear()
        self.assertEqual(self.accept(online(2, stream_id="7001")), Acceptance.DUPLICATE)
        self.assertNotIn("accept", self.journal.calls)

    def test_a_duplicate_that_memory_missed_is_known_to_the_journal(self) -> None:
        """
        The journal has the last word on what is new.
        """
        self.accept(online(1))
        self.pipeline = self.build()
        self.journal.broken = "away"
        self.pipeline.startService()
        self.journal.broken = None
        self.assertEqual(len(self.flushLoggedErrors(JournalUnavailable)), 1)
        self.assertEqual(self.accept(online(2, stream_id="7001")), Acceptance.DUPLICATE)
        self.assertEqual(len(self.submitted), 1)

    def test_a_broadcast_is_forgotten_after_its_time(self) -> None:
        """
        After the time to live, the same broadcast is news again.
        """
        self.accept(online(1))
        self.clock.advance(7201)
        again = online(2, stream_id="7001", received_at=self.clock.seconds())
        self.assertEqual(self.accept(again), Acceptance.ACCEPTED)

    def test_what_the_journal_cannot_keep_is_neither_accepted_nor_remembered(self) -> None:
        """
        When the commit fails, so does the acceptance, and the message is as new as before when it is sent again.
        """
        self.journal.broken = "disk full"
        self.failureResultOf(self.pipeline.accept(online()), JournalUnavailable)
        self.journal.broken = None
        self.assertEqual(self.accept(online()), Acceptance.ACCEPTED)

    def test_a_copy_waits_for_the_commit_of_the_first(self) -> None:
        """
        A copy that arrives during the commit is answered only when that has succeeded.
        """
        self.journal.clock = self.clock
        first, copy = self.pipeline.accept(online(1)), self.pipeline.accept(online(2, message_id="message-1"))
        self.assertNoResult(copy)
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(first), Acceptance.ACCEPTED)
        self.assertEqual(self.successResultOf(copy), Acceptance.DUPLICATE)

    def test_a_copy_takes_the_place_of_a_first_that_could_not_be_kept(self) -> None:
        """
        A copy that arrives during a commit that fails is kept itself, if it can be.
        """
        self.journal.clock = self.clock
        first, copy = self.pipeline.accept(online(1)), self.pipeline.accept(online(2, message_id="message-1"))
        self.journal.broken = "for a moment"
        self.clock.advance(0.001)
        self.failureResultOf(first, JournalUnavailable)
        self.journal.broken = None
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(copy), Acceptance.ACCEPTED)
        self.assertEqual(list(self.journal.events), ["event2"])

    def test_nothing_is_accepted_when_stopping(self) -> None:
        """
        A request that comes while the daemon stops is for the next one.
        """
        self.successResultOf(self.pipeline.stopService())
        self.failureResultOf(self.pipeline.accept(online()), JournalUnavailable)

    def test_stopping_waits_for_acceptances_under_way(self) -> None:
        """
        An event that is being committed is answered before the pipeline counts as stopped.
        """
        self.journal.clock = self.clock
        accepting = self.pipeline.accept(online())
        stopped = self.pipeline.stopService()
        self.assertNoResult(stopped)
        self.clock.advance(1)
        self.successResultOf(stopped)
        self.assertEqual(self.successResultOf(accepting), Acceptance.ACCEPTED)
        self.assertEqual(self.enricher.asked, [])

    # Behind the door

    def test_a_prepared_delivery_is_kept_before_it_is_queued(self) -> None:
        """
        The queue gets a delivery that is pending in the journal, with its payload and its picture.
        """
        picture = Picture(url="https://x.example/p.png", mime_type="image/png", data=b"png")
        self.enricher.answer = lambda: Enrichment(
            stream=StreamDetails(listed=True, title="pottery night"), tags=("Art",), picture=picture
        )
        self.accept(online())
        [delivery] = self.submitted
        self.assertEqual(delivery, self.journal.deliveries["event1-1"])
        self.assertEqual((delivery.state, delivery.picture), (State.PENDING, b"png"))
        payload = orjson.loads(delivery.body)
        self.assertEqual((payload["id"], payload["stream"]["title"]), ("event1", "pottery night"))

    def test_a_filtered_delivery_ends_with_the_reason(self) -> None:
        """
        A broadcast without any of the wanted tags ends as filtered, and the sinks hear of it.
        """
        self.streamers["42"] = evolve(TANUKI, tag_filter=("pottery",))
        self.accept(online())
        [(name, state, reason)] = self.outcomes.states
        self.assertEqual((name, state, self.submitted), ("event1-1", State.FILTERED, []))
        self.assertIn("tag_filter", reason)

    def test_a_rerun_is_left_out_and_counted(self) -> None:
        """
        What Twitch does not call live ends as filtered with its type as the reason, and Twitch is asked nothing about
        it; who wants it has it announced.
        """
        self.streamers["42"] = evolve(TANUKI, types=("live",))
        self.accept(online(type="rerun"))
        [(name, state, reason)] = self.outcomes.states
        self.assertEqual((name, state, self.submitted), ("event1-1", State.FILTERED, []))
        self.assertEqual((reason, self.enricher.asked), ("a broadcast of type rerun is not among the types live", []))
        self.accept(online(2))
        self.streamers["42"] = evolve(TANUKI, types=())
        self.accept(online(3, type="rerun"))
        self.assertEqual([each.id for each in self.submitted], ["event2-1", "event3-1"])

    def test_a_filter_that_cannot_be_decided_sends_when_asked_to(self) -> None:
        """
        Without tags, ``send`` sends.
        """
        self.streamers["42"] = evolve(TANUKI, tag_filter=("pottery",))
        self.enricher.answer = Enrichment
        self.accept(online())
        self.assertEqual([each.id for each in self.submitted], ["event1-1"])

    def test_a_filter_that_cannot_be_decided_holds_when_asked_to(self) -> None:
        """
        Without tags, ``hold`` asks again later, and decides when it can.
        """
        self.on_error = OnError.HOLD
        self.streamers["42"] = evolve(TANUKI, tag_filter=("pottery",))
        self.enricher.answer = Enrichment
        self.accept(online())
        self.assertEqual(self.submitted, [])
        self.enricher.answer = lambda: Enrichment(tags=("Pottery",))
        self.clock.pump([1] * 40)
        self.assertEqual([each.id for each in self.submitted], ["event1-1"])
        self.assertEqual(self.enricher.asked, ["event1", "event1"])

    def test_what_is_held_too_long_expires(self) -> None:
        """
        News that could not be decided on within its time is news no more; the reason is why it was held.
        """
        self.on_error = OnError.HOLD
        self.streamers["42"] = evolve(TANUKI, tag_filter=("pottery",))
        self.enricher.answer = Enrichment
        self.accept(online())
        self.clock.pump([10] * 2170)
        self.assertEqual(
            self.outcomes.states, [("event1-1", State.EXPIRED, "the tags of the broadcast could not be fetched")]
        )
        self.assertEqual(self.submitted, [])

    def test_a_streamer_who_was_removed_meanwhile_is_not_announced(self) -> None:
        """
        A delivery whose streamer is gone from the configuration ends as cancelled.
        """
        self.successResultOf(self.pipeline.accept(online()))
        self.streamers.clear()
        self.clock.advance(0)
        self.assertEqual(
            self.outcomes.states, [("event1-1", State.CANCELLED, "streamer removed from the configuration")]
        )

    def test_a_streamer_who_was_removed_may_return(self) -> None:
        """
        What was accepted is prepared when the streamer is back within the grace, and cancelled when it is over.
        """
        for returns in (True, False):
            with self.subTest(returns=returns):
                self.pipeline.stopService()
                self.setUp()
                self.pipeline.stopService()
                ends = self.clock.seconds() + 600
                self.pipeline = self.build(grace_end=lambda key, ends=ends: ends if key == "tanuki" else 0.0)
                self.pipeline.startService()
                self.successResultOf(self.pipeline.accept(online()))
                self.streamers.clear()
                self.clock.pump([10] * 59)
                self.assertEqual((self.outcomes.states, self.submitted), ([], []))
                self.assertEqual(self.journal.deliveries["event1-1"].reason, "streamer not configured")
                if returns:
                    self.streamers["42"] = TANUKI
                self.clock.pump([10] * 5)
                self.assertEqual([each.id for each in self.submitted], ["event1-1"] if returns else [])
                self.assertEqual([each[1] for each in self.outcomes.states], [] if returns else [State.CANCELLED])

    def test_the_journals_unprepared_deliveries_are_taken_up_at_start(self) -> None:
        """
        What a crash left between the door and the queue is prepared by the next process.
        """
        self.successResultOf(self.pipeline.accept(online()))
        self.successResultOf(self.pipeline.stopService())
        self.pipeline = self.build()
        self.pipeline.startService()
        self.assertEqual([each.id for each in self.submitted], ["event1-1"])

    def test_a_crowd_is_prepared_a_few_at_a_time(self) -> None:
        """
        No more deliveries are prepared at once than allowed; the others wait in the journal, and are not forgotten.
        """
        self.successResultOf(self.pipeline.stopService())
        self.pipeline = self.build(concurrency=3)
        self.enricher.held = []
        self.pipeline.startService()
        for number in range(10):
            self.accept(online(number))
        self.assertEqual(len(self.enricher.asked), 3)
        for _ in range(10):
            for gate in [gate for gate in self.enricher.held if not gate.called]:
                gate.callback(None)
            self.clock.advance(2)
        self.assertEqual(sorted(each.id for each in self.submitted), [f"event{number}-1" for number in range(10)])
        self.assertEqual(len(self.enricher.asked), 10)

    def test_what_is_being_prepared_takes_no_place_of_what_waits(self) -> None:
        """
        While older ones are still being enriched, the poll finds the one that waits.
        """
        self.successResultOf(self.pipeline.stopService())
        self.pipeline = self.build(concurrency=3)
        self.enricher.held = []
        self.pipeline.startService()
        for number in range(4):
            self.accept(online(number))
        self.enricher.held[2].callback(None)
        self.clock.advance(2)
        self.assertEqual(self.enricher.asked, ["event0", "event1", "event2", "event3"])

    def test_a_delivery_prepared_while_the_journal_is_read_is_not_prepared_again(self) -> None:
        """
        What was read from the journal may be older than what has happened since.
        """
        self.enricher.held = []
        self.accept(online())
        self.journal.clock = self.clock
        self.clock.advance(2)
        self.assertEqual(self.journal.calls[-1], "unprepared")
        stale = self.journal.deliveries.copy()
        self.journal.clock = None
        self.enricher.held[0].callback(None)
        self.assertEqual(len(self.submitted), 1)
        self.journal.deliveries.update(stale)
        self.clock.advance(0.001)
        self.assertEqual(self.enricher.asked, ["event1"])

    def test_a_journal_that_is_away_while_preparing_is_waited_for(self) -> None:
        """
        A delivery whose payload cannot be kept is prepared again when the journal is back.
        """
        self.enricher.held = []
        self.accept(online())
        self.journal.broken = "disk full"
        self.enricher.held[0].callback(None)
        self.clock.advance(2)
        self.assertEqual(self.submitted, [])
        self.journal.broken = None
        self.enricher.held = None
        self.clock.advance(2)
        self.assertEqual([each.id for each in self.submitted], ["event1-1"])

    def test_while_nothing_can_be_written_one_delivery_at_a_time_tries(self) -> None:
        """
        A full disk is said once and asks Twitch for one event at a time; once there is room everything is prepared.
        """
        self.journal = FullJournal()
        self.pipeline = self.build()
        with capturedLogs() as logs:
            self.pipeline.startService()
            for number in range(1, 6):
                self.accept(online(number))
            self.assertEqual(len(self.enricher.asked), 5)
            self.clock.pump([2.0] * 10)
        self.assertEqual(len(self.enricher.asked), 15)
        waiting = [line for line in logs if "wait for the journal" in line["log_format"]]
        self.assertEqual([line["reason"] for line in waiting], ["disk full"])
        self.journal.full = False
        self.clock.pump([2.0] * 2)
        self.assertEqual(len(self.submitted), 5)

    def test_an_end_that_is_stored_is_the_end_of_an_outage(self) -> None:
        """
        Once the journal has stored that a delivery is not sent, the next failure to store one is a new outage, and is
        logged.
        """
        self.journal = FullJournal()
        self.pipeline = self.build()
        with capturedLogs() as logs:
            self.pipeline.startService()
            self.accept(online(1))
            self.streamers = {}
            self.clock.advance(2)
            self.assertEqual([state for _, state, _ in self.outcomes.states], [State.CANCELLED])
            self.streamers = {"42": TANUKI}
            self.accept(online(2))
        waiting = [line["event_id"] for line in logs if "wait for the journal" in line["log_format"]]
        self.assertEqual(waiting, ["event1", "event2"])

    def test_a_journal_that_cannot_be_read_is_said_once(self) -> None:
        """
        The loop asks every two seconds and complains once an outage.
        """
        with capturedLogs() as logs:
            for _ in range(2):
                self.journal.broken = "disk gone"
                self.clock.pump([2.0] * 5)
                self.journal.broken = None
                self.clock.advance(2)
        self.assertEqual([line["reason"] for line in logs], ["disk gone", "disk gone"])

    def test_a_defect_in_one_event_is_logged_and_tried_again(self) -> None:
        """
        An event that cannot be prepared harms no other, and is not lost.
        """
        self.enricher.answer = lambda: 1 // 0
        self.accept(online(1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.enricher.answer = Enrichment
        self.accept(online(2))
        self.assertEqual([each.id for each in self.submitted], ["event2-1"])
        self.clock.pump([1] * 40)
        self.assertEqual([each.id for each in self.submitted], ["event2-1", "event1-1"])

    def test_stopping_leaves_what_is_being_prepared_to_the_journal(self) -> None:
        """
        A stop does not wait for Twitch; the next process prepares what this one had begun.
        """
        self.enricher.held = []
        self.accept(online())
        self.successResultOf(self.pipeline.stopService())
        self.assertEqual(self.journal.deliveries["event1-1"].state, State.ACCEPTED)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_health_follows_the_loop(self) -> None:
        """
        A pipeline has a problem unless it runs.
        """
        self.assertIsNone(self.pipeline.problem())
        self.successResultOf(self.pipeline.stopService())
        self.assertEqual(self.pipeline.problem(), "not running")
