"""
The log of ``twistd``, when its command line does not say which: ours, where its own would be; and that of ``twist``.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, MutableMapping
from functools import partial
from typing import IO, Any

from attrs import frozen
from twisted.logger import ILogObserver, LegacyLogObserverWrapper, LogEvent
from twisted.python.logfile import LogFile
from zope.interface import implementer

from itsjustintv.logs.folding_python_logging_observer import bridge
from itsjustintv.logs.formats import fields, message
from itsjustintv.logs.observer import WANTED, Wanted, quieter
from itsjustintv.logs.redaction import REDACTOR, Redactor
from itsjustintv.support.foreign_text import visible

__all__ = ["Redacted", "log_through"]

#: Makes an observer that writes to a file.
Make = Callable[[IO[bytes]], ILogObserver]

# Of syslog (RFC 5424, section 6.2.1).
_PRIORITIES = {"debug": 7, "info": 6, "warn": 4, "error": 3, "critical": 2}


def log_through(
    make: Make, command_line: MutableMapping[str, Any], later: Callable[[Callable[[], Any]], Any]
) -> Callable[[], ILogObserver] | None:
    """
    Let ``twistd``, which is about to run us, write its log through us. Where to is its own decision. ``twist`` keeps a
    form of its own, from which only the secrets are taken out: it does not tell whether anybody asked for that.

    :param command_line: its options. ``twist`` reads them after this.
    :param later: has something done by the reactor, from a signal.
    :return: for ``twistd``, what makes the observer that the application is to have, if it is to have one.
    """
    if "fileLogObserverFactory" in command_line:  # twist
        bridge()
        theirs = command_line["fileLogObserverFactory"]
        command_line["fileLogObserverFactory"] = lambda out: Redacted(theirs(out), REDACTOR)
        return None
    return None if command_line.get("logger") else partial(_twistd, make, command_line, later)


def _twistd(
    make: Make, command_line: MutableMapping[str, Any], later: Callable[[Callable[[], Any]], Any]
) -> ILogObserver:
    """
    Log where ``twistd`` would (``twisted.scripts._twistd_unix.UnixAppLogger``).
    """
    if command_line.get("syslog"):
        from twisted.python.syslog import SyslogObserver  # noqa: PLC0415 - not every system has one

        write = SyslogObserver(command_line.get("prefix", "")).emit

        def emit(event: LogEvent) -> None:
            write({**event, "syslogPriority": _PRIORITIES[event["log_level"].name]})

        theirs: Any = emit
        bridge()
        return Redacted(LegacyLogObserverWrapper(theirs), REDACTOR, WANTED)
    name = command_line.get("logfile")
    foreground = command_line.get("nodaemon")
    if name == "-" and not foreground:
        raise SystemExit("itsjustintv: in the background there is no standard output to log to: correct --logfile")
    if foreground and name in ("-", "", None):
        return make(sys.stdout.buffer)
    file = LogFile.fromFullPath(name or "twistd.log", defaultMode=0o600)
    if signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, lambda *_: later(file.rotate))
    return make(file)


@implementer(ILogObserver)
@frozen
class Redacted:
    """
    Somebody else's observer, which gets to see no secret.

    :ivar wanted: what it gets to see at all, unless it knows that itself.
    """

    _observer: ILogObserver
    _redactor: Redactor
    _wanted: Wanted | None = None

    def __call__(self, event: LogEvent) -> None:
        """
        Hand an event on, put into words that are free of secrets and steer no terminal: the traceback is one of them.
        """
        if self._wanted is not None:
            event = quieter(event)
        if self._wanted is not None and not self._wanted.wants(event["log_level"], event["log_namespace"]):
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
