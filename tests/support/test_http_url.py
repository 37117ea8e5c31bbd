"""
Tests for :mod:`itsjustintv.support.http_url`.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.support.http_client import request_url
from itsjustintv.support.http_url import HttpUrl

#: What a URL becomes: the authority, and the target.
SENT = {
    "https://h.example?token=abc": ("h.example", "/?token=abc"),
    "https://h.example": ("h.example", "/"),
    "https://h.example/": ("h.example", "/"),
    "https://h.example?": ("h.example", "/?"),
    "https://h.example#f": ("h.example", "/"),
    "https://h.example/a?b#c?d": ("h.example", "/a?b"),
    "https://h.example/a#c?d": ("h.example", "/a"),
    "HTTPS://H.Example:443/A": ("h.example", "/A"),
    "http://h.example:443/": ("h.example:443", "/"),
    "http://h.example:/x": ("h.example", "/x"),
    "http://h.example:0080/x": ("h.example", "/x"),
    "http://h.example//a//b/": ("h.example", "//a//b/"),
    "http://h.example/a/./b/../c": ("h.example", "/a/c"),
    "http://h.example/../../a": ("h.example", "/a"),
    "http://h.example/a/..": ("h.example", "/"),
    "http://h.example/a/.": ("h.example", "/a/"),
    "http://h.example/a;b=c;d?e;f": ("h.example", "/a;b=c;d?e;f"),
    "http://h.example/%7Euser/%2F%2e?a=%26&b=+": ("h.example", "/%7Euser/%2F%2e?a=%26&b=+"),
    "http://h.example/{a}|b?c[]=d": ("h.example", "/%7Ba%7D%7Cb?c%5B%5D=d"),
    "http://h.example?a=/../b": ("h.example", "/?a=/../b"),
    "http://[2001:DB8::1]/": ("[2001:db8::1]", "/"),
    "http://[::1]:8080?a": ("[::1]:8080", "/?a"),
    "http://my_service:8080/": ("my_service:8080", "/"),
    "http://h.example./": ("h.example.", "/"),
}

# RFC 9112, section 3.2.1, and RFC 3986, section 3.3.
_ORIGIN_FORM = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%..)*)+(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%..)*)?")


class HttpUrlTests(SynchronousTestCase):
    """
    URLs on the wire.
    """

    def test_what_is_sent(self) -> None:
        """
        The path is never empty, and neither the port nor the host is written in two ways.
        """
        for text, (authority, target) in SENT.items():
            url = HttpUrl.parse(text)
            self.assertEqual((url.authority, url.target), (authority, target), text)
            self.assertEqual(HttpUrl.parse(str(url)), url, text)

    def test_what_cannot_be_sent(self) -> None:
        """
        A URL without a host, of another scheme, or with a port that is none is refused.
        """
        for text in (
            *("h.example/a", "ftp://h.example/", "https:///a", "https://:80/", "https://u@h.example/", "https://[::1/"),
            *("https://h.example:0/", "https://h.example:65536/", "https://h.example:x/", "https://\u00fc.example/"),
        ):
            with self.assertRaises(ValueError, msg=text):
                HttpUrl.parse(text)

    @given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="#%")))
    def test_every_target_is_one(self, rest: str) -> None:
        """
        Whatever follows the host, the target is in origin form, and is the same when it is parsed again.
        """
        url = HttpUrl.parse(f"https://h.example/{rest}")
        self.assertIsNotNone(_ORIGIN_FORM.fullmatch(url.target), url.target)
        self.assertEqual(HttpUrl.parse(str(url)), url)

    def test_name_in_tls(self) -> None:
        """
        TLS knows no dot at the end of a name.
        """
        self.assertEqual(HttpUrl.parse("https://h.example./").server_name, "h.example")

    @given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=3), st.sampled_from(["", "?a=b"]))
    def test_parameters_of_any_text(self, params: list[tuple[str, str]], query: str) -> None:
        """
        Each parameter can be read from the query as it was, after what the URL had.
        """
        url = request_url(f"https://h.example/users{query}", params).to_uri().to_text()
        base, _, sent = url.partition("?")
        self.assertEqual(base, "https://h.example/users")
        self.assertTrue(sent.isascii())
        self.assertEqual(parse_qsl(sent, keep_blank_values=True), [*([("a", "b")] if query else []), *params])

    def test_any_host_for_treq(self) -> None:
        """
        A name that is none on the internet stays as it is, through parameters as well.
        """
        url = request_url("http://my_service:8080/users", [("login", "a")])
        self.assertEqual(url.to_uri().to_text(), "http://my_service:8080/users?login=a")
