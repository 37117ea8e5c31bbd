"""
A thread for one connection of a journal, whatever its database: operations go in, answers come back to the reactor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
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

#: Does something with the connection of its database, and returns a value that may leave the thread.
Operation = Callable[[Any], _T]


class NotBatchable(Exception):
    """
    These operations cannot share statements; one by one they can be performed.
    """


class BatchOperation(ABC, Generic[_T]):
    """
    An operation that shares statements with its neighbours of the same class.
    """

    @abstractmethod
    def __call__(self, connection: Any) -> _T:
        """
        Perform this operation alone: there is no other, or they cannot be performed together.
        """

    @classmethod
    @abstractmethod
    def perform_all(cls, connection: Any, operations: Sequence[Self]) -> Sequence[_T]:
        """
        Perform many, with one result for each.

        :raises NotBatchable: they must be performed one by one, after a rollback.
        """


class Batch(Protocol):
    """
    The work of the thread, and its connection.
    """

    def perform(self, operations: Sequence[Operation[Any]]) -> Sequence[object]:
        """
        Perform operations in order and answer with one result for each, a Failure for one that failed. Never raises.
        """

    def close(self) -> None:
        """
        Close the connection. Called last.
        """


@frozen(eq=False)
class _Submitted:
    operation: Operation[Any]
    answer: Deferred[Any]


@define(eq=False)
class OperationThread:
    """
    Performs operations in a thread of their own. What queued while one batch was performed is the next batch. The
    operations of one reactor iteration queue together, and the answers of a batch return to the reactor together.

    It is no thread of the reactor's pool: a disk that hangs would hold up name lookups there.

    :ivar batch: performs the operations.
    :ivar answered: called in the reactor after each batch.
    :ivar limit: operations that may be under way; more are refused at once, so that a disk that hangs does not fill the
        memory.
    """

    _reactor: IReactorFromThreads
    _batch: Batch
    _answered: Callable[[], None] = lambda: None
    _limit: int = 10_000
    _gathered: list[_Submitted] = field(factory=list, init=False)
    _queue: SimpleQueue[Sequence[_Submitted] | None] = field(factory=SimpleQueue, init=False)
    _under_way: set[_Submitted] = field(factory=set, init=False)
    _open: bool = field(default=True, init=False)
    _died: str | None = field(default=None, init=False)
    _ended: Deferred[None] = field(factory=Deferred, init=False)
    _thread: Thread = field(init=False)

    log = Logger()

    def start(self, name: str) -> None:
        """
        Start the thread, as a daemon thread.
        """
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def died(self) -> str | None:
        """
        Why the thread ended before :meth:`stop`, or ``None``.
        """
        return self._died

    def submit(self, operation: Operation[_T]) -> Deferred[_T]:
        """
        Queue an operation; they are performed in order. Cancelling the Deferred abandons the answer, never the
        operation.

        :return: what the operation returns. Fails with :class:`JournalUnavailable` when the thread is stopping or too
            many operations wait, otherwise as the batch says.
        """
        answer: Deferred[_T] = Deferred()
        if not self._open:
            answer.errback(JournalUnavailable(self._died or "the journal is closed"))
        elif len(self._under_way) >= self._limit:
            answer.errback(
                JournalUnavailable(
                    f"{self._limit} operations already wait for the journal: check whether its disk is slow"
                )
            )
        else:
            submitted = _Submitted(operation, answer)
            self._under_way.add(submitted)
            if not self._gathered:
                # At the end of this iteration. Handed over one by one, the first would be a batch of its own, and the
                # rest would wait for the interpreter lock meanwhile.
                self._reactor.callFromThread(self._hand_over)
            self._gathered.append(submitted)
        return answer

    def stop(self) -> Deferred[None]:
        """
        Refuse new operations, perform those submitted and close the connection.

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
                batch, running = self._take()
                if batch:
                    results = self._batch.perform([each.operation for each in batch])
                    self._reactor.callFromThread(self._answer, batch, results)
            self._batch.close()
        except BaseException:  # noqa: BLE001 - otherwise every caller would wait for ever
            self._reactor.callFromThread(self._fail, Failure())
        self._reactor.callFromThread(self._end)

    def _take(self) -> tuple[Sequence[_Submitted], bool]:
        """
        Wait for operations.

        :return: all that queue, and whether there may be more.
        """
        batch: list[_Submitted] = []
        given = self._queue.get()
        try:
            while given is not None:
                batch += given
                given = self._queue.get_nowait()
        except Empty:
            return batch, True
        return batch, False

    def _answer(self, batch: Sequence[_Submitted], results: Sequence[object]) -> None:
        self._under_way.difference_update(batch)
        self._answered()
        for each, result in zip(batch, results, strict=True):
            if isinstance(result, Failure):
                each.answer.errback(result)
            else:
                each.answer.callback(result)

    def _fail(self, failure: Failure) -> None:
        """
        Fail every operation that waits: the thread ended because of a defect, and only a restart helps.
        """
        self._open = False
        self._died = "a thread of the journal ended: this is a defect; restart itsjustintv"
        self.log.failure("a thread of the journal ended: this is a defect; restart itsjustintv", failure)
        left, self._under_way = self._under_way, set()
        for each in left:
            each.answer.errback(JournalUnavailable(self._died))

    def _end(self) -> None:
        self._thread.join()
        self._ended.callback(None)
