"""
Tests of :mod:`itsjustintv.destinations.kinds`.
"""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.destinations.kinds import KINDS
from tests.documents import ROOT


class PageTests(SynchronousTestCase):
    """
    What operators read about each kind.
    """

    def test_every_key_is_documented(self) -> None:
        """
        Each kind has a page of its name in docs/destinations, which names each of its keys.
        """
        missing = []
        for name, kind in KINDS.items():
            page = ROOT / "docs" / "destinations" / f"{name}.md"
            text = page.read_text(encoding="utf-8") if page.exists() else ""
            keys = [each.name for each in attrs.fields(kind.settings)] if kind.settings else []
            missing += [f"{name}.{key}" for key in keys if f"`{key}`" not in text]
        self.assertEqual(missing, [])
