"""
The modes of ``[server.tls]``: plain HTTP, a certificate from the operator's files, or certificates ordered by ACME.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from attrs import Factory, define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from itsjustintv.config.sections import TLS
from itsjustintv.support.file_thread_pool import FileThreadPool
from itsjustintv.support.file_watch import Watcher
from itsjustintv.support.http_agents import AUTHORITY, make_agent
from itsjustintv.support.http_client import make_http_client
from itsjustintv.support.services import OrderedServices
from itsjustintv.tls.acme.challenges import CHALLENGES, Http01Responder, TlsAlpn01Responder
from itsjustintv.tls.acme.http import AcmeTransport
from itsjustintv.tls.acme.order import OrderRunner
from itsjustintv.tls.certificate import CertificateMetrics
from itsjustintv.tls.operator_files import FilesService
from itsjustintv.tls.renewal_requests import RenewalRequests, RequestFiles
from itsjustintv.tls.settings import default_name, directory_url, for_trial
from itsjustintv.tls.sni import ContextMap
from itsjustintv.tls.store import AccountFiles

__all__ = ["Mode", "ModeFactory", "mode_key"]


def mode_key(tls: TLS) -> tuple[str, ...]:
    """
    Identify the mode that settings ask for. Other settings with the same key are followed without a new mode.
    """
    if not tls.enabled:
        return ("plain",)
    if tls.mode == "files":
        return ("files", tls.cert_file, tls.key_file)
    return ("acme", tls.cert_dir, directory_url(tls), tls.ca_bundle)


async def _nothing() -> None:
    pass


class _Service(Protocol):
    running: Any

    def privilegedStartService(self) -> None: ...

    def startService(self) -> None: ...

    def stopService(self) -> Any: ...


@frozen
class Mode:
    """
    One mode, with everything it needs.

    :ivar mode_key: see :func:`mode_key`.
    :ivar contexts: which certificate is served for which name; ``None`` in plain HTTP.
    :ivar service: keeps the certificates up to date while it runs.
    :ivar load: does beforehand, without blocking, what can fail at the start, and reads the certificates on disk.
    :ivar when_ready: fires when a name can be served; at once for a name that is not configured.
    :ivar problem: why some name cannot be served, or soon cannot be.
    :ivar metrics: what is counted and measured of each certificate.
    :ivar follow: follows settings with the same key; what was refused is tried again.
    :ivar critical: as ``problem``, but only once there is no time to lose.
    """

    mode_key: tuple[str, ...]
    contexts: ContextMap | None = None
    service: _Service = field(factory=Service)
    load: Callable[[], Coroutine[Any, Any, None]] = _nothing
    when_ready: Callable[[str], Deferred[None]] = lambda _: succeed(None)
    problem: Callable[[], str | None] = lambda: None
    metrics: Callable[[], Sequence[CertificateMetrics]] = tuple
    follow: Callable[[TLS], None] = lambda _: None
    critical: Callable[[], str | None] = lambda: None


@define(eq=False)
class ModeFactory:
    """
    Makes modes.

    All modes share the challenge responders: a certificate taken over from another mode goes on letting validators
    through.

    :ivar random: returns a number from 0 to 1.
    :ivar make_watcher: makes what watches the operator's files, or the file of renewal requests.
    :ivar clock: the time of the machine, by which certificates are valid.
    """

    _reactor: Any
    _disk: FileThreadPool
    _random: Callable[[], float]
    _make_watcher: Callable[[], Watcher]
    _clock: IReactorTime = field(default=Factory(lambda self: self._reactor, takes_self=True))
    _responders: Mapping[str, Any] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._responders = {name: responder(self._reactor) for name, responder in CHALLENGES.items()}

    @property
    def http_01(self) -> Http01Responder:
        """
        What port 80 is to answer.
        """
        responder: Http01Responder = self._responders[Http01Responder.challenge_type]
        return responder

    @property
    def tls_alpn_01(self) -> TlsAlpn01Responder:
        """
        What the HTTPS port is to answer to a validator.
        """
        responder: TlsAlpn01Responder = self._responders[TlsAlpn01Responder.challenge_type]
        return responder

    def make(self, tls: TLS) -> Mode:
        """
        Make the mode that settings ask for.

        :raises CertificateUnusable: ``ca_bundle`` cannot be used.
        """
        if not tls.enabled:
            return Mode(mode_key(tls))
        contexts = ContextMap(self.tls_alpn_01.context_for)
        return self._make_files(tls, contexts) if tls.mode == "files" else self._make_acme(tls, contexts)

    async def prepare(self, tls: TLS) -> Mode:
        """
        Make the mode that settings ask for and load it, without blocking.

        :raises CertificateUnusable: the operator's certificate cannot be served, or ``ca_bundle`` not be used.
        :raises CertificatesUnsafe: others can read the keys, or their folder cannot be written.
        """
        if mode_key(tls)[0] == "acme":
            await self._disk.run(import_module, "itsjustintv.tls.certificate_service")
        mode = self.make(tls)
        await mode.load()
        return mode

    def _make_files(self, tls: TLS, contexts: ContextMap) -> Mode:
        files = FilesService(
            Path(tls.cert_file),
            Path(tls.key_file),
            contexts,
            self._make_watcher(),
            self._clock,
            self._disk.run,
        )
        return Mode(
            mode_key(tls),
            contexts,
            files,
            files.load,
            problem=files.problem,
            metrics=files.metrics,
            critical=files.problem,
        )

    def _make_acme(self, tls: TLS, contexts: ContextMap) -> Mode:
        # Imports txacme and its dependencies, which take as much memory as a thousand streamers.
        from itsjustintv.tls.certificate_service import CertificateService  # noqa: PLC0415

        current = tls
        root = Path(tls.cert_dir)
        agent = make_agent(self._reactor, AUTHORITY, tls.ca_bundle)
        transport = AcmeTransport(make_http_client(agent), self._clock)

        def make_orders(settings: Callable[[], TLS]) -> OrderRunner:
            accounts = AccountFiles.of(root, directory_url(settings()), self._disk.run)
            return OrderRunner(settings, transport, accounts, self._responders, self._clock, self._disk.run)

        orders = make_orders(lambda: current)
        # Two runners for one account would register it twice.
        trial_orders = orders if for_trial(tls) == tls else make_orders(lambda: for_trial(current))
        certificates = CertificateService.of(
            root,
            lambda: current,
            orders,
            contexts.put,
            self._clock,
            self._random,
            self._disk.run,
            retire=contexts.drop,
            close=agent.pool.closeCachedConnections,
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
            trial_orders.issue,
            self._make_watcher(),
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
            certificates.metrics,
            follow,
            certificates.problem,
        )
