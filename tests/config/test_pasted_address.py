"""
Tests of :mod:`itsjustintv.config.pasted_address`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.pasted_address import read_pasted
from itsjustintv.destinations.kinds import KINDS
from itsjustintv.doctor.setup_checks import make_destination

TOKEN = "123456:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghi"
DISCORD = "https://discord.com/api/webhooks/123456789/aTokenOfDiscord"


class PastedTests(SynchronousTestCase):
    """
    What a pasted text stands for.
    """

    def test_services(self) -> None:
        """
        A URL or a token of a service becomes keys of a destination that its type accepts; nothing secret is shown.
        """
        slack = "https://hooks.slack.com/services/T00000000/B00000000/aSecretOfSlackWith24Char"
        for text, kind, values in (
            (DISCORD, "discord", {"url": DISCORD}),
            (f"  {DISCORD}/slack\n", "discord", {"url": DISCORD}),
            (f"{DISCORD}/github?wait=true", "discord", {"url": f"{DISCORD}?wait=true"}),
            (slack, "slack", {"url": slack}),
            (TOKEN, "telegram", {"token": TOKEN}),
            (f"https://api.telegram.org/bot{TOKEN}/sendMessage?chat_id=1", "telegram", {"token": TOKEN}),
            ("xoxb-1234-abcd", "slack", {"token": "xoxb-1234-abcd"}),
        ):
            with self.subTest(text):
                found = read_pasted(text)
                assert found is not None
                self.assertEqual((found.kind, found.values), (kind, values))
                self.assertNotIn(TOKEN, repr(found))
                self.assertIn(kind, KINDS)
                whole = {**found.values, **dict.fromkeys(found.missing, "-1001234" if kind == "telegram" else "C0123")}
                destination, problem = make_destination(found.kind, whole)
                self.assertEqual(problem, "")
                assert destination is not None
                self.assertEqual(destination.kind, kind)

    def test_of_no_service(self) -> None:
        """
        The URL of a program, a connector of Teams that works no longer, and words are not taken for a destination.
        """
        for text in (
            "https://hooks.example.org/live",
            "https://acme.webhook.office.com/webhookb2/a/IncomingWebhook/b/c",
            "https://discord.com/channels/1/2",
            "hello",
            "",
            "12:34",
        ):
            self.assertIsNone(read_pasted(text), text)

    def test_what_a_type_does_not_accept(self) -> None:
        """
        A key that is missing, unknown or wrong is named.
        """
        for kind, values, expected in (
            ("telegram", {"token": TOKEN}, "telegram needs chat"),
            ("discord", {"url": DISCORD, "room": "1"}, "discord has no such key: room"),
            ("discord", {"url": "https://discord.com/x"}, "url must be the URL of a Discord webhook"),
        ):
            destination, problem = make_destination(kind, values)
            self.assertIsNone(destination)
            self.assertIn(expected, problem)
