"""
A command at a terminal, and somebody who types.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.functional.run import until

__all__ = ["Terminal"]


@define(eq=False)
class Terminal(ProcessProtocol):
    """
    A pseudo-terminal with one command on it.

    :ivar seen: all that was written to it, what was typed included.
    """

    _reactor: Any
    seen: str = field(default="", init=False)
    _read: int = field(default=0, init=False)
    _transport: Any = field(default=None, init=False)
    _ended: Deferred[int] = field(factory=Deferred, init=False)

    def start(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        """
        Start the command, which is given by its whole path.
        """
        env = {**environment, "TERM": "xterm"}
        self._transport = self._reactor.spawnProcess(
            self, command[0], list(command), env=env, path=str(folder), usePTY=True
        )

    async def answer(self, question: str, text: str) -> None:
        """
        Wait for a question that was not seen before, and type an answer to it.
        """
        await until(self._reactor, lambda: question in self.seen[self._read :])
        self._read = self.seen.index(question, self._read) + len(question)
        self._transport.write(text.encode())

    async def ended(self) -> int:
        """
        Wait for the end: the status, or minus the signal.
        """
        await until(self._reactor, lambda: self._ended.called)
        return await self._ended

    async def kill(self) -> None:
        """
        End the command, if it still runs.
        """
        with suppress(ProcessExitedAlready):
            self._transport.signalProcess(signal.SIGKILL)
        await self._ended

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self.seen += data.decode(errors="replace")

    def processEnded(self, reason: Failure) -> None:
        status: Any = reason.value
        self._ended.callback(-status.signal if status.exitCode is None else status.exitCode)
