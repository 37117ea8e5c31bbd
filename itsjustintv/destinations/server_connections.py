"""
Connections to servers that do not speak HTTP, and what the adapters of their kinds have in common.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from twisted.web.iweb import IPolicyForHTTPS

from itsjustintv.destinations.response import classify_failure
from itsjustintv.interfaces import SenderTools
from itsjustintv.model import Delivery, OutgoingRequest, Result
from itsjustintv.support.http_agents import host_endpoint, tls_creator
from itsjustintv.support.http_response import Response

__all__ = ["ServerAdapter", "ServerConnections", "classify_connection"]

S_co = TypeVar("S_co", covariant=True)


class ServerAdapter(Protocol[S_co]):
    """
    An adapter whose requests go to a server of its own: a mail server, a broker.
    """

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest: ...

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result: ...

    def server(self) -> S_co: ...


class _Connection(Protocol):
    ended: Deferred[None]

    def abort(self) -> None: ...


C = TypeVar("C", bound=_Connection)


@define(eq=False)
class ServerConnections:
    """
    Opens connections to the servers of a kind, within the egress policy, and knows those that are open.

    :ivar policy: decides which certificates of servers are trusted.
    """

    _tools: SenderTools
    _policy: IPolicyForHTTPS
    _open: set[_Connection] = field(factory=set, init=False)

    def trust(self, host: str, port: int) -> Any:
        """
        Make what verifies a server's certificate, an :class:`IOpenSSLClientConnectionCreator`.
        """
        return tls_creator(self._policy, host, port)

    async def open(self, connection: C, host: str, port: int, *, tls: bool) -> C:
        """
        Connect a protocol to a server.
        """
        endpoint = host_endpoint(self._tools.reactor, host, port, self._tools.egress)
        if tls:
            endpoint = wrapClientTLS(self.trust(host, port), endpoint)
        await endpoint.connect(_Factory(connection))
        self._open.add(connection)
        connection.ended.addCallback(lambda _: self._open.discard(connection))
        return connection

    def close(self) -> Deferred[None]:
        """
        Close every connection.
        """
        connections = list(self._open)
        for each in connections:
            each.abort()
        return DeferredList([each.ended for each in connections]).addCallback(lambda _: None)


class _Factory(Factory):
    noisy = False

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def buildProtocol(self, addr: object) -> Any:
        return self._connection


def classify_connection(failure: Failure, destination: str, sentences: Mapping[str, str]) -> Result:
    """
    Classify a connection that failed before the server answered.

    :param sentences: what to say instead of the usual detail, by reason, without the name of the destination.
    """
    result = classify_failure(failure, destination)
    sentence = sentences.get(result.reason)
    return result if sentence is None else evolve(result, detail=f"{destination} {sentence}")
