"""
The mode ``files``: serves the operator's certificate, and its replacement as soon as it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from itsjustintv.errors import CertificateUnusable
from itsjustintv.model import rfc3339
from itsjustintv.support.durations import duration
from itsjustintv.support.file_thread_pool import InThread
from itsjustintv.support.file_watch import Watcher
from itsjustintv.support.regular_files import read
from itsjustintv.tls.certificate import Bundle, CertificateMetrics
from itsjustintv.tls.sni import ContextMap, make_context

__all__ = ["FilesService", "read_pair"]

# Share of the lifetime left from which on health is degraded.
_LATE_SHARE = 1 / 6

# Bytes.
_MAX_SIZE = 1024 * 1024


def read_pair(certificate: Path, key: Path, now: float) -> Bundle:
    """
    Read a certificate that can be served. Blocks.

    :param certificate: file of the leaf and its chain, in PEM.
    :param key: file of its key; it may be the same.
    :raises CertificateUnusable: the files hold none.
    """
    parts = []
    for path in dict.fromkeys((key, certificate)):
        try:
            parts.append(read(path, _MAX_SIZE))
        except OSError as error:
            raise CertificateUnusable(f"cannot read {path}: {error.strerror}") from None
    try:
        bundle = Bundle.parse(b"\n".join(parts))
        bundle.require((), now)
        # While serving, the same error would occur in the reactor, where it reaches no caller.
        make_context(bundle)
    except CertificateUnusable as error:
        raise CertificateUnusable(
            f"cannot serve {certificate} with {key}: {error}; see server.tls.cert_file and server.tls.key_file"
        ) from None
    if not bundle.names:
        raise CertificateUnusable(f"cannot serve {certificate}: the certificate names no host")
    return bundle


@define(eq=False)
class FilesService(Service):
    """
    Serves one certificate and watches its files. An invalid replacement is logged, and the previous one stays.

    :ivar certificate: file of the leaf and its chain, in PEM.
    :ivar key: file of its key; it may be the same.
    """

    _certificate: Path
    _key: Path
    _contexts: ContextMap
    _watcher: Watcher
    _clock: IReactorTime
    _in_thread: InThread
    _bundle: Bundle | None = field(default=None, init=False)
    _problem: str | None = field(default=None, init=False)
    _reloading: Deferred[None] | None = field(default=None, init=False)
    _reload_again: bool = field(default=False, init=False)

    log = Logger()

    def privilegedStartService(self) -> None:
        """
        Load the certificate while the process may still have the privileges for that.

        :raises CertificateUnusable: none can be served.
        """
        super().privilegedStartService()
        if self._bundle is None:
            self._serve(self._read())

    def startService(self) -> None:
        """
        Load the certificate unless that is done, and watch its files.

        :raises CertificateUnusable: none can be served.
        """
        super().startService()
        if self._bundle is None:
            self._serve(self._read())
        self._log_serving()
        self._watcher.start(lambda: (self._certificate, self._key), self._files_changed)

    async def load(self) -> None:
        """
        Load the certificate before the start, without blocking.

        :raises CertificateUnusable: none can be served.
        """
        self._serve(await self._in_thread(self._read))

    def stopService(self) -> Deferred[None] | None:
        super().stopService()
        self._watcher.stop()
        return self._reloading

    def problem(self) -> str | None:
        """
        What is wrong with the certificate or its replacement; ``None`` while all is well.
        """
        if self._bundle is None:
            return "there is no certificate"
        left = self._bundle.not_after - self._clock.seconds()
        if left <= 0:
            return "the certificate has expired"
        if self._problem is not None:
            return self._problem
        if left < _LATE_SHARE * (self._bundle.not_after - self._bundle.not_before):
            return f"the certificate expires in {duration(left)} and has not been replaced"
        return None

    def metrics(self) -> Sequence[CertificateMetrics]:
        """
        The metrics of the certificate, for each of its names.
        """
        if self._bundle is None:
            return ()
        not_after, problem = self._bundle.not_after, self._problem or ""
        return tuple(
            CertificateMetrics(name=name, not_after=not_after, problem=problem) for name in sorted(self._bundle.names)
        )

    def _read(self) -> Bundle:
        return read_pair(self._certificate, self._key, self._clock.seconds())

    def _serve(self, bundle: Bundle) -> None:
        for name in sorted(bundle.names):
            self._contexts.put(name, bundle)
        for name in self._contexts.names - bundle.names:
            self._contexts.drop(name)
        self._contexts.set_default(min(bundle.names))
        self._bundle, self._problem = bundle, None

    def _log_serving(self) -> None:
        assert self._bundle is not None  # noqa: S101
        self.log.info(
            "serving the certificate {path} for {names} until {until}",
            path=str(self._certificate),
            names=", ".join(sorted(self._bundle.names)),
            until=rfc3339(self._bundle.not_after),
        )

    def _files_changed(self) -> None:
        self._reload_again = True
        if self._reloading is None and self.running:
            self._reloading = Deferred.fromCoroutine(self._reload())

    async def _reload(self) -> None:
        try:
            while self._reload_again and self.running:
                self._reload_again = False
                await self._reload_once()
        finally:
            self._reloading = None

    async def _reload_once(self) -> None:
        try:
            bundle: Bundle = await self._in_thread(self._read)
        except CertificateUnusable as error:
            self._problem = "the changed certificate files are invalid; the previous certificate is served"
            self.log.error(  # noqa: TRY400 - the reason is in the line
                "{reason}; still serving the previous certificate", reason=str(error)
            )
            return
        if self._bundle is None or bundle.leaf != self._bundle.leaf or bundle.chain != self._bundle.chain:
            self._serve(bundle)
            self._log_serving()
        else:
            self._problem = None
