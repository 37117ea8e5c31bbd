"""
The times in the journal: seconds since the epoch by the daemon's steady clock, which is set by the machine's clock at
every start. All stored times are shifted to it then, so that due times, ages and expiries stay what they were, whatever
was done to the machine's clock since.
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
    "UPDATE broadcasts SET at = at + :by",
    "UPDATE posts SET at = at + :by",
    "UPDATE places SET at = at + :by",
)


#: The kinds of small numbers that are times themselves, in whole seconds since the epoch.
TIME_KINDS = ("absent_destination", "absent_streamer", "absent_channel")


def resume(connection: Connection, clock: SteadyClock) -> float:
    """
    Shift every time in the journal to a clock that has just started, all or nothing, and store its origin.

    :param connection: of the daemon, in a transaction.
    :return: the seconds by which they were shifted; 0 if they were right.
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
    Store by how many seconds the machine's clock is ahead of the daemon's, for a restart of the machine.
    """
    remember_all(connection, _KIND, {_AHEAD: round(seconds * _MICRO)}, now)


def clock_ahead(connection: Connection, clock: SteadyClock) -> float:
    """
    By how many seconds the machine's clock is ahead of the times in the journal.

    :param clock: one that has just started.
    """
    noted = recall_all(connection, _KIND)
    if clock.boot and clock.boot in noted:
        # The machine was not restarted: its uptime relates one clock to the other.
        return clock.origin - noted[clock.boot][0] / _MICRO
    return noted[_AHEAD][0] / _MICRO if _AHEAD in noted else 0.0


def _correction(connection: Connection, clock: SteadyClock) -> float:
    by = clock_ahead(connection, clock)
    if (
        clock.boot
        and connection.execute("SELECT 1 FROM known WHERE kind = ? AND key = ?", (_KIND, clock.boot)).fetchone()
    ):
        return by
    # Only the machine's clock can tell how long the machine was off; but nothing can have happened after now, though
    # the clock of a machine without a battery may claim that at its start.
    latest = _latest(connection)
    return by if latest is None else min(by, clock.seconds() - latest)


def _latest(connection: Connection) -> float | None:
    """
    The latest time of something that happened; one index lookup for each table.
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
