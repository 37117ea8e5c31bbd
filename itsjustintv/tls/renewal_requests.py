"""
Ordering certificates because somebody asks for them, whatever is due.
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
from itsjustintv.support.file_watch import Watcher
from itsjustintv.support.files import make_private, replace
from itsjustintv.support.regular_files import Unsuitable, read
from itsjustintv.tls.acme.http import explained
from itsjustintv.tls.acme.order import IssuedCertificate
from itsjustintv.tls.managed import Status
from itsjustintv.tls.store import InThread

__all__ = ["CertificateIssuer", "RenewalRequests", "RenewalResult", "Request", "RequestFiles"]

# Seconds between two looks at a request that is not ours to take, or not yet.
_AGAIN = 1.0


class CertificateIssuer(Protocol):
    """
    What orders certificates.
    """

    @property
    def is_leader(self) -> bool:
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
class RenewalRequests(Service):
    """
    Takes requests out of the folder, one after the other, and answers them.

    :ivar names: of which certificates are served; one on trial may be for another name.
    :ivar certificates: orders those that are served.
    :ivar issue_trial: orders one for a name, to be thrown away.
    :ivar watch: looks after the file of the request.
    """

    _files: RequestFiles
    _names: Callable[[], Iterable[str]]
    _certificates: CertificateIssuer
    _issue_trial: Callable[[str], Awaitable[IssuedCertificate]]
    _watch: Watcher
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
                if not self._certificates.is_leader:
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
                self.log.warn("cannot process a renewal request: {reason}", reason=str(error))

    def _look_again(self) -> None:
        if self._again is None or not self._again.active():
            self._again = self._clock.callLater(_AGAIN, self._look)

    async def _result(self, request: Request, name: str) -> RenewalResult:
        if not request.trial and name not in self._names():
            return RenewalResult(
                name=name, problem="it is not in server.tls.domains of the daemon: reload its configuration"
            )
        try:
            return await (self._trial_result(name) if request.trial else self._renewed_result(name, request.asked_at))
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, somebody waits for the answer
            if not isinstance(error, CertificateError | OSError):
                self.log.failure("cannot renew the certificate of {name} on request", name=name)
            return RenewalResult(name=name, problem=explained(error))

    async def _renewed_result(self, name: str, asked_at: float) -> RenewalResult:
        status = self._status(name)
        # What was due anyway may have been ordered meanwhile.
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


_ID = re.compile("[0-9a-f]{16}")

# Nobody asks for more names than fit in this, in bytes.
_LONGEST = 65536

# Seconds after which nobody waits for a request to be taken, or comes for an answer.
_WAITED = 120.0
_KEPT = 3600.0


@frozen(kw_only=True)
class Request:
    """
    Somebody wants certificates now.

    :ivar id: 16 hexadecimal digits of their choice.
    :ivar asked_at: in seconds since the epoch.
    :ivar names: as ``server.tls.domains`` has them.
    :ivar trial: whether it is only to be seen whether it would work.
    """

    id: str
    asked_at: float
    names: tuple[str, ...]
    trial: bool = False


@frozen(kw_only=True)
class RenewalResult:
    """
    What came of it for one name. Moments are RFC 3339.

    :ivar problem: why there is none, and what to do; empty when there is one.
    """

    name: str
    expires: str = ""
    issuer: str = ""
    problem: str = ""


@frozen
class RequestFiles:
    """
    The files below ``cert_dir``.
    """

    _root: Path

    @property
    def request(self) -> Path:
        """
        Where a request is as long as nobody has taken it.
        """
        return self._root / "renew" / "request.json"

    def ask(self, request: Request) -> None:
        """
        Leave a request.

        :raises FileExistsError: somebody else's has not been taken yet.
        :raises OSError: it cannot be written.
        """
        make_private(self.request.parent)
        self._remove(self.request, request.asked_at - _WAITED)
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
        Take a request back.

        :return: whether nobody had taken it.
        """
        try:
            self.request.unlink()
        except FileNotFoundError:
            return False
        return True

    def take(self, now: float) -> Request | None:
        """
        Take the request, if there is one that somebody waits for; what is none is removed.

        :param now: in seconds since the epoch.
        :raises ValueError: it is none.
        :raises OSError: it cannot be read or removed.
        """
        self._remove(self.request, now - _WAITED)
        text = self._taken(self.request)
        if text is None:
            return None
        request: Request = _structure(text, Request)
        if not _ID.fullmatch(request.id):
            raise ValueError("its id is invalid")
        return request

    def answer(self, request: Request, results: Sequence[RenewalResult], now: float) -> None:
        """
        Say what came of it, and remove the answers that nobody came for.

        :param now: in seconds since the epoch.
        :raises OSError: it cannot be written.
        """
        for left in self.request.parent.glob("answer-*.json"):
            self._remove(left, now - _KEPT)
        replace(self._answer(request), orjson.dumps([asdict(each) for each in results]))

    def answered(self, request: Request) -> Sequence[RenewalResult] | None:
        """
        Take the answer; ``None`` while there is none.

        :raises ValueError: it cannot be read.
        """
        text = self._taken(self._answer(request))
        if text is None:
            return None
        results: tuple[RenewalResult, ...] = _structure(text, tuple[RenewalResult, ...])
        return results

    @staticmethod
    def _taken(path: Path) -> bytes | None:
        """
        Read a file and remove it, also when it is too large or no regular file.
        """
        try:
            text = read(path, _LONGEST)
        except FileNotFoundError:
            return None
        except Unsuitable as error:
            path.unlink(missing_ok=True)
            raise ValueError(str(error)) from None
        path.unlink(missing_ok=True)
        return text

    @staticmethod
    def _remove(path: Path, before: float) -> None:
        """
        Remove a file that is older than a moment.
        """
        with suppress(FileNotFoundError):
            if path.lstat().st_mtime < before:
                path.unlink()

    def _answer(self, request: Request) -> Path:
        return self.request.with_name(f"answer-{request.id}.json")


def _structure(text: bytes, kind: Any) -> Any:
    try:
        return _CONVERTER.structure(orjson.loads(text), kind)
    except Exception as error:
        raise ValueError("it is not in itsjustintv's format") from error


_CONVERTER = cattrs.Converter(detailed_validation=False)
