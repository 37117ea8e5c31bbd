"""
Tests for :mod:`itsjustintv.support.file_thread_pool`.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.support.file_thread_pool import FileThreadPool


class _Reactor(MemoryReactorClock):  # type: ignore[misc]
    """
    One that can be called from threads.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heard: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def callFromThread(self, call: Callable[..., object], *args: object, **more: object) -> None:
        self.heard.put(lambda: call(*args, **more))

    def heed(self, seconds: float) -> None:
        """
        Wait for a call from a thread, and make it.
        """
        with contextlib.suppress(Empty):
            self.heard.get(timeout=seconds)()


class FileThreadPoolTests(SynchronousTestCase):
    """
    Work on files, some of which never ends.
    """

    def setUp(self) -> None:
        self.reactor: Any = _Reactor()
        self.disk = FileThreadPool(self.reactor, timeout=10.0)
        self.disk.startService()
        self.hung, self.begun = Event(), Event()
        self.addCleanup(self.hung.set)

    def hang(self) -> None:
        """
        Wait as a thread does for a network file system that does not answer.
        """
        self.begun.set()
        self.hung.wait()

    def test_a_stop_does_not_wait_for_ever(self) -> None:
        """
        After ten seconds of a stop whoever waits for a file hears that the disk does not answer, new work fails at
        once, the stop ends, and one line says so.
        """
        waiting = self.disk.run(self.hang)
        self.begun.wait()
        [(hurry, _, _)] = self.reactor.triggers["before"]["shutdown"]
        hurry()
        self.reactor.advance(9.9)
        stopped = self.disk.stopService()
        self.assertNoResult(waiting)
        self.assertNoResult(stopped)
        with capturedLogs() as events:
            self.reactor.advance(0.1)
        self.assertEqual(self.failureResultOf(waiting, OSError).value.errno, errno.ETIMEDOUT)
        self.successResultOf(stopped)
        self.failureResultOf(self.disk.run(self.hang), OSError)
        [event] = events
        self.assertEqual(event["count"], 1)

    def test_a_stop_ends_when_the_work_has(self) -> None:
        """
        Nothing is abandoned that ends in time, and nothing is left to do afterwards.
        """
        waiting = self.disk.run(self.hang)
        self.begun.wait()
        [(hurry, _, _)] = self.reactor.triggers["before"]["shutdown"]
        hurry()
        stopped = self.disk.stopService()
        self.assertNoResult(stopped)
        self.hung.set()
        end = time.monotonic() + 10
        while not stopped.called and time.monotonic() < end:
            self.reactor.heed(0.1)
        self.successResultOf(waiting)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
