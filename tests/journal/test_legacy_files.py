"""
Coming from the original program, and going back to it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from base64 import b64decode
from pathlib import Path
from sqlite3 import Connection
from stat import S_IMODE
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.journal.legacy_files import Imported, LegacyFiles
from itsjustintv.journal.sqlite import dedup_keys, reads, writes
from itsjustintv.journal.sqlite.database import create
from itsjustintv.journal.sqlite.offline_journal import SQLiteOfflineJournal
from itsjustintv.model import Delivery, Destination, State, broadcast_key
from tests.journal.sqlite.values import accept
from tests.journal.values import deliveries, event

NOW = 1767323105.0  # 2026-01-02T03:05:05Z

PAYLOAD = {
    "streamer_login": "foo",
    "streamer_name": "Foo",
    "streamer_id": "1",
    "url": "https://twitch.tv/foo",
    "description": "Größe",
    "image": {"url": "https://…/x.png", "width": 300, "height": 300, "data": "UE5H"},
    "timestamp": "2026-01-02T03:04:05.123456789Z",
}

ENTRY = {
    "webhook_url": "https://example.com/hook/PRIVATE",
    "payload": PAYLOAD,
    "webhook_secret": "SECRET",
    "webhook_header": "X-Hub-Signature-256",
    "webhook_hashing": "SHA-256",
    "streamer_key": "foo",
    "attempt": 2,
    "next_retry": "2026-01-02T04:06:05+01:00",
}

IDENTITY = {"broadcaster_id": "1", "stream_id": "2", "started_at": "2026-01-02T03:04:05Z"}
KEY = broadcast_key("1", "2", "2026-01-02T03:04:05Z")


def embed(body: bytes, picture: bytes) -> bytes:
    """
    Stands for the payload's own way of taking a picture in.
    """
    return json.dumps({**json.loads(body), "picture": picture.decode()}).encode()


def import_legacy(connection: Connection, legacy: LegacyFiles) -> Imported | None:
    """
    Take over in a transaction.
    """
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        return writes.import_legacy(connection, legacy, NOW)


class ExchangeCase(SynchronousTestCase):
    """
    A new journal beside the files of the original.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.connection = create(self.directory / "journal.db")
        self.addCleanup(self.connection.close)
        self.asked: list[tuple[str, str]] = []
        self.destination: str | None = "streamers.foo"
        self.original = LegacyFiles(
            self.directory / "cache.json", self.directory / "retry_state.json", self.destination_for
        )

    def destination_for(self, streamer: str, url: str) -> str | None:
        self.asked.append((streamer, url))
        return self.destination

    def write(self, name: str, content: Any) -> None:
        (self.directory / name).write_text(content if isinstance(content, str) else json.dumps(content))

    def take_over(self) -> Imported:
        report = import_legacy(self.connection, self.original)
        assert report is not None
        return report

    def only(self) -> Delivery:
        (delivery,) = reads.deliveries(self.connection, (), None, None, 9)
        self.assertEqual(reads.accounting(self.connection).imbalance, 0)
        return delivery


class TakeOverTests(ExchangeCase):
    """
    What the original left behind.
    """

    def test_announced_broadcasts_are_remembered(self) -> None:
        """
        A broadcast that the original announced is not announced again before its entry expires.
        """
        self.write(
            "cache.json",
            [
                {"key": KEY, "data": "e30=", "expires_at": "2026-01-02T04:04:05.123456789+01:00"},
                {"key": "0" * 64, "data": "e30=", "expires_at": "2026-01-02T05:04:05Z"},
            ],
        )
        self.assertEqual(self.take_over(), Imported(keys=1))
        self.assertEqual([key for key, _ in reads.seen(self.connection, NOW)], ["0" * 64])

    def test_keys_are_those_of_our_events(self) -> None:
        """
        The key of an entry is the key of the event it stands for.
        """
        self.write("cache.json", [{"key": KEY, "expires_at": "2026-01-02T05:04:05Z"}])
        self.take_over()
        news = event("e1", **IDENTITY)
        self.assertFalse(accept(self.connection, news, deliveries(news, "a"), NOW + 7200, NOW))
        found = event("e2", **IDENTITY, message_id="", recovered=True)
        self.assertFalse(accept(self.connection, found, [], NOW + 7200, NOW))

    def test_queue_goes_on(self) -> None:
        """
        A queued request is pending for the destination that is configured now, with its payload and its age.
        """
        self.write("retry_state.json", {"queue": [ENTRY]})
        self.assertEqual(self.take_over(), Imported(pending=1))
        self.assertEqual(self.asked, [("foo", "https://example.com/hook/PRIVATE")])
        delivery = self.only()
        self.assertEqual(
            (delivery.streamer, delivery.destination, delivery.state, delivery.attempts),
            ("foo", "streamers.foo", State.PENDING, 2),
        )
        self.assertEqual(json.loads(delivery.body), PAYLOAD)
        self.assertEqual(list(json.loads(delivery.body)), list(PAYLOAD))
        self.assertAlmostEqual(delivery.accepted_at, NOW - 59.876543, places=5)
        self.assertEqual(delivery.next_attempt_at, NOW + 60)
        taken = reads.event(self.connection, delivery.event_id)
        self.assertEqual((taken.broadcaster_id, taken.broadcaster_login, taken.broadcaster_name), ("1", "foo", "Foo"))
        self.assertNotIn(".", taken.id)

    def test_neither_urls_nor_secrets_are_kept(self) -> None:
        """
        Of where the original sent its request, and how it signed it, nothing is in the journal.
        """
        self.write("retry_state.json", {"queue": [ENTRY, {**ENTRY, "payload": None}]})
        report = self.take_over()
        dump = "\n".join(self.connection.iterdump())
        self.assertIn("streamers.foo", dump)
        for secret in ("PRIVATE", "SECRET"):
            self.assertNotIn(secret, dump)
            self.assertNotIn(secret, repr(report))

    def test_without_a_destination(self) -> None:
        """
        A queued request whose destination is not configured is cancelled, and says why.
        """
        self.destination = None
        self.write("retry_state.json", {"queue": [ENTRY, ENTRY]})
        self.assertEqual(self.take_over(), Imported(cancelled=2))
        self.assertIn(
            "no destination", SQLiteOfflineJournal.open(self.directory / "journal.db", lambda: NOW).list()[0].reason
        )

    def test_only_once(self) -> None:
        """
        What was taken over is not taken over again, even if nothing was there.
        """
        self.assertEqual(self.take_over(), Imported())
        self.write("retry_state.json", {"queue": [ENTRY]})
        self.assertIsNone(import_legacy(self.connection, self.original))

    def test_only_into_a_new_journal(self) -> None:
        """
        A journal in use takes nothing over.
        """
        accept(self.connection, event("e1"), [], NOW + 7200, NOW)
        self.write("retry_state.json", {"queue": [ENTRY]})
        self.assertIsNone(import_legacy(self.connection, self.original))

    def test_files_are_left_as_they_are(self) -> None:
        """
        The original's files are only read.
        """
        self.write("cache.json", [{"key": KEY, "expires_at": "2026-01-02T05:04:05Z"}])
        self.write("retry_state.json", {"queue": [ENTRY]})
        before = {file.name: file.read_bytes() for file in self.directory.glob("*.json")}
        self.take_over()
        self.assertEqual({file.name: file.read_bytes() for file in self.directory.glob("*.json")}, before)

    def test_malformed_entries_are_reported(self) -> None:
        """
        What cannot be read is named by its place and skipped, the rest is taken over.
        """
        self.write(
            "cache.json",
            [
                None,
                {"key": "short"},
                {"key": KEY},
                {"key": KEY, "expires_at": "2026-01-02T05:04:05"},
                {"key": KEY, "expires_at": "2026-01-02T05:04:05Z"},
            ],
        )
        self.write("retry_state.json", {"queue": [None, {}, {"payload": {}}, ENTRY]})
        report = self.take_over()
        self.assertEqual((report.keys, report.pending, len(report.problems)), (1, 1, 7))
        self.assertIn("cache.json: entry 1 ", report.problems[0])
        self.assertIn("retry_state.json: entry 3 ", report.problems[-1])

    def test_details_that_make_no_sense(self) -> None:
        """
        A request is not given up because something beside its payload is malformed: it is due now, as if new.
        """
        self.write(
            "retry_state.json",
            {"queue": [{"payload": {"streamer_login": 7, "timestamp": "soon"}, "attempt": True, "next_retry": None}]},
        )
        self.assertEqual(self.take_over(), Imported(pending=1))
        delivery = self.only()
        self.assertEqual((delivery.attempts, delivery.accepted_at, delivery.next_attempt_at), (0, NOW, NOW))

    def test_payload_from_the_future(self) -> None:
        """
        No delivery is younger than now.
        """
        self.write("retry_state.json", {"queue": [{**ENTRY, "payload": {"timestamp": "2036-01-01T00:00:00Z"}}]})
        self.take_over()
        self.assertEqual(self.only().accepted_at, NOW)

    def test_text_that_is_no_text(self) -> None:
        """
        Half a character does not stop the others.
        """
        self.write("retry_state.json", r'{"queue": [{"payload": {"streamer_name": "\ud83d"}}]}')
        self.assertEqual(self.take_over(), Imported(pending=1))

    def test_empty_queue(self) -> None:
        """
        The original writes an empty queue as null.
        """
        self.write("retry_state.json", {"queue": None})
        self.write("cache.json", "null")
        self.assertEqual(self.take_over(), Imported())

    def test_files_that_are_something_else(self) -> None:
        """
        A file of another shape is reported once and not fatal.
        """
        for cache, retry_state in (
            ("{torn", "[]"),
            ("{}", '{"queue": {}}'),
            ("[NaN]", "[" * 100_000),
            (" " * (64 * 1024 * 1024 + 1), "7"),
        ):
            self.write("cache.json", cache)
            self.write("retry_state.json", retry_state)
            with self.connection:
                self.connection.execute("UPDATE numbers SET value = 0")
            self.assertEqual(len(self.take_over().problems), 2)

    def test_unreadable(self) -> None:
        """
        A file that cannot be read is reported with the reason.
        """
        (self.directory / "cache.json").mkdir()
        (problem,) = self.take_over().problems
        self.assertIn("cache.json cannot be read: it is a directory, use a regular file", problem)

    def test_all_or_nothing(self) -> None:
        """
        When the journal cannot keep all of it, it keeps none of it and will try again.
        """
        self.write("cache.json", [{"key": KEY, "expires_at": "2026-01-02T05:04:05Z"}])
        self.write("retry_state.json", {"queue": [ENTRY]})
        self.destination = "\ud83d"
        self.assertRaises(UnicodeEncodeError, self.take_over)
        self.destination = "a"
        self.assertEqual(self.take_over(), Imported(keys=1, pending=1))

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*ENTRY, "queue", "key", "x"]), inner),
        )
    )
    def test_nothing_in_the_files_is_fatal(self, content: Any) -> None:
        """
        Whatever the files say, the journal starts, and its accounts balance.
        """
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.row_factory = sqlite3.Row
        self.connection.backup(connection)
        self.write("cache.json", content)
        self.write("retry_state.json", {"queue": [{"payload": content}, content]})
        import_legacy(connection, self.original)
        self.assertEqual(reads.accounting(connection).imbalance, 0)
        connection.close()


class ExportTests(ExchangeCase):
    """
    The way back.
    """

    def setUp(self) -> None:
        super().setUp()
        self.path = self.directory / "journal.db"
        self.news = event("e1", received_at=NOW - 60)
        accept(self.connection, self.news, deliveries(self.news, "a"), NOW + 7200, NOW - 60)
        self.target = Destination(name="a", url="https://example.com/a", secret="s", header="X-Mine", hashing="sha512")

    def resolve(self, name: str, _key: str) -> Destination | None:
        return self.target if name == "a" else None

    def export(self) -> tuple[str, ...]:
        export = SQLiteOfflineJournal.open(self.path, lambda: NOW).export(self.resolve, embed)
        export.write(self.directory)
        self.assertEqual(export.keys, len(self.read("cache.json")))
        self.assertEqual(export.pending, len(self.read("retry_state.json")["queue"]))
        return export.problems

    def read(self, name: str) -> Any:
        return json.loads((self.directory / name).read_text(encoding="utf-8"))

    def prepare(self, picture: bytes | None = None) -> None:
        writes.prepare(self.connection, "e1-1", '{"name":"Größe"}'.encode(), picture, NOW)

    def test_cache(self) -> None:
        """
        Each broadcast that is remembered is one entry as the original writes it, whatever other keys it has.
        """
        self.prepare()
        dedup_keys.add(self.connection, [("0" * 64, NOW + 60)])
        self.assertEqual(self.export(), ())
        unknown, known = sorted(self.read("cache.json"), key=lambda entry: str(entry["key"]))
        self.assertEqual(
            (known["key"], known["expires_at"], known["created_at"]),
            (self.news.keys[0], "2026-01-02T05:05:05Z", "2026-01-02T03:04:05Z"),
        )
        self.assertEqual(json.loads(b64decode(known["data"]))["broadcaster_user_login"], "cool_user")
        self.assertEqual((unknown["key"], b64decode(unknown["data"])), ("0" * 64, b"null"))

    def test_recovered_broadcasts_are_in_the_cache(self) -> None:
        """
        For the original a broadcast that was found by asking is one like any other.
        """
        found = event("e2", message_id="", recovered=True, received_at=NOW)
        accept(self.connection, found, [], NOW + 7200, NOW)
        self.export()
        self.assertEqual({entry["key"] for entry in self.read("cache.json")}, {self.news.keys[0], found.keys[0]})

    def test_queue(self) -> None:
        """
        Each pending delivery is a request as the original writes it, with what it needs to sign it.
        """
        self.prepare()
        self.export()
        self.assertEqual(
            self.read("retry_state.json"),
            {
                "queue": [
                    {
                        "webhook_url": "https://example.com/a",
                        "payload": {"name": "Größe"},
                        "webhook_secret": "s",
                        "webhook_header": "X-Mine",
                        "webhook_hashing": "SHA-512",
                        "streamer_key": "cool",
                        "attempt": 0,
                        "next_retry": "2026-01-02T03:05:05Z",
                    }
                ]
            },
        )

    def test_without_a_secret(self) -> None:
        """
        Without a secret nothing is said about signing.
        """
        self.target = Destination(name="a", url="https://example.com/a")
        self.prepare()
        self.export()
        (entry,) = self.read("retry_state.json")["queue"]
        self.assertFalse({"webhook_secret", "webhook_header", "webhook_hashing"} & set(entry))

    def test_picture(self) -> None:
        """
        The picture is in the payload.
        """
        self.prepare(picture=b"png")
        self.export()
        self.assertEqual(self.read("retry_state.json")["queue"][0]["payload"]["picture"], "png")

    def test_what_stays_behind(self) -> None:
        """
        What the original's files cannot say is reported: deliveries without a payload, and those to nowhere.
        """
        accept(self.connection, event("e2"), deliveries(event("e2"), "gone"), NOW + 7200, NOW)
        writes.prepare(self.connection, "e2-1", b"{}", None, NOW)
        gone, unprepared = self.export()
        self.assertIn("gone", gone)
        self.assertIn("1 delivery", unprepared)
        self.assertEqual(self.read("retry_state.json"), {"queue": []})

    def test_there_and_back(self) -> None:
        """
        What was exported is taken over as it was.
        """
        self.prepare()
        self.export()
        other = create(self.directory / "other.db")
        self.addCleanup(other.close)
        original = LegacyFiles(self.directory / "cache.json", self.directory / "retry_state.json", lambda key, url: "a")
        self.assertEqual(import_legacy(other, original), Imported(keys=1, pending=1))
        (before,) = reads.pending(self.connection)
        (after,) = reads.pending(other)
        self.assertEqual(after.body, before.body)
        self.assertEqual((after.attempts, after.next_attempt_at), (before.attempts, before.next_attempt_at))

    def test_for_this_user_only(self) -> None:
        """
        The files are readable for nobody else, even where others were before.
        """
        self.write("cache.json", "[]")
        (self.directory / "cache.json").chmod(0o644)
        self.export()
        for name in ("cache.json", "retry_state.json"):
            self.assertEqual(S_IMODE((self.directory / name).stat().st_mode), 0o600)

    def test_a_file_is_replaced_as_a_whole(self) -> None:
        """
        When writing fails the old file is untouched, and no half of the new one is left.
        """
        self.write("cache.json", "[]")
        self.patch(os, "fsync", self._full)
        self.assertRaises(OSError, self.export)
        self.assertEqual(self.read("cache.json"), [])
        self.assertEqual(list(self.directory.glob(".*")), [])

    def _full(self, descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    def test_times_beyond_the_calendar(self) -> None:
        """
        A time to live beyond all years is written as the last moment of them.
        """
        dedup_keys.add(self.connection, [("0" * 64, 1e300)])
        self.prepare()
        self.export()
        self.assertIn("9999-12-31T23:59:59Z", [entry["expires_at"] for entry in self.read("cache.json")])
