"""
Tests for what the commands print of texts that others have written.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from attrs import evolve
from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli import subscriptions
from itsjustintv.cli.main import main
from itsjustintv.cli.receive import _Printer
from itsjustintv.errors import TwitchUnavailable
from itsjustintv.journal.sqlite import writes
from itsjustintv.journal.sqlite.database import create
from itsjustintv.model import State
from itsjustintv.simulator.receiver import Received
from itsjustintv.support.foreign_text import visible
from itsjustintv.twitch.eventsub.event_types import STREAM_ONLINE, Topic
from itsjustintv.twitch.eventsub.manual import Snapshot
from itsjustintv.twitch.eventsub.plan import Action, Plan
from itsjustintv.twitch.eventsub.plan_runner import PlanResult
from itsjustintv.twitch.eventsub.subscriptions_api import Listing, Subscription
from itsjustintv.twitch.eventsub.transport import WebhookTransport
from tests.cli.test_health import Counter, said
from tests.journal.sqlite.values import accept
from tests.journal.values import attempt, deliveries, event

#: Begins lines, clears the screen, turns the direction, hides; and an emoji that stays.
HOSTILE = "👩\u200d💻\nFORGED\r\x1b[2J\x07\x7f\x85\x9b31m\u200b\u202e\u2028FORGED\u2066\u2029FORGED\ufeff\U000e0041"

CONFIG = (
    '[storage]\npath = "{folder}/journal.db"\n'
    '[twitch]\nclient_id = "an-id-of-tests"\nclient_secret = "a-secret-of-tests"\n'
    'webhook_secret = "a secret of tests"\n'
    '[streamers.cool]\nlogin = "cool_user"\ntarget_webhook_url = "https://receiver.example.org/live"\n'
)


class CommandTests(SynchronousTestCase):
    """
    Every line that is printed is the command's own, and shows what it holds.
    """

    def setUp(self) -> None:
        """
        A journal in which everything that others can write is hostile.
        """
        self.folder = Path(self.mktemp()).absolute()
        self.config = self.folder / "config.toml"
        connection = create(self.folder / "journal.db")
        self.addCleanup(connection.close)
        names = ("broadcaster_name", "broadcaster_login", "type", "started_at")
        news = evolve(event("e1"), **dict.fromkeys(names, HOSTILE))
        accept(connection, news, deliveries(news, "home", HOSTILE), 9999.0, 1000.0)
        payload = json.dumps({"streamer_name": HOSTILE, "stream": {"title": HOSTILE}}, ensure_ascii=False)
        writes.prepare(connection, "e1-1", payload.encode(), None, 1000.0)
        failed = attempt(detail=HOSTILE, response=HOSTILE)
        writes.settle(connection, "e1-1", State.DEAD, HOSTILE, 1001.0, failed)
        self.write(CONFIG)

    def write(self, text: str) -> None:
        """
        Write the configuration.
        """
        self.config.write_text(text.format(folder=self.folder), encoding="utf-8")

    def run_command(self, *arguments: str) -> Result:
        """
        Run a command, and hold what it prints to the rule.
        """
        result = CliRunner().invoke(main, ["--config", str(self.config), *arguments])
        self.assert_sound(result.stdout)
        self.assert_sound(result.stderr)
        return result

    def assert_sound(self, text: str) -> None:
        """
        No text steers a terminal, hides, or begins a line.
        """
        lines = text.split("\n")
        self.assertEqual(lines, [visible(line) for line in lines])
        self.assertEqual([line for line in lines if line.lstrip().startswith("FORGED")], [])

    def test_for_people(self) -> None:
        """
        ``deliveries`` and ``explain`` show names, titles and answers with their controls as codes, emoji as they are.
        """
        for arguments in (("list",), ("show", "e1-1"), ("show", "e1-2")):
            result = self.run_command("deliveries", *arguments)
            self.assertEqual(result.exit_code, 0, result.output)
            self.assertIn(r"\nFORGED\r\x1b[2J\x07\x7f\x85\x9b31m\u200b\u202e\u2028FORGED", result.stdout)
            self.assertIn("👩\u200d💻", result.stdout)
        result = self.run_command("explain", "e1")
        self.assertEqual(result.exit_code, 0, result.output)
        self.assertIn(r"(👩‍💻\nFORGED\r\x1b[2J", result.stdout)

    def test_for_programs(self) -> None:
        """
        With ``--json`` they are escaped as JSON has it, and a program reads what was there.
        """
        for arguments in (("deliveries", "list"), ("deliveries", "show", "e1-1"), ("explain", "e1")):
            result = self.run_command(*arguments, "--json")
            self.assertEqual(result.exit_code, 0, result.output)
            self.assertIn(r"\u001b[2J\u0007\u007f\u0085\u009b31m\u200b\u202e\u2028FORGED", result.stdout)
        shown = json.loads(self.run_command("deliveries", "show", "e1-1", "--json").stdout)
        self.assertEqual(shown["payload"]["stream"]["title"], HOSTILE)
        self.assertEqual(shown["event"]["broadcaster_name"], HOSTILE)

    def test_on_a_terminal_that_lacks_the_characters(self) -> None:
        """
        Where standard output is not in UTF-8 they are written as codes, and JSON stays JSON.
        """
        for charset in ("ascii", "latin-1", "cp1252"):
            runner = CliRunner(charset=charset)
            shown = runner.invoke(main, ["--config", str(self.config), "deliveries", "show", "e1-1"])
            self.assertEqual(shown.exit_code, 0, shown.exception)
            self.assertIn(r"\U0001f469", shown.stdout)
            told = runner.invoke(main, ["--config", str(self.config), "deliveries", "show", "e1-1", "--json"])
            self.assertEqual(json.loads(told.stdout)["payload"]["stream"]["title"], HOSTILE)

    def test_errors(self) -> None:
        """
        An error that quotes what was asked for is one line.
        """
        for arguments in (("deliveries", "show", HOSTILE), ("deliveries", "retry", HOSTILE), ("explain", HOSTILE)):
            result = self.run_command(*arguments)
            self.assertEqual((result.exit_code, result.stderr.count("\n")), (1, 1), result.stderr)

    def test_configuration(self) -> None:
        """
        Keys and values of a file that somebody else has written are shown, and each problem is a line.
        """
        # TOML knows no surrogate pairs.
        quoted = json.dumps(HOSTILE.replace("👩", "").replace("💻", "").replace("\U000e0041", ""))
        self.write(
            CONFIG
            + f"[streamers.{quoted}]\nlogin = {quoted}\n{quoted} = 1\ntarget_webhook_url = {quoted}\n"
            + f"[server]\nlisten_addr = {quoted}\nport = {quoted}\n[logging]\nlevel = {quoted}\nlevels = [{quoted}]\n"
        )
        for arguments in (
            ("config", "validate"),
            ("config", "validate", "--json"),
            ("deliveries", "list"),
            ("doctor",),
            ("doctor", "--json"),
            ("health",),
            ("certs", "list"),
        ):
            result = self.run_command(*arguments)
            self.assertEqual(result.exit_code, 1, result.output)
            self.assertIn("server.port" if arguments == ("health",) else "FORGED", result.output)
        old = self.folder / "old"
        old.mkdir()
        self.config.rename(old / "config.toml")
        (old / "data").mkdir()
        entry = {"webhook_url": HOSTILE, "payload": {"streamer_id": HOSTILE}, "streamer_key": HOSTILE, "attempt": 1}
        (old / "data" / "retry_state.json").write_text(json.dumps({"queue": [entry]}), encoding="utf-8")
        for arguments in (("--dry-run",), ("--dry-run", "--json"), (), ("--json",)):
            self.run_command("migrate", "--from", str(old), *arguments)

    def test_health(self) -> None:
        """
        Whatever answers at the port steers nothing.
        """
        counter = Counter(said("503 No", {"status": HOSTILE, "reasons": [{"check": HOSTILE, "reason": HOSTILE}]}))
        self.addCleanup(counter.close)
        result = self.run_command("health", "--url", f"http://127.0.0.1:{counter.port}")
        self.assertEqual((result.exit_code, result.stdout.count("\n")), (1, 2), result.output)

    def test_subscriptions(self) -> None:
        """
        What Twitch lists, of other programs too, and what it says when it fails.
        """
        found = Subscription(
            id="1",
            status=HOSTILE,
            type=HOSTILE,
            version=HOSTILE,
            broadcaster_id=HOSTILE,
            transport=WebhookTransport(HOSTILE),
            created_at=HOSTILE,
        )
        listing = Listing(subscriptions=(found,), total=1, total_cost=0, max_total_cost=10)
        decision = Action(topic=Topic(STREAM_ONLINE, HOSTILE), reason=HOSTILE, subscription=found)
        view = Snapshot(listing, {}, (), Plan(delete=(decision,)), WebhookTransport("https://hooks.example.org/twitch"))
        failed = TwitchUnavailable(HOSTILE)
        work = PlanResult(created=[found], deleted=[found], refused={HOSTILE: HOSTILE}, unavailable=failed)
        answers: tuple[tuple[Any, *tuple[str, ...]], ...] = (
            ((view, {HOSTILE: (HOSTILE, HOSTILE)}), "list"),
            ((view, {HOSTILE: (HOSTILE, HOSTILE)}), "list", "--json"),
            ((view, work), "sync"),
            ((view, work), "sync", "--dry-run"),
            ((view, work, [HOSTILE]), "prune", "--dry-run"),
            ([*view.explain(HOSTILE), (HOSTILE, HOSTILE)], "explain", "cool"),
            (view.explain(HOSTILE), "explain", "cool", "--json"),
        )
        for answer, *arguments in answers:
            self.patch(subscriptions, "run_session", lambda config, work, answer=answer: answer)
            self.assertIn("FORGED", self.run_command("subscriptions", *arguments).output)

    def test_receive(self) -> None:
        """
        A payload, a path and headers of a stranger.
        """
        body = json.dumps({"id": HOSTILE, "event": HOSTILE, "streamer_name": HOSTILE, "stream": {"title": HOSTILE}})
        received = Received(
            path=HOSTILE, headers={"x-a": HOSTILE}, body=body.encode(), at=1000.0, problem=HOSTILE, status=401
        )
        for as_json in (False, True):

            @click.command()
            def show(as_json: bool = as_json) -> None:
                _Printer(as_json, None, None).show(received)

            result = CliRunner().invoke(show)
            self.assertEqual(result.exit_code, 0, result.output)
            self.assert_sound(result.stdout)
            self.assertIn("FORGED", result.stdout)
        self.assertEqual(json.loads(result.stdout)["payload"]["id"], HOSTILE)
