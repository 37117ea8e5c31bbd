"""
Every change of the journal, as functions of a connection that is inside a transaction. None of them commits.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from sqlite3 import Connection

from attrs import evolve, frozen

from itsjustintv.journal.legacy_files import Imported, LegacyFiles
from itsjustintv.journal.operation_thread import BatchOperation, NotBatchable
from itsjustintv.journal.sqlite import broadcasts, dedup_keys
from itsjustintv.journal.sqlite.reads import get, is_new
from itsjustintv.model import Action, Attempt, Delivery, Event, State

__all__ = [
    "AcceptEvent",
    "cancel",
    "count_wanted",
    "forget",
    "hold",
    "import_legacy",
    "insert_deliveries",
    "insert_events",
    "nothing",
    "prepare",
    "probe",
    "purge",
    "remember",
    "remember_all",
    "resend",
    "retry",
    "settle",
]


@frozen
class AcceptEvent(BatchOperation[bool]):
    """
    Stores an event, its keys until ``expires_at`` and its deliveries. ``False`` when one of the keys is stored and has
    not expired at ``now``: then nothing was stored.

    :ivar window: seconds after its end within which a stream goes on with a broadcast.
    """

    event: Event
    deliveries: Sequence[Delivery]
    expires_at: float
    now: float
    window: float = 0.0

    def __call__(self, connection: Connection) -> bool:
        if dedup_keys.known(connection, self.event.keys, self.now):
            return False
        self.perform_all(connection, (self,))
        return True

    @classmethod
    def perform_all(cls, connection: Connection, operations: Sequence[AcceptEvent]) -> Sequence[bool]:
        """
        Store many events, each table in one go.

        :raises NotBatchable: not all of them are new.
        """
        keys = [(key, each.expires_at) for each in operations for key in each.event.keys]
        if not dedup_keys.claim(connection, keys, min(each.now for each in operations)):
            raise NotBatchable
        insert_events(connection, [each.event for each in operations])
        deliveries = [delivery for each in operations for delivery in each.deliveries if not delivery.broadcast]
        # In the order of the events, since each joins what the ones before it opened.
        for each in operations:
            deliveries += broadcasts.join(connection, each.event, each.deliveries, each.window, each.now)
        count_wanted(connection, len(deliveries))
        insert_deliveries(connection, deliveries)
        return [True] * len(operations)


def insert_events(connection: Connection, events: Iterable[Event]) -> None:
    """
    Insert rows of ``events``, all in one statement.
    """
    connection.executemany(
        "INSERT INTO events (id, message_id, stream_id, broadcaster_id, broadcaster_login, broadcaster_name, type,"
        " started_at, received_at, recovered, event_type, occurred_at, title, category_id, category, language)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                event.id,
                event.message_id,
                event.stream_id,
                event.broadcaster_id,
                event.broadcaster_login,
                event.broadcaster_name,
                event.type,
                event.started_at,
                event.received_at,
                event.recovered,
                event.event_type,
                event.occurred_at,
                event.title,
                event.category_id,
                event.category,
                event.language,
            )
            for event in events
        ],
    )


def insert_deliveries(connection: Connection, deliveries: Iterable[Delivery], finished_at: float | None = None) -> None:
    """
    Insert deliveries.

    :param finished_at: when they ended, if they have.
    """
    connection.executemany(
        "INSERT INTO deliveries (id, event_id, streamer, destination, accepted_at, next_attempt_at, state, attempts,"
        " reason, body, finished_at, trace, broadcast, action, shown, plain, mention, requested)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                delivery.id,
                delivery.event_id,
                delivery.streamer,
                delivery.destination,
                delivery.accepted_at,
                delivery.next_attempt_at,
                delivery.state.value,
                delivery.attempts,
                delivery.reason,
                delivery.body,
                finished_at,
                delivery.trace,
                delivery.broadcast,
                delivery.action.value,
                delivery.shown,
                delivery.plain,
                delivery.mention,
                delivery.requested,
            )
            for delivery in deliveries
        ],
    )


def count_wanted(connection: Connection, number: int) -> None:
    """
    Count deliveries that are accepted. Separate from their insertion, since the two are compared.
    """
    connection.execute("UPDATE numbers SET value = value + ? WHERE name = 'wanted'", (number,))


def prepare(  # noqa: PLR0917 - the arguments of IDeliveryJournal.prepare
    connection: Connection,
    delivery_id: str,
    body: bytes,
    picture: bytes | None,
    now: float,
    title: str = "",
    category: str = "",
    *,
    action: Action = Action.CREATE,
    shown: str = "",
    mention: bool = False,
    form: str = "",
    refreshes: Sequence[float] = (),
) -> bool:
    """
    Give an accepted delivery its payload and make it pending, due at ``now``.

    :return: ``False`` when it is no longer accepted.
    """
    prepared = connection.execute(
        "UPDATE deliveries SET state = 'pending', body = ?, next_attempt_at = ?, reason = '', action = ?, shown = ?,"
        " mention = ?, form = ?, refreshes = ? WHERE id = ? AND state = 'accepted'"
        " RETURNING event_id, broadcast, destination",
        (body, now, action.value, shown, mention, form, json.dumps(refreshes) if refreshes else "", delivery_id),
    ).fetchall()
    if prepared and prepared[0]["broadcast"]:
        pair = (prepared[0]["broadcast"], prepared[0]["destination"])
        broadcasts.adopt_post(connection, *pair, form)
        broadcasts.supersede_refreshes(connection, *pair, delivery_id, now, every=action is not Action.REFRESH)
        if action is not Action.REFRESH:
            broadcasts.supersede_changes(connection, *pair, delivery_id, now)
        broadcasts.note_announced(connection, prepared[0]["broadcast"], title, category)
    if prepared and picture is not None:
        connection.execute("INSERT INTO pictures (delivery_id, data) VALUES (?, ?)", (delivery_id, picture))
    if prepared and (title or category):
        connection.execute(
            "UPDATE events SET title = ?, category = ? WHERE id = ? AND title = '' AND category = ''",
            (title, category, prepared[0]["event_id"]),
        )
    return bool(prepared)


def unprepare(connection: Connection, delivery_id: str, now: float) -> None:
    """
    Take the payload of a pending delivery away: it is accepted again, due at ``now``. A refresh stays one.
    """
    connection.execute(
        "DELETE FROM pictures WHERE delivery_id = (SELECT id FROM deliveries WHERE id = ? AND state = 'pending')",
        (delivery_id,),
    )
    connection.execute(
        "UPDATE deliveries SET state = 'accepted', body = x'', form = '', shown = '', plain = 0, mention = 0,"
        " action = CASE action WHEN 'refresh' THEN 'refresh' ELSE 'create' END, refreshes = '', reason = '',"
        " next_attempt_at = ? WHERE id = ? AND state = 'pending'",
        (now, delivery_id),
    )


def hold(connection: Connection, delivery_id: str, until: float, reason: str) -> None:
    """
    Leave an accepted delivery as it is until a later time.
    """
    connection.execute(
        "UPDATE deliveries SET next_attempt_at = ?, reason = ? WHERE id = ? AND state = 'accepted'",
        (until, reason, delivery_id),
    )


def settle(  # noqa: PLR0917 - the arguments of IJournal.settle
    connection: Connection,
    delivery_id: str,
    state: State,
    reason: str,
    now: float,
    attempt: Attempt | None = None,
    next_attempt_at: float | None = None,
    *,
    plain: bool = False,
) -> Delivery:
    """
    Record an attempt, or the end of a delivery. One that has ended stays as it is, unless it was in fact delivered; the
    attempt is counted and stored in any case.

    :return: the delivery as it now is.
    :raises LookupError: when there is no such delivery.
    """
    delivery = get(connection, delivery_id)
    if delivery is None:
        raise LookupError(f"there is no delivery {delivery_id}")
    if attempt is not None:
        delivery = evolve(delivery, attempts=delivery.attempts + 1)
        _insert_attempt(connection, delivery, attempt, now)
        broadcasts.record_attempt(connection, delivery, attempt, now)
        if attempt.ok and delivery.refreshes:
            _accept_refreshes(connection, delivery, now)
    if delivery.state.is_final and (state is not State.DELIVERED or delivery.state is State.DELIVERED):
        return delivery
    if next_attempt_at is None:
        next_attempt_at = delivery.next_attempt_at
    connection.execute(
        "UPDATE deliveries SET state = ?, reason = ?, next_attempt_at = ?, finished_at = ?, plain = ? WHERE id = ?",
        (
            state.value,
            reason,
            next_attempt_at,
            now if state.is_final else None,
            plain or delivery.plain,
            delivery_id,
        ),
    )
    return evolve(delivery, state=state, reason=reason, next_attempt_at=next_attempt_at, plain=plain or delivery.plain)


def _insert_attempt(connection: Connection, delivery: Delivery, attempt: Attempt, now: float) -> None:
    sequence = connection.execute(
        "INSERT INTO attempts (delivery_id, number, at, ok, reason, detail, started_at, duration, status, response,"
        " retry_after, final) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            delivery.id,
            delivery.attempts,
            now,
            attempt.ok,
            attempt.reason,
            attempt.detail,
            attempt.started_at,
            attempt.duration,
            attempt.status,
            attempt.response,
            attempt.retry_after,
            attempt.final,
        ),
    ).lastrowid
    connection.execute(
        "UPDATE deliveries SET attempts = ?, last_attempt = ? WHERE id = ?", (delivery.attempts, sequence, delivery.id)
    )


def _accept_refreshes(connection: Connection, delivery: Delivery, now: float) -> None:
    """
    Accept the refreshes of a post that was shown just now. Those whose time has passed become one that is due at once,
    since what was shown may have been made long before.
    """
    number = _next_number(connection, delivery.event_id)
    times = sorted({max(now, delivery.accepted_at + each) for each in delivery.refreshes})
    refreshes = [
        Delivery(
            id=f"{delivery.event_id}-{each}",
            event_id=delivery.event_id,
            streamer=delivery.streamer,
            destination=delivery.destination,
            accepted_at=now,
            next_attempt_at=at,
            trace=delivery.trace,
            broadcast=delivery.broadcast,
            action=Action.REFRESH,
        )
        for each, at in enumerate(times, number)
    ]
    insert_deliveries(connection, refreshes)
    count_wanted(connection, len(refreshes))


def _next_number(connection: Connection, event_id: str) -> int:
    """
    The number of the next delivery of an event.
    """
    numbers = [
        int(number)
        for row in connection.execute("SELECT id FROM deliveries WHERE event_id = ?", (event_id,))
        if (number := row["id"].removeprefix(f"{event_id}-")).isdecimal()
    ]
    return max(numbers, default=0) + 1


def retry(connection: Connection, delivery: Delivery, now: float) -> Delivery:
    """
    Requeue a delivery that has ended, due at once. Attempts and age start again, or it would end for the same reason.

    :return: the delivery as it now is: pending, or accepted when it has no payload. That of a post is made again, since
        the broadcast may have changed or ended.
    """
    body = b"" if delivery.broadcast else delivery.body
    requeued = evolve(
        delivery,
        state=State.PENDING if body else State.ACCEPTED,
        reason="",
        attempts=0,
        accepted_at=now,
        next_attempt_at=now,
        body=body,
        plain=False,
        requested=True,
    )
    connection.execute(
        "UPDATE deliveries SET state = ?, reason = '', attempts = 0, accepted_at = ?, next_attempt_at = ?,"
        " finished_at = NULL, body = ?, plain = 0, requested = 1 WHERE id = ?",
        (requeued.state.value, now, now, body, delivery.id),
    )
    # The operator wants it tried again, whatever the service has said of the place.
    connection.execute("DELETE FROM places WHERE verdict <> 'moved'")
    _signal(connection)
    return requeued


def resend(connection: Connection, delivery: Delivery, now: float) -> Delivery:
    """
    Insert a copy of a delivery, due at once. What was delivered stays delivered, whatever becomes of the copy.

    :return: the new delivery: with the same payload, but without the bytes of the picture, which are no longer stored.
        That of a post has none: it is made again, since the broadcast may have changed, and no one is mentioned twice.
    """
    again = evolve(
        delivery,
        id=f"{delivery.event_id}-{_next_number(connection, delivery.event_id)}",
        state=State.ACCEPTED if delivery.broadcast else State.PENDING,
        body=b"" if delivery.broadcast else delivery.body,
        mention=False,
        plain=False,
        requested=True,
        reason="",
        attempts=0,
        accepted_at=now,
        next_attempt_at=now,
    )
    insert_deliveries(connection, [again])
    count_wanted(connection, 1)
    _signal(connection)
    return again


def cancel(connection: Connection, delivery: Delivery, reason: str, now: float) -> Delivery:
    """
    End a delivery that has not ended.

    :return: the delivery as it now is.
    """
    connection.execute(
        "UPDATE deliveries SET state = 'cancelled', reason = ?, finished_at = ? WHERE id = ?",
        (reason, now, delivery.id),
    )
    _signal(connection)
    return evolve(delivery, state=State.CANCELLED, reason=reason, picture=None)


def _signal(connection: Connection) -> None:
    connection.execute("UPDATE numbers SET value = value + 1 WHERE name = 'signals'")


def import_legacy(connection: Connection, legacy: LegacyFiles, now: float) -> Imported | None:
    """
    Take over the original program's state, if this journal is new; never a second time.

    :return: ``None`` when it was not new.
    """
    if not is_new(connection):
        return None
    connection.execute("UPDATE numbers SET value = 1 WHERE name = 'imported'")
    state = legacy.read(now)
    dedup_keys.add(connection, state.keys.items())
    count_wanted(connection, len(state.queue))
    for event, delivery in state.queue:
        insert_events(connection, [event])
        insert_deliveries(connection, [delivery], finished_at=now if delivery.state.is_final else None)
    states = [delivery.state for _, delivery in state.queue]
    return Imported(
        keys=len(state.keys),
        pending=states.count(State.PENDING),
        cancelled=states.count(State.CANCELLED),
        problems=state.problems,
    )


def nothing(_: Connection) -> None:
    """
    Do nothing, to find out whether a transaction succeeds.
    """


def probe(connection: Connection) -> None:
    """
    Write a small change, to find out whether that succeeds.
    """
    connection.execute("UPDATE numbers SET value = value + 1 WHERE name = 'probes'")


def remember(connection: Connection, kind: str, key: str, value: int, now: float) -> None:
    """
    Store a small number, in place of an older one of its kind and key.
    """
    remember_all(connection, kind, {key: value}, now)


def remember_all(connection: Connection, kind: str, values: Mapping[str, int], now: float) -> None:
    """
    Store small numbers, by key.
    """
    connection.executemany(
        "INSERT INTO known (kind, key, value, at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET value = excluded.value, at = excluded.at",
        ((kind, key, value, now) for key, value in values.items()),
    )


def forget(connection: Connection, kind: str, keys: Sequence[str]) -> None:
    """
    Remove the small numbers of some keys of a kind.
    """
    connection.executemany("DELETE FROM known WHERE kind = ? AND key = ?", ((kind, key) for key in keys))


def purge(connection: Connection, before: float, now: float, limit: int) -> bool:
    """
    Remove deliveries that ended before a time, with their attempts, events received before it that have no deliveries
    left, and keys that have expired; at most ``limit`` of each. What is removed stays counted.

    :return: whether there may be more to remove.
    """
    deliveries = connection.execute(
        "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries"
        " WHERE state IN ('delivered', 'dead', 'expired', 'filtered', 'cancelled', 'superseded')"
        " AND finished_at < ? LIMIT ?)"
        " RETURNING state",
        (before, limit),
    ).fetchall()
    connection.executemany(
        "UPDATE states SET removed = removed + ? WHERE state = ?",
        ((count, state) for state, count in Counter(row["state"] for row in deliveries).items()),
    )
    events = connection.execute(
        "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE received_at < ?"
        " AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_id = events.id) ORDER BY received_at LIMIT ?)",
        (before, limit),
    ).rowcount
    ended = broadcasts.purge(connection, before, limit)
    return max(len(deliveries), events, ended, dedup_keys.purge(connection, now, limit)) >= limit
