"""
Sends to all destinations of the kind ``apprise``: in threads of its own, since Apprise blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Protocol

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from twisted.web.http_headers import Headers
from zope.interface import implementer

from itsjustintv.destinations.apprise_library import notify
from itsjustintv.destinations.attempt_record import make_attempt
from itsjustintv.destinations.response import TIMEOUT
from itsjustintv.interfaces import ISender, SenderTools
from itsjustintv.model import Attempt, Delivery, Destination, OutgoingRequest, Result
from itsjustintv.support.durations import duration
from itsjustintv.support.http_response import Response
from itsjustintv.support.waiters import watch

__all__ = ["AppriseSender"]

_THREADS = 4

#: Sends title and text to a URL, and says whether that was done.
Notify = Callable[[str, str, str], bool]


class Adapter(Protocol):
    """
    An adapter whose attempts are limited.
    """

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest: ...

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result: ...

    def limited(self, result: Result, delivery: Delivery) -> Result: ...


@implementer(ISender)
@define(eq=False)
class AppriseSender:
    """
    Lets Apprise send, a few at a time, and waits no longer than an attempt may take. What happens afterwards in the
    thread is not known.

    :ivar open: makes the adapter of a destination.
    :ivar in_thread: runs a function in a thread.
    :ivar end: stops the threads.
    """

    _tools: SenderTools
    _open: Callable[[Destination], Adapter]
    _in_thread: Callable[[Callable[[], bool]], Deferred[bool]]
    _end: Callable[[], object] = lambda: None
    _notify: Notify = notify

    @classmethod
    def of(cls, tools: SenderTools, open: Callable[[Destination], Adapter]) -> AppriseSender:  # noqa: A002
        """
        Make a sender with daemon threads, since Apprise blocks.
        """
        pool = ThreadPool(0, _THREADS, "apprise")
        # A service that does not answer must not hold up the end of the process.
        pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]
        pool.start()
        # stop() waits for the threads.
        return cls(
            tools,
            open,
            partial(deferToThreadPool, tools.reactor, pool),
            Thread(target=pool.stop, name="apprise-stop", daemon=True).start,
        )

    def send(self, delivery: Delivery, destination: Destination) -> Deferred[Attempt]:
        return Deferred.fromCoroutine(self._attempt(delivery, destination))

    def stop(self) -> Deferred[None]:
        self._end()
        return succeed(None)

    async def _attempt(self, delivery: Delivery, destination: Destination) -> Attempt:
        tools = self._tools
        began, timeout = tools.reactor.seconds(), tools.timeout()
        adapter = self._open(destination)
        request = adapter.make_request(delivery, tools.wall())
        title, _, text = request.body.decode().partition("\n\n")
        job = _Job(partial(self._notify, destination.settings.url, title, text))
        waiting = watch(self._in_thread(job.run))
        deadline = tools.reactor.callLater(timeout, waiting.cancel)
        try:
            status = 200 if await waiting else 500
        except CancelledError:
            job.abandoned = True
            if deadline.active():
                raise
            status = 0
        except Exception:  # noqa: BLE001 - whatever a plug-in raises
            status = 500
        finally:
            if deadline.active():
                deadline.cancel()
        if status:
            result = adapter.interpret(Response(status, Headers(), b""), delivery, tools.wall())
        else:
            detail = (
                f"Apprise did not end within {duration(timeout)} for {destination.name}: whether it was sent is not"
                " known."
            )
            result = adapter.limited(Result(TIMEOUT, detail), delivery)
        return make_attempt(result, destination, began, tools.reactor.seconds(), trace=tools.begin_span(delivery.trace))


@define(eq=False)
class _Job:
    """
    Work for a thread, which is left out if it has not begun when the wait for it ends: it would be sent twice.
    """

    work: Callable[[], bool]
    abandoned: bool = field(default=False, init=False)

    def run(self) -> bool:
        """
        Do it, unless it is too late. Runs in the thread.
        """
        return False if self.abandoned else self.work()
