"""
The conduits and shards of the simulated Twitch, and the way of a message to one of them.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from treq.testing import RequestTraversalAgent
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from itsjustintv.simulator.conduits import shard_number
from itsjustintv.simulator.control import with_control
from itsjustintv.support.signatures import sign_hub
from tests.simulator.sockets import Client
from tests.simulator.worlds import NOW, SECRET, Answer, InMemory, twitch

CALLBACK = "http://127.0.0.1:4711/shard"


class Callback(Resource):
    """
    Echoes challenges, and answers everything else as told.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.raw: list[bytes] = []
        self.status = 204
        self.echoes = True

    def render_POST(self, request: Request) -> bytes:
        content: Any = request.content
        self.raw.append(content.read())
        self.bodies.append(json.loads(self.raw[-1]))
        self.headers.append({k.decode().lower(): v[0].decode() for k, v in request.requestHeaders.getAllRawHeaders()})
        if "challenge" in self.bodies[-1]:
            challenge: str = self.bodies[-1]["challenge"]
            return challenge.encode() if self.echoes else b"?"
        request.setResponseCode(self.status)
        return b""


class ConduitCase(SynchronousTestCase):
    """
    A Twitch, asked as Helix is asked.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.callback = Callback()
        self.agent = RequestTraversalAgent(self.callback)
        self.twitch = twitch(self.clock, agent=self.agent)
        self.twitch.sessions.ping_interval = 1e9
        self.request = InMemory(self, with_control(self.twitch))
        self.token = self.twitch.tokens.issue()
        self.tanuki = self.twitch.world.add_streamer("tanuki")

    def ask(self, method: str, path: str, token: str = "", **about: Any) -> Answer:
        headers = {"Authorization": f"Bearer {token or self.token}", "Client-Id": self.twitch.client_id}
        return self.request(method, f"/helix/eventsub/{path}", headers=headers, **about)

    def create(self, shard_count: int = 2) -> str:
        conduit_id: str = self.ask("POST", "conduits", json={"shard_count": shard_count}).json["data"][0]["id"]
        return conduit_id

    def patch(self, conduit_id: str, **shards: str | dict[str, str]) -> Answer:
        """
        Assign sessions by id, or other transports, to the shards ``s0``, ``s1``, ...
        """
        asked = [
            {
                "id": name[1:],
                "transport": each if isinstance(each, dict) else {"method": "websocket", "session_id": each},
            }
            for name, each in shards.items()
        ]
        return self.ask("PATCH", "conduits/shards", json={"conduit_id": conduit_id, "shards": asked})

    def shards(self, conduit_id: str, more: str = "") -> list[tuple[str, str]]:
        answer = self.ask("GET", f"conduits/shards?conduit_id={conduit_id}{more}")
        return [(each["id"], each["status"]) for each in answer.json["data"]]

    def subscribe(self, conduit_id: str, kind: str = "stream.online", user_id: str = "") -> Answer:
        transport = {"method": "conduit", "conduit_id": conduit_id}
        return self.post_subscription(transport, kind, user_id)

    def post_subscription(
        self, transport: object, kind: str = "stream.online", user_id: str = "", token: str = ""
    ) -> Answer:
        body = {
            "type": kind,
            "version": "1",
            "condition": {"broadcaster_user_id": user_id or self.tanuki.id},
            "transport": transport,
        }
        return self.ask("POST", "subscriptions", token, json=body)

    def announce(self, login: str = "tanuki") -> None:
        self.twitch.announce(self.twitch.world.go_live(login))
        self.agent.flush()


class HelixTests(ConduitCase):
    """
    The six calls, and their errors.
    """

    def test_a_life(self) -> None:
        """
        A conduit is created, listed, resized and deleted.
        """
        conduit_id = self.create(2)
        self.assertEqual(self.ask("GET", "conduits").json, {"data": [{"id": conduit_id, "shard_count": 2}]})
        answer = self.ask("PATCH", "conduits", json={"id": conduit_id, "shard_count": 5})
        self.assertEqual((answer.status, answer.json), (200, {"data": [{"id": conduit_id, "shard_count": 5}]}))
        self.assertEqual(self.ask("DELETE", f"conduits?id={conduit_id}").status, 204)
        self.assertEqual(self.ask("GET", "conduits").json, {"data": []})

    def test_five_conduits(self) -> None:
        """
        Five are created, the sixth is answered 429; after one is deleted there is room.
        """
        first, *_ = [self.create() for _ in range(5)]
        self.assertEqual(self.ask("POST", "conduits", json={"shard_count": 1}).status, 429)
        self.ask("DELETE", f"conduits?id={first}")
        self.assertEqual(self.ask("POST", "conduits", json={"shard_count": 1}).status, 200)

    def test_counts(self) -> None:
        """
        A conduit has 1 to 20,000 shards.
        """
        conduit_id = self.create()
        for count, status in ((0, 400), (1, 200), (20_000, 200), (20_001, 400), (True, 400), ("2", 400), (None, 400)):
            answer = self.ask("PATCH", "conduits", json={"id": conduit_id, "shard_count": count})
            self.assertEqual(answer.status, status, count)
        self.assertEqual(self.ask("POST", "conduits", data=b"[]").status, 400)
        self.assertEqual(self.ask("POST", "conduits", data=b"{").status, 400)

    def test_parameters_in_the_query(self) -> None:
        """
        What belongs into the body can be in the query.
        """
        client = Client(self.twitch)
        conduit_id = self.ask("POST", "conduits?shard_count=3").json["data"][0]["id"]
        answer = self.ask("PATCH", f"conduits?id={conduit_id}&shard_count=2")
        self.assertEqual(answer.json["data"], [{"id": conduit_id, "shard_count": 2}])
        shard = {"id": "1", "transport": {"method": "websocket", "session_id": client.session_id}}
        self.ask("PATCH", f"conduits/shards?conduit_id={conduit_id}", json={"shards": [shard]})
        self.assertEqual(self.shards(conduit_id), [("1", "enabled")])
        self.assertEqual(self.ask("POST", "conduits?shard_count=x").status, 400)

    def test_what_is_not_there(self) -> None:
        """
        An unknown conduit is 404, a missing id 400.
        """
        gone = "3f1c2a87-161a-49f9-a165-0f21d7a4e1c4"
        self.assertEqual(self.ask("PATCH", "conduits", json={"id": gone, "shard_count": 2}).status, 404)
        self.assertEqual(self.ask("DELETE", f"conduits?id={gone}").status, 404)
        self.assertEqual(self.ask("GET", f"conduits/shards?conduit_id={gone}").status, 404)
        answer = self.patch(gone, s0="session")
        self.assertEqual(answer.json, {"error": "Not Found", "status": 404, "message": "not found"})
        self.assertEqual(self.ask("PATCH", "conduits", json={"shard_count": 2}).status, 400)
        self.assertEqual(self.ask("DELETE", "conduits").status, 400)
        self.assertEqual(self.ask("GET", "conduits/shards").status, 400)
        self.assertEqual(self.ask("PATCH", "conduits/shards", json={"shards": []}).status, 400)

    def test_tokens(self) -> None:
        """
        All of it needs an app access token.
        """
        user = self.twitch.tokens.issue_to_user(self.tanuki.id, "tanuki")
        for method, path in (
            ("GET", "conduits"),
            ("POST", "conduits"),
            ("PATCH", "conduits"),
            ("DELETE", "conduits"),
            ("GET", "conduits/shards"),
            ("PATCH", "conduits/shards"),
        ):
            for token in (user, "wrong"):
                self.assertEqual(self.ask(method, path, token).status, 401)

    def test_a_shard(self) -> None:
        """
        A session is assigned and shown; a shard that never was assigned is not.
        """
        client, conduit_id = Client(self.twitch), self.create()
        answer = self.patch(conduit_id, s1=client.session_id)
        shard = {
            "id": "1",
            "status": "enabled",
            "transport": {
                "method": "websocket",
                "session_id": client.session_id,
                "connected_at": "2026-01-02T04:00:00.500000000Z",
            },
        }
        self.assertEqual((answer.status, answer.json), (202, {"data": [shard], "errors": []}))
        listed = self.ask("GET", f"conduits/shards?conduit_id={conduit_id}").json
        self.assertEqual(listed, {"data": [shard], "pagination": {}})

    def test_errors_of_single_shards(self) -> None:
        """
        What is wrong with a shard is in ``errors``; the others are assigned.
        """
        client, conduit_id = Client(self.twitch), self.create(2)
        webhook = {"method": "webhook", "callback": "http://hooks.example", "secret": SECRET}
        answer = self.patch(conduit_id, s0="gone", s1=client.session_id, s2=client.session_id, sx=client.session_id)
        self.assertEqual(answer.status, 202)
        self.assertEqual([each["id"] for each in answer.json["data"]], ["1"])
        self.assertEqual(
            [(each["id"], each["code"]) for each in answer.json["errors"]],
            [("0", "invalid_parameter"), ("2", "invalid_parameter"), ("x", "invalid_parameter")],
        )
        self.assertEqual(len(self.patch(conduit_id, s0=webhook).json["errors"]), 1)
        short = {"method": "webhook", "callback": CALLBACK, "secret": "x" * 9}
        self.assertEqual(len(self.patch(conduit_id, s0=short).json["errors"]), 1)

    def test_a_shard_that_is_no_shard(self) -> None:
        """
        A shard without an id or with half a transport makes the whole request a 400, as does a list of more than 100.
        """
        conduit_id = self.create(200)
        whole = {"id": "0", "transport": {"method": "websocket", "session_id": "gone"}}
        for shards, status in (
            ([{"transport": whole["transport"]}], 400),
            ([{"id": "0"}], 400),
            ([{"id": "0", "transport": {"method": "websocket"}}], 400),
            ([{"id": "0", "transport": {"method": "webhook", "callback": CALLBACK}}], 400),
            ([whole] * 100, 202),
            ([whole] * 101, 400),
        ):
            answer = self.ask("PATCH", "conduits/shards", json={"conduit_id": conduit_id, "shards": shards})
            self.assertEqual(answer.status, status)

    def test_pages_and_filter(self) -> None:
        """
        Shards come a hundred at a time, by number, and can be filtered by status.
        """
        client, other, conduit_id = Client(self.twitch), Client(self.twitch), self.create(150)
        for start in (0, 100):
            self.patch(conduit_id, **{f"s{each}": client.session_id for each in range(start, min(start + 100, 150))})
        self.patch(conduit_id, s7=other.session_id)
        first = self.ask("GET", f"conduits/shards?conduit_id={conduit_id}").json
        self.assertEqual([each["id"] for each in first["data"]], [str(each) for each in range(100)])
        cursor = first["pagination"]["cursor"]
        self.assertEqual(len(self.shards(conduit_id, f"&after={cursor}")), 50)
        other.leave()
        self.assertEqual(self.shards(conduit_id, "&status=websocket_disconnected"), [("7", "websocket_disconnected")])

    def test_a_late_answer(self) -> None:
        """
        An update of shards can be answered late; it has its effect at once.
        """
        client, conduit_id = Client(self.twitch), self.create()
        self.twitch.conduits.shards_answered_after = 9.0
        transport = {"method": "websocket", "session_id": client.session_id}
        asking = self.request._treq.request(
            "PATCH",
            "http://twitch.test/helix/eventsub/conduits/shards",
            headers={"Authorization": f"Bearer {self.token}", "Client-Id": self.twitch.client_id},
            json={"conduit_id": conduit_id, "shards": [{"id": "0", "transport": transport}]},
        )
        self.request._treq.flush()
        self.assertEqual(self.shards(conduit_id), [("0", "enabled")])
        self.clock.advance(8.5)
        self.request._treq.flush()
        self.assertNoResult(asking)
        self.clock.advance(0.5)
        self.request._treq.flush()
        self.assertEqual(self.successResultOf(asking).code, 202)


class ShardTests(ConduitCase):
    """
    What becomes of shards.
    """

    def test_an_assigned_session_is_used(self) -> None:
        """
        A session that serves a shard is not closed as unused.
        """
        client, conduit_id = Client(self.twitch), self.create()
        self.patch(conduit_id, s0=client.session_id)
        self.clock.advance(11)
        self.assertIsNone(client.pump().code)

    def test_lost_sessions(self) -> None:
        """
        A shard has the status of its session's end; one session may serve several, and another may take over.
        """
        client, conduit_id = Client(self.twitch), self.create(2)
        self.patch(conduit_id, s0=client.session_id, s1=client.session_id)
        self.twitch.sessions.sever(client.session_id, "close", 4005)
        self.assertEqual(
            self.shards(conduit_id), [("0", "websocket_network_timeout"), ("1", "websocket_network_timeout")]
        )
        listed = self.ask("GET", f"conduits/shards?conduit_id={conduit_id}").json["data"]
        self.assertIn("disconnected_at", listed[0]["transport"])
        later = Client(self.twitch)
        self.patch(conduit_id, s1=later.session_id)
        self.assertEqual(self.shards(conduit_id), [("0", "websocket_network_timeout"), ("1", "enabled")])

    def test_a_shard_that_was_taken(self) -> None:
        """
        The end of a session whose shard another one has taken changes nothing.
        """
        old, new, conduit_id = Client(self.twitch), Client(self.twitch), self.create(1)
        self.patch(conduit_id, s0=old.session_id)
        self.patch(conduit_id, s0=new.session_id)
        old.leave()
        self.assertEqual(self.shards(conduit_id), [("0", "enabled")])

    def test_scaling_down(self) -> None:
        """
        Shards that are too many are gone; ghosts stay in the list, and get nothing.
        """
        client, conduit_id = Client(self.twitch), self.create(3)
        self.patch(conduit_id, s0=client.session_id, s2=client.session_id)
        self.ask("PATCH", "conduits", json={"id": conduit_id, "shard_count": 2})
        self.assertEqual(self.shards(conduit_id), [("0", "enabled")])
        self.twitch.conduits.ghosts = True
        self.patch(conduit_id, s1=client.session_id)
        self.ask("PATCH", "conduits", json={"id": conduit_id, "shard_count": 1})
        self.assertEqual(self.shards(conduit_id), [("0", "enabled"), ("1", "enabled")])
        self.assertEqual(len(self.patch(conduit_id, s1=client.session_id).json["errors"]), 1)

    def test_a_ghost_is_no_shard(self) -> None:
        """
        A conduit whose only enabled shard is a ghost is without one.
        """
        client, conduit_id = Client(self.twitch), self.create(2)
        self.twitch.conduits.ghosts = True
        self.patch(conduit_id, s1=client.session_id)
        self.ask("PATCH", "conduits", json={"id": conduit_id, "shard_count": 1})
        self.twitch.conduits.let_pass(72 * 3600)
        self.assertEqual(list(self.twitch.conduits), [])

    def test_72_hours(self) -> None:
        """
        A conduit without an enabled shard for 72 hours is gone, and its subscriptions are ``conduit_deleted``.
        """
        client, conduit_id = Client(self.twitch), self.create(1)
        self.subscribe(conduit_id)
        self.patch(conduit_id, s0=client.session_id)
        self.clock.pump([0.0])
        self.clock.rightNow += 100 * 3600
        self.assertEqual(self.shards(conduit_id), [("0", "enabled")])
        client.leave()
        self.clock.rightNow += 72 * 3600 - 1
        self.assertEqual([each["status"] for each in self.ask("GET", "subscriptions").json["data"]], ["enabled"])
        self.assertEqual(len(self.ask("GET", "conduits").json["data"]), 1)
        self.clock.rightNow += 1
        self.assertEqual(self.ask("GET", "conduits").json["data"], [])
        listed = self.ask("GET", "subscriptions").json
        self.assertEqual([each["status"] for each in listed["data"]], ["conduit_deleted"])
        self.assertEqual((listed["total"], listed["total_cost"]), (1, 0))

    def test_72_hours_at_once(self) -> None:
        """
        A test lets them pass; an enabled shard saves a conduit.
        """
        client, dark, lit = Client(self.twitch), self.create(), self.create()
        self.patch(lit, s0=client.session_id)
        self.twitch.conduits.let_pass(71.9 * 3600)
        self.assertEqual([each.id for each in self.twitch.conduits], [dark, lit])
        self.twitch.conduits.let_pass(0.1 * 3600)
        self.assertEqual([each.id for each in self.twitch.conduits], [lit])


class SubscriptionTests(ConduitCase):
    """
    Subscriptions whose messages go to conduits and sessions.
    """

    def test_a_conduit(self) -> None:
        """
        It is enabled at once, shown with its conduit, and found by it.
        """
        conduit_id = self.create()
        answer = self.subscribe(conduit_id)
        (made,) = answer.json["data"]
        self.assertEqual((answer.status, made["status"], made["cost"]), (202, "enabled", 1))
        self.assertEqual(made["transport"], {"method": "conduit", "conduit_id": conduit_id})
        self.agent.flush()
        self.assertEqual(self.callback.bodies, [])
        listed = self.ask("GET", f"subscriptions?conduit_id={conduit_id}").json
        self.assertEqual([each["id"] for each in listed["data"]], [made["id"]])
        self.assertEqual(self.ask("GET", "subscriptions?conduit_id=other").json["data"], [])

    def test_what_is_no_transport(self) -> None:
        """
        A transport without its id, or with one that is not there, is a 400.
        """
        for transport in (
            {"method": "conduit"},
            {"method": "conduit", "conduit_id": ""},
            {"method": "conduit", "conduit_id": "gone"},
            {"method": "websocket"},
            {"method": "pigeon"},
            None,
        ):
            self.assertEqual(self.post_subscription(transport).status, 400)

    def test_limits(self) -> None:
        """
        The same conduit is a conflict; three for one topic are allowed, of webhooks and conduits together; cost is
        common.
        """
        conduits = [self.create() for _ in range(3)]
        self.post_subscription({"method": "webhook", "callback": CALLBACK, "secret": SECRET})
        self.assertEqual([self.subscribe(each).status for each in conduits], [202, 202, 429])
        self.assertEqual(self.subscribe(conduits[0]).status, 409)
        self.twitch.subscriptions.max_total_cost = 3
        answer = self.subscribe(conduits[0], "stream.offline")
        self.assertEqual((answer.status, answer.json["message"]), (429, "cost exceeded"))

    def test_subscriptions_of_a_session(self) -> None:
        """
        A session has 300 at the most.
        """
        client, self.twitch.subscriptions.lenient_tokens = Client(self.twitch), True
        transport = {"method": "websocket", "session_id": client.session_id}
        channels = [self.twitch.world.add_streamer(f"channel{each}").id for each in range(301)]
        statuses = [self.post_subscription(transport, user_id=each).status for each in channels]
        self.assertEqual(statuses, [202] * 300 + [429])

    def test_deletion_of_a_conduit(self) -> None:
        """
        Its subscriptions are ``conduit_deleted``, but not those that had ended, nor those of another conduit.
        """
        first, second = self.create(), self.create()
        self.subscribe(first)
        self.subscribe(second)
        ended = self.subscribe(first, "stream.offline").json["data"][0]["id"]
        self.twitch.subscriptions.set_status(ended, "version_removed")
        self.ask("DELETE", f"conduits?id={first}")
        statuses = [each["status"] for each in self.ask("GET", "subscriptions").json["data"]]
        self.assertEqual(statuses, ["conduit_deleted", "enabled", "version_removed"])

    def test_a_session(self) -> None:
        """
        A user access token creates one for a session, sees it and what it costs, and deletes it; an app access token
        does not see it.
        """
        client, user = Client(self.twitch), self.twitch.tokens.issue_to_user("4711", "kitsune")
        transport = {"method": "websocket", "session_id": client.session_id}
        refused = self.post_subscription(transport)
        self.assertEqual((refused.status, refused.json["message"]), (400, "invalid transport and auth combination"))
        made = self.post_subscription(transport, token=user).json
        self.assertEqual((made["data"][0]["status"], made["max_total_cost"], made["total_cost"]), ("enabled", 10, 1))
        self.assertEqual(made["data"][0]["transport"]["session_id"], client.session_id)
        self.assertEqual(self.ask("GET", "subscriptions").json["data"], [])
        self.assertEqual(len(self.ask("GET", "subscriptions", user).json["data"]), 1)
        path = f"subscriptions?id={made['data'][0]['id']}"
        self.assertEqual([self.ask("DELETE", path, each).status for each in (self.token, user)], [404, 204])
        self.clock.advance(11)
        self.assertIsNone(client.pump().code)

    def test_tokens_of_the_other_kind(self) -> None:
        """
        A user access token is good for nothing else, unless a test wants it.
        """
        user, conduit_id = self.twitch.tokens.issue_to_user("4711", "kitsune"), self.create()
        transport = {"method": "conduit", "conduit_id": conduit_id}
        self.assertEqual(self.post_subscription(transport, token=user).status, 400)
        self.twitch.subscriptions.lenient_tokens = True
        self.assertEqual(self.post_subscription(transport, token=user).status, 202)

    def test_the_cost_of_a_user(self) -> None:
        """
        Ten subscriptions of cost 1 are allowed for a user, and the eleventh is not.
        """
        client, user = Client(self.twitch), self.twitch.tokens.issue_to_user("4711", "kitsune")
        transport = {"method": "websocket", "session_id": client.session_id}
        channels = [self.twitch.world.add_streamer(f"channel{each}").id for each in range(11)]
        statuses = [self.post_subscription(transport, user_id=each, token=user).status for each in channels]
        self.assertEqual(statuses, [202] * 10 + [429])

    def test_the_end_of_a_session(self) -> None:
        """
        Its subscriptions end with the reason, and it gets no others.
        """
        client, user = Client(self.twitch), self.twitch.tokens.issue_to_user("4711", "kitsune")
        transport = {"method": "websocket", "session_id": client.session_id}
        self.post_subscription(transport, token=user)
        client.leave()
        (listed,) = self.ask("GET", "subscriptions", user).json["data"]
        self.assertEqual(listed["status"], "websocket_disconnected")
        self.assertEqual(self.post_subscription(transport, token=user).status, 400)


class RoutingTests(ConduitCase):
    """
    The way of a message.
    """

    def setUp(self) -> None:
        super().setUp()
        self.conduit_id = self.create(2)
        self.subscribe(self.conduit_id)
        self.first = shard_number(self.tanuki.id, 2)
        self.clients = [Client(self.twitch), Client(self.twitch)]
        self.patch(self.conduit_id, s0=self.clients[0].session_id, s1=self.clients[1].session_id)
        self.mine, self.other = self.clients[self.first], self.clients[1 - self.first]

    def received(self) -> tuple[int, int]:
        """
        The number of notifications at the shard that the hash chooses, and at the other.
        """
        return tuple(each.pump().types.count("notification") for each in (self.mine, self.other))  # type: ignore[return-value]

    def test_a_notification(self) -> None:
        """
        It goes to the shard that the hash chooses, with the metadata and the payload of a webhook's body.
        """
        self.announce()
        self.assertEqual(self.received(), (1, 0))
        frame = self.mine.frames[-1]
        (message_id, _, _, status), *_ = self.twitch.eventsub.sent
        self.assertEqual(
            frame["metadata"],
            {
                "message_id": message_id,
                "message_type": "notification",
                "message_timestamp": "2026-01-02T04:00:00.500000000Z",
                "subscription_type": "stream.online",
                "subscription_version": "1",
            },
        )
        transport = {"method": "conduit", "conduit_id": self.conduit_id}
        self.assertEqual(frame["payload"]["subscription"]["transport"], transport)
        self.assertEqual(frame["payload"]["event"]["id"], self.twitch.world.last("tanuki").id)
        self.assertIsNone(status)

    def test_one_other_shard(self) -> None:
        """
        Where the shard is disabled, the other gets it; where both are, it is dropped and counted, and never comes.
        """
        self.mine.leave()
        self.announce()
        self.assertEqual(self.received(), (0, 1))
        self.other.leave()
        self.announce()
        self.assertEqual(self.received(), (0, 1))
        self.assertEqual([each.type for each in self.twitch.dropped], ["notification"])
        again = Client(self.twitch)
        self.patch(self.conduit_id, s0=again.session_id, s1=again.session_id)
        self.assertEqual(again.pump().types, ["session_welcome"])

    def test_only_one_other_shard(self) -> None:
        """
        A third shard is not tried.
        """
        conduit_id = self.create(3)
        self.subscribe(conduit_id)
        first = shard_number(self.tanuki.id, 3)
        client = Client(self.twitch)
        self.patch(conduit_id, **{f"s{(first + 2) % 3}": client.session_id})
        self.announce()
        self.assertEqual(client.pump().types, ["session_welcome"])
        self.patch(conduit_id, **{f"s{(first + 1) % 3}": client.session_id})
        self.announce()
        self.assertEqual(client.pump().types, ["session_welcome", "notification"])

    def test_one_shard(self) -> None:
        """
        A conduit of one shard has no other.
        """
        self.ask("PATCH", "conduits", json={"id": self.conduit_id, "shard_count": 1})
        self.clients[0].leave()
        self.announce()
        self.assertEqual(len(self.twitch.dropped), 1)

    def test_a_dead_socket(self) -> None:
        """
        What goes to a shard that died and is still enabled is lost, not given to the other.
        """
        self.twitch.sessions.sever(self.mine.session_id, "silence")
        self.announce()
        self.assertEqual(self.received(), (0, 0))
        self.assertEqual((len(self.twitch.sessions.lost), len(self.twitch.dropped)), (1, 0))

    def test_a_message_twice(self) -> None:
        """
        A message can be repeated with its id, and be old.
        """
        self.twitch.world.go_live("tanuki")
        asked = {"login": "tanuki", "id": "again", "times": 2, "age": 700}
        self.request("POST", "/simulator/notify", json=asked)
        self.assertEqual(self.received(), (2, 0))
        for frame in self.mine.frames[-2:]:
            self.assertEqual(frame["metadata"]["message_id"], "again")
            self.assertEqual(frame["metadata"]["message_timestamp"], "2026-01-02T03:48:20.500000000Z")

    def test_a_revocation(self) -> None:
        """
        It comes on the socket, with the subscription alone, and nothing follows.
        """
        (subscription,) = self.twitch.subscriptions
        self.twitch.revoke(subscription, "version_removed")
        frame = self.mine.pump().frames[-1]
        self.assertEqual(frame["metadata"]["message_type"], "revocation")
        self.assertEqual(set(frame["payload"]), {"subscription"})
        self.assertEqual(frame["payload"]["subscription"]["status"], "version_removed")
        self.announce()
        self.assertEqual(self.received(), (0, 0))

    def test_a_subscription_of_a_session(self) -> None:
        """
        Its messages go to its session.
        """
        client, user = Client(self.twitch), self.twitch.tokens.issue_to_user("4711", "kitsune")
        self.post_subscription({"method": "websocket", "session_id": client.session_id}, token=user)
        self.announce()
        self.assertEqual((client.pump().types, self.received()), (["session_welcome", "notification"], (1, 0)))
        self.assertEqual(client.frames[-1]["payload"]["subscription"]["transport"]["method"], "websocket")

    def test_a_webhook_shard(self) -> None:
        """
        It is enabled when it answers its challenge, gets what the hash sends it signed with its own secret, and is
        tried again there and not elsewhere; after too many failures it is disabled.
        """
        webhook = {"method": "webhook", "callback": CALLBACK, "secret": "the secret of a shard"}
        answer = self.patch(self.conduit_id, **{f"s{self.first}": webhook})
        self.assertEqual(answer.json["data"][0]["status"], "webhook_callback_verification_pending")
        self.assertEqual(answer.json["data"][0]["transport"], {"method": "webhook", "callback": CALLBACK})
        self.clock.advance(0)
        self.agent.flush()
        (challenge,) = self.callback.bodies
        self.assertEqual(challenge["conduit_shard"], {"conduit_id": self.conduit_id, "shard": str(self.first)})
        self.assertEqual(dict(self.shards(self.conduit_id))[str(self.first)], "enabled")
        self.callback.status = 503
        self.announce()
        headers, body = self.callback.headers[-1], self.callback.raw[-1]
        signed = (headers["twitch-eventsub-message-id"] + headers["twitch-eventsub-message-timestamp"]).encode() + body
        self.assertEqual(
            headers["twitch-eventsub-message-signature"], sign_hub("the secret of a shard", signed, "sha256")
        )
        for wait in self.twitch.eventsub.resend_after:
            self.clock.advance(wait)
            self.agent.flush()
        self.assertEqual(len(self.callback.bodies), 6)
        self.assertEqual(self.received(), (0, 0))
        self.assertEqual(dict(self.shards(self.conduit_id))[str(self.first)], "notification_failures_exceeded")

    def test_a_webhook_shard_that_fails(self) -> None:
        """
        A wrong answer to the challenge disables it; but not the session that has taken its place meanwhile.
        """
        webhook = {"method": "webhook", "callback": CALLBACK, "secret": "the secret of a shard"}
        self.callback.echoes = False
        self.patch(self.conduit_id, s0=webhook)
        self.patch(self.conduit_id, s1=webhook)
        self.patch(self.conduit_id, s1=self.clients[0].session_id)
        self.clock.advance(0)
        self.agent.flush()
        self.assertEqual(len(self.callback.bodies), 2)
        self.assertEqual(
            self.shards(self.conduit_id), [("0", "webhook_callback_verification_failed"), ("1", "enabled")]
        )

    @given(st.text(min_size=1), st.integers(1, 20_000))
    def test_the_hash(self, channel_id: str, count: int) -> None:
        """
        It chooses an existing shard, always the same.
        """
        number = shard_number(channel_id, count)
        self.assertTrue(0 <= number < count)
        self.assertEqual(number, shard_number(channel_id, count))


class ControlTests(ConduitCase):
    """
    What a script does to sockets and conduits.
    """

    def setUp(self) -> None:
        super().setUp()
        self.conduit_id = self.create(2)
        self.clients = [Client(self.twitch), Client(self.twitch)]
        self.patch(self.conduit_id, s0=self.clients[0].session_id, s1=self.clients[1].session_id)

    def post(self, command: str, /, **asked: Any) -> Answer:
        answer = self.request("POST", f"/simulator/{command}", json=asked)
        for each in self.clients:
            each.pump()
        return answer

    def state(self) -> Any:
        return self.request("GET", "/simulator/state").json

    def test_the_state(self) -> None:
        """
        It shows conduits, sessions, and what came to nobody.
        """
        self.subscribe(self.conduit_id)
        self.twitch.sessions.sever(self.clients[0].session_id, "silence")
        self.clients[1].leave()
        state = self.state()
        (conduit,) = state["conduits"]
        self.assertEqual((conduit["id"], conduit["enabled"], len(conduit["shards"])), (self.conduit_id, True, 2))
        (session,) = state["sessions"]
        self.assertEqual((session["silent"], session["shards"], session["frames"]), (True, ["0"], 0))
        self.announce()
        self.assertEqual(len(self.state()["lost"]), 1)
        self.assertEqual(self.state()["sessions"][0]["frames"], 1)
        self.twitch.sessions.sever(self.clients[0].session_id, "close", 4000)
        self.announce()
        state = self.state()
        self.assertEqual((len(state["dropped"]), state["sessions"]), (1, []))
        self.assertEqual(state["closed"], [{"session": self.clients[0].session_id, "code": 4000}])

    def test_sockets(self) -> None:
        """
        They are broken by session, by shard or all; unknown ones and unknown ways are a 400.
        """
        first, second = self.clients
        self.assertEqual(self.post("break", how="gently", session=first.session_id).status, 400)
        self.assertEqual(self.post("break", how="fin", session="unknown").status, 400)
        self.assertEqual(self.post("break", session=first.session_id).status, 400)
        self.assertEqual(self.post("break", how="close", code=4006, shard="1").json, {"sessions": [second.session_id]})
        self.assertEqual((first.code, second.code), (None, 4006))
        self.post("break", how="close")
        self.assertEqual(first.code, 4000)

    def test_frames(self) -> None:
        """
        Frames that Twitch does not send, and a reconnect, with its url or with another one.
        """
        self.post("frame", what="text", text="ahoy", shard="0")
        self.assertEqual((self.clients[0].others, self.clients[1].others), ([b"ahoy"], []))
        self.post("frame", what="huge", size=70_000)
        self.assertEqual(len(self.clients[1].frames[-1]["payload"]["padding"]), 70_000)
        (url,) = self.post("reconnect", shard="0").json["urls"]
        self.assertEqual(self.clients[0].frames[-1]["payload"]["session"]["reconnect_url"], url)
        self.post("reconnect", shard="1", url="wss://elsewhere.example/")
        self.assertEqual(self.clients[1].frames[-1]["payload"]["session"]["reconnect_url"], "wss://elsewhere.example/")

    def test_conduits_and_tokens(self) -> None:
        """
        A conduit is deleted or ages, and a user logs in.
        """
        other = self.create()
        self.assertEqual(self.post("conduits", hours=72).json, {"conduits": [self.conduit_id]})
        self.assertEqual(self.post("conduits", delete=other).status, 404)
        self.assertEqual(self.post("conduits", delete=self.conduit_id).json, {"conduits": []})
        made = self.post("tokens", login="tanuki").json
        headers = {"Authorization": f"OAuth {made['access_token']}"}
        about = self.request("GET", "/oauth2/validate", headers=headers).json
        self.assertEqual(
            (about["user_id"], about["login"], made["user_id"]), (self.tanuki.id, "tanuki", self.tanuki.id)
        )

    def test_settings(self) -> None:
        """
        Limits and times of conduits and sessions can be set, with the right types.
        """
        self.assertEqual(self.post("limits", conduit_limit=1, ghosts=True, lenient_tokens=True).status, 200)
        self.assertEqual(self.ask("POST", "conduits", json={"shard_count": 1}).status, 429)
        times = ("keepalive", "ping_interval", "pong_timeout", "unused_after", "reconnect_grace", "welcome_after")
        for name in (*times, "frame_delay"):
            self.assertEqual(self.post("timing", **{name: 1.5}).status, 200)
            self.assertEqual(getattr(self.twitch.sessions, name), 1.5)
        self.assertEqual(self.post("timing", shards_answered_after=11, strict_pings=True).status, 200)
        self.assertEqual(self.post("timing", strict_pings=1).status, 400)
