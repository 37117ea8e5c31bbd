"""
Tests for :mod:`itsjustintv.logs.observer`.
"""

from __future__ import annotations

import logging

from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.logs.observer import forward_logging


class BridgeTests(SynchronousTestCase):
    """
    Python's own log ends in ours.
    """

    def setUp(self) -> None:
        """
        A tree of loggers of its own.
        """
        self.root = logging.RootLogger(logging.WARNING)
        forward_logging(self.root)
        forward_logging(self.root)
        self.logger = logging.Logger("a.library")  # noqa: LOG001 - one that nobody else has
        self.logger.parent = self.root

    def test_records(self) -> None:
        """
        Each record is one event, with its level, under its logger's name; also when it was bridged twice.
        """
        with capturedLogs() as events:
            self.logger.warning("%d {left} as it is", 7)
            self.logger.debug("quiet")
            self.logger.error("not %d", "a number")
            self.logger.critical("over")
            self.logger.info("fine")
        self.assertEqual(
            [(each["log_level"], formatEvent(each)) for each in events],
            [
                (LogLevel.warn, "7 {left} as it is"),
                (LogLevel.debug, "quiet"),
                (LogLevel.error, "not %d"),
                (LogLevel.critical, "over"),
                (LogLevel.info, "fine"),
            ],
        )
        self.assertEqual({each["log_namespace"] for each in events}, {"a.library"})

    def test_it_is_said_once(self) -> None:
        """
        The text is the message, and no field besides.
        """
        with capturedLogs() as events:
            self.logger.warning("once")
        fields = [name for name, value in events[0].items() if value == "once" and not name.startswith("log_")]
        self.assertEqual(fields, [])

    def test_traceback(self) -> None:
        """
        An exception comes along.
        """
        with capturedLogs() as events:
            try:
                raise ValueError("broken")
            except ValueError:
                self.logger.exception("it failed")
        self.flushLoggedErrors(ValueError)
        self.assertEqual(events[0]["log_failure"].getErrorMessage(), "broken")
        self.assertIn("test_traceback", events[0]["log_failure"].getTraceback())
