"""
How soon the daemon is ready and how much memory it takes, with as many streamers: ``python -m benchmarks.footprint``.

Ready is when the daemon says so to its supervisor, which is when it answers. Memory is what is resident.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from attrs import frozen

from benchmarks import report
from benchmarks.load import apply_load
from benchmarks.loopback import Helix, Receiver, listen
from benchmarks.messages import SECRET, sign, streamers
from benchmarks.process import free_port
from benchmarks.servers.daemon import configuration

STREAMERS = (1, 1_000, 10_000)

#: What is aimed at: MiB that are resident, by streamers, and seconds to be ready.
MEMORY = {1_000: 80, 10_000: 200}
READY = 1.5

#: Of so many streamers news come in before memory is measured the last time.
NEWS = 500


@frozen(kw_only=True)
class Figures:
    """
    One run. Times are seconds, memory is MiB.

    :ivar first: from the process to ready, with nothing on disk yet.
    :ivar again: the same with a journal, and with the subscriptions there.
    :ivar cpu: of that, what it had a processor for.
    :ivar at_ready: memory then.
    :ivar subscribed: memory when everybody is subscribed to.
    :ivar after_news: memory when news have come in and were delivered.
    :ivar highest: the most there ever was.
    """

    first: float
    again: float
    cpu: float
    at_ready: float
    subscribed: float
    after_news: float
    highest: float


@contextmanager
def supervisor(folder: Path) -> Iterator[socket.socket]:
    """
    Listen as systemd does.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listening:
        listening.bind(str(folder / "notify"))
        yield listening
    (folder / "notify").unlink()


async def start(folder: Path) -> tuple[subprocess.Popen[bytes], float]:
    """
    Start the daemon, and tell how long it took to be ready.

    :raises RuntimeError: it never was.
    """
    command = [sys.executable, "-m", "itsjustintv", "run", "--config", str(folder / "config.toml")]
    with supervisor(folder) as listening, (folder / "log").open("wb") as log:
        environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify")}
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
        try:
            async with asyncio.timeout(60):
                await asyncio.get_running_loop().sock_recv(listening, 100)
        except TimeoutError:
            process.kill()
            raise RuntimeError(f"it is not ready:\n{(folder / 'log').read_text()[-2000:]}") from None
        return process, time.perf_counter() - begun


def memory(process: subprocess.Popen[bytes], name: str = "VmRSS") -> float:
    """
    Read what is resident, or with ``VmHWM`` the most that ever was, in MiB.
    """
    (kibibytes,) = re.findall(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    return int(kibibytes) / 1024


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """
    Read the user and system time of all its threads so far.
    """
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def until_there(count: int, counted: Sequence[object], patience: float) -> None:
    """
    Wait until so many are in a sequence.
    """
    async with asyncio.timeout(patience):
        while len(counted) < count:
            await asyncio.sleep(0.1)


async def play(count: int, directory: Path) -> Figures:
    """
    Start it twice, and let news come in.
    """
    helix, receiver = Helix(), Receiver()
    with tempfile.TemporaryDirectory(dir=directory) as name:
        folder = Path(name)
        async with listen(helix.respond) as twitch, listen(receiver.respond) as sink:
            port = free_port()
            options = argparse.Namespace(
                port=port, secret=SECRET, twitch=twitch, receiver=sink, streamers=count, enrich_timeout=3, collector=""
            )
            (folder / "config.toml").write_text(configuration(options))
            process, first = await start(folder)
            try:
                await until_there(count, helix.subscribed, 300)
            finally:
                process.terminate()
                await asyncio.to_thread(process.wait)
            process, again = await start(folder)
            try:
                cpu, at_ready = cpu_seconds(process), memory(process)
                await asyncio.sleep(3)
                subscribed = memory(process)
                messages = sign(min(count, NEWS), streamers(count), "/twitch")
                helix.live = {message.streamer: message for message in messages}
                await apply_load(port, [message.request for message in messages])
                await until_there(len(messages), receiver.bodies, 120)
                after_news, highest = memory(process), memory(process, "VmHWM")
            finally:
                process.terminate()
                await asyncio.to_thread(process.wait)
    return Figures(
        first=first,
        again=again,
        cpu=cpu,
        at_ready=at_ready,
        subscribed=subscribed,
        after_news=after_news,
        highest=highest,
    )


async def measure(options: argparse.Namespace) -> str:
    """
    Measure, and write a table of medians.
    """
    rows, runs = [], {}
    for count in STREAMERS:
        figures = [await play(count, options.directory) for _ in range(options.rounds)]
        runs[str(count)] = figures

        def middle(name: str, figures: Sequence[Figures] = figures) -> float:
            return median(getattr(each, name) for each in figures)

        rows.append(
            [
                f"{count:,}",
                *(f"{middle(name):.2f} s" for name in ("first", "again", "cpu")),
                *(f"{middle(name):.0f} MiB" for name in ("at_ready", "subscribed", "after_news", "highest")),
                f"{READY} s" + (f", {MEMORY[count]} MiB" if count in MEMORY else ""),
            ]
        )
    report.keep(options.json, "footprint", runs)
    header = [
        "streamers",
        "first start",
        "next start",
        "CPU for it",
        "when ready",
        "subscribed",
        f"after {NEWS} news",
        "most",
        "aim",
    ]
    return report.table(header, rows)


if __name__ == "__main__":
    parser = report.options(__doc__)

    async def main(options: argparse.Namespace) -> None:
        """
        Measure and print.
        """
        print(report.machine(options.directory))
        print(await measure(options))

    report.run(main(report.parse(parser)))
