"""
``/livez`` and ``/readyz``: one question each, for whoever restarts the daemon and for whoever watches over it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from twisted.logger import Logger
from twisted.web import http
from twisted.web.resource import Resource

from itsjustintv.web.folding_checks_health import answer, asked

__all__ = ["ProbeResource", "Question"]


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
