"""
From a signed notification to an enriched delivery, everything on loopback and Helix and the receiver answering at once:
deliveries a second, CPU and Helix points for each, then the same under Twitch's limit, then a minute in which many
streamers go live. Every streamer is new to the daemon: nothing about it is cached.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from attrs import frozen

from benchmarks import report
from benchmarks.load import Load, apply_load
from benchmarks.loopback import BOUNDLESS, TWITCH, Bucket, Helix, Receiver, listen
from benchmarks.messages import SECRET, Message, sign, streamers
from benchmarks.process import Cores, Server, free_port, serve

WARM_UP = 20
PATH = "/twitch"

#: What enrichment adds to a payload, and so what shows that it happened.
ENRICHED = ("view_count", "followers_count", "tags", "description", "image")


@frozen(kw_only=True)
class Scenario:
    """
    What happens to the daemon.

    :ivar events: each of another streamer.
    :ivar seconds: over which the events are spread evenly; 0 for as fast as they are acknowledged.
    :ivar limit: Helix points a minute.
    :ivar patience: seconds from the first event in which all must be delivered.
    """

    name: str
    events: int
    seconds: float = 0.0
    limit: int = BOUNDLESS
    patience: float = 60.0


@frozen(kw_only=True)
class Figures:
    """
    One run of one scenario.

    :ivar per_second: deliveries, from the first event sent to the last delivery.
    :ivar delivered: how many streamers were announced.
    :ivar repeated: deliveries of what was delivered before.
    :ivar enriched: how many payloads carry each field.
    :ivar points: granted by Helix, by path.
    :ivar refused: answers of Helix with status 429.
    :ivar acknowledged_after: seconds from the first event to the last acknowledgement.
    :ivar p50: milliseconds from an event, or when it was due, to its delivery.
    """

    events: int
    delivered: int
    repeated: int
    per_second: float
    cpu_us: float
    enriched: Mapping[str, int]
    points: Mapping[str, int]
    refused: int
    acknowledged_after: float
    p50: float
    p99: float
    longest: float


async def play(scenario: Scenario, directory: Path, cores: Cores) -> Figures:
    """
    Start a daemon, play a scenario, and count.

    :raises RuntimeError: the daemon does not start, or does not deliver its warm-up.
    """
    everybody = streamers(WARM_UP + scenario.events)
    messages = sign(scenario.events, everybody[WARM_UP:], PATH)
    # Subscribing to everybody comes first, and would take minutes of points.
    helix, receiver = Helix(bucket=Bucket(scenario.limit, endless=True)), Receiver()
    async with listen(helix.respond) as twitch, listen(receiver.respond) as sink:
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.servers.daemon", "--secret", SECRET, "--port", str(port)]
        command += ["--twitch", twitch, "--receiver", sink, "--streamers", str(len(everybody))]
        command += ["--directory", str(directory)]
        async with serve(command, port, cores, directory / "server.log") as server:
            await _warm_up(server, helix, receiver, everybody[:WARM_UP])
            helix.live = {message.streamer: message for message in messages}
            helix.bucket = Bucket(scenario.limit)
            helix.points.clear()
            receiver.bodies.clear()
            before = server.cpu_seconds()
            rate = scenario.events / scenario.seconds if scenario.seconds else None
            load = await apply_load(port, [message.request for message in messages], rate=rate)
            await _delivered(receiver, scenario.events, load.started + scenario.patience)
            cpu = server.cpu_seconds() - before
    return _figures(messages, load, helix, receiver, cpu)


async def _warm_up(server: Server, helix: Helix, receiver: Receiver, who: Sequence[str]) -> None:
    """
    Let some streamers go live, and wait until the daemon has nothing left to ask or to tell.
    """
    messages = sign(len(who), who, PATH)
    helix.live = {message.streamer: message for message in messages}
    load = await apply_load(server.port, [message.request for message in messages])
    await _delivered(receiver, len(who), load.started + 30)
    if load.refused or len(receiver.bodies) < len(who):
        raise RuntimeError(f"{len(receiver.bodies)} of {len(who)} delivered, answers {load.answers.most_common(3)}")
    asked = -1
    while asked != helix.points.total():
        asked = helix.points.total()
        await asyncio.sleep(1)


async def _delivered(receiver: Receiver, count: int, deadline: float) -> None:
    while len(receiver.bodies) < count and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.002)


def _figures(messages: Sequence[Message], load: Load, helix: Helix, receiver: Receiver, cpu: float) -> Figures:
    arrived: dict[str, float] = {}
    payloads: list[dict[str, Any]] = []
    for at, body in receiver.bodies:
        payload = json.loads(body)
        payloads.append(payload)
        arrived.setdefault(payload["streamer_id"], at)
    if not arrived:
        raise RuntimeError("nothing was delivered")
    ages = [
        arrived[message.streamer] - sent
        for message, sent in zip(messages, load.sent, strict=True)
        if message.streamer in arrived
    ]
    return Figures(
        events=len(messages),
        delivered=len(ages),
        repeated=len(payloads) - len(arrived),
        per_second=len(ages) / (max(arrived.values()) - load.started),
        cpu_us=cpu / len(messages) * 1e6,
        enriched={name: sum(name in payload for payload in payloads) for name in ENRICHED},
        points=dict(helix.points),
        refused=helix.refused,
        acknowledged_after=load.finished - load.started,
        p50=report.percentile(ages, 50) * 1e3,
        p99=report.percentile(ages, 99) * 1e3,
        longest=max(ages) * 1e3,
    )


def show(rounds: Mapping[str, Sequence[Figures]]) -> str:
    """
    Medians over the rounds; "delivered" and "in full", with the field that was lacking most, are the worst round's.
    """

    def row(name: str, taken: Sequence[Figures]) -> tuple[str, ...]:
        def middle(field: str) -> float:
            return median(float(getattr(figures, field)) for figures in taken)

        worst = min(taken, key=lambda figures: figures.delivered)
        points = median(sum(figures.points.values()) for figures in taken)
        scarcest = min(ENRICHED, key=lambda field: min(figures.enriched[field] for figures in taken))
        in_full = min(figures.enriched[scarcest] for figures in taken)
        return (
            name,
            f"{worst.delivered:,} of {worst.events:,}",
            f"{in_full:,}" + ("" if in_full >= worst.events else f" ({scarcest})"),
            f"{middle('per_second'):,.0f}",
            f"{middle('cpu_us'):,.0f}",
            f"{points:,.0f}",
            f"{points / worst.events:.3f}",
            f"{middle('refused'):,.0f}",
            f"{middle('p50'):,.0f} / {middle('p99'):,.0f} / {middle('longest'):,.0f}",
        )

    header = (
        "scenario",
        "delivered",
        "in full",
        "deliveries/s",
        "CPU us/event",
        "Helix points",
        "points/event",
        "429s",
        "ms to delivery, p50 / p99 / longest",
    )
    return report.table(header, [row(name, taken) for name, taken in rounds.items()])


def verdict(scenario: Scenario, taken: Sequence[Figures]) -> str:
    """
    Whether a minute of going live went as it should in every round.
    """
    delivered = min(figures.delivered for figures in taken)
    points = max(sum(figures.points.values()) for figures in taken)
    kept = delivered == scenario.events and points <= scenario.limit
    return (
        f"{scenario.name}: {delivered:,} of {scenario.events:,} delivered within {scenario.patience:.0f} s of the first"
        f" event, for {points:,} points (aim: all, for at most {scenario.limit}): {'kept' if kept else 'MISSED'}."
    )


async def measure(options: argparse.Namespace, cores: Cores) -> str:
    """
    Play all scenarios and report.
    """
    minute = Scenario(
        name=f"{options.burst:,} in a minute, 800 points", events=options.burst, seconds=options.spread, limit=TWITCH
    )
    scenarios = [
        Scenario(name="full speed, no limit", events=options.events),
        Scenario(name="full speed, 800 points a minute", events=options.events, limit=TWITCH),
        minute,
    ]
    rounds: dict[str, list[Figures]] = {scenario.name: [] for scenario in scenarios}
    # A minute takes a minute, and these vary less than acknowledgements.
    count = math.ceil(options.rounds / 2)
    for number in range(count):
        for scenario in scenarios:
            print(f"round {number + 1} of {count}: {scenario.name}", file=sys.stderr)
            with tempfile.TemporaryDirectory(prefix="bench-", dir=options.directory) as directory:
                rounds[scenario.name].append(await play(scenario, Path(directory), cores))
    report.keep(options.json, "deliveries", rounds)
    return f"{show(rounds)}\n\n{verdict(minute, rounds[minute.name])}"


def add_options(parser: argparse.ArgumentParser) -> None:
    """
    Add what can be chosen about deliveries.
    """
    parser.add_argument("--events", type=int, default=3000, help="at full speed")
    parser.add_argument("--burst", type=int, default=2000, help="streamers going live in one minute")
    parser.add_argument("--spread", type=float, default=55.0, help="seconds of that minute over which they do")
