"""
Tests of :mod:`itsjustintv.twitch.eventsub.messages`.
"""

from __future__ import annotations

import hmac
import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.errors import Forged, Refused, Stale, Unreadable
from itsjustintv.model import Event
from itsjustintv.twitch.eventsub.messages import (
    WINDOW,
    Challenge,
    Message,
    Notification,
    Other,
    Revocation,
    open_message,
)

SECRET = b"docs-vector-secret-0001"
ID = b"m-0001"
TIMESTAMP = b"2026-01-02T03:04:06.000000001Z"
NOW = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC).timestamp()

SUBSCRIPTION = {
    "id": "sub-a",
    "status": "enabled",
    "type": "stream.online",
    "version": "1",
    "cost": 1,
    "condition": {"broadcaster_user_id": "42"},
    "transport": {"method": "webhook", "callback": "https://hooks.example.net/twitch"},
    "created_at": "2026-01-02T03:04:05.123456789Z",
}
EVENT = {
    "id": "7000000001",
    "broadcaster_user_id": "42",
    "broadcaster_user_login": "tanuki",
    "broadcaster_user_name": "タヌキ",
    "type": "live",
    "started_at": "2026-01-02T04:00:00Z",
}
BROADCASTER = {name: EVENT[name] for name in EVENT if name.startswith("broadcaster_")}
CHANGES = {
    "title": "pottery night",
    "language": "de",
    "category_id": "509660",
    "category_name": "Art",
    "content_classification_labels": [],
}
ONLINE = {"subscription": SUBSCRIPTION, "event": EVENT}
OFFLINE = {"subscription": {**SUBSCRIPTION, "type": "stream.offline"}, "event": BROADCASTER}
UPDATE = {
    "subscription": {**SUBSCRIPTION, "type": "channel.update", "version": "2"},
    "event": {**BROADCASTER, **CHANGES},
}
CHALLENGE = {"challenge": "abc-123", "subscription": SUBSCRIPTION}
REVOKED = {"subscription": {**SUBSCRIPTION, "status": "user_removed"}}


def signed(
    body: bytes,
    kind: bytes = b"notification",
    message_id: bytes = ID,
    timestamp: bytes = TIMESTAMP,
    secret: bytes = SECRET,
) -> Headers:
    """
    The headers Twitch sends with a body.
    """
    signature = hmac.digest(secret, message_id + timestamp + body, "sha256").hex().encode()
    return Headers(
        {
            b"Twitch-Eventsub-Message-Id": [message_id],
            b"Twitch-Eventsub-Message-Timestamp": [timestamp],
            b"Twitch-Eventsub-Message-Signature": [b"sha256=" + signature],
            b"Twitch-Eventsub-Message-Type": [kind],
        }
    )


def opened(headers: Headers, body: bytes, now: float = NOW, secrets: tuple[bytes, ...] = (SECRET,)) -> Message:
    """
    Open a message with a predictable id.
    """
    return open_message(headers, body, secrets, now, "event-1")


def sent(content: Any, kind: bytes = b"notification", timestamp: bytes = TIMESTAMP, now: float = NOW) -> Message:
    """
    Sign and open a message.
    """
    body = json.dumps(content).encode()
    return opened(signed(body, kind, timestamp=timestamp), body, now)


class AuthenticityTests(SynchronousTestCase):
    """
    Whom the door believes.
    """

    body = json.dumps(ONLINE).encode()

    @given(place=st.sampled_from(("id", "timestamp", "signature", "body")), data=st.data())
    def test_any_flipped_bit_is_refused(self, place: str, data: st.DataObject) -> None:
        """
        A message of which a single bit was changed is not Twitch's.
        """
        headers, body = signed(self.body), self.body
        name = b"Twitch-Eventsub-Message-" + place.encode()
        original = body if place == "body" else (headers.getRawHeaders(name) or [])[0]
        bit = data.draw(st.integers(0, len(original) * 8 - 1))
        flipped = bytearray(original)
        flipped[bit // 8] ^= 1 << bit % 8
        if place == "body":
            body = bytes(flipped)
        else:
            # Past the sanitizing of values, which would hide a flip that makes a line break.
            headers = Headers(
                {key: values for key, values in headers.getAllRawHeaders() if key.lower() != name.lower()}
            )
            assume(not set(flipped) & set(b"\r\n"))
            headers.addRawHeader(name, bytes(flipped))
        self.assertRaises(Forged, opened, headers, body)

    @given(left=st.integers(-8, 8), right=st.integers(-8, 8))
    def test_bytes_do_not_move_between_the_signed_parts(self, left: int, right: int) -> None:
        """
        Id, timestamp and body cannot be cut elsewhere under the same signature.
        """
        assume((left, right) != (0, 0))
        whole = ID + TIMESTAMP + self.body
        one, two = len(ID) + left, len(ID) + len(TIMESTAMP) + right
        headers = signed(self.body)
        headers.setRawHeaders(b"Twitch-Eventsub-Message-Id", [whole[:one]])
        headers.setRawHeaders(b"Twitch-Eventsub-Message-Timestamp", [whole[one:two]])
        self.assertRaises(Refused, opened, headers, whole[two:])

    def test_missing_header_is_refused(self) -> None:
        """
        Without an id, a timestamp or a signature nothing is believed.
        """
        for name in (b"id", b"timestamp", b"signature"):
            headers = signed(self.body)
            headers.removeHeader(b"twitch-eventsub-message-" + name)
            self.assertRaises(Forged, opened, headers, self.body)

    def test_empty_id_is_refused(self) -> None:
        """
        An id that names nothing is no id, even signed.
        """
        self.assertRaises(Forged, opened, signed(self.body, message_id=b""), self.body)

    def test_repeated_header_is_refused(self) -> None:
        """
        When a header is there twice nobody chooses one of the two, not even when they are the same.
        """
        for name in (b"id", b"timestamp", b"signature", b"type"):
            headers = signed(self.body)
            key = b"twitch-eventsub-message-" + name
            headers.setRawHeaders(key, (headers.getRawHeaders(key) or []) * 2)
            self.assertRaises(Forged, opened, headers, self.body)

    def test_either_secret_is_accepted_during_a_change(self) -> None:
        """
        Old and new secret are both believed while both are given.
        """
        for secret in (b"old-secret-0", b"new-secret-0"):
            message = opened(signed(self.body, secret=secret), self.body, secrets=(b"new-secret-0", b"old-secret-0"))
            self.assertIsInstance(message, Notification)

    def test_other_secret_is_refused(self) -> None:
        """
        A secret that is not ours opens nothing.
        """
        self.assertRaises(Forged, opened, signed(self.body, secret=b"somebody else's"), self.body)

    def test_nobody_signs_with_nothing(self) -> None:
        """
        An empty secret, or none, opens nothing.
        """
        for secrets in ((), (b"",)):
            self.assertRaises(Forged, opened, signed(self.body, secret=b""), self.body, secrets=secrets)

    def test_forged_message_is_not_parsed(self) -> None:
        """
        A forgery is called that whatever its body and its timestamp are.
        """
        headers = signed(b"{", timestamp=b"yesterday", secret=b"somebody else's")
        self.assertRaises(Forged, opened, headers, b"{")


class AgeTests(SynchronousTestCase):
    """
    How old a message may be.
    """

    def test_ten_minutes_either_way(self) -> None:
        """
        A message is believed for ten minutes, and from ten minutes ahead.
        """
        for now in (NOW - WINDOW + 1, NOW + WINDOW - 1):
            self.assertIsInstance(sent(ONLINE, now=now), Notification)

    def test_older_or_newer_is_stale(self) -> None:
        """
        Beyond that it may be a replay.
        """
        for now in (NOW - WINDOW - 1, NOW + WINDOW + 1):
            self.assertRaises(Stale, sent, ONLINE, now=now)

    def test_how_old_is_said(self) -> None:
        """
        The refusal has what was measured, the limit, and what to look at.
        """
        for off, when in (
            (660.0, "was sent 11 min ago"),
            (600.4, "was sent 10 min 1 s ago"),
            (-30 * 86400.0, "is dated 30 days from now"),
        ):
            refusal = self.assertRaises(Stale, sent, ONLINE, now=NOW + off)
            self.assertEqual(str(refusal), f"the message {when} (limit 10 min): check this machine's clock")

    @given(fraction=st.text("0123456789", max_size=40), zone=st.sampled_from((b"Z", b"+00:00", b"-00:00")))
    def test_any_number_of_fraction_digits(self, fraction: str, zone: bytes) -> None:
        """
        Twitch writes none to nine digits, and ours is not the place to count them.
        """
        timestamp = b"2026-01-02T03:04:06" + (f".{fraction}".encode() if fraction else b"") + zone
        self.assertIsInstance(sent(ONLINE, timestamp=timestamp), Notification)

    def test_offset_is_obeyed(self) -> None:
        """
        An offset from UTC is part of the time.
        """
        self.assertIsInstance(sent(ONLINE, timestamp=b"2026-01-02T05:04:06+02:00"), Notification)
        self.assertRaises(Stale, sent, ONLINE, timestamp=b"2026-01-02T03:04:06+02:00")

    def test_what_is_no_time_is_unreadable(self) -> None:
        """
        Only RFC 3339 is a time; other forms of ISO 8601 are not.
        """
        for timestamp in (
            b"20260102T030406Z",
            b"2026-01-02",
            b"2026-01-02T03:04:06",
            b"2026-01-02 03:04:06Z",
            b"2026-13-02T03:04:06Z",
            b"2026-01-02T03:04:06.Z",
            b"0000-01-02T03:04:06Z",
            b"1767323046",
            "\uff12\uff10\uff12\uff16-01-02T03:04:06Z".encode(),
        ):
            self.assertRaises(Unreadable, sent, ONLINE, timestamp=timestamp)


class ReadingTests(SynchronousTestCase):
    """
    What authentic messages are read as.
    """

    def test_stream_online(self) -> None:
        """
        A ``stream.online`` becomes an event with Twitch's own words.
        """
        body = json.dumps(ONLINE).encode()
        message = opened(signed(body, message_id=b"Zk_2-w=="), body)
        expected = Event(
            id="event-1",
            message_id="Zk_2-w==",
            stream_id="7000000001",
            broadcaster_id="42",
            broadcaster_login="tanuki",
            broadcaster_name="タヌキ",
            type="live",
            started_at="2026-01-02T04:00:00Z",
            received_at=NOW,
        )
        self.assertEqual(message, Notification(expected))

    def test_type_of_the_stream_is_forwarded(self) -> None:
        """
        Which streams are wanted is somebody else's decision.
        """
        message = sent({**ONLINE, "event": {**EVENT, "type": "watch_party"}})
        assert isinstance(message, Notification)
        self.assertEqual(message.event.type, "watch_party")

    @given(
        name=st.sampled_from(("broadcaster_user_login", "broadcaster_user_name", "type")),
        value=st.sampled_from((None, "", 7, True, [], ["live"], {})),
    )
    def test_names_and_the_type_may_be_missing(self, name: str, value: object) -> None:
        """
        Without them, or with something that is no text in their place, there is still a broadcast to announce.
        """
        expected = sent({**ONLINE, "event": {**EVENT, name: ""}})
        assert isinstance(expected, Notification)
        self.assertEqual(sent({**ONLINE, "event": {**EVENT, name: value}}), expected)
        bare = {key: each for key, each in EVENT.items() if key != name}
        self.assertEqual(sent({**ONLINE, "event": bare}), expected)

    def test_stream_offline(self) -> None:
        """
        A ``stream.offline`` has neither stream nor time: it happened when its message was sent.
        """
        message = sent(OFFLINE, now=NOW + 9.0)
        expected = Event(
            id="event-1",
            message_id="m-0001",
            stream_id="",
            broadcaster_id="42",
            broadcaster_login="tanuki",
            broadcaster_name="タヌキ",
            type="",
            started_at="",
            received_at=NOW + 9.0,
            event_type="stream.offline",
            occurred_at=NOW,
        )
        self.assertEqual(message, Notification(expected))
        assert isinstance(message, Notification)
        self.assertEqual(message.event.keys, ("message:m-0001",))

    def test_channel_update(self) -> None:
        """
        A ``channel.update`` has Twitch's own words for title, category and language.
        """
        message = sent(UPDATE)
        expected = Event(
            id="event-1",
            message_id="m-0001",
            stream_id="",
            broadcaster_id="42",
            broadcaster_login="tanuki",
            broadcaster_name="タヌキ",
            type="",
            started_at="",
            received_at=NOW,
            event_type="channel.update",
            occurred_at=NOW,
            title="pottery night",
            category_id="509660",
            category="Art",
            language="de",
        )
        self.assertEqual(message, Notification(expected))
        assert isinstance(message, Notification)
        self.assertEqual(message.event.keys, ("message:m-0001",))

    @given(
        name=st.sampled_from(("title", "language", "category_id", "category_name", "broadcaster_user_login")),
        value=st.sampled_from((None, "", 7, True, [], ["x"], {"title": "x"})),
    )
    def test_an_update_may_lack_anything(self, name: str, value: object) -> None:
        """
        Empty, missing or of another type: each is the same as an empty text.
        """
        expected = sent({**UPDATE, "event": {**UPDATE["event"], name: ""}})
        self.assertEqual(sent({**UPDATE, "event": {**UPDATE["event"], name: value}}), expected)
        bare = {key: each for key, each in UPDATE["event"].items() if key != name}
        self.assertEqual(sent({**UPDATE, "event": bare}), expected)

    @given(
        message=st.sampled_from((OFFLINE, UPDATE)),
        value=st.sampled_from((None, "", 7, True, [], ["42"], {})),
    )
    def test_an_event_of_no_channel_is_unreadable(self, message: dict[str, Any], value: object) -> None:
        """
        Without a user id an end or a change concerns no streamer.
        """
        self.assertRaises(Unreadable, sent, {**message, "event": {**message["event"], "broadcaster_user_id": value}})
        for event in (None, [], "x", 7):
            self.assertRaises(Unreadable, sent, {**message, "event": event})

    @given(title=st.text(), category=st.text())
    def test_titles_are_kept_as_they_are(self, title: str, category: str) -> None:
        """
        What a streamer writes is data: it arrives to the character, and nothing else of the event depends on it.
        """
        assume(not any("\ud800" <= each <= "\udfff" for each in title + category))
        message = sent({**UPDATE, "event": {**UPDATE["event"], "title": title, "category_name": category}})
        assert isinstance(message, Notification)
        self.assertEqual((message.event.title, message.event.category), (title, category))
        self.assertEqual((message.event.title, message.event.broadcaster_id), (title, "42"))

    def test_unknown_fields_are_ignored(self) -> None:
        """
        Twitch may add fields.
        """
        self.assertEqual(sent({**ONLINE, "more": [1], "event": {**EVENT, "title": "x"}}), sent(ONLINE))

    def test_message_id_is_opaque(self) -> None:
        """
        An id of any bytes is kept apart from any other.
        """
        body = json.dumps(ONLINE).encode()
        ids = set()
        for message_id in (b"\xff", b"\xfe", "é".encode(), b"x" * 500):
            message = opened(signed(body, message_id=message_id), body)
            assert isinstance(message, Notification)
            ids.add(message.event.message_id)
        self.assertEqual(len(ids), 4)

    def test_challenge(self) -> None:
        """
        A challenge is answered with its text, whatever it is for, and for a conduit's shard too.
        """
        shard = {"challenge": "qx81-otter", "conduit_shard": {"conduit_id": "c", "shard": "0"}}
        kind = b"webhook_callback_verification"
        self.assertEqual(sent(CHALLENGE, kind), Challenge("abc-123", "sub-a"))
        self.assertEqual(sent(shard, kind), Challenge("qx81-otter"))
        for strange in (None, 7, [], {}, {"id": 7}):
            self.assertEqual(sent({"challenge": "abc", "subscription": strange}, kind), Challenge("abc"))

    def test_revocation(self) -> None:
        """
        A revocation says which subscription ended and why; the reason may be any text.
        """
        expected = Revocation(subscription_id="sub-a", type="stream.online", status="user_removed", broadcaster_id="42")
        self.assertEqual(sent(REVOKED, b"revocation"), expected)

    def test_revocation_without_a_broadcaster(self) -> None:
        """
        Some subscriptions are not about a broadcaster.
        """
        for condition in (None, {}, {"broadcaster_user_id": ""}):
            message = sent({"subscription": {**REVOKED["subscription"], "condition": condition}}, b"revocation")
            assert isinstance(message, Revocation)
            self.assertEqual(message.broadcaster_id, "")

    def test_other_subscriptions_are_ignored(self) -> None:
        """
        What is not ``stream.online`` is somebody else's, events in batches included.
        """
        drops = {**SUBSCRIPTION, "type": "drop.entitlement.grant"}
        self.assertEqual(sent({"subscription": drops, "events": []}), Other("drop.entitlement.grant"))
        raid = {**SUBSCRIPTION, "type": "channel.raid"}
        self.assertEqual(sent({"subscription": raid, "event": {}}), Other("channel.raid"))

    def test_unknown_type_of_message_is_ignored(self) -> None:
        """
        Twitch may invent types of messages.
        """
        self.assertEqual(sent(ONLINE, b"greeting"), Other("greeting"))

    def test_message_without_a_type_is_unreadable(self) -> None:
        """
        Every message says what it is.
        """
        body = json.dumps(ONLINE).encode()
        headers = signed(body)
        headers.removeHeader(b"Twitch-Eventsub-Message-Type")
        self.assertRaises(Unreadable, opened, headers, body)

    def test_header_does_not_turn_one_message_into_another(self) -> None:
        """
        The header with the type is not signed, so a body is never taken for what it is not.
        """
        kinds = {
            b"webhook_callback_verification": CHALLENGE,
            b"notification": ONLINE,
            b"revocation": REVOKED,
        }
        for kind in kinds:
            for other, content in kinds.items():
                if kind != other:
                    self.assertRaises(Unreadable, sent, content, kind)

    @given(
        where=st.sampled_from(("id", "broadcaster_user_id", "started_at")),
        value=st.sampled_from((None, 7, 7.5, 10**30, True, "", [], {}, ["live"])),
    )
    def test_events_of_another_shape_are_unreadable(self, where: str, value: object) -> None:
        """
        What identifies a broadcast is a text.
        """
        self.assertRaises(Unreadable, sent, {**ONLINE, "event": {**EVENT, where: value}})

    def test_missing_parts_are_unreadable(self) -> None:
        """
        An event without a subscription, or in a batch where there are none, or without itself.
        """
        for content in (
            {"event": EVENT},
            {"subscription": [], "event": EVENT},
            {"subscription": {}, "event": EVENT},
            {"subscription": SUBSCRIPTION, "events": [EVENT]},
            {"subscription": SUBSCRIPTION, "event": None},
        ):
            self.assertRaises(Unreadable, sent, content)

    def test_challenge_is_a_text(self) -> None:
        """
        Nothing but a text can be echoed exactly.
        """
        for challenge in (None, 7, ["abc"], ""):
            self.assertRaises(Unreadable, sent, {"challenge": challenge}, b"webhook_callback_verification")

    def test_what_is_not_json_is_unreadable(self) -> None:
        """
        Neither bad UTF-8 nor a deep nest nor a number without end is more than unreadable.
        """
        for body in (b"", b"\xff", b"{", b"[]", b"7", b"null", b"NaN", b"[" * 100_000, b"9" * 10_000, b'"\\ud800"'):
            self.assertRaises(Unreadable, opened, signed(body), body)

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )

    @given(
        content=st.dictionaries(st.sampled_from(("subscription", "event", "events", "challenge", "x")), json_values)
        | st.fixed_dictionaries(
            {"subscription": st.dictionaries(st.sampled_from(tuple(SUBSCRIPTION)), json_values)},
            optional={"event": st.dictionaries(st.sampled_from(tuple(EVENT)), json_values)},
        ),
        kind=st.sampled_from((b"notification", b"revocation", b"webhook_callback_verification", b"\xff")),
    )
    def test_whatever_is_signed_is_read_or_unreadable(self, content: object, kind: bytes) -> None:
        """
        There is no third way.
        """
        try:
            message = sent(content, kind)
        except Unreadable:
            return
        self.assertIsInstance(message, Message)

    @given(st.binary(max_size=200))
    def test_any_bytes_are_unreadable(self, body: bytes) -> None:
        """
        Signed noise is no message.
        """
        assume(not body.strip().startswith(b"{"))
        self.assertRaises(Unreadable, opened, signed(body), body)
