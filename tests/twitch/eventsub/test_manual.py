"""
Tests of :mod:`itsjustintv.twitch.eventsub.manual`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.twitch.eventsub.manual import Snapshot
from itsjustintv.twitch.eventsub.plan import plan, topics_of
from itsjustintv.twitch.eventsub.subscriptions_api import Listing, Subscription
from itsjustintv.twitch.eventsub.transport import ConduitTransport
from tests.twitch.eventsub.test_plan import HERE, NOW, THEIRS, ago, listing, subscription

WANTED = {"42": "tanuki"}


def view(*existing: Subscription) -> Snapshot:
    """
    How things stand with these.
    """
    there = listing(*existing)
    return seen(there)


def seen(there: Listing, *types: str) -> Snapshot:
    """
    How things stand with a list, where these types are wanted besides.
    """
    wanted = dict.fromkeys(WANTED, types)
    drawn = plan(wanted, there, HERE, lambda each: each.id != "sub-9", NOW)
    return Snapshot(there, WANTED, topics_of(wanted), drawn, HERE)


class ViewTests(SynchronousTestCase):
    """
    What an operator is told of one streamer.
    """

    def told(self, *existing: Subscription, broadcaster_id: str = "42") -> dict[str, str]:
        """
        The last answer to each question.
        """
        return dict(view(*existing).explain(broadcaster_id))

    def test_all_is_well(self) -> None:
        """
        Wanted, enabled, and nothing to be done.
        """
        told = self.told(subscription())
        self.assertEqual((told["wanted"], told["user id"]), ("yes, by streamers.tanuki", "42"))
        self.assertEqual((told["subscription"], told["status"]), ("sub-1", "enabled"))
        self.assertIn(ago(86400), told["since"])
        self.assertNotIn("why not", told)
        self.assertIn("the subscription works", told["next"])

    def test_there_is_no_conduit_yet(self) -> None:
        """
        Only the daemon creates one, so no command can create the subscription.
        """
        there, transport = listing(), ConduitTransport("")
        drawn = plan({"42": ()}, there, transport, lambda _: True, NOW)
        told = dict(Snapshot(there, WANTED, topics_of({"42": ()}), drawn, transport).explain("42"))
        self.assertEqual(told["transport"], "through a conduit that the daemon creates")
        self.assertEqual(told["next"], "start the daemon, which creates the conduit and the subscription")

    def test_something_is_wrong(self) -> None:
        """
        The reason is told, and that it will be seen to.
        """
        for wrong, words in (
            (subscription(status="notification_failures_exceeded"), "not answered in time"),
            (subscription(9), "secret"),
        ):
            told = self.told(wrong)
            self.assertIn(words, told["why not"])
            self.assertIn("the daemon will replace it", told["next"])
        pending = subscription(status="webhook_callback_verification_pending", created_at=ago(5))
        self.assertIn("10 min", self.told(pending)["next"])

    def test_those_of_others_are_named(self) -> None:
        """
        By their host, and with the word that they are not touched.
        """
        told = self.told(subscription(callback=THEIRS))
        self.assertEqual(told["others"], "not touched, of elsewhere.example.net")
        self.assertEqual(told["subscription"], "none with this callback")
        self.assertIn("the daemon will create it", told["next"])

    def test_somebody_who_is_not_wanted(self) -> None:
        """
        What is left over is deleted; when nothing is, there is nothing to do.
        """
        told = self.told(subscription(broadcaster_id="7"), broadcaster_id="7")
        self.assertEqual(told["wanted"], "no")
        self.assertIn("subscriptions prune", told["next"])
        self.assertIn("not configured", self.told(broadcaster_id="7")["next"])

    def test_somebody_nobody_knows(self) -> None:
        """
        A login that Twitch does not know is to be corrected.
        """
        self.assertIn("correct the login", self.told(broadcaster_id="")["next"])

    def test_the_steps_in_words(self) -> None:
        """
        A line for everything that is to be done.
        """
        lines = view(subscription(9), subscription(2, broadcaster_id="7")).steps()
        self.assertEqual(
            [line.split(":")[0] for line in lines], ["delete sub-9 of tanuki", "delete sub-2 of 7", "create tanuki"]
        )

    def test_other_types(self) -> None:
        """
        Each subscription that is not for starts says what it is for, as does one that is missing.
        """
        offline = subscription(2, type="stream.offline")
        found = seen(listing(subscription(), offline), "stream.offline", "channel.update")
        answers = [text for label, text in found.explain("42") if label == "subscription"]
        self.assertEqual(answers, ["sub-1", "sub-2 (stream.offline)", "none for channel.update"])
        self.assertEqual(found.steps(), ["create tanuki (channel.update): there is no subscription"])
        self.assertIn("the daemon will create it", dict(found.explain("42"))["next"])

    def test_no_room_for_other_types(self) -> None:
        """
        What Twitch's limit leaves no room for is named with the reason, and what to do.
        """
        found = seen(listing(subscription(), most=1), "stream.offline")
        answers = dict(found.explain("42"))
        self.assertIn("Twitch's limit", answers["why not"])
        self.assertIn("higher limit", answers["next"])
        self.assertEqual(len(found.steps()), 1)
        self.assertIn("do not create tanuki (stream.offline): Twitch's limit", found.steps()[0])
