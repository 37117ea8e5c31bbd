"""
Profile images from our own address, so that a browser asks nobody else.
"""

from __future__ import annotations

import re

from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request

from itsjustintv.admin.responses import give, give_problem, later
from itsjustintv.admin.sources import Sources

__all__ = ["AvatarResource"]

_PATH = re.compile(rb"/avatars/([0-9]{1,20})")


class AvatarResource(Resource):
    """
    ``/avatars/USER_ID``: what was fetched for notifications, whose kind is known by its first bytes.
    """

    isLeaf = True

    def __init__(self, sources: Sources) -> None:
        super().__init__()
        self._sources = sources

    def render(self, request: Request) -> int:
        """
        Give a picture, if it is that of somebody who is configured.
        """
        found = _PATH.fullmatch(request.path)
        if found is None:
            return give_problem(request, http.NOT_FOUND, "there is no such picture")
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"Allow", b"GET, HEAD")
            return give_problem(request, http.NOT_ALLOWED, "a picture can only be read")
        return later(request, self._answer(request, found[1].decode("ascii")))

    async def _answer(self, request: Request, user_id: str) -> None:
        picture = await self._sources.picture(user_id)
        if picture is None or picture.data is None:
            give_problem(request, http.NOT_FOUND, "there is no such picture")
            return
        request.setHeader(b"Cache-Control", b"private, max-age=3600")
        give(request, picture.data, picture.mime_type.encode("ascii"))
