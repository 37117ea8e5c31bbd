"""
Signatures as an ACME server checks them.
"""

from __future__ import annotations

from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from josepy import JWK, JWS, b64decode
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.tls.acme.jose import eab_binding, key_authorization, sign_request, thumbprint, unpadded

URL = "https://ca.example.test/new-order"

P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
RSA = rsa.generate_private_key(65537, 2048)


def part(text: str) -> Any:
    """
    Read one part of a signature.
    """
    return orjson.loads(b64decode(text))


class SignRequestTests(SynchronousTestCase):
    """
    What is sent.
    """

    def test_a_signature_verifies_with_the_public_key(self) -> None:
        """
        Every kind of account key makes a signature that another implementation of JOSE believes.
        """
        for key, name in ((P256, "ES256"), (P384, "ES384"), (RSA, "RS256")):
            signed = sign_request(key, URL, {"a": 1}, nonce="n1", account_url=None)
            body = orjson.loads(signed)
            header = part(body["protected"])
            self.assertEqual((header["alg"], header["url"], header["nonce"]), (name, URL, "n1"))
            self.assertNotIn("d", header["jwk"])
            jws = JWS.from_json({**body, "header": {}})
            self.assertTrue(jws.verify(JWK.from_json(header["jwk"])))
            self.assertEqual(orjson.loads(jws.payload), {"a": 1})

    def test_an_account_is_named_instead_of_its_key(self) -> None:
        """
        With an account URL the header holds ``kid`` and no ``jwk``: the two exclude each other.
        """
        header = part(orjson.loads(sign_request(P256, URL, {}, nonce="n", account_url="https://ca/a/1"))["protected"])
        self.assertEqual(header["kid"], "https://ca/a/1")
        self.assertNotIn("jwk", header)

    def test_a_post_as_get_has_an_empty_payload_and_an_empty_object_is_not_empty(self) -> None:
        """
        ``None`` is signed as the empty text, ``{}`` as an object.
        """
        self.assertEqual(orjson.loads(sign_request(P256, URL, None, nonce="n", account_url="k"))["payload"], "")
        self.assertEqual(part(orjson.loads(sign_request(P256, URL, {}, nonce="n", account_url="k"))["payload"]), {})


class ThumbprintTests(SynchronousTestCase):
    """
    The name of a key.
    """

    def test_the_example_of_rfc_7638(self) -> None:
        """
        The RSA key of RFC 7638, section 3.1, has the thumbprint printed there.
        """
        modulus = int.from_bytes(
            b64decode(
                "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZC"
                "iFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgn"
                "Yb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw"
                "0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
            ),
            "big",
        )
        self.assertEqual(
            unpadded(JWK.from_json(_json(rsa.RSAPublicNumbers(65537, modulus))).thumbprint()),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        )

    def test_it_is_that_of_the_public_half(self) -> None:
        """
        The authority, who has the public key only, comes to the same name.
        """
        header = part(orjson.loads(sign_request(P256, URL, {}, nonce="n", account_url=None))["protected"])
        self.assertEqual(thumbprint(P256), unpadded(JWK.from_json(header["jwk"]).thumbprint()))

    def test_a_key_authorization_is_the_token_a_dot_and_the_thumbprint(self) -> None:
        """
        As RFC 8555, section 8.1, has it.
        """
        self.assertEqual(key_authorization(P256, "tok"), f"tok.{thumbprint(P256)}")

    @given(st.binary(max_size=64))
    def test_base64url_can_be_read_back_and_is_not_padded(self, data: bytes) -> None:
        """
        Whatever the bytes, nothing but the letters of base64url is written.
        """
        text = unpadded(data)
        self.assertNotRegex(text, "[=+/]")
        self.assertEqual(b64decode(text), data)


class EabTests(SynchronousTestCase):
    """
    External accounts.
    """

    def test_the_binding_holds_the_account_key_under_the_shared_secret(self) -> None:
        """
        Its payload is the public key of the account, its header names kid and URL, its HMAC is that of the secret.
        """
        binding = eab_binding(P256, URL, "kid-1", b"secret of the authority")
        self.assertEqual(part(binding["protected"]), {"alg": "HS256", "kid": "kid-1", "url": URL})
        self.assertEqual(unpadded(JWK.from_json(part(binding["payload"])).thumbprint()), thumbprint(P256))
        jws = JWS.from_json({**binding, "header": {}})
        self.assertTrue(jws.verify(JWK.from_json({"kty": "oct", "k": unpadded(b"secret of the authority")})))


def _json(numbers: rsa.RSAPublicNumbers) -> dict[str, str]:
    def number(value: int) -> str:
        return unpadded(value.to_bytes((value.bit_length() + 7) // 8, "big"))

    return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
