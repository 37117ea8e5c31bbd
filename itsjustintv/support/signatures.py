"""
Signatures: the one Twitch puts on what comes in, and the two we put on what goes out.

Nothing here parses a body. Comparisons are made on bytes and in constant time.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from attrs import field, frozen

from itsjustintv.errors import Forged

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = [
    "HASHINGS",
    "SIGNERS",
    "Signable",
    "Signer",
    "format_standard_secret",
    "is_standard",
    "parse_standard_secret",
    "sign_hub",
    "sign_standard",
    "signature_for",
    "verify_eventsub",
]

#: The names the original accepts for ``target_webhook_hashing``, and hashlib's for the same thing.
HASHINGS = {"SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}

_PREFIX = b"sha256="


def verify_eventsub(secret: bytes, message_id: bytes, timestamp: bytes, body: bytes, signature: bytes | None) -> None:
    """
    Check that a message came from Twitch: HMAC-SHA256 over id, timestamp and raw body, without separators, written as
    ``sha256=`` and lower-case hex (dev.twitch.tv, "Handling webhook events").

    :param message_id: the header's bytes as received.
    :param timestamp: the header's bytes as received, never reformatted.
    :raises Forged: when the signature is missing or malformed, or is not that of this message.
    """
    if signature is None:
        raise Forged("the signature header is missing")
    if not signature.startswith(_PREFIX):
        raise Forged("the signature is not of the form sha256=...")
    expected = hmac.digest(secret, message_id + timestamp + body, "sha256").hex().encode("ascii")
    if not hmac.compare_digest(expected, signature[len(_PREFIX) :]):
        raise Forged("the signature does not match the message")


def sign_hub(secret: str, body: bytes, hashing: str = "sha256") -> str:
    """
    Sign a body as the original program does, in the manner of ``X-Hub-Signature-256``.

    :param hashing: ``sha1``, ``sha256`` or ``sha512``.
    :return: ``<hashing>=<hex>``.
    """
    return f"{hashing}={hmac.digest(secret.encode('utf-8'), body, hashing).hex()}"


def is_standard(secret: str) -> bool:
    """
    Whether a secret is meant for Standard Webhooks 1.0.
    """
    return secret.startswith(("whsec_", "whsk_"))


def format_standard_secret(key: bytes) -> str:
    """
    Write a secret of Standard Webhooks 1.0, for HMAC.

    :param key: 24 to 75 bytes that cannot be guessed.
    """
    return f"whsec_{b64encode(key).decode('ascii')}"


@lru_cache(maxsize=1024)
def parse_standard_secret(secret: str) -> bytes | Ed25519PrivateKey:
    """
    Read a secret of Standard Webhooks 1.0: ``whsec_`` and base64 of 24 to 75 bytes, or ``whsk_`` and base64 of an
    Ed25519 seed followed by its public key. The prefix is required, since a plain text can be valid base64 by accident.

    :raises ValueError: saying what is allowed, without quoting the secret.
    """
    kind, separator, text = secret.partition("_")
    if not separator or kind not in ("whsec", "whsk"):
        raise ValueError("must start with whsec_ or whsk_ and go on in base64")
    try:
        key = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (Base64Error, ValueError):
        raise ValueError(f"must be base64 after {kind}_") from None
    if kind == "whsec":
        if not 24 <= len(key) <= 75:
            raise ValueError("must hold 24 to 75 bytes in base64 after whsec_")
        return key
    if len(key) != 64:
        raise ValueError("must hold 64 bytes in base64 after whsk_: the seed, then the public key")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - slow, for few
        Ed25519PrivateKey,
    )

    private = Ed25519PrivateKey.from_private_bytes(key[:32])
    if private.public_key().public_bytes_raw() != key[32:]:
        raise ValueError("must hold a seed and the public key that belongs to it")
    return private


def sign_standard(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """
    Sign a message as Standard Webhooks 1.0 asks: over id, timestamp and body, joined by dots.

    :param timestamp: of this attempt, whole seconds since the epoch; an attempt repeated later needs a new signature.
    :return: the value of ``webhook-signature``: ``v1,`` (HMAC-SHA256) or ``v1a,`` (Ed25519) and base64.
    :raises ValueError: when the secret is not one of Standard Webhooks.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    key = parse_standard_secret(secret)
    if isinstance(key, bytes):
        return "v1," + b64encode(hmac.digest(key, signed, "sha256")).decode("ascii")
    return "v1a," + b64encode(key.sign(signed)).decode("ascii")


@frozen(kw_only=True)
class Signable:
    """
    A request that is to be signed.

    :ivar secret: of the destination; empty for none.
    :ivar old_secret: the previous one, with which receivers may still verify; empty for none.
    :ivar header: name of the ``hub`` signature's header.
    :ivar hashing: ``sha1``, ``sha256`` or ``sha512``, of the ``hub`` signature.
    :ivar message_id: the same in every attempt.
    :ivar timestamp: of this attempt, whole seconds since the epoch.
    """

    secret: str = field(repr=False)
    old_secret: str = field(default="", repr=False)
    header: str
    hashing: str
    message_id: str
    timestamp: int
    body: bytes = field(default=b"", repr=False)


class Signer:
    """
    One signature of a request: a row of :data:`SIGNERS` has one for each that the request gets.

    :cvar name: of the kind.
    :cvar optional: whether a request is sent without this signature when there is no secret.
    """

    name: ClassVar[str]
    optional: ClassVar[bool] = False

    def check(self, secret: str) -> None:
        """
        Check that a secret can be used.

        :raises ValueError: saying what is allowed, without quoting the secret.
        """

    def headers(self, request: Signable) -> Sequence[tuple[str, str]]:
        """
        Sign a request: the headers to add to it, in this order.

        :raises ValueError: when the secret cannot be used.
        """
        raise NotImplementedError

    def masked(self, request: Signable, mask: str) -> Sequence[tuple[str, str]]:
        """
        The same headers with a mask in place of the signature, for showing a request whose secret is not at hand.
        """
        raise NotImplementedError


class HubSigner(Signer):
    """
    The original program's signature, see :func:`sign_hub`.
    """

    name = "hub"
    optional = True

    def headers(self, request: Signable) -> Sequence[tuple[str, str]]:
        return [(request.header, sign_hub(request.secret, request.body, request.hashing))]

    def masked(self, request: Signable, mask: str) -> Sequence[tuple[str, str]]:
        return [(request.header, f"{request.hashing}={mask}")]


class StandardSigner(Signer):
    """
    That of Standard Webhooks 1.0, see :func:`sign_standard`. While a secret is replaced there are two signatures, the
    new one first, so that receivers can change to the new secret at any moment.
    """

    name = "standard"

    def check(self, secret: str) -> None:
        parse_standard_secret(secret)

    def headers(self, request: Signable) -> Sequence[tuple[str, str]]:
        secrets = (request.secret, request.old_secret) if request.old_secret else (request.secret,)
        signatures = [sign_standard(each, request.message_id, request.timestamp, request.body) for each in secrets]
        return self._around(request, " ".join(signatures))

    def masked(self, request: Signable, mask: str) -> Sequence[tuple[str, str]]:
        return self._around(request, f"v1,{mask}")

    def _around(self, request: Signable, signature: str) -> Sequence[tuple[str, str]]:
        return [
            ("webhook-id", request.message_id),
            ("webhook-timestamp", str(request.timestamp)),
            ("webhook-signature", signature),
        ]


_HUB, _STANDARD = HubSigner(), StandardSigner()

#: The values of ``target_webhook_signature``, and the signatures that a request gets for each.
SIGNERS: Mapping[str, Sequence[Signer]] = {"hub": (_HUB,), "standard": (_STANDARD,), "both": (_HUB, _STANDARD)}


def signature_for(secret: str) -> str:
    """
    The value of ``target_webhook_signature`` that makes the most of a secret.
    """
    return "both" if is_standard(secret) else "hub"
