"""
Whom :mod:`itsjustintv.twitch.eventsub.session` connects to when a message names an address.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.twitch.eventsub.session import EventSubSession
from tests.twitch.eventsub.sockets import URL, FakeDialer, Owner, reconnect, welcome


class ReconnectTests(SynchronousTestCase):
    """
    A message that asks for another connection.
    """

    def dialled(self, address: str, configured: str = URL) -> str:
        """
        The address that is dialled next when a message names one.
        """
        clock = Clock()
        dialer = FakeDialer(clock)
        session = EventSubSession(dialer, clock, lambda: 0.5, lambda: configured, lambda: 10, Owner(), "shard 0")
        session.start()
        (socket,) = dialer.sockets
        socket.open()
        socket.say(welcome("s-1"))
        clock.advance(5.0)
        socket.say(reconnect("s-1", address))
        clock.advance(2.0)
        session.stop()
        self.assertEqual(len(dialer.sockets), 2)
        return dialer.sockets[1].url

    def test_twitch_and_the_configured_host_are_believed(self) -> None:
        """
        An address below twitch.tv, or on the configured host, is used as it is.
        """
        for address, configured in (
            (f"{URL}?challenge=abc", URL),
            ("wss://cell-c.eventsub.wss.twitch.tv/ws?id=1", URL),
            ("ws://127.0.0.1:9/ws?id=1", "ws://127.0.0.1:8/ws"),
            ("wss://127.0.0.1:9/ws?id=1", "ws://127.0.0.1:8/ws"),
        ):
            self.assertEqual(self.dialled(address, configured), address)

    def test_no_one_else_is(self) -> None:
        """
        Any other host, a lookalike, and a connection without TLS are refused: the configured address is dialled.
        """
        for address in (
            "wss://evil.example/ws",
            "wss://eventsub.wss.twitch.tv.evil.example/ws",
            "wss://eviltwitch.tv/ws",
            "wss://twitch.tv@evil.example/ws",
            "wss://evil.example/?.twitch.tv",
            "wss://evil.example#.twitch.tv",
            "ws://eventsub.wss.twitch.tv/ws",
            "http://eventsub.wss.twitch.tv/ws",
            "",
        ):
            self.assertTrue(self.dialled(address).startswith(URL), address)

    @given(some.text("abct.wiv/:@?#[]%\\-0 \n", max_size=30))
    def test_no_spelling_leads_elsewhere(self, rest: str) -> None:
        """
        Whatever stands in the address, what is dialled is the configured host or one below twitch.tv, over TLS.
        """
        dialled = self.dialled(f"wss://{rest}")
        host = dialled.removeprefix("wss://").split("/")[0].split("?")[0].split("#")[0].rpartition(":")[0]
        host = host or dialled.removeprefix("wss://").split("/")[0].split("?")[0].split("#")[0]
        self.assertTrue(dialled.startswith("wss://"))
        self.assertTrue(host.endswith(".twitch.tv"), dialled)
        self.assertNotIn("@", host)
