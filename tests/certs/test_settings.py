"""
What an operator decides about HTTPS.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.certs.settings import CertSettings, host_and_port, refusals

SOUND = CertSettings(domains=("hooks.example.org",), agree_to_terms=True)


class RefusalTests(SynchronousTestCase):
    """
    Decisions that cannot be followed.
    """

    def refused(self, **changes: Any) -> list[str]:
        return [str(problem) for problem in refusals(evolve(SOUND, **changes))]

    def test_what_can_be_followed_is(self) -> None:
        """
        In all its forms.
        """
        for changes in (
            {},
            {"challenge": "both", "key_type": "rsa3072", "directory": "staging", "profile": "shortlived"},
            {"challenge": "tls-alpn-01", "http_listen": ""},
            {"directory": "http://127.0.0.1:14000/dir"},
            {"directory": "http://localhost:14000/dir"},
            {"eab_kid": "kid", "eab_hmac_key": "secret"},
            {"domains": ("Hooks.Example.ORG.", "xn--bcher-kva.example"), "default_name": "hooks.example.org"},
            {"mode": "files", "certificate_file": "c.pem", "key_file": "k.pem", "domains": (), "agree_to_terms": False},
        ):
            self.assertEqual(self.refused(**changes), [], changes)

    def test_every_refusal_says_where_and_what_to_do(self) -> None:
        """
        One sentence for each.
        """
        for changes, path, words in (
            ({"mode": "off"}, "mode", "to use your own"),
            ({"mode": "files", "certificate_file": "c.pem"}, "key_file", "must name a file"),
            ({"domains": ()}, "domains", "at least one"),
            ({"domains": ("*.example.org",)}, "domains", "list every name"),
            ({"domains": ("192.0.2.7",)}, "domains", "use a name"),
            ({"domains": ("[2001:db8::1]",)}, "domains", "use a name"),
            ({"domains": ("bücher.example",)}, "domains", "xn--"),
            ({"domains": ("localhost",)}, "domains", "public host name"),
            ({"domains": ("a..example.org",)}, "domains", "public host name"),
            ({"agree_to_terms": False}, "agree_to_terms", "terms of service"),
            ({"directory": "le:/var/certs:tcp:443"}, "directory", "server.tls.domains"),
            ({"directory": "http://ca.example.org/dir"}, "directory", "https://"),
            ({"directory": "prod"}, "directory", '"production"'),
            ({"challenge": "dns-01"}, "challenge", '"both"'),
            ({"http_listen": "80"}, "http_listen", "0.0.0.0:80"),
            ({"key_type": "rsa1024"}, "key_type", "rsa2048"),
            ({"eab_kid": "kid"}, "eab_hmac_file", "as well"),
            ({"eab_hmac_key": "secret"}, "eab_kid", "as well"),
            ({"default_name": "www.example.org"}, "default_name", "server.tls.domains"),
        ):
            found = self.refused(**changes)
            self.assertEqual(len(found), 1, (changes, found))
            self.assertTrue(found[0].startswith(f"server.tls.{path}: "), found)
            self.assertIn(words, found[0])

    def test_everything_is_said_at_once(self) -> None:
        """
        Two mistakes are two sentences.
        """
        self.assertEqual(len(self.refused(agree_to_terms=False, key_type="dsa")), 2)


class SettingsTests(SynchronousTestCase):
    """
    What follows from decisions.
    """

    def test_names_are_compared_as_dns_does(self) -> None:
        """
        In lower case, without a dot at the end, each once.
        """
        settings = CertSettings(domains=("Hooks.Example.org.", "hooks.example.org", "www.example.org"))
        self.assertEqual(settings.names, ("hooks.example.org", "www.example.org"))

    def test_host_and_port(self) -> None:
        """
        Of both families, and nothing else.
        """
        self.assertEqual(host_and_port("192.0.2.7:80"), ("192.0.2.7", 80))
        self.assertEqual(host_and_port("[::]:80"), ("::", 80))
        for value in ("", "80", ":80", "::80", "host", "host:", "host:0", "host:65536", "host:http", "[]:80"):
            self.assertIsNone(host_and_port(value), value)

    def test_the_fingerprint_is_that_of_what_an_authority_sees(self) -> None:
        """
        Another profile is another order; another folder is not.
        """
        own = SOUND.fingerprint("a")
        self.assertNotEqual(evolve(SOUND, profile="shortlived").fingerprint("a"), own)
        self.assertNotEqual(SOUND.fingerprint("b"), own)
        self.assertEqual(evolve(SOUND, cert_dir="elsewhere").fingerprint("a"), own)

    def test_secrets_are_not_shown(self) -> None:
        """
        Not by accident.
        """
        self.assertNotIn("hush", repr(evolve(SOUND, eab_hmac_key="hush")))
