"""
Tests of :mod:`itsjustintv.web.connection_limits`, and of what a full house does with them.
"""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from itsjustintv.web.connection_limits import ConnectionCounts, ConnectionLimits, client_network
from itsjustintv.web.site import make_site

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Patient(Resource):
    """
    Never answers.
    """

    isLeaf = True

    def render(self, request: Request) -> int:
        return NOT_DONE_YET


class NeighbourhoodTests(SynchronousTestCase):
    """
    Who counts as one caller.
    """

    def test_addresses(self) -> None:
        """
        Each IPv4 address is somebody, also within IPv6; of IPv6 it is the first half that is.
        """
        for host, expected in {
            "192.0.2.1": "192.0.2.1",
            "::ffff:192.0.2.1": "192.0.2.1",
            "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::",
            "2001:db8:1:2::1": "2001:db8:1:2::",
            "fe80::1%lo": "fe80::",
            "not:an:address": "not:an:address",
        }.items():
            kind = IPv6Address if ":" in host else IPv4Address
            self.assertEqual(client_network(kind("TCP", host, 1)), expected)
        self.assertEqual(client_network(UNIXAddress(b"/run/socket")), "")


class SharesTests(SynchronousTestCase):
    """
    Who gives way.
    """

    @given(st.lists(st.sampled_from("abc"), max_size=20), st.sampled_from("abcd"))
    def test_nobody_loses_who_has_not_more(self, buffered: list[str], who: str) -> None:
        """
        Only somebody who would still hold as many as the newcomer then has gives way; so no two can take places from
        each other for ever.
        """
        shares = ConnectionCounts()
        for each in buffered:
            shares.add(each)
        largest_holder = shares.largest_holder(who)
        if largest_holder is not None:
            self.assertGreaterEqual(buffered.count(largest_holder) - 1, buffered.count(who) + 1)
            self.assertEqual(buffered.count(largest_holder), max(map(buffered.count, buffered)))
        for each in buffered:
            shares.remove(each)
        self.assertIsNone(shares.largest_holder(who))


class FullHouseTests(SynchronousTestCase):
    """
    A site where all places are taken.
    """

    def setUp(self) -> None:
        """
        Have four places.
        """
        self.clock = Clock()
        self.site = make_site(Patient(), self.clock, ConnectionLimits(connections=4))
        self.site.doStart()
        self.addCleanup(self.site.doStop)

    def connect(self, host: str, data: bytes = b"") -> StringTransport:
        """
        Open a connection.
        """
        address = IPv4Address("TCP", host, 1)
        protocol = self.site.buildProtocol(address)
        transport = StringTransport(peerAddress=address)
        protocol.makeConnection(transport)
        if data:
            protocol.dataReceived(data)
        self.clock.advance(0.1)
        return transport

    def test_one_caller_cannot_keep_others_out(self) -> None:
        """
        Whoever holds all places loses the oldest of those that wait to whoever comes; a fair share, and no more.
        """
        buffered = [self.connect("192.0.2.1") for _ in range(4)]
        guests = [self.connect("192.0.2.2"), self.connect("192.0.2.2"), self.connect("192.0.2.2")]
        self.assertEqual([each.disconnected for each in buffered], [True, True, False, False])
        self.assertEqual([each.disconnected for each in guests], [False, False, True])
        self.assertEqual((len(self.site.registry.open), self.site.registry.rejected), (4, 3))

    def test_a_connection_is_removed_once(self) -> None:
        """
        A connection that is dropped and then lost is counted down once: its client still has its other ones, and makes
        way for a client with fewer.
        """
        for _ in range(3):
            self.connect("192.0.2.1")
        gone = next(iter(self.site.registry.open))
        self.site.registry.remove(gone)
        self.site.registry.remove(gone)
        for host in ("192.0.2.2", "192.0.2.3", "192.0.2.4"):
            self.assertFalse(self.connect(host).disconnected, host)

    def test_nobody_is_interrupted(self) -> None:
        """
        A connection whose request is being answered is not cut; when all are, the newcomer is turned away.
        """
        busy = [self.connect("192.0.2.1", REQUEST) for _ in range(4)]
        guest = self.connect("192.0.2.2")
        self.assertEqual([each.disconnected for each in busy], 4 * [False])
        self.assertTrue(guest.disconnected)

    def test_behind_a_proxy(self) -> None:
        """
        Where all come from one address, the last is turned away.
        """
        buffered = [self.connect("10.0.0.1") for _ in range(5)]
        self.assertEqual([each.disconnected for each in buffered], [False, False, False, False, True])

    def test_where_places_are_yielded(self) -> None:
        """
        Where that is so, whoever comes has the place of who has waited the longest, be it another of his own; one who
        is answered keeps his.
        """
        self.site.registry.limits = evolve(self.site.registry.limits, evict_idle=True, idle=10.0)
        busy = self.connect("10.0.0.1", REQUEST)
        buffered = [self.connect("10.0.0.1") for _ in range(1000)]
        self.assertEqual([each.disconnected for each in buffered], [True] * 997 + [False] * 3)
        self.assertFalse(busy.disconnected)
        self.assertFalse(self.connect("192.0.2.2", REQUEST).disconnected)
        self.assertEqual(len(self.site.registry.open), 4)
