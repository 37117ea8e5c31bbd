"""
Publishes for all destinations of the kind ``mqtt``: each attempt over a connection of its own, beside one to each
broker that shows that the daemon runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Protocol

import orjson
from attrs import Factory, define, evolve, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from itsjustintv.destinations.attempt_record import make_attempt
from itsjustintv.destinations.mqtt_client import ACCEPTED, Broker, MqttConnection, NotMqtt
from itsjustintv.destinations.mqtt_presence import MqttPresence, Shown
from itsjustintv.destinations.response import RESET, classify_timeout
from itsjustintv.destinations.server_connections import ServerAdapter, ServerConnections, classify_connection
from itsjustintv.interfaces import IAskingSender, IFollowingSender, SenderTools
from itsjustintv.model import Attempt, Delivery, Destination, Result
from itsjustintv.support.http_response import Response
from itsjustintv.support.waiters import watch

__all__ = ["MqttSender"]

_SENTENCES: Mapping[str, str] = {
    RESET: "closed the connection: check host, port and tls, and what the broker allows the user.",
    "dns": "has a broker whose name cannot be resolved: check host and the name server.",
    "error": "did not answer in MQTT: check host, port and tls.",
}


class MqttAdapter(ServerAdapter[Broker], Protocol):
    """
    An adapter of a broker.
    """

    def shown(self) -> Shown: ...


@implementer(IAskingSender, IFollowingSender)
@define(eq=False)
class MqttSender:
    """
    Publishes at the broker of a destination.

    :ivar open: makes the adapter of a destination.
    :ivar trust: decides which certificates of brokers are trusted.
    """

    _tools: SenderTools
    _open: Callable[[Destination], MqttAdapter]
    _trust: IPolicyForHTTPS = field(factory=BrowserLikePolicyForHTTPS)
    _connections: ServerConnections = field(
        default=Factory(lambda self: ServerConnections(self._tools, self._trust), takes_self=True), init=False
    )
    _presences: dict[Shown, MqttPresence] = field(factory=dict, init=False)

    def send(self, delivery: Delivery, destination: Destination) -> Deferred[Attempt]:
        return Deferred.fromCoroutine(self._attempt(delivery, destination))

    def ask(self, question: Delivery, destination: Destination) -> Deferred[Attempt]:
        return Deferred.fromCoroutine(self._ask(question, destination))

    def follow(self, destinations: Sequence[Destination]) -> None:
        """
        Show at the brokers of these destinations, and at no other, that the daemon runs.
        """
        wanted = {self._open(each).shown(): each.name for each in destinations}
        for shown in self._presences.keys() - wanted.keys():
            self._presences.pop(shown).stop()
        for shown, name in wanted.items():
            if shown not in self._presences:
                presence = MqttPresence(name, shown, self._tools, self._connections, _classify)
                self._presences[shown] = presence
                presence.start()

    def stop(self) -> Deferred[None]:
        self.follow(())
        return self._connections.close()

    async def _ask(self, question: Delivery, destination: Destination) -> Attempt:
        attempt = await self._attempt(question, destination)
        does = "accepts the login" if self._open(destination).server().user else "accepts connections"
        return evolve(attempt, detail=f"{destination.name} (mqtt) {does}.") if attempt.ok else attempt

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
            code = await connection.log_in(broker, client)
            if code == ACCEPTED:
                await connection.publish(messages)
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
