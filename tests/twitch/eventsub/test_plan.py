"""
Tests of :mod:`itsjustintv.twitch.eventsub.plan`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.twitch.eventsub.event_types import CHANNEL_UPDATE, STREAM_OFFLINE, STREAM_ONLINE, Topic
from itsjustintv.twitch.eventsub.plan import ENABLED, PENDING, Plan, plan, topics_of
from itsjustintv.twitch.eventsub.subscriptions_api import Listing, Subscription
from itsjustintv.twitch.eventsub.transport import OtherTransport, WebhookTransport

NOW = 1_767_326_400.0
OURS = "https://hooks.example.net/twitch"
THEIRS = "https://elsewhere.example.net/twitch"
BEFORE = "https://former.example.net/twitch"
HERE = WebhookTransport(OURS, "a secret")

STATUSES = (
    ENABLED,
    PENDING,
    "webhook_callback_verification_failed",
    "notification_failures_exceeded",
    "authorization_revoked",
    "user_removed",
    "version_removed",
    "something_new",
    "",
)


def ago(seconds: float) -> str:
    """
    A time as Twitch writes it.
    """
    return datetime.fromtimestamp(NOW - seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + ".123456789Z"


def subscription(number: int = 1, **changes: Any) -> Subscription:
    """
    One of ours, enabled for a day.
    """
    usual = Subscription(
        id=f"sub-{number}",
        status=ENABLED,
        type="stream.online",
        version="1",
        broadcaster_id="42",
        transport=WebhookTransport(OURS),
        created_at=ago(86400),
        cost=1,
    )
    if "callback" in changes:
        changes["transport"] = WebhookTransport(changes.pop("callback"))
    return evolve(usual, **changes)


def listing(*subscriptions: Subscription, most: int = 10_000) -> Listing:
    """
    The whole list.
    """
    return Listing(
        subscriptions=subscriptions,
        total=len(subscriptions),
        total_cost=sum(each.cost for each in subscriptions),
        max_total_cost=most,
    )


def ids(decisions: Any) -> list[str]:
    """
    Which subscriptions, in order.
    """
    return [each.subscription.id for each in decisions]


class PlanTests(SynchronousTestCase):
    """
    What becomes of a subscription, and why.
    """

    def plan(self, *existing: Subscription, wanted: Any = ("42",), **more: Any) -> Plan:
        current = more.pop("current", lambda each: True)
        streamers = wanted if isinstance(wanted, dict) else dict.fromkeys(wanted, ())
        return plan(streamers, listing(*existing, most=more.pop("most", 10_000)), HERE, current, NOW, **more)

    def replaced(self, *existing: Subscription, **more: Any) -> str:
        """
        Why all of them are deleted and another one is created.
        """
        drawn = self.plan(*existing, **more)
        self.assertEqual((drawn.keep, drawn.wait, ids(drawn.delete)), ((), (), [each.id for each in existing]))
        (creation,) = drawn.create
        self.assertEqual((creation.broadcaster_id, creation.subscription), ("42", None))
        return creation.reason

    def test_an_enabled_one_is_kept(self) -> None:
        """
        Nothing is done about a subscription that is enabled and as wanted.
        """
        drawn = self.plan(subscription())
        self.assertEqual((ids(drawn.keep), drawn.done), (["sub-1"], True))

    def test_one_that_is_missing_is_created(self) -> None:
        """
        In the order in which they are wanted.
        """
        drawn = self.plan(wanted=("9", "1", "5"))
        self.assertEqual([each.broadcaster_id for each in drawn.create], ["9", "1", "5"])
        self.assertFalse(drawn.done)

    def test_a_verification_has_ten_minutes(self) -> None:
        """
        A pending subscription is waited for, and after ten minutes replaced.
        """
        drawn = self.plan(subscription(status=PENDING, created_at=ago(598)))
        self.assertEqual((ids(drawn.wait), drawn.create, drawn.done), (["sub-1"], (), False))
        self.assertIn("10 min", self.replaced(subscription(status=PENDING, created_at=ago(601))))
        self.replaced(subscription(status=PENDING, created_at="yesterday"))

    def test_every_other_status_is_replaced(self) -> None:
        """
        With a reason that is the status, or says what it means.
        """
        reasons = {self.replaced(subscription(status=status)) for status in STATUSES[2:]}
        self.assertEqual(len(reasons), len(STATUSES[2:]))
        self.assertIn("its status is something_new", reasons)

    def test_one_with_another_secret_is_replaced(self) -> None:
        """
        Enabled or pending, what Twitch signs with a secret that is not today's is of no use.
        """
        for status in (ENABLED, PENDING):
            reason = self.replaced(subscription(status=status, created_at=ago(5)), current=lambda each: False)
            self.assertIn("secret", reason)

    def test_one_that_nobody_wants_is_deleted(self) -> None:
        """
        Unless it is not certain yet who is wanted.
        """
        drawn = self.plan(subscription(), wanted=())
        self.assertEqual((ids(drawn.delete), drawn.keep, drawn.create), (["sub-1"], (), ()))
        self.assertTrue(self.plan(subscription(), wanted=(), complete=False).done)

    def test_those_of_others_are_nobodys_business(self) -> None:
        """
        Another callback, type, version or transport is never touched, and does not count as ours.
        """
        for changes in (
            {"callback": THEIRS},
            {"type": "stream.offline"},
            {"version": "2"},
            {"transport": OtherTransport("conduit")},
        ):
            drawn = self.plan(subscription(**changes))
            self.assertEqual((drawn.keep, drawn.delete, len(drawn.create)), ((), (), 1))
            self.assertEqual(self.plan(subscription(**changes), wanted=()), Plan())

    def test_of_several_the_best_stays(self) -> None:
        """
        One that is enabled is better than one that is pending, and an old one better than a new one.
        """
        pending = subscription(1, status=PENDING, created_at=ago(5))
        young, old = subscription(2, created_at=ago(50)), subscription(3, created_at=ago(500))
        drawn = self.plan(pending, young, old)
        self.assertEqual((ids(drawn.keep), ids(drawn.delete), drawn.create), (["sub-3"], ["sub-1", "sub-2"], ()))
        drawn = self.plan(evolve(pending, created_at=ago(300)), young)
        self.assertEqual((ids(drawn.keep), ids(drawn.delete)), (["sub-2"], ["sub-1"]))

    def test_one_in_grace_gives_way_when_there_is_no_room(self) -> None:
        """
        The subscription of a streamer who was removed is kept for a while, unless a configured one needs its points.
        """
        gone = subscription(broadcaster_id="7")
        self.assertEqual(ids(self.plan(gone, in_grace=lambda _: True).grace), ["sub-1"])
        drawn = self.plan(gone, in_grace=lambda _: True, most=1)
        self.assertEqual((drawn.grace, ids(drawn.delete), len(drawn.create)), ((), ["sub-1"], 1))

    def test_a_former_callback_stays_until_there_is_a_successor(self) -> None:
        """
        What we have created for another callback goes on until the one for today's is enabled, and then is deleted.
        """
        former = subscription(1, callback=BEFORE)
        drawn = self.plan(former, created_here={"sub-1"})
        self.assertEqual((ids(drawn.wait), len(drawn.create), drawn.delete), (["sub-1"], 1, ()))
        pending = subscription(2, status=PENDING, created_at=ago(5))
        drawn = self.plan(former, pending, created_here={"sub-1", "sub-2"})
        self.assertEqual((ids(drawn.wait), drawn.delete, drawn.create), (["sub-1", "sub-2"], (), ()))
        drawn = self.plan(former, subscription(2), created_here={"sub-1", "sub-2"})
        self.assertEqual((ids(drawn.keep), ids(drawn.delete)), (["sub-2"], ["sub-1"]))

    def test_a_former_callback_that_does_not_work_does_not_stay(self) -> None:
        """
        Nor does one whose streamer nobody wants.
        """
        self.replaced(subscription(callback=BEFORE, status=STATUSES[3]), created_here={"sub-1"})
        drawn = self.plan(subscription(callback=BEFORE), wanted=(), created_here={"sub-1"})
        self.assertEqual(ids(drawn.delete), ["sub-1"])

    def test_a_former_callback_gives_way_when_there_is_no_room(self) -> None:
        """
        When Twitch does not allow both at once, the former one is deleted first.
        """
        self.replaced(subscription(callback=BEFORE), created_here={"sub-1"}, most=1)


BROADCASTERS = st.sampled_from(["1", "2", "3"])
SUBSCRIPTIONS = st.builds(
    subscription,
    st.integers(1, 12),
    status=st.sampled_from(STATUSES),
    type=st.sampled_from(["stream.online", "stream.online", "stream.offline"]),
    broadcaster_id=BROADCASTERS,
    callback=st.sampled_from([OURS, OURS, THEIRS, BEFORE]),
    created_at=st.sampled_from([ago(5), ago(700), ago(-30), "?"]),
)


class TypesTests(SynchronousTestCase):
    """
    Subscriptions for other events than starts.
    """

    ALL: ClassVar = {"42": ("channel.update", "stream.offline"), "7": ("stream.offline",)}

    def plan(self, wanted: Any, *existing: Subscription, **more: Any) -> Plan:
        most = more.pop("most", 10_000)
        return plan(wanted, listing(*existing, most=most), HERE, lambda each: True, NOW, **more)

    def created(self, drawn: Plan) -> list[tuple[str, str]]:
        return [(each.topic.event_type.name, each.broadcaster_id) for each in drawn.create]

    def test_starts_come_first(self) -> None:
        """
        Everything that is asked for is created, every start before any end, and that before any change.
        """
        self.assertEqual(
            self.created(self.plan(self.ALL)),
            [
                ("stream.online", "42"),
                ("stream.online", "7"),
                ("stream.offline", "42"),
                ("stream.offline", "7"),
                ("channel.update", "42"),
            ],
        )

    def test_what_is_asked_for_no_more_is_deleted(self) -> None:
        """
        At once, if we created it; with the streamer's grace when the streamer is no longer configured.
        """
        online, offline = subscription(1), subscription(2, type="stream.offline")
        drawn = self.plan({"42": ()}, online, offline, created_here={"sub-2"}, in_grace=lambda _: True)
        self.assertEqual((ids(drawn.keep), ids(drawn.delete), drawn.create), (["sub-1"], ["sub-2"], ()))
        self.assertEqual(drawn.delete[0].reason, "no destination of the streamer is configured for stream.offline")
        self.assertEqual(self.plan({"42": ()}, online, offline).delete, ())
        unsure = self.plan({"42": ()}, online, offline, created_here={"sub-2"}, complete=False)
        self.assertEqual(unsure.delete, ())
        gone = self.plan({}, online, offline, created_here={"sub-2"}, in_grace=lambda _: True)
        self.assertEqual((ids(gone.grace), gone.delete), (["sub-1", "sub-2"], ()))

    def test_little_room(self) -> None:
        """
        What there is no room for is postponed, and said; what there is stays.
        """
        drawn = self.plan(self.ALL, most=3)
        self.assertEqual(
            self.created(drawn), [("stream.online", "42"), ("stream.online", "7"), ("stream.offline", "42")]
        )
        postponed = [Topic(STREAM_OFFLINE, "7"), Topic(CHANNEL_UPDATE, "42")]
        self.assertEqual([each.topic for each in drawn.postponed], postponed)
        self.assertFalse(drawn.done)

    def test_a_start_takes_the_room_of_other_events(self) -> None:
        """
        Only as many as are needed make room: changes before ends, and never a start.
        """
        there = [
            subscription(1),
            subscription(2, type="stream.offline"),
            subscription(3, type="channel.update", version="2"),
        ]
        wanted = {"42": ("stream.offline", "channel.update"), "7": ()}
        drawn = self.plan(wanted, *there, most=3)
        self.assertEqual((self.created(drawn), ids(drawn.delete)), ([("stream.online", "7")], ["sub-3"]))
        self.assertEqual([each.topic for each in drawn.postponed], [Topic(CHANNEL_UPDATE, "42")])
        self.assertIn("stream.online", drawn.delete[0].reason)
        self.assertEqual(ids(self.plan(wanted, *there, most=4).delete), [])
        # The total may still have what was deleted before: without a start that is missing, nothing makes room.
        self.assertEqual(self.plan({"42": wanted["42"]}, *there, most=1).delete, ())

    def test_starts_alone_are_as_ever(self) -> None:
        """
        Where only starts are wanted, more than the limit are tried: Twitch decides.
        """
        drawn = self.plan({"42": (), "7": (), "9": ()}, subscription(), most=1)
        self.assertEqual((len(drawn.create), drawn.postponed, drawn.delete), (2, (), ()))


class PlanPropertyTests(SynchronousTestCase):
    """
    What holds of every plan, whatever there is and whatever is wanted.
    """

    @given(
        st.dictionaries(BROADCASTERS, st.sets(st.sampled_from(["stream.offline", "channel.update"]))),
        st.lists(SUBSCRIPTIONS, max_size=12, unique_by=lambda each: each.id),
        st.sets(st.integers(1, 12)),
        st.sets(st.integers(1, 12)),
        st.booleans(),
        st.integers(0, 15) | st.just(10_000),
    )
    def test_a_plan_is_sound(  # noqa: PLR0917
        self, wanted: Any, existing: list[Subscription], current: Any, here: Any, certain: bool, most: int
    ) -> None:
        """
        Only ours is touched, each once; for everything wanted exactly one stays, is created or is postponed, never a
        start; and once a plan has been carried out and Twitch has verified everything, there is nothing left but to
        delete predecessors, and to use the room that they had.
        """
        sound = {f"sub-{number}" for number in current}
        created_here = {f"sub-{number}" for number in here}
        topics = topics_of(wanted)

        def draw(subscriptions: list[Subscription]) -> Plan:
            return plan(
                wanted,
                listing(*subscriptions, most=most),
                HERE,
                lambda each: each.id in sound or each.id.startswith("new-"),
                NOW,
                created_here=created_here,
                complete=certain,
            )

        drawn = draw(existing)
        touched = [*ids(drawn.keep), *ids(drawn.wait), *ids(drawn.delete)]
        self.assertEqual(len(touched), len(set(touched)))
        ours = {
            each.id
            for each in existing
            if each.topic is not None
            and (each.transport == HERE or each.id in created_here)
            and (
                each.topic in topics
                or (certain and (each.id in created_here or each.topic.event_type is STREAM_ONLINE))
            )
        }
        self.assertEqual(set(touched), ours)
        staying = [
            each.topic
            for each in (*drawn.keep, *drawn.wait, *drawn.create, *drawn.postponed)
            if each.subscription is None or each.subscription.transport == HERE
        ]
        self.assertEqual(len(staying), len(set(staying)))
        self.assertEqual(set(staying), set(topics))
        self.assertTrue(all(each.topic.event_type is not STREAM_ONLINE for each in drawn.postponed))
        decided = (*drawn.keep, *drawn.wait, *drawn.delete, *drawn.create, *drawn.postponed)
        self.assertTrue(all(each.reason for each in decided))
        if not most or most == 10_000:
            self.assertEqual(drawn.postponed, ())
        gone = set(ids(drawn.delete))
        waiting = set(ids(drawn.wait))
        after = [
            evolve(each, status=ENABLED) if each.id in waiting else each for each in existing if each.id not in gone
        ]
        after += [
            subscription(
                broadcaster_id=each.broadcaster_id,
                id=f"new-{number}",
                type=each.topic.event_type.name,
                version=each.topic.event_type.version,
            )
            for number, each in enumerate(drawn.create)
        ]
        second = draw(after)
        self.assertEqual(second.wait, ())
        self.assertLessEqual({each.topic for each in second.create}, {each.topic for each in drawn.postponed})
        left = {each.id for each in after} - set(ids(second.delete))
        third = draw([each for each in after if each.id in left])
        self.assertEqual((third.wait, third.delete), ((), ()))
