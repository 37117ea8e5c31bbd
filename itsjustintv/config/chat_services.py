"""
Services whose incoming webhooks take a message in a form of their own, by their addresses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

__all__ = ["CHAT_SERVICES", "ChatService", "chat_service"]


@frozen
class ChatService:
    """
    A service, and what its addresses look like.

    :ivar name: as its users know it.
    :ivar hosts: matches the whole host name, in lower case.
    :ivar path: matches the beginning of the path.
    :ivar takes: what it takes in place of our JSON.
    :ivar certain: whether everything at such an address takes nothing else.
    """

    name: str
    hosts: re.Pattern[str]
    path: re.Pattern[str]
    takes: str
    certain: bool = True

    @property
    def advice(self) -> str:
        """
        One sentence, without a subject, that says what to do.
        """
        if not self.certain:
            return (
                f"leads to {self.name}: made for a chat, it takes {self.takes} and refuses every delivery; unless it"
                " was made for the JSON of docs/payload.md, send to a bridge that translates it"
            )
        return (
            f"leads to {self.name}, which takes {self.takes} and refuses every delivery: send to a bridge that"
            " translates the JSON of docs/payload.md"
        )


_URL = re.compile(r"https?://(?:[^/?#@]*@)?([^/?#:]*)(?::[0-9]*)?([^?#]*)", re.IGNORECASE)


def _service(name: str, hosts: str, path: str, takes: str, *, certain: bool = True) -> ChatService:
    return ChatService(name, re.compile(hosts), re.compile(path), takes, certain)


#: Each service that is known, the most specific address first.
CHAT_SERVICES: Sequence[ChatService] = (
    _service(
        "Discord",
        r"(?:(?:www|ptb|canary)\.)?discord(?:app)?\.com",
        r"/api/(?:v\d+/)?webhooks/[^/]+/[^/]+/(?:slack|github)(?:/|$)",
        "there messages of Slack or events of GitHub only",
    ),
    _service(
        "Discord",
        r"(?:(?:www|ptb|canary)\.)?discord(?:app)?\.com",
        r"/api/(?:v\d+/)?webhooks(?:/|$)",
        "messages of its own form",
    ),
    _service("a workflow of Slack", r"hooks\.slack(?:-gov)?\.com", r"/(?:triggers|workflows)/", "only its variables"),
    _service("Slack", r"hooks\.slack(?:-gov)?\.com", r"/", "messages of its own form"),
    _service("Slack", r"(?:[\w-]+\.)*slack(?:-gov)?\.com", r"/api/", "messages of its own form, with a token"),
    _service("Microsoft Teams", r"(?:[\w-]+\.)*webhook\.office(?:365)?\.(?:com|us)", r"/", "messages of its own form"),
    _service("Microsoft Teams", r"outlook\.office(?:365)?\.(?:com|us)", r"/webhook", "messages of its own form"),
    _service(
        "a Power Automate workflow of Microsoft, as Teams has them",
        r"(?:[\w-]+\.)+(?:logic\.azure\.(?:com|us|cn)|logic\.azure-apihub\.net|powerplatform\.com)",
        r"/.*workflows/",
        "messages with adaptive cards",
        certain=False,
    ),
    _service("Google Chat", r"chat\.googleapis\.com", r"/v1/spaces/", "messages of its own form"),
    _service("Telegram", r"api\.telegram\.org", r"/(?:bot|file/bot)", "the parameters of its methods"),
)


def chat_service(url: str) -> ChatService | None:
    """
    Find the service that a webhook's address belongs to; ``None`` for every other receiver.
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
