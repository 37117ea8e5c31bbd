"""
An agent that sends each URL as RFC 9112 has it, to each host that the resolver knows.

Twisted's own sends ``POST ?a=b HTTP/1.1`` when there is a query and no path, leaves ``//a/b`` to whatever the version
of Python makes of it, puts the dot at the end of a name into TLS, and takes only names that IDNA takes: ``my_service``,
as Compose names containers, is none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pem
from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IDelayedCall,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, _HTTP11ClientFactory
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from itsjustintv.errors import CertificateUnusable
from itsjustintv.support.http_url import HttpUrl
from itsjustintv.support.regular_files import read
from itsjustintv.support.response_head import LIMIT, BrokenAnswer, Fault, Head

__all__ = [
    "AnyHostEndpoints",
    "ExactAgent",
    "TimeoutEndpoint",
    "TimeoutEndpoints",
    "authority_agent",
    "deliveries_agent",
    "policy_for",
    "twitch_agent",
]

# A name that IDNA takes; it is never looked up, sent or verified.
_STAND_IN = b"stand-in.invalid"


class ExactAgent(Agent):
    """
    Sends requests; see above.
    """

    @classmethod
    def connecting(
        cls, reactor: IReactorTime, endpoints: IAgentEndpointFactory, pool: HTTPConnectionPool
    ) -> ExactAgent:
        """
        Make one.
        """
        return cast("ExactAgent", cls.usingEndpointFactory(reactor, endpoints, pool))

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """
        Send one.
        """
        try:
            url = HttpUrl.parse(uri.decode("ascii"))
        except ValueError:
            # Twisted says what is wrong with it.
            return super().request(method, uri, headers, bodyProducer)
        parsed = URI.fromBytes(str(url).encode("ascii"))
        key = (parsed.scheme, parsed.host, parsed.port)
        endpoint = self._getEndpoint(parsed)
        target = url.target.encode("ascii")
        return self._requestWithEndpoint(key, endpoint, method, parsed, headers, bodyProducer, target)


@implementer(IAgentEndpointFactory)
@define(eq=False)
class AnyHostEndpoints:
    """
    Connects an agent to ``http`` and ``https``, by whatever name the resolver takes.

    :ivar reactor: opens the connections.
    :ivar policy: decides which certificates are believed.
    """

    _reactor: IReactorTime
    _policy: IPolicyForHTTPS

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """
        Find the way to a host.

        :raises SchemeNotSupported: when it is neither ``http`` nor ``https``.
        """
        host = uri.host.decode("ascii")
        endpoint: IStreamClientEndpoint = _AnyHostEndpoint(self._reactor, host, uri.port)
        if uri.scheme == b"https":
            name = host.removesuffix(".").encode("ascii")
            return wrapClientTLS(_creator(self._policy, name, uri.port), endpoint)
        if uri.scheme != b"http":
            raise SchemeNotSupported("only http and https are supported")
        return endpoint


class _AnyHostEndpoint(HostnameEndpoint):
    @staticmethod
    def _hostAsBytesAndText(host: bytes | str) -> tuple[bool, bytes, str]:
        text = host if isinstance(host, str) else host.decode("ascii")
        return False, text.encode("ascii"), text


def _creator(policy: IPolicyForHTTPS, name: bytes, port: int) -> IOpenSSLClientConnectionCreator:
    """
    Verify a certificate for a name, which IDNA need not take: the certificate must have exactly that name.
    """
    try:
        return policy.creatorForNetloc(name, port)
    except UnicodeError:
        options = policy.creatorForNetloc(_STAND_IN, port)
        options._hostname = options._hostnameASCII = name.decode("ascii")  # type: ignore[attr-defined]  # noqa: SLF001
        options._hostnameBytes = name  # type: ignore[attr-defined]  # noqa: SLF001
        return options


def twitch_agent(reactor: Any) -> Agent:
    """
    An agent for Twitch. Connections are kept for a minute, as many as are used at once: with TLS a new one costs more
    than what is asked over it.
    """
    endpoints = AnyHostEndpoints(reactor, BrowserLikePolicyForHTTPS())
    return ExactAgent.connecting(reactor, endpoints, _quiet_pool(reactor, idle=60, kept=32))


def deliveries_agent(reactor: Any) -> Agent:
    """
    An agent for deliveries. Connections are kept for the length of a burst only: one that the receiver is about to
    close would cost an attempt.
    """
    endpoints = TimeoutEndpoints(reactor, BrowserLikePolicyForHTTPS())
    return ExactAgent.connecting(reactor, endpoints, _quiet_pool(reactor, idle=2, kept=64))


def authority_agent(reactor: Any, ca_bundle: str) -> tuple[Agent, HTTPConnectionPool]:
    """
    An agent for an authority of certificates, and its connections, to be closed at the end.

    :param ca_bundle: file of the certificates by which the authority is believed; empty for the system's.
    :raises CertificateUnusable: that file cannot be used.
    """
    pool = _quiet_pool(reactor, idle=60, kept=2)
    return ExactAgent.connecting(reactor, AnyHostEndpoints(reactor, policy_for(ca_bundle)), pool), pool


def _quiet_pool(reactor: Any, idle: int, kept: int) -> HTTPConnectionPool:
    """
    A pool that keeps some connections to each host for some seconds, and does not log the address of each one it opens.
    """
    pool = HTTPConnectionPool(reactor, persistent=True)
    pool.cachedConnectionTimeout = idle
    pool.maxPersistentPerHost = kept
    pool._factory = _QuietFactory  # noqa: SLF001 - there is no other way to it
    return pool


class _QuietFactory(_HTTP11ClientFactory):
    noisy = False


# Bytes; those of the systems have 300 KiB.
_LARGEST = 4 * 1024 * 1024


def policy_for(ca_bundle: str) -> IPolicyForHTTPS:
    """
    How to verify an authority: by the certificates of ``server.tls.ca_bundle``, which is what a private authority
    needs, or without one by those of the system. Blocks for a moment.

    :raises CertificateUnusable: there are no certificates in that file, or it cannot be read.
    """
    if not ca_bundle:
        return BrowserLikePolicyForHTTPS()
    try:
        text = read(Path(ca_bundle), _LARGEST)
        found = [Certificate.loadPEM(each.as_bytes()) for each in pem.parse(text) if isinstance(each, pem.Certificate)]
    except OSError as error:
        raise CertificateUnusable(f"server.tls.ca_bundle {ca_bundle} cannot be read: {error.strerror}") from None
    except Exception as error:
        raise CertificateUnusable(
            f"server.tls.ca_bundle {ca_bundle} holds a certificate that cannot be read"
        ) from error
    if not found:
        raise CertificateUnusable(f"server.tls.ca_bundle {ca_bundle} holds no certificate in PEM")
    return BrowserLikePolicyForHTTPS(trustRootFromCertificates(found))


# Seconds between asking for the end of a connection and making it.
_GRACE = 1.0


@implementer(IAgentEndpointFactory)
@define(eq=False)
class TimeoutEndpoints:
    """
    Connects an :class:`~twisted.web.client.Agent` to ``http`` and ``https`` as it would itself, but firmly: a
    connection that is to be closed is gone a second later, and one that answers with too much is aborted.

    :ivar reactor: opens the connections.
    :ivar policy: decides which certificates are believed.
    """

    _reactor: IReactorTime
    _policy: IPolicyForHTTPS

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """
        Find the way to a host.

        :raises SchemeNotSupported: when it is neither ``http`` nor ``https``.
        """
        return TimeoutEndpoint(self._reactor, AnyHostEndpoints(self._reactor, self._policy).endpointForURI(uri))


@implementer(IStreamClientEndpoint)
@define(eq=False)
class TimeoutEndpoint:
    """
    Connects as another endpoint does, but firmly.
    """

    _clock: IReactorTime
    _endpoint: IStreamClientEndpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Connect, and wrap what was connected.
        """
        return self._endpoint.connect(_FirmFactory(self._clock, protocolFactory)).addCallback(_wrapped)


class _Firm(ProtocolWrapper):
    """
    The connection itself. Between the writing of a request and the end of the head of its answer, what comes is held.
    """

    factory: _FirmFactory
    _aborting: IDelayedCall | None = None
    _received = 0
    _head: Head | None = None
    _over = False
    _reused = False

    def write(self, data: bytes) -> None:
        """
        Begin a request.
        """
        self._received, self._head = 0, Head()
        super().write(data)

    def writeSequence(self, data: list[bytes]) -> None:
        """
        Begin a request.
        """
        self._received, self._head = 0, Head()
        super().writeSequence(data)

    def dataReceived(self, data: bytes) -> None:
        """
        Pass on what comes, within the limit, once the head is whole.
        """
        if self._over:
            return
        if self._head is None:
            self._received += len(data)
            if self._received > LIMIT:
                self.abortConnection()
            else:
                super().dataReceived(data)
            return
        try:
            whole = self._head.feed(data)
        except BrokenAnswer as error:
            self._end(Failure(error))
            self.abortConnection()
        else:
            if whole is not None:
                self._head, self._received, self._reused = None, len(whole), True
                super().dataReceived(whole)

    def abortConnection(self) -> None:
        """
        Close at once. Twisted's client does this when the wait for an answer is cancelled; the part that has come may
        be all that is needed.
        """
        self._reused = False
        if self._head is not None and (broken := self._head.cut()) is not None:
            self._end(Failure(broken))
        cast("ITCPTransport", self.transport).abortConnection()

    def loseConnection(self) -> None:
        """
        Close politely, then firmly.
        """
        if self._aborting is None:
            self._aborting = self.factory.clock.callLater(_GRACE, self.abortConnection)
        super().loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        There is nothing left to abort.
        """
        if self._aborting is not None and self._aborting.active():
            self._aborting.cancel()
        if self._head is not None:
            if (broken := self._head.cut()) is not None:
                reason = Failure(broken)
            elif self._reused and self._head.empty:
                reason = Failure(BrokenAnswer(Fault.STALE))
        if self._over:
            self.factory.unregisterProtocol(self)
        else:
            super().connectionLost(reason)

    def _end(self, reason: Failure) -> None:
        """
        Let the wait for an answer end before the connection does.
        """
        if not self._over:
            self._over, self._head = True, None
            self.wrappedProtocol.connectionLost(reason)


def _wrapped(firm: IProtocol) -> IProtocol:
    return cast("_Firm", firm).wrappedProtocol


class _FirmFactory(WrappingFactory[_Firm]):
    protocol = _Firm
    # Two lines of log for each connection say nothing that the delivery's own line does not.
    noisy = False

    def __init__(self, clock: IReactorTime, wrapped: IProtocolFactory) -> None:
        super().__init__(wrapped)
        self.clock = clock
