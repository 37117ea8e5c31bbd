"""
Tests for :mod:`itsjustintv.cli.explain`.
"""

from __future__ import annotations

import json
from http.client import HTTPException
from pathlib import Path
from types import SimpleNamespace

from attrs import evolve
from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli.explain import _reception, _with_reception
from itsjustintv.cli.main import main
from itsjustintv.config.removal_grace import DESTINATIONS, STREAMERS
from itsjustintv.journal.sqlite import writes
from itsjustintv.journal.sqlite.database import create
from itsjustintv.journal.sqlite.offline_journal import SQLiteOfflineJournal
from itsjustintv.model import State
from tests.journal.sqlite.values import accept
from tests.journal.values import attempt, deliveries, event


class ReceptionTests(SynchronousTestCase):
    """
    Whether messages arrive, by what the running daemon says of its conduit.
    """

    def reception(self, answer: object) -> tuple[str, str]:
        """
        What is made of an answer; an exception is raised.
        """

        def ask(*_: object) -> tuple[int, object]:
            if isinstance(answer, Exception):
                raise answer
            return 200, answer

        return _reception(SimpleNamespace(ask=ask, url="http://127.0.0.1:8080"))  # type: ignore[arg-type]

    def test_they_arrive(self) -> None:
        """
        One enabled shard is enough.
        """
        conduit = {"shards": 2, "enabled": 1, "standing_by": 0, "held": 0}
        self.assertEqual(self.reception({"conduit": conduit}), ("arrive: 1 of 2 shards are enabled", ""))

    def test_they_do_not(self) -> None:
        """
        Then the daemon's own reason is given, and what to do.
        """
        conduit = {"shards": 2, "enabled": 0, "standing_by": 0, "held": 0}
        reasons = [{"check": "conduit", "reason": "deaf since T because no shard is enabled"}]
        answer = self.reception({"conduit": conduit, "reasons": reasons})
        self.assertEqual(answer, ("do not arrive now: deaf since T because no shard is enabled", "itsjustintv doctor"))

    def test_they_are_not_stored(self) -> None:
        """
        What arrives and waits in memory is in danger.
        """
        conduit = {"shards": 2, "enabled": 2, "standing_by": 0, "held": 1}
        reasons = [{"check": "memory", "reason": "1 event held in memory, not stored yet: the disk is full"}]
        text, then = self.reception({"conduit": conduit, "reasons": reasons})
        self.assertIn("arrive: 2 of 2 shards are enabled; 1 event held in memory", text)
        self.assertIn("before the daemon is restarted", then)

    def test_no_answer(self) -> None:
        """
        Without a daemon, or with one that receives by webhook, it is not known.
        """
        for answer in (ConnectionRefusedError(), HTTPException(), None, {}, {"conduit": None}):
            self.assertTrue(self.reception(answer)[0].startswith("unknown whether they arrive"), answer)

    def test_what_comes_next(self) -> None:
        """
        A subscription that works is not said to be all when nothing arrives; what is wrong with it comes first.
        """
        works, other = ("next", "nothing: the subscription works"), ("next", "ask Twitch for a higher limit")
        self.assertEqual(_with_reception([works], "arrive", ""), [("messages", "arrive"), works])
        changed = [("messages", "do not"), ("next", "itsjustintv doctor")]
        self.assertEqual(_with_reception([works], "do not", "itsjustintv doctor"), changed)
        self.assertEqual(_with_reception([other], "do not", "itsjustintv doctor"), [("messages", "do not"), other])


class EventTests(SynchronousTestCase):
    """
    ``itsjustintv explain EVENT``.
    """

    def setUp(self) -> None:
        """
        A journal with an event to five destinations, each of which came to something else.
        """
        self.folder = Path(self.mktemp()).absolute()
        self.connection = connection = create(self.folder / "journal.db")
        self.addCleanup(connection.close)
        news = event("e1")
        accept(connection, news, deliveries(news, "done", "again", "held", "filtered", "dead"), 9999.0, 1000.0)
        for number in (1, 2, 5):
            writes.prepare(connection, f"e1-{number}", b"{}", None, 1000.0)
        writes.settle(connection, "e1-1", State.DELIVERED, "", 1001.0, attempt(True))
        writes.settle(connection, "e1-2", State.PENDING, "http_503", 1001.0, attempt(), 1031.0)
        writes.hold(connection, "e1-3", 1030.0, "the tags are not known")
        writes.settle(connection, "e1-4", State.FILTERED, "no tag", 1000.5)
        writes.settle(connection, "e1-5", State.DEAD, "gone", 1001.0, attempt())

    def explain(self, what: str, *options: str) -> Result:
        """
        What it says.
        """
        path = self.folder / "config.toml"
        path.write_text(
            f'[storage]\npath = "{self.folder}/journal.db"\n'
            '[twitch]\nclient_id = "an-id-of-tests"\nclient_secret = "a-secret-of-tests"\n'
            'webhook_secret = "a secret of tests"\n'
            '[streamers.cool]\nlogin = "cool_user"\ntarget_webhook_url = "https://receiver.example.org/live"\n'
        )
        return CliRunner().invoke(main, ["explain", what, "--config", str(path), *options])

    def test_for_people(self) -> None:
        """
        Every step is a line, and every delivery says where it stands and what is next.
        """
        result = self.explain("e1")
        self.assertEqual(result.exit_code, 0, result.output)
        for text in (
            "e1-1 to done: delivered, attempt 1",
            "e1-2 to again: attempt 2 is due at 1970-01-01 00:17:11",
            "e1-3 to held: not prepared yet (the tags are not known); due at 1970-01-01 00:17:10",
            "e1-4 to filtered: filtered: no tag",
            "e1-5 to dead: dead: gone; requeue it with itsjustintv deliveries retry e1-5",
            "250 ms",
        ):
            self.assertIn(text, result.output)
        self.assertNotIn("receiver.example.org", result.output)

    def test_refreshes(self) -> None:
        """
        A refresh is named as such, and is no further destination of the event.
        """
        news = event("e2", stream_id="8", broadcaster_id="9")
        accept(
            self.connection, news, [evolve(each, broadcast="e2") for each in deliveries(news, "card")], 9999.0, 1000.0
        )
        writes.prepare(self.connection, "e2-1", b"{}", None, 1000.0, shown="s", refreshes=(120.0, 360.0))
        writes.settle(self.connection, "e2-1", State.DELIVERED, "", 1001.0, attempt(True, remote="m1"))
        writes.settle(self.connection, "e2-3", State.SUPERSEDED, "the broadcast has ended", 1300.0)
        output = self.explain("e2").output
        for text in (
            "e2-1 to card: delivered, attempt 1; post created",
            "e2-2 to card: waits to refresh the post; due at 1970-01-01 00:18:40",
            "e2-3 to card: refresh of the post: superseded: the broadcast has ended",
            "stored with its deduplication keys, for 1 destination",
        ):
            self.assertIn(text, output)

    def test_what_a_reload_took_away(self) -> None:
        """
        A delivery that the daemon has suspended says what is missing, and when it ends.
        """
        journal = SQLiteOfflineJournal.open(self.folder / "journal.db", lambda: 1100.0)
        journal.remember_all(DESTINATIONS, {"again": 1100})
        journal.remember_all(STREAMERS, {"e1": 1100, "tanuki": 1100})
        result = self.explain("e1")
        self.assertIn(
            "e1-2 to again: suspended: destination again is not configured; cancelled at 1970-01-01"
            " 00:28:20 UTC unless it",
            result.output,
        )
        self.assertIn("e1-1 to done: delivered, attempt 1", result.output)
        path = self.folder / "config.toml"
        for arguments in (["list"], ["show", "e1-2"], ["list", "--json"], ["show", "--json", "e1-2"]):
            with self.subTest(arguments):
                shown = CliRunner().invoke(main, ["deliveries", *arguments, "--config", str(path)])
                self.assertEqual(shown.exit_code, 0, shown.output)
                when = "1970-01-01T00:28:20Z" if "--json" in arguments else "1970-01-01 00:28:20"
                self.assertIn(when, shown.output)

    def test_for_programs(self) -> None:
        """
        The same as JSON, with times in RFC 3339 and durations in seconds.
        """
        content = json.loads(self.explain("e1-2", "--json").output)
        self.assertEqual(content["event"]["id"], "e1")
        self.assertEqual([each["state"] for each in content["deliveries"]][:2], ["delivered", "pending"])
        self.assertEqual(
            content["steps"][1],
            {
                "at": "1970-01-01T00:16:40.000Z",
                "seconds": 0.0,
                "step": "kept",
                "destination": None,
                "text": "stored with its deduplication keys, for 5 destinations",
            },
        )

    def test_neither(self) -> None:
        """
        What is no event, and cannot be a streamer, is said at once, and Twitch is not asked.
        """
        result = self.explain("01a21230bc74a19bf90afa6300000003")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("no event or streamer 01a2", result.output)

    def test_a_name_that_is_nearly_right(self) -> None:
        """
        What is neither an event nor a streamer is an error with the nearest name, and Twitch is not asked.
        """
        for what, meant in (("nosuch", "known: cool, cool_user"), ("cool_usr", "did you mean cool_user?")):
            result = self.explain(what)
            self.assertEqual((result.exit_code, result.stdout), (1, ""), result.output)
            self.assertIn(
                f"no event or streamer {what}; events are kept for seven days after they end; {meant}", result.stderr
            )

    def test_no_longer_configured(self) -> None:
        """
        A streamer that only the journal has is told of as far as the journal goes.
        """
        news = event("f1", message_id="m", stream_id="s", broadcaster_id="7")
        gone = [evolve(each, streamer="gone") for each in deliveries(news, "there")]
        accept(self.connection, news, gone, 9999.0, 1000.0)
        result = self.explain("gone")
        self.assertEqual(result.exit_code, 0, result.output)
        for text in ("configured:   no", "there", "f1"):
            self.assertIn(text, result.output)

    def test_the_beginning_of_an_id(self) -> None:
        """
        An event goes by the beginning of its id or of a delivery's, if there is but one.
        """
        for name in ("019b7c9f0f3e0001", "019b7c9f0f3e0002"):
            news = event(name)
            accept(self.connection, news, deliveries(news, "a"), 9999.0, 1000.0)
        for what in ("019b7c9f0f3e0002", "019b7c9f0f3e0002-1", "019b7c9f0f3e0002-"):
            self.assertIn("event         019b7c9f0f3e0002", self.explain(what).output, what)
        result = self.explain("019b7c9f")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("019b7c9f is ambiguous", result.stderr)

    def test_without_a_journal(self) -> None:
        """
        What is neither an event nor a streamer cannot be explained without a journal.
        """
        (self.folder / "journal.db").unlink()
        result = self.explain("e1")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("there is no journal", result.output)
