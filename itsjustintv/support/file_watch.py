"""
Notices that files have changed, however they were replaced, and that SIGHUP was sent.
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
from typing import Any, Protocol

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.filepath import FilePath

from itsjustintv.support.durations import Seconds
from itsjustintv.support.regular_files import is_descriptor, read

__all__ = ["FileWatch", "SighupHandler", "WatchIntervals", "Watcher", "directory_entries"]

# So many files are watched for writers; the configuration is the first.
_MOST_WRITTEN = 16

# A chain of symbolic links as long as the kernel would follow.
_LONGEST_CHAIN = 40

# Bytes: no configuration, secret or certificate is larger.
_LARGEST = 16 * 1024 * 1024


@frozen(kw_only=True)
class WatchIntervals:
    """
    Intervals in seconds.

    :ivar settle: a change is reported when there were no events for so long: one save is many events.
    :ivar longest: a change is reported after so long even if the events go on.
    :ivar check: between two reads of the files while inotify works; on some file systems, such as NFS, it does not
        report changes made on another machine.
    :ivar poll: between two reads while it does not work.
    :ivar writing: a file that was written to and not closed is not read for so long after the last write.
    """

    settle: float = 0.3
    longest: float = 2.0
    check: float = 30.0
    poll: float = 2.0
    writing: float = 600.0


def directory_entries(path: Path) -> set[tuple[Path, str]]:
    """
    List the directory entries that an absolute path is resolved by: the file's own, and that of each directory and
    symbolic link on the way.

    :return: pairs of a directory, with links resolved, and a name in it.
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


def _read_contents(files: Iterable[Path]) -> dict[Path, bytes | int]:
    """
    Read what two checks compare: the hash of each file, or the error number if it cannot be read. A file that was
    touched, or replaced by an equal one, has not changed.
    """
    contents: dict[Path, bytes | int] = {}
    for path in files:
        try:
            contents[path] = sha256(read(path, _LARGEST)).digest()
        except OSError as error:
            contents[path] = error.errno or 0
    return contents


def _inotify(reactor: Any) -> Any:
    """
    Open inotify.

    :raises Exception: of several kinds, Twisted's among them, when it is not available.
    """
    from twisted.internet.inotify import INotify  # noqa: PLC0415 - cannot be imported where there is no inotify

    class Reader(INotify):
        """
        Goes on when something watched is deleted, where Twisted's closes everything: the closing of a file that was
        deleted and is written anew must be reported.
        """

        closing = False

        def close(self) -> None:
            self.closing = True
            self.loseConnection()

        def loseConnection(self) -> None:
            if self.closing:
                super().loseConnection()

    return Reader(reactor)


class Watcher(Protocol):
    """
    Reports that files have changed.
    """

    def start(self, files: Callable[[], Iterable[Path]], changed: Callable[[], object]) -> None:
        """
        Start watching.

        :param files: returns the absolute paths; called again after every change.
        :param changed: called some time after one of them may have changed, and once at the start, for what has changed
            since the caller read them.
        """

    def refresh(self) -> None:
        """
        Call ``files`` again, since it returns other paths now.
        """

    def stop(self) -> None:
        """
        Stop watching.
        """


@define(eq=False)
class FileWatch(Watcher):
    """
    Reports that files may have changed: saved in place, replaced by a rename, through a symbolic link that was switched
    (as Kubernetes does), or with a directory that was deleted and made anew. What has changed, the caller must compare.

    With inotify, a file that is being written in place is not reported until it is closed. Without it, the files are
    read every few seconds.

    :ivar in_thread: runs what may block.
    :ivar notifier: opens inotify.
    """

    _reactor: Any
    _in_thread: Callable[..., Deferred[Any]]
    _intervals: WatchIntervals = WatchIntervals()
    _notifier: Callable[[Any], Any] = _inotify
    _files: Callable[[], Iterable[Path]] = field(default=tuple, init=False)
    _changed: Callable[[], object] = field(default=lambda: None, init=False)
    _running: bool = field(default=False, init=False)
    _inotify_reader: Any = field(default=None, init=False)
    _entries: set[tuple[Path, str]] = field(factory=set, init=False)
    _writing: dict[Path, float] = field(factory=dict, init=False)
    _replaced: int = field(default=0, init=False)
    _postponed: Path | None = field(default=None, init=False)
    _report_call: IDelayedCall | None = field(default=None, init=False)
    _first_change: float = field(default=0.0, init=False)
    _check_call: IDelayedCall | None = field(default=None, init=False)
    _last_contents: dict[Path, bytes | int] | None = field(default=None, init=False)
    _polling: bool = field(default=False, init=False)
    _warned: bool = field(default=False, init=False)

    log = Logger()

    def start(self, files: Callable[[], Iterable[Path]], changed: Callable[[], object]) -> None:
        self._files, self._changed, self._running, self._last_contents = files, changed, True, None
        self._start_inotify()
        self._check_later(0.0)

    def refresh(self) -> None:
        if self._running and not self._covers_all():
            if self._inotify_reader is not None:
                # That a file was closed is reported only once.
                self._inotify_reader.doRead()
            self._start_inotify()
            # Events that came in between are lost by that.
            self._note_change()

    def stop(self) -> None:
        self._running = False
        for call in (self._report_call, self._check_call):
            if call is not None:
                call.cancel()
        self._report_call = self._check_call = None
        self._stop_inotify()

    # Events of inotify

    def _start_inotify(self) -> None:
        """
        Open inotify and watch everything. It is done anew each time rather than repaired: a directory that was deleted,
        moved or unmounted reports nothing more.
        """
        self._stop_inotify()
        was_polling, self._polling = self._polling, False
        try:
            self._inotify_reader = self._notifier(self._reactor)
        except Exception as error:  # noqa: BLE001 - Twisted's own, ImportError or OSError
            self._fall_back_to_polling(str(error))
        else:
            self._inotify_reader.startReading()
            # A link may be switched after it was read and before its target is watched.
            while not self._covers_all():
                self._watch_directories(self._all_entries() - self._entries)
            self._watch_files()
        if self._polling and not was_polling and self._check_call is not None:
            self._check_call.reset(self._intervals.poll)

    def _covers_all(self) -> bool:
        return self._polling or self._all_entries() <= self._entries

    def _all_entries(self) -> set[tuple[Path, str]]:
        return set().union(*(directory_entries(path) for path in self._watched()))

    def _watched(self) -> Iterable[Path]:
        # What was read from a descriptor cannot be read again.
        return (path for path in self._files() if not is_descriptor(path))

    def _watch_directories(self, entries: set[tuple[Path, str]]) -> None:
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
                self._inotify_reader.watch(FilePath(bytes(directory)), mask, callbacks=[self._on_event])
            except Exception as error:  # noqa: BLE001 - Twisted's own, which does not say why
                if directory.is_dir():
                    self._fall_back_to_polling(str(error))
                # Otherwise the directory above reports when it is created.

    def _watch_files(self) -> None:
        from twisted.internet import inotify  # noqa: PLC0415 - as above

        # The files themselves: their directories may hold others that are written to all the time.
        for path in islice(self._watched(), _MOST_WRITTEN) if self._inotify_reader is not None else ():
            # What does not exist is noticed when it is created.
            with suppress(Exception):
                self._inotify_reader.watch(
                    FilePath(bytes(path.resolve())),
                    inotify.IN_MODIFY | inotify.IN_CLOSE_WRITE,
                    callbacks=[partial(self._on_write, self._replaced)],
                )

    def _on_write(self, replaced: int, _: object, path: FilePath[bytes], mask: int) -> None:
        from twisted.internet import inotify  # noqa: PLC0415 - as above

        where = Path(os.fsdecode(path.path))
        if replaced != self._replaced:
            # The file that is written to has another name by now, or none.
            return
        if mask & inotify.IN_CLOSE_WRITE:
            self._writing.pop(where, None)
        elif mask & inotify.IN_MODIFY:
            self._writing[where] = self._reactor.seconds()

    def _being_written(self) -> Path | None:
        """
        Find a file that may be incomplete.
        """
        since = self._reactor.seconds() - self._intervals.writing
        return next((path for path, at in self._writing.items() if at > since), None)

    def _stop_inotify(self) -> None:
        reader, self._inotify_reader = self._inotify_reader, None
        self._entries = set()
        if reader is not None:
            reader.close()

    def _on_event(self, _: object, path: FilePath[bytes], mask: int) -> None:
        from twisted.internet import inotify  # noqa: PLC0415 - as above

        where = Path(os.fsdecode(path.path))
        if mask & (inotify.IN_DELETE_SELF | inotify.IN_UNMOUNT) or (where.parent, where.name) in self._entries:
            if mask & inotify.IN_CREATE and _is_being_written(where):
                self._writing[where] = self._reactor.seconds()
                return
            if mask & inotify.IN_CLOSE_WRITE:
                self._writing.pop(where, None)
            elif not mask & inotify.IN_ATTRIB:
                # Another file has its place; what is still written goes to the old one.
                self._writing.clear()
                self._replaced += 1
            self._note_change()

    def _note_change(self) -> None:
        """
        Report a change once there are no more events.
        """
        if not self._running:
            return
        now = self._reactor.seconds()
        if self._report_call is None:
            self._first_change = now
            self._report_call = self._reactor.callLater(self._intervals.settle, self._report)
        else:
            self._report_call.reset(
                max(0.0, min(self._intervals.settle, self._first_change + self._intervals.longest - now))
            )

    def _report(self) -> None:
        self._report_call = None
        if (path := self._being_written()) is not None:
            # Its closing is reported; if that never happens, a check finds out.
            self._last_contents = None
            if path != self._postponed:
                self._postponed = path
                self.log.info(
                    "{path} is being written; it will be read when it is closed, or {delay} after the last change",
                    path=str(path),
                    delay=Seconds(self._intervals.writing),
                )
            return
        self._postponed = None
        # Before the files are read, so that nothing can change unseen in between.
        self._start_inotify()
        self._changed()

    def _fall_back_to_polling(self, reason: str) -> None:
        self._polling = True
        if not self._warned:
            self._warned = True
            self.log.warn(
                "inotify is not available: {reason}; checking files every {seconds} instead",
                reason=reason,
                seconds=Seconds(self._intervals.poll),
            )

    # Reads without an event

    def _check_later(self, seconds: float) -> None:
        def check() -> None:
            self._check_call = None
            Deferred.fromCoroutine(self._check())

        if self._running:
            self._check_call = self._reactor.callLater(seconds, check)

    async def _check(self) -> None:
        """
        Check whether something has changed without an event. Never raises: the checks must go on.
        """
        try:
            contents = await self._in_thread(_read_contents, list(self._watched()))
        except Exception:  # noqa: BLE001 - the next check may succeed
            self.log.failure("cannot check the watched files; retrying in {delay}", delay=Seconds(self._interval()))
        else:
            if self._last_contents != contents and self._being_written() is None:
                self._last_contents = contents
                self._note_change()
        self._check_later(self._interval())

    def _interval(self) -> float:
        return self._intervals.poll if self._polling else self._intervals.check


def _is_being_written(path: Path) -> bool:
    """
    Whether an entry that has just appeared is a new file: it is incomplete until its closing is reported. Directories
    and links, symbolic or hard, are complete at once. Writing sets both times of a file to the same; a link, or the
    removal of the file's other name, sets only one of them.
    """
    try:
        about = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(about.st_mode) and about.st_nlink == 1 and about.st_ctime_ns == about.st_mtime_ns


@define(eq=False)
class SighupHandler(Service):
    """
    Calls a function on SIGHUP, in the reactor's thread, where the system has that signal.
    """

    _reactor: Any
    _call: Callable[[], None]

    def startService(self) -> None:
        """
        Handle the signal from now on, also after the service was stopped: then it is ignored, where the default handler
        would kill the process in the middle of its stop.
        """
        super().startService()
        number = getattr(signal, "SIGHUP", None)
        if number is not None:
            signal.signal(number, lambda *_: self._reactor.callFromThread(self._received))

    def _received(self) -> None:
        if self.running:
            self._call()
