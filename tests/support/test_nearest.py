"""
Tests for :mod:`itsjustintv.support.nearest`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.support.nearest import did_you_mean, nearest

KNOWN = ("tanuki", "kitsune", "streamers.tanuki", "global_webhook")


class NearestTests(SynchronousTestCase):
    """
    What somebody may have meant.
    """

    def test_what_is_meant_comes_first(self) -> None:
        """
        Another case, a letter too many or too few, two that changed places, and a part of a name.
        """
        for name, meant in (
            ("TANUKI", "tanuki"),
            ("tanukii", "tanuki"),
            ("tnuki", "tanuki"),
            ("kitsnue", "kitsune"),
            ("global", "global_webhook"),
            ("global_webhok", "global_webhook"),
        ):
            self.assertEqual(nearest(name, KNOWN)[0], meant, name)
        self.assertEqual(nearest("tanuki", ["streamers.tanuki", "global_webhook"]), ["streamers.tanuki"])
        self.assertEqual(nearest("zzz", KNOWN), [])

    def test_the_end_of_a_message(self) -> None:
        """
        What is near is asked about; when nothing is, all of a few are listed, and many are not.
        """
        self.assertEqual(did_you_mean("kitsun", KNOWN), "; did you mean kitsune?")
        self.assertEqual(did_you_mean("zzz", KNOWN[:2]), "; known: tanuki, kitsune")
        self.assertEqual(did_you_mean("zzz", [f"s{number}" for number in range(9)]), "")
        self.assertEqual(did_you_mean("zzz", []), "")
