"""
Tests of :mod:`itsjustintv.twitch.api.batching`, alone and with everything that keeps to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import TwitchUnavailable
from itsjustintv.twitch.api.batching import BatchInterval
from itsjustintv.twitch.api.lookups import Lookups
from itsjustintv.twitch.followers import Followers
from tests.doubles import MemoryLastKnown
from tests.twitch.fake import Asked, Reply, World, run


class BatchIntervalTests(SynchronousTestCase):
    """
    When there is more to spend than must be.
    """

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.clock, self.bucket = self.world.clock, self.world.bucket
        self.pace = BatchInterval(self.bucket, self.clock)

    def test_prompt_while_little_is_spent(self) -> None:
        """
        Calls follow each other closely, until a quarter of the limit was spent within a minute, and again afterwards.
        """
        prompt = self.pace.interval()
        for _ in range(200):
            self.assertTrue(self.pace.has_spare_points())
            self.pace.spend()
            self.clock.advance(0.1)
        self.assertFalse(self.pace.has_spare_points())
        self.assertGreater(self.pace.interval(), 5 * prompt)
        self.clock.advance(60)
        self.assertEqual((self.pace.has_spare_points(), self.pace.interval()), (True, prompt))

    def test_others_spend_too(self) -> None:
        """
        With half of the bucket left nobody is generous, whoever has used the rest.
        """
        for _ in range(399):
            self.bucket.lost(self.successResultOf(self.bucket.take()))
        self.assertTrue(self.pace.has_spare_points())
        for _ in range(2):
            self.bucket.lost(self.successResultOf(self.bucket.take()))
        self.assertFalse(self.pace.has_spare_points())


class MinuteTests(SynchronousTestCase):
    """
    A minute in which many streamers go live, with all that asks about them.
    """

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.clock, self.twitch = self.world.clock, self.world.twitch
        for path, name in (("users", "id"), ("channels", "broadcaster_id"), ("streams", "user_id")):
            self.twitch.usual[f"/helix/{path}"] = lambda asked, name=name: Reply(  # type: ignore[misc]
                200, {"data": [{"id": each, "broadcaster_id": each, "user_id": each} for each in asked.values(name)]}
            )
        self.twitch.usual["/helix/channels/followers"] = self.count
        self.directory = Lookups(self.world.helix, self.clock, self.world.pace)
        self.followers = Followers(
            self.directory.followers, self.world.bucket, self.world.pace, MemoryLastKnown(), self.clock
        )

    def count(self, asked: Asked) -> Reply:
        """
        Everybody has as many followers.
        """
        return Reply(200, {"total": 100})

    def look_up(self, user_id: str) -> Deferred[Any]:
        """
        Ask what enrichment asks; nobody minds that there are no followers.
        """
        run(self.followers.total(user_id)).addErrback(lambda failure: failure.trap(TwitchUnavailable))
        directory = self.directory
        return gatherResults([directory.user(user_id), directory.channel(user_id), directory.stream(user_id)])

    def points(self) -> int:
        """
        What was asked of Helix.
        """
        return sum(asked.path.startswith("/helix/") for asked in self.twitch.asked)

    def test_a_minute_is_enough_for_any_number(self) -> None:
        """
        However many go live within a minute, everything about each but the followers is known a third of a second
        later, for 800 points in all.
        """
        waiting: list[tuple[float, Deferred[Any]]] = []
        for number in range(2000):
            waiting.append((self.clock.seconds(), self.look_up(str(number))))
            self.clock.advance(0.03)
            while waiting and waiting[0][1].called:
                self.successResultOf(waiting.pop(0)[1])
            if waiting:
                self.assertLess(self.clock.seconds() - waiting[0][0], 0.35)
        self.assertLessEqual(self.points(), 800)

    def test_followers_alone_keep_to_their_share(self) -> None:
        """
        A point for each channel is not spent on more than a quarter of the limit within a minute.
        """
        for number in range(300):
            run(self.followers.total(str(number))).addErrback(lambda failure: failure.trap(TwitchUnavailable))
            self.clock.advance(0.15)
        self.assertEqual(self.points(), 200)

    def test_two_at_nearly_the_same_time(self) -> None:
        """
        On a quiet day the second of two does not wait for the interval of a crowd.
        """
        first = self.look_up("1")
        self.clock.advance(0.01)
        self.successResultOf(first)
        second = self.look_up("2")
        self.clock.advance(0.02)
        self.successResultOf(second)
