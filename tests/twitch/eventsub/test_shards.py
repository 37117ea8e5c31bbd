"""
Tests of :mod:`itsjustintv.twitch.eventsub.shards`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from math import inf
from pathlib import Path
from typing import Any

import orjson
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import CONDUIT, WEBHOOK, Twitch
from itsjustintv.config.sections import Conduit as ConduitSettings
from itsjustintv.errors import TwitchError, TwitchRejected, TwitchUnavailable
from itsjustintv.twitch.eventsub.conduits_api import Conduit, ConduitGone, Shard, TooManyConduits
from itsjustintv.twitch.eventsub.messages import Frame, parse_frame
from itsjustintv.twitch.eventsub.session import Gap, SessionStatus
from itsjustintv.twitch.eventsub.shards import ShardService
from itsjustintv.twitch.eventsub.transport import ConduitTransport
from tests.twitch.fake import at_once

NOW = 1_767_322_800.0


@define(eq=False)
class FakeSession:
    """
    A session that does what a test says.
    """

    owner: Any
    name: str
    running: bool = False
    paused: bool = False
    current: str = ""
    moves: int = 0
    calls: list[tuple[str, str]] = field(factory=list)

    def start(self) -> None:
        """
        Dial.
        """
        self.running = True

    def stop(self) -> Deferred[None]:
        """
        End.
        """
        self.running, self.current = False, ""
        return succeed(None)

    def welcome(self, session_id: str) -> None:
        """
        Twitch says welcome.
        """
        self.current = session_id
        self.owner.welcomed(self, session_id)

    def lose(self, since: float = 0.0, code: int | None = 4006) -> None:
        """
        The connection ends, so many seconds after the last frame.
        """
        self.current = ""
        self.owner.lost(self, Gap(self.owner._clock.seconds() - since, "the connection was closed", code))

    def assigned(self, session_id: str) -> None:
        """
        The assignment was confirmed.
        """
        self.calls.append(("assigned", session_id))

    def holds(self, session_id: str) -> bool:
        """
        Whether it is the current one.
        """
        return session_id == self.current

    def drop(self, session_id: str, reason: str) -> None:
        """
        The assignment failed.
        """
        self.calls.append(("drop", reason))
        if session_id == self.current:
            self.current = ""

    def pause(self) -> None:
        """
        Stop reading.
        """
        self.paused = True

    def resume(self) -> None:
        """
        Read on.
        """
        self.paused = False

    def status(self) -> SessionStatus:
        """
        As far as it is asked for.
        """
        return SessionStatus(
            state="assigned" if self.current else "waiting",
            since=NOW,
            session_id=self.current,
            last_frame=None,
            paused=self.paused,
            losses=0,
            moves=self.moves,
            reason="" if self.current else "the connection was closed",
            code=None,
        )


@define(eq=False)
class FakeAPI:
    """
    Twitch's conduits.

    :ivar failing: raised by the next calls, one each.
    :ivar late: fires when the next assignment is answered; ``None`` for at once.
    """

    conduits: dict[str, int] = field(factory=dict)
    assigned: dict[tuple[str, str], str] = field(factory=dict)
    status: dict[tuple[str, str], str] = field(factory=dict)
    faults: dict[str, str] = field(factory=dict)
    failing: list[TwitchError] = field(factory=list)
    calls: list[str] = field(factory=list)
    made: int = 0
    late: Deferred[None] | None = None

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.failing:
            raise self.failing.pop(0)

    async def list(self) -> list[Conduit]:
        """
        All of them.
        """
        self._call("list")
        return [Conduit(id=each, shard_count=size) for each, size in self.conduits.items()]

    async def create(self, shard_count: int) -> Conduit:
        """
        Another one.
        """
        self._call("create")
        self.made += 1
        self.conduits[f"conduit-{self.made}"] = shard_count
        return Conduit(id=f"conduit-{self.made}", shard_count=shard_count)

    async def resize(self, conduit_id: str, shard_count: int) -> Conduit:
        """
        Another size.
        """
        self._call("resize")
        self.conduits[conduit_id] = shard_count
        return Conduit(id=conduit_id, shard_count=shard_count)

    async def shards(self, conduit_id: str) -> Iterable[Shard]:
        """
        All that were ever assigned.
        """
        self._call("shards")
        self._check(conduit_id)
        return [
            Shard(id=shard, status=self.status.get((conduit, shard), "enabled"), session_id=session)
            for (conduit, shard), session in self.assigned.items()
            if conduit == conduit_id
        ]

    async def assign(self, conduit_id: str, sessions: dict[str, str]) -> dict[str, str]:
        """
        Remember, but for the faults.
        """
        self._call("assign")
        self._check(conduit_id)
        for shard, session in sessions.items():
            if shard not in self.faults:
                self.assigned[conduit_id, shard] = session
                self.status.pop((conduit_id, shard), None)
        if self.late is not None:
            await self.late
        return {each: self.faults[each] for each in sessions if each in self.faults}

    def _check(self, conduit_id: str) -> None:
        if conduit_id not in self.conduits:
            raise ConduitGone("there is none", 404)


class ShardTests(SynchronousTestCase):
    """
    The conduit is found or made, and its shards are kept assigned.
    """

    def setUp(self) -> None:
        self.prepare()

    def prepare(self) -> None:
        """
        A daemon that has never run.
        """
        self.clock = Clock()
        self.clock.advance(NOW)
        self.numbers = count(10)
        self.api = FakeAPI()
        self.sessions: list[FakeSession] = []
        self.frames: list[Frame] = []
        self.gaps: list[float] = []
        self.opened: list[ConduitTransport] = []
        self.file = Path(self.mktemp()) / "conduit.json"
        self.settings = Twitch(
            client_id="an-id", transport=CONDUIT, conduit=ConduitSettings(state_file=str(self.file), shards=2)
        )
        self.service = self.make()

    def make(self) -> ShardService:
        """
        Another daemon, with the same files.
        """

        def make_session(owner: Any, name: str) -> Any:
            self.sessions.append(FakeSession(owner, name))
            return self.sessions[-1]

        return ShardService(
            self.api,  # type: ignore[arg-type]
            make_session,
            lambda: self.settings,
            self.clock,
            at_once,
            self.frames.append,
            self.gaps.append,
            self.opened.append,
            self.clock.seconds,
        )

    def start(self) -> tuple[FakeSession, ...]:
        """
        Start, and let both sessions be welcomed.
        """
        self.service.startService()
        for number, each in enumerate(self.sessions):
            each.welcome(f"session-{number}")
        return tuple(self.sessions)

    def test_a_first_start_creates_and_remembers_a_conduit(self) -> None:
        """
        Two shards are assigned to two sessions, and the id is in a private file.
        """
        opening = self.service.when_open()
        self.service.startService()
        self.assertEqual([each.name for each in self.sessions], ["shard 0", "shard 1"])
        self.assertNoResult(opening)
        self.assertIsNone(self.service.transport())
        self.sessions[0].welcome("session-0")
        self.successResultOf(opening)
        self.assertEqual(self.opened, [ConduitTransport("conduit-1")])
        self.assertEqual(self.service.problem(), "1 of 2 shards enabled: the connection was closed")
        self.sessions[1].welcome("session-1")
        self.assertEqual(self.api.assigned, {("conduit-1", "0"): "session-0", ("conduit-1", "1"): "session-1"})
        self.assertEqual(self.sessions[0].calls, [("assigned", "session-0")])
        self.assertIsNone(self.service.problem())
        self.assertEqual(len(self.opened), 1)
        self.assertEqual(orjson.loads(self.file.read_bytes())["conduit_id"], "conduit-1")
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)

    def test_a_restart_uses_the_same_conduit(self) -> None:
        """
        Nothing is created, and another number of shards changes its size.
        """
        self.start()
        self.successResultOf(self.service.stopService())
        self.assertEqual([each.running for each in self.sessions], [False, False])
        self.settings = evolve(self.settings, conduit=evolve(self.settings.conduit, shards=3))
        self.service = self.make()
        self.service.startService()
        self.assertEqual((self.api.made, self.api.conduits), (1, {"conduit-1": 3}))
        self.assertEqual(len(self.sessions), 5)

    def test_a_conduit_that_is_not_remembered_is_not_used(self) -> None:
        """
        Neither one of another program, nor one of another application.
        """
        self.api.conduits["another"] = 2
        self.start()
        self.assertEqual(self.service.conduit_id, "conduit-1")
        self.successResultOf(self.service.stopService())
        self.settings = evolve(self.settings, client_id="another-id")
        self.service = self.make()
        self.service.startService()
        self.assertEqual(self.service.conduit_id, "conduit-2")
        self.assertEqual(self.api.conduits["another"], 2)

    def test_one_that_twitch_has_deleted_is_created_anew(self) -> None:
        """
        After days of absence, and while the daemon runs; then every subscription belongs to the new one.
        """
        self.start()
        self.successResultOf(self.service.stopService())
        self.api.conduits.clear()
        self.service, self.sessions = self.make(), []
        self.start()
        self.assertEqual(self.service.transport(), ConduitTransport("conduit-2"))
        del self.api.conduits["conduit-2"]
        self.clock.pump([60.0])
        self.assertEqual(self.service.transport(), ConduitTransport("conduit-3"))
        self.assertEqual(self.opened[-1], ConduitTransport("conduit-3"))
        self.assertEqual(self.api.assigned["conduit-3", "0"], "session-0")
        self.assertEqual(self.api.assigned["conduit-3", "1"], "session-1")

    def test_a_deletion_that_twitch_tells_is_looked_into_at_once(self) -> None:
        """
        A revocation with the status conduit_deleted is passed on, and another conduit is made.
        """
        first, _ = self.start()
        self.api.conduits.clear()
        text = (
            '{"metadata":{"message_id":"m","message_type":"revocation","message_timestamp":"2026-01-02T03:04:05Z"},'
            '"payload":{"subscription":{"status":"conduit_deleted"}}}'
        )
        first.owner.received(first, parse_frame(text))
        self.assertEqual(self.service.conduit_id, "conduit-2")
        self.assertEqual(len(self.frames), 1)

    def test_each_welcome_is_followed_by_an_assignment(self) -> None:
        """
        After a loss the next session is assigned, and Twitch is asked who is live: at the loss, and when messages
        arrive again.
        """
        first, second = self.start()
        self.gaps.clear()
        first.lose()
        self.assertEqual(len(self.gaps), 1)
        self.assertEqual(self.service.problem(), "1 of 2 shards enabled: the connection was closed")
        self.assertIsNone(self.service.critical())
        second.lose()
        self.clock.advance(5.0)
        deaf = "deaf since 2026-01-02T03:00:00Z because no shard is enabled: the connection was closed"
        self.assertEqual(self.service.critical(), deaf)
        self.gaps.clear()
        first.welcome("session-2")
        self.assertEqual((len(self.gaps), self.api.assigned["conduit-1", "0"]), (1, "session-2"))
        self.assertIsNone(self.service.critical())

    def test_what_happened_is_counted(self) -> None:
        """
        Losses by close code, and the time from the last frame to the next assignment; one gap at a time for a shard.
        """
        first, second = self.start()
        counts = self.service.counts
        self.assertEqual((counts.losses, counts.gap_seconds(), counts.assigned), ({}, 0.0, 2))
        self.clock.advance(30.0)
        first.lose(since=12.0)
        second.lose(code=None)
        self.assertEqual((counts.losses, counts.gap_seconds()), ({4006: 1, None: 1}, 12.0))
        self.clock.advance(1.0)
        self.assertEqual(counts.gap_seconds(), 14.0)
        first.welcome("session-2")
        self.clock.advance(1.0)
        self.assertEqual(counts.gap_seconds(), 15.0)
        self.api.faults = {"1": "the session is unknown"}
        second.welcome("session-3")
        self.assertEqual((counts.assigned, counts.not_assigned, counts.gap_seconds()), (3, 1, 15.0))

    def test_counts_outlive_a_shard(self) -> None:
        """
        Counters never go down: neither when the conduit shrinks nor when another program takes a shard.
        """
        first, second = self.start()
        first.moves, second.moves = 1, 2
        second.lose()
        self.clock.advance(1.0)
        self.settings = evolve(self.settings, conduit=evolve(self.settings.conduit, shards=1))
        self.service.refresh()
        self.clock.advance(1.0)
        self.assertEqual((self.service.moves(), self.service.counts.gap_seconds()), (3, 1.0))
        first.lose()
        self.api.assigned["conduit-1", "0"] = "of-another"
        first.welcome("session-2")
        self.clock.advance(10.0)
        self.assertEqual((self.service.moves(), self.service.counts.gap_seconds()), (3, 1.0))
        self.api.status["conduit-1", "0"] = "websocket_disconnected"
        self.clock.pump([50.0])
        self.sessions[-1].moves = 1
        self.clock.advance(2.0)
        self.assertEqual((self.service.moves(), self.service.counts.gap_seconds()), (4, 3.0))

    def test_a_conduit_that_is_gone_is_a_gap(self) -> None:
        """
        For each shard until it is assigned in the next conduit; one that had lost its session before has one gap.
        """
        first, second = self.start()
        counts = self.service.counts
        second.lose()
        self.clock.advance(2.0)
        self.api.conduits.clear()
        self.api.failing = [TwitchUnavailable("503")]
        second.welcome("session-2")
        self.assertEqual((counts.not_assigned, counts.gap_seconds()), (1, 2.0))
        self.api.failing = []
        self.clock.advance(1.0)
        self.assertEqual((self.service.conduit_id, counts.gap_seconds()), ("conduit-2", 3.0))
        self.api.conduits.clear()
        self.clock.pump([27.0, 30.0])
        self.assertEqual((self.service.conduit_id, counts.gap_seconds()), ("conduit-3", 3.0))
        self.api.faults = {"0": "the session is unknown", "1": "the session is unknown"}
        self.api.conduits.clear()
        self.clock.pump([60.0])
        self.assertEqual(self.service.conduit_id, "conduit-4")
        self.clock.advance(5.0)
        self.assertEqual((first.current, counts.gap_seconds()), ("", 13.0))
        self.api.faults = {}
        first.welcome("session-4")
        second.welcome("session-5")
        self.clock.advance(5.0)
        self.assertEqual(counts.gap_seconds(), 13.0)

    def test_deafness_begins_with_the_transport(self) -> None:
        """
        What was received by webhook before is not counted as missed.
        """
        self.settings = evolve(self.settings, transport=WEBHOOK)
        self.service.startService()
        self.assertEqual((self.service.critical(), self.service.configured()), (None, 0))
        self.clock.advance(3600.0)
        self.settings = evolve(self.settings, transport=CONDUIT)
        self.service.refresh()
        self.assertIn("deaf since 2026-01-02T04:00:00Z", self.service.critical() or "")
        self.assertEqual(self.service.configured(), 2)
        self.clock.advance(60.0)
        self.service.refresh()
        self.assertIn("deaf since 2026-01-02T04:00:00Z", self.service.critical() or "")
        for transport in (WEBHOOK, CONDUIT):
            self.settings = evolve(self.settings, transport=transport)
            self.service.refresh()
        self.assertIn("deaf since 2026-01-02T04:01:00Z", self.service.critical() or "")

    def test_a_shard_of_another_program_is_named(self) -> None:
        """
        With one taken of two the daemon is not deaf, and it says which it does not receive.
        """
        self.start()
        self.api.assigned["conduit-1", "1"] = "of-another"
        self.clock.pump([60.0])
        self.assertIsNone(self.service.critical())
        reason = "1 of 2 shards enabled: another program receives the messages of shard 1"
        self.assertEqual(self.service.problem(), reason)

    def test_an_assignment_that_fails(self) -> None:
        """
        A passing failure is tried again each second; a refusal lets the session go, as does an error of this shard.
        """
        self.service.startService()
        first, second = self.sessions
        self.api.failing = [TwitchUnavailable("503"), TwitchUnavailable("503")]
        first.welcome("session-0")
        self.assertEqual(first.calls, [])
        self.clock.pump([1.0, 1.0])
        self.assertEqual(first.calls, [("assigned", "session-0")])
        self.api.failing = [TwitchRejected("not allowed", 401)]
        second.welcome("session-1")
        self.api.faults = {"1": "the session is unknown"}
        second.welcome("session-2")
        self.assertEqual(
            second.calls, [("drop", "not allowed"), ("drop", "Twitch did not assign it: the session is unknown")]
        )

    def test_a_session_that_is_lost_is_not_assigned_any_more(self) -> None:
        """
        What was tried again for it ends with it, although no gap began with it.
        """
        self.service.startService()
        first, _ = self.sessions
        self.api.failing = [TwitchUnavailable("503")]
        first.welcome("session-0")
        first.drop("session-0", "the session was not assigned within 8 s")
        self.clock.advance(1.0)
        self.assertEqual(self.api.assigned, {})
        self.assertEqual(self.clock.getDelayedCalls(), self.looks())

    def test_an_answer_that_comes_too_late_assigns_nothing(self) -> None:
        """
        The session is gone by then: the shard is not enabled, and its gap lasts until the next one is assigned.
        """
        first, second = self.start()
        second.lose()
        first.lose()
        self.api.late = late = Deferred()
        first.welcome("session-2")
        first.drop("session-2", "the session was not assigned within 8 s")
        self.gaps.clear()
        self.api.late = None
        late.callback(None)
        self.assertIn("deaf since", self.service.critical() or "")
        self.assertEqual(self.gaps, [])
        first.welcome("session-3")
        self.assertIsNone(self.service.critical())
        self.assertEqual(len(self.gaps), 1)

    def looks(self) -> list[Any]:
        """
        What is due while nothing is tried again: the next look at the shards.
        """
        return [each for each in self.clock.getDelayedCalls() if each.getTime() > self.clock.seconds() + 10.0]

    def test_five_conduits_are_the_most(self) -> None:
        """
        Then they are named, with the command that deletes one.
        """
        self.api.conduits = {"a": 1, "b": 2}
        self.api.failing = [TooManyConduits("maximum reached", 429)]
        self.service.startService()
        problem = self.service.critical() or ""
        self.assertIn("(a, b)", problem)
        self.assertIn("itsjustintv conduits delete", problem)
        self.clock.advance(10.0)
        self.assertEqual(self.service.conduit_id, "conduit-1")

    def test_another_daemon_takes_the_shards(self) -> None:
        """
        The later one wins: the earlier stands by, and takes them back when they are free.
        """
        first, second = self.start()
        for shard in ("0", "1"):
            self.api.assigned["conduit-1", shard] = f"of-another-{shard}"
        self.clock.pump([60.0])
        self.assertEqual([each.running for each in (first, second)], [False, False])
        self.assertEqual(self.service.critical(), "standing by: another program receives the messages of this conduit")
        self.clock.pump([60.0] * 3)
        self.assertEqual(first.running, False)
        for shard in ("0", "1"):
            self.api.status["conduit-1", shard] = "websocket_disconnected"
        self.clock.pump([60.0])
        self.assertEqual([each.running for each in self.sessions], [False, False, True, True])
        self.gaps.clear()
        self.sessions[2].welcome("session-7")
        self.assertEqual(self.api.assigned["conduit-1", "0"], "session-7")
        # Two minutes before it was last seen with the other one; a loss afterwards has nothing to do with that.
        self.assertEqual(self.gaps, [60.0 + 120.0])
        self.sessions[2].lose()
        self.assertEqual(self.gaps[1:], [inf])

    def test_whether_another_daemon_has_the_messages(self) -> None:
        """
        Asked of Twitch at that moment: only if it has every shard; and not if Twitch does not answer.
        """
        self.assertFalse(self.successResultOf(Deferred.fromCoroutine(self.service.stands_by())))
        self.start()
        for shard, taken in (("0", False), ("1", True)):
            self.api.assigned["conduit-1", shard] = "of-another"
            self.assertEqual(self.successResultOf(Deferred.fromCoroutine(self.service.stands_by())), taken)
        self.api.failing = [TwitchUnavailable("503")]
        self.assertFalse(self.successResultOf(Deferred.fromCoroutine(self.service.stands_by())))

    def test_a_loss_does_not_take_a_shard_back(self) -> None:
        """
        A session that ends because another daemon was assigned does not begin a quarrel.
        """
        first, _ = self.start()
        self.api.assigned["conduit-1", "0"] = "of-another"
        first.lose()
        first.welcome("session-2")
        self.assertEqual(self.api.assigned["conduit-1", "0"], "of-another")
        self.assertFalse(first.running)

    def test_a_shard_that_twitch_has_disabled_is_dialled_anew(self) -> None:
        """
        What Twitch says counts, once it can have noticed the assignment.
        """
        first, second = self.start()
        self.api.status["conduit-1", "0"] = "websocket_failed_ping_pong"
        self.clock.pump([59.0])
        self.assertEqual(len(first.calls), 1)
        self.clock.pump([1.0])
        self.assertEqual(first.calls[1:], [("drop", "Twitch lists the shard as websocket_failed_ping_pong")])
        self.assertEqual(len(second.calls), 1)

    def test_reading_pauses_everywhere(self) -> None:
        """
        Every session, those that come later included.
        """
        self.service.startService()
        self.service.pause(True)
        self.settings = evolve(self.settings, conduit=evolve(self.settings.conduit, shards=3))
        self.service.refresh()
        self.assertEqual([each.paused for each in self.sessions], [True, True, True])
        self.service.pause(False)
        self.assertEqual([each.paused for each in self.sessions], [False, False, False])

    def test_fewer_shards(self) -> None:
        """
        The conduit shrinks, then the connections that are too many end.
        """
        first, second = self.start()
        self.settings = evolve(self.settings, conduit=evolve(self.settings.conduit, shards=1))
        self.service.refresh()
        self.assertEqual((first.running, second.running), (True, False))
        self.assertEqual(self.api.conduits, {"conduit-1": 1})
        self.assertIsNone(self.service.problem())

    def test_webhooks_need_no_connection(self) -> None:
        """
        Nothing is asked for with that transport; and after a change to it, everything closes when nothing needs it.
        """
        self.settings = evolve(self.settings, transport=WEBHOOK)
        self.service.startService()
        self.assertEqual((self.api.calls, self.sessions, self.service.problem()), ([], [], None))
        self.settings = evolve(self.settings, transport=CONDUIT)
        self.service.refresh()
        for number, each in enumerate(self.sessions):
            each.welcome(f"session-{number}")
        self.successResultOf(self.service.release())
        self.assertTrue(self.sessions[0].running)
        self.settings = evolve(self.settings, transport=WEBHOOK)
        self.service.refresh()
        self.assertTrue(self.sessions[0].running)
        self.successResultOf(self.service.release())
        self.assertEqual([each.running for each in self.sessions], [False, False])
        self.assertEqual(self.service.status(), [])

    def test_a_conduit_that_is_not_wanted_any_more_is_not_opened(self) -> None:
        """
        What failed is not tried again after a change to webhooks, and not said to work.
        """
        self.api.failing = [TwitchUnavailable("503")]
        self.service.startService()
        self.settings = evolve(self.settings, transport=WEBHOOK)
        with capturedLogs() as logs:
            self.service.refresh()
            self.clock.advance(10.0)
        self.assertEqual((list(logs), self.api.calls, self.sessions), ([], ["create"], []))
        self.settings = evolve(self.settings, transport=CONDUIT)
        self.service.refresh()
        self.assertEqual(self.service.conduit_id, "conduit-1")

    def test_a_file_that_cannot_be_used(self) -> None:
        """
        Another conduit is made, and remembered instead.
        """
        self.file.parent.mkdir()
        self.file.write_text("garbage")
        self.start()
        self.assertEqual(orjson.loads(self.file.read_bytes())["conduit_id"], "conduit-1")

    def test_the_conduit_in_use_outlives_its_file(self) -> None:
        """
        Deleted, broken or another one while the daemon runs: the same conduit is used, and the file written again.
        """
        self.start()
        written = self.file.read_bytes()
        moved = self.file.parent / "moved.json"
        spoilt = ((self.file, self.file.unlink), (self.file, lambda: self.file.write_text("{")), (moved, lambda: None))
        for file, spoil in spoilt:
            spoil()
            self.settings = evolve(self.settings, conduit=evolve(self.settings.conduit, state_file=str(file)))
            self.service.refresh()
            self.assertEqual(file.read_bytes(), written)
        self.assertEqual((self.service.conduit_id, self.api.made), ("conduit-1", 1))

    def test_another_application_has_another_conduit(self) -> None:
        """
        Although one is in use; and so it is when no file can say whose it is.
        """
        self.start()
        self.file.write_text("{")
        self.settings = evolve(self.settings, client_id="another-id")
        self.service.refresh()
        self.assertEqual((self.service.conduit_id, self.api.made), ("conduit-2", 2))
        self.assertEqual(orjson.loads(self.file.read_bytes())["client_id"], "another-id")

    def test_a_file_that_cannot_be_written(self) -> None:
        """
        The conduit is used all the same.
        """
        self.file.parent.write_text("not a folder")
        self.start()
        self.assertIsNone(self.service.problem())

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["welcome", "lose", "deleted", "fail", "reject", "taken", "free", "second", "minute"]),
                st.integers(0, 1),
            ),
            max_size=30,
        )
    )
    @settings(deadline=None)
    def test_whatever_happens_it_ends_well(self, steps: list[tuple[str, int]]) -> None:
        """
        After any order of losses, failures and deletions, both shards are assigned to the sessions that live, each loss
        was told, and nothing is left after a stop.
        """
        self.prepare()
        self.service.startService()
        for step, number in (*steps, ("free", 0), *[("minute", 0)] * 3):
            if step in ("welcome", "lose"):
                self.move(step, number)
            else:
                self.disturb(step)
        for _ in range(6):
            self.move("welcome", 0)
            self.move("welcome", 1)
            self.disturb("minute")
        self.assertIsNone(self.service.problem())
        for name, each in self.living().items():
            self.assertEqual(self.api.assigned[self.service.conduit_id, name], each.current)
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def living(self) -> dict[str, FakeSession]:
        """
        The last session of each shard.
        """
        return {each.name.removeprefix("shard "): each for each in self.sessions}

    def move(self, step: str, number: int) -> None:
        """
        Let a session be welcomed or lost, if it can be.
        """
        session = self.living().get(str(number))
        if session is None or not session.running:
            return
        if step == "welcome" and not session.current:
            session.welcome(f"session-{next(self.numbers)}")
        elif step == "lose" and session.current:
            before = len(self.gaps)
            session.lose()
            self.assertEqual(len(self.gaps), before + 1)

    def disturb(self, step: str) -> None:
        """
        Let something happen at Twitch, or time pass.
        """
        if step == "deleted":
            self.api.conduits.clear()
        elif step == "fail":
            self.api.failing.append(TwitchUnavailable("503"))
        elif step == "reject":
            self.api.failing.append(TwitchRejected("no", 400))
        elif step == "taken":
            self.api.assigned.update(dict.fromkeys(self.api.assigned, "of-another"))
        elif step == "free":
            taken = [key for key, session in self.api.assigned.items() if session == "of-another"]
            self.api.status.update(dict.fromkeys(taken, "websocket_disconnected"))
        else:
            self.clock.pump([1.0] * (1 if step == "second" else 61))
