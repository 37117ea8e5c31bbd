"""
Rules for single values. Each answers with a sentence for every rule that is broken; none quotes more of the value than
single characters that do not belong there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from ipaddress import ip_network
from string import ascii_letters, digits
from typing import Any

from itsjustintv.config.lint import describe, describe_unexpected, edge_mistakes, is_invisible, trim
from itsjustintv.support.durations import duration
from itsjustintv.support.signatures import HASHINGS

__all__ = [
    "ALL",
    "BROADCAST_TYPES",
    "DURATION_SYNTAX",
    "LOG_LEVELS",
    "Rule",
    "above",
    "absolute",
    "between",
    "eventsub_secret",
    "file_name",
    "format_duration",
    "hashing",
    "header",
    "log_levels",
    "login",
    "networks",
    "one_of",
    "optional",
    "parse_duration",
    "token",
    "user_id",
    "visible",
    "waits",
]

Rule = Callable[[Any], Iterable[str]]

#: What Twitch calls broadcasts.
BROADCAST_TYPES = ("live", "playlist", "premiere", "rerun", "watch_party")
#: All of these, and what Twitch may yet come up with.
ALL = "all"

#: What Twisted calls the levels of its log, the least first.
LOG_LEVELS = ("debug", "info", "warn", "error", "critical")

_TOKEN = frozenset("!#$%&'*+.^_`|~-" + digits + ascii_letters)
_DIGITS = frozenset(digits)
_IN_LOGINS = frozenset(ascii_letters + digits + "_")
_LOGGER = re.compile(r"[\w.-]+")
_LONGEST_LOGIN = 25
_MOST_WAITS = 10

# What a delivery says itself: two values, or ours in their place, would spoil the request.
_TAKEN = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "host", "transfer-encoding", "user-agent"}
)


def optional(rule: Rule) -> Rule:
    """
    Let an empty text through: it stands for "not given".
    """
    return lambda value: rule(value) if value else ()


def above(limit: float) -> Rule:
    """
    A number greater than ``limit``.
    """
    return lambda value: () if value > limit else (f"must be above {limit}",)


def between(lowest: float, highest: float | None = None) -> Rule:
    """
    A number from ``lowest`` to ``highest``, both included; without ``highest``, there is no upper bound.
    """
    if highest is None:
        return lambda value: () if value >= lowest else (f"must be at least {lowest}",)
    return lambda value: () if lowest <= value <= highest else (f"must be from {lowest} to {highest}",)


def waits(longest: float) -> Callable[[Sequence[float]], Iterator[str]]:
    """
    At most ten durations, none of them 0 or above ``longest`` seconds.
    """

    def check(values: Sequence[float]) -> Iterator[str]:
        if len(values) > _MOST_WAITS:
            yield f"must have at most {_MOST_WAITS} entries"
        for number, value in enumerate(values, 1):
            if not 0 < value <= longest:
                yield f"must be a list of durations above 0, each at most {duration(longest)}: correct number {number}"

    return check


def networks(values: tuple[str, ...]) -> Iterator[str]:
    """
    Addresses and networks, as ``192.0.2.1`` or ``192.0.2.0/24``.
    """
    for number, value in enumerate(values, 1):
        try:
            ip_network(value)
        except ValueError:
            try:
                whole = ip_network(value, strict=False)
            except ValueError:
                why = next(edge_mistakes(value), "is neither")
                yield f"must be a list of addresses and networks such as 10.0.0.0/8: number {number} {why}"
            else:
                yield f"must not have bits beyond the mask of a network: write number {number} as {whole}"


def one_of(*allowed: str) -> Rule:
    """
    One of a few words, as they are written.
    """
    words = " or ".join(f'"{word}"' for word in allowed)

    def rule(value: str) -> Iterator[str]:
        if value not in allowed:
            meant = trim(value).lower()
            odd = next(edge_mistakes(value), "")
            hint = f": it {odd}" if odd else f': write "{meant}"'
            yield f"must be {words}{hint if meant in allowed else ''}"

    return rule


def hashing(value: str) -> Iterator[str]:
    """
    The original's names of hash functions, in any case.
    """
    if value.upper() not in HASHINGS:
        around_it = ": it " + next(edge_mistakes(value), "") if trim(value).upper() in HASHINGS else ""
        yield f"must be {' or '.join(HASHINGS)}, in any case{around_it}"


def header(value: str) -> Iterator[str]:
    """
    The name of a header that a delivery does not carry already (RFC 9110, section 5.6.2, "token").
    """
    name, colon, _ = value.partition(":")
    if colon:
        yield "must be the name of an HTTP header alone, without a colon and what follows"
    if odd := describe_unexpected(name, _TOKEN):
        yield f"must be the name of an HTTP header, which cannot hold {odd}"
    elif not name:
        yield "must be the name of an HTTP header"
    if name.lower() in _TAKEN:
        yield f"must be another header: every delivery has {name.title()} already"
    if name.lower().startswith("webhook-"):
        yield "must be another header: Standard Webhooks reserves those that begin with webhook-"


def eventsub_secret(value: str) -> Iterator[str]:
    """
    What Twitch takes as the secret of a subscription (dev.twitch.tv, "Create EventSub Subscription").
    """
    if others := [c for c in dict.fromkeys(value) if not c.isascii()]:
        yield f"must be ASCII, and holds {describe(others)}"
    if len(value) < 10:
        yield f"must be at least 10 characters, and has {len(value)}"
    if len(value) > 100:
        yield f"must be at most 100 characters, and has {len(value)}"


def visible(value: str) -> Iterator[str]:
    """
    A text that can stand in an HTTP header.
    """
    if odd := [c for c in dict.fromkeys(value) if c == " " or not c.isascii() or is_invisible(c)]:
        yield f"must be ASCII without blanks, and holds {describe(odd)}"


def token(shortest: int) -> Rule:
    """
    A secret that callers send in an HTTP header.

    :param shortest: so many characters at least.
    """

    def rule(value: str) -> Iterator[str]:
        yield from visible(value)
        if len(value) < shortest:
            yield (
                f"must be at least {shortest} characters, and has {len(value)}: create one with openssl rand -hex 32"
            )

    return rule


def file_name(value: str) -> Iterator[str]:
    """
    A path. Whether it can be written shows when it is.
    """
    if not value:
        yield "must name a file or folder"
    if "\0" in value:
        yield "must name a file or folder without U+0000 (NUL)"


def absolute(value: str) -> Iterator[str]:
    """
    A folder at which other paths start.
    """
    if not value.startswith("/"):
        yield "must be the absolute path of a folder"
    if "\0" in value:
        yield "must name a folder without U+0000 (NUL)"


def broadcast_types(value: Sequence[str]) -> Iterator[str]:
    """
    What ``stream.online`` calls a broadcast (dev.twitch.tv, "EventSub reference", Stream Online Event), or all of that.
    """
    for number, each in enumerate(value, 1):
        if each not in BROADCAST_TYPES and each != ALL:
            yield f"must be a list of {', '.join(BROADCAST_TYPES)}, or {ALL}: number {number} is none of these"


def log_levels(value: Sequence[str]) -> Iterator[str]:
    """
    Loggers and the least level that is written of each.
    """
    for number, each in enumerate(value, 1):
        logger, equals, level = each.partition("=")
        wrong = []
        if not equals:
            wrong.append("has no =")
        elif level not in LOG_LEVELS:
            wrong.append(f"has a level other than {', '.join(LOG_LEVELS)}")
        if not _LOGGER.fullmatch(logger):
            wrong.append("does not begin with a logger")
        for sentence in wrong:
            yield f'must be a list of texts like "twisted=warn": number {number} {sentence}'


def user_id(value: str) -> Iterator[str]:
    """
    Twitch's id of a user.
    """
    if not describe_unexpected(value, _DIGITS):
        return
    if (inner := trim(value)) and not describe_unexpected(inner, _DIGITS):
        yield f"must be digits alone: it {next(edge_mistakes(value))}"
    else:
        yield "must be digits: the id of the user, not the name"


def login(value: str) -> Iterator[str]:
    """
    Twitch's login name of a user.
    """
    if "twitch.tv/" in value.lower():
        yield "must be the login alone: what comes after https://www.twitch.tv/"
        return
    if odd := describe_unexpected(value, _IN_LOGINS):
        yield f"must be letters, digits and underscores, the name in the URL, and holds {odd}"
    if len(value) > _LONGEST_LOGIN:
        yield f"must be at most {_LONGEST_LOGIN} characters, and has {len(value)}"


#: What :func:`parse_duration` says to everything that is nothing like a duration.
DURATION_SYNTAX = (
    'must be a duration such as "30s", "1h15m" or "500ms" (units ns, us, ms, s, m, h), or a number of seconds'
)

# Go's own limit: what fits into 63 bits of nanoseconds.
_MOST_HOURS = 2562047
_LONGEST = _MOST_HOURS * 3600.0

_UNITS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "\N{GREEK SMALL LETTER MU}s": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_UNIT = "|".join(_UNITS)
_PLAIN = re.compile(_NUMBER)
_PART = re.compile(f"({_NUMBER})({_UNIT})")
_WHOLE = re.compile(f"(?:{_NUMBER}(?:{_UNIT}))+")


# What people write in place of a unit.
_MEANT = {
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("msec", "msecs", "millisecond", "milliseconds"), "ms"),
}
_DAYS = {"d": 24, "day": 24, "days": 24, "w": 168, "week": 168, "weeks": 168}

_SLIPS = (
    ("without a sign", re.compile(rf"[+-](?:{_NUMBER}(?:{_UNIT})?)+")),
    ("without quotes around it", re.compile(r"([\"']).+\1")),
    ("without blanks", re.compile(r"(?s)(?=.*\S).*\s.*")),
    ('with a decimal point, as in "1.5h"', re.compile(r"[0-9]+,[0-9]+[a-z]*")),
    ('with a unit after each number, as in "1h15m"', re.compile(rf"(?:{_NUMBER}(?:{_UNIT}))+{_NUMBER}")),
)


def parse_duration(value: object) -> float:
    """
    Read a duration in the notation of Go's ``time.ParseDuration`` without a sign, or a number of seconds. A text that
    is only a number counts as seconds too, since an environment variable cannot be anything but text.

    :raises ValueError: saying which rule is broken.
    """
    if isinstance(value, str):
        length = _read(value)
    else:
        length = _float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if math.isnan(length):
        raise ValueError(DURATION_SYNTAX)
    if length < 0:
        raise ValueError("must not be a negative duration")
    if length > _LONGEST:
        raise ValueError("must not be a duration above 2562047h")
    return length


def format_duration(seconds: float) -> str:
    """
    Write a duration as the configuration does: ``24h``.
    """
    if not seconds.is_integer():
        return f"{seconds:g}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    units = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{number}{unit}" for number, unit in units if number) or "0s"


def _read(text: str) -> float:
    if _PLAIN.fullmatch(text):
        return float(text)
    if _WHOLE.fullmatch(text):
        return float(sum(Decimal(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
    raise ValueError(_unread(text))


def _unread(text: str) -> str:
    """
    Say what is wrong with a text, once it is no duration.
    """
    for sentence, wrong in _SLIPS:
        if wrong.fullmatch(text):
            return f"must be a duration {sentence}{_without(text)}"
    parts = re.findall(rf"({_NUMBER})([^0-9.]*)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return DURATION_SYNTAX
    unit = next(unit for _, unit in parts if unit not in _UNITS)
    if unit.lower() in _DAYS:
        whole = _in_hours(parts)
        return f"must be a duration in hours or smaller units, since there is no unit {unit.lower()}{whole}"
    return f"must be a duration {_other_unit(unit)}" if unit else DURATION_SYNTAX


def _without(text: str) -> str:
    """
    Report what else is wrong, apart from blanks and quotes; or that nothing else is.
    """
    rest = re.sub(r"[\s\"']", "", text)
    if rest == text:
        return ""
    try:
        _read(rest)
    except ValueError as error:
        return "" if str(error) == DURATION_SYNTAX else f" and{str(error).removeprefix('must be a duration')}"
    return f": write {rest}"


def _in_hours(parts: Sequence[tuple[str, str]]) -> str:
    """
    Say what days and weeks are in hours, the rest as it is written, if all of it is understood.
    """
    hours, rest = Decimal(0), ""
    for number, unit in parts:
        if (day := _DAYS.get(unit.lower())) is not None:
            hours += Decimal(number) * day
        elif unit == "h":
            hours += Decimal(number)
        elif unit in _UNITS:
            rest += number + unit
        else:
            return ""
    return f": write {hours.normalize():f}h{rest}" if hours < _MOST_HOURS else ""


def _other_unit(unit: str) -> str:
    lower = unit.lower()
    meant = _MEANT.get(lower) or (lower if lower in _UNITS else None)
    return f"with the unit {meant} in place of {unit}" if meant else "with no other units than ns, us, ms, s, m and h"


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
