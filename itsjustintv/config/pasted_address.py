"""
What an operator pastes when asked where announcements go: a URL or a token of a service, read as keys of a destination.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import Factory, field, frozen

from itsjustintv.config.chat_services import find_chat_service

__all__ = ["PastedAddress", "read_pasted"]

# Tokens that are recognized alone: the type, the key that they are, and the one that is asked for besides.
_TOKENS: tuple[tuple[re.Pattern[str], str, str, str], ...] = (
    (re.compile(r"[1-9]\d{4,19}:[\w-]{30,64}", re.ASCII), "telegram", "chat", "id of the chat, such as -1001234567890"),
    (re.compile(r"xoxb-[\w-]{4,200}", re.ASCII), "slack", "channel", "id of the channel"),
)

# A token in a URL of Telegram's methods.
_IN_PATH = re.compile(r"https?://[^/?#]+/(?:file/)?bot([^/?#]+)(?:[/?#].*)?", re.IGNORECASE)

# At the end of a URL of Discord for the formats of others.
_OTHER_FORMAT = re.compile(r"/(?:slack|github)/?(?=$|\?)", re.IGNORECASE)


@frozen
class PastedAddress:
    """
    The destination that a text stands for.

    :ivar kind: its type.
    :ivar values: of its keys.
    :ivar missing: the keys that it needs besides, each with what it is.
    """

    kind: str
    values: Mapping[str, str] = field(repr=False)
    missing: Mapping[str, str] = field(default=Factory(dict))


def read_pasted(text: str) -> PastedAddress | None:
    """
    Recognize what was pasted; ``None`` for anything else, such as the URL of a program of one's own.
    """
    text = text.strip()
    if found := _IN_PATH.fullmatch(text):
        text = found[1]
    for pattern, kind, key, what in _TOKENS:
        if pattern.fullmatch(text):
            return PastedAddress(kind, {"token": text}, {key: what})
    service = find_chat_service(text)
    if service is None or not service.kind or [*service.keys] != ["url"] or not service.is_current:
        return None
    url = _OTHER_FORMAT.sub("", text) if service.kind == "discord" else text
    return PastedAddress(service.kind, {"url": url})
