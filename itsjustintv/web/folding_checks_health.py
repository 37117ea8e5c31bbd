"""
Asking the parts how they are, and telling it in JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from twisted.logger import Logger

from itsjustintv.support.foreign_text import visible_json

__all__ = ["answer", "asked"]


def asked(log: Logger, name: str, check: Callable[[], str | None]) -> str | None:
    """
    Ask a part why it is not well; ``None`` while it is. One that fails is not a sign of health.

    :param log: hears of one that fails.
    """
    try:
        return check()
    except Exception:  # noqa: BLE001 - a broken check must not hide the others
        log.failure("the health check {check} failed", check=name)
        return "the check itself failed; see the log"


def answer(request: Any, status: int, content: object) -> bytes:
    """
    Set status and headers and return the body.
    """
    body = visible_json(orjson.dumps(content).decode()).encode()
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return body
