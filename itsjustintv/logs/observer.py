"""
What the log of the process is at the moment, and the observer that writes it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import IO, Any

from attrs import define, field
from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface import implementer

from itsjustintv.config.sections import Logging
from itsjustintv.logs.folding_python_logging_observer import bridge
from itsjustintv.logs.formats import JSONLines, Lines, TextLines
from itsjustintv.logs.redaction import REDACTOR, Redactor

__all__ = ["WANTED", "Log", "Wanted", "json_logger", "logger", "quieter"]

_LOST = b'{"level":"error","logger":"itsjustintv.logs","message":"an event could not be written to the log"}\n'

# So many loggers are remembered with their levels.
_LOGGERS = 1000


@define(eq=False)
class Wanted:
    """
    Which events are written at the moment, and in which form: ``[logging]``.
    """

    _settings: Logging = field(factory=Logging, init=False)
    # Of LogLevel, which mypy knows as a class of constants only.
    _levels: Mapping[str, Any] = field(factory=dict, init=False)
    _level: Any = field(default=LogLevel.info, init=False)
    _found: dict[str, frozenset[Any]] = field(factory=dict, init=False)

    def text(self, terminal: bool) -> bool:
        """
        Whether people are to read it, not programs.

        :param terminal: whether it is written to one.
        """
        return self._settings.format == "text" or (terminal and self._settings.format == "auto")

    def follow(self, settings: Logging) -> None:
        """
        Go by other settings from now on.
        """
        self._settings = settings
        self._level = LogLevel.levelWithName(settings.level)
        pairs = (each.split("=") for each in settings.levels)
        self._levels = {name.strip(): LogLevel.levelWithName(level.strip()) for name, level in pairs}
        self._found = {}

    def wants(self, level: Any, namespace: str) -> bool:
        """
        Whether an event is written: its level is that of its logger, of the nearest logger above it that has one, or of
        all, or a worse one.
        """
        written = self._found.get(namespace)
        if written is None:
            # There are as many loggers as there are classes and modules, unless somebody makes up names.
            if len(self._found) >= _LOGGERS:
                self._found.clear()
            least = self._least(namespace)
            # Twisted compares levels at ten times the cost of finding them here.
            written = self._found[namespace] = frozenset(each for each in LogLevel.iterconstants() if each >= least)
        return level in written

    def _least(self, namespace: str) -> Any:
        while namespace:
            if namespace in self._levels:
                return self._levels[namespace]
            namespace = namespace.rpartition(".")[0]
        return self._level


#: What is wanted of the log of the process; see :data:`~itsjustintv.logs.redaction.REDACTOR`.
WANTED = Wanted()


def json_logger(out: IO[bytes] | None = None, redactor: Redactor = REDACTOR, wanted: Wanted = WANTED) -> ILogObserver:
    """
    Make an observer that writes JSON, whatever ``logging.format`` says, for ``twistd --logger``.

    :param out: where to write; standard output as it is now, before the log itself takes its place.
    """
    bridge()
    form = JSONLines(redactor)
    return Log(sys.stdout.buffer if out is None else out, lambda: form, wanted)


def logger(
    out: IO[bytes],
    colour: bool = False,
    redactor: Redactor = REDACTOR,
    wanted: Wanted = WANTED,
    *,
    terminal: bool = False,
) -> ILogObserver:
    """
    Make an observer that writes as ``[logging]`` says at the moment.

    :param colour: whether text may be in colour.
    :param terminal: whether it is read as it is written.
    """
    bridge()
    programs, people = JSONLines(redactor), TextLines(redactor, colour)
    return Log(out, lambda: people if wanted.text(terminal) else programs, wanted)


def quieter(event: LogEvent) -> LogEvent:
    """
    Take what Twisted says of its own ports, factories and start for what it is to an operator: something to look at
    when all else fails.
    """
    if event["log_level"] is LogLevel.info:
        namespace = event["log_namespace"]
        if namespace == "log_legacy" or namespace.startswith("twisted."):
            return {**event, "log_level": LogLevel.debug}
    return event


@implementer(ILogObserver)
@define(eq=False)
class Log:
    """
    Writes each event that is wanted, at once. Never raises.

    :ivar form: the form of the moment.
    """

    _out: IO[bytes]
    _form: Callable[[], Lines]
    _wanted: Wanted

    def __call__(self, event: LogEvent) -> None:
        """
        Write one event.
        """
        try:
            event = quieter(event)
            if not self._wanted.wants(event["log_level"], event["log_namespace"]):
                return
            line = self._form()(event)
        except Exception:  # noqa: BLE001 - an event that cannot be told must not take the program down
            line = _LOST
        try:
            self._out.write(line)
            self._out.flush()
        except (OSError, ValueError):
            # There is nobody left to tell.
            pass
