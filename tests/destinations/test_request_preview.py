"""
Tests of :mod:`itsjustintv.destinations.request_preview`.
"""

from __future__ import annotations

import json

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.load import parse
from itsjustintv.delivery.sample_notice import SampleNotice, action_for
from itsjustintv.destinations.kinds import KINDS
from itsjustintv.destinations.message_samples import SAMPLES
from itsjustintv.destinations.request_preview import MASK, RequestPreview
from itsjustintv.model import Action, Card, Destination, Streamer
from itsjustintv.routing import Routes

TOKEN = "aVerySecretTokenOfDiscord"

CONFIG = f"""
[server]
external_domain = "hooks.example.org"
[twitch]
client_id = "an-id-of-tests"
client_secret = "a-secret-of-tests"
webhook_secret = "a secret of tests"
[destinations.main]
type = "discord"
url = "https://discord.com/api/webhooks/42/{TOKEN}"
mention = ["role:7"]
[destinations.main.messages.online]
content = "{{{{ mentions }}}} {{{{ name }}}} streams {{{{ category }}}}"
[destinations.phone]
type = "telegram"
token = "123456:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghi"
chat = "-100"
[destinations.work]
type = "slack"
url = "https://hooks.slack.com/services/T0/B0/ABCDEFGHIJ"
[destinations.office]
type = "teams"
url = "https://prod-1.example.org/workflows/1/triggers/manual/paths/invoke?api-version=1&sig=ABCDEFGHIJ"
[destinations.sky]
type = "bluesky"
identifier = "tanuki.example.org"
password = "ABCDEFGHIJ"
[destinations.own]
type = "webhook"
url = "https://hooks.example.org/9f8e7d6c5b4a"
secret = "the secret that signs"
[streamers.tanuki]
login = "tanuki"
destinations = ["main", "phone", "work", "office", "sky", "own"]
"""


class PreviewCase(SynchronousTestCase):
    """
    The destinations of a configuration.
    """

    def setUp(self) -> None:
        self.routes = Routes.of(parse(CONFIG, {}, kinds=KINDS).config)
        self.sample = SampleNotice(
            streamer=Streamer(key="tanuki", user_id="42", login="tanuki"),
            id="preview-1",
            now=1_767_355_500.0,
            enrichment=SAMPLES[0].notice.enrichment,
        )

    def preview(self, name: str, event: str = "online") -> RequestPreview:
        destination = self.routes.destinations[name]
        action = action_for(event, destination)
        return RequestPreview.of(self.sample.make(event, destination, action, mention=True), destination)


class PreviewTests(PreviewCase):
    """
    What would be sent.
    """

    def test_the_configured_texts(self) -> None:
        """
        The body is that of the service, with the configured template and those whom the destination mentions.
        """
        shown = self.preview("main")
        self.assertEqual(shown.body["content"], "<@&7> tanuki streams Art")
        self.assertEqual(shown.body["allowed_mentions"], {"parse": [], "roles": ["7"]})
        self.assertIn(("content", "<@&7> tanuki streams Art"), [*shown.texts()])
        self.assertTrue(shown.mention)

    def test_an_edit_is_the_change_of_a_post(self) -> None:
        """
        The end is shown as the edit that the destination makes of it, and an edit notifies no one.
        """
        shown = self.preview("main", "offline")
        self.assertEqual((shown.action, shown.method, shown.mention), (Action.EDIT, "PATCH", False))
        self.assertEqual(shown.body["embeds"][0]["description"], "Live for 1 h 30 min")

    def test_no_secret_is_shown(self) -> None:
        """
        Neither the address behind the host nor a secret is in a preview, and of an unknown header not the value.
        """
        for name, destination in self.routes.destinations.items():
            for event in ("online", "update", "offline"):
                with self.subTest(name=name, event=event):
                    shown = json.dumps(self.preview(name, event).public())
                    for secret in (TOKEN, "ABCDEFGHIJ", "9f8e7d6c5b4a", "the secret that signs", "sha256="):
                        self.assertNotIn(secret, shown)
                    self.assertTrue(self.preview(name, event).url.endswith(MASK) or not destination.keeps_posts)

    def test_a_secret_in_the_body(self) -> None:
        """
        A secret that a service wants in the body is masked there.
        """
        destination = evolve(self.routes.destinations["main"], secrets=("streams Art", "7"))
        notice = self.sample.make("online", destination, Action.CREATE, mention=True)
        body = RequestPreview.of(notice, destination).body
        self.assertEqual(body["content"], f"<@&7> tanuki {MASK}")
        self.assertEqual(body["allowed_mentions"]["roles"], [MASK])

    def test_every_kind_can_be_previewed(self) -> None:
        """
        Every kind that is configured here shows something at every event, and the webhook of today shows its payload.
        """
        webhook = Destination(name="streamers.tanuki", url="https://hooks.example.org/x")
        shown = RequestPreview.of(self.sample.make("online", webhook, Action.CREATE), webhook)
        self.assertEqual(shown.body["event"], "stream.online")
        for name in self.routes.destinations:
            for event in ("online", "update"):
                self.assertNotEqual([*self.preview(name, event).texts()], [], (name, event))


class CardTests(PreviewCase):
    """
    What people see of a message.
    """

    def card(self, name: str, number: int = 0) -> Card | None:
        """
        That of a sample.
        """
        return RequestPreview.of(SAMPLES[number].notice, self.routes.destinations[name]).card()

    def test_words_and_places(self) -> None:
        """
        Each service with cards has the words where people see them, without marks of its format.
        """
        expected = {
            "main": Card(
                text="Tanuki streams Art",
                author="Tanuki",
                title="Drawing until dawn",
                facts=(("Category", "Art"), ("Started", "2026-01-02 12:04:05 UTC")),
                footer="Twitch",
                profile=True,
                picture=True,
                colour=0x9146FF,
            ),
            "work": Card(
                text="Tanuki is live! Watch on Twitch",
                title="Drawing until dawn",
                details=("Art",),
                profile=True,
                picture=True,
            ),
            "office": Card(
                title="Tanuki is live!",
                details=("Drawing until dawn", "Art \u00b7 Since 2 January 2026, 12:04 UTC", "Watch"),
                profile=True,
                picture=True,
            ),
            "sky": Card(
                text="Tanuki is live: Drawing until dawn\n\nhttps://twitch.tv/tanuki",
                title="Drawing until dawn",
                details=("Art on Twitch",),
                footer="twitch.tv",
            ),
            "phone": None,
        }
        self.assertEqual({name: self.card(name) for name in expected}, expected)

    def test_whatever_the_words_are(self) -> None:
        """
        A card can be read of every sample, hostile ones included; one that is not wrapped, too.
        """
        office = self.routes.destinations["office"]
        bare = evolve(office, settings=evolve(office.settings, wrap=False))
        for sample in SAMPLES:
            for destination in (*self.routes.destinations.values(), bare):
                if destination.keeps_posts:
                    RequestPreview.of(sample.notice, destination).card()
        self.assertEqual(RequestPreview.of(SAMPLES[0].notice, bare).card(), self.card("office"))
