"""
The annotated example that operators start from.
"""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

__all__ = ["example", "write_example", "write_new"]


def example() -> str:
    """
    The example's text: every key with its default and one line of why.
    """
    return files("itsjustintv.config").joinpath("example.toml").read_text(encoding="utf-8")


def write_example(path: Path) -> None:
    """
    Write the example to a new file, as :func:`write_new` does.
    """
    write_new(path, example())


def write_new(path: Path, text: str) -> None:
    """
    Write a new configuration that only its owner can read, since there are secrets in it, or will be.

    :raises FileExistsError: rather than overwrite anything.
    :raises OSError: when the file cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
