"""
What was sent in an attempt, put together again.

The journal stores neither addresses nor headers, and what it does not know is not made up here: it is named as such.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from itsjustintv.model import Attempt, Delivery

__all__ = ["HeaderView", "RequestView", "Signing", "tell_request"]

#: Stands for what is a secret, or is not stored.
HIDDEN, NOT_STORED = "[redacted]", "[not stored]"

_SOURCE = "The journal stores neither the address nor the headers of a request: this is put together from "


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


def tell_request(delivery: Delivery, attempt: Attempt, signing: Signing | None) -> RequestView:
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
    source = f"{_SOURCE}what all requests have. The destination is not configured now: how it was signed is not known."
    if signing is not None:
        source = f"{_SOURCE}the payload, the time of the attempt and how the destination is configured now."
        if signing.signed and signing.kind != "standard":
            headers.append((signing.header, f"{signing.hashing}={NOT_STORED}"))
        if signing.kind != "hub":
            headers += [
                ("webhook-id", delivery.event_id),
                ("webhook-timestamp", str(int(attempt.started_at))),
                ("webhook-signature", f"v1,{NOT_STORED}"),
            ]
    if delivery.trace:
        headers.append(("traceparent", NOT_STORED))
    return RequestView(
        method="POST",
        target=HIDDEN,
        headers=[HeaderView(name=name, value=value) for name, value in headers],
        source=source,
    )
