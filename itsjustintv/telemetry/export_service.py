"""
When telemetry is sent: from the start to the last moment of a stop, while it is enabled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Thread
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from itsjustintv.support.periodic_service import PeriodicService
from itsjustintv.telemetry.collect import Collection, InThread
from itsjustintv.telemetry.instruments import Counter, Reading
from itsjustintv.telemetry.otlp_settings import Settings
from itsjustintv.telemetry.tracing import Spans, Tracer

__all__ = ["OpenCollector", "Sender", "TelemetryService"]

# Seconds that a stop waits for what is still to be sent.
_LAST = 2.0


class Sender(Spans, Protocol):
    """
    Sends spans and metrics, in threads.
    """

    def put_metrics(self, readings: tuple[Reading, ...], started_at: float, now: float) -> None:
        """
        Send metrics soon.
        """

    def close(self) -> None:
        """
        Send what waits, and let go of everything. Blocks.
        """


#: Makes ready to send, and is given whom to tell of what was sent: which signal, how many of it, and why not. Blocks
#: for a moment.
OpenCollector = Callable[[Settings, Callable[[str, int, str], None]], Sender]


def _open(settings: Settings, on_sent: Callable[[str, int, str], None]) -> Sender:
    from itsjustintv.telemetry.otlp import open_collector  # noqa: PLC0415 - imports the SDK

    return open_collector(settings, on_sent)


class TelemetryService(Service):
    """
    Sends spans as they come and metrics once a minute, or as ``OTEL_METRIC_EXPORT_INTERVAL`` says.

    :param settings: as they are at this moment; :meth:`refresh` tells that they may have changed.
    :param sent: counts spans by what became of them.
    :param open_collector: makes ready to send.
    :param ahead: by how many seconds the clock of the machine is ahead of the reactor's.
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
        self._trouble: dict[str, str] = {}
        self._started_at = reactor.seconds()

    def startService(self) -> None:
        """
        Begin to send, if that is enabled. It takes a quarter of a second, and then no event goes unseen.
        """
        super().startService()
        self._current = self._settings()
        if self._current.wanted:
            try:
                self._use(self._open_collector(self._current, self._told), self._current)
            except Exception as error:  # noqa: BLE001 - nothing is worth less than an event
                self._unusable(error)

    def stopService(self) -> Deferred[None]:
        """
        Send what there is, for two seconds at the most.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._finish())

    def problem(self) -> str | None:
        """
        Why nothing arrives, or ``None``.
        """
        return next(iter(self._trouble.values()), None)

    def refresh(self) -> None:
        """
        Follow the settings.
        """
        settings = self._settings()
        if not self.running or settings == self._current:
            return
        self._current = settings
        self._close(self._let_go())
        self._trouble.clear()
        if settings.wanted:
            opening = self._in_thread(self._open_collector, settings, self._told)
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
        self.log.info("traces and metrics are sent to the collector at {place}", place=settings.place())

    def _unusable(self, error: Any) -> None:
        cause = getattr(error, "value", error)
        self._trouble["settings"] = f"telemetry cannot be sent: {cause}"
        self.log.error(
            "no telemetry can be sent, the daemon goes on without: {reason}",
            reason=f"install itsjustintv[grpc] ({cause})" if isinstance(cause, ImportError) else str(cause),
        )

    def _let_go(self) -> Sender | None:
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
        sender = self._let_go()
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
        Close what is no longer used, in a thread that keeps nobody: not the reactor, and not the end of the process.
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

    def _told(self, signal: str, count: int, reason: str) -> None:
        """
        Hear, in a thread, of something that was sent.
        """
        self._reactor.callFromThread(self._note, signal, count, reason)

    def _note(self, signal: str, count: int, reason: str) -> None:
        if signal == "spans":
            self._sent.add_many(count, "failed" if reason else "sent")
        place = self._current.place()
        if reason and signal not in self._trouble:
            self.log.warn(
                "the collector at {place} takes no {signal}, they are dropped until it does: {reason}",
                place=place,
                signal=signal,
                reason=reason,
            )
            self._trouble[signal] = f"the collector at {place} takes no {signal}"
        elif not reason and signal in self._trouble:
            del self._trouble[signal]
            self.log.info("the collector at {place} takes {signal} again", place=place, signal=signal)
