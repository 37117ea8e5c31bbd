"""
Tests of :mod:`itsjustintv.twitch.eventsub.event_types`.
"""

from __future__ import annotations

import json
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.model import broadcast_key
from itsjustintv.twitch.eventsub.event_types import EVENT_TYPES, STREAM_ONLINE, EventType, Occurrence, Topic
from itsjustintv.twitch.eventsub.messages import Notification, Other
from itsjustintv.twitch.eventsub.plan import plan
from itsjustintv.twitch.eventsub.transport import WebhookTransport
from itsjustintv.twitch.json_fields import JSONFields
from tests.twitch.eventsub.test_messages import EVENT, NOW, SUBSCRIPTION, opened, signed
from tests.twitch.eventsub.test_plan import listing, subscription

HERE = WebhookTransport("https://hooks.example.net/twitch", "a-secret")


def _parse(event: JSONFields) -> Occurrence:
    return Occurrence(
        broadcaster_id=event.required_text("broadcaster_user_id"),
        broadcaster_login=event.text("broadcaster_user_login"),
        broadcaster_name=event.text("broadcaster_user_name"),
    )


OFFLINE = EventType(
    name="stream.offline",
    version="1",
    condition_key="broadcaster_user_id",
    parse=_parse,
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

    def test_another_row_is_read_and_subscribed_to(self) -> None:
        """
        Without its row a type is no event; with it, messages of the type are events with its keys, and every streamer
        is to have a subscription of it.
        """
        self.assertIsInstance(message("stream.offline"), Other)
        rows = cast("dict[str, EventType]", EVENT_TYPES)
        rows[OFFLINE.name] = OFFLINE
        self.addCleanup(rows.pop, OFFLINE.name)
        opened_message = message("stream.offline")
        self.assertIsInstance(opened_message, Notification)
        event = opened_message.event
        self.assertEqual((event.event_type, event.keys), ("stream.offline", ("message:m-0001",)))
        drawn = plan(["42"], listing(subscription()), HERE, lambda each: True, NOW)
        self.assertEqual([each.topic for each in drawn.keep], [Topic(STREAM_ONLINE, "42")])
        self.assertEqual([each.topic for each in drawn.create], [Topic(OFFLINE, "42")])
        self.assertEqual(OFFLINE.condition("42"), {"broadcaster_user_id": "42"})
