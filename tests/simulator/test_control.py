"""
The simulated Twitch at the hand of a script.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any
from urllib.request import urlopen

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from itsjustintv.simulator.control import with_control
from itsjustintv.simulator.responses import Query
from tests.simulator.worlds import NOW, SECRET, Answer, InMemory, twitch

CALLBACK = "https://hooks.example.net/twitch"


class Receiving(Resource):
    """
    Notes what comes.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.types: list[str | None] = []
        self.requests: list[Request] = []
        self.events: list[Any] = []

    def render(self, request: Request) -> bytes:
        self.requests.append(request)
        self.types.append(request.getHeader("twitch-eventsub-message-type"))
        self.events.append(json.loads(request.content.read()).get("event"))
        return b""


class ControlTests(SynchronousTestCase):
    """
    What a script may do.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.receiving = Receiving()
        self.twitch = twitch(self.clock, self.receiving)
        self.request = InMemory(self, with_control(self.twitch))

    def post(self, what: str, **asked: Any) -> Answer:
        answer = self.request("POST", f"/simulator/{what}", json=asked)
        self.twitch.eventsub._agent.flush()  # type: ignore[attr-defined]
        return answer

    def state(self) -> Any:
        return self.request("GET", "/simulator/state").json

    def test_a_broadcast(self) -> None:
        """
        Somebody appears, is subscribed to, goes live, which is announced, and is offline again.
        """
        made = self.post("streamers", login="tanuki", title="pottery").json
        self.assertEqual(self.twitch.world.channel("tanuki").title, "pottery")
        subscription = self.post("subscriptions", login="tanuki", callback=CALLBACK, secret=SECRET, status="enabled")
        self.assertEqual(subscription.json["condition"], {"broadcaster_user_id": made["id"]})
        stream = self.post("live", login="tanuki").json
        self.assertEqual(self.receiving.types, ["notification"])
        self.assertEqual([each.id for each in self.twitch.world.listed()], [stream["id"]])
        self.post("live", login="tanuki", announce=False, type="rerun")
        self.assertEqual(self.twitch.world.last("tanuki").type, "rerun")
        self.assertEqual((self.receiving.types, self.state()["live"]), (["notification"], ["tanuki"]))
        self.post("offline", login="tanuki")
        self.assertEqual(self.state()["live"], [])

    def subscribed(self, login: str = "tanuki", user_id: str = "", **more: Any) -> Any:
        """
        Somebody, and a subscription to it.
        """
        self.post("streamers", login=login, user_id=user_id)
        return self.post(
            "subscriptions", login=login, callback=CALLBACK, secret=SECRET, **{"status": "enabled", **more}
        ).json

    def streams(self) -> list[str]:
        """
        The ids of the broadcasts that Get Streams lists.
        """
        return [each.id for each in self.twitch.world.listed()]

    def test_messages_out_of_order_and_more_than_once(self) -> None:
        """
        One beginning is told under two ids, after its end; a message comes again under its id, from long ago or from
        somebody else.
        """
        self.subscribed()
        ending = {"callback": CALLBACK, "secret": SECRET, "status": "enabled", "type": "stream.offline"}
        self.post("subscriptions", login="tanuki", **ending)
        self.post("live", login="tanuki", copies=2, delay=5)
        self.post("offline", login="tanuki")
        self.assertEqual(len(self.receiving.events), 1)
        self.assertNotIn("id", self.receiving.events[0])
        self.clock.advance(5)
        self.twitch.eventsub._agent.flush()  # type: ignore[attr-defined]
        first, second = self.receiving.requests[1:]
        self.assertEqual(self.receiving.events[1], self.receiving.events[2])
        name = "twitch-eventsub-message-id"
        self.assertNotEqual(first.getHeader(name), second.getHeader(name))

        self.post("notify", login="tanuki", id=first.getHeader(name), times=2, age=700)
        self.post("notify", login="tanuki", forged=True)
        again, once_more, forged = self.receiving.requests[3:]
        self.assertEqual({each.getHeader(name) for each in (again, once_more)}, {first.getHeader(name)})
        self.assertEqual(once_more.getHeader("twitch-eventsub-message-retry"), "1")
        self.assertLess(
            again.getHeader("twitch-eventsub-message-timestamp"), first.getHeader("twitch-eventsub-message-timestamp")
        )
        self.assertNotEqual(forged.getHeader(name), first.getHeader(name))
        self.assertEqual(len(self.state()["messages"]), 6)

    def test_a_broadcast_that_is_hard_to_see(self) -> None:
        """
        It is listed late, or now and then, or the one before in its place; after a break it has the same id.
        """
        self.subscribed()
        self.post("timing", lag=60)
        before = self.post("live", login="tanuki", lag=0).json["id"]
        after = self.post("live", login="tanuki").json["id"]
        self.assertEqual(self.streams(), [])
        self.post("timing", stale=True)
        self.assertEqual(self.streams(), [before])
        self.post("timing", flickers=True)
        self.assertEqual({tuple(self.streams()) for _ in range(50)}, {(before,), (after,)})
        self.clock.advance(60)
        self.assertEqual(self.streams(), [after])
        self.post("offline", login="tanuki")
        self.assertEqual(self.post("live", login="tanuki", again=True, lag=0).json["id"], after)

    def test_a_channel_changes_and_goes(self) -> None:
        """
        What changes is told, live or not; an account that is closed ends what was subscribed to, with a word or
        without.
        """
        self.subscribed(type="channel.update", version="2")
        self.post("change", login="tanuki", title="pottery", tags=["English"], new_login="tanuki2")
        self.assertEqual(self.receiving.events[-1]["title"], "pottery")
        self.assertEqual(self.receiving.events[-1]["broadcaster_user_login"], "tanuki2")
        self.subscribed("kitsune")
        self.post("remove", login="kitsune", silently=True)
        self.post("remove", login="tanuki2")
        self.assertEqual(self.receiving.types, ["notification", "revocation"])
        state = self.state()
        self.assertEqual({each["status"] for each in state["subscriptions"]}, {"user_removed"})
        self.assertEqual(state["streamers"], [])

    def everything(self) -> None:
        """
        Somebody, and a subscription to each type.
        """
        for kind, version in (("stream.online", "1"), ("stream.offline", "1"), ("channel.update", "2")):
            self.subscribed(user_id="42", type=kind, version=version)

    def sent(self) -> list[str]:
        """
        The types of the notifications, in order.
        """
        return [each.getHeader("twitch-eventsub-subscription-type") or "" for each in self.receiving.requests]

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.twitch.eventsub._agent.flush()  # type: ignore[attr-defined]

    def test_a_short_drop(self) -> None:
        """
        The end is announced, and after the drop a start: with another id, or the same one and its time.
        """
        self.everything()
        first = self.post("live", login="tanuki").json
        self.post("flap", login="tanuki", seconds=30)
        self.assertEqual((self.sent(), self.state()["live"]), (["stream.online", "stream.offline"], []))
        self.later(29.0)
        self.assertEqual(len(self.sent()), 2)
        self.later(1.0)
        second = self.receiving.events[-1]
        self.assertEqual((self.sent()[-1], second["id"] != first["id"]), ("stream.online", True))
        self.post("flap", login="tanuki", seconds=5, again=True)
        self.later(5.0)
        self.assertEqual(self.sent()[-2:], ["stream.offline", "stream.online"])
        self.assertEqual(self.receiving.events[-1], second)

    def test_an_end_before_its_start(self) -> None:
        """
        As Twitch sometimes sends it.
        """
        self.everything()
        self.post("live", login="tanuki", offline_first=True)
        self.assertEqual((self.sent(), self.state()["live"]), (["stream.offline", "stream.online"], ["tanuki"]))

    def test_a_title_that_comes_late(self) -> None:
        """
        Some time after the start the channel changes, which is announced; a category has one id.
        """
        self.everything()
        self.post("live", login="tanuki")
        self.post("change", login="tanuki", title="pottery", game="Art", delay=40)
        self.later(39.0)
        self.assertEqual((self.sent(), self.twitch.world.channel("tanuki").title), (["stream.online"], ""))
        self.later(1.0)
        changed = self.receiving.events[-1]
        self.assertEqual((changed["title"], changed["category_name"]), ("pottery", "Art"))
        self.assertEqual(changed["category_id"], self.twitch.world.add_streamer("mujina", game="Art").game_id)

    def test_any_message_can_be_sent_again(self) -> None:
        """
        An end or a change too, with the id that is given.
        """
        self.everything()
        for kind in ("stream.offline", "channel.update"):
            self.post("notify", login="tanuki", type=kind, id="m-1", times=2)
            self.assertEqual(self.sent()[-2:], [kind, kind])
            self.assertEqual(self.receiving.requests[-1].getHeader("twitch-eventsub-message-id"), "m-1")

    def test_a_hidden_subscription_counts(self) -> None:
        """
        It is not listed, and costs what it is said to.
        """
        self.subscribed(hidden=True, cost=3)
        answer = self.twitch.subscriptions.list(Query({}))
        self.assertEqual((answer["data"], answer["total_cost"]), ([], 3))

    def test_a_subscription_ends(self) -> None:
        """
        With or without a word.
        """
        self.post("streamers", login="tanuki")
        for silently, told in ((True, []), (False, ["revocation"])):
            made = self.post("subscriptions", login="tanuki", callback=CALLBACK, secret=SECRET, status="enabled").json
            self.assertEqual(self.post("revoke", id=made["id"], status="user_removed", silently=silently).status, 200)
            self.assertEqual(self.receiving.types, told)
            self.assertEqual(self.state()["subscriptions"][-1]["status"], "user_removed")

    def test_a_verification(self) -> None:
        """
        A subscription without a status is challenged.
        """
        self.post("streamers", login="tanuki")
        self.post("subscriptions", login="tanuki", callback=CALLBACK, secret=SECRET)
        self.assertEqual(self.receiving.types, ["webhook_callback_verification"])
        self.assertEqual(self.state()["subscriptions"][0]["status"], "webhook_callback_verification_failed")

    def test_faults(self) -> None:
        """
        An endpoint misbehaves as it is told to, and is well again when it is told so.
        """
        self.post("faults", name="token", next=[{"status": 503}], then={"status": 500, "body": "no"})
        answers = [self.request("POST", "/oauth2/token") for _ in range(3)]
        self.assertEqual([each.status for each in answers], [503, 500, 500])
        self.assertEqual(answers[2].body, b"no")
        self.post("faults", name="token")
        self.assertEqual(self.request("POST", "/oauth2/token").status, 400)
        self.post("faults", name="*", then={"status": 502, "headers": {"Content-Type": "text/html"}})
        away = self.request("GET", "/oauth2/validate")
        self.assertEqual((away.status, away.headers["content-type"]), (502, "text/html"))
        self.post("faults", name="*")
        self.assertEqual(self.request("GET", "/oauth2/validate").status, 401)

    def test_limits(self) -> None:
        """
        Pages, totals, costs and points are as they are set.
        """
        self.post("limits", per_page=2, total_lag=5.0, max_total_cost=7, points=0, removed=[["stream.online", "1"]])
        subscriptions = self.twitch.subscriptions
        self.assertEqual(
            (subscriptions.per_page, subscriptions.total_lag, subscriptions.max_total_cost, self.twitch.bucket.take()),
            (2, 5.0, 7, False),
        )
        self.assertEqual(subscriptions.removed, {("stream.online", "1")})

    def test_timing(self) -> None:
        """
        How long is waited, how often something is sent and what is put up with are as they are set.
        """
        self.post("timing", resend_after=[1], timeout=3, challenge_after=-1, challenge_again=True, patience=2)
        twitch = self.twitch
        self.assertEqual(
            (twitch.eventsub.resend_after, twitch.eventsub.timeout, twitch.challenge_after, twitch.patience),
            ([1], 3, -1, 2),
        )

    def test_what_is_not_understood(self) -> None:
        """
        Is said, and changes nothing.
        """
        for what, asked, status in (
            ("nothing", {}, 404),
            ("live", {}, 400),
            ("live", {"login": "nobody"}, 400),
            ("streamers", {"name": "x"}, 400),
            ("limits", {"speed": 5}, 400),
            ("timing", {"patience": "none"}, 400),
            ("change", {"login": "nobody"}, 400),
            ("notify", {"login": "nobody"}, 400),
            ("remove", {}, 400),
            ("live", {"login": "nobody", "again": True}, 400),
            ("faults", {"name": "token", "next": [{"status": "no"}]}, 400),
            ("faults", {"name": "token", "next": [{"mood": "bad"}]}, 400),
            ("revoke", {"id": "x", "status": "y"}, 404),
        ):
            answer = self.post(what, **asked)
            self.assertEqual(answer.status, status, (what, asked))
            self.assertTrue(answer.json["message"])
        self.assertEqual(self.request("POST", "/simulator/live", data=b"[]").status, 400)
        self.assertEqual(self.request("POST", "/simulator/live", data=b"{").status, 400)
        self.assertEqual(self.state()["streamers"], [])


class ProcessTests(SynchronousTestCase):
    """
    ``python -m itsjustintv.simulator``.
    """

    def test_it_says_where_it_is(self) -> None:
        """
        The first line it prints is all that a script and a configuration need.
        """
        with subprocess.Popen([sys.executable, "-m", "itsjustintv.simulator"], stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                told = json.loads(process.stdout.readline())
                with urlopen(f"{told['control_url']}/state", timeout=30) as answer:  # noqa: S310 - on this machine
                    self.assertEqual(json.load(answer)["subscriptions"], [])
            finally:
                process.kill()
        self.assertEqual(
            set(told), {"api_url", "auth_url", "websocket_url", "control_url", "client_id", "client_secret"}
        )
