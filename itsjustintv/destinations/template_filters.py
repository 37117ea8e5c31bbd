"""
What a template can do with a value before it is printed, and how it is printed in a format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from itsjustintv.destinations.formats import Format
from itsjustintv.destinations.message_names import STYLES, Link, Moment, Trusted
from itsjustintv.destinations.text import CHARACTERS
from itsjustintv.support.durations import duration

__all__ = ["FILTERS", "RenderFailure", "make_filters", "print_value"]

#: What a value can be passed through, with its meaning.
FILTERS: Mapping[str, str] = {
    "upper": "in capital letters",
    "lower": "in small letters",
    "title": "with capital initials",
    "trim": "without spaces around it",
    "truncate": "its first characters, 80 or the number in brackets",
    "default": "another value, where this one is unknown or empty",
    "join": "the entries of a list, with a comma or the text in brackets between them",
    "length": "the number of its characters or entries",
    "raw": "without escaping, as markup",
    "time": "a time in the style in brackets: t T d D f F R",
    "duration": "a length of time; with 'clock' in brackets as 3:08:33",
}


class RenderFailure(Exception):
    """
    A template that gives no text for these values. Its text holds none of them.
    """


class _Raw(str):
    """
    A text that is printed as it is, because the template says so.
    """

    __slots__ = ()


class _Joined(str):
    """
    The entries of a list with something between them, each of which is escaped as what it is.
    """

    entries: tuple[object, ...]
    separator: str


def print_value(value: object, format: Format) -> str:  # noqa: A002
    """
    Write a value in a format.
    """
    if isinstance(value, (Trusted, _Raw)):
        return str(value)
    if isinstance(value, Link):
        return format.escape_link(str(value))
    if isinstance(value, Moment):
        return format.moment(value, "f")
    if isinstance(value, _Joined):
        return format.escape(value.separator).join(print_value(each, format) for each in value.entries)
    return format.escape(_words(value))


def _words(value: object) -> str:
    """
    Write a value in plain words. What is unknown, such as an ``if`` without an ``else`` that does not hold, is empty.
    """
    from jinja2 import Undefined  # noqa: PLC0415

    if value is None or isinstance(value, Undefined):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(_words, value))
    return str(value)


def make_filters(format: Format) -> dict[str, Callable[..., object]]:  # noqa: A002
    """
    The filters for a format. What a filter gives is escaped when it is printed, but for times and what is raw.
    """

    def write_time(value: object, style: object = "f") -> object:
        if style not in STYLES:
            raise RenderFailure("time has no such style; it is one of t T d D f F R.")
        if value is None or value == "":
            return ""
        if not isinstance(value, Moment):
            raise RenderFailure("time takes a time, such as started or ended.")
        return _Raw(format.moment(value, str(style)))

    return {
        "upper": lambda value: _words(value).upper(),
        "lower": lambda value: _words(value).lower(),
        "title": lambda value: _INITIAL.sub(lambda found: found[0].title(), _words(value)),
        "trim": lambda value: value if isinstance(value, Trusted | Link | _Raw) else _words(value).strip(),
        "truncate": _truncate,
        "default": _default,
        "join": _join,
        "length": lambda value: len(value) if isinstance(value, tuple | list | str) else len(_words(value)),
        "raw": lambda value: _Raw(_words(value)),
        "time": write_time,
        "duration": _duration,
    }


_INITIAL = re.compile(r"(?<![\w'\u2019])\w")


def _truncate(value: object, length: object = 80) -> str:
    if not isinstance(length, int) or length < 0:
        raise RenderFailure("truncate takes a number of characters.")
    return CHARACTERS.cut(_words(value), length)


def _default(value: object, other: object = "") -> object:
    return other if not isinstance(value, (int, float, Moment)) and not _words(value) else value


def _join(value: object, separator: object = ", ") -> object:
    entries = tuple(value) if isinstance(value, tuple | list) else () if value is None else (value,)
    between = _words(separator)
    joined = _Joined(between.join(map(_words, entries)))
    joined.entries, joined.separator = entries, between
    return joined


def _duration(value: object, style: object = "") -> str:
    if style not in ("", "clock"):
        raise RenderFailure("duration has no such style; it is left out, or 'clock'.")
    if value is None or value == "":
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RenderFailure("duration takes a length of time, such as duration.")
    if not style:
        return duration(value)
    minutes, seconds = divmod(int(min(max(value, 0), _LONGEST_CLOCK)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


_LONGEST_CLOCK = 10**9
