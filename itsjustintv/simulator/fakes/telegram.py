"""
Telegram's Bot API, as its server's source has it: methods that send, edit and delete, and the texts of their errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from math import ceil
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

import orjson
from attrs import define, field, frozen

from itsjustintv.simulator.fakes.rate_limits import SlidingWindow
from itsjustintv.simulator.fakes.service import FakeAnswer, FakeRequest, FakeService, Ping, json_answer
from itsjustintv.simulator.fakes.telegram_html import (
    Entity,
    FormattedText,
    HtmlError,
    find_mentions,
    parse_html,
    utf16_length,
)

__all__ = ["CAPTION_LIMIT", "TEXT_LIMIT", "FakeTelegram", "TelegramChat"]

#: UTF-16 units of a text, after it is parsed.
TEXT_LIMIT: Final = 4096

#: Those of the text below a photo.
CAPTION_LIMIT: Final = 1024

#: Bytes of a text before it is parsed.
_SOURCE_LIMIT: Final = 1 << 15

#: Entities of a message; what is more is ignored.
_ENTITIES: Final = 100

#: Bytes of a photo that Telegram fetches by its URL.
_PHOTO_LIMIT: Final = 5 << 20

#: Seconds for which a bot can delete its own message.
_DELETABLE: Final = 48 * 3600.0


@define(eq=False, kw_only=True)
class TelegramChat:
    """
    A chat that the bot knows.

    :ivar kind: ``private``, ``group``, ``supergroup`` or ``channel``.
    :ivar state: empty, or why the bot cannot write there: ``blocked``, ``deactivated`` (a user); ``kicked``, ``left``,
        ``deleted`` (the others).
    :ivar migrated_to: the supergroup that a group has become.
    :ivar topics: the threads of a forum.
    """

    id: int
    kind: str = "supergroup"
    title: str = "Announcements"
    username: str = ""
    state: str = ""
    migrated_to: int = 0
    topics: set[int] = field(factory=set)
    last_message: int = field(default=0, init=False)

    def describe(self) -> dict[str, Any]:
        described: dict[str, Any] = {"id": self.id, "type": self.kind}
        described["first_name" if self.kind == "private" else "title"] = self.title
        if self.username:
            described["username"] = self.username
        if self.topics:
            described["is_forum"] = True
        return described


class _Failed(Exception):
    """
    A request ends with an error.
    """

    def __init__(self, message: str, status: int = 400, **parameters: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.parameters = parameters


@define(eq=False, kw_only=True)
class FakeTelegram(FakeService):
    """
    The Bot API for one bot. A message has the key ``CHAT_ID/MESSAGE_ID``, since ids count anew in each chat.

    A behaviour is planned by the name of the method, in lower case.

    :ivar capitals: begin the texts of errors with a capital letter, as some servers do.
    :ivar photo_faults: by URL, why Telegram cannot use that photo, such as ``Wrong type of the web page content``.
    :ivar silent: the messages that came without a sound.
    :ivar photos: the URL from which the photo of each message came.
    :ivar chat_limit: messages and seconds for each chat; ``group_limit`` is for all but private ones.
    """

    name: ClassVar[str] = "telegram"

    token: str = field(default="123456:AAFakeFakeFakeFakeFakeFakeFakeFake")
    chats: dict[int, TelegramChat] = field(factory=dict)
    capitals: bool = False
    photo_faults: dict[str, str] = field(factory=dict)
    chat_limit: tuple[int, float] = (1, 1.0)
    group_limit: tuple[int, float] = (20, 60.0)
    overall_limit: tuple[int, float] = (30, 1.0)
    silent: set[str] = field(factory=set, init=False)
    photos: dict[str, str] = field(factory=dict, init=False)
    _windows: dict[str, SlidingWindow] = field(factory=dict, init=False)
    _fetched: dict[str, bytes] = field(factory=dict, init=False)
    _files: dict[str, str] = field(factory=dict, init=False)
    _mentions: dict[str, tuple[str, ...]] = field(factory=dict, init=False)

    def add_chat(self, chat_id: int, kind: str = "supergroup", **more: Any) -> TelegramChat:
        """
        Let the bot know a chat.
        """
        self.chats[chat_id] = TelegramChat(id=chat_id, kind=kind, **more)
        return self.chats[chat_id]

    def endpoint(self, request: FakeRequest) -> str:
        return request.path[1].lower() if len(request.path) > 1 else request.method

    def answer(self, request: FakeRequest) -> FakeAnswer:
        try:
            method = self._method(request)
            result = method(self, _Call.read(request))
        except _Failed as failed:
            return self._failure(failed)
        return json_answer(200, {"ok": True, "result": result})

    def _method(self, request: FakeRequest) -> Callable[[FakeTelegram, _Call], Any]:
        path = request.path
        if len(path) != 2 or not re.fullmatch(r"bot[1-9]\d*:[\w-]+", path[0]):
            raise _Failed("", 404)
        if path[0] != f"bot{self.token}":
            raise _Failed("", 401)
        method = self._methods.get(path[1].lower())
        if method is None:
            raise _Failed("method not found", 404)
        return method

    def _failure(self, failed: _Failed) -> FakeAnswer:
        message = failed.message
        if self.capitals:
            message = message[:1].upper() + message[1:]
        elif not re.match(r".[A-Z_]", message):
            message = message[:1].lower() + message[1:]
        description = f"{_PREFIXES[failed.status]}: {message}" if message else _PREFIXES[failed.status]
        body: dict[str, Any] = {"ok": False, "error_code": failed.status, "description": description}
        if failed.parameters:
            body["parameters"] = failed.parameters
        wait = failed.parameters.get("retry_after")
        return json_answer(failed.status, body, {"Retry-After": str(wait)} if wait else {})

    # The methods.

    def _get_me(self, _call: _Call) -> dict[str, Any]:
        return self._bot() | {"can_join_groups": True, "can_read_all_group_messages": False}

    def _bot(self) -> dict[str, Any]:
        bot_id = int(self.token.partition(":")[0])
        return {"id": bot_id, "is_bot": True, "first_name": "Announcer", "username": "announcer_bot"}

    def _get_chat(self, call: _Call) -> dict[str, Any]:
        chat = self._chat(call, "read")
        return chat.describe() | {"accent_color_id": 0, "max_reaction_count": 11}

    def _send_message(self, call: _Call) -> dict[str, Any]:
        text = call.formatted("text")
        content = _text(text, "message is too long")
        if options := call.object("link_preview_options"):
            content["link_preview_options"] = options
        return self._send(call, content, text)

    def _send_photo(self, call: _Call) -> dict[str, Any]:
        photo = call.text("photo")
        if not photo:
            raise _Failed("There is no photo in the request")
        caption = call.formatted("caption")
        content = _caption(caption)
        return self._send(call, content, caption, photo)

    def _send(self, call: _Call, content: dict[str, Any], formatted: FormattedText, photo: str = "") -> dict[str, Any]:
        markup = call.keyboard()
        chat = self._chat(call, "write")
        thread = call.number("message_thread_id")
        if thread and thread not in chat.topics:
            raise _Failed("message thread not found")
        self._take(chat, call.at)
        if photo:
            content = {"photo": self._photo(photo), **content}
        chat.last_message += 1
        key = f"{chat.id}/{chat.last_message}"
        message = {"message_id": chat.last_message, "from": self._bot(), "chat": chat.describe(), "date": int(call.at)}
        if thread:
            message |= {"message_thread_id": thread, "is_topic_message": True}
        self.messages[key] = message | content | markup
        if photo:
            self.photos[key] = self._files.get(photo, photo)
        if call.flag("disable_notification"):
            self.silent.add(key)
        self._ping(key, find_mentions(formatted), call.at)
        return dict(self.messages[key])

    def _edit_text(self, call: _Call) -> dict[str, Any]:
        text = call.formatted("text")
        content = _text(text, "MESSAGE_TOO_LONG")
        if options := call.object("link_preview_options"):
            content["link_preview_options"] = options
        key, message = self._editable(call)
        if "text" not in message:
            raise _Failed("there is no text in the message to edit")
        return self._edit(key, content | call.keyboard(), text, call.at)

    def _edit_caption(self, call: _Call) -> dict[str, Any]:
        caption = call.formatted("caption")
        content = _caption(caption)
        key, message = self._editable(call)
        if "photo" not in message:
            raise _Failed("there is no caption in the message to edit")
        return self._edit(key, {"photo": message["photo"]} | content | call.keyboard(), caption, call.at)

    def _edit_media(self, call: _Call) -> dict[str, Any]:
        media = call.object("media")
        if media.get("type") != "photo" or not isinstance(media.get("media"), str):
            raise _Failed("Can't parse InputMedia: this fake knows photos by URL only")
        caption = _Call(at=call.at, arguments=media).formatted("caption")
        content = _caption(caption)
        key, _ = self._editable(call)
        content = {"photo": self._photo(media["media"])} | content | call.keyboard()
        edited = self._edit(key, content, caption, call.at)
        self.photos[key] = self._files.get(media["media"], media["media"])
        return edited

    def _delete(self, call: _Call) -> bool:
        chat = self._chat(call, "write")
        key = f"{chat.id}/{call.number('message_id')}"
        if key not in self.messages:
            raise _Failed("message to delete not found")
        if call.at - self.messages[key]["date"] > _DELETABLE:
            raise _Failed("message can't be deleted for everyone")
        del self.messages[key]
        return True

    # What they share.

    def _chat(self, call: _Call, access: str) -> TelegramChat:
        given = call.text("chat_id")
        if not given:
            raise _Failed("chat_id is empty")
        if given.startswith("@"):
            named = (each for each in self.chats.values() if each.username.lower() == given[1:].lower())
            chat = next(named, None)
        else:
            chat = self.chats.get(int(given)) if re.fullmatch(r"-?\d+", given) else None
        if chat is None:
            raise _Failed("chat not found")
        if chat.migrated_to:
            if access == "edit":
                raise _Failed("message can't be edited")
            if access == "write":
                raise _Failed("group chat was upgraded to a supergroup chat", migrate_to_chat_id=chat.migrated_to)
        if chat.state and access != "read":
            raise _Failed(_REFUSALS[chat.state].format(chat.kind), 403)
        return chat

    def _editable(self, call: _Call) -> tuple[str, dict[str, Any]]:
        chat = self._chat(call, "edit")
        key = f"{chat.id}/{call.number('message_id')}"
        if key not in self.messages:
            raise _Failed("message to edit not found")
        self._take(None, call.at)
        return key, self.messages[key]

    def _edit(self, key: str, content: dict[str, Any], formatted: FormattedText, now: float) -> dict[str, Any]:
        old = self.messages[key]
        if content == {name: old[name] for name in _CONTENT if name in old}:
            raise _Failed(
                "message is not modified: specified new message content and reply markup are exactly the same as a"
                " current content and reply markup of the message"
            )
        kept = {name: value for name, value in old.items() if name not in _CONTENT}
        self.messages[key] = kept | {"edit_date": int(now)} | content
        # Whether an edit notifies is documented nowhere: here one that adds a name does, so that no test trusts in it.
        self._ping(key, find_mentions(formatted), now)
        return dict(self.messages[key])

    def _ping(self, key: str, mentions: tuple[str, ...], now: float) -> None:
        before = self._mentions.get(key, ())
        self._mentions[key] = mentions
        new = dict.fromkeys(each for each in mentions if each not in before)
        self.pings.extend(Ping(message=key, whom=whom, at=now) for whom in new)

    def _take(self, chat: TelegramChat | None, now: float) -> None:
        windows = [self._window("overall", self.overall_limit)]
        if chat is not None:
            windows.append(self._window(f"chat {chat.id}", self.chat_limit))
            if chat.kind != "private":
                windows.append(self._window(f"group {chat.id}", self.group_limit))
        wait = max(window.wait(now) for window in windows)
        if wait > 0:
            seconds = max(1, ceil(wait))
            raise _Failed(f"retry after {seconds}", 429, retry_after=seconds)
        for window in windows:
            window.take(now)

    def _window(self, name: str, limit: tuple[int, float]) -> SlidingWindow:
        return self._windows.setdefault(name, SlidingWindow(*limit))

    def _photo(self, given: str) -> list[dict[str, Any]]:
        """
        Describe a photo, by its URL or by the identifier of one that is known. Telegram fetches a URL once.
        """
        url = self._files.get(given, given)
        if not re.match(r"https?://", url):
            raise _Failed("wrong file identifier/HTTP URL specified")
        if fault := self.photo_faults.get(url):
            raise _Failed(fault)
        if url not in self._fetched:
            content = self.fetch(url)
            if content is None or len(content) > _PHOTO_LIMIT:
                raise _Failed("Failed to get HTTP URL content")
            if content.lstrip().startswith(b"<"):
                raise _Failed("Wrong type of the web page content")
            self._fetched[url] = content
        content = self._fetched[url]
        unique = sha256(content).hexdigest()[:16]
        self._files[f"AgAC{unique}"] = url
        size = {"width": 1280, "height": 720, "file_size": len(content)}
        return [{"file_id": f"AgAC{unique}", "file_unique_id": unique, **size}]

    _methods: ClassVar[Mapping[str, Callable[[FakeTelegram, _Call], Any]]] = {
        "getme": _get_me,
        "getchat": _get_chat,
        "sendmessage": _send_message,
        "sendphoto": _send_photo,
        "editmessagetext": _edit_text,
        "editmessagecaption": _edit_caption,
        "editmessagemedia": _edit_media,
        "deletemessage": _delete,
    }


@frozen(kw_only=True)
class _Call:
    """
    The arguments of a method, however they were sent.
    """

    at: float
    arguments: Mapping[str, Any]

    @classmethod
    def read(cls, request: FakeRequest) -> _Call:
        arguments: dict[str, Any] = dict(request.query)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json" and request.body:
            try:
                given = request.json
            except ValueError:
                raise _Failed("can't parse JSON object") from None
            if not isinstance(given, dict):
                raise _Failed("can't parse JSON object")
            arguments |= given
        elif kind == "application/x-www-form-urlencoded":
            arguments |= dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        return cls(at=request.at, arguments=arguments)

    def text(self, name: str) -> str:
        value = self.arguments.get(name)
        return "" if value is None or isinstance(value, bool | dict | list) else str(value)

    def number(self, name: str) -> int:
        value = self.text(name)
        return int(value) if re.fullmatch(r"\d+", value) else 0

    def flag(self, name: str) -> bool:
        return str(self.arguments.get(name, "")).lower() in ("true", "yes", "1")

    def object(self, name: str) -> dict[str, Any]:
        value = self.arguments.get(name)
        if value in (None, ""):
            return {}
        if isinstance(value, str):
            try:
                value = orjson.loads(value)
            except ValueError:
                value = None
        if not isinstance(value, dict):
            raise _Failed(f"can't parse {name.replace('_', ' ')} JSON object")
        return value

    def formatted(self, name: str) -> FormattedText:
        source = self.text(name)
        if len(source.encode("utf-8", "surrogatepass")) > _SOURCE_LIMIT:
            raise _Failed("Text is too long")
        mode = self.text("parse_mode").lower()
        if mode in ("", "none"):
            return FormattedText(source.strip())
        if mode != "html":
            raise _Failed("Unsupported parse_mode")
        try:
            return parse_html(source).strip()
        except HtmlError as error:
            raise _Failed(f"can't parse entities: {error}") from error

    def keyboard(self) -> dict[str, Any]:
        markup = self.object("reply_markup")
        if not markup:
            return {}
        for row in markup.get("inline_keyboard", ()):
            for button in row:
                if not isinstance(button.get("text"), str) or not button["text"]:
                    raise _Failed("Can't parse inline keyboard button: Can't find field \"text\"")
                if "url" not in button:
                    raise _Failed("Text buttons are unallowed in the inline keyboard")
                if not re.fullmatch(r"(https?|tg)://[^\s/]+\S*", button["url"]):
                    raise _Failed(f"inline keyboard button URL '{button['url']}' is invalid: Wrong HTTP URL")
        return {"reply_markup": markup}


def _text(formatted: FormattedText, too_long: str) -> dict[str, Any]:
    if not formatted.text:
        raise _Failed("message text is empty")
    if utf16_length(formatted.text) > TEXT_LIMIT:
        raise _Failed(too_long)
    return {"text": formatted.text} | _entities("entities", formatted)


def _caption(formatted: FormattedText) -> dict[str, Any]:
    if utf16_length(formatted.text) > CAPTION_LIMIT:
        raise _Failed("message caption is too long")
    return ({"caption": formatted.text} if formatted.text else {}) | _entities("caption_entities", formatted)


def _entities(name: str, formatted: FormattedText) -> dict[str, Any]:
    described = [_describe(each) for each in formatted.entities[:_ENTITIES]]
    return {name: described} if described else {}


def _describe(entity: Entity) -> dict[str, Any]:
    described: dict[str, Any] = {"type": entity.kind, "offset": entity.offset, "length": entity.length}
    if entity.kind == "text_link":
        described["url"] = entity.url
    elif entity.kind == "text_mention":
        described["user"] = {"id": int(entity.url.rpartition("=")[2]), "is_bot": False, "first_name": "User"}
    return described


#: What an edit replaces.
_CONTENT = ("text", "entities", "link_preview_options", "photo", "caption", "caption_entities", "reply_markup")

_PREFIXES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    429: "Too Many Requests",
}

_REFUSALS = {
    "blocked": "bot was blocked by the user",
    "deactivated": "user is deactivated",
    "kicked": "bot was kicked from the {} chat",
    "left": "bot is not a member of the {} chat",
    "deleted": "the group chat was deleted",
}
