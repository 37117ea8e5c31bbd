"""
The SQLite journal without threads: each operation is performed when a test says so, and can be lost in a crash.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from itsjustintv.journal.sqlite import reads
from itsjustintv.journal.sqlite.database import create
from itsjustintv.journal.sqlite.journal import SQLiteJournal

__all__ = ["SteppedJournal", "Steps"]


@define(eq=False)
class Steps:
    """
    What is under way, in lines that do not wait for each other: each in the order in which it was asked for.

    :ivar line_names: of all lines.
    """

    line_names: tuple[str, ...] = ("write", "read", "network")
    _lines: dict[str, deque[Callable[[], None]]] = field(factory=dict, init=False)
    _dropped: list[object] = field(factory=list, init=False)

    def add(self, line: str, what: Callable[[], Any]) -> Deferred[Any]:
        """
        Do something in a later step; the answer comes in the same one.
        """
        answer: Deferred[Any] = Deferred(lambda _: None)

        def do() -> None:
            try:
                result: Any = what()
            except Exception:  # noqa: BLE001 - it is the answer
                result = Failure()
            if not answer.called:
                answer.callback(result)

        self._lines.setdefault(line, deque()).append(do)
        return answer

    def take(self, line: str) -> bool:
        """
        Do the next step of a line.

        :return: whether there was one.
        """
        if not self._lines.get(line):
            return False
        self._lines[line].popleft()()
        return True

    def take_all(self) -> None:
        """
        Do everything, and what follows from it.
        """
        while sum(self.take(line) for line in self.line_names):
            pass

    def drop(self) -> None:
        """
        Forget everything, as a crash does.
        """
        # What waits for it must not be collected: that would be an end with clean-up, and a crash is none.
        self._dropped.append(self._lines)
        self._lines = {}


class SteppedJournal(SQLiteJournal):
    """
    A journal in which an operation is one step, and one transaction.
    """

    def __init__(self, path: Path, clock: Clock, steps: Steps) -> None:
        super().__init__(path, None, clock)
        self.steps = steps
        self.connection: Connection = create(path)
        self._signals = reads.signals(self.connection)

    def _write(self, operation: Callable[[Connection], Any]) -> Deferred[Any]:
        return self.steps.add("write", lambda: self.now(operation))

    def _read(self, operation: Callable[[Connection], Any]) -> Deferred[Any]:
        return self.steps.add("read", lambda: operation(self.connection))

    def now(self, operation: Callable[[Connection], Any]) -> Any:
        """
        Do something in a transaction, at once.
        """
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            return operation(self.connection)
