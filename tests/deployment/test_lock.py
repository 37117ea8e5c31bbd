"""
Tests of requirements.lock.
"""

from __future__ import annotations

import ast
import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from twisted.trial.unittest import SynchronousTestCase

from tests.documents import ROOT, Document


class LockTests(SynchronousTestCase):
    """
    What is installed where it must always be the same.
    """

    def setUp(self) -> None:
        """
        Read it.
        """
        self.text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
        entries = re.split(r"\n(?=\S)", self.text.strip())
        self.locked = {canonicalize_name(each.partition("==")[0]): each for each in entries}

    def test_every_entry_has_hashes(self) -> None:
        """
        Each names one version and the SHA-256 of at least one file of it; nobody's place to find packages is named.
        """
        for name, entry in self.locked.items():
            self.assertRegex(entry, r"^\S+==\S+( ; [^\n]+)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\\n)?)+$", name)
        self.assertNotIn("://", self.text)

    def test_it_is_what_setup_py_asks_for(self) -> None:
        """
        Every requirement of the package is in it, in a version that is allowed; otherwise run scripts/lock.
        """
        tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
        (asked,) = (
            ast.literal_eval(each.value)
            for each in ast.walk(tree)
            if isinstance(each, ast.keyword) and each.arg == "install_requires"
        )
        wrong = []
        for requirement in map(Requirement, asked):
            entry = self.locked.get(canonicalize_name(requirement.name), "")
            version = re.search("==([^ ]+)", entry)
            if version is None or not requirement.specifier.contains(version[1], prereleases=True):
                wrong.append(str(requirement))
        self.assertEqual(wrong, [])

    def test_every_licence_is_listed(self) -> None:
        """
        docs/licences.md names each package of it, and none else, with a licence; otherwise run scripts/licences.
        """
        rows = {
            row["package"]: row["licence"]
            for row in Document(ROOT / "docs" / "licences.md").tables("package", "licence")
        }
        self.assertEqual(rows.keys(), self.locked.keys())
        self.assertEqual([name for name, licence in rows.items() if not licence], [])
