"""
By which certificates an authority is believed.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import BrowserLikePolicyForHTTPS

from itsjustintv.errors import CertificateUnusable
from itsjustintv.support.http_agents import policy_for
from tests.tls.doubles import ISSUER


class TrustTests(SynchronousTestCase):
    """
    ``server.tls.ca_bundle``.
    """

    def test_without_one_the_system_decides(self) -> None:
        """
        And with one, its certificates.
        """
        self.assertIsInstance(policy_for(""), BrowserLikePolicyForHTTPS)
        path = Path(self.mktemp())
        path.write_bytes(ISSUER.root.public_bytes(Encoding.PEM))
        self.assertIsInstance(policy_for(str(path)), BrowserLikePolicyForHTTPS)

    def test_a_file_of_no_use_is_named(self) -> None:
        """
        One that is not there, an empty one, and one with a certificate that cannot be read.
        """
        path = Path(self.mktemp())
        for text, words in (
            (None, "cannot be read"),
            (b"", "holds no certificate"),
            (b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n", "holds a certificate that"),
        ):
            if text is not None:
                path.write_bytes(text)
            with self.assertRaises(CertificateUnusable) as caught:
                policy_for(str(path))
            self.assertIn(str(path), str(caught.exception))
            self.assertIn(words, str(caught.exception))
