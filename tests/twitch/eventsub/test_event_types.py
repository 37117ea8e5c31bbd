"""
Tests of :mod:`itsjustintv.twitch.eventsub.event_types`.
"""

from __future__ import annotations

import json
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.model import broadcast_key
from itsjustintv.twitch.eventsub.event_types import (
    CHANNEL_UPDATE,
    EVENT_TYPES,
    STREAM_OFFLINE,
    STREAM_ONLINE,
    EventType,
    Occurrence,
    Topic,
)
from itsjustintv.twitch.eventsub.messages import Notification, Other
from itsjustintv.twitch.eventsub.plan import plan
from itsjustintv.twitch.eventsub.transport import WebhookTransport
from tests.twitch.eventsub.test_messages import EVENT, NOW, SUBSCRIPTION, opened, signed
from tests.twitch.eventsub.test_plan import listing, subscription

HERE = WebhookTransport("https://hooks.example.net/twitch", "a-secret")


RAID = EventType(
    name="channel.raid",
    version="1",
    condition_key="to_broadcaster_user_id",
    parse=lambda event, sent_at: Occurrence(
        broadcaster_id=event.required_text("broadcaster_user_id"),
        broadcaster_login="",
        broadcaster_name="",
        occurred_at=sent_at,
    ),
    deduplication_keys=lambda occurrence, message_id: (f"message:{message_id}",),
)


def message(kind: str, version: str = "1") -> Any:
    """
    Open a notification of a subscription type.
    """
    content = {"subscription": {**SUBSCRIPTION, "type": kind, "version": version}, "event": EVENT}
    body = json.dumps(content).encode()
    return opened(signed(body), body)


class EventTypesTests(SynchronousTestCase):
    """
    A row is all that EventSub needs to know of a type.
    """

    def test_stream_online(self) -> None:
        """
        The start of a broadcast has its type and three keys: broadcast, message and stream.
        """
        event = message("stream.online").event
        self.assertEqual((event.event_type, event.stream_id), ("stream.online", EVENT["id"]))
        broadcast = broadcast_key("42", EVENT["id"], EVENT["started_at"])
        self.assertEqual(event.keys, (broadcast, "message:m-0001", f"stream:42:{EVENT['id']}"))

    def test_an_end_has_the_key_of_its_message(self) -> None:
        """
        One that was found without a message has a key of the broadcast and its last stream instead, so that it is not
        recovered twice, and a later end of the same broadcast is another one.
        """
        ended = Occurrence(broadcaster_id="42", broadcaster_login="", broadcaster_name="", ended=("b-1", "70"))
        self.assertEqual(STREAM_OFFLINE.event(ended, "e", "m-1", NOW).keys, ("message:m-1",))
        event = STREAM_OFFLINE.event(ended, "e", "", NOW, recovered=True)
        self.assertEqual((event.keys, event.occurred_at, event.recovered), (("offline:b-1:70",), 0.0, True))

    def test_versions(self) -> None:
        """
        Types and versions are those of the documentation, and the start of a broadcast comes first.
        """
        self.assertEqual(
            [(each.name, each.version) for each in EVENT_TYPES.values()],
            [("stream.online", "1"), ("stream.offline", "1"), ("channel.update", "2")],
        )
        self.assertEqual(list(EVENT_TYPES.values()), [STREAM_ONLINE, STREAM_OFFLINE, CHANNEL_UPDATE])

    def test_another_row_is_read_and_subscribed_to(self) -> None:
        """
        Without its row a type is no event; with it, messages of the type are events with its keys, and a streamer gets
        a subscription of it where it is wanted.
        """
        self.assertIsInstance(message("channel.raid"), Other)
        rows = cast("dict[str, EventType]", EVENT_TYPES)
        rows[RAID.name] = RAID
        self.addCleanup(rows.pop, RAID.name)
        opened_message = message("channel.raid")
        self.assertIsInstance(opened_message, Notification)
        event = opened_message.event
        self.assertEqual((event.event_type, event.keys), ("channel.raid", ("message:m-0001",)))
        drawn = plan({"42": {"channel.raid"}, "43": ()}, listing(subscription()), HERE, lambda each: True, NOW)
        self.assertEqual([each.topic for each in drawn.keep], [Topic(STREAM_ONLINE, "42")])
        self.assertEqual([each.topic for each in drawn.create], [Topic(STREAM_ONLINE, "43"), Topic(RAID, "42")])
        self.assertEqual(RAID.condition("42"), {"to_broadcaster_user_id": "42"})
