"""
The kind ``telegram``: one message of a bot for a broadcast, a photo with a caption or a text.

Sources: core.telegram.org/bots/api, and for the descriptions of errors the source of the Bot API server and of TDLib.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape, unescape
from operator import attrgetter
from typing import Any

import orjson
from attrs import evolve, field, frozen
from zope.interface import implementer

from itsjustintv.config.values import one_of
from itsjustintv.destinations.formats import TELEGRAM, TELEGRAM_PLAIN
from itsjustintv.destinations.message_forms import MessageField, MessageForms
from itsjustintv.destinations.message_samples import SAMPLE_DESTINATION, SAMPLES
from itsjustintv.destinations.message_values import message_event, message_values
from itsjustintv.destinations.post_body import NOTHING, pack, to_send
from itsjustintv.destinations.service_answer import ServiceAnswer, number, shown_word
from itsjustintv.destinations.service_probe import answer_json, named
from itsjustintv.destinations.text import UTF16, Counter
from itsjustintv.interfaces import DestinationKind, IDestination, Probe, ProbeAnswer
from itsjustintv.model import Action, Delivery, Destination, DestinationPolicy, Notice, OutgoingRequest, Result
from itsjustintv.support.http_response import Response

__all__ = ["CAPTION_LIMIT", "TELEGRAM_KIND", "Settings", "Telegram"]

#: UTF-16 units of a text, once its markup is read. The least of the limits: a message that begins as a photo stays one,
#: and an edit is rendered before it is known which it is.
CAPTION_LIMIT = 1024
_BUTTON = 64

# A message has 100 entities at most.
_MOST_MENTIONS = 50

_TOKEN = re.compile(r"(?P<bot>[1-9]\d{0,19}):[A-Za-z0-9_-]{10,100}", re.ASCII)
_CHAT = re.compile(r"-?[1-9]\d{0,15}|@[A-Za-z]\w{3,31}", re.ASCII)
_USER = re.compile(r"@?([A-Za-z]\w{3,31})", re.ASCII)
_BASE = re.compile(r"https?://[^?#\s]+", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")


def _shown(text: str) -> str:
    """
    What readers see of HTML, and all that is left of it where it is broken.
    """
    return unescape(_TAG.sub("", text))


# The tags of ``parse_mode: HTML``.
_TAGS = frozenset(
    ("a", "b", "blockquote", "code", "del", "em", "i", "ins", "pre", "s", "span", "strike", "strong", "u")
) | {"tg-emoji", "tg-spoiler"}
_CERTAIN_TAG = re.compile(r'</?[a-z]+>|<a href="[^"<>]+">')
_ANY_TAG = re.compile(r"<(?P<end>/?)(?P<name>[A-Za-z][A-Za-z-]*)?(?P<rest>[^<>]*)(?P<closed>>?)")


def _markup_mistake(text: str) -> str:
    """
    Why Telegram would not read HTML; empty if it would. The attributes of tags are not looked at.
    """
    opened: list[str] = []
    for tag in _ANY_TAG.finditer(text):
        name = (tag["name"] or "").lower()
        if not name or not tag["closed"]:
            return "a < that begins no tag must be written &lt;"
        if name not in _TAGS:
            return f"Telegram knows no tag <{name}>"
        if not tag["end"]:
            opened.append(name)
        elif not opened or opened.pop() != name:
            return f"</{name}> closes no tag that is open there"
    return f"<{opened[-1]}> is not closed" if opened else ""


def _is_certain(text: str) -> bool:
    """
    Whether the markup cannot be why a message is rejected.
    """
    return not _markup_mistake(text) and all(_CERTAIN_TAG.fullmatch(each[0]) for each in _ANY_TAG.finditer(text))


_AFTER_PARSING = Counter("UTF-16 units", lambda text: UTF16.count(_shown(text).strip()))

_FIELDS = {
    "text": MessageField(format=TELEGRAM, limit=CAPTION_LIMIT, counter=_AFTER_PARSING, pings=True, required=True),
    "button": MessageField(format=TELEGRAM_PLAIN, limit=_BUTTON),
}

_ABOUT = "{% if title %}{{ title }}\n{% endif %}{% if category %}<i>{{ category }}</i>\n{% endif %}"
_LIVE = {
    "text": "{% if mentions %}{{ mentions }} {% endif %}<b>{{ name }}</b> is live!\n" + _ABOUT,
    "button": "Watch",
}
_BUILTIN = {
    "online": _LIVE,
    "update": _LIVE,
    "offline": {
        "text": (
            "{% if mentions %}{{ mentions }} {% endif %}<b>{{ name }}</b> was live.\n"
            + _ABOUT
            + "{% if duration %}Live for {{ duration }}{% else %}The broadcast has ended{% endif %}"
        ),
        "button": "{% if vod %}Watch the recording{% endif %}",
    },
}
_FORMS = MessageForms(_FIELDS, _BUILTIN)


@frozen(kw_only=True)
class Settings:
    """
    The keys of a destination of this kind.

    :ivar token: of the bot, as BotFather shows it.
    :ivar chat: the id of a chat, or ``@name`` of a public one.
    :ivar message_thread_id: of a topic of a forum.
    :ivar api_url: of a Bot API server of one's own.
    :ivar style: ``card``, a photo with a caption, or ``short``, a text.
    """

    token: str = field(repr=False)
    chat: str
    message_thread_id: int = 0
    api_url: str = "https://api.telegram.org"
    style: str = "card"


@implementer(IDestination)
@frozen
class Telegram:
    """
    A chat that a bot writes to.
    """

    _destination: Destination

    def render(self, notice: Notice) -> bytes:
        """
        Make the message: a text, and for a card a photo above it and a button below. The plain form has the same words
        without the photo, and without the markup if that may be at fault.
        """
        if notice.action is Action.DELETE:
            return NOTHING
        destination, event = self._destination, message_event(notice)
        mentions = _mentions(destination.policy.mention) if notice.mention else ""
        values = message_values(notice, destination, mentions)
        silent = {"disable_notification": True} if notice.silent and notice.action is not Action.EDIT else {}
        text, unmarked = (self._text(event, each) for each in (values, message_values(notice, destination)))
        if _is_certain(text):
            plain = {"text": text, "parse_mode": "HTML", **silent}
        elif mentions:
            plain = {"text": f"{mentions} {escape(_shown(unmarked))}", "parse_mode": "HTML", **silent}
        else:
            plain = {"text": _shown(unmarked), **silent}
        body: dict[str, Any] = {"text": text, "parse_mode": "HTML", **silent}
        if self._settings.style == "card":
            # At the end the address of the preview shows a grey picture, so that the photo stays as it is.
            picture = values["thumbnail"] if notice.action is Action.EDIT else values["picture"]
            button = self._button(event, values)
            body |= ({"photo": picture} if picture else {}) | button
            plain |= button
        return pack(body, plain)

    def _text(self, event: str, values: Mapping[str, object]) -> str:
        url = escape(str(values["url"] or ""))
        if self._settings.style == "card" or not url:
            return _FORMS.text(self._destination, event, "text", values)
        return f"{_FORMS.text(self._destination, event, 'text', values, limit=CAPTION_LIMIT - len(url) - 1)}\n{url}"

    def _button(self, event: str, values: Mapping[str, object]) -> dict[str, Any]:
        label = _FORMS.text(self._destination, event, "button", values)
        url = (values["vod"] if event == "offline" else None) or values["url"]
        return {"reply_markup": {"inline_keyboard": [[{"text": label, "url": url}]]}} if label and url else {}

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        message, _, rest = delivery.remote.partition("/")
        form, _, chat = rest.partition("/")
        content: dict[str, Any] = to_send(delivery)
        if delivery.action is Action.DELETE:
            method, place = "deleteMessage", {"chat_id": _id(chat), "message_id": _id(message)}
        elif delivery.action is Action.EDIT:
            method, content = _edit(form, content)
            place = {"chat_id": _id(chat), "message_id": _id(message)}
        else:
            method, content = _send(content)
            place = self._place_of_new(delivery.action, message)
        settings = self._settings
        return OutgoingRequest(
            method="POST",
            url=f"{settings.api_url.rstrip('/')}/bot{settings.token}/{method}",
            headers=[("Content-Type", "application/json")],
            body=orjson.dumps({**place, **content}),
        )

    def _place_of_new(self, action: Action, message: str) -> dict[str, Any]:
        settings, moved_to = self._settings, self._destination.moved_to
        place: dict[str, Any] = {"chat_id": _id(moved_to or settings.chat)}
        if settings.message_thread_id:
            place["message_thread_id"] = settings.message_thread_id
        if action is Action.FOLLOW_UP and message and not moved_to:
            place["reply_parameters"] = {"message_id": _id(message), "allow_sending_without_reply": True}
        return place

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        answer = ServiceAnswer.read(self._destination, response, now)
        if answer.is_success:
            return answer.delivered(_remote(answer.json.get("result")))
        given = answer.json.get("parameters")
        parameters: Mapping[str, Any] = given if isinstance(given, dict) else {}
        if answer.status == 429:
            return answer.pause("wants fewer messages of this bot", number(parameters.get("retry_after")))
        if answer.status in (408, 425) or answer.status >= 500:
            return answer.by_status()
        if answer.json.get("ok") is not False:
            return answer.rejected("is not the Bot API: check api_url, and what stands in between")
        if moved_to := shown_word(parameters.get("migrate_to_chat_id")):
            return answer.moved(f"has made a supergroup of the chat: set chat to {moved_to}", moved_to)
        description = str(answer.json.get("description", "")).casefold()
        # It is as it should be: an earlier attempt succeeded, and its answer was lost.
        return answer.delivered() if "message is not modified" in description else _refused(answer, description)

    @property
    def _settings(self) -> Settings:
        settings: Settings = self._destination.settings
        return settings


def _send(content: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if "photo" in content:
        return "sendPhoto", _as_caption(content)
    return "sendMessage", _as_text(content)


def _edit(form: str, content: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """
    Edit a message of a form: an edit cannot turn a text into a photo. Without ``reply_markup`` the button vanishes.
    """
    if form != "photo":
        return "editMessageText", _as_text({name: each for name, each in content.items() if name != "photo"})
    caption = _as_caption(content)
    if "photo" not in caption:
        return "editMessageCaption", caption
    markup = {"reply_markup": caption.pop("reply_markup")} if "reply_markup" in caption else {}
    return "editMessageMedia", {"media": {"type": "photo", "media": caption.pop("photo"), **caption}, **markup}


def _as_text(content: dict[str, Any]) -> dict[str, Any]:
    # The preview of the page would show an old title.
    return {**content, "link_preview_options": {"is_disabled": True}}


def _as_caption(content: dict[str, Any]) -> dict[str, Any]:
    return {"caption" if name == "text" else name: each for name, each in content.items()}


def _id(value: str) -> int | str:
    """
    An id as the number that it is; a name stays one.
    """
    return int(value) if re.fullmatch(r"-?\d{1,18}", value, re.ASCII) else value


def _remote(message: object) -> str:
    """
    What an edit needs to know: message, form and chat.
    """
    if not isinstance(message, dict):
        return ""
    chat = message.get("chat")
    ids = [shown_word(message.get("message_id")), shown_word(chat.get("id")) if isinstance(chat, dict) else ""]
    return f"{ids[0]}/{'photo' if message.get('photo') else 'text'}/{ids[1]}" if all(ids) else ""


_NOT_THERE = ("message to edit not found", "message to delete not found", "message_id_invalid")

# Parts of descriptions in small letters, since servers capitalize them differently, and what each means.
_REFUSALS: Sequence[tuple[Callable[[ServiceAnswer, str], Result], str, Sequence[str]]] = (
    (
        ServiceAnswer.rejected,
        "cannot show the picture",
        (
            "failed to get http url content",
            "wrong type of the web page content",
            "wrong file identifier",
            "wrong remote file identifier",
            "wrong http url specified",
            "webpage_curl_failed",
            "webpage_media_empty",
            "photo_invalid_dimensions",
            "image_process_failed",
            "not enough rights to send photos",
            "chat_send_photos_forbidden",
        ),
    ),
    (
        ServiceAnswer.skipped,
        "does not change this message any more",
        (
            "message can't be edited",
            "message can't be deleted",
            "there is no text in the message to edit",
            "there is no caption in the message to edit",
            "message_edit_time_expired",
        ),
    ),
    (
        ServiceAnswer.gone,
        "knows no such chat: check chat, and add the bot to it",
        ("chat not found", "chat_id is empty", "peer_id_invalid", "channel_private", "group chat was deactivated"),
    ),
    (
        ServiceAnswer.gone,
        "knows no such topic: check message_thread_id",
        ("message thread not found", "topic_deleted", "topic_id_invalid"),
    ),
    (
        ServiceAnswer.gone,
        "does not let the bot write there: give it the right to post",
        (
            "not enough rights to send text",
            "have no rights to send a message",
            "need administrator rights",
            "chat_write_forbidden",
        ),
    ),
    (
        ServiceAnswer.rejected,
        "takes nothing in a closed topic: open it, or configure another message_thread_id",
        ("topic_closed",),
    ),
    (
        ServiceAnswer.rejected,
        "cannot read the markup: correct the templates in messages",
        ("can't parse entities",),
    ),
    (
        ServiceAnswer.rejected,
        "does not accept a text of that length: shorten the templates in messages",
        ("message is too long", "message_too_long", "caption is too long", "text is too long"),
    ),
    (ServiceAnswer.rejected, "does not accept the button", ("button",)),
)


def _refused(answer: ServiceAnswer, description: str) -> Result:
    if answer.status == 401:
        return answer.unauthorized("does not know the token of the bot: check token")
    if answer.status == 404:
        return answer.unauthorized("knows neither the bot nor the method: check token, api_url")
    if any(each in description for each in _NOT_THERE):
        return answer.message_gone()
    for make, why, phrases in _REFUSALS:
        if any(each in description for each in phrases):
            return make(answer, why)
    if answer.status == 403:
        return answer.gone("does not let the bot write there: add the bot to the chat, and let it post")
    return answer.rejected("does not accept the message")


def _mentions(names: Sequence[str]) -> str:
    """
    The links and names that notify: Telegram shows a link's own text, and does not know the user's name here.
    """
    return " ".join(filter(None, (_mention(each.partition(":")[2]) for each in names[:_MOST_MENTIONS])))


def _mention(identity: str) -> str:
    if re.fullmatch(r"\d{1,19}", identity, re.ASCII):
        return f'<a href="tg://user?id={identity}">\N{BELL}</a>'
    found = _USER.fullmatch(identity)
    return f"@{found[1]}" if found else ""


def _check_mention(name: str) -> str:
    identity = name.partition(":")[2]
    return "" if _mention(identity) else "must have the id of a user, such as user:123456789, or user:@name"


def _check(settings: Settings) -> Iterator[tuple[str, str]]:
    if not _TOKEN.fullmatch(settings.token):
        yield "token", "must be the token of a bot, such as 123456:ABC-DEF1234"
    if not _CHAT.fullmatch(settings.chat):
        yield "chat", "must be the id of a chat, such as -1001234567890, or @name of a public one"
    if settings.message_thread_id < 0:
        yield "message_thread_id", "must be the id of a topic, or 0 for none"
    if not _BASE.fullmatch(settings.api_url):
        yield "api_url", "must be the URL of a Bot API server, such as https://api.telegram.org"
    yield from (("style", sentence) for sentence in one_of("card", "short")(settings.style))


def _check_messages(messages: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    mistakes = dict(_FORMS.check(messages))
    yield from mistakes.items()
    trial = evolve(SAMPLE_DESTINATION, policy=DestinationPolicy(messages=messages))
    for event in _BUILTIN:
        key = f"messages.{event}.text"
        if mistakes or "text" not in messages.get(event, {}):
            continue
        for sample in SAMPLES:
            if sample.event == event:
                text = _FORMS.text(trial, event, "text", message_values(sample.notice, trial))
                if mistake := _markup_mistake(text):
                    yield key, f"for a broadcast {sample.description}: {mistake}"
                    break


def _place(settings: Settings) -> Sequence[str]:
    token = _TOKEN.fullmatch(settings.token)
    bot = settings.token if token is None else token["bot"]
    thread = str(settings.message_thread_id or "")
    return (settings.api_url.rstrip("/").lower(), bot, settings.chat.lower(), thread)


def _ask(settings: Settings) -> OutgoingRequest:
    return OutgoingRequest(
        method="POST",
        url=f"{settings.api_url.rstrip('/')}/bot{settings.token}/getChat",
        headers=[("Content-Type", "application/json")],
        body=orjson.dumps({"chat_id": _id(settings.chat)}),
    )


def _read_probe(response: Response, _: Settings) -> ProbeAnswer | None:
    chat = answer_json(response).get("result")
    if not isinstance(chat, dict):
        return None
    kind = shown_word(chat.get("type")) or "chat"
    return ProbeAnswer(True, f"is the {kind} {named(chat, 'title', 'username', 'first_name')}, which the bot can read")


TELEGRAM_KIND = DestinationKind(
    name="telegram",
    open=Telegram,
    settings=Settings,
    check=_check,
    address=attrgetter("api_url"),
    place=_place,
    edits=True,
    deletes=True,
    previews=lambda settings: settings.style == "card",
    mentions=frozenset({"user"}),
    check_mention=_check_mention,
    fields=tuple(_FIELDS),
    check_messages=_check_messages,
    probe=Probe(ask=_ask, read=_read_probe),
)
