"""
The real daemon in a process.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
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
from itsjustintv.simulator import die_with_parent
from itsjustintv.simulator.loopback import cancelling

__all__ = ["DaemonProcess", "NotReady", "environment"]

_POLL = 0.05
_SOCKETS = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
# TCP_LISTEN of the kernel (include/net/tcp_states.h).
_LISTEN = "0A"
# Seconds for one answer: a daemon that is starting may accept a connection and not answer yet.
_PATIENCE = 2.0


class NotReady(Exception):
    """
    The daemon exited, or was not ready in time; the text ends with its output.
    """


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """
    The environment of a daemon: the inherited one without the variables that configure it, and with this checkout on
    the import path, if it is one, since twistd looks for plugins there.
    """
    kept = {name: value for name, value in inherited.items() if not name.startswith("ITSJUSTINTV_")}
    root = Path(itsjustintv.__file__).parent.parent
    if (root / "setup.py").exists():
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(root), kept.get("PYTHONPATH"))))
    return kept


def twistd() -> Path:
    """
    The path of the twistd that belongs to this Python.

    :raises NotReady: it is not installed.
    """
    script = Path(sys.executable).with_name("twistd")
    if not script.exists():
        raise NotReady(f"cannot find twistd next to {sys.executable}")
    return script


def _address(text: str) -> str:
    """
    Read an address as the kernel writes it: words of four bytes, each as a number (proc_net_tcp(5)).
    """
    words = [int(text[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(text), 8)]
    return str(ip_address(b"".join(words)))


@define(eq=False)
class _Watching(ProcessProtocol):
    """
    Collects the output of a process, and its exit status.
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
    ``twistd -n --pidfile= itsjustintv --config FILE``. It can be started once.

    On Linux it is killed when this process dies, even of SIGKILL.

    :ivar url: where it listens, by its configuration.
    :ivar wrapper: the absolute path and arguments of a program that runs twistd, such as strace.
    :ivar command: replaces the twistd command; an absolute path first.
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
        The process id while the process runs.
        """
        pid: int | None = None if self._transport is None or self._status is not None else self._transport.pid
        return pid

    @property
    def output(self) -> str:
        """
        Its standard output and standard error so far.
        """
        return self._watching.output.decode("utf-8", "replace")

    @property
    def status(self) -> int | None:
        """
        Its exit status, or minus the number of the signal that ended it; ``None`` while it runs.
        """
        return self._status

    def listening(self) -> Collection[str] | None:
        """
        The addresses at which the process accepts TCP connections; ``None`` where that cannot be known.
        """
        try:
            links = {os.readlink(each) for each in Path(f"/proc/{self.pid}/fd").iterdir()}  # noqa: PTH115 - no path
            # The second is not there without IPv6.
            tables = [each.read_text(encoding="ascii") for each in _SOCKETS if each.exists()]
        except OSError:
            return None
        lines = [line.split() for table in tables for line in table.splitlines()[1:]]
        mine = [each[1] for each in lines if each[3] == _LISTEN and f"socket:[{each[9]}]" in links]
        return {_address(each.partition(":")[0]) for each in mine}

    def start(self) -> None:
        """
        Start the process in its directory, with a closed standard input.
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
        # Alone, without a package around it and without site: it is imported at each start.
        wrapper = [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid())]
        self._transport = self._reactor.spawnProcess(
            self._watching,
            sys.executable,
            [*wrapper, *self._wrapper, *command],
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

        :raises NotReady: it exited, or was not ready within so many seconds.
        """
        try:
            await Deferred.fromCoroutine(self._healthy()).addTimeout(timeout, self._reactor)
        except defer.TimeoutError:
            raise NotReady(f"the daemon was not ready within {timeout:g} s; its output:\n{self.output}") from None

    def said(self, text: str) -> Deferred[None]:
        """
        Wait until its output contains a text.
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
        Send a signal if the process runs.
        """
        if self.pid is not None:
            with suppress(ProcessExitedAlready):
                self._transport.signalProcess(number)

    def ended(self) -> Deferred[int]:
        """
        Wait until it exits; the result is that of :attr:`status`.
        """
        waiting: Deferred[int] = Deferred()

        def pass_on(status: int) -> int:
            if not waiting.called:
                waiting.callback(status)
            return status

        self._watching.ended.addCallback(pass_on)
        return waiting

    async def stop(self, grace: float = 25.0) -> int | None:
        """
        Send SIGTERM, and SIGKILL if it has not exited after some seconds.

        :return: as :attr:`status`; ``None`` if it never started.
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
        Send SIGKILL, and wait.
        """
        self.send_signal(signal.SIGKILL)
        return await self.ended()

    async def _healthy(self) -> None:
        agent = Agent(self._reactor)
        while True:
            if self._status is not None:
                raise NotReady(
                    f"the daemon exited with status {self._status} during its start; its output:\n{self.output}"
                )
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
