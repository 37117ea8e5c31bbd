"""
Small private files, replaced atomically.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from tempfile import mkstemp

from itsjustintv.support.regular_files import require_regular

__all__ = ["is_locked", "is_open_to_others", "make_private", "replace", "sync_directory"]


def replace(path: Path, content: bytes, modified_at: float | None = None) -> None:
    """
    Write a file of mode 0600 atomically and durably: a reader finds the old content or the new one, even after a crash,
    and after the return the new one. Creates its directory. Blocks.

    :param modified_at: the file's modification time, unless it is now.
    :raises OSError: nothing was changed, unless only the last step failed, which makes the change durable. A device, a
        pipe or a directory is not replaced.
    """
    make_private(path.parent)
    require_regular(path)
    descriptor, name = mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")  # mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if modified_at is not None:
            os.utime(temporary, (modified_at, modified_at))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def make_private(folder: Path) -> None:
    """
    Make a folder of mode 0700, and so its missing parents, whose mode ``mkdir(parents=True)`` would take from the
    umask. Folders that exist keep their mode. Blocks.

    :raises OSError: it cannot be made, or something else has its name.
    """
    missing = [above for above in folder.parents if not above.exists()]
    for each in (*reversed(missing), folder):
        each.mkdir(mode=0o700, exist_ok=True)


def sync_directory(directory: Path) -> None:
    """
    Put the names in a directory on stable storage: only then a rename is durable. Blocks.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_locked(lock: Path, locks: Path = Path("/proc/locks")) -> bool | None:
    """
    Whether a process holds a lock with ``flock``. It is not tried, since that could keep a daemon from starting.

    :param locks: the list of the system's locks (proc_locks(5)).
    :return: ``None`` when the system does not say.
    """
    try:
        lines = locks.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    try:
        inode = str(lock.stat().st_ino)
    except PermissionError:
        return None
    except OSError:
        return False
    return any("FLOCK" in line and line.split()[-3].rpartition(":")[2] == inode for line in lines)


def is_open_to_others(path: Path) -> bool:
    """
    Whether the mode gives the group or others any right.
    """
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
