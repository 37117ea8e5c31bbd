"""
Tests for :mod:`itsjustintv.twitch.server_time`.
"""

from __future__ import annotations

from email.utils import formatdate

from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.twitch.server_time import TwitchTime, read_date

NOON = 1_800_000_000.0
DAY = 86400.0


class DatedTests(SynchronousTestCase):
    """
    When an answer was made.
    """

    def test_the_middle_of_its_second(self) -> None:
        """
        The header is cut to whole seconds.
        """
        self.assertEqual(read_date(Headers({"Date": [formatdate(NOON, usegmt=True)]})), NOON + 0.5)

    def test_none_that_can_be_used(self) -> None:
        """
        No header, one that is no date, one from a cache: nothing is known, and nothing fails.
        """
        good = formatdate(NOON, usegmt=True)
        for headers in (
            {},
            {"Date": ["noon"]},
            {"Date": [""]},
            {"Date": ["9" * 5000]},
            {"Date": [good], "Age": ["60"]},
        ):
            with self.subTest(headers):
                self.assertIsNone(read_date(Headers(headers)))


class TwitchTimeTests(SynchronousTestCase):
    """
    This machine's clock beside Twitch's.
    """

    def setUp(self) -> None:
        self.steady = Clock()
        self.steady.advance(NOON)
        self.off = 0.0
        self.rejecting = True
        self.time = TwitchTime(self.steady, lambda: self.steady.seconds() + self.off, lambda: self.rejecting)
        self.lines: list[tuple[str, str]] = []

        def observe(event: LogEvent) -> None:
            if event["log_namespace"] == "itsjustintv.twitch.server_time.TwitchTime":
                self.lines.append((event["log_level"].name, formatEvent(event)))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def answer(self, theirs: float = 0.0) -> None:
        """
        Let Twitch answer; its clock differs from the steady one.
        """
        date = formatdate(self.steady.seconds() + theirs, usegmt=True)
        self.time.learn(Headers({"Date": [date]}))

    def test_nothing_is_known_at_first(self) -> None:
        """
        Before the first answer there is no difference, no problem, and no other time than our own.
        """
        self.assertEqual((self.time.ahead(), self.time.problem(), self.time.now()), (None, None, NOON))

    def test_clocks_that_agree(self) -> None:
        """
        Seconds are nothing.
        """
        self.answer(5.0)
        self.assertIsNone(self.time.problem())
        self.assertEqual(self.lines, [])

    def test_a_machine_that_starts_behind_and_is_set_right(self) -> None:
        """
        It says so once, and why that matters; set right, it is right at once, without another answer.
        """
        self.answer(30 * DAY)
        self.answer(30 * DAY)
        told = "this machine's clock is 30 days behind Twitch's: every message from Twitch is rejected; set it"
        [(level, line)] = self.lines
        self.assertEqual(level, "error")
        self.assertTrue(line.startswith(told), line)
        self.assertTrue((self.time.problem() or "").startswith(told))
        self.assertLess(abs(self.time.now() - NOON - 30 * DAY), 1.0)
        self.off = 30 * DAY
        self.assertIsNone(self.time.problem())
        self.time.log_change()
        self.assertEqual(self.lines[1:], [("info", "this machine's clock agrees with Twitch's again")])

    def test_a_conduit_rejects_no_message(self) -> None:
        """
        However far off the clock is, then: a warning that names what does suffer.
        """
        self.rejecting = False
        self.answer(30 * DAY)
        [(level, line)] = self.lines
        self.assertEqual(level, "warn")
        self.assertIn("30 days behind Twitch's: receivers may reject deliveries, and certificates may seem", line)

    def test_a_clock_that_is_set_wrong_later(self) -> None:
        """
        That is known from the last answer; below ten minutes it is a warning.
        """
        self.answer()
        self.off = 300.0
        self.time.log_change()
        [(level, line)] = self.lines
        self.assertEqual(level, "warn")
        self.assertIn("5 min ahead of Twitch's: beyond 10 min messages from Twitch are rejected", line)
