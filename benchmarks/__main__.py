"""
Everything: peers are installed, all rounds are run, and the report is written. ``python -m benchmarks --help``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import deliveries, footprint, intake, report, transports
from benchmarks.process import Cores

_HERE = Path(__file__).parent


async def main(options: argparse.Namespace) -> None:
    """
    Measure, print, and write it down unless it was a quick look.
    """
    cores = Cores.pick()
    parts = [
        "# Results",
        "Written by `make bench`. What each row is, and how it is measured, is said in [README.md](README.md).",
        report.machine(options.directory),
        "## Acknowledgements",
        await intake.measure(options, cores),
        "## From a notification to the receiver",
        await deliveries.measure(options, cores),
        "## Footprint",
        await footprint.measure(options),
        "## By webhook and through a conduit",
        await transports.measure(options, cores),
    ]
    text = "\n\n".join(parts) + "\n"
    print(text)
    if not options.quick:
        options.output.write_text(text)


if __name__ == "__main__":
    parser = report.options(__doc__)
    intake.add_options(parser)
    deliveries.add_options(parser)
    parser.add_argument("--output", type=Path, default=_HERE / "results.md", help="where the report goes")
    report.run(main(report.parse(parser)))
