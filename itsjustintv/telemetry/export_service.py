"""
The service that sends spans and metrics to the collector while telemetry is enabled, and the rest at a stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Thread
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from itsjustintv.support.file_thread_pool import InThread
from itsjustintv.support.periodic_service import PeriodicService
from itsjustintv.telemetry.collect import Collection
from itsjustintv.telemetry.instruments import Counter, Reading
from itsjustintv.telemetry.otlp_settings import Settings
from itsjustintv.telemetry.tracing import Spans, Tracer

__all__ = ["OpenCollector", "Sender", "TelemetryService"]

# Seconds that a stop waits for the rest to be sent.
_LAST = 2.0


class Sender(Spans, Protocol):
    """
    Sends spans and metrics, in threads.
    """

    def put_metrics(self, readings: tuple[Reading, ...], started_at: float, now: float) -> None:
        """
        Queue one reading of every metric, to be sent in the next export.
        """

    def close(self) -> None:
        """
        Send what is queued, and release everything. Blocks.
        """


#: Opens a sender. It calls its second argument for everything sent or failed: the signal, the number, and the reason of
#: a failure, or an empty text. Blocks briefly.
OpenCollector = Callable[[Settings, Callable[[str, int, str], None]], Sender]


def _open(settings: Settings, on_sent: Callable[[str, int, str], None]) -> Sender:
    from itsjustintv.telemetry.otlp import open_collector  # noqa: PLC0415 - imports the SDK

    return open_collector(settings, on_sent)


class TelemetryService(Service):
    """
    Sends spans as they come and metrics once a minute, or as ``OTEL_METRIC_EXPORT_INTERVAL`` says.

    :param settings: returns the current settings; call :meth:`refresh` when they may have changed.
    :param sent: counts spans by outcome.
    :param open_collector: opens a sender.
    :param ahead: seconds by which the clock of the machine is ahead of the reactor's.
    """

    log = Logger()

    def __init__(  # noqa: PLR0917 - what it needs
        self,
        settings: Callable[[], Settings],
        tracer: Tracer,
        collection: Collection,
        sent: Counter,
        reactor: Any,
        in_thread: InThread,
        open_collector: OpenCollector = _open,
        ahead: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._settings = settings
        self._tracer = tracer
        self._collection = collection
        self._sent = sent
        self._reactor = reactor
        self._in_thread = in_thread
        self._open_collector = open_collector
        self._ahead = ahead
        self._current = Settings()
        self._sender: Sender | None = None
        self._loop: PeriodicService | None = None
        self._problems: dict[str, str] = {}
        self._started_at = reactor.seconds()

    def startService(self) -> None:
        """
        Start to send, if enabled. Importing the SDK takes a quarter of a second; no event is missed afterwards.
        """
        super().startService()
        self._current = self._settings()
        if self._current.is_enabled:
            try:
                self._use(self._open_collector(self._current, self._on_sent), self._current)
            except Exception as error:  # noqa: BLE001 - the daemon runs without telemetry
                self._unusable(error)

    def stopService(self) -> Deferred[None]:
        """
        Send the rest, for two seconds at most.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._finish())

    def problem(self) -> str | None:
        """
        Why nothing arrives at the collector, or ``None``.
        """
        return next(iter(self._problems.values()), None)

    def refresh(self) -> None:
        settings = self._settings()
        if not self.running or settings == self._current:
            return
        self._current = settings
        self._close(self._detach())
        self._problems.clear()
        if settings.is_enabled:
            opening = self._in_thread(self._open_collector, settings, self._on_sent)
            opening.addCallbacks(self._use, self._unusable, (settings,))

    def _use(self, sender: Sender, settings: Settings) -> None:
        if not self.running or settings != self._current:
            self._close(sender)
            return
        self._sender = self._tracer.collector = sender
        interval = settings.seconds("OTEL_METRIC_EXPORT_INTERVAL", 60.0)
        self._loop = PeriodicService(
            self._reactor, interval, "read the metrics", lambda: self._send_metrics(sender), now=False
        )
        self._loop.startService()
        self.log.info("sending traces and metrics to the collector at {place}", place=settings.place())

    def _unusable(self, error: Any) -> None:
        cause = getattr(error, "value", error)
        self._problems["settings"] = f"cannot send telemetry: {cause}"
        self.log.error(
            "cannot send telemetry: {reason}; the daemon runs without it",
            reason=f"install itsjustintv[grpc] ({cause})" if isinstance(cause, ImportError) else str(cause),
        )

    def _detach(self) -> Sender | None:
        sender, self._sender, self._tracer.collector = self._sender, None, None
        if self._loop is not None:
            self._loop.stopService()
        self._loop = None
        return sender

    async def _send_metrics(self, sender: Sender) -> None:
        self._put(sender, await self._collection.read())

    def _put(self, sender: Sender, readings: Iterable[Reading]) -> None:
        ahead = self._ahead()
        sender.put_metrics(tuple(readings), self._started_at + ahead, self._reactor.seconds() + ahead)

    async def _finish(self) -> None:
        sender = self._detach()
        if sender is None:
            return
        self._put(sender, self._collection.current())
        closed = self._close(sender)
        abandoning = self._reactor.callLater(_LAST, closed.cancel)
        await closed
        if abandoning.active():
            abandoning.cancel()

    def _close(self, sender: Sender | None) -> Deferred[None]:
        """
        Close a sender in a daemon thread, which holds up neither the reactor nor the exit of the process.
        """
        if sender is None:
            return succeed(None)
        closed: Deferred[None] = Deferred(lambda abandoned: abandoned.callback(None))

        def ended() -> None:
            if not closed.called:
                closed.callback(None)

        def close() -> None:
            try:
                sender.close()
            finally:
                self._reactor.callFromThread(ended)

        Thread(target=close, name="telemetry-close", daemon=True).start()
        return closed

    def _on_sent(self, signal: str, count: int, reason: str) -> None:
        """
        Hand a result of the sender to the reactor. Called in a thread.
        """
        self._reactor.callFromThread(self._note, signal, count, reason)

    def _note(self, signal: str, count: int, reason: str) -> None:
        if signal == "spans":
            self._sent.add_many(count, "failed" if reason else "sent")
        place = self._current.place()
        if reason and signal not in self._problems:
            self.log.warn(
                "the collector at {place} does not accept {signal}: {reason}; {signal} are dropped until it does",
                place=place,
                signal=signal,
                reason=reason,
            )
            self._problems[signal] = f"the collector at {place} does not accept {signal}"
        elif not reason and signal in self._problems:
            del self._problems[signal]
            self.log.info("the collector at {place} accepts {signal} again", place=place, signal=signal)
