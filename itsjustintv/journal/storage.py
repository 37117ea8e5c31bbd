"""
Which database keeps the journal: nothing outside this folder knows.
"""

from __future__ import annotations

from pathlib import Path

from itsjustintv.config.sections import Storage
from itsjustintv.journal.interfaces import IJournalStorage
from itsjustintv.journal.sqlite.storage import SQLiteStorage

__all__ = ["open_storage"]


def open_storage(section: Storage) -> IJournalStorage:
    """
    Find the place that ``[storage]`` names. Nothing need be there.
    """
    return SQLiteStorage(Path(section.path))
