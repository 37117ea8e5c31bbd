"""
Asks and tests destinations from a command, with clients of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

from attrs import define, frozen
from twisted.internet.defer import DeferredSemaphore

from itsjustintv.delivery.sample import SampleSender
from itsjustintv.destinations.http_exchange import HttpExchange
from itsjustintv.destinations.kinds import KINDS, open_destination
from itsjustintv.destinations.senders import Senders
from itsjustintv.destinations.service_probe import ProbeAdapter
from itsjustintv.doctor.findings import Finding, Severity
from itsjustintv.interfaces import SenderTools
from itsjustintv.model import Action, Attempt, Delivery, Destination, Notice, Streamer
from itsjustintv.support.egress import EgressPolicy
from itsjustintv.support.http_agents import DELIVERIES, make_agent

__all__ = ["DestinationChecks", "TestStep", "test_steps"]

_TIMEOUT = 15.0

# Services that are asked at the same time.
_AT_ONCE = 5


@frozen
class TestStep:
    """
    A part of a test.

    :ivar done: what it did when it went well, such as ``sent``.
    """

    done: str
    attempt: Attempt


@define(eq=False)
class DestinationChecks:
    """
    Asks and tests destinations.

    :ivar allow: the addresses that may be connected to although they are not public, as ``egress.allow``.
    """

    _reactor: Any
    _allow: Sequence[str] = ()
    _timeout: float = _TIMEOUT

    async def test(
        self, destination: Destination, streamers: Sequence[Streamer] = (), *, keep: bool = True
    ) -> Sequence[TestStep]:
        """
        Send a test notification; where the kind can, change it and delete it. Ends at the first step that fails.

        :param streamers: the notification is about one who has the destination.
        :param keep: whether it stays.
        """
        steps = []
        async with self._sender(destination, lambda: streamers) as sender:
            for done, event, action in test_steps(destination, keep=keep):
                attempt = await sender.send(destination.name, event, action)
                if attempt is not None:
                    steps.append(TestStep(done, attempt))
                if attempt is None or not attempt.ok:
                    break
        return steps

    async def ask(self, destination: Destination) -> Finding:
        """
        Ask a service about a destination, without posting.
        """
        name, kind = destination.name, KINDS[destination.kind]
        probe = kind.probe
        question = Delivery(
            id="question",
            event_id="question",
            streamer="",
            destination=name,
            accepted_at=0.0,
            next_attempt_at=0.0,
            body=b"{}",
        )
        if kind.asks:
            async with self._senders() as senders:
                return _finding(await senders.ask(question, destination))
        if probe is None or probe.ask(destination.settings) is None:
            text = f"{name} ({kind.name}) cannot be asked without posting: try itsjustintv destinations test {name}"
            return Finding(Severity.OK, text)
        agent = make_agent(self._reactor, DELIVERIES, egress=lambda _: EgressPolicy.of(self._allow))
        adapter = ProbeAdapter(destination, probe, open_destination(destination))
        exchange = HttpExchange(agent, self._reactor, lambda: self._timeout)
        return _finding(await exchange.exchange(adapter, question, destination))

    async def ask_all(self, destinations: Sequence[Destination]) -> Sequence[Finding]:
        """
        Ask about many, a few at a time.
        """
        few = DeferredSemaphore(_AT_ONCE)
        answers = [few.run(self.ask, each) for each in destinations]
        return [await each for each in answers]

    @asynccontextmanager
    async def _sender(
        self, destination: Destination, streamers: Callable[[], Sequence[Streamer]]
    ) -> AsyncIterator[SampleSender]:
        def render(notice: Notice, _: str) -> bytes:
            return open_destination(destination).render(notice)

        async with self._senders() as senders:
            yield SampleSender(
                senders.send, render, lambda *_: destination, streamers, lambda: token_hex(8), self._reactor
            )

    @asynccontextmanager
    async def _senders(self) -> AsyncIterator[Senders]:
        reactor = self._reactor

        def egress() -> EgressPolicy:
            return EgressPolicy.of(self._allow)

        # A file written by another user would lock the daemon out of its own.
        with TemporaryDirectory(prefix="itsjustintv-") as folder:
            senders = Senders(
                KINDS,
                SenderTools(
                    reactor=reactor,
                    agent=make_agent(reactor, DELIVERIES, egress=lambda _: egress()),
                    egress=egress,
                    timeout=lambda: self._timeout,
                    wall=reactor.seconds,
                    state=lambda: Path(folder),
                ),
            )
            try:
                yield senders
            finally:
                await senders.stopService()


def _finding(attempt: Attempt) -> Finding:
    text = attempt.detail.removesuffix(".")
    if attempt.ok:
        return Finding(Severity.OK, text)
    # What may pass by itself is no error of the configuration.
    return Finding(Severity.ERROR if attempt.final else Severity.WARNING, text)


def test_steps(destination: Destination, *, keep: bool) -> Sequence[tuple[str, str, Action]]:
    """
    The steps of a test: what each does, at which event, and to the post.
    """
    steps = [("sent", "online", Action.CREATE)]
    kind, settings = KINDS[destination.kind], destination.settings
    if destination.keeps_posts and kind.can_edit(settings):
        steps.append(("changed", "update", Action.EDIT))
    if destination.keeps_posts and not keep:
        if kind.can_delete(settings):
            steps.append(("deleted", "offline", Action.DELETE))
        elif kind.can_edit(settings):
            # What stays says at least that nothing goes on.
            steps.append(("ended", "offline", Action.EDIT))
    return steps
