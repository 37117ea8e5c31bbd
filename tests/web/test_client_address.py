"""
Tests of :mod:`itsjustintv.web.client_address`.
"""

from __future__ import annotations

from time import process_time

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.web.client_address import NO_PROXIES, ClientAddresses

PROXY = IPv4Address("TCP", "10.0.0.1", 4711)
STRANGER = IPv4Address("TCP", "198.51.100.7", 4711)
TRUSTED = ("10.0.0.0/8", "2001:db8:1::/48")


def host(peer: IAddress, client_addresses: ClientAddresses | None = None, **headers: str | bytes | list[str]) -> str:
    """
    Tell whose a request with these headers is.
    """
    raw = Headers()
    for name, values in headers.items():
        for value in values if isinstance(values, list) else [values]:
            raw.addRawHeader(name.replace("_", "-"), value)
    found = (client_addresses or ClientAddresses(lambda: TRUSTED)).resolve(peer, raw)
    return str(getattr(found, "host", found))


class ForwardedForTests(SynchronousTestCase):
    """
    ``X-Forwarded-For``.
    """

    def test_a_trusted_proxy_is_believed(self) -> None:
        """
        The one address that it names is the client.
        """
        self.assertEqual(host(PROXY, X_Forwarded_For="203.0.113.9"), "203.0.113.9")

    def test_a_stranger_is_not(self) -> None:
        """
        Of a request from anybody else, and of any request when no proxy is trusted, the client is the peer.
        """
        self.assertEqual(host(STRANGER, X_Forwarded_For="203.0.113.9"), STRANGER.host)
        self.assertEqual(host(PROXY, NO_PROXIES, X_Forwarded_For="203.0.113.9"), PROXY.host)

    def test_the_last_stranger_is_the_client(self) -> None:
        """
        What a client wrote into the header itself stands before its address, and is not believed; trusted proxies
        behind it are passed over, in one header or in several.
        """
        for value in ("1.1.1.1, 203.0.113.9, 10.0.0.2", ["1.1.1.1, 203.0.113.9", "10.0.0.2"]):
            self.assertEqual(host(PROXY, X_Forwarded_For=value), "203.0.113.9")

    def test_only_proxies(self) -> None:
        """
        When all are trusted the farthest is the client: a machine of one's own.
        """
        self.assertEqual(host(PROXY, X_Forwarded_For="10.0.0.3, 10.0.0.2"), "10.0.0.3")

    def test_nobody_comes_before_what_cannot_be_read(self) -> None:
        """
        Behind an entry that is no address, nothing is believed.
        """
        self.assertEqual(host(PROXY, X_Forwarded_For="203.0.113.9, unknown, 10.0.0.2"), "10.0.0.2")
        self.assertEqual(host(PROXY, X_Forwarded_For="203.0.113.9, unknown"), PROXY.host)
        self.assertEqual(host(PROXY, X_Forwarded_For=""), PROXY.host)

    def test_ways_to_write_an_address(self) -> None:
        """
        With and without a port, with and without brackets, and IPv4 within IPv6.
        """
        for text, expected in {
            "203.0.113.9:81": "203.0.113.9",
            "2001:db8::1": "2001:db8::1",
            "[2001:db8::1]": "2001:db8::1",
            "[2001:db8::1]:81": "2001:db8::1",
            "::ffff:203.0.113.9": "203.0.113.9",
        }.items():
            self.assertEqual(host(PROXY, X_Forwarded_For=text), expected)


class ForwardedTests(SynchronousTestCase):
    """
    ``Forwarded``, as RFC 7239 has it.
    """

    def test_examples_of_the_standard(self) -> None:
        """
        Parameters in any order and case, quoted addresses, lists, and names that hide somebody.
        """
        for text, expected in {
            "for=192.0.2.60;proto=http;by=203.0.113.43": "192.0.2.60",
            'For="[2001:db8:cafe::17]:4711"': "2001:db8:cafe::17",
            'for="192.0.2.43:47011"': "192.0.2.43",
            "for=192.0.2.43, for=198.51.100.17": "198.51.100.17",
            "for=192.0.2.43,for=10.0.0.2;by=10.0.0.1": "192.0.2.43",
            "for=_hidden": PROXY.host,
            "proto=https": PROXY.host,
            'for=192.0.2.43;host="a,b;c"': "192.0.2.43",
            "for=192.0.2.43;for=192.0.2.44": PROXY.host,
            'for="192.0.2.43': PROXY.host,
        }.items():
            self.assertEqual(host(PROXY, Forwarded=text), expected, text)

    def test_quotes_without_an_end_take_no_time(self) -> None:
        """
        Whatever a stranger lets a proxy pass on, reading it takes time in proportion to its length: what takes the
        square of that would keep everybody waiting, here for minutes.
        """
        for text in ('"\\' * 50_000, 'for="' + '\\"' * 50_000, '"a' * 50_001, ',"' * 50_001, "for=" + '"' * 99_999):
            begun = process_time()
            self.assertEqual(host(PROXY, Forwarded=text), PROXY.host)
            self.assertLess(process_time() - begun, 10)

    def test_both_headers(self) -> None:
        """
        A proxy that sets one of them passes on the other as the client wrote it: unless both agree, neither counts.
        """
        self.assertEqual(host(PROXY, X_Forwarded_For="203.0.113.9", Forwarded="for=203.0.113.9"), "203.0.113.9")
        self.assertEqual(host(PROXY, X_Forwarded_For="203.0.113.9", Forwarded="for=1.1.1.1"), PROXY.host)
        self.assertEqual(host(PROXY, X_Forwarded_For="203.0.113.9", Forwarded="nonsense"), PROXY.host)


class TrustTests(SynchronousTestCase):
    """
    Who is trusted.
    """

    def test_peers(self) -> None:
        """
        Addresses of both kinds, also of IPv4 within IPv6; never one that is no address.
        """
        client_addresses = ClientAddresses(lambda: TRUSTED)
        for peer, trusted in (
            (PROXY, True),
            (STRANGER, False),
            (IPv6Address("TCP", "2001:db8:1::7", 1), True),
            (IPv6Address("TCP", "2001:db8:2::7", 1), False),
            (IPv6Address("TCP", "::ffff:10.1.2.3", 1), True),
            (UNIXAddress(b"/run/socket"), False),
        ):
            self.assertEqual(client_addresses.trusts(peer), trusted, peer)

    def test_the_configuration_of_the_moment(self) -> None:
        """
        Whom a reload names is trusted from then on.
        """
        networks: tuple[str, ...] = ()
        client_addresses = ClientAddresses(lambda: networks)
        self.assertFalse(client_addresses.trusts(PROXY))
        networks = ("10.0.0.1",)
        self.assertTrue(client_addresses.trusts(PROXY))


class AnythingTests(SynchronousTestCase):
    """
    Whatever a stranger writes.
    """

    @given(
        st.lists(st.binary(max_size=60), max_size=3),
        st.lists(st.text('for="[]:;,.= 0123456789abf\\', max_size=60), max_size=3),
    )
    def test_any_header(self, lists: list[bytes], forwarded: list[str]) -> None:
        """
        Nothing raises, and the answer always is an address.
        """
        raw = Headers()
        for each in lists:
            raw.addRawHeader(b"X-Forwarded-For", each)
        for text in forwarded:
            raw.addRawHeader(b"Forwarded", text.encode())
        self.assertTrue(IAddress.providedBy(ClientAddresses(lambda: TRUSTED).resolve(PROXY, raw)))

    @given(st.text("0123456789abcdef:.,[] ", max_size=60))
    def test_a_claim_is_never_believed(self, claim: str) -> None:
        """
        Whatever a client writes before it, the address that the proxy appends is the client.
        """
        self.assertEqual(host(PROXY, X_Forwarded_For=f"{claim}, 203.0.113.9"), "203.0.113.9")
