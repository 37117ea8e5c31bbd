"""
The real daemon under a supervisor that listens as systemd does.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from tempfile import TemporaryDirectory

from attrs import define, field
from twisted.internet.defer import Deferred

from tests.functional.stage import StageCase


@define(eq=False)
class NotifySocket:
    """
    The end of ``NOTIFY_SOCKET`` at which systemd listens.

    :ivar heard: every message so far.
    """

    path: str
    heard: list[str] = field(factory=list)
    _socket: socket.socket = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(self.path)

    def listen(self) -> list[str]:
        """
        Take what has come.
        """
        try:
            while True:
                self.heard.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return self.heard

    def has(self, message: str, times: int = 1) -> Callable[[], bool]:
        """
        Whether something has been said so often.
        """
        return lambda: sum(each.split("\n")[0] == message for each in self.listen()) >= times

    def close(self) -> None:
        """
        Listen no more.
        """
        self._socket.close()


class SupervisorTests(StageCase):
    """
    systemd knows what the daemon does.
    """

    def test_from_start_to_stop(self) -> Deferred[None]:
        """
        READY is said when requests are answered, signs of life are given while it works, a SIGHUP is a reload with a
        beginning and an end, and STOPPING is the last word.
        """

        async def scenario() -> None:
            folder = TemporaryDirectory()
            self.addCleanup(folder.cleanup)
            supervisor = NotifySocket(f"{folder.name}/notify")
            self.addCleanup(supervisor.close)
            stage = self.stage()
            daemon = stage.daemon(env={"NOTIFY_SOCKET": supervisor.path, "WATCHDOG_USEC": "200000"})
            daemon.start()
            await stage.until(supervisor.has("READY=1"))
            with socket.create_connection(("127.0.0.1", stage.port), timeout=10):
                pass
            await stage.until(supervisor.has("WATCHDOG=1", 3))
            daemon.send_signal(signal.SIGHUP)
            await stage.until(supervisor.has("READY=1", 2))
            (reloading,) = (each for each in supervisor.heard if each.startswith("RELOADING=1"))
            self.assertRegex(reloading, r"^RELOADING=1\nMONOTONIC_USEC=\d+$")
            daemon.send_signal(signal.SIGTERM)
            self.assertEqual(await daemon.ended(), 0, daemon.output)
            self.assertEqual(supervisor.listen()[-1], "STOPPING=1")
            words = [each for each in supervisor.heard if each != "WATCHDOG=1"]
            self.assertEqual(words, ["READY=1", reloading, "READY=1", "STOPPING=1"])

        return Deferred.fromCoroutine(scenario())
