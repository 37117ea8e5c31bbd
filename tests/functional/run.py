"""
Commands that end by themselves, or are ended.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

__all__ = ["Ended", "run", "until"]

T = TypeVar("T")


@frozen
class Ended:
    """
    A command that has ended.

    :ivar status: what it exited with, or minus the signal it died of.
    """

    out: str
    err: str
    status: int

    def __str__(self) -> str:
        return f"status {self.status}\n{self.out}{self.err}"


@define(eq=False)
class _Listening(ProcessProtocol):
    """
    Keeps what a command says, each stream apart.
    """

    said: dict[int, bytearray] = field(factory=lambda: {1: bytearray(), 2: bytearray()})
    ended: Deferred[int] = field(factory=Deferred)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self.said[childFD] += data

    def processEnded(self, reason: Failure) -> None:
        status: Any = reason.value
        self.ended.callback(-status.signal if status.exitCode is None else status.exitCode)


async def run(
    reactor: Any, command: Sequence[str], folder: Path, environment: Mapping[str, str], patience: float = 30.0
) -> Ended:
    """
    Run a command, by its whole path, until it ends. After some seconds it is killed.
    """
    listening = _Listening()
    transport = reactor.spawnProcess(
        listening, command[0], list(command), env=dict(environment), path=str(folder), childFDs={0: "w", 1: "r", 2: "r"}
    )
    transport.closeStdin()

    def kill() -> None:
        with suppress(ProcessExitedAlready):
            transport.signalProcess(signal.SIGKILL)

    patient = reactor.callLater(patience, kill)
    try:
        status = await listening.ended
    finally:
        if patient.active():
            patient.cancel()
    return Ended(listening.said[1].decode(), listening.said[2].decode(), status)


async def until(reactor: Any, condition: Callable[[], T], patience: float = 30.0) -> T:
    """
    Ask again and again until the answer counts as true.

    :raises AssertionError: it never did within so many seconds.
    """
    end = reactor.seconds() + patience
    while not (answer := condition()):
        if reactor.seconds() > end:
            raise AssertionError(f"the condition was not met within {patience:g} s; its last value is {answer!r}")
        await deferLater(reactor, 0.02)
    return answer


@define(eq=False)
class Background:
    """
    A command that runs until it is killed; also with this process, on Linux.

    :ivar command: by its whole path.
    """

    _reactor: Any
    _command: Sequence[str]
    _folder: Path
    _listening: _Listening = field(factory=_Listening, init=False)
    _transport: Any = field(default=None, init=False)

    def start(self, environment: Mapping[str, str]) -> None:
        """
        Start it.
        """
        wrapper = [sys.executable, "-m", "itsjustintv.simulator.die_with_parent", str(os.getpid())]
        self._transport = self._reactor.spawnProcess(
            self._listening,
            sys.executable,
            [*wrapper, *self._command],
            env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            path=str(self._folder),
            childFDs={0: "w", 1: "r", 2: "r"},
        )
        self._transport.closeStdin()

    @property
    def pid(self) -> int:
        """
        The process.
        """
        pid: int = self._transport.pid
        return pid

    @property
    def running(self) -> bool:
        """
        Whether it has been started and has not ended.
        """
        return self._transport is not None and not self._listening.ended.called

    @property
    def output(self) -> str:
        """
        Everything it said so far.
        """
        return b"".join(self._listening.said.values()).decode("utf-8", "replace")

    async def kill(self) -> None:
        """
        End it, if it was started.
        """
        if self._transport is not None:
            with suppress(ProcessExitedAlready):
                self._transport.signalProcess(signal.SIGKILL)
            await self._listening.ended
