"""
What the demonstration shows: three streamers go live, and the daemon keeps its promises.
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
from itsjustintv.support.signatures import standard_secret

__all__ = ["Story", "Terminal", "Unexpected", "duration", "wants_colour"]

_Result = TypeVar("_Result")

#: Seconds for anything that should happen at once.
_SOON = 5.0

_UNAVAILABLE = Behaviour(status=http.SERVICE_UNAVAILABLE)


class Unexpected(Exception):
    """
    The daemon did not do what was promised; the text says what.
    """


def _brief(payload: Any) -> str:
    """
    Write a payload for people, with the length of the image in place of the image.
    """
    match payload:
        case {"image": {"data": str(data)}}:
            payload["image"]["data"] = f"<{len(data)} characters of base64>"
    return json.dumps(payload, indent=2, ensure_ascii=False)


@define(eq=False)
class Story:
    """
    Tells one story on a stage that is open.

    :ivar daemon: the one it is about, once it is started.
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

    async def tell(self) -> None:
        """
        Tell it from the beginning to the end.

        :raises Unexpected: it took another turn.
        :raises NotReady: the daemon did not even start.
        """
        self.daemon = daemon = await self._set()
        kitsune_spoke = await self._trouble()
        tanuki, told, delivered = await self._delivered()
        await self._filtered(daemon)
        await self._again(tanuki, told)
        recovered = await self._recovered(kitsune_spoke)
        self._count()
        await self._stopped(daemon)
        self._summary(delivered, recovered)

    async def _set(self) -> DaemonProcess:
        self._terminal.heading("The stage")
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
        self._step(f"Twitch is simulated at {self._stage.twitch_url}, the receivers at {self._stage.receiver_url}")
        started = self._now()
        daemon = self._stage.start_daemon(self._configuration())
        self.daemon = daemon
        await daemon.ready()
        self._step(
            f"`twistd -n itsjustintv --config config.toml` is healthy at {daemon.url}, as process {daemon.pid},"
            f" after {duration(self._now() - started)}"
        )
        await self._soon(
            Deferred.fromCoroutine(self._subscribed(daemon.url)), "the daemon did not subscribe to three streamers"
        )
        self._step("it asked Twitch for 3 subscriptions by itself and answered the challenges -> all enabled")
        return daemon

    async def _subscribed(self, url: str) -> None:
        while len(self._stage.twitch.subscriptions.enabled_for(f"{url}/twitch")) < 3:
            await deferLater(self._reactor, 0.01)

    def _configuration(self) -> Tables:
        tables: dict[str, dict[str, object]] = {"retry": {"initial_delay": "1s", "backoff_factor": 2.0, "jitter": 0.0}}
        for login in ("tanuki", "kitsune", "mujina"):
            secret = standard_secret(self._random.randbytes(32))
            self._stage.receiver.expectations[f"/{login}"] = Expectation(secret=secret, signature="both")
            tables[f"streamers.{login}"] = {
                "user_id": self._stage.twitch.world.channel(login).id,
                "login": login,
                "target_webhook_url": f"{self._stage.receiver_url}/{login}",
                "target_webhook_secret": secret,
                "target_webhook_signature": "both",
            }
        tables["streamers.mujina"]["tag_filter"] = ["English"]
        tables["streamers.tanuki"]["additional_tags"] = ["friend"]
        return tables

    async def _trouble(self) -> float:
        self._terminal.heading("1. kitsune goes live, while its receiver is out of order")
        self._stage.receiver.script.plan("/kitsune", _UNAVAILABLE, _UNAVAILABLE)
        stream = self._stage.twitch.world.go_live("kitsune")
        spoke = self._now()
        await self._announced(stream, "Twitch says that kitsune went live")
        first = await self._arrival("/kitsune", 1)
        self._step(f"attempt 1, {duration(first.at - spoke)} after Twitch spoke -> the receiver answers {first.status}")
        return spoke

    async def _delivered(self) -> tuple[SimulatedStream, VerificationReport, float]:
        self._terminal.heading("2. tanuki goes live, and its receiver is well")
        stream = self._stage.twitch.world.go_live("tanuki")
        spoke = self._now()
        report = await self._announced(stream, "Twitch says that tanuki went live")
        received = await self._arrival("/tanuki", 1)
        taken = received.at - spoke
        self._step(f"attempt 1 -> {received.status}: delivered {duration(taken)} after Twitch spoke, kitsune or not")
        self._step("X-Hub-Signature-256 and webhook-signature (Standard Webhooks) both hold; what was delivered:")
        payload = received.payload
        self._terminal.block(_brief(payload))
        self._check(payload.get("streamer_login") == "tanuki", "the payload does not say who went live")
        enriched = payload.get("followers_count") == 4711 and "data" in payload.get("image", {})
        self._check(enriched, "the payload was not enriched")
        return stream, report, taken

    async def _filtered(self, daemon: DaemonProcess) -> None:
        self._terminal.heading('3. mujina goes live, but streams in Japanese while its filter asks for "English"')
        stream = self._stage.twitch.world.go_live("mujina")
        await self._announced(stream, "Twitch says that mujina went live")
        await self._soon(daemon.said("of mujina is not sent"), "the tag filter did not stop mujina")
        self._step("filtered, says the daemon's log; nothing is sent")

    async def _again(self, stream: SimulatedStream, told: VerificationReport) -> None:
        self._terminal.heading("4. Twitch says once more that tanuki went live")
        again = self._stage.twitch.eventsub.send(told.message, number=1, again=False)
        self._answered(await self._soon(again, "the daemon did not answer"), "the same message, resent")
        await self._announced(stream, "the same broadcast, in a new message")

    async def _recovered(self, spoke: float) -> float:
        self._terminal.heading("5. kitsune's receiver recovers")
        previous = await self._arrival("/kitsune", 1)
        for number in (2, 3):
            received = await self._arrival("/kitsune", number)
            same = received.headers["webhook-id"] == previous.headers["webhook-id"]
            self._check(same, "an attempt has another webhook-id than the one before")
            self._step(
                f"attempt {number}, {duration(received.at - previous.at)} later, signed afresh -> {received.status}"
            )
            previous = received
        self._step(f"delivered {duration(previous.at - spoke)} after Twitch spoke")
        return previous.at - spoke

    def _count(self) -> None:
        self._terminal.heading("6. Who was called how often")
        for path, wanted in (("/tanuki", 1), ("/kitsune", 3), ("/mujina", 0)):
            count = len(self._stage.receiver.at(path))
            self._check(count == wanted, f"the receiver at {path} was called {count} times instead of {wanted}")
        self._step("tanuki's receiver once, although Twitch sent three messages; mujina's never")

    async def _stopped(self, daemon: DaemonProcess) -> None:
        self._terminal.heading("7. The end")
        asked = self._now()
        status = await daemon.stop(_SOON)
        self._check(status == 0, f"the daemon ended with status {status}")
        self._step(f"the daemon is asked to stop, and ends with status 0 after {self._since(asked)}")

    def _summary(self, delivered: float, recovered: float) -> None:
        self._terminal.line()
        rows: Sequence[Sequence[str]] = (
            ("streamer", "receiver", "attempts", "outcome", "after"),
            ("tanuki", "is well", "1", "delivered, once for 3 messages", duration(delivered)),
            ("kitsune", "fails twice", "3", "delivered", duration(recovered)),
            ("mujina", "is not called", "0", "filtered by its tags", "-"),
        )
        self._terminal.table(rows)

    async def _announced(self, stream: SimulatedStream, what: str) -> VerificationReport:
        reports = await self._soon(self._stage.twitch.announce(stream), "the daemon did not answer Twitch")
        self._check(len(reports) == 1, f"there are {len(reports)} subscriptions for {stream.channel.login}")
        self._answered(reports[0], what)
        return reports[0]

    def _answered(self, report: VerificationReport, what: str) -> None:
        answer = report.tries[0]
        said = answer.body.decode("utf-8", "replace")
        self._check(answer.status == http.OK, f"{what}: answered {answer.status or answer.problem} {said}")
        self._step(f"{what} -> answered 200 {said} in {duration(answer.duration)}")

    async def _arrival(self, path: str, number: int) -> Received:
        what = f"delivery {number} did not come to {path}"
        received = await self._soon(self._stage.receiver.delivery(path, number), what)
        self._check(not received.problem, f"delivery {number} to {path} is not to be believed: {received.problem}")
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
    Write a duration so that it can be taken in at a glance.
    """
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


@define(eq=False)
class Terminal:
    """
    Headings, steps and tables; readable without colour.
    """

    _out: TextIO
    _colour: bool = False

    def line(self, text: str = "") -> None:
        """
        Write a line as it is.
        """
        self._out.write(text + "\n")
        self._out.flush()

    def heading(self, text: str) -> None:
        """
        Begin a part.
        """
        self.line()
        self.line(self._painted(_BOLD, text))

    def step(self, at: float, text: str) -> None:
        """
        Tell of something that went as it should.

        :param at: seconds since the beginning.
        """
        self.line(f"  {self._painted(_DIM, f'{at:5.2f} s')}  {text}")

    def block(self, text: str) -> None:
        """
        Show something as it is, set in.
        """
        for each in text.splitlines():
            self.line(f"           {self._painted(_DIM, each)}")

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """
        Show rows under the first of them.
        """
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for number, row in enumerate(rows):
            text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            self.line(f"  {text if number else self._painted(_DIM, text)}")

    def good(self, text: str) -> None:
        """
        Tell that all is well.
        """
        self.line(self._painted(_GREEN, text))

    def bad(self, text: str) -> None:
        """
        Tell that something is wrong.
        """
        self.line(self._painted(_RED, text))

    def _painted(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text
