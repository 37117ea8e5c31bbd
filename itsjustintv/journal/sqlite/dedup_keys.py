"""
Deduplication keys: appended on disk, looked up in memory.

Keys are random. In an index on disk each would be on a page of its own, and a commit writes whole pages: an event
would cost three more. So the connection that adds keys has their index in a temporary table, which is filled from disk
when it is first needed and takes part in the transactions. It has every key that has not expired.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sqlite3 import Connection

__all__ = ["add", "claim", "known", "purge"]

_APPEND = "INSERT INTO keys (key, expires_at) VALUES (?, ?)"

_INDEX = (
    "INSERT INTO temp.known_keys (key, expires_at) VALUES (?, ?)"
    " ON CONFLICT DO UPDATE SET expires_at = excluded.expires_at"
)


def add(connection: Connection, keys: Iterable[tuple[str, float]]) -> None:
    """
    Add keys with their expiry, whether they exist or not.
    """
    pairs = list(keys)
    _load(connection)
    connection.executemany(_INDEX, pairs)
    connection.executemany(_APPEND, pairs)


def claim(connection: Connection, keys: Sequence[tuple[str, float]], now: float) -> bool:
    """
    Add keys with their expiry, if none of them exists unexpired at ``now``.

    :return: ``False`` when one does, or when a key was given twice. Then some may have been added: the caller must roll
        back.
    """
    _load(connection)
    added = connection.executemany(
        f"{_INDEX} WHERE expires_at <= ?", [(key, expires_at, now) for key, expires_at in keys]
    ).rowcount
    if added < len(keys):
        return False
    connection.executemany(_APPEND, keys)
    return True


def known(connection: Connection, keys: Iterable[str], now: float) -> bool:
    """
    Whether one of these keys exists and has not expired at ``now``.
    """
    _load(connection)
    found = (
        connection.execute("SELECT 1 FROM temp.known_keys WHERE key = ? AND expires_at > ?", (key, now)).fetchone()
        for key in keys
    )
    return any(row is not None for row in found)


def purge(connection: Connection, now: float, limit: int) -> int:
    """
    Remove keys that have expired at ``now``, at most ``limit``.

    :return: how many.
    """
    _load(connection)
    # Expiries rise with the rows, unless the time to live was made shorter.
    removed = connection.execute(
        "DELETE FROM keys"
        " WHERE rowid IN (SELECT rowid FROM keys WHERE expires_at <= ? ORDER BY rowid LIMIT ?) RETURNING key",
        (now, limit),
    ).fetchall()
    connection.executemany(
        "DELETE FROM temp.known_keys WHERE key = ? AND expires_at <= ?", [(row["key"], now) for row in removed]
    )
    return len(removed)


def _load(connection: Connection) -> None:
    """
    Fill the index, if this connection has none yet.
    """
    if connection.execute("SELECT 1 FROM temp.sqlite_schema WHERE name = 'known_keys'").fetchone() is not None:
        return
    connection.execute(
        "CREATE TEMP TABLE known_keys (key TEXT NOT NULL PRIMARY KEY, expires_at REAL NOT NULL) WITHOUT ROWID"
    )
    connection.execute(
        "INSERT INTO temp.known_keys (key, expires_at) SELECT key, max(expires_at) FROM keys GROUP BY key"
    )
