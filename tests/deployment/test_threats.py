"""
Tests of docs/threat-model.md.
"""

from __future__ import annotations

from importlib import import_module

from twisted.trial.unittest import SynchronousTestCase

from tests.documents import ROOT, Document


class ClaimTests(SynchronousTestCase):
    """
    What is claimed.
    """

    def test_every_claim_has_its_test(self) -> None:
        """
        Each names one that exists.
        """
        claims = list(Document(ROOT / "docs" / "threat-model.md").tables("claim", "test"))
        self.assertGreater(len(claims), 30)
        missing = []
        for row in claims:
            module, case, method = row["test"].strip("`").rsplit(".", 2)
            if not callable(getattr(getattr(import_module(module), case, None), method, None)):
                missing.append(row["claim"])
        self.assertEqual(missing, [])
