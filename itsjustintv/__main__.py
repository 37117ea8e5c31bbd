"""
The ``itsjustintv`` command, also as ``python -m itsjustintv``.
"""

from __future__ import annotations

import gc
import sys

__all__ = ["main"]

#: New objects after which the garbage collector runs; the default is 700.
_OBJECTS = 20_000


def main() -> None:
    """
    Run the command. ``itsjustintv health`` is run all day long, by containers say, and does without all the rest: that
    would take several times as long to import.
    """
    # What is imported stays: to look through it again and again takes a fifth of a command's time.
    gc.set_threshold(_OBJECTS)
    if sys.argv[1:2] == ["health"]:
        from itsjustintv.cli.health import health  # noqa: PLC0415 - as said

        health(sys.argv[2:], prog_name="itsjustintv health")
    from itsjustintv.cli.main import main as whole  # noqa: PLC0415 - as said

    whole(prog_name="itsjustintv")


if __name__ == "__main__":
    main()
