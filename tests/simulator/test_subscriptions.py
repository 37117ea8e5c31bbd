"""
The simulated Subscriptions API.
"""

from __future__ import annotations

from typing import Any

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.subscriptions import only_https
from tests.simulator.test_helix import HelixTestCase
from tests.simulator.worlds import SECRET, Answer, InMemory, twitch

CALLBACK = "https://hooks.example.net/twitch"


class SubscriptionsTests(HelixTestCase):
    """
    Subscriptions are created, listed and deleted as on Twitch.
    """

    def create(self, **changes: Any) -> Answer:
        transport = {"method": "webhook", "callback": CALLBACK, "secret": SECRET, **changes.pop("transport", {})}
        asked = {
            "type": "stream.online",
            "version": "1",
            "condition": {"broadcaster_user_id": self.tanuki.id},
            "transport": transport,
            **changes,
        }
        return self.ask("/eventsub/subscriptions", "POST", json=asked)

    def list(self, query: str = "") -> Answer:
        return self.ask(f"/eventsub/subscriptions{query}")

    def test_a_new_subscription_is_pending_and_hides_its_secret(self) -> None:
        """
        A creation is answered 202 with the subscription, what it costs, and nothing secret.
        """
        answer = self.create()
        self.assertEqual(answer.status, 202)
        (subscription,) = answer.json["data"]
        self.assertEqual(subscription["status"], "webhook_callback_verification_pending")
        self.assertEqual(subscription["transport"], {"method": "webhook", "callback": CALLBACK})
        self.assertEqual([answer.json[key] for key in ("total", "total_cost", "max_total_cost")], [1, 1, 10000])
        self.assertNotIn(SECRET.encode(), answer.body)

    def test_bad_requests_are_refused(self) -> None:
        """
        Missing fields, unknown types and users, other transports, secrets and callbacks out of bounds are 400.
        """
        for changes in (
            {"condition": {}},
            {"condition": None},
            {"condition": {"broadcaster_user_id": "1"}},
            {"type": "stream.online", "version": "2"},
            {"type": "channel.raid"},
            {"transport": {"method": "websocket"}},
            {"transport": {"secret": "too short"}},
            {"transport": {"secret": "x" * 101}},
            {"transport": {"secret": "ünïcödé-secret"}},
            {"transport": {"callback": "http://hooks.example.net/twitch"}},
            {"transport": {"callback": "https://hooks.example.net:8443/twitch"}},
        ):
            self.assertEqual(self.create(**changes).status, 400, changes)
        self.assertEqual(self.ask("/eventsub/subscriptions", "POST", data=b"no json").status, 400)
        self.assertEqual(self.list().json["total"], 0)

    def test_plain_http_is_for_this_machine_only(self) -> None:
        """
        A callback on loopback is accepted, unless the simulator is to be as strict as Twitch.
        """
        here = {"transport": {"callback": "http://127.0.0.1:4711/twitch"}}
        self.assertEqual(self.create(**here).status, 202)
        strict = twitch(self.clock, callback_is_allowed=only_https)
        self.tanuki = strict.world.add_streamer("tanuki")
        self.headers["Authorization"] = f"Bearer {strict.tokens.issue()}"
        self.request = InMemory(self, strict.resource())
        self.assertEqual(self.create(**here).status, 400)
        self.assertEqual(self.create().status, 202)

    def test_the_same_again_is_a_conflict(self) -> None:
        """
        Type, condition and callback together are unique; up to three callbacks may share a condition.
        """
        statuses = [
            self.create(transport={"callback": f"{CALLBACK}/{path}"}).status for path in ("1", "1", "2", "3", "4")
        ]
        self.assertEqual(statuses, [202, 409, 202, 202, 429])

    def test_a_failed_subscription_is_no_conflict(self) -> None:
        """
        A subscription whose verification failed stays listed and may be created anew.
        """
        failed = self.create().json["data"][0]["id"]
        self.twitch.subscriptions.set_status(failed, "webhook_callback_verification_failed")
        self.assertEqual(self.create().status, 202)
        answer = self.list().json
        self.assertEqual((answer["total"], answer["total_cost"]), (2, 1))

    def test_the_list_has_pages_and_one_filter(self) -> None:
        """
        Pages end with an empty ``pagination``; each filter works, two at once do not.
        """
        other = self.world.add_streamer("mujina")
        ids = [self.create().json["data"][0]["id"]]
        ids.append(self.create(condition={"broadcaster_user_id": other.id}).json["data"][0]["id"])
        ids.append(self.create(type="channel.update", version="2").json["data"][0]["id"])
        self.twitch.subscriptions.set_status(ids[0], "enabled")
        for query, expected in (
            ("", ids),
            ("?status=enabled", ids[:1]),
            (f"?user_id={other.id}", ids[1:2]),
            ("?type=channel.update", ids[2:]),
            (f"?subscription_id={ids[1]}", ids[1:2]),
        ):
            self.assertEqual([each["id"] for each in self.list(query).json["data"]], expected)
        self.assertEqual(self.list(f"?status=enabled&user_id={other.id}").status, 400)
        self.twitch.subscriptions.per_page = 2
        first = self.list().json
        second = self.list(f"?after={first['pagination']['cursor']}").json
        self.assertEqual([each["id"] for each in first["data"] + second["data"]], ids)
        self.assertEqual((second["pagination"], second["total"]), ({}, 3))

    def test_a_deleted_subscription_is_gone(self) -> None:
        """
        A deletion is answered 204 once, then 404; without an id it is a 400.
        """
        subscription = self.create().json["data"][0]["id"]
        statuses = [
            self.ask(f"/eventsub/subscriptions{query}", "DELETE").status
            for query in (f"?id={subscription}", f"?id={subscription}", "")
        ]
        self.assertEqual(statuses, [204, 404, 400])
        self.assertIsNone(self.twitch.subscriptions.set_status(subscription, "enabled"))

    def test_a_conflict_tells_the_id(self) -> None:
        """
        A 409 says which subscription there is already.
        """
        first = self.create().json["data"][0]["id"]
        answer = self.create()
        self.assertEqual((answer.status, answer.json["id"]), (409, first))
        self.twitch.subscriptions.conflict_names_id = False
        self.assertNotIn("id", self.create().json)

    def test_a_removed_type_is_gone(self) -> None:
        """
        A type and version that is no longer offered is a 410.
        """
        self.twitch.subscriptions.removed.add(("stream.online", "1"))
        self.assertEqual(self.create().status, 410)

    def test_the_cost_has_a_limit(self) -> None:
        """
        At the limit nothing is created; what has ended costs nothing.
        """
        self.twitch.subscriptions.max_total_cost = 1
        first = self.create().json["data"][0]["id"]
        other = {"condition": {"broadcaster_user_id": self.world.add_streamer("mujina").id}}
        self.assertEqual(self.create(**other).status, 429)
        self.twitch.subscriptions.set_status(first, "user_removed")
        self.assertEqual(self.create(**other).status, 202)

    def test_the_totals_may_be_behind(self) -> None:
        """
        The list is right at once, its totals only after a while.
        """
        self.twitch.subscriptions.total_lag = 5.0
        self.twitch.subscriptions.add("stream.online", "1", self.tanuki.id, CALLBACK, SECRET)
        for seconds, total in ((0.0, 0), (4.0, 0), (1.0, 1), (60.0, 1)):
            self.clock.advance(seconds)
            answer = self.list().json
            self.assertEqual((len(answer["data"]), answer["total"], answer["total_cost"]), (1, total, total))

    def test_an_answer_may_be_lost(self) -> None:
        """
        What was asked is done, though nobody is told.
        """
        self.twitch.faults.plan("eventsub/subscriptions", Behaviour(lost=True))
        asked = {
            "type": "stream.online",
            "version": "1",
            "condition": {"broadcaster_user_id": self.tanuki.id},
            "transport": {"method": "webhook", "callback": CALLBACK, "secret": SECRET},
        }
        asking = self.request._treq.request(
            "POST", "http://twitch.test/helix/eventsub/subscriptions", headers=self.headers, json=asked
        )
        self.request._treq.flush()
        self.assertNoResult(asking)
        self.assertEqual(self.list().json["total"], 1)
        asking.addErrback(lambda _: None).cancel()
