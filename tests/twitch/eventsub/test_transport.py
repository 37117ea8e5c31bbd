"""
Tests of :mod:`itsjustintv.twitch.eventsub.transport`.
"""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import Config
from itsjustintv.twitch.eventsub.transport import (
    ConduitTransport,
    OtherTransport,
    WebhookTransport,
    configured_transport,
    listed_transport,
)
from itsjustintv.twitch.json_fields import JSONFields

CALLBACK = "https://hooks.example.net/twitch"


class TransportTests(SynchronousTestCase):
    """
    What Helix is sent, and when what it lists is ours.
    """

    def test_a_webhook_equals_what_helix_lists_of_it(self) -> None:
        """
        The body of the request has the secret; the list, which never has it, is equal all the same.
        """
        ours = WebhookTransport(CALLBACK, "a-secret")
        self.assertEqual(ours.to_helix(), {"method": "webhook", "callback": CALLBACK, "secret": "a-secret"})
        listed = listed_transport(JSONFields.of({"method": "webhook", "callback": CALLBACK}))
        self.assertEqual((listed, hash(listed)), (ours, hash(ours)))
        self.assertNotEqual(listed_transport(JSONFields.of({"method": "webhook", "callback": f"{CALLBACK}2"})), ours)
        self.assertNotIn("a-secret", repr(ours))

    def test_a_transport_in_words(self) -> None:
        """
        Each says how events arrive, without a secret; a conduit also while there is none.
        """
        self.assertEqual(WebhookTransport(CALLBACK, "a-secret").words, f"by webhook to {CALLBACK}")
        self.assertEqual(ConduitTransport("c-1").words, "through conduit c-1")
        self.assertEqual(ConduitTransport("").words, "through a conduit that the daemon creates")
        self.assertEqual(
            [OtherTransport(each).words for each in ("websocket", "")], ["by websocket", "by an unknown method"]
        )

    def test_other_kinds_are_never_ours(self) -> None:
        """
        A transport of another kind, or one that Helix does not describe, has its method and nothing else.
        """
        for listed in ({"method": "websocket", "callback": CALLBACK}, {}):
            read = listed_transport(JSONFields.of(listed))
            self.assertEqual(read, OtherTransport(str(listed.get("method", ""))))
            self.assertNotEqual(read, WebhookTransport(CALLBACK))

    def test_the_configuration_makes_a_webhook(self) -> None:
        """
        With the address of the callback and the secret.
        """
        config = Config()
        config = evolve(config, twitch=evolve(config.twitch, webhook_secret="a-secret", incoming_webhook_url=CALLBACK))
        made = configured_transport(config)
        self.assertEqual((made.address, made.secret, made.host), (CALLBACK, "a-secret", "hooks.example.net"))
