"""
The static files of the pages, and profile images.
"""

from __future__ import annotations

import re
from hashlib import sha256
from importlib.resources import files

from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request

from itsjustintv.admin.html import Markup, el
from itsjustintv.admin.responses import respond_later, send_not_allowed, send_problem, send_response
from itsjustintv.admin.sources import Sources

__all__ = ["ASSETS", "HEAD", "Asset", "AvatarResource"]

_YEAR = b"private, max-age=31536000, immutable"


class Asset(Resource):
    """
    A static file. Its URL contains its hash, so browsers may cache it without asking again.

    :ivar address: path and query.
    """

    isLeaf = True

    def __init__(self, name: str, content_type: str) -> None:
        super().__init__()
        self._data = files("itsjustintv.admin").joinpath("static", name).read_bytes()
        self._type = content_type.encode("ascii")
        self.path = f"/static/{name}"
        self.address = f"{self.path}?{sha256(self._data).hexdigest()[:12]}"

    def render(self, request: Request) -> int:
        if request.method not in (b"GET", b"HEAD"):
            return send_not_allowed(request, b"GET, HEAD")
        request.setHeader(b"Cache-Control", _YEAR)
        return send_response(request, self._data, self._type)


_STYLE = Asset("admin.css", "text/css; charset=utf-8")
_SCRIPT = Asset("admin.js", "text/javascript; charset=utf-8")
_ICON = Asset("icon.svg", "image/svg+xml")

#: Every file, by path.
ASSETS = {each.path.encode("ascii"): each for each in (_STYLE, _SCRIPT, _ICON)}

#: Elements in the head of every page.
HEAD: tuple[Markup, ...] = (
    el("meta", name="viewport", content="width=device-width, initial-scale=1"),
    el("meta", name="color-scheme", content="light dark"),
    el("link", rel="icon", href=_ICON.address, type="image/svg+xml"),
    el("link", rel="stylesheet", href=_STYLE.address),
    el("script", src=_SCRIPT.address, defer=True),
)


_PATH = re.compile(rb"/avatars/([0-9]{1,20})")


class AvatarResource(Resource):
    """
    ``/avatars/USER_ID``: the profile image of a configured streamer.
    """

    isLeaf = True

    def __init__(self, sources: Sources) -> None:
        super().__init__()
        self._sources = sources

    def render(self, request: Request) -> int:
        found = _PATH.fullmatch(request.path)
        if found is None:
            return send_problem(request, http.NOT_FOUND, "no such picture")
        if request.method not in (b"GET", b"HEAD"):
            return send_not_allowed(request, b"GET, HEAD")
        return respond_later(request, self._answer(request, found[1].decode("ascii")))

    async def _answer(self, request: Request, user_id: str) -> None:
        picture = await self._sources.picture(user_id)
        if picture is None or picture.data is None:
            send_problem(request, http.NOT_FOUND, "no such picture")
            return
        request.setHeader(b"Cache-Control", b"private, max-age=3600")
        send_response(request, picture.data, picture.mime_type.encode("ascii"))
