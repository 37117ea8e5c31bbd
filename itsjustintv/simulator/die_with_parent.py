"""
Run a command that does not outlive the process that started it.

``python -m itsjustintv.simulator.die_with_parent PARENT COMMAND ...``: the kernel kills the command when its parent
dies, even of SIGKILL (Linux: prctl(2), PR_SET_PDEATHSIG, which an execve keeps). Elsewhere the command just runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """
    Replace this process by the command. Does not return.

    :param parent: the id of the process that the command must not outlive.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died before the call.
        if os.getppid() != parent:
            sys.exit("the parent process has already exited")
    os.execv(command[0], command)  # noqa: S606 - the command is ours


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
