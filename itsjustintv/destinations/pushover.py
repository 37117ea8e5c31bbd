"""
The kind ``pushover``: a notification of an application, which can vanish by itself but cannot be changed.

Source: pushover.net/api.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from attrs import field, frozen
from zope.interface import implementer

from itsjustintv.config.urls import base_url
from itsjustintv.config.values import between
from itsjustintv.destinations.formats import PLAIN, PUSHOVER
from itsjustintv.destinations.message_forms import MessageField, MessageForms, make_note_texts
from itsjustintv.destinations.message_values import message_event, message_values
from itsjustintv.destinations.post_body import AGENT, NOTHING, pack, present, to_send
from itsjustintv.destinations.service_answer import ServiceAnswer, shown_word
from itsjustintv.destinations.service_probe import answer_json
from itsjustintv.interfaces import DestinationKind, IDestination, Probe, ProbeAnswer
from itsjustintv.model import Action, Delivery, Destination, Notice, OutgoingRequest, Result
from itsjustintv.support.counts import count
from itsjustintv.support.http_response import Response

__all__ = ["PUSHOVER_KIND", "Pushover", "Settings"]

_KEY = re.compile(r"[A-Za-z0-9]{30}", re.ASCII)
_DEVICE = re.compile(r"[A-Za-z0-9_-]{1,25}(?:,[A-Za-z0-9_-]{1,25})*", re.ASCII)

_MESSAGE, _TITLE, _BUTTON, _URL = 1024, 250, 100, 512

# Shown without sound or vibration.
_QUIET = -1

# "Not before five seconds", after an error of the service.
_LEAST_WAIT = 5.0

_FIELDS = {
    "title": MessageField(format=PLAIN, limit=_TITLE),
    "message": MessageField(format=PUSHOVER, limit=_MESSAGE, required=True),
    "button": MessageField(format=PLAIN, limit=_BUTTON),
}

_BUILTIN = make_note_texts("<b>{{ title }}</b>")
_FORMS = MessageForms(_FIELDS, _BUILTIN)
_PLAIN = MessageForms(
    {"message": MessageField(format=PLAIN, limit=_MESSAGE)},
    {each: {"message": "{{ title|default(name) }}"} for each in _BUILTIN},
)


@frozen(kw_only=True)
class Settings:
    """
    The keys of a destination of this kind.

    :ivar token: of an application.
    :ivar user: the key of a user or of a group.
    :ivar device: the name of a device; several with commas between them; empty for all.
    :ivar priority: -2 to 1. 2 would repeat until it is acknowledged.
    :ivar ttl: after how many seconds a notification vanishes; 0 for never.
    :ivar url: of the service.
    """

    token: str = field(repr=False)
    user: str = field(repr=False)
    device: str = ""
    priority: int = 0
    ttl: float = 0.0
    url: str = "https://api.pushover.net"


@implementer(IDestination)
@frozen
class Pushover:
    """
    A user or a group at Pushover.
    """

    _destination: Destination

    def render(self, notice: Notice) -> bytes:
        """
        Make the notification: a title, a text in HTML, and a button. The plain form has the title of the broadcast.
        """
        if notice.action is Action.DELETE:
            return NOTHING
        settings, event = self._settings, message_event(notice)
        values = message_values(notice, self._destination)
        text = {name: _FORMS.text(self._destination, event, name, values) for name in _FIELDS}
        url = (values["vod"] if event == "offline" else None) or values["url"]
        common = {
            "priority": min(settings.priority, _QUIET) if notice.silent else settings.priority,
            **present(ttl=int(settings.ttl), device=settings.device),
        }
        link = {"url": url, "url_title": text["button"]} if url and text["button"] and len(str(url)) <= _URL else {}
        body = {**present(title=text["title"]), "message": text["message"], "html": 1, **link, **common}
        plain = {
            "title": _FORMS.builtin_text(event, "title", values),
            "message": _PLAIN.builtin_text(event, "message", values),
            **common,
        }
        return pack(body, plain)

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        settings = self._settings
        content: Mapping[str, Any] = {"token": settings.token, "user": settings.user, **to_send(delivery)}
        headers = [("Content-Type", "application/json"), ("User-Agent", AGENT)]
        url = f"{settings.url.rstrip('/')}/1/messages.json"
        return OutgoingRequest(method="POST", url=url, headers=headers, body=orjson.dumps(content))

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        answer = ServiceAnswer.read(self._destination, response, now)
        if answer.status == 429:
            resets = answer.header_number("X-Limit-App-Reset")
            wait = None if resets is None else max(0.0, resets - now)
            return answer.pause("takes no more messages of this application this month", wait)
        if answer.status >= 500:
            return answer.retry("is in trouble", max(_LEAST_WAIT, answer.retry_after or 0.0))
        if answer.status in (408, 425) or answer.status // 100 == 3:
            return answer.by_status()
        if answer.is_success and answer.json.get("status", 1) == 1:
            return answer.delivered(shown_word(answer.json.get("request")))
        return _refused(answer)

    @property
    def _settings(self) -> Settings:
        settings: Settings = self._destination.settings
        return settings


def _refused(answer: ServiceAnswer) -> Result:
    """
    Read an error: the answer has the names of the parameters that are wrong as keys. It must not be repeated.
    """
    if "token" in answer.json:
        return answer.unauthorized("does not know the application: check token")
    if "user" in answer.json:
        return answer.unauthorized("does not know the user or the group: check user and device")
    if answer.status == 404:
        return answer.retry("takes no messages at this address: check url")
    wrong = next((name for name in ("message", "title", "url", "url_title", "device") if name in answer.json), "")
    return answer.rejected(f"does not accept {wrong or 'the message'}")


def _check(settings: Settings) -> Iterator[tuple[str, str]]:
    if not _KEY.fullmatch(settings.token):
        yield "token", "must be the token of an application: 30 letters and digits"
    if not _KEY.fullmatch(settings.user):
        yield "user", "must be the key of a user or of a group: 30 letters and digits"
    if settings.device and not _DEVICE.fullmatch(settings.device):
        yield "device", "must be the name of a device, or several with commas between them"
    yield from (("priority", sentence) for sentence in between(-2, 1)(settings.priority))
    if settings.ttl and settings.ttl < 1:
        yield "ttl", "must be at least a second, or 0 for notifications that stay"
    yield from (("url", sentence) for sentence in base_url(settings.url))


def _place(settings: Settings) -> Sequence[str]:
    return (settings.url.rstrip("/").lower(), settings.token, settings.user, settings.device)


def _ask(settings: Settings) -> OutgoingRequest:
    return OutgoingRequest(
        method="POST",
        url=f"{settings.url.rstrip('/')}/1/users/validate.json",
        headers=[("Content-Type", "application/json"), ("User-Agent", AGENT)],
        body=orjson.dumps({"token": settings.token, "user": settings.user}),
    )


def _read_probe(response: Response, _: Settings) -> ProbeAnswer | None:
    found = answer_json(response)
    devices = found.get("devices")
    if found.get("status") != 1 or not isinstance(devices, list):
        return None
    return ProbeAnswer(True, f"is a user or a group with {count(len(devices), 'device')}")


PUSHOVER_KIND = DestinationKind(
    name="pushover",
    open=Pushover,
    settings=Settings,
    check=_check,
    place=_place,
    fields=tuple(_FIELDS),
    check_messages=_FORMS.check,
    probe=Probe(ask=_ask, read=_read_probe),
)
