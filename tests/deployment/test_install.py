"""
Tests of docs/install.md.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.load import load
from tests.documents import ROOT, Document

INSTALL = Document(ROOT / "docs" / "install.md")


class ConfigurationTests(SynchronousTestCase):
    """
    What is shown of configurations can be used.
    """

    def test_every_configuration(self) -> None:
        """
        Each is enough, once its dots are replaced and its secrets are in their files, and nothing about it is doubtful.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        for number, block in enumerate(each for each in INSTALL.blocks if each.language == "toml"):
            for name in ("client_secret", "webhook_secret"):
                (folder / name).write_text("something-secret\n")
            path = folder / f"{number}.toml"
            path.write_text(str(block).replace('"..."', '"something"').replace("/etc/itsjustintv", str(folder)))
            self.assertEqual(load(path, {}).warnings, (), str(block))
