"""
Tests of :mod:`itsjustintv.admin.hosts`, and of what the door of the admin site makes of them.
"""

from __future__ import annotations

from ipaddress import IPv4Address as Address4
from ipaddress import IPv6Address as Address6

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.admin.auth import Access
from itsjustintv.admin.hosts import Authority, authority, origin
from itsjustintv.admin.live_updates import EventsResource, LiveUpdates
from itsjustintv.admin.site import AdminResource
from itsjustintv.web.connection_limits import ConnectionLimits
from itsjustintv.web.site import make_site
from tests.admin.test_auth import Room
from tests.admin.values import House

OURS = (
    b"localhost", b"localhost:8081", b"LOCALHOST", b"LocalHost:1", b"127.0.0.1", b"127.0.0.1:8081", b"127.9.9.9:65535",
    b"[::1]", b"[::1]:8081", b"[0:0:0:0:0:0:0:1]:80", b"[0000::0001]",
)  # fmt: skip

NOT_OURS = (
    # Two names in one, or none.
    b"127.0.0.1:8081, evil.example", b"evil.example, 127.0.0.1", b"localhost,localhost", b"localhost localhost",
    b"localhost\tevil.example", b"localhost;evil.example", b"", b" ", b":8081", b"[]", b"[]:80",
    # Somebody else's.
    b"evil.example", b"localhost.evil.example", b"evil.localhost", b"127.0.0.1.evil.example", b"127.0.0.1.nip.io",
    b"192.0.2.1", b"128.0.0.1", b"0.0.0.0", b"[::]", b"[::2]", b"[2001:db8::1]", b"localhost.localdomain",
    # Beside a name, or around it.
    b"evil.example@localhost", b"localhost@evil.example", b"user:password@localhost:8081", b"localhost/", b"/localhost",
    b"localhost?", b"localhost#", b"http://localhost", b"//localhost", b"localhost\\", b"'localhost'", b'"localhost"',
    b"%6cocalhost", b"localhost%00", b"localhost\x00", b"localhost\x0b", b"\xefocalhost", "\uff4cocalhost".encode(),
    # A port that is none.
    b"localhost:", b"localhost:0", b"localhost:65536", b"localhost:99999999", b"localhost:-1", b"localhost:+1",
    b"localhost:8081:8081", b"localhost:http", b"localhost: 80", b"localhost :80", "localhost:\uff18\uff10".encode(),
    # Ways to write an address that not all read in the same way.
    b"127.1", b"127.0.1", b"2130706433", b"0x7f000001", b"0x7f.0.0.1", b"0177.0.0.1", b"127.0.0.01", b"127.0.0.1.",
    b"localhost.", b"127.0.0.256", b"127.0.0.1.1", b"::1", b"::1:8081", b"[::1", b"::1]", b"[::1]8081", b"[[::1]]",
    b"[::1%25lo]", b"[::1%lo]", b"[::ffff:127.0.0.1]", b"[::ffff:7f00:1]", b"[::127.0.0.1]", b"[127.0.0.1]",
    b"[localhost]", b"[v1.localhost]", b"[64:ff9b::7f00:1]",
)  # fmt: skip


class AuthorityTests(SynchronousTestCase):
    """
    What a name is.
    """

    def test_names_of_this_machine(self) -> None:
        """
        ``localhost``, addresses in 127.0.0.0/8 written as four numbers, and ``[::1]``, each with or without a port; and
        nothing else, however much like it.
        """
        for each in OURS:
            self.assertTrue((found := authority(each)) and found.is_loopback, each)
        for each in NOT_OURS:
            self.assertFalse((found := authority(each)) and found.is_loopback, each)

    @given(st.binary(max_size=40) | st.text("localhst127.0:[]@, %", max_size=24).map(str.encode))
    @example(b"localhost\n")
    @example(b"127.0.0.1\n")
    def test_any_bytes(self, text: bytes) -> None:
        """
        Whatever is sent, a name of this machine is a literal of it with digits behind a colon, at the most.
        """
        found = authority(text)
        if found is not None and found.is_loopback:
            host, _, port = text.decode("ascii").lower().rpartition(":")
            if not port.isdecimal() or text.endswith(b"]"):
                host = text.decode("ascii").lower()
            known = host == "localhost" or (
                Address6(host[1:-1]) == Address6("::1") if host[0] == "[" else Address4(host).is_loopback
            )
            self.assertTrue(known, text)

    @given(
        st.sampled_from(["localhost", "hooks.example.org", "a_b", "[::1]", "[2001:db8::1]", "192.0.2.1"]),
        st.none() | st.integers(1, 65535),
    )
    def test_any_name_and_port(self, host: str, port: int | None) -> None:
        """
        A host and a port are read as they were written.
        """
        text = host if port is None else f"{host}:{port}"
        self.assertEqual(authority(text.encode()), Authority(host.strip("[]"), port))

    def test_origins(self) -> None:
        """
        A page is known by its host and port, or that of its scheme; what is no page on the web is none.
        """
        self.assertEqual(origin(b"https://hooks.example:8443"), (Authority("hooks.example", 8443), 443))
        self.assertEqual(origin(b"http://LOCALHOST/page?x#y"), (Authority("localhost"), 80))
        for wrong in (b"null", b"", b"ftp://localhost", b"localhost", b"http://", b"http://a@localhost", b"file:///x"):
            self.assertIsNone(origin(wrong), wrong)


class DoorTests(SynchronousTestCase):
    """
    The same on the wire, with what else a request can say of where it goes.
    """

    def setUp(self) -> None:
        self.token = ""
        clock, house, room = Clock(), House(), Room()
        access = Access(lambda: self.token, clock, b"a secret of the process")
        pulse = LiveUpdates(house.mark, clock, "p")
        self.addCleanup(pulse.dismiss)
        paths = {b"/": room, b"/events": EventsResource(pulse, lambda _: "one")}
        self.site = make_site(
            AdminResource(access, {}, paths, {b"/api/v1/": room}), clock, ConnectionLimits(require_length=False)
        )

    def ask(self, *lines: bytes, body: bytes = b"") -> int:
        """
        Send a request as these lines; answers with the status.
        """
        channel = self.site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        transport = StringTransport()
        channel.makeConnection(transport)
        channel.dataReceived(b"\r\n".join([*lines, b"", b""]) + body)
        answer = transport.value()
        channel.connectionLost()
        return int(answer.split(b" ", 2)[1])

    def test_every_path_is_behind_it(self) -> None:
        """
        The page, the API and the stream of events are shown under a name of this machine, and under no other.
        """
        for path in (b"/", b"/api/v1/status", b"/events"):
            for each in OURS:
                self.assertEqual(self.ask(b"GET %b HTTP/1.1" % path, b"Host: " + each), 200, (path, each))
            for each in NOT_OURS:
                # The head of a request holds no NUL: that is refused before it comes to this.
                refused = self.ask(b"GET %b HTTP/1.1" % path, b"Host: " + each)
                self.assertIn(refused, (400, 403), (path, each))

    def test_exactly_one(self) -> None:
        """
        No ``Host``, two of them, one that goes on in another line, or a target that is a whole address: refused, also
        in HTTP/1.0.
        """
        for lines in (
            (b"GET / HTTP/1.1",),
            (b"GET / HTTP/1.0",),
            (b"GET / HTTP/1.1", b"Host: localhost", b"Host: localhost"),
            (b"GET / HTTP/1.1", b"Host: localhost", b"Host: evil.example"),
            (b"GET / HTTP/1.1", b"Host: evil.example", b"host: localhost"),
            (b"GET / HTTP/1.1", b"Host: localhost", b" , evil.example"),
            (b"GET http://evil.example/ HTTP/1.1", b"Host: localhost"),
            (b"GET http://localhost/ HTTP/1.1", b"Host: localhost"),
            (b"OPTIONS * HTTP/1.1", b"Host: localhost"),
            (b"GET localhost HTTP/1.1", b"Host: localhost"),
        ):
            for token in ("", "0123456789abcdef"):
                self.token = token
                self.assertIn(self.ask(*lines, b"Authorization: Bearer 0123456789abcdef"), (400, 403), lines)
        self.token = ""
        self.assertEqual(self.ask(b"GET / HTTP/1.0", b"Host: localhost"), 200)
        self.assertEqual(self.ask(b"GET / HTTP/1.1", b"Host:  localhost \t"), 200)

    def test_a_proxy_needs_a_token(self) -> None:
        """
        What a proxy passes on is refused while there is no token, though the proxy calls us by a name of this machine.
        """
        for header in (
            b"X-Forwarded-For: 192.0.2.1", b"Forwarded: for=192.0.2.1", b"X-Real-IP: 192.0.2.1", b"Via: 1.1 x",
            b"X-Forwarded-Host: x", b"X-Forwarded-Proto: https",
        ):  # fmt: skip
            lines = (b"GET / HTTP/1.1", b"Host: 127.0.0.1:8081", header)
            self.assertEqual(self.ask(*lines), 403, header)
            self.token = "0123456789abcdef"
            self.assertEqual(self.ask(*lines, b"Authorization: Bearer 0123456789abcdef"), 200, header)
            self.token = ""

    def test_orders_of_other_pages(self) -> None:
        """
        An order counts only from our own page, by ``Origin`` or, where there is none, ``Referer``; or from no browser.
        """
        for source, wanted in (
            (b"Origin: http://localhost:8081", 200), (b"Referer: http://localhost:8081/page", 200), (b"X: y", 200),
            (b"Origin: http://localhost", 403), (b"Origin: http://localhost:8082", 403), (b"Origin: null", 403),
            (b"Origin: http://127.0.0.1:8081", 403), (b"Origin: http://localhost:8081.evil.example", 403),
            (b"Origin: http://localhost:8081@evil.example", 403), (b"Origin: ", 403), (b"Referer: about:blank", 403),
            (b"Referer: http://evil.example/http://localhost:8081/", 403), (b"Referer: http://evil.example", 403),
            (b"Origin: http://localhost:8081, http://evil.example", 403), (b"Sec-Fetch-Site: cross-site", 403),
        ):  # fmt: skip
            found = self.ask(b"POST /api/v1/x HTTP/1.1", b"Host: localhost:8081", source)
            self.assertEqual(found, wanted, source)
        both = (b"Origin: http://evil.example", b"Referer: http://localhost:8081/")
        self.assertEqual(self.ask(b"POST /api/v1/x HTTP/1.1", b"Host: localhost:8081", *both), 403)
        self.assertEqual(self.ask(b"POST / HTTP/1.1", b"Host: localhost:80", b"Origin: http://localhost"), 200)

    def test_what_other_pages_load(self) -> None:
        """
        Another page may lead here, but load nothing from here, nor in a frame, where each stream takes a place.
        """
        for path in (b"/events", b"/api/v1/status", b"/"):
            for more in (
                (b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: iframe"),
                (b"Sec-Fetch-Mode: no-cors", b"Sec-Fetch-Dest: image"),
                (b"Sec-Fetch-Mode: cors", b"Sec-Fetch-Dest: empty"),
                (b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: object"),
            ):
                lines = (b"GET %b HTTP/1.1" % path, b"Host: localhost", b"Sec-Fetch-Site: cross-site", *more)
                self.assertEqual(self.ask(*lines), 403, (path, more))
