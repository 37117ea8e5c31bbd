"""
The end of a process that waits for an authority.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import itsjustintv


class StopTests(SynchronousTestCase):
    """
    With a signal.
    """

    def test_s31_a_process_ends_although_the_authority_hangs(self) -> None:
        """
        Within two seconds of SIGTERM, with status 0 and without a traceback.
        """
        root = str(Path(itsjustintv.__file__).parents[1])
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.tls.process", str(Path(self.mktemp()).absolute())],
            cwd=root,
            env={**os.environ, "PYTHONPATH": root},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), b"asked\n")
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=2)
        finally:
            process.kill()
            process.communicate()
        self.assertEqual(process.returncode, 0, said)
        self.assertNotIn(b"Traceback", said)
        self.assertNotIn(b"Unhandled", said)
        self.assertIn(b"ordering a certificate for hooks.example.test", said)
