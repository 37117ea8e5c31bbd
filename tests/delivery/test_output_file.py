"""
Tests for :mod:`itsjustintv.delivery.output_file`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from errno import ENOSPC
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, execute, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from itsjustintv.config.sections import Output
from itsjustintv.delivery import output_file
from itsjustintv.delivery.output_file import OutputFile
from itsjustintv.errors import JournalUnavailable
from itsjustintv.interfaces import IOutcomeSink
from itsjustintv.model import Attempt, Delivery, Outcome, State
from itsjustintv.support.files import replace
from tests import examples

NOW = 1_700_000_000.25

OK = Attempt(ok=True, reason="delivered", detail="fine.", started_at=NOW, duration=0.1, status=204)
BUSY = Attempt(ok=False, reason="http_503", detail="home is busy.", started_at=NOW, duration=0.1, status=503)


def outcome(delivery_id: str, attempt: Attempt | None = OK, body: bytes = b'{"streamer_login":"foo"}') -> Outcome:
    """
    What became of a delivery.
    """
    delivery = Delivery(
        id=delivery_id,
        event_id="e1",
        streamer="foo",
        destination="home",
        accepted_at=NOW,
        next_attempt_at=NOW,
        state=State.DELIVERED if attempt is OK else State.PENDING,
        body=body,
        picture=b"PICTURE",
    )
    return Outcome(delivery=delivery, attempt=attempt, at=NOW)


class OutputTestCase(SynchronousTestCase):
    """
    An output file in a directory of its own, with a thread that works when it is told to.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.path = Path(self.mktemp()) / "output.json"
        self.path.parent.mkdir()
        self.settings = Output(file_path=str(self.path))
        self.kept: list[Outcome] = []
        self.asked: list[int] = []
        self.work: list[Callable[[], None]] = []
        self.answers: list[Deferred[None]] = []
        self.output = self.make()

    def make(self) -> OutputFile:
        """
        An output file whose thread works at once.
        """
        return OutputFile(lambda: self.settings, self.clock, execute, self.recent)

    def recent(self, limit: int) -> Deferred[Sequence[Outcome]]:
        """
        The journal's last outcomes.
        """
        self.asked.append(limit)
        return succeed(self.kept)

    def start(self) -> None:
        """
        Start it and let it read what is there.
        """
        self.output.startService()
        self.clock.advance(0)

    def write(self, *outcomes: Outcome) -> None:
        """
        Record outcomes and let them be written.
        """
        for each in outcomes:
            self.output.record(each)
        self.clock.advance(1)

    def read(self) -> Any:
        """
        What a reader of the file sees.
        """
        return json.loads(self.path.read_text("utf-8"))


class FormatTests(OutputTestCase):
    """
    The file is the original's.
    """

    def test_entries(self) -> None:
        """
        It is an indented array, oldest first, and an error is only there if there was one.
        """
        verifyObject(IOutcomeSink, self.output)
        self.start()
        self.write(outcome("a"), outcome("b", BUSY))
        self.assertEqual(
            self.read(),
            [
                {
                    "timestamp": "2023-11-14T22:13:20.250Z",
                    "payload": {"streamer_login": "foo"},
                    "success": True,
                    "delivery": "a",
                },
                {
                    "timestamp": "2023-11-14T22:13:20.250Z",
                    "payload": {"streamer_login": "foo"},
                    "success": False,
                    "delivery": "b",
                    "error": "home is busy.",
                },
            ],
        )
        self.assertEqual(self.path.read_text("utf-8"), json.dumps(self.read(), indent=2) + "\n")

    def test_correction(self) -> None:
        """
        A later attempt corrects the entry of an earlier one where it stands.
        """
        self.start()
        self.write(outcome("a", BUSY), outcome("b"))
        self.write(outcome("a", evolve(BUSY, detail="home is gone.")))
        self.assertEqual(
            [(each["delivery"], each.get("error")) for each in self.read()], [("a", "home is gone."), ("b", None)]
        )
        self.write(outcome("a"))
        self.assertEqual([(each["delivery"], each["success"]) for each in self.read()], [("a", True), ("b", True)])
        self.assertNotIn("error", self.read()[0])

    def test_ends_without_attempt(self) -> None:
        """
        What was never sent is not in the file.
        """
        self.start()
        self.write(outcome("a", None))
        self.assertFalse(self.path.exists())

    def test_no_picture(self) -> None:
        """
        The bytes of a picture are never in the file, its address is.
        """
        self.start()
        self.write(
            outcome("a", body=b'{"image":{"url":"https://x/","data":"UE5H"}}'), outcome("b", body=b'{"image":null}')
        )
        self.assertEqual(self.read()[0]["payload"], {"image": {"url": "https://x/"}})
        self.assertNotIn("PICTURE", self.path.read_text())

    def test_what_was_sent(self) -> None:
        """
        Where a plain form is stored beside what is sent, an entry holds the one that was sent.
        """
        self.start()
        stored = b'{"body":{"content":"**foo**"},"plain":{"content":"foo"}}'
        rich, plain = outcome("a", body=stored), outcome("b", body=stored)
        self.write(rich, evolve(plain, delivery=evolve(plain.delivery, plain=True)))
        self.assertEqual([each["payload"] for each in self.read()], [{"content": "**foo**"}, {"content": "foo"}])

    def test_no_picture_of_a_post(self) -> None:
        """
        The bytes of a picture that is stored with a post are left out as well.
        """
        self.start()
        self.write(
            outcome("a", body=b'{"body":{"text":"x","image":{"mime_type":"image/png","data":"UE5H"}},"plain":{}}')
        )
        self.assertEqual([each["payload"]["image"] for each in self.read()], [{"mime_type": "image/png"}])

    def test_newest_are_kept(self) -> None:
        """
        Of more outcomes than are to be kept the oldest go, whatever the number is changed to.
        """
        self.settings = evolve(self.settings, max_lines=3)
        self.start()
        self.write(*(outcome(str(number)) for number in range(5)))
        self.assertEqual([each["delivery"] for each in self.read()], ["2", "3", "4"])
        self.settings = evolve(self.settings, max_lines=1)
        self.write(outcome("5"))
        self.assertEqual([each["delivery"] for each in self.read()], ["5"])
        for number in (0, -1):
            self.settings = evolve(self.settings, max_lines=number)
            self.write(outcome(f"x{number}"))
            self.assertEqual(self.read(), [])

    def test_payload_that_is_none(self) -> None:
        """
        One payload that is no JSON does not keep the others from being written.
        """
        self.start()
        self.write(outcome("a", body=b""), outcome("b"))
        self.assertEqual([each["payload"] for each in self.read()], [None, {"streamer_login": "foo"}])

    def test_it_steers_no_terminal(self) -> None:
        """
        Whoever prints the file sees what would steer the terminal, and a program reads what was there.
        """
        title = "a\x1b[31m\x7f\x9b\u202e\u2028"
        self.start()
        self.write(outcome("1", body=json.dumps({"title": title}).encode()))
        self.assertIn(r"a\u001b[31m\u007f\u009b\u202e\u2028", self.path.read_text(encoding="utf-8"))
        self.assertEqual(self.read()[0]["payload"]["title"], title)

    @settings(max_examples=examples(50))
    @given(st.dictionaries(st.text(), st.none() | st.booleans() | st.text() | st.lists(st.text())), st.text())
    def test_any_text(self, payload: dict[str, Any], detail: str) -> None:
        """
        Whatever text is in a payload or an error, the file remains JSON and says the same.
        """
        try:
            body = json.dumps(payload).encode()
            detail.encode()
        except UnicodeEncodeError:
            return
        self.output = self.make()
        self.start()
        self.write(outcome("a", evolve(BUSY, detail=detail), body))
        (entry,) = [each for each in self.read() if each["delivery"] == "a"]
        self.assertEqual((entry["payload"], entry["error"]), (payload, detail))

    def test_mode(self) -> None:
        """
        Only the daemon's own user can read the file, and nothing else is left in the directory.
        """
        self.start()
        self.write(outcome("a"))
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual([each.name for each in self.path.parent.iterdir()], ["output.json"])


class ExistingFileTests(OutputTestCase):
    """
    What an earlier run has left.
    """

    def test_goes_on(self) -> None:
        """
        A file of an earlier run is continued, and its entries can be corrected.
        """
        self.start()
        self.write(outcome("a", BUSY), outcome("b"))
        self.successResultOf(self.output.stopService())
        self.output = self.make()
        self.start()
        self.write(outcome("a"), outcome("c"))
        self.assertEqual(
            [(each["delivery"], each["success"]) for each in self.read()], [("a", True), ("b", True), ("c", True)]
        )

    def test_original_file(self) -> None:
        """
        The original program's file is taken over, but for the pictures in it.
        """
        entry = {
            "timestamp": "2025-07-16T10:00:00.123456789+02:00",
            "payload": {"streamer_login": "bar", "image": {"url": "https://x/", "data": "UE5H"}},
            "success": False,
            "error": "boom",
        }
        self.path.write_text(json.dumps([entry, entry]))
        self.start()
        self.write(outcome("a"))
        entry["payload"] = {"streamer_login": "bar", "image": {"url": "https://x/"}}
        self.assertEqual(self.read()[:2], [entry, entry])
        self.assertEqual(self.read()[2]["delivery"], "a")

    def test_corrupt(self) -> None:
        """
        A file that is no list of outcomes is moved aside with one warning, and never overwritten, not even the second
        time.
        """
        for number, text in enumerate([b"[{", b"{}", b"[1]", b"\xff"]):
            self.path.write_bytes(text)
            self.output = self.make()
            with capturedLogs() as logs:
                self.start()
                self.write(outcome("a"))
            aside = self.path.with_name("output.json.corrupt" + ("" if number == 0 else f"-{number + 1}"))
            self.assertEqual(aside.read_bytes(), text)
            self.assertEqual([each["delivery"] for each in self.read()], ["a"])
            (line,) = logs
            self.assertEqual((line["log_level"], line["aside"]), (LogLevel.warn, str(aside)))

    def test_what_the_journal_knows_better(self) -> None:
        """
        After a crash the journal's outcomes fill what the file lacks and correct what it has, once.
        """
        self.start()
        self.write(outcome("a", BUSY))
        self.kept = [outcome("a"), outcome("b", BUSY), outcome("x", None)]
        self.asked.clear()
        self.output = self.make()
        self.start()
        self.write(outcome("b"), outcome("c"))
        self.assertEqual(
            [(each["delivery"], each["success"]) for each in self.read()], [("a", True), ("b", True), ("c", True)]
        )
        self.assertEqual(self.asked, [self.settings.max_lines])

    def test_news_are_newer_than_what_the_journal_is_asked_for(self) -> None:
        """
        An outcome that is recorded while the journal is being asked stands, whatever the answer says about it.
        """
        answer: Deferred[Sequence[Outcome]] = Deferred()
        self.output = OutputFile(lambda: self.settings, self.clock, execute, lambda _: answer)
        self.start()
        self.output.record(outcome("a"))
        answer.callback([outcome("z"), outcome("a", BUSY)])
        self.assertEqual([(each["delivery"], each["success"]) for each in self.read()], [("z", True), ("a", True)])

    def test_journal_that_cannot_be_read(self) -> None:
        """
        Without an answer from the journal the file goes on with what it has, and one warning says so.
        """
        self.output = OutputFile(
            lambda: self.settings, self.clock, execute, lambda _: fail(JournalUnavailable("disk full"))
        )
        with capturedLogs() as logs:
            self.start()
            self.write(outcome("a"))
        self.assertEqual([each["delivery"] for each in self.read()], ["a"])
        self.assertEqual([each["reason"] for each in logs], ["disk full"])

    def test_another_path(self) -> None:
        """
        When the configuration moves the file, the next outcome makes the new one complete and leaves the old one alone.
        """
        self.start()
        self.write(outcome("a"))
        before, old = self.path.read_bytes(), self.path
        self.kept = [outcome("a"), outcome("b")]
        self.path = self.path.with_name("other.json")
        self.settings = Output(file_path=str(self.path))
        self.write(outcome("b"))
        self.assertEqual([each["delivery"] for each in self.read()], ["a", "b"])
        self.assertEqual(old.read_bytes(), before)

    def test_untouched_without_news(self) -> None:
        """
        Starting alone writes nothing.
        """
        self.path.write_text("[]")
        self.start()
        self.clock.advance(10)
        self.assertEqual(self.path.read_text(), "[]")
        self.assertEqual(self.clock.getDelayedCalls(), [])


class PaceTests(OutputTestCase):
    """
    Writing never gets in the way.
    """

    def make(self) -> OutputFile:
        """
        An output file whose thread works when it is told to.
        """

        def later(work: Callable[[], None]) -> Deferred[None]:
            answer: Deferred[None] = Deferred()
            self.work.append(work)
            self.answers.append(answer)
            return answer

        return OutputFile(lambda: self.settings, self.clock, later, self.recent)

    def finish(self) -> None:
        """
        Let the thread do what it has.
        """
        execute(self.work.pop()).chainDeferred(self.answers.pop())

    def test_coalesced(self) -> None:
        """
        However many outcomes come, one write is under way and one waits, and they are a second apart.
        """
        self.start()
        self.finish()
        for number in range(100):
            self.output.record(outcome(str(number)))
        self.assertEqual(self.work, [])
        self.clock.advance(1)
        self.assertEqual(len(self.work), 1)
        for number in range(100, 200):
            self.output.record(outcome(str(number)))
            self.clock.advance(1)
        self.assertEqual(len(self.work), 1)
        self.finish()
        self.assertEqual(len(self.read()), 100)
        self.clock.advance(0)
        self.finish()
        self.assertEqual(len(self.read()), 200)
        self.clock.advance(10)
        self.assertEqual((self.work, self.clock.getDelayedCalls()), ([], []))

    def test_stop_while_writing(self) -> None:
        """
        Stopping waits for the write under way and writes what has come since.
        """
        self.start()
        self.finish()
        self.output.record(outcome("a"))
        self.clock.advance(1)
        self.output.record(outcome("b"))
        stopping = self.output.stopService()
        self.assertNoResult(stopping)
        self.finish()
        self.assertNoResult(stopping)
        self.finish()
        self.successResultOf(stopping)
        self.assertEqual([each["delivery"] for each in self.read()], ["a", "b"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_before_writing(self) -> None:
        """
        Stopping writes at once what was to be written soon; stopping again does nothing.
        """
        self.output.record(outcome("a"))
        self.output.startService()
        stopping = self.output.stopService()
        self.finish()
        self.successResultOf(stopping)
        self.assertEqual([each["delivery"] for each in self.read()], ["a"])
        self.successResultOf(self.output.stopService())
        self.assertEqual((self.work, self.clock.getDelayedCalls()), ([], []))

    def test_failure_while_news_arrive(self) -> None:
        """
        What arrives during a write that fails is newer than what was to be written, and nothing is tried before the
        next outcome.
        """
        self.start()
        self.finish()
        self.output.record(outcome("a", BUSY))
        self.clock.advance(1)
        self.output.record(outcome("a"))
        self.work.clear()
        self.answers.pop().errback(OSError(28, "No space left on device"))
        self.clock.advance(60)
        self.assertEqual((self.work, self.clock.getDelayedCalls()), ([], []))
        self.output.record(outcome("b"))
        self.clock.advance(1)
        self.finish()
        self.assertEqual([(each["delivery"], each["success"]) for each in self.read()], [("a", True), ("b", True)])

    def test_clock_that_jumps_back(self) -> None:
        """
        A clock that is set back a day does not stop the file for a day.
        """
        self.start()
        self.finish()
        self.clock.rightNow -= 86400
        self.output.record(outcome("a"))
        self.clock.advance(1)
        self.assertEqual(len(self.work), 1)


class TroubleTests(OutputTestCase):
    """
    The file is a view; nothing depends on it.
    """

    def test_disk_error(self) -> None:
        """
        A disk that fails is logged once, and everything is written at the first outcome after it works again.
        """

        def full(path: Path, content: bytes) -> None:
            raise OSError(ENOSPC, "No space left on device")

        self.start()
        self.patch(output_file, "replace", full)
        with capturedLogs() as logs:
            self.write(outcome("a", BUSY))
            self.clock.advance(60)
            self.write(outcome("a"), outcome("b"))
        self.assertEqual([each["log_level"] for each in logs], [LogLevel.warn])
        self.assertIn("reason", logs[0])
        self.assertFalse(self.path.exists())
        self.patch(output_file, "replace", replace)
        self.write(outcome("c"))
        self.assertEqual(
            [(each["delivery"], each["success"]) for each in self.read()], [("a", True), ("b", True), ("c", True)]
        )

    def test_unreadable_at_start(self) -> None:
        """
        A file that cannot be read is not overwritten.
        """
        self.path.mkdir()
        with capturedLogs() as logs:
            self.start()
            self.write(outcome("a"))
        self.assertEqual(len(logs), 1)
        self.path.rmdir()
        self.write(outcome("b"))
        self.assertEqual([each["delivery"] for each in self.read()], ["a", "b"])

    def test_defect(self) -> None:
        """
        A defect is logged as one, and ends nothing.
        """

        def broken(work: Callable[[], None]) -> Deferred[None]:
            raise RuntimeError("defect")

        self.output._run_in_thread = broken
        self.start()
        self.write(outcome("a"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.output._run_in_thread = execute
        self.write(outcome("b"))
        self.assertEqual([each["delivery"] for each in self.read()], ["a", "b"])

    def test_disabled(self) -> None:
        """
        While it is disabled nothing is read, kept or written; once it is enabled, it goes on.
        """
        self.settings = evolve(self.settings, enabled=False)
        self.start()
        self.write(outcome("a"))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.settings = Output(file_path=str(self.path))
        self.write(outcome("b"))
        self.assertEqual([each["delivery"] for each in self.read()], ["b"])

    def test_missing_directory(self) -> None:
        """
        The directory is made if it is not there.
        """
        self.path = self.path.parent / "data" / "output.json"
        self.settings = Output(file_path=str(self.path))
        self.start()
        self.write(outcome("a"))
        self.assertEqual(len(self.read()), 1)
