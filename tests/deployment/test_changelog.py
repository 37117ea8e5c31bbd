"""
The fragments of the changelog, and the changelog that becomes of them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.documents import ROOT

KINDS = ("added", "changed", "fixed", "removed")


class ChangelogTests(SynchronousTestCase):
    """
    What is in ``changelog.d/``.
    """

    def test_every_fragment_becomes_an_entry(self) -> None:
        """
        A release has every fragment under the title of its kind, newest version first, and leaves none behind.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        shutil.copytree(ROOT / "changelog.d", folder / "changelog.d")
        for name in ("pyproject.toml", "CHANGELOG.md"):
            shutil.copy(ROOT / name, folder)
        fragments = {
            path.name: path.read_text(encoding="utf-8").strip()
            for kind in KINDS
            for path in (folder / "changelog.d").glob(f"*.{kind}.md")
        }
        for version in ("98.0", "99.0"):
            (folder / "changelog.d" / f"{version}.fixed.md").write_text(f"A fix in {version}.\n")
            build = [sys.executable, "-m", "towncrier", "build", "--yes", "--version", version, "--date", "2030-01-31"]
            subprocess.run(build, cwd=folder, capture_output=True, check=True)
        text = (folder / "CHANGELOG.md").read_text(encoding="utf-8")
        self.assertRegex(text, r"(?s)^# Changelog\n.*\n## 99\.0 \(2030-01-31\)\n.*A fix in 99.*\n## 98\.0 \(")
        words = " ".join(text.split())
        self.assertEqual([name for name, said in fragments.items() if " ".join(said.split()) not in words], [])
        left = {path.name for path in (folder / "changelog.d").iterdir()}
        self.assertEqual(left, {"README.md", "template.md.jinja"})

    def test_every_file_is_a_fragment(self) -> None:
        """
        No file has a name of which towncrier would make nothing.
        """
        names = {path.name for path in (ROOT / "changelog.d").iterdir()} - {"README.md", "template.md.jinja"}
        wrong = [name for name in names if name.split(".")[1:] not in [[kind, "md"] for kind in KINDS]]
        self.assertEqual(wrong, [])
