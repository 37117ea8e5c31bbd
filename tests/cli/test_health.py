"""
Tests for :mod:`itsjustintv.cli.health`.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from threading import Thread

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli.health import DaemonAddress, daemon_address, health
from tests.tls.doubles import bundle


class Counter:
    """
    Somebody who answers one caller and remembers what was asked.
    """

    def __init__(self, answer: bytes, tls: ssl.SSLContext | None = None) -> None:
        self._answer, self._tls = answer, tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.asked = b""
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        caller, _ = self._listening.accept()
        with caller if self._tls is None else self._tls.wrap_socket(caller, server_side=True) as caller:
            while b"\r\n\r\n" not in self.asked and (part := caller.recv(4096)):
                self.asked += part
            caller.sendall(self._answer)

    def close(self) -> None:
        """
        Wait for its end.
        """
        self._listening.close()
        self._thread.join()


def said(status: str, content: object) -> bytes:
    """
    An answer in HTTP.
    """
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class HealthTests(SynchronousTestCase):
    """
    ``itsjustintv health``.
    """

    def ask(self, answer: bytes, *arguments: str) -> tuple[Result, bytes]:
        """
        What it says to an answer, and what it asked for.
        """
        counter = Counter(answer)
        result = CliRunner().invoke(health, ["--url", f"http://127.0.0.1:{counter.port}", *arguments])
        counter.close()
        return result, counter.asked

    def test_well(self) -> None:
        """
        Status 0 while the daemon says so.
        """
        result, asked = self.ask(said("200 OK", {"status": "healthy"}))
        self.assertEqual((result.exit_code, result.output), (0, "healthy\n"))
        self.assertTrue(asked.startswith(b"GET /health HTTP/1.1\r\n"), asked)

    def test_what_was_not_delivered(self) -> None:
        """
        How many ended undelivered is told, with the command that lists them; it makes nothing worse.
        """
        content = {"status": "healthy", "deliveries": {"undelivered": 4}}
        result, _ = self.ask(said("200 OK", content))
        self.assertEqual(result.exit_code, 0)
        self.assertIn("undelivered: 4; itsjustintv deliveries list --state undelivered", result.output)
        content["deliveries"] = {"undelivered": 0}
        self.assertEqual(self.ask(said("200 OK", content))[0].output, "healthy\n")

    def test_ill(self) -> None:
        """
        Otherwise 1, with every reason, whatever those are made of.
        """
        content = {"status": "not ready", "reasons": [{"check": "journal", "reason": "full\x1b[31m"}]}
        result, asked = self.ask(said("503 Service Unavailable", content), "--ready")
        self.assertEqual((result.exit_code, result.output), (1, "not ready\njournal: full\\x1b[31m\n"))
        self.assertTrue(asked.startswith(b"GET /readyz "), asked)
        _, asked = self.ask(said("200 OK", {"status": "alive"}), "--live")
        self.assertTrue(asked.startswith(b"GET /livez "), asked)

    def test_for_programs(self) -> None:
        """
        As JSON it is all that the daemon answers, and what keeps it from answering is found in the same place.
        """
        content = {"status": "unhealthy", "reasons": [{"check": "journal", "reason": "full\x1b"}], "more": 1}
        result, _ = self.ask(said("503 Service Unavailable", content), "--json")
        self.assertEqual((result.exit_code, json.loads(result.stdout)), (1, content))
        self.assertNotIn("\x1b", result.stdout)
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            result = CliRunner().invoke(health, ["--json", "--url", f"http://127.0.0.1:{deaf.getsockname()[1]}"])
        told = json.loads(result.stdout)
        self.assertEqual((result.exit_code, told["status"]), (1, "unknown"))
        self.assertIn("connection refused", told["reasons"][0]["reason"])

    def test_over_tls(self) -> None:
        """
        On this machine a certificate for the public name is good enough.
        """
        path = Path(self.mktemp())
        path.write_bytes(b"".join(each.as_bytes() for each in bundle().objects()))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(path)
        counter = Counter(said("200 OK", {"status": "healthy"}), context)
        result = CliRunner().invoke(health, ["--url", f"https://127.0.0.1:{counter.port}"])
        counter.close()
        self.assertEqual((result.exit_code, result.output), (0, "healthy\n"))

    def test_somebody_else(self) -> None:
        """
        Whoever answers something else is not taken for the daemon.
        """
        strange, _ = self.ask(said("500 Oh", {"status": "x", "reasons": [7, {"check": "a"}]}))
        self.assertEqual((strange.exit_code, strange.output), (1, "x\na: None\n"))
        for answer in (said("200 OK", b"hello"), said("200 OK", ["status"]), b"220 welcome\r\n", b""):
            result, _ = self.ask(answer)
            self.assertEqual(result.exit_code, 1)
            self.assertRegex(result.output, "another program answers|the daemon does not answer")

    def test_nobody(self) -> None:
        """
        Nobody there is status 1 and one line.
        """
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            result = CliRunner().invoke(health, ["--url", f"http://127.0.0.1:{deaf.getsockname()[1]}"])
        self.assertEqual(result.exit_code, 1)
        self.assertIn("the daemon does not answer at http://127.0.0.1:", result.output)
        self.assertIn("connection refused", result.output)

    def test_silence(self) -> None:
        """
        A daemon that hangs is given up on.
        """
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            result = CliRunner().invoke(health, ["--url", url, "--timeout", "0.1"])
        self.assertEqual((result.exit_code, result.output), (1, f"Error: no answer from {url} within 100 ms\n"))

    def test_wrong_addresses(self) -> None:
        """
        What is no address of a daemon is a mistake in the command.
        """
        for url in ("ftp://x", "http://127.0.0.1/health", "127.0.0.1:8080", "http://127.0.0.1:x"):
            self.assertEqual(CliRunner().invoke(health, ["--url", url]).exit_code, 2, url)


class DoorTests(SynchronousTestCase):
    """
    Where the daemon is looked for.
    """

    def found(self, text: str, environ: Mapping[str, str] = {}) -> DaemonAddress:
        """
        What a configuration tells.
        """
        path = Path(self.mktemp())
        path.write_text(text, encoding="utf-8")
        return daemon_address(path, environ)

    def test_defaults(self) -> None:
        """
        Without a configuration it is where the daemon listens by itself.
        """
        self.assertEqual(daemon_address(Path(self.mktemp()), {}).url, "http://127.0.0.1:8080")

    def test_as_configured(self) -> None:
        """
        File and environment count, and an address that means every interface is that of this machine.
        """
        self.assertEqual(self.found('[server]\nlisten_addr = "::"\nport = 81\n').url, "http://[::1]:81")
        text = "[server]\nport = 81\n[server.tls]\nenabled = true\n[streamers]\nbroken = 7\n"
        self.assertEqual(self.found(text, {"ITSJUSTINTV_SERVER_PORT": "82"}).url, "https://127.0.0.1:82")
        self.assertEqual(self.found('[server]\nlisten_addr = "192.0.2.1"\n').host, "192.0.2.1")

    def test_what_does_not_tell(self) -> None:
        """
        A file that is no TOML, or has no port where the port should be, tells nothing.
        """
        for text in ("[", '[server]\nport = "x"\n'):
            self.assertRaises((ValueError, TypeError), self.found, text)
        path = Path(self.mktemp())
        path.write_text("[")
        result = CliRunner().invoke(health, ["--config", str(path)])
        self.assertEqual(result.exit_code, 1)
        self.assertIn("pass --url", result.output)

    def test_introduced(self) -> None:
        """
        Where a proxy on this machine must introduce every connection, so do we.
        """
        text = '[server]\nproxy_protocol = true\ntrusted_proxies = ["10.0.0.0/8", "127.0.0.0/8", "?"]\n'
        self.assertTrue(self.found(text).proxy_protocol)
        self.assertFalse(self.found(text.replace("127.", "128.")).proxy_protocol)
        counter = Counter(said("200 OK", {}))
        DaemonAddress("127.0.0.1", counter.port, proxy_protocol=True).ask("/health", 5)
        counter.close()
        self.assertTrue(counter.asked.startswith(b"PROXY UNKNOWN\r\nGET /health"), counter.asked)
