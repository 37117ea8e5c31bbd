"""
A folder for private keys: nobody else reads it, nothing in it is ever half written, one process works in it.

Everything here blocks: it is to be called in a thread.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from attrs import define, field

from itsjustintv.errors import CertificatesUnsafe
from itsjustintv.support.files import make_private, sync_directory

__all__ = ["FolderLock", "prepare", "require_private", "set_aside", "sweep"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def set_aside(path: Path) -> Path:
    """
    Rename a file that is of no use, for somebody to look at.

    :return: its new name.
    :raises OSError: it could not be renamed.
    """
    aside = path.with_name(f"{path.name}.bad")
    path.replace(aside)
    sync_directory(path.parent)
    return aside


def sweep(path: Path) -> None:
    """
    Remove what a crash has left half written in a folder. Only whoever works in it may do so.
    """
    for each in path.glob(".*.tmp"):
        each.unlink(missing_ok=True)


def prepare(root: Path) -> None:
    """
    See that a folder is there.

    :raises CertificatesUnsafe: it is not, and cannot be made.
    """
    try:
        make_private(root)
    except OSError as error:
        raise _useless(root, error) from None


def _useless(root: Path, error: OSError) -> CertificatesUnsafe:
    return CertificatesUnsafe(
        f"cannot use server.tls.cert_dir {root}: {error.strerror}; create it, owned by the daemon's user"
    )


def require_private(root: Path) -> None:
    """
    See that nobody else can read what is kept below a folder.

    :raises CertificatesUnsafe: somebody can, with the command that mends it; or it cannot be seen.
    """
    try:
        loose = sorted(str(path) for path in _files(root) if path.stat().st_mode & _OTHERS)
    except OSError as error:
        raise _useless(root, error) from None
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
    Says who orders certificates where two processes share a folder. The system frees it when the process ends, however
    it ends.
    """

    _path: Path
    _descriptor: int | None = field(default=None, init=False)

    @property
    def held(self) -> bool:
        """
        Whether it is ours.
        """
        return self._descriptor is not None

    def take(self) -> bool:
        """
        Try to take it, unless it is ours already.

        :return: whether it is ours now.
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

    def free(self) -> None:
        """
        Let another process have it.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
