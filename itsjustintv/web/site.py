"""
The HTTP server around the resources.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import ClassVar
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http, server
from twisted.web.resource import IResource, Resource, getChildForRequest

from itsjustintv.support.counts import Counted
from itsjustintv.support.durations import Seconds
from itsjustintv.support.periodic_service import PeriodicService
from itsjustintv.web.client_address import NO_PROXIES, Clients
from itsjustintv.web.connection_limits import ConnectionLimits, ConnectionRegistry, client_network
from itsjustintv.web.http1 import HeadTooLong, HTTP1Connection, Refusal
from itsjustintv.web.http2.stream import HTTP2Stream

__all__ = ["HandlerResource", "LimitedSite", "RootResource", "make_site"]

# Seconds between two looks at the connections, and between two lines about those that were turned away.
_SWEEP = 1.0
_QUIET = 10.0

_BANNER = b"itsjustintv - Twitch EventSub webhook bridge"
_NOT_FOUND = b'{"status":"not found"}'


def make_site(
    root_resource: IResource, clock: IReactorTime, limits: ConnectionLimits, clients: Clients = NO_PROXIES
) -> LimitedSite:
    """
    Build the factory to listen with, plainly or wrapped in TLS.

    :param root_resource: is asked first for every path; see :class:`RootResource`.
    :param clients: tells on whose behalf a proxy calls; without it, nobody is believed.
    """
    return LimitedSite(root_resource, clock, limits, clients)


class RootResource(Resource):
    """
    Sends each path to the resource that has it, and to nobody any other: ``/`` is a banner, the rest is not found.

    The exact table stands before Klein because routing by pattern would answer ``//twitch`` with a redirect, and
    Twitch follows none.
    """

    isLeaf = True

    def __init__(self, resources: Mapping[bytes, IResource]) -> None:
        """
        :param resources: by whole path, ``/twitch`` say. A Klein app routes the same whole path.
        """
        super().__init__()
        self._resources = dict(resources)

    def render(self, request: server.Request) -> bytes | int:
        """
        Answer, or let the resource of this path do so.
        """
        resource = self._resources.get(request.path)
        if resource is not None:
            answer: bytes | int = resource.render(request)
            # Twisted logs a body in answer to HEAD, which a container's health check asks for all day long.
            return b"" if request.method == b"HEAD" and isinstance(answer, bytes) else answer
        if request.path == b"/":
            body = _BANNER
            request.setHeader(b"Content-Type", b"text/plain")
        else:
            body = _NOT_FOUND
            request.setResponseCode(http.NOT_FOUND)
            request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Content-Length", b"%d" % len(body))
        return b"" if request.method == b"HEAD" else body


class HandlerResource(Resource):
    """
    A leaf that a function answers for, now or later.
    """

    isLeaf = True
    log = Logger()

    def __init__(self, handle: Callable[[server.Request], bytes | Deferred[bytes]]) -> None:
        """
        :param handle: returns the body, or a Deferred of it that is cancelled when the peer hangs up.
        """
        super().__init__()
        self._handle = handle

    def render(self, request: server.Request) -> bytes | int:
        answer = self._handle(request)
        if not isinstance(answer, Deferred):
            return answer
        gone = False

        def hung_up(_: Failure) -> None:
            nonlocal gone
            gone = True
            answer.cancel()

        def write(body: bytes) -> None:
            if not gone:
                request.write(body)
                request.finish()

        def fail(failure: Failure) -> None:
            if not gone:
                request.processingFailed(failure)
            elif not failure.check(CancelledError):
                self.log.failure("a request failed after the client had disconnected", failure)

        request.notifyFinish().addErrback(hung_up)
        answer.addCallbacks(write, fail)
        return server.NOT_DONE_YET


class LimitedRequest(server.Request):
    """
    Twisted's request, without what nobody here needs.
    """

    channel: HTTP1Connection | HTTP2Stream  # type: ignore[assignment]
    content: BytesIO

    def process(self) -> None:
        """
        Give the request to its resource.

        Stands for Twisted's own, which names its version to everybody and prepares encoders, sessions and ``*``.
        """
        self.site = self.channel.site
        self.prepath = []
        self.postpath = [unquote_to_bytes(segment) for segment in self.path[1:].split(b"/")]
        try:
            self.render(getChildForRequest(self.site.resource, self))
        except Exception:  # noqa: BLE001 - the peer gets a 500, the log the traceback
            self.processingFailed(Failure())

    def handleContentChunk(self, data: bytes) -> None:
        """
        Keep a part of the body.

        :raises TooLong: when it is one part too many, which only happens to bodies that declared no length.
        """
        if self.content.tell() + len(data) > self.channel.traffic.limits.body:
            raise HeadTooLong
        self.content.write(data)

    def getClientAddress(self) -> IAddress:
        """
        Name the client, behind whatever proxy that is trusted.
        """
        return self.channel.clients.of(self.channel.getPeer(), self.requestHeaders)

    def getRequestHostname(self) -> bytes:
        """
        Name the host without believing the ``Host`` header.

        Nobody here builds addresses from it, and Klein would fail on a name that is not IDNA.
        """
        return b"localhost"


class LimitedSite(server.Site):
    """
    A site that keeps strangers within limits.

    HTTP/1.1 only, unless TLS stands before it; see :class:`~itsjustintv.web.factories.AlpnFactory`. There is no access
    log: it costs as much as the answer, and the resources log what they decide.

    :ivar traffic: the open connections and the counts.
    """

    _log: ClassVar[Logger] = Logger()
    # Without the wrapper that would switch to an HTTP/2 that knows no limits.
    protocol = HTTP1Connection  # type: ignore[assignment]
    requestFactory = LimitedRequest
    # Whoever listens says where; that there is a factory concerns nobody else.
    noisy = False

    def __init__(self, resource: IResource, clock: IReactorTime, limits: ConnectionLimits, clients: Clients) -> None:
        # Twisted runs the e-mail package over Content-Type unless told not to, for a third of a request's time.
        super().__init__(resource, timeout=None, reactor=clock, parsePOSTFormSubmission=False)
        self.traffic = ConnectionRegistry(limits, clock)
        self._clients = clients
        self._sweeping = PeriodicService(clock, _SWEEP, "close connections that are late", self._sweep, now=False)
        self._turned_away = 0
        self._said: Counter[int] = Counter()
        self._cut = 0
        self._quiet_until = 0.0

    def startFactory(self) -> None:
        """
        Start looking after the connections. Twisted's own would open an access log.
        """
        self._sweeping.startService()

    def stopFactory(self) -> None:
        """
        Stop looking after the connections; those that are open stay until their peers leave.
        """
        self._sweeping.stopService()

    def log(self, request: http.Request) -> None:
        """
        Write no access log.
        """

    def logPrefix(self) -> str:
        """
        Go by a name that an operator knows, in the lines that Twisted writes about ports.
        """
        return "http"

    def getContentFile(self, length: int | None) -> BytesIO:  # noqa: ARG002 - the name is Twisted's
        """
        Keep a body in memory; Twisted would put a large one on disk, and none here is large.
        """
        return BytesIO()

    def acceptableProtocols(self) -> list[bytes]:
        """
        Offer HTTP/1.1 and nothing else.
        """
        return [b"http/1.1"]

    def buildProtocol(self, addr: IAddress | None) -> Protocol:  # type: ignore[override]
        """
        Build a channel, or hang up when there are too many.
        """
        caller = client_network(addr)
        if not self.traffic.admit(caller):
            return Refusal()
        channel: HTTP1Connection = super().buildProtocol(addr)
        channel.traffic = self.traffic
        channel.clients = self._clients
        channel.caller = caller
        return channel

    def _sweep(self) -> None:
        """
        End what is late, and say what no resource can say since none has heard of it.
        """
        self.traffic.sweep()
        now = self.traffic.clock.seconds()
        if now >= self._quiet_until and self._tell():
            self._quiet_until = now + _QUIET

    def _tell(self) -> bool:
        """
        Say what was turned away, refused and cut since the last time.

        :return: whether there was anything.
        """
        traffic = self.traffic
        away, cut, refused = (
            traffic.turned_away - self._turned_away,
            traffic.slow - self._cut,
            traffic.refused - self._said,
        )
        self._turned_away, self._cut, self._said = traffic.turned_away, traffic.slow, Counter(traffic.refused)
        if away:
            self._log.warn(
                "rejected {count}: {limit} were open; unless this is an attack, put a proxy in front",
                count=Counted(away, "connection"),
                limit=traffic.limits.connections,
            )
        if cut:
            self._log.info(
                "dropped {count}: a request had not arrived within {limit}",
                count=Counted(cut, "connection"),
                limit=Seconds(traffic.limits.request),
            )
        for status, number in sorted(refused.items()):
            self._log.info(
                "rejected {count} before routing: {status} {reason}{measured}",
                count=Counted(number, "request"),
                status=status,
                reason=http.RESPONSES[status].decode("ascii").lower(),
                measured=self._measured() if status == http.REQUEST_ENTITY_TOO_LARGE else "",
            )
        return bool(away or cut or refused)

    def _measured(self) -> str:
        """
        How large the largest body was that was refused since the last line, as far as a head said, and the limit.
        """
        traffic = self.traffic
        largest, traffic.largest = traffic.largest, 0
        announced = f"{largest:,} bytes announced, " if largest else ""
        return f" ({announced}limit {traffic.limits.body:,} bytes)"
