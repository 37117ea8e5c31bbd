"""
A process that wants a certificate from an authority that takes connections and never answers.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

from treq.client import HTTPClient
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.web.client import Agent

from itsjustintv.config.sections import TLS
from itsjustintv.support.file_thread_pool import FileThreadPool
from itsjustintv.support.services import RootService
from itsjustintv.tls.acme.http import AcmeTransport
from itsjustintv.tls.acme.order import OrderRunner
from itsjustintv.tls.certificate_service import CertificateService
from itsjustintv.tls.settings import directory_url
from itsjustintv.tls.store import AccountFiles


class Silent(Protocol):
    """
    Says so on standard output when somebody asks it something.
    """

    def dataReceived(self, data: bytes) -> None:
        sys.stdout.write("asked\n")
        sys.stdout.flush()


def main(root: Path) -> None:
    """
    Run until a signal comes.
    """
    from twisted.internet import reactor as global_reactor  # noqa: PLC0415

    reactor: Any = global_reactor
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    port = reactor.listenTCP(0, Factory.forProtocol(Silent), interface="127.0.0.1")
    tls = TLS(
        domains=("hooks.example.test",),
        directory=f"http://127.0.0.1:{port.getHost().port}/directory",
        agree_to_terms=True,
    )
    disk = FileThreadPool(reactor)
    accounts = AccountFiles.of(root, directory_url(tls), disk.run)
    transport = AcmeTransport(HTTPClient(Agent(reactor)), reactor)
    orders = OrderRunner(lambda: tls, transport, accounts, {}, reactor, disk.run)
    service = CertificateService.of(root, lambda: tls, orders, lambda *_: None, reactor, random.random, disk.run)
    daemon = RootService(reactor)
    for each in (disk, service):
        each.setServiceParent(daemon)
    daemon.privilegedStartService()
    daemon.startService()
    reactor.addSystemEventTrigger("before", "shutdown", daemon.stopService)
    reactor.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
