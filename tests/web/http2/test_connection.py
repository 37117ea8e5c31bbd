"""
Tests of :mod:`itsjustintv.web.http2.connection`, driven by the client of h2, and frame by frame.
"""

from __future__ import annotations

from typing import Any

from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    SettingsFrame,
)
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport

from itsjustintv.web.connection_limits import ConnectionLimits
from tests.web.peer import Answer, Fields, HTTP2Case, Peer, head
from tests.web.test_http1 import Echo, Server


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
        # More of it than a connection may be sent before it is taken.
        for _ in range(300):
            number = self.peer.begin(head())
            self.peer.data(number, b"he")
            self.peer.h2.send_data(number, b"llo", end_stream=True, pad_length=250)
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

    def test_a_client_may_have_no_room_for_our_headers(self) -> None:
        """
        Whatever size its table has, and however often it says so, it can read every answer.
        """
        for sizes in (
            (0,),
            (100,),
            (4095,),
            (4096,),
            (65_536,),
            (100, 100),
            (100, 4096),
            (65_536, 100),
            (0, 65_536),
            (100, 4096, 50),
        ):
            peer = Peer(self.server)
            for size in sizes:
                peer.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: size})
                peer.flush()
            for _ in range(3):
                self.assertEqual(peer.ask(b"hello").body, b"POST hello", sizes)
            peer.lose()

    def test_a_body_that_is_not_as_long_as_it_is_said_to_be(self) -> None:
        """
        Is refused, also where h2 does not notice.
        """
        five = (b"content-length", b"5")
        nothing = self.peer.begin(head(b"POST", b"/", five), end=True)
        less = self.peer.begin(head(b"POST", b"/", five))
        self.peer.data(less, b"hell")
        self.peer.h2.send_headers(less, [(b"checksum", b"1")], end_stream=True)
        self.peer.flush()
        self.assertEqual([self.peer.answers[number].status for number in (nothing, less)], [400, 400])
        self.assertEqual(self.registry.streams, 0)

    def test_an_answer_that_http_2_does_not_know_is_none(self) -> None:
        """
        What has no head has no body either.
        """
        self.resource.patient = True
        number = self.peer.begin(head(b"GET"), end=True)
        request = self.resource.unsent[0]
        request.setHeader(b"TE", b"gzip")
        request.write(b"hello")
        request.finish()
        self.peer.hear()
        answer = self.peer.answers[number]
        self.assertEqual((answer.status, answer.body, answer.reset), (0, b"", ErrorCodes.INTERNAL_ERROR))
        self.assertEqual(self.peer.ask(b"", method=b"HEAD", path=b"/").status, 0)
        self.assertEqual(self.registry.streams, 1)

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
            [*head(b"CONNECT"), (b":protocol", b"websocket")],
            head(b"POST", b"/", (b"content-length", b"9" * 20)),
        ):
            number = self.peer.begin(fields, end=b"content-length" not in dict(fields))
            answer = self.peer.answers[number]
            self.assertEqual((answer.status, answer.body), (400, b'{"status":"bad request"}'), fields)
        self.assertEqual(self.registry.refused, {400: 6})
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
        self.assertEqual(self.registry.refused, {400: 5})

    def test_the_longest_names_and_values(self) -> None:
        """
        A head may have 16 KiB, as in HTTP/1.1.
        """
        peer = Peer(Server(Echo(), limits=ConnectionLimits()))
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
            for each in resource.unsent
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
        for request in reversed(self.resource.unsent):
            request.write(request.uri)
            request.finish()
            self.peer.hear()
        bodies = [(self.peer.answers[number].body, self.peer.answers[number].ended) for number in numbers]
        self.assertEqual(bodies, [(b"/0", True), (b"/1", True), (b"/2", True)])
        self.assertEqual(self.registry.streams, 0)

    def test_who_gives_up_hears_nothing_and_disturbs_nobody(self) -> None:
        """
        The request is told; an answer all the same goes nowhere.
        """
        gone = self.peer.begin(head(b"GET"), end=True)
        stays = self.peer.begin(head(b"GET"), end=True)
        first, second = self.resource.unsent
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
        told = [request.notifyFinish() for request in self.resource.unsent]
        self.peer.lose()
        for each in told:
            self.failureResultOf(each, ConnectionDone)
        self.assertEqual((self.registry.open, self.registry.streams), (set(), 0))

    def test_a_request_may_end_its_stream_alone(self) -> None:
        """
        As it would end its connection in HTTP/1.1.
        """
        number = self.peer.begin(head(b"GET"), end=True)
        self.peer.begin(head(b"GET"), end=True)
        ended, lost = self.resource.unsent
        told = lost.notifyFinish()
        ended.loseConnection()
        ended.finish()
        lost.loseConnection()
        self.server.clock.advance(0)
        self.failureResultOf(told, ConnectionLost)
        self.peer.hear()
        self.assertEqual(self.peer.answers[number].reset, ErrorCodes.INTERNAL_ERROR)
        self.assertFalse(self.peer.transport.disconnecting)
        self.assertEqual(self.registry.streams, 0)

    def test_an_answer_that_breaks_off_says_so_before_the_farewell(self) -> None:
        """
        To whoever takes leave, too.
        """
        number = self.peer.begin(head(b"GET"), end=True)
        self.peer.send(GoAwayFrame(0))
        request = self.resource.unsent[0]
        request.write(b"hel")
        request.loseConnection()
        self.peer.hear()
        answer = self.peer.answers[number]
        self.assertEqual((answer.body, answer.ended, answer.reset), (b"hel", False, ErrorCodes.INTERNAL_ERROR))
        self.assertTrue(self.peer.transport.disconnecting)

    def test_an_answer_waits_for_its_reader(self) -> None:
        """
        No more is sent than the reader allows, and all of it in the end.
        """
        self.peer.reads = False
        number = self.peer.begin(head(b"GET"), end=True)
        request = self.resource.unsent[0]
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
        self.peer.flush()
        producer: Any = self.peer.transport.producer
        producer.pauseProducing()
        self.assertEqual(self.peer.transport.producerState, "paused")
        self.peer.begin(head(b"GET"), end=True)
        self.server.pass_time(9)
        self.assertEqual(self.resource.unsent, [])
        producer.resumeProducing()
        self.assertEqual(self.peer.transport.producerState, "producing")
        self.assertEqual(len(self.resource.unsent), 1)


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
        self.assertEqual(self.registry.refused, {413: 1})

    def test_a_longer_body_without_a_length_is_refused(self) -> None:
        """
        As soon as it is too long; other requests go on.
        """
        number = self.peer.begin(head())
        self.peer.data(number, b"x" * 1000)
        self.assertNotIn(number, self.peer.answers)
        self.peer.data(number, b"x")
        self.assertEqual(self.peer.answers[number].status, 413)
        self.assertEqual(self.peer.channel._buffered, 0)
        self.assertEqual(self.peer.ask(b"hello").body, b"POST hello")
        self.peer.lose()
        self.assertEqual(self.registry.streams, 0)

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
        self.assertEqual(self.registry.streams, 1)

    def test_what_is_thrown_away_stops_nobody(self) -> None:
        """
        The connection's window stays open.
        """
        self.server = Server(Echo(), limits=ConnectionLimits(body=1000))
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
        self.assertEqual(self.registry.streams, 0)

    def test_a_refused_body_may_end_before_its_length(self) -> None:
        """
        As with curl, which says no more once it has been told; other requests go on.
        """
        self.resource.patient = True
        other = self.peer.begin(head(b"GET"), end=True)
        number = self.peer.begin(head(b"POST", b"/", (b"content-length", b"1001")))
        self.peer.data(number, b"x", end=True)
        self.assertEqual(self.peer.answers[number].status, 413)
        self.assertIsNone(self.peer.goodbye)
        self.resource.unsent[0].finish()
        self.peer.hear()
        self.assertEqual(self.peer.answers[other].status, 200)
        self.assertEqual(self.registry.refused, {413: 1})

    def test_what_is_too_long_is_not_waited_for(self) -> None:
        """
        Neither a frame nor a head in many of them.
        """
        for frames in (
            [b"\x00\x40\x01" + DataFrame(1).serialize()[3:]],
            [HeadersFrame(1, b"").serialize(), *[ContinuationFrame(1, b"x" * 4096).serialize()] * 5],
        ):
            peer = Peer(self.server)
            peer.flush()
            for frame in frames:
                self.assertFalse(peer.transport.disconnecting)
                peer.protocol.dataReceived(frame)
            peer.hear()
            self.assertEqual(peer.goodbye, ErrorCodes.FRAME_SIZE_ERROR)
            self.assertTrue(peer.transport.disconnecting)
            peer.lose()
        self.assertEqual(self.registry.refused, {400: 2})

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
        self.assertEqual(self.registry.refused, {503: 1})
        self.peer.ask(b"x" * 1000)
        self.assertEqual(self.peer.channel._buffered, 0)

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
        self.assertEqual(self.registry.streams, 7)
        other.lose()
        self.assertNotIn(self.peer.begin(head()), self.peer.answers)

    def test_more_at_once_than_was_said_ends_the_connection(self) -> None:
        """
        It is said at the beginning how many requests may be open.
        """
        peer = Peer(Server(Echo(), limits=ConnectionLimits(streams=10)))
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
        self.assertEqual(self.registry.timed_out, 0)

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
        self.assertEqual(self.registry.timed_out, 1)

    def test_what_arrives_in_time_is_forgiven(self) -> None:
        """
        However late in it, and however soon the next thing begins.
        """
        self.peer.ask(b"hello")
        ping = PingFrame(0).serialize()
        self.peer.protocol.dataReceived(ping[:5])
        self.server.pass_time(9)
        self.peer.protocol.dataReceived(ping[5:] + ping[:5])
        self.server.pass_time(9)
        self.peer.protocol.dataReceived(ping[5:])
        self.server.pass_time(20)
        self.assertFalse(self.peer.transport.disconnecting)

    def test_a_head_has_some_time_to_arrive(self) -> None:
        """
        And no more by arriving in many frames, by what is asked before, or after a request was answered.
        """
        for part in (HeadersFrame(9, b"").serialize(), PingFrame(0).serialize()[:5]):
            peer = Peer(self.server)
            peer.ask(b"hello")
            self.server.pass_time(30)
            peer.protocol.dataReceived(PingFrame(0).serialize() + part if len(part) > 5 else part)
            for _ in range(9):
                self.server.pass_time(1)
                peer.protocol.dataReceived(ContinuationFrame(9, b"").serialize() if len(part) > 5 else b"\x00")
            self.assertFalse(peer.transport.disconnected)
            self.server.pass_time(1)
            self.assertTrue(peer.transport.disconnected)
        self.assertEqual(self.registry.timed_out, 2)

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
        self.resource.unsent[0].finish()
        self.peer.hear()
        self.assertTrue(self.peer.answers[number].ended)

    def test_an_answer_that_nobody_takes_ends_the_connection(self) -> None:
        """
        After the time between two requests; it is not said to have been slow in arriving.
        """
        self.resource.patient = True
        self.peer.reads = False
        number = self.peer.begin(head(b"GET"), end=True)
        self.resource.unsent[0].write(b"x" * 100_000)
        self.resource.unsent[0].finish()
        self.server.pass_time(50)
        self.peer.h2.increment_flow_control_window(1000, number)
        self.peer.h2.increment_flow_control_window(1000)
        self.peer.flush()
        for _ in range(59):
            self.server.pass_time(1)
            # To allow more is not to have taken any.
            self.peer.send(SettingsFrame(0, settings={SettingsFrame.MAX_CONCURRENT_STREAMS: 1}))
        self.assertFalse(self.peer.transport.disconnected)
        self.server.pass_time(1)
        self.assertTrue(self.peer.transport.disconnected)
        self.assertEqual(self.registry.timed_out, 0)

    def test_an_answer_that_nobody_begins_to_take_ends_the_connection(self) -> None:
        """
        As well.
        """
        self.peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        self.peer.ask(b"hello")
        self.server.pass_time(59)
        self.assertFalse(self.peer.transport.disconnected)
        self.server.pass_time(1)
        self.assertTrue(self.peer.transport.disconnected)

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
        self.assertEqual(len(self.registry.open), 5)
