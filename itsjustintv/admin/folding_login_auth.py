"""
The form at the door.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request

from itsjustintv.admin.assets import HEAD
from itsjustintv.admin.auth import COOKIE, SESSION, Access, Hasty
from itsjustintv.admin.html import el, page
from itsjustintv.admin.responses import TOO_MANY_REQUESTS, give, give_problem, redirect
from itsjustintv.support.durations import duration

__all__ = ["LoginResource", "LogoutResource", "form"]


def form(request: Request) -> dict[str, str]:
    """
    Read a form that was sent; of a field that is there more than once, the first. What cannot be read is left out.
    """
    sent = b"" if request.content is None else request.content.read()
    try:
        fields = parse_qs(sent.decode("utf-8"), max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


class LoginResource(Resource):
    """
    Asks a person for the token, and gives a cookie for it.
    """

    isLeaf = True

    def __init__(self, access: Access) -> None:
        super().__init__()
        self._access = access

    def render(self, request: Request) -> int:
        """
        Show the form, or read it.
        """
        if request.method in (b"GET", b"HEAD"):
            known = self._access.open or self._access.has_session(request)
            return redirect(request, b"/") if known else self._show(request, "")
        if request.method != b"POST":
            request.setHeader(b"Allow", b"GET, HEAD, POST")
            return give_problem(request, http.NOT_ALLOWED, "the form is read with GET and sent with POST")
        try:
            known = self._access.takes(request, form(request).get("token", "").strip().encode("utf-8"))
        except Hasty as error:
            request.setHeader(b"Retry-After", b"%d" % error.wait)
            words = f"Too many wrong tokens: try again in {duration(error.wait)}."
            return self._show(request, words, TOO_MANY_REQUESTS)
        if not known:
            return self._show(request, "That is not the token.", http.FORBIDDEN)
        request.addCookie(
            COOKIE,
            self._access.session(),
            path=b"/",
            max_age=b"%d" % SESSION,
            httpOnly=True,
            sameSite="strict",
            secure=request.isSecure() or request.getHeader("x-forwarded-proto") == "https",
        )
        return redirect(request, b"/")

    def _show(self, request: Request, problem: str, status: int = http.OK) -> int:
        body = el(
            "main",
            el("h1", "itsjustintv"),
            el(
                "form",
                el("label", "Token", for_="token"),
                el(
                    "input",
                    id="token",
                    name="token",
                    type="password",
                    autocomplete="current-password",
                    required=True,
                    autofocus=True,
                    aria_describedby="hint",
                ),
                el("p", problem, class_="bad", role="alert") if problem else None,
                el("button", "Open", type="submit"),
                el("p", "It is admin.token in the configuration of the daemon.", id="hint", class_="quiet"),
                method="post",
                action="/login",
            ),
            class_="login",
        )
        return give(request, page("itsjustintv", HEAD, [body]), b"text/html; charset=utf-8", status)


class LogoutResource(Resource):
    """
    Takes the cookie away again.
    """

    isLeaf = True

    def render(self, request: Request) -> int:
        """
        Leave; on another method than POST nothing happens, since a link must not end a session.
        """
        if request.method != b"POST":
            request.setHeader(b"Allow", b"POST")
            return give_problem(request, http.NOT_ALLOWED, "a session is ended with POST")
        request.addCookie(COOKIE, b"", path=b"/", max_age=b"0", httpOnly=True, sameSite="strict")
        return redirect(request, b"/login")
