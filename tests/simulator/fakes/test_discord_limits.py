"""
How many requests the imitated Discord takes.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.fakes.discord_limits import DiscordLimits
from itsjustintv.simulator.fakes.service import FakeAnswer, json_answer

NOW = 1_767_326_400.5


class DiscordLimitsTests(SynchronousTestCase):
    """
    Limits are counted in windows that begin with the first request.
    """

    def setUp(self) -> None:
        self.limits = DiscordLimits()

    def ask(self, now: float, bucket: str = "POST 1", version: int = 10) -> FakeAnswer | None:
        return self.limits.refusal(bucket, version, now)

    def test_a_bucket_takes_five_requests_in_two_seconds(self) -> None:
        """
        The sixth waits for the end of the window; other buckets are not concerned, and the next window is whole again.
        """
        self.assertEqual([self.ask(NOW + each / 10) for each in range(5)], [None] * 5)
        refused = self.ask(NOW + 0.75)
        assert refused is not None
        self.assertEqual(refused.json, {"message": "You are being rate limited.", "retry_after": 1.25, "global": False})
        self.assertEqual((refused.status, refused.header("retry-after")), (429, "2"))
        self.assertEqual(refused.header("x-ratelimit-scope"), "user")
        self.assertIsNone(self.ask(NOW + 0.75, "PATCH 1"))
        self.assertEqual([self.ask(NOW + 2) for _ in range(5)], [None] * 5)
        self.assertIsNotNone(self.ask(NOW + 2))

    def test_headers_tell_what_is_left(self) -> None:
        """
        Limit, rest and time of the window are true on every answer, and the bucket has a name of its own.
        """
        self.ask(NOW)
        self.ask(NOW + 0.5)
        answer = self.limits.described(FakeAnswer(200), "POST 1", NOW + 0.5)
        names = ("limit", "remaining", "reset", "reset-after")
        values = [answer.header(f"x-ratelimit-{name}") for name in names]
        self.assertEqual(values, ["5", "3", "1767326402.500", "1.500"])
        other = self.limits.described(FakeAnswer(200), "PATCH 1", NOW)
        self.assertNotEqual(answer.header("x-ratelimit-bucket"), other.header("x-ratelimit-bucket"))

    def test_versions_before_8_wait_in_milliseconds(self) -> None:
        """
        Body and header of an old version have an integer of milliseconds.
        """
        for _ in range(5):
            self.ask(NOW, version=6)
        refused = self.ask(NOW + 0.75, version=6)
        assert refused is not None
        self.assertEqual((refused.json["retry_after"], refused.header("retry-after")), (1250, "1250"))

    def test_all_of_discord_takes_fifty_requests_a_second(self) -> None:
        """
        The global limit concerns every bucket and says so; it ends after a second, or when it was set to end.
        """
        self.assertEqual([self.ask(NOW, str(each)) for each in range(50)], [None] * 50)
        refused = self.ask(NOW + 0.5, "50")
        assert refused is not None
        self.assertEqual((refused.json["global"], refused.header("x-ratelimit-global")), (True, "true"))
        self.assertEqual((refused.json["retry_after"], refused.header("x-ratelimit-scope")), (0.5, "global"))
        self.assertIsNone(self.ask(NOW + 1, "50"))
        self.limits.limited_until = NOW + 100
        self.assertIsNotNone(self.ask(NOW + 99))
        self.assertIsNone(self.ask(NOW + 100))

    def test_a_channel_takes_thirty_messages_a_minute(self) -> None:
        """
        The hidden limit of a channel is shared, waits for the rest of the minute, and no header announces it.
        """
        self.assertEqual([self.limits.channel_refusal("7", 10, NOW) for _ in range(30)], [None] * 30)
        self.assertIsNone(self.limits.channel_refusal("8", 10, NOW))
        refused = self.limits.channel_refusal("7", 10, NOW + 20)
        assert refused is not None
        self.assertEqual((refused.json["retry_after"], refused.header("x-ratelimit-scope")), (40, "shared"))
        self.assertIsNone(self.limits.channel_refusal("7", 10, NOW + 60))

    def test_too_many_sins_ban_the_address(self) -> None:
        """
        After so many answers with 401, 403, 404 or 429 within ten minutes everything is answered with a page, without
        JSON, until the ban ends.
        """
        self.limits.ban_after = 4
        for status in (401, 403, 404, 200, 500, 400):
            self.limits.note(FakeAnswer(status), NOW)
        self.assertIsNone(self.ask(NOW))
        self.limits.note(FakeAnswer(429), NOW + 1)
        banned = self.ask(NOW + 2)
        assert banned is not None
        self.assertEqual((banned.status, banned.header("retry-after")), (429, "599"))
        self.assertIn("text/html", banned.header("content-type"))
        self.assertRaises(ValueError, lambda: banned.json)
        self.assertIsNone(self.ask(NOW + 601))

    def test_shared_limits_and_old_sins_do_not_count(self) -> None:
        """
        A 429 of scope ``shared`` is no sin, and one of ten minutes ago is forgotten.
        """
        self.limits.ban_after = 2
        self.limits.note(json_answer(429, {}, {"X-RateLimit-Scope": "shared"}), NOW)
        self.limits.note(FakeAnswer(404), NOW)
        self.assertIsNone(self.ask(NOW))
        self.limits.note(FakeAnswer(404), NOW + 600)
        self.assertIsNone(self.ask(NOW + 600))
        self.limits.note(FakeAnswer(404), NOW + 601)
        self.assertIsNotNone(self.ask(NOW + 601))
