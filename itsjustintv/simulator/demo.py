"""
``itsjustintv demo``: the real daemon at work against a simulated Twitch, in a few seconds, leaving nothing behind.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.python.failure import Failure

from itsjustintv.simulator.demo_script import Story, Terminal, Unexpected, duration, wants_colour
from itsjustintv.simulator.process import NotReady
from itsjustintv.simulator.stage import Stage

__all__ = ["demo", "run_demo"]

_INTERRUPTED = 130


def demo(reactor: Any, out: TextIO) -> Deferred[int]:
    """
    Show the demonstration. Cancelled, it takes everything down and then answers as well.

    :return: what to exit with: 0 when all went as promised, 1 when it did not, 130 when it was cancelled.
    """
    return Deferred.fromCoroutine(_demo(reactor, Terminal(out, wants_colour(out, os.environ))))


async def _demo(reactor: Any, terminal: Terminal) -> int:
    began = reactor.seconds()
    terminal.line("A Twitch, three receivers and the real daemon, all on this machine. Nothing leaves it.")
    with TemporaryDirectory(prefix="itsjustintv-demo-") as directory:
        random = SystemRandom()
        stage = Stage(reactor, Path(directory), random, os.environ)
        story = Story(reactor, stage, terminal, random)
        try:
            stage.open()
            await story.tell()
        except CancelledError:
            terminal.bad("Interrupted: taking everything down.")
            return _INTERRUPTED
        except NotReady as problem:
            terminal.bad(f"Not as promised: {problem}")
            return 1
        except Unexpected as problem:
            terminal.bad(f"Not as promised: {problem}")
            terminal.line("The daemon said:")
            terminal.block(story.daemon.output if story.daemon else "")
            return 1
        finally:
            await stage.close(grace=5.0)
    terminal.line()
    terminal.good(f"All as promised, in {duration(reactor.seconds() - began)}.")
    return 0


def run_demo() -> int:
    """
    Run the demonstration in a reactor of its own, once in a process.

    :return: what to exit with.
    :raises BrokenPipeError: nobody reads on, as when the output goes to ``head``; everything has been taken down.
    """
    from twisted.internet import reactor  # noqa: PLC0415 - importing it installs it

    return _run(reactor, sys.stdout)


def _run(reactor: Any, out: TextIO) -> int:
    endings: list[int | Failure] = []

    def begin() -> None:
        showing = demo(reactor, out)
        over: Deferred[None] = Deferred()

        def ended(result: int | Failure) -> None:
            # Nothing is said of a failure before the reactor has ended: where it would be said may be what failed.
            endings.append(result)
            over.callback(None)
            with suppress(ReactorNotRunning):
                reactor.stop()

        def interrupted() -> Deferred[None]:
            showing.cancel()
            return over

        # A signal stops the reactor, which waits for what this answers with.
        reactor.addSystemEventTrigger("before", "shutdown", interrupted)
        showing.addBoth(ended)

    reactor.callWhenRunning(begin)
    reactor.run()
    ending = endings[0] if endings else 1
    if isinstance(ending, Failure):
        ending.raiseException()
    return ending
