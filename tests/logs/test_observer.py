"""
Tests for :mod:`itsjustintv.logs.observer` and :mod:`itsjustintv.logs.formats`.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from enum import Enum
from io import BytesIO
from pathlib import Path
from subprocess import run
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python import log as legacy
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from itsjustintv.config.sections import Logging
from itsjustintv.logs import LogSettings, Redactor, json_logger, logger
from itsjustintv.support.foreign_text import visible

MOMENT = datetime(2026, 1, 2, 3, 4, 6, 789_000, tzinfo=UTC).timestamp()


def event(**fields: Any) -> dict[str, Any]:
    """
    An event as twisted.logger makes it.
    """
    return {
        "log_time": MOMENT,
        "log_level": LogLevel.info,
        "log_namespace": "tests",
        "log_format": "hello",
        "log_source": object(),
        **fields,
    }


def log_settings(**settings: Any) -> LogSettings:
    """
    A log of its own, as ``[logging]`` has it.
    """
    made = LogSettings()
    made.follow(Logging(**settings))
    return made


def written(*events: dict[str, Any], redactor: Redactor | None = None) -> list[dict[str, Any]]:
    """
    The lines written for events, read back.
    """
    out = BytesIO()
    observer = json_logger(out, redactor or Redactor(), log_settings())
    for one in events:
        observer(one)
    return [json.loads(line) for line in out.getvalue().splitlines()]


class Unspeakable:
    """
    Something that cannot be put into words.
    """

    def __repr__(self) -> str:
        raise ZeroDivisionError

    __str__ = __repr__
    __format__ = __repr__  # type: ignore[assignment]


class LineTests(SynchronousTestCase):
    """
    What a line holds.
    """

    def test_provides_the_interface(self) -> None:
        """
        The observer is one.
        """
        self.assertTrue(verifyObject(ILogObserver, json_logger(BytesIO(), Redactor(), log_settings())))

    def test_line(self) -> None:
        """
        Time, level, logger and message come first, then the plain fields, and nothing of Twisted's own.
        """
        [line] = written(
            event(
                log_format="{streamer} is live, attempt {attempt}",
                streamer="タヌキ",
                attempt=3,
                delay=0.5,
                final=False,
                status=None,
                thing=object(),
                body=b"bytes",
            )
        )
        expected = {
            "time": "2026-01-02T03:04:06.789Z",
            "level": "info",
            "logger": "tests",
            "message": "タヌキ is live, attempt 3",
            "streamer": "タヌキ",
            "attempt": 3,
            "delay": 0.5,
            "final": False,
            "status": None,
        }
        self.assertEqual(line, expected)
        self.assertEqual(list(line), list(expected))

    def test_it_steers_no_terminal(self) -> None:
        """
        What would steer a terminal that shows the log, or hide in it, is escaped, and a program reads what was there.
        """
        hostile = "a\x1b[31m\x7f\x85\x9b\u200b\u202e\u2028\u2066\U000e0041 👩\u200d💻"
        out = BytesIO()
        logger(out, redactor=Redactor(), log_settings=log_settings(format="json"))(
            event(log_format="{title}", title=hostile)
        )
        shown = out.getvalue().decode()
        self.assertIn(r"a\u001b[31m\u007f\u0085\u009b\u200b\u202e\u2028\u2066\udb40\udc41 👩‍💻", shown)
        self.assertEqual(shown, f"{visible(shown[:-1])}\n")
        self.assertEqual(json.loads(shown)["message"], hostile)

    def test_formats_of_twisted(self) -> None:
        """
        A format may call, look inside and convert, and may be bytes.
        """
        for log_format, message in (
            ("{call()} {thing.real} {text!r}", "called 7 'x'"),
            (b"{text}", "x"),
            ("{{}}", "{}"),
        ):
            [line] = written(event(log_format=log_format, call=lambda: "called", thing=7, text="x"))
            self.assertEqual(line["message"], message)

    def test_fields_do_not_take_the_places_of_ours(self) -> None:
        """
        A field with a name of ours is left out.
        """
        [line] = written(event(level="loud", time=0.0, message="other", logger="x", traceback="y"))
        self.assertEqual((line["level"], line["message"], line["logger"]), ("info", "hello", "tests"))
        self.assertNotIn("traceback", line)

    def test_traceback_is_one_string(self) -> None:
        """
        A failure is one field of the line of its event, and its message if there is no other.
        """
        try:
            raise ValueError("two\nlines")
        except ValueError:
            failure = Failure()
        spoken, silent = written(event(log_failure=failure), event(log_failure=failure, log_format=""))
        self.assertIn("Traceback", spoken["traceback"])
        self.assertIn("ValueError: two\nlines", spoken["traceback"])
        self.assertEqual((spoken["message"], silent["message"]), ("hello", "two\nlines"))

    def test_logger_and_legacy_log(self) -> None:
        """
        What Twisted's two ways of logging make is written without their internals.
        """
        events: list[dict[str, Any]] = []
        Logger("a.namespace", observer=events.append).warn("{event_id} is late", event_id="e")  # type: ignore[arg-type]
        publisher = legacy.LogPublisher(publishPublisher=events.append)  # type: ignore[arg-type]
        publisher.msg("old words", system="x", number=1, logLevel=logging.WARNING)
        first, second = written(*events)
        self.assertEqual(set(first), {"time", "level", "logger", "message", "event_id"})
        self.assertEqual((second["message"], second["number"]), ("old words", 1))
        self.assertEqual(set(second), {"time", "level", "logger", "message", "number", "logLevel"})


class NeverRaisesTests(SynchronousTestCase):
    """
    The log does not take the program down.
    """

    fields = st.dictionaries(
        st.text(st.characters(), max_size=10),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(st.characters())
        | st.sampled_from((10**5000, "\ud800", float("nan"), Unspeakable(), b"x", [1])),
        max_size=5,
    )

    @given(log_format=st.text() | st.sampled_from(("{a}", "{", "{0}", "{a!x}", "{a:%}", None, 7)), fields=fields)
    def test_every_event_is_one_line_of_json(self, log_format: object, fields: dict[str, Any]) -> None:
        """
        Whatever an event holds.
        """
        whole = {**fields, **event(log_format=log_format, a=Unspeakable())}
        [line] = written(whole)
        self.assertEqual(line["level"], "info")

    @given(fields=fields)
    def test_event_of_another_shape_is_one_line_too(self, fields: dict[str, Any]) -> None:
        """
        Even without what every event has.
        """
        [line] = written(fields)
        self.assertEqual(line["level"], "error")

    def test_numbers_beyond_json(self) -> None:
        """
        A number that JSON's readers would not survive is a text.
        """

        class Color(int, Enum):
            RED = 1

        [line] = written(event(big=2**64, small=-(2**62), nan=float("nan"), huge=float("-inf"), color=Color.RED))
        self.assertEqual((line["big"], line["nan"], line["huge"]), ("0x10000000000000000", "nan", "-inf"))
        self.assertEqual((line["small"], line["color"]), (-(2**62), 1))

    def test_output_that_is_gone(self) -> None:
        """
        When nobody reads any more the log is silent.
        """
        out = BytesIO()
        out.close()
        json_logger(out, Redactor(), log_settings())(event())


class SecretTests(SynchronousTestCase):
    """
    What must not be in the log.
    """

    secret = 'p4ss "wörd"/+'

    def test_secret_is_taken_out_of_every_text(self) -> None:
        """
        Message, fields, their names, the logger's name and tracebacks.
        """
        redactor = Redactor()
        redactor.learn([self.secret])
        try:
            raise ValueError(self.secret)
        except ValueError:
            failure = Failure()
        for form in ("json", "text"):
            out = BytesIO()
            observer = logger(out, redactor=redactor, log_settings=log_settings(format=form))
            fields = {"streamer": self.secret, self.secret: 1, "log_namespace": self.secret}
            observer(event(log_format="{streamer}", log_failure=failure, **fields))
            observer(event(log_format="at https://example.net/p4ss%20%22w%C3%B6rd%22%2F%2B?x"))
            text = out.getvalue().decode()
            self.assertNotIn("p4ss", text)
            self.assertIn("[redacted]", text)
            self.assertIn("ValueError", text)


class TextTests(SynchronousTestCase):
    """
    Lines for people.
    """

    def lines(self, *events: dict[str, Any], colour: bool = False) -> list[str]:
        """
        What is written for events.
        """
        out = BytesIO()
        observer = logger(out, colour, Redactor(), log_settings(format="text"))
        for one in events:
            observer(one)
        return out.getvalue().decode().splitlines()

    def test_line(self) -> None:
        """
        Time, level and message, and nothing else.
        """
        [line] = self.lines(event(log_format="{streamer} is live", streamer="タヌキ", attempt=3))
        self.assertEqual(line, "2026-01-02T03:04:06.789Z info     タヌキ is live")

    def test_nobody_writes_lines_of_his_own(self) -> None:
        """
        What a stranger says stays within its line and steers no terminal.
        """
        [line] = self.lines(event(log_format="{title}", title="a\nb\x1b[31m\u2028\ud800"))
        self.assertEqual(line.split("info     ")[1], r"a\nb\x1b[31m\u2028\ud800")

    def test_traceback(self) -> None:
        """
        A traceback is below its line, indented.
        """
        try:
            raise ValueError("two\nlines\x07")
        except ValueError:
            failure = Failure()
        first, *rest = self.lines(event(log_failure=failure, log_level=LogLevel.critical))
        self.assertEqual(first.split("Z ")[1], "critical hello")
        self.assertTrue(all(line.startswith("    ") for line in rest), rest)
        self.assertEqual(rest[-2:], ["    builtins.ValueError: two", r"    lines\x07"])

    def test_colours(self) -> None:
        """
        What is worse than usual has a colour, where there are colours.
        """
        plain, loud = self.lines(event(), event(log_level=LogLevel.error), colour=True)
        self.assertNotIn("\x1b[31m", plain)
        self.assertIn("\x1b[31merror", loud)


class WantedTests(SynchronousTestCase):
    """
    What is written at all.
    """

    def test_levels(self) -> None:
        """
        The least level is that of the nearest logger that has one.
        """
        settings = log_settings(level="warn", levels=("a.b=debug", "a.b.c=critical"))
        for level, namespace, expected in (
            (LogLevel.info, "a", False),
            (LogLevel.warn, "a", True),
            (LogLevel.debug, "a.b", True),
            (LogLevel.debug, "a.b.x", True),
            (LogLevel.debug, "a.bc", False),
            (LogLevel.error, "a.b.c.D", False),
            (LogLevel.critical, "a.b.c.D", True),
        ):
            self.assertEqual(settings.wants(level, namespace), expected, (level, namespace))

    def test_follows(self) -> None:
        """
        Another level and another form hold from the next event on.
        """
        settings, out = log_settings(), BytesIO()
        observer = logger(out, redactor=Redactor(), log_settings=settings)
        debug = event(log_level=LogLevel.debug)
        observer(debug)
        settings.follow(Logging(level="debug", format="text"))
        observer(debug)
        settings.follow(Logging(level="debug"))
        observer(debug)
        text, line = out.getvalue().decode().splitlines()
        self.assertTrue(text.endswith("debug    hello"), text)
        self.assertEqual(json.loads(line)["level"], "debug")

    def test_a_terminal_is_read_by_people(self) -> None:
        """
        Unless the configuration says otherwise, it is text on a terminal and JSON elsewhere.
        """
        for form, terminal, text in (
            ("auto", True, True),
            ("auto", False, False),
            ("json", True, False),
            ("text", False, True),
        ):
            out = BytesIO()
            logger(out, redactor=Redactor(), log_settings=log_settings(format=form), terminal=terminal)(event())
            self.assertEqual(not out.getvalue().startswith(b"{"), text, (form, terminal))

    def test_twisted_of_itself(self) -> None:
        """
        What Twisted says of its ports and factories is of interest to those only who look for it; its warnings are as
        they were.
        """
        for namespace in ("twisted.internet.protocol.Factory", "log_legacy"):
            for level, shown in (("info", []), ("debug", ["debug"])):
                out = BytesIO()
                observer = json_logger(out, Redactor(), log_settings(level=level))
                observer(event(log_namespace=namespace))
                self.assertEqual([json.loads(line)["level"] for line in out.getvalue().splitlines()], shown)
            self.assertEqual(written(event(log_namespace=namespace, log_level=LogLevel.warn))[0]["level"], "warn")

    def test_any_number_of_loggers(self) -> None:
        """
        Names that are made up do not fill the memory.
        """
        settings = log_settings()
        for number in range(3000):
            settings.wants(LogLevel.info, f"made.up.{number}")
        self.assertLessEqual(len(settings._found), 1000)


TAC = """
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.logger import ILogObserver
from itsjustintv.config.sections import Logging
from itsjustintv.logs import REDACTOR, LOG_SETTINGS, json_logger

def end():
    print("printed a-known-secret")
    reactor.stop()

REDACTOR.learn(["a-known-secret"])
LOG_SETTINGS.follow(Logging(level="debug"))
reactor.callWhenRunning(end)
application = Application("x")
"""


class DaemonTests(SynchronousTestCase):
    """
    The factory as twistd uses it.
    """

    def assert_json(self, tac: str, *arguments: str) -> None:
        """
        Run twistd to its end and check that all it wrote is lines of JSON, from the first to the last.
        """
        path = Path(self.mktemp()).absolute()
        path.write_text(tac)
        twistd = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
        done = run(
            [*twistd, *arguments, "--nodaemon", "--pidfile=", f"--python={path}"], capture_output=True, check=True
        )
        messages = [json.loads(line)["message"] for line in done.stdout.splitlines()]
        self.assertIn("Loading", messages[0])
        self.assertIn("printed [redacted]", messages)
        self.assertEqual(messages[-1], "Server Shut Down.")

    def test_named_on_the_command_line(self) -> None:
        """
        ``twistd --logger`` finds the factory and is content with its observer.
        """
        self.assert_json(TAC, "--logger=itsjustintv.logs.json_logger")

    def test_set_in_a_tac(self) -> None:
        """
        A ``.tac`` can set the observer as a component.
        """
        self.assert_json(TAC + "application.setComponent(ILogObserver, json_logger())\n")
