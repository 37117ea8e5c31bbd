"""
Finds out whether a disk is full. SQLite reports that for some of its files only; for others it reports an input/output
error, or that a file cannot be opened.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["full_disk_problem", "space_problem"]

# Bytes: more than any file of the journal grows at once while the daemon starts.
_PROBE = 64 * 1024

_MEANING = {
    errno.ENOSPC: "the disk that holds {path} is full: free some space",
    errno.EDQUOT: "the quota of this user for the disk that holds {path} is used up: free some space",
}


def full_disk_problem(path: Path, error: BaseException | None = None) -> str | None:
    """
    Say that the disk of a file is full, if it is, and what to do. Writes a temporary file to find out, unless the error
    tells already.
    """
    number = error.errno if isinstance(error, OSError) else _try(path.parent)
    meaning = _MEANING.get(number or 0)
    return None if meaning is None else meaning.format(path=path)


def space_problem(path: Path, size: int) -> str | None:
    """
    Say that a file of so many bytes does not fit on its disk, if so, and what to do.

    :raises OSError: the folder does not exist.
    """
    free = shutil.disk_usage(path.parent).free
    if free >= size:
        return None
    return f"the disk that holds {path} has {free // 1024} KiB free of {size // 1024 + 1} KiB needed: free some space"


def _try(folder: Path) -> int | None:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno
    return None
