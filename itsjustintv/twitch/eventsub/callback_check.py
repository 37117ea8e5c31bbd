"""
Checks from this machine whether Twitch can reach the callback, and explains what it will probably reject.

Twitch requires https, port 443, a certificate of a public authority and no redirects (dev.twitch.tv, "Handling webhook
events" and "Create EventSub Subscription"). That it connects over IPv4 only is observed, not documented.
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

__all__ = ["CallbackCheck", "CallbackWarning", "url_warnings"]

_HTTPS = 443
_LIMIT = 64 * 1024

# Suffixes of names that are not public (RFC 6761, RFC 6762, RFC 8375, and what ICANN set aside).
_NOT_PUBLIC = ("localhost", "local", "internal", "home.arpa", "lan", "test", "invalid", "example")


@frozen
class CallbackWarning:
    """
    Something about the callback that Twitch will probably reject.

    :ivar what: what was found.
    :ivar why: why it matters.
    :ivar advice: what to do.
    """

    what: str
    why: str
    advice: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}; {self.advice}"


def url_warnings(url: str) -> Sequence[CallbackWarning]:
    """
    Find what is wrong with the URL itself.

    :param url: the callback, as :func:`~itsjustintv.config.sections.callback_url` makes it.
    """
    return tuple(_url_warnings(url))


def _url_warnings(url: str) -> Iterator[CallbackWarning]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        yield CallbackWarning(
            "the callback is plain http",
            "Twitch calls https only and rejects the subscription",
            "enable server.tls, or put an https proxy in front and set server.external_domain to its name",
        )
    if parts.port not in (None, _HTTPS):
        yield CallbackWarning(
            f"the callback is on port {parts.port}",
            "Twitch calls port 443 only and rejects the subscription",
            "publish port 443, at the proxy or the router if necessary, and remove the port from the callback",
        )
    address = _address(host)
    if address is None:
        if "." not in host or any(host.endswith(f".{suffix}") for suffix in _NOT_PUBLIC):
            yield CallbackWarning(
                f"the callback is at {host}, which is not a public name",
                "Twitch cannot resolve it, so the verification of the subscription fails",
                "use a public host name",
            )
    elif not _is_public(address):
        yield CallbackWarning(
            f"the callback is at {host}, which is not a public address",
            "Twitch cannot reach it, so the verification of the subscription fails",
            "use a public host name that resolves to this machine",
        )
    elif address.version != 4:
        yield _needs_ipv4(host)


@define(eq=False)
class CallbackCheck(Service):
    """
    Checks the callback from this machine. Its warnings may be wrong and nothing depends on them: the name may resolve
    differently here, and a router may not let its own network in from outside.

    :ivar http: verifies certificates against the usual authorities.
    :ivar resolver: the reactor's.
    :ivar callback: the current URL; empty while there is none.
    :ivar timeout: seconds for the name, and then for the answer.
    """

    _http: HTTPClient
    _resolver: IHostnameResolver
    _clock: IReactorTime
    _callback: Callable[[], str]
    _timeout: float = 10.0
    _checking: Deferred[None] = field(factory=lambda: succeed(None), init=False)

    log = Logger()

    def startService(self) -> None:
        super().startService()
        self.check()

    def stopService(self) -> None:
        super().stopService()
        self._checking.cancel()

    def check(self) -> None:
        """
        Check the current callback and log the warnings, instead of a check that is under way.
        """
        self._checking.cancel()
        self._checking = Deferred.fromCoroutine(self.report(self._callback()))
        self._checking.addErrback(lambda failure: failure.trap(CancelledError))

    async def report(self, url: str) -> None:
        """
        Check a callback and log the warnings; an empty one is none. Never fails, unless it is cancelled.
        """
        for warning in await self.examine(url) if url else ():
            self.log.warn("Twitch may reject the callback: {reason}", reason=str(warning))

    async def examine(self, url: str) -> Sequence[CallbackWarning]:
        """
        Check the URL, and if that is right, its name and the answer. Never fails, unless it is cancelled.

        :param url: the callback, which this daemon answers by now.
        """
        found = url_warnings(url)
        if found:
            return found
        try:
            host = urlsplit(url).hostname or ""
            if _address(host) is None:
                addresses = await self._addresses(host)
                if not addresses:
                    return (_unresolved(host),)
                found = _address_warnings(host, addresses)
            return (*found, *await self._call(url, host))
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - a check must not stop anything
            self.log.failure("cannot check the callback")
            return found

    async def _addresses(self, host: str) -> Sequence[IPv4Address | IPv6Address]:
        receiver = _Addresses()
        self._resolver.resolveHostName(receiver, host)
        try:
            return await receiver.found.addTimeout(self._timeout, self._clock)
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
            return ()  # the answer of this daemon to a GET
        return (_answered(host, answer.status),)


def _unresolved(host: str) -> CallbackWarning:
    return CallbackWarning(
        f"{host} cannot be resolved on this machine",
        "if Twitch cannot resolve it either, the verification of the subscription fails",
        "check the name and its A record",
    )


def _address_warnings(host: str, addresses: Sequence[IPv4Address | IPv6Address]) -> Sequence[CallbackWarning]:
    reachable = [each for each in addresses if each.version == 4]
    if not reachable:
        return (_needs_ipv4(host),)
    return tuple(
        CallbackWarning(
            f"{host} resolves to {each}, which is not a public address",
            "Twitch cannot reach it, unless the name resolves differently outside this network",
            "publish an A record with the public address",
        )
        for each in reachable
        if not _is_public(each)
    )


def _needs_ipv4(host: str) -> CallbackWarning:
    return CallbackWarning(
        f"{host} has only an IPv6 address",
        "Twitch seems to connect over IPv4 only, and then the verification of the subscription fails",
        "add an A record",
    )


def _answered(host: str, status: int) -> CallbackWarning:
    if 300 <= status < 400:
        return CallbackWarning(
            f"{host} answers the callback with a redirect ({status})",
            "Twitch does not follow redirects and counts them as failures",
            "let the proxy forward the callback, or set twitch.incoming_webhook_url to the redirect's target",
        )
    if status in (http.UNAUTHORIZED, http.FORBIDDEN):
        return CallbackWarning(
            f"{host} requires authentication for the callback ({status})",
            "Twitch sends no password and no cookie",
            "exempt the callback from the proxy's access control; messages are protected by their signature",
        )
    if status in (http.BAD_GATEWAY, http.SERVICE_UNAVAILABLE, http.GATEWAY_TIMEOUT):
        return CallbackWarning(
            f"{host} answers the callback with {status}",
            "the proxy there does not reach this daemon, so Twitch does not either",
            "check that it forwards requests to server.listen_addr and server.port",
        )
    return CallbackWarning(
        f"{host} answers the callback with {status}, which this daemon never does",
        "another server seems to answer, and the verification of the subscription fails",
        _FROM_HERE,
    )


def _unanswered(host: str, cause: BaseException | None, timeout: float) -> CallbackWarning:
    """
    Explain why there was no answer.

    :param cause: ``None`` for a timeout.
    """
    causes = list(_causes(cause))
    for kinds, what, why, advice in _FAILURES:
        if any(isinstance(each, kinds) for each in causes):
            return CallbackWarning(f"{host} {what}", why, advice)
    return CallbackWarning(
        f"{host} did not answer within {duration(timeout)}" if cause is None else f"{host} cannot be reached from here",
        "if Twitch cannot reach it either, the verification of the subscription fails",
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


_FROM_HERE = "check that the name resolves to this machine, and that the proxy forwards the callback's path unchanged"

_FROM_OUTSIDE = (
    "open port 443 in the firewall and the router, and try from another network: many routers do not let their own"
    " network in from outside"
)

# The order matters: SysCallError is an SSL.Error.
_FAILURES: tuple[tuple[tuple[type[BaseException], ...], str, str, str], ...] = (
    (
        (VerificationError,),
        "has a certificate for another name",
        "Twitch does not accept it, and the verification of the subscription fails",
        "get a certificate for this name",
    ),
    (
        (SSL.SysCallError, error.ConnectionLost, error.ConnectionDone, error.ConnectionAborted),
        "closed the connection before it answered",
        "if Twitch gets no answer either, the verification of the subscription fails",
        "check the proxy's log",
    ),
    (
        (SSL.Error,),
        "has a certificate that cannot be verified, or no TLS on that port",
        "Twitch requires a valid one of a public authority with the whole chain, or the verification fails",
        "enable server.tls, or renew the proxy's certificate and let it send the intermediate certificates",
    ),
    (
        (BodyTooLong,),
        "sends a long answer, which this daemon never does",
        "another server seems to answer, and the verification of the subscription fails",
        _FROM_HERE,
    ),
    (
        (error.ConnectionRefusedError,),
        "refuses the connection",
        "if it refuses Twitch too, the verification of the subscription fails",
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
    Collects the addresses of a name; none when it does not exist.
    """

    found: Deferred[list[IPv4Address | IPv6Address]] = field(init=False)
    _so_far: list[IPv4Address | IPv6Address] = field(factory=list, init=False)

    @found.default
    def _finding(self) -> Deferred[list[IPv4Address | IPv6Address]]:
        return Deferred(lambda _: None)

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        pass

    def addressResolved(self, address: IAddress) -> None:
        if isinstance(address, Inet4 | Inet6):
            found = ip_address(address.host.partition("%")[0])
            if found not in self._so_far:
                self._so_far.append(found)

    def resolutionComplete(self) -> None:
        if not self.found.called:
            self.found.callback(self._so_far)
