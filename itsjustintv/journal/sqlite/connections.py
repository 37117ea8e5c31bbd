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

from attrs import define, field
from twisted.python.failure import Failure

from itsjustintv.errors import AmbiguousId, JournalUnavailable
from itsjustintv.journal.interfaces import Committed
from itsjustintv.journal.operation_thread import Batch, BatchOperation, Operation
from itsjustintv.journal.sqlite.database import concerns_storage, explain
from itsjustintv.journal.sqlite.file_presence import Absent, FilePresence

__all__ = ["Connect", "Reader", "TimedBatch", "Writer"]

#: Opens the database anew.
Connect = Callable[[], Connection]


@define(eq=False)
class Writer:
    """
    The only connection of the daemon that writes. Used in a thread of its own, except for ``problem``.

    After a failure of the file the connection is closed and the next batch opens a new one, so that the writer works
    again as soon as the file does. When a file of the journal was deleted or replaced, the connection stays open: it
    may be the only one that still has what was accepted.

    :ivar presence: the files that must stay at their paths; otherwise the database alone.
    :ivar problem: why the last commit failed, in one sentence, or ``None``. Read from any thread.
    """

    _path: Path
    _connect: Connect
    _presence: FilePresence | None = None
    problem: str | None = field(default=None, init=False)
    _connection: Connection | None = field(default=None, init=False)

    def perform(self, operations: Sequence[Operation[Any]]) -> Sequence[object]:
        """
        Perform operations in one transaction. One that fails for a reason of its own is rolled back alone; when the
        transaction fails, all of them fail with :class:`JournalUnavailable` and nothing is stored.

        :param operations: each may be performed again after a rollback. Neighbours of one class of
            :class:`~itsjustintv.journal.operation_thread.BatchOperation` share their statements.
        """
        try:
            results = self._commit(operations)
        except Exception as error:  # noqa: BLE001 - whatever it was, the thread goes on and the callers get it
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
        Close the connection. What was not committed is rolled back.
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
        self._presence.require_durable()
        return results

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _save(self, connection: Connection, error: Absent) -> Exception:
        """
        Save what only the open connection has, and say whether that succeeded.
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

    Nearly always none fails. A savepoint around each costs as much as what is in it, so they are set only in a second
    try, when one is known to fail.
    """
    try:
        return [
            result
            for batch_class, neighbours in groupby(operations, _batch_class)
            for result in _perform(connection, batch_class, list(neighbours))
        ]
    except Exception as error:
        if concerns_storage(error):
            raise
    connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
    return [_alone(connection, operation) for operation in operations]


def _batch_class(operation: Operation[Any]) -> type[BatchOperation[Any]] | None:
    return type(operation) if isinstance(operation, BatchOperation) else None


def _perform(
    connection: Connection, batch_class: type[BatchOperation[Any]] | None, operations: Sequence[Operation[Any]]
) -> Sequence[object]:
    if batch_class is None:
        return [operation(connection) for operation in operations]
    return batch_class.perform_all(connection, [each for each in operations if isinstance(each, batch_class)])


def _alone(connection: Connection, operation: Operation[Any]) -> object:
    """
    Perform an operation within a savepoint.
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
    A connection that sees everything that was committed before it was asked. Used in a thread of its own.
    """

    _path: Path
    _connect: Connect
    _connection: Connection | None = field(default=None, init=False)

    def perform(self, operations: Sequence[Operation[Any]]) -> Sequence[object]:
        """
        Perform operations one after the other, each on its own snapshot of the journal.
        """
        return [self._read(operation) for operation in operations]

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _read(self, operation: Operation[Any]) -> object:
        try:
            if self._connection is None:
                self._connection = self._connect()
                self._connection.execute("PRAGMA query_only = ON")
            # One snapshot for all the statements of an operation.
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
        except Exception:  # noqa: BLE001 - whatever it was, the thread goes on and the caller gets it
            self.close()
            failure = Failure()
            failure.cleanFailure()
            return failure
        return result


@define(eq=False)
class TimedBatch:
    """
    Measures how long batches take; those that stored nothing are not counted.

    :ivar timer: monotonic, in seconds.
    """

    _batch: Batch
    _committed: Committed
    _timer: Callable[[], float] = perf_counter

    def perform(self, operations: Sequence[Operation[Any]]) -> Sequence[object]:
        """
        Perform operations and measure it.
        """
        started = self._timer()
        results = self._batch.perform(operations)
        stored = sum(not isinstance(result, Failure) for result in results)
        if stored:
            self._committed(stored, self._timer() - started)
        return results

    def close(self) -> None:
        self._batch.close()
