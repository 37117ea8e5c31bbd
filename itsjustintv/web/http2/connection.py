"""
One HTTP/2 connection, held to the limits of those in HTTP/1.1.

What frames mean, how headers are compressed and windows opened is h2's affair; what a stranger may cost is ours.
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
from itsjustintv.web.http1 import HeadTooLong, HTTP1Connection
from itsjustintv.web.http2.flow_limit import AbuseBudget, FrameReader
from itsjustintv.web.http2.frames import FRAME, HEAD, HEADERS, Frames, FrameTooLong, Framing
from itsjustintv.web.http2.stream import Field, HTTP2Stream, size_of

__all__ = ["HTTP2Channel"]

# A part of a body is worth its frame if it is not smaller.
_WORTH = 512
# What a stream costs that is given up, and what a request is worth, beside its frame. A head that is longer than usual
# costs more; a few bytes may stand for all of it.
_GIVEN_UP = 10
_ASKED = 5
_USUAL, _MORE = 1024, 256


@implementer(IPushProducer)
class HTTP2Channel(BaseConnection, Protocol):
    """
    A connection with many requests at a time.

    :ivar site: what answers them.
    """

    transport: Any
    site: server.Site
    requestFactory: Any

    def __init__(self, before: HTTP1Connection) -> None:
        """
        :param before: the connection as it was before it was known what it would speak.
        """
        self.site, self.requestFactory = before.site, before.requestFactory
        self.traffic, self.clients, self.caller = before.traffic, before.clients, before.caller
        self._frames = Frames(FRAME, HEAD)
        self._framing = Framing(self.traffic.limits.streams)
        self._patience = AbuseBudget(self.traffic.clock)
        self._streams: dict[int, HTTP2Stream] = {}
        self._held = 0
        self._parting = False

    def connectionMade(self) -> None:
        """
        Say what may be sent, and start the time in which the first request must begin.
        """
        self.traffic.enter(self)
        limits, clock = self.traffic.limits, self.traffic.clock
        self._grant(limits.request)
        self._inflow = FrameReader(self._frames, self._listen, self.transport, clock, limits.request)
        self.transport.registerProducer(self, True)
        self._framing.initiate_connection()
        self._send()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Make room for another connection.
        """
        self._leaving = True
        self.traffic.leave(self)
        self._inflow.lose()
        for stream in tuple(self._streams.values()):
            self._forget(stream)
            stream.lost(reason)

    def dataReceived(self, data: bytes) -> None:
        """
        Read frames, unless the connection is being closed; TLS goes on to deliver what a peer sends after that.
        """
        if self._leaving:
            self._drain(len(data))
            return
        self._inflow.add(data)

    # The flow of bytes: whoever does not read is not read from

    def pauseProducing(self) -> None:
        """
        Read no more until the peer has read.
        """
        self._inflow.block()

    def resumeProducing(self) -> None:
        """
        Read on.
        """
        self._inflow.unblock()

    def stopProducing(self) -> None:
        """
        Nothing is produced unasked.
        """

    # One of many connections

    @property
    def deadline(self) -> float:
        """
        When its time is up; infinite while all its requests are answered.
        """
        if self._leaving:
            return self._until
        return min(self._inflow.due, min((stream.due for stream in self._streams.values()), default=self._until))

    def cut(self) -> None:
        """
        End the connection at once.
        """
        self._inflow.lose()
        super().cut()

    def expire(self, now: float) -> None:
        """
        End the connection if its time is up: an idle one politely, a slow one at once.
        """
        late = [stream for stream in self._streams.values() if stream.due <= now]
        for stream in late:
            if stream.over:
                self._drop(stream, ErrorCodes.NO_ERROR)
        if now < self.deadline:
            return
        slow = self._inflow.due <= now or any(not each.answered for each in late)
        if self._leaving or self._streams or slow:
            self.traffic.slow += not self._leaving and slow
            self.cut()
        else:
            self._close(ErrorCodes.NO_ERROR)

    # What streams ask of it

    def answer(self, stream: HTTP2Stream, fields: Sequence[Field]) -> None:
        """
        Send the head of an answer, if anybody waits for it.
        """
        if self._framing.say(stream.number, fields):
            self._send()
        else:
            # Nobody listens any more, or it is no head that HTTP/2 knows. Without one there is no answer.
            self._drop(stream, ErrorCodes.INTERNAL_ERROR)

    def pour(self, stream: HTTP2Stream) -> None:
        """
        Send as much of an answer as the peer allows, and its end when there is no more.
        """
        if stream.number not in self._streams:
            return
        waiting = len(stream.waiting)
        poured = self._framing.pour(stream.number, stream.waiting)
        if stream.answered and (len(stream.waiting) < waiting or stream.due == inf):
            # Only to take something of an answer gives more time for the rest.
            stream.due = self.traffic.clock.seconds() + self.traffic.limits.idle
        if poured and stream.over:
            self._framing.finish(stream.number)
            if stream.arrived:
                self._forget(stream)
            else:
                # What is sent all the same is thrown away: some listen only when they have said everything.
                stream.due = self.traffic.clock.seconds() + self.traffic.limits.request
        self._send()

    def reset(self, stream: HTTP2Stream) -> None:
        """
        End a stream in the middle of its answer, or without one.
        """
        self._drop(stream, ErrorCodes.INTERNAL_ERROR)
        gone = Failure(ConnectionLost("the request has ended its connection"))
        self.traffic.clock.callLater(0, stream.lost, gone)

    # What the peer says

    def _listen(self, frames: Iterable[bytes]) -> None:
        try:
            for frame in frames:
                self._hear(frame)
        except FrameTooLong:
            self._refuse(ErrorCodes.FRAME_SIZE_ERROR)
            return
        self._send()

    def _hear(self, frame: bytes) -> None:
        """
        Take one frame. Each is borne, and what is of use makes up for it.
        """
        self._patience.wear(1)
        if self._frames.is_farewell(frame):
            # After it h2 would say nothing more, and there may be answers that are waited for (RFC 9113, section 6.8).
            self._parting = True
            self._part()
        else:
            self._understand(frame)
        if self._patience.exhausted and not self._leaving:
            self._refuse(ErrorCodes.ENHANCE_YOUR_CALM)

    def _understand(self, frame: bytes) -> None:
        try:
            heard = self._framing.receive_data(frame)
        except ProtocolError:
            # That and why it ends the connection is said by h2.
            self._refuse(None)
            return
        if not heard and frame[3] == HEADERS:
            # It was read all the same, for a stream that is over.
            self._patience.wear(_GIVEN_UP)
        for event in heard:
            what = self._HEARD.get(type(event))
            if what is not None:
                what(self, event)

    def _requested(self, event: events.RequestReceived) -> None:
        limits, number = self.traffic.limits, event.stream_id or 0
        size = self._bear(event)
        if self.traffic.streams >= limits.requests and len(self._streams) >= limits.crowded:
            self._turn_away(number)
            return
        stream = HTTP2Stream(number, self, self.traffic.clock.seconds() + limits.request, size)
        self._streams[number] = stream
        self.traffic.streams += 1
        self._held += size
        refusal = stream.begin(event.headers or ())
        if refusal is not None:
            self._turn_down(stream, refusal)
        elif self._held > limits.held:
            self._turn_away(number)
        elif event.stream_ended is None and stream.invites():
            self._framing.say(number, [(b":status", b"100")])

    def _bear(self, event: events.RequestReceived | events.TrailersReceived) -> int:
        """
        Bear a head, or trailers, which are heads as well.

        :return: its size, in bytes.
        """
        size = size_of(event.headers or ())
        self._patience.wear(max(0, size - _USUAL) / _MORE)
        return size

    def _got(self, event: events.DataReceived) -> None:
        number, data = event.stream_id or 0, event.data or b""
        self._framing.taken(number, event.flow_controlled_length or 0)
        stream = self._streams.get(number)
        if stream is None:
            return
        if len(data) >= _WORTH:
            self._patience.restore(1)
        if stream.answered:
            stream.drained += len(data)
            if stream.drained > self.traffic.limits.drained:
                self._drop(stream, ErrorCodes.NO_ERROR)
            return
        before = stream.held
        try:
            stream.take(data)
        except HeadTooLong:
            self._turn_down(stream, http.REQUEST_ENTITY_TOO_LARGE)
            return
        self._held += stream.held - before
        if self._held > self.traffic.limits.held:
            self._turn_away(number)

    def _ended(self, event: events.StreamEnded) -> None:
        stream = self._streams.get(event.stream_id or 0)
        if stream is None:
            return
        stream.arrived = True
        if stream.answered:
            if stream.over:
                self._forget(stream)
        elif stream.as_declared:
            self._patience.restore(_ASKED)
            stream.complete()
        else:
            self._turn_down(stream, http.BAD_REQUEST)

    def _given_up(self, event: events.StreamReset) -> None:
        self._patience.wear(_GIVEN_UP)
        stream = self._streams.get(event.stream_id or 0)
        if stream is not None:
            self._forget(stream)
            stream.lost(Failure(ConnectionLost("the peer has given the request up")))

    def _opened(self, event: events.WindowUpdated | events.RemoteSettingsChanged) -> None:
        self._framing.settle()
        number = getattr(event, "stream_id", 0)
        for stream in [self._streams.get(number)] if number else tuple(self._streams.values()):
            if stream is not None and stream.waiting:
                self.pour(stream)

    _HEARD: ClassVar[dict[type[events.Event], Callable[[Any, Any], object]]] = {
        events.RequestReceived: _requested,
        events.TrailersReceived: _bear,
        events.DataReceived: _got,
        events.StreamEnded: _ended,
        events.StreamReset: _given_up,
        events.WindowUpdated: _opened,
        events.RemoteSettingsChanged: _opened,
    }

    # What is said to the peer

    def _turn_down(self, stream: HTTP2Stream, status: int) -> None:
        """
        Refuse a request by its head or its length.
        """
        body = self.traffic.refuse(status, stream.announced if status == http.REQUEST_ENTITY_TOO_LARGE else 0)
        self._held -= stream.let_go()
        self._framing.let_end(stream.number)
        head = [
            (b":status", b"%d" % status),
            *self.traffic.imprinted(),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        if self._framing.say(stream.number, head):
            stream.waiting += body
            self.pour(stream)

    def _turn_away(self, number: int) -> None:
        """
        Refuse a request for which there is no room, so that the peer may send it again (RFC 9113, section 8.7).
        """
        self.traffic.refuse(http.SERVICE_UNAVAILABLE)
        self._framing.give_up(number, ErrorCodes.REFUSED_STREAM)
        stream = self._streams.get(number)
        if stream is not None:
            self._forget(stream)

    def _refuse(self, why: ErrorCodes | None) -> None:
        """
        Refuse the connection as a whole.

        :param why: said to the peer; ``None`` if that has been done.
        """
        self.traffic.refuse(http.BAD_REQUEST)
        self._close(why)

    def _part(self) -> None:
        """
        Close once there is nothing left to answer, if the peer is about to leave.
        """
        if self._parting and not self._streams and not self._leaving:
            self._close(ErrorCodes.NO_ERROR)

    def _close(self, why: ErrorCodes | None) -> None:
        """
        Close, and allow the peer some time to take its leave.
        """
        if why is not None:
            self._framing.close_connection(why)
        self._send()
        self._leaving = True
        self._grant(self.traffic.limits.request)
        self.transport.unregisterProducer()
        self._inflow.end()
        self.transport.loseConnection()

    def _drop(self, stream: HTTP2Stream, why: ErrorCodes) -> None:
        """
        Have nothing more to do with a request, whether it has been answered (RFC 9113, section 8.1) or will not be.
        """
        if stream.number in self._streams:
            self._framing.give_up(stream.number, why)
            self._forget(stream)
            self._send()

    def _forget(self, stream: HTTP2Stream) -> None:
        del self._streams[stream.number]
        self.traffic.streams -= 1
        self._held -= stream.held
        if not self._leaving:
            self._grant(self.traffic.limits.idle)
            self._part()

    def _send(self) -> None:
        data = self._framing.data_to_send()
        if data and not self._leaving:
            self.transport.write(data)
