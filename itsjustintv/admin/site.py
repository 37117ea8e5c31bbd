"""
The root of the admin site: checks access, and routes requests to their resources.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.web import http
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from itsjustintv.admin.auth import Access, AuthMethod, TooManyGuesses
from itsjustintv.admin.responses import harden, redirect, send_problem, send_too_many_requests

__all__ = ["AdminResource"]

_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})

_BAD_HOST = "the request must have one Host header, with one name and perhaps a port, and a path as its target"
_NOT_LOOPBACK = (
    "without admin.token, Host must be localhost or a loopback address, and no proxy may forward the request; to use a"
    " proxy, set admin.token and let the proxy pass on Host"
)


class AdminResource(Resource):
    """
    Passes each allowed request to the resource of its path.

    Paths are matched exactly, those in ``trees`` by their prefix. Every resource is handed all methods and the whole
    path.
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
        :param public: resources that need no login, by whole path.
        :param paths: other resources, by whole path.
        :param trees: other resources, by a prefix of the path that ends with a slash.
        """
        super().__init__()
        self._access = access
        self._public = dict(public)
        self._paths = dict(paths)
        self._trees = dict(trees or {})

    def render(self, request: Request) -> bytes | int:
        harden(request)
        access = self._access
        if not access.is_host_allowed(request):
            return send_problem(request, http.FORBIDDEN, _NOT_LOOPBACK if access.is_open else _BAD_HOST)
        public = self._public.get(request.path)
        try:
            method = None if public else access.authenticate(request)
        except TooManyGuesses as error:
            return send_too_many_requests(request, error.wait)
        if public is None and method is None:
            return self._ask_for_token(request)
        is_intended = access.is_load_intended if request.method in _SAFE else access.is_action_intended
        if method is not AuthMethod.BEARER and not is_intended(request):
            return send_problem(request, http.FORBIDDEN, "the request comes from a page of another site")
        resource = public or self._paths.get(request.path) or self._tree(request.path)
        if resource is None:
            return send_problem(request, http.NOT_FOUND, "no such page")
        answer: bytes | int = resource.render(request)
        return b"" if request.method == b"HEAD" and isinstance(answer, bytes) else answer

    def _tree(self, path: bytes) -> IResource | None:
        return next((each for beginning, each in self._trees.items() if path.startswith(beginning)), None)

    def _ask_for_token(self, request: Request) -> int:
        """
        Ask for the token: a browser by the login form, a program by 401.
        """
        if request.path == b"/" and request.method in _SAFE:
            return redirect(request, b"/login")
        request.setHeader(b"WWW-Authenticate", b'Bearer realm="itsjustintv"')
        return send_problem(request, http.UNAUTHORIZED, "send admin.token as Authorization: Bearer TOKEN")
