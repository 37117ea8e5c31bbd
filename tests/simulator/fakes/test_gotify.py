"""
The fake of Gotify: messages, tokens and errors.
"""

from __future__ import annotations

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.fakes.gotify import FakeGotify
from itsjustintv.simulator.fakes.service import FakeAnswer

NOW = 1_780_000_000.0
JSON = {"content-type": "application/json"}


class GotifyTests(SynchronousTestCase):
    """
    A server with one application.
    """

    def setUp(self) -> None:
        self.fake = FakeGotify()
        self.key = {"x-gotify-key": self.fake.app_token}
        self.client = {"x-gotify-key": self.fake.client_token}

    def post(self, payload: Any, headers: dict[str, str] | None = None, url: str = "/message") -> FakeAnswer:
        body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        return self.fake.handle("POST", url, JSON | (self.key if headers is None else headers), body, NOW)

    def refused(self, answer: FakeAnswer) -> tuple[int, str]:
        self.assertEqual(answer.json["errorCode"], answer.status)
        self.assertTrue(answer.json["error"])
        return answer.status, answer.json["errorDescription"]

    def test_a_message_is_kept(self) -> None:
        """
        A message gets an id, and keeps title, priority and extras.
        """
        extras = {"client::notification": {"click": {"url": "https://www.twitch.tv/tanuki"}}}
        answer = self.post({"title": "Tanuki", "message": "live", "priority": 8, "extras": extras})
        self.assertEqual(answer.status, 200)
        expected = {"id": 1, "appid": 1, "title": "Tanuki", "message": "live", "priority": 8, "extras": extras}
        self.assertEqual(answer.json, {**expected, "date": "2026-05-28T20:26:40+00:00"})
        self.assertEqual(self.fake.messages, {"1": answer.json})
        self.assertEqual(self.post({"message": "live"}).json["id"], 2)

    def test_a_blank_title_is_the_application(self) -> None:
        """
        A missing or blank title is the name of the application, a missing priority its default.
        """
        self.fake.default_priority = 5
        for title in ({}, {"title": " "}, {"title": None}):
            answer = self.post({"message": "live", **title}).json
            self.assertEqual((answer["title"], answer["priority"]), ("itsjustintv", 5))

    def test_a_message_is_required(self) -> None:
        """
        A body without a message, or of another shape, is a 400.
        """
        for payload in ({}, {"message": ""}, {"message": None}):
            self.assertEqual(self.refused(self.post(payload)), (400, "Field 'message' is required"))
        for payload in (
            b"",
            b"{",
            [],
            {"message": 1},
            {"message": "x", "priority": "5"},
            {"message": "x", "extras": []},
        ):
            self.assertEqual(self.refused(self.post(payload))[0], 400)
        self.assertEqual(self.fake.messages, {})

    def test_tokens(self) -> None:
        """
        The token of the application may come in three places; without one, or with a wrong one, it is 401.
        """
        message = {"message": "live"}
        for headers in (self.key, {"authorization": f"Bearer {self.fake.app_token}"}):
            self.assertEqual(self.post(message, headers).status, 200)
        self.assertEqual(self.post(message, {}, f"/message?token={self.fake.app_token}").status, 200)
        for headers in ({}, {"x-gotify-key": "Awrong"}, {"authorization": "Basic eDp5"}):
            status, text = self.refused(self.post(message, headers))
            self.assertEqual((status, text[:23]), (401, "you need to provide a v"))

    def test_a_client_names_the_application(self) -> None:
        """
        The token of a client posts for an application that the body names.
        """
        self.assertEqual(self.refused(self.post({"message": "x"}, self.client))[0], 400)
        self.assertEqual(self.refused(self.post({"message": "x", "appid": 2}, self.client)), (400, "appid not found"))
        self.assertEqual(self.post({"message": "x", "appid": 1}, self.client).status, 200)

    def test_only_a_client_deletes(self) -> None:
        """
        A message is deleted with the token of a client or the password of a user, not with that of the application.
        """
        self.post({"message": "x"})
        self.post({"message": "y"})
        self.assertEqual(self.refused(self.fake.handle("DELETE", "/message/1", self.key, b"", NOW))[0], 401)
        self.assertEqual(self.fake.handle("DELETE", "/message/1", self.client, b"", NOW).status, 200)
        user = {"authorization": "Basic YWRtaW46ZmFrZQ=="}
        self.assertEqual(self.fake.handle("DELETE", "/message/2", user, b"", NOW).status, 200)
        self.assertEqual(self.fake.messages, {})
        again = self.fake.handle("DELETE", "/message/1", self.client, b"", NOW)
        self.assertEqual(self.refused(again), (404, "message does not exist"))
        odd = self.fake.handle("DELETE", "/message/x", self.client, b"", NOW)
        self.assertEqual(self.refused(odd), (400, "invalid id"))

    def test_a_form_is_taken_too(self) -> None:
        """
        Fields may come as a form, without extras.
        """
        form = {"content-type": "application/x-www-form-urlencoded", **self.key}
        answer = self.fake.handle("POST", "/message", form, b"message=a%26b&priority=3&extras=x", NOW)
        self.assertEqual((answer.json["message"], answer.json["priority"]), ("a&b", 3))
        self.assertNotIn("extras", answer.json)
        self.assertEqual(self.fake.handle("POST", "/message", form, b"message=a&priority=x", NOW).status, 400)

    def test_other_paths(self) -> None:
        """
        Version and health are public; what is not there is 404.
        """
        self.assertIn("version", self.fake.handle("GET", "/version", {}, b"", NOW).json)
        self.assertEqual(self.fake.handle("GET", "/health", {}, b"", NOW).json["health"], "green")
        self.assertEqual(self.refused(self.post({"message": "x"}, url="/messages")), (404, "page not found"))
