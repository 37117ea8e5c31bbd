"""
Who may see the page, and whose orders count.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request

__all__ = ["COOKIE", "SESSION", "Access"]

COOKIE = b"itsjustintv_admin"

#: Seconds for which a browser that has shown the token need not show it again.
SESSION = 12 * 3600


@define(eq=False)
class Access:
    """
    Lets in whoever has the token: in ``Authorization: Bearer``, or in the form of a cookie that was given for it.

    Without a token everybody is let in who reaches us under a name of the loopback interface. Programs on this machine
    do. A page of somebody else's in a browser on this machine does not, even if the name it came from leads here by now
    (DNS rebinding), since the browser sends that name in ``Host``.

    Nothing is kept of a session: the cookie is its end and a signature, made with the token, so another token ends it.

    :ivar token: of the moment; empty for none.
    :ivar secret: random bytes of this process, to sign forms with where there is no token.
    """

    _token: Callable[[], str]
    _clock: IReactorTime
    _secret: bytes = field(repr=False)

    @property
    def open(self) -> bool:
        """
        Whether there is no token.
        """
        return not self._token()

    def reached_rightly(self, request: Request) -> bool:
        """
        Whether ``Host`` is a name under which we are to be reached.
        """
        hosts = request.requestHeaders.getRawHeaders(b"host", [])
        return len(hosts) == 1 and (not self.open or _is_loopback(hosts[0]))

    def is_token(self, candidate: bytes) -> bool:
        """
        Whether somebody knows the token.
        """
        token = self._token().encode("ascii")
        return bool(token) and hmac.compare_digest(candidate, token)

    def has_bearer(self, request: Request) -> bool:
        """
        Whether a request brings the token itself.
        """
        given = request.requestHeaders.getRawHeaders(b"authorization", [])
        scheme, _, candidate = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        return scheme.lower() == b"bearer" and self.is_token(candidate.strip())

    def admits(self, request: Request) -> bool:
        """
        Whether a request may be answered.
        """
        return self.open or self.has_bearer(request) or self._has_session(request)

    def means_it(self, request: Request) -> bool:
        """
        Whether an order comes from our own page, or from no browser at all, and not from somebody else's page.

        Browsers send ``Origin`` with every POST, and with it ``Sec-Fetch-Site`` where the connection can be trusted.
        """
        if self.has_bearer(request):
            return True
        headers = request.requestHeaders
        sites = headers.getRawHeaders(b"sec-fetch-site", [])
        if sites:
            return bool(sites == [b"same-origin"])
        origins = headers.getRawHeaders(b"origin", [])
        hosts = headers.getRawHeaders(b"host", [])
        return not origins or (len(origins) == 1 and _authority(origins[0]) == hosts[0].lower())

    def is_for_us(self, request: Request) -> bool:
        """
        Whether a request for reading is made by our own page, by a person, or by no browser: somebody else's page may
        lead here, but not load anything from here, whether or not it could read it.
        """
        sites = request.requestHeaders.getRawHeaders(b"sec-fetch-site", [b"none"])
        return sites in ([b"none"], [b"same-origin"]) or request.getHeader(b"sec-fetch-mode") == b"navigate"

    def session(self) -> bytes:
        """
        Write a cookie for a browser that has shown the token.
        """
        ends_at = b"%d" % (self._clock.seconds() + SESSION)
        return ends_at + b"." + self._signed(b"session " + ends_at)

    def form_proof(self) -> str:
        """
        Write what a form of ours holds, and nobody else's can.
        """
        return self._signed(b"form").decode("ascii")

    def is_form_proof(self, candidate: str) -> bool:
        """
        Whether a form is one of ours.
        """
        return hmac.compare_digest(candidate.encode("utf-8", "replace"), self._signed(b"form"))

    def _has_session(self, request: Request) -> bool:
        ends_at, _, signature = (request.getCookie(COOKIE) or b"").partition(b".")
        if not hmac.compare_digest(signature, self._signed(b"session " + ends_at)):
            return False
        return self._clock.seconds() < int(ends_at)  # the signature holds, so it is a number of ours

    def _signed(self, what: bytes) -> bytes:
        key = self._token().encode("ascii") or self._secret
        return hmac.digest(key, b"itsjustintv admin " + what, "sha256").hex().encode("ascii")


def _is_loopback(host: bytes) -> bool:
    try:
        name = urlsplit(f"//{host.decode('ascii')}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _authority(origin: bytes) -> bytes:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return b""
