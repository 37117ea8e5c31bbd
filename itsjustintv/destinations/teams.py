"""
The kind ``teams``: an Adaptive Card for a broadcast, by a workflow of Microsoft Teams that a request to its URL starts.

Sources: learn.microsoft.com, "Create incoming webhooks with Workflows for Microsoft Teams", "Format cards in Microsoft
Teams" and "Rate limiting for incoming webhooks"; adaptivecards.io, schema 1.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from attrs import field, frozen
from zope.interface import implementer

from itsjustintv.destinations.formats import TEAMS
from itsjustintv.destinations.message_forms import MessageField, MessageForms
from itsjustintv.destinations.message_values import message_event, message_values
from itsjustintv.destinations.post_body import NOTHING, pack, to_send
from itsjustintv.destinations.service_answer import ServiceAnswer, shown_word
from itsjustintv.destinations.text import UTF8
from itsjustintv.interfaces import DestinationKind, IDestination
from itsjustintv.model import Action, Card, Delivery, Destination, Notice, OutgoingRequest, Result
from itsjustintv.support.http_response import Response

__all__ = ["TEAMS_KIND", "Settings", "Teams"]

_ADDRESS = re.compile(r"https?://[^/?#\s]+/[^#\s]*")

# A message has 28 KB at most, and 21 KB are safe: the three texts, with all of their characters escaped in JSON, are
# far from both.
_FIELDS = {
    "text": MessageField(format=TEAMS, limit=1000, counter=UTF8, required=True),
    "title": MessageField(format=TEAMS, limit=2000, counter=UTF8),
    "details": MessageField(format=TEAMS, limit=1000, counter=UTF8),
    "button": MessageField(format=TEAMS, limit=100, counter=UTF8),
}

_LIVE = {
    "text": "{{ name }} is live!",
    "title": "{{ title }}",
    "details": (
        "{{ category }}{% if category and started %} · {% endif %}{% if started %}Since {{ started }}{% endif %}"
    ),
    "button": "Watch",
}
_BUILTIN = {
    "online": _LIVE,
    "update": _LIVE,
    "offline": {
        "text": "{{ name }} was live{% if duration %} for {{ duration }}{% endif %}.",
        "title": "{{ title }}",
        "details": "{{ category }}",
        "button": "{% if vod %}Watch the recording{% endif %}",
    },
}
_FORMS = MessageForms(_FIELDS, _BUILTIN)

# What the connectors answered with status 200 before there were workflows, and some gateways still do.
_FAILURE = re.compile(r"returned HTTP error (\d{3})\b", re.ASCII)


@frozen(kw_only=True)
class Settings:
    """
    The keys of a destination of this kind.

    :ivar url: of the workflow, with its signature.
    :ivar wrap: whether the card is sent as the attachment of a message, as most workflows want it.
    """

    url: str = field(repr=False)
    wrap: bool = True


@implementer(IDestination)
@frozen
class Teams:
    """
    A workflow that posts a card. Nothing that it has accepted can be changed.
    """

    _destination: Destination

    def render(self, notice: Notice) -> bytes:
        """
        Make the card: a streamer's words are in ``TextRun``, where nothing is markup. The plain form is its first line
        alone.
        """
        if notice.action is Action.DELETE:
            return NOTHING
        destination, event = self._destination, message_event(notice)
        values = message_values(notice, destination)
        text = {name: _FORMS.text(destination, event, name, values) for name in _FIELDS}
        card = _card([*_body(text, values)], _actions(text["button"], event, values))
        return pack(self._message(card), self._message(_card([_run(text["text"], weight="Bolder")])))

    def _message(self, card: Mapping[str, Any]) -> Mapping[str, Any]:
        settings: Settings = self._destination.settings
        if not settings.wrap:
            return card
        kind = "application/vnd.microsoft.card.adaptive"
        return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        if delivery.action in (Action.EDIT, Action.DELETE):
            raise ValueError("a workflow of Teams cannot change a message")
        return OutgoingRequest(
            method="POST",
            url=self._destination.settings.url,
            headers=[("Content-Type", "application/json")],
            body=orjson.dumps(to_send(delivery)),
        )

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        answer = ServiceAnswer.read(self._destination, response, now)
        if not answer.is_success:
            return _meaning(answer, answer.status)
        failure = _FAILURE.search(answer.text()[:2000])
        return _meaning(answer, int(failure[1])) if failure else answer.delivered()


def _body(text: Mapping[str, str], values: Mapping[str, object]) -> Iterator[Mapping[str, Any]]:
    lines = [_run(text["text"], weight="Bolder", size="Large")]
    if text["title"]:
        lines.append(_run(text["title"]))
    if text["details"]:
        lines.append(_run(text["details"], isSubtle=True))
    profile, thumbnail = (_picture(values[name]) for name in ("profile", "thumbnail"))
    if profile:
        image = {"type": "Image", "url": profile, "size": "Medium", "style": "Person", "altText": "Profile image"}
        columns = [
            {"type": "Column", "width": "auto", "items": [image]},
            {"type": "Column", "width": "stretch", "items": lines},
        ]
        yield {"type": "ColumnSet", "columns": columns}
    else:
        yield from lines
    if thumbnail:
        yield {"type": "Image", "url": thumbnail, "size": "Stretch", "altText": "Preview of the broadcast"}


def _run(text: str, **style: object) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}


def _picture(address: object) -> str:
    """
    A picture that Teams can show: it fetches over HTTPS only.
    """
    url = str(address or "")
    return url if url.lower().startswith("https://") else ""


def _actions(label: str, event: str, values: Mapping[str, object]) -> Sequence[Mapping[str, Any]]:
    url = (values["vod"] if event == "offline" else None) or values["url"]
    return [{"type": "Action.OpenUrl", "title": label, "url": url}] if label and url else []


def _card(body: Sequence[Mapping[str, Any]], actions: Sequence[Mapping[str, Any]] = ()) -> Mapping[str, Any]:
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    }
    return card | {"actions": actions} if actions else card


def _meaning(answer: ServiceAnswer, status: int) -> Result:  # noqa: PLR0911 - a table
    """
    :param status: of the answer, or the one that stands in its text.
    """
    error = answer.json.get("error")
    code = shown_word(error.get("code")) if isinstance(error, dict) else ""
    if status == 429:
        return answer.pause("wants fewer messages")
    if status in (408, 425) or status >= 500:
        return answer.retry("has trouble of its own")
    if status == 401 or code == "DirectApiAuthorizationRequired":
        return answer.unauthorized("does not accept the signature in the url: copy the url of the workflow again")
    if code == "WorkflowTriggerIsNotEnabled":
        return answer.gone("has the workflow switched off: switch it on")
    if status in (403, 404, 410):
        return answer.gone("has no workflow that can be used at this url: copy it again, or make a new workflow")
    if status == 413:
        return answer.rejected("does not accept a message of that size: shorten the templates in messages")
    return answer.rejected(f"does not accept the message{f' ({code})' if code else ''}: check wrap")


def _check(settings: Settings) -> Iterator[tuple[str, str]]:
    if not _ADDRESS.fullmatch(settings.url):
        yield "url", "must be the URL of a workflow, as Teams shows it after the workflow was made"


def _read_card(body: Mapping[str, Any]) -> Card | None:
    content = body["attachments"][0]["content"] if "attachments" in body else body
    parts = content["body"]
    profile = parts[0]["type"] == "ColumnSet"
    lines = parts[0]["columns"][1]["items"] if profile else [each for each in parts if each["type"] != "Image"]
    first, *others = ["".join(run["text"] for run in each["inlines"]) for each in lines]
    labels = tuple(each["title"] for each in content.get("actions", ()))
    picture = any(each["type"] == "Image" for each in parts)
    return Card(title=first, details=(*others, *labels), profile=profile, picture=picture)


TEAMS_KIND = DestinationKind(
    name="teams",
    open=Teams,
    settings=Settings,
    check=_check,
    place=lambda settings: (settings.url,),
    fields=tuple(_FIELDS),
    check_messages=_FORMS.check,
    card=_read_card,
)
