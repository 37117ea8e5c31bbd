"""
The journal as the rest of the daemon sees it.
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
    Place,
)
from itsjustintv.journal.interfaces import Committed, IJournal
from itsjustintv.journal.legacy_files import Imported, LegacyFiles
from itsjustintv.journal.sqlite import history_reads, ids, operations, reads, timeline, writes
from itsjustintv.journal.sqlite.connections import Reader, TimedBatch, Writer
from itsjustintv.journal.sqlite.database import connect, create, explained, lock
from itsjustintv.journal.sqlite.file_presence import COMPANIONS, FilePresence
from itsjustintv.journal.sqlite.threads import Operation, OperationThread
from itsjustintv.model import Accounting, Attempt, Census, Delivery, Due, Event, Outcome, Owner, State
from itsjustintv.support.clocks import SteadyClock, shift_times
from itsjustintv.support.counts import Counted
from itsjustintv.support.durations import Seconds
from itsjustintv.support.periodic_service import PeriodicService

__all__ = ["SQLiteJournal"]

_T = TypeVar("_T")

# Seconds that a stop waits for a disk, twice at the most: attempts may have 20 s before, and systemd gives 30 s.
_PATIENCE = 4.0


@implementer(IJournal)
@define(eq=False)
class SQLiteJournal(Service):
    """
    Keeps the durable state in an SQLite database.

    :ivar path: the file; ``.lock``, ``-wal`` and ``-shm`` are beside it.
    :ivar legacy: the original program's state, taken over when the journal is new.
    :ivar keep: seconds for which what has ended can still be looked at and replayed.
    :ivar purge_every: seconds between removals of what is older.
    :ivar probe_every: seconds between attempts to write while the last one failed.
    :ivar look_every: seconds between looks whether the files are still at their paths.
    :ivar connect: opens the database for a thread.
    :ivar committed: told of every transaction, in the thread of the writer.
    :ivar steady: what ``clock`` goes by, which may differ from the clock on the wall.
    """

    _path: Path
    _reactor: IReactorFromThreads
    _clock: IReactorTime
    _legacy: LegacyFiles | None = None
    _keep: float = 7 * 86400.0
    _purge_every: float = 3600.0
    _probe_every: float = 5.0
    _look_every: float = 1.0
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
        Open the database, creating or upgrading it as needed.

        :raises JournalInUse: when another process has it.
        :raises JournalUnavailable: when it cannot be used, naming path and cause.
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
                (self._look_every, "check that the journal's files are still there", self._look),
                (self._purge_every, "remove old entries from the journal", self._purge),
            )
        ]
        for loop in self._loops:
            loop.startService()

    def stopService(self) -> Deferred[None]:
        """
        Wait for everything that was asked so far, and close the database.
        """
        super().stopService()
        return Deferred.fromCoroutine(self._close())

    def accept(self, event: Event, deliveries: Sequence[Delivery], expires_at: float) -> Deferred[bool]:
        now = self._clock.seconds()
        return self._write(writes.AcceptEvent(event, deliveries, expires_at, now))

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
    ) -> Deferred[bool]:
        return self._write(
            lambda connection: writes.prepare(connection, delivery_id, body, picture, now, title, category)
        )

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
    ) -> Deferred[Delivery]:
        return self._write(
            lambda connection: writes.settle(connection, delivery_id, state, reason, now, attempt, next_attempt_at)
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
        return self._read(reads.signals).addCallback(self._heard)

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
            # It stays open to the end: SQLite removes the log when the last connection is closed, and while this one is
            # there only others can.
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
                "the clock of this machine was set {direction} by {by} since the journal was opened last: every time in"
                " the journal was moved with it, so that nothing waits or expires because of that",
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
            self.log.warn("of the original program's files, {reason}", reason=problem)
        self.log.info(
            "took over from the original program: {keys}, {pending} to be made, {cancelled} without a destination",
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

    def _heard(self, signals: int) -> bool:
        before, self._signals = self._signals, signals
        return signals != before

    def _report(self) -> None:
        """
        Tell the log when writing stops working, and when it works again.
        """
        problem = None if self._writer is None else self._writer.problem
        if problem == self._reported:
            return
        if problem is None:
            self.log.info("the journal can be written again")
        else:
            self.log.error(
                "the journal cannot be written, notifications are refused until it can: {reason}", reason=problem
            )
        self._reported = problem

    async def _probe(self) -> None:
        """
        See whether writing works again, or a quiet journal would never heal.
        """
        if self._reported is not None:
            await self._write(writes.probe)

    async def _look(self) -> None:
        """
        See whether a file was deleted or replaced, or a quiet journal would not notice.
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
        Remove what is too old, a little at a time, so that others are served in between.
        """
        more = True
        while more:
            now = self._clock.seconds()
            before = now - self._keep
            more = await self._write(partial(writes.purge, before=before, now=now, limit=self._at_once))

    async def _close(self) -> None:
        for loop in self._loops:
            loop.stopService()
        # All refuse what is new from now on, and then each is waited for.
        steps = [thread.stop() for thread in (self._reading, self._writing) if thread is not None]
        try:
            for ended in steps:
                await ended.addTimeout(_PATIENCE, self._clock)
            if self._abandon():
                return
            await self._let_go().addTimeout(_PATIENCE, self._clock)
        except TimeoutError:
            # Nothing is closed that a thread may still use; the end of the process lets go of it.
            self.log.warn(
                "the journal was not closed within {seconds}: its disk does not answer; what was acknowledged is on it",
                seconds=Seconds(_PATIENCE),
            )
            return
        self._release()

    def _abandon(self) -> bool:
        """
        Leave the last connection open to the end of the process, if the files are not its own any more: to close it
        would change or remove those at their paths.
        """
        if self._presence is None or self._anchor is None or self._presence.problem() is None:
            return False
        # Not even the end of the interpreter closes what is still referred to.
        pythonapi.Py_IncRef(py_object(self._anchor))
        return True

    def _let_go(self) -> Deferred[None]:
        """
        Close the last connection, which brings the log into the database and may take a while.
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
