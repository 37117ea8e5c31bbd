"""
The demonstration: what it says, and what it leaves behind.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from io import StringIO
from pathlib import Path
from textwrap import dedent
from typing import Any

from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from itsjustintv.simulator import demo_script, process
from itsjustintv.simulator.demo import demo

#: A daemon that is healthy and does nothing else.
USELESS = dedent(f"""\
    #!{sys.executable}
    import http.server, sys, tomllib

    with open(sys.argv[-1], "rb") as file:
        port = tomllib.load(file)["server"]["port"]

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    http.server.HTTPServer(("127.0.0.1", port), Health).serve_forever()
""")


class DemoTests(TestCase):
    """
    A demonstration that does not go as promised says so.
    """

    timeout = 30.0

    def pretend(self, script: str) -> None:
        """
        Put a script in the place of twistd.
        """
        twistd = Path(self.mktemp())
        twistd.parent.mkdir(parents=True, exist_ok=True)
        twistd.write_text(script)
        twistd.chmod(0o700)
        self.patch(process, "twistd", twistd.absolute)

    async def test_a_daemon_that_does_not_start_is_reported(self) -> None:
        """
        The status is 1, and the daemon's last words are shown.
        """
        self.pretend("#!/bin/sh\necho out of order\nexit 3\n")
        out = StringIO()
        self.assertEqual(await demo(reactor, out), 1)
        self.assertRegex(out.getvalue(), "The demo failed: the daemon exited with status 3 .*\nout of order")

    async def test_a_daemon_that_does_something_else_is_reported(self) -> None:
        """
        The status is 1, and what is wrong is said, together with the daemon's log.
        """
        self.pretend(USELESS)
        self.patch(demo_script, "_SOON", 0.5)
        out = StringIO()
        self.assertEqual(await demo(reactor, out), 1)
        self.assertRegex(out.getvalue(), "The demo failed: the daemon did not create its six subscriptions")
        self.assertRegex(out.getvalue(), 'Output of the daemon:\n *127.0.0.1 .* "GET /health')

    async def test_an_interruption_takes_everything_down(self) -> None:
        """
        Cancelled, the demonstration answers 130 when its daemon is gone.
        """
        self.pretend("#!/bin/sh\nexec sleep 60\n")
        out = StringIO()
        showing = demo(reactor, out)
        reactor.callLater(0, showing.cancel)
        self.assertEqual(await showing, 130)
        self.assertIn("Interrupted", out.getvalue())


@define(eq=False)
class Watching(ProcessProtocol):
    """
    Waits for a text in a process's output, and for its end.
    """

    text: str
    seen: Deferred[re.Match[str]] = field(factory=Deferred)
    ended: Deferred[Any] = field(factory=Deferred)
    output: str = ""

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self.output += data.decode()
        if not self.seen.called and (match := re.search(self.text, self.output)):
            self.seen.callback(match)

    def processEnded(self, reason: Failure) -> None:
        if not self.seen.called:
            self.seen.errback(AssertionError(f"ended without {self.text}:\n{self.output}"))
        self.ended.callback(reason.value)


class CommandTests(TestCase):
    """
    ``itsjustintv demo``, as a process.
    """

    timeout = 60.0

    def start(self, text: str) -> tuple[Any, Watching, Path]:
        """
        Start it with a folder of its own for temporary files.
        """
        temporary = Path(self.mktemp()).absolute()
        temporary.mkdir(parents=True)
        watching = Watching(text)
        environment = {**process.environment(os.environ), "TMPDIR": str(temporary)}
        command = [sys.executable, "-m", "itsjustintv", "demo"]
        return reactor.spawnProcess(watching, sys.executable, command, env=environment), watching, temporary

    async def test_all_goes_as_promised(self) -> None:
        """
        Five streamers go live, one through a conduit; the status is 0 in less than 20 seconds, and nothing is left.
        """
        _, watching, temporary = self.start(r"The demo succeeded in ([0-9.]+) s\.")
        match = await watching.seen
        self.assertLess(float(match[1]), 20)
        self.assertRegex(watching.output, "inari +works +1 +delivered once, through a conduit")
        self.assertEqual((await watching.ended).exitCode, 0)
        self.assertNotIn("\x1b", watching.output)
        self.assertEqual(list(temporary.iterdir()), [])

    async def test_an_output_that_nobody_reads_ends_it(self) -> None:
        """
        When its output goes to ``head``, with or without the errors, it takes everything down and says no more.
        """
        for unread in ((1,), (1, 2)):
            running, watching, temporary = self.start(r"Setup")
            await watching.seen
            for stream in unread:
                running.closeChildFD(stream)
            self.assertEqual((await watching.ended).exitCode, 1)
            self.assertNotIn("Traceback", watching.output)
            self.assertEqual(list(temporary.iterdir()), [])

    async def test_an_interruption_leaves_nothing_behind(self) -> None:
        """
        After Ctrl-C, or a polite kill, the daemon, the ports and the folder are gone.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            running, watching, temporary = self.start(
                r"(?s)(\d+); receivers: .*: process (\d+), http://127.0.0.1:(\d+).*attempt 1"
            )
            match = await watching.seen
            running.signalProcess(number)
            self.assertEqual((await watching.ended).exitCode, 130, watching.output)
            for port in match[1], match[3]:
                with socket.socket() as probe:
                    self.assertNotEqual(probe.connect_ex(("127.0.0.1", int(port))), 0)
            self.assertFalse(Path(f"/proc/{match[2]}").exists())
            self.assertEqual(list(temporary.iterdir()), [])
