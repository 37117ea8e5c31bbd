"""
Ports for processes that must be told one.
"""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.loopback import free_port


class FreePortTests(SynchronousTestCase):
    """
    A port is promised to one server.
    """

    def test_a_server_may_listen_again_and_again(self) -> None:
        """
        Whoever asks for the port, as servers do, can listen there, also after somebody who did so has ended; meanwhile
        connections are refused.
        """
        port = free_port()
        for _ in range(2):
            with socket.socket() as caller:
                self.assertRaises(ConnectionRefusedError, caller.connect, ("127.0.0.1", port))
            with socket.socket() as server:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind(("127.0.0.1", port))
                server.listen()
                with socket.create_connection(("127.0.0.1", port)):
                    pass

    def test_nobody_else_is_given_it(self) -> None:
        """
        As many as there may be who ask for any port, none gets one that was promised, which it would if it were merely
        free.
        """
        promised = {free_port() for _ in range(100)}
        self.assertEqual(len(promised), 100)
        for port in promised:
            with socket.socket() as stranger:
                self.assertRaises(OSError, stranger.bind, ("127.0.0.1", port))
