"""
Every question of the daemon to the journal, as functions of a connection.

None reads more rows than it returns, unless it says so. States are literals where a partial index depends on them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from sqlite3 import Connection, Row

from attrs import evolve, fields

from itsjustintv.model import (
    STREAM_ONLINE,
    UNDELIVERED,
    Accounting,
    Action,
    Attempt,
    Census,
    Delivery,
    Due,
    Event,
    Outcome,
    Owner,
    State,
)

__all__ = [
    "accounting",
    "attempts",
    "census",
    "count",
    "deliveries",
    "destinations",
    "destinations_ever",
    "due",
    "ended",
    "event",
    "events",
    "find_unfinished",
    "get",
    "is_new",
    "load",
    "next_due",
    "outcomes",
    "owners",
    "pending",
    "recall",
    "recall_all",
    "seen",
    "signals",
    "streamers_ever",
    "to_attempt",
    "to_delivery",
    "to_event",
    "undelivered",
    "unprepared",
]


def _delivery(connection: Connection, delivery_id: str) -> Row | None:
    row: Row | None = connection.execute("SELECT * FROM deliveries WHERE id = ?", (delivery_id,)).fetchone()
    return row


def get(connection: Connection, delivery_id: str) -> Delivery | None:
    """
    Fetch a delivery, without its picture.
    """
    row = _delivery(connection, delivery_id)
    return None if row is None else to_delivery(row)


def load(connection: Connection, delivery_id: str) -> Delivery | None:
    """
    Fetch a delivery, body, picture and broadcaster included.
    """
    row = connection.execute(
        "SELECT deliveries.*, data, broadcaster_id, remote FROM deliveries JOIN events ON events.id = event_id"
        " LEFT JOIN pictures ON delivery_id = deliveries.id"
        " LEFT JOIN posts ON deliveries.broadcast <> '' AND posts.broadcast = deliveries.broadcast"
        " AND posts.destination = deliveries.destination WHERE deliveries.id = ?",
        (delivery_id,),
    ).fetchone()
    return None if row is None else to_delivery(row, row["data"], row["broadcaster_id"], row["remote"] or "")


def event(connection: Connection, event_id: str) -> Event:
    """
    Fetch an event that is there.
    """
    return to_event(connection.execute("SELECT * FROM events WHERE id = ?", (event_id,)).fetchone())


def events(connection: Connection) -> Iterator[Event]:
    """
    Read every event, in no particular order.
    """
    return (to_event(row) for row in connection.execute("SELECT * FROM events"))


def pending(connection: Connection) -> Iterator[Delivery]:
    """
    Every pending delivery, body and picture included.
    """
    rows = connection.execute(
        "SELECT deliveries.*, data FROM deliveries LEFT JOIN pictures ON delivery_id = id WHERE state = 'pending'"
    )
    return (to_delivery(row, row["data"]) for row in rows)


def attempts(connection: Connection, delivery_id: str) -> tuple[Attempt, ...]:
    """
    Every attempt on a delivery, in order.
    """
    rows = connection.execute("SELECT * FROM attempts WHERE delivery_id = ? ORDER BY sequence", (delivery_id,))
    return tuple(to_attempt(row) for row in rows)


def seen(connection: Connection, now: float) -> Sequence[tuple[str, float]]:
    """
    Every deduplication key that has not expired, with its expiry.
    """
    rows = connection.execute("SELECT key, expires_at FROM keys WHERE expires_at > ?", (now,))
    return [(row["key"], row["expires_at"]) for row in rows]


def unprepared(connection: Connection, now: float, limit: int) -> Sequence[tuple[Event, Delivery]]:
    """
    Accepted deliveries that are due, those that wait longest first.
    """
    rows = connection.execute(
        "SELECT * FROM deliveries WHERE state = 'accepted' AND next_attempt_at <= ?"
        " ORDER BY next_attempt_at, id LIMIT ?",
        (now, limit),
    ).fetchall()
    return [(evolve(event(connection, row["event_id"]), trace=row["trace"]), to_delivery(row)) for row in rows]


def destinations(connection: Connection) -> Sequence[str]:
    """
    Every destination with at least one pending delivery; one index lookup for each.
    """
    rows = connection.execute(
        "WITH RECURSIVE found (name) AS ("
        " SELECT min(destination) FROM deliveries WHERE state = 'pending'"
        " UNION ALL"
        " SELECT (SELECT min(destination) FROM deliveries WHERE state = 'pending' AND destination > found.name)"
        " FROM found WHERE found.name IS NOT NULL"
        ") SELECT name FROM found WHERE name IS NOT NULL"
    )
    return [row["name"] for row in rows]


def next_due(connection: Connection, counts: Callable[[str], bool] = lambda _: True) -> float | None:
    """
    When the first delivery that has not ended was or will be due; one index lookup for each destination.

    :param counts: whether the pending deliveries of a destination do.
    """
    times = [
        connection.execute("SELECT min(next_attempt_at) AS at FROM deliveries WHERE state = 'accepted'").fetchone()[
            "at"
        ]
    ]
    times += [
        connection.execute(
            "SELECT min(next_attempt_at) AS at FROM deliveries WHERE state = 'pending' AND destination = ?", (name,)
        ).fetchone()["at"]
        for name in destinations(connection)
        if counts(name)
    ]
    return min((each for each in times if each is not None), default=None)


def due(connection: Connection, destination: str, after: Due | None, limit: int) -> Sequence[Due]:
    """
    A destination's pending deliveries in the order of their time, those after ``after`` only.
    """
    rows = connection.execute(
        "SELECT next_attempt_at, id FROM deliveries WHERE state = 'pending' AND destination = ?"
        " AND (next_attempt_at, id) > (?, ?) ORDER BY next_attempt_at, id LIMIT ?",
        (destination, -inf if after is None else after.at, "" if after is None else after.id, limit),
    )
    return [Due(at=row["next_attempt_at"], id=row["id"]) for row in rows]


def find_unfinished(connection: Connection, event_id: str, destination: str) -> str | None:
    """
    The id of a delivery of an event to a destination that has not ended, or ``None``. Refreshes do not count.
    """
    row = connection.execute(
        "SELECT id FROM deliveries WHERE event_id = ? AND destination = ? AND state IN ('accepted', 'pending')"
        " AND action <> 'refresh'",
        (event_id, destination),
    ).fetchone()
    return None if row is None else row["id"]


def outcomes(connection: Connection, limit: int) -> Sequence[Outcome]:
    """
    The last deliveries on which an attempt has ended, oldest first, each with its last attempt.
    """
    rows = connection.execute(
        "SELECT * FROM deliveries WHERE last_attempt IS NOT NULL ORDER BY last_attempt DESC LIMIT ?", (limit,)
    ).fetchall()
    return [_outcome(connection, row) for row in reversed(rows)]


def _outcome(connection: Connection, row: Row) -> Outcome:
    last = connection.execute("SELECT * FROM attempts WHERE sequence = ?", (row["last_attempt"],)).fetchone()
    return Outcome(delivery=to_delivery(row), attempt=to_attempt(last), at=last["at"])


def accounting(connection: Connection) -> Accounting:
    """
    Count every (event, destination) by state, those that retention removed included.
    """
    wanted = connection.execute("SELECT value FROM numbers WHERE name = 'wanted'").fetchone()["value"]
    counts = connection.execute("SELECT state, held + removed AS count FROM states")
    return Accounting(wanted=wanted, **{row["state"]: row["count"] for row in counts})


def census(connection: Connection) -> Census:
    """
    Count everything that has not ended. Reads as many rows or entries of an index, and one row for each destination:
    that of the first id, since ids sort by time. It is not the oldest if an operator has requeued it.
    """
    pending = connection.execute(
        "SELECT waiting.destination, count, accepted_at FROM"
        " (SELECT destination, count(*) AS count, min(id) AS first FROM deliveries WHERE state = 'pending'"
        " GROUP BY destination) AS waiting JOIN deliveries ON id = first"
    ).fetchall()
    accepted = connection.execute(
        "SELECT accepted_at FROM deliveries WHERE id ="
        " (SELECT min(id) FROM deliveries INDEXED BY deliveries_unprepared WHERE state = 'accepted'"
        " AND action <> 'refresh')"
    ).fetchall()
    oldest = [row["accepted_at"] for row in (*pending, *accepted)]
    return Census(
        accounting=accounting(connection),
        pending={row["destination"]: row["count"] for row in pending},
        oldest_at=min(oldest, default=None),
        dead=_count_state(connection, State.DEAD),
        undelivered=undelivered(connection),
        newest_at=connection.execute("SELECT max(received_at) AS newest FROM events").fetchone()["newest"],
    )


def undelivered(connection: Connection) -> int:
    """
    Count the dead and the expired deliveries in the journal.
    """
    return sum(_count_state(connection, state) for state in UNDELIVERED)


def _count_state(connection: Connection, state: State) -> int:
    count: int = connection.execute("SELECT held FROM states WHERE state = ?", (state.value,)).fetchone()["held"]
    return count


def signals(connection: Connection) -> int:
    """
    How often an operator's command has written.
    """
    value: int = connection.execute("SELECT value FROM numbers WHERE name = 'signals'").fetchone()["value"]
    return value


def recall(connection: Connection, kind: str, key: str) -> tuple[int, float] | None:
    """
    A small number and when it was stored, or ``None``.
    """
    row = connection.execute("SELECT value, at FROM known WHERE kind = ? AND key = ?", (kind, key)).fetchone()
    return None if row is None else (row["value"], row["at"])


def recall_all(connection: Connection, kind: str) -> Mapping[str, tuple[int, float]]:
    """
    Every small number of a kind and when it was stored, by key.
    """
    rows = connection.execute("SELECT key, value, at FROM known WHERE kind = ?", (kind,))
    return {row["key"]: (row["value"], row["at"]) for row in rows}


def is_new(connection: Connection) -> bool:
    """
    Whether nothing was ever stored here, nor imported from the original program.
    """
    rows = connection.execute("SELECT sum(value) AS total FROM numbers WHERE name IN ('wanted', 'imported')")
    empty: bool = rows.fetchone()["total"] == 0
    return empty and connection.execute("SELECT 1 FROM keys").fetchone() is None


def deliveries(
    connection: Connection, states: Sequence[State], destination: str | None, streamer: str | None, limit: int
) -> Sequence[Delivery]:
    """
    Deliveries without their pictures: those of final states in the order in which they ended, others in that in which
    they were accepted, the latest first.

    :param states: these states only, either one, or several that are final; all when there are none.
    :param destination: to this one only; likewise the next.
    """
    condition = "(:destination IS NULL OR destination = :destination) AND (:streamer IS NULL OR streamer = :streamer)"
    final = bool(states) and all(state.is_final for state in states)
    order = "finished_at" if final else "rowid"
    # One part for each state, merged: an index holds the order of each.
    parts = [
        f"SELECT rowid, * FROM deliveries WHERE {condition}"  # noqa: S608 - no user input
        + (f" AND state = '{state.value}'" if state else "")
        + (" AND finished_at IS NOT NULL" if final else "")
        for state in states or (None,)
    ]
    rows = connection.execute(
        f"{' UNION ALL '.join(parts)} ORDER BY {order} DESC LIMIT :limit",
        {"destination": destination, "streamer": streamer, "limit": limit},
    )
    return [to_delivery(row) for row in rows]


def count(connection: Connection, destination: str | None, streamer: str | None) -> Mapping[State, int]:
    """
    Count the deliveries in the journal by state; reads all of them.

    :param destination: those to this one only; likewise the next.
    """
    rows = connection.execute(
        "SELECT state, count(*) AS count FROM deliveries WHERE (:destination IS NULL OR destination = :destination)"
        " AND (:streamer IS NULL OR streamer = :streamer) GROUP BY state",
        {"destination": destination, "streamer": streamer},
    )
    found = {row["state"]: row["count"] for row in rows}
    return {state: found[state] for state in State if state in found}


def streamers_ever(connection: Connection) -> Sequence[str]:
    """
    The keys of all streamers with a delivery in the journal; reads all of them.
    """
    return [row["streamer"] for row in connection.execute("SELECT DISTINCT streamer FROM deliveries ORDER BY streamer")]


def owners(connection: Connection, configured: Callable[[str], bool]) -> Mapping[str, Owner]:
    """
    Whose the destinations are that are not configured and have deliveries that have not ended, by name; without those
    whose deliveries are about several channels.
    """
    unprepared = connection.execute("SELECT DISTINCT destination FROM deliveries WHERE state = 'accepted'")
    names = {*destinations(connection), *(row["destination"] for row in unprepared)}
    return {
        name: owner
        for name in sorted(names)
        if not configured(name) and (owner := _owner(connection, name)) is not None
    }


def _owner(connection: Connection, destination: str) -> Owner | None:
    waiting = (
        "SELECT event_id FROM deliveries WHERE state = 'pending' AND destination = :name"
        " UNION SELECT event_id FROM deliveries WHERE state = 'accepted' AND destination = :name"
    )
    channels = connection.execute(
        f"SELECT broadcaster_id, max(broadcaster_login) AS login FROM events WHERE id IN ({waiting})"  # noqa: S608 - ours
        " GROUP BY broadcaster_id",
        {"name": destination},
    ).fetchall()
    if len(channels) != 1:
        return None
    others = connection.execute(
        f"SELECT DISTINCT streamer FROM deliveries WHERE event_id IN ({waiting})",  # noqa: S608 - as above
        {"name": destination},
    )
    return Owner(
        channels[0]["broadcaster_id"], channels[0]["login"].lower(), frozenset(row["streamer"] for row in others)
    )


def destinations_ever(connection: Connection) -> Sequence[str]:
    """
    The names of all destinations with a delivery in the journal; reads all of them.
    """
    rows = connection.execute("SELECT DISTINCT destination FROM deliveries ORDER BY destination")
    return [row["destination"] for row in rows]


def ended(
    connection: Connection, states: Sequence[State], destination: str | None, streamer: str | None
) -> Sequence[str]:
    """
    The ids of all deliveries in final states, those that ended first in front; reads all of them.

    :param destination: to this one only; likewise the next.
    """
    these = ", ".join(f"'{state.value}'" for state in states)
    rows = connection.execute(
        f"SELECT id FROM deliveries WHERE state IN ({these}) AND finished_at IS NOT NULL"  # noqa: S608 - no user input
        " AND (:destination IS NULL OR destination = :destination) AND (:streamer IS NULL OR streamer = :streamer)"
        " ORDER BY finished_at",
        {"destination": destination, "streamer": streamer},
    )
    return [row["id"] for row in rows]


#: The trace is kept with the deliveries, and keys are in a table of their own.
_EVENT = tuple(each.name for each in fields(Event) if each.name not in ("trace", "sent_at", "keys"))

# Of a ``stream.online`` the two are what was found out later, and not its own.
_FOUND_LATER = {"title": "", "category": ""}


def to_event(row: Row) -> Event:
    """
    Read a row of ``events``.
    """
    found = {**{name: row[name] for name in _EVENT}, "recovered": bool(row["recovered"])}
    if row["event_type"] == STREAM_ONLINE:
        return Event(**{**found, **_FOUND_LATER})
    return Event(**found, keys=())


def to_delivery(row: Row, picture: bytes | None = None, broadcaster_id: str = "", remote: str = "") -> Delivery:
    """
    Read a row of ``deliveries``.

    :param picture: what ``pictures`` holds for it, if that was asked for; likewise ``broadcaster_id`` and ``events``,
        ``remote`` and ``posts``.
    """
    return Delivery(
        id=row["id"],
        event_id=row["event_id"],
        streamer=row["streamer"],
        destination=row["destination"],
        accepted_at=row["accepted_at"],
        next_attempt_at=row["next_attempt_at"],
        state=State(row["state"]),
        attempts=row["attempts"],
        reason=row["reason"],
        body=row["body"],
        picture=picture,
        trace=row["trace"],
        broadcaster_id=broadcaster_id,
        broadcast=row["broadcast"],
        action=Action(row["action"]),
        remote=remote,
        shown=row["shown"],
        plain=bool(row["plain"]),
        mention=bool(row["mention"]),
        requested=bool(row["requested"]),
        form=row["form"],
        refreshes=tuple(json.loads(row["refreshes"])) if row["refreshes"] else (),
    )


def to_attempt(row: Row) -> Attempt:
    """
    Read a row of ``attempts``.
    """
    return Attempt(
        ok=bool(row["ok"]),
        reason=row["reason"],
        detail=row["detail"],
        started_at=row["started_at"],
        duration=row["duration"],
        status=row["status"],
        response=row["response"],
        retry_after=row["retry_after"],
        final=bool(row["final"]),
    )
