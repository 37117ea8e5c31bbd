"""
The kind ``matrix``: one message in a room for a broadcast, which is replaced or redacted later.

Source: spec.matrix.org, client-server API 1.11: "Sending events to a room", "Event replacements", "User and room
mentions", "Rate limiting".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from html.parser import HTMLParser
from operator import attrgetter
from typing import Any
from urllib.parse import quote

import orjson
from attrs import field, frozen
from zope.interface import implementer

from itsjustintv.config.urls import base_url
from itsjustintv.config.values import visible
from itsjustintv.destinations.formats import MATRIX
from itsjustintv.destinations.message_forms import MessageField, MessageForms
from itsjustintv.destinations.message_values import message_event, message_values
from itsjustintv.destinations.post_body import AGENT, NOTHING, pack, to_send
from itsjustintv.destinations.service_answer import ServiceAnswer, number, shown_word
from itsjustintv.destinations.service_probe import answer_json, get_request
from itsjustintv.interfaces import DestinationKind, IDestination, Probe, ProbeAnswer
from itsjustintv.model import Action, Delivery, Destination, Notice, OutgoingRequest, Result
from itsjustintv.support.http_response import Response

__all__ = ["MATRIX_KIND", "Matrix", "Settings"]

_ROOM = re.compile(r"!\S{1,254}")
_USER = re.compile(r"@[^\s:]{1,200}:[^\s:]{1,200}(?::\d{1,5})?")
_EVENT = re.compile(r"\$[!-~]{1,254}")

# What a link to a user begins with.
_TO_USER = "https://matrix.to/#/"

# An edit holds the text four times, and an event has 65,536 bytes at most.
_FIELDS = {"text": MessageField(format=MATRIX, limit=3000, pings=True, required=True)}

_ABOUT = "{% if title %}{{ title }}\n{% endif %}{% if category %}<i>{{ category }}</i>\n{% endif %}"
_LINK = '{% if url %}<a href="{{ url }}">{{ url }}</a>{% endif %}'
_LIVE = {"text": "{% if mentions %}{{ mentions }} {% endif %}<b>{{ name }}</b> is live!\n" + _ABOUT + _LINK}
_BUILTIN = {
    "online": _LIVE,
    "update": _LIVE,
    "offline": {
        "text": (
            "{% if mentions %}{{ mentions }} {% endif %}<b>{{ name }}</b> was live.\n"
            + _ABOUT
            + "{% if duration %}Live for {{ duration }}{% else %}The broadcast has ended{% endif %}"
            + '{% if vod %} · <a href="{{ vod }}">Watch the recording</a>{% endif %}'
        )
    },
}
_FORMS = MessageForms(_FIELDS, _BUILTIN)


@frozen(kw_only=True)
class Settings:
    """
    The keys of a destination of this kind.

    :ivar homeserver: the URL of the server whose user writes.
    :ivar token: an access token of that user.
    :ivar room: the id of a room, not an alias of it.
    """

    homeserver: str
    token: str = field(repr=False)
    room: str


@implementer(IDestination)
@frozen
class Matrix:
    """
    A room that a user writes into.
    """

    _destination: Destination

    def render(self, notice: Notice) -> bytes:
        """
        Make the message, as HTML and as the same words without it. Whom it mentions is a list of its own: without one,
        servers look for names in the text.
        """
        if notice.action is Action.DELETE:
            return NOTHING
        event, names = message_event(notice), self._destination.policy.mention if notice.mention else ()
        values = message_values(notice, self._destination, _mentions(names))
        notifies = notice.action is not Action.EDIT
        kind = "m.notice" if notice.silent and notifies else "m.text"
        mentioned = _mentioned(names) if notifies else {}
        html = _FORMS.text(self._destination, event, "text", values)
        body = {
            "msgtype": kind,
            "body": _without_markup(html),
            "format": "org.matrix.custom.html",
            "formatted_body": html.replace("\n", "<br>"),
            "m.mentions": mentioned,
        }
        plain = _without_markup(_FORMS.builtin_text(event, "text", values))
        return pack(body, {"msgtype": kind, "body": plain, "m.mentions": mentioned})

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        """
        The id of the delivery is that of the transaction, so that a repeated attempt is the same event.
        """
        settings = self._settings
        room = f"{settings.homeserver.rstrip('/')}/_matrix/client/v3/rooms/{quote(settings.room, safe='')}"
        transaction = quote(delivery.id, safe="")
        content: Mapping[str, Any] = {}
        path = f"send/m.room.message/{transaction}"
        if delivery.action is Action.DELETE:
            path = f"redact/{quote(delivery.remote, safe='')}/{transaction}"
        elif delivery.action is Action.EDIT:
            content = _replacement(to_send(delivery), delivery.remote)
        else:
            content = to_send(delivery)
        headers = [
            ("Content-Type", "application/json"),
            ("User-Agent", AGENT),
            ("Authorization", f"Bearer {settings.token}"),
        ]
        return OutgoingRequest(method="PUT", url=f"{room}/{path}", headers=headers, body=orjson.dumps(content))

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        answer = ServiceAnswer.read(self._destination, response, now)
        if answer.is_success:
            event = answer.json.get("event_id")
            return answer.delivered(event if isinstance(event, str) and _EVENT.fullmatch(event) else "")
        if answer.status == 429:
            milliseconds = number(answer.json.get("retry_after_ms"))
            return answer.pause("wants fewer messages", None if milliseconds is None else milliseconds / 1000)
        if answer.status in (408, 425) or answer.status < 400 or answer.status >= 500:
            return answer.by_status()
        return _refused(answer, delivery)

    @property
    def _settings(self) -> Settings:
        settings: Settings = self._destination.settings
        return settings


def _replacement(content: Mapping[str, Any], event: str) -> Mapping[str, Any]:
    """
    Make an edit: the new content, and for clients that know no edits the same as a message of its own.
    """
    fallback = {**content, "body": f"* {content['body']}"}
    if "formatted_body" in content:
        fallback["formatted_body"] = f"* {content['formatted_body']}"
    return {
        **fallback,
        "m.new_content": content,
        "m.relates_to": {"rel_type": "m.replace", "event_id": event},
    }


def _refused(answer: ServiceAnswer, delivery: Delivery) -> Result:  # noqa: PLR0911 - a table
    code = shown_word(answer.json.get("errcode"))
    changes = delivery.action in (Action.EDIT, Action.DELETE)
    if not code and answer.status in (401, 403, 404):
        return answer.retry("is no Matrix server, by its answer: check homeserver, and any proxy in between")
    if answer.status == 401:
        return answer.unauthorized("does not know the access token: check token")
    if answer.status == 403 and delivery.action is Action.DELETE:
        return answer.skipped("does not let the user remove the message")
    if answer.status == 403:
        return answer.gone("does not let the user write into the room: check room, and let the user join it")
    if answer.status == 404 and code == "M_NOT_FOUND":
        return answer.message_gone() if changes else answer.gone("knows no such room: check room")
    if answer.status == 404:
        return answer.retry("does not know the request: check homeserver")
    if changes and answer.status == 400 and "unknown event" in str(answer.json.get("error", "")).casefold():
        return answer.message_gone()
    if code == "M_TOO_LARGE":
        return answer.rejected("takes no message of that length: shorten the templates in messages")
    return answer.rejected(f"does not accept the message{f' ({code})' if code else ''}")


class _Words(HTMLParser):
    """
    Collects the words of HTML, and the addresses of links that do not show them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._link = ""
        self._since = 0

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self.words.append("\n")
        elif tag == "a":
            self._link, self._since = dict(attrs).get("href") or "", len(self.words)

    def handle_endtag(self, tag: str) -> None:
        if tag != "a" or not self._link:
            return
        if not self._link.startswith(_TO_USER) and "".join(self.words[self._since :]) != self._link:
            self.words.append(f" ({self._link})")
        self._link = ""


def _without_markup(html: str) -> str:
    parser = _Words()
    parser.feed(html)
    parser.close()
    return "".join(parser.words).strip()


def _mentions(names: Sequence[str]) -> str:
    """
    The text that shows whom a message mentions.
    """
    return " ".join("@room" if each == "everyone" else _link(each) for each in (*_rooms(names), *_users(names)))


def _link(user: str) -> str:
    return f'<a href="{_TO_USER}{quote(user, safe="@:")}">{escape(user)}</a>'


def _rooms(names: Sequence[str]) -> Sequence[str]:
    return [each for each in names if each == "everyone"][:1]


def _users(names: Sequence[str]) -> Sequence[str]:
    users = [identity for kind, _, identity in (each.partition(":") for each in names) if kind == "user"]
    return [each for each in dict.fromkeys(users) if _USER.fullmatch(each)]


def _mentioned(names: Sequence[str]) -> Mapping[str, Any]:
    """
    Make ``m.mentions``: exactly those, whatever stands in the text.
    """
    users = _users(names)
    return {**({"room": True} if _rooms(names) else {}), **({"user_ids": users} if users else {})}


def _check_mention(name: str) -> str:
    return "" if _users((name,)) else "must have the whole name of a user, such as user:@name:example.org"


def _check(settings: Settings) -> Iterator[tuple[str, str]]:
    yield from (("homeserver", sentence) for sentence in base_url(settings.homeserver))
    yield from (("token", sentence) for sentence in visible(settings.token))
    if settings.room.startswith("#"):
        yield "room", "must be the id of the room, which begins with !: clients show it in the settings of the room"
    elif not _ROOM.fullmatch(settings.room):
        yield "room", "must be the id of a room, such as !abcdef:example.org"


def _place(settings: Settings) -> Sequence[str]:
    # Only the user who wrote a message can edit it.
    return (settings.homeserver.rstrip("/").lower(), settings.room, settings.token)


def _ask(settings: Settings) -> OutgoingRequest:
    url = f"{settings.homeserver.rstrip('/')}/_matrix/client/v3/joined_rooms"
    return get_request(url, ("Authorization", f"Bearer {settings.token}"))


def _read_probe(response: Response, settings: Settings) -> ProbeAnswer | None:
    rooms = answer_json(response).get("joined_rooms")
    if not isinstance(rooms, list):
        return None
    if settings.room in rooms:
        return ProbeAnswer(True, "is a room that the user of the token has joined")
    return ProbeAnswer(False, "is no room that the user of the token has joined: invite the user, and join the room")


MATRIX_KIND = DestinationKind(
    name="matrix",
    has_key=True,
    open=Matrix,
    settings=Settings,
    check=_check,
    address=attrgetter("homeserver"),
    place=_place,
    edits=True,
    deletes=True,
    mentions=frozenset({"everyone", "user"}),
    check_mention=_check_mention,
    fields=tuple(_FIELDS),
    check_messages=_FORMS.check,
    probe=Probe(ask=_ask, read=_read_probe),
)
