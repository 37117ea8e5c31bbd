"""
The kind ``bluesky``: a post with a card, which can be deleted at the end of the broadcast.

Sources: https://docs.bsky.app, https://atproto.com/specs (record keys, TIDs, XRPC) and the published lexicons.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from operator import attrgetter
from typing import Any
from urllib.parse import urlsplit

import orjson
from attrs import evolve, field, frozen
from zope.interface import implementer

from itsjustintv.destinations.bluesky_sender import ENDED_TOKENS, SESSION_ENDED, BlueskySender, Session, wait_for_reset
from itsjustintv.destinations.formats import BLUESKY
from itsjustintv.destinations.message_forms import MessageField, MessageForms
from itsjustintv.destinations.message_values import message_event, message_values
from itsjustintv.destinations.post_body import AGENT, NOTHING, pack, post_id, to_send
from itsjustintv.destinations.service_answer import ServiceAnswer, shown_word
from itsjustintv.destinations.service_probe import answer_json, named
from itsjustintv.destinations.text import GRAPHEMES, UTF8, Counter
from itsjustintv.interfaces import DestinationKind, IDestination, Probe, ProbeAnswer
from itsjustintv.model import (
    STREAM_OFFLINE,
    Action,
    Card,
    Delivery,
    Destination,
    Notice,
    OutgoingRequest,
    Picture,
    Result,
    parse_rfc3339,
    rfc3339,
)
from itsjustintv.support.http_response import Response

__all__ = ["BLUESKY_KIND", "Bluesky", "Settings"]

_COLLECTION = "app.bsky.feed.post"
_MICROSECONDS = 1_000_000
_TID_LETTERS = "234567abcdefghijklmnopqrstuvwxyz"

_SERVICE = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*)?(?<!/xrpc)(?<!/xrpc/)", re.ASCII)
_IDENTIFIER = re.compile(r"@?[A-Za-z0-9][A-Za-z0-9.-]*\.[A-Za-z]{2,}|did:[a-z]+:[A-Za-z0-9.:_%-]+|\S+@\S+", re.ASCII)
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)
_POST = re.compile(
    r"(?P<uri>at://[a-z0-9:.%_-]+/[a-z.]+/(?P<key>[a-z2-7]{13})) (?P<cid>[a-z0-9]{10,100})", re.IGNORECASE
)
_LINKS = re.compile(r"https?://[A-Za-z0-9._~:/?#!$&+,;=%-]*[A-Za-z0-9_~/#=%]", re.ASCII)

# 300 graphemes and 3000 bytes, by one number.
_LENGTH = Counter("graphemes", lambda text: max(GRAPHEMES.count(text), -(-UTF8.count(text) // 10)))

_FIELDS = {
    "text": MessageField(format=BLUESKY, limit=300, counter=_LENGTH, required=True),
    "title": MessageField(format=BLUESKY, limit=300),
    "description": MessageField(format=BLUESKY, limit=300),
}
# A line break behind a block tag does not count.
_LINK = "\n\n\n{% if url %}{{ url }}{% endif %}"
_CATEGORY = "{% if category %}{{ category }} on Twitch{% else %}Twitch{% endif %}"
_BUILTIN = {
    "online": {
        "text": f"{{{{ name }}}} is live{{% if title %}}: {{{{ title }}}}{{% endif %}}{_LINK}",
        "title": "{% if title %}{{ title }}{% else %}{{ name }} is live{% endif %}",
        "description": _CATEGORY,
    },
    "update": {
        "text": f"{{{{ name }}}}{{% if title %}}: {{{{ title }}}}{{% else %}} is live{{% endif %}}{_LINK}",
        "title": "{% if title %}{{ title }}{% else %}{{ name }} is live{% endif %}",
        "description": _CATEGORY,
    },
    "offline": {
        "text": (
            "{{ name }} was live{% if duration %} for {{ duration }}{% endif %}"
            "\n\n\n{% if vod %}{{ vod }}{% elif url %}{{ url }}{% endif %}"
        ),
        "title": "{% if title %}{{ title }}{% else %}{{ name }} was live{% endif %}",
        "description": _CATEGORY,
    },
}
_FORMS = MessageForms(_FIELDS, _BUILTIN)

_CLOSED_ACCOUNTS = frozenset({"AccountTakedown", "AccountDeactivated", "AccountSuspended", "RepoNotFound"})


# In bytes. Bluesky takes five times as much, and profile images have less; the journal has one for each post.
_LARGEST_PICTURE = 200_000


@frozen(kw_only=True)
class Settings:
    """
    The keys of a destination of this kind.

    :ivar identifier: handle, DID or mail address of the account.
    :ivar password: an app password.
    :ivar service: of the server that has the account.
    :ivar langs: languages of the posts, at most three; those of the broadcasts when there are none.
    :ivar card: whether a post has a card.
    """

    identifier: str
    password: str = field(repr=False)
    service: str = "https://bsky.social"
    langs: tuple[str, ...] = ()
    card: bool = True


@implementer(IDestination)
@frozen
class Bluesky:
    """
    An account on Bluesky. Without a session its requests name no token.
    """

    _destination: Destination
    _session: Session | None = None

    def render(self, notice: Notice) -> bytes:
        """
        Make the record and its key. The key follows from what the post is about, so that a post that is sent again
        takes the place of the first.
        """
        if notice.action is Action.DELETE:
            return NOTHING
        destination, settings, event = self._destination, self._settings, message_event(notice)
        values = message_values(notice, destination)
        own = destination.policy.messages.get(event, {}).get("text", "")
        links = {
            *_LINKS.findall(own),
            *(str(each) for each in (values["url"], values["vod"], *_all(values["vods"])) if each),
        }
        common = {"$type": _COLLECTION, "createdAt": rfc3339(notice.built_at, "milliseconds")}
        text = {name: _FORMS.text(destination, event, name, values) for name in _FIELDS}
        record: dict[str, Any] = {**common, "text": text["text"], "facets": _facets(text["text"], links)}
        langs = settings.langs or ((str(values["language"]),) if _LANGUAGE.fullmatch(str(values["language"])) else ())
        if langs and langs != ("other",):
            record["langs"] = langs
        where = (values["vod"] if notice.event.event_type == STREAM_OFFLINE else None) or values["url"]
        if settings.card and where:
            card = {"uri": where, "title": text["title"], "description": text["description"]}
            record["embed"] = {"$type": "app.bsky.embed.external", "external": card}
        words = _FORMS.builtin_text(event, "text", values)
        plain = {**common, "text": words, "facets": _facets(words, links)}
        key = _record_key(notice)
        body = {"rkey": key, "record": record, **(_image(notice.enrichment.picture) if "embed" in record else {})}
        return pack(body, {"rkey": key, "record": plain})

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        settings, session = self._settings, self._session
        owner = {"repo": settings.identifier if session is None else session.did, "collection": _COLLECTION}
        first = _POST.fullmatch(delivery.remote)
        if delivery.action is Action.DELETE:
            method, body = "deleteRecord", {**owner, "rkey": "" if first is None else first["key"]}
        else:
            given = to_send(delivery)
            record = dict(given.get("record", {}))
            if first is not None and delivery.action is Action.FOLLOW_UP:
                parent = {"uri": first["uri"], "cid": first["cid"]}
                record["reply"] = {"root": parent, "parent": parent}
            method, body = "putRecord", {**owner, "rkey": given.get("rkey", ""), "record": record}
        headers = [("Content-Type", "application/json"), ("User-Agent", AGENT)]
        if session is not None:
            headers.append(("Authorization", f"Bearer {session.access}"))
        url = f"{settings.service.rstrip('/')}/xrpc/com.atproto.repo.{method}"
        return OutgoingRequest(method="POST", url=url, headers=headers, body=orjson.dumps(body))

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:  # noqa: PLR0911 - a table
        answer = ServiceAnswer.read(self._destination, response, now)
        error = shown_word(answer.json.get("error"))
        if answer.is_success:
            spent = answer.header_number("RateLimit-Remaining") == 0
            return answer.delivered(_remote(answer.json), wait_for_reset(answer, now) if spent else None)
        if answer.status == 429:
            return answer.pause("wants fewer requests", wait_for_reset(answer, now))
        if answer.status >= 500 and answer.status != 501:
            return answer.by_status()
        if error in ENDED_TOKENS:
            return evolve(answer.retry("wants a new login"), reason=SESSION_ENDED)
        if error in _CLOSED_ACCOUNTS:
            return answer.gone("has closed this account")
        if answer.status in (401, 403):
            return answer.unauthorized("does not let this account post: check identifier and password")
        if answer.status in (404, 405, 501):
            return answer.gone("is no server of Bluesky's network: check service")
        if answer.status in (408, 425) or answer.status // 100 == 3:
            return answer.by_status()
        return answer.rejected("does not accept the post")

    @property
    def _settings(self) -> Settings:
        settings: Settings = self._destination.settings
        return settings


def _all(values: object) -> Sequence[object]:
    return values if isinstance(values, tuple) else ()


def _facets(text: str, links: set[str]) -> list[Mapping[str, Any]]:
    """
    What makes links of the addresses in a text: those of ours, never those in a streamer's words. Places are counted in
    bytes.
    """
    facets: list[tuple[int, int, str]] = []
    for link in sorted(links, key=len, reverse=True):
        for found in re.finditer(rf"(?<![\w/]){re.escape(link)}(?![\w/?&=%#~-])", text):
            start = len(text[: found.start()].encode())
            end = start + len(link.encode())
            if all(end <= begun or ended <= start for begun, ended, _ in facets):
                facets.append((start, end, link))
    return [
        {
            "index": {"byteStart": start, "byteEnd": end},
            "features": [{"$type": "app.bsky.richtext.facet#link", "uri": link}],
        }
        for start, end, link in sorted(facets)
    ]


def _record_key(notice: Notice) -> str:
    """
    A TID (atproto.com/specs/tid): microseconds since the epoch and a number of the clock, in letters that sort. Twitch
    tells seconds, so the rest is made of the id of what the post is about.
    """
    about = notice.broadcast if notice.action is not Action.FOLLOW_UP else None
    began = parse_rfc3339(notice.event.started_at if about is None else about.started_at)
    at = int(began or notice.event.occurred_at or notice.built_at)
    digest = int.from_bytes(sha256(post_id(notice).encode()).digest()[:8], "big")
    number = (at * _MICROSECONDS + digest % _MICROSECONDS) << 10 | (digest >> 40) % 1024
    return "".join(_TID_LETTERS[number >> shift & 31] for shift in range(60, -1, -5))


def _remote(answer: Mapping[str, Any]) -> str:
    """
    The address and the hash of a post: a reply has to name both.
    """
    remote = f"{answer.get('uri')} {answer.get('cid')}"
    return remote if _POST.fullmatch(remote) else ""


def _check(settings: Settings) -> Iterator[tuple[str, str]]:
    if not _IDENTIFIER.fullmatch(settings.identifier):
        yield "identifier", "must be the handle of the account, such as tanuki.bsky.social, its DID or its mail address"
    if not settings.password.strip():
        yield "password", "must be an app password of the account"
    if not _SERVICE.fullmatch(settings.service):
        yield "service", "must be the URL of a server, without /xrpc, such as https://bsky.social"
    if len(settings.langs) > 3:
        yield "langs", "must have at most three languages"
    for number, each in enumerate(settings.langs, 1):
        if not _LANGUAGE.fullmatch(each):
            yield "langs", f'number {number} must be a language such as "en" or "pt-BR"'


def _place(settings: Settings) -> Sequence[str]:
    return (settings.service.rstrip("/").lower(), settings.identifier.lower().removeprefix("@"))


def _ask(settings: Settings) -> OutgoingRequest:
    """
    Log in: nothing else says whether the password is good.
    """
    url = f"{settings.service.rstrip('/')}/xrpc/com.atproto.server.createSession"
    given = {"identifier": settings.identifier.removeprefix("@"), "password": settings.password}
    headers = [("Content-Type", "application/json"), ("User-Agent", AGENT)]
    return OutgoingRequest(method="POST", url=url, headers=headers, body=orjson.dumps(given))


def _read_probe(response: Response, _: Settings) -> ProbeAnswer | None:
    found = answer_json(response)
    return ProbeAnswer(True, f"is the account {named(found, 'handle', 'did')}") if "did" in found else None


def _image(picture: Picture | None) -> Mapping[str, Any]:
    """
    The picture of the card, which the sender uploads before the post: the journal keeps it with the post.
    """
    if picture is None or picture.data is None or len(picture.data) > _LARGEST_PICTURE:
        return {}
    return {"image": {"mime_type": picture.mime_type, "data": b64encode(picture.data).decode("ascii")}}


def _read_card(body: Mapping[str, Any]) -> Card | None:
    record = body.get("record", body)
    card = record.get("embed", {}).get("external")
    if card is None:
        return None
    return Card(
        text=record["text"],
        title=card["title"],
        details=tuple(filter(None, (card["description"],))),
        picture="image" in body,
        footer=urlsplit(card["uri"]).hostname or "",
    )


BLUESKY_KIND = DestinationKind(
    name="bluesky",
    has_key=True,
    open=Bluesky,
    settings=Settings,
    check=_check,
    address=attrgetter("service"),
    place=_place,
    deletes=True,
    fields=tuple(_FIELDS),
    check_messages=_FORMS.check,
    card=_read_card,
    probe=Probe(ask=_ask, read=_read_probe),
    make_sender=lambda tools: BlueskySender(tools, Bluesky),
)
