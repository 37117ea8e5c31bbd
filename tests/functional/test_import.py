"""
Taking the place of the original program, in the folder where it ran.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from twisted.internet.defer import Deferred

from itsjustintv.model import State, broadcast_key
from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.receiver import Expectation
from itsjustintv.simulator.world import SimulatedStream
from tests.functional.stage import Stage, StageCase

#: What the original puts into its queue, in its order.
PAYLOAD = {
    "streamer_login": "tanuki",
    "streamer_name": "タヌキ",
    "streamer_id": "1",
    "url": "https://twitch.tv/tanuki",
    "followers_count": 5,
    "tags": ["English", "vip"],
    "language": "en",
    "image": {"url": "https://example.test/x.png", "width": 300, "height": 300, "data": "UE5H"},
    "additional_tags": ["vip"],
}


def go_time(seconds: float) -> str:
    """
    A time as Go writes it: nine digits of a second, and the zone of the machine.
    """
    return f"{datetime.fromtimestamp(seconds + 3600, UTC):%Y-%m-%dT%H:%M:%S.%f}789+01:00"


class OriginalCase(StageCase):
    """
    Tests with the files of the original program.
    """

    def original(self, settings: str = "") -> Stage:
        """
        A folder with one streamer, where the original ran until now.
        """
        stage = self.stage(settings=settings)
        stage.add_streamer("tanuki", title="A title")
        (stage.folder / "data").mkdir()
        return stage

    def cached(self, stage: Stage, *announced: tuple[SimulatedStream, float]) -> None:
        """
        Write ``cache.json``: broadcasts that were announced, and for how many seconds that still counts.
        """
        now = stage.reactor.seconds()
        entries = [
            {
                "key": broadcast_key(stream.channel.id, stream.id, stream.started_at),
                "data": b64encode(json.dumps({"id": stream.id}).encode()).decode(),
                "expires_at": go_time(now + left),
                "created_at": go_time(now + left - 7200),
            }
            for stream, left in announced
        ]
        self.write(stage, "cache.json", json.dumps(entries, indent=2))

    def queued(self, stage: Stage) -> None:
        """
        Write ``retry_state.json``: one delivery to tanuki's destination, tried twice and due.
        """
        now = stage.reactor.seconds()
        entry = {
            "webhook_url": f"{stage.hook}/tanuki",
            "payload": {**PAYLOAD, "timestamp": go_time(now - 60)},
            "webhook_secret": "an old secret",
            "webhook_header": "X-Hub-Signature-256",
            "webhook_hashing": "SHA-256",
            "streamer_key": "tanuki",
            "attempt": 2,
            "next_retry": go_time(now - 1),
        }
        self.write(stage, "retry_state.json", json.dumps({"queue": [entry]}, indent=2))

    def token(self, stage: Stage) -> str:
        """
        Write ``tokens.json``: a token that is good for a month.
        """
        token = stage.twitch.tokens.issue()
        content = {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": 5011271,
            "expires_at": go_time(stage.reactor.seconds() + 2600000),
        }
        self.write(stage, "tokens.json", json.dumps(content, indent=2))
        return token

    def write(self, stage: Stage, name: str, text: str) -> None:
        """
        Write a file, with the mode that the original gives it.
        """
        path = stage.folder / "data" / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)

    async def announced(self, stage: Stage, stream: SimulatedStream) -> None:
        """
        Let the daemon accept a broadcast, whatever it makes of it.
        """
        report = await stage.twitch.eventsub.send(stage.message(stream))
        self.assertEqual((report.tries[0].status, report.tries[0].body), (200, b'{"status":"processed"}'))

    async def live(self, stage: Stage) -> SimulatedStream:
        """
        A further broadcast that tanuki's destination has been told of.
        """
        stream = stage.twitch.world.go_live("tanuki")
        await self.announced(stage, stream)
        await stage.until(lambda: stream.id in self.told(stage))
        return stream

    def told(self, stage: Stage) -> Sequence[str]:
        """
        The broadcasts that tanuki's destination was told of; the original names none.
        """
        return [each.payload.get("stream", {}).get("id", "") for each in stage.receiver.at("/tanuki")]


class FirstStartTests(OriginalCase):
    """
    The first start takes over what the original has left.
    """

    def test_what_was_announced_is_not_announced_again(self) -> Deferred[None]:
        """
        A broadcast in ``cache.json`` is taken for a duplicate while its entry counts, and only then.
        """

        async def scenario() -> None:
            stage = self.original()
            known, forgotten = (stage.twitch.world.go_live("tanuki") for _ in range(2))
            self.cached(stage, (known, 3600), (forgotten, -1))
            await stage.started()
            await self.announced(stage, known)
            await self.announced(stage, forgotten)
            last = await self.live(stage)
            await stage.settled(stage.reactor)
            self.assertCountEqual(self.told(stage), [forgotten.id, last.id])

        return Deferred.fromCoroutine(scenario())

    def test_what_was_queued_is_delivered(self) -> Deferred[None]:
        """
        A delivery in ``retry_state.json`` arrives with the payload as it was, signed with what is configured now, and
        its attempts are counted on.
        """

        async def scenario() -> None:
            stage = self.original()
            stage.streamers["tanuki"] += 'target_webhook_secret = "a new secret"\n'
            stage.receiver.expectations["/tanuki"] = Expectation(secret="a new secret")
            self.queued(stage)
            await stage.started()
            arrived = await stage.receiver.delivery("/tanuki")
            self.assertEqual(arrived.problem, "")
            payload = arrived.payload
            self.assertIn("timestamp", payload)
            self.assertEqual(list(payload.items())[:-1], list(PAYLOAD.items()))
            account = await stage.settled(stage.reactor)
            self.assertEqual((account.wanted, account.delivered, account.imbalance), (1, 1, 0))
            (delivery,) = stage.journal.list(State.DELIVERED)
            self.assertEqual((delivery.streamer, delivery.attempts), ("tanuki", 3))

        return Deferred.fromCoroutine(scenario())

    def test_a_token_that_is_still_good_is_used(self) -> Deferred[None]:
        """
        With the token of ``tokens.json`` the daemon asks Helix, and asks for no other.
        """

        async def scenario() -> None:
            stage = self.original()
            self.token(stage)
            await stage.started()
            await self.live(stage)
            (told,) = stage.receiver.received
            self.assertEqual(told.payload["stream"]["title"], "A title")
            self.assertNotIn("POST /oauth2/token", stage.twitch.requests)

        return Deferred.fromCoroutine(scenario())

    def test_the_files_stay_as_they_were_and_are_not_read_again(self) -> Deferred[None]:
        """
        After two starts the files are the same to the byte, and what was queued was delivered once.
        """

        async def scenario() -> None:
            stage = self.original()
            stream = stage.twitch.world.go_live("tanuki")
            self.cached(stage, (stream, 3600))
            self.queued(stage)
            self.token(stage)
            files = [stage.folder / "data" / name for name in ("cache.json", "retry_state.json", "tokens.json")]
            before = [(path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode) for path in files]
            daemon = await stage.started()
            await stage.settled(stage.reactor)
            self.assertEqual(await daemon.stop(), 0)
            await stage.started()
            last = await self.live(stage)
            account = await stage.settled(stage.reactor)
            self.assertEqual((account.wanted, account.delivered), (2, 2))
            self.assertEqual(self.told(stage), ["", last.id])
            after = [(path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode) for path in files]
            self.assertEqual(after, before)

        return Deferred.fromCoroutine(scenario())

    def test_files_that_come_later_are_not_read(self) -> Deferred[None]:
        """
        A folder in which the daemon ran before takes nothing over, even if nothing had happened yet.
        """

        async def scenario() -> None:
            stage = self.original()
            daemon = await stage.started()
            self.assertEqual(await daemon.stop(), 0)
            self.queued(stage)
            await stage.started()
            last = await self.live(stage)
            account = await stage.settled(stage.reactor)
            self.assertEqual((account.wanted, self.told(stage)), (1, [last.id]))

        return Deferred.fromCoroutine(scenario())


class BrokenTests(OriginalCase):
    """
    Whatever is wrong with the files, the daemon starts and says what it could not read.
    """

    async def starts(self, contents: dict[str, str], *warnings: str) -> Stage:
        """
        Start a daemon beside files with these contents; it works, and its log has one warning for each expected text.
        """
        stage = self.original()
        for name, text in contents.items():
            self.write(stage, name, text)
        daemon = await stage.started()
        await self.live(stage)
        lines = [line for line in daemon.output.splitlines() if any(name in line for name in contents)]
        self.assertEqual(len(lines), len(warnings), daemon.output)
        for text in warnings:
            (line,) = (line for line in lines if text in line)
            self.assertIn('"level":"warn"', line)
        self.assertNotIn("Traceback", daemon.output)
        return stage

    def test_files_that_are_no_json(self) -> Deferred[None]:
        """
        Files that were cut off in the middle, as the original leaves them after a crash, are one warning each.
        """
        contents = {"cache.json": '[{"key": "ab', "retry_state.json": "", "tokens.json": '{"access_token":'}
        warnings = (
            "cache.json is not JSON",
            "retry_state.json is not JSON",
            "tokens.json: it is not JSON",
        )
        return Deferred.fromCoroutine(self.starts(contents, *warnings))

    def test_files_of_somebody_else(self) -> Deferred[None]:
        """
        JSON of another kind is one warning each.
        """
        contents = {"cache.json": '{"a": 1}', "retry_state.json": "[1, 2]", "tokens.json": '{"access_token": 5}'}
        warnings = (
            "cache.json is not what",
            "retry_state.json is not what",
            "tokens.json: access_token",
        )
        return Deferred.fromCoroutine(self.starts(contents, *warnings))

    def test_entries_that_cannot_be_read(self) -> Deferred[None]:
        """
        One entry that makes no sense is a warning with its number; the others are taken over all the same.
        """

        async def scenario() -> None:
            stage = self.original()
            self.queued(stage)
            path = stage.folder / "data" / "retry_state.json"
            content = json.loads(path.read_bytes())
            content["queue"].insert(0, {"payload": None})
            path.write_text(json.dumps(content), encoding="utf-8")
            daemon = await stage.started()
            await stage.receiver.delivery("/tanuki")
            (line,) = (line for line in daemon.output.splitlines() if "retry_state.json" in line)
            self.assertIn("entry 1 is skipped, it has no payload", line)

        return Deferred.fromCoroutine(scenario())


class RoundTripTests(OriginalCase):
    """
    What is exported can be taken over by a daemon in another folder, as if it had always been there.
    """

    async def moved(self, stage: Stage) -> SimulatedStream:
        """
        Announce a broadcast, fail to announce another, stop, export, and go to a new folder with the files.

        :return: the one that was announced.
        """
        daemon = await stage.started()
        stage.receiver.script.plan("/kitsune", then=Behaviour(status=500))
        stream = await self.live(stage)
        await self.announced(stage, stage.twitch.world.go_live("kitsune"))
        await stage.until(lambda: [each for each in stage.journal.list(State.PENDING) if each.attempts])
        await daemon.stop()
        ended = await stage.command("state", "export", "elsewhere/data")
        self.assertEqual(ended.status, 0, ended)
        stage.folder /= "elsewhere"
        return stream

    def pair(self, initial_delay: str) -> Stage:
        """
        Two streamers, and a patience between attempts.
        """
        stage = self.stage(settings=f'[retry]\ninitial_delay = "{initial_delay}"\njitter = 0\n')
        stage.add_streamer("tanuki")
        stage.add_streamer("kitsune")
        return stage

    def test_the_daemon_goes_on_where_it_was(self) -> Deferred[None]:
        """
        In the new folder what was announced stays announced, what was waiting is delivered as it was, and the token is
        still used.
        """

        async def scenario() -> None:
            stage = self.pair("100ms")
            stream = await self.moved(stage)
            stage.receiver.script.plan("/kitsune")
            tokens = stage.twitch.requests.count("POST /oauth2/token")
            tries = len(stage.receiver.at("/kitsune"))
            await stage.started()
            again = await stage.receiver.delivery("/kitsune", tries + 1)
            self.assertEqual(again.payload, stage.receiver.at("/kitsune")[0].payload)
            await self.announced(stage, stream)
            account = await stage.settled(stage.reactor)
            self.assertEqual((account.wanted, account.delivered, account.imbalance), (1, 1, 0))
            self.assertEqual(self.told(stage), [stream.id])
            self.assertEqual(stage.twitch.requests.count("POST /oauth2/token"), tokens)

        return Deferred.fromCoroutine(scenario())

    def test_a_second_export_says_the_same(self) -> Deferred[None]:
        """
        What the new folder exports is what it was given: the same broadcasts for as long, the same queue, the same
        token.
        """

        async def scenario() -> None:
            stage = self.pair("30m")
            await self.moved(stage)
            daemon = await stage.started()
            await daemon.stop()
            ended = await stage.command("state", "export", "further")
            self.assertEqual(ended.status, 0, ended)
            self.assertEqual(self.contents(stage.folder / "further"), self.contents(stage.folder / "data"))

        return Deferred.fromCoroutine(scenario())

    def contents(self, folder: Path) -> tuple[object, ...]:
        """
        What matters in exported files: of an announced broadcast only its key and its time are taken over.
        """
        cache, queue, token = (
            json.loads((folder / name).read_bytes()) for name in ("cache.json", "retry_state.json", "tokens.json")
        )
        return sorted((entry["key"], entry["expires_at"]) for entry in cache), queue, token
