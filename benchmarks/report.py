"""
What a benchmark prints and keeps.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import selectors
import subprocess
import time
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs

__all__ = ["keep", "machine", "options", "parse", "percentile", "run", "table"]

#: What is shorter in a quick look.
QUICK = {"rounds": 1, "requests": 2000, "seconds": 1.0, "events": 500, "burst": 300, "spread": 8.0}


def options(description: str | None) -> argparse.ArgumentParser:
    """
    The options every benchmark has.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short look: does it run, and roughly how fast")
    parser.add_argument("--rounds", type=int, default=5, help="medians are taken over these")
    parser.add_argument("--directory", type=Path, default=Path("/tmp"), help="for journals; not on a tmpfs")
    parser.add_argument("--json", type=Path, help="a folder to keep the figures of every round in")
    return parser


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """
    Read the options. ``--quick`` gives each that has a shorter value another default; what is given stays.
    """
    quick, _ = parser.parse_known_args(arguments)
    if quick.quick:
        names = vars(quick)
        parser.set_defaults(**{name: value for name, value in QUICK.items() if name in names})
    return parser.parse_args(arguments)


def run(main: Coroutine[Any, Any, None]) -> None:
    """
    Run on select(2), whose timeout is exact to a microsecond: epoll's is a millisecond, more than what is measured.
    """
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(main)


def percentile(values: Iterable[float], percent: float) -> float:
    """
    The smallest value that at least so many percent do not exceed.
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """
    Write a table in Markdown.
    """
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine(directory: Path) -> str:
    """
    Say what the figures were taken on.
    """
    processor = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    filesystem = subprocess.run(["df", "--output=fstype", directory], capture_output=True, text=True, check=True)
    facts = {
        "processor": f"{os.cpu_count()} x {processor.partition(': ')[2]}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "twisted": version("twisted"),
        "journal on": filesystem.stdout.split()[-1],
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load average before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
    return "; ".join(f"{name}: {fact}" for name, fact in facts.items()) + "."


def keep(directory: Path | None, name: str, figures: Mapping[str, Sequence[attrs.AttrsInstance]]) -> None:
    """
    Write the figures of every round down, if wanted.
    """
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        rounds = {row: [attrs.asdict(one) for one in taken] for row, taken in figures.items()}
        (directory / f"{name}.json").write_text(json.dumps(rounds, indent=2) + "\n")
