"""
TLS without a network: a client of pyOpenSSL against a server of Twisted, in one process and without waiting.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from attrs import define, field
from cryptography import x509
from OpenSSL import SSL
from twisted.internet.interfaces import IProtocolFactory, IProtocolNegotiationFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from zope.interface import implementer

from itsjustintv.tls.acme.challenges import TlsAlpn01Responder
from itsjustintv.tls.acme.messages import AcmeChallenge
from itsjustintv.tls.sni import ACME_TLS, ContextMap
from itsjustintv.tls.wrapper import wrap_tls
from tests.tls.authority import NOW
from tests.tls.doubles import NAME, bundle

__all__ = ["Client", "Echo", "EchoFactory", "Server", "pending"]


class Echo(Protocol):
    """
    Says what it hears.
    """

    def dataReceived(self, data: bytes) -> None:
        self.factory.heard.append(data)  # type: ignore[union-attr]
        self.transport.write(data)  # type: ignore[union-attr]


@implementer(IProtocolNegotiationFactory)
class EchoFactory(Factory):
    """
    :ivar heard: everything.
    """

    protocol = Echo
    noisy = False

    def __init__(self, speaks: Sequence[bytes] = (b"http/1.1",)) -> None:
        self.speaks = list(speaks)
        self.heard: list[bytes] = []

    def acceptableProtocols(self) -> list[bytes]:
        return self.speaks


@define(eq=False)
class Server:
    """
    What the clients connect to.
    """

    contexts: ContextMap
    factory: EchoFactory = field(factory=EchoFactory)
    clock: Clock = field(factory=Clock)
    _secured: IProtocolFactory = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.clock.advance(NOW)
        self._secured = wrap_tls(self.contexts, self.factory, self.clock)

    def connect(self, name: bytes | None, **how: Any) -> Client:
        """
        A client that has shaken hands, or failed to.
        """
        protocol: Any = self._secured.buildProtocol(None)  # type: ignore[arg-type]
        transport = StringTransportWithDisconnection()
        transport.protocol = protocol
        protocol.makeConnection(transport)
        client = Client(self, protocol, transport, _connection(name, **how))
        client.shake()
        return client


def _connection(
    name: bytes | None, alpn: Sequence[bytes] = (), version: int | None = None, before: Client | None = None
) -> SSL.Connection:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD) if before is None else before.connection.get_context()
    if version is not None and before is None:
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
    connection = SSL.Connection(context, None)
    session = None if before is None else before.connection.get_session()
    if session is not None:
        connection.set_session(session)
    if name is not None:
        connection.set_tlsext_host_name(name)
    if alpn:
        connection.set_alpn_protos(list(alpn))
    connection.set_connect_state()
    return connection


@define(eq=False)
class Client:
    """
    One connection.

    :ivar error: why there is none.
    """

    _server: Server
    _protocol: Any
    _transport: StringTransportWithDisconnection
    connection: SSL.Connection
    error: SSL.Error | None = None

    def shake(self) -> None:
        """
        Shake hands.
        """
        for _ in range(10):
            try:
                self.connection.do_handshake()
            except SSL.WantReadError:
                if not self._exchange():
                    return
            except SSL.Error as error:
                self.error = error
                return
            else:
                self._exchange()
                return

    @property
    def certificate(self) -> x509.Certificate:
        """
        The leaf that was served.
        """
        found = self.connection.get_peer_certificate(as_cryptography=True)
        assert found is not None, self.error
        return found

    @property
    def connected(self) -> bool:
        """
        Whether the server keeps the connection.
        """
        return self._transport.connected

    @property
    def spoken(self) -> bytes:
        """
        What was agreed upon.
        """
        return self.connection.get_alpn_proto_negotiated()

    def say(self, data: bytes) -> bytes:
        """
        Send something and read the answer, empty if there is none.
        """
        self.connection.send(data)
        self._exchange()
        self._server.clock.advance(0)
        self._exchange()
        try:
            return self.connection.recv(65536)
        except SSL.Error:
            return b""

    def _exchange(self) -> bool:
        moved = False
        try:
            self._protocol.dataReceived(self.connection.bio_read(1 << 20))
            moved = True
        except SSL.WantReadError:
            pass
        answer = self._transport.value()
        self._transport.clear()
        if answer:
            self.connection.bio_write(answer)
        return moved or bool(answer)


def pending(responder: TlsAlpn01Responder, name: str = NAME) -> None:
    """
    Let a challenge be expected.
    """
    responder.start_responding(name, AcmeChallenge("tls-alpn-01", "", "token"), "token.thumbprint")


def main() -> None:
    """
    Come as a validator with TLS 1.2 while a challenge is expected. Whoever swaps the certificate then dies here.
    """
    clock = Clock()
    clock.advance(NOW)
    responder = TlsAlpn01Responder(clock)
    server = Server(ContextMap(responder.context_for))
    server.contexts.put(NAME, bundle())
    pending(responder)
    for _ in range(300):
        client = server.connect(NAME.encode(), alpn=[ACME_TLS], version=SSL.TLS1_2_VERSION)
        if "no application protocol" not in str(client.error):
            sys.exit(f"the handshake was not refused properly: {client.error}")
    client = server.connect(NAME.encode(), version=SSL.TLS1_2_VERSION)
    sys.stdout.write(client.say(b"alive").decode())


if __name__ == "__main__":
    main()
