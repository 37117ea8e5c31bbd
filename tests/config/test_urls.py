"""
Tests for :mod:`itsjustintv.config.urls` and :mod:`itsjustintv.config.hosts`.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.hosts import address, authority, host_and_port, listen
from itsjustintv.config.urls import base_url, host_url, receiver_url
from itsjustintv.support.http_url import HttpUrl
from tests.support.test_http_url import SENT

_LISTEN = listen('"127.0.0.1:8081"')


class UrlTests(SynchronousTestCase):
    """
    URLs.
    """

    def test_where_a_signature_does_the_work_of_a_password(self) -> None:
        """
        The address of a receiver with a user name is told that deliveries are signed; other addresses are not, since
        what is asked there is not.
        """
        url, sentence = "https://user@h.example/#a", "must not hold a user name or a password: they would not be sent"
        told, fragment = receiver_url(url)
        self.assertEqual(f"{sentence}; a receiver can check the signature", told)
        self.assertEqual([sentence, fragment], list(host_url(url)))

    def test_what_can_be_sent_to(self) -> None:
        """
        Every form of URL that can be sent is taken, unless a part of it would never be sent.
        """
        for url in (
            *SENT,
            "http://a-/",
            "http://_dmarc.a/",
            "http://a.b.c./",
            "http://xn--bcher-kva.example",
            "http://1/",
        ):
            self.assertEqual([], [each for each in host_url(url) if "fragment" not in each], url)

    def test_each_rule_has_its_sentence(self) -> None:
        """
        A URL that breaks one rule is told that rule, with what to write instead where that is known.
        """
        for url, sentence in {
            "h.example/a": "must begin with https:// or http://",
            "//h.example/a": "must begin with https:// or http://",
            "ftp://h.example/": "must begin with https:// or http://",
            "https:/h.example/": "must have :// after http or https",
            "https//h.example/": "must have :// after http or https",
            "http:h.example": "must have :// after http or https",
            "https://https://h.example/": "must have http:// or https:// once",
            "https:///a": "must name a host after https://",
            "http://:80/": "must name a host after http://",
            "http://?a": "must name a host after http://",
            "https://user:pass@h.example/": "must not hold a user name or a password",
            "https://@h.example/": "must not hold a user name or a password",
            "https://h.example:0/": "must have a port from 1 to 65535",
            "https://h.example:65536/": "must have a port from 1 to 65535",
            "https://h.example:8x/": "must have a port in digits after the colon",
            "https://h.example:80:80/": "must not have more than one colon between host and path",
            "https://::1/": "must have brackets around its IPv6 address: [::1]",
            "https://2001:db8::5:443/": "must have brackets around its IPv6 address: [2001:db8::5:443]",
            "https://[::1/": "must close the bracket after its IPv6 address",
            "https://[::1]a/": "must have nothing but a port after the bracket",
            "https://[h.example]/": "must have an IPv6 address in its brackets, and nothing else",
            "https://[fe80::1%25eth0]/": "must not name a zone (%) in its IPv6 address",
            "https://h]/": "must have brackets around an IPv6 address only",
            "https://b\u00fccher.example/": "must have its host name in ASCII: write xn--bcher-kva.example",
            "https://my_b.B\u00dccher.example./": "must have its host name in ASCII: write my_b.xn--bcher-kva.example.",
            "https://h\u200b.example/": "must have its host name in ASCII: write h.example",
            "https://\uff48.example/": "must have its host name in ASCII: write h.example",
            "https://\u2603\u200d.example/": "must not hold U+2603 (snowman) and U+200D (zero width joiner)",
            "https://h$.example/": "must not hold $ in its host name",
            "https://h .example/": "must not hold a space (U+0020) in its host name",
            "https://h%41/": "must not hold % in its host name",
            "https://*.example/": "must not hold * in its host name",
            "https://h..example/": "must not have an empty part in its host name",
            "https://.h.example/": "must not have an empty part in its host name",
            f"https://{'a' * 64}.example/": "must not have a part of more than 63 characters",
            f"https://{'a.' * 130}example/": "must not have more than 253 characters in its host name",
            "https://-h.example/": "must not have a hyphen at the beginning of its host name",
            "https://192.0.2.256/": "must have an IPv4 address of four numbers from 0 to 255",
            "https://192.0.2.01/": "must have an IPv4 address of four numbers from 0 to 255",
            "https://h.example/#a": "must not have a fragment",
            "https://h.example/?a#": "must not have a fragment",
            "https://h.example/a b": "must not hold a space: write %20",
            "https://h.example/a\nb": "must not hold a newline (U+000A): remove it",
            "https://h.example/a\u00a0b": "must not hold U+00A0 (no-break space): remove it",
            "https://h.example/\u00fc": "must be ASCII after the host: write \u00fc as %C3%BC",
            "https://h.example/?\U0001f600": "must be ASCII after the host: write \U0001f600 as %F0%9F%98%80",
            "https://h.example/100%": "must have two hexadecimal digits after each %",
            "https://h.example/%zz": "must have two hexadecimal digits after each %",
            "https://h.example\\a": "must be written with /, not with a backslash",
            '"https://h.example/"': 'must hold the URL alone: it is in quotes (")',
            " https://h.example/": "must hold the URL alone: it begins with a space (U+0020)",
            "https://h.example/\r": "must hold the URL alone: it ends with a carriage return (U+000D)",
            "\ufeffhttps://h.example/": "must hold the URL alone: it begins with U+FEFF (byte order mark)",
        }.items():
            told = list(host_url(url))
            self.assertEqual(1, len(told), (url, told))
            self.assertTrue(told[0].startswith(sentence), (url, told))

    def test_all_that_is_wrong(self) -> None:
        """
        A URL that breaks several rules is told all of them.
        """
        self.assertEqual(5, len(list(host_url("https://u:p@b\u00fccher.example:0/a b#c"))))

    def test_bases(self) -> None:
        """
        What paths are added to has no query.
        """
        self.assertEqual([], list(base_url("https://api.example/helix")))
        self.assertEqual(
            ["must not have a query: paths are added to it"], list(base_url("https://api.example/helix?a"))
        )

    @given(
        st.text(st.characters(codec="utf-8"), max_size=30), st.sampled_from(["", "http://", "https://h", "https://h/"])
    )
    def test_what_is_taken_can_be_sent(self, text: str, begin: str) -> None:
        """
        Whatever passes the rules can be sent; and no rule quotes what follows the host, but for single characters.
        """
        told = list(host_url(begin + text))
        if not told:
            HttpUrl.parse(begin + text)
        self.assertNotIn("q7ZsecretZ7q", "".join(host_url(f"{begin}/q7ZsecretZ7q{text}") if begin else told))


class PublicNameTests(SynchronousTestCase):
    """
    The public name.
    """

    def test_names(self) -> None:
        """
        A name, perhaps with a port, is taken in any case.
        """
        for name in ("hooks.example.org", "Hooks.Example.org:8443", "localhost", "xn--bcher-kva.example", "192.0.2.1"):
            self.assertEqual([], list(authority(name)), name)

    def test_each_rule_has_its_sentence(self) -> None:
        """
        What is no public name is told why.
        """
        for name, sentence in {
            "https://hooks.example.org": "must be a host name alone, without https://",
            "hooks.example.org/twitch": "must be a host name alone, without a path",
            "hooks.example.org/": "must be a host name alone, without a path",
            "hooks.example.org?a": "must be a host name alone, without a path",
            "user@hooks.example.org": "must be a host name alone, without a user name",
            "hooks.example.org:": "must have a port in digits",
            "hooks.example.org:0": "must have a port from 1 to 65535",
            "hooks.example.org:x": "must have a port in digits",
            ":8443": "must have a host name such as hooks.example.org",
            "[::1]:8443": "must be a host name, not an IPv6 address",
            "::1": "must be a host name, not an IPv6 address",
            "hooks.example.org.": "must have its host name without a dot at the end",
            "my_service.example.org": "must not hold an underscore in its host name",
            "*.example.org": "must not hold a wildcard",
            "b\u00fccher.example": "must have its host name in ASCII: write xn--bcher-kva.example",
            "hooks example.org": "must not hold a space (U+0020) in its host name",
            "hooks-.example.org": "must have a host name such as hooks.example.org",
            "hooks..example.org": "must not have an empty part",
        }.items():
            told = list(authority(name))
            self.assertEqual(1, len(told), (name, told))
            self.assertTrue(told[0].startswith(sentence), (name, told))
        self.assertEqual(4, len(list(authority("https://my_host:0/x"))))


class ListenTests(SynchronousTestCase):
    """
    Where to listen.
    """

    def test_places(self) -> None:
        """
        Addresses and names that this machine may have are taken, and taken apart.
        """
        for place, expected in {
            "127.0.0.1:8081": ("127.0.0.1", 8081),
            "[::]:80": ("::", 80),
            "my_host:1": ("my_host", 1),
            "h.example.:65535": ("h.example.", 65535),
        }.items():
            self.assertEqual(([], expected), (list(_LISTEN(place)), host_and_port(place)), place)
        for each in ("127.0.0.1", "::", "fe80::1%eth0", "my_host", "h.example.", ""):
            self.assertEqual([], list(address(each)), each)

    def test_each_rule_has_its_sentence(self) -> None:
        """
        What is no place is told why.
        """
        for place, sentence in {
            "127.0.0.1": 'must be host:port, such as "127.0.0.1:8081": the port is missing',
            "8081": 'must be host:port, such as "127.0.0.1:8081": the host is missing',
            ":8081": 'must be host:port, such as "127.0.0.1:8081": the host is missing',
            "[]:8081": 'must be host:port, such as "127.0.0.1:8081": the host is missing',
            "[::1]": 'must be host:port, such as "127.0.0.1:8081": the port is missing',
            "127.0.0.1:0": "must have a port from 1 to 65535",
            "127.0.0.1:": "must have a port in digits",
            "::1:8081": "must have brackets around its IPv6 address",
            "[h.example]:80": "must have brackets around an IPv6 address only",
            "[::g]:80": "must have a valid IPv6 address",
            "http://127.0.0.1:8081": "must be host:port, without http://",
            "127.0.0.1:8081/admin": "must be host:port, without a path",
            "b\u00fccher.example:80": "must have its host name in ASCII: write xn--bcher-kva.example",
            "192.0.2.256:80": "must have an IPv4 address of four numbers",
        }.items():
            told = list(_LISTEN(place))
            self.assertEqual(1, len(told), (place, told))
            self.assertTrue(told[0].startswith(sentence), (place, told))
            self.assertIsNone(host_and_port(place))
        for place, sentence in {
            "http://0.0.0.0": "must be an address alone, without http://",
            "0.0.0.0:8080": "must be an address alone, without a port",
            "[::]": "must be an address without brackets",
            "not here": "must not hold a space (U+0020) in its host name",
        }.items():
            self.assertTrue(next(iter(address(place))).startswith(sentence), place)
