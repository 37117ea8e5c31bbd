"""
Access to the admin site: the token, sessions, loopback clients, and requests forged by other sites.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from math import ceil
from urllib.parse import parse_qs

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request

from itsjustintv.admin.assets import HEAD
from itsjustintv.admin.hosts import Authority, authority, origin
from itsjustintv.admin.html import el, page
from itsjustintv.admin.responses import TOO_MANY_REQUESTS, redirect, send_not_allowed, send_response
from itsjustintv.support.counts import Counted
from itsjustintv.support.durations import duration
from itsjustintv.support.log_throttle import LogThrottle

__all__ = [
    "COOKIE",
    "SESSION",
    "Access",
    "AuthMethod",
    "Guesses",
    "LoginResource",
    "LogoutResource",
    "TooManyGuesses",
    "form",
]

COOKIE = b"itsjustintv_admin"

#: Seconds until a session ends.
SESSION = 12 * 3600

# Headers that only proxies set. A proxy that sends Host: localhost, as nginx does by default, would open to the world
# what is meant for this machine.
_PROXY_HEADERS = (b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip")


class TooManyGuesses(Exception):
    """
    A client sent too many wrong tokens.

    :ivar wait: seconds until its next token is checked.
    """

    def __init__(self, wait: int) -> None:
        super().__init__(wait)
        self.wait = wait


class AuthMethod(Enum):
    """
    How a request was authenticated.
    """

    OPEN = "no token is configured"
    BEARER = "Authorization: Bearer"
    SESSION = "session cookie"


def _peer(request: Request) -> str:
    return getattr(request.getClientAddress(), "host", "")


@define(eq=False)
class Access:
    """
    Allows requests with the token: in ``Authorization: Bearer``, or as a session cookie issued for it.

    If no token is configured, requests are allowed whose ``Host`` is a loopback address. Programs on this machine send
    that. Another site's page in a browser on this machine does not, even if its name resolves to this machine (DNS
    rebinding): the browser sends that name in ``Host``. Requests that a proxy forwards are refused.

    Sessions are not stored: the cookie is the end of the session, signed with the token, so a new token ends it.

    :ivar token: the current token; empty for none.
    :ivar secret: random bytes of this process, to sign forms with if there is no token.
    :ivar client: names the client of a request, to count wrong tokens by.
    """

    _token: Callable[[], str]
    _clock: IReactorTime
    _secret: bytes = field(repr=False)
    _client: Callable[[Request], str] = _peer
    _guesses: Guesses = field(init=False)
    _wrong_tokens: LogThrottle = field(init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        self._guesses, self._wrong_tokens = Guesses(self._clock), LogThrottle(self._clock)

    @property
    def is_open(self) -> bool:
        """
        Whether there is no token.
        """
        return not self._token()

    def is_host_allowed(self, request: Request) -> bool:
        """
        Whether a request names exactly one host, and an allowed one. A target that is a whole URL would override
        ``Host`` (RFC 9112, section 3.2.2); it is refused.
        """
        who = _host(request)
        if who is None or not request.uri.startswith(b"/"):
            return False
        return not self.is_open or (who.is_loopback and not any(map(request.requestHeaders.hasHeader, _PROXY_HEADERS)))

    def is_token(self, candidate: bytes) -> bool:
        token = self._token().encode("ascii")
        return bool(token) and hmac.compare_digest(candidate, token)

    def check_token(self, request: Request, candidate: bytes) -> bool:
        """
        Check a token; count and log a wrong one.

        :raises TooManyGuesses: the client has to wait first.
        """
        client = self._client(request)
        if wait := self._guesses.seconds_left(client):
            raise TooManyGuesses(wait)
        if self.is_token(candidate):
            return True
        self._guesses.count_wrong(client)
        if count := self._wrong_tokens.count("token"):
            self.log.warn(
                "rejected {count} for the admin page, the last from {peer}; if that was not you, check who can reach"
                " admin.listen",
                count=Counted(count, "wrong token"),
                peer=_peer(request),
            )
        return False

    def authenticate(self, request: Request) -> AuthMethod | None:
        """
        How a request is authenticated; ``None`` if it is not.

        :raises TooManyGuesses: it has a token, but the client has to wait first.
        """
        if self.is_open:
            return AuthMethod.OPEN
        bearer = _bearer(request)
        if self.has_session(request):
            return AuthMethod.BEARER if bearer is not None and self.is_token(bearer) else AuthMethod.SESSION
        return AuthMethod.BEARER if bearer is not None and self.check_token(request, bearer) else None

    def is_action_intended(self, request: Request) -> bool:
        """
        Whether a POST comes from this page or from a program, not from another site's page in a browser.

        Browsers send ``Origin`` with every POST, and also ``Sec-Fetch-Site`` on trustworthy connections; old ones only
        ``Referer``.
        """
        headers = request.requestHeaders
        sites = headers.getRawHeaders(b"sec-fetch-site", [])
        if sites:
            return bool(sites == [b"same-origin"])
        sources = headers.getRawHeaders(b"origin", []) or headers.getRawHeaders(b"referer", [])
        return not sources or (len(sources) == 1 and _is_same(origin(sources[0]), _host(request)))

    def is_load_intended(self, request: Request) -> bool:
        """
        Whether a GET comes from this page, a person or a program. Another site's page may link here, but not load
        anything from here or show it in a frame.
        """
        headers = request.requestHeaders
        if headers.getRawHeaders(b"sec-fetch-site", [b"none"]) in ([b"none"], [b"same-origin"]):
            return True
        target = headers.getRawHeaders(b"sec-fetch-dest", [b"document"])
        return target == [b"document"] and headers.getRawHeaders(b"sec-fetch-mode") == [b"navigate"]

    def has_session(self, request: Request) -> bool:
        """
        Whether the request has a valid session cookie.
        """
        ends_at, _, signature = (request.getCookie(COOKIE) or b"").partition(b".")
        if self.is_open or not hmac.compare_digest(signature, self._signed(b"session " + ends_at)):
            return False
        return self._clock.seconds() < int(ends_at)  # a number, since the signature is valid

    def make_session(self) -> bytes:
        ends_at = b"%d" % (self._clock.seconds() + SESSION)
        return ends_at + b"." + self._signed(b"session " + ends_at)

    def form_proof(self) -> str:
        """
        Make the hidden field that proves that a form is from this page.
        """
        return self._signed(b"form").decode("ascii")

    def is_form_proof(self, candidate: str) -> bool:
        return hmac.compare_digest(candidate.encode("utf-8", "replace"), self._signed(b"form"))

    def _signed(self, what: bytes) -> bytes:
        key = self._token().encode("ascii") or self._secret
        return hmac.digest(key, b"itsjustintv admin " + what, "sha256").hex().encode("ascii")


def _host(request: Request) -> Authority | None:
    hosts = request.requestHeaders.getRawHeaders(b"host", [])
    return authority(hosts[0]) if len(hosts) == 1 else None


def _bearer(request: Request) -> bytes | None:
    given = request.requestHeaders.getRawHeaders(b"authorization", [])
    scheme, _, candidate = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
    return candidate.strip() if scheme.lower() == b"bearer" else None


def _is_same(source: tuple[Authority, int] | None, host: Authority | None) -> bool:
    """
    Whether a page is on this host. A proxy may add or omit the default port of the scheme.
    """
    if source is None or host is None:
        return False
    page, default = source
    return page.host == host.host and (page.port or default) == (host.port or default)


def form(request: Request) -> dict[str, str]:
    """
    Read a submitted form: the first value of each field; empty if it cannot be read.
    """
    sent = b"" if request.content is None else request.content.read()
    try:
        fields = parse_qs(sent.decode("utf-8"), max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


class LoginResource(Resource):
    """
    ``/login``: asks for the token, and issues a session cookie.
    """

    isLeaf = True

    def __init__(self, access: Access) -> None:
        super().__init__()
        self._access = access

    def render(self, request: Request) -> int:
        if request.method in (b"GET", b"HEAD"):
            known = self._access.is_open or self._access.has_session(request)
            return redirect(request, b"/") if known else self._show(request, "")
        if request.method != b"POST":
            return send_not_allowed(request, b"GET, HEAD, POST")
        try:
            known = self._access.check_token(request, form(request).get("token", "").strip().encode("utf-8"))
        except TooManyGuesses as error:
            request.setHeader(b"Retry-After", b"%d" % error.wait)
            words = f"Too many wrong tokens: try again in {duration(error.wait)}."
            return self._show(request, words, TOO_MANY_REQUESTS)
        if not known:
            return self._show(request, "Wrong token.", http.FORBIDDEN)
        request.addCookie(
            COOKIE,
            self._access.make_session(),
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
                el("button", "Log in", type="submit"),
                el("p", "admin.token in the daemon's configuration", id="hint", class_="quiet"),
                method="post",
                action="/login",
            ),
            class_="login",
        )
        return send_response(request, page("itsjustintv", HEAD, [body]), b"text/html; charset=utf-8", status)


class LogoutResource(Resource):
    """
    ``/logout``: removes the session cookie. Only POST does, since a link must not end a session.
    """

    isLeaf = True

    def render(self, request: Request) -> int:
        if request.method != b"POST":
            return send_not_allowed(request, b"POST")
        request.addCookie(COOKIE, b"", path=b"/", max_age=b"0", httpOnly=True, sameSite="strict")
        return redirect(request, b"/login")


@define(eq=False)
class Guesses:
    """
    Counts wrong tokens by client. After some in a row the next one of that client is only checked after a pause; other
    clients and existing sessions are not affected.

    :ivar burst: wrong tokens that are checked without a pause.
    :ivar pause: seconds between two further ones.
    :ivar most: how many clients are remembered; the one that was wrong the longest ago is forgotten first.
    """

    _clock: IReactorTime
    _burst: int = 20
    _pause: float = 1.0
    _most: int = 1024
    # When the bucket of a client is empty again (leaky bucket).
    _until: OrderedDict[str, float] = field(factory=OrderedDict, init=False)

    def seconds_left(self, client: str) -> int:
        """
        Whole seconds until the next token of a client is checked; 0 for now.
        """
        early = self._until.get(client, 0.0) - self._clock.seconds() - (self._burst - 1) * self._pause
        # Bounded, in case the clock is set back.
        return max(0, min(ceil(early), ceil(self._burst * self._pause)))

    def count_wrong(self, client: str) -> None:
        now = self._clock.seconds()
        until = max(now, min(self._until.pop(client, now), now + self._burst * self._pause))
        self._until[client] = until + self._pause
        while len(self._until) > self._most:
            self._until.popitem(last=False)
