"""
What follows from the configuration.
"""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import TLS
from itsjustintv.tls.settings import challenge_types, default_name, directory_url, fingerprint, for_trial

SOUND = TLS(domains=("hooks.example.org", "www.example.org"), agree_to_terms=True)


class SettingsTests(SynchronousTestCase):
    """
    Of ``[server.tls]``.
    """

    def test_production_and_staging_are_two_authorities(self) -> None:
        """
        And a URL is itself.
        """
        urls = {directory_url(evolve(SOUND, directory=each)) for each in ("production", "staging", "https://ca/dir")}
        self.assertEqual(len(urls), 3)
        self.assertIn("https://ca/dir", urls)
        self.assertTrue(all(url.startswith("https://") for url in urls))

    def test_a_trial_is_at_staging_where_one_is_known(self) -> None:
        """
        Nothing else is different about it; any other authority is asked itself.
        """
        self.assertEqual(for_trial(SOUND), evolve(SOUND, directory="staging"))
        for directory in ("staging", "https://ca/dir"):
            other = evolve(SOUND, directory=directory)
            self.assertEqual(for_trial(other), other)

    def test_both_are_two_challenges(self) -> None:
        """
        Under the names of ACME.
        """
        self.assertEqual(challenge_types(evolve(SOUND, challenge="both")), ("http-01", "tls-alpn-01"))
        self.assertEqual(challenge_types(evolve(SOUND, challenge="tls-alpn-01")), ("tls-alpn-01",))

    def test_the_first_name_is_the_default(self) -> None:
        """
        Unless another one is.
        """
        self.assertEqual(default_name(SOUND), "hooks.example.org")
        self.assertEqual(default_name(evolve(SOUND, default_name="www.example.org")), "www.example.org")

    def test_the_fingerprint_is_that_of_what_an_authority_sees(self) -> None:
        """
        Another profile is another order; another folder is not. It tells no secret.
        """
        own = fingerprint(SOUND, "a")
        self.assertNotEqual(fingerprint(evolve(SOUND, profile="shortlived"), "a"), own)
        self.assertNotEqual(fingerprint(SOUND, "b"), own)
        self.assertEqual(fingerprint(evolve(SOUND, cert_dir="elsewhere"), "a"), own)
        self.assertNotIn("hush", fingerprint(evolve(SOUND, eab_hmac="hush"), "a"))
