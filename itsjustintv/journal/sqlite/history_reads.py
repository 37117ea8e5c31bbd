"""
Every question of an operator to the journal, as functions of a connection.

They run in the thread that reads for the deliveries, so none reads many more rows than it returns: a filtered list
reads a limited number of rows, and then returns the place where it goes on, however little it has found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from sqlite3 import Connection, Row

from attrs import evolve

from itsjustintv.journal.history import (
    EVERYTHING,
    DeliveryHistory,
    DestinationBacklog,
    EventHistory,
    HistoryFilter,
    Place,
)
from itsjustintv.journal.sqlite import ids
from itsjustintv.journal.sqlite.reads import to_attempt, to_delivery, to_event
from itsjustintv.model import State

__all__ = ["backlogs", "deliveries", "delivery", "event", "events", "version", "whole_event"]

# Rows that a filtered list reads at most; each event is several.
_MOST_ROWS = 5_000
_MOST_EVENTS = 1_000

# Attempts of one delivery that a list holds, the last ones; SQLite takes a negative number for no limit.
_MOST_ATTEMPTS = 50
_ALL = -1

_WITHOUT_BODY = (
    "rowid, id, event_id, streamer, destination, accepted_at, next_attempt_at, state, attempts, reason, x'' AS body,"
    " finished_at, trace, last_attempt, broadcast, action, shown, plain, mention,"
    " requested, form, refreshes"
)


def version(connection: Connection) -> Sequence[object]:
    """
    A value that differs whenever any of the lists does. Costs a few lookups.
    """
    states = connection.execute("SELECT state, held, removed FROM states ORDER BY state").fetchall()
    [last] = connection.execute("SELECT max(sequence) FROM attempts").fetchone()
    [latest] = connection.execute("SELECT max(received_at) FROM events").fetchone()
    [signals] = connection.execute("SELECT value FROM numbers WHERE name = 'signals'").fetchone()
    return [*(tuple(row) for row in states), last, latest, signals]


def events(
    connection: Connection,
    after: Place | None,
    limit: int,
    filters: HistoryFilter = EVERYTHING,
) -> tuple[Sequence[EventHistory], Place | None]:
    """
    Events with all their deliveries and attempts, the latest first.

    :param after: where to go on.
    :param filters: with states and a destination, one delivery of the event matches both.
    :return: the events, perhaps none, and where to go on, ``None`` at the end.
    """
    states, destination, streamer = filters.states, filters.destination, (filters.streamer or "").casefold()
    filtered = bool(states or destination or streamer)
    most = _MOST_EVENTS if filtered else limit
    fits, keys = "1", "''"
    if states or destination:
        where = "event_id = events.id AND (:destination IS NULL OR destination = :destination)"
        if states:
            where += f" AND state IN ({', '.join(repr(state.value) for state in states)})"
        fits = f"EXISTS (SELECT 1 FROM deliveries WHERE {where})"  # noqa: S608 - no user input
    if streamer:
        keys = "(SELECT group_concat(streamer, char(10)) FROM deliveries WHERE event_id = events.id)"
    at, last = after or (inf, "")
    looked = connection.execute(
        f"SELECT *, {fits} AS fits, {keys} AS keys FROM events"  # noqa: S608 - no user input
        " WHERE (received_at, id) < (:at, :last) ORDER BY received_at DESC, id DESC LIMIT :most",
        {"at": at, "last": last, "destination": destination or None, "most": most},
    ).fetchall()
    found: list[EventHistory] = []
    for count, row in enumerate(looked, 1):
        if row["fits"] and (not streamer or _is_of(row, streamer)):
            found.append(_event_history(row, _of_event(connection, row["id"])))
        if len(found) == limit or count == most:
            return found, (row["received_at"], row["id"])
    return found, None


def _is_of(row: Row, streamer: str) -> bool:
    """
    Whether an event belongs to a streamer.

    :param streamer: in lower case.
    """
    names = (row["broadcaster_login"], row["broadcaster_name"], *(row["keys"] or "").split("\n"))
    return streamer == row["broadcaster_id"] or any(streamer in name.casefold() for name in names)


def event(connection: Connection, event_id: str) -> EventHistory | None:
    """
    Read an event with its deliveries; ``None`` if there is none with this id.
    """
    row = connection.execute("SELECT * FROM events WHERE id = ?", (event_id,)).fetchone()
    return None if row is None else _event_history(row, _of_event(connection, event_id))


def delivery(connection: Connection, delivery_id: str, *, whole: bool = False) -> EventHistory | None:
    """
    One delivery, with its payload, in its event; or ``None``.

    :param whole: whether with every attempt, however many.
    """
    row = connection.execute("SELECT * FROM deliveries WHERE id = ?", (delivery_id,)).fetchone()
    if row is None:
        return None
    [earlier] = connection.execute(
        "SELECT count(*) FROM deliveries WHERE event_id = ? AND destination = ? AND action <> 'refresh'"
        " AND rowid < (SELECT rowid FROM deliveries WHERE id = ?)",
        (row["event_id"], row["destination"], delivery_id),
    ).fetchone()
    history = _history(connection, row, _ALL if whole else _MOST_ATTEMPTS)
    history = evolve(history, resent=earlier > 0 and not history.is_refresh)
    [about] = connection.execute("SELECT * FROM events WHERE id = ?", (row["event_id"],))
    return _event_history(about, (history,))


def whole_event(connection: Connection, name: str, *, prefix: bool = False) -> EventHistory | None:
    """
    Find an event, and all there is of it, however much that is.

    :param name: its id, that of one of its deliveries, or that of the message that told of it.
    :param prefix: whether it may also be the beginning of the first two, see :mod:`itsjustintv.journal.sqlite.ids`.
    :raises AmbiguousId: several begin so.
    """
    if prefix:
        name = ids.find_event(connection, name) or name
    row = connection.execute(
        "SELECT * FROM events WHERE id IN (SELECT id FROM events WHERE id = :name OR message_id = :name"
        " UNION SELECT event_id FROM deliveries WHERE id = :name)",
        {"name": name},
    ).fetchone()
    if row is None:
        return None
    rows = connection.execute("SELECT * FROM deliveries WHERE event_id = ? ORDER BY rowid", (row["id"],)).fetchall()
    return _event_history(row, _mark_resent(_history(connection, each, _ALL) for each in rows))


def deliveries(
    connection: Connection,
    after: Place | None,
    limit: int,
    filters: HistoryFilter = EVERYTHING,
) -> tuple[Sequence[DeliveryHistory], Place | None]:
    """
    Deliveries without payload, and with the last attempt only: what has ended by its end, the latest first; what is
    pending by destination and next attempt; all of them together by acceptance, the latest first.

    :param after: where to go on.
    :param filters: its states are one, or several that are final, or none for all.
    :return: those found, perhaps none, and where to go on, ``None`` at the end.
    """
    states, destination, streamer = filters.states, filters.destination, filters.streamer
    condition, descends, names = _order(states)
    columns = ", ".join(names)
    places = ", ".join("?" * len(names))
    beyond = "" if after is None else f" AND ({columns}) {condition} ({places})"
    # One part for each state, merged: an index holds the order of each.
    parts = [f"SELECT {_WITHOUT_BODY} FROM deliveries WHERE {_is(state)}{beyond}" for state in states or (None,)]  # noqa: S608 - no user input
    direction = " DESC" if descends else ""
    looked = connection.execute(
        f"{' UNION ALL '.join(parts)} ORDER BY {', '.join(name + direction for name in names)} LIMIT ?",
        (*(after or ()) * len(parts), _MOST_ROWS),
    )
    found: list[DeliveryHistory] = []
    place: Place | None = None
    for count, row in enumerate(looked, 1):
        place = tuple(row[name] for name in names)
        if destination in (None, row["destination"]) and streamer in (None, row["streamer"]):
            found.append(_with_last_attempt(connection, row))
        if len(found) == limit or count == _MOST_ROWS:
            return found, place
    return found, None


def backlogs(connection: Connection) -> Sequence[DestinationBacklog]:
    """
    Count what is pending for each destination, from an index alone: ten million in a second.
    """
    rows = connection.execute(
        "SELECT destination, count(*) AS count, min(next_attempt_at) AS next_at FROM deliveries"
        " WHERE state = 'pending' GROUP BY destination"
    )
    return [
        DestinationBacklog(destination=row["destination"], count=row["count"], next_at=row["next_at"]) for row in rows
    ]


def _is(state: State | None) -> str:
    if state is None:
        return "1"
    return f"state = '{state.value}'{' AND finished_at IS NOT NULL' if state.is_final else ''}"


def _order(states: Sequence[State]) -> tuple[str, bool, tuple[str, ...]]:
    """
    The comparison with the place, whether the list descends, and its columns: each is the order of an index.
    """
    if State.PENDING in states:
        return ">", False, ("destination", "next_attempt_at", "id")
    if State.ACCEPTED in states:
        return ">", False, ("next_attempt_at", "id")
    return "<", True, ("finished_at", "rowid") if states else ("rowid",)


def _event_history(row: Row, deliveries: tuple[DeliveryHistory, ...]) -> EventHistory:
    return EventHistory(event=to_event(row), title=row["title"], category=row["category"], deliveries=deliveries)


def _of_event(connection: Connection, event_id: str) -> tuple[DeliveryHistory, ...]:
    rows = connection.execute("SELECT * FROM deliveries WHERE event_id = ? ORDER BY rowid LIMIT 100", (event_id,))
    return _mark_resent(_history(connection, row) for row in rows.fetchall())


def _mark_resent(deliveries: Iterable[DeliveryHistory]) -> tuple[DeliveryHistory, ...]:
    """
    Mark those that are not the first to their destination, but for refreshes.
    """
    seen: set[str] = set()
    found: list[DeliveryHistory] = []
    for each in deliveries:
        found.append(evolve(each, resent=not each.is_refresh and each.delivery.destination in seen))
        seen.add(each.delivery.destination)
    return tuple(found)


def _with_last_attempt(connection: Connection, row: Row) -> DeliveryHistory:
    last = connection.execute("SELECT * FROM attempts WHERE sequence = ?", (row["last_attempt"],)).fetchall()
    return DeliveryHistory(
        delivery=to_delivery(row), finished_at=row["finished_at"], attempts=tuple(to_attempt(each) for each in last)
    )


def _history(connection: Connection, row: Row, most: int = _MOST_ATTEMPTS) -> DeliveryHistory:
    attempts = connection.execute(
        "SELECT * FROM attempts WHERE delivery_id = ? ORDER BY sequence DESC LIMIT ?", (row["id"], most)
    ).fetchall()
    post = None
    if row["broadcast"]:
        post = connection.execute(
            "SELECT remote FROM posts WHERE broadcast = ? AND destination = ?", (row["broadcast"], row["destination"])
        ).fetchone()
    return DeliveryHistory(
        delivery=to_delivery(row, remote="" if post is None else post["remote"]),
        finished_at=row["finished_at"],
        attempts=tuple(to_attempt(each) for each in reversed(attempts)),
    )
