"""
Folders for nobody but us.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["make_private", "sync_directory"]


def make_private(folder: Path) -> None:
    """
    Make a folder of mode 0700, and those above it that are missing: ``mkdir(parents=True)`` would leave these to the
    umask. What is there keeps its mode. Blocks.

    :raises OSError: when it cannot be made, or something else has its name.
    """
    missing = [above for above in folder.parents if not above.exists()]
    for each in (*reversed(missing), folder):
        each.mkdir(mode=0o700, exist_ok=True)


def sync_directory(directory: Path) -> None:
    """
    Put the names in a directory on stable storage: a rename lasts only then. Blocks.

    :raises OSError: when that failed.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
