"""
How fast a signed notification is acknowledged: the daemon with its journal on beside a bare twisted.web resource and
other people's EventSub receivers, in interleaved rounds. Each round starts every server anew, one at a time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

from attrs import define, frozen

from benchmarks import report
from benchmarks.load import Load, apply_load
from benchmarks.loopback import TWITCH, Answer, Bucket, Helix, Receiver, listen
from benchmarks.messages import SECRET, SUBSCRIPTION, sign, streamers
from benchmarks.peers import Peers, install
from benchmarks.process import Cores, Server, free_port, serve

HERE = Path(__file__).parent
SERVERS = HERE / "servers"
STREAMERS = 1000
WARM_UP = 2000

DAEMON = "itsjustintv"
MEASURED = f"{DAEMON}, traces and metrics on"
BARE = "twisted.web, HMAC only"
PEERS = ("pyTwitchAPI", "TwitchIO aiohttp", "TwitchIO Starlette")


@frozen
class Contender:
    """
    A server to measure.

    :ivar path: where it takes notifications.
    :ivar command: what starts it, but for its port.
    :ivar expected: what its answer must hold.
    :ivar own_directory: whether it keeps files.
    :ivar checks: whether it is to refuse what is not signed.
    """

    path: str
    command: Sequence[str]
    expected: bytes = b""
    own_directory: bool = False
    checks: bool = True


@frozen(kw_only=True)
class Figures:
    """
    One round of one server; latencies in milliseconds, from the moment a request was due to the end of its answer.

    :ivar cpu_us: all its work for a request, also what it does after the answer.
    """

    per_second: float
    cpu_us: float
    p50_at_200: float
    p99_at_200: float
    p50_at_1000: float
    p99_at_1000: float


def contenders(peers: Peers, twitch: str, exhausted: str, receiver: str, collector: str) -> dict[str, Contender]:
    """
    Everybody, whether they can run here or not.

    The others' callbacks do nothing. For the daemon to have no more to do than they, its Helix never answers: events
    are verified, deduplicated, committed and acknowledged, and stay in the journal. A second row has them traced, and
    traces and metrics sent to a collector; a third lets them go on.
    """
    secret = ["--secret", SECRET]
    daemon = [sys.executable, "-m", "benchmarks.servers.daemon", *secret, "--streamers", str(STREAMERS)]
    daemon += ["--receiver", receiver]
    twitchapi = [str(peers.python), str(SERVERS / "pytwitchapi.py"), *secret, "--subscription", SUBSCRIPTION]
    twitchio = [str(peers.python), str(SERVERS / "twitchio_adapter.py"), *secret, "--adapter"]
    streamer = streamers(1)[0]
    twurple = ["node", str(SERVERS / "twurple.mjs"), *secret, "--modules", str(peers.modules), "--streamer", streamer]
    quiet = [*daemon, "--twitch", exhausted, "--enrich-timeout", "600"]
    return {
        DAEMON: Contender("/twitch", quiet, b"processed", own_directory=True),
        MEASURED: Contender("/twitch", [*quiet, "--collector", collector], b"processed", own_directory=True),
        f"{DAEMON}, delivering too": Contender(
            "/twitch", [*daemon, "--twitch", twitch], b"processed", own_directory=True
        ),
        BARE: Contender("/twitch", [sys.executable, str(SERVERS / "bare.py"), *secret]),
        PEERS[0]: Contender("/callback", twitchapi),
        PEERS[1]: Contender("/callback", [*twitchio, "aiohttp"]),
        PEERS[2]: Contender("/callback", [*twitchio, "starlette"]),
        "twurple": Contender(f"/event/stream.online.{streamer}", twurple),
        "the harness itself": Contender("/", [sys.executable, str(SERVERS / "floor.py")], checks=False),
    }


@define(eq=False)
class Bench:
    """
    Runs contenders, one at a time.
    """

    _options: argparse.Namespace
    _cores: Cores
    _helix: Helix

    async def problem(self, contender: Contender) -> str:
        """
        Why a contender cannot run here, or empty.
        """
        try:
            async with self._warm(contender) as server:
                return await self._credulous(contender, server) if contender.checks else ""
        except (OSError, RuntimeError) as error:
            return str(error).strip().rpartition("\n")[2]

    async def measure(self, contender: Contender) -> Figures:
        """
        Measure one at full speed and at two offered rates.
        """
        options = self._options
        async with self._warm(contender) as server:
            to_send = self._requests(options.requests, contender)
            before = server.cpu_seconds()
            full = await apply_load(server.port, to_send)
            await server.idle()
            cpu = server.cpu_seconds() - before
            slow, fast = [
                await apply_load(server.port, self._requests(int(rate * options.seconds), contender), rate=rate)
                for rate in (200.0, 1000.0)
            ]
        for load in (full, slow, fast):
            _check(load, contender)
        return Figures(
            per_second=full.rate,
            cpu_us=cpu / options.requests * 1e6,
            p50_at_200=report.percentile(slow.latencies, 50) * 1e3,
            p99_at_200=report.percentile(slow.latencies, 99) * 1e3,
            p50_at_1000=report.percentile(fast.latencies, 50) * 1e3,
            p99_at_1000=report.percentile(fast.latencies, 99) * 1e3,
        )

    async def _credulous(self, contender: Contender, server: Server) -> str:
        """
        Why it cannot be compared: it says yes to a forgery. Or empty.
        """
        [request] = self._requests(1, contender)
        head, signature, rest = request.partition(b"sha256=")
        answer = await apply_load(server.port, [head + signature + b"00" + rest[2:]], connections=1)
        return "" if answer.refused else "it accepts messages with a wrong signature"

    @asynccontextmanager
    async def _warm(self, contender: Contender) -> AsyncIterator[Server]:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=self._options.directory) as directory:
            port = free_port()
            command = [*contender.command, "--port", str(port)]
            if contender.own_directory:
                command += ["--directory", directory]
            async with serve(command, port, self._cores, Path(directory, "server.log")) as server:
                _check(await apply_load(port, self._requests(WARM_UP, contender)), contender)
                await server.idle()
                yield server

    def _requests(self, count: int, contender: Contender) -> list[bytes]:
        messages = sign(count, streamers(STREAMERS), contender.path)
        self._helix.live = {message.streamer: message for message in messages[-STREAMERS:]}
        return [message.request for message in messages]


def _check(load: Load, contender: Contender) -> None:
    """
    :raises RuntimeError: an answer was not a yes.
    """
    if load.refused or not all(contender.expected in body for _, body in load.answers):
        raise RuntimeError(f"unexpected answers: {load.answers.most_common(3)}")


def show(rounds: Mapping[str, Sequence[Figures]]) -> str:
    """
    Medians, and ratios taken round by round: what disturbs a round disturbs both sides of it.
    """

    def middle(name: str, field: str) -> float:
        return median(float(getattr(figures, field)) for figures in rounds[name])

    def against_bare(name: str, field: str) -> str:
        pairs = zip(rounds[name], rounds[BARE], strict=True)
        return f"{median(getattr(one, field) / getattr(bare, field) for one, bare in pairs):.2f}"

    rows = [
        (
            name,
            f"{middle(name, 'per_second'):,.0f}",
            against_bare(name, "per_second"),
            f"{middle(name, 'cpu_us'):.0f}",
            against_bare(name, "cpu_us"),
            f"{middle(name, 'p50_at_200'):.2f} / {middle(name, 'p99_at_200'):.2f}",
            f"{middle(name, 'p50_at_1000'):.2f} / {middle(name, 'p99_at_1000'):.2f}",
        )
        for name in rounds
    ]
    header = ("server", "acks/s", "x bare", "CPU us/request", "x bare", "ms at 200/s, p50 / p99", "ms at 1,000/s")
    return report.table(header, rows)


def verdict(rounds: Mapping[str, Sequence[Figures]]) -> list[str]:
    """
    The daemon's rate over the bare resource's, and over the better of the Python peers'; both should be at least 1.
    """
    said = []
    peers = [name for name in PEERS if name in rounds]
    for what, others in (("the bare resource", [BARE]), ("the better Python peer", peers)):
        if DAEMON in rounds and others:
            best = [
                max(one.per_second for one in taken) for taken in zip(*(rounds[other] for other in others), strict=True)
            ]
            ratio = median(one.per_second / other for one, other in zip(rounds[DAEMON], best, strict=True))
            kept = "kept" if ratio >= 1 else "MISSED"
            said.append(f"{DAEMON} acknowledges {ratio:.2f} times what {what} does (aim: at least 1): {kept}.")
    if DAEMON in rounds and MEASURED in rounds:
        pairs = zip(rounds[MEASURED], rounds[DAEMON], strict=True)
        cost = 1 - median(one.per_second / plain.per_second for one, plain in pairs)
        kept = "kept" if cost < 0.1 else "MISSED"
        said.append(f"Traces and metrics cost {cost:.1%} of the acknowledgements (aim: under 10 %): {kept}.")
    return said


async def measure(options: argparse.Namespace, cores: Cores) -> str:
    """
    Run all rounds and report.
    """
    peers = install(options.peers)
    helix, receiver = Helix(), Receiver()
    spent = Helix(bucket=Bucket(TWITCH), exhausted=True)
    bench = Bench(options, cores, helix)
    skipped = {}
    rounds: dict[str, list[Figures]] = {}
    async with (
        listen(helix.respond) as twitch,
        listen(spent.respond) as exhausted,
        listen(receiver.respond) as sink,
        listen(lambda _method, _target, _body: Answer(200)) as collector,
    ):
        everybody = contenders(peers, twitch, exhausted, sink, collector)
        for name, contender in everybody.items():
            if problem := await bench.problem(contender):
                skipped[name] = problem
            else:
                rounds[name] = []
        for number in range(options.rounds):
            names = deque(rounds)
            names.rotate(-number)
            for name in names:
                print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr)
                rounds[name].append(await bench.measure(everybody[name]))
                receiver.bodies.clear()
    report.keep(options.json, "intake", rounds)
    missing = [f"Left out: {name}: {reason}" for name, reason in skipped.items()]
    return "\n\n".join([show(rounds), *verdict(rounds), *missing, *peers.problems])


def add_options(parser: argparse.ArgumentParser) -> None:
    """
    Add what can be chosen about acknowledgements.
    """
    parser.add_argument("--requests", type=int, default=10_000, help="at full speed, each round")
    parser.add_argument("--seconds", type=float, default=5.0, help="at each offered rate, each round")
    parser.add_argument("--peers", type=Path, default=HERE / ".peers", help="where the peers are, or get installed")
