"""
Notifies systemd that the daemon is ready, reloads, stops, and is alive.

The protocol is that of sd_notify(3): datagrams of ``NAME=value`` lines to the socket that ``NOTIFY_SOCKET`` names.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from itsjustintv.support.foreign_text import visible
from itsjustintv.support.log_throttle import LogOnChange
from itsjustintv.support.periodic_service import PeriodicService

__all__ = ["LivenessCheck", "Notify", "SystemdNotifier", "find_systemd", "watchdog_interval"]

#: Sends one message, without blocking; raises ``OSError`` when it cannot be sent.
Notify = Callable[[str], None]

#: A name, and a function that returns at once: why the part is dead, or ``None`` while it works.
LivenessCheck = tuple[str, Callable[[], str | None]]

_SECOND = 1_000_000


def find_systemd(environ: Mapping[str, str]) -> Notify | None:
    """
    A function that sends to ``NOTIFY_SOCKET``; ``None`` when that is not set.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return None
    # An abstract name of Linux begins with "@".
    path = "\0" + address[1:] if address.startswith("@") else address

    def notify(message: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as out:
            out.sendto(message.encode(), path)

    return notify


def watchdog_interval(environ: Mapping[str, str], pid: int) -> float | None:
    """
    Seconds between two watchdog notifications: half of the time after which systemd restarts the process, as
    sd_watchdog_enabled(3) recommends; ``None`` if the watchdog is off.
    """
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(microseconds) / _SECOND / 2 or None


@define(eq=False)
class SystemdNotifier(Service):
    """
    Notifies systemd, if that started the daemon. It must start after every other service and stop before them.

    :ivar notify: sends to systemd.
    :ivar interval: seconds between two watchdog notifications; ``None`` for none.
    :ivar checks: while one of them fails the watchdog is not notified, and systemd restarts the daemon.
    :ivar monotonic: CLOCK_MONOTONIC in nanoseconds, which RELOADING has to state.
    """

    _notify: Notify | None
    _interval: float | None
    _checks: Sequence[LivenessCheck]
    _reactor: Any
    _monotonic: Callable[[], int]
    _watchdog: PeriodicService | None = field(default=None, init=False)
    _reloads: int = field(default=0, init=False)
    _dead: tuple[str, ...] = field(default=(), init=False)
    _logged: LogOnChange = field(factory=LogOnChange, init=False)

    log = Logger()

    def startService(self) -> None:
        super().startService()
        # Before the reactor runs no request is answered.
        self._reactor.callWhenRunning(self._begin)

    def stopService(self) -> None:
        if self.running:
            self._send("STOPPING=1")
        super().stopService()
        if self._watchdog is not None:
            self._watchdog.stopService()

    def reloading(self, reload: Deferred[Any]) -> Deferred[Any]:
        """
        Notify that the daemon reloads, and that it is ready again when ``reload`` has fired or failed.
        """
        if self.running:
            self._reloads += 1
            self._send(f"RELOADING=1\nMONOTONIC_USEC={self._monotonic() // 1000}")
            reload.addBoth(self._reloaded)
        return reload

    def _begin(self) -> None:
        if not self.running:
            return
        self._send("READY=1")
        if self._notify is not None and self._interval is not None:
            self._watchdog = PeriodicService(self._reactor, self._interval, "notify the watchdog", self._check)
            self._watchdog.startService()

    def _reloaded(self, result: object) -> object:
        self._reloads -= 1
        if self.running and not self._reloads:
            self._send("READY=1")
        return result

    def _check(self) -> None:
        dead = tuple(f"{name}: {reason}" for name, ask in self._checks if (reason := self._ask(name, ask)))
        if dead != self._dead:
            self._dead = dead
            for reason in dead:
                self.log.error("liveness check failed: {reason}; systemd restarts the daemon", reason=reason)
            self._send(visible(f"STATUS={'; '.join(dead)}"))
        if not dead:
            self._send("WATCHDOG=1")

    def _ask(self, name: str, ask: Callable[[], str | None]) -> str | None:
        try:
            return ask()
        except Exception:  # noqa: BLE001 - a part whose check fails may be dead
            self.log.failure("liveness check {vital} raised an exception; it counts as failed", vital=name)
            return "the check raised an exception"

    def _send(self, message: str) -> None:
        """
        Send it; an error is logged once until the reason changes.
        """
        if self._notify is None:
            return
        try:
            self._notify(message)
        except OSError as error:
            reason = error.strerror or str(error)
            if self._logged.is_new(reason):
                word = message.partition("\n")[0]
                self.log.warn("cannot notify systemd of {word}: {reason}", word=word, reason=reason)
        else:
            self._logged.reset()
