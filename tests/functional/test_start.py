"""
Starting the real daemon in every way there is, and failing to.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

WAYS = {
    "twistd": [str(BIN / "twistd"), "-n", "--pidfile=", "itsjustintv", "--config", "config.toml"],
    "tac": [str(BIN / "twistd"), "-n", "--pidfile=", "-y", str(ROOT / "itsjustintv.tac")],
    "twist": ["-m", "twisted", "itsjustintv", "--config", "config.toml"],
    "command": ["-m", "itsjustintv", "run", "--config", "config.toml"],
}

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
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.configure(CONFIG.format(port=self.port))

    def configure(self, text: str) -> None:
        """
        Write the configuration.
        """
        (self.folder / "config.toml").write_text(text, encoding="utf-8")

    async def run_until_end(self, way: str) -> tuple[str, str, int]:
        """
        Run the daemon in one of the ways: what it printed, what it complained of, its status.
        """
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "ITSJUSTINTV_CONFIG": "config.toml",
        }
        out, err, status = await getProcessOutputAndValue(sys.executable, WAYS[way], env=env, path=str(self.folder))
        return out.decode(), err.decode(), status

    async def assert_refuses(self, *expected: str) -> None:
        """
        Every way of starting ends with status 1 and a message that holds the expected texts, without a traceback.
        """
        for way in WAYS:
            out, err, status = await self.run_until_end(way)
            self.assertEqual(status, 1, f"{way}: {out}{err}")
            self.assertNotIn("Traceback", out + err, way)
            for text in expected:
                self.assertIn(text, err, way)
            self.assertEqual(sum("itsjustintv:" in line for line in err.splitlines()), 1, f"{way}: {err}")

    def test_a_taken_port_is_named(self) -> Deferred[None]:
        """
        When the port is taken the daemon says which one, and does not stay up deaf.
        """

        async def scenario() -> None:
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", self.port))
                taken.listen()
                await self.assert_refuses(f"cannot listen on 127.0.0.1:{self.port}", "address already in use")

        return Deferred.fromCoroutine(scenario())

    def test_every_problem_of_a_configuration_is_listed(self) -> Deferred[None]:
        """
        A configuration with two faults is refused with both of them, each under its path.
        """
        self.configure(CONFIG.format(port=0).replace('user_id = "42"', 'user_idd = "42"'))
        return Deferred.fromCoroutine(self.assert_refuses("server.port: ", "streamers.tanuki.user_idd: ", "user_id"))

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
