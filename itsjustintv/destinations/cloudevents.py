"""
The kind ``cloudevents``: each event as a CloudEvent 1.0 over HTTP (cloudevents/spec, "CloudEvents" and "HTTP Protocol
Binding"), with the payload as its data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import quote

import orjson
from attrs import evolve, frozen
from twisted.web import http
from zope.interface import implementer

from itsjustintv.config.values import one_of
from itsjustintv.destinations.payload import build_payload
from itsjustintv.destinations.receiver import ReceiverSettings, check_receiver, receiver_place
from itsjustintv.destinations.response import classify_status
from itsjustintv.interfaces import DestinationKind, IDestination
from itsjustintv.model import (
    Delivery,
    Destination,
    Event,
    Notice,
    OutgoingRequest,
    Result,
    Verdict,
    parse_rfc3339,
    rfc3339,
)
from itsjustintv.support.http_response import Response, header_values, retry_after

__all__ = ["CLOUDEVENTS", "CloudEvents", "Settings"]

_STRUCTURED, _BINARY = "structured", "binary"

_JSON = "application/json"
_EVENT = "application/cloudevents+json; charset=utf-8"

# Stands for itself in the value of a header: printable ASCII without space, double quote and percent sign (HTTP
# Protocol Binding, 3.1.3.2).
_LITERAL = "".join(chr(each) for each in range(0x21, 0x7F) if chr(each) not in '"%')

_TOO_MANY_REQUESTS = 429


@frozen(kw_only=True)
class Settings(ReceiverSettings):
    """
    The keys of a destination of this kind.

    :ivar mode: ``structured``: the whole event is the body; ``binary``: its attributes are headers, its data the body.
    """

    mode: str = _STRUCTURED


@implementer(IDestination)
@frozen
class CloudEvents:
    """
    A receiver of CloudEvents 1.0 in JSON.
    """

    _destination: Destination

    def render(self, notice: Notice) -> bytes:
        """
        Make the event in its structured form, whatever the mode is, which may change before it is sent.
        """
        attributes = orjson.dumps(_attributes(notice.event))
        return attributes.removesuffix(b"}") + b',"data":' + build_payload(notice) + b"}"

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        """
        The picture is left out: a receiver need not take more than 64 KiB ("CloudEvents", Size Limits).
        """
        settings = self._settings()
        body, headers = delivery.body, [("Content-Type", _EVENT)]
        if settings.mode == _BINARY:
            attributes = orjson.loads(delivery.body)
            body = orjson.dumps(attributes.pop("data"))
            headers = [("Content-Type", attributes.pop("datacontenttype"))]
            headers += [(f"ce-{name}", quote(value, safe=_LITERAL)) for name, value in attributes.items()]
        headers += settings.request_headers(delivery.event_id, now, body)
        return OutgoingRequest(method="POST", url=settings.url, headers=headers, body=body)

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        """
        Go by the status alone. 410 ends the use of the address, 415 that of the event, and 429 says how long to wait
        ("HTTP 1.1 Web Hooks for Event Delivery", 2.2); all else is tried again, like a webhook.
        """
        wait = retry_after(header_values(response.headers, b"Retry-After"), now)
        result = classify_status(response.status, self._destination.name, wait)
        if response.status == http.GONE:
            return evolve(result, verdict=Verdict.DESTINATION_GONE)
        if response.status == http.UNSUPPORTED_MEDIA_TYPE:
            mode = self._settings().mode
            other = _BINARY if mode == _STRUCTURED else _STRUCTURED
            detail = f'{self._destination.name} answered 415: it takes no events in the mode "{mode}"; set "{other}".'
            return evolve(result, detail=detail, final=True, verdict=Verdict.REJECTED)
        if response.status == _TOO_MANY_REQUESTS and wait:
            return evolve(result, verdict=Verdict.PAUSE, pause=wait)
        return result

    def _settings(self) -> Settings:
        settings = self._destination.settings
        return settings if isinstance(settings, Settings) else Settings(url=self._destination.url)


def _attributes(event: Event) -> Mapping[str, str]:
    """
    The attributes of an event, in the order in which they are sent. ``source`` and ``id`` together are unique. A login
    that cannot be written is left out.
    """
    login = event.broadcaster_login
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": f"/twitch/channels/{quote(event.broadcaster_id, safe='', errors='replace')}",
        "type": f"tv.itsjustintv.{event.event_type}",
        **({"subject": login} if login and login.isascii() and login.isprintable() else {}),
        "time": _time(event),
        "datacontenttype": _JSON,
    }


def _time(event: Event) -> str:
    started = parse_rfc3339(event.started_at)
    if started is not None:
        return rfc3339(started)
    return rfc3339(event.occurred_at or event.received_at, "milliseconds")


def _check(settings: Settings) -> Iterator[tuple[str, str]]:
    yield from check_receiver(settings)
    yield from (("mode", sentence) for sentence in one_of(_STRUCTURED, _BINARY)(settings.mode))


CLOUDEVENTS = DestinationKind(
    name="cloudevents",
    open=CloudEvents,
    settings=Settings,
    check=_check,
    place=receiver_place,
    keeps_posts=False,
    concurrency=None,
)
