"""
What the demonstration shows and checks: five streamers go live, and the daemon does what the README says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, TextIO, TypeVar

from attrs import define, field
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.web import http

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.eventsub import VerificationReport
from itsjustintv.simulator.process import DaemonProcess
from itsjustintv.simulator.receiver import Expectation, Received
from itsjustintv.simulator.stage import Stage, Tables
from itsjustintv.simulator.world import SimulatedStream
from itsjustintv.support.signatures import format_standard_secret

__all__ = ["DemoScript", "Terminal", "Unexpected", "duration", "wants_colour"]

_Result = TypeVar("_Result")

#: Seconds to wait for anything that should happen at once.
_SOON = 5.0

_UNAVAILABLE = Behaviour(status=http.SERVICE_UNAVAILABLE)


class Unexpected(Exception):
    """
    A check failed: the daemon did not do what the text says.
    """


def _brief(payload: Any) -> str:
    """
    Format a payload for people, with the length of the image instead of its data.
    """
    match payload:
        case {"image": {"data": str(data)}}:
            payload["image"]["data"] = f"<{len(data)} characters of base64>"
    return json.dumps(payload, indent=2, ensure_ascii=False)


@define(eq=False)
class DemoScript:
    """
    The steps of the demonstration, played on an open stage.

    :ivar daemon: the daemon, once it is started.
    """

    _reactor: Any
    _stage: Stage
    _terminal: Terminal
    _random: Random
    daemon: DaemonProcess | None = field(default=None, init=False)
    _began: float = field(init=False)

    @_began.default
    def _now(self) -> float:
        seconds: float = self._reactor.seconds()
        return seconds

    async def play(self) -> None:
        """
        Run every step.

        :raises Unexpected: a check failed.
        :raises NotReady: the daemon did not start.
        """
        daemon = await self._start()
        kitsune_announced_at = await self._fail()
        tanuki, report, delivered = await self._deliver()
        await self._filter(daemon)
        await self._repeat(tanuki, report)
        await self._post()
        recovered = await self._recover(kitsune_announced_at)
        self._count()
        await self._stop(daemon)
        through_conduit = await self._conduit()
        self._summary(delivered, recovered, through_conduit)

    async def _start(self) -> DaemonProcess:
        self._terminal.heading("Setup")
        world = self._stage.twitch.world
        world.add_streamer(
            "tanuki",
            "タヌキ",
            title="Pottery all night",
            game="Art",
            tags=("English", "Pottery"),
            language="en",
            followers=4711,
            viewers=3,
            description="Clay, glaze and fire.",
        )
        world.add_streamer("kitsune", "Kitsune", title="Speedruns", game="Celeste", tags=("English",), followers=12)
        world.add_streamer(
            "mujina", "Mujina", title="夜ふかし", game="Just Chatting", tags=("Japanese",), language="ja"
        )
        world.add_streamer("tengu", "Tengu", title="Charity run, day 2", game="Celeste", tags=("English",), viewers=812)
        self._step(
            f"simulated Twitch: {self._stage.twitch_url}; receivers: {self._stage.receiver_url}; Discord:"
            f" {self._stage.discord_url}"
        )
        started = self._now()
        daemon = self._stage.start_daemon(self._configuration())
        self.daemon = daemon
        await daemon.ready()
        self._step(
            f"started the daemon with `twistd -n itsjustintv --config config.toml`: process {daemon.pid}, {daemon.url}"
        )
        self._step(f"the daemon is healthy after {duration(self._now() - started)}")
        await self._soon(
            Deferred.fromCoroutine(self._subscribed(daemon.url)), "the daemon did not create its six subscriptions"
        )
        self._step("the daemon created 6 EventSub subscriptions and answered their challenges -> all enabled")
        return daemon

    async def _subscribed(self, url: str) -> None:
        subscriptions, callback = self._stage.twitch.subscriptions, f"{url}/twitch"
        while sum(each.status == "enabled" and each.callback == callback for each in subscriptions) < 6:
            await deferLater(self._reactor, 0.01)

    def _configuration(self) -> Tables:
        tables: dict[str, dict[str, object]] = {"retry": {"initial_delay": "1s", "backoff_factor": 2.0, "jitter": 0.0}}
        for login in ("tanuki", "kitsune", "mujina"):
            secret = format_standard_secret(self._random.randbytes(32))
            self._stage.receiver.expectations[f"/{login}"] = Expectation(secret=secret, signature="both")
            tables[f"streamers.{login}"] = {
                "user_id": self._stage.twitch.world.channel(login).id,
                "login": login,
                "target_webhook_url": f"{self._stage.receiver_url}/{login}",
                "target_webhook_secret": secret,
                "target_webhook_signature": "both",
            }
        webhook = self._stage.discord.add_webhook(channel="on-air")
        tables["broadcast"] = {
            "settle": "100ms",
            "reconnect_window": "1s",
            "refresh_preview": [],
            "refresh_recording": [],
        }
        tables["destinations.main"] = {
            "type": "discord",
            "url": webhook.url.replace("https://discord.com", self._stage.discord_url),
            "mention": ["role:77"],
        }
        tables["streamers.tengu"] = {
            "user_id": self._stage.twitch.world.channel("tengu").id,
            "login": "tengu",
            "destinations": ["main"],
        }
        tables["streamers.mujina"]["tag_filter"] = ["English"]
        tables["streamers.tanuki"]["additional_tags"] = ["friend"]
        return tables

    async def _fail(self) -> float:
        self._terminal.heading("1. kitsune goes live; its receiver fails")
        self._stage.receiver.script.plan("/kitsune", _UNAVAILABLE, _UNAVAILABLE)
        stream = self._stage.twitch.world.go_live("kitsune")
        announced_at = self._now()
        await self._announced(stream, "Twitch sends stream.online for kitsune")
        first = await self._arrival("/kitsune", 1)
        self._step(
            f"attempt 1, {duration(first.at - announced_at)} after Twitch's message -> {first.status} from the receiver"
        )
        return announced_at

    async def _deliver(self) -> tuple[SimulatedStream, VerificationReport, float]:
        self._terminal.heading("2. tanuki goes live; its receiver works")
        stream = self._stage.twitch.world.go_live("tanuki")
        announced_at = self._now()
        report = await self._announced(stream, "Twitch sends stream.online for tanuki")
        received = await self._arrival("/tanuki", 1)
        taken = received.at - announced_at
        self._step(
            f"attempt 1 -> {received.status}: delivered {duration(taken)} after Twitch's message, despite kitsune"
        )
        self._step(
            "both signatures are valid: X-Hub-Signature-256 and webhook-signature (Standard Webhooks); the payload:"
        )
        payload = received.payload
        self._terminal.block(_brief(payload))
        self._check(payload.get("streamer_login") == "tanuki", "streamer_login in the payload is wrong")
        enriched = payload.get("followers_count") == 4711 and "data" in payload.get("image", {})
        self._check(enriched, "the payload lacks the follower count or the image")
        return stream, report, taken

    async def _filter(self, daemon: DaemonProcess) -> None:
        self._terminal.heading('3. mujina goes live without the tag "English" that its filter requires')
        stream = self._stage.twitch.world.go_live("mujina")
        await self._announced(stream, "Twitch sends stream.online for mujina")
        await self._soon(daemon.said("of mujina is not sent"), "the tag filter did not stop mujina")
        self._step("the daemon's log says that it was filtered; nothing is sent")

    async def _repeat(self, stream: SimulatedStream, report: VerificationReport) -> None:
        self._terminal.heading("4. Twitch sends duplicates for tanuki")
        again = self._stage.twitch.eventsub.send(report.message, number=1, again=False)
        self._answered(await self._soon(again, "the daemon did not answer"), "the same message again")
        await self._announced(stream, "another message for the same broadcast")

    async def _post(self) -> None:
        self._terminal.heading("5. tengu's broadcast in Discord: one message, which changes with it")
        world, twitch, discord = self._stage.twitch.world, self._stage.twitch, self._stage.discord
        announced_at = self._now()
        await self._announced(world.go_live("tengu"), "Twitch sends stream.online for tengu")
        await self._shows("is live")
        self._step(f"a card is in the channel {duration(self._now() - announced_at)} after Twitch's message:")
        self._card()
        reports = await twitch.announce_change(world.change("tengu", title="Charity run: 10,000 reached!"))
        self._answered(reports[0], "Twitch sends channel.update, with a new title")
        await self._shows("10,000 reached")
        self._step("the same card shows the new title")
        world.go_offline("tengu")
        reports = await twitch.announce_end(world.channel("tengu"))
        self._answered(reports[0], "Twitch sends stream.offline")
        await self._shows("was live")
        self._step("nothing followed within the reconnect window (1 s here); the same card says so:")
        self._card()
        self._check(len(discord.messages) == 1, f"Discord has {len(discord.messages)} messages instead of 1")
        whom = [each.whom for each in discord.pings]
        self._check(whom == ["role:77"], f"Discord notified {whom} instead of one role, once")
        self._step("Discord notified the configured role once")

    async def _shows(self, words: str) -> None:
        async def wait() -> None:
            while not any(words in json.dumps(each) for each in self._stage.discord.messages.values()):
                await deferLater(self._reactor, 0.01)

        await self._soon(Deferred.fromCoroutine(wait()), f'no message in Discord shows "{words}"')

    def _card(self) -> None:
        for message in self._stage.discord.messages.values():
            embed = message["embeds"][0]
            fields = [f"{each['name']}: {each['value']}" for each in embed.get("fields", [])]
            lines = [message["content"], embed.get("title", ""), embed.get("description", ""), " | ".join(fields)]
            self._terminal.block("\n".join(["", *filter(None, lines), ""]))

    async def _recover(self, announced_at: float) -> float:
        self._terminal.heading("6. kitsune's receiver recovers")
        previous = await self._arrival("/kitsune", 1)
        for number in (2, 3):
            received = await self._arrival("/kitsune", number)
            same = received.headers["webhook-id"] == previous.headers["webhook-id"]
            self._check(same, "webhook-id changed between two attempts")
            self._step(
                f"attempt {number}, {duration(received.at - previous.at)} later, signed anew -> {received.status}"
            )
            previous = received
        self._step(f"delivered {duration(previous.at - announced_at)} after Twitch's message")
        return previous.at - announced_at

    def _count(self) -> None:
        self._terminal.heading("7. Requests that each receiver got")
        for path, wanted in (("/tanuki", 1), ("/kitsune", 3), ("/mujina", 0)):
            count = len(self._stage.receiver.at(path))
            self._check(count == wanted, f"the receiver at {path} got {count} requests instead of {wanted}")
        self._step("tanuki: 1, although Twitch sent three messages; kitsune: 3 attempts; mujina: 0")

    async def _stop(self, daemon: DaemonProcess) -> None:
        self._terminal.heading("8. The daemon stops")
        asked = self._now()
        status = await daemon.stop(_SOON)
        self._check(status == 0, f"the daemon exited with status {status}")
        self._step(f"SIGTERM -> the daemon exits with status 0 after {self._since(asked)}")

    async def _conduit(self) -> float:
        self._terminal.heading('9. Again, with transport = "conduit": no port is open to the network')
        twitch, inari = self._stage.twitch, self._stage.twitch.world.add_streamer("inari", "Inari", title="Foxes")
        secret = format_standard_secret(self._random.randbytes(32))
        self._stage.receiver.expectations["/inari"] = Expectation(secret=secret, signature="both")
        receiver = f"{self._stage.receiver_url}/inari"
        about = {"user_id": inari.id, "login": "inari", "target_webhook_url": receiver, "target_webhook_secret": secret}
        tables = {"streamers.inari": {**about, "target_webhook_signature": "both"}}
        self.daemon = daemon = self._stage.start_daemon(tables, "conduit")
        await daemon.ready()
        await self._soon(
            Deferred.fromCoroutine(self._receives(inari.id)), "the daemon did not subscribe through a conduit"
        )
        self._step(
            f"the daemon opened {len(list(twitch.sessions))} connections to {self._stage.websocket_url}, one for each"
            " shard of its conduit"
        )
        self._check(daemon.listening() in (None, {"127.0.0.1"}), "the daemon listens elsewhere than on 127.0.0.1")
        self._step(f"it listens on 127.0.0.1 only, for {daemon.url}/health")
        stream = twitch.world.go_live("inari")
        announced_at = self._now()
        reports = await self._soon(twitch.announce(stream), "Twitch sent nothing")
        self._check(not twitch.dropped, "no shard took the message")
        self._check(len(reports) == 1, f"inari has {len(reports)} enabled subscriptions instead of 1")
        self._step("Twitch sends stream.online for inari on one of the connections")
        received = await self._arrival("/inari", 1)
        taken = received.at - announced_at
        self._step(f"attempt 1 -> {received.status}: delivered {duration(taken)} after Twitch's message")
        status = await daemon.stop(_SOON)
        self._check(status == 0, f"the daemon exited with status {status}")
        return taken

    async def _receives(self, broadcaster_id: str) -> None:
        """
        Wait until two shards are enabled, and a subscription goes there.
        """
        twitch = self._stage.twitch
        while sum(len(twitch.conduits.shards_of(each.id)) for each in twitch.sessions) < 2 or not [
            each for each in twitch.subscriptions.enabled("stream.online", broadcaster_id) if each.conduit_id
        ]:
            await deferLater(self._reactor, 0.01)

    def _summary(self, delivered: float, recovered: float, through_conduit: float) -> None:
        self._terminal.line()
        rows: Sequence[Sequence[str]] = (
            ("streamer", "receiver", "attempts", "outcome", "time"),
            ("tanuki", "works", "1", "delivered once for 3 messages", duration(delivered)),
            ("kitsune", "fails twice", "3", "delivered", duration(recovered)),
            ("mujina", "gets nothing", "0", "filtered by tag", "-"),
            ("tengu", "Discord", "3", "one card: live, new title, over", "-"),
            ("inari", "works", "1", "delivered once, through a conduit", duration(through_conduit)),
        )
        self._terminal.table(rows)

    async def _announced(self, stream: SimulatedStream, what: str) -> VerificationReport:
        reports = await self._soon(
            self._stage.twitch.announce(stream), "the daemon did not answer the EventSub message"
        )
        self._check(len(reports) == 1, f"{stream.channel.login} has {len(reports)} enabled subscriptions instead of 1")
        self._answered(reports[0], what)
        return reports[0]

    def _answered(self, report: VerificationReport, what: str) -> None:
        answer = report.tries[0]
        said = answer.body.decode("utf-8", "replace")
        self._check(answer.status == http.OK, f"{what}: the daemon answered {answer.status or answer.problem} {said}")
        self._step(f"{what} -> the daemon answers 200 {said} in {duration(answer.duration)}")

    async def _arrival(self, path: str, number: int) -> Received:
        what = f"attempt {number} did not reach {path}"
        received = await self._soon(self._stage.receiver.delivery(path, number), what)
        self._check(not received.problem, f"attempt {number} to {path} has an invalid signature: {received.problem}")
        return received

    async def _soon(self, waiting: Deferred[_Result], otherwise: str) -> _Result:
        try:
            return await waiting.addTimeout(_SOON, self._reactor)
        except defer.TimeoutError:
            raise Unexpected(f"{otherwise} within {_SOON:g} s") from None

    def _check(self, right: bool, otherwise: str) -> None:
        if not right:
            raise Unexpected(otherwise)

    def _step(self, text: str) -> None:
        self._terminal.step(self._now() - self._began, text)

    def _since(self, moment: float) -> str:
        return duration(self._now() - moment)


_BOLD, _DIM, _GREEN, _RED = "1", "2", "32", "31"


def wants_colour(out: TextIO, environment: Mapping[str, str]) -> bool:
    """
    Whether to write in colour: on a terminal, unless ``NO_COLOR`` is set (no-color.org).
    """
    return out.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def duration(seconds: float) -> str:
    """
    Format a duration with three digits or so.
    """
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


@define(eq=False)
class Terminal:
    """
    Writes headings, steps and tables; colour is never the only sign.
    """

    _out: TextIO
    _colour: bool = False

    def line(self, text: str = "") -> None:
        self._out.write(text + "\n")
        self._out.flush()

    def heading(self, text: str) -> None:
        self.line()
        self.line(self._painted(_BOLD, text))

    def step(self, at: float, text: str) -> None:
        """
        Write a step that succeeded.

        :param at: seconds since the demo began.
        """
        self.line(f"  {self._painted(_DIM, f'{at:5.2f} s')}  {text}")

    def block(self, text: str) -> None:
        """
        Write a text indented.
        """
        for each in text.splitlines():
            self.line(f"           {self._painted(_DIM, each)}")

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """
        Write rows; the first is the header.
        """
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for number, row in enumerate(rows):
            text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            self.line(f"  {text if number else self._painted(_DIM, text)}")

    def good(self, text: str) -> None:
        self.line(self._painted(_GREEN, text))

    def bad(self, text: str) -> None:
        self.line(self._painted(_RED, text))

    def _painted(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text
