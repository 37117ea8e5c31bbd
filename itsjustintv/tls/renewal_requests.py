"""
Ordering certificates because somebody asks for them, whatever is due.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from itsjustintv.errors import CertificateError
from itsjustintv.model import rfc3339
from itsjustintv.tls.acme.folding_problems_http import explained
from itsjustintv.tls.acme.order import Issued
from itsjustintv.tls.folding_requests_renewal_requests import Request, RequestFiles, Result
from itsjustintv.tls.managed import Status
from itsjustintv.tls.operator_files import Watch
from itsjustintv.tls.store import InThread

__all__ = ["Issuing", "OnRequest"]

# Seconds between two looks at a request that is not ours to take, or not yet.
_AGAIN = 1.0


class Issuing(Protocol):
    """
    What orders certificates.
    """

    @property
    def leads(self) -> bool:
        """
        Whether it is this process that orders.
        """

    def issue_cert(self, server_name: str) -> Deferred[None]:
        """
        Order a certificate now.
        """

    def statuses(self) -> Sequence[Status]:
        """
        What there is.
        """


@define(eq=False)
class OnRequest(Service):
    """
    Takes requests out of the folder, one after the other, and answers them.

    :ivar names: of which certificates are served; one on trial may be for another name.
    :ivar certificates: orders those that are served.
    :ivar rehearse: orders one for a name, to be thrown away.
    :ivar watch: looks after the file of the request.
    """

    _files: RequestFiles
    _names: Callable[[], Iterable[str]]
    _certificates: Issuing
    _rehearse: Callable[[str], Awaitable[Issued]]
    _watch: Watch
    _clock: IReactorTime
    _in_thread: InThread
    _again: IDelayedCall | None = field(default=None, init=False)
    _work: Deferred[None] | None = field(default=None, init=False)
    _asked: bool = field(default=False, init=False)

    log = Logger()

    def startService(self) -> None:
        """
        Look after requests.
        """
        super().startService()
        self._watch.start(self._watched, self._look)

    def stopService(self) -> Deferred[None]:
        """
        Give up what is under way; whoever asked for it sees that nobody orders any more.
        """
        super().stopService()
        self._watch.stop()
        if self._again is not None and self._again.active():
            self._again.cancel()
        work, self._work = self._work, None
        if work is None:
            return succeed(None)
        work.cancel()
        return work

    def _watched(self) -> Iterable[Path]:
        return (self._files.request.absolute(),)

    def _look(self) -> None:
        self._asked = True
        if self.running and self._work is None:
            self._work = Deferred.fromCoroutine(self._serve())
            self._work.addErrback(lambda failure: failure.trap(CancelledError))
            self._work.addBoth(self._rest)

    def _rest(self, _: object) -> None:
        self._work = None

    async def _serve(self) -> None:
        while self._asked:
            self._asked = False
            try:
                if not self._certificates.leads:
                    # Another process orders, or this one will in a moment.
                    if await self._in_thread(self._files.request.exists):
                        self._look_again()
                    return
                request: Request | None = await self._in_thread(self._files.take, self._clock.seconds())
                if request is not None:
                    self._asked = True
                    results = [await self._result(request, name) for name in request.names]
                    await self._in_thread(self._files.answer, request, results, self._clock.seconds())
            except (ValueError, OSError) as error:
                self.log.warn("a request for certificates cannot be met: {reason}", reason=str(error))

    def _look_again(self) -> None:
        if self._again is None or not self._again.active():
            self._again = self._clock.callLater(_AGAIN, self._look)

    async def _result(self, request: Request, name: str) -> Result:
        if not request.trial and name not in self._names():
            return Result(name=name, problem="it is not in server.tls.domains of the daemon: reload its configuration")
        try:
            return await (self._rehearsed(name) if request.trial else self._renewed(name, request.asked_at))
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, somebody waits for the answer
            if not isinstance(error, CertificateError | OSError):
                self.log.failure("the certificate of {name} that was asked for cannot be ordered", name=name)
            return Result(name=name, problem=explained(error))

    async def _renewed(self, name: str, asked_at: float) -> Result:
        status = self._status(name)
        # What was due anyway may have been ordered meanwhile.
        if status is None or status.failures or status.last_attempt < rfc3339(asked_at):
            await self._certificates.issue_cert(name)
            status = self._status(name)
        return Result(name=name) if status is None else Result(name=name, expires=status.expires, issuer=status.issuer)

    def _status(self, name: str) -> Status | None:
        return next((each for each in self._certificates.statuses() if each.name == name), None)

    async def _rehearsed(self, name: str) -> Result:
        self.log.info("ordering a certificate for {name} on trial: somebody asked for it", name=name)
        issued = await self._rehearse(name)
        return Result(name=name, expires=rfc3339(issued.bundle.not_after), issuer=issued.bundle.issuer)
