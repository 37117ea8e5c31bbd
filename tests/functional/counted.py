"""
Run twistd and count the function calls of its reactor's thread: ``counted.py TWISTD ARGUMENT ...``.

At each SIGUSR1 it prints ``calls N``: those since the one before.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

from twisted.scripts.twistd import run

calls = 0


def count(frame: FrameType, event: str, argument: object) -> None:
    """
    Count a call of a function in Python or in C.
    """
    global calls  # noqa: PLW0603 - the quickest
    if event in ("call", "c_call"):
        calls += 1


def report(number: int, frame: FrameType | None) -> None:
    """
    Print the number so far, and begin again.
    """
    global calls  # noqa: PLW0603 - as above
    sys.setprofile(None)
    print(f"calls {calls}", file=sys.__stderr__, flush=True)
    calls = 0
    sys.setprofile(count)


signal.signal(signal.SIGUSR1, report)
sys.argv = sys.argv[1:]
run()
