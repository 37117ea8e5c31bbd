"""
Shows at a broker that the daemon runs, by a connection that is kept open.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, TimeoutError  # noqa: A004 - what addTimeout fails with
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from itsjustintv.destinations.mqtt_client import ACCEPTED, Broker, MqttConnection
from itsjustintv.destinations.response import classify_timeout
from itsjustintv.destinations.server_connections import ServerConnections
from itsjustintv.interfaces import SenderTools
from itsjustintv.model import Result
from itsjustintv.support.backoff import exponential
from itsjustintv.support.durations import Seconds
from itsjustintv.support.log_throttle import LogOnChange

__all__ = ["OFFLINE", "ONLINE", "MqttPresence", "Shown"]

#: The payloads of the topic.
ONLINE, OFFLINE = "online", "offline"

# In seconds: between two pings, half of the silence after which the broker ends the connection; and the pauses between
# two connections.
_PING = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0


@frozen
class Shown:
    """
    Where it is shown that the daemon runs.

    :ivar topic: whose payload is :data:`ONLINE` or :data:`OFFLINE`.
    """

    broker: Broker
    topic: str


class _Refused(Exception):
    """
    The broker does not let the user connect.
    """


@define(eq=False)
class MqttPresence:
    """
    Keeps one connection to a broker, whose last will says that the daemon is gone: the broker publishes that as soon as
    the connection ends, however it does (MQTT 3.1.1, 3.1.2.5).

    :ivar destination: its name, for the log.
    :ivar classify: says what a failure means for a destination.
    """

    destination: str
    shown: Shown
    _tools: SenderTools
    _connections: ServerConnections
    _classify: Callable[[Failure, str], Result]
    _running: Deferred[None] | None = field(default=None, init=False)
    _rest: Deferred[None] | None = field(default=None, init=False)
    _stopped: bool = field(default=False, init=False)
    _failures: int = field(default=0, init=False)
    _logged: LogOnChange = field(factory=LogOnChange, init=False)

    log = Logger()

    def start(self) -> None:
        """
        Connect, and again whenever the connection ends.
        """
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(lambda failure: failure.trap(CancelledError) and None)

    def stop(self) -> None:
        """
        End the connection, without a farewell: so the broker publishes the will.
        """
        self._stopped = True
        if self._running is not None:
            self._running.cancel()

    async def _run(self) -> None:
        while True:
            try:
                await self._stay()
            except Exception:  # noqa: BLE001 - whatever it was, a connection is made again
                failure = Failure()
            if self._stopped:
                return
            result = self._explain(failure)
            delay = exponential(self._failures, _FIRST_PAUSE, _LONGEST_PAUSE)
            self._failures += 1
            if self._logged.is_new(result.detail):
                self.log.warn(
                    "{destination} cannot show that the daemon runs: {detail} Retrying in {delay}",
                    destination=self.destination,
                    detail=result.detail,
                    delay=Seconds(delay),
                )
            await deferLater(self._tools.reactor, delay)

    async def _stay(self) -> None:
        """
        Connect, and stay until that fails.
        """
        connection = MqttConnection()
        try:
            await self._in_time(Deferred.fromCoroutine(self._begin(connection)))
            connection.ended.addCallback(self._wake)
            self._failures = 0
            self._logged.reset()
            while True:
                if not connection.ended.called:
                    self._rest = deferLater(self._tools.reactor, _PING)
                    await self._rest.addErrback(lambda failure: failure.trap(CancelledError) and None)
                if self._stopped:
                    return
                await self._in_time(Deferred.fromCoroutine(connection.ping()))
        finally:
            connection.abort()

    async def _begin(self, connection: MqttConnection) -> None:
        broker, topic = self.shown.broker, self.shown.topic
        await self._connections.open(connection, broker.host, broker.port, tls=broker.tls)
        # The same after a restart: so the broker ends a connection of the last run that it still holds.
        client = f"ijtv{sha256(f'{broker.user} {topic}'.encode()).hexdigest()[:19]}"
        if await connection.log_in(broker, client, (topic, OFFLINE)) != ACCEPTED:
            raise _Refused
        await connection.publish([(topic, ONLINE)])

    async def _in_time(self, working: Deferred[None]) -> None:
        await working.addTimeout(self._tools.timeout(), self._tools.reactor)

    def _wake(self, ended: None) -> None:
        """
        Notice at once that the connection has ended.
        """
        if self._rest is not None:
            self._rest.cancel()

    def _explain(self, failure: Failure) -> Result:
        if isinstance(failure.value, _Refused):
            return Result("error", f"{self.destination} does not accept user and password.")
        if isinstance(failure.value, TimeoutError):
            return classify_timeout(self._tools.timeout(), self.destination)
        return self._classify(failure, self.destination)
