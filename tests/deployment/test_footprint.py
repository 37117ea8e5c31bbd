"""
What the daemon does not carry with it.
"""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.documents import ROOT

#: What takes megabytes and is for those who ask for it: ordering certificates and sending traces.
HEAVY = ("acme", "requests", "eliot", "opentelemetry.sdk", "google.protobuf", "itsjustintv.simulator")

PROGRAM = """
import sys
from itsjustintv import tap
from itsjustintv.cli import main
from itsjustintv.app import admin, telemetry, web
print(*sys.modules)
"""


class ImportTests(SynchronousTestCase):
    """
    What is imported by a daemon with the defaults.
    """

    def test_nothing_heavy_that_is_not_used(self) -> None:
        """
        Parts that have to be switched on are imported when they are.
        """
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
        )
        loaded = ended.stdout.split()
        self.assertIn("itsjustintv.tls.service", loaded)
        self.assertEqual([name for name in HEAVY if name in loaded], [])
