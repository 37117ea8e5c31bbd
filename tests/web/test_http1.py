"""
Tests of :mod:`itsjustintv.web.http1`, driven byte by byte.
"""

from __future__ import annotations

from itertools import pairwise

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from itsjustintv.web.connection_limits import ConnectionLimits
from itsjustintv.web.http1 import HTTP1Connection
from itsjustintv.web.site import LimitedSite, make_site

LIMITS = ConnectionLimits(body=1000, request=10.0, idle=60.0, connections=3)


class Echo(Resource):
    """
    Answers every request with its method and body, at once or when asked to.
    """

    isLeaf = True

    def __init__(self, patient: bool = False) -> None:
        super().__init__()
        self.patient = patient
        self.unsent: list[Request] = []

    def render(self, request: Request) -> bytes | int:
        if self.patient:
            self.unsent.append(request)
            return NOT_DONE_YET
        body: bytes = request.content.read()
        return request.method + b" " + body


@define(eq=False)
class Server:
    """
    A site on a clock, and connections to it.
    """

    resource: Echo = field(factory=Echo)
    clock: Clock = field(factory=Clock)
    limits: ConnectionLimits = LIMITS
    site: LimitedSite = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.clock.advance(1_767_323_046)
        self.site = make_site(self.resource, self.clock, self.limits)
        self.site.doStart()

    def connect(self) -> tuple[HTTP1Connection, StringTransport]:
        """
        Open a connection.
        """
        channel = self.site.buildProtocol(IPv4Address("TCP", "192.0.2.1", 4711))
        transport = StringTransport()
        channel.makeConnection(transport)
        return channel, transport

    def exchange(self, *parts: bytes) -> bytes:
        """
        Send parts over a connection of their own and take what comes back.
        """
        channel, transport = self.connect()
        for part in parts:
            channel.dataReceived(part)
        return transport.value()

    def pass_time(self, seconds: int) -> None:
        """
        Let the sweep happen once a second.
        """
        self.clock.pump([1.0] * seconds)


def post(body: bytes, *headers: bytes) -> bytes:
    """
    A request with a length.
    """
    head = [b"POST / HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *headers, b"", b""]
    return b"\r\n".join(head) + body


def status(answer: bytes) -> int:
    """
    The status of an answer.
    """
    return int(answer.split(b" ", 2)[1])


class LengthTests(SynchronousTestCase):
    """
    How much is read.
    """

    def test_body_up_to_the_limit_is_read(self) -> None:
        """
        A body of the limit, with a length or in chunks, reaches the resource.
        """
        body = b"x" * 1000
        chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n%b\r\n0\r\n\r\n" % body
        for request in (post(body), chunked):
            self.assertTrue(Server().exchange(request).endswith(b"POST " + body))

    def test_longer_body_is_refused_by_its_head(self) -> None:
        """
        A length above the limit is refused before a byte of the body came, with an answer that is whole.
        """
        server = Server()
        channel, transport = server.connect()
        channel.dataReceived(b"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n")
        head, _, body = transport.value().partition(b"\r\n\r\n")
        self.assertEqual((status(head), body), (413, b'{"status":"request entity too large"}'))
        self.assertIn(b"Content-Length: %d" % len(body), head)
        self.assertTrue(transport.disconnecting)
        self.assertEqual(server.site.registry.refused, {413: 1})

    def test_longer_body_in_chunks_is_refused(self) -> None:
        """
        Without a length the bytes are counted; what was too long is never half a request.
        """
        chunk = b"1f4\r\n%b\r\n" % (b"x" * 500)
        head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        together = [head + chunk * 3 + b"0\r\n\r\n"]
        for parts in ([head, chunk, chunk, chunk, b"0\r\n\r\n"], together):
            answer = Server().exchange(*parts)
            self.assertEqual(status(answer), 413)
            self.assertEqual(answer.count(b"HTTP/1.1"), 1)

    def test_post_without_a_length_is_refused(self) -> None:
        """
        A body that nobody announced is not guessed; a length of zero is a length, and GET needs none.
        """
        self.assertEqual(status(Server().exchange(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")), 411)

    def test_a_post_may_do_without_a_length_where_that_is_allowed(self) -> None:
        """
        Where a POST need not say how long it is, one that says nothing has no body, as RFC 9112 has it.
        """
        server = Server(limits=ConnectionLimits(require_length=False))
        answer = server.exchange(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual((status(answer), answer.rpartition(b"\r\n")[2]), (200, b"POST "))
        self.assertEqual(status(Server().exchange(post(b""))), 200)
        self.assertEqual(status(Server().exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")), 200)

    def test_only_one_answer_to_a_refused_request(self) -> None:
        """
        What follows a refused head is not read, not even from TLS, which goes on to deliver it.
        """
        for head in (
            b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: x\r\n",
        ):
            channel, transport = Server().connect()
            channel.dataReceived(head)
            channel.dataReceived(b"x" * 1001 + post(b"again"))
            self.assertEqual(transport.value().count(b"HTTP/1.1"), 1)

    def test_invitation_to_send(self) -> None:
        """
        A body is invited when it will be read, and not when it is too long.
        """
        expecting = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        self.assertEqual(Server().exchange(expecting % 1000), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(status(Server().exchange(expecting % 1001)), 413)


class FramingTests(SynchronousTestCase):
    """
    Requests of which two servers may see the end in two places.
    """

    def test_ambiguous_requests_are_refused(self) -> None:
        """
        There is one way to know where a request ends, or there is no request.
        """
        for headers in (
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n",
            b"Transfer-Encoding: identity\r\n",
            b"Transfer-Encoding: gzip, chunked\r\n",
            b"Content-Length: 5\r\nContent-Length: 5\r\n",
            b"Content-Length: 5, 5\r\n",
            b"Content-Length: +5\r\n",
            b"Content-Length: -5\r\n",
            b"Content-Length: 0x5\r\n",
            b"Content-Length: \r\n",
            b"Content-Length : 5\r\n",
            b"Content-Length: %b\r\n" % (b"9" * 5000),
        ):
            server = Server()
            answer = server.exchange(b"POST / HTTP/1.1\r\n" + headers + b"\r\n" + b"hello")
            self.assertEqual((status(answer), answer.count(b"HTTP/1.1")), (400, 1), headers)
            self.assertEqual(server.site.registry.refused, {400: 1})

    def test_broken_chunks_are_refused(self) -> None:
        """
        A chunk is as long as it says.
        """
        for chunk in (b"x\r\n", b"-5\r\nhello\r\n", b"3\r\nhello\r\n", b"5\nhello\r\n" + b"x" * 2000):
            answer = Server().exchange(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
            self.assertEqual(status(answer), 400, chunk)

    def test_heads_without_end_are_refused(self) -> None:
        """
        Neither one long line nor many short ones are collected for ever.
        """
        for head in (b"GET /" + b"x" * 20_000, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000, b"GET /\r\n"):
            self.assertEqual(status(Server().exchange(head)), 400)

    @given(cuts=st.lists(st.integers(0, 400), max_size=8))
    def test_requests_in_a_row(self, cuts: list[int]) -> None:
        """
        Requests sent without waiting are answered in their order, however the network cuts them.
        """
        chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
        stream = post(b"one") + chunked + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + post(b"four")
        edges = [0, *sorted(cuts), len(stream)]
        answer = Server().exchange(*(stream[one:two] for one, two in pairwise(edges)))
        bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]]
        self.assertEqual(bodies, [b"POST one", b"POST two", b"GET ", b"POST four"])

    def test_answers_wait_for_their_turn(self) -> None:
        """
        A request sent while another is answered waits.
        """
        server = Server(Echo(patient=True))
        channel, transport = server.connect()
        channel.dataReceived(post(b"one") + post(b"two"))
        [first] = server.resource.unsent
        first.write(b"1")
        first.finish()
        [_, second] = server.resource.unsent
        self.assertEqual(second.content.read(), b"two")
        self.assertEqual(transport.value().count(b"HTTP/1.1"), 1)


class TimeTests(SynchronousTestCase):
    """
    How long a peer may take.
    """

    def test_slow_request_is_cut(self) -> None:
        """
        Ten seconds after its first byte a request is complete or cut, and a byte now and then buys no time.
        """
        for request in (post(b"x" * 900), b"GET / HTTP/1.1\r\nX: " + b"x" * 900):
            server = Server()
            channel, transport = server.connect()
            for byte in request[:9]:
                channel.dataReceived(bytes([byte]))
                server.pass_time(1)
            self.assertFalse(transport.disconnecting)
            channel.dataReceived(request[9:200])
            server.pass_time(1)
            self.assertTrue(transport.disconnecting)
            self.assertEqual((transport.value(), server.site.registry.timed_out), (b"", 1))

    def test_silent_connection_is_closed(self) -> None:
        """
        Who connects and says nothing is as slow as who says little.
        """
        server = Server()
        _, transport = server.connect()
        server.pass_time(9)
        self.assertFalse(transport.disconnecting)
        server.pass_time(1)
        self.assertTrue(transport.disconnecting)

    def test_idle_connection_is_kept_a_while(self) -> None:
        """
        Between requests there is a minute.
        """
        server = Server()
        channel, transport = server.connect()
        for _ in range(2):
            channel.dataReceived(post(b"x"))
            server.pass_time(59)
            self.assertFalse(transport.disconnecting)
        server.pass_time(1)
        self.assertTrue(transport.disconnecting)
        self.assertEqual(server.site.registry.timed_out, 0)

    def test_beginning_of_the_next_request_is_no_idleness(self) -> None:
        """
        The first bytes of a request count, even when they came with the last ones of another.
        """
        for request in (post(b"x"), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
            server = Server()
            channel, transport = server.connect()
            channel.dataReceived(request + b"POST")
            server.pass_time(10)
            self.assertTrue(transport.disconnecting)

    def test_our_own_time_does_not_count(self) -> None:
        """
        While we work on an answer the peer is not late, and afterwards it has its minute.
        """
        server = Server(Echo(patient=True))
        channel, transport = server.connect()
        channel.dataReceived(post(b"x"))
        server.pass_time(600)
        self.assertFalse(transport.disconnecting)
        [request] = server.resource.unsent
        request.finish()
        server.pass_time(59)
        self.assertFalse(transport.disconnecting)

    def test_peer_that_does_not_leave_is_cut(self) -> None:
        """
        A connection we closed is cut if the peer holds on to it, which is not called slow.
        """
        server = Server()
        channel, transport = server.connect()
        channel.dataReceived(b"nonsense\r\n")
        self.assertTrue(transport.disconnecting)
        server.pass_time(9)
        self.assertFalse(transport.disconnected)
        server.pass_time(1)
        self.assertTrue(transport.disconnected)
        self.assertEqual(server.site.registry.timed_out, 0)

    def test_slow_connection_is_counted_once(self) -> None:
        """
        However long the transport takes to notice.
        """
        server = Server()
        channel, transport = server.connect()
        channel.dataReceived(b"P")
        server.pass_time(20)
        self.assertEqual((transport.disconnected, server.site.registry.timed_out), (True, 1))

    def test_no_timer_for_a_request(self) -> None:
        """
        The sweep is the only timer, however many requests there are; after the end there is none.
        """
        server = Server()
        for _ in range(3):
            channel, _ = server.connect()
            channel.dataReceived(post(b"x") * 5)
        self.assertEqual(len(server.clock.getDelayedCalls()), 1)
        server.site.doStop()
        self.assertEqual(server.clock.getDelayedCalls(), [])

    def test_sweep_survives_a_failure(self) -> None:
        """
        A connection that cannot be closed does not keep those open that are late with it, or after it.
        """
        server = Server()
        channels = [server.connect() for _ in range(3)]
        for channel, _ in channels:
            channel.dataReceived(b"P")
        channels[1][1].abortConnection = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
        server.pass_time(10)
        self.assertEqual([transport.disconnecting for _, transport in channels], [True, False, True])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        channels[0][0].connectionLost(Failure(ConnectionDone()))
        _, late = server.connect()
        server.pass_time(10)
        self.assertTrue(late.disconnecting)


class CountTests(SynchronousTestCase):
    """
    How many connections there may be.
    """

    def test_connections_above_the_limit_are_turned_away(self) -> None:
        """
        One more than the limit is closed at once; when another ends there is room again.
        """
        server = Server()
        channels = [server.connect()[0] for _ in range(3)]
        _, transport = server.connect()
        self.assertTrue(transport.disconnecting)
        self.assertEqual((len(server.site.registry.open), server.site.registry.rejected), (3, 1))
        channels[0].connectionLost(Failure(ConnectionDone()))
        _, transport = server.connect()
        self.assertFalse(transport.disconnecting)

    def test_peer_that_leaves_cancels_nothing_of_ours(self) -> None:
        """
        A request whose peer left is told so, and the connection is forgotten.
        """
        server = Server(Echo(patient=True))
        channel, _ = server.connect()
        channel.dataReceived(post(b"x"))
        gone: Deferred[None] = server.resource.unsent[0].notifyFinish()
        channel.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(gone, ConnectionDone)
        self.assertEqual(server.site.registry.open, set())
