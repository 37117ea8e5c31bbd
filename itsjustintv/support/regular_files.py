"""
Reads files that an operator names: only regular ones, without waiting, up to a size.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path
from select import POLLIN, poll

__all__ = ["UnsuitableFile", "is_descriptor", "read", "read_again", "read_once", "require_regular"]

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_DESCRIPTOR = re.compile(r"/dev/(?:fd/(?P<number>\d{1,9})|stdin)|/proc/self/fd/(?P<process_number>\d{1,9})")
_MIB = 1024 * 1024

# Bytes per read. So much memory is taken whatever the file's size, and each thread that reads keeps some of it.
_PART = 16 * 1024

# What was read from the process's own descriptors, by path: they can be read only once.
_streams: dict[str, bytes] = {}


class UnsuitableFile(OSError):
    """
    A path names no regular file, or one that is too large. ``strerror`` is a clause that follows "cannot be read:".
    """

    def __init__(self, number: int, reason: str, path: Path) -> None:
        super().__init__(number, reason, str(path))

    def __str__(self) -> str:
        return f"{self.filename} cannot be used: {self.strerror}"


def require_regular(path: Path) -> None:
    """
    Check that a path, which may be a symbolic link, names a regular file or nothing. Blocks.

    :raises UnsuitableFile: it names something else, such as a device, which must not be replaced by a file.
    :raises OSError: that cannot be found out.
    """
    try:
        _check(path.stat().st_mode, path)
    except FileNotFoundError:
        return


def read(path: Path, limit: int) -> bytes:
    """
    Read a regular file; the path may be a symbolic link. Anything else is not even opened, since opening alone may wait
    for another process or make a device do something. Blocks as long as the file system does.

    :param limit: in bytes.
    :raises UnsuitableFile: it is not a regular file, or it is larger than that.
    :raises OSError: it does not exist, or cannot be read.
    :raises ValueError: the path holds a NUL character.
    """
    _check(path.stat().st_mode, path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        about = os.fstat(descriptor)
        # Another file may have taken its place.
        _check(about.st_mode, path)
        if about.st_size > limit:
            raise _too_large(limit, path)
        return _all(descriptor, limit, path)
    except BlockingIOError:
        # Some files of /proc and /sys pass for regular ones.
        raise UnsuitableFile(errno.EAGAIN, "reading it waits for something, use a regular file", path) from None
    finally:
        os.close(descriptor)


def is_descriptor(path: Path) -> bool:
    """
    Whether a path names an open descriptor of this process, as ``/dev/stdin`` and a shell's ``<(...)`` do. It can be
    read only once.
    """
    return _DESCRIPTOR.fullmatch(str(path)) is not None


def read_once(path: Path, limit: int) -> bytes:
    """
    Read a regular file, or at the first call everything from a descriptor of this process; later calls return the same
    bytes. Waits until the other end of a pipe is closed, so it must not be called in a running daemon.

    :raises OSError: as :func:`read` does.
    """
    if not is_descriptor(path):
        return read(path, limit)
    if str(path) not in _streams:
        _streams[str(path)] = _drain(path, limit)
    return _streams[str(path)]


def read_again(path: Path, limit: int) -> bytes:
    """
    Read a regular file, or return what :func:`read_once` got from a descriptor. Never waits for a descriptor.

    :raises UnsuitableFile: also when that descriptor was never read.
    :raises OSError: as :func:`read` does.
    """
    if not is_descriptor(path):
        return read(path, limit)
    try:
        return _streams[str(path)]
    except KeyError:
        raise UnsuitableFile(errno.EINVAL, "it can be read at the start only, use a regular file", path) from None


def _drain(path: Path, limit: int) -> bytes:
    match = _DESCRIPTOR.fullmatch(str(path))
    number = int(match["number"] or match["process_number"] or 0) if match else 0
    mode = os.fstat(number).st_mode
    if stat.S_ISREG(mode):
        return read(path, limit)
    if stat.S_ISDIR(mode) or stat.S_ISBLK(mode):
        _check(mode, path)
    return _all(number, limit, path, waiting=True)


def _all(descriptor: int, limit: int, path: Path, *, waiting: bool = False) -> bytes:
    ready = poll()
    ready.register(descriptor, POLLIN)
    parts: list[bytes] = []
    room = limit + 1
    while room > 0:
        if waiting:
            ready.poll()
        part = os.read(descriptor, min(room, _PART))
        if not part:
            return b"".join(parts)
        parts.append(part)
        room -= len(part)
    raise _too_large(limit, path)


def _check(mode: int, path: Path) -> None:
    if stat.S_ISREG(mode):
        return
    kind = next((name for test, name in _KINDS if test(mode)), "something unknown")
    raise UnsuitableFile(errno.EINVAL, f"it is {kind}, use a regular file", path)


def _too_large(limit: int, path: Path) -> UnsuitableFile:
    size = f"{limit // _MIB} MiB" if limit >= _MIB else f"{limit // 1024} KiB"
    return UnsuitableFile(errno.EFBIG, f"it is larger than {size}", path)
