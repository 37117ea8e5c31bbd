"""
The log: one JSON object a line, with the secrets taken out.

Use it as ``twistd --logger=itsjustintv.logs.json_logger``, or from a ``.tac`` as
``application.setComponent(ILogObserver, json_logger())``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from math import isfinite
from typing import IO, Any
from urllib.parse import quote

import orjson
from attrs import define, field
from twisted.logger import ILogObserver, LogEvent, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer

from itsjustintv.model import rfc3339

__all__ = ["REDACTOR", "JSONLog", "Redactor", "json_logger"]

_MASK = "[redacted]"

# Below this many characters a secret is part of too many innocent words to be taken out of them.
_SHORTEST = 6

# So many secrets are looked for one by one in less time than all at once.
_FEW = 16

# Letters from one place of a text that is looked at to the next.
_STEP = 4

# Ours, or left in events by twisted.python.log.
_NOT_FIELDS = frozenset({"time", "level", "logger", "message", "traceback", "system", "isError", "format", "why"})

_LOST = b'{"level":"error","logger":"itsjustintv.logs","message":"an event could not be written to the log"}\n'


@define(eq=False)
class Redactor:
    """
    Knows the secrets, and takes them out of texts, in a time that does not grow with their number.

    A secret stays known after it was replaced: what was signed with it may still fail, and be logged.
    """

    _known: set[str] = field(factory=set, repr=False, init=False)
    _short: _Finder = field(factory=lambda: _Finder(3), repr=False, init=False)
    _long: _Finder = field(factory=lambda: _Finder(8), repr=False, init=False)

    def learn(self, secrets: Iterable[str]) -> None:
        """
        Add secrets, as they are and as they look inside an address. Those shorter than six characters are not taken.
        """
        for secret in secrets:
            if len(secret) < _SHORTEST:
                continue
            for form in {secret, quote(secret, safe="", errors="backslashreplace")} - self._known:
                self._known.add(form)
                (self._long if len(form) >= self._long.shortest else self._short).add(form)

    def redact(self, text: str) -> str:
        """
        Replace every known secret; those that overlap, all of it by one mask.
        """
        if len(self._known) <= _FEW and not any(secret in text for secret in self._known):
            return text
        found = self._long.find(text) + self._short.find(text)
        if not found:
            return text
        parts, rest = [], 0
        for begin, end in sorted(found):
            if begin >= rest:
                parts += [text[rest:begin], _MASK]
            rest = max(rest, end)
        return "".join([*parts, text[rest:]])


@define(eq=False)
class _Finder:
    """
    Finds texts that are not shorter than a number of letters in other texts.

    Each is known by groups of ``size`` letters near its end, where addresses differ: as many groups, one letter apart,
    as there are letters from one look at a text to the next. So one of them is looked at, wherever it stands.
    """

    size: int
    _groups: dict[str, list[tuple[int, str]]] = field(factory=dict, init=False)

    @property
    def shortest(self) -> int:
        """
        How many letters there must be.
        """
        return self.size + _STEP - 1

    def add(self, wanted: str) -> None:
        """
        Find this one too.
        """
        first = len(wanted) - self.shortest
        for offset in range(first, first + _STEP):
            self._groups.setdefault(wanted[offset : offset + self.size], []).append((offset, wanted))

    def find(self, text: str) -> list[tuple[int, int]]:
        """
        Say where they are in a text: the beginning of each and its end.
        """
        if not self._groups:
            return []
        size, groups = self.size, self._groups
        return [
            (place - offset, place - offset + len(wanted))
            for place in range(0, len(text) - size + 1, _STEP)
            for offset, wanted in groups.get(text[place : place + size], ())
            if place >= offset and text.startswith(wanted, place - offset)
        ]


#: The redactor of the process, as there is one log in a process: ``twistd --logger`` hands no argument to its factory.
REDACTOR = Redactor()


def json_logger(out: IO[bytes] | None = None, redactor: Redactor = REDACTOR) -> ILogObserver:
    """
    Make the observer.

    :param out: where to write; standard output as it is now, before the log itself takes its place.
    """
    observer: ILogObserver = JSONLog(sys.stdout.buffer if out is None else out, redactor)
    return observer


@implementer(ILogObserver)
@define(eq=False)
class JSONLog:
    """
    Writes each event as one line: ``time`` (RFC 3339, UTC, milliseconds), ``level``, ``logger``, ``message``, then the
    event's own fields that are plain values, and ``traceback`` if there was a failure. Never raises.
    """

    _out: IO[bytes]
    _redactor: Redactor

    def __call__(self, event: LogEvent) -> None:
        """
        Write one event.
        """
        try:
            line = orjson.dumps(self._render(event), option=orjson.OPT_APPEND_NEWLINE)
        except Exception:  # noqa: BLE001 - an event that cannot be told must not take the program down
            line = _LOST
        try:
            self._out.write(line)
            self._out.flush()
        except (OSError, ValueError):
            # There is nobody left to tell.
            pass

    def _render(self, event: LogEvent) -> dict[str, object]:
        """
        Choose and clean what is written of an event.
        """
        failure: Failure | None = event.get("log_failure")
        message = _message(event)
        if failure is not None and not message:
            message = failure.getErrorMessage()
        line: dict[str, object] = {
            "time": rfc3339(event["log_time"], "milliseconds"),
            "level": event["log_level"].name,
            "logger": self._text(event["log_namespace"]),
            "message": self._text(message),
        }
        for name, value in event.items():
            if name in _NOT_FIELDS or name.startswith("log_") or not _is_plain(value):
                continue
            line[self._text(name)] = self._value(value)
        if failure is not None:
            line["traceback"] = self._text(failure.getTraceback())
        return line

    def _value(self, value: Any) -> object:
        """
        Make a plain value fit for JSON.
        """
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, float) and not isfinite(value):
            return str(value)
        if isinstance(value, int) and value.bit_length() > 63:
            return hex(value)
        return value

    def _text(self, text: str) -> str:
        """
        Take out secrets, and what UTF-8 cannot say.
        """
        return self._redactor.redact(text).encode("utf-8", "backslashreplace").decode("utf-8")


def _message(event: LogEvent) -> str:
    """
    Put an event into words.

    Twisted's way knows formats that call what they name and never fails, and takes ten times as long.
    """
    try:
        message: str = event["log_format"].format_map(event)
    except Exception:  # noqa: BLE001 - Twisted's way has an answer to whatever went wrong
        return formatEvent(event)
    return message


def _is_plain(value: object) -> bool:
    """
    Whether a field is worth a place in the line.
    """
    return value is None or isinstance(value, str | int | float)
