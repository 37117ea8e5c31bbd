"""
Tests for :mod:`itsjustintv.config.hosts`.
"""

from __future__ import annotations

import idna
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.hosts import dns_name, dns_names, is_address, is_name
from itsjustintv.config.sections import TLS

_LABELS = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,10}[A-Za-z])?", fullmatch=True)
_NAMES = st.lists(_LABELS, min_size=1, max_size=4).map(".".join).filter(lambda name: is_name(name.lower()))
_FOREIGN = st.sampled_from(["äöüßéñčøł", "πλ", "ждя", "أبت", "日本語", "한국"]).flatmap(
    lambda alphabet: st.text(alphabet, min_size=1, max_size=8)
)


class NameTests(SynchronousTestCase):
    """
    One way to write a name.
    """

    def test_what_becomes_of_names(self) -> None:
        """
        Case, the dot at the end, other alphabets and the longer forms of an address make no difference.
        """
        for text, expected in (
            ("Hooks.Example.ORG", "hooks.example.org"),
            ("hooks.example.org.", "hooks.example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.Example.", "xn--bcher-kva.example"),
            ("bu\u0308cher.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("straße.example", "xn--strae-oqa.example"),
            ("日本語。example。", "xn--wgv71a119e.example"),
            ("\uff48\uff4f\uff4f\uff4b\uff53.example", "hooks.example"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8:0:0::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
        ):
            self.assertEqual(expected, dns_name(text), text)

    def test_what_is_a_name(self) -> None:
        """
        Letters, digits and hyphens in labels of up to 63 and a name of up to 253; the last label is no number.
        """
        for name in ("a", "a.b", "localhost", "xn--bcher-kva.example", "1.example", "a--b.example", f"{'a' * 63}.b"):
            self.assertTrue(is_name(dns_name(name)), name)
        self.assertTrue(is_name(".".join(["a"] * 127)))
        for name in (
            *("", ".", "a..b", ".a", "a..", "-a.b", "a-.b", "a_b.c", "a b.c", "a/b", "a:80", "https://a", "a\n"),
            *(
                f"{'a' * 64}.b",
                f"{'a' * 63}." * 4 + "b",
                "192.0.2.1",
                "192.0.2.256",
                "a.1",
                "*.a",
                "::1",
                "☃.example\0",
            ),
        ):
            self.assertFalse(is_name(dns_name(name)), name)

    def test_what_is_an_address(self) -> None:
        """
        Both kinds of IP address, but not one of an interface of this machine.
        """
        for text, expected in (("192.0.2.1", True), ("::1", True), ("fe80::1%eth0", False), ("1.2.3", False)):
            self.assertEqual(expected, is_address(text), text)

    def test_the_section_holds_names_as_dns_has_them(self) -> None:
        """
        However the section is made, its names can be compared.
        """
        tls = TLS(domains=("B.Example.org.", "bücher.example"), default_name="B.EXAMPLE.ORG")
        self.assertEqual(("b.example.org", "xn--bcher-kva.example"), tls.domains)
        self.assertEqual("b.example.org", tls.default_name)

    @settings(deadline=None)
    @given(_NAMES, st.booleans(), st.data())
    def test_case_and_last_dot(self, name: str, dot: bool, data: st.DataObject) -> None:
        """
        A name in any mixture of cases, with or without its last dot, is one name.
        """
        mixed = "".join(data.draw(st.sampled_from([c.lower(), c.upper()])) for c in name)
        self.assertEqual(name.lower(), dns_name(mixed + "." * dot))

    @settings(deadline=None)
    @given(_FOREIGN, st.sampled_from([".", "\u3002", "\uff0e", "\uff61"]))
    def test_other_alphabets(self, label: str, dot: str) -> None:
        """
        A label of another alphabet becomes an ASCII one that means the same, whatever dot follows it.
        """
        name = dns_name(f"{label}{dot}example")
        self.assertTrue(is_name(name))
        self.assertEqual(f"{label}.example", idna.decode(name))

    @settings(deadline=None)
    @given(st.text(max_size=300) | _FOREIGN.map(lambda label: f"{label}.example.") | st.ip_addresses().map(str))
    def test_once_is_enough(self, text: str) -> None:
        """
        Any text at all can be written so, and writing it so again changes nothing of what is a name or an address.
        """
        name = dns_name(text)
        if is_name(name) or is_address(name):
            self.assertEqual((name,), dns_names([name]))
            self.assertTrue(name.isascii())
            self.assertEqual(name.lower(), name)
