"""
Clients of the simulated WebSockets without a network, for the tests of their rules.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import define, field
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from itsjustintv.simulator.twitch import SimulatedTwitch

__all__ = ["Client"]


@define(eq=False)
class Client:
    """
    A client that answers pings, unless it is dead.

    :ivar dead: whether it reads and writes nothing.
    :ivar frames: the text messages so far, parsed.
    :ivar pings: the number of pings so far.
    """

    _twitch: SimulatedTwitch
    url: str = "ws://twitch.test/ws"
    dead: bool = False
    frames: list[Any] = field(factory=list, init=False)
    others: list[bytes] = field(factory=list, init=False)
    pings: int = field(default=0, init=False)
    response: Response | None = field(default=None, init=False)
    _engine: ClientProtocol = field(init=False)
    wire: StringTransport = field(factory=StringTransport, init=False)
    server: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._engine = ClientProtocol(parse_uri(self.url))
        self.server = self._twitch.websockets().buildProtocol(None)
        self.server.makeConnection(self.wire)
        self._engine.send_request(self._engine.connect())
        self.pump()

    def pump(self) -> Client:
        """
        Move bytes until both sides have nothing more to say.
        """
        while not self.dead:
            sent = b"".join(self._engine.data_to_send())
            if sent:
                self.server.dataReceived(sent)
            heard = self.wire.value()
            self.wire.clear()
            if not sent and not heard:
                return self
            if heard:
                self._engine.receive_data(heard)
            for event in self._engine.events_received():
                if isinstance(event, Response):
                    self.response = event
                elif isinstance(event, Frame):
                    self._heard(event)
        return self

    def _heard(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT:
            try:
                self.frames.append(json.loads(frame.data))
            except ValueError:
                self.others.append(bytes(frame.data))
        elif frame.opcode is Opcode.BINARY:
            self.others.append(bytes(frame.data))
        elif frame.opcode is Opcode.PING:
            self.pings += 1

    def say(self, text: str) -> None:
        """
        Send a text message, which Twitch does not allow.
        """
        self._engine.send_text(text.encode())
        self.pump()

    def ping(self) -> None:
        """
        Send a ping.
        """
        self._engine.send_ping(b"?")
        self.pump()

    def leave(self) -> None:
        """
        Close the WebSocket.
        """
        self._engine.send_close(1000)
        self.pump()

    def hang_up(self, *, orderly: bool = True) -> None:
        """
        End the connection with a FIN, or with an RST.
        """
        self.server.connectionLost(Failure(ConnectionDone() if orderly else ConnectionLost()))

    @property
    def code(self) -> int | None:
        """
        The code of the close frame that came, if one did.
        """
        return self._engine.close_rcvd.code if self._engine.close_rcvd else None

    @property
    def types(self) -> list[str]:
        """
        The types of the messages so far.
        """
        return [each["metadata"]["message_type"] for each in self.frames]

    @property
    def session_id(self) -> str:
        """
        What the first welcome said.
        """
        session_id: str = self.frames[0]["payload"]["session"]["id"]
        return session_id
