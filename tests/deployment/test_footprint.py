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

    def test_a_command_imports_itself_alone(self) -> None:
        """
        Of the other commands nothing is imported, nor what only they need.
        """
        program = "import sys\nfrom itsjustintv.cli.main import main\nmain.commands['version']\nprint(*sys.modules)"
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
        )
        loaded = ended.stdout.split()
        self.assertIn("itsjustintv.cli.version", loaded)
        self.assertEqual(
            [name for name in ("itsjustintv.cli.certs", "treq", "twisted.web.client") if name in loaded], []
        )
