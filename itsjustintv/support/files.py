"""
Small files for nobody but us, replaced as a whole.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import mkstemp

from itsjustintv.support.folding_folders_files import make_private, sync_directory
from itsjustintv.support.regular_files import require_regular

__all__ = ["replace"]


def replace(path: Path, content: bytes, modified_at: float | None = None) -> None:
    """
    Write a file of mode 0600 such that whoever reads it, even after a crash, finds the old content or the new one, and
    after the return the new one. Creates its directory. Blocks: to be called in a thread.

    :param modified_at: the file's time, if it matters.
    :raises OSError: nothing was changed, unless only the last step failed, which makes the change last. A device, a
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
