"""
``itsjustintv demo``: runs the real daemon against a simulated Twitch for a few seconds, and cleans up.
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

from itsjustintv.simulator.demo_script import DemoScript, Terminal, Unexpected, duration, wants_colour
from itsjustintv.simulator.process import NotReady
from itsjustintv.simulator.stage import Stage

__all__ = ["demo", "run_demo"]

_INTERRUPTED = 130


def demo(reactor: Any, out: TextIO) -> Deferred[int]:
    """
    Run the demonstration. When cancelled, it stops everything and still returns a status.

    :return: the exit status: 0 if every check passed, 1 if one failed, 130 if it was cancelled.
    """
    return Deferred.fromCoroutine(_demo(reactor, Terminal(out, wants_colour(out, os.environ))))


async def _demo(reactor: Any, terminal: Terminal) -> int:
    began = reactor.seconds()
    terminal.line(
        "This demo runs a simulated Twitch, four webhook receivers, an imitated Discord and the real daemon, all on"
        " this machine."
    )
    with TemporaryDirectory(prefix="itsjustintv-demo-") as directory:
        random = SystemRandom()
        stage = Stage(reactor, Path(directory), random, os.environ)
        script = DemoScript(reactor, stage, terminal, random)
        try:
            stage.open()
            await script.play()
        except CancelledError:
            terminal.bad("Interrupted; stopping the daemon and the simulator.")
            return _INTERRUPTED
        except NotReady as problem:
            terminal.bad(f"The demo failed: {problem}")
            return 1
        except Unexpected as problem:
            terminal.bad(f"The demo failed: {problem}")
            terminal.line("Output of the daemon:")
            terminal.block(script.daemon.output if script.daemon else "")
            return 1
        finally:
            await stage.close(grace=5.0)
    terminal.line()
    terminal.good(f"The demo succeeded in {duration(reactor.seconds() - began)}.")
    return 0


def run_demo() -> int:
    """
    Run the demonstration in a new reactor; possible once in a process.

    :return: the exit status.
    :raises BrokenPipeError: the reader of the output is gone, ``head`` for instance; everything has been stopped.
    """
    from twisted.internet import reactor  # noqa: PLC0415 - importing it installs it

    return _run(reactor, sys.stdout)


def _run(reactor: Any, out: TextIO) -> int:
    endings: list[int | Failure] = []

    def begin() -> None:
        showing = demo(reactor, out)
        over: Deferred[None] = Deferred()

        def ended(result: int | Failure) -> None:
            # A failure is raised after the reactor has stopped: the output itself may be what failed.
            endings.append(result)
            over.callback(None)
            with suppress(ReactorNotRunning):
                reactor.stop()

        def interrupted() -> Deferred[None]:
            showing.cancel()
            return over

        # A signal stops the reactor, which waits for the Deferred that this returns.
        reactor.addSystemEventTrigger("before", "shutdown", interrupted)
        showing.addBoth(ended)

    reactor.callWhenRunning(begin)
    reactor.run()
    ending = endings[0] if endings else 1
    if isinstance(ending, Failure):
        ending.raiseException()
    return ending
