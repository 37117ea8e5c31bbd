"""
The time in the journal: seconds since the epoch by the daemon's steady clock, which begins with the wall clock at every
start. What was written before is brought to it then, so that due times, ages and expiries are what they were, whatever
has been done to the wall clock in between or while the last daemon ran.
"""

from __future__ import annotations

from sqlite3 import Connection

from itsjustintv.journal.sqlite.reads import recall_all
from itsjustintv.journal.sqlite.writes import remember_all
from itsjustintv.support.clocks import SteadyClock

__all__ = ["TIME_KINDS", "clock_ahead", "note", "resume"]

_KIND = "clock"
_AHEAD = "ahead"
_MICRO = 1_000_000

# A difference below this, in seconds, is none.
_LEAST = 1.0

_SHIFTS = (
    (
        "UPDATE deliveries"
        " SET accepted_at = accepted_at + :by, next_attempt_at = next_attempt_at + :by, finished_at = finished_at + :by"
    ),
    "UPDATE attempts SET at = at + :by, started_at = started_at + :by",
    "UPDATE events SET received_at = received_at + :by",
    "UPDATE keys SET expires_at = expires_at + :by",
    "UPDATE known SET at = at + :by",
)


#: The small numbers that are themselves moments, whole seconds since the epoch, by their kind.
TIME_KINDS = ("absent_destination", "absent_streamer", "absent_channel")


def resume(connection: Connection, clock: SteadyClock) -> float:
    """
    Bring every moment in the journal to a clock that has just begun, all or nothing, and write down where it began.

    :param connection: in a transaction, of nobody but the daemon.
    :return: the seconds by which they were moved; 0 if they were right.
    """
    by = _correction(connection, clock)
    if abs(by) < _LEAST:
        by = 0.0
    else:
        for shift in _SHIFTS:
            connection.execute(shift, {"by": by})
        connection.executemany(
            "UPDATE known SET value = value + ? WHERE kind = ?", ((round(by), kind) for kind in TIME_KINDS)
        )
    connection.execute("DELETE FROM known WHERE kind = ?", (_KIND,))
    values = {clock.boot or "unknown": round(clock.origin * _MICRO), _AHEAD: 0}
    remember_all(connection, _KIND, values, clock.seconds())
    return by


def note(connection: Connection, seconds: float, now: float) -> None:
    """
    Write down by how much the wall clock is ahead of the daemon's, for the case that the machine starts anew.
    """
    remember_all(connection, _KIND, {_AHEAD: round(seconds * _MICRO)}, now)


def clock_ahead(connection: Connection, clock: SteadyClock) -> float:
    """
    By how many seconds the wall clock is ahead of the moments in the journal.

    :param clock: one that has just begun.
    """
    noted = recall_all(connection, _KIND)
    if clock.boot and clock.boot in noted:
        # The same machine without a restart: its uptime leads from one clock to the other.
        return clock.origin - noted[clock.boot][0] / _MICRO
    return noted[_AHEAD][0] / _MICRO if _AHEAD in noted else 0.0


def _correction(connection: Connection, clock: SteadyClock) -> float:
    by = clock_ahead(connection, clock)
    if (
        clock.boot
        and connection.execute("SELECT 1 FROM known WHERE kind = ? AND key = ?", (_KIND, clock.boot)).fetchone()
    ):
        return by
    # How long the machine was off, only the wall clock can tell; but nothing has happened after now, though the clock
    # of a machine without a battery may show that at its start.
    latest = _latest(connection)
    return by if latest is None else min(by, clock.seconds() - latest)


def _latest(connection: Connection) -> float | None:
    """
    The last moment that is known to have passed; one step through an index for each.
    """
    rows = (
        connection.execute(query).fetchone()
        for query in (
            "SELECT max(received_at) AS at FROM events",
            "SELECT at FROM attempts WHERE sequence = (SELECT max(sequence) FROM attempts)",
            f"SELECT max(at) AS at FROM known WHERE kind = '{_KIND}'",  # noqa: S608 - our own word
        )
    )
    return max((row["at"] for row in rows if row is not None and row["at"] is not None), default=None)
