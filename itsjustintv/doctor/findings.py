"""
What a check finds, and how severe that is. Knows no check.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from attrs import frozen

__all__ = ["Finding", "Severity", "is_visible"]


class Severity(Enum):
    """
    What a finding asks for. The value is the word for people.

    :ivar OK: nothing.
    :ivar WARNING: attention; the daemon works nevertheless.
    :ivar ERROR: a fix.
    """

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"

    @property
    def verdict(self) -> str:
        """
        The word in ``--json``, which stays what it was in the first version.
        """
        return {Severity.WARNING: "hint", Severity.ERROR: "mend"}.get(self, self.value)


@frozen
class Finding:
    """
    The result of one check.

    :ivar text: what was found, and what to do about it; without secrets.
    :ivar lines: what to write in the configuration.
    """

    severity: Severity
    text: str
    lines: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.severity.value}: {self.text}"


def is_visible(path: Path) -> bool:
    """
    Whether this user can see that something exists at a path.
    """
    try:
        path.stat()
    except OSError:
        return False
    return True
