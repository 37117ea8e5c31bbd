"""
Tests for :mod:`itsjustintv.cli.main`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv import __version__
from itsjustintv.cli import deliveries as command
from itsjustintv.cli.main import main
from itsjustintv.journal.sqlite import writes
from itsjustintv.journal.sqlite.database import create
from itsjustintv.model import State
from tests.journal.sqlite.values import accept
from tests.journal.values import attempt, deliveries, event

CONFIG = (
    '[storage]\npath = "{path}"\n'
    '[twitch]\nclient_id = "an-id-of-tests"\nclient_secret = "a-secret-of-tests"\n'
    'webhook_secret = "a secret of tests"\n'
    '[streamers.cool]\nlogin = "cool"\ntarget_webhook_url = "https://receiver.example.org/live"\n'
)


class ExampleTests(SynchronousTestCase):
    """
    ``itsjustintv config example``.
    """

    def test_says_that_a_file_is_in_the_way(self) -> None:
        """
        A file that is there is named, in words, and stays as it is.
        """
        path = Path(self.mktemp())
        path.write_text("mine", encoding="utf-8")
        result = CliRunner().invoke(main, ["config", "example", str(path)])
        self.assertEqual(result.exit_code, 1)
        self.assertEqual(result.stderr, f"Error: {path} exists already and was not changed\n")
        self.assertEqual(path.read_text(encoding="utf-8"), "mine")


class VersionTests(SynchronousTestCase):
    """
    ``itsjustintv version`` and ``--version``.
    """

    def test_the_original_s_lines_first(self) -> None:
        """
        Version, commit and date of the build as the original has them, then Twisted and Python; ``--version`` says only
        the first.
        """
        lines = CliRunner().invoke(main, ["version"]).stdout.splitlines()
        self.assertEqual(lines[0], f"itsjustintv {__version__}")
        names = [line.partition(":")[0] for line in lines[1:]]
        self.assertEqual(names, ["Git commit", "Build date", "Twisted", "Python"])
        self.assertEqual(CliRunner().invoke(main, ["--version"]).stdout.splitlines(), lines[:1])

    def test_for_programs(self) -> None:
        """
        As JSON it is the same.
        """
        told = json.loads(CliRunner().invoke(main, ["version", "--json"]).stdout)
        self.assertEqual(list(told), ["version", "commit", "build_date", "twisted", "python"])
        self.assertEqual(told["version"], __version__)


class VerboseTests(SynchronousTestCase):
    """
    ``--verbose``, which the original has as well.
    """

    def test_anywhere(self) -> None:
        """
        Before a command or after it, -v names the configuration once, on standard error.
        """
        path = Path(self.mktemp()).absolute()
        path.write_text(CONFIG.format(path="x.db"), encoding="utf-8")
        for arguments in (["-v", "config", "validate"], ["config", "validate", "--verbose"]):
            result = CliRunner().invoke(main, [*arguments, "-c", str(path)])
            self.assertEqual(result.stderr.count(f"Loaded configuration from: {path}\n"), 1, arguments)
            self.assertIn("Found 1 configured streamer\n", result.stdout)


class PlaceTests(SynchronousTestCase):
    """
    Where ``receive`` and ``simulate`` listen.
    """

    def test_what_cannot_be_listened_on(self) -> None:
        """
        A port that there is not, or what is no address, is said, with the rule, before anything is opened.
        """
        for arguments, reason in (
            (["receive", "--port", "65536"], "0<=x<=65535"),
            (["receive", "--port", "-1"], "0<=x<=65535"),
            (["simulate", "--port", "65536"], "0<=x<=65535"),
            (["receive", "--listen", "127.0.0.1:8091"], "without a port"),
            (["receive", "--listen", "a" * 70 + ".example"], "must"),
            (["receive", "--listen", "\x1b[31m"], "must"),
        ):
            result = CliRunner().invoke(main, arguments)
            self.assertEqual(result.exit_code, 2, arguments)
            self.assertIn(reason, result.stderr)
            self.assertNotIn("\x1b", result.stderr)


class HelpTests(SynchronousTestCase):
    """
    ``itsjustintv --help``.
    """

    def test_every_command_has_its_place(self) -> None:
        """
        At 80 columns every command is there once, with a description that is not cut off, and nothing else.
        """
        shown = CliRunner().invoke(main, ["--help"], terminal_width=80).stdout
        listed = re.findall(r"^  ([a-z]+) {2,}(\S.*)$", shown, re.MULTILINE)
        self.assertCountEqual(
            [name for name, _ in listed], [name for name, each in main.commands.items() if not each.hidden]
        )
        self.assertEqual([name for name, text in listed if "..." in text], [])


class CompletionTests(SynchronousTestCase):
    """
    ``itsjustintv completion``.
    """

    def completed(self, words: str, number: int) -> set[str]:
        """
        What the command answers to bash.
        """
        asked = {"_ITSJUSTINTV_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
        ended = subprocess.run(
            [sys.executable, "-m", "itsjustintv"],
            env={**os.environ, **asked},
            capture_output=True,
            timeout=60,
            check=True,
        )
        self.assertEqual(ended.stderr, b"")
        return {line.removeprefix("plain,") for line in ended.stdout.decode().split()}

    def test_of_what_the_configuration_has(self) -> None:
        """
        States, streamers and destinations are completed; where the configuration cannot be used, nothing is, in
        silence.
        """
        path = Path(self.mktemp()).absolute()
        path.write_text(CONFIG.format(path="x.db"), encoding="utf-8")
        listing = f"itsjustintv -c {path} deliveries list"
        self.assertEqual(self.completed(f"{listing} --state de", 6), {"dead", "delivered"})
        self.assertEqual(self.completed(f"{listing} --destination st", 6), {"streamers.cool"})
        self.assertEqual(self.completed(f"itsjustintv subscriptions explain -c {path} c", 5), {"cool"})
        path.write_text("nothing", encoding="utf-8")
        self.assertEqual(self.completed(f"{listing} --streamer c", 6), set())

    def test_every_shell(self) -> None:
        """
        For each shell there is a script that asks the command.
        """
        for shell in ("bash", "zsh", "fish"):
            script = CliRunner().invoke(main, ["completion", shell]).stdout
            self.assertIn(f"_ITSJUSTINTV_COMPLETE={shell}_complete", script)

    def test_another_shell_is_not_understood(self) -> None:
        """
        What is not understood ends with 2.
        """
        self.assertEqual(CliRunner().invoke(main, ["completion", "cmd"]).exit_code, 2)


class DeliveriesTests(SynchronousTestCase):
    """
    ``itsjustintv deliveries``, for programs and for many at once.
    """

    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        self.config, journal = folder / "config.toml", folder / "journal.db"
        self.config.write_text(
            CONFIG.format(path=journal)
            + '[streamers.tanuki]\nlogin = "tanuki"\ntarget_webhook_url = "https://receiver.example.org/tanuki"\n',
            encoding="utf-8",
        )
        self.connection = create(journal)
        self.addCleanup(self.connection.close)
        for number, destination in enumerate("aab", 1):
            news = event(f"e{number}")
            accept(self.connection, news, deliveries(news, destination), 9999.0, 1000.0)
            writes.prepare(self.connection, f"e{number}-1", b'{"event":"stream.online"}', None, 1000.0)
        for name in ("e1-1", "e3-1"):
            writes.settle(self.connection, name, State.DEAD, "why", 1001.0, attempt(ok=False))

    def run_command(self, *arguments: str) -> Result:
        """
        What ``itsjustintv deliveries`` says.
        """
        return CliRunner().invoke(main, ["--config", str(self.config), "deliveries", *arguments])

    def states(self) -> dict[str, str]:
        """
        The state of every delivery.
        """
        listed = json.loads(self.run_command("list", "--json").stdout)
        return {each["id"]: each["state"] for each in listed["deliveries"]}

    def test_a_list_for_programs(self) -> None:
        """
        As JSON there is every delivery that was asked for, without its payload, and the account of all.
        """
        listed = json.loads(self.run_command("list", "--state", "dead", "--destination", "a", "--json").stdout)
        [found] = listed["deliveries"]
        self.assertEqual((found["id"], found["reason"], found["next_attempt_at"]), ("e1-1", "why", None))
        self.assertEqual((listed["accounting"]["wanted"], listed["accounting"]["dead"]), (3, 2))
        self.assertNotIn("body", found)

    def test_one_for_programs(self) -> None:
        """
        As JSON a delivery has its event, its tries and its payload.
        """
        shown = json.loads(self.run_command("show", "e1-1", "--json").stdout)
        self.assertEqual((shown["state"], shown["payload"]), ("dead", {"event": "stream.online"}))
        self.assertEqual(([each["ok"] for each in shown["tries"]], shown["event"]["id"]), ([False], "e1"))

    def test_all_that_was_not_delivered(self) -> None:
        """
        The dead and the expired are listed under one word and requeued by one command, and nothing else is touched.
        """
        writes.settle(self.connection, "e2-1", State.EXPIRED, "too old to be news", 1002.0)
        listed = json.loads(self.run_command("list", "--state", "undelivered", "--json").stdout)
        self.assertEqual([each["state"] for each in listed["deliveries"]], ["expired", "dead", "dead"])
        result = self.run_command("retry", "--all")
        self.assertEqual((result.exit_code, result.stdout), (0, "requeued 3 undelivered deliveries\n"))
        self.assertEqual(set(self.states().values()), {"pending"})
        self.assertEqual(self.run_command("retry", "--all").stdout, "requeued 0 undelivered deliveries\n")

    def test_all_of_one_destination(self) -> None:
        """
        Only what was meant for the destination is sent again.
        """
        self.run_command("retry", "--all", "--destination", "b")
        self.assertEqual(self.states(), {"e1-1": "dead", "e2-1": "pending", "e3-1": "pending"})

    def test_an_interrupt(self) -> None:
        """
        Ctrl-C, wherever it meets a command, is status 130 and one line.
        """

        def interrupted(_: object) -> None:
            raise KeyboardInterrupt

        self.patch(command, "open_journal", interrupted)
        result = self.run_command("retry", "--all")
        self.assertEqual((result.exit_code, result.stderr), (130, "Error: interrupted\n"))

    def test_a_name_that_is_not_known(self) -> None:
        """
        A streamer or destination that neither configuration nor journal knows is an error with the nearest, and
        changes nothing; one that only the journal knows is found.
        """
        for arguments, meant in (
            (("list", "--streamer", "coool"), "did you mean cool?"),
            (("list", "--destination", "streamers.tanku"), "did you mean streamers.tanuki?"),
            (("retry", "--all", "--streamer", "tanuki_"), "did you mean tanuki?"),
            (("retry", "--all", "--destination", "tanuki"), "did you mean streamers.tanuki?"),
            (("list", "--streamer", ""), 'no streamer "" in'),
            (("list", "--destination", ""), 'no destination "" in'),
            (("show", ""), 'there is no delivery "";'),
        ):
            result = self.run_command(*arguments)
            self.assertEqual((result.exit_code, result.stdout), (1, ""), arguments)
            self.assertIn(meant, result.stderr)
        self.assertEqual(self.states(), {"e1-1": "dead", "e2-1": "pending", "e3-1": "dead"})
        for arguments, count in (
            (("--streamer", "cool"), 3),
            (("--destination", "a"), 2),
            (("--streamer", "tanuki"), 0),
            (("--streamer", "TANUKI"), 0),
        ):
            result = self.run_command("list", *arguments)
            self.assertEqual(result.exit_code, 0, result.output)
            self.assertIn(f"matching: {count}", result.stdout)

    def test_a_state_that_is_not_known(self) -> None:
        """
        The command line is not understood, and the nearest state is asked about.
        """
        for asked in (("list",), ("retry", "--all")):
            result = self.run_command(*asked, "--state", "undeliverd")
            self.assertEqual(result.exit_code, 2)
            self.assertIn("did you mean undelivered?", result.stderr)

    def test_what_is_counted_is_what_was_asked_for(self) -> None:
        """
        With a filter the count is that of the filter, whatever the limit; without one it is that of everything.
        """
        result = self.run_command("list", "--destination", "a", "--limit", "1")
        self.assertEqual(result.stdout.splitlines()[-1], "matching: 2 (1 pending, 1 dead); listed: 1")
        self.assertNotIn("wanted", result.stdout)
        result = self.run_command("list", "--state", "undelivered", "--destination", "b")
        self.assertEqual(result.stdout.splitlines()[-1], "matching: 1 (1 dead); listed: 1")
        self.assertIn("3 wanted = 0 delivered + 2 dead", self.run_command("list").stdout)
        listed = json.loads(self.run_command("list", "--destination", "b", "--json").stdout)
        self.assertEqual(listed["matching"], {"dead": 1})

    def test_short_ids(self) -> None:
        """
        The list shows as much of an id as is needed, and that is taken by every command; what is not unambiguous is
        refused, and then nothing is changed.
        """
        long = ["019b7c9f0f3e0001", "019b7c9f0f3e0002", "029b7c9f0f3e0001"]
        for name in long:
            news = event(name)
            accept(self.connection, news, deliveries(news, "a", "b"), 9999.0, 1000.0)
        listed = self.run_command("list").stdout
        for shown in ("019b7c9f0f3e0001-1", "029b7c9f0f3e0001-2"):
            self.assertIn(f" {shown}\n", listed)
        alone = self.run_command("list", "--limit", "2").stdout
        self.assertIn(" 029b7c9f-1\n", alone)
        self.assertIn(long[2], self.run_command("list", "--json").stdout)
        self.assertIn(f"delivery     {long[2]}-2", self.run_command("show", "029b7c9f-2").stdout)
        result = self.run_command("cancel", "029b7c9f-1", "019b7c9f")
        self.assertEqual((result.exit_code, result.stdout), (1, ""))
        self.assertIn(f"019b7c9f is ambiguous, type more of it: {long[0]}-1, {long[0]}-2", result.stderr)
        result = self.run_command("cancel", "029b7c9f-1")
        self.assertEqual((result.exit_code, result.stdout), (0, f"cancelled {long[2]}-1\n"))
        self.assertEqual(self.run_command("retry", "029b7c9f-1").stdout, f"requeued {long[2]}-1: accepted\n")
        result = self.run_command("show", f"{long[2]}-7")
        self.assertIn("did you mean 029b7c9f0f3e0001-", result.stderr)
        self.assertIn("at least 8 characters", self.run_command("show", "029b").stderr)

    def test_delivered_and_sent_again(self) -> None:
        """
        What was delivered is sent again on purpose, as one more delivery; nothing else is, and the accounts balance.
        """
        writes.settle(self.connection, "e2-1", State.DELIVERED, "", 1002.0, attempt(ok=True))
        result = self.run_command("retry", "e2-1")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("itsjustintv deliveries resend e2-1 resends it", result.stderr)
        result = self.run_command("resend", "e2-1")
        self.assertEqual((result.exit_code, result.stdout), (0, "resending e2-1 as e2-2\n"))
        self.assertEqual(self.states()["e2-2"], "pending")
        self.assertIn("4 wanted = 1 delivered + 2 dead", self.run_command("list").stdout)
        result = self.run_command("resend", "e1-1")
        self.assertEqual(result.exit_code, 1)
        self.assertIn("itsjustintv deliveries retry e1-1 requeues it", result.stderr)

    def test_all_or_some(self) -> None:
        """
        Neither nothing, nor everything and some, nor a choice among some is understood, and nothing is changed.
        """
        for arguments in ((), ("--all", "e1-1"), ("e1-1", "--destination", "a")):
            self.assertEqual(self.run_command("retry", *arguments).exit_code, 2)
        self.assertEqual(self.states(), {"e1-1": "dead", "e2-1": "pending", "e3-1": "dead"})


class ConfigurationTests(SynchronousTestCase):
    """
    Which configuration a command takes.
    """

    def test_that_of_the_command_comes_first(self) -> None:
        """
        What the command is told counts more than what stands before its name.
        """
        path = Path(self.mktemp())
        path.write_text(CONFIG.format(path="x.db"), encoding="utf-8")
        for arguments in (["-c", str(path), "config", "validate"], ["-c", "no", "config", "validate", "-c", str(path)]):
            self.assertIn("is valid", CliRunner().invoke(main, arguments).stdout)

    def validated(self, text: str) -> Result:
        """
        Check a configuration that only its owner can read.
        """
        self.path = Path(self.mktemp()).absolute()
        self.path.write_text(text, encoding="utf-8")
        self.path.chmod(0o600)
        return CliRunner().invoke(main, ["config", "validate", "-c", str(self.path)])

    def test_what_others_can_read(self) -> None:
        """
        A configuration that others can read is remarked upon, and one for its owner and group is not.
        """
        self.assertNotIn("by others", self.validated(CONFIG.format(path="x.db")).stderr)
        self.path.chmod(0o644)
        result = CliRunner().invoke(main, ["config", "validate", "-c", str(self.path)])
        words = f"Warning: the configuration {self.path} can be read by other users: chmod 600 {self.path}\n"
        self.assertIn(words, result.stderr)
        self.assertEqual(result.exit_code, 0)

    def test_what_is_seldom_meant(self) -> None:
        """
        An address of a chat service and a secret in quotes are warned of, and the configuration is valid.
        """
        text = CONFIG.format(path="x.db").replace('webhook_secret = "', "webhook_secret = \"'")
        text += '[streamers.chat]\nlogin = "chat"\ntarget_webhook_url = "https://discord.com/api/webhooks/1/q7Z"\n'
        result = self.validated(text)
        self.assertIn("Warning: streamers.chat.target_webhook_url: is a URL of Discord", result.stderr)
        self.assertIn("Warning: twitch.webhook_secret: begins with a quote", result.stderr)
        self.assertNotIn("q7Z", result.output)
        self.assertEqual(result.exit_code, 0)

    def test_no_callback_with_a_conduit(self) -> None:
        """
        Where Twitch calls nothing, nothing is said of a callback.
        """
        text = CONFIG.format(path="x.db").replace("webhook_secret", 'transport = "conduit"\nwebhook_secret')
        self.assertIn('transport = "conduit"', text)
        result = self.validated(text)
        self.assertEqual(result.exit_code, 0)
        self.assertNotIn("callback", result.stderr)

    def test_for_programs(self) -> None:
        """
        As JSON a valid configuration is its path, the number of streamers and the warnings.
        """
        path = Path(self.mktemp())
        path.write_text(CONFIG.format(path="x.db"), encoding="utf-8")
        told = json.loads(CliRunner().invoke(main, ["config", "validate", "--json", "-c", str(path)]).stdout)
        self.assertEqual((told["path"], told["streamers"]), (str(path.absolute()), 1))
        self.assertTrue(any("callback" in each for each in told["warnings"]), told)
