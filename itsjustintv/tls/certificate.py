"""
A private key with its certificate and chain. Knows no network and no files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from ipaddress import ip_address

import pem
from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from itsjustintv.errors import CertificateUnusable
from itsjustintv.tls.acme.jose import PrivateKey, unpadded

__all__ = [
    "KEY_TYPES",
    "Bundle",
    "CertificateMetrics",
    "format_key",
    "general_name",
    "key_type",
    "make_certificate_request",
    "parse_certificates",
    "parse_key",
]

#: Key types by their configured name. Making an RSA key takes long enough for a thread.
KEY_TYPES: Mapping[str, Callable[[], PrivateKey]] = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa3072": lambda: rsa.generate_private_key(65537, 3072),
}


@frozen
class Bundle:
    """
    A private key with its certificate and chain.

    :ivar leaf: the certificate of ``key``.
    :ivar chain: the certificates above it, as far as they were given.
    """

    key: PrivateKey = field(repr=False)
    leaf: x509.Certificate
    chain: Sequence[x509.Certificate]

    @classmethod
    def parse(cls, text: bytes) -> Bundle:
        """
        Read a key and certificates in PEM, in any order; the leaf is the one that belongs to the key.

        :raises CertificateUnusable: there is not exactly one key, no certificate for it, or something that cannot be
            read. Never quotes any of it.
        """
        try:
            objects = pem.parse(text)
            certificates = [
                x509.load_pem_x509_certificate(each.as_bytes()) for each in objects if isinstance(each, pem.Certificate)
            ]
        except (ValueError, TypeError):
            raise CertificateUnusable("it holds a certificate that cannot be read") from None
        keys = [each for each in objects if isinstance(each, pem.Key) and not isinstance(each, pem.PublicKey)]
        if len(keys) != 1:
            raise CertificateUnusable(f"it holds {len(keys) or 'no'} private keys where one is needed")
        return cls.join(parse_key(keys[0].as_bytes()), certificates)

    @classmethod
    def join(cls, key: PrivateKey, certificates: Sequence[x509.Certificate]) -> Bundle:
        """
        Find the leaf among certificates.

        :raises CertificateUnusable: none of them belongs to the key.
        """
        public = _public(key)
        for index, each in enumerate(certificates):
            if each.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == public:
                return cls(key, each, (*certificates[:index], *certificates[index + 1 :]))
        if not certificates:
            raise CertificateUnusable("it holds no certificate")
        raise CertificateUnusable("none of its certificates belongs to the private key")

    @property
    def names(self) -> frozenset[str]:
        """
        The host names of the certificate, in lower case, and its addresses.
        """
        try:
            found = self.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (x509.ExtensionNotFound, ValueError):
            return frozenset()
        names = [name.lower() for name in found.get_values_for_type(x509.DNSName)]
        return frozenset(names + [str(address) for address in found.get_values_for_type(x509.IPAddress)])

    @property
    def not_before(self) -> float:
        """
        In seconds since the epoch.
        """
        return self.leaf.not_valid_before_utc.timestamp()

    @property
    def not_after(self) -> float:
        """
        In seconds since the epoch.
        """
        return self.leaf.not_valid_after_utc.timestamp()

    @property
    def serial(self) -> str:
        """
        The serial number of the certificate in hexadecimal, in lower case.
        """
        return f"{self.leaf.serial_number:x}"

    @property
    def issuer(self) -> str:
        return self.leaf.issuer.rfc4514_string()

    @property
    def ari_id(self) -> str | None:
        """
        The identifier for renewal information (RFC 9773, section 4.1); ``None`` if the certificate does not name the
        key that signed it.
        """
        try:
            identifier = self.leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        except (x509.ExtensionNotFound, ValueError):
            return None
        if identifier is None:
            return None
        number = self.leaf.serial_number
        # As DER writes a positive integer: with a leading zero byte where the top bit is set.
        serial = number.to_bytes(number.bit_length() // 8 + 1, "big")
        return f"{unpadded(identifier)}.{unpadded(serial)}"

    def objects(self) -> Sequence[pem.AbstractPEMObject]:
        """
        The PEM objects in txacme's order: key, leaf, chain.
        """
        certificates = [pem.Certificate(each.public_bytes(Encoding.PEM)) for each in (self.leaf, *self.chain)]
        return [pem.Key(format_key(self.key)), *certificates]

    def require(self, names: Collection[str], now: float) -> None:
        """
        Check that the certificate can be served.

        :raises CertificateUnusable: it is not for all of the names, or has expired.
        """
        missing = sorted(name for name in names if not self.covers(name))
        if missing:
            raise CertificateUnusable(f"the certificate is not for {', '.join(missing)}")
        if self.not_after <= now:
            raise CertificateUnusable("the certificate has expired")

    def covers(self, name: str) -> bool:
        """
        Whether the certificate is for a name, also by a wildcard.
        """
        return name in self.names or f"*.{name.partition('.')[2]}" in self.names


def key_type(key: object) -> str:
    """
    The kind of a key, as the configuration names it; empty if it has no name there.
    """
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {"secp256r1": "p256", "secp384r1": "p384"}.get(key.curve.name, "")
    return f"rsa{key.key_size}" if isinstance(key, rsa.RSAPrivateKey) else ""


def parse_key(text: bytes) -> PrivateKey:
    """
    Read a private key in PEM.

    :raises CertificateUnusable: it is invalid, or of a kind that is not supported. Never quotes it.
    """
    try:
        key = load_pem_private_key(text, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateUnusable("its private key cannot be read, or is encrypted") from None
    if not isinstance(key, PrivateKey):
        raise CertificateUnusable("its private key is neither RSA nor on a NIST curve")
    return key


def format_key(key: PrivateKey) -> bytes:
    """
    Write a private key in PEM, unencrypted.
    """
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def make_certificate_request(key: PrivateKey, names: Sequence[str]) -> bytes:
    """
    Build a signing request, in DER. It has no Common Name: one longer than 64 characters would be refused.

    :param names: A-labels in lower case, or addresses.
    """
    sans = x509.SubjectAlternativeName([general_name(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(sans, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def general_name(name: str) -> x509.DNSName | x509.IPAddress:
    """
    A name or an address as X.509 has it.
    """
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def parse_certificates(text: bytes) -> Sequence[x509.Certificate]:
    """
    Read a chain in PEM.

    :raises CertificateUnusable: it is invalid or empty.
    """
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError:
        raise CertificateUnusable("the chain cannot be read") from None


def _public(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@frozen(kw_only=True)
class CertificateMetrics:
    """
    Metrics of one name. Times are seconds since the epoch; counts start with the process, or with the name.

    :ivar not_after: when the certificate expires; ``None`` while there is none.
    :ivar renew_at: when the next one is ordered, now if that is overdue or under way; ``None`` if it is not ordered by
        itself: after a final refusal, and with operator's files.
    :ivar problem: why the last attempt failed, in words fit for a log; empty when it did not.
    :ivar attempted: orders started.
    :ivar succeeded: orders that led to a certificate.
    :ivar failed: orders that did not. A cancelled one, as at a stop, is neither.
    """

    name: str
    not_after: float | None = None
    renew_at: float | None = None
    problem: str = ""
    attempted: int = 0
    succeeded: int = 0
    failed: int = 0
