"""
Tests of :mod:`itsjustintv.web.http2`, driven by the client of h2, and frame by frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from attrs import define, field
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.web.http2 import HTTP2Channel
from itsjustintv.web.traffic import Limits
from itsjustintv.web.versions import Versions
from tests.web.test_channel import Echo, Server

LIMITS = Limits(body=1000, request=10.0, idle=60.0, connections=5, streams=10, crowded=2, held=3000, drained=5000)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

Fields = Sequence[tuple[bytes, bytes]]


class Secured(StringTransport):
    """
    A transport whose two ends have agreed on HTTP/2.
    """

    negotiatedProtocol = b"h2"


def head(method: bytes = b"POST", path: bytes = b"/", *more: tuple[bytes, bytes]) -> Fields:
    """
    The head of a request.
    """
    named = (b":method", method), (b":scheme", b"https"), (b":authority", b"x.example"), (b":path", path)
    return [*named, *more]


@define(eq=False)
class Answer:
    """
    What has come back on one stream.
    """

    status: int = 0
    headers: dict[bytes, bytes] = field(factory=dict)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None
    invited: bool = False


@define(eq=False)
class Peer:
    """
    A connection of a client to a site.
    """

    server: Server
    #: Takes what it reads as read, and so lets more come.
    reads: bool = True
    answers: dict[int, Answer] = field(factory=dict, init=False)
    goodbye: int | None = field(default=None, init=False)
    h2: H2Connection = field(init=False)
    transport: Secured = field(factory=Secured, init=False)
    protocol: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        # What is malformed must be possible to send.
        config = H2Configuration(
            header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = H2Connection(config)
        site = Versions(self.server.site, lambda: True)
        self.protocol = site.buildProtocol(IPv4Address("TCP", "192.0.2.1", 4711))
        self.protocol.makeConnection(self.transport)
        self.protocol.handshakeCompleted()
        self.h2.initiate_connection()

    @property
    def channel(self) -> HTTP2Channel:
        """
        The server's end.
        """
        channel: HTTP2Channel = self.protocol._channel
        return channel

    def flush(self) -> None:
        """
        Say what there is to say, and hear the answers.
        """
        while data := self.h2.data_to_send():
            self.protocol.dataReceived(data)
            self.hear()

    def send(self, *frames: Frame) -> None:
        """
        Say something that the client of h2 would not.
        """
        self.flush()
        self.protocol.dataReceived(b"".join(frame.serialize() for frame in frames))
        self.hear()
        self.flush()

    def hear(self) -> None:
        """
        Hear what there is to hear.
        """
        data = self.transport.value()
        self.transport.clear()
        for event in self.h2.receive_data(data):
            number = getattr(event, "stream_id", None)
            answer = self.answers.setdefault(number, Answer()) if number else Answer()
            if isinstance(event, events.ResponseReceived):
                answer.headers = dict(event.headers or ())
                answer.status = int(answer.headers[b":status"])
            elif isinstance(event, events.InformationalResponseReceived):
                answer.invited = True
            elif isinstance(event, events.DataReceived):
                answer.body += event.data or b""
                if self.reads and number:
                    self.h2.acknowledge_received_data(event.flow_controlled_length or 0, number)
            elif isinstance(event, events.StreamEnded):
                answer.ended = True
            elif isinstance(event, events.StreamReset):
                answer.reset = int(event.error_code or 0)
            elif isinstance(event, events.ConnectionTerminated):
                self.goodbye = int(event.error_code or 0)

    def begin(self, fields: Fields, *, end: bool = False) -> int:
        """
        Send a head.
        """
        number = self.h2.get_next_available_stream_id()
        self.h2.send_headers(number, fields, end_stream=end)
        self.flush()
        return number

    def data(self, number: int, data: bytes, *, end: bool = False) -> None:
        """
        Send a part of a body.
        """
        self.h2.send_data(number, data, end_stream=end)
        self.flush()

    def ask(self, body: bytes = b"", *more: tuple[bytes, bytes], method: bytes = b"POST", path: bytes = b"/") -> Answer:
        """
        Send a request, and take what comes back at once.
        """
        number = self.begin(head(method, path, *more))
        self.data(number, body, end=True)
        return self.answers.get(number, Answer())

    def lose(self) -> None:
        """
        Be gone.
        """
        self.protocol.connectionLost(Failure(ConnectionDone()))


class HTTP2Case(SynchronousTestCase):
    """
    A test with one connection.
    """

    limits = LIMITS
    patient = False

    def setUp(self) -> None:
        self.resource = Echo(self.patient)
        self.server = Server(self.resource, limits=self.limits)
        self.peer = Peer(self.server)
        self.traffic = self.server.site.traffic


class RequestTests(HTTP2Case):
    """
    Requests and answers.
    """

    def test_request_is_answered(self) -> None:
        """
        With what every answer has; under the name that HTTP/1.1 has in ``Host``.
        """
        answer = self.peer.ask(b"hello")
        self.assertEqual((answer.status, answer.body, answer.ended, answer.reset), (200, b"POST hello", True, None))
        self.assertEqual(answer.headers[b"server"], b"itsjustintv")
        self.assertEqual(answer.headers[b"date"], b"Fri, 02 Jan 2026 03:04:06 GMT")
        self.assertEqual(answer.headers[b"content-length"], b"10")

    def test_a_body_may_come_in_parts_and_with_padding(self) -> None:
        """
        What is padding is not of the body.
        """
        number = self.peer.begin(head())
        self.peer.data(number, b"he")
        self.peer.h2.send_data(number, b"llo", end_stream=True, pad_length=50)
        self.peer.flush()
        self.assertEqual(self.peer.answers[number].body, b"POST hello")

    def test_trailers_are_none_of_a_request(self) -> None:
        """
        They end it.
        """
        number = self.peer.begin(head())
        self.peer.data(number, b"hello")
        self.peer.h2.send_headers(number, [(b"checksum", b"1")], end_stream=True)
        self.peer.flush()
        self.assertEqual(self.peer.answers[number].body, b"POST hello")

    def test_answer_to_head_has_no_body(self) -> None:
        """
        It ends with its head.
        """
        number = self.peer.begin(head(b"HEAD"), end=True)
        answer = self.peer.answers[number]
        self.assertEqual((answer.status, answer.body, answer.ended), (200, b"", True))

    def test_a_large_body_is_invited_if_the_client_waits_for_that(self) -> None:
        """
        Not without being asked, nor when the body is there, nor when its length is too large.
        """
        expecting = (b"expect", b"100-continue")
        cases: list[tuple[Fields, bool, bool]] = [
            (head(b"POST", b"/", expecting), False, True),
            (head(), False, False),
            (head(b"POST", b"/", expecting), True, False),
            (head(b"POST", b"/", expecting, (b"content-length", b"1001")), False, False),
        ]
        for fields, end, invited in cases:
            number = self.peer.begin(fields, end=end)
            self.assertEqual(self.peer.answers.get(number, Answer()).invited, invited, fields)

    def test_what_has_no_form_is_refused_alone(self) -> None:
        """
        The connection goes on.
        """
        for fields in (
            head(b"PO ST"),
            head(b"POST", b"/a b"),
            head(b"POST", "/ü".encode()),
            head(b"POST", b"/", (b"x(", b"y")),
            head(b"POST", b"/", (b"content-length", b"9" * 20)),
        ):
            number = self.peer.begin(fields, end=b"content-length" not in dict(fields))
            answer = self.peer.answers[number]
            self.assertEqual((answer.status, answer.body), (400, b'{"status":"bad request"}'), fields)
        self.assertEqual(self.traffic.refused, {400: 5})
        self.assertEqual(self.peer.ask(b"hello").body, b"POST hello")

    def test_what_is_no_http_2_ends_the_connection(self) -> None:
        """
        The peer is told so.
        """
        for wrong in (
            head(b"POST", b"/", (b"Upper", b"case")),
            head(b"POST", b"/", (b"transfer-encoding", b"chunked")),
            head(b"POST", b"/", (b"x", b"y"), (b":path", b"/")),
            head(b"POST", b"/", (b"content-length", b"-1")),
            [(b":method", b"GET")],
        ):
            peer = Peer(self.server)
            peer.begin(wrong)
            self.assertEqual(peer.goodbye, ErrorCodes.PROTOCOL_ERROR, wrong)
            self.assertTrue(peer.transport.disconnecting)
            self.assertIsNone(peer.transport.producer)
            peer.lose()
        self.assertEqual(self.traffic.refused, {400: 5})

    def test_the_longest_names_and_values(self) -> None:
        """
        A head may have 16 KiB, as in HTTP/1.1.
        """
        peer = Peer(Server(Echo(), limits=Limits()))
        self.assertEqual(peer.ask(b"", (b"x", b"y" * 16_000)).status, 200)
        peer.begin(head(b"POST", b"/", (b"x", b"y" * 17_000)))
        self.assertIsNotNone(peer.goodbye)

    @given(
        st.sampled_from([b"GET", b"POST", b"PUT", b"PURGE"]),
        st.from_regex(rb"/[!-~]{0,20}", fullmatch=True),
        st.lists(
            st.tuples(
                st.from_regex(rb"x-[a-z0-9-]{1,10}", fullmatch=True), st.from_regex(rb"[!-~]{1,20}", fullmatch=True)
            ),
            max_size=5,
        ),
        st.binary(max_size=100),
    )
    def test_is_read_as_in_http_1(self, method: bytes, path: bytes, more: list[Any], body: bytes) -> None:
        """
        The resource sees the same request, whichever version it came in.
        """
        self.setUp()
        server = Server(resource := Echo(patient=True))
        Peer(server).ask(body, *more, (b"content-length", b"%d" % len(body)), method=method, path=path)
        channel, _ = server.connect()
        lines = [b"%b %b HTTP/1.1" % (method, path), b"Host: x.example", *(b"%b: %b" % each for each in more)]
        lines += [b"Content-Length: %d" % len(body), b"", b""]
        channel.dataReceived(b"\r\n".join(lines) + body)
        two, one = (
            (
                each.method,
                each.uri,
                each.path,
                each.args,
                dict(each.requestHeaders.getAllRawHeaders()),
                each.content.read(),
            )
            for each in resource.waiting
        )
        self.assertEqual(two, one)


class ManyTests(HTTP2Case):
    """
    Requests at the same time.
    """

    patient = True

    def test_each_is_answered_when_its_answer_is_there(self) -> None:
        """
        In any order.
        """
        numbers = [self.peer.begin(head(b"GET", b"/%d" % each), end=True) for each in range(3)]
        for request in reversed(self.resource.waiting):
            request.write(request.uri)
            request.finish()
            self.peer.hear()
        bodies = [(self.peer.answers[number].body, self.peer.answers[number].ended) for number in numbers]
        self.assertEqual(bodies, [(b"/0", True), (b"/1", True), (b"/2", True)])
        self.assertEqual(self.traffic.streams, 0)

    def test_who_gives_up_hears_nothing_and_disturbs_nobody(self) -> None:
        """
        The request is told; an answer all the same goes nowhere.
        """
        gone = self.peer.begin(head(b"GET"), end=True)
        stays = self.peer.begin(head(b"GET"), end=True)
        first, second = self.resource.waiting
        told = first.notifyFinish()
        self.peer.h2.reset_stream(gone, ErrorCodes.CANCEL)
        self.peer.flush()
        self.failureResultOf(told, ConnectionLost)
        first.write(b"late")
        second.write(b"in time")
        second.finish()
        self.peer.hear()
        self.assertEqual(self.peer.answers[stays].body, b"in time")
        self.assertNotIn(gone, self.peer.answers)

    def test_all_are_told_when_the_connection_is_lost(self) -> None:
        """
        And there is room for others.
        """
        for _ in range(3):
            self.peer.begin(head(b"GET"), end=True)
        told = [request.notifyFinish() for request in self.resource.waiting]
        self.peer.lose()
        for each in told:
            self.failureResultOf(each, ConnectionDone)
        self.assertEqual((self.traffic.open, self.traffic.streams), (set(), 0))

    def test_a_request_may_end_its_stream_alone(self) -> None:
        """
        As it would end its connection in HTTP/1.1.
        """
        number = self.peer.begin(head(b"GET"), end=True)
        self.resource.waiting[0].loseConnection()
        self.resource.waiting[0].finish()
        self.peer.hear()
        self.assertEqual(self.peer.answers[number].reset, ErrorCodes.INTERNAL_ERROR)
        self.assertFalse(self.peer.transport.disconnecting)
        self.assertEqual(self.traffic.streams, 0)

    def test_an_answer_waits_for_its_reader(self) -> None:
        """
        No more is sent than the reader allows, and all of it in the end.
        """
        self.peer.reads = False
        number = self.peer.begin(head(b"GET"), end=True)
        request = self.resource.waiting[0]
        body = bytes(range(256)) * 1000
        request.write(body)
        request.finish()
        self.peer.hear()
        self.assertEqual(len(self.peer.answers[number].body), 65_535)
        self.assertFalse(self.peer.answers[number].ended)
        self.peer.h2.increment_flow_control_window(100_000, number)
        self.peer.flush()
        self.assertEqual(len(self.peer.answers[number].body), 65_535)
        self.peer.h2.increment_flow_control_window(1_000_000)
        self.peer.flush()
        self.assertEqual(len(self.peer.answers[number].body), 165_535)
        self.peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1_000_000})
        self.peer.flush()
        self.assertEqual(self.peer.answers[number].body, body)
        self.assertTrue(self.peer.answers[number].ended)

    def test_who_does_not_read_is_not_read_from(self) -> None:
        """
        Until the transport has written what it has.
        """
        producer: Any = self.peer.transport.producer
        producer.pauseProducing()
        self.assertEqual(self.peer.transport.producerState, "paused")
        producer.resumeProducing()
        self.assertEqual(self.peer.transport.producerState, "producing")


class RefusalTests(HTTP2Case):
    """
    What is too much.
    """

    def test_a_body_up_to_the_limit_is_read(self) -> None:
        """
        Declared or not.
        """
        body = b"x" * 1000
        for more in ((), ((b"content-length", b"1000"),)):
            self.assertEqual(self.peer.ask(body, *more).body, b"POST " + body)

    def test_a_longer_body_is_refused_by_its_head(self) -> None:
        """
        Before a byte of it came, and with nothing of it kept.
        """
        number = self.peer.begin(head(b"POST", b"/", (b"content-length", b"1001")))
        answer = self.peer.answers[number]
        self.assertEqual((answer.status, answer.body), (413, b'{"status":"request entity too large"}'))
        self.assertEqual((answer.ended, answer.reset, answer.headers[b"content-length"]), (True, None, b"37"))
        self.assertEqual(answer.headers[b"content-type"], b"application/json")
        self.assertEqual(self.traffic.refused, {413: 1})

    def test_a_longer_body_without_a_length_is_refused(self) -> None:
        """
        As soon as it is too long; other requests go on.
        """
        number = self.peer.begin(head())
        self.peer.data(number, b"x" * 1000)
        self.assertNotIn(number, self.peer.answers)
        self.peer.data(number, b"x")
        self.assertEqual(self.peer.answers[number].status, 413)
        self.assertEqual(self.peer.channel._held, 0)
        self.assertEqual(self.peer.ask(b"hello").body, b"POST hello")
        self.peer.lose()
        self.assertEqual(self.traffic.streams, 0)

    def test_what_comes_after_a_refusal_is_thrown_away(self) -> None:
        """
        Up to a limit, and no answer to it is made.
        """
        whole, endless = (self.peer.begin(head(b"POST", b"/", (b"content-length", b"6000"))) for _ in range(2))
        for number in (whole, endless):
            for _ in range(5):
                self.peer.data(number, b"x" * 1000)
        self.peer.data(endless, b"x")
        self.assertEqual(self.peer.answers[endless].reset, ErrorCodes.NO_ERROR)
        self.assertIsNone(self.peer.answers[whole].reset)
        self.assertEqual(self.traffic.streams, 1)

    def test_what_is_thrown_away_stops_nobody(self) -> None:
        """
        The connection's window stays open.
        """
        self.server = Server(Echo(), limits=Limits(body=1000))
        peer = Peer(self.server)
        number = peer.begin(head(b"POST", b"/", (b"content-length", b"200000")))
        for _ in range(20):
            peer.data(number, b"x" * 10_000, end=False)
        self.assertEqual(peer.ask(b"hello").body, b"POST hello")

    def test_a_refused_body_that_ends_leaves_nothing(self) -> None:
        """
        Neither a stream nor a reset.
        """
        number = self.peer.begin(head())
        self.peer.data(number, b"x" * 1001)
        self.peer.data(number, b"x", end=True)
        self.assertIsNone(self.peer.answers[number].reset)
        self.assertEqual(self.traffic.streams, 0)

    def test_requests_together_hold_no_more_than_they_may(self) -> None:
        """
        Whoever comes too much is asked to come again; the others are answered.
        """
        numbers = [self.peer.begin(head()) for _ in range(4)]
        for number in numbers:
            self.peer.data(number, b"x" * 600)
        self.assertEqual(self.peer.answers.pop(numbers[-1]).reset, ErrorCodes.REFUSED_STREAM)
        for number in numbers[:-1]:
            self.peer.data(number, b"", end=True)
        self.assertEqual([self.peer.answers[number].status for number in numbers[:-1]], [200] * 3)
        self.assertEqual(self.traffic.refused, {503: 1})
        self.peer.ask(b"x" * 1000)
        self.assertEqual(self.peer.channel._held, 0)

    def test_heads_count_as_well(self) -> None:
        """
        Many requests of which there is a head only are too much, too.
        """
        large = (b"x", b"y" * 1000)
        numbers = [self.peer.begin(head(b"POST", b"/", large)) for _ in range(3)]
        self.assertEqual([self.peer.answers.get(number) for number in numbers[:2]], [None, None])
        self.assertEqual(self.peer.answers[numbers[2]].reset, ErrorCodes.REFUSED_STREAM)

    def test_in_a_crowd_nobody_has_many(self) -> None:
        """
        When as many requests are open as there may be connections, a connection may have a few only.
        """
        other = Peer(self.server)
        for _ in range(5):
            other.begin(head())
        numbers = [self.peer.begin(head()) for _ in range(3)]
        self.assertEqual(self.peer.answers[numbers[2]].reset, ErrorCodes.REFUSED_STREAM)
        self.assertEqual(self.traffic.streams, 7)
        other.lose()
        self.assertNotIn(self.peer.begin(head()), self.peer.answers)

    def test_more_at_once_than_was_said_ends_the_connection(self) -> None:
        """
        It is said at the beginning how many requests may be open.
        """
        peer = Peer(Server(Echo(), limits=Limits(streams=10)))
        for _ in range(10):
            peer.begin(head())
        self.assertEqual(peer.h2.remote_settings.max_concurrent_streams, 10)
        peer.send(HeadersFrame(21, Encoder().encode(head()), flags=["END_HEADERS"]))
        self.assertIsNotNone(peer.goodbye)


class TimeTests(HTTP2Case):
    """
    How long is waited for what.
    """

    def test_whoever_says_nothing_has_to_go(self) -> None:
        """
        Politely, and at once when that does not help.
        """
        peer = self.peer
        self.server.pass_time(9)
        self.assertFalse(peer.transport.disconnecting)
        self.server.pass_time(1)
        peer.hear()
        self.assertEqual(peer.goodbye, ErrorCodes.NO_ERROR)
        self.assertTrue(peer.transport.disconnecting)
        self.assertFalse(peer.transport.disconnected)
        self.server.pass_time(10)
        self.assertTrue(peer.transport.disconnected)
        self.assertEqual(self.traffic.slow, 0)

    def test_a_request_has_some_time_to_arrive(self) -> None:
        """
        And no more by arriving slowly, nor by what else happens on the connection.
        """
        number = self.peer.begin(head())
        for _ in range(9):
            self.server.pass_time(1)
            self.peer.data(number, b"x")
            self.peer.ask(b"hello")
            self.peer.send(PingFrame(0, b"12345678"))
        self.assertFalse(self.peer.transport.disconnected)
        self.server.pass_time(1)
        self.assertTrue(self.peer.transport.disconnected)
        self.assertEqual(self.traffic.slow, 1)

    def test_between_requests_there_is_more_time(self) -> None:
        """
        Which only a request makes longer.
        """
        self.peer.ask(b"hello")
        self.server.pass_time(50)
        self.peer.ask(b"hello")
        for _ in range(59):
            self.server.pass_time(1)
            self.peer.send(PingFrame(0, b"12345678"))
        self.assertFalse(self.peer.transport.disconnecting)
        self.server.pass_time(1)
        self.peer.hear()
        self.assertEqual(self.peer.goodbye, ErrorCodes.NO_ERROR)

    def test_an_answer_takes_its_time(self) -> None:
        """
        The clock stands still while a request is answered.
        """
        self.resource.patient = True
        number = self.peer.begin(head(b"GET"), end=True)
        self.server.pass_time(1000)
        self.resource.waiting[0].finish()
        self.peer.hear()
        self.assertTrue(self.peer.answers[number].ended)

    def test_an_answer_that_nobody_takes_ends_the_connection(self) -> None:
        """
        After the time between two requests; it is not said to have been slow in arriving.
        """
        self.resource.patient = True
        self.peer.reads = False
        number = self.peer.begin(head(b"GET"), end=True)
        self.resource.waiting[0].write(b"x" * 100_000)
        self.resource.waiting[0].finish()
        self.server.pass_time(50)
        self.peer.h2.increment_flow_control_window(1000, number)
        self.peer.h2.increment_flow_control_window(1000)
        self.peer.flush()
        self.server.pass_time(59)
        self.assertFalse(self.peer.transport.disconnected)
        self.server.pass_time(1)
        self.assertTrue(self.peer.transport.disconnected)
        self.assertEqual(self.traffic.slow, 0)

    def test_who_sends_on_after_a_refusal_is_stopped(self) -> None:
        """
        That request alone.
        """
        number = self.peer.begin(head(b"POST", b"/", (b"content-length", b"1001")))
        self.server.pass_time(10)
        self.peer.hear()
        self.assertEqual(self.peer.answers[number].reset, ErrorCodes.NO_ERROR)
        self.assertEqual(self.peer.ask(b"hello").body, b"POST hello")

    def test_who_has_fewer_takes_a_place(self) -> None:
        """
        Of whoever has all of them.
        """
        peers = [self.peer, *(Peer(self.server) for _ in range(4))]
        protocol = self.server.site.buildProtocol(IPv4Address("TCP", "198.51.100.1", 4711))
        protocol.makeConnection(StringTransport())
        self.assertEqual(sum(peer.transport.disconnected for peer in peers), 1)
        self.assertEqual(len(self.traffic.open), 5)


class PatienceTests(HTTP2Case):
    """
    What is of no use.
    """

    limits = Limits(streams=1000)

    def flood(self, *frames: Frame) -> int | None:
        """
        Send these as if there was nothing else to do: why the connection was ended, if it was.
        """
        peer = Peer(self.server)
        peer.flush()
        number = peer.begin(head())
        for frame in frames:
            if frame.stream_id:
                frame.stream_id = number
        whole = b"".join(frame.serialize() for frame in frames)
        for _ in range(1100):
            if not peer.transport.disconnecting:
                peer.protocol.dataReceived(whole)
        data = peer.transport.value()
        peer.transport.clear()
        self.peer = peer
        for event in peer.h2.receive_data(data):
            if isinstance(event, events.ConnectionTerminated):
                return int(event.error_code or 0)
        return None

    def test_frames_that_are_no_request_are_borne_up_to_a_point(self) -> None:
        """
        Thousands of them, not one after the other without end.
        """
        for frames in (
            (PingFrame(0, b"12345678"),),
            (SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 100}),),
            (PriorityFrame(1, depends_on=0, stream_weight=1),),
            (WindowUpdateFrame(1, window_increment=1),),
            (WindowUpdateFrame(0, window_increment=1),),
            (DataFrame(1, b""),),
            (DataFrame(1, b"x"),),
        ):
            self.assertEqual(self.flood(*frames), ErrorCodes.ENHANCE_YOUR_CALM, frames)
            self.assertTrue(self.peer.transport.disconnecting)
            self.peer.lose()
        self.assertEqual(self.traffic.refused, {400: 7})

    def test_requests_that_are_given_up_are_borne_up_to_a_point(self) -> None:
        """
        To ask and to give up at once costs us more than it costs the peer (CVE-2023-44487).
        """
        encoder = Encoder()
        self.peer.flush()
        asked = 0
        for number in range(1, 2000, 2):
            if self.peer.transport.disconnecting:
                break
            asked += 1
            frames = (
                HeadersFrame(number, encoder.encode(head()), flags=["END_HEADERS", "END_STREAM"]),
                RstStreamFrame(number),
            )
            self.peer.protocol.dataReceived(b"".join(frame.serialize() for frame in frames))
        self.assertTrue(100 < asked < 250, asked)
        self.assertEqual(self.traffic.streams, 0)

    def test_requests_that_we_are_made_to_give_up_are_borne_up_to_a_point(self) -> None:
        """
        As when the peer does so itself (CVE-2025-8671).
        """
        for wrong in (DataFrame(1, b"x"), WindowUpdateFrame(1, window_increment=2**31 - 1)):
            peer = Peer(self.server)
            peer.flush()
            encoder = Encoder()
            asked = 0
            while not peer.transport.disconnecting and asked < 1000:
                wrong.stream_id = 2 * asked + 1
                asking = HeadersFrame(wrong.stream_id, encoder.encode(head()), flags=["END_HEADERS", "END_STREAM"])
                self.resource.patient = True
                peer.protocol.dataReceived(asking.serialize() + wrong.serialize())
                asked += 1
            self.assertTrue(100 < asked < 250, asked)
            self.assertEqual(self.traffic.streams, 0)

    def test_time_restores_patience(self) -> None:
        """
        A hundred of a kind each second are no burden.
        """
        self.peer.ask()
        for _ in range(20):
            self.server.clock.advance(1)
            self.peer.send(*[PingFrame(0, b"12345678")] * 100)
        self.assertIsNone(self.peer.goodbye)

    def test_requests_restore_patience(self) -> None:
        """
        A client that asks thousands of times may do what clients do.
        """
        for _ in range(3000):
            number = self.peer.h2.get_next_available_stream_id()
            self.peer.h2.send_headers(number, head(b"GET"), end_stream=True, priority_weight=16)
            self.peer.h2.increment_flow_control_window(1)
            self.peer.flush()
        self.assertIsNone(self.peer.goodbye)

    def test_nothing_is_kept_for_long(self) -> None:
        """
        Neither how streams ended, nor the headers of answers, however large a table the peer offers.
        """
        self.peer.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: 2**31 - 1})
        self.peer.flush()
        for _ in range(600):
            self.assertEqual(self.peer.ask(b"hello").status, 200)
            self.server.clock.advance(1)
        framing = self.peer.channel._framing
        self.assertLessEqual(framing.encoder.header_table_size, 4096)
        self.assertLessEqual(len(framing._closed_streams), 512)

    def test_a_farewell_is_returned(self) -> None:
        """
        Whoever leaves need not wait, nor say it twice.
        """
        self.peer.flush()
        self.peer.send(GoAwayFrame(0), GoAwayFrame(0))
        self.assertTrue(self.peer.transport.disconnecting)
        self.assertEqual(self.traffic.refused, {})

    def test_who_took_leave_and_stays_is_put_out(self) -> None:
        """
        Whatever becomes of requests that nobody answers any more.
        """
        self.resource.patient = True
        for _ in range(2):
            self.peer.begin(head(b"GET"), end=True)
        self.peer.send(GoAwayFrame(0))
        self.resource.waiting[0].loseConnection()
        self.server.pass_time(9)
        self.assertFalse(self.peer.transport.disconnected)
        self.server.pass_time(1)
        self.assertTrue(self.peer.transport.disconnected)
        self.peer.lose()
        self.assertEqual(self.traffic.streams, 0)

    def test_what_follows_the_end_is_thrown_away(self) -> None:
        """
        Up to a limit.
        """
        self.peer.flush()
        self.peer.send(GoAwayFrame(0))
        for _ in range(16):
            self.peer.protocol.dataReceived(b"x" * 65_536)
        self.assertFalse(self.peer.transport.disconnected)
        self.peer.protocol.dataReceived(b"x")
        self.assertTrue(self.peer.transport.disconnected)

    def test_a_head_without_end_is_not_read_for_ever(self) -> None:
        """
        However small its parts.
        """
        self.peer.flush()
        self.peer.protocol.dataReceived(HeadersFrame(1, b"").serialize())
        for _ in range(100):
            self.peer.protocol.dataReceived(ContinuationFrame(1, b"").serialize())
        self.assertTrue(self.peer.transport.disconnecting)


FRAMES = st.one_of(
    st.builds(PingFrame, st.just(0), st.binary(min_size=8, max_size=8)),
    st.builds(
        HeadersFrame,
        st.sampled_from([1, 3, 5]),
        st.sampled_from([Encoder().encode(head()), Encoder().encode(head(b"GET", b"/x")), b"\x3f", b""]),
        flags=st.sets(st.sampled_from(["END_HEADERS", "END_STREAM"])),
    ),
    st.builds(DataFrame, st.sampled_from([1, 3, 5]), st.binary(max_size=1200), flags=st.sets(st.just("END_STREAM"))),
    st.builds(RstStreamFrame, st.sampled_from([1, 3, 5])),
    st.builds(WindowUpdateFrame, st.sampled_from([0, 1, 3]), window_increment=st.integers(1, 2**31 - 1)),
    st.builds(
        SettingsFrame,
        st.just(0),
        settings=st.dictionaries(st.integers(1, 6), st.integers(0, 2**32 - 1), max_size=3),
    ),
    st.builds(ContinuationFrame, st.sampled_from([1, 3]), st.binary(max_size=10)),
    st.builds(GoAwayFrame, st.just(0)),
    st.builds(PriorityFrame, st.sampled_from([1, 3]), depends_on=st.integers(0, 5), stream_weight=st.just(1)),
)


class AnythingTests(SynchronousTestCase):
    """
    Whatever a stranger sends.
    """

    def hear(self, parts: Sequence[bytes], patient: bool) -> None:
        """
        Nothing is raised, nothing logged, and nothing is left when the connection is.
        """
        server = Server(Echo(patient), limits=LIMITS)
        peer = Peer(server)
        for part in parts:
            peer.protocol.dataReceived(part)
        server.pass_time(3)
        for request in server.resource.waiting:
            if not request._disconnected:
                request.write(b"answer")
                request.finish()
        server.pass_time(3)
        peer.lose()
        self.assertEqual((server.site.traffic.open, server.site.traffic.streams), (set(), 0))
        self.assertEqual(peer.channel._held, 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    @settings(max_examples=300)
    @given(st.lists(FRAMES, max_size=12), st.booleans(), st.booleans())
    def test_frames_in_any_order(self, frames: list[Frame], together: bool, patient: bool) -> None:
        """
        Valid by themselves, and senseless together.
        """
        sent = [PREFACE + SettingsFrame(0).serialize(), *(frame.serialize() for frame in frames)]
        self.hear([b"".join(sent)] if together else sent, patient)

    @settings(max_examples=200)
    @given(st.data(), st.lists(st.integers(0, 400), max_size=4))
    def test_bytes_that_are_wrong(self, data: st.DataObject, cuts: list[int]) -> None:
        """
        A good conversation in which bytes are others, and that is cut anywhere.
        """
        client = H2Connection(H2Configuration(header_encoding=None))
        client.initiate_connection()
        client.send_headers(1, head(b"POST", b"/", (b"content-length", b"5"), (b"x-y", b"z")))
        client.send_data(1, b"hello", end_stream=True)
        client.send_headers(3, head(b"GET"), end_stream=True)
        sent = bytearray(client.data_to_send())
        for place in data.draw(st.lists(st.integers(0, len(sent) - 1), max_size=3)):
            sent[place] = data.draw(st.integers(0, 255))
        places = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
        self.hear([bytes(sent[start:stop]) for start, stop in pairwise(places)], patient=False)

    @given(st.binary(max_size=300))
    def test_noise(self, noise: bytes) -> None:
        """
        After the greeting.
        """
        self.hear([PREFACE + SettingsFrame(0).serialize() + noise], patient=False)
