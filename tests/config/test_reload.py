"""
Tests for :mod:`itsjustintv.config.reload`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, execute, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.load import load
from itsjustintv.config.reload import ConfigService, Decided, ReloadReport
from itsjustintv.config.sections import Config
from itsjustintv.errors import ConfigError, Problem

NOW = 1_700_000_000.0

TEXT = """
[twitch]
client_id = "an-id"
client_secret_file = "client-secret"
webhook_secret = "a-webhook-secret"
[server]
external_domain = "example.org"
[storage]
path = "data/journal.db"
[global_webhook]
enabled = true
url = "https://example.org/hook"
"""

STREAMER = '[streamers.foo]\nuser_id = "42"\n'


@define(eq=False)
class Files:
    """
    A watch that tells when a test lets it.
    """

    files: Callable[[], Iterable[Path]] | None = None
    changed: Callable[[], None] = lambda: None
    refreshed: int = 0

    def start(self, files: Callable[[], Iterable[Path]], changed: Callable[[], None]) -> None:
        self.files, self.changed = files, changed

    def refresh(self) -> None:
        self.refreshed += 1

    def stop(self) -> None:
        self.files = None


@define(eq=False)
class Part:
    """
    A part of the daemon that makes ready for changes, and hears of them.
    """

    refuses: str = ""
    story: list[str] = field(factory=list)

    def prepare(self, old: Config, new: Config) -> Deferred[Decided]:
        self.story.append(f"prepares for {new.server.port}")
        if self.refuses:
            return fail(ConfigError((Problem("server", self.refuses),)))
        return succeed(lambda taken: self.story.append("goes" if taken else "stays"))

    def hear(self, old: Config, new: Config) -> None:
        self.story.append(f"hears of {old.server.port} -> {new.server.port}")


class ReloadTestCase(SynchronousTestCase):
    """
    A running service, a file and a secret in a file of its own.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir(parents=True)
        self.path = self.base / "config.toml"
        self.secret = self.base / "client-secret"
        self.secret.write_text("a client secret\n")
        self.path.write_text(TEXT)
        self.watch = Files()
        self.environ: dict[str, str] = {}
        self.hanging: list[Deferred[None]] = []
        self.hangs = False
        self.service = ConfigService(
            self.path,
            self.base,
            self.environ,
            self.clock,
            load(self.path, self.environ, self.base),
            self.watch,
            self.in_thread,
        )
        self.service.startService()

    def in_thread(self, work: Callable[..., Any], *args: object) -> Deferred[Any]:
        """
        Run at once, or when the test lets it.
        """
        if not self.hangs:
            return execute(work, *args)
        self.hanging.append(Deferred())
        return self.hanging[-1].addCallback(lambda _: work(*args))

    def reload(self, reason: str = "SIGHUP", **options: Any) -> ReloadReport:
        """
        Reload at once.
        """
        return self.successResultOf(Deferred.fromCoroutine(self.service.reload(reason, **options)))

    def write(self, old: str, new: str) -> None:
        """
        Change the file.
        """
        text = self.path.read_text()
        self.assertIn(old, text)
        self.path.write_text(text.replace(old, new))

    def logged(self, action: Callable[[], object]) -> list[str]:
        """
        What an action lets the log say.
        """
        with capturedLogs() as logs:
            action()
        return [f"{event['log_level'].name}: {formatEvent(event)}" for event in logs]


class ReloadTests(ReloadTestCase):
    """
    All of it, or nothing.
    """

    def test_a_usable_file_takes_the_place_of_the_old_configuration(self) -> None:
        """
        What the file says now is the configuration, and the log says what is different.
        """
        self.path.write_text(TEXT + STREAMER)
        said = self.logged(self.reload)
        self.assertEqual(list(self.service.config.streamers), ["foo"])
        self.assertEqual(
            said,
            [
                f"info: configuration reloaded (SIGHUP), changes: 1, hash: {self.service.status().hash}",
                "info: 1 streamer added: foo",
            ],
        )

    def test_half_a_file_is_doubted(self) -> None:
        """
        A file that lacks half of its streamers, or more, is taken up with a warning that says when that takes effect.
        """
        names = "abcd"
        tables = {each: f'[streamers.{each}]\nuser_id = "{number}"\n' for number, each in enumerate(names, 1)}
        self.path.write_text(TEXT + "".join(tables.values()))
        self.reload()
        self.path.write_text(TEXT + tables["a"] + tables["b"])
        self.assertIn(
            "warn: 2 of 4 streamers were removed from the configuration; their pending deliveries are cancelled in 10"
            " min, unless they return",
            self.logged(self.reload),
        )
        self.path.write_text(TEXT + tables["b"])
        self.assertEqual([line for line in self.logged(self.reload) if line.startswith("warn")], [])

    def test_a_broken_file_changes_nothing(self) -> None:
        """
        Every problem is logged, and the configuration is the very one that it was.
        """
        before = self.service.loaded
        self.write("[server]", '[server]\nport = "x"\nlisten_adr = ""')
        self.write("a-webhook-secret", "short")
        said = self.logged(self.reload)
        self.assertIs(self.service.loaded, before)
        self.assertEqual(len(said), 4)
        self.assertEqual(
            said[0],
            f"error: cannot use the configuration {self.path} (SIGHUP), problems: 3; nothing was changed",
        )
        self.assertIn("error: server.listen_adr: unknown key; did you mean listen_addr?", said)
        self.assertNotIn("short", "".join(said[1:]).replace("shorter", ""))

    def test_a_file_that_is_gone_changes_nothing(self) -> None:
        """
        A deleted file is a problem like any other.
        """
        self.path.unlink()
        report = self.reload()
        self.assertFalse(report.ok)
        self.assertIn("does not exist", report.problems[0].message)
        self.assertEqual(self.service.config.server.port, 8080)

    def test_a_defect_in_the_reading_changes_nothing(self) -> None:
        """
        Whatever goes wrong while reading is a problem, and the next reload may succeed.
        """
        self.hangs = True
        reloading = Deferred.fromCoroutine(self.service.reload("SIGHUP"))
        self.hanging[0].errback(ZeroDivisionError())
        self.assertFalse(self.successResultOf(reloading).ok)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.hangs = False
        self.assertTrue(self.reload().ok)

    def test_a_touched_file_is_no_change(self) -> None:
        """
        When the watch tells and nothing is different, nothing happens and nothing is said.
        """
        part = Part()
        self.service.add_listener(part.hear)
        self.service.add_preparer(part.prepare)
        self.assertEqual(self.logged(self.watch.changed), [])
        self.assertEqual(part.story, [])

    def test_whoever_asks_is_answered(self) -> None:
        """
        A signal is answered even when nothing is different.
        """
        self.assertEqual(
            self.logged(lambda: self.service.request("SIGHUP")),
            ["info: configuration read again (SIGHUP): valid and unchanged"],
        )

    def test_the_same_problem_is_said_once(self) -> None:
        """
        A broken file that is touched is not complained of again, unless somebody asks; once it is mended that is said.
        """
        self.write("a-webhook-secret", "short")
        self.assertEqual(len(self.logged(self.watch.changed)), 2)
        self.assertEqual(self.logged(self.watch.changed), [])
        self.assertEqual(len(self.logged(self.reload)), 2)
        self.write("short", "a-webhook-secret")
        self.assertEqual(
            self.logged(self.watch.changed),
            ["info: configuration read again (the file has changed): valid and unchanged"],
        )

    def test_a_secret_file_is_part_of_the_configuration(self) -> None:
        """
        Another secret in the same file is a change; it is told without the secret.
        """
        self.secret.write_text("another client secret")
        said = self.logged(self.watch.changed)
        self.assertEqual(self.service.config.twitch.client_secret, "another client secret")
        self.assertEqual(said[1:], ["info: twitch.client_secret: changed"])

    def test_the_files_of_the_moment_are_watched(self) -> None:
        """
        The watch is told of the configuration and of each file of a secret, and when they are others.
        """
        assert self.watch.files is not None
        self.assertEqual(set(self.watch.files()), {self.path, self.secret})
        (self.base / "hook").write_text("a secret")
        self.path.write_text(
            f'{TEXT}{STREAMER}target_webhook_url = "https://a.example/"\ntarget_webhook_secret_file = "hook"'
        )
        before = self.watch.refreshed
        self.assertTrue(self.reload().ok)
        self.assertEqual(set(self.watch.files()), {self.path, self.secret, self.base / "hook"})
        self.assertGreater(self.watch.refreshed, before)

    def test_the_environment_still_wins(self) -> None:
        """
        What the environment sets is not changed by the file.
        """
        self.environ["ITSJUSTINTV_SERVER_PORT"] = "7070"
        self.write("[server]", "[server]\nport = 9090")
        self.reload()
        self.assertEqual(self.service.config.server.port, 7070)

    def test_the_journal_does_not_move(self) -> None:
        """
        Another place for the journal is refused with the reason, and the rest is applied.
        """
        self.write("data/journal.db", "data/another.db")
        self.write("[server]", "[server]\nport = 9090")
        said = self.logged(self.reload)
        self.assertEqual(self.service.config.storage.path, f"{self.base}/data/journal.db")
        self.assertEqual(self.service.config.server.port, 9090)
        self.assertEqual(said[1], "info: server.port: 8080 -> 9090")
        self.assertTrue(said[2].startswith("warn: storage.path: cannot change while the daemon runs"), said[2])
        self.assertEqual(self.logged(self.watch.changed), [], "said once")

    def test_relative_paths_do_not_move(self) -> None:
        """
        Another place for relative paths is refused with the reason, and the rest is applied.
        """
        self.write("[storage]", '[storage]\nbase = "/elsewhere"')
        self.write("[server]", "[server]\nport = 9090")
        said = self.logged(self.reload)
        config = self.service.config
        self.assertEqual((config.storage.path, config.server.port), (f"{self.base}/data/journal.db", 9090))
        self.assertEqual(config.twitch.token_file, f"{self.base}/data/tokens.json")
        self.assertTrue(said[2].startswith("warn: storage.base: cannot change while the daemon runs"), said[2])

    def test_new_doubts_are_told(self) -> None:
        """
        What is allowed and seldom meant is warned of when it is new, and not again with each reload.
        """
        self.path.write_text(self.path.read_text() + '[catch_up]\nmax_age = "3h"\n')
        said = self.logged(self.reload)
        self.assertTrue(any(line.startswith("warn: catch_up.max_age: is limited to cache.ttl") for line in said))
        self.path.write_text(self.path.read_text() + STREAMER)
        said = self.logged(self.reload)
        self.assertFalse(any(line.startswith("warn") for line in said), said)


class PartsTests(ReloadTestCase):
    """
    The parts of the daemon follow, or refuse.
    """

    def setUp(self) -> None:
        super().setUp()
        self.part = Part()
        self.service.add_preparer(self.part.prepare)
        self.service.add_listener(self.part.hear)
        self.write("[server]", "[server]\nport = 9090")

    def test_a_part_makes_ready_before_and_hears_afterwards(self) -> None:
        """
        First everybody makes ready, then it is decided, then everybody hears of it.
        """
        self.service.add_listener(
            lambda old, new: self.part.story.append(f"the next one sees {self.service.config.server.port}")
        )
        self.reload()
        self.assertEqual(
            self.part.story, ["prepares for 9090", "goes", "hears of 8080 -> 9090", "the next one sees 9090"]
        )

    def test_a_refusal_keeps_everything_as_it_was(self) -> None:
        """
        When one part cannot follow, all stay, the reasons are told, and nobody hears of a change.
        """
        other = Part(refuses="the port is taken")
        third = Part(refuses="no such certificate")
        self.service.add_preparer(other.prepare)
        self.service.add_preparer(third.prepare)
        said = self.logged(self.reload)
        self.assertEqual(self.part.story, ["prepares for 9090", "stays"])
        self.assertEqual(self.service.config.server.port, 8080)
        self.assertEqual(said[1:], ["error: server: the port is taken", "error: server: no such certificate"])

    def test_a_refusal_is_not_for_ever(self) -> None:
        """
        The same file is taken up once the part can follow.
        """
        other = Part(refuses="the port is taken")
        self.service.add_preparer(other.prepare)
        self.reload()
        other.refuses = ""
        self.assertTrue(self.reload().ok)
        self.assertEqual(self.service.config.server.port, 9090)

    def test_a_step_with_a_defect_refuses(self) -> None:
        """
        A step that fails in a way it should not is logged, and nothing changes.
        """
        self.service.add_preparer(lambda old, new: fail(ZeroDivisionError()))
        self.assertFalse(self.reload().ok)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.part.story[-1], "stays")

    def test_a_decision_that_cannot_be_followed_stops_nobody(self) -> None:
        """
        A part that fails once it is decided is logged; the others go on.
        """

        def broken(taken: bool) -> None:
            raise ZeroDivisionError

        self.service._preparers.insert(0, lambda old, new: succeed(broken))
        self.assertTrue(self.reload().ok)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.part.story[1:], ["goes", "hears of 8080 -> 9090"])

    def test_a_subscriber_that_fails_stops_nobody(self) -> None:
        """
        A subscriber that raises is logged, and those after it hear of the change.
        """
        later = Part()

        def broken(old: Config, new: Config) -> None:
            raise ZeroDivisionError

        self.service.add_listener(broken)
        self.service.add_listener(later.hear)
        self.assertTrue(self.reload().ok)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(later.story, ["hears of 8080 -> 9090"])


class OneAtATimeTests(ReloadTestCase):
    """
    Reloads do not overlap.
    """

    def setUp(self) -> None:
        super().setUp()
        self.hangs = True

    def test_requests_in_the_meantime_are_answered_together(self) -> None:
        """
        However many ask while a reload is under way, the file is read once more, with what it says by then.
        """
        reports = [Deferred.fromCoroutine(self.service.reload("SIGHUP")) for _ in range(1000)]
        self.assertEqual(len(self.hanging), 1)
        self.hanging[0].callback(None)
        self.successResultOf(reports[0])
        self.assertEqual(len(self.hanging), 2)
        self.write("[server]", "[server]\nport = 9090")
        self.hanging[1].callback(None)
        for report in reports[1:]:
            self.assertTrue(self.successResultOf(report).changes)
        self.assertEqual(len(self.hanging), 2)
        self.assertEqual(self.service.config.server.port, 9090)

    def test_a_question_is_answered_though_the_watch_told_first(self) -> None:
        """
        The answer to somebody who asks is not lost among those to a touched file.
        """
        self.watch.changed()
        self.watch.changed()
        self.service.request("SIGHUP")
        self.hanging[0].callback(None)
        self.assertEqual(len(self.logged(lambda: self.hanging[1].callback(None))), 1)

    def test_nothing_changes_after_a_stop(self) -> None:
        """
        A reload that is under way when the service stops comes to nothing, and what was made ready is let go.
        """
        part = Part()
        ready: Deferred[Decided] = Deferred()
        self.service.add_listener(part.hear)
        self.service.add_preparer(lambda old, new: ready)
        self.write("[server]", "[server]\nport = 9090")
        reloading = Deferred.fromCoroutine(self.service.reload("SIGHUP"))
        self.hanging[0].callback(None)
        self.service.stopService()
        ready.callback(lambda taken: part.story.append("goes" if taken else "stays"))
        self.successResultOf(reloading)
        self.assertEqual((self.service.config.server.port, part.story), (8080, ["stays"]))
        self.assertIsNone(self.watch.files)

    def test_nothing_is_prepared_after_a_stop(self) -> None:
        """
        A file that is read when the service has stopped is put aside.
        """
        part = Part()
        self.service.add_preparer(part.prepare)
        self.write("[server]", "[server]\nport = 9090")
        reloading = Deferred.fromCoroutine(self.service.reload("SIGHUP"))
        self.service.stopService()
        self.hanging[0].callback(None)
        self.successResultOf(reloading)
        self.assertEqual(part.story, [])


class StatusTests(ReloadTestCase):
    """
    Where the configuration stands can be seen.
    """

    def test_in_the_beginning(self) -> None:
        """
        The configuration of the start counts as loaded then.
        """
        status = self.service.status()
        self.assertEqual((status.changed_at, status.succeeded_at, status.failed_at), (NOW, NOW, None))
        self.assertEqual((status.applied, status.failed, self.service.problem()), (0, 0, None))

    def test_after_a_change(self) -> None:
        """
        A change has another hash and its time.
        """
        before = self.service.status()
        self.clock.advance(10)
        self.path.write_text(TEXT + STREAMER)
        self.reload()
        after = self.service.status()
        self.assertNotEqual(after.hash, before.hash)
        self.assertEqual((after.changed_at, after.succeeded_at, after.applied), (NOW + 10, NOW + 10, 1))
        self.clock.advance(10)
        self.reload()
        self.assertEqual((self.service.status().changed_at, self.service.status().succeeded_at), (NOW + 10, NOW + 20))

    def test_after_a_failure(self) -> None:
        """
        A failure is there with its time and its problems until the file is usable again; the hash is that of what is
        in use.
        """
        before = self.service.status()
        self.write("a-webhook-secret", "short")
        self.clock.advance(10)
        self.reload()
        status = self.service.status()
        self.assertEqual((status.hash, status.changed_at, status.succeeded_at), (before.hash, NOW, NOW))
        self.assertEqual(
            (status.failed_at, status.failed, status.problems[0].path), (NOW + 10, 1, "twitch.webhook_secret")
        )
        self.assertEqual(
            self.service.problem(), "the configuration has 1 problem; the previous one stays in use; see the log"
        )
        self.write("short", "a-webhook-secret")
        self.reload()
        self.assertIsNone(self.service.problem())
        self.assertEqual((self.service.status().problems, self.service.status().failed_at), ((), NOW + 10))

    def test_what_was_refused(self) -> None:
        """
        A refusal stays visible as long as the file asks for it.
        """
        self.write("data/journal.db", "data/another.db")
        self.reload()
        self.assertEqual([each.path for each in self.service.status().refused], ["storage.path"])
        self.assertIsNone(self.service.problem())
        self.write("data/another.db", "data/journal.db")
        self.reload()
        self.assertEqual(self.service.status().refused, ())
