"""
The frozen values that travel from one part to the next.

Times are seconds since the epoch, UTC, as ``float``; texts that came from Twitch are kept as Twitch wrote them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum, StrEnum
from hashlib import sha256

from attrs import Factory, asdict, field, frozen

from itsjustintv.support.foreign_text import quote

__all__ = [
    "UNDELIVERED",
    "Acceptance",
    "Accounting",
    "Attempt",
    "Census",
    "Delivery",
    "Destination",
    "Due",
    "Enrichment",
    "Event",
    "Notice",
    "Outcome",
    "OutgoingRequest",
    "Picture",
    "Presence",
    "Result",
    "State",
    "StreamDetails",
    "Streamer",
    "Subscribed",
    "broadcast_key",
    "broadcast_keys",
    "parse_rfc3339",
    "rfc3339",
]


def broadcast_key(user_id: str, stream_id: str, started_at: str) -> str:
    """
    Name one broadcast, whatever message announced it.

    The form is that of the original program's ``cache.json`` (hex SHA-256 of
    ``user_id:stream_id:unix(started_at)``), so that its memory can be taken over.

    :param started_at: RFC 3339; a text that is not a time is used as it is.
    """
    try:
        started = str(int(datetime.fromisoformat(started_at).timestamp()))
    except ValueError:
        started = started_at
    return sha256(f"{user_id}:{stream_id}:{started}".encode()).hexdigest()


def rfc3339(seconds: float, timespec: str = "seconds") -> str:
    """
    Write a time in UTC, with ``Z`` at its end.

    :param seconds: since the epoch.
    :param timespec: how exactly, as :meth:`datetime.datetime.isoformat` has it; what is finer is cut off.
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec).removesuffix("+00:00") + "Z"


def parse_rfc3339(text: object) -> float | None:
    """
    Seconds since the epoch of a moment with a time zone, or ``None`` for what is none.
    """
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return None if found is None or found.tzinfo is None else found.timestamp()


def broadcast_keys(user_id: str, stream_id: str, started_at: str, message_id: str) -> tuple[str, ...]:
    """
    Make the deduplication keys of a broadcast's start: the broadcast, the message itself if there is one, and the
    stream.

    Twitch redelivers a message under its id, and sometimes sends one broadcast under two ids. The last key is for a
    broadcast that is reported twice with different times, by a message and by Get Streams.
    """
    return (
        broadcast_key(user_id, stream_id, started_at),
        *((f"message:{message_id}",) if message_id else ()),
        f"stream:{user_id}:{stream_id}",
    )


@frozen(kw_only=True)
class Event:
    """
    Something that happened on Twitch: a ``stream.online`` today.

    :ivar id: ours; unique, the same in every attempt to every destination. Holds no ``.`` (Standard Webhooks).
    :ivar message_id: ``Twitch-Eventsub-Message-Id``, opaque; empty when it was recovered.
    :ivar stream_id: ``event.id``, the broadcast.
    :ivar type: ``live``, or whatever else Twitch says.
    :ivar started_at: RFC 3339 as Twitch wrote it.
    :ivar received_at: when the request was read, or Twitch's answer.
    :ivar recovered: whether it was found by asking Twitch who is live, since no message came.
    :ivar trace: the trace of what is done for it, as a ``traceparent``; empty for none. The journal stores it with the
        deliveries.
    :ivar event_type: the EventSub subscription type. The journal does not store it yet.
    :ivar keys: deduplication keys; two events that share one are the same news.
    """

    id: str
    message_id: str
    stream_id: str
    broadcaster_id: str
    broadcaster_login: str
    broadcaster_name: str
    type: str
    started_at: str
    received_at: float
    recovered: bool = False
    trace: str = ""
    event_type: str = "stream.online"
    keys: tuple[str, ...] = field(
        default=Factory(
            lambda self: broadcast_keys(self.broadcaster_id, self.stream_id, self.started_at, self.message_id),
            takes_self=True,
        ),
        eq=False,
        repr=False,
    )

    @property
    def action(self) -> str:
        """
        What a log says that the streamer did. A message without a type counts as ``live``.
        """
        return "went live" if self.type in ("", "live") else f"began a broadcast of type {self.type}"

    def public(self) -> dict[str, object]:
        """
        Everything about it that is stored, as JSON.
        """
        return asdict(self, filter=lambda attribute, _: attribute.name not in ("event_type", "keys"))

    def with_trace(self, trace: str) -> Event:
        """
        The same event in a trace. Written out: it is made for every message, and ``evolve`` takes four times as long.
        """
        return Event(
            id=self.id,
            message_id=self.message_id,
            stream_id=self.stream_id,
            broadcaster_id=self.broadcaster_id,
            broadcaster_login=self.broadcaster_login,
            broadcaster_name=self.broadcaster_name,
            type=self.type,
            started_at=self.started_at,
            received_at=self.received_at,
            recovered=self.recovered,
            trace=trace,
            event_type=self.event_type,
            keys=self.keys,
        )


class Acceptance(Enum):
    """
    What became of an event: stored, known already, or of no configured streamer.
    """

    ACCEPTED = "processed"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"


@frozen(kw_only=True)
class Streamer:
    """
    A configured streamer.

    :ivar key: the name of the table in the configuration, ``foo`` in ``[streamers.foo]``.
    :ivar user_id: empty while unknown.
    :ivar login: lower-case, empty when only the id is configured.
    :ivar tag_filter: at least one of these must be a tag of the broadcast; empty lets everything through.
    :ivar types: of broadcasts that are announced; empty for all.
    :ivar destinations: names, resolved when something is sent.
    """

    key: str
    user_id: str = ""
    login: str = ""
    tag_filter: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    additional_tags: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()


@frozen(kw_only=True)
class Destination:
    """
    Where notices are sent, as configured now.

    :ivar kind: a key of :data:`itsjustintv.destinations.kinds.KINDS`.
    :ivar name: what logs and the journal call it; the URL may itself be a secret and is never logged.
    :ivar header: name of the header of the original's signature.
    :ivar hashing: ``sha1``, ``sha256`` or ``sha512``.
    :ivar signature: ``hub``, ``standard`` or ``both``.
    """

    name: str
    url: str = field(repr=False)
    secret: str = field(default="", repr=False)
    header: str = "X-Hub-Signature-256"
    hashing: str = "sha256"
    signature: str = "hub"
    kind: str = "webhook"


@frozen(kw_only=True)
class OutgoingRequest:
    """
    The HTTP request of one attempt.

    :ivar headers: names and values, in the order in which they are sent.
    """

    method: str
    url: str = field(repr=False)
    headers: Sequence[tuple[str, str]] = field(repr=False)
    body: bytes = field(repr=False)


@frozen
class Result:
    """
    What the answer to a request means, or the lack of one.

    :ivar reason: one stable word for logs and metrics, see :class:`Attempt`.
    :ivar detail: one sentence for the operator; no URL, no secret, nothing that the other side or an exception said.
    :ivar retry_after: seconds that the receiver asked to wait.
    :ivar final: whether no further attempt can succeed.
    """

    reason: str
    detail: str
    retry_after: float | None = None
    final: bool = False

    @property
    def ok(self) -> bool:
        """
        Whether the receiver took the notice.
        """
        return self.reason == "delivered"


@frozen(kw_only=True)
class Picture:
    """
    A profile image.

    :ivar data: the bytes, or ``None`` when only the address is known.
    """

    url: str
    mime_type: str = ""
    width: int = 300
    height: int = 300
    data: bytes | None = field(default=None, repr=False)


@frozen(kw_only=True)
class StreamDetails:
    """
    What Helix knows about the broadcast; an absent value is ``None`` or empty.

    :ivar listed: whether Get Streams listed this very broadcast; otherwise title, game and tags are the channel's.
    """

    listed: bool = False
    title: str = ""
    game_id: str = ""
    game_name: str = ""
    viewer_count: int | None = None
    language: str = ""
    thumbnail_url: str = ""


@frozen(kw_only=True)
class Enrichment:
    """
    Everything Helix added to an event, best effort.

    :ivar tags: Twitch's own tags; ``None`` when they could not be fetched, which is not the same as none.
    :ivar problems: one short reason for each thing that could not be had, for the log.
    """

    stream: StreamDetails = StreamDetails()
    tags: tuple[str, ...] | None = None
    followers_count: int | None = None
    description: str = ""
    picture: Picture | None = None
    problems: tuple[str, ...] = ()


@frozen(kw_only=True)
class Notice:
    """
    What a destination renders: an event, the streamer's entry in the configuration, and the details from Twitch.

    :ivar built_at: when it was put together.
    :ivar test: whether it is a test notification.
    """

    event: Event
    streamer: Streamer
    enrichment: Enrichment
    built_at: float
    test: bool = False


class State(StrEnum):
    """
    Where an (event, destination) stands. It ends in exactly one of the last five.
    """

    ACCEPTED = "accepted"
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    EXPIRED = "expired"
    FILTERED = "filtered"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """
        Whether it has ended, unless an operator requeues it.
        """
        return self not in (State.ACCEPTED, State.PENDING)

    @property
    def is_undelivered(self) -> bool:
        """
        Whether it ended because it could not be delivered, in time or at all.
        """
        return self in UNDELIVERED


#: The states that an operator may want to requeue: given up, or too old.
UNDELIVERED = (State.DEAD, State.EXPIRED)


@frozen(kw_only=True)
class Delivery:
    """
    One event on its way to one destination.

    :ivar id: unique; ``<event id>-<n>``.
    :ivar accepted_at: when the event was accepted; its age counts from here.
    :ivar attempts: how many have ended so far.
    :ivar next_attempt_at: not before this moment.
    :ivar body: the payload without the picture's bytes; empty until it is built.
    :ivar picture: the picture's bytes, embedded when the payload is sent; or ``None``.
    :ivar trace: the trace that its attempts belong to, as a ``traceparent`` (W3C Trace Context); empty for none.
    :ivar broadcaster_id: of the event; empty unless the delivery was loaded for an attempt.
    """

    id: str
    event_id: str
    streamer: str
    destination: str
    accepted_at: float
    next_attempt_at: float
    state: State = State.ACCEPTED
    attempts: int = 0
    reason: str = ""
    body: bytes = field(default=b"", repr=False)
    picture: bytes | None = field(default=None, repr=False)
    trace: str = ""
    broadcaster_id: str = field(default="", eq=False)


@frozen
class Owner:
    """
    The channel of a destination that is not configured any more.

    :ivar user_id: empty if not known; so is ``login``.
    :ivar others: keys of streamers that had deliveries to other destinations at the same time.
    """

    user_id: str
    login: str
    others: Collection[str] = ()

    def is_now(self, streamer: Streamer) -> bool:
        """
        Whether a new entry of the configuration is the same channel. A login counts only where an id is not known: it
        can have passed to another user.
        """
        if streamer.key in self.others:
            return False
        if self.user_id and streamer.user_id:
            return self.user_id == streamer.user_id
        return bool(self.login) and self.login == streamer.login


@frozen(order=True)
class Due:
    """
    When a delivery is due, small enough to keep many in memory.

    :ivar at: not before this moment.
    """

    at: float
    id: str


@frozen(kw_only=True)
class Attempt:
    """
    How one attempt ended.

    :ivar ok: whether the answer was 2xx.
    :ivar reason: one stable word or two for logs and metrics: ``delivered``, ``http_503``, ``timeout``, ``refused``,
        ``reset``, ``dns``, ``tls``, ``redirect``, ``gone``, ``error``.
    :ivar detail: one sentence for a person; no URL, no secret.
    :ivar status: the HTTP status, if an answer came.
    :ivar response: the beginning of the answer's body, as text.
    :ivar retry_after: seconds that the receiver asked to wait.
    :ivar final: whether no further attempt can succeed (410).
    :ivar duration: seconds.
    :ivar trace: the span of this attempt, as sent to the receiver; empty for none. Not stored.
    """

    ok: bool
    reason: str
    detail: str
    started_at: float
    duration: float
    status: int | None = None
    response: str = ""
    retry_after: float | None = None
    final: bool = False
    trace: str = ""

    @property
    def explanation(self) -> str:
        """
        The detail, and of a failed attempt the beginning of the receiver's answer.
        """
        words = "" if self.ok else quote(self.response)
        return f"{self.detail} It said: {words}." if words else self.detail


@frozen(kw_only=True)
class Outcome:
    """
    What sinks are notified of: an attempt that ended, or the end of a delivery without one.

    :ivar delivery: as it stands now, its state and reason included.
    :ivar attempt: the attempt that led here, if one was made.
    :ivar at: when.
    """

    delivery: Delivery
    attempt: Attempt | None
    at: float


@frozen(kw_only=True)
class Accounting:
    """
    The conservation law in numbers: ``wanted`` equals the sum of all the others.

    :ivar wanted: (event, destination) pairs ever accepted, each counted again when an operator had it sent again.
    """

    wanted: int
    accepted: int
    pending: int
    delivered: int
    dead: int
    expired: int
    filtered: int
    cancelled: int

    @property
    def imbalance(self) -> int:
        """
        How many pairs are unaccounted for; anything but 0 is a defect.
        """
        ended = self.delivered + self.dead + self.expired + self.filtered + self.cancelled
        return self.wanted - (self.accepted + self.pending + ended)

    @property
    def undelivered(self) -> int:
        """
        How many ended undelivered, ever: those that retention removed included.
        """
        return self.dead + self.expired


@frozen(kw_only=True)
class Census:
    """
    Where everything stands that was accepted.

    :ivar pending: deliveries that wait for an attempt, by destination.
    :ivar oldest_at: when the oldest delivery that has not ended was accepted; ``None`` when all have.
    :ivar dead: deliveries that were given up and are still in the journal.
    :ivar undelivered: those, and the expired ones that are: what can be requeued.
    :ivar newest_at: when the newest event was received; ``None`` when there is none in the journal.
    """

    accounting: Accounting
    pending: Mapping[str, int]
    oldest_at: float | None
    dead: int
    undelivered: int
    newest_at: float | None


@frozen(kw_only=True)
class Presence:
    """
    What is known of a streamer at this moment. An absent text is empty.

    :ivar live: ``None`` while unknown.
    :ivar viewers: ``None`` while unknown.
    :ivar started_at: RFC 3339 as Twitch wrote it.
    :ivar pictured: whether there is a profile image.
    """

    live: bool | None = None
    name: str = ""
    title: str = ""
    game: str = ""
    viewers: int | None = None
    started_at: str = ""
    pictured: bool = False


class Subscribed(StrEnum):
    """
    Whether the events of a streamer arrive.
    """

    ENABLED = "enabled"
    PENDING = "pending"
    BROKEN = "broken"
    UNKNOWN = "unknown"
    UNKNOWN_LOGIN = "unknown login"
