"""
The observer that writes the log of the process: which events, in which format, and to where.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from typing import IO, Any

from attrs import define, field, frozen
from twisted.logger import ILogObserver, LegacyLogObserverWrapper, LogEvent, Logger, LogLevel
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from zope.interface import implementer

from itsjustintv.config.sections import Logging
from itsjustintv.logs.formats import JSONLines, Lines, TextLines, fields, message
from itsjustintv.logs.redaction import REDACTOR, Redactor
from itsjustintv.support.foreign_text import visible

__all__ = [
    "LOG_SETTINGS",
    "Log",
    "LogSettings",
    "LoggingHandler",
    "RedactingObserver",
    "forward_logging",
    "json_logger",
    "log_through",
    "logger",
    "lower_level",
]

_LOST = b'{"level":"error","logger":"itsjustintv.logs","message":"an event could not be written to the log"}\n'

# The number of loggers whose levels are cached.
_LOGGERS = 1000


@define(eq=False)
class LogSettings:
    """
    The current ``[logging]``: which events are written, and in which format.
    """

    _settings: Logging = field(factory=Logging, init=False)
    # Of LogLevel, which mypy knows as a class of constants only.
    _levels: Mapping[str, Any] = field(factory=dict, init=False)
    _level: Any = field(default=LogLevel.info, init=False)
    _found: dict[str, frozenset[Any]] = field(factory=dict, init=False)

    def text(self, terminal: bool) -> bool:
        """
        Whether to write text instead of JSON.

        :param terminal: whether the log goes to a terminal.
        """
        return self._settings.format == "text" or (terminal and self._settings.format == "auto")

    def follow(self, settings: Logging) -> None:
        self._settings = settings
        self._level = LogLevel.levelWithName(settings.level)
        pairs = (each.split("=") for each in settings.levels)
        self._levels = {name.strip(): LogLevel.levelWithName(level.strip()) for name, level in pairs}
        self._found = {}

    def wants(self, level: Any, namespace: str) -> bool:
        """
        Whether an event is written: its level is at least that of its logger, of the nearest parent logger with a
        level, or the general one.
        """
        written = self._found.get(namespace)
        if written is None:
            # There are as many loggers as classes and modules, unless names are generated.
            if len(self._found) >= _LOGGERS:
                self._found.clear()
            least = self._least(namespace)
            # Comparing levels in Twisted takes ten times as long as this lookup.
            written = self._found[namespace] = frozenset(each for each in LogLevel.iterconstants() if each >= least)
        return level in written

    def _least(self, namespace: str) -> Any:
        while namespace:
            if namespace in self._levels:
                return self._levels[namespace]
            namespace = namespace.rpartition(".")[0]
        return self._level


#: The settings of the log of the process; see :data:`~itsjustintv.logs.redaction.REDACTOR`.
LOG_SETTINGS = LogSettings()


def json_logger(
    out: IO[bytes] | None = None, redactor: Redactor = REDACTOR, log_settings: LogSettings = LOG_SETTINGS
) -> ILogObserver:
    """
    Make an observer that always writes JSON, for ``twistd --logger``.

    :param out: where to write; the current standard output unless given.
    """
    forward_logging()
    form = JSONLines(redactor)
    return Log(sys.stdout.buffer if out is None else out, lambda: form, log_settings)


def logger(
    out: IO[bytes],
    colour: bool = False,
    redactor: Redactor = REDACTOR,
    log_settings: LogSettings = LOG_SETTINGS,
    *,
    terminal: bool = False,
) -> ILogObserver:
    """
    Make an observer that follows ``[logging]``.

    :param colour: whether text may be in colour.
    :param terminal: whether ``out`` is a terminal.
    """
    forward_logging()
    programs, people = JSONLines(redactor), TextLines(redactor, colour)
    return Log(out, lambda: people if log_settings.text(terminal) else programs, log_settings)


def lower_level(event: LogEvent) -> LogEvent:
    """
    Lower what Twisted logs about its ports, factories and start from info to debug.
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
    Writes each event at once. Never raises.

    :ivar form: returns the current format.
    """

    _out: IO[bytes]
    _form: Callable[[], Lines]
    _log_settings: LogSettings

    def __call__(self, event: LogEvent) -> None:
        try:
            event = lower_level(event)
            if not self._log_settings.wants(event["log_level"], event["log_namespace"]):
                return
            line = self._form()(event)
        except Exception:  # noqa: BLE001 - an event that cannot be formatted must not end the program
            line = _LOST
        try:
            self._out.write(line)
            self._out.flush()
        except (OSError, ValueError):
            pass  # the log was the only way to report it


class LoggingHandler(logging.Handler):
    """
    Forwards records of :mod:`logging` as events of :mod:`twisted.logger`, with the same logger name.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """
        Forward a record. One that cannot be formatted becomes an event with its bare format.
        """
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - a wrong log call in a library must not raise here
            text = str(record.msg)
        failure = None
        if record.exc_info and record.exc_info[1] is not None:
            failure = Failure(record.exc_info[1], record.exc_info[0], record.exc_info[2])
        Logger(namespace=record.name).emit(
            _level(record.levelno), "{log_text}", log_text=text, **({} if failure is None else {"log_failure": failure})
        )


def forward_logging(root: logging.Logger | None = None) -> None:
    """
    Forward everything that is logged with :mod:`logging` in this process. Idempotent. ``[logging]`` says what is
    written.

    :param root: the root logger unless given.
    """
    root = logging.getLogger() if root is None else root
    if not any(isinstance(each, LoggingHandler) for each in root.handlers):
        root.addHandler(LoggingHandler())
        root.setLevel(logging.DEBUG)


def _level(number: int) -> Any:
    for least, level in (
        (logging.CRITICAL, LogLevel.critical),
        (logging.ERROR, LogLevel.error),
        (logging.WARNING, LogLevel.warn),
        (logging.INFO, LogLevel.info),
    ):
        if number >= least:
            return level
    return LogLevel.debug


#: Makes an observer that writes to a file.
Make = Callable[[IO[bytes]], ILogObserver]

# Priorities of syslog (RFC 5424, section 6.2.1).
_PRIORITIES = {"debug": 7, "info": 6, "warn": 4, "error": 3, "critical": 2}


def log_through(
    make: Make, command_line: MutableMapping[str, Any], later: Callable[[Callable[[], Any]], Any]
) -> Callable[[], ILogObserver] | None:
    """
    Let ``twistd`` write its log with our observer, to where its options say. ``twist`` keeps its own format, without
    the secrets: its options do not tell whether it was chosen.

    :param command_line: the options of ``twistd`` or ``twist``, which ``twist`` reads after this call.
    :param later: calls a function in the reactor; safe in a signal handler.
    :return: a factory for the observer of the application under ``twistd``, or ``None``.
    """
    if "fileLogObserverFactory" in command_line:  # twist
        forward_logging()
        theirs = command_line["fileLogObserverFactory"]
        command_line["fileLogObserverFactory"] = lambda out: RedactingObserver(theirs(out), REDACTOR)
        return None
    return None if command_line.get("logger") else partial(_twistd, make, command_line, later)


def _twistd(
    make: Make, command_line: MutableMapping[str, Any], later: Callable[[Callable[[], Any]], Any]
) -> ILogObserver:
    """
    Make an observer that logs where ``twistd`` would (``twisted.scripts._twistd_unix.UnixAppLogger``).
    """
    if command_line.get("syslog"):
        from twisted.python.syslog import SyslogObserver  # noqa: PLC0415 - not every system has one

        write = SyslogObserver(command_line.get("prefix", "")).emit

        def emit(event: LogEvent) -> None:
            write({**event, "syslogPriority": _PRIORITIES[event["log_level"].name]})

        theirs: Any = emit
        forward_logging()
        return RedactingObserver(LegacyLogObserverWrapper(theirs), REDACTOR, LOG_SETTINGS)
    name = command_line.get("logfile")
    foreground = command_line.get("nodaemon")
    if name == "-" and not foreground:
        raise SystemExit("itsjustintv: cannot log to standard output in the background; correct --logfile")
    if foreground and name in ("-", "", None):
        return make(sys.stdout.buffer)
    file = LogFile.fromFullPath(name or "twistd.log", defaultMode=0o600)
    if signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, lambda *_: later(file.rotate))
    return make(file)


@implementer(ILogObserver)
@frozen
class RedactingObserver:
    """
    Wraps an observer that must not see secrets.

    :ivar log_settings: filters the events; ``None`` if the observer filters by itself.
    """

    _observer: ILogObserver
    _redactor: Redactor
    _log_settings: LogSettings | None = None

    def __call__(self, event: LogEvent) -> None:
        """
        Forward an event as a formatted text, traceback included, without secrets and control characters.
        """
        if self._log_settings is not None:
            event = lower_level(event)
        if self._log_settings is not None and not self._log_settings.wants(event["log_level"], event["log_namespace"]):
            return
        text = self._clean(message(event))
        if (failure := event.get("log_failure")) is not None:
            traceback = self._redactor.redact(failure.getTraceback())
            text = "\n".join([text, *map(visible, traceback.splitlines())])
        clean: dict[str, Any] = {self._clean(name): self._clean(value) for name, value in fields(event)}
        for name in ("log_time", "log_level", "log_namespace", "log_system"):
            if name in event:
                clean[name] = event[name]
        self._observer({**clean, "log_format": "{log_text}", "log_text": text})

    def _clean(self, value: Any) -> Any:
        return visible(self._redactor.redact(value)) if isinstance(value, str) else value
