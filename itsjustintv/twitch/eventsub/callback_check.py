"""
Whether Twitch will be able to call us, as far as can be seen from here: said in plain words before Twitch says less.

What Twitch demands of a callback: https, port 443, a certificate of a public authority, no redirects (dev.twitch.tv,
"Handling webhook events" and "Create EventSub Subscription"). That it calls over IPv4 only is observed, not documented.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from attrs import define, field, frozen
from OpenSSL import SSL
from service_identity import VerificationError
from treq.client import HTTPClient
from twisted.application.service import Service
from twisted.internet import error
from twisted.internet.address import IPv4Address as Inet4
from twisted.internet.address import IPv6Address as Inet6
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IReactorTime, IResolutionReceiver
from twisted.logger import Logger
from twisted.web import http
from zope.interface import implementer

from itsjustintv.errors import TwitchUnavailable
from itsjustintv.support.durations import duration
from itsjustintv.support.http_client import BodyTooLong, exchange

__all__ = ["CallbackCheck", "CallbackWarning", "doubts"]

_HTTPS = 443
_LIMIT = 64 * 1024

# Names that only this machine or this network knows (RFC 6761, RFC 6762, RFC 8375, and what ICANN set aside).
_HOME_ONLY = ("localhost", "local", "internal", "home.arpa", "lan", "test", "invalid", "example")


@frozen
class CallbackWarning:
    """
    Something about the callback that Twitch will probably not accept.

    :ivar what: what was found.
    :ivar why: why Twitch minds.
    :ivar advice: what to do.
    """

    what: str
    why: str
    advice: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}; {self.advice}"


def doubts(url: str) -> Sequence[CallbackWarning]:
    """
    Find what the address alone tells.

    :param url: the callback, as :func:`~itsjustintv.config.sections.callback_url` makes it.
    """
    return tuple(_doubts(url))


def _doubts(url: str) -> Iterator[CallbackWarning]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        yield CallbackWarning(
            "the callback is plain http",
            "twitch calls https only and refuses the subscription",
            "enable server.tls, or let a proxy serve https and set server.external_domain to its name",
        )
    if parts.port not in (None, _HTTPS):
        yield CallbackWarning(
            f"the callback is on port {parts.port}",
            "twitch calls port 443 only and refuses the subscription",
            "publish port 443, at the proxy or the router if need be, and leave the port out of the callback",
        )
    address = _address(host)
    if address is None:
        if "." not in host or any(host.endswith(f".{suffix}") for suffix in _HOME_ONLY):
            yield CallbackWarning(
                f"the callback is at {host}, a name that the internet does not know",
                "twitch cannot find it, and the subscription fails its verification",
                "use a public host name",
            )
    elif not _is_public(address):
        yield CallbackWarning(
            f"the callback is at {host}, an address that is not on the internet",
            "twitch cannot reach it, and the subscription fails its verification",
            "use a public host name that leads here",
        )
    elif address.version != 4:
        yield _needs_ipv4(host)


@define(eq=False)
class CallbackCheck(Service):
    """
    Looks at the callback from here. What it finds are doubts and nothing else depends on it: a name that is resolved
    differently here, or a router that does not let its own network in from outside, prove nothing.

    :ivar http: verifies certificates as everybody does.
    :ivar resolver: the reactor's.
    :ivar callback: the address as it is now.
    :ivar timeout: seconds for the name, and then for the answer.
    """

    _http: HTTPClient
    _resolver: IHostnameResolver
    _clock: IReactorTime
    _callback: Callable[[], str]
    _timeout: float = 10.0
    _looking: Deferred[None] = field(factory=lambda: succeed(None), init=False)

    log = Logger()

    def startService(self) -> None:
        """
        Look at it for the first time.
        """
        super().startService()
        self.look()

    def stopService(self) -> None:
        """
        Look at it no more.
        """
        super().stopService()
        self._looking.cancel()

    def look(self) -> None:
        """
        Look at the callback as it is now, and log what there is to doubt; it is no use to go on with an earlier look.
        """
        self._looking.cancel()
        self._looking = Deferred.fromCoroutine(self.report(self._callback()))
        self._looking.addErrback(lambda failure: failure.trap(CancelledError))

    async def report(self, url: str) -> None:
        """
        Log what there is to doubt, one line each. Never fails, unless it is cancelled.
        """
        for doubt in await self.examine(url):
            self.log.warn("twitch may refuse the callback: {reason}", reason=str(doubt))

    async def examine(self, url: str) -> Sequence[CallbackWarning]:
        """
        Find what the address tells, and if that is nothing, what its name and an answer tell. Never fails, unless it
        is cancelled.

        :param url: the callback, to be answered by this very daemon by now.
        """
        found = doubts(url)
        if found:
            return found
        try:
            host = urlsplit(url).hostname or ""
            if _address(host) is None:
                addresses = await self._addresses(host)
                if not addresses:
                    return (_unresolved(host),)
                found = _about(host, addresses)
            return (*found, *await self._call(url, host))
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - a look must not stop anything
            self.log.failure("cannot look at the callback")
            return found

    async def _addresses(self, host: str) -> Sequence[IPv4Address | IPv6Address]:
        looking = _Addresses()
        self._resolver.resolveHostName(looking, host)
        try:
            return await looking.found.addTimeout(self._timeout, self._clock)
        except DeferredTimeout:
            return ()

    async def _call(self, url: str, host: str) -> Sequence[CallbackWarning]:
        try:
            answer = await exchange(
                self._http, self._clock, "GET", url, what="the callback", timeout=self._timeout, limit=_LIMIT
            )
        except TwitchUnavailable as unavailable:
            return (_unanswered(host, unavailable.__cause__, self._timeout),)
        if answer.status == http.NOT_ALLOWED:
            return ()  # as this daemon answers whatever is not a POST
        return (_answered(host, answer.status),)


def _unresolved(host: str) -> CallbackWarning:
    return CallbackWarning(
        f"{host} cannot be resolved here",
        "twitch has to find its address, or the subscription fails its verification",
        "check the name, and that its A record is published",
    )


def _about(host: str, addresses: Sequence[IPv4Address | IPv6Address]) -> Sequence[CallbackWarning]:
    reachable = [each for each in addresses if each.version == 4]
    if not reachable:
        return (_needs_ipv4(host),)
    return tuple(
        CallbackWarning(
            f"{host} leads to {each}, an address that is not on the internet",
            "twitch cannot reach it, unless the name leads elsewhere when it is looked up outside this network",
            "publish an A record with the public address",
        )
        for each in reachable
        if not _is_public(each)
    )


def _needs_ipv4(host: str) -> CallbackWarning:
    return CallbackWarning(
        f"{host} has an IPv6 address only",
        "twitch has been seen to call over IPv4 only, and then the subscription fails its verification",
        "publish an A record as well",
    )


def _answered(host: str, status: int) -> CallbackWarning:
    if 300 <= status < 400:
        return CallbackWarning(
            f"{host} answers the callback with a redirect ({status})",
            "twitch does not follow redirects and takes them for failures",
            "let the proxy pass the callback on itself, or set twitch.incoming_webhook_url to where it leads",
        )
    if status in (http.UNAUTHORIZED, http.FORBIDDEN):
        return CallbackWarning(
            f"{host} does not let everybody in to the callback ({status})",
            "twitch shows no password and no cookie",
            "exempt the callback from whatever guards the proxy; messages are guarded by their signature",
        )
    if status in (http.BAD_GATEWAY, http.SERVICE_UNAVAILABLE, http.GATEWAY_TIMEOUT):
        return CallbackWarning(
            f"{host} answers the callback with {status}",
            "the proxy there does not reach this daemon, so neither does twitch",
            "check that it passes requests on to server.listen_addr and server.port",
        )
    return CallbackWarning(
        f"{host} answers the callback with {status}, as this daemon would not",
        "something else seems to be there, and the subscription fails its verification",
        _FROM_HERE,
    )


def _unanswered(host: str, cause: BaseException | None, timeout: float) -> CallbackWarning:
    """
    Say what kept the answer away.

    :param cause: ``None`` when it was the time.
    """
    causes = list(_causes(cause))
    for kinds, what, why, advice in _FAILURES:
        if any(isinstance(each, kinds) for each in causes):
            return CallbackWarning(f"{host} {what}", why, advice)
    return CallbackWarning(
        f"{host} did not answer within {duration(timeout)}" if cause is None else f"{host} cannot be reached from here",
        "if twitch cannot reach it either, the subscription fails its verification",
        _FROM_OUTSIDE,
    )


def _causes(cause: BaseException | None) -> Iterator[BaseException]:
    """
    Look inside the wrappers of :mod:`twisted.web.client`.
    """
    if cause is not None:
        yield cause
        for each in getattr(cause, "reasons", None) or ():
            yield from _causes(each.value)


_FROM_HERE = "check that the name leads here, and that the proxy passes the path of the callback on unchanged"

_FROM_OUTSIDE = (
    "open port 443 in firewall and router, and try from another network, since many routers do not let their own"
    " network in from outside"
)

# The order matters: SysCallError is an SSL.Error.
_FAILURES: tuple[tuple[tuple[type[BaseException], ...], str, str, str], ...] = (
    (
        (VerificationError,),
        "shows a certificate for another name",
        "twitch does not believe it, and the subscription fails its verification",
        "have a certificate issued for this name",
    ),
    (
        (SSL.SysCallError, error.ConnectionLost, error.ConnectionDone, error.ConnectionAborted),
        "closed the connection before it had answered",
        "if it does so to twitch, the subscription fails its verification",
        "look at the proxy's own log",
    ),
    (
        (SSL.Error,),
        "shows a certificate that does not verify, or speaks no TLS on that port",
        "twitch wants one of a public authority, not expired and with the whole chain, or the verification fails",
        "enable server.tls, or renew the proxy's certificate and let it send the intermediate ones as well",
    ),
    (
        (BodyTooLong,),
        "answers the callback at length, as this daemon would not",
        "something else seems to be there, and the subscription fails its verification",
        _FROM_HERE,
    ),
    (
        (error.ConnectionRefusedError,),
        "refuses the connection",
        "if it refuses twitch too, the subscription fails its verification",
        _FROM_OUTSIDE,
    ),
)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not address.is_multicast


@implementer(IResolutionReceiver)
@define(eq=False)
class _Addresses:
    """
    Collects the addresses of a name.
    """

    found: Deferred[list[IPv4Address | IPv6Address]] = field(init=False)
    _so_far: list[IPv4Address | IPv6Address] = field(factory=list, init=False)

    @found.default
    def _finding(self) -> Deferred[list[IPv4Address | IPv6Address]]:
        return Deferred(lambda _: None)

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        """
        Nothing is known yet.
        """

    def addressResolved(self, address: IAddress) -> None:
        """
        Take one.
        """
        if isinstance(address, Inet4 | Inet6):
            found = ip_address(address.host.partition("%")[0])
            if found not in self._so_far:
                self._so_far.append(found)

    def resolutionComplete(self) -> None:
        """
        Answer with all of them; none is a name that does not exist.
        """
        if not self.found.called:
            self.found.callback(self._so_far)
