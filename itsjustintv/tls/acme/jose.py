"""
Signatures for ACME (RFC 8555, section 6.2; RFC 7515, RFC 7638). No network, no files.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from josepy.b64 import b64encode
from josepy.jwa import ES256, ES384, RS256, JWASignature
from josepy.jwk import JWK, JWKEC, JWKRSA

__all__ = ["PrivateKey", "eab_binding", "key_authorization", "public_jwk", "sign_request", "thumbprint", "unpadded"]

#: Keys of accounts and certificates.
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def sign_request(key: PrivateKey, url: str, payload: object | None, *, nonce: str, account_url: str | None) -> bytes:
    """
    Write the body of a signed POST, to be sent as ``application/jose+json``.

    :param payload: made JSON; ``None`` is the empty payload of a POST-as-GET, which is something else than ``{}``.
    :param nonce: from the authority's last answer.
    :param account_url: names the account's key; ``None`` puts the key itself in, for a new account.
    """
    algorithm = _algorithm(key)
    header: dict[str, object] = {"alg": algorithm.name, "url": url, "nonce": nonce}
    if account_url is None:
        header["jwk"] = public_jwk(key)
    else:
        header["kid"] = account_url
    return orjson.dumps(_flattened(header, payload, lambda text: algorithm.sign(key, text)))


def thumbprint(key: PrivateKey) -> str:
    """
    The thumbprint of the public key (RFC 7638), in base64url.
    """
    return unpadded(_jwk(key).public_key().thumbprint())


def key_authorization(key: PrivateKey, token: str) -> str:
    """
    Join a challenge's token and the account's key (RFC 8555, section 8.1). Not to be logged.
    """
    return f"{token}.{thumbprint(key)}"


def eab_binding(key: PrivateKey, url: str, kid: str, hmac_key: bytes) -> Mapping[str, str]:
    """
    Bind a new account to one that the operator has with the authority (RFC 8555, section 7.3.4).

    :param url: of the newAccount resource.
    :param kid: the key id that the authority gave.
    :param hmac_key: the secret it gave, decoded.
    """
    header = {"alg": "HS256", "kid": kid, "url": url}
    return _flattened(header, public_jwk(key), lambda text: hmac.digest(hmac_key, text, "sha256"))


def unpadded(data: bytes) -> str:
    """
    Encode in base64url without padding.
    """
    return b64encode(data).decode("ascii")


def public_jwk(key: PrivateKey) -> Mapping[str, object]:
    """
    The public key as JSON (RFC 7517).
    """
    public: Mapping[str, object] = _jwk(key).public_key().to_json()
    return public


def _flattened(header: Mapping[str, object], payload: object | None, sign: Any) -> dict[str, str]:
    protected = unpadded(orjson.dumps(header))
    content = "" if payload is None else unpadded(orjson.dumps(payload))
    return {
        "protected": protected,
        "payload": content,
        "signature": unpadded(sign(f"{protected}.{content}".encode("ascii"))),
    }


def _jwk(key: PrivateKey) -> JWK:
    return JWKEC(key=key) if isinstance(key, ec.EllipticCurvePrivateKey) else JWKRSA(key=key)


def _algorithm(key: PrivateKey) -> JWASignature:
    if isinstance(key, rsa.RSAPrivateKey):
        return RS256
    return ES384 if isinstance(key.curve, ec.SECP384R1) else ES256
