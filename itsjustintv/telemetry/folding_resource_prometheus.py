"""
``/metrics``, for Prometheus.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from itsjustintv.telemetry.prometheus import CONTENT_TYPE

__all__ = ["MetricsResource"]


class MetricsResource(Resource):
    """
    Answers with every metric.

    :param text: writes them down.
    """

    isLeaf = True
    log = Logger()

    def __init__(self, text: Callable[[], Deferred[bytes]]) -> None:
        super().__init__()
        self._text = text

    def render_GET(self, request: Request) -> int:
        """
        Answer when everything has been read.
        """
        answering = self._text()
        request.notifyFinish().addErrback(lambda _: answering.cancel())
        answering.addCallbacks(self._give, self._failed, (request,), errbackArgs=(request,))
        return NOT_DONE_YET

    def _give(self, text: bytes, request: Request) -> None:
        request.setHeader(b"Content-Type", CONTENT_TYPE)
        request.setHeader(b"Content-Length", b"%d" % len(text))
        request.write(b"" if request.method == b"HEAD" else text)
        request.finish()

    def _failed(self, failure: Failure, request: Request) -> None:
        if failure.check(CancelledError):
            return
        self.log.failure("the metrics could not be read", failure)
        request.setResponseCode(http.INTERNAL_SERVER_ERROR)
        request.finish()
