"""
Recognizes URLs of chat services, whose incoming webhooks reject the JSON payload.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from attrs import frozen

__all__ = ["CHAT_SERVICES", "ChatService", "find_chat_service"]


_URL_ALONE: Mapping[str, str] = {"url": "the same URL"}
_OF_A_WEBHOOK: Mapping[str, str] = {"url": "that of a webhook: 'Edit Channel', 'Integrations', 'Webhooks'"}
_WORKFLOW: Mapping[str, str] = {"url": "that of a new workflow: connectors no longer work"}


@frozen
class ChatService:
    """
    A service, and the pattern of its URLs.

    :ivar hosts: matches the whole host name, in lower case.
    :ivar path: matches the beginning of the path.
    :ivar takes: the only thing that it accepts.
    :ivar certain: whether no URL of this form accepts anything else.
    :ivar kind: the type of destinations that sends to it; empty if there is none.
    :ivar keys: what such a destination needs, each with where to find it.
    """

    name: str
    hosts: re.Pattern[str]
    path: re.Pattern[str]
    takes: str
    certain: bool = True
    kind: str = ""
    keys: Mapping[str, str] = _URL_ALONE

    @property
    def is_current(self) -> bool:
        """
        Whether the URL itself can still be used, as the address of a destination.
        """
        return self.keys not in (_OF_A_WEBHOOK, _WORKFLOW)

    def lines(self, name: str, streamer: str | None) -> tuple[str, ...]:
        """
        What to write in the configuration instead.

        :param name: of the new destination.
        :param streamer: the table of the streamer, dotted; ``None`` for the global webhook.
        """
        keys = (f'{key} = "..."  # {where}' for key, where in self.keys.items())
        head = (f"[destinations.{name}]", f'type = "{self.kind}"', *keys)
        if streamer is None:
            return (*head, "default = true", "# and in [global_webhook]:", "enabled = false")
        return (*head, f"# and in [{streamer}], in place of target_webhook_url:", f'destinations = ["{name}"]')

    def misplaced(self, kind: str) -> str | None:
        """
        What to do with such a URL in a destination, as a sentence without a subject; ``None`` if it belongs there.

        :param kind: the type of the destination.
        """
        if self.kind == kind:
            return (
                "is the URL of a connector, which no longer works: make a workflow" if self.keys is _WORKFLOW else None
            )
        return self._what + (f': set type to "{self.kind}"' if self.kind else "")

    def advice(self, *, can_move: bool = False) -> str:
        """
        What to do, as a sentence without a subject.

        :param can_move: whether a destination of its type can be configured.
        """
        doubt = ": " if self.certain else "; unless it was made for the JSON of docs/payload.md, "
        if can_move:
            then = (
                f"replace it by a destination of the type {self.kind}, as 'itsjustintv config validate' and"
                " 'itsjustintv doctor' show"
            )
        else:
            then = "use a bridge that translates " + ("the JSON of docs/payload.md" if self.certain else "it")
        return f"{self._what} and rejects every delivery{doubt}{then}"

    @property
    def _what(self) -> str:
        return f"is a URL of {self.name}, which {'' if self.certain else 'probably '}accepts only {self.takes}"


_URL = re.compile(r"https?://(?:[^/?#@]*@)?([^/?#:]*)(?::[0-9]*)?([^?#]*)", re.IGNORECASE)


_DISCORD = r"(?:(?:www|ptb|canary)\.)?discord(?:app)?\.com"

#: The known services, the most specific URL first.
CHAT_SERVICES: Sequence[ChatService] = (
    ChatService(
        "Discord",
        re.compile(_DISCORD),
        re.compile(r"/api/(?:v\d+/)?webhooks/[^/]+/[^/]+/(?:slack|github)(?:/|$)"),
        "messages of Slack or events of GitHub at this path",
        kind="discord",
        keys={"url": "the same URL, without /slack or /github"},
    ),
    ChatService(
        "Discord",
        re.compile(_DISCORD),
        re.compile(r"/api/(?:v\d+/)?webhooks(?:/|$)"),
        "its own message format",
        kind="discord",
    ),
    ChatService(
        "a page of Discord",
        re.compile(_DISCORD),
        re.compile("/(?:channels|invite)/"),
        "only browsers",
        kind="discord",
        keys=_OF_A_WEBHOOK,
    ),
    ChatService(
        "a workflow of Slack",
        re.compile(r"hooks\.slack(?:-gov)?\.com"),
        re.compile(r"/(?:triggers|workflows)/"),
        "its variables",
    ),
    ChatService(
        "Slack",
        re.compile(r"hooks\.slack(?:-gov)?\.com"),
        re.compile("/"),
        "its own message format",
        kind="slack",
    ),
    ChatService(
        "Slack",
        re.compile(r"(?:[\w-]+\.)*slack(?:-gov)?\.com"),
        re.compile("/api/"),
        "its own message format, with a token",
        kind="slack",
        keys={"token": "the bot token, which begins with xoxb-", "channel": "the id of the channel"},
    ),
    ChatService(
        "Microsoft Teams",
        re.compile(r"(?:[\w-]+\.)*webhook\.office(?:365)?\.(?:com|us)"),
        re.compile("/"),
        "its own message format",
        kind="teams",
        keys=_WORKFLOW,
    ),
    ChatService(
        "Microsoft Teams",
        re.compile(r"outlook\.office(?:365)?\.(?:com|us)"),
        re.compile("/webhook"),
        "its own message format",
        kind="teams",
        keys=_WORKFLOW,
    ),
    ChatService(
        "a Microsoft Power Automate workflow, as used by Teams",
        re.compile(r"(?:[\w-]+\.)+(?:logic\.azure\.(?:com|us|cn)|logic\.azure-apihub\.net|powerplatform\.com)"),
        re.compile("/.*workflows/"),
        "messages with adaptive cards",
        certain=False,
        kind="teams",
    ),
    ChatService(
        "Google Chat", re.compile(r"chat\.googleapis\.com"), re.compile("/v1/spaces/"), "its own message format"
    ),
    ChatService(
        "Telegram",
        re.compile(r"api\.telegram\.org"),
        re.compile("/(?:bot|file/bot)"),
        "the parameters of its methods",
        kind="telegram",
        keys={"token": "what is between /bot and the next / of the URL", "chat": "the id of the chat"},
    ),
)


def find_chat_service(url: str) -> ChatService | None:
    """
    Find the service of a webhook URL; ``None`` for every other receiver.
    """
    found = _URL.match(url)
    if found is None:
        return None
    host = found[1].lower().removesuffix(".")
    path = re.sub("/{2,}", "/", found[2] or "/").lower()
    for service in CHAT_SERVICES:
        if service.hosts.fullmatch(host) and service.path.match(path):
            return service
    return None
