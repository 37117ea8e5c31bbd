"""
Tests for :mod:`itsjustintv.logs.redaction`.
"""

from __future__ import annotations

import json
from html import escape
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.logs import Redactor, redaction


class RedactorTests(SynchronousTestCase):
    """
    What must not be in the log.
    """

    secret = 'p4ss "wörd"/+'

    def test_longer_secret_first(self) -> None:
        """
        A secret that begins with another leaves no rest behind.
        """
        redactor = Redactor()
        redactor.learn(["secret", "secret-and-more"])
        self.assertEqual(redactor.redact("a secret-and-more b"), "a [redacted] b")

    def test_overlapping_secrets(self) -> None:
        """
        Where two secrets share some letters, or one is within the other, neither leaves a rest behind.
        """
        redactor = Redactor()
        redactor.learn(["abcdefgh", "ghijklmnopqrs", "jklmno"])
        self.assertEqual(redactor.redact("an abcdefghijklmnopqrs b"), "an [redacted] b")

    def test_the_same_secrets_again(self) -> None:
        """
        After a reload, only those that are new are written out in every notation.
        """
        redactor = Redactor()
        redactor.learn(["a secret", "another secret"])
        written: list[str] = []
        self.patch(redaction, "_forms", lambda secret: written.append(secret) or {secret})
        redactor.learn(["a secret", "another secret", "the third secret"])
        self.assertEqual(written, ["the third secret"])

    def test_neighbouring_secrets(self) -> None:
        """
        Every occurrence is taken out, also those side by side.
        """
        redactor = Redactor()
        redactor.learn(["secret", "another-secret"])
        self.assertEqual(redactor.redact("secretsecret another-secret"), "[redacted][redacted] [redacted]")

    def test_as_many_secrets_as_there_are_streamers(self) -> None:
        """
        With ten thousand addresses and ten thousand secrets each is still taken out.
        """
        secrets = [f"https://hooks.example.net/{number}" for number in range(10_000)]
        secrets += [f"{number:07}" for number in range(10_000)]
        redactor = Redactor()
        redactor.learn(secrets)
        for secret in secrets[::7]:
            self.assertEqual(redactor.redact(f"to {secret}: failed"), "to [redacted]: failed")
        self.assertEqual(redactor.redact("to nobody: failed"), "to nobody: failed")

    def test_secrets_add_up(self) -> None:
        """
        A secret that was replaced is still none for the log.
        """
        redactor = Redactor()
        redactor.learn(["old-secret"])
        redactor.learn(["new-secret"])
        self.assertEqual(redactor.redact("old-secret new-secret"), "[redacted] [redacted]")

    def test_as_texts_quote_it(self) -> None:
        """
        Inside an address, a page, JSON or a text in quotes it is a secret too.
        """
        redactor = Redactor()
        redactor.learn([self.secret])
        for form in (
            quote(self.secret, safe=""),
            escape(self.secret),
            json.dumps(self.secret),
            repr(f"'{self.secret}"),
        ):
            self.assertIn("[redacted]", redactor.redact(form))
            self.assertNotIn("p4ss", redactor.redact(form))

    def test_tiny_secret_is_left_alone(self) -> None:
        """
        An empty secret, or one of a few letters, would take half of every line along.
        """
        redactor = Redactor()
        redactor.learn(["", "e", "error"])
        self.assertEqual(redactor.redact("an error"), "an error")

    def test_secrets_are_not_shown(self) -> None:
        """
        The redactor itself can be printed.
        """
        redactor = Redactor()
        redactor.learn([self.secret])
        self.assertNotIn("p4ss", repr(redactor))

    @given(secrets=st.lists(st.text(min_size=6), min_size=1, max_size=4), around=st.text())
    def test_any_secret_is_gone(self, secrets: list[str], around: str) -> None:
        """
        Wherever it stands, unless the mask itself makes it up.
        """
        redactor = Redactor()
        redactor.learn(secrets)
        for secret in secrets:
            text = redactor.redact(around + secret + around)
            self.assertTrue(secret not in text or "[redacted]" in text)

    @given(
        secrets=st.lists(st.text("xyz", min_size=6, max_size=20), min_size=1, max_size=30),
        parts=st.lists(st.text("xyz ") | st.integers(0, 29)),
    )
    def test_none_of_many_is_left(self, secrets: list[str], parts: list[str | int]) -> None:
        """
        However secrets and other letters are mixed, none is left and nothing else is missing.
        """
        redactor = Redactor()
        redactor.learn(secrets)
        text = "".join(part if isinstance(part, str) else secrets[part % len(secrets)] for part in parts)
        redacted = redactor.redact(text)
        for secret in secrets:
            self.assertNotIn(secret, redacted)
        self.assertEqual(redacted.count(" "), text.count(" "))
        if not any(secret in text for secret in secrets):
            self.assertEqual(redacted, text)
