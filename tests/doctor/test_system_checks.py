"""
Tests for :mod:`itsjustintv.doctor.system_checks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import NoReturn

from attrs import evolve, frozen
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from itsjustintv.config.sections import Cache, Config, Output, Storage, Twitch
from itsjustintv.doctor import system_checks
from itsjustintv.doctor.findings import Finding, Severity, is_visible
from itsjustintv.journal.sqlite import writes
from itsjustintv.journal.sqlite.database import create
from itsjustintv.journal.sqlite.storage import SQLiteStorage
from itsjustintv.model import State
from itsjustintv.support.files import is_locked
from itsjustintv.twitch.eventsub.callback_check import url_warnings
from itsjustintv.twitch.eventsub.subscriptions_api import Listing
from tests.journal.sqlite.values import accept
from tests.journal.values import attempt, deliveries, event
from tests.twitch.eventsub.test_manual import seen, view
from tests.twitch.eventsub.test_plan import ago, listing, subscription

OK, WARNING, ERROR = Severity.OK, Severity.WARNING, Severity.ERROR

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@frozen
class Usage:
    """
    How full a disk is.
    """

    free: int


def worst(found: Iterable[Finding]) -> tuple[Severity, str]:
    """
    What is to be done first.
    """
    last = max(found, key=lambda each: list(Severity).index(each.severity))
    return last.severity, last.text


class DiskTests(SynchronousTestCase):
    """
    Folders, files and the disk below them.
    """

    def setUp(self) -> None:
        """
        A folder for everything.
        """
        self.folder = Path(self.mktemp()).absolute()
        self.data = self.folder / "data"
        self.config = Config(
            storage=Storage(path=str(self.data / "journal.db")),
            twitch=Twitch(token_file=str(self.data / "tokens.json")),
            cache=Cache(image_dir=str(self.data / "images")),
            output=Output(file_path=str(self.folder / "out" / "output.json")),
        )
        self.folder.mkdir()
        self.path = self.folder / "config.toml"
        self.path.touch(0o600)

    def found(self, took: float = 0.001) -> list[Finding]:
        """
        What is found, where an fsync takes so many seconds.
        """
        times = iter((0.0, took))
        return list(system_checks.disk(self.config, self.path, lambda: next(times)))

    def test_by_a_user_who_may_see_nothing(self) -> None:
        """
        What is in a folder that is closed to this user is no error: nothing is seen, and whether a daemon runs is
        unknown.
        """

        def closed(*_: object, **_more: object) -> NoReturn:
            raise PermissionError(13, "Permission denied")

        self.patch(Path, "stat", closed)
        self.assertFalse(is_visible(self.data))
        self.assertIsNone(is_locked(self.data / "journal.db.lock"))

    def test_before_the_first_start(self) -> None:
        """
        Folders that will be made are as they should be, and are not made by looking.
        """
        found = self.found()
        self.assertEqual({each.severity for each in found}, {OK})
        self.assertEqual(len(found), 3)
        self.assertFalse(self.data.exists())

    def test_a_folder_in_use(self) -> None:
        """
        It can be written, has room, and keeps what is written; nothing is left there.
        """
        self.data.mkdir()
        found = self.found()
        self.assertEqual({each.severity for each in found}, {OK}, found)
        self.assertIn("an fsync on the disk of the journal takes 1 ms", found[-1].text)
        self.assertEqual(list(self.data.iterdir()), [])

    def test_a_slow_disk(self) -> None:
        """
        An fsync that takes long is worth knowing: every notification waits for one.
        """
        self.data.mkdir()
        self.assertEqual(worst(self.found(took=0.4))[0], WARNING)

    def test_a_file_in_the_way(self) -> None:
        """
        Where a folder cannot be, something is to be mended.
        """
        self.data.touch()
        self.assertEqual(worst(self.found())[0], ERROR)
        self.config = evolve(self.config, storage=Storage(path=str(self.path / "below" / "journal.db")))
        self.assertIn("cannot be created in", worst(self.found())[1])

    def test_no_room(self) -> None:
        """
        A disk that is nearly full is told of before it is full.
        """
        self.data.mkdir()
        for free, verdict in ((10, ERROR), (100, WARNING), (10_000, OK)):
            self.patch(system_checks.shutil, "disk_usage", lambda _, free=free: Usage(free << 20))
            self.assertEqual(worst(self.found())[0], verdict, free)

    def test_a_disk_that_keeps_nothing(self) -> None:
        """
        A failure to put something on stable storage is to be mended.
        """
        self.data.mkdir()

        def fail(_: int) -> None:
            raise OSError(5, "Input/output error")

        self.patch(system_checks.os, "fsync", fail)
        verdict, text = worst(self.found())
        self.assertEqual(verdict, ERROR)
        self.assertIn("input/output error", text)

    def test_secrets_that_others_can_read(self) -> None:
        """
        The configuration may be read by its group, the token by nobody else.
        """
        self.path.chmod(0o640)
        self.assertEqual(worst(self.found())[0], OK)
        self.path.chmod(0o644)
        self.assertEqual(
            worst(self.found()),
            (WARNING, f"the configuration {self.path} can be read by other users: chmod 600 {self.path}"),
        )
        self.path.chmod(0o600)
        self.data.mkdir()
        (self.data / "tokens.json").touch(0o640)
        (self.data / "tokens.json").chmod(0o640)
        self.assertIn("twitch.token_file", worst(self.found())[1])


class JournalTests(SynchronousTestCase):
    """
    The books of the journal.
    """

    def setUp(self) -> None:
        """
        A journal with one dead delivery and one that waits.
        """
        self.path = Path(self.mktemp()).absolute() / "journal.db"
        self.ended = State.DEAD

    def fill(self, *extra: str) -> None:
        """
        Put them in, and more.
        """
        connection = create(self.path)
        self.addCleanup(connection.close)
        news = event("e1")
        accept(connection, news, deliveries(news, "a", "b"), 9999.0, 1000.0)
        writes.prepare(connection, "e1-1", b"{}", None, 1000.0)
        writes.settle(connection, "e1-1", self.ended, "gone", 1001.0, attempt())
        for statement in extra:
            connection.execute(statement)
        connection.commit()

    def found(self, running: bool | None = True) -> list[Finding]:
        """
        What is found.
        """
        return list(system_checks.journal(SQLiteStorage(self.path), lambda: 1000.0, running))

    def test_a_clock_that_was_set(self) -> None:
        """
        A running daemon whose clock was set since its start is told of, with the size; one that does not run is not.
        """
        self.fill("INSERT INTO known (kind, key, value, at) VALUES ('clock', 'ahead', -7200000000, 0)")
        [hint] = [each.text for each in self.found() if "clock" in each.text]
        self.assertIn(
            "the clock of this machine was set back by 2 h since the daemon started: deliveries neither wait", hint
        )
        self.assertEqual([each for each in self.found(running=False) if "clock" in each.text], [])

    def test_none_yet(self) -> None:
        """
        A journal that is not there is made.
        """
        self.assertEqual([each.severity for each in self.found()], [OK])

    def test_everything_is_accounted_for(self) -> None:
        """
        Wanted is the sum of all the rest; the dead are a hint, and so is what waits for a daemon that does not run.
        """
        self.fill()
        self.assertEqual([each.severity for each in self.found()], [OK, WARNING])
        self.assertEqual([each.severity for each in self.found(running=False)], [OK, WARNING, WARNING])

    def test_the_expired_count_as_the_dead_do(self) -> None:
        """
        What expired is named as undelivered, with the command that requeues it.
        """
        self.ended = State.EXPIRED
        self.fill()
        verdict, text = worst(self.found())
        self.assertEqual(verdict, WARNING)
        self.assertIn("undelivered (dead or expired): 1", text)
        self.assertIn("itsjustintv deliveries retry --all", text)

    def test_something_is_missing(self) -> None:
        """
        A delivery that is nowhere is a defect.
        """
        self.fill("UPDATE numbers SET value = value + 1 WHERE name = 'wanted'")
        verdict, text = worst(self.found())
        self.assertEqual(verdict, ERROR)
        self.assertIn("1 delivery is unaccounted for, of 3", text)

    def test_no_journal(self) -> None:
        """
        A file that is none is to be mended.
        """
        self.path.parent.mkdir()
        self.path.write_bytes(b"this is no database" * 100)
        self.assertEqual(worst(self.found())[0], ERROR)


class Dated(Resource):
    """
    A Twitch with a clock of its own.
    """

    isLeaf = True

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__()
        self._headers = headers

    def render(self, request: Request) -> bytes:
        for name, value in self._headers.items():
            request.setHeader(name, value)
        request.setResponseCode(401)
        return b"{}"


class ClockTests(SynchronousTestCase):
    """
    The clock beside Twitch's.
    """

    def asked(self, headers: Mapping[str, str], now: float) -> Deferred[Finding]:
        """
        What is found at a moment of ours.
        """
        clock = Clock()
        clock.advance(now)
        agent = RequestTraversalAgent(Dated(headers))
        asking = Deferred.fromCoroutine(
            system_checks.clock(Twitch(auth_url="http://twitch.example/oauth2"), HTTPClient(agent), clock)
        )
        agent.flush()
        return asking

    def test_how_far_off(self) -> None:
        """
        Seconds are nothing, a minute is a hint, and more is to be mended, whichever way it is.
        """
        date = format_datetime(NOON, usegmt=True)
        for off, verdict, words in (
            (0.5, OK, "agrees"),
            (-4.0, OK, "agrees"),
            (5.4, OK, "agrees"),
            (60.5, WARNING, "1 min ahead of"),
            (-59.5, WARNING, "1 min behind"),
            (700.5, ERROR, "11 min 40 s ahead of"),
        ):
            found = self.successResultOf(self.asked({"Date": date}, NOON.timestamp() + off))
            self.assertEqual(found.severity, verdict, found)
            self.assertIn(words, found.text)

    def test_no_date(self) -> None:
        """
        A Twitch that does not tell is no reason for alarm.
        """
        found = self.successResultOf(self.asked({"Date": "noon"}, 0.0))
        self.assertEqual(found.severity, WARNING)


class SubscriptionTests(SynchronousTestCase):
    """
    What there is at Twitch.
    """

    def verdict(
        self, *existing: str, lost: Mapping[str, str] = {}, running: bool | None = True
    ) -> tuple[Severity, str]:
        """
        What is found, of the worst kind, when there are subscriptions in these states.
        """
        there = [subscription(status=status, created_at=ago(5)) for status in existing]
        return worst(system_checks.subscriptions(view(*there), lost, running))

    def test_all_is_well(self) -> None:
        """
        Everybody has one.
        """
        self.assertEqual(self.verdict("enabled"), (OK, "1 of 1 streamers have a working subscription"))

    def test_being_verified(self) -> None:
        """
        One that Twitch is verifying takes a moment.
        """
        self.assertEqual(self.verdict("webhook_callback_verification_pending")[0], WARNING)

    def test_missing(self) -> None:
        """
        One that is missing is to be mended, unless there is no daemon yet that would have created it.
        """
        verdict, text = self.verdict()
        self.assertEqual(verdict, ERROR)
        self.assertIn("subscriptions explain tanuki", text)
        self.assertEqual(self.verdict(running=False)[0], WARNING)

    def test_another_type_is_missing(self) -> None:
        """
        A streamer whose starts arrive is subscribed; what else is lacking is a warning with its name, and before the
        daemon runs only where there is no room for it.
        """
        for most, running, words in (
            (10_000, True, "1 of 1 streamers have no working subscription for stream.offline: itsjustintv"),
            (1, False, "for stream.offline"),
            (10_000, False, "1 of 1 streamers have a working subscription"),
        ):
            found = system_checks.subscriptions(seen(listing(subscription(), most=most), "stream.offline"), {}, running)
            self.assertTrue(any(words in each.text for each in found), words)

    def test_a_login_of_nobody(self) -> None:
        """
        A streamer whom Twitch does not know is to be corrected.
        """
        self.assertIn("streamers.kitsune", self.verdict("enabled", lost={"kitsune": "no such user at Twitch"})[1])

    def test_too_many(self) -> None:
        """
        More than Twitch allows is to be mended.
        """
        full = evolve(view(), listing=Listing(subscriptions=(), total=10, total_cost=10, max_total_cost=10))
        self.assertIn("11 of 10 points", worst(system_checks.subscriptions(full, {}, False))[1])


class CallbackTests(SynchronousTestCase):
    """
    Where Twitch calls.
    """

    def test_a_look_proves_nothing(self) -> None:
        """
        Doubts are hints; without any, it counts whether somebody was there to answer.
        """
        url = "https://hooks.example.org/twitch"
        self.assertEqual(worst(system_checks.callback("http://x", url_warnings("http://x"), True))[0], WARNING)
        self.assertEqual(worst(system_checks.callback(url, (), True))[0], OK)
        self.assertEqual(worst(system_checks.callback(url, (), False))[0], WARNING)
