"""
The kind ``gotify``: a message of an application, in Markdown. It cannot be edited; with a client's token it can be
deleted.

Sources: gotify.net/docs/msgextras, and the server's source for errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import orjson
from attrs import field, frozen
from zope.interface import implementer

from itsjustintv.config.urls import base_url
from itsjustintv.config.values import between, visible
from itsjustintv.destinations.formats import GOTIFY, PLAIN
from itsjustintv.destinations.message_forms import MessageField, MessageForms
from itsjustintv.destinations.message_values import message_event, message_values
from itsjustintv.destinations.post_body import AGENT, NOTHING, pack, present, to_send
from itsjustintv.destinations.service_answer import ServiceAnswer
from itsjustintv.destinations.service_probe import answer_json, get_request, named
from itsjustintv.interfaces import DestinationKind, IDestination, Probe, ProbeAnswer
from itsjustintv.model import Action, Delivery, Destination, Notice, OutgoingRequest, Result
from itsjustintv.support.http_response import Response

__all__ = ["GOTIFY_KIND", "Gotify", "Settings"]

# The server has no limits: these keep a notification readable.
_TITLE, _MESSAGE = 250, 4000

# Of the Android app: shown without a sound.
_LOW = 1

_FIELDS = {
    "title": MessageField(format=PLAIN, limit=_TITLE),
    "message": MessageField(format=GOTIFY, limit=_MESSAGE, required=True),
}

_ABOUT = "{% if title %}**{{ title }}**\n\n{% endif %}{% if category %}{{ category }}\n\n{% endif %}"
_LIVE = {
    "title": "{{ name }} is live",
    "message": _ABOUT + "{% if url %}[Watch]({{ url }}){% elif not title and not category %}Live on Twitch{% endif %}",
}
_BUILTIN = {
    "online": _LIVE,
    "update": _LIVE,
    "offline": {
        "title": "{{ name }} was live",
        "message": (
            _ABOUT
            + "{% if duration %}Live for {{ duration }}{% else %}The broadcast has ended{% endif %}"
            + "{% if vod %} · [Watch the recording]({{ vod }}){% endif %}"
        ),
    },
}
_FORMS = MessageForms(_FIELDS, _BUILTIN)
_PLAIN = MessageForms(
    {"message": MessageField(format=PLAIN, limit=_MESSAGE)},
    {each: {"message": "{{ title|default(name) }}"} for each in _BUILTIN},
)

_ID = re.compile(r"[1-9]\d{0,18}", re.ASCII)


@frozen(kw_only=True)
class Settings:
    """
    The keys of a destination of this kind.

    :ivar url: of the server.
    :ivar token: of an application.
    :ivar client_token: of a client of the same user, which can delete messages; empty for none.
    :ivar priority: 0 to 10.
    """

    url: str
    token: str = field(repr=False)
    client_token: str = field(default="", repr=False)
    priority: int = 5


@implementer(IDestination)
@frozen
class Gotify:
    """
    An application of a Gotify server.
    """

    _destination: Destination

    def render(self, notice: Notice) -> bytes:
        """
        Make the message: Markdown, the address that opens with it, and a preview. The plain form is a title.
        """
        if notice.action is Action.DELETE:
            return NOTHING
        settings, event = self._settings, message_event(notice)
        values = message_values(notice, self._destination)
        priority = min(settings.priority, _LOW) if notice.silent else settings.priority
        url, thumbnail = values["url"], values["thumbnail"]
        shown = present(click={"url": url} if url else None, bigImageUrl=thumbnail)
        body = {
            **present(title=_FORMS.text(self._destination, event, "title", values)),
            "message": _FORMS.text(self._destination, event, "message", values),
            "priority": priority,
            "extras": {
                "client::display": {"contentType": "text/markdown"},
                **present(**{"client::notification": shown}),
            },
        }
        plain = {
            "title": _FORMS.builtin_text(event, "title", values),
            "message": _PLAIN.builtin_text(event, "message", values),
            "priority": priority,
        }
        return pack(body, plain)

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        settings = self._settings
        url = f"{settings.url.rstrip('/')}/message"
        if delivery.action is Action.DELETE:
            headers = [("User-Agent", AGENT), ("X-Gotify-Key", settings.client_token)]
            return OutgoingRequest(method="DELETE", url=f"{url}/{delivery.remote}", headers=headers, body=b"")
        headers = [("Content-Type", "application/json"), ("User-Agent", AGENT), ("X-Gotify-Key", settings.token)]
        return OutgoingRequest(method="POST", url=url, headers=headers, body=orjson.dumps(to_send(delivery)))

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        answer = ServiceAnswer.read(self._destination, response, now)
        if answer.is_success:
            identity = str(answer.json.get("id", ""))
            return answer.delivered(identity if _ID.fullmatch(identity) else "")
        if answer.status == 429:
            return answer.pause("wants fewer requests")
        if answer.status in (408, 425) or answer.status < 400 or answer.status >= 500:
            return answer.by_status()
        return _refused(answer, delivery)

    @property
    def _settings(self) -> Settings:
        settings: Settings = self._destination.settings
        return settings


def _refused(answer: ServiceAnswer, delivery: Delivery) -> Result:
    if not answer.json and answer.status in (401, 403, 404):
        return answer.retry("is no Gotify server, by its answer: check url, and any proxy in between")
    if delivery.action is Action.DELETE:
        if answer.status == 404:
            return answer.message_gone()
        if answer.status in (401, 403):
            return answer.skipped("does not let the client delete messages: check client_token")
    if answer.status in (401, 403):
        return answer.unauthorized("does not know the application: check token")
    if answer.status == 404:
        return answer.retry("takes no messages at this address: check url")
    return answer.rejected("does not accept the message: correct the templates in messages")


def _check(settings: Settings) -> Iterator[tuple[str, str]]:
    yield from (("url", sentence) for sentence in base_url(settings.url))
    yield from (("token", sentence) for sentence in visible(settings.token))
    yield from (("client_token", sentence) for sentence in visible(settings.client_token))
    if settings.client_token and settings.client_token == settings.token:
        yield "client_token", "must be the token of a client: an application cannot delete messages"
    yield from (("priority", sentence) for sentence in between(0, 10)(settings.priority))


def _place(settings: Settings) -> Sequence[str]:
    return (settings.url.rstrip("/").lower(), settings.token)


def _deletes(settings: Settings) -> bool:
    return bool(settings.client_token)


def _ask(settings: Settings) -> OutgoingRequest:
    return get_request(f"{settings.url.rstrip('/')}/health")


def _read_probe(response: Response, _: Settings) -> ProbeAnswer | None:
    found = answer_json(response)
    if "health" not in found:
        return None
    if found["health"] == "green":
        return ProbeAnswer(True, "has a healthy server; the token shows only in a test")
    return ProbeAnswer(False, f"has a server that says that its health is {named(found, 'health')}: see its log")


GOTIFY_KIND = DestinationKind(
    name="gotify",
    open=Gotify,
    settings=Settings,
    check=_check,
    place=_place,
    deletes=_deletes,
    fields=tuple(_FIELDS),
    check_messages=_FORMS.check,
    probe=Probe(ask=_ask, read=_read_probe),
)
