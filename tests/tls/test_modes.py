"""
Tests for :mod:`itsjustintv.tls.modes`.
"""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import TLS
from itsjustintv.tls.modes import mode_key

ACME = TLS(enabled=True, domains=("a.example.org",), agree_to_terms=True)
FILES = evolve(ACME, mode="files", cert_file="one.pem", key_file="one.key")


class ModeKeyTests(SynchronousTestCase):
    """
    What takes another mode, and what the present one follows.
    """

    def test_what_takes_another_mode(self) -> None:
        """
        Whether there is TLS, whose certificates they are, and where they are kept or come from.
        """
        modes = [
            TLS(),
            FILES,
            evolve(FILES, cert_file="two.pem"),
            evolve(FILES, key_file="two.key"),
            ACME,
            evolve(ACME, cert_dir="elsewhere"),
            evolve(ACME, directory="staging"),
            evolve(ACME, ca_bundle="root.pem"),
        ]
        self.assertEqual(len({mode_key(each) for each in modes}), len(modes))

    def test_what_is_followed(self) -> None:
        """
        Everything that is asked for at each order; the name of an authority and its address are the same; and what a
        mode has no use for.
        """
        for same in (
            {"domains": ("b.example.org",), "default_name": "b.example.org", "email": "ops@example.org"},
            {"challenge": "both", "http_listen": "127.0.0.1:80", "profile": "shortlived", "key_type": "p384"},
            {"eab_kid": "kid", "eab_hmac": "c2Vj", "renew_fraction": 0.5, "agree_to_terms": False},
            {"directory": "https://acme-v02.api.letsencrypt.org/directory", "cert_file": "unused.pem"},
        ):
            self.assertEqual(mode_key(evolve(ACME, **same)), mode_key(ACME))
        self.assertEqual(mode_key(evolve(FILES, directory="staging", cert_dir="x")), mode_key(FILES))
        self.assertEqual(mode_key(TLS(mode="files", cert_file="x")), mode_key(TLS()))
