"""
From Twitch's message to the receiver, by webhook and through a conduit, side by side; the memory of each; and how soon
a connection that breaks is replaced: ``python -m benchmarks.transports``.

Every streamer went live before, so nothing is asked but what a broadcast needs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

from attrs import define, field, frozen
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets
from websockets.exceptions import ConnectionClosed

from benchmarks import report
from benchmarks.load import apply_load
from benchmarks.loopback import Helix, Receiver, listen
from benchmarks.messages import SECRET, Message, sign, streamers
from benchmarks.process import Cores, free_port, serve

STREAMERS = 1000
RATE = 200.0

WEBHOOK, CONDUIT = "webhook", "conduit, two WebSockets"


@frozen(kw_only=True)
class Figures:
    """
    One round. Latencies are milliseconds from the moment a message was due to its delivery.

    :ivar memory: MiB that are resident, with all streamers, before the messages.
    :ivar reconnected: milliseconds from the end of a connection to the assignment of the next; 0 by webhook.
    """

    p50: float
    p99: float
    delivered: int
    memory: float
    reconnected: float


@define(eq=False)
class Sockets:
    """
    Twitch's end of the WebSockets: a welcome to each, a keepalive every ten seconds, and what is sent.
    """

    open: dict[str, ServerConnection] = field(factory=dict, init=False)

    async def talk(self, connection: ServerConnection) -> None:
        """
        Serve one connection until it ends.
        """
        session = str(uuid.uuid4())
        self.open[session] = connection
        about = {"id": session, "status": "connected", "keepalive_timeout_seconds": 10, "reconnect_url": None}
        await connection.send(_frame("session_welcome", session=about))
        try:
            with suppress(ConnectionClosed):
                while True:
                    await asyncio.sleep(10)
                    await connection.send(_frame("session_keepalive"))
        finally:
            del self.open[session]

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[str]:
        """
        Serve on loopback until the block ends; the URL is what is yielded.
        """
        async with serve_websockets(self.talk, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
            (listening,) = server.sockets
            yield f"ws://127.0.0.1:{listening.getsockname()[1]}/ws"


def _frame(kind: str, **payload: object) -> str:
    metadata = {"message_id": str(uuid.uuid4()), "message_type": kind, "message_timestamp": "2026-01-02T03:04:05.1Z"}
    return json.dumps({"metadata": metadata, "payload": payload})


async def measure_one(transport: str, options: argparse.Namespace, cores: Cores, directory: Path) -> Figures:
    """
    Start a daemon and measure one transport.
    """
    who = streamers(STREAMERS)
    helix, receiver, sockets = Helix(), Receiver(), Sockets()
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.servers.daemon", "--secret", SECRET, "--port", str(port)]
    command += ["--streamers", str(STREAMERS), "--directory", str(directory)]
    async with listen(helix.respond) as twitch, listen(receiver.respond) as sink, sockets.listen() as url:
        command += ["--twitch", twitch, "--receiver", sink]
        if transport == CONDUIT:
            command += ["--websocket", url]
        async with serve(command, port, cores, directory / "server.log") as server:
            if transport == CONDUIT:
                await _until(lambda: len(helix.shards) == len(sockets.open) == 2)
            await server.idle()
            memory = server.resident() / 1024

            async def send(messages: Sequence[Message], rate: float | None) -> Sequence[float]:
                helix.live = {message.streamer: message for message in messages}
                receiver.bodies.clear()
                if transport == WEBHOOK:
                    sent = (await apply_load(port, [each.request for each in messages], rate=rate)).sent
                else:
                    sent = await _write(sockets, helix, messages, rate)
                await _until(lambda: len(receiver.bodies) >= len(messages), 60.0)
                return sent

            await send(sign(STREAMERS, who, "/twitch"), None)
            await server.idle()
            messages = sign(int(RATE * options.seconds), who, "/twitch")
            sent = await send(messages, RATE)
            reconnected = await _break(sockets, helix) if transport == CONDUIT else 0.0
    return _figures(messages, sent, receiver, memory, reconnected)


async def _write(sockets: Sockets, helix: Helix, messages: Sequence[Message], rate: float | None) -> Sequence[float]:
    """
    Write messages to the shards, by the streamer's id.
    """
    loop = asyncio.get_running_loop()
    connections = [sockets.open[helix.shards[shard]] for shard in sorted(helix.shards)]
    began, sent = loop.time(), []
    for number, message in enumerate(messages):
        due = began + number / rate if rate else loop.time()
        if (left := due - loop.time()) > 0:
            await asyncio.sleep(left)
        sent.append(due)
        await connections[int(message.streamer) % len(connections)].send(message.frame)
    return sent


async def _break(sockets: Sockets, helix: Helix) -> float:
    """
    End a connection without a word, and wait until its shard has another one.
    """
    session = helix.shards["0"]
    began = asyncio.get_running_loop().time()
    sockets.open[session].transport.abort()
    await _until(lambda: helix.shards["0"] != session)
    return (asyncio.get_running_loop().time() - began) * 1e3


async def _until(condition: Any, patience: float = 30.0) -> None:
    async with asyncio.timeout(patience):
        while not condition():
            await asyncio.sleep(0.002)


def _figures(
    messages: Sequence[Message], sent: Sequence[float], receiver: Receiver, memory: float, reconnected: float
) -> Figures:
    arrived: dict[str, float] = {}
    for at, body in receiver.bodies:
        arrived.setdefault(json.loads(body)["streamer_id"], at)
    last = {message.streamer: due for message, due in zip(messages, sent, strict=True)}
    ages = [arrived[each] - due for each, due in last.items() if each in arrived]
    return Figures(
        p50=report.percentile(ages, 50) * 1e3,
        p99=report.percentile(ages, 99) * 1e3,
        delivered=len(receiver.bodies),
        memory=memory,
        reconnected=reconnected,
    )


def show(rounds: Mapping[str, Sequence[Figures]]) -> str:
    """
    Medians over the rounds.
    """

    def middle(name: str, what: str) -> float:
        return median(float(getattr(figures, what)) for figures in rounds[name])

    header = ("transport", f"ms to delivery at {RATE:.0f}/s, p50 / p99", "MiB resident", "ms until reconnected")
    rows = [
        (
            name,
            f"{middle(name, 'p50'):.1f} / {middle(name, 'p99'):.1f}",
            f"{middle(name, 'memory'):.0f}",
            f"{middle(name, 'reconnected'):.0f}" if name == CONDUIT else "",
        )
        for name in rounds
    ]
    return report.table(header, rows)


async def measure(options: argparse.Namespace, cores: Cores) -> str:
    """
    Run all rounds and report.
    """
    # What the daemon finds live by itself would be announced before its message is sent.
    os.environ["ITSJUSTINTV_CATCH_UP_ENABLED"] = "false"
    rounds: dict[str, list[Figures]] = {WEBHOOK: [], CONDUIT: []}
    for number in range(options.rounds):
        for name, taken in rounds.items():
            print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr)
            with tempfile.TemporaryDirectory(prefix="bench-", dir=options.directory) as directory:
                taken.append(await measure_one(name, options, cores, Path(directory)))
    report.keep(options.json, "transports", rounds)
    return show(rounds)


async def main(options: argparse.Namespace) -> None:
    """
    Measure and print.
    """
    print(await measure(options, Cores.pick()))


if __name__ == "__main__":
    parser = report.options(__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of messages, each round")
    report.run(main(report.parse(parser)))
