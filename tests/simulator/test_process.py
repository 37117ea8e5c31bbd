"""
A daemon in a process of its own, with a stand-in for the daemon.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from textwrap import dedent

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

import itsjustintv
from itsjustintv.simulator.loopback import free_port
from itsjustintv.simulator.process import DaemonProcess, NotReady, environment

#: Answers /health with 503 once, then with 200; on SIGTERM it ends with 7, or stays when told so.
STAND_IN = dedent("""
    import http.server, os, signal, sys

    port, stubborn = int(sys.argv[1]), sys.argv[2] == "stubborn"
    signal.signal(signal.SIGTERM, signal.SIG_IGN if stubborn else lambda *_: os._exit(7))
    answers = [503]

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(answers.pop() if answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with http.server.HTTPServer(("127.0.0.1", port), Health) as server:
        print("arguments:", *sys.argv[3:], flush=True)
        print("in", os.getcwd(), file=sys.stderr, flush=True)
        server.serve_forever()
""")

#: Accepts one connection and never answers.
DEAF = dedent("""
    import signal, socket, sys

    connection, _ = socket.create_server(("127.0.0.1", int(sys.argv[1]))).accept()
    signal.pause()
""")


class DaemonProcessTests(TestCase):
    """
    The process is started, watched and ended.
    """

    timeout = 30.0

    def make(self, script: str = STAND_IN, *arguments: str) -> DaemonProcess:
        directory = Path(self.mktemp())
        directory.mkdir(parents=True)
        stand_in = directory / "stand_in.py"
        stand_in.write_text(script)
        port = free_port()
        daemon = DaemonProcess(
            reactor,
            directory.absolute(),
            Path("config.toml"),
            f"http://127.0.0.1:{port}",
            environment(os.environ),
            wrapper=(sys.executable, str(stand_in.absolute()), str(port), *arguments),
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(daemon.stop(5.0)))
        return daemon

    async def test_it_is_ready_when_it_is_healthy_and_ends_when_asked(self) -> None:
        """
        Unhealthy is not ready; the command is twistd's; SIGTERM is enough.
        """
        daemon = self.make(STAND_IN, "polite")
        self.assertIsNone(await daemon.stop())
        daemon.start()
        await daemon.ready()
        await daemon.said('"GET /health HTTP/1.1" 200')
        self.assertRegex(daemon.output, "arguments: .*/twistd -n --pidfile= itsjustintv --config config.toml\n")
        self.assertEqual(Path(f"/proc/{daemon.pid}/cwd").readlink(), daemon._directory)
        self.assertEqual(await daemon.stop(), 7)
        self.assertEqual((daemon.pid, daemon.status), (None, 7))

    async def test_it_is_known_where_it_listens(self) -> None:
        """
        The addresses of its ports are those at which it accepts connections; of no process none are known.
        """
        daemon = self.make(STAND_IN, "polite")
        self.assertIsNone(daemon.listening())
        daemon.start()
        await daemon.ready()
        self.assertEqual(daemon.listening(), {"127.0.0.1"})

    async def test_one_that_does_not_end_is_killed(self) -> None:
        """
        After the grace, a process that ignores SIGTERM is killed.
        """
        daemon = self.make(STAND_IN, "stubborn")
        daemon.start()
        await daemon.ready()
        self.assertEqual(await daemon.stop(0.05), -signal.SIGKILL)

    async def test_one_that_ends_at_its_start_says_why(self) -> None:
        """
        A daemon that ends before it is ready is reported with its status and what it said.
        """
        daemon = self.make("raise SystemExit('no such file')")
        daemon.start()
        with self.assertRaisesRegex(NotReady, "status 1 .*\\n.*no such file"):
            await daemon.ready()

    async def test_one_that_never_gets_ready_is_reported(self) -> None:
        """
        The wait for readiness is bounded, even if the connection is accepted and nothing answered.
        """
        daemon = self.make(DEAF)
        daemon.start()
        with self.assertRaisesRegex(NotReady, "not ready within 0.5 s"):
            await daemon.ready(0.5)

    async def test_it_dies_with_its_parent(self) -> None:
        """
        A daemon whose parent is killed does not live on.
        """
        parent = dedent(f"""
            import os, sys
            command = [sys.executable, "-m", "itsjustintv.simulator.die_with_parent", str(os.getpid()), sys.executable,
                       "-c",
                       "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]
            os.posix_spawn(command[0], command, {environment(os.environ)!r})
            os.read(0, 1)
        """)
        watching = _Lines()
        process = reactor.spawnProcess(watching, sys.executable, [sys.executable, "-c", parent], env=os.environ)
        await watching.first
        process.signalProcess("KILL")
        # The child holds its parent's standard output, which ends only when both are dead.
        await watching.ended


class _Lines(ProcessProtocol):
    def __init__(self) -> None:
        self.first: Deferred[bytes] = Deferred()
        self.ended: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        if not self.first.called:
            self.first.callback(data)

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(None)


class EnvironmentTests(SynchronousTestCase):
    """
    What a daemon gets of our environment.
    """

    def test_nothing_configures_the_daemon_behind_its_file(self) -> None:
        """
        Our own variables are dropped, others kept, and the checkout is put on the import path before what is there.
        """
        root = str(Path(itsjustintv.__file__).parent.parent)
        given = {"ITSJUSTINTV_SERVER_PORT": "1", "HOME": "/h", "PYTHONPATH": "/p"}
        self.assertEqual(environment(given), {"HOME": "/h", "PYTHONPATH": f"{root}:/p"})
        self.assertEqual(environment({}), {"PYTHONPATH": root})
