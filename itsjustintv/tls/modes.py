"""
Ways of serving: in plain http, with a certificate of the operator's own, or with those that are ordered and renewed by
themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from attrs import Factory, define, field, frozen
from treq.client import HTTPClient
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from itsjustintv.config.sections import TLS
from itsjustintv.support.http_agents import authority_agent
from itsjustintv.support.services import FileThreadPool, OrderedServices
from itsjustintv.tls.acme.challenges import Http01Responder, TlsAlpn01Responder
from itsjustintv.tls.acme.http import AcmeTransport
from itsjustintv.tls.acme.order import OrderRunner
from itsjustintv.tls.certificate import CertificateMetrics
from itsjustintv.tls.operator_files import FilesService, Watch
from itsjustintv.tls.renewal_requests import RenewalRequests, RequestFiles
from itsjustintv.tls.settings import default_name, directory_url, for_trial
from itsjustintv.tls.sni import ContextMap
from itsjustintv.tls.store import AccountFiles

__all__ = ["Mode", "ModeFactory", "mode_key"]


def mode_key(tls: TLS) -> tuple[str, ...]:
    """
    Name the way of serving that these settings ask for. Settings with the same answer are followed without another one.
    """
    if not tls.enabled:
        return ("plain",)
    if tls.mode == "files":
        return ("files", tls.cert_file, tls.key_file)
    return ("acme", tls.cert_dir, directory_url(tls), tls.ca_bundle)


async def _nothing() -> None:
    pass


class _Certificates(Protocol):
    """
    Looks after certificates, while it is started.
    """

    running: Any

    def privilegedStartService(self) -> None: ...

    def startService(self) -> None: ...

    def stopService(self) -> Any: ...


@frozen
class Mode:
    """
    One of them.

    :ivar identity: see :func:`mode_key`.
    :ivar contexts: which certificates are served to whom; ``None`` in plain http.
    :ivar service: looks after them, to be started and stopped.
    :ivar load: does beforehand, without blocking, what can fail at the start, and reads what there is to be served.
    :ivar when_ready: fires when a name can be served; at once for one that is not ours.
    :ivar problem: why some name cannot be served, or soon cannot be.
    :ivar figures: what can be counted and measured of each certificate.
    :ivar follow: takes note of settings with the same identity, or gives those that are there another chance.
    :ivar critical: as ``problem``, but only once there is no time to lose.
    """

    mode_key: tuple[str, ...]
    contexts: ContextMap | None = None
    service: _Certificates = field(factory=Service)
    load: Callable[[], Coroutine[Any, Any, None]] = _nothing
    when_ready: Callable[[str], Deferred[None]] = lambda _: succeed(None)
    problem: Callable[[], str | None] = lambda: None
    figures: Callable[[], Sequence[CertificateMetrics]] = tuple
    follow: Callable[[TLS], None] = lambda _: None
    critical: Callable[[], str | None] = lambda: None


@define(eq=False)
class ModeFactory:
    """
    Makes them.

    The challenges that are to be met are those of all of them: a certificate that was taken over from another way goes
    on letting validators through.

    :ivar random: answers with a number from 0 to 1.
    :ivar watch: looks after the files of a certificate of the operator's own, or after requests for another one; a new
        one each time.
    :ivar clock: tells the time of the machine, by which certificates are valid.
    """

    _reactor: Any
    _disk: FileThreadPool
    _random: Callable[[], float]
    _watch: Callable[[], Watch]
    _clock: IReactorTime = field(default=Factory(lambda self: self._reactor, takes_self=True))
    http_01: Http01Responder = field(factory=Http01Responder, init=False)
    _tls_alpn_01: TlsAlpn01Responder = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._tls_alpn_01 = TlsAlpn01Responder(self._reactor)

    def make(self, tls: TLS) -> Mode:
        """
        Make the one that these settings ask for.

        :raises CertificateUnusable: ``ca_bundle`` cannot be used.
        """
        if not tls.enabled:
            return Mode(mode_key(tls))
        contexts = ContextMap(self._tls_alpn_01.context_for)
        return self._own(tls, contexts) if tls.mode == "files" else self._ordered(tls, contexts)

    async def ready(self, tls: TLS) -> Mode:
        """
        Make the one that these settings ask for, ready to be started, without blocking.

        :raises CertificateUnusable: the operator's certificate cannot be served, or ``ca_bundle`` not be used.
        :raises CertificatesUnsafe: others can read the keys, or nothing can be written where they are.
        """
        if mode_key(tls)[0] == "acme":
            await self._disk.run(import_module, "itsjustintv.tls.certificate_service")
        way = self.make(tls)
        await way.load()
        return way

    def _own(self, tls: TLS, contexts: ContextMap) -> Mode:
        files = FilesService(
            Path(tls.cert_file),
            Path(tls.key_file),
            contexts,
            self._watch(),
            self._clock,
            self._disk.run,
        )
        return Mode(
            mode_key(tls),
            contexts,
            files,
            files.load,
            problem=files.problem,
            figures=files.figures,
            critical=files.problem,
        )

    def _ordered(self, tls: TLS, contexts: ContextMap) -> Mode:
        # Brings txacme and all that it stands on, which takes as much memory as a thousand streamers.
        from itsjustintv.tls.certificate_service import CertificateService  # noqa: PLC0415

        current = tls

        def settings() -> TLS:
            return current

        root = Path(tls.cert_dir)
        agent, pool = authority_agent(self._reactor, tls.ca_bundle)
        exchange = AcmeTransport(HTTPClient(agent), self._clock)

        def ordering_as(settings: Callable[[], TLS]) -> OrderRunner:
            accounts = AccountFiles.of(root, directory_url(settings()), self._disk.run)
            responders = {each.challenge_type: each for each in (self.http_01, self._tls_alpn_01)}
            return OrderRunner(settings, exchange, accounts, responders, self._clock, self._disk.run)

        ordering = ordering_as(settings)
        # Two that speak for one account would register it twice.
        trial = ordering if for_trial(tls) == tls else ordering_as(lambda: for_trial(current))
        certificates = CertificateService.of(
            root,
            settings,
            ordering,
            contexts.put,
            self._clock,
            self._random,
            self._disk.run,
            retire=contexts.drop,
            close=pool.closeCachedConnections,
        )

        def follow(new: TLS) -> None:
            nonlocal current
            current = new
            contexts.set_default(default_name(new))
            certificates.refresh()

        def when_ready(name: str) -> Deferred[None]:
            return certificates.when_ready(name) if name in current.domains else succeed(None)

        def problem() -> str | None:
            critical = certificates.problem()
            return f"critical: {critical}" if critical else certificates.concern()

        contexts.set_default(default_name(tls))
        requests = RenewalRequests(
            RequestFiles(root),
            lambda: current.domains,
            certificates,
            trial.issue,
            self._watch(),
            self._clock,
            self._disk.run,
        )
        service = OrderedServices()
        for name, each in (("certificates", certificates), ("requests", requests)):
            each.setName(name)
            each.setServiceParent(service)
        return Mode(
            mode_key(tls),
            contexts,
            service,
            certificates.load,
            when_ready,
            problem,
            certificates.figures,
            follow,
            certificates.problem,
        )
