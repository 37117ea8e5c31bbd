"""
Protocols that services of several folders are handed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

__all__ = ["Watcher"]


class Watcher(Protocol):
    """
    Reports changes to files; :class:`~itsjustintv.support.file_watch.FileWatch` is the one for files on disk.
    """

    def start(self, files: Callable[[], Iterable[Path]], changed: Callable[[], object]) -> None:
        """
        Start watching.

        :param files: returns the absolute paths; called again after every change.
        :param changed: called some time after one of them may have changed, and once at the start.
        """

    def refresh(self) -> None:
        """
        Ask ``files`` again: its answer has changed.
        """

    def stop(self) -> None:
        """
        Stop watching.
        """
