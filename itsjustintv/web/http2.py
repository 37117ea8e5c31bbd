"""
One HTTP/2 connection, held to the limits of those in HTTP/1.1.

Frames, the compression of headers and the windows of flow control are those of h2; what a stranger may cost is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

from itsjustintv.web.channel import Channel, TooLong
from itsjustintv.web.framing import Framing
from itsjustintv.web.guest import Guest
from itsjustintv.web.patience import Patience
from itsjustintv.web.streams import Field, Stream

__all__ = ["HTTP2Channel"]

# Bytes that are read before anything is made of them: what is sent to be a burden is noticed in between.
_AT_ONCE = 16 * 1024
# A body in smaller parts than this costs more than it brings.
_SMALL = 512
# What a stream costs that is given up, and what a request is worth.
_GIVEN_UP = 10
_ASKED = 4


@implementer(IPushProducer)
class HTTP2Channel(Guest, Protocol):
    """
    A connection with many requests at a time.

    :ivar site: what answers them.
    """

    transport: Any
    site: server.Site
    requestFactory: Any

    def __init__(self, before: Channel) -> None:
        """
        :param before: the connection as it was before it was known what it would speak.
        """
        self.site, self.requestFactory = before.site, before.requestFactory
        self.traffic, self.clients, self.caller = before.traffic, before.clients, before.caller
        self._framing = Framing(self.traffic.limits.streams)
        self._patience = Patience(self.traffic.clock)
        self._streams: dict[int, Stream] = {}
        self._held = 0

    def connectionMade(self) -> None:
        """
        Say what may be sent, and start the time in which the first request must begin.
        """
        self.traffic.enter(self)
        self._grant(self.traffic.limits.request)
        self.transport.registerProducer(self, True)
        self._framing.initiate_connection()
        self._send()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Make room for another connection.
        """
        self._leaving = True
        self.traffic.leave(self)
        for stream in tuple(self._streams.values()):
            self._forget(stream)
            stream.lost(reason)

    def dataReceived(self, data: bytes) -> None:
        """
        Read frames, unless the connection is being closed; TLS goes on to deliver what a peer sends after that.
        """
        for start in range(0, len(data), _AT_ONCE):
            if self._leaving:
                self._drain(len(data) - start)
                return
            try:
                heard = self._framing.receive_data(data[start : start + _AT_ONCE])
            except ProtocolError:
                self._refuse()
                return
            for event in heard:
                what = self._HEARD.get(type(event))
                if what is None:
                    self._patience.wear(1)
                else:
                    what(self, event)
            if self._patience.exhausted:
                self._framing.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
                self._refuse()
        self._send()

    # The flow of bytes: whoever does not read is not read from

    def pauseProducing(self) -> None:
        """
        Read no more until the peer has read.
        """
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """
        Read on.
        """
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """
        Nothing is produced without being asked for.
        """

    # One of many connections

    @property
    def deadline(self) -> float:
        """
        When its time is up; infinite while all its requests are answered.
        """
        if self._leaving:
            return self._until
        return min((stream.due for stream in self._streams.values()), default=self._until)

    def expire(self, now: float) -> None:
        """
        End the connection if its time is up: an idle one politely, a slow one at once.
        """
        late = [stream for stream in self._streams.values() if stream.due <= now]
        for stream in late:
            if stream.over:
                self._end(stream)
        self._send()
        if now < self.deadline:
            return
        if self._leaving or self._streams:
            self.traffic.slow += not self._leaving and any(not each.answered for each in late)
            self._leaving = True
            self.transport.abortConnection()
        else:
            self._framing.close_connection()
            self._close()

    # What streams ask of it

    def answer(self, stream: Stream, fields: Sequence[Field]) -> None:
        """
        Send the head of an answer, if anybody waits for it.
        """
        if self._framing.say(stream.number, fields):
            self._send()

    def pour(self, stream: Stream) -> None:
        """
        Send as much of an answer as the peer allows, and its end when there is no more.
        """
        if stream.number not in self._streams:
            return
        limits = self.traffic.limits
        if stream.answered:
            stream.due = self.traffic.clock.seconds() + limits.idle
        if self._framing.pour(stream.number, stream.waiting) and stream.over:
            self._framing.finish(stream.number)
            if stream.arrived:
                self._forget(stream)
            else:
                # What is sent all the same is thrown away: some listen only when they have said everything.
                stream.due = self.traffic.clock.seconds() + limits.request
        self._send()

    def reset(self, stream: Stream) -> None:
        """
        End a stream in the middle of its answer.
        """
        if stream.number in self._streams:
            self._forget(stream)
            self._framing.give_up(stream.number, ErrorCodes.INTERNAL_ERROR)
            self._send()

    # What the peer says

    def _requested(self, event: events.RequestReceived) -> None:
        limits, number = self.traffic.limits, _number(event)
        self._patience.restore(_ASKED)
        if self.traffic.streams >= limits.connections and len(self._streams) >= limits.crowded:
            self._turn_away(number)
            return
        stream = Stream(number, self, self.traffic.clock.seconds() + limits.request)
        self._streams[number] = stream
        self.traffic.streams += 1
        refusal = stream.begin(event.headers or ())
        self._held += stream.held
        if refusal is not None:
            self._turn_down(stream, refusal)
        elif self._held > limits.held:
            self._turn_away(number)
        elif event.stream_ended is None and stream.invites():
            self._framing.say(number, [(b":status", b"100")])

    def _got(self, event: events.DataReceived) -> None:
        number, data = _number(event), event.data or b""
        self._framing.taken(number, event.flow_controlled_length or 0)
        stream = self._streams.get(number)
        if stream is None or len(data) < _SMALL:
            self._patience.wear(1)
        if stream is None:
            return
        if stream.answered:
            stream.drained += len(data)
            if stream.drained > self.traffic.limits.drained:
                self._end(stream)
            return
        before = stream.held
        try:
            stream.take(data)
        except TooLong:
            self._turn_down(stream, http.REQUEST_ENTITY_TOO_LARGE)
            return
        self._held += stream.held - before
        if self._held > self.traffic.limits.held:
            self._turn_away(number)

    def _ended(self, event: events.StreamEnded) -> None:
        stream = self._streams.get(_number(event))
        if stream is None:
            return
        stream.arrived = True
        if not stream.answered:
            stream.complete()
        elif stream.over:
            self._forget(stream)

    def _given_up(self, event: events.StreamReset) -> None:
        self._patience.wear(_GIVEN_UP)
        stream = self._streams.get(_number(event))
        if stream is not None:
            self._forget(stream)
            stream.lost(Failure(ConnectionLost("the peer has given the request up")))

    def _opened(self, event: events.WindowUpdated | events.RemoteSettingsChanged) -> None:
        self._patience.wear(1)
        self._framing.keep_small()
        number = getattr(event, "stream_id", 0)
        for stream in [self._streams.get(number)] if number else tuple(self._streams.values()):
            if stream is not None and stream.waiting:
                self.pour(stream)

    def _taken_leave(self, _: events.ConnectionTerminated) -> None:
        self._close()

    def _nothing(self, _: events.Event) -> None:
        """
        Trailers add nothing to a request, nor does the agreement to our settings.
        """

    _HEARD: ClassVar[dict[type[events.Event], Callable[[Any, Any], None]]] = {
        events.RequestReceived: _requested,
        events.DataReceived: _got,
        events.StreamEnded: _ended,
        events.StreamReset: _given_up,
        events.WindowUpdated: _opened,
        events.RemoteSettingsChanged: _opened,
        events.ConnectionTerminated: _taken_leave,
        events.SettingsAcknowledged: _nothing,
        events.TrailersReceived: _nothing,
    }

    # What is said to the peer

    def _turn_down(self, stream: Stream, status: int) -> None:
        """
        Refuse a request by its head or its length.
        """
        body = self.traffic.refuse(status)
        self._held -= stream.let_go()
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
        self._patience.wear(_ASKED)
        self._framing.give_up(number, ErrorCodes.REFUSED_STREAM)
        stream = self._streams.get(number)
        if stream is not None:
            self._forget(stream)

    def _refuse(self) -> None:
        """
        Refuse the connection as a whole. That it is to be closed, and why, has been framed already.
        """
        self.traffic.refuse(http.BAD_REQUEST)
        self._close()

    def _close(self) -> None:
        """
        Close, and allow the peer some time to take its leave.
        """
        if self._leaving:
            return
        self._send()
        self._leaving = True
        self._grant(self.traffic.limits.request)
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _end(self, stream: Stream) -> None:
        """
        Have nothing more of a request that has been answered (RFC 9113, section 8.1).
        """
        self._forget(stream)
        self._framing.give_up(stream.number, ErrorCodes.NO_ERROR)

    def _forget(self, stream: Stream) -> None:
        del self._streams[stream.number]
        self.traffic.streams -= 1
        self._held -= stream.held
        if not self._leaving:
            self._grant(self.traffic.limits.idle)

    def _send(self) -> None:
        data = self._framing.data_to_send()
        if data and not self._leaving:
            self.transport.write(data)


def _number(event: Any) -> int:
    number: int = event.stream_id
    return number
