"""
``/health``: whether the daemon does its work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import orjson
from attrs import define, frozen
from klein import Klein
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web import http
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource

from itsjustintv.model import rfc3339
from itsjustintv.support.foreign_text import visible_json

__all__ = ["Check", "Detail", "HealthResource", "ProbeResource", "Question", "Standing", "answer", "asked"]

#: A name, and a question answered at once: why not, in words fit for strangers, or ``None`` while all is well.
Check = tuple[str, Callable[[], str | None]]

#: A name, and something fit for strangers that can be made JSON.
Detail = tuple[str, Callable[[], object]]

#: The whole in a word.
Standing = Literal["healthy", "degraded", "unhealthy"]


@define(eq=False)
class HealthResource:
    """
    Answers 200 only while every check answers ``None``, else 503 with every reason.

    :ivar concerns: checks of what the daemon can do without for a while; their reasons make it degraded, with a 200.
    :ivar details: what else to tell, by name; asked for at each request.

    The route is the whole path, ``/health``, so the resource of ``app`` belongs at the root of a site. ``HEAD`` is
    answered like ``GET``, because that is what container health checks send.
    """

    app: ClassVar[Klein] = Klein()
    log: ClassVar[Logger] = Logger()

    _checks: Sequence[Check]
    _clock: IReactorTime
    _concerns: Sequence[Check] = ()
    _details: Sequence[Detail] = ()

    @app.route("/health")
    def show(self, request: IRequest) -> bytes:
        """
        Answer one request.
        """
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"Allow", b"GET, HEAD")
            return answer(request, http.NOT_ALLOWED, {"status": "method not allowed"})
        failed, degraded = self.judge()
        report: dict[str, object] = {
            "status": self.standing(failed, degraded),
            "service": "itsjustintv",
            "timestamp": rfc3339(self._clock.seconds()),
        }
        if reasons := [*failed, *degraded]:
            report["reasons"] = reasons
        report.update((name, detail()) for name, detail in self._details)
        return answer(request, http.SERVICE_UNAVAILABLE if failed else http.OK, report)

    @property
    def checks(self) -> Sequence[Check]:
        """
        Everything that is looked at.
        """
        return (*self._checks, *self._concerns)

    def judge(self) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
        """
        What is wrong: what keeps the daemon from its work, and what it can do without for a while.
        """
        return self._reasons(self._checks), self._reasons(self._concerns)

    @staticmethod
    def standing(failed: Sequence[object], degraded: Sequence[object]) -> Standing:
        """
        Say in a word how the daemon is, by what is wrong with it as :meth:`judge` tells it.
        """
        return "unhealthy" if failed else "degraded" if degraded else "healthy"

    def _reasons(self, checks: Sequence[Check]) -> list[dict[str, str]]:
        return [{"check": name, "reason": reason} for name, check in checks if (reason := asked(self.log, name, check))]


@frozen
class Question:
    """
    Something that must be as it should.

    :ivar name: of what it is about.
    :ivar otherwise: what strangers are told when it is not: the whole reason, which may name files, streamers and
        domains, is for the log and for the operator's own commands.
    :ivar ask: answers at once with that reason, or with ``None`` while all is well.
    """

    name: str
    otherwise: str
    ask: Callable[[], str | None]


class ProbeResource(Resource):
    """
    Answers 200 while every question is answered well, else 503 with those that are not.
    """

    isLeaf = True
    log = Logger()

    def __init__(self, well: str, ill: str, questions: Sequence[Question]) -> None:
        """
        :param well: what it says for 200.
        :param ill: what it says for 503.
        """
        super().__init__()
        self._well, self._ill, self._questions = well, ill, questions

    def render(self, request: Any) -> bytes:
        """
        Answer one request.
        """
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"Allow", b"GET, HEAD")
            return answer(request, http.NOT_ALLOWED, {"status": "method not allowed"})
        reasons = [
            {"check": question.name, "reason": question.otherwise}
            for question in self._questions
            if asked(self.log, question.name, question.ask) is not None
        ]
        if reasons:
            return answer(request, http.SERVICE_UNAVAILABLE, {"status": self._ill, "reasons": reasons})
        return answer(request, http.OK, {"status": self._well})


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
