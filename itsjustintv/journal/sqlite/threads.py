"""
A thread of its own for a connection, and the way of an answer back to the reactor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from sqlite3 import Connection
from threading import Thread
from typing import Any, Generic, Protocol, Self, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from itsjustintv.errors import JournalUnavailable

__all__ = ["Batch", "BatchOperation", "NotBatchable", "Operation", "OperationThread"]

_T = TypeVar("_T")

#: Something to do with a connection; answers with a value that may leave the thread.
Operation = Callable[[Connection], _T]


class NotBatchable(Exception):
    """
    These operations cannot share statements; one by one they can be performed.
    """


class BatchOperation(ABC, Generic[_T]):
    """
    An operation that shares statements with its neighbours of the same class.
    """

    @abstractmethod
    def __call__(self, connection: Connection) -> _T:
        """
        Perform this one alone.
        """

    @classmethod
    @abstractmethod
    def perform_all(cls, connection: Connection, operations: Sequence[Self]) -> Sequence[_T]:
        """
        Perform many, with one result for each.

        :raises NotBatchable: they must be performed one by one, after a rollback.
        """


class Batch(Protocol):
    """
    What is done in the thread.
    """

    def perform(self, operations: Sequence[Operation[Any]]) -> Sequence[object]:
        """
        Perform operations in order and answer with one result for each, a Failure for one that failed. Never raises.
        """

    def close(self) -> None:
        """
        Let go of the connection; nothing more will be performed.
        """


@frozen(eq=False)
class _Asked:
    operation: Operation[Any]
    answer: Deferred[Any]


@define(eq=False)
class OperationThread:
    """
    Performs operations in a thread of their own: whatever has queued while the last batch was performed is the next
    one. What is asked in one turn of the reactor queues together, and all answers of a batch return to it together.

    The reactor's pool of threads would be the wrong place: there, a disk that hangs holds up the resolver of names.

    :ivar batch: what to do with the operations.
    :ivar answered: called in the reactor after each batch.
    :ivar limit: how many operations may be under way; more are refused at once, so that a disk that hangs does not
        fill the memory.
    """

    _reactor: IReactorFromThreads
    _batch: Batch
    _answered: Callable[[], None] = lambda: None
    _limit: int = 10_000
    _gathered: list[_Asked] = field(factory=list, init=False)
    _queue: SimpleQueue[Sequence[_Asked] | None] = field(factory=SimpleQueue, init=False)
    _under_way: set[_Asked] = field(factory=set, init=False)
    _open: bool = field(default=True, init=False)
    _died: str | None = field(default=None, init=False)
    _ended: Deferred[None] = field(factory=Deferred, init=False)
    _thread: Thread = field(init=False)

    log = Logger()

    def start(self, name: str) -> None:
        """
        Start the thread. It does not keep the process alive.
        """
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def died(self) -> str | None:
        """
        Why the thread ended although nobody asked it to, or ``None``.
        """
        return self._died

    def submit(self, operation: Operation[_T]) -> Deferred[_T]:
        """
        Have an operation performed, in the order in which they are submitted. Cancelling the Deferred abandons the
        answer, never the operation.

        :return: what the operation answers with. Fails with :class:`JournalUnavailable` when the thread is stopping or
            too many operations wait, otherwise as the batch says.
        """
        answer: Deferred[_T] = Deferred()
        if not self._open:
            answer.errback(JournalUnavailable(self._died or "the journal is closed"))
        elif len(self._under_way) >= self._limit:
            answer.errback(
                JournalUnavailable(f"{self._limit} operations already wait for the journal: is the disk slow?")
            )
        else:
            asked = _Asked(operation, answer)
            self._under_way.add(asked)
            if not self._gathered:
                # Once this turn is over. Handed over one by one, the first would be a batch of its own, and while the
                # thread began with it the rest would wait for the interpreter.
                self._reactor.callFromThread(self._hand_over)
            self._gathered.append(asked)
        return answer

    def stop(self) -> Deferred[None]:
        """
        Accept nothing more, perform what was submitted and let go of the connection.

        :return: fires when the thread has ended.
        """
        self._open = False
        self._hand_over()
        self._queue.put(None)
        return self._ended

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        self._queue.put(gathered)

    def _run(self) -> None:
        try:
            running = True
            while running:
                asked, running = self._take()
                if asked:
                    results = self._batch.perform([one.operation for one in asked])
                    self._reactor.callFromThread(self._answer, asked, results)
            self._batch.close()
        except BaseException:  # noqa: BLE001 - if it died unheard, everybody would wait for it for ever
            self._reactor.callFromThread(self._fail, Failure())
        self._reactor.callFromThread(self._end)

    def _take(self) -> tuple[Sequence[_Asked], bool]:
        """
        Wait for something to do.

        :return: all there is, and whether there will be more.
        """
        asked: list[_Asked] = []
        given = self._queue.get()
        try:
            while given is not None:
                asked += given
                given = self._queue.get_nowait()
        except Empty:
            return asked, True
        return asked, False

    def _answer(self, asked: Sequence[_Asked], results: Sequence[object]) -> None:
        self._under_way.difference_update(asked)
        self._answered()
        for one, result in zip(asked, results, strict=True):
            if isinstance(result, Failure):
                one.answer.errback(result)
            else:
                one.answer.callback(result)

    def _fail(self, failure: Failure) -> None:
        """
        Let nobody wait for a thread that is no more. That is a defect, which only a new process mends.
        """
        self._open = False
        self._died = "a thread of the journal has ended, restart itsjustintv"
        self.log.failure("a thread of the journal has ended, restart itsjustintv", failure)
        left, self._under_way = self._under_way, set()
        for one in left:
            one.answer.errback(JournalUnavailable(self._died))

    def _end(self) -> None:
        self._thread.join()
        self._ended.callback(None)
