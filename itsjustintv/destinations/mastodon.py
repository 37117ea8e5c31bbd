"""
The kind ``mastodon``: one status for a broadcast, which is edited or deleted later. Pleroma, Akkoma and GoToSocial have
the same interface.

Source: docs.joinmastodon.org, methods/statuses and api/rate-limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import orjson
from attrs import field, frozen
from zope.interface import implementer

from itsjustintv.config.urls import base_url
from itsjustintv.config.values import between, one_of, visible
from itsjustintv.destinations.formats import MASTODON
from itsjustintv.destinations.message_forms import MessageField, MessageForms
from itsjustintv.destinations.message_values import message_event, message_values
from itsjustintv.destinations.post_body import AGENT, NOTHING, pack, present, to_send
from itsjustintv.destinations.service_answer import ServiceAnswer, number, shown_word
from itsjustintv.destinations.service_probe import answer_json, get_request, named
from itsjustintv.destinations.text import TOOTS
from itsjustintv.interfaces import DestinationKind, IDestination, Probe, ProbeAnswer
from itsjustintv.model import Action, Delivery, Destination, Notice, OutgoingRequest, Result, parse_rfc3339
from itsjustintv.support.http_response import Response, header_values

__all__ = ["MASTODON_KIND", "Mastodon", "Settings"]

_VISIBILITIES = ("public", "unlisted", "private")
_USER = re.compile(r"@?(\w{1,64}(?:@[A-Za-z0-9.-]{1,253})?)", re.ASCII)
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z]{2,8})?", re.ASCII)

_USUAL_LIMIT = 500
_FIELDS = {"status": MessageField(format=MASTODON, limit=_USUAL_LIMIT, counter=TOOTS, pings=True, required=True)}

_MENTIONS = "{% if mentions %}{{ mentions }} {% endif %}"
_ABOUT = "{% if title %}{{ title }}\n{% endif %}{% if category %}{{ category }}\n{% endif %}"
_LIVE = {"status": _MENTIONS + "{{ name }} is live!\n\n" + _ABOUT + "{% if url %}{{ url }}{% endif %}"}
_BUILTIN = {
    "online": _LIVE,
    "update": _LIVE,
    "offline": {
        "status": (
            _MENTIONS
            + "{{ name }} was live.\n\n"
            + _ABOUT
            + "{% if duration %}Live for {{ duration }}\n{% else %}The broadcast has ended\n{% endif %}"
            + "{% if vod %}{{ vod }}{% endif %}"
        )
    },
}
_FORMS = MessageForms(_FIELDS, _BUILTIN)

# Some servers write the end of a limit as a number of seconds since the epoch.
_EPOCH = 1_000_000_000


@frozen(kw_only=True)
class Settings:
    """
    The keys of a destination of this kind.

    :ivar url: of the server.
    :ivar token: of an application of the account, with the scope ``write:statuses``.
    :ivar visibility: ``public``, ``unlisted`` or ``private``.
    :ivar language: of the statuses, as ISO 639 has it; empty for that of the account.
    :ivar max_characters: of a status, as the server has it.
    """

    url: str
    token: str = field(repr=False)
    visibility: str = "unlisted"
    language: str = ""
    max_characters: int = _USUAL_LIMIT


@implementer(IDestination)
@frozen
class Mastodon:
    """
    An account at a Mastodon server.
    """

    _destination: Destination

    def render(self, notice: Notice) -> bytes:
        """
        Make the status. The server finds mentions and tags in its text, so that an address or a name that a streamer
        writes is broken up.
        """
        if notice.action is Action.DELETE:
            return NOTHING
        settings, event = self._settings, message_event(notice)
        mentions = _mentions(self._destination.policy.mention) if notice.mention else ""
        values = message_values(notice, self._destination, mentions)
        limit = settings.max_characters
        common = present(
            language=settings.language, visibility="" if notice.action is Action.EDIT else settings.visibility
        )
        text = _FORMS.text(self._destination, event, "status", values, limit=limit)
        plain = _FORMS.builtin_text(event, "status", values, limit=limit)
        return pack({"status": text, **common}, {"status": plain, **common})

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        """
        A server remembers the id of the delivery for an hour, so that a repeated creation is the same status.
        """
        settings = self._settings
        url = f"{settings.url.rstrip('/')}/api/v1/statuses"
        headers = [("User-Agent", AGENT), ("Authorization", f"Bearer {settings.token}")]
        if delivery.action is Action.DELETE:
            return OutgoingRequest(method="DELETE", url=f"{url}/{delivery.remote}", headers=headers, body=b"")
        headers = [("Content-Type", "application/json"), *headers]
        method = "POST"
        if delivery.action is Action.EDIT:
            method, url = "PUT", f"{url}/{delivery.remote}"
        else:
            headers.append(("Idempotency-Key", delivery.id))
        return OutgoingRequest(method=method, url=url, headers=headers, body=orjson.dumps(to_send(delivery)))

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        answer = ServiceAnswer.read(self._destination, response, now)
        wait = _reset(response, now)
        if answer.is_success:
            spent = answer.header_number("X-RateLimit-Remaining") == 0
            return answer.delivered(shown_word(answer.json.get("id")), wait if spent else None)
        if answer.status == 429 and delivery.action is Action.DELETE:
            # There are 30 deletions in half an hour, and news need not wait for them.
            return answer.retry("takes no more deletions for a while")
        if answer.status == 429:
            return answer.pause("wants fewer requests", wait)
        if answer.status in (408, 425) or answer.status < 400 or answer.status >= 500:
            return answer.by_status()
        return _refused(answer, delivery)

    @property
    def _settings(self) -> Settings:
        settings: Settings = self._destination.settings
        return settings


def _reset(response: Response, now: float) -> float | None:
    """
    Seconds until a limit ends, by the header that has a time and not seconds; ``None`` if there is none.
    """
    values = header_values(response.headers, b"X-RateLimit-Reset")
    if not values:
        return None
    at = parse_rfc3339(values[0])
    if at is None:
        at = number(values[0])
    return None if at is None or at < _EPOCH else max(0.0, at - now)


def _refused(answer: ServiceAnswer, delivery: Delivery) -> Result:  # noqa: PLR0911 - a table
    if not answer.json and answer.status in (401, 403, 404):
        return answer.retry("is no Mastodon server, by its answer: check url, and any proxy in between")
    if answer.status == 401:
        return answer.unauthorized("does not know the access token: check token")
    if answer.status == 403:
        return answer.unauthorized("does not let the token post: give its application the scope write:statuses")
    if answer.status in (404, 410):
        if delivery.action in (Action.EDIT, Action.DELETE):
            return answer.message_gone()
        return answer.retry("takes no statuses at this address: check url")
    if answer.status == 422:
        return answer.rejected("does not accept the status: check max_characters, and the templates in messages")
    return answer.rejected("does not accept the status")


def _mentions(names: Sequence[str]) -> str:
    """
    The names that mention accounts.
    """
    found = [_USER.fullmatch(each.partition(":")[2]) for each in names]
    return " ".join(f"@{each[1]}" for each in found if each is not None)


def _check_mention(name: str) -> str:
    return "" if _mentions((name,)) else "must have the name of an account, such as user:name or user:name@example.org"


def _check(settings: Settings) -> Iterator[tuple[str, str]]:
    yield from (("url", sentence) for sentence in base_url(settings.url))
    yield from (("token", sentence) for sentence in visible(settings.token))
    yield from (("visibility", sentence) for sentence in one_of(*_VISIBILITIES)(settings.visibility))
    if settings.language and not _LANGUAGE.fullmatch(settings.language):
        yield "language", 'must be the code of a language, such as "en" or "pt-BR"'
    yield from (("max_characters", sentence) for sentence in between(100, 100_000)(settings.max_characters))


def _place(settings: Settings) -> Sequence[str]:
    return (settings.url.rstrip("/").lower(), settings.token)


def _ask(settings: Settings) -> OutgoingRequest:
    url = f"{settings.url.rstrip('/')}/api/v1/accounts/verify_credentials"
    return get_request(url, ("Authorization", f"Bearer {settings.token}"))


def _read_probe(response: Response, _: Settings) -> ProbeAnswer | None:
    if response.status == 403:
        # The scope that posts is not one that reads.
        return ProbeAnswer(True, "takes the token, which may not read the name of its account")
    found = answer_json(response)
    return ProbeAnswer(True, f"is the account {named(found, 'acct')}") if "acct" in found else None


MASTODON_KIND = DestinationKind(
    name="mastodon",
    has_key=True,
    open=Mastodon,
    settings=Settings,
    check=_check,
    place=_place,
    edits=True,
    deletes=True,
    mentions=frozenset({"user"}),
    check_mention=_check_mention,
    fields=tuple(_FIELDS),
    check_messages=_FORMS.check,
    probe=Probe(ask=_ask, read=_read_probe),
)
