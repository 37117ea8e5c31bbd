"""
Tests of :mod:`itsjustintv.web.http2.connection`: what is of no use, and what makes no sense.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from struct import pack

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hpack import Encoder
from hyperframe.frame import (
    AltSvcFrame,
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
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.web.connection_limits import ConnectionLimits
from tests import examples
from tests.web.peer import LIMITS, PREFACE, HTTP2Case, Peer, head
from tests.web.test_http1 import Echo, Server


class AbuseBudgetTests(HTTP2Case):
    """
    What is of no use.
    """

    limits = ConnectionLimits(streams=1000)

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
                peer.give(whole)
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
            (PingFrame(0, b"12345678", flags=["ACK"]),),
            (SettingsFrame(0, flags=["ACK"]),),
            (AltSvcFrame(0, origin=b"x", field=b"y"),),
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
        self.assertEqual(self.registry.refused, {400: 10})

    def test_frames_for_what_is_over_are_borne_up_to_a_point(self) -> None:
        """
        Whether the stream ended, was reset or never was.
        """
        for frame in (WindowUpdateFrame(1, window_increment=1), RstStreamFrame(1), DataFrame(3, b"x" * 600)):
            peer = Peer(self.server)
            peer.ask(b"hello")
            peer.h2.reset_stream(peer.begin(head()))
            peer.flush()
            sent = 0
            while not peer.transport.disconnecting and sent < 2000:
                peer.give(frame.serialize())
                sent += 1
            self.assertTrue(900 < sent < 1100, (frame, sent))
            peer.lose()

    def test_farewells_are_borne_up_to_a_point(self) -> None:
        """
        Also from whoever still waits for an answer.
        """
        self.resource.patient = True
        self.peer.begin(head(b"GET"), end=True)
        sent = 0
        while not self.peer.transport.disconnecting and sent < 2000:
            self.peer.give(GoAwayFrame(0).serialize())
            sent += 1
        self.assertTrue(900 < sent < 1100, sent)

    def test_heads_for_what_is_over_are_borne_up_to_a_point(self) -> None:
        """
        They are read all the same, and a few bytes may be a long one.
        """
        self.peer.h2.reset_stream(self.peer.begin(head()))
        self.peer.flush()
        again = HeadersFrame(1, Encoder().encode([(b"x", b"y")]), flags=["END_HEADERS", "END_STREAM"]).serialize()
        sent = 0
        while not self.peer.transport.disconnecting and sent < 2000:
            self.peer.give(again)
            sent += 1
        self.assertTrue(50 < sent < 150, sent)

    def test_settings_that_mean_nothing_are_not_kept(self) -> None:
        """
        However many there are.
        """
        self.peer.flush()
        known = len(self.peer.channel._h2.remote_settings)
        for number in range(1, 11):
            settings = b"".join(pack(">HL", 1000 * number + each, each) for each in range(900))
            self.peer.give(pack(">L", len(settings) << 8 | 4) + bytes(5) + settings)
        self.peer.hear()
        self.assertIsNone(self.peer.goodbye)
        self.assertEqual(len(self.peer.channel._h2.remote_settings), known)

    def test_who_is_turned_away_again_and_again_has_to_go(self) -> None:
        """
        A request for which there is no room is no good deed.
        """
        self.server = Server(Echo(), limits=ConnectionLimits(buffered=0))
        peer = Peer(self.server)
        asked = 0
        while not peer.transport.disconnecting and asked < 2000:
            peer.begin(head(), end=True)
            asked += 1
        self.assertTrue(asked > 900, asked)
        self.assertTrue(peer.transport.disconnecting)

    def test_requests_that_are_given_up_are_borne_up_to_a_point(self) -> None:
        """
        To ask and to give up at once costs us more than it costs the peer (CVE-2023-44487).
        """
        encoder = Encoder()
        self.peer.flush()
        self.resource.patient = True
        asked = 0
        for number in range(1, 2000, 2):
            if self.peer.transport.disconnecting:
                break
            asked += 1
            frames = (
                HeadersFrame(number, encoder.encode(head()), flags=["END_HEADERS", "END_STREAM"]),
                RstStreamFrame(number),
            )
            self.peer.give(b"".join(frame.serialize() for frame in frames))
        self.assertTrue(100 < asked < 250, asked)
        self.assertEqual(self.registry.streams, 0)

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
                peer.give(asking.serialize() + wrong.serialize())
                asked += 1
            self.assertTrue(100 < asked < 250, asked)
            self.assertEqual(self.registry.streams, 0)

    def test_a_long_body_may_come_in_parts(self) -> None:
        """
        If they are not very small.
        """
        for _ in range(3):
            number = self.peer.begin(head())
            for _ in range(500):
                self.peer.data(number, b"x" * 512)
            self.peer.data(number, b"", end=True)
            self.assertEqual(self.peer.answers[number].status, 200)

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
        A client that asks again and again may do what clients do; without its requests it could for 500 of these.
        """
        for _ in range(1200):
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
        framing = self.peer.channel._h2
        self.assertLessEqual(framing.encoder.header_table_size, 4096)
        self.assertLessEqual(len(framing._closed_streams), 512)

    def test_a_farewell_is_returned(self) -> None:
        """
        Whoever leaves need not wait, and has done nothing wrong, whatever else is said.
        """
        self.peer.flush()
        self.peer.send(GoAwayFrame(0), GoAwayFrame(0), PingFrame(0))
        self.assertTrue(self.peer.transport.disconnecting)
        self.assertEqual(self.registry.refused, {})

    def test_answers_that_are_waited_for_come_before_the_farewell(self) -> None:
        """
        As with Node, which takes leave as soon as it has nothing more to ask.
        """
        self.resource.patient = True
        numbers = [self.peer.begin(head(b"GET"), end=True) for _ in range(2)]
        self.peer.send(GoAwayFrame(0))
        self.server.pass_time(20)
        for request in self.resource.unsent:
            self.assertFalse(self.peer.transport.disconnecting)
            request.write(b"hello")
            request.finish()
            self.peer.hear()
        self.assertEqual([self.peer.answers[number].body for number in numbers], [b"hello"] * 2)
        self.assertTrue(self.peer.transport.disconnecting)
        self.assertEqual(self.peer.goodbye, ErrorCodes.NO_ERROR)

    def test_a_farewell_of_no_form_is_none(self) -> None:
        """
        On a stream, without all of it, or in the middle of a head.
        """
        begun = HeadersFrame(1, b"").serialize()
        for wrong in (b"\x00\x00\x08\x07" + bytes(4) + b"\x01" + bytes(8), b"\x00\x00\x04\x07" + bytes(9)):
            self.assert_refused(wrong)
        self.assert_refused(begun + GoAwayFrame(0).serialize())

    def assert_refused(self, data: bytes) -> None:
        """
        A connection on which this is said ends, with a refusal.
        """
        before = self.registry.refused.total()
        peer = Peer(self.server)
        peer.flush()
        peer.give(data)
        self.assertTrue(peer.transport.disconnecting)
        self.assertEqual(self.registry.refused.total(), before + 1)

    def test_who_was_refused_and_stays_is_put_out(self) -> None:
        """
        Whatever becomes of requests that nobody answers any more.
        """
        self.peer.ask(b"hello")
        self.resource.patient = True
        for _ in range(2):
            self.peer.begin(head(b"GET"), end=True)
        self.server.pass_time(20)
        self.peer.send(ContinuationFrame(1, b"x"))
        self.resource.unsent[0].loseConnection()
        self.server.pass_time(9)
        self.assertFalse(self.peer.transport.disconnected)
        self.server.pass_time(1)
        self.assertTrue(self.peer.transport.disconnected)
        self.peer.lose()
        self.assertEqual(self.registry.streams, 0)

    def test_a_few_bytes_that_are_many_requests_leave_time_for_others(self) -> None:
        """
        Some are answered at once, and others when whoever else there is has had a turn; meanwhile nothing is read.
        """
        self.resource.patient = True
        encoder = Encoder()
        self.peer.flush()
        asked = [
            HeadersFrame(2 * n + 1, encoder.encode(head()), flags=["END_HEADERS", "END_STREAM"]) for n in range(100)
        ]
        self.peer.protocol.dataReceived(b"".join(frame.serialize() for frame in asked))
        heard = [0]
        while len(self.resource.unsent) < 100:
            heard.append(len(self.resource.unsent))
            self.assertTrue(heard[-2] < heard[-1] <= heard[-2] + 40, heard)
            self.assertEqual(self.peer.transport.producerState, "paused")
            self.peer.protocol.dataReceived(b"")
            self.server.clock.advance(0)
        self.server.clock.advance(0)
        self.assertEqual(self.peer.transport.producerState, "producing")

    def test_who_is_gone_in_the_middle_is_heard_no_more(self) -> None:
        """
        Of what had arrived, nothing is done when nobody waits for it.
        """
        self.resource.patient = True
        for end in (Peer.lose, lambda peer: peer.channel.abort()):
            peer = Peer(self.server)
            peer.flush()
            encoder = Encoder()
            asked = [HeadersFrame(2 * n + 1, encoder.encode(head()), flags=["END_HEADERS"]) for n in range(99)]
            peer.protocol.dataReceived(b"".join(frame.serialize() for frame in asked))
            before = self.registry.streams
            self.assertGreater(before, 0)
            end(peer)
            self.server.clock.pump([0] * 10)
            self.assertIn(self.registry.streams, (0, before))

    def test_who_does_wrong_in_the_middle_can_take_leave(self) -> None:
        """
        Nothing was read while there was more to be looked at; afterwards something is, to be thrown away.
        """
        self.peer.flush()
        self.peer.protocol.dataReceived(PingFrame(0).serialize() * 40 + ContinuationFrame(1, b"x").serialize())
        self.assertEqual(self.peer.transport.producerState, "paused")
        self.server.clock.advance(0)
        self.assertTrue(self.peer.transport.disconnecting)
        self.assertEqual(self.peer.transport.producerState, "producing")

    def test_a_few_bytes_that_are_long_heads_are_borne_up_to_a_point(self) -> None:
        """
        What has been said once can be said again in a byte.
        """
        long = (b"x", b"y" * 3000)
        asked = 0
        while not self.peer.transport.disconnecting and asked < 1000:
            self.peer.begin(head(b"GET", b"/", long), end=True)
            asked += 1
        self.assertTrue(100 < asked < 400, asked)

    def test_trailers_are_heads_too(self) -> None:
        """
        Borne as those are.
        """
        asked = 0
        while not self.peer.transport.disconnecting and asked < 1000:
            number = self.peer.begin(head())
            self.peer.h2.send_headers(number, [(b"x", b"y" * 3000)], end_stream=True)
            self.peer.flush()
            asked += 1
        self.assertTrue(100 < asked < 400, asked)

    def test_what_follows_the_end_is_thrown_away(self) -> None:
        """
        Up to a limit.
        """
        self.peer.flush()
        self.peer.send(GoAwayFrame(0))
        for _ in range(16):
            self.peer.give(b"x" * 65_536)
        self.assertFalse(self.peer.transport.disconnected)
        self.peer.give(b"x")
        self.assertTrue(self.peer.transport.disconnected)

    def test_a_head_without_end_is_not_read_for_ever(self) -> None:
        """
        However small its parts.
        """
        self.peer.flush()
        self.peer.give(HeadersFrame(1, b"").serialize())
        for _ in range(100):
            self.peer.give(ContinuationFrame(1, b"").serialize())
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
            peer.give(part)
        server.pass_time(3)
        for request in server.resource.unsent:
            if not request._disconnected:
                request.write(b"answer")
                request.finish()
        server.pass_time(3)
        peer.lose()
        self.assertEqual((server.site.registry.open, server.site.registry.streams), (set(), 0))
        self.assertEqual(peer.channel._buffered, 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    @settings(max_examples=examples(300))
    @given(st.lists(FRAMES, max_size=12), st.booleans(), st.booleans())
    def test_frames_in_any_order(self, frames: list[Frame], together: bool, patient: bool) -> None:
        """
        Valid by themselves, and senseless together.
        """
        sent = [PREFACE + SettingsFrame(0).serialize(), *(frame.serialize() for frame in frames)]
        self.hear([b"".join(sent)] if together else sent, patient)

    @settings(max_examples=examples(200))
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
        places = [0, *sorted(min(abort, len(sent)) for abort in cuts), len(sent)]
        self.hear([bytes(sent[start:stop]) for start, stop in pairwise(places)], patient=False)

    @given(st.binary(max_size=300))
    def test_noise(self, noise: bytes) -> None:
        """
        After the greeting.
        """
        self.hear([PREFACE + SettingsFrame(0).serialize() + noise], patient=False)
