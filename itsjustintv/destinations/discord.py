"""
The kind ``discord``: one message of a Discord webhook for a broadcast, which is edited or deleted later.

Sources: discord-api-docs, resources/webhook, resources/message, topics/rate-limits and
topics/opcodes-and-status-codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from attrs import field, frozen
from zope.interface import implementer

from itsjustintv import __version__
from itsjustintv.config.values import one_of
from itsjustintv.destinations.formats import DISCORD, DISCORD_PLAIN
from itsjustintv.destinations.message_forms import MessageField, MessageForms
from itsjustintv.destinations.message_names import make_link
from itsjustintv.destinations.message_values import message_event, message_values
from itsjustintv.destinations.post_body import NOTHING, pack, to_send
from itsjustintv.destinations.service_answer import ServiceAnswer, number, shown_word
from itsjustintv.destinations.service_probe import answer_json, get_request, named
from itsjustintv.interfaces import DestinationKind, IDestination, Probe, ProbeAnswer
from itsjustintv.model import (
    STREAM_OFFLINE,
    Action,
    Card,
    Delivery,
    Destination,
    Notice,
    OutgoingRequest,
    Result,
    rfc3339,
)
from itsjustintv.support.http_response import Response

__all__ = ["DISCORD_KIND", "Discord", "Settings"]

# The address, with the version that was pasted or none: without one the call goes to a version in which waits are in
# milliseconds. What stands before "/api" is kept for those who have a proxy there.
_ADDRESS = re.compile(
    r"(?P<base>https?://[^?#\s]+?)/api(?:/v\d+)?/webhooks/(?P<id>\d{1,20})/(?P<token>[\w.-]{1,200})/?"
    r"(?:\?(?:[^#\s]*&)?thread_id=(?P<thread>\d{1,20})[^#\s]*|\?[^#\s]*)?",
    re.ASCII,
)
_VERSION = "v10"

# Otherwise Cloudflare may refuse the request (discord-api-docs, reference, "User Agent").
_AGENT = f"DiscordBot (https://github.com/itsjustintv/itsjustintv, {__version__})"

_SUPPRESS_NOTIFICATIONS = 1 << 12
_LIVE, _OVER = 0x9146FF, 0x6E6E78

_FIELDS = {
    "content": MessageField(format=DISCORD, limit=2000, pings=True),
    "title": MessageField(format=DISCORD, limit=256),
    "description": MessageField(format=DISCORD, limit=2500),
    "author": MessageField(format=DISCORD_PLAIN, limit=256),
    "footer": MessageField(format=DISCORD_PLAIN, limit=1000),
}

_ENDED = (
    "{% if duration %}Live for {{ duration }}{% else %}The broadcast has ended{% endif %}"
    "{% if vod %} · [Watch the recording]({{ vod }}){% endif %}"
)
_BUILTIN = {
    "online": {
        "content": "{% if mentions %}{{ mentions }} {% endif %}**{{ name }}** is live!",
        "title": "{% if title %}{{ title }}{% else %}{{ name }} is live{% endif %}",
        "author": "{{ name }}",
        "footer": "Twitch",
    },
    "update": {
        "content": "{% if mentions %}{{ mentions }} {% endif %}**{{ name }}** is live!",
        "title": "{% if title %}{{ title }}{% else %}{{ name }} is live{% endif %}",
        "author": "{{ name }}",
        "footer": "Twitch",
    },
    "offline": {
        "content": "{% if mentions %}{{ mentions }} {% endif %}**{{ name }}** was live.",
        "title": "{% if title %}{{ title }}{% else %}{{ name }} was live{% endif %}",
        "description": _ENDED,
        "author": "{{ name }}",
        "footer": "Twitch",
    },
}
_FORMS = MessageForms(_FIELDS, _BUILTIN)
_CATEGORY = MessageForms(
    {"value": MessageField(format=DISCORD, limit=256)},
    {each: {"value": "{{ category }}"} for each in ("online", "update", "offline")},
)

# JSON error codes (discord-api-docs, opcodes-and-status-codes).
_UNKNOWN_CHANNEL, _UNKNOWN_MESSAGE, _UNKNOWN_WEBHOOK = 10003, 10008, 10015
_SLOW_MODE, _OLD_MESSAGE_EDITS, _BLOCKED_AGENT = 20016, 30046, 40333
_INVALID_FORM, _EMPTY_MESSAGE, _BAD_TOKEN = 50035, 50006, 50027
_CLOSED_THREADS = frozenset({50083, 160005})
_THREADS = {
    220001: "is a forum and needs a thread: give thread_name or thread_id",
    220002: "takes either thread_name or thread_id: give one of them",
    220003: "makes threads in forums only: remove thread_name",
}

# So many recordings, with addresses of so many characters, fit the 1,024 characters of a field; Twitch's have 40.
_MOST_PARTS, _LONGEST_LINK = 10, 80

# Seconds between two requests within the limits of a channel (30 messages a minute, as people observe) and of an
# address (50 requests a second, topics/rate-limits).
_CHANNEL_PACE, _HOST_PACE = 2.2, 0.025

# What people see of a moment, and of marks and escapes.
_MOMENT = re.compile(r"<t:(\d{1,11})(?::\w)?>", re.ASCII)
_MARKUP = re.compile(r"\\(.)|\*\*")

# How long the whole host is left alone after an answer that is not Discord's, in seconds: a ban by Cloudflare.
_BAN = 600.0


@frozen(kw_only=True)
class Settings:
    """
    The keys of a destination of this kind.

    :ivar url: as Discord shows it: "Edit Channel", "Integrations", "Webhooks", "Copy Webhook URL".
    :ivar thread_id: of a thread of the channel.
    :ivar thread_name: in a forum, the title of the new thread.
    :ivar username: shown instead of the webhook's name; likewise ``avatar_url``.
    :ivar style: ``card`` or ``short``, which is one line.
    """

    url: str = field(repr=False)
    thread_id: str = ""
    thread_name: str = ""
    username: str = ""
    avatar_url: str = ""
    style: str = "card"


@implementer(IDestination)
@frozen
class Discord:
    """
    A Discord webhook.
    """

    _destination: Destination

    def render(self, notice: Notice) -> bytes:
        """
        Make the message: a mention and one line as its text, and the rest, which notifies no one, as a card.
        """
        if notice.action is Action.DELETE:
            return NOTHING
        destination, settings, event = self._destination, self._settings, message_event(notice)
        mentions = _mentions(destination.policy.mention) if notice.mention else ""
        values = message_values(notice, destination, mentions)
        content = _FORMS.text(destination, event, "content", values)
        common = self._common(notice)
        if settings.style == "short":
            link = values["url"]
            body = {"content": f"{content} <{link}>" if link else content, "embeds": [], **common}
        else:
            body = {"content": content, "embeds": [self._card(notice, event, values)], **common}
        plain = {"content": _FORMS.builtin_text(event, "content", values), "embeds": [], **common}
        return pack(body, plain)

    def _common(self, notice: Notice) -> Mapping[str, Any]:
        """
        The parts of a message that are no words. An edit without ``allowed_mentions`` would be parsed by the defaults.
        """
        settings = self._settings
        creates = notice.action is not Action.EDIT
        policy = self._destination.policy
        notifies = creates and notice.mention
        parts: dict[str, Any] = {"allowed_mentions": _allowed(policy.mention if notifies else ())}
        if creates:
            parts |= {
                name: value
                for name, value in (
                    ("username", settings.username),
                    ("avatar_url", settings.avatar_url),
                    ("thread_name", settings.thread_name),
                    ("flags", _SUPPRESS_NOTIFICATIONS if notice.silent else 0),
                )
                if value
            }
        return parts

    def _card(self, notice: Notice, event: str, values: Mapping[str, object]) -> Mapping[str, Any]:
        over = notice.event.event_type == STREAM_OFFLINE
        text = {name: _FORMS.text(self._destination, event, name, values) for name in _FIELDS if name != "content"}
        profile, thumbnail, url = values["profile"], values["thumbnail"], values["url"]
        category = _CATEGORY.text(self._destination, event, "value", values)
        fields = [{"name": "Category", "value": category, "inline": True}] if category else []
        started = values["started"]
        if not over and started is not None:
            fields.append({"name": "Started", "value": DISCORD.moment(started, "R"), "inline": True})  # type: ignore[arg-type]
        if over and (recordings := _recordings(notice.enrichment.vods)):
            fields.append({"name": "Recordings", "value": recordings, "inline": False})
        author = {"name": text["author"], "url": url, "icon_url": profile} if text["author"] else {}
        return _present(
            title=text["title"],
            url=url,
            description=text["description"],
            color=_OVER if over else _LIVE,
            author=_present(**author),
            fields=fields,
            thumbnail=_present(url=profile),
            image=_present(url=None if over else thumbnail),
            footer=_present(text=text["footer"]),
            timestamp=rfc3339(notice.built_at) if over else notice.event.started_at,
        )

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        address = _ADDRESS.fullmatch(self._settings.url)
        if address is None:
            raise ValueError("its url is not that of a Discord webhook")
        message, _, created_thread = delivery.remote.partition("@")
        thread = created_thread or self._settings.thread_id or address["thread"]
        path = f"{address['base']}/api/{_VERSION}/webhooks/{address['id']}/{address['token']}"
        query = [f"thread_id={thread}"] if thread else []
        headers = [("Content-Type", "application/json"), ("User-Agent", _AGENT)]
        if delivery.action in (Action.EDIT, Action.DELETE):
            method, path = "PATCH" if delivery.action is Action.EDIT else "DELETE", f"{path}/messages/{message}"
        else:
            # Without it no id comes back, and a message that is not stored is no error.
            method, query = "POST", ["wait=true", *query]
        body = b"" if method == "DELETE" else orjson.dumps(to_send(delivery))
        return OutgoingRequest(
            method=method, url="?".join([path, "&".join(query)] if query else [path]), headers=headers, body=body
        )

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        answer = ServiceAnswer.read(self._destination, response, now)
        code = answer.json.get("code")
        if answer.is_success:
            spent = answer.header_number("X-RateLimit-Remaining") == 0
            return answer.delivered(
                self._remote(answer.json), answer.header_number("X-RateLimit-Reset-After") if spent else None
            )
        if answer.status == 429:
            return _too_many(answer, code)
        if answer.status >= 500:
            return answer.by_status()
        return _refused(answer, code, delivery)

    def _remote(self, message: Mapping[str, Any]) -> str:
        """
        The id of a message, and of the thread that was made for it in a forum.
        """
        identity = shown_word(message.get("id"))
        thread = shown_word(message.get("channel_id")) if self._settings.thread_name else ""
        return f"{identity}@{thread}" if identity and thread else identity

    @property
    def _settings(self) -> Settings:
        settings: Settings = self._destination.settings
        return settings


def _too_many(answer: ServiceAnswer, code: object) -> Result:
    wait = number(answer.json.get("retry_after"))
    if code == _OLD_MESSAGE_EDITS:
        return answer.retry("limits edits of a message that is older than an hour", wait)
    if not answer.json:
        return answer.pause("wants no requests from this machine for a while", answer.retry_after or _BAN, host=True)
    if answer.json.get("global") is True:
        return answer.pause("wants fewer requests", wait, host=True, pace=_HOST_PACE)
    # What a bucket has left is in the headers and is waited for; this is the limit of a channel, which is in none.
    return answer.pause("wants fewer requests", wait, pace=_CHANNEL_PACE)


def _refused(answer: ServiceAnswer, code: object, delivery: Delivery) -> Result:  # noqa: PLR0911, PLR0912 - a table
    if code == _UNKNOWN_MESSAGE:
        return answer.message_gone()
    if code == _UNKNOWN_WEBHOOK:
        return answer.gone("has no such webhook any more: make a new one, and configure its url")
    if code == _UNKNOWN_CHANNEL:
        return answer.gone("has no such channel or thread any more: correct url, thread_id")
    if code in _CLOSED_THREADS:
        if delivery.action in (Action.EDIT, Action.DELETE):
            return answer.skipped("does not change what is in a closed thread")
        return answer.rejected("takes nothing in a closed thread: open it, or configure another thread_id")
    if isinstance(code, int) and code in _THREADS:
        return answer.rejected(_THREADS[code])
    if code == _SLOW_MODE:
        return answer.retry("limits messages in this channel (slow mode)", number(answer.json.get("retry_after")))
    if code == _EMPTY_MESSAGE:
        return answer.rejected("takes no empty message: correct the templates in messages")
    if code == _INVALID_FORM:
        path = _error_path(answer.json.get("errors"))
        return answer.rejected(f"does not accept {path or 'the message'}: correct its template in messages")
    if code == _BAD_TOKEN or (answer.status == 401 and answer.json):
        return answer.unauthorized("does not know the token of the webhook: copy the url again")
    if answer.json and answer.status in (403, 404):
        return answer.gone("does not let the webhook post there: check its url and its channel")
    if answer.status in (401, 403) or code == _BLOCKED_AGENT:
        return answer.pause("wants no requests from this machine for a while", answer.retry_after or _BAN, host=True)
    if answer.status == 404:
        return answer.gone("has nothing at this url: copy it again")
    return answer.rejected("does not accept the message")


def _recordings(addresses: Sequence[str]) -> str:
    """
    Links to the recordings of a broadcast over short drops; empty where there is one, which the description links.
    """
    links = [link for each in addresses if (link := make_link(each)) is not None and len(link) <= _LONGEST_LINK]
    parts = [f"[Part {number}]({link})" for number, link in enumerate(links[:_MOST_PARTS], 1)]
    return " · ".join(parts) if len(links) > 1 else ""


def _error_path(errors: object, depth: int = 8) -> str:
    """
    The path of the first part that was refused (discord-api-docs, reference, "Error Messages"): ``embeds.0.title``.
    """
    steps: list[str] = []
    while isinstance(errors, dict) and len(steps) < depth:
        step = next((each for each in errors if each != "_errors"), None)
        if step is None or not shown_word(step):
            break
        steps.append(step)
        errors = errors[step]
    return ".".join(steps)


def _mentions(names: Sequence[str]) -> str:
    """
    The text that mentions those whom the policy names.
    """
    forms = {"everyone": "@everyone", "here": "@here"}
    return " ".join(forms.get(each) or _mention(each) for each in names)


def _mention(name: str) -> str:
    kind, _, identity = name.partition(":")
    return f"<@&{identity}>" if kind == "role" else f"<@{identity}>"


def _check_mention(name: str) -> str:
    """
    Discord refuses the whole message because of an id that is none.
    """
    kind, _, identity = name.partition(":")
    return (
        ""
        if re.fullmatch(r"\d{1,20}", identity, re.ASCII)
        else f'must have an id of digits, as "Copy {kind.title()} ID" gives it'
    )


def _allowed(names: Sequence[str]) -> Mapping[str, Any]:
    """
    What may notify: exactly those, whatever stands in the text.
    """
    ids: dict[str, list[str]] = {"roles": [], "users": []}
    for kind, _, identity in (each.partition(":") for each in names):
        if identity:
            ids["roles" if kind == "role" else "users"].append(identity)
    everyone = ["everyone"] if {"everyone", "here"} & set(names) else []
    return {"parse": everyone, **{kind: found for kind, found in ids.items() if found}}


def _present(**parts: Any) -> dict[str, Any]:
    """
    Leave out what is empty: Discord refuses an empty name or value.
    """
    return {name: value for name, value in parts.items() if value}


def _check(settings: Settings) -> Iterator[tuple[str, str]]:
    address = _ADDRESS.fullmatch(settings.url)
    if address is None:
        yield "url", "must be the URL of a Discord webhook, such as https://discord.com/api/webhooks/ID/TOKEN"
    for key in ("thread_id",):
        value = getattr(settings, key)
        if value and not re.fullmatch(r"\d{1,20}", value, re.ASCII):
            yield key, "must be the id of a thread: digits only"
    if settings.thread_name and (settings.thread_id or (address is not None and address["thread"])):
        yield "thread_name", "must not be given together with a thread_id"
    if len(settings.thread_name.strip()) > 100:
        yield "thread_name", "must have at most 100 characters"
    name = settings.username.strip().lower()
    if len(name) > 80 or "discord" in name or "clyde" in name:
        yield "username", 'must have at most 80 characters, and must not hold "discord" or "clyde"'
    if settings.avatar_url and not re.fullmatch(r"https?://\S{1,2000}", settings.avatar_url):
        yield "avatar_url", "must be an address of the web"
    yield from (("style", sentence) for sentence in one_of("card", "short")(settings.style))


def _place(settings: Settings) -> Sequence[str]:
    address = _ADDRESS.fullmatch(settings.url)
    if address is None:
        return (settings.url,)
    return (address["base"], address["id"], settings.thread_id or address["thread"] or "")


def _ask(settings: Settings) -> OutgoingRequest | None:
    address = _ADDRESS.fullmatch(settings.url)
    if address is None:
        return None
    url = f"{address['base']}/api/{_VERSION}/webhooks/{address['id']}/{address['token']}"
    return get_request(url, agent=_AGENT)


def _read_probe(response: Response, _: Settings) -> ProbeAnswer | None:
    found = answer_json(response)
    if "channel_id" not in found:
        return None
    channel, server = (shown_word(found.get(key)) or "unknown" for key in ("channel_id", "guild_id"))
    return ProbeAnswer(True, f"is the webhook {named(found, 'name')} of channel {channel} at server {server}")


def _read_card(body: Mapping[str, Any]) -> Card | None:
    embed = next(iter(body.get("embeds", ())), None)
    if embed is None:
        return None
    return Card(
        text=_as_shown(body.get("content", "")),
        author=_as_shown(embed.get("author", {}).get("name", "")),
        title=_as_shown(embed.get("title", "")),
        details=tuple(_as_shown(embed.get("description", "")).splitlines()),
        facts=tuple((each["name"], _as_shown(each["value"])) for each in embed.get("fields", ())),
        footer=embed.get("footer", {}).get("text", ""),
        profile="thumbnail" in embed,
        picture="image" in embed,
        colour=embed.get("color"),
    )


def _as_shown(text: str) -> str:
    """
    Write a text about as Discord shows it: bold marks and escapes are gone, and moments are times.
    """
    text = _MOMENT.sub(lambda found: rfc3339(int(found[1])).replace("T", " ").replace("Z", " UTC"), text)
    return _MARKUP.sub(lambda found: found[1] or "", text)


DISCORD_KIND = DestinationKind(
    name="discord",
    open=Discord,
    settings=Settings,
    check=_check,
    check_messages=_FORMS.check,
    place=_place,
    edits=True,
    deletes=True,
    previews=lambda settings: settings.style == "card",
    mentions=frozenset({"everyone", "here", "role", "user"}),
    check_mention=_check_mention,
    fields=tuple(_FIELDS),
    card=_read_card,
    probe=Probe(ask=_ask, read=_read_probe),
)
