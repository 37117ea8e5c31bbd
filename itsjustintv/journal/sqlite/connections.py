"""
Group commit: every operation that waits shares one transaction, and with it one wait for the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from sqlite3 import Connection
from time import perf_counter
from typing import Any

from attrs import define, field, frozen
from twisted.python.failure import Failure

from itsjustintv.errors import AmbiguousId, JournalUnavailable
from itsjustintv.journal.interfaces import Committed
from itsjustintv.journal.sqlite import dedup_keys
from itsjustintv.journal.sqlite.database import concerns_storage, explain
from itsjustintv.journal.sqlite.file_presence import Absent, FilePresence
from itsjustintv.journal.sqlite.threads import Batch, Operation
from itsjustintv.journal.sqlite.writes import count_wanted, insert_deliveries, insert_events
from itsjustintv.model import Delivery, Event

__all__ = ["Accept", "Apart", "Connect", "Reader", "Timed", "Writer", "accept"]

#: Opens the database anew.
Connect = Callable[[], Connection]

#: Performs many operations of one kind.
_Together = Callable[[Connection, Sequence[Operation[Any]]], Sequence[object]]


class Apart(Exception):
    """
    Some operations cannot be performed together; one by one they can.
    """


@define(eq=False)
class Writer:
    """
    The only connection of the daemon that writes. Lives in a thread of its own, except for ``problem``.

    After anything that went wrong with the file the connection is given up and the next batch begins with a new one,
    so that the writer heals as soon as the file does.

    When a file of the journal was deleted or replaced, the connection is kept: it may be all that still has what was
    accepted.

    :ivar presence: the files that must stay at their paths; otherwise the database alone.
    :ivar problem: why the last commit did not happen, in one sentence, or ``None`` when it did. Read from any thread.
    """

    _path: Path
    _connect: Connect
    _presence: FilePresence | None = None
    problem: str | None = field(default=None, init=False)
    _connection: Connection | None = field(default=None, init=False)

    def perform(self, operations: Sequence[Operation[Any]]) -> Sequence[object]:
        """
        Perform operations in one transaction. One that fails for a reason of its own is taken back alone; when the
        transaction fails, all of them fail with :class:`JournalUnavailable` and nothing is kept.

        Neighbours of a kind that has a function ``together``, of a connection and of them all, are given to it. It
        answers with a result for each, or raises :class:`Apart`.

        :param operations: each may be performed once more after what it did was taken back.
        """
        try:
            results = self._commit(operations)
        except Exception as error:  # noqa: BLE001 - whatever it was, the thread goes on and the callers are told
            if isinstance(error, Absent) and self._connection is not None:
                error = self._save(self._connection, error)
            else:
                self.close()
            self.problem = str(error) if isinstance(error, JournalUnavailable) else explain(self._path, error)
            return [Failure(JournalUnavailable(self.problem)) for _ in operations]
        self.problem = None
        return results

    def close(self) -> None:
        """
        Let go of the connection; what was not committed is taken back.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _commit(self, operations: Sequence[Operation[Any]]) -> Sequence[object]:
        if self._presence is not None:
            self._presence.require()
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        if self._presence is None:
            self._presence = FilePresence.of(self._path)
        results = _all(connection, operations)
        self._presence.require()
        connection.execute("COMMIT")
        # A file may have gone in the meantime, and nothing may be acknowledged that only a deleted file has.
        self._presence.require_kept()
        return results

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _save(self, connection: Connection, error: Absent) -> Exception:
        """
        Save what can be saved, and say what became of it.
        """
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if self._presence is not None:
                self._presence.save(connection)
                return Absent(self._presence.problem() or str(error))
        except Exception as failed:  # noqa: BLE001 - whatever it was, the thread goes on
            self.close()
            return failed
        return error


def _all(connection: Connection, operations: Sequence[Operation[Any]]) -> Sequence[object]:
    """
    Perform operations so that the failure of one is its own.

    Nearly always none fails. A savepoint around each one costs as much as what is in it, so they are set only the
    second time, when one is known to fail.
    """
    try:
        return [result for kind, run in groupby(operations, _kind) for result in _run(connection, kind, list(run))]
    except Exception as error:
        if concerns_storage(error):
            raise
    connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
    return [_alone(connection, operation) for operation in operations]


def _kind(operation: Operation[Any]) -> _Together | None:
    """
    What performs an operation together with others, if anything does.
    """
    return getattr(operation, "together", None)


def _run(connection: Connection, together: _Together | None, operations: Sequence[Operation[Any]]) -> Sequence[object]:
    """
    Perform neighbours of one kind.
    """
    if together is None:
        return [operation(connection) for operation in operations]
    return together(connection, operations)


def _alone(connection: Connection, operation: Operation[Any]) -> object:
    """
    Perform an operation so that its failure is its own.
    """
    connection.execute("SAVEPOINT operation")
    try:
        result = operation(connection)
    except Exception as error:
        if concerns_storage(error):
            raise
        failure = Failure()
        failure.cleanFailure()
        connection.execute("ROLLBACK TO operation")
        connection.execute("RELEASE operation")
        return failure
    connection.execute("RELEASE operation")
    return result


@define(eq=False)
class Reader:
    """
    A connection that sees everything that was committed before it was asked. Lives in a thread of its own.
    """

    _path: Path
    _connect: Connect
    _connection: Connection | None = field(default=None, init=False)

    def perform(self, operations: Sequence[Operation[Any]]) -> Sequence[object]:
        """
        Perform operations one after the other, each with its own view of the journal.
        """
        return [self._read(operation) for operation in operations]

    def close(self) -> None:
        """
        Let go of the connection.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _read(self, operation: Operation[Any]) -> object:
        try:
            if self._connection is None:
                self._connection = self._connect()
                self._connection.execute("PRAGMA query_only = ON")
            # One view for all the statements of an operation.
            self._connection.execute("BEGIN")
            result = operation(self._connection)
            self._connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self.close()
            return Failure(JournalUnavailable(explain(self._path, error)))
        except AmbiguousId:
            # An operator's mistyped id costs the connection and its cache nothing.
            if self._connection is not None:
                self._connection.execute("ROLLBACK")
            return Failure()
        except Exception:  # noqa: BLE001 - whatever it was, the thread goes on and the caller is told
            self.close()
            failure = Failure()
            failure.cleanFailure()
            return failure
        return result


@define(eq=False)
class Timed:
    """
    A batch, and somebody who is told how long it took. What kept nothing is not told of.

    :ivar timer: seconds since whenever.
    """

    _batch: Batch
    _committed: Committed
    _timer: Callable[[], float] = perf_counter

    def perform(self, operations: Sequence[Operation[Any]]) -> Sequence[object]:
        """
        Have them performed.
        """
        begun = self._timer()
        results = self._batch.perform(operations)
        kept = sum(not isinstance(result, Failure) for result in results)
        if kept:
            self._committed(kept, self._timer() - begun)
        return results

    def close(self) -> None:
        """
        Let go of the connection.
        """
        self._batch.close()


def accept(connection: Connection, event: Event, deliveries: Sequence[Delivery], expires_at: float, now: float) -> bool:
    """
    Keep an event, its keys until ``expires_at`` and its deliveries.

    :return: ``False``, having kept nothing, when one of the keys is there and has not expired at ``now``.
    """
    return Accept(event, deliveries, expires_at, now)(connection)


@frozen
class Accept:
    """
    An operation of the writer: to keep an event, its keys until ``expires_at`` and its deliveries. Answers as
    :func:`accept` does.
    """

    event: Event
    deliveries: Sequence[Delivery]
    expires_at: float
    now: float

    def __call__(self, connection: Connection) -> bool:
        """
        Do it alone.
        """
        if dedup_keys.known(connection, self.event.keys, self.now):
            return False
        self.together(connection, (self,))
        return True

    @staticmethod
    def together(connection: Connection, accepts: Sequence[Accept]) -> Sequence[bool]:
        """
        Do many at once, each table in one go, on the assumption that all are news.

        :raises Apart: not all are.
        """
        claimed = [(key, one.expires_at) for one in accepts for key in one.event.keys]
        if not dedup_keys.claim(connection, claimed, min(one.now for one in accepts)):
            raise Apart
        insert_events(connection, [one.event for one in accepts])
        deliveries = [delivery for one in accepts for delivery in one.deliveries]
        count_wanted(connection, len(deliveries))
        insert_deliveries(connection, deliveries)
        return [True] * len(accepts)
