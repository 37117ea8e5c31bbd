"""
The MQTT broker of the judges.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.judges.broker import Broker, Published
from tests.judges.program import judge_wait

#: CONNECT of MQTT 3.1.1 (section 3.1): client ``t``, a last will ``gone`` to ``will``, retained; a minute of silence.
_CONNECT = bytes.fromhex("1019 0004 4d515454 04 26 003c 0001 74 0004 77696c6c 0004 676f6e65".replace(" ", ""))


class BrokerTests(SynchronousTestCase):
    """
    What is published can be seen.
    """

    def test_messages_and_state(self) -> None:
        """
        Messages come in order with quality and payload; the state is the newest retained payload of each topic, and an
        empty one removes it.
        """
        broker = self.enterContext(Broker(Path(self.mktemp())))
        for topic, payload, *arguments in (
            ("news", b"x\n\x00\xff"),
            ("a b/state", b"ON", "-r", "-q", "1"),
            ("a b/state", b"OFF", "-r", "-q", "1"),
            ("old", b"x", "-r"),
            ("old", b"", "-r"),
        ):
            broker.publish(topic, payload, *arguments)
        messages = broker.wait_for(5)
        self.assertEqual(messages[0], Published(topic="news", payload=b"x\n\x00\xff", quality=0, retained=False))
        self.assertEqual(messages[1], Published(topic="a b/state", payload=b"ON", quality=1, retained=True))
        self.assertEqual(broker.state, {"a b/state": b"OFF"})

    def test_a_last_will(self) -> None:
        """
        The broker publishes the last will of a client whose connection breaks.
        """
        broker = self.enterContext(Broker(Path(self.mktemp())))
        with socket.create_connection(("127.0.0.1", broker.port), timeout=10) as client:
            client.sendall(_CONNECT)
            self.assertEqual(client.recv(4), b"\x20\x02\x00\x00")
        broker.wait_for(1)
        self.assertEqual(broker.state, {"will": b"gone"})

    def test_passwords(self) -> None:
        """
        With users only they may connect.
        """
        broker = self.enterContext(Broker(Path(self.mktemp()), users={"tanuki": "secret"}))
        broker.publish("news", b"x")
        broker.wait_for(1)
        with socket.create_connection(("127.0.0.1", broker.port), timeout=10) as client:
            client.sendall(_CONNECT)
            # Not authorized.
            self.assertEqual(client.recv(4), b"\x20\x02\x00\x05")

    def test_a_restart(self) -> None:
        """
        A broker that is entered again listens at the same port, and has forgotten everything.
        """
        broker = Broker(Path(self.mktemp()))
        ports = []
        for _ in range(2):
            with broker:
                self.assertEqual(broker.state, {})
                broker.publish("state", b"ON", "-r")
                broker.wait_for(1)
                ports.append(broker.port)
                pid = broker.pid
            self.assertRaises(ProcessLookupError, os.kill, pid, 0)
        self.assertEqual(ports[0], ports[1])

    def test_the_broker_ends_with_the_test(self) -> None:
        """
        A broker does not outlive a test process that is killed.
        """
        folder = Path(self.mktemp())
        code = (
            "import os, signal, sys; from pathlib import Path; from tests.judges.broker import Broker;"
            f"broker = Broker(Path({str(folder)!r})); broker.__enter__(); print(broker.pid, flush=True);"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        with Broker(Path(self.mktemp())):  # skips here if there is none
            pass
        root = str(Path(__file__).parents[2])
        ended = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            env={**os.environ, "PYTHONPATH": root},
            timeout=60,
            check=False,
        )
        pid = int(ended.stdout)

        def gone() -> bool:
            state = Path(f"/proc/{pid}/stat")
            return not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"

        judge_wait(gone, "the broker still runs", 10)
