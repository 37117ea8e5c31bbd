"""
Tests for :mod:`itsjustintv.config.chat_services`.
"""

from __future__ import annotations

import tomllib

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.chat_services import find_chat_service
from itsjustintv.config.destination_checks import destinations_of
from itsjustintv.config.load import parse

from .test_destinations import BOARD
from .test_load import REQUIRED, document

KNOWN = {
    "Discord": (
        "https://discord.com/api/webhooks/1/a",
        "https://discordapp.com/api/webhooks/1/a",
        "https://ptb.discord.com/api/webhooks/1/a",
        "https://canary.discord.com/api/webhooks/1/a?wait=true",
        "https://canary.discordapp.com/api/v10/webhooks/1/a",
        "https://discord.com/api/v10/webhooks/1/a?thread_id=2",
        "https://Discord.com:443//api/webhooks/1/a",
        "https://discord.com./api/webhooks/1/a/",
        "https://discord.com/api/webhooks/1/a/slack",
        "https://discord.com/api/webhooks/1/a/github",
    ),
    "a page of Discord": ("https://discord.com/channels/1/2", "https://ptb.discord.com/channels/@me/1"),
    "Slack": ("https://hooks.slack.com/services/T/B/x", "https://hooks.slack-gov.com/services/T/B/x"),
    "a workflow of Slack": ("https://hooks.slack.com/triggers/T/1/x", "https://hooks.slack.com/workflows/T/A/1/x"),
    "Microsoft Teams": (
        "https://contoso.webhook.office.com/webhookb2/x@y/IncomingWebhook/z/w",
        "https://outlook.office.com/webhook/x@y/IncomingWebhook/z/w".replace("x@y", "x%40y"),
        "https://outlook.office365.com/webhook/x",
    ),
    "a Microsoft Power Automate workflow, as used by Teams": (
        "https://prod-1.westeurope.logic.azure.com:443/workflows/x/triggers/manual/paths/invoke?sig=y",
        "https://d.e1.environment.api.powerplatform.com/powerautomate/automations/direct/workflows/x/triggers/manual/paths/invoke",
    ),
    "Google Chat": ("https://chat.googleapis.com/v1/spaces/A/messages?key=k&token=t",),
    "Telegram": ("https://api.telegram.org/bot1:a/sendMessage?chat_id=2", "https://API.telegram.org/bot1:a/"),
}

UNKNOWN = (
    "https://hooks.example.org/discord.com/api/webhooks/1/a",
    "https://discord.com.example.org/api/webhooks/1/a",
    "https://notdiscord.com/api/webhooks/1/a",
    "https://discord.com/",
    "https://chat.googleapis.com/",
    "https://example.org/?https://hooks.slack.com/services/",
    "https://telegram.example.org/bot1/sendMessage",
    "https://api.example.logic.azure.com/other",
    "http://discord-bridge:8080/api/webhooks/1/a",
    "not a URL",
    "https://[::1",
)


class ChatServiceTests(SynchronousTestCase):
    """
    Addresses.
    """

    def test_every_spelling(self) -> None:
        """
        Each service is known by all of its addresses.
        """
        for name, urls in KNOWN.items():
            for url in urls:
                service = find_chat_service(url)
                self.assertEqual(name, None if service is None else service.name, url)

    def test_others(self) -> None:
        """
        What only looks like one of them is an address like any other.
        """
        for url in UNKNOWN:
            self.assertIsNone(find_chat_service(url), url)

    def test_a_configuration_is_warned(self) -> None:
        """
        A streamer's address and the one for everybody are warned of, with the service, what to do, and no secret.
        """
        url = "https://discord.com/api/webhooks/1/q7ZsecretZ7q"
        text = document(
            {
                "global_webhook": {"enabled": True, "url": url},
                "streamers": {"a": {"login": "a", "target_webhook_url": url}, "b": {"login": "b"}},
            }
        )
        warnings = parse(text + REQUIRED, {}).warnings
        self.assertEqual(
            ["global_webhook.url", "streamers.a.target_webhook_url"], [warning.path for warning in warnings]
        )
        for warning in warnings:
            self.assertIn("is a URL of Discord, which accepts only its own message format", warning.message)
            self.assertIn("use a bridge", warning.message)
            self.assertNotIn("q7Z", str(warning))

    def test_what_is_not_sent_to(self) -> None:
        """
        An address for everybody that is not enabled is not warned of.
        """
        text = document({"global_webhook": {"url": "https://hooks.slack.com/services/a"}})
        self.assertEqual((), parse(text + REQUIRED, {}).warnings)

    def test_the_lines_to_write_instead(self) -> None:
        """
        Where the type can be configured, the lines make a destination of it for the streamer, or for all; the same
        address gets one name, another one another, and none is in the lines.
        """
        url, other = "https://discord.com/api/webhooks/1/q7ZsecretZ7q", "https://discord.com/api/webhooks/2/q7Z"
        streamers = {key: {"login": key[0], "target_webhook_url": each} for key, each in (("a", url), ("b b", other))}
        before = {"global_webhook": {"enabled": True, "url": url}, "streamers": {**streamers, "c": {"login": "c"}}}
        kinds = {"discord": evolve(BOARD, name="discord")}
        warnings = parse(document(before) + REQUIRED, {}, kinds=kinds).warnings
        self.assertEqual(3, len(warnings))
        self.assertNotIn("q7Z", str([each.lines for each in warnings]))
        for warning, name in zip(warnings, ("discord", "discord", "discord-2"), strict=True):
            self.assertIn("replace it by a destination of the type discord", warning.message)
            text = "\n".join(warning.lines).replace('"..."', f'"{url}"')
            self.assertIn(f"[destinations.{name}]", warning.lines)
            head, _, rest = text.partition("# and in ")
            heading, _, streamer = rest.partition("\n")
            table = heading.partition("]")[0] + "]"
            full = f"{head}\n{table}\n{streamer}\n"
            full += 'login = "b"\n' if table != "[global_webhook]" else '[streamers.c]\nlogin = "c"\n'
            found = parse(full + REQUIRED, {}, kinds=kinds)
            self.assertEqual((), found.warnings)
            self.assertEqual(
                [name], [destinations_of(found.config, each)[0] for each in found.config.streamers.values()]
            )

    def test_every_type(self) -> None:
        """
        The lines of each service are TOML with its type and what it needs.
        """
        types = {
            "Discord": "discord",
            "a page of Discord": "discord",
            "Slack": "slack",
            "Microsoft Teams": "teams",
            "Telegram": "telegram",
        }
        for name, urls in KNOWN.items():
            for url in urls:
                service = find_chat_service(url)
                assert service is not None
                if name in types:
                    lines = service.lines("x", "streamers.a")
                    self.assertEqual(types[name], tomllib.loads("\n".join(lines))["destinations"]["x"]["type"])
                elif "workflow of Slack" in name or name == "Google Chat":
                    self.assertEqual("", service.kind)
