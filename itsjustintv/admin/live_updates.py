"""
Notifies open pages of changes by server-sent events (HTML Living Standard, "Server-sent events").
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import Factory, define, field, frozen
from twisted.application.service import Service
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from itsjustintv.admin.responses import send_not_allowed, send_problem
from itsjustintv.admin.sources import Asked
from itsjustintv.errors import JournalUnavailable
from itsjustintv.support.periodic_service import PeriodicService

__all__ = ["EventsResource", "LiveUpdates"]

# Seconds between two looks, and looks between two signs of life, for proxies that end what is silent.
_EVERY = 1.0
_SILENT = 15


@define(eq=False)
class LiveUpdates(Service):
    """
    Checks every second for changes while a stream is open, and notifies all open streams.

    :ivar mark: returns a value that changes whenever anything shown changes.
    :ivar name: of this process, so that versions of two processes differ.
    :ivar most: limit of open streams.
    :ivar each: limit of open streams of one client.
    """

    _mark: Callable[[], Asked[object]]
    _clock: IReactorTime
    _name: str
    _most: int = 32
    _each: int = 8
    _listeners: dict[Request, str] = field(factory=dict, init=False)
    _count: int = field(default=0, init=False)
    _last: object = field(default=None, init=False)
    _silent: int = field(default=0, init=False)
    _loop: PeriodicService = field(
        init=False,
        default=Factory(
            lambda self: PeriodicService(self._clock, _EVERY, "look for changes", self._compare),
            takes_self=True,
        ),
    )

    log = Logger()

    @property
    def version(self) -> str:
        """
        The version of what is shown, as last seen.
        """
        return f"{self._name}.{self._count}"

    def is_full(self, client: str) -> bool:
        """
        Whether a limit of open streams is reached, in all or for this client.
        """
        of_client = sum(each == client for each in self._listeners.values())
        return len(self._listeners) >= self._most or of_client >= self._each

    def add(self, request: Request, known: str, client: str) -> None:
        """
        Notify a client of changes until it disconnects.

        :param known: the version that it has; it is notified at once if there is a newer one.
        """
        self._listeners[request] = client
        request.registerProducer(_NoBuffering(request), True)
        request.notifyFinish().addBoth(lambda _: self._remove(request))
        request.write(b"retry: 2000\n\n")
        if known != self.version:
            self._notify(request)
        if not self._loop.running:
            self._loop.startService()

    def dismiss(self) -> None:
        """
        Close all streams; a browser that still has access reconnects.
        """
        for request in list(self._listeners):
            request.unregisterProducer()
            request.finish()

    def stopService(self) -> None:
        super().stopService()
        self.dismiss()
        self._loop.stopService()

    def _remove(self, request: Request) -> None:
        del self._listeners[request]
        if not self._listeners:
            self._loop.stopService()

    async def _compare(self) -> None:
        mark: object
        try:
            mark = await self._mark()
        except JournalUnavailable as error:
            mark = str(error)
        self._silent += 1
        if mark != self._last:
            self._last = mark
            self._count += 1
            self._silent = 0
            for request in list(self._listeners):
                self._notify(request)
        elif self._silent >= _SILENT:
            self._silent = 0
            for request in list(self._listeners):
                request.write(b": nothing new\n\n")

    def _notify(self, request: Request) -> None:
        request.write(f"id: {self.version}\nevent: change\ndata: {self.version}\n\n".encode("ascii"))


@implementer(IPushProducer)
@frozen(eq=False)
class _NoBuffering:
    """
    Closes the connection of a client that does not read, instead of buffering for it. A browser reconnects.
    """

    _request: Request

    def pauseProducing(self) -> None:
        """
        Close the connection; what is buffered is still sent for a while.
        """
        self._request.loseConnection()

    def resumeProducing(self) -> None:
        """
        Do nothing: nothing is ever paused.
        """

    def stopProducing(self) -> None:
        """
        :class:`LiveUpdates` is notified itself when the client disconnects.
        """


class EventsResource(Resource):
    """
    ``/events``: a stream with an event ``change`` for every new version.
    """

    isLeaf = True

    def __init__(self, live_updates: LiveUpdates, client: Callable[[Request], str]) -> None:
        """
        :param client: names the client of a request.
        """
        super().__init__()
        self._live_updates = live_updates
        self._client = client

    def render(self, request: Request) -> int:
        """
        Open a stream. ``Last-Event-ID`` or ``since`` is the version that the client has.
        """
        if request.method != b"GET":
            return send_not_allowed(request, b"GET")
        client = self._client(request)
        if self._live_updates.is_full(client):
            request.setHeader(b"Retry-After", b"10")
            return send_problem(request, http.SERVICE_UNAVAILABLE, "too many pages are open")
        since: list[bytes] = (request.args or {}).get(b"since", [b""])
        known = request.getHeader("last-event-id") or since[0].decode("latin-1")
        request.setHeader(b"Content-Type", b"text/event-stream")
        # Otherwise nginx buffers events.
        request.setHeader(b"X-Accel-Buffering", b"no")
        self._live_updates.add(request, known, client)
        return NOT_DONE_YET
