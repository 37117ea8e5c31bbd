"""
Why something failed, in plain words: without the numbers and class names of Python, Twisted and the operating system.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["cause"]

# Twisted's errors by the names of their classes, so that the health check, which runs all day, does not import them.
_OF_TWISTED: Mapping[str, str] = {
    "ConnectionRefusedError": "connection refused",
    "TimeoutError": "no answer in time",
    "TCPTimedOutError": "no answer in time",
    "UserError": "the connection was ended here",
    "UnknownHostError": "the name cannot be resolved",
    "DNSLookupError": "the name cannot be resolved",
    "NoRouteError": "no route to that address",
    "ConnectionDone": "the connection was closed",
    "ConnectionLost": "the connection was closed",
    "ConnectionAborted": "the connection was ended here",
}
_NOT_HTTP = "the answer is not HTTP"
_INCOMPLETE = "the connection was closed before the answer was complete"
_OF_TWISTEDS_CLIENT: Mapping[str, str] = {
    "ParseError": _NOT_HTTP,
    "BadResponseVersion": _NOT_HTTP,
    "InvalidHeaderName": _NOT_HTTP,
    "_MalformedChunkedDataError": _NOT_HTTP,
    "_DataLoss": _INCOMPLETE,
    "PotentialDataLoss": _INCOMPLETE,
    "ResponseDone": _INCOMPLETE,
    "RequestNotSent": "the connection was closed without an answer",
    "ResponseNeverReceived": "the connection was closed without an answer",
    "ConnectionAborted": "the connection was ended here",
    "SchemeNotSupported": "neither http nor https",
}
_OF_HTTP: Mapping[str, str] = {
    "BadStatusLine": _NOT_HTTP,
    "RemoteDisconnected": "the connection was closed without an answer",
    "IncompleteRead": _INCOMPLETE,
}

# What the system, Twisted and OpenSSL put around a message: "[Errno 113] No route to host", "An error occurred while
# connecting: 113: No route to host", "[SSL: CERTIFICATE_VERIFY_FAILED] ... (_ssl.c:1006)".
_AROUND = re.compile(
    r"^\[Errno -?\d+\] *|^An error occurred while connecting: (?:\d+: )?|^\[[A-Z0-9_: ]+\] | \(_ssl\.c:\d+\)$"
)


def cause(error: BaseException) -> str:
    """
    Say in a few words why something failed. The text begins in lower case unless with a name, and has no full stop.

    A file is named if the system names it: ``/etc/x: permission denied``. Of the failures that Twisted's HTTP client
    wraps, the first one counts.
    """
    if reasons := getattr(error, "reasons", None):
        return _wrapped(reasons[0].value)
    of_socket = getattr(error, "socketError", None)  # of Twisted's CannotListenError
    if isinstance(of_socket, BaseException):
        return cause(of_socket)
    if known := _known(error):
        return known
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 (at byte {error.start})"
    if isinstance(error, OSError) and error.strerror:
        reason = _small(_plain(error.strerror))
        return reason if error.filename is None else f"{error.filename}: {reason}"
    text = _plain(str(error))
    return (_small(text) if type(error).__module__.startswith("twisted.") else text) or _words(type(error).__name__)


def _known(error: BaseException) -> str | None:
    """
    Look up common errors by the names of their modules and classes.
    """
    module, name = type(error).__module__, type(error).__name__
    if module == "OpenSSL.SSL":
        return "the connection was closed" if name == "SysCallError" else _of_openssl(error.args)
    if module.startswith("service_identity"):
        return "its certificate is for another name"
    if module.startswith("twisted.web."):
        return _OF_TWISTEDS_CLIENT.get(name)
    return {"twisted.internet.error": _OF_TWISTED, "http.client": _OF_HTTP}.get(module, {}).get(name)


def _wrapped(error: BaseException) -> str:
    """
    When Twisted's client cannot parse a response, the error is one of Python's own.
    """
    of_python = type(error).__module__ == "builtins" and not isinstance(error, OSError)
    return _NOT_HTTP if of_python else cause(error)


def _of_openssl(args: tuple[object, ...]) -> str:
    """
    Take the reasons out of pyOpenSSL's list of library, function and reason.
    """
    found = args[0] if args and isinstance(args[0], list) else []
    reasons = ", ".join(str(each[-1]) for each in found if isinstance(each, tuple) and each)
    if "certificate verify failed" in reasons:
        # OpenSSL tells which of these only to a callback.
        return "its certificate cannot be verified: no known authority, not valid now, or this machine's clock is wrong"
    return f"TLS failed: {reasons}" if reasons else "TLS failed"


def _plain(text: str) -> str:
    plain = _AROUND.sub("", _AROUND.sub("", " ".join(text.split()))).strip(". ")
    return plain.strip(plain[0]) if plain and plain[0] == plain[-1] and plain[0] in "'\"" else plain


def _small(text: str) -> str:
    """
    Begin in lower case, unless with an abbreviation.
    """
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text


def _words(name: str) -> str:
    """
    Write the name of a class as words: ``broken pipe`` for ``BrokenPipeError``.
    """
    return " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]*", name.removesuffix("Error"))).lower() or "unknown"
