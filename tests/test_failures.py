"""
What a failing test prints.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.reporter import Reporter
from twisted.trial.unittest import SynchronousTestCase, TestCase

from itsjustintv.model import Due
from tests.functional.stage import StageCase


def failing() -> type[SynchronousTestCase]:
    """
    Tests that fail, where trial does not find them.
    """

    class Wrong(SynchronousTestCase):
        def test_sum(self) -> None:
            """
            Two and two are
            five.
            """
            self.assertEqual(2 + 2, 5)

        def test_error(self) -> None:
            """
            A key is there.
            """
            raise KeyError("missing")

        def test_values(self) -> None:
            """
            Two places in line are the same.
            """
            self.assertEqual(Due(1.0, "a"), Due(2.0, "a"))

    return Wrong


class FailureTests(TestCase):
    """
    Tests that fail, in a reporter of their own.
    """

    def printed(self, test: SynchronousTestCase) -> str:
        """
        What trial prints when one test has been run.
        """
        out = StringIO()
        reporter = Reporter(out)
        test.run(reporter)
        reporter.done()
        return out.getvalue()

    def test_the_fact_is_shown(self) -> None:
        """
        Below the difference there is the sentence that the test states, whether it fails or ends in an error.
        """
        wrong = failing()
        said = self.printed(wrong("test_sum"))
        self.assertIn("4 != 5\n\nThe test states: Two and two are\nfive.", said)
        self.assertIn("FAILED (failures=1)", said)
        self.assertIn("KeyError: 'missing'\n\nThe test states: A key is there.", self.printed(wrong("test_error")))

    def test_only_the_difference_is_shown(self) -> None:
        """
        Of two values of one class only the fields that differ are printed.
        """
        self.assertIn("Due differs\n  at: 1.0 != 2.0\n\nThe test states:", self.printed(failing()("test_values")))

    def test_the_last_lines_of_the_daemon_are_shown(self) -> None:
        """
        A test with a daemon shows the last lines that each daemon wrote.
        """
        case = StageCase()
        stage = case.stage()
        self.addCleanup(lambda: Deferred.fromCoroutine(stage.close()))
        daemon = stage.daemon()
        daemon._watching.output += "".join(f"line {number}\n" for number in range(100)).encode()
        self.assertEqual(Path(stage.folder).is_dir(), True)
        lines = case.more_on_failure().splitlines()
        self.assertEqual(
            (lines[0], lines[1], lines[-1]), ("The daemon has not been started. Its last lines:", "line 60", "line 99")
        )
