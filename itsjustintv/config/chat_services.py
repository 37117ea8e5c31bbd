"""
Recognizes URLs of chat services, whose incoming webhooks reject the JSON payload.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

__all__ = ["CHAT_SERVICES", "ChatService", "find_chat_service"]


@frozen
class ChatService:
    """
    A service, and the pattern of its URLs.

    :ivar hosts: matches the whole host name, in lower case.
    :ivar path: matches the beginning of the path.
    :ivar takes: what it accepts instead of the JSON payload.
    :ivar certain: whether no URL of this form accepts anything else.
    """

    name: str
    hosts: re.Pattern[str]
    path: re.Pattern[str]
    takes: str
    certain: bool = True

    @property
    def advice(self) -> str:
        """
        What to do, as a sentence without a subject.
        """
        if not self.certain:
            return (
                f"is a URL of {self.name}: it probably accepts only {self.takes} and rejects every"
                " delivery; unless it was"
                " made for the JSON of docs/payload.md, use a bridge that translates it"
            )
        return (
            f"is a URL of {self.name}, which accepts {self.takes} and rejects every delivery: use a bridge that"
            " translates the JSON of docs/payload.md"
        )


_URL = re.compile(r"https?://(?:[^/?#@]*@)?([^/?#:]*)(?::[0-9]*)?([^?#]*)", re.IGNORECASE)


def _service(name: str, hosts: str, path: str, takes: str, *, certain: bool = True) -> ChatService:
    return ChatService(name, re.compile(hosts), re.compile(path), takes, certain)


#: The known services, the most specific URL first.
CHAT_SERVICES: Sequence[ChatService] = (
    _service(
        "Discord",
        r"(?:(?:www|ptb|canary)\.)?discord(?:app)?\.com",
        r"/api/(?:v\d+/)?webhooks/[^/]+/[^/]+/(?:slack|github)(?:/|$)",
        "only messages of Slack or events of GitHub at this path",
    ),
    _service(
        "Discord",
        r"(?:(?:www|ptb|canary)\.)?discord(?:app)?\.com",
        r"/api/(?:v\d+/)?webhooks(?:/|$)",
        "only its own message format",
    ),
    _service("a workflow of Slack", r"hooks\.slack(?:-gov)?\.com", r"/(?:triggers|workflows)/", "only its variables"),
    _service("Slack", r"hooks\.slack(?:-gov)?\.com", r"/", "only its own message format"),
    _service("Slack", r"(?:[\w-]+\.)*slack(?:-gov)?\.com", r"/api/", "only its own message format, with a token"),
    _service(
        "Microsoft Teams", r"(?:[\w-]+\.)*webhook\.office(?:365)?\.(?:com|us)", r"/", "only its own message format"
    ),
    _service("Microsoft Teams", r"outlook\.office(?:365)?\.(?:com|us)", r"/webhook", "only its own message format"),
    _service(
        "a Microsoft Power Automate workflow, as used by Teams",
        r"(?:[\w-]+\.)+(?:logic\.azure\.(?:com|us|cn)|logic\.azure-apihub\.net|powerplatform\.com)",
        r"/.*workflows/",
        "messages with adaptive cards",
        certain=False,
    ),
    _service("Google Chat", r"chat\.googleapis\.com", r"/v1/spaces/", "only its own message format"),
    _service("Telegram", r"api\.telegram\.org", r"/(?:bot|file/bot)", "only the parameters of its methods"),
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
