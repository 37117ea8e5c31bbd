"""
The stored body of a post: what is sent, and the plain form that is sent once if the service rejects it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from itsjustintv import __version__
from itsjustintv.model import Action, Delivery, Notice, sent_form

__all__ = ["AGENT", "NOTHING", "pack", "post_id", "present", "to_send"]

#: Value of the header ``User-Agent`` for services that have no rules of their own.
AGENT = f"itsjustintv/{__version__}"

#: That of a deletion, which sends nothing.
NOTHING = b"{}"


def pack(body: Mapping[str, Any], plain: Mapping[str, Any]) -> bytes:
    """
    Put both forms together. The same arguments give the same bytes.
    """
    return orjson.dumps({"body": body, "plain": plain})


def present(**parts: Any) -> dict[str, Any]:
    """
    Leave out what is empty.
    """
    return {name: value for name, value in parts.items() if value}


def to_send(delivery: Delivery) -> Any:
    """
    The form that an attempt sends.
    """
    return sent_form(orjson.loads(delivery.body), plain=delivery.plain)


def post_id(notice: Notice) -> str:
    """
    Which post a notice is about: the same for everything that happens to it. Services that take an id of ours get it.
    """
    if notice.broadcast is None or notice.action is Action.FOLLOW_UP:
        return notice.event.id
    return notice.broadcast.id
