"""
The root of the admin site: the guard at its door, and the way to each page.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.web import http
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from itsjustintv.admin.auth import Access, Entry, Hasty
from itsjustintv.admin.responses import give_problem, give_too_early, harden, redirect

__all__ = ["AdminResource"]

_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})

_BAD_HOST = "the request must have one Host header, with one name and perhaps a port, and a path as its target"
_NOT_LOOPBACK = (
    "without admin.token, Host must be localhost or a loopback address, and no proxy may forward the request; to use a"
    " proxy, set admin.token and let the proxy pass on Host"
)


class AdminResource(Resource):
    """
    Lets each request through to the resource of its path, if it is allowed and intended.

    Paths are matched exactly, those in ``trees`` by their beginning. Every resource is asked with any method, and sees
    the whole path.
    """

    isLeaf = True

    def __init__(
        self,
        access: Access,
        public: Mapping[bytes, IResource],
        paths: Mapping[bytes, IResource],
        trees: Mapping[bytes, IResource] | None = None,
    ) -> None:
        """
        :param public: what strangers may see too, by whole path: how to come in.
        :param paths: the rest, by whole path.
        :param trees: by the beginning of the path, which ends with a slash.
        """
        super().__init__()
        self._access = access
        self._public = dict(public)
        self._paths = dict(paths)
        self._trees = dict(trees or {})

    def render(self, request: Request) -> bytes | int:
        """
        Answer, or let the resource of this path do so.
        """
        harden(request)
        access = self._access
        if not access.reached_rightly(request):
            return give_problem(request, http.FORBIDDEN, _NOT_LOOPBACK if access.open else _BAD_HOST)
        public = self._public.get(request.path)
        try:
            entry = None if public else access.admits(request)
        except Hasty as error:
            return give_too_early(request, error.wait)
        if public is None and entry is None:
            return self._turn_away(request)
        rightly = access.is_for_us if request.method in _SAFE else access.means_it
        if entry is not Entry.BEARER and not rightly(request):
            return give_problem(request, http.FORBIDDEN, "the request comes from a page of another site")
        resource = public or self._paths.get(request.path) or self._tree(request.path)
        if resource is None:
            return give_problem(request, http.NOT_FOUND, "no such page")
        answer: bytes | int = resource.render(request)
        return b"" if request.method == b"HEAD" and isinstance(answer, bytes) else answer

    def _tree(self, path: bytes) -> IResource | None:
        return next((each for beginning, each in self._trees.items() if path.startswith(beginning)), None)

    def _turn_away(self, request: Request) -> int:
        """
        Ask for the token: a person by a form, a program by a status.
        """
        if request.path == b"/" and request.method in _SAFE:
            return redirect(request, b"/login")
        request.setHeader(b"WWW-Authenticate", b'Bearer realm="itsjustintv"')
        return give_problem(request, http.UNAUTHORIZED, "send admin.token as Authorization: Bearer TOKEN")
