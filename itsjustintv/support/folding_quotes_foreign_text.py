"""
What others said, quoted in a message for people.
"""

from __future__ import annotations

from itsjustintv.support.foreign_text import visible

__all__ = ["quote"]

_LONGEST = 200


def quote(text: str) -> str:
    """
    The first 200 characters of a text in quotation marks, as one line with what cannot be seen as escapes; empty for an
    empty text.
    """
    line = " ".join(text[: 2 * _LONGEST].split())
    return f"'{visible(line[:_LONGEST])}{'...' if len(line) > _LONGEST else ''}'" if line else ""
