"""
The kind ``ntfy``: one notification for a broadcast, which newer servers and apps show in place of the one before.

Sources: docs.ntfy.sh/publish, and for the codes of errors the server's source. A note has a sequence id, which is ours:
a server that knows sequences (2.16 and newer) repeats it in its answer, an older one leaves it out and has no way to
change a note. Only what was repeated is edited, since an older server would show a second note instead.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from attrs import field, frozen
from zope.interface import implementer

from itsjustintv.config.urls import base_url
from itsjustintv.config.values import between, visible
from itsjustintv.destinations.formats import NTFY
from itsjustintv.destinations.message_forms import MessageField, MessageForms, make_note_texts
from itsjustintv.destinations.message_values import message_event, message_values
from itsjustintv.destinations.post_body import AGENT, NOTHING, pack, post_id, present, to_send
from itsjustintv.destinations.service_answer import ServiceAnswer
from itsjustintv.destinations.service_probe import answer_json, get_request
from itsjustintv.destinations.text import UTF8
from itsjustintv.interfaces import DestinationKind, IDestination, Probe, ProbeAnswer
from itsjustintv.model import Action, Delivery, Destination, Notice, OutgoingRequest, Result
from itsjustintv.support.http_response import Response
from itsjustintv.support.http_url import after_host

__all__ = ["NTFY_KIND", "Ntfy", "Settings"]

_NAME = re.compile(r"[-_A-Za-z0-9]{1,64}", re.ASCII)

# Bytes of a message. 4096 would make a file of it; and a whole body, with two long addresses, has less than 8192.
_MESSAGE = 1500

# Shown without sound or vibration.
_LOW = 2
_USUAL = 3

_FIELDS = {
    "title": MessageField(format=NTFY, limit=250, counter=UTF8),
    "message": MessageField(format=NTFY, limit=_MESSAGE, counter=UTF8, required=True),
    "button": MessageField(format=NTFY, limit=100, counter=UTF8),
}

_BUILTIN = make_note_texts("{{ title }}")
_FORMS = MessageForms(_FIELDS, _BUILTIN)

# Codes of errors (the server's source, errors.go): requests of a visitor, and messages of a day.
_TOO_MANY, _DAY_IS_OVER = 42901, 42908

# Seconds. A visitor's requests come back one in five seconds.
_PAUSE = 10.0
_DAY = 86400.0


@frozen(kw_only=True)
class Settings:
    """
    The keys of a destination of this kind.

    :ivar url: of the server.
    :ivar topic: who knows it can read and write it, unless the server protects it.
    :ivar token: an access token; or ``user`` and ``password``.
    :ivar priority: 1 to 5.
    :ivar tags: of the note; those that are names of emoji are shown as such.
    :ivar updates: whether server and apps can change a note.
    """

    url: str = "https://ntfy.sh"
    topic: str = field(repr=False)
    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    priority: int = _USUAL
    tags: tuple[str, ...] = ()
    updates: bool = False


@implementer(IDestination)
@frozen
class Ntfy:
    """
    A topic of an ntfy server.
    """

    _destination: Destination

    def render(self, notice: Notice) -> bytes:
        """
        Make the note. A change of it makes no sound.
        """
        if notice.action is Action.DELETE:
            return NOTHING
        settings, event = self._settings, message_event(notice)
        values = message_values(notice, self._destination)
        text = {name: _FORMS.text(self._destination, event, name, values) for name in _FIELDS}
        is_quiet = notice.silent or notice.action is Action.EDIT
        url, thumbnail = values["url"], values["thumbnail"]
        sequence = post_id(notice)
        common = present(
            sequence_id=sequence if _NAME.fullmatch(sequence) else "",
            priority=min(settings.priority, _LOW) if is_quiet else settings.priority,
            tags=settings.tags,
            click=url,
        )
        button = {"action": "view", "label": text["button"], "url": values["vod"] or url}
        body = present(
            title=text["title"],
            message=text["message"],
            icon=values["profile"],
            attach=thumbnail,
            filename="preview.jpg" if thumbnail else "",
            actions=[button] if all(button.values()) else [],
        )
        plain = {name: _FORMS.builtin_text(event, name, values) for name in ("title", "message")}
        return pack({**common, **body}, {**common, **plain})

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        settings = self._settings
        url = settings.url.rstrip("/")
        headers = [("User-Agent", AGENT), *_authorization(settings)]
        if delivery.action is Action.DELETE:
            return OutgoingRequest(
                method="DELETE", url=f"{url}/{settings.topic}/{delivery.remote}", headers=headers, body=b""
            )
        content: Mapping[str, Any] = {"topic": settings.topic, **to_send(delivery)}
        headers = [("Content-Type", "application/json"), *headers]
        return OutgoingRequest(method="POST", url=f"{url}/", headers=headers, body=orjson.dumps(content))

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        answer = ServiceAnswer.read(self._destination, response, now)
        if answer.is_success:
            sequence = answer.json.get("sequence_id")
            return answer.delivered(sequence if isinstance(sequence, str) and _NAME.fullmatch(sequence) else "")
        if answer.status == 429:
            return self._too_many(answer, now)
        if answer.status in (408, 425) or answer.status < 400 or answer.status >= 500:
            return answer.by_status()
        return _refused(answer, delivery)

    def _too_many(self, answer: ServiceAnswer, now: float) -> Result:
        """
        Wait by the code, since no answer says for how long. The server counts an account, or an address without one.
        """
        code = answer.json.get("code")
        everywhere = not (self._settings.token or self._settings.user)
        if code == _DAY_IS_OVER:
            return answer.pause("takes no more messages today (UTC)", _DAY - now % _DAY, host=everywhere)
        wait = _PAUSE if code == _TOO_MANY and answer.retry_after is None else None
        return answer.pause("wants fewer requests", wait, host=everywhere)

    @property
    def _settings(self) -> Settings:
        settings: Settings = self._destination.settings
        return settings


def _authorization(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.token:
        yield "Authorization", f"Bearer {settings.token}"
    elif settings.user:
        pair = f"{settings.user}:{settings.password}".encode()
        yield "Authorization", f"Basic {b64encode(pair).decode('ascii')}"


def _refused(answer: ServiceAnswer, delivery: Delivery) -> Result:
    if not answer.json and answer.status in (401, 403, 404):
        return answer.retry("is no ntfy server, by its answer: check url, and any proxy in between")
    if answer.status == 401:
        return answer.unauthorized("does not know the account: check token, or user and password")
    if answer.status == 403:
        return answer.unauthorized("does not let this account write to the topic: check topic and its access")
    if answer.status == 404 and delivery.action is Action.DELETE:
        return answer.skipped("cannot remove a note: that needs ntfy 2.16 or newer")
    if answer.status == 404:
        return answer.retry("takes no messages at this address: check url")
    code = answer.json.get("code")
    is_code = isinstance(code, int) and 10_000 <= code < 100_000
    return answer.rejected(f"does not accept the message{f' (error {code} of ntfy)' if is_code else ''}")


def _check(settings: Settings) -> Iterator[tuple[str, str]]:
    yield from (("url", sentence) for sentence in base_url(settings.url))
    if settings.topic and after_host(settings.url).strip("/") == settings.topic:
        yield "url", "must be the URL of the server alone: the topic is in topic"
    if not _NAME.fullmatch(settings.topic):
        yield "topic", "must have at most 64 letters, digits, - and _"
    yield from (("token", sentence) for sentence in visible(settings.token))
    if settings.token and settings.user:
        yield "token", "must not be given together with user"
    if ":" in settings.user:
        yield "user", "must not hold a colon"
    if settings.password and not settings.user:
        yield "password", "must not be given without user"
    yield from (("priority", sentence) for sentence in between(1, 5)(settings.priority))


def _place(settings: Settings) -> Sequence[str]:
    # Other credentials are tried where the ones before were refused.
    return (settings.url.rstrip("/").lower(), settings.topic, settings.token, settings.user, settings.password)


def _ask(settings: Settings) -> OutgoingRequest:
    return get_request(f"{settings.url.rstrip('/')}/v1/health")


def _read_probe(response: Response, _: Settings) -> ProbeAnswer | None:
    healthy = answer_json(response).get("healthy")
    if not isinstance(healthy, bool):
        return None
    if healthy:
        return ProbeAnswer(True, "has a healthy server; whether the topic can be written to shows only in a test")
    return ProbeAnswer(False, "has a server that says that it is not healthy: see its log")


NTFY_KIND = DestinationKind(
    name="ntfy",
    has_key=True,
    open=Ntfy,
    settings=Settings,
    check=_check,
    place=_place,
    edits=lambda settings: settings.updates,
    deletes=lambda settings: settings.updates,
    fields=tuple(_FIELDS),
    check_messages=_FORMS.check,
    probe=Probe(ask=_ask, read=_read_probe),
)
