"""
Tests of :mod:`itsjustintv.twitch.followers`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from itsjustintv.errors import TwitchRejected, TwitchUnavailable
from itsjustintv.interfaces import IKeyValues
from itsjustintv.twitch.api.lookups import Lookups
from itsjustintv.twitch.followers import Followers
from tests.doubles import MemoryLastKnown
from tests.twitch.fake import HANG, NOW, Asked, FakeTwitch, Reply, World, run

PATH = "/helix/channels/followers"


class FollowersTests(SynchronousTestCase):
    """
    Where a total comes from.
    """

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.clock, self.twitch = self.world.clock, self.world.twitch
        self.memory = MemoryLastKnown()
        verifyObject(IKeyValues, self.memory)
        self.totals = {"42": 1000, "43": 2000, "44": 3000}
        self.twitch.usual[PATH] = self.answer
        self.followers = self.new()

    def new(self, **changes: Any) -> Followers:
        """
        As after a start of the process.
        """
        directory = Lookups(self.world.helix, self.clock, self.world.pace)
        return Followers(directory.followers, self.world.bucket, self.world.pace, self.memory, self.clock, **changes)

    def answer(self, asked: Asked) -> Reply:
        """
        What Helix says.
        """
        [user_id] = asked.values("broadcaster_id")
        return Reply(200, {"total": self.totals[user_id]})

    def total(self, user_id: str = "42") -> int:
        """
        The total, now.
        """
        return self.successResultOf(run(self.followers.total(user_id)))

    def asked(self) -> list[str]:
        """
        For whom Helix was asked.
        """
        return [each.values("broadcaster_id")[0] for each in self.twitch.to(PATH)]

    def drain(self, points: int) -> None:
        """
        Let others use the bucket up, but for some points.
        """
        for _ in range(self.world.bucket.limit - points):
            self.world.bucket.lost(self.successResultOf(self.world.bucket.take()))

    def test_a_fresh_total_costs_nothing(self) -> None:
        """
        Within ten minutes Helix is asked once.
        """
        self.assertEqual(self.total(), 1000)
        self.totals["42"] = 1001
        self.clock.advance(599)
        self.assertEqual(self.total(), 1000)
        self.clock.advance(1)
        self.assertEqual(self.total(), 1001)
        self.assertEqual(self.asked(), ["42", "42"])

    def test_a_total_survives_a_restart(self) -> None:
        """
        What was kept ten minutes ago is fresh enough to be used, and what is older serves when Helix does not.
        """
        self.total()
        self.assertEqual(self.memory.values, {"followers": {"42": (1000, NOW)}})
        self.followers = self.new()
        self.clock.advance(599)
        self.assertEqual(self.total(), 1000)
        self.assertEqual(self.asked(), ["42"])
        self.drain(100)
        self.clock.advance(1)
        self.assertEqual(self.total(), 1000)
        self.assertEqual(self.asked(), ["42"])

    def test_points_are_left_to_more_important_calls(self) -> None:
        """
        With half of the limit left nothing is asked: what is known is used, and without it there is none.
        """
        self.memory.values["followers"] = {"42": (900, NOW - 1e6)}
        self.drain(400)
        self.assertEqual(self.total(), 900)
        self.failureResultOf(run(self.followers.total("43")), TwitchUnavailable)
        self.assertEqual(self.asked(), [])

    def test_a_slow_helix_is_not_waited_for_if_something_is_known(self) -> None:
        """
        After a second the last known total is used; the answer is kept when it comes.
        """
        self.memory.values["followers"] = {"42": (900, NOW - 1e6)}
        self.twitch.then(PATH, HANG)
        asking = run(self.followers.total("42"))
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(asking), 900)
        [request] = self.twitch.hanging
        request.write(FakeTwitch.answer(request, Reply(200, {"total": 1000})))
        request.finish()
        self.world.stub.flush()
        self.assertEqual(self.total(), 1000)
        self.assertEqual(self.asked(), ["42"])

    def test_a_slow_helix_is_waited_for_if_nothing_is_known(self) -> None:
        """
        How long is up to who asks.
        """
        self.twitch.then(PATH, HANG)
        asking = run(self.followers.total("42"))
        self.clock.advance(4)
        self.assertNoResult(asking)
        self.clock.advance(1)
        self.failureResultOf(asking, TwitchUnavailable)

    def test_a_failing_helix_is_made_up_for(self) -> None:
        """
        The last known total stands in for an error, of either kind.
        """
        self.memory.values["followers"] = {"42": (900, NOW - 1e6)}
        for reply in (Reply(500), Reply(400)):
            self.twitch.then(PATH, reply)
            self.assertEqual(self.total(), 900)
        self.twitch.then(PATH, Reply(400))
        self.failureResultOf(run(self.followers.total("43")), TwitchRejected)

    def test_one_question_for_everybody(self) -> None:
        """
        Two who want the same total at the same time cost one point.
        """
        self.twitch.then(PATH, HANG)
        both = [run(self.followers.total("42")) for _ in range(2)]
        [request] = self.twitch.hanging
        request.write(FakeTwitch.answer(request, Reply(200, {"total": 1000})))
        request.finish()
        self.world.stub.flush()
        self.assertEqual([self.successResultOf(each) for each in both], [1000, 1000])

    def test_a_broken_memory_does_no_harm(self) -> None:
        """
        Totals are had without it.
        """
        self.memory.broken = "broken"
        self.assertEqual(self.total(), 1000)

    def test_memory_is_bounded(self) -> None:
        """
        The channel that was not asked for the longest is forgotten.
        """
        self.followers = self.new(capacity=2)
        self.memory.broken = "broken"
        for user_id in ("42", "43", "42", "44", "42", "43"):
            self.total(user_id)
        self.assertEqual(self.asked(), ["42", "43", "44", "43"])

    def test_what_is_no_longer_fresh_is_refreshed_quietly(self) -> None:
        """
        While hardly anything else is asked, totals are renewed one by one, so that events find them fresh; when it
        stops, nothing is scheduled.
        """
        self.followers.startService()
        self.total("42")
        self.clock.pump([1.0] * 100)
        self.total("43")
        self.clock.pump([1.0] * 499)
        self.assertEqual(self.asked(), ["42", "43"])
        self.totals["42"] = 1001
        self.clock.pump([1.0] * 2)
        self.assertEqual(self.asked(), ["42", "43", "42"])
        self.assertEqual(self.total("42"), 1001)
        self.clock.pump([1.0] * 100)
        self.assertEqual(self.asked(), ["42", "43", "42", "43"])
        self.followers.stopService()
        self.followers.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_is_refreshed_while_others_ask(self) -> None:
        """
        Refreshing leaves three quarters of the limit alone.
        """
        self.total()
        self.clock.advance(600)
        self.drain(300)
        self.followers.startService()
        self.addCleanup(self.followers.stopService)
        self.clock.pump([1.0] * 20)
        self.assertEqual(self.asked(), ["42"])
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.asked(), ["42", "42"])

    def test_nothing_is_refreshed_in_a_busy_minute(self) -> None:
        """
        Nor does it while much was spent on events, however much is left.
        """
        self.total()
        self.clock.advance(600)
        for _ in range(200):
            self.world.pace.spend()
        self.followers.startService()
        self.addCleanup(self.followers.stopService)
        self.clock.pump([1.0] * 59)
        self.assertEqual(self.asked(), ["42"])
        self.clock.pump([1.0] * 2)
        self.assertEqual(self.asked(), ["42", "42"])

    def test_a_refreshment_that_fails_does_not_hold_up_others(self) -> None:
        """
        The loop goes on with the next channel, and the total comes back from what was kept.
        """
        self.total("42")
        self.total("43")
        self.clock.advance(600)
        self.twitch.then(PATH, Reply(400))
        self.followers.startService()
        self.addCleanup(self.followers.stopService)
        self.clock.pump([1.0] * 2)
        self.assertEqual(self.asked(), ["42", "43", "42", "43"])
        self.drain(100)
        self.assertEqual(self.total("42"), 1000)

    def test_nothing_known_nothing_refreshed(self) -> None:
        """
        Without totals the loop does nothing.
        """
        self.followers.startService()
        self.addCleanup(self.followers.stopService)
        self.clock.pump([1.0] * 3)
        self.assertEqual(self.asked(), [])
