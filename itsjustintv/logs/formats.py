"""
Log events as lines: JSON for programs, text for people.
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

# Names with a meaning of their own here, or left in events by twisted.python.log.
_NOT_FIELDS = frozenset({"time", "level", "logger", "message", "traceback", "system", "isError", "format", "why"})

# The types of values that become fields.
_FIELDS = (str, int, float, type(None))

_FAINT, _PLAIN = "\x1b[2m", "\x1b[0m"
_COLOURS = {"warn": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[1;31m", "debug": _FAINT}


class Lines(Protocol):
    """
    A format of the log.
    """

    def __call__(self, event: LogEvent) -> bytes:
        """
        Format an event as one line, or several if it has a traceback, each with a newline. May raise for an event that
        does not have the keys of :mod:`twisted.logger`.
        """


@frozen
class JSONLines:
    """
    One JSON object per event: ``time`` (RFC 3339, UTC, milliseconds), ``level``, ``logger``, ``message``, then the
    event's plain fields, and ``traceback`` if there was a failure.
    """

    _redactor: Redactor

    def __call__(self, event: LogEvent) -> bytes:
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
        # Redacting everything at once is cheaper than value by value, and nearly always changes nothing.
        everything = "\n".join([*line, *[value for value in line.values() if isinstance(value, str)]])
        if self._text(everything) != everything:
            line = {
                self._text(name): self._text(value) if isinstance(value, str) else value for name, value in line.items()
            }
        return visible_json(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE).decode()).encode()

    def _text(self, text: str) -> str:
        """
        Remove secrets, and characters that UTF-8 cannot encode.
        """
        return self._redactor.redact(text).encode("utf-8", "backslashreplace").decode("utf-8")


@frozen
class TextLines:
    """
    Time, level and message, and below them the traceback, indented. Control characters are escaped, so that a
    streamer's title can neither start a line nor control a terminal.

    :ivar colour: whether to write levels in colour.
    """

    _redactor: Redactor
    _colour: bool = False

    def __call__(self, event: LogEvent) -> bytes:
        failure: Failure | None = event.get("log_failure")
        level = event["log_level"].name
        time, name = rfc3339(event["log_time"], "milliseconds"), f"{level:<8}"
        if self._colour:
            colour = _COLOURS.get(level)
            time, name = f"{_FAINT}{time}{_PLAIN}", f"{colour}{name}{_PLAIN}" if colour else name
        lines = [f"{time} {name} {self._text(message(event))}"]
        if failure is not None:
            # The whole traceback: a secret may span lines.
            traceback = self._redactor.redact(failure.getTraceback())
            lines += [f"    {visible(line)}" for line in traceback.splitlines()]
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")

    def _text(self, text: str) -> str:
        return visible(self._redactor.redact(text))


def message(event: LogEvent) -> str:
    """
    Format the message of an event; one without a format has the message of its failure.

    ``formatEvent`` supports more formats and never fails, but takes ten times as long: it is the fallback.
    """
    try:
        text: str = event["log_format"].format_map(event)
    except Exception:  # noqa: BLE001 - formatEvent handles any error
        text = formatEvent(event)
    failure: Failure | None = event.get("log_failure")
    return failure.getErrorMessage() if failure is not None and not text else text


def fields(event: LogEvent) -> list[tuple[str, object]]:
    """
    The fields of an event that are plain values.
    """
    return [
        (name, value)
        for name, value in event.items()
        if isinstance(value, _FIELDS) and name not in _NOT_FIELDS and not name.startswith("log_")
    ]


def _value(value: object) -> object:
    """
    Convert a plain value for JSON.
    """
    if isinstance(value, float):
        # A subclass that formats itself for a sentence is a number here.
        return float(value) if isfinite(value) else float.__repr__(value)
    if isinstance(value, int) and value.bit_length() > 63:
        return hex(value)
    return value
