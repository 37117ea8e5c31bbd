"""
What a supervisor such as systemd is told: that the daemon is ready, reloads, stops, and is alive.

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
from itsjustintv.support.periodic_service import PeriodicService

__all__ = ["SystemdNotifier", "Tell", "Vital", "notifier", "watchdog_interval"]

#: Sends one message. Never blocks.
#:
#: :raises OSError: the supervisor cannot be told.
Tell = Callable[[str], None]

#: A name, and a question answered at once: what of it is dead, or ``None`` while it lives.
Vital = tuple[str, Callable[[], str | None]]

_SECOND = 1_000_000


def notifier(environ: Mapping[str, str]) -> Tell | None:
    """
    Find the supervisor.

    :return: ``None`` when there is none that wants to be told.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return None
    # A name that begins with "@" is one of Linux's abstract names.
    path = "\0" + address[1:] if address.startswith("@") else address

    def tell(message: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as out:
            out.sendto(message.encode(), path)

    return tell


def watchdog_interval(environ: Mapping[str, str], pid: int) -> float | None:
    """
    Tell how often the supervisor wants to hear that this process is alive: half of the seconds after which it would
    restart it, as sd_watchdog_enabled(3) recommends; ``None`` if it does not.
    """
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(microseconds) / _SECOND / 2 or None


@define(eq=False)
class SystemdNotifier(Service):
    """
    Tells the supervisor, if there is one. Belongs at the top: it is the last to start, when everything below it has,
    and the first to stop.

    :ivar tell: reaches the supervisor.
    :ivar interval: seconds between two signs of life; ``None`` for none.
    :ivar vitals: while one of them is dead no sign of life is given, and the supervisor restarts the daemon.
    :ivar reactor: tells the time, and when it runs.
    :ivar monotonic: the system's CLOCK_MONOTONIC in nanoseconds, which RELOADING has to name.
    """

    _tell: Tell | None
    _interval: float | None
    _vitals: Sequence[Vital]
    _reactor: Any
    _monotonic: Callable[[], int]
    _watchdog: PeriodicService | None = field(default=None, init=False)
    _reloads: int = field(default=0, init=False)
    _dead: tuple[str, ...] = field(default=(), init=False)
    _unheard: str | None = field(default=None, init=False)

    log = Logger()

    def startService(self) -> None:
        """
        Say that the daemon is ready, as soon as the reactor runs: only then anybody is answered.
        """
        super().startService()
        self._reactor.callWhenRunning(self._begin)

    def stopService(self) -> None:
        """
        Say that the daemon stops. From then on no sign of life is awaited.
        """
        if self.running:
            self._say("STOPPING=1")
        super().stopService()
        if self._watchdog is not None:
            self._watchdog.stopService()

    def reloading(self, reload: Deferred[Any]) -> Deferred[Any]:
        """
        Say that the daemon reloads, and that it is ready again when that has ended, however it ends.
        """
        if self.running:
            self._reloads += 1
            self._say(f"RELOADING=1\nMONOTONIC_USEC={self._monotonic() // 1000}")
            reload.addBoth(self._reloaded)
        return reload

    def _begin(self) -> None:
        if not self.running:
            return
        self._say("READY=1")
        if self._tell is not None and self._interval is not None:
            self._watchdog = PeriodicService(self._reactor, self._interval, "notify the watchdog", self._live)
            self._watchdog.startService()

    def _reloaded(self, result: object) -> object:
        self._reloads -= 1
        if self.running and not self._reloads:
            self._say("READY=1")
        return result

    def _live(self) -> None:
        """
        Give a sign of life, unless there is no life.
        """
        dead = tuple(f"{name}: {reason}" for name, ask in self._vitals if (reason := self._ask(name, ask)))
        if dead != self._dead:
            self._dead = dead
            for reason in dead:
                self.log.error("{reason}; the supervisor gets no sign of life, and restarts the daemon", reason=reason)
            self._say(visible(f"STATUS={'; '.join(dead)}"))
        if not dead:
            self._say("WATCHDOG=1")

    def _ask(self, name: str, ask: Callable[[], str | None]) -> str | None:
        try:
            return ask()
        except Exception:  # noqa: BLE001 - who cannot say whether it lives may be dead
            self.log.failure("{vital} cannot say whether it lives", vital=name)
            return "cannot say whether it lives"

    def _say(self, message: str) -> None:
        """
        Say it, and say in the log if that cannot be done: the same reason once.
        """
        if self._tell is None:
            return
        try:
            self._tell(message)
        except OSError as error:
            reason = error.strerror or str(error)
            if reason != self._unheard:
                word = message.partition("\n")[0]
                self.log.warn("the supervisor cannot be told {word}: {reason}", word=word, reason=reason)
            self._unheard = reason
        else:
            self._unheard = None
