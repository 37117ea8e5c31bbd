"""
What would be sent for a notice, made by the code that sends it, without its secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson
from attrs import frozen

from itsjustintv.destinations.kinds import KINDS, open_destination
from itsjustintv.model import Action, Card, Delivery, Destination, Notice, OutgoingRequest

__all__ = ["MASK", "RequestPreview"]

#: Stands for a secret.
MASK = "[redacted]"

# Headers whose values are never secret.
_SHOWN = frozenset({"accept", "content-type", "title", "user-agent"})

# Stands for the id of a post, which is not known before there is one.
_REMOTE = "1"

_LONGEST = 2000


@frozen(kw_only=True)
class RequestPreview:
    """
    A request that would be made.

    :ivar method: empty where more than the body cannot be known before a post exists, or no HTTP request is made; then
        ``url`` is empty, too, and there are no headers.
    :ivar url: only its scheme and host; the rest may be secret.
    :ivar body: parsed, if it is JSON; else a text; ``None`` for none.
    """

    destination: str
    kind: str
    action: Action
    mention: bool
    method: str
    url: str
    headers: Sequence[tuple[str, str]]
    body: Any

    @classmethod
    def of(cls, notice: Notice, destination: Destination) -> RequestPreview:
        """
        Make it as :meth:`~itsjustintv.interfaces.IDestination.make_request` does.
        """
        adapter = open_destination(destination)
        stored = adapter.render(notice)
        delivery = Delivery(
            id=f"{notice.event.id}-1",
            event_id=notice.event.id,
            streamer=notice.streamer.key,
            destination=destination.name,
            accepted_at=notice.built_at,
            next_attempt_at=notice.built_at,
            body=stored,
            broadcast="" if notice.broadcast is None else notice.broadcast.id,
            action=notice.action,
            remote=_REMOTE if notice.action in (Action.EDIT, Action.DELETE) else "",
            mention=notice.mention,
        )
        request: OutgoingRequest | None
        try:
            request = adapter.make_request(delivery, notice.built_at)
        except (ValueError, LookupError, NotImplementedError):
            # The id of a post has a form of its own at some services.
            request = None
        url = "" if request is None else request.url
        parts = urlsplit(url)
        secrets = sorted({each for each in (*destination.secrets, destination.url) if each}, key=len, reverse=True)
        return cls(
            destination=destination.name,
            kind=destination.kind,
            action=notice.action,
            mention=notice.mention and notice.action is Action.CREATE,
            method="" if request is None else request.method,
            url=f"{parts.scheme}://{parts.hostname}/{MASK}" if parts.hostname else "",
            headers=[]
            if request is None
            else [(name, value if name.lower() in _SHOWN else MASK) for name, value in request.headers],
            body=_masked(_parsed(stored if request is None else request.body, request is None), secrets),
        )

    def public(self) -> Mapping[str, Any]:
        """
        The request as ``preview --json`` shows it.
        """
        return {
            "destination": self.destination,
            "type": self.kind,
            "action": self.action.value,
            "mention": self.mention,
            "method": self.method or None,
            "url": self.url or None,
            "headers": dict(self.headers),
            "body": self.body,
        }

    def card(self) -> Card | None:
        """
        What people would see of the message, where it is a card.
        """
        return KINDS[self.kind].card(self.body) if isinstance(self.body, dict) else None

    def texts(self) -> Iterator[tuple[str, str]]:
        """
        List the texts of the body that are not empty: the path of each, and the text.
        """
        yield from _texts(self.body, ())


def _parsed(body: bytes, is_stored: bool) -> Any:
    """
    :param is_stored: whether it is the stored form, which holds the plain one as well.
    """
    if not body:
        return None
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")
    return found.get("body") if is_stored and isinstance(found, dict) else found


def _masked(value: Any, secrets: Sequence[str]) -> Any:
    match value:
        case str():
            for each in secrets:
                # A short one would be found in words that have nothing to do with it.
                value = value.replace(each, MASK) if len(each) >= 6 else MASK if value == each else value
            return value
        case dict():
            return {key: _masked(each, secrets) for key, each in value.items()}
        case list():
            return [_masked(each, secrets) for each in value]
        case _:
            return value


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    match value:
        case str() if value.strip():
            yield ".".join(path), value if len(value) <= _LONGEST else f"{value[:_LONGEST]}..."
        case dict():
            for key, each in value.items():
                yield from _texts(each, (*path, str(key)))
        case list():
            for number, each in enumerate(value):
                yield from _texts(each, (*path, str(number)))
