"""
The life of posts under every interleaving: pipeline, queue and journal as they are, against an imitated Discord.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from zope.interface import implementer

from itsjustintv.config.sections import Retry
from itsjustintv.dedup import SeenEvents
from itsjustintv.delivery.queue import DeliveryQueue
from itsjustintv.destinations.discord import DISCORD_KIND, Settings
from itsjustintv.errors import OperationRefused
from itsjustintv.interfaces import IEnricher
from itsjustintv.journal.sqlite import broadcasts, operations, reads
from itsjustintv.model import (
    CHANNEL_UPDATE,
    STREAM_OFFLINE,
    STREAM_ONLINE,
    Acceptance,
    Action,
    Attempt,
    Broadcast,
    Delivery,
    Destination,
    DestinationPolicy,
    Enrichment,
    Event,
    Notice,
    State,
    StreamDetails,
    Streamer,
    hash_place,
    rfc3339,
)
from itsjustintv.pipeline import OnError, Pipeline
from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.fakes.discord import FakeDiscord, FakeWebhook
from itsjustintv.support.http_response import Response
from tests import examples
from tests.stepped_journal import SteppedJournal, Steps

START = 1_800_000_000.0
WINDOW, SETTLE = 90.0, 20.0
PREVIEWS, RECORDINGS = (15.0, 45.0), (120.0, 300.0)
# Seconds after the end of a stream until its recording is there.
RECORDED_AFTER = 100.0
RETRY = Retry(initial_delay=5.0, max_delay=30.0, jitter=0.0)
# Seconds after which Get Streams is believed, as in the enricher.
LIST_DELAY = 75.0

TANUKI = Streamer(key="tanuki", user_id="42", login="tanuki", destinations=("main", "other"))

WEATHER = {
    "fine": (),
    "not stored": (Behaviour(status=503),),
    "nothing heard": (Behaviour(drop=True),),
    "stored, answer lost": (Behaviour(lost=True),),
    "stored, 502": (Behaviour(lost=True, status=502),),
    "limited": (
        Behaviour(status=429, body=b'{"message": "slow", "retry_after": 7.5, "global": false}'),
        Behaviour(status=429, body=b'{"message": "slow", "retry_after": 0.5, "global": true}'),
    ),
    "limited for long": (Behaviour(status=429, body=b'{"message": "slow", "retry_after": 25.0, "global": false}'),) * 4,
    "refused": (Behaviour(status=400, body=b'{"code": 50035, "message": "no", "errors": {"embeds": {}}}'),),
}


@define(eq=False)
class Channel:
    """
    The channel as Twitch knows it, and what Twitch has not delivered yet.
    """

    stream: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    title: str = "title 0"
    streams: int = 0
    ended: dict[str, float] = field(factory=dict)
    undelivered: list[Event] = field(factory=list)
    messages: int = 0

    def note(self, event_type: str, now: float, **more: Any) -> None:
        """
        Have something to deliver.
        """
        self.messages += 1
        self.undelivered.append(event(event_type, f"message-{self.messages}", now, **more))


_numbers = iter(range(10**9))


def new_id() -> str:
    """
    Make an id; they sort by time.
    """
    return f"e{next(_numbers):09d}"


def event(event_type: str, message: str, now: float, **more: Any) -> Event:
    """
    Make an event of the channel.
    """
    keys = {} if event_type == STREAM_ONLINE else {"keys": (f"message:{message}",)}
    values = {
        "id": new_id(),
        "message_id": message,
        "stream_id": "",
        "broadcaster_id": "42",
        "broadcaster_login": "tanuki",
        "broadcaster_name": "Tanuki",
        "type": "",
        "started_at": "",
        "received_at": now,
        "event_type": event_type,
        "occurred_at": 0.0 if event_type == STREAM_ONLINE else now,
    }
    return Event(**{**values, **keys, **more})


@implementer(IEnricher)
@define(eq=False)
class Enricher:
    """
    Knows of the channel what Twitch knows at the moment of the answer.
    """

    channel: Channel
    clock: Clock
    steps: Steps

    def enrich(self, event: Event, streamer: Streamer, broadcast: Broadcast | None = None) -> Deferred[Enrichment]:
        return self.steps.add("network", lambda: self.find(event, broadcast))

    def find(self, event: Event, broadcast: Broadcast | None) -> Enrichment:
        title = event.title if event.event_type == CHANNEL_UPDATE else self.channel.title
        listed = self.is_listed(event, broadcast)
        thumbnail = "https://example.com/{width}x{height}.jpg" if listed else ""
        return Enrichment(
            stream=StreamDetails(listed=listed, title=title, thumbnail_url=thumbnail),
            tags=(),
            vods=self.recordings(event, broadcast),
        )

    def recordings(self, event: Event, broadcast: Broadcast | None) -> tuple[str, ...]:
        if event.event_type != STREAM_OFFLINE or broadcast is None:
            return ()
        before = self.clock.seconds() - RECORDED_AFTER
        return tuple(
            f"https://example.com/{each}"
            for each in broadcast.stream_ids
            if self.channel.ended.get(each, before) < before
        )

    def is_listed(self, event: Event, broadcast: Broadcast | None) -> bool:
        if not self.channel.stream:
            return False
        if event.event_type != STREAM_OFFLINE:
            return not event.stream_id or event.stream_id == self.channel.stream
        if not event.recovered and self.clock.seconds() - event.received_at < LIST_DELAY:
            return False
        if broadcast is None or self.channel.stream in broadcast.stream_ids:
            return True
        return bool(broadcast.offline_at) and self.channel.started_at - (broadcast.offline_at or 0.0) <= 900.0


class BroadcastMachine(RuleBasedStateMachine):
    """
    A channel, the daemon's parts and two webhooks, of which one keeps posts and one deletes them at the end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.clock.advance(START)
        self.steps = Steps()
        self.channel = Channel()
        self.discord = FakeDiscord()
        self.discord.limits.per_bucket = self.discord.limits.per_channel = self.discord.limits.old_edits = 10**6
        self.hooks = [self.discord.add_webhook(channel=str(1100 + number)) for number in range(3)]
        self.configured = {
            "main": self.make_destination("main", self.hooks[0]),
            "other": self.make_destination("other", self.hooks[1], on_offline="delete"),
        }
        self.missing: dict[str, Destination] = {}
        self.moved = False
        self.left: set[str] = set()
        # By broadcast and destination: messages that were stored, requests whose outcome the daemon cannot know, what
        # an operator did, and the pairs whose post a moderator deleted.
        self.created: dict[tuple[str, str], list[str]] = {}
        self.doubtful: Counter[tuple[str, str]] = Counter()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.cancelled: set[tuple[str, str]] = set()
        self.moderated: set[tuple[str, str]] = set()
        self.accepting: list[Deferred[Acceptance]] = []
        self.start()

    def teardown(self) -> None:
        try:
            self.come_to_rest()
        finally:
            self.journal.connection.close()
            self.folder.cleanup()

    def make_destination(self, name: str, hook: FakeWebhook, **policy: Any) -> Destination:
        return Destination(
            name=name,
            url=hook.url,
            kind="discord",
            settings=Settings(url=hook.url),
            place=hash_place("discord", hook.id),
            policy=DestinationPolicy(events=("online", "offline", "update"), mention=("role:77",), **policy),
            keeps_posts=True,
            previews=True,
            concurrency=1,
        )

    def start(self) -> None:
        """
        Start the daemon's parts on the file.
        """
        self.journal = SteppedJournal(Path(self.folder.name) / "journal.db", self.clock, self.steps)
        self.queue = DeliveryQueue(
            self.journal,
            self.send,
            lambda name, _key: self.configured.get(name),
            lambda: RETRY,
            (),
            self.clock,
            lambda: 0.5,
            poll_interval=10.0,
            grace_end=lambda _: self.clock.seconds() + 3600.0,
        )
        self.pipeline = Pipeline(
            self.clock,
            self.journal,
            SeenEvents(self.clock),
            self.match,
            Enricher(self.channel, self.clock, self.steps),
            self.render,
            self.queue.submit,
            (),
            lambda: 7200.0,
            lambda: OnError.SEND,
            lambda: 21600.0,
            resolve=lambda name, _key: self.configured.get(name),
            window=lambda: WINDOW,
            settling=lambda: SETTLE,
            under_way=self.queue.is_under_way,
            destination_end=lambda _: self.clock.seconds() + 3600.0,
            previews=lambda: PREVIEWS,
            recordings=lambda: RECORDINGS,
            new_id=new_id,
            poll_interval=10.0,
        )
        self.pipeline.startService()
        self.queue.startService()

    def match(self, _event: Event) -> Sequence[Streamer]:
        names = tuple(name for name in TANUKI.destinations if name in self.configured)
        return (evolve(TANUKI, destinations=names),) if names else ()

    def render(self, notice: Notice, name: str) -> bytes:
        destination = self.configured.get(name) or self.missing[name]
        return DISCORD_KIND.open(destination).render(notice)

    # Sending

    def send(self, delivery: Delivery, destination: Destination) -> Deferred[Attempt]:
        """
        Send as the sender does: the request is one step, the answer another.
        """
        answered = self.steps.add("network", lambda: self.request(delivery, destination))
        return answered.addCallback(lambda attempt: self.steps.add("network", lambda: attempt))

    def request(self, delivery: Delivery, destination: Destination) -> Attempt:
        adapter, now = DISCORD_KIND.open(destination), self.clock.seconds()
        request = adapter.make_request(delivery, now)
        before = set(self.discord.messages)
        headers = {name.lower(): value for name, value in request.headers}
        answer = self.discord.handle(request.method, request.url, headers, request.body, now)
        pair = (delivery.broadcast, delivery.destination)
        if self.is_refresh(delivery):
            assert request.method == "PATCH", request
        for message in set(self.discord.messages) - before:
            self.created.setdefault(pair, []).append(message)
        lost = not answer.answered
        if delivery.action is Action.CREATE and (lost or answer.status >= 500):
            self.doubtful[pair] += 1
        if lost:
            return Attempt(
                ok=False,
                reason="reset",
                detail="lost",
                started_at=now,
                duration=0.0,
                place=destination.place,
                access=destination.access,
            )
        response = Response(
            answer.status,
            Headers({name: [value] for name, value in answer.headers}),
            answer.body,
        )
        result = adapter.interpret(response, delivery, now)
        return Attempt(
            ok=result.ok,
            reason=result.reason,
            detail=result.detail,
            started_at=now,
            duration=0.0,
            status=answer.status,
            retry_after=result.retry_after,
            final=result.final,
            verdict=result.verdict,
            remote=result.remote,
            pause=result.pause,
            pause_host=result.pause_host,
            place=destination.place,
            access=destination.access,
        )

    def is_refresh(self, delivery: Delivery) -> bool:
        found = reads.get(self.journal.connection, delivery.id)
        return found is not None and found.action is Action.REFRESH

    # What happens on Twitch

    @rule(same=st.booleans())
    def go_live(self, same: bool) -> None:
        """
        A stream begins, or one comes back under its id.
        """
        if self.channel.stream:
            return
        # Twitch keeps the id over a short drop only.
        same = same and self.clock.seconds() - self.channel.ended_at < LIST_DELAY
        if not same or not self.channel.streams:
            self.channel.streams += 1
            self.channel.started_at = self.clock.seconds()
        self.channel.stream = f"stream-{self.channel.streams}"
        self.channel.ended.pop(self.channel.stream, None)
        self.channel.note(
            STREAM_ONLINE,
            self.clock.seconds(),
            stream_id=self.channel.stream,
            type="live",
            started_at=rfc3339(self.channel.started_at),
        )
        self.clock.advance(1)

    @rule()
    def go_offline(self) -> None:
        """
        It ends.
        """
        if self.channel.stream:
            self.channel.ended[self.channel.stream] = self.clock.seconds()
            self.channel.stream, self.channel.ended_at = "", self.clock.seconds()
            self.channel.note(STREAM_OFFLINE, self.clock.seconds())
            self.clock.advance(1)

    @rule(title=st.integers(0, 2))
    def retitle(self, title: int) -> None:
        """
        The title changes, to one that was there before or not.
        """
        self.channel.title = f"title {title}"
        self.channel.note(CHANNEL_UPDATE, self.clock.seconds(), title=self.channel.title, category="Art")
        self.clock.advance(1)

    @rule(index=st.integers(0, 2))
    def deliver(self, index: int) -> None:
        """
        Twitch delivers a message, not always the first.
        """
        if self.channel.undelivered:
            news = self.channel.undelivered[min(index, len(self.channel.undelivered) - 1)]
            if news.event_type == CHANNEL_UPDATE:
                # A change that overtakes the start is not remembered for it: Get Channel Information has it.
                earlier = self.channel.undelivered[: self.channel.undelivered.index(news)]
                news = next((each for each in earlier if each.event_type == STREAM_ONLINE), news)
            self.offer(news)

    def offer(self, news: Event) -> None:
        """
        A message that is not answered is delivered again.
        """
        accepting = self.pipeline.accept(evolve(news, received_at=self.clock.seconds()))

        def answered(result: object) -> None:
            if isinstance(result, Acceptance) and news in self.channel.undelivered:
                self.channel.undelivered.remove(news)

        accepting.addBoth(answered)

    # What happens here

    @rule(line=st.sampled_from(["write", "read", "network"]), number=st.integers(1, 3))
    def step(self, line: str, number: int) -> None:
        """
        The disk, or the network, goes on.
        """
        for _ in range(number):
            self.steps.take(line)

    @rule()
    def idle(self) -> None:
        """
        Everything that can go on does.
        """
        self.clock.advance(0)
        self.steps.take_all()

    @rule(seconds=st.sampled_from([0.5, 10.0, 30.0, 61.0, 90.0, 400.0]))
    def wait(self, seconds: float) -> None:
        """
        Time passes, and nothing waits for the disk or the network.
        """
        self.run(seconds)

    def run(self, seconds: float) -> None:
        end = self.clock.seconds() + seconds
        self.clock.advance(0)
        self.steps.take_all()
        while (calls := self.clock.getDelayedCalls()) and min(call.getTime() for call in calls) <= end:
            self.clock.advance(max(0.0, min(call.getTime() for call in calls) - self.clock.seconds()))
            self.steps.take_all()
        self.clock.advance(max(0.0, end - self.clock.seconds()))
        self.steps.take_all()

    @rule()
    def crash(self) -> None:
        """
        The process ends at this moment, and another begins.
        """
        self.steps.drop()
        for call in list(self.clock.getDelayedCalls()):
            call.cancel()
        self.queue.running = self.pipeline.running = False
        for (broadcast, destination), messages in self.created.items():
            known = self.journal.connection.execute(
                "SELECT remote FROM posts WHERE broadcast = ? AND destination = ?", (broadcast, destination)
            ).fetchone()
            if messages[-1] in self.discord.messages and (known is None or known["remote"] != messages[-1]):
                self.doubtful[broadcast, destination] += 1
        self.journal.connection.close()
        self.start()

    @rule(weather=st.sampled_from(sorted(WEATHER)), method=st.sampled_from(["POST", "PATCH", "DELETE"]))
    def change_weather(self, weather: str, method: str) -> None:
        """
        Discord has trouble with a few requests.
        """
        if method != "DELETE" or weather != "refused":
            self.discord.script.plan(method, *WEATHER[weather])

    @rule(name=st.sampled_from(["main", "other"]))
    def reload(self, name: str) -> None:
        """
        A destination is removed from the configuration, or comes back.
        """
        if name in self.configured:
            self.left.add(name)  # what happens meanwhile is not for it
            self.missing[name] = self.configured.pop(name)
        else:
            self.configured[name] = self.missing.pop(name)
        self.queue.refresh()

    @rule()
    def move(self) -> None:
        """
        The administrator makes a new webhook for a destination.
        """
        if "main" in self.configured and not self.moved:
            self.moved = True
            self.configured["main"] = self.make_destination("main", self.hooks[2])
            self.queue.refresh()

    @rule()
    def moderate(self) -> None:
        """
        A moderator deletes the newest message.
        """
        if self.discord.messages:
            message = list(self.discord.messages)[-1]
            self.discord.delete_message(message)
            self.moderated |= {pair for pair, messages in self.created.items() if message in messages}

    @rule(what=st.sampled_from(["retry", "resend", "cancel"]), number=st.integers(0, 9))
    def operate(self, what: str, number: int) -> None:
        """
        An operator changes a delivery.
        """
        found = [
            each
            for each in reads.deliveries(self.journal.connection, (), None, None, 99)
            if what != "cancel" or not each.state.is_final
        ]
        if not found:
            return
        delivery = found[number % len(found)]
        pair = (delivery.broadcast, delivery.destination)
        try:
            self.journal.now(
                lambda connection: getattr(operations, what)(connection, delivery.id, self.clock.seconds())
            )
        except OperationRefused:
            return
        if what == "cancel":
            self.cancelled.add(pair)
        else:
            self.asked[pair] += 1

    # What holds

    @invariant()
    def balanced(self) -> None:
        """
        Every delivery is in one state.
        """
        assert reads.accounting(self.journal.connection).imbalance == 0

    @invariant()
    def one_message(self) -> None:
        """
        There is one message for a broadcast at a destination, but for those whose outcome was not known, and what an
        operator asked for when the first was gone or out of reach. None mentions anyone a second time.
        """
        for pair, messages in self.created.items():
            allowed = 1 + self.doubtful[pair]
            pings = sum(len(self.discord.pinged(message)) for message in messages)
            assert pings <= allowed, (pair, messages, pings)
            if pair in self.moderated or self.moved:
                allowed += self.asked[pair]
            assert len(messages) <= allowed, (pair, messages)

    def come_to_rest(self) -> None:
        """
        Everything recovers, and then every delivery has ended and every post shows the last state.
        """
        self.clock.advance(0)
        for method in ("POST", "PATCH", "DELETE"):
            self.discord.script.plan(method)
        for name in list(self.missing):
            self.configured[name] = self.missing.pop(name)
        self.queue.refresh()
        while self.channel.undelivered:
            self.offer(self.channel.undelivered[0])
            self.clock.advance(0)
            self.steps.take_all()
        self.run(100)
        self.catch_up()
        self.run(1200)
        self.one_message()
        for delivery in reads.deliveries(self.journal.connection, (), None, None, 999):
            assert delivery.state.is_final, delivery
            assert delivery.state not in (State.DEAD, State.EXPIRED), delivery
        rows = self.journal.connection.execute(
            "SELECT posts.*, offline_at, stream_ids FROM posts JOIN broadcasts ON id = broadcast"
        ).fetchall()
        latest = self.journal.connection.execute("SELECT max(id) AS id FROM broadcasts").fetchone()["id"]
        for row in rows:
            self.check_post(row, is_latest=row["broadcast"] == latest)

    def catch_up(self) -> None:
        """
        Do what the daemon does after a start: end what Twitch does not list any more.
        """
        for each in broadcasts.live(self.journal.connection):
            if self.channel.stream not in each.stream_ids:
                stream, now = each.stream_ids[-1], self.clock.seconds()
                found = event(STREAM_OFFLINE, f"end of {stream}", now, stream_id=stream, recovered=True)
                self.offer(evolve(found, occurred_at=0.0))

    def check_post(self, row: Any, *, is_latest: bool) -> None:
        """
        A post that can be reached shows the last state.
        """
        pair = (row["broadcast"], row["destination"])
        destination = self.configured[row["destination"]]
        if row["place"] != destination.place or pair in self.cancelled or row["destination"] in self.left:
            return
        is_live = is_latest and bool(self.channel.stream)
        message = self.discord.messages.get(row["remote"])
        if message is None:
            assert pair in self.moderated or (not is_live and row["destination"] == "other"), (pair, dict(row))
            return
        if not is_live and row["destination"] == "other":
            raise AssertionError(("stands after the end", dict(row)))
        said = message["content"]
        assert ("was live" in said) == (not is_live), (said, dict(row), self.channel)
        if not message["embeds"]:
            return
        [card] = message["embeds"]
        if is_live:
            assert card["title"] == self.channel.title, (card, self.channel)
        else:
            assert "recording" in card["description"], (card, dict(row))


class MachineTests(SynchronousTestCase):
    """
    Whatever happens, in whatever order.
    """

    def test_a_change_after_a_refresh_that_fails(self) -> None:
        """
        The title that a change shows is not replaced by a refresh that was made before it and is sent again later.
        """
        machine = BroadcastMachine()
        machine.go_live(same=False)
        machine.deliver(index=0)
        machine.wait(seconds=10.0)
        machine.discord.script.plan("PATCH", *[Behaviour(status=503)] * 6)
        machine.wait(seconds=10.0)
        machine.retitle(title=1)
        machine.deliver(index=0)
        machine.wait(seconds=61.0)
        titles = [each["embeds"][0]["title"] for each in machine.discord.messages.values()]
        self.assertEqual(titles, ["title 1", "title 1"])
        machine.go_offline()
        machine.deliver(index=0)
        machine.teardown()

    def test_one_post_with_the_last_state(self) -> None:
        """
        After any sequence there is one message for each broadcast and destination, with one mention and the last state.
        """
        run_state_machine_as_test(
            BroadcastMachine,
            settings=settings(
                max_examples=examples(60),
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
