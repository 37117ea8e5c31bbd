"""
The versions of the database, and the step from each to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from sqlite3 import Connection

from itsjustintv.errors import JournalUnavailable

__all__ = ["APPLICATION_ID", "STEPS", "check", "migrate"]

#: Stored by SQLite in the file's header, so that another program's database is not mistaken for a journal.
APPLICATION_ID = 0x696A6974

#: The step at position ``n`` is the SQL that leads from version ``n`` to ``n + 1``. Released steps never change.
STEPS: tuple[str, ...] = tuple(
    files(__package__).joinpath(name).read_text(encoding="utf-8")
    for name in (
        "schema.sql",
        "recovered.sql",
        "trace.sql",
        "keys.sql",
        "title.sql",
        "broadcasts.sql",
        "form.sql",
        "refreshes.sql",
    )
)


def check(connection: Connection, path: Path, steps: Sequence[str] = STEPS) -> int:
    """
    Check that a database is a journal of a known version.

    :return: its version; 0 for an empty database.
    :raises JournalUnavailable: it is not.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = connection.execute("SELECT 1 FROM sqlite_schema").fetchone() is None
    if application != APPLICATION_ID and not (empty and version == application == 0):
        raise JournalUnavailable(f"{path} is a database of another program: set storage.path to another file")
    if version > len(steps):
        raise JournalUnavailable(
            f"{path} was written by a newer itsjustintv (version {version} of the journal, this one knows"
            f" {len(steps)}): install that version again, or restore an older file"
        )
    return version


def migrate(connection: Connection, path: Path, steps: Sequence[str] = STEPS) -> None:
    """
    Upgrade a database to the newest version, each step all or nothing.

    :raises JournalUnavailable: it is not a journal, or of a newer version.
    :raises sqlite3.Error: a step failed; the database is at the version before it.
    """
    for version in range(check(connection, path, steps), len(steps)):
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{steps[version]}\n;PRAGMA user_version = {version + 1};\nCOMMIT;"
            )
        except BaseException:
            connection.rollback()
            raise
