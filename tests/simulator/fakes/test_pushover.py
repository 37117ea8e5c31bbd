"""
The fake of Pushover.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import orjson
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.fakes.pushover import FakePushover
from itsjustintv.simulator.fakes.service import FakeAnswer

NOW = 1_767_326_400.0
WHO = {"token": "azGDORePK8gMaC0QOYAMyEEuzJnyUi", "user": "uQiRzpo4DXghDmr9QzzfQu27cmVRsG"}


class PushoverTests(SynchronousTestCase):
    """
    The fake refuses what Pushover refuses.
    """

    def setUp(self) -> None:
        self.pushover = FakePushover()

    def post(self, now: float = NOW, **sent: Any) -> FakeAnswer:
        body = orjson.dumps({**WHO, "message": "Tanuki is live", **sent})
        headers = {"content-type": "application/json"}
        return self.pushover.handle("POST", "https://api.pushover.net/1/messages.json", headers, body, now)

    def refused(self, key: str, **sent: Any) -> None:
        answer = self.post(**sent)
        self.assertEqual((answer.status, answer.json["status"]), (400, 0), sent)
        self.assertIn(key, answer.json)
        self.assertEqual(len(answer.json["errors"]), 1)
        self.assertEqual(self.pushover.messages, {})

    def test_json_and_forms_are_read(self) -> None:
        """
        The same parameters are taken as JSON and as a form, and the answer is status 1 with an id.
        """
        first = self.post(title="Live", priority=-1)
        form = urlencode({**WHO, "message": "Tanuki is live", "title": "Live", "priority": "-1"}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        second = self.pushover.handle("POST", "/1/messages.json", headers, form, NOW)
        self.assertEqual([first.json["status"], second.json["status"]], [1, 1])
        shown = [{**each, "id": ""} for each in self.pushover.messages.values()]
        self.assertEqual(shown[0], shown[1])
        self.assertEqual(shown[0]["alert"], "quiet")
        self.assertNotIn(WHO["token"], str(self.pushover.messages))

    def test_json_without_its_content_type_is_a_form(self) -> None:
        """
        JSON that does not say so has no token.
        """
        answer = self.pushover.handle("POST", "/1/messages.json", {}, orjson.dumps({**WHO, "message": "x"}), NOW)
        self.assertEqual((answer.status, answer.json["token"]), (400, "invalid"))

    def test_lengths(self) -> None:
        """
        A message of 1024 characters, a title of 250, an address of 512 and its title of 100 are taken; one more is not.
        """
        for key, most in (("message", 1024), ("title", 250), ("url", 512), ("url_title", 100)):
            self.assertEqual(self.post(**{key: "\N{RACCOON}" * most}).status, 200, key)
            self.pushover.messages.clear()
            self.refused(key, **{key: "x" * (most + 1)})

    def test_an_empty_message(self) -> None:
        """
        A message of spaces alone cannot be blank.
        """
        self.refused("message", message=" ")
        self.assertEqual(self.post(message="").json["errors"], ["message cannot be blank"])

    def test_token_and_user(self) -> None:
        """
        A wrong token and a wrong user are refused with the name of the one that is wrong.
        """
        self.refused("token", token="wrong")
        self.refused("user", user="wrong")

    def test_priorities(self) -> None:
        """
        Priorities are -2 to 2; only those above 0 break through quiet hours.
        """
        self.refused("priority", priority=-3)
        self.refused("priority", priority=3)
        self.refused("priority", priority="high")
        for priority in (-2, -1, 0):
            self.post(priority=priority)
        self.assertEqual(self.pushover.pings, [])
        identity = self.post(priority=1).json["request"]
        self.assertEqual(self.pushover.pinged(identity), [f"user:{WHO['user']}"])

    def test_emergency_priority(self) -> None:
        """
        Priority 2 needs retry of at least 30 seconds and expire of at most 10800; the answer has a receipt.
        """
        self.refused("retry", priority=2, expire=3600)
        self.refused("expire", priority=2, retry=30)
        self.refused("retry", priority=2, retry=29, expire=3600)
        self.refused("expire", priority=2, retry=30, expire=10_801)
        answer = self.post(priority=2, retry=30, expire=10_800, ttl=60)
        self.assertEqual(len(answer.json["receipt"]), 30)
        self.assertEqual(self.pushover.messages[answer.json["request"]]["expires"], 0)

    def test_ttl(self) -> None:
        """
        A message vanishes after ttl seconds, and not before; ttl is a positive number.
        """
        self.refused("ttl", ttl=0)
        self.refused("ttl", ttl=-5)
        self.post(ttl=60)
        self.post(now=NOW + 59.9, message="")
        self.assertEqual(len(self.pushover.messages), 1)
        self.post(now=NOW + 60, message="")
        self.assertEqual(self.pushover.messages, {})

    def test_attachments(self) -> None:
        """
        A picture of 5 MiB in Base64 is taken, one byte more is not, nor is one without a type or not in Base64.
        """
        most = 5 * 1024 * 1024
        self.refused("attachment_type", attachment_base64="AAAA")
        self.refused("attachment_base64", attachment_base64="*", attachment_type="image/png")
        self.refused("attachment", attachment_base64=b64encode(bytes(most + 1)).decode(), attachment_type="image/png")
        picture = b64encode(bytes(most)).decode()
        self.assertEqual(self.post(attachment_base64=picture, attachment_type="image/png").status, 200)

    def test_html_and_monospace_exclude_each_other(self) -> None:
        """
        One of html and monospace is taken, both are not.
        """
        self.refused("html", html=1, monospace=1)
        self.assertEqual(self.post(html=1).status, 200)

    def test_the_quota_of_a_month(self) -> None:
        """
        The last message of the quota is taken, the next one is answered 429 with the time of the reset, from which on
        messages are taken again.
        """
        self.pushover = FakePushover(limit=2)
        self.post()
        last = self.post()
        self.assertEqual((last.status, last.header("X-Limit-App-Remaining")), (200, "0"))
        over = self.post()
        self.assertEqual((over.status, len(self.pushover.messages)), (429, 2))
        reset = int(over.header("X-Limit-App-Reset"))
        self.assertEqual(datetime.fromtimestamp(reset, UTC), datetime(2026, 2, 1, 6, tzinfo=UTC))
        self.assertEqual(self.post(now=reset - 1).status, 429)
        self.assertEqual(self.post(now=reset).status, 200)

    def test_a_user_is_validated(self) -> None:
        """
        A request without a message tells whether token and user are right, and costs nothing.
        """
        body = urlencode(WHO).encode()
        answer = self.pushover.handle("POST", "/1/users/validate.json", {}, body, NOW)
        self.assertEqual((answer.json["status"], answer.json["devices"]), (1, ["phone"]))
        limits = self.pushover.handle("GET", f"/1/apps/limits.json?token={WHO['token']}", {}, b"", NOW)
        self.assertEqual(limits.json["remaining"], 10_000)
        self.assertEqual(self.pushover.handle("GET", "/1/nothing.json", {}, b"", NOW).status, 404)
