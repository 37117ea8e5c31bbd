"""
What a status, or the lack of an answer, means: one stable word for logs and metrics, and one sentence for the operator.

Neither quotes the other side or an exception, since these may quote the URL, and the URL may be a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import strerror

from attrs import evolve
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error
from twisted.python.failure import Failure
from twisted.web import http

from itsjustintv.model import Result
from itsjustintv.support.durations import duration
from itsjustintv.support.egress import EgressRefused
from itsjustintv.support.response_head import LIMIT, LINE_LIMIT, BrokenAnswer, Fault

__all__ = [
    "EGRESS",
    "RESET",
    "TIMEOUT",
    "classify_broken",
    "classify_failure",
    "classify_status",
    "classify_timeout",
    "find_broken",
]

#: The reason of an attempt that hit its deadline.
TIMEOUT = "timeout"

#: That of one whose connection was closed by the other side.
RESET = "reset"

#: That of one whose connection was not made, since the address is refused.
EGRESS = "egress"


def classify_status(status: int, destination: str, retry_after: float | None = None) -> Result:
    """
    Classify an answer by its status: 2xx is success and nothing else is; 410 is final.

    :param destination: its name.
    """
    family = status // 100
    if family not in _STATUS_CLASSES:
        return Result("error", f"{destination} answered {status:03}, a status that HTTP does not have: check its URL.")
    reason = _REASONS.get(status) or _REASONS.get(family) or f"http_{status}"
    detail = f"{destination} answered {status}{_ADVICE.get(status, _ADVICE[family])}."
    return Result(reason, detail, retry_after, final=status == http.GONE)


def classify_broken(
    answer: BrokenAnswer, destination: str, timeout: float | None = None, by_status: Result | None = None
) -> Result:
    """
    Classify an answer without a complete head: by its status, if that arrived, whatever is wrong after it.

    :param timeout: seconds, if it was cut short by the deadline.
    :param by_status: what the status means, if it is a final one.
    """
    fault = answer.fault
    if by_status is not None:
        why = _AFTER_STATUS.get(fault, _AFTER_STATUS[Fault.MALFORMED])
        if fault is Fault.INCOMPLETE and timeout is not None:
            why = f"was not complete within {duration(timeout)}"
        return evolve(by_status, detail=f"{by_status.detail} The head of that answer {why}; its status counts.")
    if fault is Fault.INTERIM_ONLY:
        text = f"{destination} sent {answer.status}, which is an interim answer, and"
        if timeout is not None:
            return Result(TIMEOUT, f"{text} no final one within {duration(timeout)}: {_SEE_LOG}.")
        return Result(RESET, f"{text} closed the connection before the final one: {_SEE_LOG}.")
    if fault is Fault.SWITCHED:
        text = f"{destination} answered 101, which was not requested: check its URL, it may be for WebSocket only."
        return Result("http_101", text)
    return Result("error", f"{destination} {_WITHOUT_STATUS.get(fault, _WITHOUT_STATUS[Fault.NOT_HTTP])}")


def find_broken(failure: Failure) -> BrokenAnswer | None:
    """
    The part of an answer that arrived, if its being broken is why a request failed.
    """
    return next((cause for cause in _causes(failure) if isinstance(cause, BrokenAnswer)), None)


def classify_timeout(timeout: float, destination: str) -> Result:
    """
    Classify an attempt that got no answer before its deadline.
    """
    return Result(
        TIMEOUT, f"{destination} did not answer within {duration(timeout)}: check that it runs and is reachable."
    )


def classify_failure(failure: Failure, destination: str) -> Result:
    """
    Classify a request that got no answer.
    """
    causes = list(_causes(failure))
    for cause in causes:
        if isinstance(cause, EgressRefused):
            return Result(EGRESS, f"{destination} {_egress(cause.addresses)}")
    for kinds, reason, sentence in _FAILURES:
        if any(isinstance(cause, kinds) for cause in causes):
            return Result(reason, f"{destination} {sentence}")
    for cause in causes:
        if isinstance(cause, error.ConnectError) and cause.osError:
            return Result("error", f"{destination} cannot be reached ({strerror(cause.osError).lower()}).")
    if causes[0] is failure.value:
        return Result("error", f"nothing can be sent to {destination}: check its URL.")
    return Result("error", f"{destination} {_WITHOUT_STATUS[Fault.NOT_HTTP]}")


def _causes(failure: Failure) -> Iterator[BaseException]:
    """
    Look inside the wrappers of :mod:`twisted.web.client`.
    """
    inner: list[Failure] = getattr(failure.value, "reasons", None) or []
    if not inner and failure.value is not None:
        yield failure.value
    for each in inner:
        yield from _causes(each)


def _egress(addresses: Sequence[str]) -> str:
    if len(addresses) == 1:
        return f"resolves to {addresses[0]}, which is refused (egress): add it to egress.allow if that is meant."
    return f"resolves to {' and '.join(addresses)}, which are refused (egress): add the right one to egress.allow."


_SEE_LOG = "look at the receiver's own log"

_KIB = 1024

_WITHOUT_STATUS = {
    Fault.NOT_HTTP: "did not answer in HTTP: check its URL and its port.",
    Fault.HTTP2: "speaks HTTP/2 only, and this daemon sends HTTP/1.1: enable HTTP/1.1 there.",
    Fault.TLS: "speaks TLS at that port: begin its URL with https://.",
    Fault.ENDLESS_INTERIM: (
        f"sent more than {LIMIT // _KIB} KiB of interim answers (1xx) and no final one, and the daemon cut the"
        f" connection: {_SEE_LOG}."
    ),
}

_AFTER_STATUS = {
    Fault.LARGE: f"is larger than {LIMIT // _KIB} KiB, and the daemon cut the connection",
    Fault.LONG_LINE: f"has a line of more than {LINE_LIMIT // _KIB} KiB, and the daemon cut the connection",
    Fault.MALFORMED: "is not as HTTP has it, and the daemon cut the connection",
    Fault.INCOMPLETE: "broke off",
}

# By status, or by its first digit.
_STATUS_CLASSES = (2, 3, 4, 5)
_REASONS = {2: "delivered", 3: "redirect", http.GONE: "gone"}

_ADVICE = {
    2: "",
    3: " and pointed elsewhere; redirects are not followed: configure its final URL",
    4: f": it does not accept what it was sent; {_SEE_LOG}",
    5: f": {_SEE_LOG}",
    http.UNAUTHORIZED: ": check its secret and its URL",
    http.FORBIDDEN: ": check its secret and its URL",
    http.NOT_FOUND: ": check its URL",
    http.NOT_ALLOWED: ": it takes no POST there; check its URL",
    http.REQUEST_ENTITY_TOO_LARGE: ": what it was sent is too large for it; raise its limit, a picture may have 2 MiB",
    426: ": it wants another protocol, and this daemon sends HTTP/1.1; enable HTTP/1.1 there",
    505: ": it wants another protocol, and this daemon sends HTTP/1.1; enable HTTP/1.1 there",
    http.GONE: ": it no longer exists; remove it or configure its new URL",
    429: ": it wants fewer requests and is given time",
}


# The order matters: SysCallError is an SSL.Error, and a connection that timed out is a ConnectError.
_FAILURES: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
    (
        (VerificationError,),
        "tls",
        "showed a certificate for another name: configure the name that is in it, or have it issued for this one.",
    ),
    (
        (SSL.SysCallError, error.ConnectionLost, error.ConnectionDone, error.ConnectionAborted),
        RESET,
        (
            f"closed the connection without an answer: {_SEE_LOG}, and check that it speaks HTTP/1.1 there,"
            " not only HTTP/2."
        ),
    ),
    (
        (SSL.Error,),
        "tls",
        "failed the TLS handshake: its certificate is expired or of no known authority, or the port is not a TLS one.",
    ),
    ((error.DNSLookupError,), "dns", "has a host name that cannot be resolved: check its URL and the name server."),
    ((error.ConnectionRefusedError,), "refused", "refused the connection: check that it runs, and its port."),
    (
        (error.TimeoutError, error.TCPTimedOutError),
        TIMEOUT,
        "did not take the connection in time: check that it runs and is reachable.",
    ),
)
