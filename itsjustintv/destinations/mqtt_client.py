"""
Publishes messages to a broker and leaves (MQTT 3.1.1, http://docs.oasis-open.org/mqtt/mqtt/v3.1.1/).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

__all__ = ["ACCEPTED", "REFUSED_LOGINS", "Broker", "MqttConnection", "NotMqtt"]

#: The code of a broker that takes a connection (3.2.2.3).
ACCEPTED = 0

#: Those of one that does not accept user and password, or does not let the user connect.
REFUSED_LOGINS = frozenset({4, 5})

# In bytes; what a broker answers to a publisher has four.
_LONGEST = 1024

# Seconds of silence after which the broker may end the connection.
_KEEP_ALIVE = 60

# Types of packets (2.2.1), with their flags.
_CONNECT, _CONNACK, _PUBACK, _PINGREQ, _PINGRESP, _DISCONNECT = 0x10, 0x20, 0x40, 0xC0, 0xD0, 0xE0
_PUBLISH_ONCE_RETAINED = 0x30 | 0x02 | 0x01

_CLEAN, _WILL_ONCE_RETAINED, _PASSWORD, _USER = 0x02, 0x04 | 0x08 | 0x20, 0x40, 0x80


@frozen(kw_only=True)
class Broker:
    """
    A broker.

    :ivar user: empty for no login.
    """

    host: str
    port: int
    tls: bool
    user: str
    password: str = field(repr=False)


class NotMqtt(Exception):
    """
    The broker does not keep to the protocol.
    """


class MqttConnection(Protocol):
    """
    A connection to a broker.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._packets: deque[tuple[int, bytes]] = deque()
        self._waiting: Deferred[tuple[int, bytes]] | None = None
        self._failed: Failure | None = None
        self.ended: Deferred[None] = Deferred()

    async def log_in(self, broker: Broker, client: str, will: tuple[str, str] | None = None) -> int:
        """
        Begin a session.

        :param client: a name of this connection: one with the same name ends another.
        :param will: topic and payload, to be retained, of what the broker publishes if the connection ends without
            :meth:`leave`.
        :return: the code of the broker's answer.
        :raises NotMqtt: it did not answer in MQTT.
        """
        self._write(_CONNECT, _connect(broker, client, will))
        kind, answer = await self._next()
        if kind != _CONNACK or len(answer) != 2:
            raise NotMqtt
        return answer[1]

    async def publish(self, messages: Sequence[tuple[str, str]]) -> None:
        """
        Publish messages in their order, each to be retained, and wait until the broker has each of them.

        :param messages: topics and payloads.
        :raises NotMqtt: nothing is known of what was published.
        """
        for number, (topic, payload) in enumerate(messages, 1):
            packet = number.to_bytes(2, "big")
            self._write(_PUBLISH_ONCE_RETAINED, _text(topic) + packet + payload.encode())
            if await self._next() != (_PUBACK, packet):
                raise NotMqtt

    async def ping(self) -> None:
        """
        Break the silence, and wait for an answer.

        :raises NotMqtt: it answered something else.
        """
        self._write(_PINGREQ, b"")
        if await self._next() != (_PINGRESP, b""):
            raise NotMqtt

    def leave(self) -> None:
        """
        End the connection politely.
        """
        if not self.ended.called:
            self._write(_DISCONNECT, b"")
            self.transport.loseConnection()  # type: ignore[union-attr]

    def abort(self) -> None:
        """
        Close the connection at once.
        """
        if self.transport is not None and not self.ended.called:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def dataReceived(self, data: bytes) -> None:
        """
        Read packets: a type, a length of up to four bytes, and so many bytes (2.2).
        """
        self._buffer += data
        while len(self._buffer) >= 2:
            length, used = _length(self._buffer[1:5])
            if length > _LONGEST:
                self._fail(Failure(NotMqtt()))
                self.abort()
                return
            if not used or len(self._buffer) < 1 + used + length:
                return
            packet = self._buffer[0], self._buffer[1 + used : 1 + used + length]
            self._buffer = self._buffer[1 + used + length :]
            waiting, self._waiting = self._waiting, None
            if waiting is None:
                self._packets.append(packet)
            else:
                waiting.callback(packet)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._fail(reason)
        self.ended.callback(None)

    def _fail(self, reason: Failure) -> None:
        self._failed = self._failed or reason
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.errback(self._failed)

    async def _next(self) -> tuple[int, bytes]:
        if self._packets:
            return self._packets.popleft()
        if self._failed is not None:
            self._failed.raiseException()
        self._waiting = Deferred()
        return await self._waiting

    def _write(self, kind: int, content: bytes) -> None:
        self.transport.write(bytes([kind]) + _as_length(len(content)) + content)  # type: ignore[union-attr]


def _connect(broker: Broker, client: str, will: tuple[str, str] | None) -> bytes:
    """
    The content of CONNECT (3.1).
    """
    flags = _CLEAN | (_USER if broker.user else 0) | (_PASSWORD if broker.user and broker.password else 0)
    flags |= _WILL_ONCE_RETAINED if will else 0
    login = b"".join(_text(each) for each in (broker.user, broker.password) if broker.user and each)
    wish = b"".join(_text(each) for each in will or ())
    return _text("MQTT") + bytes([4, flags]) + _KEEP_ALIVE.to_bytes(2, "big") + _text(client) + wish + login


def _text(text: str) -> bytes:
    content = text.encode()
    return len(content).to_bytes(2, "big") + content


def _as_length(length: int) -> bytes:
    """
    Seven bits a byte, the lowest first; the eighth says that more follow (2.2.3).
    """
    made = bytearray()
    while True:
        length, part = divmod(length, 128)
        made.append(part | (128 if length else 0))
        if not length:
            return bytes(made)


def _length(head: bytes) -> tuple[int, int]:
    """
    Read a length: its value, and how many bytes it has; 0 while it is not complete.
    """
    length = 0
    for number, each in enumerate(head):
        length |= (each & 127) << (7 * number)
        if each < 128:
            return length, number + 1
    return (_LONGEST + 1 if len(head) == 4 else 0), 0
