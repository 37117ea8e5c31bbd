"""
The health endpoints: ``/health`` with reasons, ``/livez`` and ``/readyz`` without. Knows no part of the daemon: checks
are handed in.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import orjson
from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web import http
from twisted.web.resource import Resource

from itsjustintv.model import rfc3339
from itsjustintv.support.foreign_text import visible_json

__all__ = ["Check", "Detail", "HealthResource", "HealthStatus", "ProbeCheck", "ProbeResource"]

#: A name, and a function that returns at once why something is wrong, in words fit for the public, or ``None``.
Check = tuple[str, Callable[[], str | None]]

#: A name, and a function that returns something fit for the public that can be made JSON, or ``None`` to leave it out.
Detail = tuple[str, Callable[[], object]]

HealthStatus = Literal["healthy", "degraded", "unhealthy"]


@frozen
class ProbeCheck:
    """
    A check whose own reason is not for the public: it may name files, streamers and domains.

    :ivar public_reason: what strangers read when it fails.
    """

    name: str
    public_reason: str
    check: Callable[[], str | None]


class _CheckingResource(Resource):
    """
    Answers GET and HEAD with the outcome of checks, as JSON.
    """

    isLeaf = True
    log: ClassVar[Logger] = Logger()

    def render(self, request: Any) -> bytes:
        if request.method in (b"GET", b"HEAD"):
            status, content = self.report()
        else:
            request.setHeader(b"Allow", b"GET, HEAD")
            status, content = http.NOT_ALLOWED, {"status": "method not allowed"}
        body = visible_json(orjson.dumps(content).decode()).encode()
        request.setResponseCode(status)
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Content-Length", b"%d" % len(body))
        return body

    @abstractmethod
    def report(self) -> tuple[int, Mapping[str, object]]:
        """
        Run the checks. Returns the HTTP status and the content.
        """

    def _run(self, name: str, check: Callable[[], str | None]) -> str | None:
        try:
            return check()
        except Exception:  # noqa: BLE001 - a broken check must not hide the others, and is not a sign of health
            self.log.failure("health check {check} raised an exception", check=name)
            return "the check raised an exception; see the log"


class HealthResource(_CheckingResource):
    """
    ``/health``: 503 while a vital check fails, else 200; ``degraded`` while one of the others fails.
    """

    def __init__(
        self, vital: Sequence[Check], clock: IReactorTime, others: Sequence[Check] = (), details: Sequence[Detail] = ()
    ) -> None:
        """
        :param vital: checks of what the daemon cannot work without.
        :param others: checks of what it can do without for a while.
        :param details: what else to report, by name.
        """
        super().__init__()
        self._vital, self._clock, self._others, self._details = vital, clock, others, details

    @property
    def checks(self) -> Sequence[Check]:
        """
        All checks, the vital ones first.
        """
        return (*self._vital, *self._others)

    def reasons(self) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
        """
        Run the checks. Returns the failed ones as ``{"check": name, "reason": reason}``: the vital, and the others.
        """
        return self._failed(self._vital), self._failed(self._others)

    @staticmethod
    def status(vital: Sequence[object], others: Sequence[object]) -> HealthStatus:
        """
        Sum up what :meth:`reasons` returns.
        """
        return "unhealthy" if vital else "degraded" if others else "healthy"

    def report(self) -> tuple[int, Mapping[str, object]]:
        vital, others = self.reasons()
        report: dict[str, object] = {
            "status": self.status(vital, others),
            "service": "itsjustintv",
            "timestamp": rfc3339(self._clock.seconds()),
        }
        if reasons := [*vital, *others]:
            report["reasons"] = reasons
        report.update((name, content) for name, detail in self._details if (content := detail()) is not None)
        return (http.SERVICE_UNAVAILABLE if vital else http.OK), report

    def _failed(self, checks: Sequence[Check]) -> list[dict[str, str]]:
        return [{"check": name, "reason": reason} for name, check in checks if (reason := self._run(name, check))]


class ProbeResource(_CheckingResource):
    """
    ``/livez`` or ``/readyz``: 200 while every check passes, else 503 and the public reasons.
    """

    def __init__(self, passed: str, failed: str, checks: Sequence[ProbeCheck]) -> None:
        """
        :param passed: the status in a 200.
        :param failed: the status in a 503.
        """
        super().__init__()
        self._passed, self._failed, self._checks = passed, failed, checks

    def report(self) -> tuple[int, Mapping[str, object]]:
        reasons = [
            {"check": each.name, "reason": each.public_reason}
            for each in self._checks
            if self._run(each.name, each.check) is not None
        ]
        if reasons:
            return http.SERVICE_UNAVAILABLE, {"status": self._failed, "reasons": reasons}
        return http.OK, {"status": self._passed}
