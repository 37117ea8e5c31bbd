"""
Tests of :mod:`itsjustintv.twitch.eventsub.reconciler`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.model import Subscribed
from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.world import rfc3339
from itsjustintv.twitch.eventsub.messages import Revocation
from itsjustintv.twitch.eventsub.secret_rotation import fingerprint
from tests.twitch.subscribed import CALLBACK, SECRET, Scene

ENABLED = ["enabled"]
OTHER = "https://elsewhere.example.net/twitch"
NAME = "eventsub/subscriptions"


class KeeperTestCase(SynchronousTestCase):
    """
    A reconciler and a Twitch.
    """

    def setUp(self) -> None:
        self.scene = Scene(Path(self.mktemp()))
        self.addCleanup(self.scene.stop)

    def lines(self, level: LogLevel, work: Any, *args: Any) -> list[str]:
        """
        What is logged at a level meanwhile.
        """
        with capturedLogs() as events:
            work(*args)
        return [formatEvent(event) for event in events if event["log_level"] is level]

    def foreign(self, broadcaster_id: str, status: str = "enabled") -> str:
        """
        A subscription of somebody else.
        """
        return self.scene.subscription(broadcaster_id, callback=OTHER, status=status).id


class ConvergenceTests(KeeperTestCase):
    """
    What is wanted and what there is become the same.
    """

    def test_everybody_wanted_is_subscribed_to(self) -> None:
        """
        From nothing to an enabled subscription for each streamer, told in numbers.
        """
        self.scene.streamers("tanuki", "mujina")
        lines = self.lines(LogLevel.info, self.scene.start, 30.0)
        self.assertEqual(self.scene.statuses(), {"tanuki": ENABLED, "mujina": ENABLED})
        self.assertIn(
            "subscriptions: 0 of 2 enabled, 2 being verified; 2 created, 0 deleted, 0 failed",
            lines,
        )
        self.assertIn("subscriptions: 2 of 2 enabled, 0 being verified; 0 created, 0 deleted, 0 failed", lines)
        report = self.scene.reconciler.report()
        self.assertEqual((report.wanted, report.enabled, report.pending, report.broken), (2, 2, 0, 0))
        self.assertEqual((report.created, report.total_cost, report.max_total_cost), (2, 2, 10_000))
        self.assertIsNone(self.scene.reconciler.problem())

    def test_how_it_stands_with_each(self) -> None:
        """
        After a look it is known of each streamer whether events arrive, and if not, why; of nobody else.
        """
        tanuki, mujina = self.scene.streamers("tanuki", "mujina")
        self.assertIsNone(self.scene.reconciler.state(tanuki))
        self.scene.start(0.5)
        self.assertEqual(self.scene.reconciler.state(tanuki), (Subscribed.PENDING, "Twitch is verifying the callback"))
        self.scene.let_pass(30.0)
        self.assertEqual(self.scene.reconciler.state(mujina), (Subscribed.ENABLED, ""))
        self.assertIsNone(self.scene.reconciler.state("1"))

    def test_what_is_right_is_left_alone(self) -> None:
        """
        A restart, and every hour after it, only looks.
        """
        self.scene.streamers("tanuki")
        self.scene.start(30.0)
        before = self.scene.find()
        self.scene.restart()
        self.scene.let_pass(5 * 3600.0)
        self.assertEqual(self.scene.find(), before)
        self.assertEqual((self.scene.asked("POST"), self.scene.asked("DELETE")), (1, 0))

    def test_broken_ones_are_replaced_and_unwanted_ones_deleted(self) -> None:
        """
        While those of others stay, whatever their status, and do not count as ours.
        """
        scene = self.scene
        tanuki, mujina = scene.streamers("tanuki", "mujina")
        (kitsune,) = scene.streamers("kitsune", wanted=False)
        scene.subscription(tanuki, status="notification_failures_exceeded")
        scene.subscription(kitsune, status="enabled")
        others = {self.foreign(mujina), self.foreign(tanuki, "notification_failures_exceeded"), self.foreign(kitsune)}
        others.add(scene.subscription(tanuki, type="stream.offline", status="enabled").id)
        lines = self.lines(LogLevel.info, scene.start, 30.0)
        ours = scene.find(lambda each: each.callback == CALLBACK and each.type == "stream.online")
        self.assertEqual({each.broadcaster_id: each.status for each in ours}, {tanuki: "enabled", mujina: "enabled"})
        self.assertLessEqual(others, {each.id for each in scene.find()})
        self.assertTrue([line for line in lines if "of tanuki: Twitch revoked it: too many" in line], lines)
        self.assertTrue([line for line in lines if "no longer configured" in line], lines)

    def test_nobody_is_unwanted_before_it_is_certain_who_is_wanted(self) -> None:
        """
        While ids are missing, what there is stays; it goes soon after they are there, without waiting for the hour.
        """
        (tanuki,) = self.scene.streamers("tanuki", wanted=False)
        self.scene.subscription(tanuki, status="enabled")
        self.scene.certain = False
        self.scene.start(30.0)
        self.assertEqual(len(self.scene.find()), 1)
        self.scene.certain = True
        self.scene.let_pass(60.0)
        self.assertEqual(self.scene.find(), [])

    def test_the_subscription_of_a_removed_streamer_waits_for_the_grace(self) -> None:
        """
        Who returns before it is over still has the same one, and is asked about, since what arrived meanwhile was
        ignored; otherwise it is deleted then. One that does not work is deleted at once.
        """
        scene = self.scene
        tanuki, mujina = scene.streamers("tanuki", "mujina")
        scene.start(30.0)
        before = {each.broadcaster_id: each.id for each in scene.find()}
        scene.wanted.clear()
        scene.ends = dict.fromkeys((tanuki, mujina), scene.clock.seconds() + 600)
        broken = scene.subscription(mujina, status="notification_failures_exceeded").id
        scene.reconciler.reconcile("reloaded")
        scene.let_pass(300.0)
        self.assertEqual({each.broadcaster_id: each.id for each in scene.find()}, before)
        self.assertNotIn(broken, [each.id for each in scene.find()])
        self.assertEqual((scene.reconciler.report().wanted, scene.reconciler.report().enabled), (0, 0))
        scene.wanted[tanuki] = "tanuki"
        scene.gaps.clear()
        scene.reconciler.reconcile("reloaded")
        scene.let_pass(1.0)
        self.assertEqual(scene.gaps, [[tanuki]])
        scene.let_pass(310.0)
        self.assertEqual([each.id for each in scene.find()], [before[tanuki]])

    def test_what_may_return_does_not_take_the_room_of_others(self) -> None:
        """
        Where Twitch allows no more, the subscription of a streamer who was removed makes room at once.
        """
        scene = self.scene
        (tanuki,) = scene.streamers("tanuki")
        scene.start(30.0)
        scene.twitch.subscriptions.max_total_cost = 1
        scene.wanted.clear()
        scene.ends[tanuki] = scene.clock.seconds() + 600
        (mujina,) = scene.streamers("mujina")
        scene.reconciler.reconcile("reloaded")
        scene.let_pass(60.0)
        self.assertEqual([each.broadcaster_id for each in scene.find()], [mujina])

    def test_every_page_counts(self) -> None:
        """
        What is on the last page is not created again.
        """
        self.scene.twitch.subscriptions.per_page = 2
        self.scene.streamers(*"abcdefg")
        self.scene.start(30.0)
        self.scene.restart()
        self.scene.let_pass(30.0)
        self.assertEqual((self.scene.asked("POST"), len(self.scene.find())), (7, 7))

    def test_it_is_done_every_hour_and_a_quarter_at_the_most(self) -> None:
        """
        A round comes each hour, later by a part of a quarter that is drawn each time.
        """
        self.scene.start()
        delays = []
        for hour in range(1, 6):
            before = self.scene.asked("GET")
            self.scene.let_pass(hour * 3600.0 - (self.scene.clock.seconds() - 1_767_322_800.0))
            self.assertEqual(self.scene.asked("GET"), before)
            next_at = self.scene.reconciler.report().next_at
            assert next_at is not None
            delays.append(next_at - self.scene.clock.seconds())
            self.scene.let_pass(delays[-1])
            self.assertEqual(self.scene.asked("GET"), before + 1)
        self.assertTrue(all(0 < delay < 900 for delay in delays), delays)
        self.assertEqual(len(set(delays)), 5)

    def test_a_large_number_is_counted_not_listed(self) -> None:
        """
        With many streamers the log holds a few lines, not one for each.
        """
        self.scene.streamers(*(f"streamer{number}" for number in range(50)))
        lines = self.lines(LogLevel.info, self.scene.start, 60.0)
        self.assertLess(len([line for line in lines if "subscription" in line]), 5)
        self.assertEqual(self.scene.reconciler.report().enabled, 50)


class SecretTests(KeeperTestCase):
    """
    Who signs with what.
    """

    def test_only_a_fingerprint_is_kept(self) -> None:
        """
        On disk there is one keyed number for each subscription, and none for those that are gone.
        """
        self.scene.streamers("tanuki")
        self.scene.start(30.0)
        (made,) = self.scene.find()
        kept = self.scene.last_known.values["subscription"]
        self.assertEqual({key: value for key, (value, _) in kept.items()}, {made.id: fingerprint(SECRET, made.id)})
        self.assertLess(fingerprint(SECRET, made.id), 1 << 63)
        self.scene.wanted.clear()
        self.scene.let_pass(3 * 3600.0)
        self.assertEqual(self.scene.last_known.values["subscription"], {})

    def test_a_subscription_with_an_unknown_secret_is_replaced(self) -> None:
        """
        Nobody can tell what it signs with.
        """
        (tanuki,) = self.scene.streamers("tanuki")
        old = self.scene.subscription(tanuki, status="enabled", secret="nobody-knows")
        self.scene.start(30.0)
        (new,) = self.scene.find()
        self.assertEqual((new.id != old.id, new.secret, new.status), (True, SECRET, "enabled"))

    def test_a_new_secret_replaces_every_subscription(self) -> None:
        """
        Until that is done both verify; afterwards the former counts no more.
        """
        scene = self.scene
        scene.streamers("tanuki", "mujina")
        scene.start(30.0)
        scene.secret = "another-secret"
        self.assertEqual(scene.reconciler.secrets(), [b"another-secret", SECRET.encode()])
        scene.reconciler.reconcile("the configuration has changed")
        scene.let_pass(0.0)
        self.assertEqual(scene.reconciler.secrets(), [b"another-secret", SECRET.encode()])
        scene.let_pass(30.0)
        self.assertEqual({each.secret for each in scene.find()}, {"another-secret"})
        self.assertEqual(scene.statuses(), {"tanuki": ENABLED, "mujina": ENABLED})
        self.assertEqual((scene.reconciler.secrets(), scene.callback.refused), ([b"another-secret"], 0))

    def test_a_new_secret_while_twitch_is_away(self) -> None:
        """
        The former secrets, however many, verify until Twitch can be told.
        """
        scene = self.scene
        scene.streamers("tanuki")
        scene.start(30.0)
        scene.twitch.faults.plan(NAME, then=Behaviour(status=500))
        for secret in ("second-secret", "third-secret", "second-secret"):
            scene.secret = secret
            scene.reconciler.reconcile("the configuration has changed")
            scene.let_pass(60.0)
        self.assertEqual(scene.reconciler.secrets(), [b"second-secret", b"third-secret", SECRET.encode()])
        scene.twitch.faults.plan(NAME)
        scene.let_pass(600.0)
        self.assertEqual(scene.reconciler.secrets(), [b"second-secret"])
        self.assertEqual({each.secret for each in scene.find()}, {"second-secret"})

    def test_a_new_secret_across_a_restart(self) -> None:
        """
        The kept fingerprint shows that the secret is another one.
        """
        self.scene.streamers("tanuki")
        self.scene.start(30.0)
        self.scene.secret = "another-secret"
        self.scene.restart()
        self.scene.let_pass(30.0)
        self.assertEqual([each.secret for each in self.scene.find()], ["another-secret"])

    def test_a_new_callback_moves_every_subscription(self) -> None:
        """
        The former subscription is deleted only once the new one is enabled.
        """
        scene = self.scene
        scene.streamers("tanuki")
        scene.start(30.0)
        scene.callback_url = "https://new.example.net/twitch"
        scene.callback.works = False
        scene.reconciler.reconcile("the configuration has changed")
        scene.let_pass(30.0)
        self.assertEqual(len(scene.find(lambda each: each.callback == CALLBACK and each.status == "enabled")), 1)
        scene.callback.works = True
        scene.let_pass(600.0)
        self.assertEqual([(each.callback, each.status) for each in scene.find()], [(scene.callback_url, "enabled")])

    def test_the_journal_is_away(self) -> None:
        """
        While it is not known which secret is behind what, nothing is replaced; what is created is kept later.
        """
        scene = self.scene
        scene.streamers("tanuki")
        scene.start(30.0)
        scene.last_known.broken = "the disk is full"
        before = scene.find()
        scene.restart()
        scene.let_pass(600.0)
        self.assertEqual(scene.find(), before)
        self.assertIn("the disk is full", scene.reconciler.problem() or "")
        scene.last_known.broken = None
        scene.let_pass(600.0)
        self.assertEqual((scene.find(), scene.reconciler.problem()), (before, None))

    def test_the_journal_goes_away_during_a_round(self) -> None:
        """
        What is created meanwhile is kept when the journal is back, and is not created again.
        """
        scene = self.scene
        scene.streamers("tanuki")
        scene.twitch.faults.plan(NAME, Behaviour(), Behaviour(delay=2.0))
        scene.start(1.0)
        scene.last_known.broken = "the disk is full"
        scene.let_pass(60.0)
        self.assertIn("the disk is full", scene.reconciler.problem() or "")
        scene.last_known.broken = None
        scene.let_pass(300.0)
        scene.restart()
        scene.let_pass(30.0)
        self.assertEqual((scene.asked("POST"), scene.statuses()), (1, {"tanuki": ENABLED}))


class TroubleTests(KeeperTestCase):
    """
    What goes wrong is tried again, said once, and not made worse.
    """

    def test_twitch_is_away(self) -> None:
        """
        Nothing is lost by it: it is said, tried again ever more rarely, and done when Twitch is back.
        """
        self.scene.streamers("tanuki")
        self.scene.twitch.faults.plan(NAME, then=Behaviour(status=500))
        self.scene.start(1800.0)
        self.assertIn("answered 500", self.scene.reconciler.problem() or "")
        self.assertIn("answered 500", self.scene.reconciler.report().last_error or "")
        self.assertTrue(5 < self.scene.asked("GET") < 20, self.scene.asked("GET"))
        self.scene.twitch.faults.plan(NAME)
        self.scene.let_pass(360.0)
        self.assertEqual(self.scene.statuses(), {"tanuki": ENABLED})
        self.assertIsNone(self.scene.reconciler.problem())

    def test_twitch_is_away_for_an_hour(self) -> None:
        """
        All of Twitch fails for an hour, in which one subscription ends without a word and somebody else is wanted: soon
        after it is back everybody is subscribed to, what was right is as it was, and the gap is told.
        """
        scene = self.scene
        tanuki, _ = scene.streamers("tanuki", "mujina")
        scene.start(1800.0)
        kept = {each.broadcaster_id: each for each in scene.find()}
        for away in (Behaviour(status=503), Behaviour(hang=True), Behaviour(drop=True)):
            scene.gaps.clear()
            scene.twitch.faults.usually = away
            scene.change(kept[tanuki].id, status="notification_failures_exceeded")
            (kitsune,) = scene.streamers("kitsune")
            scene.reconciler.reconcile("somebody is wanted")
            scene.let_pass(3600.0)
            self.assertIsNotNone(scene.reconciler.problem())
            scene.twitch.faults.usually = Behaviour()
            scene.let_pass(360.0)
            self.assertEqual(scene.statuses(), dict.fromkeys(("tanuki", "mujina", "kitsune"), ENABLED))
            self.assertIsNone(scene.reconciler.problem())
            now = {each.broadcaster_id: each for each in scene.find()}
            self.assertEqual(
                {each: now[each] for each in kept if each != tanuki},
                {each: kept[each] for each in kept if each != tanuki},
            )
            self.assertEqual({each for gap in scene.gaps for each in gap}, {tanuki, kitsune})
            scene.wanted.pop(kitsune)
            scene.reconciler.reconcile("somebody is not wanted any more")
            scene.let_pass(60.0)
            kept = {each.broadcaster_id: each for each in scene.find()}

    def test_a_creation_that_fails_is_tried_again_soon(self) -> None:
        """
        Twitch's own trouble is no reason to wait for the next hour.
        """
        self.scene.streamers("tanuki", "mujina")
        self.scene.twitch.faults.plan(NAME, Behaviour(), Behaviour(status=500))
        self.scene.start(30.0)
        self.assertEqual(self.scene.statuses(), {"tanuki": ENABLED, "mujina": ENABLED})
        self.assertEqual(self.scene.reconciler.report().failed, 1)

    def test_an_answer_that_is_lost(self) -> None:
        """
        Nobody knows with what it was created, so there is another one, and only one.
        """
        self.scene.streamers("tanuki")
        self.scene.twitch.faults.plan(NAME, Behaviour(), Behaviour(lost=True))
        self.scene.start(60.0)
        self.assertEqual((self.scene.statuses(), self.scene.asked("POST")), ({"tanuki": ENABLED}, 2))

    def test_a_revocation_is_answered_by_a_new_subscription(self) -> None:
        """
        At once, not at the next hour; and the gap is told.
        """
        scene = self.scene
        (tanuki,) = scene.streamers("tanuki")
        scene.start(3600.0)
        scene.gaps.clear()
        (old,) = scene.find()
        scene.twitch.revoke(old, "notification_failures_exceeded")
        scene.let_pass(20.0)
        (new,) = scene.find()
        self.assertEqual((new.id != old.id, new.status), (True, "enabled"))
        self.assertEqual(scene.gaps, [[tanuki]])

    def test_a_revocation_again_and_again(self) -> None:
        """
        A subscription that ends each time it begins is not created every few seconds.
        """
        scene = self.scene
        scene.streamers("tanuki")
        scene.start(1.0)
        for _ in range(1800):
            for each in scene.find(lambda each: each.status == "enabled"):
                scene.twitch.revoke(each, "notification_failures_exceeded")
            scene.let_pass(2.0)
        self.assertTrue(4 <= scene.asked("POST") <= 8, scene.asked("POST"))
        self.assertLess(scene.asked("GET"), 60)

    def test_many_revocations_are_one_round(self) -> None:
        """
        All of them are gathered.
        """
        scene = self.scene
        scene.streamers(*"abcdefghij")
        scene.start(3600.0)
        before = scene.asked("GET")
        for each in scene.find():
            scene.twitch.revoke(each, "notification_failures_exceeded")
        scene.let_pass(4.0)
        self.assertEqual(scene.asked("GET"), before + 1)
        self.assertEqual(scene.asked("POST"), 20)

    def test_revocations_in_a_stream(self) -> None:
        """
        Are gathered for longer and longer, so that they do not cost a look each.
        """
        scene = self.scene
        scene.streamers(*(f"streamer{number}" for number in range(60)))
        scene.start(3600.0)
        before = scene.asked("GET")
        for each in scene.find():
            scene.twitch.revoke(each, "notification_failures_exceeded")
            scene.let_pass(2.0)
        self.assertLess(scene.asked("GET") - before, 30)
        scene.let_pass(120.0)
        self.assertEqual(scene.reconciler.report().enabled, 60)

    def test_a_list_that_is_behind(self) -> None:
        """
        What has just been created is not created again because it is not listed yet.
        """
        scene = self.scene
        scene.streamers("tanuki")
        scene.start()
        (made,) = scene.find()
        with self.hidden_once(made.id):
            scene.let_pass(6.0)
        self.assertEqual(
            (scene.asked("GET"), scene.reconciler.report().pending, scene.reconciler.problem()), (2, 1, None)
        )
        scene.let_pass(60.0)
        self.assertEqual((scene.asked("POST"), scene.statuses()), (1, {"tanuki": ENABLED}))

    def test_a_list_that_is_older_than_a_revocation(self) -> None:
        """
        What Twitch has said to be ended is replaced, though it is listed as enabled still, and the gap is told. It does
        not matter whether the list was asked for before the revocation came, or after it.
        """
        for under_way in (False, True):
            with self.subTest(under_way=under_way):
                scene = Scene(Path(self.mktemp()))
                self.addCleanup(scene.stop)
                (tanuki,) = scene.streamers("tanuki")
                scene.start(3600.0)
                scene.gaps.clear()
                (old,) = scene.find()
                if under_way:
                    scene.twitch.faults.plan(NAME, Behaviour(delay=3.0))
                    scene.reconciler.reconcile("somebody asks")
                    scene.let_pass(1.0)
                scene.tell_of_the_end(old, "authorization_revoked")
                scene.let_pass(20.0)
                (new,) = scene.find()
                self.assertEqual((new.id != old.id, new.status, scene.asked("POST")), (True, "enabled", 2))
                self.assertEqual([each for told in scene.gaps for each in told][-1:], [tanuki])
                self.assertEqual(scene.reconciler.report().broken, 0)

    def test_a_revocation_right_after_the_creation(self) -> None:
        """
        A subscription that is not listed yet when it ends is not taken for one that is being verified.
        """
        scene = self.scene
        scene.streamers("tanuki")
        scene.start()
        (made,) = scene.find()
        scene.tell_of_the_end(made, "user_removed")
        with self.hidden_once(made.id):
            scene.let_pass(6.0)
        self.assertEqual((scene.reconciler.report().pending, scene.reconciler.report().broken), (0, 1))
        scene.let_pass(70.0)
        self.assertEqual((scene.asked("POST"), scene.statuses()), (2, {"tanuki": ENABLED}))

    def test_a_revocation_that_is_gathered_for_long(self) -> None:
        """
        Counts for more than the list when its turn comes, too.
        """
        scene = self.scene
        scene.streamers(*(f"streamer{number}" for number in range(8)))
        scene.start(3600.0)
        for each in scene.find():
            scene.tell_of_the_end(each, "notification_failures_exceeded")
            scene.let_pass(61.0)
        scene.let_pass(120.0)
        self.assertEqual((scene.asked("POST"), scene.reconciler.report().enabled), (16, 8))

    def test_what_was_deleted_is_not_adopted(self) -> None:
        """
        A subscription that has ended and was deleted, but counts and is listed as enabled still, is in the way of its
        successor for a moment and does not take its place.
        """
        scene = self.scene
        scene.streamers("tanuki")
        scene.start(3600.0)
        (old,) = scene.find()
        kind: Any = type(scene.twitch.subscriptions)
        usual, deletions = kind.delete, []

        def delete(this: Any, subscription_id: str, *more: Any) -> None:
            deletions.append(subscription_id)
            if len(deletions) > 1:
                usual(this, subscription_id, *more)

        self.patch(kind, "delete", delete)
        scene.tell_of_the_end(old, "authorization_revoked")
        scene.let_pass(20.0)
        (new,) = scene.find()
        self.assertEqual((new.id != old.id, new.status), (True, "enabled"))

    def test_revocations_of_something_else(self) -> None:
        """
        Are none of our business.
        """
        self.scene.start(30.0)
        before = self.scene.asked("GET")
        self.scene.reconciler.revoked(
            Revocation(subscription_id="x", type="channel.update", status="user_removed", broadcaster_id="1")
        )
        self.scene.let_pass(60.0)
        self.assertEqual(self.scene.asked("GET"), before)

    def test_a_callback_that_cannot_be_reached(self) -> None:
        """
        A challenge that failed is tried again ever more rarely, and is a problem until it succeeds.
        """
        scene = self.scene
        scene.streamers("tanuki")
        scene.callback.works = False
        scene.start(4 * 3600.0)
        self.assertTrue(6 <= scene.asked("POST") <= 10, scene.asked("POST"))
        self.assertEqual(len(scene.find()), 1)
        self.assertIn("1 of 1 streamers have no working subscription", scene.reconciler.problem() or "")
        scene.callback.works = True
        scene.reconciler.reconcile("somebody asks")
        scene.let_pass(2 * 3600.0)
        self.assertEqual((scene.statuses(), scene.reconciler.problem()), ({"tanuki": ENABLED}, None))

    def test_a_verification_that_never_ends(self) -> None:
        """
        A challenge that does not come is waited for for ten minutes, and then there is another subscription.
        """
        scene = self.scene
        scene.streamers("tanuki")
        scene.callback.hangs, scene.twitch.eventsub.timeout = True, 86400.0
        scene.start(590.0)
        (stuck,) = scene.find()
        self.assertEqual((scene.asked("POST"), scene.reconciler.report().pending), (1, 1))
        scene.let_pass(700.0)
        self.assertEqual(scene.asked("POST"), 2)
        self.assertNotIn(stuck.id, [each.id for each in scene.find()])

    def test_a_challenge_that_comes_late_or_again(self) -> None:
        """
        Is answered all the same, and the subscription is not replaced meanwhile.
        """
        scene = self.scene
        scene.streamers("tanuki")
        scene.twitch.challenge_after, scene.twitch.challenge_again = 71.0, True
        scene.callback.works = False
        scene.start(75.0)
        scene.callback.works = True
        scene.let_pass(120.0)
        self.assertEqual((scene.statuses(), scene.asked("POST")), ({"tanuki": ENABLED}, 1))

    def test_a_conflict_is_looked_into(self) -> None:
        """
        What the list did not tell is adopted if it signs as it should, else replaced.
        """
        scene = self.scene
        (tanuki,) = scene.streamers("tanuki")
        for secret, posts in (("nobody-knows", 2), (SECRET, 1)):
            hidden = scene.subscription(tanuki, status="enabled", secret=secret)
            scene.last_known.values["subscription"] = {hidden.id: (fingerprint(secret, hidden.id), 0.0)}
            scene.new_process()
            before = scene.asked("POST")
            with self.hidden_once(hidden.id):
                scene.start(30.0)
            self.assertEqual(scene.asked("POST") - before, posts)
            self.assertEqual(
                ([each.secret for each in scene.find()], scene.statuses()), ([SECRET], {"tanuki": ENABLED})
            )
            scene.stop()
            for each in scene.find():
                scene.twitch.subscriptions.delete(each.id)

    def hidden_once(self, subscription_id: str) -> Any:
        """
        Leave a subscription out of the first whole list.
        """
        subscriptions: Any = self.scene.twitch.subscriptions
        kind = type(subscriptions)
        usual, lists = kind.list, []

        def list_(this: Any, query: Any, *more: Any) -> Any:
            answer = usual(this, query, *more)
            if not query.one("user_id") and not lists:
                lists.append(True)
                answer["data"] = [each for each in answer["data"] if each["id"] != subscription_id]
            return answer

        class Patched:
            def __enter__(self) -> None:
                kind.list = list_

            def __exit__(self, *_: object) -> None:
                kind.list = usual

        return Patched()

    def test_three_of_others_are_said_once(self) -> None:
        """
        Nothing can be done about them, so the operator is told, once, whose they are; the other streamers are served.
        """
        scene = self.scene
        tanuki, _ = scene.streamers("tanuki", "mujina")
        for number in range(3):
            scene.subscription(tanuki, callback=f"https://other{number}.example.net/", status="enabled")
        errors = self.lines(LogLevel.error, scene.start, 6 * 3600.0)
        (said,) = [line for line in errors if "tanuki" in line]
        self.assertIn("other0.example.net, other1.example.net, other2.example.net", said)
        self.assertEqual((scene.statuses(), len(scene.find())), ({"mujina": ENABLED}, 4))
        self.assertIn("1 of 2", scene.reconciler.problem() or "")

    def test_one_of_three_is_ours_to_free(self) -> None:
        """
        Among too many alike, one that we have created for a former callback gives way.
        """
        scene = self.scene
        (tanuki,) = scene.streamers("tanuki")
        former = scene.subscription(tanuki, callback="https://former.example.net/", status="enabled")
        scene.last_known.values["subscription"] = {former.id: (1, scene.clock.seconds())}
        others = {self.foreign(tanuki), scene.subscription(tanuki, callback=f"{OTHER}/2", status="enabled").id}
        scene.start(30.0)
        self.assertEqual(scene.statuses(), {"tanuki": ENABLED})
        self.assertEqual(len(scene.find()), 3)
        self.assertLessEqual(others, {each.id for each in scene.find()})

    def test_a_refusal_is_said_once_for_all(self) -> None:
        """
        One line names everybody whom Twitch refuses for one reason, and no hour repeats it.
        """
        scene = self.scene
        scene.streamers("tanuki")
        scene.wanted.update({"1": "ghost", "2": "shade"})
        errors = self.lines(LogLevel.error, scene.start, 6 * 3600.0)
        (said,) = errors
        self.assertIn("ghost, shade", said)
        self.assertIn("does not exist", said)
        self.assertEqual(scene.statuses(), {"tanuki": ENABLED})
        self.assertLess(scene.asked("POST"), 30)

    def test_many_refusals_do_not_starve_the_others(self) -> None:
        """
        However many are refused before it is their turn, the others have their turn soon.
        """
        scene = self.scene
        scene.wanted.update({str(number): f"ghost{number}" for number in range(1, 101)})
        scene.streamers("tanuki")
        scene.start(600.0)
        self.assertEqual(scene.statuses(), {"tanuki": ENABLED})

    def test_everything_is_refused(self) -> None:
        """
        A callback that Twitch does not take costs a few requests a minute, not one for each streamer each time.
        """
        scene = self.scene
        scene.streamers(*(f"streamer{number}" for number in range(200)))
        scene.callback_url = "http://hooks.example.net:8080/twitch"
        errors = self.lines(LogLevel.error, scene.start, 90.0)
        self.assertIn("callback must provide valid https callback", errors[0])
        self.assertLess(scene.asked("POST"), 80)

    def test_a_slow_journal_or_twitch_is_left_behind_by_a_stop(self) -> None:
        """
        A stop ends the round that is under way, without a word, and starts no other.
        """
        scene = self.scene
        scene.streamers("tanuki")
        scene.twitch.faults.plan(NAME, then=Behaviour(hang=True))
        scene.start(1.0)
        warnings = self.lines(LogLevel.warn, scene.stop)
        self.assertEqual(warnings, [])
        asked = len(scene.twitch.requests)
        scene.reconciler.reconcile("too late")
        scene.let_pass(7200.0)
        self.assertEqual(len(scene.twitch.requests), asked)

    def test_the_cost_is_watched(self) -> None:
        """
        It is said once when subscriptions cost nearly all they may.
        """
        scene = self.scene
        (tanuki,) = scene.streamers("tanuki")
        scene.subscription(tanuki, callback=OTHER, status="enabled", cost=9_500)
        warnings = self.lines(LogLevel.warn, scene.start, 5 * 3600.0)
        self.assertEqual(len([line for line in warnings if "9501 of the 10000 points" in line]), 1, warnings)

    def test_nothing_more_may_be_created(self) -> None:
        """
        At the limit of the cost Twitch's own words are passed on; what is no longer wanted goes first and makes room.
        """
        scene = self.scene
        scene.streamers("tanuki", "mujina")
        (gone,) = scene.streamers("kitsune", wanted=False)
        scene.subscription(gone, status="enabled")
        scene.twitch.subscriptions.max_total_cost = 1
        errors = self.lines(LogLevel.error, scene.start, 30.0)
        self.assertEqual(scene.statuses(), {"tanuki": ENABLED})
        self.assertEqual(len([line for line in errors if "cost exceeded" in line]), 1, errors)
        self.assertEqual(scene.reconciler.report().broken, 1)


class TypesTests(KeeperTestCase):
    """
    Ends and changes, where a destination asks for them.
    """

    def types(self) -> list[tuple[str, str]]:
        """
        What there is at Twitch with our callback, in the order in which it was created.
        """
        return [(each.type, each.status) for each in self.scene.find(lambda each: each.callback == CALLBACK)]

    def test_only_where_they_are_asked_for(self) -> None:
        """
        Another type is created after every start, and deleted when it is asked for no more; the log names it.
        """
        scene = self.scene
        tanuki, _ = scene.streamers("tanuki", "mujina")
        scene.types[tanuki] = ("stream.offline",)
        lines = self.lines(LogLevel.info, scene.start, 30.0)
        online = ("stream.online", "enabled")
        self.assertEqual(self.types(), [online, online, ("stream.offline", "enabled")])
        created = [line.split(" for ")[1] for line in lines if line.startswith("created")]
        self.assertEqual(created, ["tanuki", "mujina", "tanuki (stream.offline)"])
        report = scene.reconciler.report()
        self.assertEqual((report.wanted, report.enabled, report.incomplete), (2, 2, 0))
        del scene.types[tanuki]
        scene.reconciler.reconcile("the configuration has changed")
        lines = self.lines(LogLevel.info, scene.let_pass, 30.0)
        self.assertEqual(self.types(), [online, online])
        [deleted] = [line for line in lines if line.startswith("deleted")]
        self.assertTrue(
            deleted.endswith(
                "of tanuki (stream.offline): no destination of the streamer is configured for stream.offline"
            ),
            deleted,
        )

    def test_a_start_that_arrives_is_enough(self) -> None:
        """
        A streamer whose end cannot be subscribed to is covered; what is lacking is named, and the daemon is ready.
        """
        scene = self.scene
        (tanuki,) = scene.streamers("tanuki")
        scene.types[tanuki] = ("stream.offline", "channel.update")
        scene.twitch.subscriptions.removed.add(("stream.offline", "1"))
        errors = self.lines(LogLevel.error, scene.start, 30.0)
        self.assertEqual(
            len([line for line in errors if "subscriptions of tanuki (stream.offline)" in line]), 1, errors
        )
        report = scene.reconciler.report()
        self.assertEqual((report.enabled, report.broken, report.incomplete), (1, 0, 1))
        self.assertIsNone(scene.reconciler.critical())
        self.assertIn(
            "1 of 1 streamers have no working subscription for stream.offline;", scene.reconciler.problem() or ""
        )
        state, reason = scene.reconciler.state(tanuki) or ("", "")
        self.assertEqual(state, "enabled")
        self.assertIn("no working subscription for stream.offline: POST /eventsub/subscriptions answered 410", reason)

    def test_a_failure_of_one_type_holds_up_no_other(self) -> None:
        """
        The pauses after a failure are those of the subscription, not of the streamer.
        """
        scene = self.scene
        (tanuki,) = scene.streamers("tanuki")
        scene.types[tanuki] = ("stream.offline",)
        scene.twitch.subscriptions.removed.add(("stream.offline", "1"))
        scene.start(3600.0)
        [online] = scene.find()
        scene.twitch.revoke(online, "notification_failures_exceeded")
        scene.let_pass(20.0)
        self.assertIn(("stream.online", "enabled"), self.types())

    def test_the_limit_of_the_cost(self) -> None:
        """
        A new streamer's start takes the room of another's changes; which is said, and undone when there is room.
        """
        scene = self.scene
        (tanuki,) = scene.streamers("tanuki")
        scene.types[tanuki] = ("channel.update",)
        scene.twitch.subscriptions.max_total_cost = 2
        scene.start(30.0)
        self.assertEqual(self.types(), [("stream.online", "enabled"), ("channel.update", "enabled")])
        scene.streamers("mujina")
        scene.reconciler.reconcile("the configuration has changed")
        scene.let_pass(30.0)
        self.assertEqual(self.types(), [("stream.online", "enabled"), ("stream.online", "enabled")])
        _, reason = scene.reconciler.state(tanuki) or ("", "")
        self.assertIn("leaves no room", reason)
        scene.twitch.subscriptions.max_total_cost = 3
        scene.let_pass(2 * 3600.0)
        self.assertIn(("channel.update", "enabled"), self.types())
        self.assertIsNone(scene.reconciler.problem())

    def test_a_revoked_end_is_replaced_and_is_a_gap(self) -> None:
        """
        A broadcast may have ended meanwhile; of a change nothing is missed that is not asked for anyway.
        """
        scene = self.scene
        (tanuki,) = scene.streamers("tanuki")
        scene.types[tanuki] = ("stream.offline", "channel.update")
        scene.start(3600.0)
        for kind, gaps in (("channel.update", []), ("stream.offline", [[tanuki]])):
            scene.gaps.clear()
            [old] = scene.find(lambda each, kind=kind: each.type == kind and each.status == "enabled")  # type: ignore[misc]
            scene.twitch.revoke(old, "notification_failures_exceeded")
            scene.let_pass(60.0)
            self.assertIn((kind, "enabled"), self.types())
            self.assertEqual(scene.gaps, gaps)

    def test_a_new_secret(self) -> None:
        """
        Every type is replaced before the former secret is dropped.
        """
        scene = self.scene
        (tanuki,) = scene.streamers("tanuki")
        scene.types[tanuki] = ("stream.offline",)
        scene.start(30.0)
        scene.secret = "another-secret"
        scene.reconciler.reconcile("the configuration has changed")
        scene.let_pass(60.0)
        self.assertEqual({each.secret for each in scene.find()}, {"another-secret"})
        self.assertEqual(scene.reconciler.secrets(), [b"another-secret"])


class ConduitTests(KeeperTestCase):
    """
    Subscriptions through a conduit.
    """

    def change_to(self, conduit: str, seconds: float = 30.0) -> list[str]:
        """
        Change the transport, and list what Twitch was asked to create and delete, in order.
        """
        before = len(self.scene.twitch.requests)
        self.scene.conduit = conduit
        self.scene.reconciler.reconcile("the configuration was reloaded")
        self.scene.let_pass(seconds)
        methods = [each.partition(" ")[0] for each in self.scene.twitch.requests[before:]]
        return [each for each in methods if each in ("POST", "DELETE")]

    def test_they_are_enabled_at_once(self) -> None:
        """
        Nothing is verified, and nothing is created twice; a restart finds them as they are. They count as enabled from
        when they were created.
        """
        self.scene.streamers("tanuki", "mujina")
        self.scene.conduit = self.scene.new_conduit()
        lines = self.lines(LogLevel.info, self.scene.start)
        self.assertIn("subscriptions: 2 of 2 enabled, 0 being verified; 2 created, 0 deleted, 0 failed", lines)
        self.assertEqual(self.scene.statuses(), {"tanuki": ENABLED, "mujina": ENABLED})
        self.scene.let_pass(30.0)
        report = self.scene.reconciler.report()
        self.assertEqual((report.enabled, report.pending, report.broken), (2, 0, 0))
        self.scene.restart()
        self.assertEqual((self.scene.asked("POST"), self.scene.asked("DELETE")), (2, 0))
        self.assertEqual(self.scene.reconciler.methods, {"conduit"})

    def test_a_change_leaves_no_gap(self) -> None:
        """
        The former subscription is deleted only when its successor is enabled, both ways; and the secret of webhooks
        counts as long as one of them is left.
        """
        self.scene.streamers("tanuki")
        self.scene.start(30.0)
        self.assertEqual(self.scene.reconciler.methods, {"webhook"})
        conduit = self.scene.new_conduit()
        self.scene.conduit = conduit
        self.scene.reconciler.reconcile("the configuration was reloaded")
        self.scene.settle()
        self.assertEqual(sorted(bool(each.callback) for each in self.scene.find()), [False, True])
        self.assertEqual(self.scene.reconciler.methods, {"conduit", "webhook"})
        self.assertEqual(self.scene.reconciler.secrets(), [SECRET.encode()])
        self.scene.let_pass(30.0)
        self.assertEqual(self.scene.statuses(), {"tanuki": ENABLED})
        self.assertEqual(len(self.scene.find()), 1)
        self.assertEqual(self.scene.reconciler.methods, {"conduit"})
        self.scene.let_pass(2 * 3600.0)
        self.assertEqual(self.scene.reconciler.secrets(), [])
        self.assertEqual(self.change_to(""), ["POST", "DELETE"])
        self.assertEqual(self.scene.statuses(), {"tanuki": ENABLED})
        self.assertEqual(self.scene.reconciler.methods, {"webhook"})

    def test_a_conduit_that_is_gone(self) -> None:
        """
        Its subscriptions are replaced by those of another one, and deleted.
        """
        self.scene.streamers("tanuki", "mujina")
        self.scene.conduit = self.scene.new_conduit()
        self.scene.start(30.0)
        self.scene.twitch.conduits.delete(self.scene.conduit)
        self.change_to(self.scene.new_conduit())
        self.assertEqual(self.scene.statuses(), {"tanuki": ENABLED, "mujina": ENABLED})
        self.assertEqual(len(self.scene.find()), 2)

    def test_one_of_another_program_is_not_touched(self) -> None:
        """
        Neither its conduit nor its subscriptions are ours.
        """
        (tanuki,) = self.scene.streamers("tanuki")
        theirs = self.scene.subscription(tanuki, callback="", conduit_id=self.scene.new_conduit(), status="enabled")
        self.scene.conduit = self.scene.new_conduit()
        self.scene.start(4000.0)
        self.assertIn(theirs.id, [each.id for each in self.scene.find()])
        self.assertEqual(self.scene.statuses(), {"tanuki": ENABLED})

    def test_a_listener_is_called_after_each_pass(self) -> None:
        """
        It can ask by which transports messages may still arrive.
        """
        heard: list[frozenset[str]] = []
        self.scene.reconciler.add_listener(lambda: heard.append(self.scene.reconciler.methods))
        self.scene.streamers("tanuki")
        self.scene.start(30.0)
        self.change_to(self.scene.new_conduit())
        self.assertEqual(
            list(dict.fromkeys(heard)),
            [frozenset({"webhook"}), frozenset({"webhook", "conduit"}), frozenset({"conduit"})],
        )


class PaceTests(KeeperTestCase):
    """
    Thousands are subscribed to as fast as the rate limit allows. ITSJUSTINTV_STREAMERS says how many.
    """

    def test_nearly_every_point_is_used_and_none_is_overdrawn(self) -> None:
        """
        Until the last one is created at least 95 % of what the bucket gave are used, no request is refused, and in the
        end everybody's subscription is enabled.
        """
        many = int(os.environ.get("ITSJUSTINTV_STREAMERS", "1200"))
        scene = self.scene
        scene.streamers(*(f"streamer{number}" for number in range(many)))
        scene.twitch.faults.plan(NAME, then=Behaviour(delay=0.1))
        start = scene.clock.seconds()
        scene.start()
        while scene.asked("POST") < many:
            scene.let_pass(1.0)
        given = 800 + (scene.clock.seconds() - start) * 800 / 60
        self.assertGreaterEqual(scene.twitch.bucket.taken, 0.95 * given)
        scene.let_pass(120.0)
        self.assertEqual(scene.twitch.bucket.refused, 0)
        self.assertEqual((scene.reconciler.report().enabled, scene.asked("POST")), (many, many))

    def test_others_with_the_same_client_id(self) -> None:
        """
        When somebody else empties the bucket the 429 that comes of it is waited out, and everybody is subscribed to.
        """
        scene = self.scene
        scene.streamers(*(f"streamer{number}" for number in range(100)))
        scene.twitch.bucket.empty()
        scene.start(120.0)
        self.assertEqual((scene.reconciler.report().enabled, scene.asked("POST") < 150), (100, True))


class GapTests(KeeperTestCase):
    """
    Who could not be heard of for a while is told when that is over.
    """

    def test_a_new_subscription_ends_a_gap(self) -> None:
        """
        It is told once it is enabled, not when it is created, and once.
        """
        scene = self.scene
        (tanuki,) = scene.streamers("tanuki")
        scene.start()
        self.assertEqual(scene.gaps, [])
        scene.let_pass(2 * 3600.0)
        self.assertEqual(scene.gaps, [[tanuki]])

    def test_what_was_enabled_all_along_is_no_gap(self) -> None:
        """
        Neither at the start nor later.
        """
        scene = self.scene
        scene.streamers("tanuki")
        scene.start(30.0)
        scene.gaps.clear()
        scene.restart()
        scene.let_pass(3 * 3600.0)
        self.assertEqual(scene.gaps, [])

    def test_a_gap_that_nobody_told_of(self) -> None:
        """
        A subscription that had ended without a revocation is found at the next look and its end told.
        """
        scene = self.scene
        (tanuki,) = scene.streamers("tanuki")
        scene.start(30.0)
        scene.gaps.clear()
        scene.change(scene.find()[0].id, status="notification_failures_exceeded", created_at=rfc3339(1_767_000_000.0))
        scene.let_pass(2 * 3600.0)
        self.assertEqual(scene.gaps, [[tanuki]])
