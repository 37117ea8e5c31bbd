"""
Tests of :mod:`itsjustintv.app.admin_sources`, as far as the running daemon does not show it.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.app.admin_sources import AdminSources
from itsjustintv.config.sections import CONDUIT
from itsjustintv.twitch.eventsub.session import SessionStatus
from itsjustintv.twitch.eventsub.shards import ShardStatus

NOW = 1_767_322_800.0

SESSION = SessionStatus(
    state="assigned",
    since=NOW,
    session_id="a-session",
    last_frame=NOW + 2.0,
    paused=False,
    losses=1,
    moves=2,
    reason="silence",
    code=4005,
)


class TransportTests(SynchronousTestCase):
    """
    How messages arrive.
    """

    def setUp(self) -> None:
        self.shards = [ShardStatus(id="0", enabled=True, standing_by=False, session=SESSION)]
        self.ahead = 0.0
        self.problem: str | None = None
        conduit = SimpleNamespace(
            shards=SimpleNamespace(status=lambda: self.shards, conduit_id="a-conduit"),
            frames=SimpleNamespace(held=3),
        )
        context: Any = SimpleNamespace(
            reactor=SimpleNamespace(seconds=lambda: NOW),
            config=lambda: SimpleNamespace(twitch=SimpleNamespace(transport=CONDUIT)),
            clock_jumps=SimpleNamespace(ahead=self.ahead),
        )
        subscriptions: Any = SimpleNamespace(
            conduit=conduit,
            reconciler=SimpleNamespace(methods={"webhook", "conduit"}),
            conduit_problem=lambda: self.problem,
        )
        nothing: Any = None
        self.clock_jumps = context.clock_jumps
        self.sources = AdminSources(context, nothing, nothing, subscriptions, nothing, nothing)

    def state(self, **changes: Any) -> str:
        """
        The state in the view of a shard with a session like this.
        """
        self.shards = [evolve(self.shards[0], **changes)]
        return self.sources.transport().shards[0].state

    def test_what_is_shown(self) -> None:
        """
        Everything that is known, by the clock of the machine.
        """
        self.clock_jumps.ahead = 60.0
        view = self.sources.transport()
        self.assertEqual(
            (view.method, view.used, view.conduit_id, view.held), (CONDUIT, [CONDUIT, "webhook"], "a-conduit", 3)
        )
        [shard] = view.shards
        self.assertEqual((shard.since, shard.last_frame_at), ("2026-01-02T03:01:00.000Z", "2026-01-02T03:01:02.000Z"))
        self.assertEqual((shard.losses, shard.moves, shard.reason, shard.code), (1, 2, "silence", 4005))

    def test_states(self) -> None:
        """
        What the daemon knows of a shard comes before what its session says: a session that is not assigned to the
        conduit in use receives nothing.
        """
        self.assertEqual(self.state(), "enabled")
        self.assertEqual(self.state(enabled=False), "assigning")
        for state, shown in (("welcomed", "assigning"), ("connecting", "connecting"), ("waiting", "waiting")):
            self.assertEqual(self.state(session=evolve(SESSION, state=state)), shown)
        self.assertEqual(self.state(standing_by=True, session=evolve(SESSION, state="stopped")), "standing_by")

    def test_what_reloads_the_page(self) -> None:
        """
        A change of a state does, and a frame after half a minute, but not each frame.
        """
        mark = self.sources._transport_mark
        before = mark()
        self.shards = [evolve(self.shards[0], session=evolve(SESSION, last_frame=NOW + 12.0))]
        self.assertEqual(mark(), before)
        self.shards = [evolve(self.shards[0], session=evolve(SESSION, last_frame=NOW + 32.0))]
        self.assertNotEqual(mark(), before)
        self.shards = [ShardStatus(id="0", enabled=False, standing_by=False, session=SESSION)]
        self.assertNotEqual(mark(), before)
        self.shards = [ShardStatus(id="0", enabled=True, standing_by=False, session=evolve(SESSION, last_frame=None))]
        self.assertNotEqual(mark(), before)
