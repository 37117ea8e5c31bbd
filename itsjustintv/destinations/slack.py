"""
The kind ``slack``: a message for each broadcast by an incoming webhook, or by a bot, which can edit and delete it.

Sources: docs.slack.dev, "Sending messages using incoming webhooks", "chat.postMessage", "chat.update", "Block Kit",
"Formatting message text" and "Rate limits".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from attrs import field, frozen
from zope.interface import implementer

from itsjustintv.config.values import one_of
from itsjustintv.destinations.formats import PLAIN, SLACK
from itsjustintv.destinations.message_forms import MessageField, MessageForms
from itsjustintv.destinations.message_values import message_event, message_values
from itsjustintv.destinations.post_body import NOTHING, pack, to_send
from itsjustintv.destinations.service_answer import ServiceAnswer, shown_word
from itsjustintv.destinations.service_probe import answer_json, named
from itsjustintv.destinations.text import UTF8, UTF16
from itsjustintv.interfaces import DestinationKind, IDestination, Probe, ProbeAnswer
from itsjustintv.model import Action, Card, Delivery, Destination, Notice, OutgoingRequest, Result
from itsjustintv.support.http_response import Response

__all__ = ["SLACK_KIND", "Settings", "Slack"]

_WEBHOOK = re.compile(r"https?://[^?#\s]+/services/[\w-]+/[\w-]+/[\w-]+/?", re.ASCII)
_TOKEN = re.compile(r"xox[a-z][.-][\w.-]{1,300}", re.ASCII)
_CHANNEL = re.compile(r"[CDG][A-Z0-9]{2,30}|#[^\s<>&,]{1,80}")
_BASE = re.compile(r"https?://[^?#\s]+")
_LINK = re.compile(r"<[^<>|]*\|([^<>]*)>")
_USER, _GROUP = (re.compile(pattern, re.ASCII) for pattern in (r"[UW][A-Z0-9]{1,30}", r"S[A-Z0-9]{1,30}"))

# Enough for any message, and with the title below the 4,000 bytes that an update may have.
_TEXT = 2500
_MOST_MENTIONS = 50

_FIELDS = {
    "text": MessageField(format=SLACK, limit=_TEXT, counter=UTF8, pings=True, required=True),
    # Streamers' words stand where nothing is markup, since asterisks and the like cannot be escaped.
    "title": MessageField(format=PLAIN, limit=150, counter=UTF16),
    "context": MessageField(format=PLAIN, limit=500, counter=UTF16),
}

_LIVE = {
    "text": (
        "{% if mentions %}{{ mentions }} {% endif %}*{{ name }}* is live!"
        "{% if url %} <{{ url }}|Watch on Twitch>{% endif %}"
    ),
    "title": "{{ title }}",
    "context": "{{ category }}",
}
_BUILTIN = {
    "online": _LIVE,
    "update": _LIVE,
    "offline": {
        "text": (
            "{% if mentions %}{{ mentions }} {% endif %}*{{ name }}* was live"
            "{% if duration %} for {{ duration }}{% endif %}.{% if vod %} <{{ vod }}|Watch the recording>{% endif %}"
        ),
        "title": "{{ title }}",
        "context": "{{ category }}",
    },
}
_FORMS = MessageForms(_FIELDS, _BUILTIN)


@frozen(kw_only=True)
class Settings:
    """
    The keys of a destination of this kind: a webhook or a bot.

    :ivar url: of an incoming webhook.
    :ivar token: of a bot.
    :ivar channel: that the bot posts to: an id, or ``#name``.
    :ivar api_url: of the Web API; another one for GovSlack.
    :ivar style: ``card`` or ``short``, which has no blocks.
    """

    url: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    channel: str = ""
    api_url: str = "https://slack.com/api"
    style: str = "card"


@implementer(IDestination)
@frozen
class Slack:
    """
    An incoming webhook or a bot of Slack.
    """

    _destination: Destination

    def render(self, notice: Notice) -> bytes:
        """
        Make the message: a text with the mention, which is the notification too, and for a card blocks. The plain form
        has the words alone.
        """
        if notice.action is Action.DELETE:
            return NOTHING
        destination, event = self._destination, message_event(notice)
        mentions = _mentions(destination.policy.mention) if notice.mention else ""
        values = message_values(notice, destination, mentions)
        text = {name: _FORMS.text(destination, event, name, values) for name in _FIELDS}
        plain = "\n".join(filter(None, (text["text"], SLACK.escape(text["title"]))))
        if self._settings.style == "short":
            return pack({"text": plain, "blocks": []}, {"text": plain, "blocks": []})
        return pack({"text": text["text"], "blocks": [*_blocks(text, values)]}, {"text": plain, "blocks": []})

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        settings, content = self._settings, to_send(delivery)
        changes = delivery.action in (Action.EDIT, Action.DELETE)
        if not _is_bot(settings):
            if changes:
                raise ValueError("a webhook of Slack cannot change a message")
            return _request(settings.url, _new(content))
        channel, _, ts = delivery.remote.partition("/")
        if delivery.action is Action.DELETE:
            method, arguments = "chat.delete", {"channel": channel, "ts": ts}
        elif delivery.action is Action.EDIT:
            # Without "blocks" the old ones would stay.
            method, arguments = "chat.update", {"channel": channel, "ts": ts, **content}
        else:
            method, arguments = "chat.postMessage", {"channel": settings.channel, **_new(content)}
        return _request(f"{settings.api_url.rstrip('/')}/{method}", arguments, settings.token)

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        answer = ServiceAnswer.read(self._destination, response, now)
        if answer.status == 429:
            return answer.pause("wants fewer messages")
        if answer.status in (408, 425) or answer.status >= 500:
            return answer.by_status()
        return _read_method(answer) if _is_bot(self._settings) else _read_webhook(answer)

    @property
    def _settings(self) -> Settings:
        settings: Settings = self._destination.settings
        return settings


def _blocks(text: Mapping[str, str], values: Mapping[str, object]) -> Iterator[Mapping[str, Any]]:
    """
    What Slack shows of a card. There is no button: pressing one needs an app that answers.
    """
    section: dict[str, Any] = {"type": "section", "text": {"type": "mrkdwn", "text": text["text"]}}
    if profile := values["profile"]:
        section["accessory"] = {"type": "image", "image_url": profile, "alt_text": "Profile image"}
    yield section
    if text["title"]:
        yield {"type": "header", "text": _plain_text(text["title"])}
    if text["context"]:
        yield {"type": "context", "elements": [_plain_text(text["context"])]}
    if thumbnail := values["thumbnail"]:
        yield {"type": "image", "image_url": thumbnail, "alt_text": "Preview of the broadcast"}


def _plain_text(text: str) -> Mapping[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _new(content: Mapping[str, Any]) -> dict[str, Any]:
    """
    A new message. Otherwise Slack would add Twitch's own card for each link.
    """
    present = {name: value for name, value in content.items() if value}
    return {**present, "unfurl_links": False, "unfurl_media": False}


def _request(url: str, arguments: Mapping[str, Any], token: str = "") -> OutgoingRequest:
    headers = [("Content-Type", "application/json; charset=utf-8")]
    if token:
        headers.append(("Authorization", f"Bearer {token}"))
    return OutgoingRequest(method="POST", url=url, headers=headers, body=orjson.dumps(arguments))


_Make = Callable[[ServiceAnswer], Result]


def _gone(why: str) -> _Make:
    return lambda answer: answer.gone(why)


def _unauthorized(why: str) -> _Make:
    return lambda answer: answer.unauthorized(why)


def _rejected(why: str) -> _Make:
    return lambda answer: answer.rejected(why)


def _skipped(answer: ServiceAnswer) -> Result:
    return answer.skipped("does not change this message any more")


def _own_trouble(answer: ServiceAnswer) -> Result:
    return answer.retry("has trouble of its own")


def _too_many(answer: ServiceAnswer) -> Result:
    return answer.pause("wants fewer messages")


_NO_CHANNEL = _gone("has no such channel: check channel, or make a new webhook")
_ARCHIVED = _gone("has archived the channel: unarchive it, or configure another")
_FORBIDDEN = _gone("does not let the app post there: check the settings of the workspace and of the channel")
_NO_WEBHOOK = _gone("has no such webhook any more: make a new one, and configure its url")
_WRONG_TOKEN = _unauthorized("does not accept the token: install the app again, and copy its token")
_WRONG_BLOCKS = _rejected("does not accept the blocks, maybe because of a picture that it cannot fetch")
_TOO_LONG = _rejected("does not accept a message of that length: shorten the templates in messages")

# The words of webhooks and of methods. A word that is not here rejects the message.
_WORDS: Mapping[str, _Make] = {
    **dict.fromkeys(("channel_not_found",), _NO_CHANNEL),
    **dict.fromkeys(("channel_is_archived", "is_archived"), _ARCHIVED),
    **dict.fromkeys(
        (
            "action_prohibited",
            "posting_to_general_channel_denied",
            "restricted_action",
            "restricted_action_read_only_channel",
            "restricted_action_thread_only_channel",
            "team_access_not_granted",
        ),
        _FORBIDDEN,
    ),
    **dict.fromkeys(("no_service", "no_service_id", "no_team", "team_disabled", "no_active_hooks"), _NO_WEBHOOK),
    "invalid_token": _unauthorized("does not accept the url of the webhook: copy it again"),
    "not_in_channel": _gone("wants the bot in the channel first: /invite it there"),
    "missing_scope": _unauthorized("wants the scope chat:write: add it to the app, and install the app again"),
    **dict.fromkeys(
        (
            "invalid_auth",
            "not_authed",
            "account_inactive",
            "token_revoked",
            "token_expired",
            "no_permission",
            "not_allowed_token_type",
            "org_login_required",
            "access_denied",
        ),
        _WRONG_TOKEN,
    ),
    **dict.fromkeys(("message_not_found",), ServiceAnswer.message_gone),
    **dict.fromkeys(
        ("cant_update_message", "cant_delete_message", "edit_window_closed", "compliance_exports_prevent_deletion"),
        _skipped,
    ),
    **dict.fromkeys(("ratelimited", "rate_limited", "message_limit_exceeded"), _too_many),
    **dict.fromkeys(
        (
            "internal_error",
            "fatal_error",
            "service_unavailable",
            "request_timeout",
            "rollup_error",
            "team_added_to_org",
        ),
        _own_trouble,
    ),
    **dict.fromkeys(("invalid_blocks", "invalid_blocks_format"), _WRONG_BLOCKS),
    **dict.fromkeys(("msg_too_long", "msg_blocks_too_long"), _TOO_LONG),
}


def _read_webhook(answer: ServiceAnswer) -> Result:
    text = answer.text()
    # Nothing but the status arrives when a connection breaks: a failure would have had another one.
    if answer.is_success and text in ("ok", ""):
        return answer.delivered()
    word = text if re.fullmatch(r"[a-z_]{1,60}", text, re.ASCII) else ""
    if word not in _WORDS:
        if answer.is_success:
            return answer.retry("did not say ok: check url, and what stands in between")
        if answer.status in (403, 404, 410):
            return _NO_WEBHOOK(answer)
    return _meaning(answer, word)


def _read_method(answer: ServiceAnswer) -> Result:
    """
    The status is 200 also for a failure: ``ok`` decides.
    """
    if answer.json.get("ok") is True:
        channel, ts = shown_word(answer.json.get("channel")), shown_word(answer.json.get("ts"))
        return answer.delivered(f"{channel}/{ts}" if channel and ts else "")
    if re.match(r'\s*\{\s*"ok"\s*:\s*true\b', answer.text()):
        # It was cut off, with the id.
        return answer.delivered()
    if answer.json.get("ok") is False:
        return _meaning(answer, shown_word(answer.json.get("error")))
    if answer.is_success:
        return answer.retry("did not say ok: check api_url, and what stands in between")
    return answer.rejected("is not the Web API: check api_url, and what stands in between")


def _meaning(answer: ServiceAnswer, word: str) -> Result:
    make = _WORDS.get(word)
    if make is not None:
        return make(answer)
    return answer.rejected(f"does not accept the message ({word})" if word else "does not accept the message")


def _mentions(names: Sequence[str]) -> str:
    """
    The controls that notify those whom the policy names.
    """
    return " ".join(filter(None, (_mention(each) for each in names[:_MOST_MENTIONS])))


def _mention(name: str) -> str:
    if name in ("here", "everyone"):
        return "<!here>" if name == "here" else "<!channel>"
    if _check_mention(name):
        return ""
    kind, _, identity = name.partition(":")
    return f"<!subteam^{identity}>" if kind == "role" else f"<@{identity}>"


def _check_mention(name: str) -> str:
    kind, _, identity = name.partition(":")
    if kind == "role":
        return "" if _GROUP.fullmatch(identity) else "must have the id of a user group, such as role:S0123456789"
    return "" if _USER.fullmatch(identity) else "must have the id of a member, such as user:U0123456789"


def _is_bot(settings: Settings) -> bool:
    return bool(settings.channel)


def _check(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.url and (settings.token or settings.channel):
        yield "url", "must not be given together with token and channel: a webhook has its own channel"
    elif settings.token or settings.channel:
        if not _TOKEN.fullmatch(settings.token):
            yield "token", "must be the token of a bot, such as xoxb-1-2-abc"
        if not _CHANNEL.fullmatch(settings.channel):
            yield "channel", 'must be the id of a channel, such as C0123456789, or its name after "#"'
    elif not _WEBHOOK.fullmatch(settings.url):
        yield "url", "must be the URL of an incoming webhook of Slack; or give token and channel"
    if not _BASE.fullmatch(settings.api_url):
        yield "api_url", "must be the URL of the Web API, such as https://slack.com/api"
    yield from (("style", sentence) for sentence in one_of("card", "short")(settings.style))


def _place(settings: Settings) -> Sequence[str]:
    if not _is_bot(settings):
        return (settings.url.rstrip("/"),)
    return (settings.api_url.rstrip("/").lower(), settings.token, settings.channel)


def _ask(settings: Settings) -> OutgoingRequest | None:
    return _request(f"{settings.api_url.rstrip('/')}/auth.test", {}, settings.token) if _is_bot(settings) else None


def _read_probe(response: Response, _: Settings) -> ProbeAnswer | None:
    found = answer_json(response)
    if found.get("ok") is not True:
        return None
    return ProbeAnswer(True, f"is the bot {named(found, 'user')} of the workspace {named(found, 'team')}")


def _read_card(body: Mapping[str, Any]) -> Card | None:
    blocks = {each["type"]: each for each in body.get("blocks", ())}
    if not blocks:
        return None
    section = blocks["section"]
    elements = blocks.get("context", {}).get("elements", ())
    return Card(
        text=_as_shown(section["text"]["text"]),
        title=blocks.get("header", {}).get("text", {}).get("text", ""),
        details=tuple(each["text"] for each in elements),
        profile="accessory" in section,
        picture="image" in blocks,
    )


def _as_shown(text: str) -> str:
    """
    Write a text about as Slack shows it: without the marks of links and bold words.
    """
    text = _LINK.sub(lambda found: found[1], text).replace("*", "")
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


SLACK_KIND = DestinationKind(
    name="slack",
    open=Slack,
    settings=Settings,
    check=_check,
    address=lambda settings: settings.api_url if _is_bot(settings) else settings.url,
    place=_place,
    edits=_is_bot,
    deletes=_is_bot,
    previews=lambda settings: settings.style == "card",
    mentions=frozenset({"everyone", "here", "role", "user"}),
    check_mention=_check_mention,
    fields=tuple(_FIELDS),
    check_messages=_FORMS.check,
    card=_read_card,
    probe=Probe(ask=_ask, read=_read_probe),
)
