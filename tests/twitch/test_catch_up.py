"""
Tests of :mod:`itsjustintv.twitch.catch_up`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import Cache, Config
from itsjustintv.config.sections import CatchUp as Section
from itsjustintv.dedup import SeenEvents
from itsjustintv.errors import JournalUnavailable
from itsjustintv.model import Acceptance, Broadcast, Event, Streamer
from itsjustintv.pipeline import OnError, Pipeline
from itsjustintv.twitch.api.lookups import Lookups
from itsjustintv.twitch.catch_up import CatchUpService, CatchUpSettings
from tests.doubles import MemoryJournal
from tests.simulator.worlds import twitch
from tests.test_pipeline import Enricher
from tests.twitch.fake import HANG, NOW, SETTINGS, Asked, Reply, World

PATH = "/helix/streams"


def moment(at: float) -> str:
    """
    A time as Twitch writes it.
    """
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stream(user_id: str, age: float = 60.0, **changes: Any) -> dict[str, Any]:
    """
    A broadcast that Get Streams lists.
    """
    return {
        "id": f"70{user_id}",
        "user_id": user_id,
        "user_login": f"login{user_id}",
        "user_name": f"Name{user_id}",
        "type": "live",
        "started_at": moment(NOW - age),
        **changes,
    }


class CatchUpTestCase(SynchronousTestCase):
    """
    A service that asks a Twitch in memory.
    """

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.clock, self.twitch = self.world.clock, self.world.twitch
        self.streams: list[dict[str, Any]] = []
        self.broadcasts: list[Broadcast] = []
        self.stands_by = False
        self.twitch.usual[PATH] = self.answer
        self.accepted: list[Event] = []
        self.verdict: Acceptance | JournalUnavailable = Acceptance.ACCEPTED
        self.settings = CatchUpSettings(enabled=True, max_age=1800.0)
        numbers = count(1)
        self.catch_up = CatchUpService(
            Lookups(self.world.helix, self.clock, self.world.pace),
            self.accept,
            self.clock,
            lambda: f"event{next(numbers)}",
            lambda: self.settings,
            live_broadcasts=lambda: succeed(self.broadcasts),
            stands_by=lambda: succeed(self.stands_by),
        )
        self.catch_up.startService()
        self.addCleanup(self.catch_up.stopService)

    def answer(self, asked: Asked) -> Reply:
        ids = asked.values("user_id")
        return Reply(200, {"data": [each for each in self.streams if each["user_id"] in ids]})

    def accept(self, event: Event) -> Deferred[Acceptance]:
        if isinstance(self.verdict, JournalUnavailable):
            return fail(self.verdict)
        self.accepted.append(event)
        return succeed(self.verdict)

    def after(self, seconds: float) -> None:
        """
        Let time pass, a little at a time.
        """
        for _ in range(int(seconds * 10)):
            self.clock.advance(0.1)
            self.world.stub.flush()

    def asked(self) -> list[list[str]]:
        """
        Whom Twitch was asked for, call by call.
        """
        return [each.values("user_id") for each in self.twitch.to(PATH)]

    def announced(self) -> list[str]:
        return [event.broadcaster_id for event in self.accepted]


class CatchUpTests(CatchUpTestCase):
    """
    From a gap to late news.
    """

    def test_age_is_told_by_the_time_that_twitch_dates_with(self) -> None:
        """
        A machine whose clock is a day ahead announces what has just begun, and not what is a day old.
        """
        self.catch_up._wall = lambda: self.clock.seconds() - 86400.0
        self.streams = [stream("1", age=86400.0 + 60.0), stream("2", age=60.0 + 2 * 86400.0)]
        self.catch_up.ask(["1", "2"])
        self.after(2.0)
        self.assertEqual(self.announced(), ["1"])
        self.assertLess(abs(self.accepted[0].received_at - self.clock.seconds()), 5.0)

    def test_a_missed_broadcast_becomes_an_event(self) -> None:
        """
        Everything a message would have told is in the event, and that none did.
        """
        self.streams = [stream("42")]
        self.catch_up.ask(["41", "42"])
        self.after(2.0)
        expected = Event(
            id="event1",
            message_id="",
            stream_id="7042",
            broadcaster_id="42",
            broadcaster_login="login42",
            broadcaster_name="Name42",
            type="live",
            started_at=moment(NOW - 60),
            received_at=self.accepted[0].received_at,
            recovered=True,
        )
        self.assertEqual(self.accepted, [expected])
        self.assertApproximates(expected.received_at, NOW, 2.0)
        self.assertEqual(self.asked(), [["41", "42"]])

    def test_only_what_is_news(self) -> None:
        """
        What is too old, is not live, or does not say when it began or which broadcast it is, is not announced.
        """
        self.streams = [
            stream("1", age=1790.0),
            stream("2", age=1801.0),
            stream("3", type=""),
            stream("4", started_at=""),
            stream("5", started_at="2026-01-02T03:00:00"),
            stream("6", id=""),
            stream("7", age=-5.0),
        ]
        self.catch_up.ask("1234567")
        self.after(2.0)
        self.assertEqual(self.announced(), ["1", "7"])

    def test_another_program_has_the_messages(self) -> None:
        """
        Then it announces what begins, and Twitch is not asked who is live; nor later, unless there is another gap.
        """
        self.streams, self.stands_by = [stream("1")], True
        self.catch_up.ask(["1"])
        self.after(100.0)
        self.assertEqual((self.asked(), self.announced()), ([], []))
        self.stands_by = False
        self.catch_up.ask(["1"])
        self.after(2.0)
        self.assertEqual(self.announced(), ["1"])

    def test_another_program_had_the_messages(self) -> None:
        """
        What began while it had them is not announced, also at the second look; unless another gap was longer.
        """
        self.streams = [stream("1", age=300.0), stream("2", age=60.0)]
        self.catch_up.ask(["1", "2"], 180.0)
        self.after(2.0)
        self.assertEqual(self.announced(), ["2"])
        self.after(80.0)
        self.assertEqual(set(self.announced()), {"2"})
        self.catch_up.ask(["1"], 180.0)
        self.catch_up.ask(["1"])
        self.after(12.0)
        self.assertEqual(self.announced()[-1], "1")

    def test_twitch_lists_late(self) -> None:
        """
        Whoever was asked for is asked for once more after the minute in which Get Streams lags, and not again.
        """
        self.catch_up.ask(["42"])
        self.after(60.0)
        self.assertEqual(self.asked(), [["42"]])
        self.streams = [stream("42", age=-30.0)]
        self.after(30.0)
        self.assertEqual((self.asked(), self.announced()), ([["42"], ["42"]], ["42"]))
        self.after(300.0)
        self.assertEqual(len(self.asked()), 2)

    def test_a_crowd_costs_full_calls(self) -> None:
        """
        250 who are asked for together cost three calls, at once.
        """
        self.streams = [stream(str(number)) for number in range(1000, 1250)]
        self.catch_up.ask([str(number) for number in range(1000, 1250)])
        self.after(1.5)
        self.assertEqual([len(ids) for ids in self.asked()], [100, 100, 50])
        self.assertEqual(len(self.accepted), 250)

    def test_a_trickle_costs_few_calls(self) -> None:
        """
        Those who are asked for one after the other share a call: the first is looked at at once, the others when a
        call is full or ten seconds have passed.
        """
        for number in range(1000, 1350):
            self.catch_up.ask([str(number)])
            self.after(0.1)
        self.after(10.0)
        self.assertLessEqual(len(self.asked()), 7)
        self.assertEqual(sorted(each for ids in self.asked() for each in ids), [str(n) for n in range(1000, 1350)])

    def test_twitch_is_away(self) -> None:
        """
        Whatever Twitch fails with, everybody is looked at once it is back, whoever was asked for meanwhile included.
        """
        self.streams = [stream("42", age=0.0), stream("43", age=0.0)]
        self.twitch.usual[PATH] = HANG
        self.catch_up.ask(["42"])
        self.after(20.0)
        self.assertIn("GET /streams", self.catch_up.problem() or "")
        self.catch_up.ask(["43"])
        self.twitch.usual[PATH] = Reply(400, {"message": "no"})
        self.after(60.0)
        self.assertEqual(self.accepted, [])
        self.twitch.usual[PATH] = self.answer
        self.after(150.0)
        self.assertEqual(set(self.announced()), {"42", "43"})
        self.assertIsNone(self.catch_up.problem())

    def test_the_journal_is_away(self) -> None:
        """
        What could not be kept is handed over again, and is not lost.
        """
        self.streams = [stream("42")]
        self.verdict = JournalUnavailable("the disk is full")
        self.catch_up.ask(["42"])
        self.after(10.0)
        self.assertIn("the disk is full", self.catch_up.problem() or "")
        self.verdict = Acceptance.ACCEPTED
        self.after(20.0)
        self.assertEqual(self.announced(), ["42"])

    def test_a_call_that_fails_does_not_hold_up_the_others(self) -> None:
        """
        What Twitch finds fault with is one call's matter, and told.
        """
        bad = [str(number) for number in range(1000, 1100)]
        self.streams = [stream("42")]
        self.twitch.usual[PATH] = lambda asked: (
            Reply(400, {"message": "odd"}) if "1000" in asked.values("user_id") else self.answer(asked)
        )
        self.catch_up.ask([*bad, "42"])
        self.after(10.0)
        self.assertEqual(self.announced(), ["42"])
        self.assertIn("odd", self.catch_up.problem() or "")

    def test_switched_off(self) -> None:
        """
        Without catch_up.enabled nobody is asked for, not even those who were to be looked at again.
        """
        self.catch_up.ask(["42"])
        self.settings = evolve(self.settings, enabled=False)
        self.catch_up.ask(["43"])
        self.after(200.0)
        self.assertEqual(self.asked(), [])
        self.settings = evolve(self.settings, enabled=True)
        self.after(200.0)
        self.assertEqual(self.asked(), [])

    def test_before_the_start_and_after_the_stop(self) -> None:
        """
        Who is asked for early is looked at once the service runs; after the stop nothing waits.
        """
        self.catch_up.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.catch_up.ask(["42"])
        self.after(2.0)
        self.assertEqual(self.asked(), [])
        self.catch_up.startService()
        self.after(2.0)
        self.assertEqual(self.asked(), [["42"]])
        self.twitch.usual[PATH] = HANG
        self.after(80.0)
        self.catch_up.stopService()
        before = len(self.asked())
        self.after(400.0)
        self.assertEqual(len(self.asked()), before)

    def test_an_operator_reads_what_came_of_it(self) -> None:
        """
        One line for each broadcast that is announced late, and one that counts.
        """
        self.streams = [stream("1"), stream("2", age=7200.0)]
        with capturedLogs() as logged:
            self.catch_up.ask("123")
            self.after(2.0)
            self.verdict = Acceptance.DUPLICATE
            self.after(80.0)
        lines = [each["log_format"].format(**each) for each in logged if each["log_level"] is LogLevel.info]
        lines = [line for line in lines if "token" not in line]
        self.assertEqual(len(lines), 3)
        self.assertRegex(lines[0], "^recovered event1: login1 went live 1 min( [0-9] s)? ago")
        self.assertIn("about 3 streamers: 2 live, 1 recovered, 0 announced before, 1 live for", lines[1])
        self.assertIn("2 live, 0 recovered, 1 announced before", lines[2])


class SettingsTests(SynchronousTestCase):
    """
    How far back.
    """

    def test_not_beyond_what_is_remembered(self) -> None:
        """
        A broadcast that may have been announced and forgotten again is never old enough to be announced.
        """
        config = Config(catch_up=Section(max_age=900.0))
        self.assertEqual(CatchUpSettings.of(config), CatchUpSettings(enabled=True, max_age=900.0))
        config = Config(catch_up=Section(enabled=False), cache=Cache(ttl=600.0))
        self.assertEqual(CatchUpSettings.of(config), CatchUpSettings(enabled=False, max_age=600.0))


class SimulatedTests(SynchronousTestCase):
    """
    Against a simulated Twitch, with the pipeline behind it.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.simulated = twitch(self.clock)
        settings = evolve(SETTINGS, client_id=self.simulated.client_id, client_secret=self.simulated.client_secret)
        self.world = World(Path(self.mktemp()), clock=self.clock, twitch=self.simulated.resource(), settings=settings)
        self.tanuki = self.simulated.world.add_streamer("tanuki", "Tanuki")
        self.journal = MemoryJournal()
        streamer = Streamer(key="tanuki", login="tanuki", destinations=("streamers.tanuki",))
        self.pipeline = Pipeline(
            clock=self.clock,
            journal=self.journal,
            seen=SeenEvents(self.clock),
            match=lambda event: (streamer,) if event.broadcaster_id == self.tanuki.id else (),
            enricher=Enricher(),
            render=lambda notice, _: notice.event.id.encode(),
            submit=lambda delivery: None,
            sinks=(),
            ttl=lambda: 7200.0,
            on_error=lambda: OnError.SEND,
            max_age=lambda: 21600.0,
        )
        self.pipeline.startService()
        self.addCleanup(self.pipeline.stopService)
        numbers = count(1)
        self.catch_up = CatchUpService(
            Lookups(self.world.helix, self.clock, self.world.pace),
            self.pipeline.accept,
            self.clock,
            lambda: f"found{next(numbers)}",
            lambda: CatchUpSettings(enabled=True, max_age=1800.0),
        )
        self.catch_up.startService()
        self.addCleanup(self.catch_up.stopService)

    def after(self, seconds: float) -> None:
        for _ in range(int(seconds * 10)):
            self.clock.advance(0.1)
            self.world.stub.flush()

    def message(self, stream_id: str, started_at: str) -> Event:
        """
        What Twitch would tell of a broadcast.
        """
        return Event(
            id="told",
            message_id="message",
            stream_id=stream_id,
            broadcaster_id=self.tanuki.id,
            broadcaster_login="tanuki",
            broadcaster_name="Tanuki",
            type="live",
            started_at=started_at,
            received_at=self.clock.seconds(),
        )

    def test_missed_and_told_later(self) -> None:
        """
        A broadcast that began before the daemon is announced, and what Twitch says of it later is a duplicate.
        """
        live = self.simulated.world.go_live("tanuki")
        self.after(120.0)
        self.catch_up.ask([self.tanuki.id])
        self.after(90.0)
        [event] = self.journal.events.values()
        self.assertEqual((event.stream_id, event.recovered), (live.id, True))
        verdict = self.successResultOf(self.pipeline.accept(self.message(live.id, live.started_at)))
        self.assertIs(verdict, Acceptance.DUPLICATE)

    def test_told_and_asked_for_later(self) -> None:
        """
        A broadcast that Twitch told of is not announced again because Get Streams lists it.
        """
        live = self.simulated.world.go_live("tanuki")
        self.successResultOf(self.pipeline.accept(self.message(live.id, live.started_at)))
        self.catch_up.ask([self.tanuki.id])
        self.after(90.0)
        self.assertEqual(list(self.journal.events), ["told"])

    def test_begun_just_before_the_subscription(self) -> None:
        """
        A broadcast that Get Streams does not list yet at the first look is found by the second.
        """
        self.simulated.world.go_live("tanuki", lag=60.0)
        self.after(1.0)
        self.catch_up.ask([self.tanuki.id])
        self.after(30.0)
        self.assertEqual(list(self.journal.events), [])
        self.after(60.0)
        self.assertEqual(list(self.journal.events), ["found1"])


class MissedEndTests(CatchUpTestCase):
    """
    From a broadcast that is over to the event of its end.
    """

    def setUp(self) -> None:
        super().setUp()
        self.videos: dict[str, list[dict[str, Any]]] = {}
        self.twitch.usual["/helix/videos"] = lambda asked: Reply(
            200, {"data": self.videos.get(asked.values("user_id")[0], [])}
        )
        self.twitch.usual["/helix/users"] = lambda asked: Reply(
            200,
            {
                "data": [
                    {"id": each, "login": f"login{each}", "display_name": f"Name{each}"} for each in asked.values("id")
                ]
            },
        )

    def open(self, user_id: str, *stream_ids: str, age: float = 3600.0) -> Broadcast:
        """
        Let the journal have a live broadcast.
        """
        made = Broadcast(
            id=f"b-{user_id}",
            broadcaster_id=user_id,
            streamer=f"key{user_id}",
            started_at=moment(NOW - age),
            stream_ids=stream_ids or (f"70{user_id}",),
        )
        self.broadcasts.append(made)
        return made

    def record(self, user_id: str, stream_id: str, age: float = 3600.0, duration: str = "50m") -> None:
        """
        Let Twitch have a recording.
        """
        self.videos.setdefault(user_id, []).append(
            {
                "stream_id": stream_id,
                "created_at": moment(NOW - age),
                "duration": duration,
                "url": "https://x.example/1",
            }
        )

    def ends(self) -> list[tuple[str, float]]:
        """
        Whose ends were found, and when they were.
        """
        found = [each for each in self.accepted if each.event_type == "stream.offline"]
        return [(each.broadcaster_id, each.occurred_at) for each in found]

    def test_what_is_not_listed_has_ended(self) -> None:
        """
        When its recording says that it did; what is listed goes on, and each channel is asked about once.
        """
        self.open("1")
        self.open("2")
        self.record("1", "701", duration="0h50m10s")
        self.record("1", "700")
        self.streams = [stream("2", age=3600.0)]
        with capturedLogs() as logs:
            self.catch_up.ask(["1", "9"])
            self.after(2.0)
        self.assertEqual(self.ends(), [("1", NOW - 3600.0 + 3010.0)])
        [event] = [each for each in self.accepted if each.event_type == "stream.offline"]
        self.assertEqual((event.broadcaster_login, event.broadcaster_name), ("login1", "Name1"))
        self.assertEqual((event.keys, event.recovered, event.message_id), (("offline:b-1:701",), True, ""))
        self.assertEqual((event.stream_id, event.started_at, event.type), ("701", "", ""))
        self.assertEqual(self.asked(), [["1", "9", "2"]])
        self.assertEqual([each.values("user_id") for each in self.twitch.to("/helix/videos")], [["1"]])
        lines = [formatEvent(each) for each in logs]
        self.assertIn("recovered event1: login1 went offline 9 min 51 s ago; no EventSub message arrived", lines)

    def test_an_end_that_no_message_reports(self) -> None:
        """
        Ten minutes after the start, and again every ten minutes, what is live is asked about unasked; while nothing is,
        Twitch is left alone.
        """
        self.clock.advance(1200.0)
        self.after(1.0)
        self.assertEqual(self.asked(), [])
        self.open("1")
        self.clock.advance(600.0)
        self.after(12.0)
        self.assertEqual([user_id for user_id, _ in self.ends()], ["1"])

    def test_an_end_without_a_recording(self) -> None:
        """
        Has no time rather than an invented one, also when the recordings or the names cannot be looked up.
        """
        self.open("1")
        self.open("2")
        self.open("3")
        self.record("1", "another")
        self.record("2", "702", duration="soon")
        self.record("3", "703", age=7200.0, duration="1m")
        self.twitch.usual["/helix/users"] = Reply(500)
        with capturedLogs() as logs:
            self.catch_up.ask(["1"])
            self.after(5.0)
        self.assertEqual(sorted(self.ends()), [("1", 0.0), ("2", 0.0), ("3", 0.0)])
        self.assertTrue(any("1 went offline at an unknown time" in formatEvent(each) for each in logs))
        self.accepted.clear()
        self.twitch.usual["/helix/videos"] = Reply(404, {"message": "no"})
        self.catch_up.ask(["1"])
        self.after(12.0)
        self.assertEqual(sorted(self.ends()), [("1", 0.0), ("2", 0.0), ("3", 0.0)])

    def test_no_end_is_in_the_future(self) -> None:
        """
        A recording that is being written is as long as it will be soon.
        """
        self.open("1")
        self.record("1", "701", duration="3h")
        self.catch_up.ask(["1"])
        self.after(2.0)
        [(_, at)] = self.ends()
        self.assertLessEqual(at, self.clock.seconds())

    def test_a_young_broadcast_may_not_be_listed_yet(self) -> None:
        """
        It is looked at again when it must be, as is one whose last stream may be young.
        """
        self.open("1", age=20.0)
        self.open("2", "1", "2")
        self.catch_up.ask(["1", "2"])
        self.after(60.0)
        self.assertEqual(self.ends(), [])
        self.after(20.0)
        self.assertEqual(sorted(self.ends()), [("1", 0.0), ("2", 0.0)])

    def test_one_that_flickers_is_live(self) -> None:
        """
        A stream that is listed meanwhile begins anew to be missing.
        """
        self.open("1", "1", "701")
        self.catch_up.ask(["1"])
        self.after(40.0)
        self.streams = [stream("1")]
        self.catch_up.ask(["1"])
        self.after(20.0)
        self.streams = []
        self.after(20.0)
        self.assertEqual(self.ends(), [])

    def test_another_broadcast_has_begun(self) -> None:
        """
        The end comes before the new start; a list that is behind, with an earlier stream, ends nothing.
        """
        self.open("1")
        self.open("2", "702")
        self.record("1", "701", duration="30m")
        self.streams = [stream("1", age=60.0, id="new"), stream("2", age=7200.0, id="old")]
        self.catch_up.ask(["1", "2"])
        self.after(2.0)
        self.assertEqual(
            [(each.event_type, each.broadcaster_id) for each in self.accepted],
            [("stream.offline", "1"), ("stream.online", "1")],
        )

    def test_a_start_waits_for_no_end(self) -> None:
        """
        What began is announced while the recordings of what is over are still looked up.
        """
        self.open("1")
        self.twitch.usual["/helix/videos"] = HANG
        self.streams = [stream("2")]
        self.catch_up.ask(["1", "2"])
        self.after(2.0)
        self.assertEqual([each.event_type for each in self.accepted], ["stream.online"])
        with capturedLogs():
            self.after(10.0)
        self.assertEqual(self.ends(), [("1", 0.0)])

    def test_a_journal_that_cannot_store_an_end(self) -> None:
        """
        Is asked again.
        """
        self.open("1")
        self.verdict = JournalUnavailable("the disk is full")
        with capturedLogs():
            self.catch_up.ask(["1"])
            self.after(2.0)
            self.assertEqual(self.ends(), [])
            self.verdict = Acceptance.ACCEPTED
            self.after(10.0)
        self.assertEqual(self.ends(), [("1", 0.0)])

    def test_a_channel_that_could_not_be_asked_is_left(self) -> None:
        """
        Until it can be.
        """
        self.open("1")
        self.twitch.then(PATH, Reply(500))
        with capturedLogs():
            self.catch_up.ask(["1"])
            self.after(1.0)
            self.assertEqual(self.ends(), [])
            self.after(10.0)
        self.assertEqual(self.ends(), [("1", 0.0)])

    def test_it_can_be_turned_off(self) -> None:
        """
        Then nothing is asked.
        """
        self.settings = CatchUpSettings(enabled=False, max_age=1800.0)
        self.open("1")
        self.catch_up.ask(["1"])
        self.after(90.0)
        self.assertEqual((self.ends(), self.asked()), ([], []))
