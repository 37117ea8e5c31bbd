"""
The commands of an operator, beside the real daemon and without it.
"""

from __future__ import annotations

import json
import stat
from base64 import b64decode
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from twisted.internet.defer import Deferred

from itsjustintv.model import State
from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.receiver import Expectation
from itsjustintv.simulator.world import SimulatedStream
from itsjustintv.support.foreign_text import visible
from itsjustintv.support.signatures import sign_hub
from tests.functional.run import Ended
from tests.functional.stage import Stage, StageCase

#: Two attempts, and then no more.
IMPATIENT = '[retry]\nmax_attempts = 2\ninitial_delay = "20ms"\njitter = 0\n'

BROKEN = Behaviour(status=500, body=b"the plough is broken\x1b[2J")

#: What a streamer may be called.
HOSTILE = "Tanuki\x1b[2J\x9b\nFORGED\u202e\u2028FORGED"


class CommandCase(StageCase):
    """
    Tests of commands.
    """

    async def announced(self, stage: Stage, login: str) -> SimulatedStream:
        """
        A broadcast that the daemon has accepted.
        """
        stream = stage.twitch.world.go_live(login)
        report = await stage.twitch.eventsub.send(stage.message(stream))
        self.assertTrue(report.acknowledged, report)
        return stream

    async def dead(self, stage: Stage, login: str) -> str:
        """
        A delivery that ended in vain: its id.
        """
        stage.receiver.script.plan(f"/{login}", then=BROKEN)
        await self.announced(stage, login)
        await stage.settled(stage.reactor)
        (delivery,) = stage.journal.list(State.DEAD, streamer=login)
        return delivery.id

    def assert_done(self, ended: Ended) -> str:
        """
        A command went well and complained of nothing: what it printed, which steers no terminal.
        """
        self.assertEqual((ended.status, ended.err), (0, ""), ended)
        lines = ended.out.split("\n")
        self.assertEqual(lines, [visible(line) for line in lines])
        self.assertFalse([line for line in lines if line.startswith("FORGED")])
        return ended.out

    def assert_declined(self, ended: Ended, *expected: str) -> None:
        """
        A command ended with status 1 and one line that holds the expected texts, and printed nothing.
        """
        self.assertEqual((ended.status, ended.out), (1, ""), ended)
        self.assertTrue(ended.err.startswith("Error: "), ended)
        self.assertEqual(len(ended.err.splitlines()), 1, ended)
        for text in expected:
            self.assertIn(text, ended.err)


class DeliveriesTests(CommandCase):
    """
    ``itsjustintv deliveries``.
    """

    def test_a_dead_delivery_is_listed_shown_and_sent_again(self) -> Deferred[None]:
        """
        What died is listed with its reason, shown with what the receiver answered, and delivered under the same id once
        the receiver is well and the operator asks for it; the books still balance.
        """

        async def scenario() -> None:
            stage = self.stage(settings=IMPATIENT)
            stage.add_streamer("tanuki", name=HOSTILE, title=HOSTILE)
            stage.add_streamer("kitsune")
            await stage.started()
            delivery = await self.dead(stage, "tanuki")
            await self.announced(stage, "kitsune")
            await stage.settled(stage.reactor)

            listed = self.assert_done(await stage.command("deliveries", "list", "--state", "dead"))
            (line,) = (line for line in listed.splitlines() if "streamers.tanuki" in line)
            for text in ("dead", " 2 ", "tanuki", "exhausted"):
                self.assertIn(text, line)
            self.assertNotIn("kitsune", listed)
            self.assertIn("matching: 1 (1 dead)", listed)

            short = line.split()[-2]
            self.assertLess(len(short), len(delivery))
            shown = self.assert_done(await stage.command("deliveries", "show", short))
            self.assertIn(f"delivery     {delivery}", shown)
            self.assertIn("state        dead", shown)
            self.assertEqual(shown.count(r"response: the plough is broken\x1b[2J"), 2)
            self.assertIn('"streamer_login": "tanuki"', shown)

            stage.receiver.script.plan("/tanuki")
            told = self.assert_done(await stage.command("deliveries", "retry", short))
            self.assertEqual(told, f"requeued {delivery}: pending\n")
            again = await stage.receiver.delivery("/tanuki", 3)
            self.assertEqual(again.payload["id"], stage.receiver.at("/tanuki")[0].payload["id"])
            account = await stage.settled(stage.reactor)
            self.assertEqual((account.wanted, account.delivered, account.imbalance), (2, 2, 0))

        return Deferred.fromCoroutine(scenario())

    def test_what_is_cancelled_is_never_sent(self) -> Deferred[None]:
        """
        A delivery that is cancelled while it waits behind another one is passed over, though what comes after it is
        sent.
        """

        async def scenario() -> None:
            stage = self.stage(settings="[retry]\nconcurrency = 1\n")
            stage.add_streamer("tanuki")
            await stage.started()
            gate: Deferred[None] = Deferred()
            stage.receiver.script.plan("/tanuki", Behaviour(after=gate))
            streams = [await self.announced(stage, "tanuki")]
            await stage.receiver.delivery("/tanuki")
            streams += [await self.announced(stage, "tanuki"), await self.announced(stage, "tanuki")]
            await stage.until(lambda: stage.accounting().pending == 3)
            second = stage.journal.list()[1].id
            told = self.assert_done(await stage.command("deliveries", "cancel", second))
            self.assertEqual(told, f"cancelled {second}\n")
            gate.callback(None)
            account = await stage.settled(stage.reactor)
            self.assertEqual((account.delivered, account.cancelled, account.imbalance), (2, 1, 0))
            sent = [each.payload["stream"]["id"] for each in stage.receiver.at("/tanuki")]
            self.assertEqual(sent, [streams[0].id, streams[2].id])

        return Deferred.fromCoroutine(scenario())

    def test_all_of_it_works_without_the_daemon(self) -> Deferred[None]:
        """
        While no daemon runs deliveries are listed, shown and asked for again; the next daemon sends them.
        """

        async def scenario() -> None:
            stage = self.stage(settings=IMPATIENT)
            stage.add_streamer("tanuki")
            daemon = await stage.started()
            delivery = await self.dead(stage, "tanuki")
            await daemon.stop()
            self.assertIn(delivery[:8], self.assert_done(await stage.command("deliveries", "list")))
            self.assertIn(delivery, self.assert_done(await stage.command("deliveries", "show", delivery)))
            stage.receiver.script.plan("/tanuki")
            self.assert_done(await stage.command("deliveries", "retry", delivery))
            await stage.started()
            await stage.receiver.delivery("/tanuki", 3)
            self.assertEqual((await stage.settled(stage.reactor)).delivered, 1)

        return Deferred.fromCoroutine(scenario())

    def test_a_delivery_that_does_not_exist_is_named(self) -> Deferred[None]:
        """
        ``show``, ``retry`` and ``cancel`` say in one line that there is no such delivery.
        """

        async def scenario() -> None:
            stage = self.stage()
            stage.add_streamer("tanuki")
            await stage.started()
            for command in ("show", "retry", "cancel"):
                self.assert_declined(await stage.command("deliveries", command, "nobody-1"), "there is no", "nobody-1")

        return Deferred.fromCoroutine(scenario())

    def test_what_was_delivered_is_sent_again_on_purpose_only(self) -> Deferred[None]:
        """
        ``retry`` and ``cancel`` of a delivered one are declined in one line, and it is not sent again; ``resend`` sends
        it again, under the same id.
        """

        async def scenario() -> None:
            stage = self.stage()
            stage.add_streamer("tanuki")
            await stage.started()
            await self.announced(stage, "tanuki")
            await stage.settled(stage.reactor)
            (delivery,) = stage.journal.list()
            for command in ("retry", "cancel"):
                self.assert_declined(await stage.command("deliveries", command, delivery.id), "delivered")
            self.assertEqual((await stage.settled(stage.reactor)).delivered, 1)
            self.assertEqual(len(stage.receiver.received), 1)
            told = self.assert_done(await stage.command("deliveries", "resend", delivery.id))
            self.assertEqual(told, f"resending {delivery.id} as {delivery.event_id}-2\n")
            again = await stage.receiver.delivery("/tanuki", 2)
            self.assertEqual(again.payload["id"], stage.receiver.at("/tanuki")[0].payload["id"])
            account = await stage.settled(stage.reactor)
            self.assertEqual((account.wanted, account.delivered, account.imbalance), (2, 2, 0))

        return Deferred.fromCoroutine(scenario())

    def test_without_a_journal_nothing_is_made(self) -> Deferred[None]:
        """
        Before the daemon ever ran, each command names the journal that it misses, in one line, and creates nothing.
        """

        async def scenario() -> None:
            stage = self.stage()
            stage.add_streamer("tanuki")
            stage.configure()
            for command in (
                ("deliveries", "list"),
                ("deliveries", "show", "nobody-1"),
                ("deliveries", "retry", "nobody-1"),
                ("deliveries", "cancel", "nobody-1"),
                ("state", "export", "exported"),
            ):
                self.assert_declined(await stage.command(*command), "no journal", "data/itsjustintv.db")
            self.assertEqual([path.name for path in stage.folder.iterdir()], ["config.toml"])

        return Deferred.fromCoroutine(scenario())


class ExplainTests(CommandCase):
    """
    ``itsjustintv explain``.
    """

    def test_an_event_and_a_streamer(self) -> Deferred[None]:
        """
        The id that Twitch is answered with leads through every line of the log and to all that happened; a streamer is
        explained with its subscription and its last deliveries, which are told even if Twitch is away.
        """

        async def scenario() -> None:
            stage = self.stage(settings='[retry]\ninitial_delay = "50ms"\n')
            stage.add_streamer("tanuki", name=HOSTILE, title=HOSTILE)
            daemon = await stage.started()
            await stage.subscribed()
            stage.receiver.script.plan("/tanuki", Behaviour(status=503))
            stage.twitch.faults.plan("channels", Behaviour(status=500))
            report = await stage.twitch.eventsub.send(stage.message(stage.twitch.world.go_live("tanuki")))
            event_id = report.tries[-1].request_id
            await stage.settled(stage.reactor)
            await daemon.said(f"delivered {event_id}")
            lines = [line for line in map(json.loads, daemon.output.splitlines()) if event_id in line["message"]]
            self.assertEqual({line.get("event_id") for line in lines}, {event_id})
            self.assertEqual(len(lines), 4, lines)
            told = json.loads(self.assert_done(await stage.command("explain", event_id, "--json")))
            steps = [each["step"] for each in told["steps"]]
            self.assertEqual(steps, ["received", "kept", "prepared", "attempt", "attempt", "delivered"])
            told = self.assert_done(await stage.command("explain", "TANUKI"))
            for text in ("as streamers.tanuki", "enabled", event_id[:8], "nothing: the subscription works"):
                self.assertIn(text, told)
            await stage.take_twitch_away()
            told = self.assert_done(await stage.command("explain", "tanuki"))
            for text in ("unknown: ", event_id[:8]):
                self.assertIn(text, told)

        return Deferred.fromCoroutine(scenario())


class DoctorTests(CommandCase):
    """
    ``itsjustintv doctor``.
    """

    async def verdicts(self, stage: Stage, status: int) -> dict[str, str]:
        """
        The worst verdict on each area.
        """
        ended = await stage.command("doctor", "--json")
        self.assertEqual(ended.status, status, ended)
        found: dict[str, str] = {}
        for each in json.loads(ended.out)["findings"]:
            found[each["area"]] = max(
                found.get(each["area"], ""), each["verdict"], key=["", "ok", "hint", "mend"].index
            )
        return found

    def test_before_beside_and_after_the_daemon(self) -> Deferred[None]:
        """
        Nothing has to be mended before the start nor while all is well; then it finds what is wrong, one after the
        other. It keeps no token.
        """

        async def scenario() -> None:
            stage = self.stage()
            stage.add_streamer("tanuki")
            stage.configure().chmod(0o600)
            before = await self.verdicts(stage, 0)
            hints = {area for area, verdict in before.items() if verdict == "hint"}
            self.assertEqual(hints, {"daemon", "subscriptions", "callback"})
            self.assertFalse((stage.folder / "data").exists())
            await stage.started()
            await stage.subscribed()
            beside = await self.verdicts(stage, 0)
            self.assertEqual({beside[area] for area in ("disk", "journal", "https", "clock", "credentials")}, {"ok"})
            told = (await stage.command("doctor")).out
            for text in ("is in use, and a daemon runs", "1 of 1 streamers have a working subscription"):
                self.assertIn(text, told)
            stage.twitch.tokens.client_secret = "another"
            self.assertEqual((await self.verdicts(stage, 1))["credentials"], "mend")
            await stage.take_twitch_away()
            self.assertEqual((await self.verdicts(stage, 1))["twitch"], "mend")

        return Deferred.fromCoroutine(scenario())


class ExportTests(CommandCase):
    """
    ``itsjustintv state export``.
    """

    async def exported(self) -> tuple[Stage, SimulatedStream, Path]:
        """
        What a daemon exports that has told tanuki's destination of a broadcast, and not yet kitsune's.
        """
        stage = self.stage(settings='[retry]\ninitial_delay = "30m"\njitter = 0\n')
        stage.add_streamer("tanuki")
        stage.add_streamer("kitsune", 'target_webhook_secret = "fox fire"\ntarget_webhook_hashing = "SHA-512"')
        stage.receiver.expectations["/kitsune"] = Expectation(secret="fox fire", hashing="sha512")
        stage.receiver.script.plan("/kitsune", then=BROKEN)
        await stage.started()
        stream = await self.announced(stage, "tanuki")
        await stage.until(lambda: stage.accounting().delivered)
        await self.announced(stage, "kitsune")
        await stage.until(lambda: [each for each in stage.journal.list(State.PENDING) if each.attempts])
        self.assert_done(await stage.command("state", "export", "exported"))
        return stage, stream, stage.folder / "exported"

    def test_announced_broadcasts_are_written_as_the_original_does(self) -> Deferred[None]:
        """
        ``cache.json`` has, for each broadcast, the SHA-256 of user, stream and start, the event, and until when it
        counts.
        """

        async def scenario() -> None:
            _, stream, folder = await self.exported()
            entries = json.loads((folder / "cache.json").read_bytes())
            self.assertEqual(len(entries), 2)
            started = int(datetime.fromisoformat(stream.started_at).timestamp())
            key = sha256(f"{stream.channel.id}:{stream.id}:{started}".encode()).hexdigest()
            (entry,) = (each for each in entries if each["key"] == key)
            self.assertEqual(set(entry), {"key", "data", "expires_at", "created_at"})
            event = json.loads(b64decode(entry["data"], validate=True))
            self.assertEqual((event["id"], event["broadcaster_user_login"]), (stream.id, "tanuki"))
            created, expires = (datetime.fromisoformat(entry[name]) for name in ("created_at", "expires_at"))
            self.assertApproximates((expires - created).total_seconds(), 7200, 1)
            self.assertLess(abs((datetime.now(UTC) - created).total_seconds()), 60)

        return Deferred.fromCoroutine(scenario())

    def test_the_queue_is_written_as_the_original_does(self) -> Deferred[None]:
        """
        ``retry_state.json`` has what was not delivered yet, with its address, what it is signed with, and its next
        attempt.
        """

        async def scenario() -> None:
            stage, _, folder = await self.exported()
            content = json.loads((folder / "retry_state.json").read_bytes())
            self.assertEqual(list(content), ["queue"])
            (entry,) = content["queue"]
            self.assertEqual(
                {name: entry[name] for name in entry if name not in ("payload", "next_retry")},
                {
                    "webhook_url": f"{stage.hook}/kitsune",
                    "webhook_secret": "fox fire",
                    "webhook_header": "X-Hub-Signature-256",
                    "webhook_hashing": "SHA-512",
                    "streamer_key": "kitsune",
                    "attempt": 1,
                },
            )
            (sent,) = stage.receiver.at("/kitsune")
            self.assertEqual(sent.headers["x-hub-signature-256"], sign_hub("fox fire", sent.body, "sha512"))
            self.assertEqual(entry["payload"], sent.payload)
            wait = datetime.fromisoformat(entry["next_retry"]).timestamp() - sent.at
            self.assertTrue(1800 <= wait < 1860, wait)

        return Deferred.fromCoroutine(scenario())

    def test_the_token_is_written_as_the_original_does(self) -> Deferred[None]:
        """
        ``tokens.json`` has the token with which the daemon asks Twitch, and when it ends.
        """

        async def scenario() -> None:
            stage, _, folder = await self.exported()
            token = json.loads((folder / "tokens.json").read_bytes())
            self.assertEqual(set(token), {"access_token", "token_type", "expires_in", "expires_at"})
            remaining = stage.twitch.tokens.remaining(token["access_token"])
            self.assertGreater(remaining, 0)
            expires = datetime.fromisoformat(token["expires_at"]).timestamp()
            self.assertLess(abs(expires - stage.reactor.seconds() - remaining), 60)

        return Deferred.fromCoroutine(scenario())

    def test_nobody_else_can_read_it(self) -> Deferred[None]:
        """
        The three files and their folder are for their owner only.
        """

        async def scenario() -> None:
            _, _, folder = await self.exported()
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
            self.assertEqual(
                modes, {"exported": 0o700, "cache.json": 0o600, "retry_state.json": 0o600, "tokens.json": 0o600}
            )

        return Deferred.fromCoroutine(scenario())


class ConfigTests(CommandCase):
    """
    ``itsjustintv config``.
    """

    def test_a_good_configuration_is_checked_without_a_trace(self) -> Deferred[None]:
        """
        ``validate`` says that it is valid, and how many streamers there are, and creates nothing.
        """

        async def scenario() -> None:
            stage = self.stage()
            stage.add_streamer("tanuki")
            stage.add_streamer("kitsune")
            stage.configure()
            ended = await stage.command("config", "validate")
            self.assertEqual(ended.status, 0, ended)
            self.assertIn("config.toml' is valid", ended.out)
            self.assertIn("2 configured streamers", ended.out)
            self.assertIn("the callback is plain http", ended.err)
            self.assertEqual([path.name for path in stage.folder.iterdir()], ["config.toml"])

        return Deferred.fromCoroutine(scenario())

    def test_everything_that_is_wrong_is_listed_at_once(self) -> Deferred[None]:
        """
        ``validate`` of a configuration with four faults names all four by their path, ends with 1 and creates nothing.
        """

        async def scenario() -> None:
            stage = self.stage(settings='[retry]\nmax_attempts = -1\n[output]\nfile_pth = "x"\n')
            stage.add_streamer("tanuki", 'target_webhook_hashing = "MD5"')
            path = stage.configure()
            path.write_text(path.read_text().replace(f"port = {stage.port}", "port = 70000"))
            ended = await stage.command("config", "validate")
            self.assertEqual((ended.status, ended.out), (1, ""), ended)
            for key in (
                "server.port: ",
                "retry.max_attempts: ",
                "output.file_pth: ",
                "streamers.tanuki.target_webhook_hashing: ",
            ):
                self.assertIn(key, ended.err)
            self.assertEqual([path.name for path in stage.folder.iterdir()], ["config.toml"])

        return Deferred.fromCoroutine(scenario())

    def test_an_example_never_replaces_a_file(self) -> Deferred[None]:
        """
        ``example`` writes a file for its owner's eyes; a second one is declined in one line, and the first stays as it
        has become.
        """

        async def scenario() -> None:
            stage = self.stage()
            self.assert_done(await stage.command("config", "example", "mine.toml"))
            path = stage.folder / "mine.toml"
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
            self.assertIn("[twitch]", path.read_text())
            path.write_text("an hour's work")
            self.assert_declined(await stage.command("config", "example", "mine.toml"), "mine.toml exists already")
            self.assertEqual(path.read_text(), "an hour's work")

        return Deferred.fromCoroutine(scenario())
