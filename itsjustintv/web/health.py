"""
``/health``: whether the daemon does its work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import ClassVar

import orjson
from attrs import define
from klein import Klein
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web import http
from twisted.web.iweb import IRequest

__all__ = ["Check", "HealthResource"]

#: A name, and a question answered at once: why not, in words fit for strangers, or ``None`` while all is well.
Check = tuple[str, Callable[[], str | None]]


@define(eq=False)
class HealthResource:
    """
    Answers 200 only while every check answers ``None``, else 503 with every reason.

    The route is the whole path, ``/health``, so the resource of ``app`` belongs at the root of a site. ``HEAD`` is
    answered like ``GET``, because that is what container health checks send.
    """

    app: ClassVar[Klein] = Klein()
    log: ClassVar[Logger] = Logger()

    _checks: Sequence[Check]
    _clock: IReactorTime

    @app.route("/health")
    def show(self, request: IRequest) -> bytes:
        """
        Answer one request.
        """
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"Allow", b"GET, HEAD")
            return self._answer(request, http.NOT_ALLOWED, {"status": "method not allowed"})
        reasons = [
            {"check": name, "reason": reason} for name, check in self._checks if (reason := self._ask(name, check))
        ]
        now = datetime.fromtimestamp(self._clock.seconds(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        report: dict[str, object] = {
            "status": "unhealthy" if reasons else "healthy",
            "service": "itsjustintv",
            "timestamp": now,
        }
        if not reasons:
            return self._answer(request, http.OK, report)
        return self._answer(request, http.SERVICE_UNAVAILABLE, {**report, "reasons": reasons})

    def _ask(self, name: str, check: Callable[[], str | None]) -> str | None:
        """
        Ask one check; one that fails is not a sign of health.
        """
        try:
            return check()
        except Exception:  # noqa: BLE001 - a broken check must not hide the others
            self.log.failure("the health check {check} failed", check=name)
            return "the check itself failed; see the log"

    def _answer(self, request: IRequest, status: int, report: dict[str, object]) -> bytes:
        """
        Set status and headers and return the body.
        """
        body = orjson.dumps(report)
        request.setResponseCode(status)
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Content-Length", b"%d" % len(body))
        return body
