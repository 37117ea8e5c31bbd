"""
One HTTP/2 connection, with the same limits as one in HTTP/1.1. h2 knows the protocol; what a peer may cost is
limited here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any, ClassVar

from h2 import events
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web import http, server
from zope.interface import implementer

from itsjustintv.web.connection import BaseConnection
from itsjustintv.web.http1 import HTTP1Connection, RequestBodyTooLong
from itsjustintv.web.http2.flow_limit import AbuseBudget, FrameReader
from itsjustintv.web.http2.frames import FRAME, HEAD, HEADERS, BoundedH2Connection, FrameSplitter, FrameTooLong
from itsjustintv.web.http2.stream import Field, HTTP2Stream, size_of

__all__ = ["HTTP2Connection"]

# Bytes from which on a part of a body pays for its frame.
_USEFUL_PART = 512
# What a reset stream costs and a whole request restores, besides the cost of its frames. A long head costs more: with
# header compression a few bytes may stand for all of it.
_RESET_COST = 10
_REQUEST_CREDIT = 5
_FREE_HEAD, _HEAD_UNIT = 1024, 256


@implementer(IPushProducer)
class HTTP2Connection(BaseConnection, Protocol):
    """
    A connection with many requests at a time.
    """

    transport: Any
    site: server.Site
    requestFactory: Any

    def __init__(self, http1: HTTP1Connection) -> None:
        """
        :param http1: the connection before its version was negotiated.
        """
        self.site, self.requestFactory = http1.site, http1.requestFactory
        self.registry, self.client_addresses, self.network = http1.registry, http1.client_addresses, http1.network
        self._frames = FrameSplitter(FRAME, HEAD)
        self._h2 = BoundedH2Connection(self.registry.limits.streams)
        self._budget = AbuseBudget(self.registry.clock)
        self._streams: dict[int, HTTP2Stream] = {}
        self._buffered = 0
        self._peer_leaving = False

    def connectionMade(self) -> None:
        self.registry.add(self)
        limits, clock = self.registry.limits, self.registry.clock
        self._expire_in(limits.request)
        self._reader = FrameReader(self._frames, self._receive_frames, self.transport, clock, limits.request)
        self.transport.registerProducer(self, True)
        self._h2.initiate_connection()
        self._send()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._closing = True
        self.registry.remove(self)
        self._reader.abandon()
        for stream in tuple(self._streams.values()):
            self._remove_stream(stream)
            stream.connection_lost(reason)

    def dataReceived(self, data: bytes) -> None:
        """
        Read, unless the connection is being closed: TLS still delivers what the peer sends then.
        """
        if self._closing:
            self._discard(len(data))
            return
        self._reader.add(data)

    # Flow control: a peer that does not read is not read from

    def pauseProducing(self) -> None:
        """
        The peer does not read: stop reading from it.
        """
        self._reader.pause()

    def resumeProducing(self) -> None:
        self._reader.resume()

    def stopProducing(self) -> None: ...

    @property
    def deadline(self) -> float:
        """
        When the connection expires; infinite while all its requests are processed.
        """
        if self._closing:
            return self._expires_at
        return min(self._reader.due, min((stream.due for stream in self._streams.values()), default=self._expires_at))

    def abort(self) -> None:
        self._reader.abandon()
        super().abort()

    def expire(self, now: float) -> None:
        """
        Close an idle connection politely, drop a slow one.
        """
        late = [stream for stream in self._streams.values() if stream.due <= now]
        for stream in late:
            if stream.is_sent:
                self._reset_stream(stream, ErrorCodes.NO_ERROR)
        if now < self.deadline:
            return
        slow = self._reader.due <= now or any(not each.answered for each in late)
        if self._closing or self._streams or slow:
            self.registry.timed_out += not self._closing and slow
            self.abort()
        else:
            self._close(ErrorCodes.NO_ERROR)

    # For its streams

    def send_head(self, stream: HTTP2Stream, fields: Sequence[Field]) -> None:
        """
        Send the head of an answer, if the stream is still open.
        """
        if self._h2.send_head(stream.number, fields):
            self._send()
        else:
            # The stream is closed, or the head is invalid in HTTP/2. Without one there is no answer.
            self._reset_stream(stream, ErrorCodes.INTERNAL_ERROR)

    def send_body(self, stream: HTTP2Stream) -> None:
        """
        Send as much of an answer as the peer's window allows, and its end when all is sent.
        """
        if stream.number not in self._streams:
            return
        waiting = len(stream.unsent)
        sent = self._h2.send_body(stream.number, stream.unsent)
        if stream.answered and (len(stream.unsent) < waiting or stream.due == inf):
            # More time for the rest only when the peer has read something.
            stream.due = self.registry.clock.seconds() + self.registry.limits.idle
        if sent and stream.is_sent:
            self._h2.finish(stream.number)
            if stream.is_received:
                self._remove_stream(stream)
            else:
                # The rest of the request is discarded: some clients read only when they have sent everything.
                stream.due = self.registry.clock.seconds() + self.registry.limits.request
        self._send()

    def reset(self, stream: HTTP2Stream) -> None:
        """
        Reset a stream whose request closes its connection before its answer is complete.
        """
        self._reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
        gone = Failure(ConnectionLost("the request has ended its connection"))
        self.registry.clock.callLater(0, stream.connection_lost, gone)

    # Receiving

    def _receive_frames(self, frames: Iterable[bytes]) -> None:
        try:
            for frame in frames:
                self._receive_frame(frame)
        except FrameTooLong:
            self._reject_connection(ErrorCodes.FRAME_SIZE_ERROR)
            return
        self._send()

    def _receive_frame(self, frame: bytes) -> None:
        self._budget.spend(1)
        if self._frames.is_goaway(frame):
            # After it h2 would send nothing more, and answers may be pending (RFC 9113, section 6.8).
            self._peer_leaving = True
            self._close_if_done()
        else:
            self._process_frame(frame)
        if self._budget.is_exhausted and not self._closing:
            self._reject_connection(ErrorCodes.ENHANCE_YOUR_CALM)

    def _process_frame(self, frame: bytes) -> None:
        try:
            received = self._h2.receive_data(frame)
        except ProtocolError:
            # h2 has sent the peer the reason.
            self._reject_connection(None)
            return
        if not received and frame[3] == HEADERS:
            # A head for a stream that is over; decoding it was work all the same.
            self._budget.spend(_RESET_COST)
        for event in received:
            handler = self._HANDLERS.get(type(event))
            if handler is not None:
                handler(self, event)

    def _requested(self, event: events.RequestReceived) -> None:
        limits, number = self.registry.limits, event.stream_id or 0
        size = self._charge_head(event)
        if self.registry.streams >= limits.busy_from and len(self._streams) >= limits.busy_streams:
            self._refuse_stream(number)
            return
        stream = HTTP2Stream(number, self, self.registry.clock.seconds() + limits.request, size)
        self._streams[number] = stream
        self.registry.streams += 1
        self._buffered += size
        refusal = stream.receive_head(event.headers or ())
        if refusal is not None:
            self._reject_request(stream, refusal)
        elif self._buffered > limits.buffered:
            self._refuse_stream(number)
        elif event.stream_ended is None and stream.expects_continue():
            self._h2.send_head(number, [(b":status", b"100")])

    def _charge_head(self, event: events.RequestReceived | events.TrailersReceived) -> int:
        """
        Charge the budget for a head, or trailers. Returns its size in bytes.
        """
        size = size_of(event.headers or ())
        self._budget.spend(max(0, size - _FREE_HEAD) / _HEAD_UNIT)
        return size

    def _data_received(self, event: events.DataReceived) -> None:
        number, data = event.stream_id or 0, event.data or b""
        self._h2.acknowledge(number, event.flow_controlled_length or 0)
        stream = self._streams.get(number)
        if stream is None:
            return
        if len(data) >= _USEFUL_PART:
            self._budget.restore(1)
        if stream.answered:
            stream.discarded += len(data)
            if stream.discarded > self.registry.limits.discarded:
                self._reset_stream(stream, ErrorCodes.NO_ERROR)
            return
        http1 = stream.buffered
        try:
            stream.receive_body(data)
        except RequestBodyTooLong:
            self._reject_request(stream, http.REQUEST_ENTITY_TOO_LARGE)
            return
        self._buffered += stream.buffered - http1
        if self._buffered > self.registry.limits.buffered:
            self._refuse_stream(number)

    def _stream_ended(self, event: events.StreamEnded) -> None:
        stream = self._streams.get(event.stream_id or 0)
        if stream is None:
            return
        stream.is_received = True
        if stream.answered:
            if stream.is_sent:
                self._remove_stream(stream)
        elif stream.has_declared_length:
            self._budget.restore(_REQUEST_CREDIT)
            stream.complete()
        else:
            self._reject_request(stream, http.BAD_REQUEST)

    def _stream_reset(self, event: events.StreamReset) -> None:
        self._budget.spend(_RESET_COST)
        stream = self._streams.get(event.stream_id or 0)
        if stream is not None:
            self._remove_stream(stream)
            stream.connection_lost(Failure(ConnectionLost("the peer has given the request up")))

    def _window_opened(self, event: events.WindowUpdated | events.RemoteSettingsChanged) -> None:
        self._h2.limit_table_updates()
        number = getattr(event, "stream_id", 0)
        for stream in [self._streams.get(number)] if number else tuple(self._streams.values()):
            if stream is not None and stream.unsent:
                self.send_body(stream)

    _HANDLERS: ClassVar[dict[type[events.Event], Callable[[Any, Any], object]]] = {
        events.RequestReceived: _requested,
        events.TrailersReceived: _charge_head,
        events.DataReceived: _data_received,
        events.StreamEnded: _stream_ended,
        events.StreamReset: _stream_reset,
        events.WindowUpdated: _window_opened,
        events.RemoteSettingsChanged: _window_opened,
    }

    # Rejecting and closing

    def _reject_request(self, stream: HTTP2Stream, status: int) -> None:
        """
        Answer a request with an error, by its head or its length.
        """
        body = self.registry.refuse(status, stream.declared_length if status == http.REQUEST_ENTITY_TOO_LARGE else 0)
        self._buffered -= stream.discard_request()
        self._h2.accept_any_length(stream.number)
        head = [
            (b":status", b"%d" % status),
            *self.registry.header_fields(),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        if self._h2.send_head(stream.number, head):
            stream.unsent += body
            self.send_body(stream)

    def _refuse_stream(self, number: int) -> None:
        """
        Refuse a request for lack of room, so that the peer may send it again (RFC 9113, section 8.7).
        """
        self.registry.refuse(http.SERVICE_UNAVAILABLE)
        self._h2.reset(number, ErrorCodes.REFUSED_STREAM)
        stream = self._streams.get(number)
        if stream is not None:
            self._remove_stream(stream)

    def _reject_connection(self, why: ErrorCodes | None) -> None:
        """
        Close the connection for an error.

        :param why: the code for the peer; ``None`` if h2 has sent it.
        """
        self.registry.refuse(http.BAD_REQUEST)
        self._close(why)

    def _close_if_done(self) -> None:
        """
        Close if the peer is leaving and every answer is sent.
        """
        if self._peer_leaving and not self._streams and not self._closing:
            self._close(ErrorCodes.NO_ERROR)

    def _close(self, why: ErrorCodes | None) -> None:
        """
        Close, and give the peer time to close its side.
        """
        if why is not None:
            self._h2.close_connection(why)
        self._send()
        self._closing = True
        self._expire_in(self.registry.limits.request)
        self.transport.unregisterProducer()
        self._reader.stop()
        self.transport.loseConnection()

    def _reset_stream(self, stream: HTTP2Stream, why: ErrorCodes) -> None:
        """
        Reset a stream, whether its request has been answered (RFC 9113, section 8.1) or will not be.
        """
        if stream.number in self._streams:
            self._h2.reset(stream.number, why)
            self._remove_stream(stream)
            self._send()

    def _remove_stream(self, stream: HTTP2Stream) -> None:
        del self._streams[stream.number]
        self.registry.streams -= 1
        self._buffered -= stream.buffered
        if not self._closing:
            self._expire_in(self.registry.limits.idle)
            self._close_if_done()

    def _send(self) -> None:
        data = self._h2.data_to_send()
        if data and not self._closing:
            self.transport.write(data)
