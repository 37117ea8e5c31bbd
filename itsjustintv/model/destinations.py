"""
Where notices are sent, what is sent, and what the answer means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Any

from attrs import Factory, field, frozen

__all__ = [
    "Destination",
    "DestinationFilter",
    "DestinationPolicy",
    "OutgoingRequest",
    "Result",
    "Verdict",
    "hash_place",
]


@frozen(kw_only=True)
class DestinationFilter:
    """
    Which broadcasts a destination hears of: all of these must hold, and a list holds when one of its entries does. An
    entry that begins with ``!`` excludes; an empty list holds always.

    :ivar categories: names or ids, whole, in any case.
    :ivar title: words, in any case; ``/.../`` is a regular expression.
    :ivar tags: whole, in any case.
    :ivar types: of streams, ``live`` or whatever else Twitch says.
    """

    categories: tuple[str, ...] = ()
    title: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


@frozen(kw_only=True)
class DestinationPolicy:
    """
    What a destination hears of and when, whatever its kind: the keys that all types of ``[destinations.NAME]`` have.
    Durations are seconds.

    :ivar events: ``online``, ``offline``, ``update``.
    :ivar on_offline: ``edit``, ``delete`` or ``post``: what becomes of the post when the broadcast has ended.
    :ivar on_update: ``edit`` or ``post``.
    :ivar late: ``skip`` or ``tell``: whether a broadcast that ended before it could be announced is announced then.
    :ivar recreate: whether a post that was deleted there by a person is posted again.
    :ivar mention: ``everyone``, ``here``, ``role:ID``, ``user:ID``: who is notified when the post is created.
    :ivar cooldown: no mention within this time after the last one for the same streamer.
    :ivar quiet_hours: ``HH:MM-HH:MM`` in ``timezone``, across midnight when the end is earlier.
    :ivar quiet: ``silent`` or ``drop``: what happens to a new post in quiet hours.
    :ivar timezone: an IANA name.
    :ivar edit_max_age: after which an edit or a deletion is given up.
    :ivar messages: templates: by event (``online``), by field (``content``).
    """

    events: tuple[str, ...] = ("online",)
    on_offline: str = "edit"
    on_update: str = "edit"
    late: str = "skip"
    recreate: bool = False
    mention: tuple[str, ...] = ()
    cooldown: float = 0.0
    quiet_hours: tuple[str, ...] = ()
    quiet: str = "silent"
    timezone: str = "UTC"
    edit_max_age: float = 86400.0
    filter: DestinationFilter = DestinationFilter()
    messages: Mapping[str, Mapping[str, str]] = field(factory=dict)


@frozen(kw_only=True)
class Destination:
    """
    Where notices are sent, as configured now.

    :ivar kind: a key of :data:`itsjustintv.destinations.kinds.KINDS`.
    :ivar name: what logs and the journal call it; the URL may itself be a secret and is never logged.
    :ivar header: name of the header of the original's signature.
    :ivar hashing: ``sha1``, ``sha256`` or ``sha512``.
    :ivar signature: ``hub``, ``standard`` or ``both``.
    :ivar settings: what only its kind has, as an instance of :attr:`itsjustintv.interfaces.DestinationKind.settings`;
        ``None`` for a webhook of a streamer or ``[global_webhook]``, whose settings are the five above.
    :ivar place: two destinations with the same are one; see :func:`hash_place`.
    :ivar secrets: what must not be quoted of answers, besides the URL.
    :ivar access: the place with its address and secrets. What a service says of a token or a chat holds for these, and
        no longer when one of them is replaced.
    :ivar keeps_posts: whether one post stands for a broadcast; otherwise every event is sent by itself, at once.
    :ivar edits: whether such a post can be edited.
    :ivar has_key: whether the service knows a message that is sent again by an id of ours.
    :ivar previews: whether its posts show a preview of the broadcast, and an edit shows a newer one.
    :ivar concurrency: simultaneous attempts; ``None`` for ``retry.concurrency``.
    :ivar moved_to: where the service said that it has moved; empty while it has not.
    """

    name: str
    url: str = field(repr=False)
    secret: str = field(default="", repr=False)
    header: str = "X-Hub-Signature-256"
    hashing: str = "sha256"
    signature: str = "hub"
    kind: str = "webhook"
    settings: Any = field(default=None, repr=False)
    policy: DestinationPolicy = DestinationPolicy()
    place: str = field(default=Factory(lambda self: hash_place(self.kind, self.url), takes_self=True))
    secrets: tuple[str, ...] = field(default=Factory(lambda self: (self.secret,), takes_self=True), repr=False)
    access: str = field(
        default=Factory(lambda self: hash_place(self.place, self.url, *self.secrets), takes_self=True), eq=False
    )
    keeps_posts: bool = False
    edits: bool = True
    has_key: bool = False
    previews: bool = False
    concurrency: int | None = None
    moved_to: str = ""

    @property
    def form(self) -> str:
        """
        What a payload is made for. Another type does not understand it, and at another address a post has another id;
        what keeps no posts gets the same bytes at its new URL.
        """
        return self.place if self.keeps_posts else self.kind


def hash_place(*parts: str) -> str:
    """
    Make :attr:`Destination.place` of what makes two destinations the same: kind, address, thread, chat, topic. A hash,
    since an address may be a secret and the journal stores it.
    """
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


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


class Verdict(StrEnum):
    """
    What an answer asks for. The names are words for the journal, logs and metrics.

    ``RETRY``: again, later. ``PAUSE``: the same, and nothing else to the same place until then. ``REJECTED``: this
    content will never be taken. ``SKIPPED``: it cannot be changed any more, and that does no harm. ``MESSAGE_GONE``:
    the post does not exist any more. ``DESTINATION_GONE``: nothing will ever be taken there. ``UNAUTHORIZED``: the
    same, because of the token. ``MOVED``: it has another address now.
    """

    OK = "ok"
    RETRY = "retry"
    PAUSE = "pause"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    MESSAGE_GONE = "message_gone"
    DESTINATION_GONE = "gone"
    UNAUTHORIZED = "unauthorized"
    MOVED = "moved"


@frozen
class Result:
    """
    What the answer to a request means, or the lack of one.

    :ivar reason: one stable word for logs and metrics, see :class:`Attempt`.
    :ivar detail: one sentence for the operator; no URL, no secret, nothing that the other side or an exception said.
    :ivar retry_after: seconds that the receiver asked to wait.
    :ivar final: whether no further attempt can succeed.
    :ivar verdict: what the kind's answer asks for; by default what the three above say.
    :ivar remote: of a post that was created, as :attr:`Post.remote`.
    :ivar pause: seconds for which the place gets no further request, also after a success.
    :ivar pause_host: whether that holds for every destination at the same host.
    :ivar pace: seconds between two requests from now on, after a limit that no header announces; 0 for no change.
    :ivar moved_to: for ``MOVED``: the new address, as :attr:`Destination.moved_to`.
    """

    reason: str
    detail: str
    retry_after: float | None = None
    final: bool = False
    verdict: Verdict = field(
        default=Factory(lambda self: Verdict.OK if self.ok else Verdict.RETRY, takes_self=True), kw_only=True
    )
    remote: str = field(default="", kw_only=True)
    pause: float = field(default=0.0, kw_only=True)
    pause_host: bool = field(default=False, kw_only=True)
    pace: float = field(default=0.0, kw_only=True)
    moved_to: str = field(default="", repr=False, kw_only=True)

    @property
    def ok(self) -> bool:
        """
        Whether the receiver took the notice.
        """
        return self.reason == "delivered"
