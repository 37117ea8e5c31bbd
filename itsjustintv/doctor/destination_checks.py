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

from itsjustintv.delivery.sample import SampleSender
from itsjustintv.destinations.kinds import KINDS, open_destination
from itsjustintv.destinations.senders import Senders
from itsjustintv.interfaces import SenderTools
from itsjustintv.model import Action, Attempt, Destination, Notice, Streamer
from itsjustintv.support.egress import EgressPolicy
from itsjustintv.support.http_agents import DELIVERIES, make_agent

__all__ = ["DestinationChecks", "TestStep"]

_TIMEOUT = 15.0


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
            for done, event, action in _life(destination, keep=keep):
                attempt = await sender.send(destination.name, event, action)
                if attempt is not None:
                    steps.append(TestStep(done, attempt))
                if attempt is None or not attempt.ok:
                    break
        return steps

    @asynccontextmanager
    async def _sender(
        self, destination: Destination, streamers: Callable[[], Sequence[Streamer]]
    ) -> AsyncIterator[SampleSender]:
        reactor = self._reactor

        def egress() -> EgressPolicy:
            return EgressPolicy.of(self._allow)

        def render(notice: Notice, _: str) -> bytes:
            return open_destination(destination).render(notice)

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
                yield SampleSender(
                    senders.send, render, lambda *_: destination, streamers, lambda: token_hex(8), reactor
                )
            finally:
                await senders.stopService()


def _life(destination: Destination, *, keep: bool) -> Sequence[tuple[str, str, Action]]:
    """
    The steps of a test: what each does, at which event, and to the post.
    """
    steps = [("sent", "online", Action.CREATE)]
    kind, settings = KINDS[destination.kind], destination.settings
    if destination.keeps_posts and kind.can_edit(settings):
        steps.append(("changed", "update", Action.EDIT))
    if destination.keeps_posts and kind.can_delete(settings) and not keep:
        steps.append(("deleted", "offline", Action.DELETE))
    return steps
