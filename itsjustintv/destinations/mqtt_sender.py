"""
Publishes for all destinations of the kind ``mqtt``: each attempt over a connection of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256

import orjson
from attrs import Factory, define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from zope.interface import implementer

from itsjustintv.destinations.attempt_record import make_attempt
from itsjustintv.destinations.mqtt_client import Broker, MqttConnection, NotMqtt
from itsjustintv.destinations.response import RESET, classify_timeout
from itsjustintv.destinations.server_connections import ServerAdapter, ServerConnections, classify_connection
from itsjustintv.interfaces import ISender, SenderTools
from itsjustintv.model import Attempt, Delivery, Destination, Result
from itsjustintv.support.http_response import Response
from itsjustintv.support.waiters import watch

__all__ = ["MqttSender"]

_SENTENCES: Mapping[str, str] = {
    RESET: "closed the connection: check host, port and tls, and what the broker allows the user.",
    "dns": "has a broker whose name cannot be resolved: check host and the name server.",
    "error": "did not answer in MQTT: check host, port and tls.",
}


@implementer(ISender)
@define(eq=False)
class MqttSender:
    """
    Publishes at the broker of a destination.

    :ivar open: makes the adapter of a destination.
    """

    _tools: SenderTools
    _open: Callable[[Destination], ServerAdapter[Broker]]
    _connections: ServerConnections = field(
        default=Factory(lambda self: ServerConnections(self._tools), takes_self=True), init=False
    )

    def send(self, delivery: Delivery, destination: Destination) -> Deferred[Attempt]:
        return Deferred.fromCoroutine(self._attempt(delivery, destination))

    def stop(self) -> Deferred[None]:
        """
        Close every connection.
        """
        return self._connections.close()

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

    async def _publish(self, adapter: ServerAdapter[Broker], delivery: Delivery) -> int:
        broker = adapter.server()
        messages = orjson.loads(adapter.make_request(delivery, self._tools.wall()).body)
        connection = await self._connections.open(MqttConnection(), broker.host, broker.port, tls=broker.tls)
        # Every broker takes 23 letters and digits (3.1.3.1).
        client = f"ijtv{sha256(delivery.id.encode()).hexdigest()[:19]}"
        try:
            code = await connection.publish(broker, client, messages)
        except BaseException:
            connection.abort()
            raise
        connection.leave()
        return code


def _classify(failure: Failure, destination: str) -> Result:
    """
    Classify an attempt that the broker did not answer.
    """
    if isinstance(failure.value, NotMqtt):
        return Result("error", f"{destination} {_SENTENCES['error']}")
    return classify_connection(failure, destination, _SENTENCES)
