"""
Responses of the admin site: JSON, problems, redirects, and answers that take time.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.server import NOT_DONE_YET, Request

from itsjustintv.support.durations import duration
from itsjustintv.support.foreign_text import visible_json

__all__ = [
    "HTML",
    "PROBLEM",
    "TOO_MANY_REQUESTS",
    "harden",
    "redirect",
    "respond_later",
    "send_json",
    "send_not_allowed",
    "send_problem",
    "send_response",
    "send_too_many_requests",
]

PROBLEM = b"application/problem+json"
HTML = b"text/html; charset=utf-8"

#: RFC 6585, section 4; Twisted has no name for it.
TOO_MANY_REQUESTS = 429

_log = Logger()

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
).encode("ascii")

_HEADERS = (
    (b"Content-Security-Policy", _POLICY),
    (b"X-Content-Type-Options", b"nosniff"),
    # With "no-referrer" a browser would send "Origin: null" with the forms of the page.
    (b"Referrer-Policy", b"same-origin"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Cache-Control", b"no-store"),
)


def harden(request: Request) -> None:
    """
    Set the headers that forbid a browser to run, frame, cache or share the response.
    """
    for name, value in _HEADERS:
        request.setHeader(name, value)


def _words(status: int) -> bytes:
    return b"Too Many Requests" if status == TOO_MANY_REQUESTS else http.RESPONSES[status]


def send_response(request: Request, body: bytes, content_type: bytes, status: int = http.OK) -> int:
    """
    Send a response whose body is at hand, with its length, and finish the request.
    """
    request.setResponseCode(status, _words(status))
    request.setHeader(b"Content-Type", content_type)
    request.setHeader(b"Content-Length", b"%d" % len(body))
    request.write(body)
    request.finish()
    return NOT_DONE_YET


def send_json(
    request: Request, content: object, status: int = http.OK, content_type: bytes = b"application/json"
) -> int:
    """
    Send JSON in which characters that steer a terminal or hide text are escaped.
    """
    return send_response(request, visible_json(orjson.dumps(content).decode()).encode(), content_type, status)


def send_problem(request: Request, status: int, detail: str) -> int:
    """
    Send a problem document (RFC 9457).
    """
    title = _words(status).decode("ascii")
    return send_json(
        request, {"type": "about:blank", "title": title, "status": status, "detail": detail}, status, PROBLEM
    )


def send_not_allowed(request: Request, allowed: bytes) -> int:
    """
    Send 405.

    :param allowed: the methods of this path, as in ``Allow``.
    """
    request.setHeader(b"Allow", allowed)
    return send_problem(request, http.NOT_ALLOWED, f"this path allows only {allowed.decode('ascii')}")


def send_too_many_requests(request: Request, wait: int) -> int:
    """
    Send 429: tokens of this client are not checked now.

    :param wait: seconds until they are again.
    """
    request.setHeader(b"Retry-After", b"%d" % wait)
    return send_problem(request, TOO_MANY_REQUESTS, f"too many wrong tokens: try again in {duration(wait)}")


def redirect(request: Request, path: bytes) -> int:
    """
    Send a browser to another page, with GET.
    """
    request.setHeader(b"Location", path)
    return send_response(request, b"", b"text/plain; charset=utf-8", http.SEE_OTHER)


def respond_later(request: Request, answering: Coroutine[Deferred[Any], Any, object]) -> int:
    """
    Answer a request by a coroutine, which is cancelled when the client disconnects.
    """
    gone = False

    def left(_: Failure) -> None:
        nonlocal gone
        gone = True
        answer.cancel()

    def fail(failure: Failure) -> None:
        if gone:
            if not failure.check(CancelledError):
                _log.failure(
                    "request to the admin page failed with an exception after the client disconnected", failure
                )
        elif request.startedWriting:
            request.processingFailed(failure)
        else:
            _log.failure("request to the admin page failed with an exception; answered 500", failure)
            send_problem(request, http.INTERNAL_SERVER_ERROR, "internal error; see the log")

    request.notifyFinish().addErrback(left)
    answer = Deferred.fromCoroutine(answering)
    answer.addErrback(fail)
    return NOT_DONE_YET


def respond_to_get(request: Request, answer: Callable[[Request], Coroutine[Deferred[Any], Any, object]]) -> int:
    """
    Answer GET and HEAD by a coroutine, and other methods with 405.

    :return: what ``render`` has to return.
    """
    if request.method not in (b"GET", b"HEAD"):
        return send_not_allowed(request, b"GET, HEAD")
    return respond_later(request, answer(request))
