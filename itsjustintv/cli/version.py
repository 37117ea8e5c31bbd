"""
``itsjustintv version``: the version, the commit it was built from, and what it runs on.
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version as installed
from importlib.resources import files
from pathlib import Path

import click

from itsjustintv import __version__
from itsjustintv.cli.console import echo, examples, json_option, write_json

__all__ = ["source", "version"]

_UNKNOWN = "unknown"


@click.command(short_help="Print the version and its source.", epilog=examples("version", "version --json"))
@json_option
def version(as_json: bool) -> None:
    """
    Print the version, the commit and date of the build, and the versions of Twisted and Python.
    """
    made = source()
    found = {
        "version": __version__,
        "commit": made.get("commit", _UNKNOWN),
        "build_date": made.get("date", _UNKNOWN),
        "twisted": installed("twisted"),
        "python": platform.python_version(),
    }
    if as_json:
        write_json(found)
        return
    echo(f"itsjustintv {found['version']}")
    echo(f"Git commit: {found['commit']}")
    echo(f"Build date: {found['build_date']}")
    echo(f"Twisted: {found['twisted']}")
    echo(f"Python: {found['python']}")


def source() -> Mapping[str, str]:
    """
    Find the commit and date of the build: in the file that the build wrote, or from git in a checkout.
    """
    noted = files("itsjustintv").joinpath("build.json")
    try:
        with noted.open(encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return _of_git(Path(__file__).parents[2])
    return {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def _of_git(checkout: Path) -> Mapping[str, str]:
    if not (checkout / ".git").exists():
        return {}
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603 - fixed
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": done.stdout.strip()}
