"""
The real daemon, in a process of its own.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.client import Agent, ResponseFailed, readBody

import itsjustintv
from itsjustintv.simulator.loopback import cancelling

__all__ = ["DaemonProcess", "NotReady", "environment"]

_POLL = 0.05
# Seconds for one answer; a daemon that is busy starting may owe it.
_PATIENCE = 2.0


class NotReady(Exception):
    """
    The daemon ended, or did not get ready in time; the text ends with what it said.
    """


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """
    What a daemon gets of our own environment: nothing that would configure it, and the way to this checkout, if it is
    one, since twistd looks for plugins on the import path only.
    """
    kept = {name: value for name, value in inherited.items() if not name.startswith("ITSJUSTINTV_")}
    root = Path(itsjustintv.__file__).parent.parent
    if (root / "setup.py").exists():
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(root), kept.get("PYTHONPATH"))))
    return kept


def twistd() -> Path:
    """
    Find the twistd that belongs to this Python.

    :raises NotReady: there is none.
    """
    script = Path(sys.executable).with_name("twistd")
    if not script.exists():
        raise NotReady(f"there is no twistd beside {sys.executable}")
    return script


@define(eq=False)
class _Watching(ProcessProtocol):
    """
    Collects what a process says, and notices its end.
    """

    ended: Deferred[int] = field(factory=Deferred, init=False)
    output: bytearray = field(factory=bytearray, init=False)
    heard: list[Callable[[], None]] = field(factory=list, init=False)

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: ARG002 - Twisted's signature
        self.output += data
        for listener in list(self.heard):
            listener()

    def processEnded(self, reason: Failure) -> None:
        status: Any = reason.value
        self.ended.callback(-status.signal if status.exitCode is None else status.exitCode)


@define(eq=False)
class DaemonProcess:
    """
    ``twistd -n --pidfile= itsjustintv --config FILE``, and whatever becomes of it. It can be started once.

    It is killed when this process dies, on Linux even when this process is killed.

    :ivar url: where the configuration lets it listen.
    :ivar wrapper: a command, by its whole path, that runs twistd for us.
    :ivar command: another command that starts the daemon, by its whole path.
    """

    _reactor: Any
    _directory: Path
    _config: Path
    url: str
    _environment: Mapping[str, str]
    _arguments: Sequence[str] = ()
    _wrapper: Sequence[str] = ()
    _command: Sequence[str] = ()
    _watching: _Watching = field(factory=_Watching, init=False)
    _transport: Any = field(default=None, init=False)
    _status: int | None = field(default=None, init=False)

    @property
    def pid(self) -> int | None:
        """
        The process, while there is one.
        """
        pid: int | None = None if self._transport is None or self._status is not None else self._transport.pid
        return pid

    @property
    def output(self) -> str:
        """
        Everything it said so far.
        """
        return self._watching.output.decode("utf-8", "replace")

    @property
    def status(self) -> int | None:
        """
        How it ended: its exit status, or minus the number of the signal it died of; ``None`` while it has not.
        """
        return self._status

    def start(self) -> None:
        """
        Start the process, in the directory given, with no standard input.
        """
        command = self._command or [
            str(twistd()),
            "-n",
            "--pidfile=",
            *self._arguments,
            "itsjustintv",
            "--config",
            str(self._config),
        ]
        tether = [sys.executable, "-m", "itsjustintv.simulator.die_with_parent", str(os.getpid())]
        self._transport = self._reactor.spawnProcess(
            self._watching,
            sys.executable,
            [*tether, *self._wrapper, *command],
            env=dict(self._environment),
            path=str(self._directory),
            childFDs={0: "w", 1: "r", 2: "r"},
        )
        self._transport.closeStdin()

        def ended(status: int) -> int:
            self._status = status
            return status

        self._watching.ended.addCallback(ended)

    async def ready(self, timeout: float = 20.0) -> None:
        """
        Wait until it answers ``GET /health`` with 200.

        :raises NotReady: it ended, or the seconds ran out.
        """
        try:
            await Deferred.fromCoroutine(self._healthy()).addTimeout(timeout, self._reactor)
        except defer.TimeoutError:
            raise NotReady(f"the daemon was not ready within {timeout:g} s. It said:\n{self.output}") from None

    def said(self, text: str) -> Deferred[None]:
        """
        Wait until its output holds a text.
        """
        heard: Deferred[None] = Deferred(lambda _: self._watching.heard.remove(listen))
        wanted = text.encode()

        def listen() -> None:
            if wanted in self._watching.output:
                self._watching.heard.remove(listen)
                heard.callback(None)

        self._watching.heard.append(listen)
        listen()
        return heard

    def send_signal(self, number: int) -> None:
        """
        Send it a signal, if it is still there.
        """
        if self.pid is not None:
            with suppress(ProcessExitedAlready):
                self._transport.signalProcess(number)

    def ended(self) -> Deferred[int]:
        """
        Wait for its end; answers as :attr:`status` does.
        """
        waiting: Deferred[int] = Deferred()

        def tell(status: int) -> int:
            if not waiting.called:
                waiting.callback(status)
            return status

        self._watching.ended.addCallback(tell)
        return waiting

    async def stop(self, grace: float = 25.0) -> int | None:
        """
        Ask it to end, and kill it when it has not after some seconds.

        :return: as :attr:`status`; ``None`` when it never started.
        """
        if self._transport is None:
            return None
        self.send_signal(signal.SIGTERM)
        try:
            return await self.ended().addTimeout(grace, self._reactor)
        except defer.TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """
        Kill it, as a power cut would.
        """
        self.send_signal(signal.SIGKILL)
        return await self.ended()

    async def _healthy(self) -> None:
        agent = Agent(self._reactor)
        while True:
            if self._status is not None:
                raise NotReady(f"the daemon ended with status {self._status} at its start. It said:\n{self.output}")
            try:
                if await cancelling(self._answers(agent)).addTimeout(_PATIENCE, self._reactor):
                    return
            except (ConnectError, ResponseFailed, defer.TimeoutError):
                pass
            await deferLater(self._reactor, _POLL)

    async def _answers(self, agent: Agent) -> bool:
        response = await agent.request(b"GET", f"{self.url}/health".encode())
        await readBody(response)
        return bool(response.code == http.OK)
