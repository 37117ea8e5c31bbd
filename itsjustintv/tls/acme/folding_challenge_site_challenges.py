"""
What port 80 is for: the proofs of http-01, and the way to HTTPS for everybody else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request

from itsjustintv.tls.acme.challenges import Http01Responder

__all__ = ["ChallengeResource"]

# A name, perhaps with a dot at its end, or an address; and a port (RFC 9110, section 7.2).
_HOST = re.compile(r"([^:\[\]]+?|\[[0-9a-f:.]+\])\.?(?::[0-9]*)?")

_PROOFS = b"/.well-known/acme-challenge/"


class ChallengeResource(Resource):
    """
    The root of a site that has nothing else. Whoever scans the internet comes by here: a path is compared as the bytes
    that it is, and never decoded or looked up anywhere but in a table.

    :param names: the names that are served. Nobody is sent to another one, whatever a request says.
    :param https_port: where HTTPS is, as the outside sees it.
    """

    isLeaf = True

    def __init__(self, responder: Http01Responder, names: Callable[[], Collection[str]], https_port: int = 443) -> None:
        super().__init__()
        self._responder = responder
        self._names = names
        self._port = "" if https_port == 443 else f":{https_port}"

    def render(self, request: Request) -> bytes:
        """
        Answer one request.
        """
        if not request.path.startswith(_PROOFS):
            return self._lead(request)
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"Allow", b"GET, HEAD")
            return _say(request, http.NOT_ALLOWED)
        answer = self._responder.answer(request.path.removeprefix(_PROOFS))
        return _say(request, http.NOT_FOUND) if answer is None else _say(request, http.OK, answer)

    def _lead(self, request: Request) -> bytes:
        """
        Send somebody to HTTPS, with the method and all.
        """
        # As it was sent: the site does not believe it, but here it is compared with what we know.
        found = _HOST.fullmatch((request.getHeader(b"Host") or b"").decode("latin-1").lower())
        host = "" if found is None else found[1]
        if host.strip("[]") not in self._names() or not request.uri.startswith(b"/"):
            return _say(request, http.NOT_FOUND)
        request.setHeader(b"Location", f"https://{host}{self._port}".encode("ascii") + request.uri)
        return _say(request, http.PERMANENT_REDIRECT)


def _say(request: Request, status: int, body: bytes = b"") -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/octet-stream")
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return b"" if request.method == b"HEAD" else body
