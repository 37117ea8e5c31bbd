"""
Reading beside the writer: write-ahead logging lets both work at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from attrs import define, field
from twisted.python.failure import Failure

from itsjustintv.errors import JournalUnavailable
from itsjustintv.journal.sqlite.connections import Connect
from itsjustintv.journal.sqlite.database import explain
from itsjustintv.journal.sqlite.threads import Operation

__all__ = ["Reader"]


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
        except Exception:  # noqa: BLE001 - whatever it was, the thread goes on and the caller is told
            self.close()
            failure = Failure()
            failure.cleanFailure()
            return failure
        return result
