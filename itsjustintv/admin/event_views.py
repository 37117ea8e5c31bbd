"""
Events and deliveries as the page and the API show them, made of the journal's histories. The docstrings are the
descriptions in the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

from itsjustintv.journal.history import DeliveryHistory, EventHistory
from itsjustintv.model import Action, Attempt, Delivery, State, parse_rfc3339, rfc3339
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
    One attempt to deliver.

    :ivar started_at: when it began.
    :ivar duration: how long it took.
    :ivar ok: whether the response was 2xx.
    :ivar reason: one word: delivered, http_503, timeout, refused, reset, dns, tls, redirect, gone, error.
    :ivar detail: explanation for people.
    :ivar status: status of the response; null if none came.
    :ivar response: beginning of the response's body on one line, without secrets. Its headers are not stored.
    :ivar retry_after: seconds of the receiver's Retry-After; null without it.
    :ivar request: the request; null in every list, and for a test notification.
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
    The delivery of an event to one destination.

    :ivar id: id of the delivery.
    :ivar event_id: id of its event.
    :ivar streamer: key of the streamer.
    :ivar destination: name of the destination.
    :ivar state: state of the delivery.
    :ivar reason: why it is in this state.
    :ivar action: what it did, will do or has failed to do with its post; null where there is no post, while that is not
        decided, and when it was not needed.
    :ivar attempts: number of attempts that have ended; a requeue counts from 0.
    :ivar accepted_at: when the event was stored, or when an operator requeued the delivery.
    :ivar next_attempt_at: when the next attempt is due; null without one.
    :ivar finished_at: when the delivery ended; null while it has not.
    :ivar prepared_at: when the payload was built; null while it was not, and in lists of deliveries.
    :ivar tries: every attempt, in order; only the last one in lists of deliveries.
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
    action: Action | None = None
    prepared_at: str | None = None
    tries: Sequence[AttemptView] = ()
    payload: Any = None


@frozen(kw_only=True)
class EventView:
    """
    A stream.online event and its deliveries.

    :ivar id: id of the event, the same in every notification.
    :ivar stream_id: id of the broadcast at Twitch.
    :ivar user_id: user id of the streamer.
    :ivar login: login of the streamer.
    :ivar name: display name of the streamer.
    :ivar title: title of the broadcast; empty when it was not known.
    :ivar game: category of the broadcast; empty likewise.
    :ivar type: type of the broadcast at Twitch: ``live``, ``rerun``.
    :ivar deed: what the streamer did, in words.
    :ivar recovered: whether it was found by asking Twitch who is live, since no message arrived.
    :ivar started_at: when the broadcast started, by Twitch; null when Twitch sent no valid time.
    :ivar received_at: when the message was received.
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
    How deliveries to a destination are signed.

    :ivar kind: ``hub``, ``standard`` or ``both``; empty where they are requests of a service, which are not signed.
    :ivar signed: whether there is a secret.
    :ivar header: name of the header of the ``hub`` signature.
    :ivar hashing: its algorithm.
    """

    kind: str
    signed: bool
    header: str
    hashing: str


Signings = Callable[[str], Signing | None]


def moment(seconds_: float | None) -> str | None:
    """
    A time as it is shown, to the millisecond.
    """
    return None if seconds_ is None else rfc3339(seconds_, "milliseconds")


def to_attempt_view(attempt: Attempt, request: RequestView | None = None) -> AttemptView:
    """
    :param request: to be shown with it.
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
    :param whole: given, payload and requests are included; finds how a destination is signed.
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
        action=delivery.post_action,
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
        payload=story.payload if whole is not None and story.payload else None,
    )


def to_event_view(story: EventHistory, whole: Signings | None = None) -> EventView:
    """
    Show an event and its deliveries.

    :param whole: as for a delivery.
    """
    event = story.event
    started_at = parse_rfc3339(event.started_at)
    return EventView(
        id=event.id,
        stream_id=event.stream_id,
        user_id=event.broadcaster_id,
        login=event.broadcaster_login,
        name=event.broadcaster_name or event.broadcaster_login or event.broadcaster_id,
        title=story.title,
        game=story.category,
        type=event.type,
        deed=event.action,
        recovered=event.recovered,
        started_at=moment(started_at),
        received_at=rfc3339(event.received_at, "milliseconds"),
        deliveries=[to_delivery_view(each, whole) for each in story.deliveries],
    )


#: Stand for secrets, and for what is not stored.
HIDDEN, NOT_STORED = "[redacted]", "[not stored]"

_SOURCE = "The journal does not store the URL and the headers of a request; this one is reconstructed from "


@frozen(kw_only=True)
class HeaderView:
    """
    A header of a request.

    :ivar name: name of the header.
    :ivar value: value of the header; [redacted] where it is a secret, [not stored] where it is not known.
    """

    name: str
    value: str


@frozen(kw_only=True)
class RequestView:
    """
    The request of an attempt. Its body is the payload of the delivery, with the bytes of the picture if there was one.

    :ivar method: HTTP method.
    :ivar target: path and query; always [redacted], since any part of them can be a secret.
    :ivar headers: headers of the request.
    :ivar source: what it was reconstructed from, since requests are not stored.
    """

    method: str
    target: str
    headers: Sequence[HeaderView]
    source: str


def to_request_view(delivery: Delivery, attempt: Attempt, signing: Signing | None) -> RequestView:
    """
    Reconstruct the request of an attempt.

    :param signing: current signing of the destination, ``None`` when that is no longer configured.
    """
    headers = [
        ("Host", HIDDEN),
        ("Content-Type", "application/json"),
        ("Content-Length", NOT_STORED),
        ("User-Agent", f"itsjustintv/{NOT_STORED}"),
    ]
    source = f"{_SOURCE}what all requests have in common. How it was signed is not known: the destination was removed."
    if signing is not None and not signing.kind:
        source = f"{_SOURCE}what all requests have in common. Those of the destination's type have other parts as well."
        headers = headers[:3]
    elif signing is not None:
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
        method="POST" if signing is None or signing.kind else NOT_STORED,
        target=HIDDEN,
        headers=[HeaderView(name=name, value=value) for name, value in headers],
        source=source,
    )
