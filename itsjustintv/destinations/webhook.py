"""
The kind ``webhook``: a signed POST of the payload.
"""

from __future__ import annotations

from attrs import frozen
from zope.interface import implementer

from itsjustintv.destinations.payload import build_payload, embed_picture
from itsjustintv.destinations.receiver import ReceiverSettings, check_receiver, receiver_place
from itsjustintv.destinations.response import classify_status
from itsjustintv.interfaces import DestinationKind, IDestination
from itsjustintv.model import Delivery, Destination, Notice, OutgoingRequest, Result
from itsjustintv.support.http_response import Response, header_values, retry_after

__all__ = ["WEBHOOK", "Settings", "Webhook"]


@frozen(kw_only=True)
class Settings(ReceiverSettings):
    """
    The keys of a destination of this kind.
    """


@implementer(IDestination)
@frozen
class Webhook:
    """
    A receiver that takes the payload of the original program.
    """

    _destination: Destination

    def render(self, notice: Notice) -> bytes:
        return build_payload(notice)

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        """
        The picture and the signature take about a millisecond for a picture of half a megabyte, less than a thread
        would cost.
        """
        settings = self._settings()
        body = delivery.body if delivery.picture is None else embed_picture(delivery.body, delivery.picture)
        headers = [("Content-Type", "application/json"), *settings.request_headers(delivery.event_id, now, body)]
        return OutgoingRequest(method="POST", url=settings.url, headers=headers, body=body)

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        """
        Go by the status alone: 2xx is success, 410 is final, anything else is tried again.
        """
        wait = retry_after(header_values(response.headers, b"Retry-After"), now)
        return classify_status(response.status, self._destination.name, wait)

    def _settings(self) -> ReceiverSettings:
        """
        Those of ``[destinations.NAME]``, or what the keys of a streamer and of ``[global_webhook]`` say.
        """
        destination = self._destination
        if isinstance(destination.settings, Settings):
            return destination.settings
        return Settings(
            url=destination.url,
            secret=destination.secret,
            header=destination.header,
            hashing=destination.hashing,
            signature=destination.signature,
        )


WEBHOOK = DestinationKind(
    name="webhook",
    open=Webhook,
    settings=Settings,
    check=check_receiver,
    place=receiver_place,
    keeps_posts=False,
    concurrency=None,
)
