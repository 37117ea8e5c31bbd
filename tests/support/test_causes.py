"""
Tests for :mod:`itsjustintv.support.causes`.
"""

from __future__ import annotations

import errno
import os
import socket
from http.client import BadStatusLine, RemoteDisconnected
from ssl import SSLError

from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web._newclient import BadResponseVersion, ParseError
from twisted.web.client import ResponseFailed
from twisted.web.error import SchemeNotSupported

from itsjustintv.support.causes import cause


def wrapped(inner: Exception) -> ResponseFailed:
    """
    As Twisted's client says it.
    """
    return ResponseFailed([Failure(inner)])


KNOWN = (
    (OSError(errno.EADDRINUSE, "Address already in use"), "address already in use"),
    (PermissionError(errno.EACCES, "Permission denied", "/etc/x"), "/etc/x: permission denied"),
    (OSError(errno.EIO, "I/O error"), "I/O error"),
    (socket.gaierror(-2, "Name or service not known"), "name or service not known"),
    (error.CannotListenError("", 80, OSError(errno.EACCES, "Permission denied")), "permission denied"),
    (error.getConnectError(OSError(errno.ECONNREFUSED, "Connection refused")), "connection refused"),
    (error.getConnectError(OSError(errno.EHOSTUNREACH, "No route to host")), "no route to host"),
    (error.getConnectError(OSError(errno.ENETUNREACH, "Network is unreachable")), "no route to that address"),
    (error.ConnectionLost(), "the connection was closed"),
    (error.DNSLookupError("no results for hostname lookup: x"), "the name cannot be resolved"),
    (BadStatusLine("SSH-2.0"), "the answer is not HTTP"),
    (RemoteDisconnected("x"), "the connection was closed without an answer"),
    (SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"), "wrong version number"),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), "not UTF-8 (at byte 0)"),
    (
        SSL.Error([("SSL routines", "", "certificate verify failed")]),
        "its certificate cannot be verified: no known authority, not valid now, or this machine's clock is wrong",
    ),
    (SSL.Error([("SSL routines", "", "wrong version number")]), "TLS failed: wrong version number"),
    (SSL.ZeroReturnError(), "TLS failed"),
    (SSL.SysCallError(-1, "Unexpected EOF"), "the connection was closed"),
    (VerificationError(errors=[]), "its certificate is for another name"),
    (ParseError("wrong number of parts", b"220 mail"), "the answer is not HTTP"),
    (BadResponseVersion("x", b"ICY"), "the answer is not HTTP"),
    (SchemeNotSupported("Unsupported scheme: b'ftp'"), "neither http nor https"),
    (wrapped(ParseError("wrong number of parts", b"220 mail")), "the answer is not HTTP"),
    (wrapped(wrapped(error.ConnectionDone())), "the connection was closed"),
    # What Twisted's client makes of a header without a colon, of an unknown coding, and of a line folded into nothing.
    (wrapped(ValueError("not enough values to unpack (expected 2, got 1)")), "the answer is not HTTP"),
    (wrapped(KeyError(b"gzip")), "the answer is not HTTP"),
    (wrapped(AttributeError("'NoneType' object has no attribute 'append'")), "the answer is not HTTP"),
    (wrapped(OSError(errno.ECONNRESET, "Connection reset by peer")), "connection reset by peer"),
    (BrokenPipeError(), "broken pipe"),
    (TimeoutError(), "timeout"),
    (ValueError("Twitch says no."), "Twitch says no"),
)


class CauseTests(SynchronousTestCase):
    """
    What a person is told.
    """

    def test_known(self) -> None:
        """
        Of what happens most often, the reason in words alone.
        """
        for raised, words in KNOWN:
            self.assertEqual(cause(raised), words, repr(raised))

    @given(st.sampled_from(sorted(errno.errorcode)), st.booleans())
    def test_no_number_of_the_system(self, number: int, listening: bool) -> None:
        """
        Of no error of the system the number is shown, nor the name of a class.
        """
        raised: Exception = OSError(number, os.strerror(number))
        for each in (raised, error.CannotListenError("", 80, raised) if listening else error.getConnectError(raised)):
            text = cause(each)
            self.assertNotIn("Errno", text)
            self.assertNotIn(f"{number}:", text)
            self.assertNotIn("Error", text.replace("Error 0", ""))
            self.assertTrue(text)
