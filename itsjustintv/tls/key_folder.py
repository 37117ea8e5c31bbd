"""
The folder of private keys: readable by its owner only, written atomically, used by one process at a time.

Everything here blocks and belongs in a thread.
"""

from __future__ import annotations

import fcntl
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from attrs import define, field

from itsjustintv.errors import CertificatesUnsafe
from itsjustintv.support.files import is_open_to_others, make_private, sync_directory

__all__ = ["FolderLock", "prepare", "require_private", "set_aside", "sweep"]


def set_aside(path: Path) -> Path:
    """
    Rename an invalid file to ``NAME.bad``, for an operator to look at.

    :return: its new name.
    :raises OSError: it could not be renamed.
    """
    aside = path.with_name(f"{path.name}.bad")
    path.replace(aside)
    sync_directory(path.parent)
    return aside


def sweep(path: Path) -> None:
    """
    Remove temporary files that a crash has left. Only the holder of the lock may call this.
    """
    for each in path.glob(".*.tmp"):
        each.unlink(missing_ok=True)


def prepare(root: Path) -> None:
    """
    Create the folder unless it exists.

    :raises CertificatesUnsafe: it cannot be created.
    """
    try:
        make_private(root)
    except OSError as error:
        raise _unusable(root, error) from None


def _unusable(root: Path, error: OSError) -> CertificatesUnsafe:
    return CertificatesUnsafe(
        f"cannot use server.tls.cert_dir {root}: {error.strerror}; create it, owned by the daemon's user"
    )


def require_private(root: Path) -> None:
    """
    Check that only its owner can read what is in the folder.

    :raises CertificatesUnsafe: others can, with the command to run; or the folder cannot be read.
    """
    try:
        loose = sorted(str(path) for path in _files(root) if is_open_to_others(path))
    except OSError as error:
        raise _unusable(root, error) from None
    if loose:
        command = f"chmod 600 {' '.join(shlex.quote(path) for path in loose)}"
        raise CertificatesUnsafe(
            f"other users of this machine can read private keys of server.tls: run `{command}`, and consider "
            "replacing the keys"
        )


def _files(root: Path) -> Iterator[Path]:
    for folder in (root / "acme", root / "certs"):
        yield from (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


@define(eq=False)
class FolderLock:
    """
    Held by the process that orders, where several share a folder. The system releases it when the process ends.
    """

    _path: Path
    _descriptor: int | None = field(default=None, init=False)

    @property
    def is_held(self) -> bool:
        return self._descriptor is not None

    def acquire(self) -> bool:
        """
        Try to acquire the lock, unless it is held already. Returns whether it is held now.

        :raises OSError: the file cannot be opened.
        """
        if self._descriptor is not None:
            return True
        make_private(self._path.parent)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
