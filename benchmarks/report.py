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
from collections.abc import Coroutine, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["keep", "machine", "options", "percentile", "run", "table"]


def options(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """
    The options every benchmark has.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help="medians are taken over these")
    parser.add_argument("--directory", type=Path, default=Path("/tmp"), help="for journals; not on a tmpfs")
    parser.add_argument("--json", type=Path, help="a file to keep all figures in")
    return parser


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


def machine(directory: Path) -> dict[str, str]:
    """
    Say what the figures were taken on.
    """
    processor = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    filesystem = subprocess.run(["df", "--output=fstype", directory], capture_output=True, text=True, check=True)
    return {
        "processor": f"{os.cpu_count()} x {processor.partition(': ')[2]}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "twisted": version("twisted"),
        "journal on": filesystem.stdout.split()[-1],
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load average before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def keep(path: Path | None, figures: dict[str, Any]) -> None:
    """
    Write the figures down, if wanted.
    """
    if path is not None:
        path.write_text(json.dumps(figures, indent=2) + "\n")
