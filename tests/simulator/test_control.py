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

    def render(self, request: Request) -> bytes:
        self.types.append(request.getHeader("twitch-eventsub-message-type"))
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
        self.request = InMemory(self, self.twitch.resource())

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
        self.post("live", login="tanuki", announce=False)
        self.assertEqual((self.receiving.types, self.state()["live"]), (["notification"], ["tanuki"]))
        self.post("offline", login="tanuki")
        self.assertEqual(self.state()["live"], [])

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

    def test_limits(self) -> None:
        """
        Pages, totals, costs and points are as they are set.
        """
        self.post("limits", per_page=2, total_lag=5.0, max_total_cost=7, points=0)
        subscriptions = self.twitch.subscriptions
        self.assertEqual(
            (subscriptions.per_page, subscriptions.total_lag, subscriptions.max_total_cost, self.twitch.bucket.take()),
            (2, 5.0, 7, False),
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
        self.assertEqual(set(told), {"api_url", "auth_url", "control_url", "client_id", "client_secret"})
