"""
Finds events and deliveries by ids as people type them: whole, or a prefix.

An event's id begins with its time, so that events of one moment share a long prefix; a delivery's is the event's with
a number, ``<event id>-<n>``, and may be cut before the number: ``019b7c9f-1``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from sqlite3 import Connection

from itsjustintv.errors import AmbiguousId
from itsjustintv.journal.history import SHORTEST_ID

__all__ = ["distinct_length", "find_delivery", "find_event", "find_similar"]

# More candidates than an error lists.
_CANDIDATES = 11

_CUT = re.compile(rf"(.{{{SHORTEST_ID},}})-([0-9]+)\Z", re.DOTALL)


def find_delivery(connection: Connection, text: str) -> str | None:
    """
    Find a delivery by its id, by a prefix, or by a prefix of its event's id with its own number.

    :return: its id, or ``None``.
    :raises AmbiguousId: there are several.
    """
    if connection.execute("SELECT 1 FROM deliveries WHERE id = ?", (text,)).fetchone():
        return text
    found = set(_with_prefix(connection, "deliveries", text))
    if cut := _CUT.match(text):
        # Exact, unless so many events have this prefix that it is ambiguous anyway.
        found.update(
            each for each in _with_prefix(connection, "deliveries", cut[1], most=1000) if each.endswith(f"-{cut[2]}")
        )
    return _only(text, found)


def find_event(connection: Connection, text: str) -> str | None:
    """
    Find an event by its id, by a prefix, or by whatever finds one of its deliveries.

    :return: its id, or ``None``.
    :raises AmbiguousId: there are several.
    """
    if connection.execute("SELECT 1 FROM events WHERE id = ?", (text,)).fetchone():
        return text
    found = _only(text, set(_with_prefix(connection, "events", text)))
    if found is None and (delivery := find_delivery(connection, text)) is not None:
        found = connection.execute("SELECT event_id FROM deliveries WHERE id = ?", (delivery,)).fetchone()["event_id"]
    return found


def find_similar(connection: Connection, table: str, text: str) -> Sequence[str]:
    """
    The existing ids next to an unknown one that share at least :data:`SHORTEST_ID` characters with it.

    :param table: ``events`` or ``deliveries``.
    """
    beside = [each for each in _neighbours(connection, table, text) if _common_length(each, text) >= SHORTEST_ID]
    return sorted(beside, key=lambda each: -_common_length(each, text))[:1]


def distinct_length(connection: Connection, event_ids: Iterable[str]) -> int:
    """
    How many characters of these events' ids tell each of them from every other event in the journal, at least
    :data:`SHORTEST_ID`.
    """
    needed = [
        _common_length(each, other) + 1 for each in set(event_ids) for other in _neighbours(connection, "events", each)
    ]
    return max((SHORTEST_ID, *needed))


def _with_prefix(connection: Connection, table: str, prefix: str, most: int = _CANDIDATES) -> Sequence[str]:
    if len(prefix) < SHORTEST_ID:
        return ()
    rows = connection.execute(
        f"SELECT id FROM {table} WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",  # noqa: S608 - no user input
        (prefix, f"{prefix}\U0010ffff", most),
    )
    return [row["id"] for row in rows]


def _neighbours(connection: Connection, table: str, text: str) -> Sequence[str]:
    rows = connection.execute(
        f"SELECT max(id) AS id FROM {table} WHERE id < :text UNION ALL"  # noqa: S608 - no user input
        f" SELECT min(id) FROM {table} WHERE id > :text",
        {"text": text},
    )
    return [row["id"] for row in rows if row["id"] is not None]


def _common_length(one: str, other: str) -> int:
    """
    How many characters two texts begin with together.
    """
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _only(text: str, found: set[str]) -> str | None:
    if len(found) > 1:
        raise AmbiguousId(text, sorted(found))
    return next(iter(found), None)
