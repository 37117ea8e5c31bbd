"""
Moments as RFC 3339 writes them.
"""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["parse_rfc3339", "rfc3339"]


def rfc3339(seconds: float, timespec: str = "seconds") -> str:
    """
    Write a time in UTC, with ``Z`` at its end.

    :param seconds: since the epoch.
    :param timespec: how exactly, as :meth:`datetime.datetime.isoformat` has it; what is finer is cut off.
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec).removesuffix("+00:00") + "Z"


def parse_rfc3339(text: object) -> float | None:
    """
    Seconds since the epoch of a moment with a time zone, or ``None`` for what is none.
    """
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return None if found is None or found.tzinfo is None else found.timestamp()
