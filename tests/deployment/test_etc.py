"""
Tests of etc/ as a whole.
"""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.documents import ROOT, Document


class ReadmeTests(SynchronousTestCase):
    """
    Its README.
    """

    def test_every_file_is_explained(self) -> None:
        """
        The table names each file that lies there, and none that does not.
        """
        folder = ROOT / "etc"
        rows = Document(folder / "README.md").tables("file", "what it is")
        named = {name for row in rows for name in re.findall("`([^`]+)`", row["file"])}
        there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {"README.md"}
        self.assertEqual(named, there)
