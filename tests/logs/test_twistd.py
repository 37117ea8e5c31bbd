"""
Tests for :mod:`itsjustintv.logs.observer`.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import IO, Any

from twisted.logger import ILogObserver, LogLevel, eventAsJSON, eventAsText, textFileLogObserver
from twisted.python.failure import Failure
from twisted.python.syslog import SyslogObserver
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.logs import REDACTOR, LogSettings, Redactor, logger
from itsjustintv.logs.observer import RedactingObserver, log_through
from tests.logs.test_observer import event


class ThroughTests(SynchronousTestCase):
    """
    Whose log it is.
    """

    def through(self, command_line: dict[str, Any], later: Callable[[Callable[[], Any]], Any] = lambda _: None) -> Any:
        """
        What makes the observer of an application.
        """
        return log_through(self.make, command_line, later)

    def make(self, out: IO[bytes]) -> ILogObserver:
        """
        Our observer.
        """
        return logger(out, redactor=Redactor(), log_settings=LogSettings())

    def file(self, **command_line: Any) -> Path:
        """
        A file that is logged to.
        """
        path = Path(self.mktemp()).absolute()
        observer = self.through({"logfile": str(path), **command_line})()
        observer(event())
        return path

    def test_to_a_file(self) -> None:
        """
        A file that twistd is to log to is written by us, and for nobody but its owner.
        """
        path = self.file(nodaemon=True)
        self.assertEqual(json.loads(path.read_text())["message"], "hello")
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def test_a_signal_begins_another_file(self) -> None:
        """
        As with twistd itself, SIGUSR1 has the file set aside, in the reactor's time.
        """
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.signal(signal.SIGUSR1, signal.SIG_DFL))
        path, work = Path(self.mktemp()).absolute(), list[Callable[[], Any]]()
        observer = self.through({"logfile": str(path), "nodaemon": False}, work.append)()
        observer(event())
        signal.raise_signal(signal.SIGUSR1)
        for each in work:
            each()
        observer(event(log_format="later"))
        self.assertEqual(json.loads(path.read_text())["message"], "later")
        self.assertEqual(json.loads(path.with_name(f"{path.name}.1").read_text())["message"], "hello")

    def test_in_the_background(self) -> None:
        """
        A daemon without a terminal has no standard output to log to.
        """
        with self.assertRaises(SystemExit):
            self.through({"logfile": "-", "nodaemon": False})()

    def test_syslog(self) -> None:
        """
        What goes to syslog has a severity and no secrets, and is only what is wanted.
        """
        lines: list[tuple[int, str]] = []
        self.patch(SyslogObserver, "syslog", lambda _, priority, line: lines.append((priority, line)))
        REDACTOR.learn(["a-secret-of-syslog"])
        observer = self.through({"syslog": True, "prefix": "x", "nodaemon": True})()
        observer(event(log_format="a-secret-of-syslog"))
        observer(event(log_format="quiet", log_level=LogLevel.debug))
        observer(event(log_format="bad", log_level=LogLevel.error))
        self.assertEqual([priority for priority, _ in lines], [6, 3])
        self.assertIn("[redacted]", lines[0][1])

    def test_named_on_the_command_line(self) -> None:
        """
        Whoever names a logger gets that one.
        """
        self.assertIsNone(self.through({"logger": "a.name", "nodaemon": True}))

    def test_twist(self) -> None:
        """
        Twist keeps its form, without secrets.
        """
        REDACTOR.learn(["a-secret-of-twist"])
        out = StringIO()
        command_line: dict[str, Any] = {"logFile": out, "fileLogObserverFactory": textFileLogObserver}
        self.assertIsNone(self.through(command_line))
        command_line["fileLogObserverFactory"](out)(event(log_format="a-secret-of-twist"))
        self.assertIn("[tests#info] [redacted]", out.getvalue())


class RedactedTests(SynchronousTestCase):
    """
    Forms of others.
    """

    def test_no_secret_reaches_them(self) -> None:
        """
        Neither words nor fields nor tracebacks have secrets, in any form that Twisted has.
        """
        redactor, seen = Redactor(), list[Any]()
        redactor.learn(["a-known-secret"])
        try:
            raise ValueError("a-known-secret {broken")
        except ValueError:
            failure = Failure()
        RedactingObserver(seen.append, redactor)(  # type: ignore[arg-type]
            event(log_format="at {url}", url="http://a-known-secret", log_failure=failure, log_level=LogLevel.critical)
        )
        for text in (eventAsText(seen[0]), eventAsJSON(seen[0])):
            self.assertNotIn("a-known-secret", text)
            self.assertIn("ValueError: [redacted] {broken", text)
            self.assertIn("at http://[redacted]", text)

    def test_only_what_is_wanted(self) -> None:
        """
        An observer that does not know levels gets what ``[logging]`` asks for.
        """
        seen, log_settings = list[Any](), LogSettings()
        observer = RedactingObserver(seen.append, Redactor(), log_settings)  # type: ignore[arg-type]
        observer(event(log_level=LogLevel.debug))
        observer(event(log_level=LogLevel.info))
        self.assertEqual([each["log_level"] for each in seen], [LogLevel.info])
