"""
Keys and certificates.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from josepy import b64decode
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import CertificateUnusable
from itsjustintv.tls.certificate import KEY_TYPES, Bundle, format_key, key_type, make_certificate_request, parse_key
from tests.tls.authority import DAY, NOW
from tests.tls.doubles import ISSUER, NAME, bundle


def text_of(found: Bundle) -> bytes:
    """
    The content of its file.
    """
    return b"".join(each.as_bytes() for each in found.objects())


class BundleTests(SynchronousTestCase):
    """
    Reading and judging.
    """

    def test_what_was_written_is_read_again(self) -> None:
        """
        Key, leaf and chain survive, for every kind of key.
        """
        for kind in KEY_TYPES:
            written = bundle(kind=kind)
            read = Bundle.parse(text_of(written))
            self.assertEqual((read.leaf, read.chain), (written.leaf, written.chain))
            self.assertEqual(format_key(read.key), format_key(written.key))
            self.assertEqual(key_type(read.key), kind)

    def test_the_leaf_is_found_by_its_key(self) -> None:
        """
        A file with the intermediate on top is read as one with the leaf on top.
        """
        made = bundle()
        key, leaf, above = (each.as_bytes() for each in made.objects())
        self.assertEqual(Bundle.parse(above + leaf + key).leaf, made.leaf)

    def test_s14_what_is_of_no_use_says_why_and_quotes_nothing(self) -> None:
        """
        Corrupt, key only, certificate only, foreign key, encrypted key, a key of another kind: each has its reason.
        """
        key, leaf, chain = (each.as_bytes() for each in bundle().objects())
        foreign = format_key(KEY_TYPES["p256"]())
        locked = KEY_TYPES["p256"]().private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"pass")
        )
        strange = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        cut = leaf.replace(b"\nM", b"\nA", 1)
        for text, reason in (
            (b"", "no private keys"),
            (b"garbage", "no private keys"),
            (key, "no certificate"),
            (leaf + chain, "no private keys"),
            (key + cut, "cannot be read"),
            (foreign + leaf + chain, "belongs to the private key"),
            (key + foreign + leaf, "2 private keys"),
            (locked + leaf, "encrypted"),
            (strange + leaf, "neither RSA"),
        ):
            with self.assertRaises(CertificateUnusable) as caught:
                Bundle.parse(text)
            self.assertIn(reason, str(caught.exception))
            self.assertNotIn("BEGIN", str(caught.exception))

    def test_names_and_times_are_those_of_the_leaf(self) -> None:
        """
        In lower case, and in seconds since the epoch.
        """
        made = bundle("Hooks.Example.TEST", "www.example.test", life=10 * DAY)
        self.assertEqual(made.names, {NAME, "www.example.test"})
        self.assertEqual((made.not_before, made.not_after), (NOW, NOW + 10 * DAY))

    def test_s08_a_certificate_for_something_else_is_refused(self) -> None:
        """
        It must be for every name that was asked for, and not over.
        """
        made = bundle(NAME, life=DAY)
        made.require([NAME], NOW)
        for names, now in (([NAME, "www.example.test"], NOW), ([NAME], NOW + DAY)):
            with self.assertRaises(CertificateUnusable):
                made.require(names, now)

    def test_a_wildcard_covers_one_label(self) -> None:
        """
        Exactly one, as RFC 6125 has it.
        """
        made = bundle("*.example.test")
        names = ("a.example.test", "example.test", "a.b.example.test")
        self.assertEqual([made.covers(name) for name in names], [True, False, False])

    def test_the_name_for_renewal_information(self) -> None:
        """
        The identifier of the signing key, a dot, and the serial as a positive number of DER: one whose top bit is set
        has a zero byte before it.
        """
        made = bundle()
        found, _, serial = (made.ari_id or "").partition(".")
        akid = made.leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        self.assertEqual(b64decode(found), akid)
        self.assertEqual(b64decode(serial)[:2], b"\x00\x80")
        self.assertEqual(int.from_bytes(b64decode(serial), "big"), made.leaf.serial_number)
        self.assertNotIn("=", made.ari_id or "=")
        self.assertIsNotNone(Bundle(made.key, ISSUER.root, ()).ari_id)

    @given(st.binary(max_size=200))
    def test_garbage_has_a_name(self, text: bytes) -> None:
        """
        Whatever is in a file, reading it fails in one way only.
        """
        with self.assertRaises(CertificateUnusable):
            Bundle.parse(b"-----BEGIN CERTIFICATE-----\n" + text + b"\n-----END CERTIFICATE-----\n")


class RequestTests(SynchronousTestCase):
    """
    Asking for a certificate.
    """

    def test_s09_a_request_has_names_and_no_common_name(self) -> None:
        """
        Its subject is empty, its names are what was asked, and it is signed by its key.
        """
        key = KEY_TYPES["p256"]()
        csr = x509.load_der_x509_csr(make_certificate_request(key, [NAME, "xn--bcher-kva.example"]))
        self.assertEqual(list(csr.subject), [])
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(names.get_values_for_type(x509.DNSName), [NAME, "xn--bcher-kva.example"])
        self.assertTrue(csr.is_signature_valid)
        self.assertEqual(csr.public_key(), key.public_key())

    def test_a_key_survives_being_written(self) -> None:
        """
        For every kind that can be configured.
        """
        for kind, make in KEY_TYPES.items():
            self.assertEqual(key_type(parse_key(format_key(make()))), kind)
