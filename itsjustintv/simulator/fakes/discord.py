"""
Discord, as an incoming webhook sees it.

Source: discord-api-docs, resources/webhook, resources/message, reference and topics/opcodes-and-status-codes; what
these leave open is as reported in that repository's issues.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email import message_from_bytes
from hashlib import sha256
from typing import Any, ClassVar

import orjson
from attrs import define, evolve, field, frozen
from twisted.web import http

from itsjustintv.simulator.fakes.discord_form import CREATE, EDIT, IS_COMPONENTS_V2, DiscordForm, FormErrors, is_empty
from itsjustintv.simulator.fakes.discord_limits import DiscordLimits
from itsjustintv.simulator.fakes.discord_mentions import DiscordMentions
from itsjustintv.simulator.fakes.service import FakeAnswer, FakeRequest, FakeService, Ping, json_answer

__all__ = ["FakeDiscord", "FakeThread", "FakeWebhook"]

#: Milliseconds since the epoch at which snowflakes begin (discord-api-docs, reference, "Snowflakes").
_EPOCH = 1_420_070_400_000
_OLDEST, _DEFAULT, _NEWEST = 6, 6, 10
_SUPPRESS_EMBEDS, _SUPPRESS_NOTIFICATIONS = 1 << 2, 1 << 12
_HOUR = 3600.0
_LARGEST = 10 * 1024 * 1024
_AGENT = re.compile(r"DiscordBot \([^\s,()]+, ?[^\s()]+\)")
#: The component that shows text.
_TEXT_DISPLAY = 10


@define(eq=False, kw_only=True)
class FakeWebhook:
    """
    A webhook, and the channel that it posts to.

    :ivar forum: the channel has no messages, only threads.
    :ivar slow_mode: seconds between two messages in the channel.
    :ivar deleted: the webhook is gone.
    :ivar channel_deleted: its channel is gone.
    """

    id: str
    token: str
    channel: str
    guild: str = "41771983423143937"
    name: str = "Captain Hook"
    forum: bool = False
    slow_mode: float = 0.0
    deleted: bool = False
    channel_deleted: bool = False

    @property
    def url(self) -> str:
        """
        What an administrator copies.
        """
        return f"https://discord.com/api/webhooks/{self.id}/{self.token}"


@define(eq=False, kw_only=True)
class FakeThread:
    """
    A thread, or a post in a forum.
    """

    id: str
    channel: str
    name: str = "thread"
    applied_tags: Sequence[str] = ()
    archived: bool = False
    locked: bool = False
    deleted: bool = False


class _Refusal(Exception):
    def __init__(self, answer: FakeAnswer) -> None:
        super().__init__(answer)
        self.answer = answer


def _refuse(status: int, code: int, message: str) -> _Refusal:
    return _Refusal(json_answer(status, {"message": message, "code": code}))


@frozen(kw_only=True)
class _Call:
    """
    A request for a webhook.

    :ivar message: the id in the path; empty for the webhook itself.
    """

    request: FakeRequest
    version: int
    webhook: str
    token: str
    message: str

    @classmethod
    def of(cls, request: FakeRequest) -> _Call:
        """
        :raises _Refusal: the path leads nowhere.
        """
        api, *path = request.path or ("",)
        version = _DEFAULT
        if path and re.fullmatch(r"v[0-9]+", path[0]):
            version = int(path.pop(0)[1:])
        if api != "api" or len(path) not in (3, 5) or path[0] != "webhooks" or path[3:4] not in ([], ["messages"]):
            raise _refuse(http.NOT_FOUND, 0, "404: Not Found")
        if not _OLDEST <= version <= _NEWEST:
            raise _refuse(http.BAD_REQUEST, 50041, "Invalid API version")
        return cls(request=request, version=version, webhook=path[1], token=path[2], message="".join(path[4:]))

    @property
    def bucket(self) -> str:
        route = "webhooks/messages" if self.message else "webhooks"
        return f"{self.request.method} {route} {self.webhook}"

    def flag(self, name: str) -> bool:
        """
        A boolean of the query (discord-api-docs, reference, "Boolean Query Strings").

        :raises _Refusal: it is none.
        """
        value = self.request.query.get(name, "false")
        if value not in ("True", "true", "1", "False", "false", "0"):
            raise self.invalid(_error(name, "BOOLEAN_TYPE_CONVERT", "Must be either true or false."))
        return value in ("True", "true", "1")

    def snowflake(self, name: str) -> str:
        """
        An id of the query; empty if it is missing.

        :raises _Refusal: it is none.
        """
        value = self.request.query.get(name, "")
        if name in self.request.query and not value.isdecimal():
            raise self.invalid(_error(name, "NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.'))
        return value

    def invalid(self, errors: FormErrors) -> _Refusal:
        if self.version < 8:
            return _Refusal(json_answer(http.BAD_REQUEST, errors.flat()))
        body = {"message": "Invalid Form Body", "code": 50035, "errors": errors.tree()}
        return _Refusal(json_answer(http.BAD_REQUEST, body))

    def body(self) -> tuple[Any, Mapping[str, tuple[str, bytes]]]:
        """
        The fields, and the files by the name of their part: the name of each and its bytes.

        :raises _Refusal: there are none.
        """
        kind = self.request.headers.get("content-type", "")
        if len(self.request.body) > _LARGEST:
            raise _refuse(http.REQUEST_ENTITY_TOO_LARGE, 40005, "Request entity too large")
        if kind.startswith("multipart/form-data"):
            parts = _parts(kind, self.request.body)
            payload = parts.pop("payload_json", ("", b"{}"))[1]
        elif kind.partition(";")[0].strip() == "application/json":
            parts, payload = {}, self.request.body
        else:
            allowed = "{'application/json', 'application/x-www-form-urlencoded', 'multipart/form-data'}"
            raise _refuse(http.BAD_REQUEST, 50035, f'Expected "Content-Type" header to be one of {allowed}.')
        try:
            return orjson.loads(payload), parts
        except ValueError:
            raise _refuse(http.BAD_REQUEST, 50109, "The request body contains invalid JSON.") from None


def _error(name: str, code: str, message: str) -> FormErrors:
    errors = FormErrors()
    errors.add((name,), code, message)
    return errors


def _parts(kind: str, body: bytes) -> dict[str, tuple[str, bytes]]:
    whole = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    parts: dict[str, tuple[str, bytes]] = {}
    inner: Any = whole.get_payload() if whole.is_multipart() else ()
    for part in inner:
        name = part.get_param("name", header="content-disposition")
        parts[str(name)] = (part.get_filename() or "", part.get_payload(decode=True) or b"")
    return parts


@frozen(kw_only=True)
class _Record:
    """
    What a message does not say of itself.

    :ivar thread: in which it is; empty if it is in the channel.
    """

    webhook: str
    thread: str
    at: float


@define(eq=False, kw_only=True)
class FakeDiscord(FakeService):
    """
    One Discord. Times are seconds since the epoch.

    :ivar webhooks: by id.
    :ivar threads: by id.
    :ivar limits: what it takes from this address.
    :ivar fixed_roles: the ids of roles that a webhook cannot mention. All other ids are mentionable roles, or users.
    :ivar any_agent: take requests whose User-Agent does not have the form that Discord asks for.
    :ivar unsaved: so many of the next messages cannot be stored; a request without ``wait`` succeeds all the same.
    :ivar pictures: what the media proxy has fetched, by URL, and what was uploaded. It never fetches a URL again.
    """

    name: ClassVar[str] = "discord"

    webhooks: dict[str, FakeWebhook] = field(factory=dict)
    threads: dict[str, FakeThread] = field(factory=dict)
    limits: DiscordLimits = field(factory=DiscordLimits)
    fixed_roles: set[str] = field(factory=set)
    any_agent: bool = False
    unsaved: int = 0
    pictures: dict[str, bytes] = field(factory=dict, init=False)
    _records: dict[str, _Record] = field(factory=dict, init=False)
    _ids: int = field(default=0, init=False)

    def add_webhook(self, *, channel: str = "1100", **more: Any) -> FakeWebhook:
        """
        Add a webhook, to the same channel unless another is given.
        """
        number = str(223704706495545344 + len(self.webhooks))
        token = sha256(number.encode()).hexdigest() + "_-aA"
        webhook = FakeWebhook(**{"id": number, "token": token, "channel": channel} | more)
        self.webhooks[webhook.id] = webhook
        return webhook

    def add_thread(self, webhook: FakeWebhook, **more: Any) -> FakeThread:
        """
        Add a thread to the channel of a webhook.
        """
        thread = FakeThread(**{"id": str(7700 + len(self.threads)), "channel": webhook.channel} | more)
        self.threads[thread.id] = thread
        return thread

    def delete_message(self, number: str) -> None:
        """
        Delete a message as a moderator does.
        """
        del self.messages[number]

    def picture(self, number: str, part: str = "image") -> bytes | None:
        """
        What people see in the first embed of a message.

        :param part: ``image`` or ``thumbnail``.
        """
        url = self.messages[number]["embeds"][0].get(part, {}).get("url", "")
        return self.pictures.get(url)

    def visible_embeds(self, number: str) -> list[Mapping[str, Any]]:
        """
        The embeds that people see: of those with the same URL, the first (resources/message, "Embed Limits").
        """
        if self.messages[number]["flags"] & _SUPPRESS_EMBEDS:
            return []
        seen: dict[Any, Mapping[str, Any]] = {}
        for position, embed in enumerate(self.messages[number]["embeds"]):
            seen.setdefault(embed.get("url", position), embed)
        return list(seen.values())

    def answer(self, request: FakeRequest) -> FakeAnswer:
        answer = self._limited(request)
        self.limits.note(answer, request.at)
        return answer

    def _limited(self, request: FakeRequest) -> FakeAnswer:
        banned = self.limits.banned_until > request.at
        if not (banned or self.any_agent or _AGENT.match(request.headers.get("user-agent", ""))):
            return json_answer(http.FORBIDDEN, {"message": "internal network error", "code": 40333})
        try:
            call = _Call.of(request)
        except _Refusal as refusal:
            return refusal.answer
        refused = self.limits.refusal(call.bucket, call.version, request.at)
        if refused is not None:
            return refused if banned else _passed_on(refused)
        try:
            answer = self._routed(call)
        except _Refusal as refusal:
            answer = refusal.answer
        return _passed_on(self.limits.described(answer, call.bucket, request.at))

    def _routed(self, call: _Call) -> FakeAnswer:
        webhook = self._webhook(call)
        routes = {
            ("GET", False): self._describe,
            ("DELETE", False): self._remove,
            ("POST", False): self._create,
            ("GET", True): self._read,
            ("PATCH", True): self._edit,
            ("DELETE", True): self._delete,
        }
        route = routes.get((call.request.method, bool(call.message)))
        if route is None:
            raise _refuse(http.NOT_ALLOWED, 0, "405: Method Not Allowed")
        return route(call, webhook)

    def _webhook(self, call: _Call) -> FakeWebhook:
        if not call.webhook.isdecimal():
            raise call.invalid(_error("webhook_id", "NUMBER_TYPE_COERCE", f'Value "{call.webhook}" is not snowflake.'))
        webhook = self.webhooks.get(call.webhook)
        if webhook is None or webhook.deleted:
            raise _refuse(http.NOT_FOUND, 10015, "Unknown Webhook")
        if webhook.token != call.token:
            raise _refuse(http.UNAUTHORIZED, 50027, "Invalid Webhook Token")
        if webhook.channel_deleted:
            raise _refuse(http.NOT_FOUND, 10003, "Unknown Channel")
        return webhook

    def _describe(self, _call: _Call, webhook: FakeWebhook) -> FakeAnswer:
        return json_answer(
            http.OK,
            {
                "application_id": None,
                "avatar": None,
                "channel_id": webhook.channel,
                "guild_id": webhook.guild,
                "id": webhook.id,
                "name": webhook.name,
                "type": 1,
                "token": webhook.token,
                "url": webhook.url,
            },
        )

    def _remove(self, _call: _Call, webhook: FakeWebhook) -> FakeAnswer:
        webhook.deleted = True
        return FakeAnswer(http.NO_CONTENT)

    def _create(self, call: _Call, webhook: FakeWebhook) -> FakeAnswer:
        wait, thread = call.flag("wait"), self._named_thread(call, webhook)
        fields, files = self._fields(call, CREATE)
        number = self._snowflake(call.request.at)
        thread = self._thread(webhook, thread, fields, number)
        place = thread.id if thread else webhook.channel
        flags = (fields.get("flags") or 0) & (_SUPPRESS_EMBEDS | _SUPPRESS_NOTIFICATIONS | IS_COMPONENTS_V2)
        author = {
            "id": webhook.id,
            "username": fields.get("username") or webhook.name,
            "avatar": None,
            "bot": True,
            "discriminator": "0000",
        }
        message = {
            "id": number,
            "type": 0,
            "content": fields.get("content") or "",
            "channel_id": place,
            "author": author,
            "webhook_id": webhook.id,
            "attachments": self._uploaded(place, fields, files, call.request.at),
            "embeds": fields.get("embeds") or [],
            "components": fields.get("components") or [],
            "pinned": False,
            "tts": bool(fields.get("tts")),
            "flags": flags,
            "timestamp": _moment(call.request.at),
            "edited_timestamp": None,
        }
        if is_empty(message):
            raise _refuse(http.BAD_REQUEST, 50006, "Cannot send an empty message")
        for refused in (
            self.limits.slow_mode_refusal(place, webhook.slow_mode, call.version, call.request.at),
            self.limits.channel_refusal(webhook.channel, call.version, call.request.at),
        ):
            if refused is not None:
                raise _Refusal(refused)
        if self.unsaved > 0:
            self.unsaved -= 1
            return (
                json_answer(http.INTERNAL_SERVER_ERROR, {"message": "500: Internal Server Error", "code": 0})
                if wait
                else FakeAnswer(http.NO_CONTENT)
            )
        if thread:
            self.threads[thread.id] = thread
            thread.archived = False
        mentions = self._mention(message, fields)
        self.pings += [Ping(message=number, whom=whom, at=call.request.at) for whom in mentions.whom]
        self._store(message)
        self._records[number] = _Record(webhook=webhook.id, thread=thread.id if thread else "", at=call.request.at)
        return json_answer(http.OK, message) if wait else FakeAnswer(http.NO_CONTENT)

    def _edit(self, call: _Call, webhook: FakeWebhook) -> FakeAnswer:
        message, thread = self._message(call, webhook)
        fields, files = self._fields(call, EDIT)
        if thread and thread.archived:
            raise _refuse(http.BAD_REQUEST, 50083, "Thread is archived")
        if call.request.at - self._records[call.message].at > _HOUR:
            refused = self.limits.old_edit_refusal(message["channel_id"], call.version, call.request.at)
            if refused is not None:
                raise _Refusal(refused)
        edited = {**message, "edited_timestamp": _moment(call.request.at)}
        edited |= {name: fields[name] or [] for name in ("embeds", "components") if name in fields}
        if "content" in fields:
            edited["content"] = fields["content"] or ""
        if "flags" in fields:
            flags = fields["flags"] or 0
            edited["flags"] = message["flags"] & ~_SUPPRESS_EMBEDS | flags & (_SUPPRESS_EMBEDS | IS_COMPONENTS_V2)
        added = self._uploaded(message["channel_id"], fields, files, call.request.at)
        kept = message["attachments"]
        if "attachments" in fields:
            listed = {each["id"] for each in fields["attachments"] or ()}
            kept = [each for each in kept if each["id"] in listed]
        edited["attachments"] = [*kept, *added]
        if is_empty(edited):
            raise _refuse(http.BAD_REQUEST, 50006, "Cannot send an empty message")
        if "content" in fields:
            self._mention(edited, fields)
        for gone in (each for each in message["attachments"] if each not in kept):
            self.pictures.pop(gone["url"], None)
        self._store(edited)
        return json_answer(http.OK, edited)

    def _read(self, call: _Call, webhook: FakeWebhook) -> FakeAnswer:
        return json_answer(http.OK, self._message(call, webhook)[0])

    def _delete(self, call: _Call, webhook: FakeWebhook) -> FakeAnswer:
        self._message(call, webhook)
        del self.messages[call.message]
        return FakeAnswer(http.NO_CONTENT)

    def _message(self, call: _Call, webhook: FakeWebhook) -> tuple[dict[str, Any], FakeThread | None]:
        """
        The message of the path, and the thread in which it is.
        """
        thread = self._named_thread(call, webhook)
        record = self._records.get(call.message)
        ours = record is not None and (record.webhook, record.thread) == (webhook.id, thread.id if thread else "")
        if not ours or call.message not in self.messages:
            raise _refuse(http.NOT_FOUND, 10008, "Unknown Message")
        return self.messages[call.message], thread

    def _named_thread(self, call: _Call, webhook: FakeWebhook) -> FakeThread | None:
        number = call.snowflake("thread_id")
        if not number:
            return None
        thread = self.threads.get(number)
        if thread is None or thread.deleted or thread.channel != webhook.channel:
            raise _refuse(http.NOT_FOUND, 10003, "Unknown Channel")
        return thread

    def _thread(
        self, webhook: FakeWebhook, named: FakeThread | None, fields: Mapping[str, Any], number: str
    ) -> FakeThread | None:
        """
        Where a new message goes: the thread that was named, or one that it opens.
        """
        name = fields.get("thread_name")
        if webhook.forum and not (named or name):
            message = "Webhooks posted to forum channels must have a thread_name or thread_id"
            raise _refuse(http.BAD_REQUEST, 220001, message)
        if name and named:
            message = "Webhooks posted to forum channels cannot have both a thread_name and thread_id"
            raise _refuse(http.BAD_REQUEST, 220002, message)
        if name and not webhook.forum:
            raise _refuse(http.BAD_REQUEST, 220003, "Webhooks can only create threads in forum channels")
        if named and named.locked:
            raise _refuse(http.BAD_REQUEST, 160005, "Thread is locked")
        if name:
            return FakeThread(
                id=number, channel=webhook.channel, name=name, applied_tags=fields.get("applied_tags") or ()
            )
        return named

    def _fields(self, call: _Call, form: DiscordForm) -> tuple[dict[str, Any], list[tuple[str, str, bytes]]]:
        """
        The fields of a message, and its new files: a number, a name and the bytes of each.
        """
        body, parts = call.body()
        if isinstance(body, dict) and not call.flag("with_components"):
            body.pop("components", None)
        fields, errors = form.check(body)
        if errors:
            raise call.invalid(errors)
        numbers = ((re.fullmatch(r"files\[([0-9]+)\]", part), *parts[part]) for part in parts)
        files = [(found[1], name, data) for found, name, data in numbers if found]
        if call.version >= 10 and "attachments" in fields and form is EDIT:
            # Since version 10 an edit must list new files too ("Edit Webhook Message").
            listed = {each["id"] for each in fields["attachments"] or ()}
            files = [each for each in files if each[0] in listed]
        return fields, files

    def _uploaded(
        self, place: str, fields: Mapping[str, Any], files: Sequence[tuple[str, str, bytes]], now: float
    ) -> list[dict[str, Any]]:
        described = {each["id"]: each for each in fields.get("attachments") or ()}
        uploaded = []
        for number, name, data in files:
            known = described.get(number, {})
            attachment = {"id": self._snowflake(now), "filename": known.get("filename") or name, "size": len(data)}
            url = f"https://cdn.discordapp.com/attachments/{place}/{attachment['id']}/{attachment['filename']}"
            self.pictures[url] = data
            proxied = url.replace("cdn.discordapp.com", "media.discordapp.net")
            uploaded.append(attachment | {"url": url, "proxy_url": proxied, "description": known.get("description")})
        return uploaded

    def _mention(self, message: dict[str, Any], fields: Mapping[str, Any]) -> DiscordMentions:
        """
        Set what a message mentions. Fields without ``allowed_mentions`` are read with the defaults, in an edit too.
        """
        texts = [message["content"], *_texts(message["components"])]
        mentions = DiscordMentions.of("\n".join(texts), fields.get("allowed_mentions"), self.fixed_roles)
        message["mentions"] = [{"id": each, "username": f"user {each}"} for each in mentions.users]
        message["mention_roles"] = list(mentions.roles)
        message["mention_everyone"] = bool(mentions.everyone)
        return mentions

    def _store(self, message: dict[str, Any]) -> None:
        files = {f"attachment://{each['filename']}": each["url"] for each in message["attachments"]}
        for embed in message["embeds"]:
            for part in ("image", "thumbnail"):
                if (picture := embed.get(part)) is not None:
                    picture["url"] = files.get(picture["url"], picture["url"])
                    self._proxy(picture, "url", "proxy_url")
            for part in ("author", "footer"):
                self._proxy(embed.get(part, {}), "icon_url", "proxy_icon_url")
        self.messages[message["id"]] = message

    def _proxy(self, picture: dict[str, Any], name: str, proxied: str) -> None:
        url = picture.get(name, "")
        if url.startswith("http") and url not in self.pictures and (data := self.fetch(url)) is not None:
            self.pictures[url] = data
        if url in self.pictures:
            digest = sha256(url.encode()).hexdigest()
            picture[proxied] = f"https://images-ext-1.discordapp.net/external/{digest}"

    def _snowflake(self, now: float) -> str:
        self._ids += 1
        return str(max(int(now * 1000) - _EPOCH, 0) << 22 | self._ids)


def _passed_on(answer: FakeAnswer) -> FakeAnswer:
    """
    Mark an answer of Discord itself. Cloudflare's has no such header: so discord.py tells a ban from a limit.
    """
    return evolve(answer, headers=(*answer.headers, ("Via", "1.1 google")))


def _moment(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds")


def _texts(components: Sequence[Mapping[str, Any]]) -> list[str]:
    """
    What text components say, at any depth.
    """
    texts = []
    for each in components:
        if each.get("type") == _TEXT_DISPLAY:
            texts.append(each.get("content", ""))
        texts += _texts(each.get("components", ()))
    return texts
