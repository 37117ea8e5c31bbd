"""
Tests of :mod:`itsjustintv.twitch.eventsub.session`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.twitch.eventsub.session import EventSubSession, Gap
from tests.twitch.eventsub.sockets import (
    URL,
    FakeDialer,
    FakeSocket,
    Owner,
    message,
    reconnect,
    welcome,
)

MOVED = f"{URL}?challenge=b%2Fc&id=1"


class SessionTestCase(SynchronousTestCase):
    """
    A session, a server and an owner.
    """

    url = URL
    keepalive = 10

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.dialer = FakeDialer(self.clock)
        self.owner = Owner()
        self.session = EventSubSession(
            self.dialer, self.clock, lambda: 0.5, lambda: self.url, lambda: self.keepalive, self.owner, "shard 0"
        )
        self.logged: list[tuple[str, str]] = []

        def observe(event: dict[str, Any]) -> None:
            if event.get("log_source") is self.session:
                self.logged.append((event["log_level"].name, formatEvent(event)))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    @property
    def last(self) -> FakeSocket:
        """
        The newest socket.
        """
        return self.dialer.sockets[-1]

    def begin(self, session_id: str = "one", keepalive: Any = 10) -> FakeSocket:
        """
        Have the newest socket opened and welcomed.
        """
        socket = self.last
        socket.open()
        socket.say(welcome(session_id, keepalive))
        return socket

    def started(self) -> FakeSocket:
        """
        Start, and have a session that is assigned.
        """
        self.session.start()
        return self.begin()

    def live(self, seconds: float) -> None:
        """
        Let time pass, with keepalives.
        """
        while seconds > 0:
            self.clock.advance(min(seconds, 5.0))
            seconds -= 5.0
            for socket in self.dialer.live:
                if socket.is_open and not socket.closing:
                    socket.say(message("session_keepalive"))

    def assert_idle(self) -> None:
        """
        Nothing is left to happen.
        """
        self.assertEqual(self.clock.getDelayedCalls(), [])


class WelcomeTests(SessionTestCase):
    """
    From the dialling to the assignment.
    """

    def test_the_good_case(self) -> None:
        """
        The configured address is dialled with the time asked for; the owner is asked to assign, and confirms.
        """
        self.owner.answers = lambda session, session_id: None
        self.session.start()
        self.assertEqual(self.last.url, f"{URL}?keepalive_timeout_seconds=10")
        self.assertEqual(self.session.status().state, "connecting")
        self.begin()
        self.assertEqual(self.owner.welcomes, ["one"])
        status = self.session.status()
        self.assertEqual((status.state, status.session_id, status.last_frame), ("welcomed", "one", 1000.0))
        self.clock.advance(7.0)
        self.session.assigned("one")
        status = self.session.status()
        self.assertEqual((status.state, status.since, status.losses, status.reason), ("assigned", 1007.0, 0, ""))
        self.assertEqual(self.logged, [("info", "shard 0 has a session")])
        self.assertEqual(self.owner.gaps, [])

    def test_an_address_with_a_query(self) -> None:
        """
        What is asked for is added to it.
        """
        self.url = "ws://127.0.0.1:1/ws?a=b"
        self.session.start()
        self.assertEqual(self.last.url, "ws://127.0.0.1:1/ws?a=b&keepalive_timeout_seconds=10")

    def test_no_welcome(self) -> None:
        """
        Ten seconds after the opening the socket is aborted, and another one dialled; that is no gap.
        """
        self.session.start()
        self.clock.advance(15.0)
        self.last.open()
        self.clock.advance(9.9)
        self.last.say(message("something_new"))
        self.clock.advance(0.1)
        self.assertTrue(self.last.aborted)
        self.clock.advance(0.9)
        self.assertEqual((len(self.dialer.sockets), self.session.status().state), (1, "waiting"))
        self.clock.advance(0.1)
        self.assertEqual((len(self.dialer.sockets), self.session.status().state), (2, "connecting"))
        self.assertEqual(self.owner.gaps, [])
        self.assertEqual(self.session.status().reason, "no welcome within 10 s")
        line = "shard 0 cannot get a session: no welcome within 10 s; dialling again in 1 s"
        self.assertEqual(self.logged, [("warn", line)])

    def test_no_assignment(self) -> None:
        """
        Eight seconds after the welcome the session is dropped, though messages come.
        """
        self.owner.answers = lambda session, session_id: None
        socket = self.started()
        self.clock.advance(7.9)
        socket.say(message("notification"))
        self.assertFalse(socket.closing)
        self.clock.advance(0.1)
        self.assertTrue(socket.closing)
        self.assertEqual(self.session.status().reason, "the session was not assigned within 8 s")
        self.assertEqual(self.owner.gaps, [])
        self.session.assigned("one")
        self.assertEqual(self.session.status().state, "waiting")

    def test_an_assignment_that_is_refused(self) -> None:
        """
        The socket is closed politely, and the next dialled after a pause; each time the pause is twice as long, up to
        a minute, and a line is logged only for a new reason.
        """
        self.owner.answers = lambda session, session_id: session.drop(session_id, "the conduit is full")
        self.session.start()
        pauses = []
        for number in range(8):
            socket = self.begin(f"session {number}")
            self.assertTrue(socket.closing)
            socket.end()
            began = self.clock.seconds()
            while self.last is socket:
                self.clock.advance(0.5)
            pauses.append(self.clock.seconds() - began)
        self.assertEqual(pauses, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0])
        line = "shard 0 cannot get a session: the conduit is full; dialling again in 1 s"
        self.assertEqual(self.logged, [("warn", line)])
        self.assertEqual(self.session.status().losses, 0)

    def test_jitter(self) -> None:
        """
        A pause is up to a fifth longer or shorter.
        """
        for random, pause in ((0.0, 0.8), (1.0, 1.2)):
            clock = Clock()
            dialer = FakeDialer(clock)
            EventSubSession(dialer, clock, lambda r=random: r, lambda: URL, lambda: 10, Owner(), "s").start()
            dialer.sockets[0].end()
            clock.advance(pause - 0.01)
            self.assertEqual(len(dialer.sockets), 1)
            clock.advance(0.02)
            self.assertEqual(len(dialer.sockets), 2)

    def test_no_connection(self) -> None:
        """
        A dialling that fails is followed by another one.
        """
        self.session.start()
        self.last.end(None, "cannot connect to example.org: connection refused")
        self.clock.advance(1.0)
        self.assertEqual(len(self.dialer.sockets), 2)
        self.begin()
        self.assertEqual(self.session.status().state, "assigned")

    def test_a_welcome_of_no_use(self) -> None:
        """
        One without an id is skipped, and a second one does nothing.
        """
        self.session.start()
        self.last.open()
        self.last.say(message("session_welcome", {"session": {"status": "connected"}}))
        self.assertEqual((self.owner.welcomes, self.session.status().state), ([], "connecting"))
        self.last.say(welcome("one"))
        self.last.say(welcome("two"))
        self.assertEqual((self.owner.welcomes, self.session.status().session_id), (["one"], "one"))
        self.assertEqual(self.owner.frames, [])

    def test_confirmations_for_another_session(self) -> None:
        """
        What is confirmed or refused for a session that is gone does nothing to the present one.
        """
        self.owner.answers = lambda session, session_id: None
        self.started().end(4003, "unused")
        self.clock.advance(1.0)
        self.begin("two")
        self.session.assigned("one")
        self.session.assigned("")
        self.session.drop("one", "too late")
        self.session.drop("", "too late")
        self.assertEqual(self.session.status().state, "welcomed")
        self.session.assigned("two")
        self.assertEqual(self.session.status().state, "assigned")

    def test_an_owner_that_fails(self) -> None:
        """
        Its exceptions are logged, and the session goes on.
        """
        self.owner.fault = ValueError("a defect")
        socket = self.started()
        socket.say(message("notification"))
        socket.end()
        self.clock.advance(1.0)
        self.begin("two")
        self.assertEqual((self.session.status().state, len(self.owner.frames)), ("assigned", 1))
        levels = [level for level, _ in self.logged]
        self.assertEqual(levels.count("critical"), 4)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 4)


class MessageTests(SessionTestCase):
    """
    What comes on a socket.
    """

    def test_what_is_handed_on(self) -> None:
        """
        Notifications, revocations and unknown types, in their order; keepalives are not.
        """
        socket = self.started()
        for kind in ("notification", "session_keepalive", "revocation", "something_new"):
            socket.say(message(kind, {"a": "b"}))
        self.assertEqual([each.kind for each in self.owner.frames], ["notification", "revocation", "something_new"])
        self.assertEqual(self.owner.frames[0].payload.text("a"), "b")

    def test_before_the_assignment(self) -> None:
        """
        What comes then is handed on as well: Twitch may have assigned the session before the answer arrives.
        """
        self.owner.answers = lambda session, session_id: None
        self.started().say(message("notification"))
        self.assertEqual(len(self.owner.frames), 1)

    def test_what_cannot_be_read(self) -> None:
        """
        It is skipped with one line in ten seconds, and ends nothing.
        """
        socket = self.started()
        self.logged.clear()
        for text in ("", "{", "[]", '{"metadata":{}}', "\ud800"):
            socket.say(text)
        self.clock.advance(10.0)
        socket.say("{}")
        self.assertEqual(self.session.status().state, "assigned")
        self.assertEqual(
            self.logged,
            [
                ("warn", "skipped 1 message on the socket of shard 0, the last because the body is not JSON"),
                ("warn", "skipped 5 messages on the socket of shard 0, the last because the metadata is not an object"),
            ],
        )


class SilenceTests(SessionTestCase):
    """
    The keepalive clock.
    """

    def test_silence(self) -> None:
        """
        After half as long again as Twitch promised a keepalive, and never more than five seconds later, the socket is
        aborted: it is dead. Twitch's own number counts if it is one.
        """
        for keepalive, patience in (
            (10, 15.0),
            (30, 35.0),
            (600, 605.0),
            (4, 6.0),
            (None, 15.0),
            (0, 15.0),
            (601, 15.0),
            ("30", 15.0),
            (-1, 15.0),
        ):
            self.setUp()
            self.session.start()
            socket = self.begin(keepalive=keepalive)
            self.clock.advance(patience - 0.1)
            self.assertEqual(self.owner.gaps, [], keepalive)
            self.clock.advance(0.1)
            [gap] = self.owner.gaps
            self.assertEqual((gap.since, gap.code, socket.aborted), (1000.0, None, True))
            self.assertIn("not even a keepalive within", gap.reason)

    def test_what_was_asked_for(self) -> None:
        """
        It counts where Twitch does not say.
        """
        self.keepalive = 30
        self.session.start()
        self.assertEqual(self.last.url, f"{URL}?keepalive_timeout_seconds=30")
        self.begin(keepalive=None)
        self.clock.advance(34.9)
        self.assertEqual(self.session.status().state, "assigned")
        self.clock.advance(0.1)
        self.assertEqual(self.session.status().state, "waiting")

    def test_every_frame_counts(self) -> None:
        """
        Each of any kind, even one that cannot be read, begins the silence anew.
        """
        socket = self.started()
        for text in (message("session_keepalive"), message("notification"), message("something_new"), "{"):
            self.clock.advance(14.0)
            socket.say(text)
        self.assertEqual(self.session.status().last_frame, 1056.0)
        self.clock.advance(14.9)
        self.assertEqual(self.session.status().state, "assigned")
        self.clock.advance(0.1)
        self.assertEqual(self.owner.gaps[0].since, 1056.0)

    def test_what_arrived_while_the_process_was_suspended_is_read_first(self) -> None:
        """
        Then the deadline has passed before the reactor can read; a connection counts as dead only if nothing is there.
        """
        socket = self.started()
        self.clock.callLater(60.0, socket.say, message("notification"))
        self.clock.advance(60.0)
        self.assertEqual((len(self.owner.frames), self.session.status().state), (1, "assigned"))
        self.clock.advance(60.0)
        self.assertEqual([each.since for each in self.owner.gaps], [1060.0])

    def test_it_stands_still_in_a_pause(self) -> None:
        """
        While nothing is read, nothing can be missed; afterwards it begins anew.
        """
        socket = self.started()
        self.clock.advance(14.0)
        self.session.pause()
        self.session.pause()
        self.assertTrue(socket.paused and self.session.status().paused)
        self.clock.advance(100.0)
        socket.say(message("notification"))
        self.assertEqual(self.owner.frames, [])
        self.session.resume()
        self.session.resume()
        self.assertEqual((len(self.owner.frames), self.session.status().state), (1, "assigned"))
        self.clock.advance(14.9)
        self.assertEqual(self.session.status().state, "assigned")
        self.clock.advance(0.1)
        self.assertEqual(self.session.status().state, "waiting")

    def test_before_the_assignment(self) -> None:
        """
        It runs from the welcome on.
        """
        self.owner.answers = lambda session, session_id: None
        self.session.start()
        self.begin(keepalive=2)
        self.clock.advance(3.0)
        self.assertTrue(self.last.aborted)
        self.assertEqual(self.session.status().reason, "not even a keepalive within 3 s")


class LossTests(SessionTestCase):
    """
    What ends a session that is assigned.
    """

    def test_a_gap(self) -> None:
        """
        It is told once, from the last frame on, however many attempts it takes until the next assignment.
        """
        socket = self.started()
        self.clock.advance(3.0)
        socket.say(message("session_keepalive"))
        self.clock.advance(2.0)
        socket.end(None, "example.org closed the connection without a close code")
        gap = Gap(1003.0, "example.org closed the connection without a close code", None)
        self.assertEqual(self.owner.gaps, [gap])
        self.clock.advance(1.0)
        self.last.end(None, "connection refused")
        self.clock.advance(2.0)
        self.begin("two")
        self.assertEqual((self.owner.gaps, self.owner.welcomes), ([gap], ["one", "two"]))
        status = self.session.status()
        self.assertEqual((status.losses, status.reason, status.since), (1, "connection refused", 1008.0))
        self.assertEqual(
            [line for level, line in self.logged],
            [
                "shard 0 has a session",
                f"shard 0 lost its session: {gap.reason}; dialling again in 1 s",
                "shard 0 cannot get a session: connection refused; dialling again in 2 s",
                "shard 0 has a session again, after 5 s",
            ],
        )

    def test_every_close_code(self) -> None:
        """
        Each is told with what it means, and is followed by a dialling of the configured address after a second; after
        4001, a defect, that takes a minute and is an error.
        """
        for code, meaning in {
            4000: "an internal error at Twitch",
            4001: "Twitch received something from this daemon, which it does not allow",
            4002: "Twitch received no answer to its pings",
            4003: "the session was not assigned to the shard in time",
            4004: "the connection was not changed in time, as Twitch had asked",
            4005: "a timeout in Twitch's network",
            4006: "an error in Twitch's network",
            4007: "Twitch did not accept the address that it had given",
            1000: "",
            1005: "",
            1011: "",
            4999: "",
        }.items():
            self.setUp()
            self.started().end(code, f"it was closed with {code}")
            reason = f"it was closed with {code}" + (f" ({meaning})" if meaning else "")
            self.assertEqual(self.owner.gaps, [Gap(1000.0, reason, code)])
            self.assertEqual((self.session.status().reason, self.session.status().code), (reason, code))
            pause = 60.0 if code == 4001 else 1.0
            self.clock.advance(pause - 0.1)
            self.assertEqual(len(self.dialer.sockets), 1, code)
            self.clock.advance(0.1)
            self.assertEqual(self.last.url, f"{URL}?keepalive_timeout_seconds=10")
            self.assertEqual(len(self.dialer.sockets), 2, code)
            if code == 4001:
                line = "Twitch closed the connection of shard 0 because it received something from this daemon"
                self.assertEqual(self.logged[-1], ("error", f"{line}; dialling again in 1 min"))
            else:
                line = f"shard 0 lost its session: {reason}; dialling again in 1 s"
                self.assertEqual(self.logged[-1], ("warn", line))

    def test_4001_is_told_each_time(self) -> None:
        """
        The defect is an error again, also before a session.
        """
        self.session.start()
        for _ in range(3):
            self.last.open()
            self.last.end(4001, "inbound traffic")
            self.clock.advance(60.0)
        self.assertEqual([level for level, _ in self.logged], ["error"] * 3)
        self.assertEqual(len(self.dialer.sockets), 4)

    def test_the_pause_grows_until_a_session_has_lived(self) -> None:
        """
        Sessions that end soon are dialled more and more seldom; after one that lived for a minute it begins anew.
        """
        self.session.start()
        for number, pause in enumerate((1.0, 2.0, 4.0)):
            self.begin(f"session {number}")
            self.live(50.0)
            self.last.end()
            self.clock.advance(pause - 0.1)
            self.assertEqual(len(self.dialer.sockets), number + 1)
            self.clock.advance(0.1)
        self.begin("long")
        self.live(60.0)
        self.last.end()
        self.clock.advance(1.0)
        self.assertEqual(len(self.dialer.sockets), 5)

    def test_dropped_by_the_owner(self) -> None:
        """
        A session that is not assigned any more is closed; that is a gap.
        """
        socket = self.started()
        self.session.drop("one", "Twitch lists the shard as disabled")
        self.assertTrue(socket.closing)
        self.assertEqual(self.owner.gaps, [Gap(1000.0, "Twitch lists the shard as disabled", None)])
        late = message("notification")
        socket.say(late)
        self.assertEqual(len(self.owner.frames), 1)
        self.clock.advance(1.0)
        self.assertEqual(len(self.dialer.sockets), 2)
        socket.end()
        self.begin("two")
        self.assertEqual(len(self.owner.gaps), 1)


class MoveTests(SessionTestCase):
    """
    ``session_reconnect``: make before break.
    """

    def setUp(self) -> None:
        super().setUp()
        self.first = self.started()
        self.live(100.0)

    def test_the_good_case(self) -> None:
        """
        The address is dialled as it is; the old socket is read until the welcome, and then closed. Nothing is asked of
        the owner, and there is no gap.
        """
        self.first.say(reconnect("one", MOVED))
        self.assertEqual(self.last.url, MOVED)
        self.first.say(message("notification", number=1))
        self.last.open()
        self.assertFalse(self.first.closing)
        self.first.say(message("notification", number=2))
        self.last.say(welcome("one"))
        self.assertTrue(self.first.closing)
        self.first.say(message("notification", number=3))
        self.last.say(message("notification", number=4))
        self.first.end()
        numbers = [each.message_id.rpartition("-")[2] for each in self.owner.frames]
        self.assertEqual(numbers, ["1", "2", "3", "4"])
        self.assertEqual((self.owner.welcomes, self.owner.gaps), (["one"], []))
        status = self.session.status()
        self.assertEqual((status.state, status.since, status.moves, status.losses), ("assigned", 1000.0, 1, 0))
        self.assertEqual(self.logged[-1], ("info", "shard 0 has changed to another connection, as Twitch asked"))
        self.live(100.0)
        self.assertEqual((len(self.dialer.sockets), self.owner.gaps), (2, []))

    def test_again_and_again(self) -> None:
        """
        A session moves as often as Twitch asks, each time to the new address, at most once in a second.
        """
        self.first.say(reconnect("one", f"{URL}?1"))
        second = self.begin()
        second.say(reconnect("one", f"{URL}?2"))
        self.assertEqual(len(self.dialer.sockets), 2)
        self.clock.advance(1.0)
        self.assertEqual(self.last.url, f"{URL}?2")
        # The first socket had its time to close.
        self.assertTrue(self.first.aborted)
        self.assertEqual(len(self.dialer.live), 2)
        self.begin()
        self.assertEqual((self.session.status().moves, self.owner.gaps), (2, []))

    def test_asked_twice(self) -> None:
        """
        While a change is under way, another request is not followed; nor is one on a socket that is being closed.
        """
        self.first.say(reconnect("one", MOVED))
        self.first.say(reconnect("one", f"{URL}?other"))
        self.assertEqual(len(self.dialer.sockets), 2)
        self.begin()
        self.first.say(reconnect("one", f"{URL}?other"))
        self.clock.advance(1.5)
        self.assertEqual(len(self.dialer.sockets), 2)

    def test_another_id(self) -> None:
        """
        A session with another id is assigned like a fresh one, and the old socket read until then.
        """
        self.owner.answers = lambda session, session_id: None
        self.first.say(reconnect("one", MOVED))
        self.begin("two")
        self.assertEqual(self.owner.welcomes, ["one", "two"])
        self.assertFalse(self.first.closing)
        self.session.assigned("two")
        self.assertTrue(self.first.closing)
        self.assertEqual((self.session.status().session_id, self.owner.gaps), ("two", []))

    def test_an_address_that_does_not_work(self) -> None:
        """
        It is used once. A fresh session is had from the configured address, while the old socket is still read; so
        there is no gap.
        """
        self.first.say(reconnect("one", MOVED))
        self.last.open()
        self.last.end(4007, "closed with code 4007")
        line = (
            "shard 0 cannot change to another connection: closed with code 4007 (Twitch did not accept the address that"
            " it had given); dialling again in 1 s"
        )
        self.assertEqual(self.logged[-1], ("warn", line))
        self.assertEqual(self.session.status().state, "assigned")
        self.clock.advance(1.0)
        self.assertEqual(self.last.url, f"{URL}?keepalive_timeout_seconds=10")
        self.first.say(message("notification"))
        self.begin("two")
        self.assertTrue(self.first.closing)
        self.assertEqual((self.owner.welcomes, self.owner.gaps), (["one", "two"], []))
        self.assertEqual(len(self.owner.frames), 1)

    def test_no_welcome_there(self) -> None:
        """
        A socket without a welcome is given up after ten seconds, and the old one stays.
        """
        self.first.say(reconnect("one", MOVED))
        self.last.open()
        for _ in range(2):
            self.clock.advance(5.0)
            self.first.say(message("session_keepalive"))
        self.assertTrue(self.last.aborted)
        self.clock.advance(1.0)
        self.assertEqual(len(self.dialer.sockets), 3)
        self.assertEqual(self.owner.gaps, [])

    def test_the_old_socket_ends_first(self) -> None:
        """
        Then it was no make-before-break: the gap is told, and the session is assigned anew though it has the same id.
        """
        self.first.say(reconnect("one", MOVED))
        self.first.end(4004, "closed with code 4004")
        [gap] = self.owner.gaps
        self.assertEqual(gap.code, 4004)
        self.assertIn("; its next connection is being made", self.logged[-1][1])
        self.clock.advance(5.0)
        self.assertEqual(len(self.dialer.sockets), 2)
        self.begin("one")
        self.assertEqual(self.owner.welcomes, ["one", "one"])
        self.assertEqual((self.session.status().state, len(self.owner.gaps)), ("assigned", 1))

    def test_both_end(self) -> None:
        """
        One gap is told, and the configured address is dialled.
        """
        self.first.say(reconnect("one", MOVED))
        self.last.end()
        self.first.end(4004, "closed with code 4004")
        self.assertEqual(len(self.owner.gaps), 1)
        self.clock.advance(3.0)
        self.assertEqual(len(self.dialer.live), 1)
        self.assertEqual(self.last.url, f"{URL}?keepalive_timeout_seconds=10")

    def test_the_old_socket_falls_silent(self) -> None:
        """
        Silence on it is a loss while its successor is being dialled.
        """
        self.first.say(reconnect("one", MOVED))
        self.clock.advance(15.0)
        self.assertTrue(self.first.aborted)
        self.assertEqual(len(self.owner.gaps), 1)
        self.assertEqual(self.session.status().state, "connecting")

    def test_before_the_assignment(self) -> None:
        """
        A session that is to move before it is assigned is given up for a fresh one.
        """
        self.first.end()
        self.clock.advance(1.0)
        self.owner.answers = lambda session, session_id: None
        self.begin("two")
        self.last.say(reconnect("two", MOVED))
        self.assertTrue(self.last.aborted)
        self.assertEqual(self.session.status().state, "waiting")

    def test_addresses_that_are_refused(self) -> None:
        """
        Only TLS to Twitch or to the configured host is dialled; for anything else, the configured address is, at once.
        """
        elsewhere = "neither below twitch.tv nor the configured host"
        for url, reason in {
            "wss://evil.example/ws": f"'evil.example' is {elsewhere}",
            "wss://twitch.tv.evil.example/": f"'twitch.tv.evil.example' is {elsewhere}",
            "wss://eviltwitch.tv/": f"'eviltwitch.tv' is {elsewhere}",
            "wss://evil.example\\.twitch.tv/": f"'evil.example\\.twitch.tv' is {elsewhere}",
            "wss://a@eventsub.wss.twitch.tv/": "it is not a ws or wss URL",
            "ws://other.wss.twitch.tv/ws": f"'other.wss.twitch.tv' is {elsewhere}",
            "ws://eventsub.wss.twitch.tv/ws": "eventsub.wss.twitch.tv without TLS",
            "https://eventsub.wss.twitch.tv/ws": "it is not a ws or wss URL",
            "wss://h:0/": "it is not a ws or wss URL",
            "": "it is not a ws or wss URL",
            None: "it is not a ws or wss URL",
        }.items():
            self.setUp()
            self.first.say(reconnect("one", url))
            self.assertEqual(self.last.url, f"{URL}?keepalive_timeout_seconds=10", url)
            self.assertEqual(len(self.dialer.sockets), 2)
            line = f"Twitch gave shard 0 an address that is not used: {reason}; dialling the configured one"
            self.assertEqual(self.logged[-1], ("warn", line))
            self.begin("two")
            self.assertEqual((self.owner.gaps, self.owner.welcomes), ([], ["one", "two"]))

    def test_addresses_that_are_taken(self) -> None:
        """
        Any host below twitch.tv with TLS, and the configured host: without TLS only if it is configured so.
        """
        for configured, urls in {
            URL: ["wss://a.b-c.twitch.tv:444/x", "wss://EVENTSUB.wss.Twitch.tv/"],
            "ws://127.0.0.1:8080/ws": ["ws://127.0.0.1:9/ws?x", "wss://127.0.0.1/ws", "wss://a.twitch.tv/"],
        }.items():
            for url in urls:
                self.setUp()
                self.url = configured
                self.first.say(reconnect("one", url))
                self.assertEqual(self.last.url, url)


class PauseTests(SessionTestCase):
    """
    An owner that cannot keep up.
    """

    def test_a_socket_that_opens_meanwhile(self) -> None:
        """
        Its welcome is read and it is assigned; then it is paused as well.
        """
        self.session.start()
        self.session.pause()
        socket = self.begin()
        self.assertEqual((self.session.status().state, socket.paused), ("assigned", True))
        socket.say(message("notification"))
        self.clock.advance(100.0)
        self.assertEqual((self.owner.frames, self.owner.gaps), ([], []))
        self.session.resume()
        self.assertEqual(len(self.owner.frames), 1)

    def test_the_old_socket_keeps_what_waits_in_it(self) -> None:
        """
        A change during a pause closes the old socket only after what waits in it has been read.
        """
        first = self.started()
        self.clock.advance(2.0)
        first.say(reconnect("one", MOVED))
        self.session.pause()
        first.say(message("notification"))
        self.begin()
        self.assertFalse(first.closing)
        self.session.resume()
        self.assertTrue(first.closing)
        self.assertEqual(len(self.owner.frames), 1)

    def test_paused_again_by_what_is_read(self) -> None:
        """
        The other sockets stay paused then, and the old one is not closed yet.
        """
        first = self.started()
        self.clock.advance(2.0)
        first.say(reconnect("one", MOVED))
        self.session.pause()
        first.say(message("notification"))
        second = self.begin()
        self.owner.then = self.session.pause
        self.session.resume()
        self.owner.then = lambda: None
        self.assertTrue(first.paused and second.paused)
        self.assertFalse(first.closing)
        self.session.resume()
        self.assertTrue(first.closing)
        self.assertFalse(second.paused)

    def test_a_loss_is_told_afterwards(self) -> None:
        """
        A socket that ends during a pause is lost when it is read to its end.
        """
        socket = self.started()
        self.session.pause()
        socket.say(message("notification"))
        socket.end(4000, "closed")
        self.assertEqual(self.owner.gaps, [])
        self.session.resume()
        self.assertEqual((len(self.owner.frames), len(self.owner.gaps)), (1, 1))

    def test_a_socket_that_is_being_closed(self) -> None:
        """
        It is read to its end.
        """
        first = self.started()
        self.clock.advance(2.0)
        first.say(reconnect("one", MOVED))
        self.begin()
        self.session.pause()
        first.say(message("notification"))
        self.assertEqual(len(self.owner.frames), 1)


class StopTests(SessionTestCase):
    """
    The end.
    """

    def test_with_a_session(self) -> None:
        """
        Its socket is closed politely, the owner hears nothing more, and it is over when the socket is gone.
        """
        socket = self.started()
        stopped = self.session.stop()
        self.assertTrue(socket.closing)
        self.assertNoResult(stopped)
        socket.say(message("notification"))
        socket.say(reconnect("one", MOVED))
        socket.end(1000, "closed")
        self.successResultOf(stopped)
        self.clock.advance(2.0)
        self.assert_idle()
        self.assertEqual((self.owner.frames, self.owner.gaps, len(self.dialer.sockets)), ([], [], 1))
        self.assertEqual(self.session.status().state, "stopped")

    def test_at_every_point(self) -> None:
        """
        Whatever is under way ends.
        """

        def dialling() -> None:
            self.session.start()

        def opened() -> None:
            self.session.start()
            self.last.open()

        def welcomed() -> None:
            self.owner.answers = lambda session, session_id: None
            self.started()

        def waiting() -> None:
            self.session.start()
            self.last.end()

        def moving() -> None:
            self.started().say(reconnect("one", MOVED))
            self.clock.advance(1.0)
            self.last.open()

        def moving_soon() -> None:
            self.started().say(reconnect("one", MOVED))

        def paused() -> None:
            moving()
            self.session.pause()
            self.dialer.sockets[0].say(message("notification"))

        def dropped() -> None:
            self.started()
            self.session.drop("one", "it is gone")

        for point in (dialling, opened, welcomed, waiting, moving, moving_soon, paused, dropped):
            self.setUp()
            point()
            handed = len(self.owner.frames)
            stopped = self.session.stop()
            self.session.resume()
            self.clock.advance(0)
            self.clock.advance(2.0)
            self.successResultOf(stopped)
            self.assert_idle()
            self.assertEqual((self.dialer.live, len(self.owner.frames)), ([], handed), point.__name__)
            self.session.assigned("one")
            self.session.drop("one", "too late")
            self.assertEqual(self.session.status().state, "stopped")
            self.successResultOf(self.session.stop())

    def test_by_the_owner(self) -> None:
        """
        It may be stopped from within a call to the owner.
        """
        self.owner.answers = lambda session, session_id: session.stop()
        self.started()
        self.clock.advance(2.0)
        self.assert_idle()
        self.assertEqual(self.session.status().state, "stopped")
