"""
Tests for how EventSub messages arrive, as configured.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.load import parse
from itsjustintv.config.sections import CONDUIT, WEBHOOK, Conduit, Server
from itsjustintv.errors import ConfigError

_NEEDED = 'client_id = "an-id"\nclient_secret = "a secret of tests"\n'


def _conduit(more: str = "", server: str = "") -> str:
    return f'{server}[twitch]\n{_NEEDED}transport = "conduit"\n{more}'


class TransportTests(SynchronousTestCase):
    """
    ``twitch.transport`` and ``[twitch.conduit]``.
    """

    def problems(self, text: str) -> list[str]:
        """
        The keys that are refused.
        """
        return [each.path for each in self.assertRaises(ConfigError, parse, text, {}).problems]

    def warnings(self, text: str) -> list[str]:
        """
        The keys that are warned of.
        """
        return [each.path for each in parse(text, {}).warnings]

    def test_a_file_that_says_nothing_uses_webhooks(self) -> None:
        """
        Without the key, webhooks are used, and need their secret and listen on every address.
        """
        config = parse(f'[twitch]\n{_NEEDED}webhook_secret = "a secret of tests"\n', {}).config
        self.assertEqual((config.twitch.transport, config.server.listen_addr), (WEBHOOK, Server().listen_addr))
        self.assertEqual(self.problems(f"[twitch]\n{_NEEDED}"), ["twitch.webhook_secret"])

    def test_a_conduit_needs_no_secret_and_opens_no_port_to_the_network(self) -> None:
        """
        Client id and secret are enough, and the port is on loopback unless an address is given.
        """
        config = parse(_conduit(), {}).config
        self.assertEqual((config.twitch.transport, config.twitch.conduit), (CONDUIT, Conduit()))
        self.assertEqual(config.server.listen_addr, "127.0.0.1")
        given = parse(_conduit(server='[server]\nlisten_addr = "192.0.2.1"\n'), {}).config
        self.assertEqual(given.server.listen_addr, "192.0.2.1")

    def test_the_environment_chooses_as_well(self) -> None:
        """
        A container that is given three variables listens on loopback, too.
        """
        variables = {"CLIENT_ID": "an-id", "CLIENT_SECRET": "a secret of tests", "TRANSPORT": "conduit"}
        config = parse("", {f"ITSJUSTINTV_TWITCH_{name}": value for name, value in variables.items()}).config
        self.assertEqual((config.twitch.transport, config.server.listen_addr), (CONDUIT, "127.0.0.1"))

    def test_what_is_refused(self) -> None:
        """
        Each key has its bounds.
        """
        for key, good, bad in (
            ("shards", ("1", "10"), ("0", "11")),
            ("keepalive", ('"10s"', "600"), ("9.9", "601")),
            (
                "websocket_url",
                ('"wss://a.example/ws"', '"ws://127.0.0.1:8080/ws"', '"ws://[::1]:8080/ws"'),
                ('"https://a.example/ws"', '"wss:///ws"', '"wss://u:p@a.example/"', '"wss://a.example/?a=b"', '""'),
            ),
            ("state_file", ('"elsewhere.json"',), ('""',)),
        ):
            for value in good:
                parse(_conduit(f"[twitch.conduit]\n{key} = {value}\n"), {})
            for value in bad:
                self.assertEqual(
                    self.problems(_conduit(f"[twitch.conduit]\n{key} = {value}\n")), [f"twitch.conduit.{key}"]
                )
        self.assertEqual(self.problems(_conduit().replace('"conduit"', '"websocket"')), ["twitch.transport"])

    def test_what_loses_messages_is_warned_of(self) -> None:
        """
        One connection has no other to fall back to, and without the catch-up what a broken one misses is lost.
        """
        self.assertEqual(self.warnings(_conduit("[twitch.conduit]\nshards = 1\n")), ["twitch.conduit.shards"])
        self.assertEqual(self.warnings(_conduit("[catch_up]\nenabled = false\n")), ["catch_up.enabled"])
        self.assertEqual(self.warnings(_conduit()), [])
