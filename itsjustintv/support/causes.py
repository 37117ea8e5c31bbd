"""
Why something failed, as people say it: without the numbers and class names of Python, Twisted and the operating system.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["cause"]

# Twisted's own, by the names of their classes: they are not imported by what asks all day long how the daemon is.
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
_OF_HTTP: Mapping[str, str] = {
    "BadStatusLine": "the answer is not HTTP",
    "RemoteDisconnected": "the connection was closed without an answer",
    "IncompleteRead": "the connection was closed before the answer was complete",
}

# How the system and Twisted begin: "[Errno 113] No route to host", "An error occurred while connecting: 113: No route".
# And what OpenSSL puts around what it says: "[SSL: CERTIFICATE_VERIFY_FAILED] ... (_ssl.c:1006)".
_AROUND = re.compile(
    r"^\[Errno -?\d+\] *|^An error occurred while connecting: (?:\d+: )?|^\[[A-Z0-9_: ]+\] | \(_ssl\.c:\d+\)$"
)


def cause(error: BaseException) -> str:
    """
    Say in a few words why something failed. The text begins in lower case where it is not a name, and has no full stop.

    A file that the system names is named: ``/etc/x: permission denied``.
    """
    module, name = type(error).__module__, type(error).__name__
    of_socket = getattr(error, "socketError", None)  # of Twisted's CannotListenError
    if isinstance(of_socket, BaseException):
        return cause(of_socket)
    known = {"twisted.internet.error": _OF_TWISTED, "http.client": _OF_HTTP}.get(module, {}).get(name)
    if known is not None:
        return known
    if module == "OpenSSL.SSL":
        return _of_openssl(error.args)
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 (at byte {error.start})"
    if isinstance(error, OSError) and error.strerror:
        reason = _small(_plain(error.strerror))
        return reason if error.filename is None else f"{error.filename}: {reason}"
    text = _plain(str(error))
    return (_small(text) if module.startswith("twisted.") else text) or _words(name)


def _of_openssl(args: tuple[object, ...]) -> str:
    """
    Take the reasons out of pyOpenSSL's list of library, function and reason.
    """
    found = args[0] if args and isinstance(args[0], list) else []
    reasons = ", ".join(str(each[-1]) for each in found if isinstance(each, tuple) and each)
    if "certificate verify failed" in reasons:
        # OpenSSL knows which, and tells it to a callback only.
        return "its certificate cannot be verified: no known authority, not valid now, or this machine's clock is wrong"
    return f"TLS failed: {reasons}" if reasons else "TLS failed"


def _plain(text: str) -> str:
    return _AROUND.sub("", _AROUND.sub("", " ".join(text.split()))).strip("'\". ")


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
