"""
The HTTP clients, against a real listener.
"""

from __future__ import annotations

from pathlib import Path
from time import time
from typing import Any

from attrs import define, field
from treq.client import HTTPClient
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, ResponseNeverReceived, readBody
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from itsjustintv.support.http_agents import authority_agent, deliveries_agent, twitch_agent
from itsjustintv.support.http_client import exchange
from itsjustintv.tls.acme.http import AcmeTransport
from itsjustintv.tls.certificate import KEY_TYPES, key_text
from tests.support.test_http_agents import Hearing, Here, Resolving
from tests.tls.authority import DAY, Issuer

CROWD = 20


@define(eq=False)
class Counting(Site):
    """
    Answers requests once a crowd of them is there.

    :ivar connections: that were ever made.
    """

    connections: int = 0
    waiting: list[Request] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        resource = Resource()
        resource.isLeaf = True
        resource.render = self.gather  # type: ignore[method-assign]
        super().__init__(resource)

    def buildProtocol(self, addr: Any) -> Any:
        self.connections += 1
        return super().buildProtocol(addr)

    def log(self, request: Any) -> None:
        """
        Keep no access log.
        """

    def gather(self, request: Request) -> int:
        """
        Answer if this is the last.
        """
        self.waiting.append(request)
        if len(self.waiting) == CROWD:
            for one in self.waiting:
                one.finish()
            self.waiting.clear()
        return NOT_DONE_YET


class ConnectionTests(TestCase):
    """
    How many connections are opened.
    """

    timeout = 20

    async def crowds(self, agent: Agent) -> int:
        """
        Have two crowds of requests made, one after the other.

        :return: how many connections that took.
        """
        site = Counting()
        port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(site)
        self.addCleanup(port.stopListening)
        self.addCleanup(agent._pool.closeCachedConnections)
        url = f"http://127.0.0.1:{port.getHost().port}/".encode()

        async def ask() -> None:
            await readBody(await agent.request(b"GET", url))

        for _ in range(2):
            await gatherResults([Deferred.fromCoroutine(ask()) for _ in range(CROWD)])
        return site.connections

    async def test_a_second_crowd_needs_no_new_connections(self) -> None:
        """
        What a crowd of requests has opened serves the next crowd, with Twitch as with receivers.
        """
        self.assertEqual(await self.crowds(twitch_agent(reactor)), CROWD)
        self.assertEqual(await self.crowds(deliveries_agent(reactor)), CROWD)


class NameTests(TestCase):
    """
    Whom the clients find.
    """

    timeout = 20

    async def test_a_name_that_only_the_resolver_knows(self) -> None:
        """
        Twitch, an authority and a receiver are found in Compose, by names that are none on the internet; what is asked
        of them is a path, also when their address has a query only.
        """
        heard: list[bytes] = []
        listener = Factory()
        listener.noisy = False
        listener.protocol = lambda: Hearing(heard)  # type: ignore[assignment]
        port: Any = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(listener)
        self.addCleanup(port.stopListening)
        url = f"http://the_twitch_1:{port.getHost().port}?a=b"
        resolving: Any = Resolving(Here())

        http = HTTPClient(twitch_agent(resolving))
        await exchange(http, resolving, "GET", url, what="twitch", timeout=5.0, limit=100, params=[("c", "d")])
        agent, _ = authority_agent(resolving, "")
        await AcmeTransport(HTTPClient(agent), resolving).ask("GET", url)
        await readBody(await deliveries_agent(resolving).request(b"POST", url.encode()))
        lines = [head.split(b"\r\n")[0] for head in heard]
        self.assertEqual(lines, [b"GET /?a=b&c=d HTTP/1.1", b"GET /?a=b HTTP/1.1", b"POST /?a=b HTTP/1.1"])


@define(eq=False)
class Eavesdropper(Protocol):
    """
    Keeps what it is told.
    """

    heard: list[bytes]

    def dataReceived(self, data: bytes) -> None:
        self.heard.append(data)


class TrustTests(TestCase):
    """
    Whom the clients believe.
    """

    async def test_a_false_twitch_learns_nothing(self) -> None:
        """
        Somebody with a certificate of no known authority, where Twitch should be, gets no byte of a request.
        """
        key, issuer = KEY_TYPES["p256"](), Issuer()
        leaf = issuer.issue(["127.0.0.1"], key.public_key(), time() - DAY, time() + DAY)
        pem = Path(self.mktemp())
        pem.write_bytes(issuer.chain(leaf) + key_text(key))
        heard: list[bytes] = []
        listener = Factory()
        listener.protocol = lambda: Eavesdropper(heard)  # type: ignore[assignment]
        endpoint = serverFromString(reactor, f"ssl:0:interface=127.0.0.1:privateKey={pem}:certKey={pem}")
        port: Any = await endpoint.listen(listener)
        self.addCleanup(port.stopListening)
        url = f"https://127.0.0.1:{port.getHost().port}/oauth2/token?client_secret=a-secret"
        with self.assertRaises(ResponseNeverReceived) as caught:
            await twitch_agent(reactor).request(b"POST", url.encode())
        self.assertIn("certificate verify failed", str(caught.exception.reasons[0].value))
        self.assertEqual(heard, [])
