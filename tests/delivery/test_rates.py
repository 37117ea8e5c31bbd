"""
Many broadcasts to few webhooks: what the queue makes of a service's limits, announced and not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.config.sections import Retry
from itsjustintv.delivery.queue import DeliveryQueue
from itsjustintv.destinations.discord import DISCORD_KIND, Settings
from itsjustintv.destinations.kinds import open_destination
from itsjustintv.model import Attempt, Delivery, Destination, State
from itsjustintv.simulator.fakes.discord import FakeDiscord
from itsjustintv.support.http_response import Response
from tests.destinations.contract import notice
from tests.doubles import MemoryJournal

#: Seconds until an answer comes.
LATENCY = 0.08


class RateTests(SynchronousTestCase):
    """
    A queue, five webhooks at two hosts, and a clock.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_767_326_400)
        self.services = {"discord.com": FakeDiscord(), "relay.example": FakeDiscord()}
        self.destinations: dict[str, Destination] = {}
        for number in range(5):
            host = "discord.com" if number < 3 else "relay.example"
            webhook = self.services[host].add_webhook(channel=f"channel {number}")
            url = webhook.url.replace("discord.com", host)
            self.destinations[f"d{number}"] = Destination(
                name=f"d{number}", url=url, kind="discord", settings=Settings(url=url), keeps_posts=True, concurrency=1
            )
        self.journal = MemoryJournal()
        self.queue = DeliveryQueue(
            journal=self.journal,
            send=self.send,
            resolve=lambda name, _key: self.destinations.get(name),
            policy=Retry,
            sinks=(),
            clock=self.clock,
            random=lambda: 0.5,
        )

    def send(self, delivery: Delivery, destination: Destination) -> Deferred[Attempt]:
        return deferLater(self.clock, LATENCY, self.exchange, delivery, destination)

    def exchange(self, delivery: Delivery, destination: Destination) -> Attempt:
        adapter, now = open_destination(destination), self.clock.seconds()
        request = adapter.make_request(delivery, now)
        host = request.url.split("/")[2]
        headers = {name.lower(): value for name, value in request.headers}
        answer = self.services[host].handle(request.method, request.url, headers, request.body, now)
        raw = Headers()
        for name, value in answer.headers:
            raw.addRawHeader(name, value)
        result = adapter.interpret(Response(answer.status, raw, answer.body), delivery, now)
        return Attempt(
            ok=result.ok,
            reason=result.reason,
            detail=result.detail,
            started_at=now,
            duration=LATENCY,
            status=answer.status,
            retry_after=result.retry_after,
            final=result.final,
            verdict=result.verdict,
            remote=result.remote,
            pause=result.pause,
            pause_host=result.pause_host,
            pace=result.pace,
            place=destination.place,
        )

    def submit(self, count: int, names: Sequence[str]) -> None:
        now, what = self.clock.seconds(), notice(name="streamer 000")
        bodies = {name: open_destination(self.destinations[name]).render(what) for name in names}
        for number in range(count):
            for name in names:
                delivery = Delivery(
                    id=f"{number:05}-{name}",
                    event_id=f"{number:05}",
                    streamer="s",
                    destination=name,
                    accepted_at=now,
                    next_attempt_at=now,
                    state=State.PENDING,
                    body=bodies[name].replace(b"streamer 000", b"streamer %03d" % number),
                    broadcast=f"{number:05}",
                )
                self.journal.put(delivery)
                self.queue.submit(delivery)

    def run_until_quiet(self, limit: float) -> float:
        began = self.clock.seconds()
        while any(each.state is State.PENDING for each in self.journal.deliveries.values()):
            self.assertLess(self.clock.seconds() - began, limit)
            self.clock.advance(0.25)
        return self.clock.seconds() - began

    def statuses(self, service: FakeDiscord) -> list[tuple[Any, int]]:
        return [(each.request.path[3], each.answer.status) for each in service.history]

    def test_no_limit_is_met_twice(self) -> None:
        """
        500 broadcasts to five webhooks: each channel says once that it wants fewer messages, which no header announces,
        and never again; every message arrives once, in its order, about as fast as the limit allows.
        """
        self.queue.startService()
        self.addCleanup(self.queue.stopService)
        self.submit(100, sorted(self.destinations))
        took = self.run_until_quiet(600)
        for service in self.services.values():
            for webhook in service.webhooks.values():
                answers = [status for identity, status in self.statuses(service) if identity == webhook.id]
                self.assertEqual((answers.count(200), answers.count(429)), (100, 1), webhook.channel)
                names = [each["content"] for each in service.messages.values() if each["webhook_id"] == webhook.id]
                late = [name for name, after in zip(names, sorted(names), strict=True) if name != after]
                self.assertLess(len(late), 100, "in order, but for the one that was refused")
            self.assertEqual(len(service.messages), 100 * len(service.webhooks))
        self.assertLess(took, 100 * 2.2 + 60)

    def test_many_webhooks_of_one_host(self) -> None:
        """
        The limit of an address for all of a service is met once at most, whatever the number of webhooks.
        """
        service = self.services["discord.com"]
        for number in range(90):
            webhook = service.add_webhook(channel=f"more {number}")
            self.destinations[f"m{number}"] = Destination(
                name=f"m{number}",
                url=webhook.url,
                kind="discord",
                settings=Settings(url=webhook.url),
                keeps_posts=True,
                concurrency=DISCORD_KIND.concurrency,
            )
        self.queue.startService()
        self.addCleanup(self.queue.stopService)
        self.submit(3, [name for name in self.destinations if name.startswith("m")])
        self.run_until_quiet(120)
        limited = [each.request.at for each in service.history if each.answer.status == 429]
        self.assertEqual(len(service.messages), 270)
        # Those that were under way when it came.
        self.assertLessEqual(len({round(each) for each in limited}), 2, limited)
