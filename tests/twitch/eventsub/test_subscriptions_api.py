"""
Tests of :mod:`itsjustintv.twitch.eventsub.subscriptions_api`.
"""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import TwitchError, TwitchRejected, TwitchUnavailable
from itsjustintv.twitch.eventsub.event_types import STREAM_ONLINE, Topic
from itsjustintv.twitch.eventsub.subscriptions_api import (
    AlreadyExists,
    Subscription,
    SubscriptionsAPI,
    TooManyAlike,
)
from itsjustintv.twitch.eventsub.transport import WebhookTransport
from tests.twitch.fake import Reply, World, run

PATH = "/helix/eventsub/subscriptions"
SECRET = "a-webhook-secret"
CALLBACK = "https://hooks.example.net/twitch"
HERE = WebhookTransport(CALLBACK, SECRET)
TANUKI = Topic(STREAM_ONLINE, "42")
ITEM = {
    "id": "sub-1",
    "status": "enabled",
    "type": "stream.online",
    "version": "1",
    "cost": 1,
    "condition": {"broadcaster_user_id": "42"},
    "transport": {"method": "webhook", "callback": CALLBACK},
    "created_at": "2026-01-02T03:04:05.123456789Z",
}
READ = Subscription(
    id="sub-1",
    status="enabled",
    type="stream.online",
    version="1",
    broadcaster_id="42",
    transport=HERE,
    created_at="2026-01-02T03:04:05.123456789Z",
    cost=1,
)


def page(*items: object, cursor: str = "", **totals: object) -> Reply:
    """
    One page of the list.
    """
    pagination = {"cursor": cursor} if cursor else {}
    return Reply(200, {"data": list(items), "pagination": pagination, **totals})


def item(number: int) -> dict[str, Any]:
    """
    A subscription of its own.
    """
    return {**ITEM, "id": f"sub-{number}"}


class SubscriptionsAPITests(SynchronousTestCase):
    """
    What is asked for, and how the answers are read.
    """

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.twitch = self.world.twitch
        self.api = SubscriptionsAPI(self.world.helix)

    def fails(self, work: Coroutine[Deferred[Any], Any, object], kind: type[TwitchError]) -> Any:
        """
        What it raises.
        """
        return self.failureResultOf(run(work), kind).value

    def test_the_list_is_read_to_its_end(self) -> None:
        """
        Every page is asked for, each with the cursor of the one before; the numbers are those of the last.
        """
        self.twitch.then(
            PATH,
            page(item(1), item(2), cursor="x", total=3, total_cost=9, max_total_cost=10),
            page(item(3), cursor="y", total=3, total_cost=9, max_total_cost=10),
            page(total=3, total_cost=2, max_total_cost=10),
        )
        listing = self.successResultOf(run(self.api.list()))
        self.assertEqual([each.id for each in listing.subscriptions], ["sub-1", "sub-2", "sub-3"])
        self.assertEqual((listing.total, listing.total_cost, listing.max_total_cost), (3, 2, 10))
        self.assertEqual([asked.params for asked in self.twitch.to(PATH)], [[], [("after", "x")], [("after", "y")]])

    def test_a_subscription_is_read_as_a_whole(self) -> None:
        """
        Every field arrives; one listed on two pages because the list moved is there once.
        """
        self.twitch.then(PATH, page(ITEM, cursor="x"), page(ITEM))
        self.assertEqual(self.successResultOf(run(self.api.list())).subscriptions, (READ,))

    def test_half_a_list_is_none(self) -> None:
        """
        A page that cannot be had, or a cursor that leads back, fails the whole.
        """
        for wrong in (Reply(500), Reply(200, {"pagination": {}}), Reply(200, []), page(item(2), cursor="x")):
            self.twitch.then(PATH, page(item(1), cursor="x"), wrong)
            self.fails(self.api.list(), TwitchUnavailable)

    def test_the_list_of_one_streamer(self) -> None:
        """
        One can be asked for by user id, on every page.
        """
        self.twitch.then(PATH, page(ITEM, cursor="x"), page())
        self.successResultOf(run(self.api.list("42")))
        self.assertEqual(
            [asked.params for asked in self.twitch.to(PATH)], [[("user_id", "42")], [("user_id", "42"), ("after", "x")]]
        )

    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
    def test_anything_may_stand_in_a_field(self, value: object) -> None:
        """
        A field of another type than documented is as good as absent, and never an error.
        """
        twitch = self.twitch
        for broken in ({"id": "sub-1", **dict.fromkeys(ITEM.keys() - {"id"}, value)}, {**ITEM, "condition": value}):
            if not -(1 << 63) < _largest(value) < 1 << 63:
                return
            twitch.then(PATH, page(broken, value, total=value))
            listing = self.successResultOf(run(self.api.list()))
            self.assertEqual([each.id for each in listing.subscriptions], ["sub-1"])

    def test_a_creation_asks_for_stream_online(self) -> None:
        """
        Type, version, condition and transport are as documented, and the answer is the subscription.
        """
        pending = {**ITEM, "status": "webhook_callback_verification_pending"}
        self.twitch.then(PATH, Reply(202, {"data": [pending], "total": 1}))
        created = self.successResultOf(run(self.api.create(TANUKI, HERE)))
        self.assertEqual((created.id, created.status), ("sub-1", "webhook_callback_verification_pending"))
        (asked,) = self.twitch.to(PATH)
        self.assertEqual((asked.method, asked.headers["content-type"]), ("POST", "application/json"))
        self.assertEqual(
            orjson.loads(asked.body),
            {
                "type": "stream.online",
                "version": "1",
                "condition": {"broadcaster_user_id": "42"},
                "transport": {"method": "webhook", "callback": CALLBACK, "secret": SECRET},
            },
        )

    def test_a_conflict_names_what_exists(self) -> None:
        """
        A 409 is an error of its own, with the id if Twitch tells it.
        """
        for body, expected in (
            ({"message": "subscription already exists", "id": "sub-9"}, "sub-9"),
            ({"message": "subscription already exists"}, None),
            (b"<html>", None),
            ([], None),
        ):
            self.twitch.then(PATH, Reply(409, body))
            error = self.fails(self.api.create(TANUKI, HERE), AlreadyExists)
            self.assertEqual(error.subscription_id, expected)

    def test_the_two_429s_are_told_apart(self) -> None:
        """
        Too many of a kind is said at once, whatever the headers; an empty bucket is waited out.
        """
        many = {"message": "maximum subscriptions with type and condition exceeded"}
        for headers in ({}, {"Ratelimit-Remaining": "700"}, {"Ratelimit-Limit": "800", "Ratelimit-Remaining": "0"}):
            self.twitch.then(PATH, Reply(429, many, headers))
            self.fails(self.api.create(TANUKI, HERE), TooManyAlike)
            self.world.clock.advance(60)
        self.twitch.then(PATH, Reply(429, {"message": "Too Many Requests"}), Reply(202, {"data": [ITEM]}))
        creating = run(self.api.create(TANUKI, HERE))
        self.assertNoResult(creating)
        self.world.clock.advance(1)
        self.assertEqual(self.successResultOf(creating), READ)

    def test_another_refusal_stays_what_it_is(self) -> None:
        """
        What no other exception stands for is a rejection with Twitch's words.
        """
        self.twitch.then(PATH, Reply(400, {"message": "callback must provide valid https callback"}))
        error = self.fails(self.api.create(TANUKI, HERE), TwitchRejected)
        self.assertEqual((type(error), error.status), (TwitchRejected, 400))
        self.assertIn("valid https callback", str(error))

    def test_an_answer_without_a_subscription(self) -> None:
        """
        A creation that does not tell what it created is worth another try.
        """
        for body in ({"data": []}, {"data": [{"status": "enabled"}]}, {}, b""):
            self.twitch.then(PATH, Reply(202, body))
            self.fails(self.api.create(TANUKI, HERE), TwitchUnavailable)

    def test_a_deletion_is_done_when_nothing_is_there(self) -> None:
        """
        204 and 404 are both the end of it, anything else is not.
        """
        for status in (204, 404):
            self.twitch.then(PATH, Reply(status))
            self.successResultOf(run(self.api.delete("sub-1")))
        self.twitch.then(PATH, Reply(400))
        self.fails(self.api.delete("sub-1"), TwitchRejected)
        self.assertEqual(
            [(asked.method, asked.params) for asked in self.twitch.to(PATH)], [("DELETE", [("id", "sub-1")])] * 3
        )

    def test_others_find_points_left(self) -> None:
        """
        When only a few percent of the rate limit are left, creations wait and look-ups do not.
        """
        self.twitch.usual["/helix/users"] = Reply(200, {"data": []})
        self.twitch.usual[PATH] = Reply(204)
        for _ in range(768):
            self.successResultOf(run(self.api.delete("sub-1")))
        waiting = run(self.api.delete("sub-1"))
        self.assertNoResult(waiting)
        for _ in range(32):
            self.successResultOf(run(self.world.helix.get("/users")))
        self.assertNoResult(run(self.world.helix.get("/users")))


def _largest(value: object) -> int:
    """
    The number in it that is farthest from 0: JSON as Twitch writes it has none beyond 64 bits.
    """
    if isinstance(value, list):
        return max(map(_largest, value), key=abs, default=0)
    return value if isinstance(value, int) else 0
