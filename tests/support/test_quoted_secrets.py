"""
Tests for :mod:`itsjustintv.support.quoted_secrets`.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64decode, b64encode, encodebytes, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus, unquote_plus

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.support.quoted_secrets import SHORTEST, QuotedSecrets
from tests import examples

#: As error pages write them.
NOTATIONS: tuple[Callable[[str], str], ...] = (
    lambda text: text,
    str.upper,
    str.swapcase,
    html.escape,
    lambda text: "".join(f"&#{ord(each)};" for each in text),
    lambda text: "".join(f"&#x{ord(each):X};" for each in text),
    lambda text: text.replace("/", "&sol;").replace("=", "&equals;"),
    lambda text: quote(text, safe=""),
    lambda text: quote(text, safe="").lower(),
    quote_plus,
    lambda text: "".join(f"%{each:02X}" for each in text.encode()),
    lambda text: quote(quote(text, safe=""), safe=""),
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    lambda text: "".join(f"\\u{ord(each):04x}" for each in text),
    lambda text: "".join(f"\\x{ord(each):02x}" for each in text),
    lambda text: "".join(f"\\{ord(each):03o}" for each in text),
    lambda text: b64encode(text.encode()).decode(),
    lambda text: b64encode(b"a" + text.encode() + b"zz").decode(),
    lambda text: urlsafe_b64encode(b"ab" + text.encode()).decode().rstrip("="),
    lambda text: encodebytes(b"The request was: POST https://receiver.example.org/ " + text.encode()).decode(),
    lambda text: text.encode().hex(),
    lambda text: text.encode().hex().upper(),
)

secrets = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=40)
notations = st.sampled_from(NOTATIONS)


def readings(text: str) -> set[str]:
    """
    Everything that a reader could take a text for who tries the standard library on it.
    """
    found = {text}
    for _ in range(4):
        for each in tuple(found):
            found.add(unquote_plus(each))
            found.add(html.unescape(each))
            found.add(re.sub(r"\\u([0-9a-f]{4})|\\x([0-9a-f]{2})", lambda m: chr(int(m[1] or m[2], 16)), each))
            found.add(re.sub(r"\\([0-3][0-7]{2})", lambda m: chr(int(m[1], 8)), each))
            found.add(re.sub(r"\\(.)", r"\1", each))
            if len(found) > 400:
                return found
    for each in tuple(found):
        for run in re.findall(r"[A-Za-z0-9+/_-]{8,}", re.sub(r"\s+", "", each)):
            plain = run.replace("-", "+").replace("_", "/")
            for shift in range(4):
                piece = plain[shift:][: (len(plain) - shift) // 4 * 4]
                found.add(b64decode(piece).decode("latin-1"))
    return found


class HiddenTests(SynchronousTestCase):
    """
    Whatever a receiver does with a secret.
    """

    @settings(max_examples=examples(150), deadline=None)
    @given(secrets, notations, notations, st.integers(0, 60), st.integers(0, 60), st.sampled_from(("", " ", "/", '"')))
    def test_no_piece_of_it_is_left(  # noqa: PLR0917 - hypothesis draws them
        self, secret: str, first: Callable[[str], str], second: Callable[[str], str], start: int, end: int, beside: str
    ) -> None:
        """
        In one notation, or one within another, cut at its beginning or its end or not: no six characters in a row of
        the secret can be read in what is shown.
        """
        quoted = second(first(secret[start % len(secret) :]))
        quoted = quoted[: len(quoted) - end % len(quoted)]
        shown = QuotedSecrets([secret]).hide(f"Cannot POST {beside}{quoted}{beside} here".encode()).decode("latin-1")
        pieces = {secret[at : at + SHORTEST].lower().replace("+", " ") for at in range(len(secret) - SHORTEST + 1)}
        innocent = "cannot post here [redacted]"
        pieces -= {innocent[at : at + SHORTEST] for at in range(len(innocent))}
        for reading in readings(shown):
            folded = reading.lower().replace("+", " ")
            self.assertFalse([each for each in pieces if each in folded], (secret, quoted, shown))

    def test_by_example(self) -> None:
        """
        The words around it stay.
        """
        secret = "S3cr3t/with+odd&chars=="
        hidden = QuotedSecrets([secret])
        for notation in NOTATIONS[:-6]:
            text = f"Cannot POST {notation(secret)} here"
            self.assertEqual(hidden.hide(text.encode()), b"Cannot POST [redacted] here", text)
        encoded = b64encode(b"POST " + secret.encode()).decode()
        shown = hidden.hide(f"what I got: {encoded} of you".encode())
        self.assertTrue(
            shown.startswith(b"what I got: ") and shown.endswith(b" of you") and b"[redacted]" in shown, shown
        )

    def test_the_cut_shows_nothing(self) -> None:
        """
        Wherever the end of a text cuts a secret, at most five of its characters are left.
        """
        secret = "0123456789abcdefghijklmnopqrstuv"
        for length in range(len(secret)):
            shown = QuotedSecrets([secret]).hide(f"you sent {secret[:length]}".encode())
            self.assertEqual(
                shown, b"you sent [redacted]" if length >= SHORTEST else f"you sent {secret[:length]}".encode()
            )

    def test_words_and_wholes(self) -> None:
        """
        A short word is hidden where it is one, a whole only as a whole.
        """
        hidden = QuotedSecrets([], ["/live/x1"], ["kiwi"])
        self.assertEqual(
            hidden.hide(b"/LIVE/x1: kiwi, kiwis, kiwi%2F; /live/"),
            b"[redacted]: [redacted], kiwis, [redacted]%2F; /live/",
        )

    def test_nothing_to_hide(self) -> None:
        """
        Without secrets, or without a trace of them, every byte stays.
        """
        for text in (b"", b"\xff\x00%zz%u12 \\", b"an ordinary page &amp; more %20"):
            self.assertEqual(QuotedSecrets([]).hide(text), text)
            self.assertEqual(QuotedSecrets(["s3cret-token"]).hide(text), text)

    def test_what_takes_too_long_is_not_quoted(self) -> None:
        """
        The work is bounded, and beyond it nothing is shown.
        """
        self.assertEqual(QuotedSecrets(["s3cret-token"]).hide(b"AAAA" * 100_000), b"[redacted]")

    def test_it_is_not_shown_itself(self) -> None:
        """
        What knows secrets can be printed.
        """
        self.assertNotIn("s3cret", repr(QuotedSecrets(["s3cret-token"])))
