"""
Tests for :mod:`itsjustintv.cli_doctor`.
"""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli import main


class ConfigurationTests(SynchronousTestCase):
    """
    Without a configuration there is nothing else to look at.
    """

    def test_what_cannot_be_used(self) -> None:
        """
        Every problem is to be mended, for people and for programs.
        """
        path = Path(self.mktemp())
        path.write_text('[server]\nport = "x"\n[retry]\njitter = 2\n')
        result = CliRunner().invoke(main, ["doctor", "--config", str(path)])
        self.assertEqual(result.exit_code, 1)
        self.assertIn("mend: configuration: server.port: must be a whole number", result.output)
        self.assertIn("to be mended: 5", result.output)
        result = CliRunner().invoke(main, ["doctor", "--json", "--config", str(path)])
        content = json.loads(result.stdout)
        self.assertEqual((content["mend"], content["hints"], result.exit_code), (5, 0, 1))
        self.assertEqual({each["area"] for each in content["findings"]}, {"configuration"})
