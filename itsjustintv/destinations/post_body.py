"""
The stored body of a post: what is sent, and the plain form that is sent once if the service rejects it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from itsjustintv.model import Action, Delivery, Notice

__all__ = ["NOTHING", "pack", "post_id", "to_send"]

#: That of a deletion, which sends nothing.
NOTHING = b"{}"


def pack(body: Mapping[str, Any], plain: Mapping[str, Any]) -> bytes:
    """
    Put both forms together. The same arguments give the same bytes.
    """
    return orjson.dumps({"body": body, "plain": plain})


def to_send(delivery: Delivery) -> Any:
    """
    The form that an attempt sends.
    """
    forms = orjson.loads(delivery.body)
    return forms.get("plain" if delivery.plain else "body", {})


def post_id(notice: Notice) -> str:
    """
    Which post a notice is about: the same for everything that happens to it. Services that take an id of ours get it.
    """
    if notice.broadcast is None or notice.action is Action.FOLLOW_UP:
        return notice.event.id
    return notice.broadcast.id
