"""
Noticing that files have changed, however they are replaced, and that somebody sends SIGHUP.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.filepath import FilePath

from itsjustintv.support.durations import Seconds
from itsjustintv.support.regular_files import is_descriptor, read

__all__ = ["FileWatch", "Hangup", "PollInterval", "steps"]

# So many files are watched for writers; the configuration is the first.
_MOST_WRITTEN = 16

# A chain of symbolic links as long as the kernel would follow.
_LONGEST_CHAIN = 40

# Bytes: no configuration, secret or certificate is larger.
_LARGEST = 16 * 1024 * 1024


@frozen(kw_only=True)
class PollInterval:
    """
    How fast, in seconds.

    :ivar quiet: so long nothing may happen before a change is told: one save is many events.
    :ivar patience: a change is told after so long, even if events do not cease.
    :ivar glance: between two looks at the files while the kernel tells of changes; on some file systems, such as NFS,
        it does not tell of those made elsewhere.
    :ivar poll: between two looks while it does not.
    :ivar written: so long a file that is being written is left alone, from what was written last, even if it is not
        closed.
    """

    quiet: float = 0.3
    patience: float = 2.0
    glance: float = 30.0
    poll: float = 2.0
    written: float = 600.0


def steps(path: Path) -> set[tuple[Path, str]]:
    """
    List the entries of directories that decide what an absolute path leads to: the file's own, and that of each
    directory and symbolic link on the way. Each directory is named without links.
    """
    found: set[tuple[Path, str]] = set()
    here, ahead, links = Path(path.anchor), list(path.parts[1:]), 0
    while ahead:
        name = ahead.pop(0)
        if name == "..":
            here = here.parent
            continue
        found.add((here, name))
        try:
            target = (here / name).readlink()
        except OSError:
            here /= name
            continue
        links += 1
        if links > _LONGEST_CHAIN:
            break
        if target.is_absolute():
            here = Path(target.anchor)
            ahead[:0] = target.parts[1:]
        else:
            ahead[:0] = target.parts
    return found


def _look(files: Iterable[Path]) -> dict[Path, bytes | int]:
    """
    Tell the contents of files apart. A file that was touched, or replaced by its like, is the same.
    """
    seen: dict[Path, bytes | int] = {}
    for path in files:
        try:
            seen[path] = sha256(read(path, _LARGEST)).digest()
        except OSError as error:
            seen[path] = error.errno or 0
    return seen


def _inotify(reactor: Any) -> Any:
    """
    Ask the kernel for notifications.

    :raises Exception: of whatever kind when there are none: Twisted has several.
    """
    from twisted.internet.inotify import INotify  # noqa: PLC0415 - cannot be imported where there is no inotify

    class Notices(INotify):
        """
        Goes on when something watched is deleted, where Twisted closes everything: that a file which was deleted and
        is being written anew is closed must be heard.
        """

        closing = False

        def close(self) -> None:
            """
            Hear nothing more.
            """
            self.closing = True
            self.loseConnection()

        def loseConnection(self) -> None:
            """
            Do it when we ask for it.
            """
            if self.closing:
                super().loseConnection()

    return Notices(reactor)


@define(eq=False)
class FileWatch:
    """
    Tells when files have changed: saved in place, replaced by a rename, through a symbolic link that was switched (as
    Kubernetes does), or with a directory that was deleted and made anew.

    Linux tells of changes, and a file that is being written in place is left alone until it is closed. Elsewhere, and
    where nothing is told, the files are read every few seconds. What is told is that something may have changed:
    whoever hears of it must compare.

    :ivar in_thread: runs what may block.
    :ivar notifier: opens the kernel's notifications.
    """

    _reactor: Any
    _in_thread: Callable[..., Deferred[Any]]
    _pace: PollInterval = PollInterval()
    _notifier: Callable[[Any], Any] = _inotify
    _files: Callable[[], Iterable[Path]] = field(default=tuple, init=False)
    _changed: Callable[[], object] = field(default=lambda: None, init=False)
    _running: bool = field(default=False, init=False)
    _notices: Any = field(default=None, init=False)
    _entries: set[tuple[Path, str]] = field(factory=set, init=False)
    _writing: dict[Path, float] = field(factory=dict, init=False)
    _replaced: int = field(default=0, init=False)
    _awaited: Path | None = field(default=None, init=False)
    _told: IDelayedCall | None = field(default=None, init=False)
    _since: float = field(default=0.0, init=False)
    _next_look: IDelayedCall | None = field(default=None, init=False)
    _seen: dict[Path, bytes | int] | None = field(default=None, init=False)
    _deaf: bool = field(default=False, init=False)
    _complained: bool = field(default=False, init=False)

    log = Logger()

    def start(self, files: Callable[[], Iterable[Path]], changed: Callable[[], object]) -> None:
        """
        Begin to look after files.

        :param files: answers with the absolute paths; asked again after every change.
        :param changed: called some time after one of them may have changed, and once in the beginning, for what changed
            since they were read for the first time.
        """
        self._files, self._changed, self._running, self._seen = files, changed, True, None
        self._arm()
        self._look_later(0.0)

    def refresh(self) -> None:
        """
        Take note that ``files`` has another answer now.
        """
        if self._running and not self._covers():
            if self._notices is not None:
                # That a file is closed is told only once.
                self._notices.doRead()
            self._arm()
            # What is told in between is forgotten by that.
            self._stir()

    def stop(self) -> None:
        """
        Look no more, and close what is open.
        """
        self._running = False
        for call in (self._told, self._next_look):
            if call is not None:
                call.cancel()
        self._told = self._next_look = None
        self._disarm()

    # What the kernel tells

    def _arm(self) -> None:
        """
        Ask for notifications afresh. Each time, rather than repair what there is: of a directory that was deleted,
        moved or unmounted nothing more is heard.
        """
        self._disarm()
        was_deaf, self._deaf = self._deaf, False
        try:
            self._notices = self._notifier(self._reactor)
        except Exception as error:  # noqa: BLE001 - Twisted's own, ImportError or OSError
            self._go_deaf(str(error))
        else:
            self._notices.startReading()
            # A link may be switched between finding out where it leads and watching that.
            while not self._covers():
                self._listen(self._everything() - self._entries)
            self._listen_for_writers()
        if self._deaf and not was_deaf and self._next_look is not None:
            self._next_look.reset(self._pace.poll)

    def _covers(self) -> bool:
        return self._deaf or self._everything() <= self._entries

    def _everything(self) -> set[tuple[Path, str]]:
        return set().union(*(steps(path) for path in self._watched()))

    def _watched(self) -> Iterable[Path]:
        # What was read from a descriptor cannot be read again.
        return (path for path in self._files() if not is_descriptor(path))

    def _listen(self, entries: set[tuple[Path, str]]) -> None:
        from twisted.internet import inotify  # noqa: PLC0415 - as above

        mask = (
            inotify.IN_CLOSE_WRITE
            | inotify.IN_MOVED_TO
            | inotify.IN_MOVED_FROM
            | inotify.IN_CREATE
            | inotify.IN_DELETE
            | inotify.IN_ATTRIB
            | inotify.IN_ONLYDIR
        )
        self._entries |= entries
        for directory in {directory for directory, _ in entries}:
            try:
                self._notices.watch(FilePath(bytes(directory)), mask, callbacks=[self._heard])
            except Exception as error:  # noqa: BLE001 - Twisted's own, which does not say why
                if directory.is_dir():
                    self._go_deaf(str(error))
                # Otherwise the directory above will tell when it comes into being.

    def _listen_for_writers(self) -> None:
        from twisted.internet import inotify  # noqa: PLC0415 - as above

        # The files themselves: their directories may be full of others that are written all the time.
        for path in islice(self._watched(), _MOST_WRITTEN) if self._notices is not None else ():
            # What does not exist is noticed when it is created.
            with suppress(Exception):
                self._notices.watch(
                    FilePath(bytes(path.resolve())),
                    inotify.IN_MODIFY | inotify.IN_CLOSE_WRITE,
                    callbacks=[partial(self._heard_writer, self._replaced)],
                )

    def _heard_writer(self, replaced: int, _: object, path: FilePath[bytes], mask: int) -> None:
        from twisted.internet import inotify  # noqa: PLC0415 - as above

        where = Path(os.fsdecode(path.path))
        if replaced != self._replaced:
            # It writes into a file that has no name any more, or another.
            return
        if mask & inotify.IN_CLOSE_WRITE:
            self._writing.pop(where, None)
        elif mask & inotify.IN_MODIFY:
            self._writing[where] = self._reactor.seconds()

    def _being_written(self) -> Path | None:
        """
        A file that may be half of what it is going to be.
        """
        since = self._reactor.seconds() - self._pace.written
        return next((path for path, at in self._writing.items() if at > since), None)

    def _disarm(self) -> None:
        notices, self._notices = self._notices, None
        self._entries = set()
        if notices is not None:
            notices.close()

    def _heard(self, _: object, path: FilePath[bytes], mask: int) -> None:
        from twisted.internet import inotify  # noqa: PLC0415 - as above

        where = Path(os.fsdecode(path.path))
        if mask & (inotify.IN_DELETE_SELF | inotify.IN_UNMOUNT) or (where.parent, where.name) in self._entries:
            if mask & inotify.IN_CREATE and _is_being_written(where):
                self._writing[where] = self._reactor.seconds()
                return
            if mask & inotify.IN_CLOSE_WRITE:
                self._writing.pop(where, None)
            elif not mask & inotify.IN_ATTRIB:
                # Another file is there now, whoever goes on writing into the old one.
                self._writing.clear()
                self._replaced += 1
            self._stir()

    def _stir(self) -> None:
        """
        Tell of a change when there has been quiet for a while.
        """
        if not self._running:
            return
        now = self._reactor.seconds()
        if self._told is None:
            self._since = now
            self._told = self._reactor.callLater(self._pace.quiet, self._tell)
        else:
            self._told.reset(max(0.0, min(self._pace.quiet, self._since + self._pace.patience - now)))

    def _tell(self) -> None:
        self._told = None
        if (path := self._being_written()) is not None:
            # Its closing is told; a look finds out if that never comes.
            self._seen = None
            if path != self._awaited:
                self._awaited = path
                self.log.info(
                    "{path} is being written: it is read when it is closed, or {delay} after the last change",
                    path=str(path),
                    delay=Seconds(self._pace.written),
                )
            return
        self._awaited = None
        # Before the files are read, so that nothing can change unseen in between.
        self._arm()
        self._changed()

    def _go_deaf(self, reason: str) -> None:
        self._deaf = True
        if not self._complained:
            self._complained = True
            self.log.warn(
                "the system does not tell of changes to files ({reason}); looking every {seconds} instead",
                reason=reason,
                seconds=Seconds(self._pace.poll),
            )

    # What can be seen

    def _look_later(self, seconds: float) -> None:
        def look() -> None:
            self._next_look = None
            Deferred.fromCoroutine(self._look())

        if self._running:
            self._next_look = self._reactor.callLater(seconds, look)

    async def _look(self) -> None:
        """
        Look whether something has changed unheard. Never raises: the looking must go on.
        """
        try:
            seen = await self._in_thread(_look, list(self._watched()))
        except Exception:  # noqa: BLE001 - whatever it was, the next look may succeed
            self.log.failure("cannot look at the configuration's files, will try again")
        else:
            if self._seen != seen and self._being_written() is None:
                self._seen = seen
                self._stir()
        self._look_later(self._pace.poll if self._deaf else self._pace.glance)


def _is_being_written(path: Path) -> bool:
    """
    Whether an entry that has just appeared is a new file: then its closing will be told, and until then it is
    incomplete. Directories and links, symbolic or hard, appear complete. Writing sets both times of a file to the same;
    a link, or the removal of the file's other name, sets but one.
    """
    try:
        about = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(about.st_mode) and about.st_nlink == 1 and about.st_ctime_ns == about.st_mtime_ns


@define(eq=False)
class Hangup(Service):
    """
    Calls a function on SIGHUP, in the reactor's thread, where the system knows that signal.

    :ivar call: what to do.
    """

    _reactor: Any
    _call: Callable[[], None]

    def startService(self) -> None:
        """
        Listen for the signal from now on, and for good: once the daemon stops it is ignored, where the system's own
        handler would kill the process in the middle of that.
        """
        super().startService()
        number = getattr(signal, "SIGHUP", None)
        if number is not None:
            signal.signal(number, lambda *_: self._reactor.callFromThread(self._asked))

    def _asked(self) -> None:
        if self.running:
            self._call()
