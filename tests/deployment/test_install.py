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
        What is shown of ``[server]`` alone goes with the rest of the first.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        for name in ("client_secret", "webhook_secret"):
            (folder / name).write_text("something-secret\n")
        texts = [str(block) for block in INSTALL.blocks if block.language == "toml"]
        rest = texts[0][texts[0].index("[twitch]") :]
        for number, text in enumerate(texts):
            path = folder / f"{number}.toml"
            whole = text if "[twitch]" in text else f"{text}\n{rest}"
            path.write_text(whole.replace('"..."', '"something"').replace("/etc/itsjustintv", str(folder)))
            self.assertEqual(load(path, {}).warnings, (), whole)
