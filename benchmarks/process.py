"""
A server under measurement: a process pinned to one core, while everything else here runs on another.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from attrs import define, frozen

__all__ = ["Cores", "Server", "free_port", "serve"]

_TICKS = os.sysconf("SC_CLK_TCK")


@frozen
class Cores:
    """
    Who runs where.
    """

    server: int
    load: int

    @classmethod
    def pick(cls) -> Cores:
        """
        Take the first and the last core we may use, and pin this process to the last. On a machine with one core they
        are the same, and the figures mean little.
        """
        usable = sorted(os.sched_getaffinity(0))
        cores = cls(server=usable[0], load=usable[-1])
        os.sched_setaffinity(0, {cores.load})
        return cores


@define(eq=False)
class Server:
    """
    A running server.
    """

    port: int
    _process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """
        User and system time of all its threads so far (proc(5): fields 14 and 15 of stat, after the name's bracket).
        """
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident(self) -> int:
        """
        KiB of memory that are resident (proc(5)).
        """
        (found,) = re.findall(
            r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{self._process.pid}/status").read_text(), re.MULTILINE
        )
        return int(found)

    async def idle(self) -> None:
        """
        Wait until it has nothing left to do: less than a tick of work in a while.

        :raises TimeoutError: it is still busy after two minutes.
        """
        async with asyncio.timeout(120):
            done = -1.0
            while self.cpu_seconds() - done > 1 / _TICKS:
                done = self.cpu_seconds()
                await asyncio.sleep(0.3)


def free_port() -> int:
    """
    Find a port nobody listens on.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def serve(command: Sequence[str], port: int, cores: Cores, log: Path) -> AsyncIterator[Server]:
    """
    Run a server until the block ends.

    :param log: gets its standard output and error.
    :raises RuntimeError: it does not listen within 30 seconds; says the end of its log.
    """
    with log.open("wb") as output:
        process = _start(command, cores, output)
    try:
        deadline = time.monotonic() + 30
        while not await _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"{command[0]} does not listen on {port}:\n{log.read_text(errors='replace')[-2000:]}"
                )
            await asyncio.sleep(0.05)
        yield Server(port, process)
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start(command: Sequence[str], cores: Cores, output: IO[bytes]) -> subprocess.Popen[bytes]:
    # A child inherits its parent's cores, threads and all, from its first instruction on.
    os.sched_setaffinity(0, {cores.server})
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    finally:
        os.sched_setaffinity(0, {cores.load})


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
