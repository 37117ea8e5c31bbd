"""
An event of the log as a line: of JSON for programs, or of text for people.
"""

from __future__ import annotations

from math import isfinite
from typing import Protocol

import orjson
from attrs import frozen
from twisted.logger import LogEvent, formatEvent
from twisted.python.failure import Failure

from itsjustintv.logs.redaction import Redactor
from itsjustintv.model import rfc3339
from itsjustintv.support.foreign_text import visible, visible_json

__all__ = ["JSONLines", "Lines", "TextLines", "fields", "message"]

# Ours, or left in events by twisted.python.log.
_NOT_FIELDS = frozenset({"time", "level", "logger", "message", "traceback", "system", "isError", "format", "why"})

# What is plain enough to be a field.
_FIELDS = (str, int, float, type(None))

_FAINT, _PLAIN = "\x1b[2m", "\x1b[0m"
_COLOURS = {"warn": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[1;31m", "debug": _FAINT}


class Lines(Protocol):
    """
    A form of the log.
    """

    def __call__(self, event: LogEvent) -> bytes:
        """
        Write an event as one line, or more when it has a traceback, each with its end. May fail on an event that is not
        like those of :mod:`twisted.logger`.
        """


@frozen
class JSONLines:
    """
    One JSON object an event: ``time`` (RFC 3339, UTC, milliseconds), ``level``, ``logger``, ``message``, then the
    event's own fields that are plain values, and ``traceback`` if there was a failure.
    """

    _redactor: Redactor

    def __call__(self, event: LogEvent) -> bytes:
        """
        Write an event as one line.
        """
        failure: Failure | None = event.get("log_failure")
        line: dict[str, object] = {
            "time": rfc3339(event["log_time"], "milliseconds"),
            "level": event["log_level"].name,
            "logger": event["log_namespace"],
            "message": message(event),
        }
        for name, value in fields(event):
            line[name] = value if isinstance(value, str) else _value(value)
        if failure is not None:
            line["traceback"] = failure.getTraceback()
        # One look at everything is cheaper than a look at each, and nearly always enough.
        everything = "\n".join([*line, *[value for value in line.values() if isinstance(value, str)]])
        if self._text(everything) != everything:
            line = {
                self._text(name): self._text(value) if isinstance(value, str) else value for name, value in line.items()
            }
        return visible_json(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE).decode()).encode()

    def _text(self, text: str) -> str:
        """
        Take out secrets, and what UTF-8 cannot say.
        """
        return self._redactor.redact(text).encode("utf-8", "backslashreplace").decode("utf-8")


@frozen
class TextLines:
    """
    Time, level and message, and below them the traceback, indented. What steers or hides is written as its code, so
    that no streamer's title begins a line of its own or steers a terminal.

    :ivar colour: whether to write levels in colour.
    """

    _redactor: Redactor
    _colour: bool = False

    def __call__(self, event: LogEvent) -> bytes:
        """
        Write an event as one line, and its traceback as more.
        """
        failure: Failure | None = event.get("log_failure")
        level = event["log_level"].name
        time, name = rfc3339(event["log_time"], "milliseconds"), f"{level:<8}"
        if self._colour:
            colour = _COLOURS.get(level)
            time, name = f"{_FAINT}{time}{_PLAIN}", f"{colour}{name}{_PLAIN}" if colour else name
        lines = [f"{time} {name} {self._text(message(event))}"]
        if failure is not None:
            # All at once: a secret may span lines.
            traceback = self._redactor.redact(failure.getTraceback())
            lines += [f"    {visible(line)}" for line in traceback.splitlines()]
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")

    def _text(self, text: str) -> str:
        return visible(self._redactor.redact(text))


def message(event: LogEvent) -> str:
    """
    Put an event into words; one without words is told by its failure.

    Twisted's way knows formats that call what they name and never fails, and takes ten times as long.
    """
    try:
        text: str = event["log_format"].format_map(event)
    except Exception:  # noqa: BLE001 - Twisted's way has an answer to whatever went wrong
        text = formatEvent(event)
    failure: Failure | None = event.get("log_failure")
    return failure.getErrorMessage() if failure is not None and not text else text


def fields(event: LogEvent) -> list[tuple[str, object]]:
    """
    What else an event tells: its own fields that are plain values.
    """
    return [
        (name, value)
        for name, value in event.items()
        if isinstance(value, _FIELDS) and name not in _NOT_FIELDS and not name.startswith("log_")
    ]


def _value(value: object) -> object:
    """
    Make a plain value fit for JSON.
    """
    if isinstance(value, float):
        # What writes itself otherwise in a sentence is a number here.
        return float(value) if isfinite(value) else float.__repr__(value)
    if isinstance(value, int) and value.bit_length() > 63:
        return hex(value)
    return value
