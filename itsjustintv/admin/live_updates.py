"""
Telling browsers that there is something new: server-sent events (HTML Living Standard, "Server-sent events").
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

from itsjustintv.admin.responses import give_problem
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
    Looks every second whether anything is different, while there is somebody to tell.

    :ivar mark: something that is different whenever anything that is shown is.
    :ivar name: of this process, so that a version of another one is never taken for one of ours.
    :ivar most: how many may listen at the same time.
    :ivar each: how many of these may be of one client.
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
        Of what is shown at this moment, as far as it is known.
        """
        return f"{self._name}.{self._count}"

    def is_full(self, client: str) -> bool:
        """
        Whether one more would be too many, in all or of this client.
        """
        of_client = sum(each == client for each in self._listeners.values())
        return len(self._listeners) >= self._most or of_client >= self._each

    def add(self, request: Request, known: str, client: str) -> None:
        """
        Tell somebody from now on, until he leaves.

        :param known: the version that he knows.
        :param client: names who listens.
        """
        self._listeners[request] = client
        request.registerProducer(_Patience(request), True)
        request.notifyFinish().addBoth(lambda _: self._remove(request))
        request.write(b"retry: 2000\n\n")
        if known != self.version:
            self._tell(request)
        if not self._loop.running:
            self._loop.startService()

    def dismiss(self) -> None:
        """
        Tell nobody any more who listens now; whoever still may will come again.
        """
        for request in list(self._listeners):
            request.unregisterProducer()
            request.finish()

    def stopService(self) -> None:
        """
        End all of it.
        """
        super().stopService()
        self.dismiss()
        self._loop.stopService()

    def _remove(self, request: Request) -> None:
        del self._listeners[request]
        if not self._listeners:
            self._loop.stopService()

    async def _compare(self) -> None:
        """
        Look once.
        """
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
                self._tell(request)
        elif self._silent >= _SILENT:
            self._silent = 0
            for request in list(self._listeners):
                request.write(b": nothing new\n\n")

    def _tell(self, request: Request) -> None:
        request.write(f"id: {self.version}\nevent: change\ndata: {self.version}\n\n".encode("ascii"))


@implementer(IPushProducer)
@frozen(eq=False)
class _Patience:
    """
    Hangs up on somebody who has not taken what he was told for so long that there is no more room for it: it would wait
    in memory for ever. A browser comes again by itself.
    """

    _request: Request

    def pauseProducing(self) -> None:
        """
        Hang up. What still waits has as long to be taken as any last words.
        """
        self._request.loseConnection()

    def resumeProducing(self) -> None:
        """
        There is nothing that waits here.
        """

    def stopProducing(self) -> None:
        """
        Whoever listened is gone, as :class:`LiveUpdates` hears as well.
        """


class EventsResource(Resource):
    """
    ``/events``: a stream in which an event ``change`` says that it is worth looking again.
    """

    isLeaf = True

    def __init__(self, pulse: LiveUpdates, client: Callable[[Request], str]) -> None:
        """
        :param client: names who sends a request.
        """
        super().__init__()
        self._pulse = pulse
        self._client = client

    def render(self, request: Request) -> int:
        """
        Begin a stream. Whoever says which version he knows, by ``Last-Event-ID`` or ``since``, is told at once if there
        is another one.
        """
        if request.method != b"GET":
            request.setHeader(b"Allow", b"GET")
            return give_problem(request, http.NOT_ALLOWED, "use GET to read the stream")
        client = self._client(request)
        if self._pulse.is_full(client):
            request.setHeader(b"Retry-After", b"10")
            return give_problem(request, http.SERVICE_UNAVAILABLE, "too many pages are open")
        since: list[bytes] = (request.args or {}).get(b"since", [b""])
        known = request.getHeader("last-event-id") or since[0].decode("latin-1")
        request.setHeader(b"Content-Type", b"text/event-stream")
        # nginx would keep events until it has a page full of them.
        request.setHeader(b"X-Accel-Buffering", b"no")
        self._pulse.add(request, known, client)
        return NOT_DONE_YET
