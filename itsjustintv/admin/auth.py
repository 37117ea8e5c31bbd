"""
Who may see the page, and whose orders count.
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
from itsjustintv.admin.responses import TOO_MANY_REQUESTS, give, give_problem, redirect
from itsjustintv.support.counts import Counted
from itsjustintv.support.durations import duration
from itsjustintv.support.log_throttle import LogThrottle

__all__ = ["COOKIE", "SESSION", "Access", "Entry", "Guesses", "Hasty", "LoginResource", "LogoutResource", "form"]

COOKIE = b"itsjustintv_admin"

#: Seconds for which a browser that has shown the token need not show it again.
SESSION = 12 * 3600

# What only proxies write. One that calls us by a name of this machine's, as nginx does unless it is told otherwise,
# would open to the world what is meant for this machine.
_PASSED_ON = (b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip")


class Hasty(Exception):
    """
    A client has been wrong about the token so often that it has to wait.

    :ivar wait: seconds.
    """

    def __init__(self, wait: int) -> None:
        super().__init__(wait)
        self.wait = wait


class Entry(Enum):
    """
    What a request is let in by.
    """

    OPEN = "there is no token"
    BEARER = "the token itself"
    SESSION = "a session"


def _peer(request: Request) -> str:
    return getattr(request.getClientAddress(), "host", "")


@define(eq=False)
class Access:
    """
    Lets in requests with the token: in ``Authorization: Bearer``, or in the form of a cookie that was given for it.

    Without a token every request is let in that names a loopback address of this machine. Programs on this machine do
    so. Another site's page in a browser on this machine does not, even if its name resolves to this machine by now (DNS
    rebinding), since the browser sends that name in ``Host``. Nor does a request that a proxy passes on.

    Nothing is kept of a session: the cookie is its end and a signature, made with the token, so another token ends it.

    :ivar token: of the moment; empty for none.
    :ivar secret: random bytes of this process, to sign forms with where there is no token.
    :ivar client: names who sends a request, to count wrong tokens by.
    """

    _token: Callable[[], str]
    _clock: IReactorTime
    _secret: bytes = field(repr=False)
    _client: Callable[[Request], str] = _peer
    _guesses: Guesses = field(init=False)
    _unsaid: LogThrottle = field(init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        self._guesses, self._unsaid = Guesses(self._clock), LogThrottle(self._clock)

    @property
    def open(self) -> bool:
        """
        Whether there is no token.
        """
        return not self._token()

    def reached_rightly(self, request: Request) -> bool:
        """
        Whether a request names one host, and one under which we are to be reached. Where the target is a whole address
        it would be that one that counts and not ``Host`` (RFC 9112, section 3.2.2); clients do not send such here.
        """
        who = _host(request)
        if who is None or not request.uri.startswith(b"/"):
            return False
        return not self.open or (who.is_loopback and not any(map(request.requestHeaders.hasHeader, _PASSED_ON)))

    def is_token(self, candidate: bytes) -> bool:
        """
        Whether this is the token.
        """
        token = self._token().encode("ascii")
        return bool(token) and hmac.compare_digest(candidate, token)

    def takes(self, request: Request, candidate: bytes) -> bool:
        """
        Look at a token that came with a request, unless its client has to wait.

        :raises Hasty: it has.
        """
        client = self._client(request)
        if wait := self._guesses.wait(client):
            raise Hasty(wait)
        if self.is_token(candidate):
            return True
        self._guesses.wrong(client)
        if count := self._unsaid.count("token"):
            self.log.warn(
                "rejected {count} for the admin page, the last from {peer}; if that was not you, check who can reach"
                " admin.listen",
                count=Counted(count, "wrong token"),
                peer=_peer(request),
            )
        return False

    def admits(self, request: Request) -> Entry | None:
        """
        By what a request may be answered, ``None`` if it may not.

        :raises Hasty: it brings a token, and must not yet.
        """
        if self.open:
            return Entry.OPEN
        bearer = _bearer(request)
        if self.has_session(request):
            return Entry.BEARER if bearer is not None and self.is_token(bearer) else Entry.SESSION
        return Entry.BEARER if bearer is not None and self.takes(request, bearer) else None

    def means_it(self, request: Request) -> bool:
        """
        Whether an order comes from our own page, or from no browser at all, and not from another site's page.

        Browsers send ``Origin`` with every POST, and with it ``Sec-Fetch-Site`` where the connection can be trusted;
        old ones ``Referer`` alone.
        """
        headers = request.requestHeaders
        sites = headers.getRawHeaders(b"sec-fetch-site", [])
        if sites:
            return bool(sites == [b"same-origin"])
        sources = headers.getRawHeaders(b"origin", []) or headers.getRawHeaders(b"referer", [])
        return not sources or (len(sources) == 1 and _is_same(origin(sources[0]), _host(request)))

    def is_for_us(self, request: Request) -> bool:
        """
        Whether a request for reading is made by our own page, by a person, or by no browser: another site's page may
        link here, but not load anything from here, nor in a frame, whether or not it could read it.
        """
        headers = request.requestHeaders
        if headers.getRawHeaders(b"sec-fetch-site", [b"none"]) in ([b"none"], [b"same-origin"]):
            return True
        target = headers.getRawHeaders(b"sec-fetch-dest", [b"document"])
        return target == [b"document"] and headers.getRawHeaders(b"sec-fetch-mode") == [b"navigate"]

    def has_session(self, request: Request) -> bool:
        """
        Whether a browser has shown the token before.
        """
        ends_at, _, signature = (request.getCookie(COOKIE) or b"").partition(b".")
        if self.open or not hmac.compare_digest(signature, self._signed(b"session " + ends_at)):
            return False
        return self._clock.seconds() < int(ends_at)  # the signature holds, so it is a number of ours

    def session(self) -> bytes:
        """
        Write a cookie for a browser that has shown the token.
        """
        ends_at = b"%d" % (self._clock.seconds() + SESSION)
        return ends_at + b"." + self._signed(b"session " + ends_at)

    def form_proof(self) -> str:
        """
        Write what a form of ours holds, and no other can.
        """
        return self._signed(b"form").decode("ascii")

    def is_form_proof(self, candidate: str) -> bool:
        """
        Whether a form is one of ours.
        """
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
    Whether a page is one of ours. A proxy may or may not write out the port that the scheme has anyway.
    """
    if source is None or host is None:
        return False
    page, default = source
    return page.host == host.host and (page.port or default) == (host.port or default)


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
            return give_problem(request, http.NOT_ALLOWED, "use GET to show the form and POST to send it")
        try:
            known = self._access.takes(request, form(request).get("token", "").strip().encode("utf-8"))
        except Hasty as error:
            request.setHeader(b"Retry-After", b"%d" % error.wait)
            words = f"Too many wrong tokens: try again in {duration(error.wait)}."
            return self._show(request, words, TOO_MANY_REQUESTS)
        if not known:
            return self._show(request, "Wrong token.", http.FORBIDDEN)
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
                el("button", "Log in", type="submit"),
                el("p", "admin.token in the daemon's configuration", id="hint", class_="quiet"),
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
            return give_problem(request, http.NOT_ALLOWED, "use POST to log out")
        request.addCookie(COOKIE, b"", path=b"/", max_age=b"0", httpOnly=True, sameSite="strict")
        return redirect(request, b"/login")


@define(eq=False)
class Guesses:
    """
    Counts wrong tokens of each client. After some in a row a client has to wait before its next one is looked at at
    all; others do not, nor does who has a session already. Nothing here waits: who comes too early is told so.

    :ivar burst: how many wrong ones are looked at without a pause.
    :ivar pause: seconds that each further one takes.
    :ivar most: clients that are remembered, at the most; the one that was wrong the longest ago is forgotten first.
    """

    _clock: IReactorTime
    _burst: int = 20
    _pause: float = 1.0
    _most: int = 1024
    # By client, until when what it did is made up for: a bucket that leaks, as one number.
    _until: OrderedDict[str, float] = field(factory=OrderedDict, init=False)

    def wait(self, client: str) -> int:
        """
        Whole seconds until the next token of a client is looked at; 0 for now.
        """
        early = self._until.get(client, 0.0) - self._clock.seconds() - (self._burst - 1) * self._pause
        # No more than all of it, should the clock be set back.
        return max(0, min(ceil(early), ceil(self._burst * self._pause)))

    def wrong(self, client: str) -> None:
        """
        Take note of a wrong token.
        """
        now = self._clock.seconds()
        until = max(now, min(self._until.pop(client, now), now + self._burst * self._pause))
        self._until[client] = until + self._pause
        while len(self._until) > self._most:
            self._until.popitem(last=False)
