"""
Tests for :mod:`itsjustintv.cli.init`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli import init
from itsjustintv.cli.main import main
from itsjustintv.config.load import load
from itsjustintv.destinations.kinds import KINDS


class InitTests(SynchronousTestCase):
    """
    Everything is said, and believed.
    """

    def setUp(self) -> None:
        def at_once(work: Callable[[Any], Coroutine[Deferred[Any], Any, str]], _: str) -> str:
            return self.successResultOf(Deferred.fromCoroutine(work(None)))

        # Nobody is asked anything that takes a reactor, and there is only one in a process.
        self.patch(init, "in_reactor", at_once)
        self.path = Path(self.mktemp()).absolute()

    def init(self, *more: str) -> Result:
        """
        Run the command.
        """
        return self.without_a_domain("--domain", "hooks.example.org", *more)

    def without_a_domain(self, *more: str) -> Result:
        """
        Run the command with the four answers that are always needed.
        """
        arguments = ["--client-id", "an-id", "--client-secret", "a-secret", "--streamer", "tanuki"]
        arguments += ["--webhook", "https://receiver.example.org/live", "--no-check"]
        return CliRunner().invoke(main, ["init", "--config", str(self.path), *arguments, *more])

    def test_without_a_domain(self) -> None:
        """
        Four answers are enough: the configuration chooses a conduit, needs no secret for webhooks, and opens no port to
        the network.
        """
        for number, more in enumerate(([], ["--conduit"])):
            self.path = Path(f"{self.path}{number}")
            result = self.without_a_domain(*more)
            self.assertEqual((result.exit_code, result.stderr), (0, ""), result.output)
            self.assertIn("No port has to be opened: the daemon connects to Twitch", result.stdout)
            self.assertNotIn("proxy", result.stdout)
            tables = tomllib.loads(self.path.read_text())
            self.assertEqual((tables["twitch"]["transport"], tables["server"]), ("conduit", {"tls": {}}))
            self.assertNotIn("webhook_secret", tables["twitch"])
            config = load(self.path, {}, kinds=KINDS).config
            self.assertEqual((config.server.listen_addr, config.server.port), ("127.0.0.1", 8080))

    def test_another_port_for_the_health_checks(self) -> None:
        """
        Without a domain the port is that of the health checks, and stays on loopback.
        """
        self.assertEqual(self.without_a_domain("--port", "9000").exit_code, 0)
        config = load(self.path, {}, kinds=KINDS).config
        self.assertEqual((config.server.listen_addr, config.server.port), ("127.0.0.1", 9000))

    def test_what_needs_a_domain(self) -> None:
        """
        HTTPS needs a domain, and a conduit is asked for without one.
        """
        result = self.without_a_domain("--https", "--agree-to-terms")
        self.assertEqual(result.exit_code, 2)
        self.assertIn("--domain: required without a terminal", result.stderr)
        for more in (["--domain", "hooks.example.org"], ["--https"]):
            result = self.without_a_domain("--conduit", *more)
            self.assertEqual(result.exit_code, 2)
            self.assertIn("--conduit: needs no --domain and no --https", result.stderr)
        self.assertFalse(self.path.exists())

    def test_behind_a_proxy(self) -> None:
        """
        The proxy is told what to pass on, and where to.
        """
        result = self.init("--port", "9000")
        callback = "https://hooks.example.org/twitch"
        self.assertIn(f"Let your proxy forward {callback} to 127.0.0.1:9000, path and body unchanged", result.stdout)
        self.assertIn(f"curl -i {callback} from outside must return 405", result.stdout)
        server = tomllib.loads(self.path.read_text())["server"]
        self.assertEqual((server["listen_addr"], server["port"]), ("127.0.0.1", 9000))
        self.assertEqual(server["trusted_proxies"], ["127.0.0.1"], "as docs/install.md has it")

    def test_behind_a_proxy_on_another_machine(self) -> None:
        """
        A proxy that calls from elsewhere is trusted there, and can reach the daemon.
        """
        result = self.init("--proxy-address", "192.0.2.7")
        self.assertIn("to 0.0.0.0:8080", result.stdout)
        server = tomllib.loads(self.path.read_text())["server"]
        self.assertEqual((server.get("listen_addr"), server["trusted_proxies"]), (None, ["192.0.2.7"]))
        self.assertEqual(self.init("--proxy-address", "a name").exit_code, 2)

    def test_without_a_proxy(self) -> None:
        """
        What must lead here is told, and how to see whether it does.
        """
        result = self.init("--https", "--agree-to-terms")
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertIn("Ports 443 and 80 must reach this machine: check with itsjustintv certs check.", result.stdout)
        self.assertEqual(tomllib.loads(self.path.read_text())["server"]["tls"]["domains"], ["hooks.example.org"])

    def test_an_address_of_a_chat_service(self) -> None:
        """
        What cannot work is warned of, once the file is written.
        """
        result = self.init("--webhook", "https://hooks.slack.com/services/T/B/q7Z")
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertIn("Warning: global_webhook.url: is a URL of Slack, which accepts only its own", result.stderr)
        self.assertNotIn("q7Z", result.output)

    def test_a_secret_in_quotes(self) -> None:
        """
        So is a secret that cannot be meant as it is.
        """
        result = self.init("--client-secret", "'a-secret'")
        self.assertIn("Warning: twitch.client_secret: is in quotes (')", result.stderr)

    def test_what_cannot_be(self) -> None:
        """
        An option that breaks a rule of the configuration is not understood, and neither are terms nobody agrees to.
        """
        for more in (("--streamer", "no login"), ("--webhook", "receiver"), ("--domain", "https://a"), ("--https",)):
            self.assertEqual(self.init(*more).exit_code, 2, more)
        self.assertFalse(self.path.exists())

    def test_a_domain_that_no_certificate_can_be_for(self) -> None:
        """
        What only the whole configuration shows is told as it is there, and nothing is written.
        """
        result = self.init("--https", "--agree-to-terms", "--domain", "hooks.example.org:8443")
        self.assertEqual(result.exit_code, 1, result.output)
        self.assertIn("server.tls.domains", result.stderr)
        self.assertFalse(self.path.exists())
