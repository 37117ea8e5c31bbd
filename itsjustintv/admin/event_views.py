"""
What is shown of the journal; like :mod:`itsjustintv.admin.views`, by the page and as JSON alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from itsjustintv.journal.history import DeliveryHistory, EventHistory
from itsjustintv.model import Attempt, Delivery, State, parse_rfc3339, rfc3339
from itsjustintv.support.signatures import SIGNERS, Signable

__all__ = [
    "AttemptView",
    "DeliveryView",
    "EventView",
    "HeaderView",
    "RequestView",
    "Signing",
    "moment",
    "to_attempt_view",
    "to_delivery_view",
    "to_event_view",
    "to_request_view",
]


@frozen(kw_only=True)
class AttemptView:
    """
    How one attempt to deliver ended.

    :ivar started_at: when it began.
    :ivar duration: how long it took.
    :ivar ok: whether the answer was 2xx.
    :ivar reason: a word: delivered, http_503, timeout, refused, reset, dns, tls, redirect, gone, error.
    :ivar detail: for a person.
    :ivar status: of the answer, if one came.
    :ivar response: the beginning of the answer's body on one line, without what of it is secret. Its headers are not
        stored.
    :ivar retry_after: seconds the receiver asked to be left alone; null if it did not.
    :ivar request: what was sent; null in every list, and for a test notification.
    """

    started_at: str
    duration: float
    ok: bool
    reason: str
    detail: str
    status: int | None
    response: str
    retry_after: float | None
    request: RequestView | None = None


@frozen(kw_only=True)
class DeliveryView:
    """
    An event on its way to one destination.

    :ivar id: of the delivery.
    :ivar event_id: of its event.
    :ivar streamer: the key of the streamer.
    :ivar destination: its name.
    :ivar state: where it stands.
    :ivar reason: why.
    :ivar attempts: how many have ended; an operator's retry counts from the beginning.
    :ivar accepted_at: when the event was on disk, or when an operator asked for another round.
    :ivar next_attempt_at: when it is tried next; null when it is not.
    :ivar finished_at: when it ended; null when it has not.
    :ivar prepared_at: when its payload was built; null when it was not, and in lists of deliveries.
    :ivar tries: every attempt, in order; the last only in lists of deliveries.
    :ivar payload: what the receiver gets, without the bytes of the picture; null in every list.
    """

    id: str
    event_id: str
    streamer: str
    destination: str
    state: State
    reason: str
    attempts: int
    accepted_at: str
    next_attempt_at: str | None
    finished_at: str | None
    prepared_at: str | None = None
    tries: Sequence[AttemptView] = ()
    payload: Any = None


@frozen(kw_only=True)
class EventView:
    """
    A stream.online, and what became of it.

    :ivar id: ours, the same in every notification.
    :ivar stream_id: of the broadcast, at Twitch.
    :ivar user_id: of the streamer.
    :ivar login: of the streamer.
    :ivar name: of the streamer, as Twitch shows it.
    :ivar title: of the broadcast, as far as it was known.
    :ivar game: its category.
    :ivar type: of the broadcast, as Twitch calls it: ``live``, ``rerun``.
    :ivar deed: what it is that the streamer did, in words.
    :ivar recovered: whether no message told of it, so that Twitch was asked.
    :ivar started_at: when the broadcast began, by Twitch; null when that was no time.
    :ivar received_at: when the message came.
    :ivar deliveries: one for each destination.
    """

    id: str
    stream_id: str
    user_id: str
    login: str
    name: str
    title: str
    game: str
    type: str
    deed: str
    recovered: bool
    started_at: str | None
    received_at: str
    deliveries: Sequence[DeliveryView]


@frozen(kw_only=True)
class Signing:
    """
    How a destination is signed for.

    :ivar kind: ``hub``, ``standard`` or ``both``.
    :ivar signed: whether there is a secret.
    :ivar header: name of the header of the original's signature.
    :ivar hashing: its algorithm.
    """

    kind: str
    signed: bool
    header: str
    hashing: str


Signings = Callable[[str], Signing | None]


def moment(seconds_: float | None) -> str | None:
    """
    A moment as it is shown, to the millisecond.
    """
    return None if seconds_ is None else rfc3339(seconds_, "milliseconds")


def to_attempt_view(attempt: Attempt, request: RequestView | None = None) -> AttemptView:
    """
    Tell of an attempt.

    :param request: what was sent, if that is to be told as well.
    """
    return AttemptView(
        started_at=rfc3339(attempt.started_at, "milliseconds"),
        duration=round(attempt.duration, 4),
        ok=attempt.ok,
        reason=attempt.reason,
        detail=attempt.detail,
        status=attempt.status,
        response=attempt.response,
        retry_after=attempt.retry_after,
        request=request,
    )


def to_delivery_view(story: DeliveryHistory, whole: Signings | None = None) -> DeliveryView:
    """
    Tell of a delivery.

    :param whole: how destinations are signed for, to tell payload and requests as well.
    """
    delivery = story.delivery
    waits = delivery.state in (State.ACCEPTED, State.PENDING)
    return DeliveryView(
        id=delivery.id,
        event_id=delivery.event_id,
        streamer=delivery.streamer,
        destination=delivery.destination,
        state=delivery.state,
        reason=delivery.reason,
        attempts=delivery.attempts,
        accepted_at=rfc3339(delivery.accepted_at, "milliseconds"),
        next_attempt_at=moment(delivery.next_attempt_at) if waits else None,
        finished_at=moment(story.finished_at),
        prepared_at=moment(story.prepared_at),
        tries=[
            to_attempt_view(
                each, None if whole is None else to_request_view(delivery, each, whole(delivery.destination))
            )
            for each in story.attempts
        ],
        payload=story.content if whole is not None and story.content else None,
    )


def to_event_view(story: EventHistory, whole: Signings | None = None) -> EventView:
    """
    Tell of an event and its deliveries. Title and category are those of the payload, if one was built.

    :param whole: as for a delivery.
    """
    event = story.event
    stream: Mapping[str, Any] = next((found for each in story.deliveries if (found := each.content.get("stream"))), {})
    started_at = parse_rfc3339(event.started_at)
    return EventView(
        id=event.id,
        stream_id=event.stream_id,
        user_id=event.broadcaster_id,
        login=event.broadcaster_login,
        name=event.broadcaster_name or event.broadcaster_login or event.broadcaster_id,
        title=stream.get("title") or "",
        game=stream.get("game_name") or "",
        type=event.type,
        deed=event.deed,
        recovered=event.recovered,
        started_at=moment(started_at),
        received_at=rfc3339(event.received_at, "milliseconds"),
        deliveries=[to_delivery_view(each, whole) for each in story.deliveries],
    )


#: Stands for what is a secret, or is not stored.
HIDDEN, NOT_STORED = "[redacted]", "[not stored]"

_SOURCE = "The journal does not store the URL and the headers of a request; this one is reconstructed from "


@frozen(kw_only=True)
class HeaderView:
    """
    A header of a request.

    :ivar name: its name.
    :ivar value: its value; [redacted] or [not stored] where it is a secret or not known.
    """

    name: str
    value: str


@frozen(kw_only=True)
class RequestView:
    """
    The request of an attempt. Its body is the payload of the delivery, with the bytes of the picture in it if there was
    one.

    :ivar method: of the request.
    :ivar target: path and query; always [redacted], since any part of them can be a secret.
    :ivar headers: those that are sent.
    :ivar source: what it was put together from, since it is not stored.
    """

    method: str
    target: str
    headers: Sequence[HeaderView]
    source: str


def to_request_view(delivery: Delivery, attempt: Attempt, signing: Signing | None) -> RequestView:
    """
    Tell what an attempt sent.

    :param signing: of the destination now, ``None`` when it is not configured any more.
    """
    headers = [
        ("Host", HIDDEN),
        ("Content-Type", "application/json"),
        ("Content-Length", NOT_STORED),
        ("User-Agent", f"itsjustintv/{NOT_STORED}"),
    ]
    source = f"{_SOURCE}what all requests have in common. How it was signed is not known: the destination was removed."
    if signing is not None:
        source = f"{_SOURCE}the payload, the time of the attempt and the current configuration of the destination."
        signable = Signable(
            secret="",
            header=signing.header,
            hashing=signing.hashing,
            message_id=delivery.event_id,
            timestamp=int(attempt.started_at),
        )
        for signer in SIGNERS[signing.kind]:
            if signing.signed or not signer.optional:
                headers += signer.masked(signable, NOT_STORED)
    if delivery.trace:
        headers.append(("traceparent", NOT_STORED))
    return RequestView(
        method="POST",
        target=HIDDEN,
        headers=[HeaderView(name=name, value=value) for name, value in headers],
        source=source,
    )
