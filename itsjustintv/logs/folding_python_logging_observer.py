"""
What libraries say with Python's own :mod:`logging`, for the log that everything else goes to.
"""

from __future__ import annotations

import logging
from typing import Any

from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

__all__ = ["Bridge", "bridge"]


class Bridge(logging.Handler):
    """
    Hands records on as events of :mod:`twisted.logger`, under the logger's own name.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """
        Hand one on. A record that cannot be put into words is told of by its format.
        """
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - a library's mistake in a line of the log is nobody else's
            text = str(record.msg)
        failure = None
        if record.exc_info and record.exc_info[1] is not None:
            failure = Failure(record.exc_info[1], record.exc_info[0], record.exc_info[2])
        Logger(namespace=record.name).emit(
            _level(record.levelno), "{log_text}", log_text=text, **({} if failure is None else {"log_failure": failure})
        )


def bridge(root: logging.Logger | None = None) -> None:
    """
    Take over what is logged in this process with :mod:`logging`; once is enough. Which of it is written is for
    ``[logging]`` to say.

    :param root: the logger above all others, unless given.
    """
    root = logging.getLogger() if root is None else root
    if not any(isinstance(each, Bridge) for each in root.handlers):
        root.addHandler(Bridge())
        root.setLevel(logging.DEBUG)


def _level(number: int) -> Any:
    for least, level in (
        (logging.CRITICAL, LogLevel.critical),
        (logging.ERROR, LogLevel.error),
        (logging.WARNING, LogLevel.warn),
        (logging.INFO, LogLevel.info),
    ):
        if number >= least:
            return level
    return LogLevel.debug
