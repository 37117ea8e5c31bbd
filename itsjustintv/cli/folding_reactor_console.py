"""
Asynchronous work in a command: a reactor that runs until it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.python.failure import Failure

from itsjustintv.cli.console import Interrupted, errors

__all__ = ["in_reactor"]

T = TypeVar("T")


def in_reactor(
    work: Callable[[Any], Coroutine[Deferred[Any], Any, T]], interrupted: str = "interrupted", grace: float = 5.0
) -> T:
    """
    Do something with the reactor, once in a process. A signal cancels it.

    :param work: is given the reactor.
    :param interrupted: what to say when it was ended before its end.
    :param grace: seconds for what was cancelled to take down what it has set up.
    :raises click.ClickException: what can go wrong, in one line.
    """
    from twisted.internet import reactor  # noqa: PLC0415 - a command that does not need it must not install it

    running: Any = reactor
    results: list[Any] = []

    def begin() -> None:
        doing = Deferred.fromCoroutine(work(running))
        over: Deferred[None] = Deferred()

        def ended(result: Any) -> None:
            results.append(result)
            over.callback(None)
            with suppress(ReactorNotRunning):
                running.stop()

        def signalled() -> Deferred[None]:
            doing.cancel()
            return over.addTimeout(grace, running, onTimeoutCancel=lambda *_: None)

        # A signal stops the reactor, which waits for what this answers with.
        running.addSystemEventTrigger("before", "shutdown", signalled)
        doing.addBoth(ended)

    with errors():
        running.callWhenRunning(begin)
        running.run()
        if not results:
            raise Interrupted(interrupted)
        if isinstance(results[0], Failure):
            if results[0].check(CancelledError):
                raise Interrupted(interrupted)
            results[0].raiseException()
    found: T = results[0]
    return found
