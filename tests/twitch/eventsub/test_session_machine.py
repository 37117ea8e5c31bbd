"""
A model of :mod:`itsjustintv.twitch.eventsub.session`: whatever Twitch, the network and the owner do, in any order.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.twitch.eventsub.messages import Frame
from itsjustintv.twitch.eventsub.session import EventSubSession, Gap
from tests import examples
from tests.twitch.eventsub.sockets import URL, FakeDialer, FakeSocket, Owner, message, reconnect, welcome

CODES = st.sampled_from([None, 1000, 1005, 1006, 1011, 4000, 4001, 4002, 4003, 4004, 4005, 4006, 4007, 4999])
URLS = st.sampled_from(
    [f"{URL}?challenge=abc", "wss://evil.example/ws", "ws://eventsub.wss.twitch.tv/ws", "", 7, "wss://["]
)
KEEPALIVES = st.sampled_from([10, 10, 10, None, 0, 1, 30, 600, 601, -5, "10", 2.5])
GARBAGE = st.sampled_from(
    ["", "{", "[]", "null", "{}", '{"metadata":{}}', '{"metadata":{"message_type":"notification"}}', "\ud800"]
)
TIMES = st.sampled_from([0.0, 0.1, 1.0, 2.0, 4.0, 7.9, 8.1, 9.9, 10.1, 14.9, 15.1, 30.0, 61.0, 80.0])
CHOICES = st.integers(0, 3)


class StrictOwner(Owner):
    """
    Fails the test as soon as a gap is told of a session that was not assigned, and counts what is assigned.
    """

    assigned = False
    session: EventSubSession
    mode = "assign"

    def decide(self, session: EventSubSession, session_id: str) -> None:
        if self.mode == "assign":
            self.assign(session, session_id)
        elif self.mode == "drop":
            session.drop(session_id, "the assignment was refused")

    def assign(self, session: EventSubSession, session_id: str) -> None:
        before = session.status()
        session.assigned(session_id)
        self.assigned = self.assigned or (before.state != "assigned" and session.status().state == "assigned")

    def lost(self, session: EventSubSession, gap: Gap) -> None:
        assert self.assigned, "a gap without a session that was assigned"
        self.assigned = False
        super().lost(session, gap)


class SessionMachine(RuleBasedStateMachine):
    """
    A server, an owner and time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.dialer = FakeDialer(self.clock)
        self.owner = StrictOwner()
        self.owner.answers = self.owner.decide
        self.random = 0.5
        self.number = 0
        self.session = EventSubSession(
            self.dialer, self.clock, lambda: self.random, lambda: URL, lambda: 10, self.owner, "shard 0"
        )
        self.paused = False

    @initialize(assigned=st.sampled_from([True, True, False]))
    def begin(self, assigned: bool) -> None:
        self.session.start()
        if assigned:
            self.welcomes(0, 10, carried=False)

    def sockets(self) -> list[FakeSocket]:
        """
        Those that Twitch can do something with, the newest first.
        """
        return self.dialer.live[::-1]

    def fresh(self) -> list[FakeSocket]:
        """
        Those without a session, the newest first.
        """
        return [each for each in self.sockets() if not any("session_welcome" in text for text in each.said)]

    def welcomed(self) -> list[FakeSocket]:
        """
        Those with one.
        """
        return [each for each in self.sockets() if any("session_welcome" in text for text in each.said)]

    def say(self, socket: FakeSocket, text: str) -> None:
        if not socket.is_open:
            socket.open()
        if socket.live:
            socket.say(text)

    @precondition(lambda self: self.fresh())
    @rule(choice=CHOICES)
    def opens(self, choice: int) -> None:
        socket = self.fresh()[choice % len(self.fresh())]
        if not socket.is_open:
            socket.open()

    @precondition(lambda self: self.fresh())
    @rule(choice=CHOICES, keepalive=KEEPALIVES, carried=st.booleans())
    def welcomes(self, choice: int, keepalive: object, carried: bool) -> None:
        """
        Twitch welcomes, with the id of the session there is or with another.
        """
        # The last one that there was, if there is none now.
        known = self.session.status().session_id or (self.owner.welcomes[-1] if self.owner.welcomes else "")
        self.number += 1
        socket = self.fresh()[choice % len(self.fresh())]
        self.say(socket, welcome(known if carried and known else f"session-{self.number}", keepalive))

    @precondition(lambda self: self.fresh() and self.session.status().session_id)
    @rule()
    def moves(self) -> None:
        """
        Twitch welcomes a session on its new connection.
        """
        self.welcomes(0, 10, carried=True)

    @precondition(lambda self: self.welcomed())
    @rule(choice=CHOICES, url=URLS)
    def asks_to_move(self, choice: int, url: object) -> None:
        self.say(self.welcomed()[choice % len(self.welcomed())], reconnect("whatever", url))

    @precondition(lambda self: self.sockets())
    @rule(choice=CHOICES, kind=st.sampled_from(["session_keepalive", "notification", "revocation", "something_new"]))
    def says(self, choice: int, kind: str) -> None:
        self.number += 1
        self.say(self.sockets()[choice % len(self.sockets())], message(kind, number=self.number))

    @precondition(lambda self: self.sockets())
    @rule(choice=CHOICES, text=GARBAGE)
    def says_garbage(self, choice: int, text: str) -> None:
        self.say(self.sockets()[choice % len(self.sockets())], text)

    @precondition(lambda self: self.sockets())
    @rule(choice=CHOICES, code=CODES)
    def ends(self, choice: int, code: int | None) -> None:
        socket = self.sockets()[choice % len(self.sockets())]
        socket.end(code if socket.is_open else None)

    @rule(mode=st.sampled_from(["assign", "assign", "drop", "wait"]))
    def decides(self, mode: str) -> None:
        """
        The owner assigns at once, refuses at once, or takes its time.
        """
        self.owner.mode = mode

    @precondition(lambda self: self.owner.welcomes)
    @rule(stale=st.booleans())
    def assigns(self, stale: bool) -> None:
        """
        A confirmation arrives, perhaps for a session that is gone.
        """
        welcomes = self.owner.welcomes
        self.owner.assign(self.session, welcomes[-2 if stale and len(welcomes) > 1 else -1])

    @precondition(lambda self: self.owner.welcomes)
    @rule(stale=st.booleans())
    def drops(self, stale: bool) -> None:
        welcomes = self.owner.welcomes
        self.session.drop(welcomes[-2 if stale and len(welcomes) > 1 else -1], "the conduit is gone")

    @rule(fails=st.booleans())
    def raises(self, fails: bool) -> None:
        self.owner.fault = ValueError("a defect of the owner") if fails else None

    @precondition(lambda self: not self.paused)
    @rule()
    def pauses(self) -> None:
        self.session.pause()
        self.paused = True

    @precondition(lambda self: self.paused)
    @rule()
    def resumes(self) -> None:
        self.session.resume()
        self.paused = False

    @rule(seconds=TIMES, random=st.sampled_from([0.0, 0.5, 0.999]))
    def waits(self, seconds: float, random: float) -> None:
        self.random = random
        self.clock.advance(seconds)

    @invariant()
    def at_most_two_sockets(self) -> None:
        assert len(self.dialer.live) <= 2, self.dialer.live

    @invariant()
    def one_is_current(self) -> None:
        """
        A session that is assigned, or to be, is on a socket that is read; without one, the next dialling is due.
        """
        status = self.session.status()
        assert status.paused == self.paused
        assert status.state in ("waiting", "connecting", "welcomed", "assigned")
        assert bool(status.session_id) == (status.state in ("welcomed", "assigned"))
        staying = [each for each in self.dialer.sockets if not each.told and not each.closing and not each.aborted]
        if status.state == "waiting":
            # What is paused is closed when nothing waits in it any more.
            assert self.paused or not staying
            assert self.clock.getDelayedCalls()
        else:
            most = 2 if status.state == "assigned" or self.paused else 1
            assert 1 <= len(staying) <= most

    @invariant()
    def each_gap_is_told_once(self) -> None:
        status = self.session.status()
        assert self.owner.assigned == (status.state == "assigned")
        assert status.losses == len(self.owner.gaps)

    def teardown(self) -> None:
        """
        A server that does as it should is found again; then every connection ends.
        """
        if not self.dialer.sockets:
            return
        self.owner.mode, self.owner.fault = "assign", None
        if self.number % 2:
            # Stopped in the middle of it.
            self._stop()
            return
        self.session.resume()
        self._every_message_arrived()
        for _ in range(200):
            if self.session.status().state == "assigned":
                break
            for socket in self.dialer.live:
                if not socket.is_open:
                    socket.open()
                    self.number += 1
                    socket.say(welcome(f"session-{self.number}"))
            self.clock.advance(1.0)
        assert self.session.status().state == "assigned"
        self._stop()

    def _stop(self) -> None:
        stopped = self.session.stop()
        self.clock.pump([0.0, 1.0, 1.0, 0.0])
        assert stopped.called and not self.dialer.live
        # The sockets of this test have delayed calls of their own.
        assert not [call for call in self.clock.getDelayedCalls() if call.func.__self__ not in self.dialer.sockets]
        assert self.session.status().state == "stopped"

    def _every_message_arrived(self) -> None:
        """
        What was sent on a socket that was not aborted is handed on, once and in its order.
        """
        handed: list[Frame] = self.owner.frames
        for socket in self.dialer.sockets:
            numbers = [text for text in socket.said if '"m-' in text and "m-session" not in text]
            if not socket.aborted:
                ids = [text.partition('"message_id": "')[2].partition('"')[0] for text in numbers]
                assert [frame.message_id for frame in handed if frame.message_id in ids] == ids


class SessionMachineTests(SynchronousTestCase):
    """
    The model above.
    """

    def test_any_order(self) -> None:
        """
        There are at most two sockets, one of which is current; each gap is told once, every message of a socket that
        was not aborted is handed on, a session is had again in the end, and nothing is left after a stop.
        """
        run_state_machine_as_test(
            SessionMachine, settings=settings(max_examples=examples(300), stateful_step_count=40, deadline=None)
        )
        self.flushLoggedErrors(ValueError)
