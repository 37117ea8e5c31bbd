"""
Starting the real daemon in every way there is, and failing to.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from itsjustintv.simulator.loopback import free_port
from itsjustintv.simulator.process import environment
from itsjustintv.simulator.receiver import Received
from tests.functional.run import Ended, run, until
from tests.functional.stage import StageCase

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

WAYS = {
    "twistd": [str(BIN / "twistd"), "-n", "--pidfile=", "itsjustintv", "--config", "config.toml"],
    "tac": [str(BIN / "twistd"), "-n", "--pidfile=", "-y", str(ROOT / "itsjustintv.tac")],
    "twist": ["-m", "twisted", "itsjustintv", "--config", "config.toml"],
    "command": ["-m", "itsjustintv", "run", "--config", "config.toml"],
}

#: And this one leaves the terminal.
BACKGROUND = [str(BIN / "twistd"), "--pidfile=pid", "--logfile=log", "itsjustintv", "--config", "config.toml"]

CONFIG = """
[server]
listen_addr = "127.0.0.1"
port = {port}

[twitch]
client_id = "an-id"
client_secret = "a-client-secret"
webhook_secret = "a-webhook-secret"

[global_webhook]
enabled = true
url = "http://127.0.0.1:9/"

[streamers.tanuki]
user_id = "42"
"""


class RefusalTests(TestCase):
    """
    A daemon that cannot do its work says why in one line, and does not stay.
    """

    timeout = 60

    def setUp(self) -> None:
        """
        A folder to run in, with a configuration that would work.
        """
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.port = free_port()
        self.configure(CONFIG.format(port=self.port))

    def configure(self, text: str) -> None:
        """
        Write the configuration.
        """
        (self.folder / "config.toml").write_text(text, encoding="utf-8")

    def run_until_end(self, command: Sequence[str]) -> Coroutine[Any, Any, Ended]:
        """
        Start the daemon in some way, and wait for its end.
        """
        from twisted.internet import reactor  # noqa: PLC0415 - trial has installed it by now

        environ = {**environment(os.environ), "ITSJUSTINTV_CONFIG": "config.toml"}
        return run(reactor, [sys.executable, *command], self.folder, environ)

    async def assert_refuses(self, *expected: str, ways: Sequence[str] = ("twistd",)) -> None:
        """
        Each of these ways of starting ends with status 1 and, on standard error, a message that begins with the
        program's name and holds the expected texts; it is told once, and without a traceback.
        """
        for way in ways:
            ended = await self.run_until_end(WAYS[way])
            self.assertEqual(ended.status, 1, f"{way}: {ended}")
            self.assertNotIn("Traceback", ended.out + ended.err, way)
            self.assertTrue(ended.err.startswith("itsjustintv: "), f"{way}: {ended}")
            for text in expected:
                self.assertIn(text, ended.err, way)
            first = ended.err.splitlines()[0].removeprefix("itsjustintv: ")
            self.assertEqual((ended.out + ended.err).count(first), 1, f"{way}: {ended}")

    def end_what_is_in_the_background(self) -> None:
        """
        End a daemon that has left its terminal, if there is one.
        """
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.folder / "pid").read_text(encoding="ascii")), signal.SIGKILL)

    def test_a_taken_port_is_named(self) -> Deferred[None]:
        """
        When the port is taken the daemon, started in any way, says which one, and does not stay up deaf.
        """

        async def scenario() -> None:
            with socket.socket() as taken:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                taken.bind(("127.0.0.1", self.port))
                taken.listen()
                await self.assert_refuses(
                    f"cannot listen on 127.0.0.1:{self.port}", "address already in use", ways=list(WAYS)
                )

        return Deferred.fromCoroutine(scenario())

    def test_every_problem_of_a_configuration_is_listed(self) -> Deferred[None]:
        """
        A configuration with two faults is refused with both of them, each under its path, in every way of starting.
        """
        self.configure(CONFIG.format(port=0).replace('user_id = "42"', 'user_idd = "42"'))
        expected = ("server.port: ", "streamers.tanuki.user_idd: ", "user_id")
        return Deferred.fromCoroutine(self.assert_refuses(*expected, ways=list(WAYS)))

    def test_a_missing_configuration_is_named(self) -> Deferred[None]:
        """
        Without a configuration the daemon says where it looked.
        """
        (self.folder / "config.toml").unlink()
        return Deferred.fromCoroutine(self.assert_refuses("config.toml"))

    def test_a_data_directory_that_cannot_be_one_is_named(self) -> Deferred[None]:
        """
        When the journal's directory cannot be made the daemon names its path.
        """
        (self.folder / "data").write_text("in the way", encoding="utf-8")
        return Deferred.fromCoroutine(self.assert_refuses("data"))

    def test_a_file_that_is_no_journal_is_left_alone(self) -> Deferred[None]:
        """
        A file that is not a journal is named, and not touched.
        """
        (self.folder / "data").mkdir()
        stranger = self.folder / "data" / "itsjustintv.db"
        stranger.write_bytes(b"these are my holiday memories" * 100)

        async def scenario() -> None:
            await self.assert_refuses("itsjustintv.db")
            self.assertEqual(stranger.read_bytes(), b"these are my holiday memories" * 100)

        return Deferred.fromCoroutine(scenario())

    def test_in_the_background_the_log_says_it(self) -> Deferred[None]:
        """
        A twistd that leaves its terminal ends with status 1; the line is in its log, and its pid file is gone.
        """
        from twisted.internet import reactor  # noqa: PLC0415 - trial has installed it by now

        async def scenario() -> None:
            with socket.socket() as taken:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                taken.bind(("127.0.0.1", self.port))
                taken.listen()
                self.addCleanup(self.end_what_is_in_the_background)
                ended = await self.run_until_end(BACKGROUND)
            self.assertEqual(ended.status, 1, ended)
            # The status is told before the log is written.
            log = self.folder / "log"
            line = f"itsjustintv: cannot listen on 127.0.0.1:{self.port}"
            await until(reactor, lambda: line in log.read_text(encoding="utf-8"))
            text = log.read_text(encoding="utf-8")
            self.assertEqual(text.count("cannot listen"), 1, text)
            self.assertNotIn("Traceback", text)
            self.assertFalse((self.folder / "pid").exists())

        return Deferred.fromCoroutine(scenario())


class WaysTests(StageCase):
    """
    Every way of starting is the same daemon.
    """

    async def works(self, way: str) -> None:
        """
        Start it that way; it becomes healthy, takes an event, delivers it, and ends well when it is told to.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        daemon = stage.daemon(command=[sys.executable, *WAYS[way]], env={"ITSJUSTINTV_CONFIG": "config.toml"})
        daemon.start()
        await daemon.ready()
        await stage.subscribed("tanuki")
        (report,) = await stage.twitch.announce(stage.twitch.world.go_live("tanuki"))
        self.assertEqual((report.tries[0].status, report.tries[0].body), (200, b'{"status":"processed"}'))
        told: Received = await stage.receiver.delivery("/tanuki")
        self.assertEqual(told.payload["streamer_login"], "tanuki")
        self.assertEqual(await daemon.stop(), 0, daemon.output)
        account = stage.accounting()
        self.assertEqual((account.wanted, account.delivered), (1, 1))


def _case(way: str) -> None:
    def test(self: WaysTests) -> Deferred[None]:
        return Deferred.fromCoroutine(self.works(way))

    test.__doc__ = f"Started as {way}, the daemon becomes healthy, takes a signed event, and ends with 0 on SIGTERM."
    setattr(WaysTests, f"test_{way}", test)


for _way in WAYS:
    _case(_way)
