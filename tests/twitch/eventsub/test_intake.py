"""
Tests of :mod:`itsjustintv.twitch.eventsub.intake`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import orjson
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogEvent, capturedLogs, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import JournalUnavailable
from itsjustintv.model import Acceptance, Event
from itsjustintv.twitch.eventsub.intake import MOST_HELD, FrameIntake, Intake
from itsjustintv.twitch.eventsub.messages import Frame, Revocation, parse_frame

NOW = 1_767_322_800.0
SUBSCRIPTION = {
    "id": "sub-1",
    "status": "enabled",
    "type": "stream.online",
    "version": "1",
    "condition": {"broadcaster_user_id": "42"},
    "transport": {"method": "conduit", "conduit_id": "a"},
}


def frame(kind: str, number: int = 1, **payload: object) -> Frame:
    """
    A frame as Twitch sends it.
    """
    metadata = {
        "message_id": f"message-{number}",
        "message_type": kind,
        "message_timestamp": "2026-01-02T03:00:00.123456789Z",
    }
    return parse_frame(orjson.dumps({"metadata": metadata, "payload": payload}).decode())


def went_live(number: int = 1) -> Frame:
    """
    A notification.
    """
    event = {
        "id": str(7000 + number),
        "broadcaster_user_id": str(number),
        "broadcaster_user_login": f"streamer{number}",
        "broadcaster_user_name": "Someone",
        "type": "live",
        "started_at": "2026-01-02T03:00:00Z",
    }
    return frame("notification", number, subscription=SUBSCRIPTION, event=event)


@define
class Setting:
    """
    An intake, and a journal that can be away.

    :ivar away: why nothing can be stored, if so.
    :ivar waiting: what was handed over while ``slow``, with its answer.
    """

    clock: Clock = field(factory=Clock)
    away: Exception | None = None
    slow: bool = False
    tried: list[str] = field(factory=list)
    stored: list[Event] = field(factory=list)
    waiting: list[tuple[Event, Deferred[Acceptance]]] = field(factory=list)
    counts: list[str] = field(factory=list)
    revocations: list[Revocation] = field(factory=list)
    pressure: list[bool] = field(factory=list)
    ids: Iterator[int] = field(factory=lambda: count(1))
    frames: FrameIntake = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.clock.advance(NOW)
        self.frames = FrameIntake(
            Intake(self.accept, self.revocations.append, self.counts.append),
            self.clock,
            lambda: f"event-{next(self.ids)}",
            self.pressure.append,
        )
        self.frames.startService()

    def accept(self, event: Event) -> Deferred[Acceptance]:
        """
        Store an event, unless that does not work now.
        """
        self.tried.append(event.id)
        if self.away is not None:
            return fail(self.away)
        if self.slow:
            answer: Deferred[Acceptance] = Deferred()
            self.waiting.append((event, answer))
            return answer
        self.stored.append(event)
        return succeed(Acceptance.ACCEPTED)

    def catch_up(self) -> None:
        """
        Answer what waits.
        """
        waiting, self.waiting = self.waiting, []
        for event, answer in waiting:
            self.stored.append(event)
            answer.callback(Acceptance.ACCEPTED)


class FrameIntakeTests(SynchronousTestCase):
    """
    Frames become events, and what cannot be stored is held.
    """

    def setUp(self) -> None:
        self.setting = Setting()

    def failures(self) -> list[Any]:
        """
        Forget and return what was logged as a failure.
        """
        return self.flushLoggedErrors()

    def test_a_notification_is_stored(self) -> None:
        """
        The event has the id of the message, and the time at which it came.
        """
        self.setting.frames.received(went_live())
        (event,) = self.setting.stored
        self.assertEqual(
            (event.id, event.message_id, event.stream_id, event.received_at), ("event-1", "message-1", "7001", NOW)
        )
        self.assertEqual(self.setting.counts, ["accepted"])
        self.assertIsNone(self.setting.frames.problem())

    def test_other_frames(self) -> None:
        """
        A revocation is passed on; what is not known is counted, and so is what cannot be read.
        """
        self.setting.frames.received(frame("revocation", subscription={**SUBSCRIPTION, "status": "user_removed"}))
        self.assertEqual([each.status for each in self.setting.revocations], ["user_removed"])
        self.setting.frames.received(frame("something_new"))
        self.setting.frames.received(frame("notification", subscription={**SUBSCRIPTION, "type": "channel.follow"}))
        self.setting.frames.received(frame("notification", subscription=SUBSCRIPTION))
        self.setting.frames.received(frame("revocation"))
        self.assertEqual(self.setting.counts, ["revocation", "other", "other", "unreadable", "unreadable"])
        self.assertEqual(self.setting.stored, [])

    def test_what_is_ignored_does_not_fill_the_log(self) -> None:
        """
        However often it comes, it is one line in ten seconds, and each is counted.
        """
        with capturedLogs() as logs:
            for second in range(20):
                for number in range(10):
                    self.setting.frames.received(frame(f"something_new_{second}", number))
                self.setting.clock.advance(1.0)
        lines = [formatEvent(each) for each in logs]
        self.assertEqual(lines, [f"ignored a message of type something_new_{second}" for second in (0, 10)])
        self.assertEqual(self.setting.counts, ["other"] * 200)

    def test_what_cannot_be_stored_is_tried_until_it_is(self) -> None:
        """
        After 1, 2, 4 ... seconds, at the most 30, and the daemon has a problem meanwhile.
        """
        setting = self.setting
        setting.away = JournalUnavailable("the disk is full")
        setting.frames.received(went_live())
        self.assertEqual(setting.frames.problem(), "1 event held in memory, not stored yet: the disk is full")
        delays = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)
        for number, delay in enumerate(delays, 2):
            setting.clock.advance(delay - 0.5)
            self.assertEqual(len(setting.tried), number - 1)
            setting.clock.advance(0.5)
            self.assertEqual(len(setting.tried), number)
        self.assertEqual(setting.counts, ["unavailable"])
        setting.away = None
        setting.clock.advance(30.0)
        self.assertEqual([each.id for each in setting.stored], ["event-1"])
        self.assertEqual(setting.counts, ["unavailable", "accepted"])
        self.assertIsNone(setting.frames.problem())
        setting.away = JournalUnavailable("again")
        setting.frames.received(went_live(2))
        setting.away = None
        setting.clock.advance(1.0)
        self.assertEqual(len(setting.stored), 2)
        self.assertEqual(setting.clock.getDelayedCalls(), [])

    def test_an_event_is_not_delayed_by_those_that_are_held(self) -> None:
        """
        One that comes while others wait is tried at once.
        """
        setting = self.setting
        setting.away = JournalUnavailable("the disk is full")
        setting.frames.received(went_live(1))
        setting.away = None
        setting.frames.received(went_live(2))
        self.assertEqual([each.id for each in setting.stored], ["event-2"])
        setting.clock.advance(1.0)
        self.assertEqual([each.id for each in setting.stored], ["event-2", "event-1"])

    def test_a_disk_that_hangs_ends_no_problem(self) -> None:
        """
        An event that is tried again is held until it is stored, however long that takes, and until then not all is
        stored.
        """
        setting = self.setting
        setting.away = JournalUnavailable("the disk is full")
        setting.frames.received(went_live(1))
        setting.frames.received(went_live(2))
        setting.away, setting.slow = None, True
        setting.clock.advance(1.0)
        self.assertEqual((setting.frames.held, len(setting.waiting)), (2, 2))
        self.assertIsNotNone(setting.frames.problem())
        lines: list[str] = []

        def observe(event: LogEvent) -> None:
            lines.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        (_, first), (_, second) = setting.waiting
        first.callback(Acceptance.ACCEPTED)
        self.assertEqual((setting.frames.held, "stored every event that was held in memory" in lines), (1, False))
        second.callback(Acceptance.ACCEPTED)
        self.assertEqual((setting.frames.held, "stored every event that was held in memory" in lines), (0, True))

    def test_an_unexpected_failure_holds_the_event_too(self) -> None:
        """
        A defect costs no event.
        """
        setting = self.setting
        setting.away = ZeroDivisionError("a defect")
        setting.frames.received(went_live())
        self.assertEqual(len(self.failures()), 1)
        self.assertEqual(setting.counts, ["failed"])
        setting.clock.advance(1.0)
        self.assertEqual((self.failures(), setting.counts), ([], ["failed"]))
        setting.away = None
        setting.clock.advance(2.0)
        self.assertEqual(len(setting.stored), 1)

    def test_reading_stops_while_too_much_is_in_memory(self) -> None:
        """
        At the limit no more is asked for, and again when half of it is stored; nothing is left out.
        """
        setting = self.setting
        setting.slow = True
        for number in range(MOST_HELD - 1):
            setting.frames.received(went_live(number))
        self.assertEqual(setting.pressure, [])
        setting.frames.received(went_live(MOST_HELD))
        self.assertEqual(setting.pressure, [True])
        setting.frames.received(went_live(MOST_HELD + 1))
        for event, answer in setting.waiting[: MOST_HELD // 2]:
            setting.stored.append(event)
            answer.callback(Acceptance.ACCEPTED)
        self.assertEqual(setting.pressure, [True])
        del setting.waiting[: MOST_HELD // 2]
        setting.catch_up()
        self.assertEqual(setting.pressure, [True, False])
        self.assertEqual(len(setting.stored), MOST_HELD + 1)

    def test_a_stop_tries_once_more(self) -> None:
        """
        What is under way is waited for, and what is held is stored if that works now.
        """
        setting = self.setting
        setting.away = JournalUnavailable("the disk is full")
        setting.frames.received(went_live(1))
        setting.away, setting.slow = None, True
        setting.frames.received(went_live(2))
        stopping = setting.frames.stopService()
        self.assertNoResult(stopping)
        setting.catch_up()
        self.successResultOf(stopping)
        self.assertEqual({each.id for each in setting.stored}, {"event-1", "event-2"})

    def test_a_stop_ends_even_if_nothing_can_be_stored(self) -> None:
        """
        It says how many are lost, and nothing is left to be done later.
        """
        self.setting.away = JournalUnavailable("the disk is full")
        self.setting.frames.received(went_live(1))
        self.successResultOf(self.setting.frames.stopService())
        self.assertEqual(self.setting.clock.getDelayedCalls(), [])

    @given(
        st.lists(
            st.sampled_from(["event", "away", "back", "defect", "second", "minute", "slow", "answer"]), max_size=40
        )
    )
    @settings(deadline=None)
    def test_each_event_is_stored_once_whatever_happens(self, steps: list[str]) -> None:
        """
        Any order of events, failures and time: at last each was stored exactly once.
        """
        setting = Setting()
        sent = 0
        for step in (*steps, "back", "answer", "minute", "answer", "minute"):
            if step == "event":
                sent += 1
                setting.frames.received(went_live(sent))
            elif step == "away":
                setting.away = JournalUnavailable("the disk is full")
            elif step == "defect":
                setting.away = ZeroDivisionError()
            elif step == "back":
                setting.away, setting.slow = None, False
            elif step == "slow":
                setting.slow = True
            elif step == "answer":
                setting.catch_up()
            else:
                setting.clock.advance(1.0 if step == "second" else 60.0)
        self.flushLoggedErrors()
        self.assertEqual(
            sorted(each.message_id for each in setting.stored), sorted(f"message-{n + 1}" for n in range(sent))
        )
        self.assertIsNone(setting.frames.problem())
        self.assertEqual(setting.clock.getDelayedCalls(), [])
