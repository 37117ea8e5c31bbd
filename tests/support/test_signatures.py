"""
Tests for :mod:`itsjustintv.support.signatures`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import Forged
from itsjustintv.support.signatures import (
    SIGNERS,
    Signable,
    format_standard_secret,
    is_standard,
    parse_standard_secret,
    sign_hub,
    sign_standard,
    signature_for,
    verify_eventsub,
)

SECRET = b"docs-vector-secret-0001"

VERIFICATION = (
    b"m-0001",
    b"2026-01-02T03:04:06.000000001Z",
    (
        b'{"challenge":"abc-123","subscription":{"id":"sub-a","status":"webhook_callback_verification_pending",'
        b'"type":"stream.online","version":"1","condition":{"broadcaster_user_id":"42"},"transport":{"method":"webhook",'
        b'"callback":"https://hooks.example.net/twitch"},"created_at":"2026-01-02T03:04:05.123456789Z","cost":1}}'
    ),
    b"sha256=6d1f6f81b4e4d0470044f2b039f7b314a24c80f0e78973910873fb813b97e61a",
)

NOTIFICATION = (
    b"Zk_2-w==",
    b"2026-01-02T04:00:07.120Z",
    (
        '{"subscription":{"id":"sub-a","status":"enabled","type":"stream.online","version":"1","cost":1,'
        '"condition":{"broadcaster_user_id":"42"},"transport":{"method":"webhook",'
        '"callback":"https://hooks.example.net/twitch"},"created_at":"2026-01-02T03:04:05.123456789Z"},'
        '"event":{"id":"7000000001","broadcaster_user_id":"42","broadcaster_user_login":"tanuki",'
        '"broadcaster_user_name":"タヌキ","type":"live","started_at":"2026-01-02T04:00:00Z"}}'
    ).encode(),
    b"sha256=cf8fb7cf674a7c26938d039469bc84769dc8a62f983cff59ba34a974d92843a2",
)


class EventSubTests(SynchronousTestCase):
    """
    What comes in.
    """

    def test_vectors(self) -> None:
        """
        Known messages are believed, one with a name in another script and an unusual id among them.
        """
        for message_id, timestamp, body, signature in (VERIFICATION, NOTIFICATION):
            verify_eventsub(SECRET, message_id, timestamp, body, signature)

    @given(st.sampled_from([VERIFICATION, NOTIFICATION]), st.integers(0, 3), st.data())
    def test_any_flipped_bit(self, message: tuple[bytes, ...], part: int, data: st.DataObject) -> None:
        """
        A message of which any one bit was changed, wherever it is, is refused.
        """
        changed = bytearray(message[part])
        position = data.draw(st.integers(0, len(changed) * 8 - 1))
        changed[position // 8] ^= 1 << position % 8
        forged = [*message[:part], bytes(changed), *message[part + 1 :]]
        self.assertRaises(Forged, verify_eventsub, SECRET, *forged)

    def test_every_flipped_bit_of_the_signature(self) -> None:
        """
        There is no bit of the signature that does not matter.
        """
        message_id, timestamp, body, signature = VERIFICATION
        for position in range(len(signature) * 8):
            changed = bytearray(signature)
            changed[position // 8] ^= 1 << position % 8
            self.assertRaises(Forged, verify_eventsub, SECRET, message_id, timestamp, body, bytes(changed))

    def test_malformed(self) -> None:
        """
        A signature that is missing, cut, in capitals or in another script is refused like a wrong one.
        """
        message_id, timestamp, body, signature = NOTIFICATION
        for forged in (
            None,
            b"",
            b"sha256=",
            signature[:-1],
            signature + b"0",
            signature.upper(),
            signature[7:],
            b"sha1=" + signature[7:],
            b"sha256=" + "タヌキ".encode(),
        ):
            with self.subTest(forged):
                self.assertRaises(Forged, verify_eventsub, SECRET, message_id, timestamp, body, forged)

    def test_constant_time(self) -> None:
        """
        A signature is never compared by ``==``, which takes the longer the more of it is right.
        """
        message_id, timestamp, body, signature = NOTIFICATION
        compared: list[object] = []

        class Watched(bytes):
            def __eq__(self, other: object) -> bool:
                compared.append(other)
                return super().__eq__(other)

            def __getitem__(self, key: Any) -> Any:
                return Watched(super().__getitem__(key))

            __hash__ = bytes.__hash__

        verify_eventsub(SECRET, message_id, timestamp, body, Watched(signature))
        self.assertEqual(compared, [])

    def test_other_secret(self) -> None:
        """
        A message that was signed with another secret is refused.
        """
        self.assertRaises(Forged, verify_eventsub, SECRET + b"0", *VERIFICATION)


class HubTests(SynchronousTestCase):
    """
    The original's signature.
    """

    def test_known(self) -> None:
        """
        The published vector of RFC 4231, test case 2, and its older sibling of RFC 2202.
        """
        body = b"what do ya want for nothing?"
        self.assertEqual(
            sign_hub("Jefe", body), "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        )
        self.assertEqual(sign_hub("Jefe", body, "sha1"), "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79")
        self.assertTrue(
            sign_hub("Jefe", body, "sha512").startswith("sha512=164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831f")
        )


class StandardTests(SynchronousTestCase):
    """
    Standard Webhooks 1.0.
    """

    def test_vectors(self) -> None:
        """
        The published messages get the published signatures, bit for bit.
        """
        for secret, message_id, timestamp, body, signature in [
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1614265330,
                b'{"test": 2432232314}',
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (
                "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
                1649367553,
                b'{"email":"test@example.com","username":"test_user"}',
                "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
            ),
            (
                "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1614265330,
                b'{"test": 2432232314}',
                "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
            ),
        ]:
            with self.subTest(signature):
                self.assertEqual(sign_standard(secret, message_id, timestamp, body), signature)

    @given(st.binary(min_size=24, max_size=75), st.uuids(), st.integers(0, 4_000_000_000), st.text(max_size=200))
    def test_published_library(self, key: bytes, message_id: object, timestamp: int, body: str) -> None:
        """
        The published library makes the same signature of any message.
        """
        secret = "whsec_" + b64encode(key).decode()
        theirs = Webhook(secret).sign(str(message_id), datetime.fromtimestamp(timestamp, UTC), body)
        self.assertEqual(sign_standard(secret, str(message_id), timestamp, body.encode()), theirs)

    @given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
    def test_asymmetric(self, seed: bytes, body: bytes) -> None:
        """
        A signature of a private key is verified by its public half, and not for another body.
        """
        private = Ed25519PrivateKey.from_private_bytes(seed)
        public = private.public_key().public_bytes_raw()
        version, _, signature = sign_standard("whsk_" + b64encode(seed + public).decode(), "id", 1, body).partition(",")
        self.assertEqual(version, "v1a")
        verifier = Ed25519PublicKey.from_public_bytes(public)
        verifier.verify(b64decode(signature), b"id.1." + body)
        self.assertRaises(InvalidSignature, verifier.verify, b64decode(signature), b"id.1." + body + b" ")

    @given(st.binary(min_size=24, max_size=75))
    def test_any_key_makes_a_secret(self, key: bytes) -> None:
        """
        Which is read as that key, and seen to be one of these.
        """
        self.assertEqual(parse_standard_secret(format_standard_secret(key)), key)
        self.assertTrue(is_standard(format_standard_secret(key)))

    def test_what_is_meant_for_it_says_so(self) -> None:
        """
        By how it begins, whichever kind of key it is.
        """
        said = {"whsec_AAAA": True, "whsk_AAAA": True, "whsec": False, "a whsec_AAAA": False, "": False}
        self.assertEqual({secret: is_standard(secret) for secret in said}, said)

    def test_padding_may_be_missing(self) -> None:
        """
        A secret that was copied without its padding is understood.
        """
        self.assertEqual(parse_standard_secret("whsec_" + b64encode(b"k" * 32).decode().rstrip("=")), b"k" * 32)

    def test_refused_secrets(self) -> None:
        """
        What is not a secret of Standard Webhooks is refused with a reason that does not quote it.
        """
        seed = b"s" * 32
        for secret in [
            "",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_",
            "whsec_" + b64encode(b"k" * 23).decode(),
            "whsec_" + b64encode(b"k" * 76).decode(),
            "whsec_not/base64!not/base64!not/base64!",
            "whsec_タヌキ",
            "whsk_" + b64encode(seed).decode(),
            "whsk_" + b64encode(seed + seed).decode(),
        ]:
            with self.subTest(secret):
                error = self.assertRaises(ValueError, parse_standard_secret, secret)
                self.assertNotIn(secret.removeprefix("whsec_").removeprefix("whsk_") or "\0", str(error))


class SignersTests(SynchronousTestCase):
    """
    The table of signatures.
    """

    def test_headers(self) -> None:
        """
        Each kind has its headers, in this order; masked, they are the same but for the signature.
        """
        secret = format_standard_secret(b"k" * 24)
        request = Signable(
            secret=secret, header="X-Mine", hashing="sha1", message_id="e1", timestamp=1_700_000_000, body=b"{}"
        )
        hub_header = ("X-Mine", sign_hub(secret, b"{}", "sha1"))
        standard_headers = [
            ("webhook-id", "e1"),
            ("webhook-timestamp", "1700000000"),
            ("webhook-signature", sign_standard(secret, "e1", 1_700_000_000, b"{}")),
        ]
        expected = {"hub": [hub_header], "standard": standard_headers, "both": [hub_header, *standard_headers]}
        for kind, signers in SIGNERS.items():
            with self.subTest(kind):
                headers = [header for each in signers for header in each.headers(request)]
                masked = [header for each in signers for header in each.masked(request, "***")]
                self.assertEqual(headers, expected[kind])
                self.assertEqual([name for name, _ in masked], [name for name, _ in headers])
        self.assertEqual(SIGNERS["both"][0].masked(request, "***"), [("X-Mine", "sha1=***")])
        self.assertEqual(SIGNERS["standard"][0].masked(request, "***")[-1], ("webhook-signature", "v1,***"))

    def test_secrets(self) -> None:
        """
        A kind says which secrets it cannot use, and which kind fits a secret best.
        """
        for kind, allowed in (("hub", True), ("standard", False), ("both", False)):
            with self.subTest(kind):
                *_, last = SIGNERS[kind]
                if allowed:
                    last.check("plain")
                else:
                    self.assertRaises(ValueError, last.check, "plain")
        self.assertEqual((signature_for("plain"), signature_for(format_standard_secret(b"k" * 24))), ("hub", "both"))
