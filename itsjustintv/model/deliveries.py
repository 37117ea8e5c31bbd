"""
An event on its way to a destination, its attempts, and what is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import Factory, field, frozen

from itsjustintv.model.destinations import Verdict
from itsjustintv.support.foreign_text import quote

__all__ = [
    "NOTHING_SENT",
    "SERVER_ERROR",
    "UNDELIVERED",
    "Accounting",
    "Action",
    "Attempt",
    "Census",
    "Delivery",
    "Due",
    "Outcome",
    "State",
    "sent_form",
    "shown_form",
]


class Action(StrEnum):
    """
    What a delivery does with the post of its broadcast at a destination.

    ``FOLLOW_UP`` is a further message beside the post, which mentions no user. ``REFRESH`` is a later edit for what
    Twitch has by then, a newer preview or the recording; what sends it sees an ``EDIT``.
    """

    CREATE = "create"
    EDIT = "edit"
    DELETE = "delete"
    FOLLOW_UP = "follow_up"
    REFRESH = "refresh"

    @property
    def word(self) -> str:
        """
        The action as people read it: ``follow-up``.
        """
        return self.value.replace("_", "-")


class State(StrEnum):
    """
    Where an (event, destination) stands. It ends in exactly one of the last six. ``SUPERSEDED``: what it would have
    shown has been overtaken by later news, or is shown already.
    """

    ACCEPTED = "accepted"
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    EXPIRED = "expired"
    FILTERED = "filtered"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"

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
    :ivar body: what :meth:`itsjustintv.interfaces.IDestination.render` made; empty until it is built.
    :ivar picture: the picture's bytes, embedded when the payload is sent; or ``None``.
    :ivar trace: the trace that its attempts belong to, as a ``traceparent`` (W3C Trace Context); empty for none.
    :ivar broadcaster_id: of the event; empty unless the delivery was loaded for an attempt.
    :ivar broadcast: id of the :class:`Broadcast` that it belongs to; empty where there are no posts.
    :ivar action: what is done with the post, known once it is prepared.
    :ivar remote: of the post that is edited or deleted, as :attr:`Post.remote`.
    :ivar shown: hash of what the post shows afterwards.
    :ivar plain: whether the content was rejected once, so that the plain form is sent.
    :ivar mention: whether it mentions those whom the policy names.
    :ivar requested: whether an operator asked for it, whatever has become of its post.
    :ivar form: what its body was made for, as :attr:`Destination.form`; empty while there is none, or not known.
    :ivar refreshes: how many seconds after ``accepted_at`` its post is refreshed, once it was delivered: each time by a
        further delivery of the same event.
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
    broadcast: str = ""
    action: Action = Action.CREATE
    remote: str = ""
    shown: str = ""
    plain: bool = False
    mention: bool = False
    requested: bool = False
    form: str = ""
    refreshes: tuple[float, ...] = ()

    @property
    def post_action(self) -> Action | None:
        """
        What it did with the post, will do, or has failed to do; ``None`` where there is no post, while that is not
        decided, and when it turned out not to be needed. A refresh is decided from the beginning.
        """
        if self.action is Action.REFRESH:
            return self.action
        is_idle = self.state in (State.ACCEPTED, State.FILTERED, State.CANCELLED, State.SUPERSEDED)
        return None if is_idle or not self.broadcast or not self.shown else self.action


def sent_form(stored: Any, *, plain: bool) -> Any:
    """
    Find in a parsed :attr:`Delivery.body` what is sent: services that may reject what is formatted have the plain form
    stored beside it, as ``{"body": ..., "plain": ...}``.
    """
    if isinstance(stored, dict) and stored.keys() == {"body", "plain"}:
        return stored["plain" if plain else "body"]
    return stored


def shown_form(stored: Any, *, plain: bool) -> Any:
    """
    As :func:`sent_form`, without the bytes of a picture, which no person reads.
    """
    form = sent_form(stored, plain=plain)
    image = form.get("image") if isinstance(form, dict) else None
    if not isinstance(image, dict):
        return form
    return {**form, "image": {name: value for name, value in image.items() if name != "data"}}


@frozen(order=True)
class Due:
    """
    When a delivery is due, small enough to keep many in memory.

    :ivar at: not before this moment.
    """

    at: float
    id: str


#: The reasons of attempts without a status that ended before anything was sent, or were refused in so many words.
NOTHING_SENT = ("refused", "dns", "tls", "egress", "rejected", "unauthorized", "gone")
SERVER_ERROR = 500


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
    :ivar trace: the span of this attempt, as sent to the receiver; empty for none. Not stored; nor are the next ones,
        which are those of its :class:`Result`, but for ``remote``, which becomes that of the post.
    :ivar place: where it was sent, as :attr:`Destination.place`; likewise ``access``.
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
    verdict: Verdict = field(default=Factory(lambda self: Verdict.OK if self.ok else Verdict.RETRY, takes_self=True))
    remote: str = ""
    pause: float = 0.0
    pause_host: bool = False
    pace: float = 0.0
    moved_to: str = field(default="", repr=False)
    place: str = ""
    access: str = ""

    @property
    def is_uncertain(self) -> bool:
        """
        Whether it may have had its effect although no answer says so: none came, or 5xx.
        """
        if self.ok:
            return False
        return self.reason not in NOTHING_SENT if self.status is None else self.status >= SERVER_ERROR

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
    :ivar may_double: whether a message may stand twice: an attempt may have created it, and another one follows.
    """

    delivery: Delivery
    attempt: Attempt | None
    at: float
    may_double: bool = False


@frozen(kw_only=True)
class Accounting:
    """
    The conservation law in numbers: ``wanted`` equals the sum of all the others.

    :ivar wanted: (event, destination) pairs ever accepted, each counted again for every refresh of its post, and when
        an operator had it sent again.
    """

    wanted: int
    accepted: int
    pending: int
    delivered: int
    dead: int
    expired: int
    filtered: int
    cancelled: int
    superseded: int = 0

    @property
    def imbalance(self) -> int:
        """
        How many pairs are unaccounted for; anything but 0 is a defect.
        """
        ended = self.delivered + self.dead + self.expired + self.filtered + self.cancelled + self.superseded
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
    :ivar oldest_at: when the oldest delivery that has not ended was accepted; ``None`` when all have. A refresh that
        waits for its time does not count.
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
