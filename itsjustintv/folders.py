"""
Folders for nobody but us.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["make_private"]


def make_private(folder: Path) -> None:
    """
    Make a folder of mode 0700, and those above it that are missing: ``mkdir(parents=True)`` would leave these to the
    umask. What is there keeps its mode. Blocks.

    :raises OSError: when it cannot be made, or something else has its name.
    """
    missing = [above for above in folder.parents if not above.exists()]
    for each in (*reversed(missing), folder):
        each.mkdir(mode=0o700, exist_ok=True)
