"""
Listening with TLS.
"""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from itsjustintv.tls.endpoint import ManagedTLSEndpoint
from itsjustintv.tls.sni import ContextMap
from tests.tls.tls import EchoFactory


class Slow(Service):
    """
    Takes its time to stop.
    """

    def __init__(self) -> None:
        self.stopped: Deferred[None] = Deferred()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return self.stopped


class EndpointTests(SynchronousTestCase):
    """
    A port and a service that belong together.
    """

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.service = Slow()
        tcp = TCP4ServerEndpoint(self.reactor, 443, interface="127.0.0.1")
        self.endpoint = ManagedTLSEndpoint(tcp, ContextMap(), self.service, self.reactor)  # type: ignore[arg-type]

    def test_it_listens_with_tls_and_starts_the_service(self) -> None:
        """
        Whoever hands in a plain protocol gets it behind TLS.
        """
        verifyObject(IStreamServerEndpoint, self.endpoint)
        port = self.successResultOf(self.endpoint.listen(EchoFactory()))
        verifyObject(IListeningPort, port)
        self.assertIsInstance(self.reactor.tcpServers[0][1], TLSMemoryBIOFactory)
        self.assertTrue(self.service.running)
        self.assertEqual(port.getHost().port, 443)

    def test_the_port_is_closed_when_the_service_has_ended(self) -> None:
        """
        To stop listening is to stop the service, and to wait for it.
        """
        port = self.successResultOf(self.endpoint.listen(EchoFactory()))
        stopping = port.stopListening()
        self.assertFalse(self.service.running)
        self.assertNoResult(stopping)
        self.service.stopped.callback(None)
        self.successResultOf(stopping)
