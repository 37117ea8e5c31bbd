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

#: What only those need who talk to others.
NETWORK = frozenset(
    ("treq", "klein", "jinja2", "cryptography", "OpenSSL", "h2", "hyperlink", "twisted.web.http", "twisted.web.client")
)

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

    def loaded_by(self, *command: str) -> set[str]:
        """
        The modules that a command loads, and the packages that they are in.
        """
        program = (
            f"import sys; sys.argv = ['itsjustintv', *{command!r}]\n"
            "import itsjustintv.__main__ as it\n"
            "try: it.main()\n"
            "finally: print(*sys.modules)"
        )
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
        )
        loaded = set(ended.stdout.splitlines()[-1].split())
        return loaded | {name.partition(".")[0] for name in loaded}

    def test_a_command_imports_itself_alone(self) -> None:
        """
        A command that reads no configuration loads neither another command nor Twisted.
        """
        for command in ("version", "health"):
            loaded = self.loaded_by(command, "--help")
            self.assertIn(f"itsjustintv.cli.{command}", loaded)
            self.assertEqual(loaded & {"twisted", "cattrs", "zope", *NETWORK, "itsjustintv.cli.certs"}, set(), command)

    def test_a_look_into_the_journal_needs_no_network(self) -> None:
        """
        A command that only reads the configuration and the journal loads nothing that talks to others.
        """
        config = ROOT / "itsjustintv" / "config" / "example.toml"
        loaded = self.loaded_by("deliveries", "list", "--config", str(config))
        self.assertIn("itsjustintv.journal.sqlite.storage", loaded)
        self.assertEqual(loaded & NETWORK, set())
