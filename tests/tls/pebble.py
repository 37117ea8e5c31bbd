"""
Pebble, the authority that Let's Encrypt made for tests, and everything around it on loopback.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from random import Random
from time import time
from typing import Any

import orjson
from attrs import define, field
from cryptography.hazmat.primitives.serialization import Encoding
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.server import Site

from itsjustintv.config.sections import TLS
from itsjustintv.simulator.loopback import free_port
from itsjustintv.support.http_agents import policy_for
from itsjustintv.tls.acme.challenges import ChallengeResource, Http01Responder, TlsAlpn01Responder
from itsjustintv.tls.acme.http import AcmeTransport
from itsjustintv.tls.acme.order import OrderRunner
from itsjustintv.tls.certificate import KEY_TYPES, Bundle, format_key
from itsjustintv.tls.certificate_service import CertificateService
from itsjustintv.tls.settings import directory_url
from itsjustintv.tls.sni import ContextMap
from itsjustintv.tls.store import AccountFiles
from itsjustintv.tls.wrapper import wrap_tls
from tests.functional.stage import tool
from tests.tls.authority import DAY, Issuer
from tests.tls.tls import EchoFactory

__all__ = ["Connection", "House", "Pebble", "PebbleCase"]

# Random in size of a pause, in authorizations and in addresses by itself: a test would pass or fail by luck.
_CALM = {
    "PEBBLE_VA_NOSLEEP": "1",
    "PEBBLE_AUTHZREUSE": "0",
    "PEBBLE_WFE_NONCEREJECT": "0",
}


@define(eq=False)
class Pebble:
    """
    The authority, and a name server that says 127.0.0.1 whatever it is asked.

    :ivar folder: for its files.
    """

    reactor: Any
    folder: Path
    http_port: int
    tls_port: int
    port: int = field(factory=free_port)
    management: int = field(factory=free_port)
    _processes: list[subprocess.Popen[bytes]] = field(factory=list, init=False)
    _pool: Any = field(init=False)
    http: HTTPClient = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        issuer, key = Issuer(), KEY_TYPES["p256"]()
        leaf = issuer.issue(["localhost"], key.public_key(), time() - DAY, time() + DAY)
        (self.folder / "ca.pem").write_bytes(issuer.root.public_bytes(Encoding.PEM))
        (self.folder / "pebble.pem").write_bytes(issuer.chain(leaf))
        (self.folder / "pebble.key").write_bytes(format_key(key))
        self._pool = HTTPConnectionPool(self.reactor, persistent=False)
        self.http = HTTPClient(Agent(self.reactor, policy_for(self.ca_bundle), pool=self._pool))

    @property
    def ca_bundle(self) -> str:
        """
        By which its own server is believed.
        """
        return str(self.folder / "ca.pem")

    @property
    def directory(self) -> str:
        """
        Where it is.
        """
        return f"https://localhost:{self.port}/dir"

    async def start(self, validity: int = 3600, env: Mapping[str, str] = {}, **more: Any) -> None:
        """
        Begin, and be ready.

        :param validity: of certificates, in seconds.
        :param more: of its configuration.
        """
        dns = free_port()
        profiles = {"default": {"description": "of the tests", "validityPeriod": validity}}
        config = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(self.folder / "pebble.pem"),
            "privateKey": str(self.folder / "pebble.key"),
            "httpPort": self.http_port,
            "tlsPort": self.tls_port,
            "certificateValidityPeriod": validity,
            "profiles": profiles,
            "ocspResponderURL": "",
            **more,
        }
        path = self.folder / "pebble.json"
        path.write_bytes(orjson.dumps({"pebble": config}))
        quiet = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""]
        names = ["-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{free_port()}"]
        challtestsrv = tool("pebble-challtestsrv")
        if b"-doh" not in subprocess.run([challtestsrv, "-h"], capture_output=True, check=False).stderr:
            quiet = quiet[:-2]
        self._run([challtestsrv, *names, *quiet, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""], {})
        command = [tool("pebble"), "-strict", "-config", str(path), "-dnsserver", f"127.0.0.1:{dns}"]
        self._run(command, {**_CALM, **env})
        await self._answers()

    def _run(self, command: list[str], env: Mapping[str, str]) -> None:
        with (self.folder / f"{Path(command[0]).name}.log").open("wb") as log:
            environ = {**os.environ, **env}
            self._processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=environ))

    async def _answers(self) -> None:
        end = self.reactor.seconds() + 20
        while True:
            try:
                await self._get(self.directory)
            except Exception:  # noqa: BLE001 - whatever it was, it does not answer yet
                dead = [each.args for each in self._processes if each.poll() is not None]
                if dead or self.reactor.seconds() > end:
                    raise AssertionError(f"pebble does not answer; ended by itself: {dead}") from None
                await deferLater(self.reactor, 0.05)
            else:
                return

    async def root(self) -> Certificate:
        """
        What its certificates are verified with.
        """
        return Certificate.loadPEM(await self._get(f"https://localhost:{self.management}/roots/0"))

    async def offers(self, key: str) -> Any:
        """
        An entry of its directory, or ``None``.
        """
        return orjson.loads(await self._get(self.directory)).get(key)

    async def _get(self, url: str) -> bytes:
        # RFC 8555 wants the name of the client; newer versions insist.
        response = await self.http.get(url, headers={"User-Agent": "tests of itsjustintv"})
        content: bytes = await response.content()
        return content

    async def stop(self) -> None:
        """
        End the processes.
        """
        for each in self._processes:
            each.terminate()
        for each in self._processes:
            await deferToThread(each.wait, 10)
        self._processes.clear()
        await self._pool.closeCachedConnections()


@define(eq=False)
class House:
    """
    A daemon's part on certificates with real ports.

    :ivar proofs: how often somebody came for a proof on port 80.
    """

    reactor: Any
    root: Path
    pebble: Pebble
    settings: TLS
    http: Any
    tls: Any
    proofs: int = 0
    contexts: ContextMap = field(init=False)
    service: CertificateService = field(init=False)
    _ports: list[Any] = field(factory=list, init=False)
    served: dict[str, Bundle] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        def in_thread(work: Any, *args: Any) -> Deferred[Any]:
            return deferToThread(work, *args)

        responders: dict[str, Any] = {
            "http-01": Http01Responder(self.reactor),
            "tls-alpn-01": TlsAlpn01Responder(self.reactor),
        }
        self.contexts = ContextMap(responders["tls-alpn-01"].context_for)
        orders = OrderRunner(
            lambda: self.settings,
            AcmeTransport(self.pebble.http, self.reactor),
            AccountFiles.of(self.root, directory_url(self.settings), in_thread),
            responders,
            self.reactor,
            in_thread,
        )
        self.service = CertificateService.of(
            self.root, lambda: self.settings, orders, self._serve, self.reactor, Random(1).random, in_thread
        )
        self._proving = Counting(responders["http-01"], lambda: self.settings.domains, self)

    _proving: Any = field(init=False, default=None)

    def _serve(self, name: str, bundle: Bundle) -> None:
        self.served[name] = bundle
        self.contexts.put(name, bundle)

    async def open(self, *, port_80: bool = True) -> None:
        """
        Listen.
        """
        encrypted = wrap_tls(self.contexts, EchoFactory(), self.reactor)
        self._ports.append(await _on(self.reactor, self.tls).listen(encrypted))
        if not self.service.running:
            self.service.startService()
        if port_80:
            self._ports.append(await _on(self.reactor, self.http).listen(Site(self._proving)))

    async def close(self) -> None:
        """
        Listen no more, and end everything.
        """
        while self._ports:
            await self._ports.pop().stopListening()
        if self.service.running:
            await self.service.stopService()

    async def ready(self, patience: float = 10.0) -> None:
        """
        Wait until every name has a valid certificate.
        """
        await self.service.when_certs_valid().addTimeout(patience, self.reactor)

    async def until(self, condition: Any, patience: float = 10.0) -> None:
        """
        Wait until something is so.
        """
        end = self.reactor.seconds() + patience
        while not condition():
            assert self.reactor.seconds() < end, f"waited {patience:g} s in vain: {self.service.statuses()}"
            await deferLater(self.reactor, 0.02)

    async def connect(self, name: str, root: Certificate) -> Connection:
        """
        Connect as a client that believes this root, and verifies the name.
        """
        options = optionsForClientTLS(name, trustRoot=trustRootFromCertificates([root]))
        endpoint = wrapClientTLS(options, TCP4ClientEndpoint(self.reactor, "127.0.0.1", self.tls))
        connection = Connection()
        await connectProtocol(endpoint, connection)
        # With TLS 1.3 the client may speak before it has verified anything; an answer means that it has.
        await connection.say(b"hello").addTimeout(5, self.reactor)
        return connection


class Counting(ChallengeResource):
    """
    Counts the proofs.
    """

    def __init__(self, responder: Http01Responder, names: Any, house: House) -> None:
        super().__init__(responder, names)
        self.house = house

    def render(self, request: Any) -> bytes:
        self.house.proofs += 1
        return super().render(request)


def _on(reactor: Any, port: int) -> TCP4ServerEndpoint:
    return TCP4ServerEndpoint(reactor, port, interface="127.0.0.1")


class Connection(Protocol):
    """
    A connection to an echo.
    """

    def __init__(self) -> None:
        self._answer: Deferred[bytes] | None = None
        self.lost: Deferred[None] = Deferred()

    def say(self, data: bytes) -> Deferred[bytes]:
        """
        Say something and wait for the answer.
        """
        self._answer = Deferred()
        self.transport.write(data)  # type: ignore[union-attr]
        return self._answer

    @property
    def serial(self) -> str:
        """
        Of the certificate it was served with.
        """
        return f"{self.transport.getPeerCertificate().get_serial_number():x}"  # type: ignore[union-attr]

    async def close(self) -> None:
        """
        Hang up.
        """
        self.transport.abortConnection()  # type: ignore[union-attr]
        await self.lost

    def dataReceived(self, data: bytes) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.callback(data)

    def connectionLost(self, reason: Any = None) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.errback(reason)
        self.lost.callback(None)


class PebbleCase(TestCase):
    """
    A test with Pebble.
    """

    timeout = 60

    def setUp(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 - trial has installed it by now

        tool("pebble")
        tool("pebble-challtestsrv")
        self.reactor: Any = reactor
        self.root = Path(self.mktemp()).absolute()
        self.pebble = Pebble(reactor, Path(self.mktemp()).absolute(), free_port(), free_port())
        self.addCleanup(lambda: Deferred.fromCoroutine(self.pebble.stop()))

    def house(self, *names: str, **changes: Any) -> House:
        """
        One that is closed with the test.
        """
        settings = TLS(
            domains=names, directory=self.pebble.directory, agree_to_terms=True, **{"profile": "", **changes}
        )
        house = House(self.reactor, self.root, self.pebble, settings, self.pebble.http_port, self.pebble.tls_port)
        self.addCleanup(lambda: Deferred.fromCoroutine(house.close()))
        return house
