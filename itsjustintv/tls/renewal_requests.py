"""
Renewals on request: files in ``cert_dir`` by which ``certs renew`` asks the daemon, and the service that answers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import cattrs
import orjson
from attrs import asdict, define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from itsjustintv.errors import CertificateError
from itsjustintv.model import rfc3339
from itsjustintv.support.file_thread_pool import InThread
from itsjustintv.support.file_watch import Watcher
from itsjustintv.support.files import make_private, replace
from itsjustintv.support.regular_files import UnsuitableFile, read
from itsjustintv.tls.acme.http import explain
from itsjustintv.tls.acme.order import IssuedCertificate
from itsjustintv.tls.managed import Status

__all__ = ["CertificateIssuer", "RenewalRequests", "RenewalResult", "Request", "RequestFiles"]

# Seconds between two checks of a request while another process orders, or none does yet.
_RETRY_INTERVAL = 1.0
_ID = re.compile("[0-9a-f]{16}")

# Bytes of a request; more names than configured are never in one.
_MAX_SIZE = 65536

# Seconds after which a request that was not taken, or results that were not read, are removed.
_REQUEST_LIFETIME = 120.0
_ANSWER_LIFETIME = 3600.0

_CONVERTER = cattrs.Converter(detailed_validation=False)


@frozen(kw_only=True)
class Request:
    """
    A request for certificates now.

    :ivar id: 16 hexadecimal digits.
    :ivar asked_at: in seconds since the epoch.
    :ivar names: as ``server.tls.domains`` has them.
    :ivar trial: whether the certificates are to be discarded.
    """

    id: str
    asked_at: float
    names: tuple[str, ...]
    trial: bool = False


@frozen(kw_only=True)
class RenewalResult:
    """
    The result for one name. Times are RFC 3339.

    :ivar problem: why there is no certificate, and what to do; empty when there is one.
    """

    name: str
    expires: str = ""
    issuer: str = ""
    problem: str = ""


@frozen
class RequestFiles:
    """
    The files of requests and results below ``cert_dir``.
    """

    _root: Path

    @property
    def request(self) -> Path:
        """
        The file of the request that was not taken yet.
        """
        return self._root / "renew" / "request.json"

    def submit(self, request: Request) -> None:
        """
        Write a request.

        :raises FileExistsError: another one has not been taken yet.
        :raises OSError: it cannot be written.
        """
        make_private(self.request.parent)
        self._remove_older(self.request, request.asked_at - _REQUEST_LIFETIME)
        draft = self.request.with_name(f".request-{request.id}.tmp")
        replace(draft, orjson.dumps(asdict(request)))
        try:
            # Unlike a rename, a link never takes the place of what is there; but a link whose other name is gone looks
            # like a file that is still being written, and closing a file that was open for writing ends that.
            os.link(draft, self.request)
            with suppress(FileNotFoundError):  # it is taken already
                os.close(os.open(self.request, os.O_WRONLY))
        finally:
            draft.unlink(missing_ok=True)

    def withdraw(self) -> bool:
        """
        Remove the request. Returns whether it had not been taken.
        """
        try:
            self.request.unlink()
        except FileNotFoundError:
            return False
        return True

    def take(self, now: float) -> Request | None:
        """
        Take the request, if there is one and it is not too old. An invalid one is removed.

        :param now: in seconds since the epoch.
        :raises ValueError: it is invalid.
        :raises OSError: it cannot be read or removed.
        """
        self._remove_older(self.request, now - _REQUEST_LIFETIME)
        text = self._read_and_remove(self.request)
        if text is None:
            return None
        request: Request = _structure(text, Request)
        if not _ID.fullmatch(request.id):
            raise ValueError("its id is invalid")
        return request

    def write_results(self, request: Request, results: Sequence[RenewalResult], now: float) -> None:
        """
        Write the results, and remove old ones that were never read.

        :param now: in seconds since the epoch.
        :raises OSError: they cannot be written.
        """
        for left in self.request.parent.glob("answer-*.json"):
            self._remove_older(left, now - _ANSWER_LIFETIME)
        replace(self._results_file(request), orjson.dumps([asdict(each) for each in results]))

    def read_results(self, request: Request) -> Sequence[RenewalResult] | None:
        """
        Read and remove the results; ``None`` while there are none.

        :raises ValueError: they are invalid.
        """
        text = self._read_and_remove(self._results_file(request))
        if text is None:
            return None
        results: tuple[RenewalResult, ...] = _structure(text, tuple[RenewalResult, ...])
        return results

    @staticmethod
    def _read_and_remove(path: Path) -> bytes | None:
        """
        Read a file and remove it, also when it is too large or no regular file.
        """
        try:
            text = read(path, _MAX_SIZE)
        except FileNotFoundError:
            return None
        except UnsuitableFile as error:
            path.unlink(missing_ok=True)
            raise ValueError(str(error)) from None
        path.unlink(missing_ok=True)
        return text

    @staticmethod
    def _remove_older(path: Path, than: float) -> None:
        with suppress(FileNotFoundError):
            if path.lstat().st_mtime < than:
                path.unlink()

    def _results_file(self, request: Request) -> Path:
        return self.request.with_name(f"answer-{request.id}.json")


def _structure(text: bytes, kind: Any) -> Any:
    try:
        return _CONVERTER.structure(orjson.loads(text), kind)
    except Exception as error:
        raise ValueError("it is not in itsjustintv's format") from error


class CertificateIssuer(Protocol):
    """
    What orders certificates; see :class:`~itsjustintv.tls.certificate_service.CertificateService`.
    """

    @property
    def is_leader(self) -> bool:
        """
        Whether this process is the one that orders.
        """

    def issue_cert(self, server_name: str) -> Deferred[None]: ...

    def statuses(self) -> Sequence[Status]: ...


@define(eq=False)
class RenewalRequests(Service):
    """
    Takes requests from the folder, one after the other, and writes the results.

    :ivar names: the names with a served certificate; a trial may be for another name.
    :ivar certificates: orders those that are served.
    :ivar issue_trial: orders one for a name, to be discarded.
    :ivar watcher: watches the file of the request.
    """

    _files: RequestFiles
    _names: Callable[[], Iterable[str]]
    _certificates: CertificateIssuer
    _issue_trial: Callable[[str], Awaitable[IssuedCertificate]]
    _watcher: Watcher
    _clock: IReactorTime
    _in_thread: InThread
    _retry_call: IDelayedCall | None = field(default=None, init=False)
    _task: Deferred[None] | None = field(default=None, init=False)
    _pending: bool = field(default=False, init=False)

    log = Logger()

    def startService(self) -> None:
        super().startService()
        self._watcher.start(self._watched_files, self._check)

    def stopService(self) -> Deferred[None]:
        """
        Cancel what is under way. The command sees by the lock that the daemon is gone.
        """
        super().stopService()
        self._watcher.stop()
        if self._retry_call is not None and self._retry_call.active():
            self._retry_call.cancel()
        work, self._task = self._task, None
        if work is None:
            return succeed(None)
        work.cancel()
        return work

    def _watched_files(self) -> Iterable[Path]:
        return (self._files.request.absolute(),)

    def _check(self) -> None:
        self._pending = True
        if self.running and self._task is None:
            self._task = Deferred.fromCoroutine(self._run())
            self._task.addErrback(lambda failure: failure.trap(CancelledError))
            self._task.addBoth(self._task_done)

    def _task_done(self, _: object) -> None:
        self._task = None

    async def _run(self) -> None:
        while self._pending:
            self._pending = False
            try:
                if not self._certificates.is_leader:
                    # Another process orders, or this one will in a moment.
                    if await self._in_thread(self._files.request.exists):
                        self._check_later()
                    return
                request: Request | None = await self._in_thread(self._files.take, self._clock.seconds())
                if request is not None:
                    self._pending = True
                    results = [await self._result(request, name) for name in request.names]
                    await self._in_thread(self._files.write_results, request, results, self._clock.seconds())
            except (ValueError, OSError) as error:
                self.log.warn("cannot process a renewal request: {reason}", reason=str(error))

    def _check_later(self) -> None:
        if self._retry_call is None or not self._retry_call.active():
            self._retry_call = self._clock.callLater(_RETRY_INTERVAL, self._check)

    async def _result(self, request: Request, name: str) -> RenewalResult:
        if not request.trial and name not in self._names():
            return RenewalResult(
                name=name, problem="it is not in server.tls.domains of the daemon: reload its configuration"
            )
        try:
            return await (self._trial_result(name) if request.trial else self._renewed_result(name, request.asked_at))
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the command waits for the result
            if not isinstance(error, CertificateError | OSError):
                self.log.failure("cannot renew the certificate of {name} on request", name=name)
            return RenewalResult(name=name, problem=explain(error))

    async def _renewed_result(self, name: str, asked_at: float) -> RenewalResult:
        status = self._status(name)
        # A renewal that was due may have happened since the request.
        if status is None or status.failures or status.last_attempt < rfc3339(asked_at):
            await self._certificates.issue_cert(name)
            status = self._status(name)
        return (
            RenewalResult(name=name)
            if status is None
            else RenewalResult(name=name, expires=status.expires, issuer=status.issuer)
        )

    def _status(self, name: str) -> Status | None:
        return next((each for each in self._certificates.statuses() if each.name == name), None)

    async def _trial_result(self, name: str) -> RenewalResult:
        self.log.info("ordering a trial certificate for {name}: requested by an operator", name=name)
        issued = await self._issue_trial(name)
        return RenewalResult(name=name, expires=rfc3339(issued.bundle.not_after), issuer=issued.bundle.issuer)
