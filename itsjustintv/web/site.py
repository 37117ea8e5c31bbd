"""
The site of a port: routing by whole path, and limits for every request and connection.
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
from itsjustintv.web.client_address import NO_PROXIES, ClientAddresses
from itsjustintv.web.connection_limits import ConnectionLimits, ConnectionRegistry, client_network
from itsjustintv.web.http1 import HTTP1Connection, RejectedConnection, RequestBodyTooLong
from itsjustintv.web.http2.stream import HTTP2Stream

__all__ = ["HandlerResource", "LimitedSite", "RootResource", "make_site"]

# Seconds between two sweeps, and between two reports of what was rejected.
_SWEEP = 1.0
_REPORT_INTERVAL = 10.0

_BANNER = b"itsjustintv - Twitch EventSub webhook bridge"
_NOT_FOUND = b'{"status":"not found"}'


def make_site(
    root_resource: IResource,
    clock: IReactorTime,
    limits: ConnectionLimits,
    client_addresses: ClientAddresses = NO_PROXIES,
) -> LimitedSite:
    """
    Build the factory of a site, to listen with in plain HTTP or within TLS.

    :param root_resource: is asked for every path; see :class:`RootResource`.
    :param client_addresses: without it no proxy is trusted.
    """
    return LimitedSite(root_resource, clock, limits, client_addresses)


class RootResource(Resource):
    """
    Routes by whole path: ``/`` is a banner, every other unknown path is not found.

    There are no patterns and no redirects: ``//twitch`` is not found, and Twitch does not follow redirects.
    """

    isLeaf = True

    def __init__(self, resources: Mapping[bytes, IResource]) -> None:
        """
        :param resources: by whole path, such as ``/twitch``.
        """
        super().__init__()
        self._resources = dict(resources)

    def render(self, request: server.Request) -> bytes | int:
        resource = self._resources.get(request.path)
        if resource is not None:
            answer: bytes | int = resource.render(request)
            # Twisted logs a body in answer to HEAD, which container health checks send.
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
    Twisted's request without sessions, encoders and the version in ``Server``.
    """

    channel: HTTP1Connection | HTTP2Stream  # type: ignore[assignment]
    content: BytesIO

    def process(self) -> None:
        self.site = self.channel.site
        self.prepath = []
        self.postpath = [unquote_to_bytes(segment) for segment in self.path[1:].split(b"/")]
        try:
            self.render(getChildForRequest(self.site.resource, self))
        except Exception:  # noqa: BLE001 - the peer gets a 500, the log the traceback
            self.processingFailed(Failure())

    def handleContentChunk(self, data: bytes) -> None:
        """
        Store a part of the body.

        :raises BodyTooLong: the body exceeds the limit and had declared no length.
        """
        if self.content.tell() + len(data) > self.channel.registry.limits.body:
            raise RequestBodyTooLong
        self.content.write(data)

    def getClientAddress(self) -> IAddress:
        """
        The client, behind trusted proxies.
        """
        return self.channel.client_addresses.resolve(self.channel.getPeer(), self.requestHeaders)

    def getRequestHostname(self) -> bytes:
        """
        A constant: the ``Host`` header is not trusted, and no URL is built from it.
        """
        return b"localhost"


class LimitedSite(server.Site):
    """
    A site with limits. HTTP/1.1, unless :class:`~itsjustintv.web.factories.AlpnFactory` stands before it.

    There is no access log: it costs as much as the answer, and the resources log what they decide.

    :ivar registry: the open connections and the counts.
    """

    _log: ClassVar[Logger] = Logger()
    # Without Twisted's wrapper, whose HTTP/2 has no limits.
    protocol = HTTP1Connection  # type: ignore[assignment]
    requestFactory = LimitedRequest
    # The listener logs where it listens; the factory has nothing to add.
    noisy = False

    def __init__(
        self, resource: IResource, clock: IReactorTime, limits: ConnectionLimits, client_addresses: ClientAddresses
    ) -> None:
        # By default Twisted parses Content-Type with the e-mail package, for a third of a request's time.
        super().__init__(resource, timeout=None, reactor=clock, parsePOSTFormSubmission=False)
        self.registry = ConnectionRegistry(limits, clock)
        self._client_addresses = client_addresses
        self._sweep_loop = PeriodicService(clock, _SWEEP, "close slow connections", self._sweep, now=False)
        self._reported_rejected = 0
        self._reported_refused: Counter[int] = Counter()
        self._reported_timed_out = 0
        self._next_report = 0.0

    def startFactory(self) -> None:
        """
        Start the sweep. Twisted's own would open an access log.
        """
        self._sweep_loop.startService()

    def stopFactory(self) -> None:
        """
        Stop the sweep; open connections stay until their clients close them.
        """
        self._sweep_loop.stopService()

    def log(self, request: http.Request) -> None:
        """
        Write no access log.
        """

    def logPrefix(self) -> str:
        """
        The name in the lines that Twisted writes about ports.
        """
        return "http"

    def getContentFile(self, length: int | None) -> BytesIO:  # noqa: ARG002 - the name is Twisted's
        """
        Keep the body in memory: none here is large.
        """
        return BytesIO()

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]

    def buildProtocol(self, addr: IAddress | None) -> Protocol:  # type: ignore[override]
        """
        Build a connection, or one that closes at once when there are too many.
        """
        network = client_network(addr)
        if not self.registry.admit(network):
            return RejectedConnection()
        channel: HTTP1Connection = super().buildProtocol(addr)
        channel.registry = self.registry
        channel.client_addresses = self._client_addresses
        channel.network = network
        return channel

    def _sweep(self) -> None:
        self.registry.sweep()
        now = self.registry.clock.seconds()
        if now >= self._next_report and self._report():
            self._next_report = now + _REPORT_INTERVAL

    def _report(self) -> bool:
        """
        Log what was rejected since the last report. Returns whether there was anything.
        """
        registry = self.registry
        rejected, timed_out, refused = (
            registry.rejected - self._reported_rejected,
            registry.timed_out - self._reported_timed_out,
            registry.refused - self._reported_refused,
        )
        self._reported_rejected, self._reported_timed_out, self._reported_refused = (
            registry.rejected,
            registry.timed_out,
            Counter(registry.refused),
        )
        if rejected:
            self._log.warn(
                "rejected {count}: {limit} were open; unless this is an attack, put a proxy in front",
                count=Counted(rejected, "connection"),
                limit=registry.limits.connections,
            )
        if timed_out:
            self._log.info(
                "dropped {count}: a request had not arrived within {limit}",
                count=Counted(timed_out, "connection"),
                limit=Seconds(registry.limits.request),
            )
        for status, number in sorted(refused.items()):
            self._log.info(
                "rejected {count} before routing: {status} {reason}{measured}",
                count=Counted(number, "request"),
                status=status,
                reason=http.RESPONSES[status].decode("ascii").lower(),
                measured=self._describe_size() if status == http.REQUEST_ENTITY_TOO_LARGE else "",
            )
        return bool(rejected or timed_out or refused)

    def _describe_size(self) -> str:
        """
        The largest body rejected since the last report, as its head said, and the limit.
        """
        registry = self.registry
        largest, registry.largest_body = registry.largest_body, 0
        declared_length = f"{largest:,} bytes announced, " if largest else ""
        return f" ({declared_length}limit {registry.limits.body:,} bytes)"
