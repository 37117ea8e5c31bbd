"""
The harness itself: answers without reading what it was asked, so that its row shows the most any server could reach.
"""

import argparse

from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol


class Yes(Protocol):
    """
    Says 200 to whatever comes; the load generator's requests fit into one read.
    """

    def dataReceived(self, _data: bytes) -> None:
        """
        Answer.
        """
        assert self.transport is not None
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    endpoint = serverFromString(reactor, f"tcp:{options.port}:interface=127.0.0.1")
    endpoint.listen(Factory.forProtocol(Yes))
    reactor.run()
