"""
What is recorded of an attempt: its result, and the beginning of the answer without the secrets that answers quote.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import lru_cache

from itsjustintv.model import Attempt, Destination, Result
from itsjustintv.support.http_response import one_line
from itsjustintv.support.http_url import HttpUrl, after_host
from itsjustintv.support.quoted_secrets import SHORTEST, QuotedSecrets

__all__ = ["make_attempt"]

# Bytes of an answer that are stored.
_KEPT = 2 * 1024

# Longer than any part of a URL is, in most notations.
_MARGIN = 1024

# Shorter parts of a URL occur in too many words, and are no secrets: "v1", "id".
_SHORTEST_PART = 4

# A part of a path whose pieces are no secrets: "my-receiver".
_WORDS = re.compile("[A-Z]?[a-z]{1,11}([._-][A-Z]?[a-z]{1,11})*")

# Common in addresses and in error pages.
# fmt: off
_ORDINARY = frozenset({
    "alert", "alerts", "announce", "announcements", "api", "auth", "bots", "callback", "channel", "channels",
    "discord", "event", "events", "hook", "hooks", "http", "https", "incoming", "index", "json", "live", "message",
    "messages", "notification", "notifications", "notify", "password", "post", "push", "receive", "receiver",
    "secret", "send", "service", "services", "slack", "stream", "streamer", "streamers", "streams", "teams",
    "telegram", "test", "token", "true", "twitch", "webhook", "webhooks", "workflows",
})
# fmt: on

_SEPARATORS = re.compile("[/&#;,]")


def make_attempt(
    result: Result,
    destination: Destination,
    started_at: float,
    ended_at: float,
    *,
    status: int | None = None,
    answer: bytes = b"",
    trace: str = "",
) -> Attempt:
    """
    Make the record of an attempt.

    :param status: that was answered, if anything was.
    :param answer: its text, or the beginning of it.
    """
    return Attempt(
        ok=result.ok,
        reason=result.reason,
        detail=result.detail,
        started_at=started_at,
        duration=max(0.0, ended_at - started_at),
        status=status,
        response=_readable(answer, destination),
        retry_after=result.retry_after,
        final=result.final,
        trace=trace,
        verdict=result.verdict,
        remote=result.remote,
        pause=result.pause,
        pause_host=result.pause_host,
        pace=result.pace,
        moved_to=result.moved_to,
        place=destination.place,
        access=destination.access,
    )


def _readable(body: bytes, destination: Destination) -> str:
    """
    Make one line of an answer's body, without the secrets that error pages quote ("Cannot POST /hooks/..."). More is
    searched than is returned, and its end is left out, so that no secret is cut before it is found.
    """
    if not body:
        return ""
    hidden = _quoted(destination.url, destination.secrets).hide(body[: 2 * _KEPT])
    if len(body) > 2 * _KEPT:
        hidden = hidden[:-_MARGIN]
    return one_line(hidden.decode("utf-8", "replace"))[:_KEPT]


@lru_cache(maxsize=1024)
def _quoted(url: str, given: tuple[str, ...]) -> QuotedSecrets:
    """
    What an answer may quote: the given secrets; the URLs, their paths and queries as a whole, as written and as sent;
    and their parts, of which those that are no words are secrets of which not even a piece is shown. The words that all
    URLs of a service have are in its answers, too: "Unknown Webhook".
    """
    urls = [url, *(each for each in given if each.startswith(("http://", "https://")))]
    paths = [after_host(each) for each in urls]
    for each in urls:
        with suppress(ValueError):
            paths.append(HttpUrl.parse(each).target)
    wholes, words = {*urls, *paths}, set[str]()
    secrets = {each for each in given if "/" not in each or not any(each in whole for whole in urls)}
    for place, _, query in (path.partition("?") for path in paths):
        # What names a value is no secret, unless there is no value.
        pairs = (pair.partition("=") for pair in _SEPARATORS.split(query))
        values = set(filter(_is_revealing, (value or name for name, _, value in pairs)))
        steps = set(filter(_is_revealing, _SEPARATORS.split(place)))
        wholes |= {place, query}
        words |= values | steps
        secrets |= {each for each in values if len(each) >= SHORTEST}
        secrets |= {each for each in steps if len(each) >= SHORTEST and not _WORDS.fullmatch(each)}
    return QuotedSecrets(secrets, [each for each in wholes if len(each) > 1], words)


def _is_revealing(part: str) -> bool:
    return len(part) >= _SHORTEST_PART and part.lower() not in _ORDINARY
