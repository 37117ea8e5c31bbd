"""
Tests of :mod:`itsjustintv.routing`.
"""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import Config, StreamerEntry
from itsjustintv.model import Event
from itsjustintv.routing import Routing

EVENT = Event(
    id="e",
    message_id="m",
    stream_id="1",
    broadcaster_id="42",
    broadcaster_login="a_new_name",
    broadcaster_name="",
    type="live",
    started_at="2026-01-02T03:04:05Z",
    received_at=0.0,
)


class RoutingTests(SynchronousTestCase):
    """
    Routes that change.
    """

    def setUp(self) -> None:
        self.config = Config(
            streamers={
                "tanuki": StreamerEntry(login="Tanuki", target_webhook_url="https://a.example/"),
                "kitsune": StreamerEntry(user_id="43", login="kitsune", target_webhook_url="https://b.example/"),
            }
        )
        self.routing = Routing.of(self.config)

    def key(self, event: Event = EVENT) -> str | None:
        """
        Whom an event is about, if anybody wants to know.
        """
        streamer = self.routing.match(event)
        return None if streamer is None else streamer.key

    def test_an_id_that_is_told_finds_a_streamer_under_any_login(self) -> None:
        """
        Once Twitch has told whose id it is, an event is matched by it, whatever the login is by now.
        """
        self.assertIsNone(self.key())
        self.routing.identify({"tanuki": "42"})
        self.assertEqual(self.key(), "tanuki")

    def test_a_new_configuration_keeps_known_ids(self) -> None:
        """
        A streamer that stays, or comes back, is found by the id that was told before.
        """
        self.routing.identify({"tanuki": "42"})
        self.routing.configure(Config())
        self.assertIsNone(self.key())
        self.routing.configure(self.config)
        self.assertEqual(self.key(), "tanuki")

    def test_a_new_configuration_has_its_own_destinations(self) -> None:
        """
        A destination is what the configuration of the moment says.
        """
        self.assertIsNotNone(self.routing.destination("streamers.tanuki"))
        entry = evolve(self.config.streamers["tanuki"], target_webhook_url="https://c.example/")
        self.routing.configure(Config(streamers={"tanuki": entry}))
        moved = self.routing.destination("streamers.tanuki")
        self.assertEqual(
            (moved and moved.url, self.routing.destination("streamers.kitsune")), (entry.target_webhook_url, None)
        )

    def test_who_is_wanted(self) -> None:
        """
        Subscriptions are for those whose id is known, and the others are to be looked up by login.
        """
        self.assertEqual((self.routing.wanted(), self.routing.logins()), ({"43": "kitsune"}, ["tanuki"]))
        self.routing.identify({"tanuki": "42"})
        self.assertEqual(self.routing.wanted(), {"42": "tanuki", "43": "kitsune"})
