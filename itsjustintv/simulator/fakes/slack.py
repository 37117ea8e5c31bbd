"""
Slack: incoming webhooks, which answer in words, and the Web API, which answers 200 whether it worked or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

import orjson
from attrs import define, field

from itsjustintv.simulator.fakes.rate_limits import SlidingWindow
from itsjustintv.simulator.fakes.service import FakeAnswer, FakeRequest, FakeService, Ping, json_answer, text_answer
from itsjustintv.simulator.fakes.slack_blocks import (
    RENDERED,
    check_blocks,
    find_images,
    find_mentions,
    has_link,
    measure_blocks,
)

__all__ = ["POST_LIMIT", "UPDATE_LIMIT", "FakeSlack", "SlackChannel", "SlackWebhook"]

#: Characters of the text of a new message.
POST_LIMIT: Final = 40_000

#: Bytes of the text of an update, after escaping.
UPDATE_LIMIT: Final = 4_000


@define(eq=False, kw_only=True)
class SlackChannel:
    """
    A channel.

    :ivar state: empty, or why nothing can be posted: ``not_in_channel`` (the bot), ``is_archived``.
    """

    id: str
    name: str
    state: str = ""


@define(eq=False, kw_only=True)
class SlackWebhook:
    """
    An incoming webhook.

    :ivar path: ``T.../B.../...``.
    :ivar state: empty, or the word that it answers, such as ``channel_is_archived``.
    """

    path: str
    channel: str
    state: str = ""


class _Failed(Exception):
    """
    A request ends with a word.
    """

    def __init__(self, word: str, details: list[str] | None = None, wait: int = 0) -> None:
        super().__init__(word)
        self.word = word
        self.details = details or []
        self.wait = wait


@define(eq=False, kw_only=True)
class FakeSlack(FakeService):
    """
    One workspace. A message has the key ``CHANNEL_ID/TS``.

    A behaviour is planned by ``webhook`` or by the name of the method, such as ``chat.update``.

    :ivar channels: by id.
    :ivar webhooks: by path.
    :ivar token_state: empty, or what is wrong with the token, such as ``account_inactive`` and ``token_revoked``.
    :ivar edit_window: seconds for which a message can be edited; without it, for ever.
    :ivar cards: messages to which Slack added a card for a link in them, because nothing told it not to.
    :ivar webhook_limit: messages and seconds.
    """

    name: ClassVar[str] = "slack"

    token: str = field(default="xoxb-fake")
    channels: dict[str, SlackChannel] = field(factory=dict)
    webhooks: dict[str, SlackWebhook] = field(factory=dict)
    token_state: str = ""
    edit_window: float | None = None
    webhook_limit: tuple[int, float] = (1, 1.0)
    post_limit: tuple[int, float] = (1, 1.0)
    update_limit: tuple[int, float] = (50, 60.0)
    cards: set[str] = field(factory=set, init=False)
    _windows: dict[str, SlidingWindow] = field(factory=dict, init=False)
    _mentions: dict[str, tuple[str, ...]] = field(factory=dict, init=False)
    _count: int = field(default=0, init=False)

    def add_channel(self, channel_id: str = "C0LIVE", name: str = "live", state: str = "") -> SlackChannel:
        """
        Make a channel.
        """
        self.channels[channel_id] = SlackChannel(id=channel_id, name=name, state=state)
        return self.channels[channel_id]

    def add_webhook(self, path: str = "T0TEAM/B0HOOK/secret", channel: str = "C0LIVE") -> SlackWebhook:
        """
        Make a webhook, and its channel if there is none.
        """
        if channel not in self.channels:
            self.add_channel(channel)
        self.webhooks[path] = SlackWebhook(path=path, channel=channel)
        return self.webhooks[path]

    def endpoint(self, request: FakeRequest) -> str:
        return request.path[1] if request.path[:1] == ("api",) and len(request.path) > 1 else "webhook"

    def answer(self, request: FakeRequest) -> FakeAnswer:
        if request.path[:1] == ("services",):
            return self._answer_webhook(request)
        if request.path[:1] == ("api",) and len(request.path) == 2:
            return self._answer_method(request)
        return text_answer(404, "<!DOCTYPE html><title>Slack</title>", kind="text/html")

    def _answer_webhook(self, request: FakeRequest) -> FakeAnswer:
        try:
            self._post_by_webhook(request)
        except _Failed as failed:
            headers = {"Retry-After": str(failed.wait)} if failed.wait else {}
            return text_answer(_STATUSES.get(failed.word, 400), failed.word, headers)
        return text_answer(200, "ok")

    def _post_by_webhook(self, request: FakeRequest) -> None:
        if request.method != "POST":
            raise _Failed("invalid_payload")
        path = "/".join(request.path[1:])
        webhook = self.webhooks.get(path)
        if webhook is None:
            raise _Failed(self._explain_unknown(path))
        if webhook.state:
            raise _Failed(webhook.state)
        try:
            payload = request.json
        except ValueError:
            raise _Failed("invalid_payload") from None
        if not isinstance(payload, dict):
            raise _Failed("invalid_payload")
        if self.channels[webhook.channel].state == "is_archived":
            raise _Failed("channel_is_archived")
        self._check(payload, POST_LIMIT)
        self._take(f"webhook {path}", self.webhook_limit, request.at, "rate_limited")
        # Neither channel nor name nor icon can be chosen.
        ignored = ("channel", "username", "icon_url", "icon_emoji")
        self._store(webhook.channel, {name: payload[name] for name in payload if name not in ignored}, request.at)

    def _explain_unknown(self, path: str) -> str:
        given = path.split("/")
        known = [each.split("/") for each in self.webhooks]
        if given[:2] in [each[:2] for each in known]:
            return "invalid_token"
        return "no_service" if given[:1] in [each[:1] for each in known] else "no_team"

    def _answer_method(self, request: FakeRequest) -> FakeAnswer:
        try:
            method = self._methods.get(request.path[1])
            if method is None:
                raise _Failed("unknown_method")
            self._authorize(request)
            result = method(self, _read_arguments(request), request.at)
        except _Failed as failed:
            body: dict[str, Any] = {"ok": False, "error": failed.word}
            if failed.details:
                messages = [f"[ERROR] {each}" for each in failed.details]
                body |= {"errors": failed.details, "response_metadata": {"messages": messages}}
            if failed.wait:
                return json_answer(429, body, {"Retry-After": str(failed.wait)})
            return json_answer(200, body)
        return json_answer(200, {"ok": True, **result})

    def _authorize(self, request: FakeRequest) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _Failed("not_authed")
        if token != self.token:
            raise _Failed("invalid_auth")
        if self.token_state:
            raise _Failed(self.token_state)

    def _test(self, _arguments: Mapping[str, Any], _now: float) -> dict[str, Any]:
        return {
            "url": "https://example.slack.com/",
            "team": "Example",
            "user": "announcer",
            "team_id": "T0TEAM",
            "user_id": "U0BOT",
            "bot_id": "B0BOT",
            "is_enterprise_install": False,
        }

    def _post(self, arguments: Mapping[str, Any], now: float) -> dict[str, Any]:
        channel = self._channel(arguments, names=True)
        self._check(arguments, POST_LIMIT)
        self._take(f"post {channel.id}", self.post_limit, now, "ratelimited")
        key = self._store(channel.id, arguments, now)
        message = self.messages[key]
        return {"channel": channel.id, "ts": message["ts"], "message": message}

    def _update(self, arguments: Mapping[str, Any], now: float) -> dict[str, Any]:
        key = self._find(arguments)
        message = self.messages[key]
        self._check(arguments, UPDATE_LIMIT, update=True)
        if message.get("bot_id") != "B0BOT":
            raise _Failed("cant_update_message")
        if self.edit_window is not None and now - float(message["ts"]) > self.edit_window:
            raise _Failed("edit_window_closed")
        self._take("update", self.update_limit, now, "ratelimited")
        shown = {name: arguments[name] for name in ("text", "blocks", "attachments") if name in arguments}
        message |= shown | {"edited": {"user": "B0BOT", "ts": f"{int(now)}.000000"}}
        self._ping(key, message, now)
        return {"channel": message["channel"], "ts": message["ts"], "text": message.get("text", ""), "message": message}

    def _delete(self, arguments: Mapping[str, Any], now: float) -> dict[str, Any]:
        key = self._find(arguments)
        if self.messages[key].get("bot_id") != "B0BOT":
            raise _Failed("cant_delete_message")
        self._take("delete", self.update_limit, now, "ratelimited")
        message = self.messages.pop(key)
        return {"channel": message["channel"], "ts": message["ts"]}

    def _channel(self, arguments: Mapping[str, Any], *, names: bool) -> SlackChannel:
        given = str(arguments.get("channel", ""))
        channel = self.channels.get(given)
        if channel is None and names:
            wanted = given.removeprefix("#")
            channel = next((each for each in self.channels.values() if each.name == wanted), None)
        if channel is None:
            raise _Failed("channel_not_found")
        if channel.state:
            raise _Failed(channel.state)
        return channel

    def _find(self, arguments: Mapping[str, Any]) -> str:
        channel = self._channel(arguments, names=False)
        key = f"{channel.id}/{arguments.get('ts', '')}"
        if key not in self.messages:
            raise _Failed("message_not_found")
        return key

    def _check(self, payload: Mapping[str, Any], most: int, *, update: bool = False) -> None:
        text, blocks, attachments = (payload.get(name) for name in ("text", "blocks", "attachments"))
        if not text and not blocks and not attachments:
            raise _Failed("no_text")
        if text is not None and not isinstance(text, str):
            raise _Failed("invalid_payload" if not update else "invalid_arguments")
        if len((text or "").encode() if update else text or "") > most:
            raise _Failed("msg_too_long")
        if not blocks:
            return
        problems = check_blocks(blocks) or self._download(blocks)
        if problems:
            raise _Failed("invalid_blocks", problems)
        if measure_blocks(blocks) > RENDERED:
            raise _Failed("msg_blocks_too_long")

    def _download(self, blocks: list[dict[str, Any]]) -> list[str]:
        return [
            f"downloading image failed [json-pointer:/blocks{path}]"
            for path, url in find_images(blocks)
            if self.fetch(url) is None
        ]

    def _store(self, channel: str, payload: Mapping[str, Any], now: float) -> str:
        self._count += 1
        ts = f"{int(now)}.{self._count:06d}"
        key = f"{channel}/{ts}"
        shown = {name: payload[name] for name in ("text", "blocks", "attachments") if name in payload}
        self.messages[key] = {"type": "message", "ts": ts, "channel": channel, "bot_id": "B0BOT", **shown}
        self._ping(key, payload, now)
        if has_link(payload) and not (payload.get("unfurl_links") is False and payload.get("unfurl_media") is False):
            self.cards.add(key)
        return key

    def _ping(self, key: str, payload: Mapping[str, Any], now: float) -> None:
        # Whether an update notifies is documented nowhere: here one that adds a mention does.
        before = self._mentions.get(key, ())
        self._mentions[key] = find_mentions(payload)
        new = dict.fromkeys(each for each in self._mentions[key] if each not in before)
        self.pings.extend(Ping(message=key, whom=whom, at=now) for whom in new)

    def _take(self, name: str, limit: tuple[int, float], now: float, word: str) -> None:
        window = self._windows.setdefault(name, SlidingWindow(*limit))
        if wait := window.wait(now):
            raise _Failed(word, wait=max(1, ceil(wait)))
        window.take(now)

    _methods: ClassVar[Mapping[str, Callable[[FakeSlack, Mapping[str, Any], float], dict[str, Any]]]] = {
        "auth.test": _test,
        "chat.postMessage": _post,
        "chat.update": _update,
        "chat.delete": _delete,
    }


def _read_arguments(request: FakeRequest) -> Mapping[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        try:
            arguments = request.json
        except ValueError:
            raise _Failed("invalid_json") from None
        if not isinstance(arguments, dict):
            raise _Failed("json_not_object")
        return arguments
    arguments = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    for name in ("blocks", "attachments"):
        if name in arguments:
            try:
                arguments[name] = orjson.loads(arguments[name])
            except ValueError:
                raise _Failed("invalid_arguments") from None
    for name in ("unfurl_links", "unfurl_media"):
        if name in arguments:
            arguments[name] = arguments[name].lower() not in ("false", "0")
    return arguments


#: Of a webhook's words; 400 for all others.
_STATUSES: Final[Mapping[str, int]] = {
    "invalid_token": 403,
    "action_prohibited": 403,
    "posting_to_general_channel_denied": 403,
    "channel_not_found": 404,
    "no_service": 404,
    "no_team": 404,
    "channel_is_archived": 410,
    "rate_limited": 429,
    "rollup_error": 500,
}
