"""
The library Mastodon.py against the fake of Mastodon: its own reading of an answer is the judge.
"""

from __future__ import annotations

import sys
from importlib import import_module
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.fakes.mastodon import FakeMastodon
from tests.judges.program import judge_imports

NOW = 1_780_000_000.0


class MastodonClientTests(SynchronousTestCase):
    """
    The library reads what the fake answers.
    """

    def setUp(self) -> None:
        self.patch(sys, "path", [*sys.path, judge_imports("mastodon")])
        self.library: Any = import_module("mastodon")
        requests: Any = import_module("requests")
        self.fake = FakeMastodon()

        def send(_adapter: Any, request: Any, **_: Any) -> Any:
            body = request.body or b""
            headers = {name.lower(): value for name, value in request.headers.items()}
            url = urlsplit(request.url)
            answer = self.fake.handle(
                request.method,
                f"{url.path}?{url.query}",
                headers,
                body.encode() if isinstance(body, str) else body,
                NOW,
            )
            response = requests.Response()
            response.status_code, response.url, response.request = answer.status, request.url, request
            response.raw = BytesIO(answer.body)
            response.headers.update(answer.headers)
            return response

        session = requests.Session()
        session.mount("https://", type("Wire", (requests.adapters.BaseAdapter,), {"send": send})())
        self.client: Any = self.library.Mastodon(
            access_token="mastodon-token",
            api_base_url="https://mastodon.test",
            version_check_mode="none",
            ratelimit_method="throw",
            session=session,
        )

    def test_a_status_lives(self) -> None:
        """
        The library reads what was posted once for a key, edited and deleted.
        """
        self.assertEqual(self.client.account_verify_credentials().acct, "itsjustintv")
        about = {"visibility": "unlisted", "language": "en", "idempotency_key": "1"}
        first, second = (self.client.status_post("Tanuki is live", **about) for _ in range(2))
        self.assertEqual((first.id, first.visibility), (second.id, "unlisted"))
        self.assertIsNotNone(self.client.status_update(first.id, "Tanuki was live").edited_at)
        self.client.status_delete(first.id)
        self.assertEqual(self.fake.messages, {})

    def test_errors_are_recognised(self) -> None:
        """
        The library reads each error as what it is, and the reset of the limit as a time.
        """
        refused = self.assertRaises(self.library.MastodonAPIError, self.client.status_post, "x" * 501)
        self.assertIn(422, refused.args)
        for _ in range(30):
            self.assertRaises(self.library.MastodonNotFoundError, self.client.status_delete, "5")
        self.assertRaises(self.library.MastodonRatelimitError, self.client.status_delete, "5")
        self.fake.tokens.clear()
        self.assertRaises(self.library.MastodonUnauthorizedError, self.client.status_post, "x")
