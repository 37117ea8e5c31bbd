"""
Broadcasts and their posts in the database, as functions of a connection: what an event opens, joins or ends, and what
an attempt did to a post. Those that write are called inside a transaction. None decides what is sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from sqlite3 import Connection, Row

from attrs import evolve

from itsjustintv.journal.history import OpenPost
from itsjustintv.model import (
    CHANNEL_UPDATE,
    STREAM_OFFLINE,
    STREAM_ONLINE,
    Action,
    Attempt,
    Broadcast,
    Delivery,
    Event,
    Post,
    PostState,
    Standing,
    State,
    Verdict,
    parse_rfc3339,
)
from itsjustintv.model.deliveries import NOTHING_SENT, SERVER_ERROR

__all__ = [
    "adopt_post",
    "forget_places",
    "join",
    "latest",
    "live",
    "note_announced",
    "open_posts",
    "places",
    "purge",
    "record_attempt",
    "resume",
    "standing",
    "supersede_changes",
    "supersede_refreshes",
]

#: Why a delivery was superseded: stable words for the journal, logs and metrics.
OVERTAKEN = "overtaken by later news"

# Changes that follow each other are shown at the latest so many seconds after the first of them.
_LONGEST_SETTLING = 300.0

# A broadcast whose end never became known is kept for so long, in seconds.
_LONGEST_BROADCAST = 30 * 86400.0

_MENTIONED = "mentioned"

# So many broadcasts of a channel, the latest, may be meant by the end of a stream.
_RECENT = 4

# As Attempt.is_uncertain.
_UNCERTAIN = f"NOT ok AND (status >= {SERVER_ERROR} OR (status IS NULL AND reason NOT IN {NOTHING_SENT}))"


def join(
    connection: Connection, event: Event, deliveries: Sequence[Delivery], window: float, now: float
) -> Iterator[Delivery]:
    """
    Let an event open, join, change or end a broadcast, for those of its deliveries that are about a post; and supersede
    what was accepted before for the same posts.

    :return: these deliveries, with the id of the broadcast, or none when the event names no open one.
    """
    about_posts = [each for each in deliveries if each.broadcast]
    if not about_posts:
        return
    broadcast = _follow(connection, event, about_posts[0].streamer, window, now)
    for delivery in about_posts:
        if broadcast is None:
            yield evolve(delivery, broadcast="")
            continue
        since = _supersede_accepted(connection, broadcast, delivery.destination, now)
        if event.event_type == CHANNEL_UPDATE and since is not None:
            # As old as the first change that it shows.
            soon = min(delivery.next_attempt_at, since + _LONGEST_SETTLING)
            yield evolve(delivery, broadcast=broadcast, accepted_at=since, next_attempt_at=soon)
        else:
            yield evolve(delivery, broadcast=broadcast)


def _follow(connection: Connection, event: Event, streamer: str, window: float, now: float) -> str | None:
    """
    Apply an event to the latest broadcast of its channel.

    :return: the id of the broadcast that the event belongs to.
    """
    recent = _find_recent(connection, event.broadcaster_id, _RECENT)
    latest = recent[0] if recent else None
    if event.event_type == STREAM_ONLINE:
        return _go_live(connection, event, streamer, latest, window, now)
    moment = event.occurred_at or event.received_at
    if event.event_type == STREAM_OFFLINE:
        return _go_offline(connection, event, recent, moment, now)
    # Nor of changes: one that is older than the start, or than another change, says nothing new.
    if latest is None or latest["offline_at"] is not None or moment < latest["seen_at"]:
        return None
    connection.execute("UPDATE broadcasts SET seen_at = ?, at = ? WHERE id = ?", (moment, now, latest["id"]))
    identity: str = latest["id"]
    return identity


def _find_recent(connection: Connection, broadcaster_id: str, limit: int) -> Sequence[Row]:
    """
    Find the latest broadcasts of a channel, the latest first.
    """
    # Not by id: ids sort by this machine's clock, which may have been set back.
    return connection.execute(
        "SELECT * FROM broadcasts WHERE broadcaster_id = ? ORDER BY seen_at DESC, id DESC LIMIT ?",
        (broadcaster_id, limit),
    ).fetchall()


def _go_offline(connection: Connection, event: Event, recent: Sequence[Row], moment: float, now: float) -> str | None:
    """
    End the broadcast of the stream that an event names; when it names none, the latest that was live before it. Twitch
    does not keep the order: the end of the stream before may arrive after the start of the next one.
    """
    if event.stream_id:
        of_stream = [each for each in recent if event.stream_id in json.loads(each["stream_ids"])]
    else:
        of_stream = [each for each in recent if event.recovered or moment >= each["seen_at"]]
    # One that ended at an unknown time gets the time.
    ended = event.occurred_at if event.recovered else moment
    if not of_stream or of_stream[0]["offline_at"] or of_stream[0]["offline_at"] == ended:
        return None
    identity: str = of_stream[0]["id"]
    connection.execute("UPDATE broadcasts SET offline_at = ?, at = ? WHERE id = ?", (ended, now, identity))
    return identity


def _go_live(  # noqa: PLR0917 - all of it decides
    connection: Connection, event: Event, streamer: str, latest: Row | None, window: float, now: float
) -> str:
    started = parse_rfc3339(event.started_at)
    moment = event.received_at if started is None else started
    if latest is not None and _goes_on(latest, event.stream_id, moment, window):
        streams = json.loads(latest["stream_ids"])
        if event.stream_id in streams:
            # When it came back, so that an end which was reported before that is an old one.
            moment = max(moment, event.sent_at)
        else:
            streams.append(event.stream_id)
        connection.execute(
            "UPDATE broadcasts SET offline_at = NULL, seen_at = max(seen_at, ?), stream_ids = ?, at = ? WHERE id = ?",
            (moment, json.dumps(streams), now, latest["id"]),
        )
        identity: str = latest["id"]
        return identity
    connection.execute(
        "INSERT INTO broadcasts (id, broadcaster_id, streamer, type, started_at, seen_at, stream_ids, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event.id,
            event.broadcaster_id,
            streamer,
            event.type,
            event.started_at,
            moment,
            json.dumps([event.stream_id]),
            now,
        ),
    )
    return event.id


def _goes_on(latest: Row, stream_id: str, moment: float, window: float) -> bool:
    """
    Whether a stream that began at a moment goes on with the latest broadcast. Of one whose end is not known, the last
    moment at which it was live counts as its end.
    """
    if stream_id in json.loads(latest["stream_ids"]):
        return True
    end = latest["seen_at"] if latest["offline_at"] is None else latest["offline_at"]
    return bool(end) and moment - end <= window


def _supersede_accepted(connection: Connection, broadcast: str, destination: str, now: float) -> float | None:
    """
    End what was accepted for a post and is not prepared, but for the event that opened the broadcast. Whether a refresh
    is still of use is decided when its turn comes.

    :return: when the first of them was accepted.
    """
    ended = connection.execute(
        "UPDATE deliveries SET state = 'superseded', reason = ?, finished_at = ?"
        " WHERE broadcast = ? AND broadcast <> '' AND destination = ?"
        " AND state = 'accepted' AND action <> 'refresh' AND event_id <> broadcast RETURNING accepted_at AS since",
        (OVERTAKEN, now, broadcast, destination),
    ).fetchall()
    return min((row["since"] for row in ended), default=None)


def supersede_changes(connection: Connection, broadcast: str, destination: str, delivery_id: str, now: float) -> None:
    """
    End the earlier changes of a post that wait for an attempt: the delivery that was just prepared shows the newest
    state.
    """
    connection.execute(
        "UPDATE deliveries SET state = 'superseded', reason = ?, finished_at = ?"
        " WHERE broadcast = ? AND broadcast <> '' AND destination = ? AND state = 'pending'"
        " AND action NOT IN ('create', 'refresh') AND rowid < (SELECT rowid FROM deliveries WHERE id = ?)",
        (OVERTAKEN, now, broadcast, destination, delivery_id),
    )


def supersede_refreshes(
    connection: Connection, broadcast: str, destination: str, delivery_id: str, now: float, *, every: bool
) -> None:
    """
    End the refreshes of a post that wait for an attempt or are being prepared: a delivery that shows the newest state
    was prepared.

    :param every: whether those whose time has not come end too.
    """
    connection.execute(
        "UPDATE deliveries SET state = 'superseded', reason = ?, finished_at = ?"
        " WHERE broadcast = ? AND broadcast <> '' AND destination = ? AND action = 'refresh' AND id <> ?"
        " AND (state = 'pending' OR (state = 'accepted' AND (? OR next_attempt_at <= ?)))",
        (OVERTAKEN, now, broadcast, destination, delivery_id, every, now),
    )


def note_announced(connection: Connection, broadcast: str, title: str, category: str) -> None:
    """
    Store the title and the category that were announced last; an empty one says nothing.
    """
    connection.execute(
        "UPDATE broadcasts SET title = CASE ? WHEN '' THEN title ELSE ? END,"
        " category = CASE ? WHEN '' THEN category ELSE ? END WHERE id = ?",
        (title, title, category, category, broadcast),
    )


def resume(connection: Connection, broadcast: str, now: float) -> None:
    """
    Take back that a broadcast has ended.
    """
    connection.execute("UPDATE broadcasts SET offline_at = NULL, seen_at = ? WHERE id = ?", (now, broadcast))


def record_attempt(connection: Connection, delivery: Delivery, attempt: Attempt, now: float) -> None:
    """
    Store what an attempt did to its post, and what its answer says of the place.
    """
    if attempt.verdict in (Verdict.DESTINATION_GONE, Verdict.UNAUTHORIZED, Verdict.MOVED):
        connection.execute(
            "INSERT INTO places (place, verdict, moved_to, at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET verdict = excluded.verdict, moved_to = excluded.moved_to, at = excluded.at",
            (attempt.access, attempt.verdict.value, attempt.moved_to, now),
        )
    if attempt.ok and delivery.mention:
        connection.execute(
            "INSERT INTO known (kind, key, value, at) VALUES (?, ?, 1, ?) ON CONFLICT DO UPDATE SET at = excluded.at",
            (_MENTIONED, _mention_key(delivery.destination, delivery.streamer), now),
        )
    if not delivery.broadcast or delivery.action is Action.FOLLOW_UP:
        return
    if attempt.ok and delivery.action is Action.CREATE:
        connection.execute(
            "INSERT INTO posts (broadcast, destination, place, remote, shown, state, at) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET place = excluded.place, remote = excluded.remote, shown = excluded.shown,"
            " state = excluded.state, at = excluded.at",
            (
                delivery.broadcast,
                delivery.destination,
                attempt.place,
                attempt.remote,
                delivery.shown,
                (PostState.OPEN if attempt.remote else PostState.LOST).value,
                now,
            ),
        )
        return
    if delivery.action in (Action.EDIT, Action.REFRESH) and attempt.is_uncertain:
        connection.execute(
            "UPDATE posts SET shown = '' WHERE broadcast = ? AND destination = ?",
            (delivery.broadcast, delivery.destination),
        )
    state = _state_after(connection, delivery, attempt)
    if state is not None:
        connection.execute(
            "UPDATE posts SET state = ?, shown = CASE ? WHEN 1 THEN ? ELSE shown END, at = ?"
            " WHERE broadcast = ? AND destination = ?",
            (state.value, attempt.ok, delivery.shown, now, delivery.broadcast, delivery.destination),
        )


def _state_after(connection: Connection, delivery: Delivery, attempt: Attempt) -> PostState | None:
    if attempt.verdict is Verdict.MESSAGE_GONE or (attempt.ok and delivery.action is Action.DELETE):
        return PostState.GONE
    if attempt.verdict is Verdict.SKIPPED:
        return PostState.CLOSED
    if not attempt.ok:
        return None
    row = connection.execute(
        "SELECT event_type, requested FROM deliveries JOIN events ON events.id = event_id WHERE deliveries.id = ?",
        (delivery.id,),
    ).fetchone()
    ended = connection.execute(
        "SELECT 1 FROM broadcasts WHERE id = ? AND offline_at IS NOT NULL", (delivery.broadcast,)
    ).fetchone()
    # What an operator requeues shows the state of the moment, whatever it was about.
    shows_end = row["event_type"] == STREAM_OFFLINE or row["requested"]
    return PostState.CLOSED if shows_end and ended else PostState.OPEN


def _mention_key(destination: str, streamer: str) -> str:
    return f"{destination}/{streamer}"


def standing(connection: Connection, delivery_id: str, place: str = "") -> Standing:
    """
    Find out where the post stands that a delivery is about; a few lookups.

    :param place: of its destination: a post there counts also if the destination had another name.
    """
    own = connection.execute("SELECT rowid, * FROM deliveries WHERE id = ?", (delivery_id,)).fetchone()
    if own is None or not own["broadcast"]:
        return Standing()
    pair = {"broadcast": own["broadcast"], "destination": own["destination"], "own": own["rowid"]}
    others = connection.execute(
        "SELECT rowid AS place, id, event_id, state, action FROM deliveries WHERE broadcast = :broadcast"
        " AND broadcast <> '' AND destination = :destination AND rowid <> :own AND action <> 'follow_up'"
        " ORDER BY place",
        pair,
    ).fetchall()
    earlier = [row for row in others if row["place"] < own["rowid"]]
    creations = [row for row in earlier if row["action"] == "create"]
    pending = [row for row in others if row["state"] == "pending" and row["action"] != "create"]
    creating = next((row["id"] for row in creations if not State(row["state"]).is_final), None)
    failed = next(
        (State(row["state"]) for row in reversed(creations) if row["state"] in ("dead", "expired", "cancelled")), None
    )
    mentioned = connection.execute(
        "SELECT at FROM known WHERE kind = ? AND key = ?",
        (_MENTIONED, _mention_key(own["destination"], own["streamer"])),
    ).fetchone()
    return Standing(
        broadcast=_to_broadcast(
            connection.execute("SELECT * FROM broadcasts WHERE id = ?", (own["broadcast"],)).fetchone()
        ),
        post=_post(connection, own["broadcast"], own["destination"], place),
        creating=creating,
        uncertain=creating is not None and _may_have_created(connection, creating),
        changing=any(row["action"] == "refresh" or row["place"] < own["rowid"] for row in pending),
        overtaken=any(row["action"] != "refresh" for row in pending)
        if own["action"] == "refresh"
        else any(
            row["place"] > own["rowid"] and row["action"] != "refresh" and row["state"] in ("pending", "delivered")
            for row in others
        ),
        given_up=any(row["state"] == "superseded" and row["event_id"] == own["broadcast"] for row in creations),
        requested=bool(own["requested"]),
        failed=failed,
        mentioned=_has_mentioned(connection, pair),
        mentioned_at=None if mentioned is None else mentioned["at"],
    )


def _may_have_created(connection: Connection, delivery_id: str) -> bool:
    """
    Whether an attempt without a success may have created something all the same: its answer was lost, or 5xx.
    """
    found = connection.execute(
        f"SELECT 1 FROM attempts WHERE delivery_id = ? AND {_UNCERTAIN}",  # noqa: S608 - our own words
        (delivery_id,),
    ).fetchone()
    return found is not None


def _has_mentioned(connection: Connection, pair: Mapping[str, object]) -> bool:
    """
    Whether a message with a mention was delivered, or may have been.
    """
    found = connection.execute(
        "SELECT 1 FROM deliveries WHERE broadcast = :broadcast AND broadcast <> ''"  # noqa: S608 - our own words
        " AND destination = :destination AND mention AND (state = 'delivered' OR EXISTS"
        f" (SELECT 1 FROM attempts WHERE delivery_id = deliveries.id AND {_UNCERTAIN}))",
        pair,
    ).fetchone()
    return found is not None


def adopt_post(connection: Connection, broadcast: str, destination: str, place: str) -> None:
    """
    Give a post that stands at a place to the destination that is there now, unless that has one.
    """
    connection.execute(
        "UPDATE OR IGNORE posts SET destination = ? WHERE broadcast = ? AND place = ? AND destination <> ?",
        (destination, broadcast, place or None, destination),
    )


def _post(connection: Connection, broadcast: str, destination: str, place: str) -> Post | None:
    row = connection.execute(
        "SELECT * FROM posts WHERE broadcast = ? AND (destination = ? OR place = ?) ORDER BY destination = ? DESC",
        (broadcast, destination, place or None, destination),
    ).fetchone()
    if row is None:
        return None
    return Post(
        broadcast=row["broadcast"],
        destination=row["destination"],
        place=row["place"],
        remote=row["remote"],
        shown=row["shown"],
        state=PostState(row["state"]),
    )


def live(connection: Connection) -> Sequence[Broadcast]:
    """
    The broadcasts whose end is not known, the oldest first.
    """
    rows = connection.execute("SELECT * FROM broadcasts WHERE offline_at IS NULL ORDER BY id")
    return [each for row in rows if (each := _to_broadcast(row)) is not None]


def latest(connection: Connection, broadcaster_id: str) -> Broadcast | None:
    """
    The broadcast of a channel that began last.
    """
    return next(map(_to_broadcast, _find_recent(connection, broadcaster_id, 1)), None)


def _to_broadcast(row: Row | None) -> Broadcast | None:
    if row is None:
        return None
    return Broadcast(
        id=row["id"],
        broadcaster_id=row["broadcaster_id"],
        streamer=row["streamer"],
        started_at=row["started_at"],
        stream_ids=tuple(json.loads(row["stream_ids"])),
        offline_at=row["offline_at"],
        title=row["title"],
        category=row["category"],
        type=row["type"],
        seen_at=row["seen_at"],
    )


def places(connection: Connection) -> Mapping[str, tuple[Verdict, str]]:
    """
    The places that must not be used any more, or have moved: the verdict, and the new address.
    """
    rows = connection.execute("SELECT place, verdict, moved_to FROM places")
    return {row["place"]: (Verdict(row["verdict"]), row["moved_to"]) for row in rows}


def open_posts(connection: Connection) -> Sequence[OpenPost]:
    """
    The posts that can still change, by destination, those that were changed last in front; at most ten thousand.
    """
    rows = connection.execute(
        "SELECT destination, streamer, started_at, posts.at AS at FROM posts JOIN broadcasts ON id = broadcast"
        " WHERE state = 'open' ORDER BY destination, posts.at DESC LIMIT 10000"
    )
    return [
        OpenPost(
            destination=row["destination"],
            streamer=row["streamer"],
            started_at=row["started_at"],
            changed_at=row["at"],
        )
        for row in rows
    ]


def forget_places(connection: Connection, forgotten: Sequence[str]) -> None:
    """
    Let places be used again.
    """
    connection.executemany("DELETE FROM places WHERE place = ?", ((place,) for place in forgotten))


def purge(connection: Connection, before: float, limit: int) -> int:
    """
    Remove broadcasts that ended before a time and have no deliveries left, with their posts; at most ``limit``.

    :return: how many.
    """
    return connection.execute(
        "DELETE FROM broadcasts WHERE id IN (SELECT id FROM broadcasts WHERE at < ?"
        " AND (offline_at IS NOT NULL OR at < ?)"
        " AND NOT EXISTS (SELECT 1 FROM deliveries WHERE broadcast = broadcasts.id AND broadcast <> '')"
        " ORDER BY at LIMIT ?)",
        (before, before - _LONGEST_BROADCAST, limit),
    ).rowcount
