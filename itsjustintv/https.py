"""
HTTPS put together: a certificate of the operator's own, or those that are ordered and renewed by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen
from treq.client import HTTPClient
from twisted.application.service import IService
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.interfaces import IProtocolFactory

from itsjustintv.agents import authority_agent
from itsjustintv.certs.challenge_site import ChallengeResource
from itsjustintv.certs.challenges import Http01Responder, TlsAlpn01Responder
from itsjustintv.certs.contexts import ContextMap
from itsjustintv.certs.endpoint import secured
from itsjustintv.certs.exchange import Exchange
from itsjustintv.certs.figures import Figures
from itsjustintv.certs.files import FilesService, Watch
from itsjustintv.certs.on_request import OnRequest
from itsjustintv.certs.ordering import Ordering
from itsjustintv.certs.requests import RequestFiles
from itsjustintv.certs.service import CertificateService
from itsjustintv.certs.settings import challenge_types, default_name, directory_url, for_trial
from itsjustintv.certs.store import AccountFiles
from itsjustintv.config.sections import TLS
from itsjustintv.config.tls import host_and_port
from itsjustintv.services import DiskThreads
from itsjustintv.web.channel import Limits
from itsjustintv.web.listening import Listener
from itsjustintv.web.site import make_site

__all__ = ["HTTPS", "https"]


@frozen
class HTTPS:
    """
    What the daemon needs of it.

    :ivar secure: puts TLS in front of what is listened with.
    :ivar services: to be started before the door is opened, by name.
    :ivar when_ready: fires when a name can be served; at once for one that is not ours.
    :ivar problem: why some name cannot be served, or soon cannot be.
    :ivar figures: what can be counted and measured of each certificate.
    :ivar refresh: takes note that the settings have changed.
    """

    secure: Callable[[IProtocolFactory], IProtocolFactory]
    services: Mapping[str, IService] = field(factory=dict)
    when_ready: Callable[[str], Deferred[None]] = lambda _: succeed(None)
    problem: Callable[[], str | None] = lambda: None
    figures: Callable[[], Sequence[Figures]] = tuple
    refresh: Callable[[], None] = lambda: None


def https(tls: Callable[[], TLS], reactor: Any, disk: DiskThreads, random: Callable[[], float], watch: Watch) -> HTTPS:
    """
    Put it together as ``[server.tls]`` has it.

    :param tls: the settings as they are at the moment. Names, profile and type of key may change later, the rest not.
    :param watch: looks after the files of a certificate of the operator's own, or after requests for another one.
    """
    now = tls()
    if not now.enabled:
        return HTTPS(lambda factory: factory)
    if now.mode == "files":
        contexts = ContextMap()
        files = FilesService(Path(now.cert_file), Path(now.key_file), contexts, watch, reactor, disk.run)
        return HTTPS(
            lambda factory: secured(contexts, factory, reactor),
            {"certificates": files},
            problem=files.problem,
            figures=files.figures,
        )
    return _ordered(tls, reactor, disk, random, watch)


def _ordered(
    tls: Callable[[], TLS], reactor: Any, disk: DiskThreads, random: Callable[[], float], watch: Watch
) -> HTTPS:
    now = tls()
    root = Path(now.cert_dir)
    http_01, tls_alpn_01 = Http01Responder(), TlsAlpn01Responder(reactor)
    contexts = ContextMap(tls_alpn_01.context_for)
    agent, pool = authority_agent(reactor, now.ca_bundle)
    exchange = Exchange(HTTPClient(agent), reactor)

    def ordering_as(settings: Callable[[], TLS]) -> Ordering:
        accounts = AccountFiles.of(root, directory_url(settings()), disk.run)
        responders = {each.challenge_type: each for each in (http_01, tls_alpn_01)}
        return Ordering(settings, exchange, accounts, responders, reactor, disk.run)

    ordering = ordering_as(tls)
    # Two that speak for one account would register it twice.
    trial = ordering if for_trial(now) == now else ordering_as(lambda: for_trial(tls()))
    certificates = CertificateService.of(
        root,
        tls,
        ordering,
        contexts.put,
        reactor,
        random,
        disk.run,
        retire=contexts.drop,
        close=pool.closeCachedConnections,
    )

    def set_default() -> None:
        contexts.set_default(default_name(tls()))

    def refresh() -> None:
        set_default()
        certificates.refresh()

    def when_ready(name: str) -> Deferred[None]:
        return certificates.when_ready(name) if name in tls().domains else succeed(None)

    def problem() -> str | None:
        critical = certificates.problem()
        return f"critical: {critical}" if critical else certificates.concern()

    set_default()
    services: dict[str, IService] = {}
    place = host_and_port(now.http_listen)
    if "http-01" in challenge_types(now) and place is not None:
        site = make_site(ChallengeResource(http_01, lambda: tls().domains), reactor, Limits())
        description = f"tcp:{place[1]}:interface={quoteStringArgument(place[0])}"
        services["http-01"] = Listener(lambda: description, site, reactor)
    services["certificates"] = certificates
    services["requests"] = OnRequest(
        RequestFiles(root), lambda: tls().domains, certificates, trial.issue, watch, reactor, disk.run
    )
    return HTTPS(
        lambda factory: secured(contexts, factory, reactor),
        services,
        when_ready,
        problem,
        certificates.figures,
        refresh,
    )
