"""
Other people's programs, in an environment of their own.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

__all__ = ["Peers", "install"]

_HERE = Path(__file__).parent
_REQUIREMENTS = _HERE / "requirements.txt"
_PACKAGES = _HERE / "package.json"
_INSTALLED = "installed"


@frozen
class Peers:
    """
    Where they are, whether they could be installed or not.

    :ivar python: the interpreter that has the Python ones.
    :ivar modules: the folder that has the ones for Node.
    :ivar problems: why some are missing.
    """

    python: Path
    modules: Path
    problems: Sequence[str]


def install(directory: Path) -> Peers:
    """
    Install what is pinned in requirements.txt and package.json, unless it is there already.
    """
    python, node = directory / "python", directory / "node"
    problems = [_once(python, _REQUIREMENTS, _install_python), _once(node, _PACKAGES, _install_node)]
    return Peers(python / "bin" / "python", node / "node_modules", [problem for problem in problems if problem])


def _once(directory: Path, pins: Path, work: Callable[[Path], None]) -> str:
    """
    Do what makes a folder what some pins say; answer with why that failed, or with nothing.
    """
    wanted = hashlib.sha256(pins.read_bytes()).hexdigest()
    done = directory / _INSTALLED
    if done.is_file() and done.read_text() == wanted:
        return ""
    print(f"installing {pins.name} in {directory}", file=sys.stderr)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        work(directory)
    except FileNotFoundError as error:
        return f"{pins.name} could not be installed: there is no {error.filename}"
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or ["no reason was given"]
        return f"{pins.name} could not be installed: {said[-1]}"
    done.write_text(wanted)
    return ""


def _install_python(directory: Path) -> None:
    _run(sys.executable, "-m", "venv", str(directory))
    pip = [str(directory / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run(*pip, "install", "--requirement", str(_REQUIREMENTS))


def _install_node(directory: Path) -> None:
    shutil.copy(_PACKAGES, directory)
    _run("npm", "install", "--prefix", str(directory), "--no-package-lock", "--no-audit", "--no-fund", "--silent")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
