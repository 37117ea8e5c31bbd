"""
Publishes for all destinations of the kind ``mqtt``: each attempt over a connection of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Protocol

import orjson
from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from itsjustintv.destinations.attempt_record import make_attempt
from itsjustintv.destinations.mqtt_client import Broker, MqttConnection, NotMqtt
from itsjustintv.destinations.response import RESET, classify_failure, classify_timeout
from itsjustintv.interfaces import ISender, SenderTools
from itsjustintv.model import Attempt, Delivery, Destination, OutgoingRequest, Result
from itsjustintv.support.http_agents import host_endpoint, tls_creator
from itsjustintv.support.http_response import Response
from itsjustintv.support.waiters import watch

__all__ = ["MqttSender"]

_SENTENCES: Mapping[str, str] = {
    RESET: "closed the connection: check host, port and tls, and what the broker allows the user.",
    "dns": "has a broker whose name cannot be resolved: check host and the name server.",
    "error": "did not answer in MQTT: check host, port and tls.",
}


class Adapter(Protocol):
    """
    An adapter whose requests are messages.
    """

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest: ...

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result: ...

    def broker(self) -> Broker: ...


@implementer(ISender)
@define(eq=False)
class MqttSender:
    """
    Publishes at the broker of a destination.

    :ivar open: makes the adapter of a destination.
    :ivar trust: decides which certificates of brokers are trusted.
    """

    _tools: SenderTools
    _open: Callable[[Destination], Adapter]
    _trust: IPolicyForHTTPS = field(factory=BrowserLikePolicyForHTTPS)
    _connections: set[MqttConnection] = field(factory=set, init=False)

    def send(self, delivery: Delivery, destination: Destination) -> Deferred[Attempt]:
        return Deferred.fromCoroutine(self._attempt(delivery, destination))

    def stop(self) -> Deferred[None]:
        """
        Close every connection.
        """
        connections = list(self._connections)
        for each in connections:
            each.abort()
        return DeferredList([each.ended for each in connections]).addCallback(lambda _: None)

    async def _attempt(self, delivery: Delivery, destination: Destination) -> Attempt:
        tools = self._tools
        began, timeout = tools.reactor.seconds(), tools.timeout()
        adapter = self._open(destination)
        publishing = Deferred.fromCoroutine(self._publish(adapter, delivery))
        deadline = tools.reactor.callLater(timeout, publishing.cancel)
        try:
            code = await watch(publishing)
            result = adapter.interpret(Response(code, Headers(), b""), delivery, tools.wall())
        except CancelledError:
            if deadline.active():
                publishing.cancel()
                raise
            result = classify_timeout(timeout, destination.name)
        except Exception:  # noqa: BLE001 - whatever went wrong is how the attempt ended
            result = _classify(Failure(), destination.name)
            if not deadline.active():
                # A connection that is cancelled fails in several ways.
                result = classify_timeout(timeout, destination.name)
        finally:
            if deadline.active():
                deadline.cancel()
        return make_attempt(result, destination, began, tools.reactor.seconds(), trace=tools.begin_span(delivery.trace))

    async def _publish(self, adapter: Adapter, delivery: Delivery) -> int:
        broker = adapter.broker()
        messages = orjson.loads(adapter.make_request(delivery, self._tools.wall()).body)
        endpoint = host_endpoint(self._tools.reactor, broker.host, broker.port, self._tools.egress)
        if broker.tls:
            endpoint = wrapClientTLS(tls_creator(self._trust, broker.host, broker.port), endpoint)
        connection = MqttConnection()
        await endpoint.connect(_Factory(connection))
        self._connections.add(connection)
        connection.ended.addCallback(lambda _: self._connections.discard(connection))
        # Every broker takes 23 letters and digits (3.1.3.1).
        client = f"ijtv{sha256(delivery.id.encode()).hexdigest()[:19]}"
        try:
            code = await connection.publish(broker, client, messages)
        except BaseException:
            connection.abort()
            raise
        connection.leave()
        return code


class _Factory(Factory):
    noisy = False

    def __init__(self, connection: MqttConnection) -> None:
        self._connection = connection

    def buildProtocol(self, addr: object) -> MqttConnection:
        return self._connection


def _classify(failure: Failure, destination: str) -> Result:
    """
    Classify an attempt that the broker did not answer.
    """
    if isinstance(failure.value, NotMqtt):
        return Result("error", f"{destination} {_SENTENCES['error']}")
    result = classify_failure(failure, destination)
    sentence = _SENTENCES.get(result.reason)
    return result if sentence is None else evolve(result, detail=f"{destination} {sentence}")
