"""
The fake of Mastodon.
"""

from __future__ import annotations

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.fakes.mastodon import FakeMastodon
from itsjustintv.simulator.fakes.service import FakeAnswer

NOW = 1_767_326_400.25
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


class MastodonTests(SynchronousTestCase):
    """
    The fake treats statuses as Mastodon does.
    """

    def setUp(self) -> None:
        self.mastodon = FakeMastodon()

    def ask(
        self, method: str, path: str, now: float = NOW, *, token: str = "mastodon-token", key: str = "", **sent: Any
    ) -> FakeAnswer:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        if key:
            headers["idempotency-key"] = key
        return self.mastodon.handle(method, f"https://mastodon.test/api/{path}", headers, orjson.dumps(sent), now)

    def post(self, status: str, now: float = NOW, **sent: Any) -> FakeAnswer:
        return self.ask("POST", "v1/statuses", now, status=status, **sent)

    def pings(self, status: str, **sent: Any) -> list[str]:
        return self.mastodon.pinged(self.post(status, **sent).json["id"])

    def test_create_edit_and_delete(self) -> None:
        """
        A status is posted, edited and deleted by its id; then it is not found.
        """
        status = self.post("Tanuki is live", visibility="unlisted", language="en").json
        self.assertEqual((status["visibility"], status["language"], status["edited_at"]), ("unlisted", "en", None))
        edited = self.ask("PUT", f"v1/statuses/{status['id']}", status="Tanuki was live").json
        self.assertEqual((edited["text"], edited["visibility"]), ("Tanuki was live", "unlisted"))
        self.assertIsNotNone(edited["edited_at"])
        self.assertEqual(self.ask("DELETE", f"v1/statuses/{status['id']}").json["text"], "Tanuki was live")
        for method in ("GET", "PUT", "DELETE"):
            answer = self.ask(method, f"v1/statuses/{status['id']}", status="again")
            self.assertEqual((answer.status, answer.json), (404, {"error": "Record not found"}))
        self.assertEqual(self.mastodon.messages, {})

    def test_an_idempotency_key_lasts_an_hour(self) -> None:
        """
        Within an hour the same key gives the same status, whatever the text; then another one. Other keys do.
        """
        answers = [
            self.post("first", key="one"),
            self.post("second", now=NOW + 3599.9, key="one"),
            self.post("first", key="two"),
            self.post("first", now=NOW + 3600, key="one"),
        ]
        ids = [each.json["id"] for each in answers]
        self.assertEqual((ids[0], len(set(ids))), (ids[1], 3))

    def test_a_refused_status_does_not_use_up_its_key(self) -> None:
        """
        The key of a status that was refused can be used for a better one.
        """
        self.assertEqual(self.post("", key="one").status, 422)
        self.assertEqual(self.post("text", key="one").status, 200)

    def test_the_length(self) -> None:
        """
        500 characters are taken, and 501 refused; a family is one character, an address 23, and of a remote user only
        the name counts. The warning counts too.
        """
        url = "https://www.twitch.tv/" + "tanuki" * 50
        for text in ("x" * 500, FAMILY * 500, f"{url} " + "x" * 476, "@ada@a.very.long.name.test " + "x" * 495):
            self.assertEqual(self.post(text).status, 200, text)
            over = self.post(text + "x")
            self.assertEqual(over.status, 422)
            self.assertEqual(over.json["error"], "Validation failed: Text character limit of 500 exceeded")
        self.assertEqual(self.post("x" * 490, spoiler_text="x" * 10).status, 200)
        self.assertEqual(self.post("x" * 490, spoiler_text="x" * 11).status, 422)

    def test_the_limits_of_the_instance_are_told(self) -> None:
        """
        Anyone may read the limits that the server enforces.
        """
        self.mastodon = FakeMastodon(max_characters=1000, per_url=40)
        about = self.ask("GET", "v2/instance", token="").json["configuration"]["statuses"]
        self.assertEqual((about["max_characters"], about["characters_reserved_per_url"]), (1000, 40))
        self.assertEqual([self.post("x" * count).status for count in (1000, 1001)], [200, 422])

    def test_an_empty_status(self) -> None:
        """
        A status of spaces, and one with an unknown visibility, are refused.
        """
        self.assertEqual(self.post(" ").json, {"error": "Validation failed: Text can't be blank"})
        self.assertEqual(self.post("x", visibility="loud").status, 422)

    def test_text_mentions_and_tags(self) -> None:
        """
        Names and tags in the text notify.
        """
        self.assertEqual(
            self.pings("@everyone hi @ada@far.test, #Live"), ["user:everyone", "user:ada@far.test", "tag:live"]
        )
        self.assertEqual(self.pings("hi @ada #live", visibility="unlisted"), ["user:ada"])

    def test_text_that_does_not_mention(self) -> None:
        """
        Neither an address, nor an e-mail address, nor a sign that a zero-width space follows, nor a number notifies.
        """
        for text in (
            "https://x.test/@ada#live",
            "https://x.test/,@ada?a&#live",
            "mail ada@far.test",
            "@\u200bada #\u200blive",
            "a#live #123 @",
            "/@ada",
        ):
            self.assertEqual(self.pings(text), [], text)

    def test_an_edit_notifies_new_mentions_and_boosters(self) -> None:
        """
        An edit notifies those who boosted and whom only the new text names; one that changes nothing, no one.
        """
        status = self.post("@ada").json["id"]
        self.mastodon.boost(status, "bob")
        self.mastodon.pings.clear()
        self.ask("PUT", f"v1/statuses/{status}", status="@ada")
        self.assertEqual(self.mastodon.pings, [])
        self.ask("PUT", f"v1/statuses/{status}", status="@ada @eve #tag")
        self.assertEqual(self.mastodon.pinged(status), ["user:eve", "booster:bob"])

    def test_tokens(self) -> None:
        """
        A wrong token is answered 401, one without the scope 403, and credentials can be verified.
        """
        self.mastodon.tokens["reader"] = frozenset(("read",))
        self.assertEqual(self.post("x", token="wrong").json, {"error": "The access token is invalid"})
        self.assertEqual([self.post("x", token=each).status for each in ("wrong", "reader")], [401, 403])
        answers = [self.ask("GET", "v1/accounts/verify_credentials", token=each) for each in ("reader", "wrong")]
        self.assertEqual([each.status for each in answers], [200, 401])
        self.assertEqual(answers[0].json["acct"], "itsjustintv")

    def test_the_rate_of_requests(self) -> None:
        """
        300 requests within five minutes of the clock are answered, the next one is 429 with the time of the reset as
        ISO 8601.
        """
        path = "v1/accounts/verify_credentials"
        answers = [self.ask("GET", path) for _ in range(301)]
        self.assertEqual([answers[299].status, answers[300].status], [200, 429])
        self.assertEqual(answers[299].header("X-RateLimit-Remaining"), "0")
        self.assertEqual(answers[300].header("X-RateLimit-Reset"), "2026-01-02T04:05:00.000000Z")
        self.assertEqual(answers[300].header("Retry-After"), "")
        self.assertEqual(self.ask("GET", path, NOW + 300).status, 200)

    def test_the_rate_of_deletions(self) -> None:
        """
        30 deletions within half an hour are answered, also of what is not there, and the next one is 429.
        """
        answers = [self.ask("DELETE", "v1/statuses/1") for _ in range(31)]
        self.assertEqual([each.status for each in answers[29:]], [404, 429])

    def test_the_rate_of_statuses(self) -> None:
        """
        300 statuses within three hours are posted, and the next one is 429; the headers tell of this limit.
        """
        answers = [self.post("x", NOW + number * 2) for number in range(301)]
        self.assertEqual([each.status for each in answers[299:]], [200, 429])
        self.assertEqual(answers[0].header("X-RateLimit-Remaining"), "299")
        self.assertEqual(answers[300].header("X-RateLimit-Reset"), "2026-01-02T06:00:00.000000Z")

    def test_forms_are_read(self) -> None:
        """
        A form is as good as JSON; what is neither is refused.
        """
        headers = {"authorization": "Bearer mastodon-token", "content-type": "application/x-www-form-urlencoded"}
        answer = self.mastodon.handle("POST", "/api/v1/statuses", headers, b"status=hi+you&visibility=private", NOW)
        self.assertEqual((answer.json["text"], answer.json["visibility"]), ("hi you", "private"))
        headers["content-type"] = "application/json"
        self.assertEqual(self.mastodon.handle("POST", "/api/v1/statuses", headers, b"{", NOW).status, 400)
        self.assertEqual(self.mastodon.handle("POST", "/api/v1/nothing", headers, b"{}", NOW).status, 404)
