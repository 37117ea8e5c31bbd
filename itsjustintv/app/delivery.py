"""
The way of an event from its acceptance to the last word on each of its deliveries.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from twisted.internet.defer import Deferred

from itsjustintv.app.context import Context
from itsjustintv.app.removal_grace import DESTINATIONS, STREAMERS, RemovalGrace
from itsjustintv.dedup import SeenEvents
from itsjustintv.delivery.output_file import OutputFile
from itsjustintv.delivery.queue import DeliveryQueue
from itsjustintv.delivery.stall_check import StallCheck
from itsjustintv.destinations import open_destination
from itsjustintv.destinations.http_sender import HttpSender
from itsjustintv.interfaces import Accept, IEnricher, IOutcomeSink, Render
from itsjustintv.model import Delivery, Destination, Notice
from itsjustintv.pipeline import OnError, Pipeline
from itsjustintv.support.http_agents import deliveries_agent

__all__ = ["Deliveries"]


@frozen
class Deliveries:
    """
    Its parts, from the end to the beginning.

    :ivar destinations: since when destinations have been missing that deliveries wait for; likewise ``streamers``.
    :ivar accept: where an event enters.
    """

    destinations: RemovalGrace
    streamers: RemovalGrace
    output: OutputFile
    render: Render
    sender: HttpSender
    queue: DeliveryQueue
    pipeline: Pipeline
    backlog: StallCheck
    accept: Accept

    @classmethod
    def of(cls, ground: Context, enricher: IEnricher, listeners: Sequence[IOutcomeSink]) -> Deliveries:
        """
        Put them together.

        :param enricher: adds what Twitch knows of a broadcast.
        :param listeners: who else hears of every outcome.
        """
        reactor, config, journal, routing = ground.reactor, ground.config, ground.journal, ground.routing
        output = OutputFile(lambda: config().output, reactor, ground.disk.run, journal.outcomes, ground.steady.ahead)
        sinks = (output, ground.metrics, ground.following, *listeners)
        sender = HttpSender(
            deliveries_agent(reactor),
            reactor,
            lambda: config().retry.timeout,
            ground.tracer.begin_span,
            ground.wall.seconds,
        )
        destinations = RemovalGrace(
            DESTINATIONS,
            journal,
            reactor,
            lambda name: routing.destination(name) is None,
            lambda: config().reload.grace,
        )
        streamers = RemovalGrace(
            STREAMERS, journal, reactor, lambda key: not routing.has(key, ""), lambda: config().reload.grace
        )

        def render(notice: Notice, name: str) -> bytes:
            # One that is gone may return before its deliveries end.
            destination = routing.destination(name) or Destination(name=name, url="")
            return open_destination(destination).render(notice)

        def orphaned(delivery: Delivery) -> float | None:
            if routing.has(delivery.streamer, delivery.broadcaster_id):
                return None
            return streamers.ends(delivery.streamer)

        def adopt() -> Deferred[None]:
            owners = journal.owners(lambda name: routing.destination(name) is not None)
            return owners.addCallback(routing.adopt)

        queue = DeliveryQueue(
            journal,
            sender.send,
            routing.destination,
            lambda: config().retry,
            sinks,
            reactor,
            ground.random,
            ends=destinations.ends,
            forget=destinations.forget,
            orphaned=orphaned,
            adopt=adopt,
        )
        pipeline = Pipeline(
            reactor,
            journal,
            SeenEvents(reactor),
            routing.match,
            enricher,
            render,
            queue.submit,
            sinks,
            lambda: config().cache.ttl,
            lambda: OnError(config().filter.on_error),
            lambda: config().retry.max_age,
            ground.following.kept,
            streamers.ends,
            wall=ground.wall.seconds,
        )
        accept = ground.following.accepting(pipeline.accept)
        return cls(
            destinations,
            streamers,
            output,
            render,
            sender,
            queue,
            pipeline,
            StallCheck(
                lambda: journal.earliest(lambda name: routing.destination(name) is not None),
                journal.undelivered,
                reactor,
            ),
            accept,
        )
