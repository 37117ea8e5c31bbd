"""
How many requests Discord takes, what its answers say about that, and when it takes none at all.

Source: discord-api-docs, topics/rate-limits. The numbers of a bucket, of a channel and of edits are what people
observe.
"""

from __future__ import annotations

from collections import deque
from hashlib import sha256
from math import ceil

from attrs import define, evolve, field

from itsjustintv.simulator.fakes.service import FakeAnswer, json_answer, text_answer

__all__ = ["DiscordLimits", "Window"]

_SINS = (401, 403, 404, 429)
_BAN_PAGE = """<!doctype html>
<html lang="en-US"><head><title>Access denied | discord.com used Cloudflare to restrict access</title></head>
<body><h1>Error 1015</h1><p>You are being rate limited</p>
<p>The owner of this website (discord.com) has banned you temporarily from accessing this website.</p></body></html>
"""


@define
class Window:
    """
    So many requests in so many seconds, counted from the first one.
    """

    limit: int
    seconds: float
    used: int = 0
    ends: float = 0.0

    def take(self, now: float) -> float:
        """
        Take one.

        :return: 0.0, or the seconds to wait when none is left.
        """
        if now >= self.ends:
            self.used, self.ends = 0, now + self.seconds
        if self.used >= self.limit:
            return self.ends - now
        self.used += 1
        return 0.0


@define(eq=False, kw_only=True)
class DiscordLimits:
    """
    Counts what one address asks. Times are seconds since the epoch.

    :ivar per_bucket: requests in two seconds to one route of a webhook; headers tell what is left.
    :ivar per_channel: messages a minute into one channel by all webhooks; no header tells what is left.
    :ivar per_second: requests to all of Discord.
    :ivar old_edits: edits of messages older than an hour in one channel, within :attr:`old_edits_seconds`.
    :ivar ban_after: answers with status 401, 403, 404 or 429 within ten minutes, after which the address is banned.
    :ivar ban_seconds: how long that lasts.
    :ivar limited_until: until then every request meets the global limit.
    :ivar banned_until: until then every request is answered with a page of Cloudflare.
    """

    per_bucket: int = 5
    per_channel: int = 30
    per_second: int = 50
    old_edits: int = 3
    old_edits_seconds: float = 20.0
    ban_after: int = 10_000
    ban_seconds: float = 600.0
    limited_until: float = 0.0
    banned_until: float = 0.0
    sins: deque[float] = field(factory=deque, init=False)
    _windows: dict[tuple[str, ...], Window] = field(factory=dict, init=False)

    def refusal(self, bucket: str, version: int, now: float) -> FakeAnswer | None:
        """
        Count a request to a bucket.

        :return: the answer if it is one too many.
        """
        if now < self.banned_until:
            return text_answer(
                429, _BAN_PAGE, {"Retry-After": str(ceil(self.banned_until - now)), "Server": "cloudflare"}, "text/html"
            )
        wait = self.limited_until - now
        if wait <= 0:
            wait = self._window("global", limit=self.per_second, seconds=1.0).take(now)
        if wait > 0:
            more = {"X-RateLimit-Global": "true", "X-RateLimit-Scope": "global"}
            return _too_many("You are being rate limited.", wait, version, more, everywhere=True)
        wait = self._bucket(bucket).take(now)
        if wait > 0:
            return self.described(
                _too_many("You are being rate limited.", wait, version, {"X-RateLimit-Scope": "user"}), bucket, now
            )
        return None

    def channel_refusal(self, channel: str, version: int, now: float) -> FakeAnswer | None:
        """
        Count a message to a channel.
        """
        wait = self._window("channel", channel, limit=self.per_channel, seconds=60.0).take(now)
        if wait <= 0:
            return None
        return _too_many("The resource is being rate limited.", wait, version, {"X-RateLimit-Scope": "shared"})

    def old_edit_refusal(self, channel: str, version: int, now: float) -> FakeAnswer | None:
        """
        Count an edit of a message that is older than an hour.
        """
        wait = self._window("old edits", channel, limit=self.old_edits, seconds=self.old_edits_seconds).take(now)
        if wait <= 0:
            return None
        message = "Maximum number of edits to messages older than 1 hour reached. Try again later."
        return _too_many(message, wait, version, {"X-RateLimit-Scope": "shared"}, code=30046)

    def slow_mode_refusal(self, channel: str, seconds: float, version: int, now: float) -> FakeAnswer | None:
        """
        Count a message to a channel that takes one in so many seconds.
        """
        wait = self._window("slow mode", channel, limit=1, seconds=seconds).take(now) if seconds else 0.0
        if wait <= 0:
            return None
        message = "This action cannot be performed due to slowmode rate limit"
        return _too_many(message, wait, version, {"X-RateLimit-Scope": "shared"}, code=20016)

    def described(self, answer: FakeAnswer, bucket: str, now: float) -> FakeAnswer:
        """
        Add the headers of a bucket to an answer.
        """
        window = self._bucket(bucket)
        left = max(window.ends - now, 0.0)
        headers = (
            ("X-RateLimit-Limit", str(window.limit)),
            ("X-RateLimit-Remaining", str(window.limit - window.used)),
            ("X-RateLimit-Reset", f"{window.ends:.3f}"),
            ("X-RateLimit-Reset-After", f"{left:.3f}"),
            ("X-RateLimit-Bucket", sha256(bucket.encode()).hexdigest()[:32]),
        )
        return evolve(answer, headers=answer.headers + headers)

    def note(self, answer: FakeAnswer, now: float) -> None:
        """
        Count an answer that speaks against the address, and ban it after too many.
        """
        if answer.status not in _SINS or answer.header("x-ratelimit-scope") == "shared" or now < self.banned_until:
            return
        self.sins.append(now)
        while self.sins and self.sins[0] <= now - 600:
            self.sins.popleft()
        if len(self.sins) >= self.ban_after:
            self.sins.clear()
            self.banned_until = now + self.ban_seconds

    def _bucket(self, bucket: str) -> Window:
        return self._window("bucket", bucket, limit=self.per_bucket, seconds=2.0)

    def _window(self, *key: str, limit: int, seconds: float) -> Window:
        window = self._windows.setdefault(key, Window(limit, seconds))
        window.limit = limit
        return window


def _too_many(
    message: str, wait: float, version: int, headers: dict[str, str], code: int = 0, *, everywhere: bool = False
) -> FakeAnswer:
    """
    Versions before 8 give milliseconds, as an integer, in the header too.
    """
    old = version < 8
    waiting = ceil(wait * 1000) if old else round(wait, 3)
    body = {"message": message, "retry_after": waiting, "global": everywhere, **({"code": code} if code else {})}
    return json_answer(429, body, {"Retry-After": str(waiting if old else ceil(wait)), **headers})
