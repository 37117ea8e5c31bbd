"""
The journal of the daemon as a service: threads, loops, and what the log says of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from ctypes import py_object, pythonapi
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from threading import Thread
from typing import TypeVar

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError, fail  # noqa: A004 - what addTimeout fails with
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from itsjustintv.errors import JournalUnavailable
from itsjustintv.journal.history import (
    EVERYTHING,
    DeliveryHistory,
    DestinationBacklog,
    EventHistory,
    HistoryFilter,
    OpenPost,
    Place,
)
from itsjustintv.journal.interfaces import Committed, IJournal
from itsjustintv.journal.legacy_files import Imported, LegacyFiles
from itsjustintv.journal.operation_thread import Operation, OperationThread
from itsjustintv.journal.sqlite import broadcasts, history_reads, ids, operations, reads, timeline, writes
from itsjustintv.journal.sqlite.connections import Reader, TimedBatch, Writer
from itsjustintv.journal.sqlite.database import connect, create, explained, lock
from itsjustintv.journal.sqlite.file_presence import COMPANIONS, FilePresence
from itsjustintv.model import (
    Accounting,
    Action,
    Attempt,
    Broadcast,
    Census,
    Delivery,
    Due,
    Event,
    Outcome,
    Owner,
    Standing,
    State,
    Verdict,
)
from itsjustintv.support.clocks import SteadyClock, shift_times
from itsjustintv.support.counts import Counted
from itsjustintv.support.durations import Seconds
from itsjustintv.support.periodic_service import PeriodicService

__all__ = ["SQLiteJournal"]

_T = TypeVar("_T")

# Seconds that a stop waits for the disk, at most twice: attempts may have 20 s before that, and systemd gives 30 s.
_CLOSE_TIMEOUT = 4.0


@implementer(IJournal)
@define(eq=False)
class SQLiteJournal(Service):
    """
    Stores the durable state in an SQLite database.

    :ivar path: the file; ``.lock``, ``-wal`` and ``-shm`` are next to it.
    :ivar legacy: the original program's state, imported when the journal is new.
    :ivar keep: seconds for which what has ended can still be shown and requeued.
    :ivar purge_every: seconds between removals of what is older.
    :ivar probe_every: seconds between attempts to write while the last one failed.
    :ivar file_check_every: seconds between checks whether the files are still at their paths.
    :ivar at_once: rows that one removal takes at most.
    :ivar limit: operations that may wait for each thread.
    :ivar connect: opens the database for a thread.
    :ivar committed: called for every transaction, in the thread of the writer.
    :ivar steady: what ``clock`` goes by, which may differ from the machine's clock.
    """

    _path: Path
    _reactor: IReactorFromThreads
    _clock: IReactorTime
    _legacy: LegacyFiles | None = None
    _keep: float = 7 * 86400.0
    _purge_every: float = 3600.0
    _probe_every: float = 5.0
    _file_check_every: float = 1.0
    _at_once: int = 500
    _limit: int = 10_000
    _connect: Callable[[Path], Connection] = connect
    _committed: Committed = lambda _operations, _seconds: None
    _steady: SteadyClock | None = None
    _lock: int | None = field(default=None, init=False)
    _anchor: Connection | None = field(default=None, init=False)
    _presence: FilePresence | None = field(default=None, init=False)
    _writer: Writer | None = field(default=None, init=False)
    _writing: OperationThread | None = field(default=None, init=False)
    _reading: OperationThread | None = field(default=None, init=False)
    _loops: Sequence[PeriodicService] = field(default=(), init=False)
    _reported: str | None = field(default=None, init=False)
    _signals: int = field(default=0, init=False)

    log = Logger()

    def startService(self) -> None:
        """
        Open the database; create or upgrade it as needed.

        :raises JournalInUse: another process has it.
        :raises JournalUnavailable: it cannot be used, naming path and cause.
        """
        self._lock = lock(self._path)
        try:
            self._prepare()
        except BaseException:
            self._release()
            raise
        super().startService()
        self._writer = Writer(self._path, self._open, self._presence)
        self._writing = OperationThread(
            self._reactor, TimedBatch(self._writer, self._committed), self._report, self._limit
        )
        self._reading = OperationThread(self._reactor, Reader(self._path, self._open), limit=self._limit)
        self._writing.start("journal-writer")
        self._reading.start("journal-reader")
        self._loops = [
            PeriodicService(self._clock, interval, what, work)
            for interval, what, work in (
                (self._probe_every, "check whether the journal can be written again", self._probe),
                (self._file_check_every, "check that the journal's files are still there", self._check_files),
                (self._purge_every, "remove old entries from the journal", self._purge),
            )
        ]
        for loop in self._loops:
            loop.startService()

    def stopService(self) -> Deferred[None]:
        """
        Wait for everything that was asked before, and close the database.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._close())

    def accept(
        self, event: Event, deliveries: Sequence[Delivery], expires_at: float, window: float = 0.0
    ) -> Deferred[bool]:
        now = self._clock.seconds()
        return self._write(writes.AcceptEvent(event, deliveries, expires_at, now, window))

    def seen(self, now: float) -> Deferred[Sequence[tuple[str, float]]]:
        return self._read(lambda connection: reads.seen(connection, now))

    def unprepared(self, now: float, limit: int) -> Deferred[Sequence[tuple[Event, Delivery]]]:
        return self._read(lambda connection: reads.unprepared(connection, now, limit))

    def prepare(  # noqa: PLR0917 - as IDeliveryJournal has it
        self,
        delivery_id: str,
        body: bytes,
        picture: bytes | None,
        now: float,
        title: str = "",
        category: str = "",
        *,
        action: Action = Action.CREATE,
        shown: str = "",
        mention: bool = False,
        form: str = "",
        refreshes: Sequence[float] = (),
    ) -> Deferred[bool]:
        return self._write(
            lambda connection: writes.prepare(
                connection,
                delivery_id,
                body,
                picture,
                now,
                title,
                category,
                action=action,
                shown=shown,
                mention=mention,
                form=form,
                refreshes=refreshes,
            )
        )

    def unprepare(self, delivery_id: str, now: float) -> Deferred[None]:
        return self._write(lambda connection: writes.unprepare(connection, delivery_id, now))

    def standing(self, delivery_id: str, place: str = "") -> Deferred[Standing]:
        return self._read(lambda connection: broadcasts.standing(connection, delivery_id, place))

    def resume(self, broadcast: str, now: float) -> Deferred[None]:
        return self._write(lambda connection: broadcasts.resume(connection, broadcast, now))

    def live_broadcasts(self) -> Deferred[Sequence[Broadcast]]:
        return self._read(broadcasts.live)

    def latest_broadcast(self, broadcaster_id: str) -> Deferred[Broadcast | None]:
        return self._read(lambda connection: broadcasts.latest(connection, broadcaster_id))

    def places(self) -> Deferred[Mapping[str, tuple[Verdict, str]]]:
        return self._read(broadcasts.places)

    def forget_places(self, places: Sequence[str]) -> Deferred[None]:
        return self._write(lambda connection: broadcasts.forget_places(connection, places))

    def hold(self, delivery_id: str, until: float, reason: str) -> Deferred[None]:
        return self._write(lambda connection: writes.hold(connection, delivery_id, until, reason))

    def settle(  # noqa: PLR0917 - as IJournal has it
        self,
        delivery_id: str,
        state: State,
        reason: str,
        now: float,
        attempt: Attempt | None = None,
        next_attempt_at: float | None = None,
        *,
        plain: bool = False,
    ) -> Deferred[Delivery]:
        return self._write(
            lambda connection: writes.settle(
                connection, delivery_id, state, reason, now, attempt, next_attempt_at, plain=plain
            )
        )

    def destinations(self) -> Deferred[Sequence[str]]:
        return self._read(reads.destinations)

    def owners(self, is_configured: Callable[[str], bool]) -> Deferred[Mapping[str, Owner]]:
        return self._read(lambda connection: reads.owners(connection, is_configured))

    def due(self, destination: str, after: Due | None, limit: int) -> Deferred[Sequence[Due]]:
        return self._read(lambda connection: reads.due(connection, destination, after, limit))

    def next_due(self, counts: Callable[[str], bool]) -> Deferred[float | None]:
        return self._read(lambda connection: reads.next_due(connection, counts))

    def load(self, delivery_id: str) -> Deferred[Delivery | None]:
        return self._read(lambda connection: reads.load(connection, delivery_id))

    def outcomes(self, limit: int) -> Deferred[Sequence[Outcome]]:
        return self._read(lambda connection: reads.outcomes(connection, limit))

    def accounting(self) -> Deferred[Accounting]:
        return self._read(reads.accounting)

    def census(self) -> Deferred[Census]:
        return self._read(reads.census)

    def undelivered(self) -> Deferred[int]:
        return self._read(reads.undelivered)

    def changed(self) -> Deferred[bool]:
        return self._read(reads.signals).addCallback(self._compare_signals)

    def problem(self) -> str | None:
        if not self.running or self._writer is None:
            return "the journal is closed"
        return self.fatal_problem() or self._writer.problem

    def fatal_problem(self) -> str | None:
        threads = (each for each in (self._writing, self._reading) if each is not None)
        return next((thread.died for thread in threads if thread.died is not None), None)

    def recall(self, kind: str, key: str) -> Deferred[tuple[int, float] | None]:
        return self._read(lambda connection: reads.recall(connection, kind, key))

    def remember(self, kind: str, key: str, value: int, now: float) -> Deferred[None]:
        return self._write(lambda connection: writes.remember(connection, kind, key, value, now))

    def recall_all(self, kind: str) -> Deferred[Mapping[str, tuple[int, float]]]:
        return self._read(lambda connection: reads.recall_all(connection, kind))

    def remember_all(self, kind: str, values: Mapping[str, int], now: float) -> Deferred[None]:
        return self._write(lambda connection: writes.remember_all(connection, kind, values, now))

    def forget(self, kind: str, keys: Sequence[str]) -> Deferred[None]:
        return self._write(lambda connection: writes.forget(connection, kind, keys))

    def note_clock(self, ahead: float) -> Deferred[None]:
        return self._write(partial(timeline.note, seconds=ahead, now=self._clock.seconds()))

    def list_events(
        self, after: Place | None, limit: int, filters: HistoryFilter = EVERYTHING
    ) -> Deferred[tuple[Sequence[EventHistory], Place | None]]:
        return self._show(lambda connection: history_reads.events(connection, after, limit, filters))

    def find_event(self, event_id: str) -> Deferred[EventHistory | None]:
        def find(connection: Connection) -> EventHistory | None:
            found = ids.find_event(connection, event_id)
            return None if found is None else history_reads.event(connection, found)

        return self._show(find)

    def list_deliveries(
        self, after: Place | None, limit: int, filters: HistoryFilter = EVERYTHING
    ) -> Deferred[tuple[Sequence[DeliveryHistory], Place | None]]:
        return self._show(lambda connection: history_reads.deliveries(connection, after, limit, filters))

    def find_delivery(self, delivery_id: str) -> Deferred[EventHistory | None]:
        def find(connection: Connection) -> EventHistory | None:
            found = ids.find_delivery(connection, delivery_id)
            return None if found is None else history_reads.delivery(connection, found)

        return self._show(find)

    def backlogs(self) -> Deferred[Sequence[DestinationBacklog]]:
        return self._show(history_reads.backlogs)

    def open_posts(self) -> Deferred[Sequence[OpenPost]]:
        return self._show(broadcasts.open_posts)

    def history_version(self) -> Deferred[object]:
        return self._read(history_reads.version)

    def retry(self, delivery_id: str) -> Deferred[Delivery]:
        return self._change(operations.retry, delivery_id)

    def resend(self, delivery_id: str) -> Deferred[Delivery]:
        return self._change(operations.resend, delivery_id)

    def cancel(self, delivery_id: str) -> Deferred[Delivery]:
        return self._change(operations.cancel, delivery_id)

    def _show(self, operation: Operation[_T]) -> Deferred[_T]:
        """
        Read what is shown: its times are those of the machine's clock.
        """
        ahead = 0.0 if self._steady is None else self._steady.ahead()
        return self._read(lambda connection: shift_times(operation(connection), ahead))

    def _change(self, change: Callable[[Connection, str, float], Delivery], delivery_id: str) -> Deferred[Delivery]:
        """
        Change a delivery for an operator. Its id is looked up by the reader: an error here costs other writes nothing.
        """
        now = self._clock.seconds()
        found = self._read(lambda connection: ids.find_delivery(connection, delivery_id) or delivery_id)
        return found.addCallback(lambda whole_id: self._write(lambda connection: change(connection, whole_id, now)))

    def _open(self) -> Connection:
        return self._connect(self._path)

    def _prepare(self) -> None:
        with explained(self._path):
            # It stays open until the end: SQLite removes the log when the last connection is closed.
            self._anchor = create(self._path)
            if self._steady is not None:
                self._resume(self._anchor, self._steady)
            if self._legacy is not None:
                self._import(self._anchor, self._legacy)
            self._signals = reads.signals(self._anchor)
            self._presence = FilePresence.of(self._path, (*COMPANIONS, ".lock"))

    def _resume(self, connection: Connection, clock: SteadyClock) -> None:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            by = timeline.resume(connection, clock)
        if by:
            self.log.warn(
                "the clock of this machine was set {direction} by {by} since the journal was last opened; all its times"
                " were shifted, so nothing waits or expires because of that",
                direction="forward" if by > 0 else "back",
                by=Seconds(round(abs(by), 1)),
            )

    def _import(self, connection: Connection, legacy: LegacyFiles) -> None:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            report = writes.import_legacy(connection, legacy, self._clock.seconds())
        if report is None or report == Imported():
            return
        for problem in report.problems:
            self.log.warn("importing the original program's state: {reason}", reason=problem)
        self.log.info(
            "imported from the original program: {keys}, {pending} to send, {cancelled} cancelled without a"
            " destination",
            keys=Counted(report.keys, "announced broadcast"),
            pending=Counted(report.pending, "delivery"),
            cancelled=report.cancelled,
        )

    def _write(self, operation: Operation[_T]) -> Deferred[_T]:
        return self._submit(self._writing, operation)

    def _read(self, operation: Operation[_T]) -> Deferred[_T]:
        return self._submit(self._reading, operation)

    def _submit(self, thread: OperationThread | None, operation: Operation[_T]) -> Deferred[_T]:
        if thread is None:
            return fail(JournalUnavailable("the journal is closed"))
        return thread.submit(operation)

    def _compare_signals(self, signals: int) -> bool:
        before, self._signals = self._signals, signals
        return signals != before

    def _report(self) -> None:
        """
        Log when writing begins to fail, and when it works again.
        """
        problem = None if self._writer is None else self._writer.problem
        if problem == self._reported:
            return
        if problem is None:
            self.log.info("the journal can be written again")
        else:
            self.log.error(
                "cannot write the journal: {reason}; no event can be stored until it can be written",
                reason=problem,
            )
        self._reported = problem

    async def _probe(self) -> None:
        """
        Try to write while the last write failed: without events nothing else would find out that it works again.
        """
        if self._reported is not None:
            await self._write(writes.probe)

    async def _check_files(self) -> None:
        """
        Check whether a file was deleted or replaced: without events nothing else would find out.
        """
        if self._presence is None or self._reported is not None:
            return
        try:
            problem = await self._read(lambda _: self._presence and self._presence.problem())
        except JournalUnavailable as error:
            problem = str(error)
        if problem is not None:
            await self._write(writes.nothing)

    async def _purge(self) -> None:
        """
        Remove what is too old, a few rows at a time, so that other operations are performed in between.
        """
        more = True
        while more:
            now = self._clock.seconds()
            before = now - self._keep
            more = await self._write(partial(writes.purge, before=before, now=now, limit=self._at_once))

    async def _close(self) -> None:
        for loop in self._loops:
            loop.stopService()
        # Both refuse new operations from now on; then each is waited for.
        stopped = [thread.stop() for thread in (self._reading, self._writing) if thread is not None]
        try:
            for each in stopped:
                await each.addTimeout(_CLOSE_TIMEOUT, self._clock)
            if self._keep_open():
                return
            await self._close_anchor().addTimeout(_CLOSE_TIMEOUT, self._clock)
        except TimeoutError:
            # A thread may still use what is open; it is closed when the process ends.
            self.log.warn(
                "the journal was not closed within {seconds}: its disk does not answer; acknowledged events are on it",
                seconds=Seconds(_CLOSE_TIMEOUT),
            )
            return
        self._release()

    def _keep_open(self) -> bool:
        """
        Leave the last connection open until the process ends, if other files are at its paths: closing it would change
        or remove them.
        """
        if self._presence is None or self._anchor is None or self._presence.problem() is None:
            return False
        # Even at its exit the interpreter closes nothing that has a reference.
        pythonapi.Py_IncRef(py_object(self._anchor))
        return True

    def _close_anchor(self) -> Deferred[None]:
        """
        Close the last connection in a thread: that copies the log into the database, which may take a while.
        """
        done: Deferred[None] = Deferred()
        anchor, self._anchor = self._anchor, None

        def close() -> None:
            if anchor is not None:
                anchor.close()
            self._reactor.callFromThread(done.callback, None)

        Thread(target=close, daemon=True, name="journal-close").start()
        return done

    def _release(self) -> None:
        presence, self._presence = self._presence, None
        if presence is not None:
            presence.close()
        anchor, self._anchor = self._anchor, None
        if anchor is not None:
            anchor.close()
        descriptor, self._lock = self._lock, None
        if descriptor is not None:
            os.close(descriptor)
