"""
What an answer, or the lack of one, means: one stable word for logs and metrics, and one sentence for a person.

Neither ever holds what the network or an exception said, since that may quote the URL, and the URL may be a secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import strerror

from attrs import frozen
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error
from twisted.python.failure import Failure
from twisted.web import http

from itsjustintv.support.durations import duration

__all__ = ["TIMEOUT", "Meaning", "answered", "failed", "timed_out"]

#: The reason of an attempt that hit its deadline.
TIMEOUT = "timeout"


@frozen
class Meaning:
    """
    How an attempt ended.

    :ivar reason: one stable word.
    :ivar detail: one sentence that says what to do.
    """

    reason: str
    detail: str

    @property
    def ok(self) -> bool:
        """
        Whether the receiver took it.
        """
        return self.reason == "delivered"


def answered(status: int, destination: str) -> Meaning:
    """
    Classify an answer by its status: 2xx is success and nothing else is.

    :param destination: its name.
    """
    family = status // 100
    if family not in _ADVICE:
        return Meaning("error", f"{destination} answered with a status that HTTP does not have: check its URL.")
    reason = _REASONS.get(status) or _REASONS.get(family) or f"http_{status}"
    return Meaning(reason, f"{destination} answered {status}{_ADVICE.get(status, _ADVICE[family])}.")


def timed_out(timeout: float, destination: str) -> Meaning:
    """
    Describe an attempt that took too long.
    """
    return Meaning(
        TIMEOUT, f"{destination} did not answer within {duration(timeout)}: check that it runs and is reachable."
    )


def failed(failure: Failure, destination: str) -> Meaning:
    """
    Classify a request that got no answer.
    """
    causes = list(_causes(failure))
    for kinds, reason, sentence in _FAILURES:
        if any(isinstance(cause, kinds) for cause in causes):
            return Meaning(reason, f"{destination} {sentence}")
    for cause in causes:
        if isinstance(cause, error.ConnectError) and cause.osError:
            return Meaning("error", f"{destination} cannot be reached ({strerror(cause.osError).lower()}).")
    name = type(causes[0]).__name__
    if causes[0] is failure.value:
        return Meaning("error", f"nothing can be sent to {destination} ({name}): check its URL.")
    return Meaning("error", f"{destination} did not answer in HTTP ({name}): check its URL.")


def _causes(failure: Failure) -> Iterator[BaseException]:
    """
    Look inside the wrappers of :mod:`twisted.web.client`.
    """
    inner: list[Failure] = getattr(failure.value, "reasons", None) or []
    if not inner and failure.value is not None:
        yield failure.value
    for each in inner:
        yield from _causes(each)


# By status, or by its first digit.
_REASONS = {2: "delivered", 3: "redirect", http.GONE: "gone"}

_ADVICE = {
    2: "",
    3: " and pointed elsewhere; redirects are not followed: configure its final URL",
    4: ": it does not accept what it was sent; look at the receiver's own log",
    5: ": look at the receiver's own log",
    http.UNAUTHORIZED: ": check its secret and its URL",
    http.FORBIDDEN: ": check its secret and its URL",
    http.NOT_FOUND: ": check its URL",
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
        "reset",
        "closed the connection before it had answered: look at the receiver's own log.",
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
