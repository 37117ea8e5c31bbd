"""
Builds what an event passes through: journal, pipeline, queue and sender.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrs import frozen
from twisted.internet.defer import Deferred

from itsjustintv.app.context import Context
from itsjustintv.config.removal_grace import DESTINATIONS, STREAMERS, RemovalGrace
from itsjustintv.dedup import SeenEvents
from itsjustintv.delivery.output_file import OutputFile
from itsjustintv.delivery.queue import DeliveryQueue
from itsjustintv.delivery.stall_check import StallCheck
from itsjustintv.destinations.kinds import KINDS, open_destination
from itsjustintv.destinations.senders import Senders
from itsjustintv.interfaces import IEnricher, IOutcomeSink, Render, SenderTools
from itsjustintv.model import Delivery, Destination, Notice
from itsjustintv.pipeline import OnError, Pipeline
from itsjustintv.support.egress import EgressPolicy
from itsjustintv.support.http_agents import DELIVERIES, make_agent

__all__ = ["DeliveryParts"]


@frozen
class DeliveryParts:
    """
    The parts between an accepted event and the outcome of each of its deliveries.

    :ivar removed_destinations: when deliveries to destinations that were removed from the configuration end.
    :ivar removed_streamers: when deliveries of streamers that were removed end.
    """

    removed_destinations: RemovalGrace
    removed_streamers: RemovalGrace
    output: OutputFile
    render: Render
    senders: Senders
    queue: DeliveryQueue
    pipeline: Pipeline
    stall_check: StallCheck

    @classmethod
    def of(cls, context: Context, enricher: IEnricher, listeners: Sequence[IOutcomeSink]) -> DeliveryParts:
        """
        :param enricher: adds what Twitch knows of a broadcast.
        :param listeners: notified of every outcome, besides the output file and telemetry.
        """
        reactor, config, journal, routing = context.reactor, context.config, context.journal, context.routing
        output = OutputFile(
            lambda: config().output, reactor, context.file_threads.run, journal.outcomes, context.steady.ahead
        )
        sinks = (output, context.metrics, context.event_spans, *listeners)

        def egress() -> EgressPolicy:
            return EgressPolicy.of(config().egress.allow)

        senders = Senders(
            KINDS,
            SenderTools(
                reactor=reactor,
                agent=make_agent(reactor, DELIVERIES, egress=lambda _: egress()),
                egress=egress,
                timeout=lambda: config().retry.timeout,
                wall=context.wall.seconds,
                begin_span=context.tracer.begin_span,
                in_thread=context.file_threads.run,
                state=lambda: Path(config().twitch.token_file).parent,
                hide=context.hide_secrets,
            ),
            lambda: routing.destinations().values(),
        )
        removed_destinations = RemovalGrace(
            DESTINATIONS,
            journal,
            reactor,
            lambda name: routing.destination(name) is None,
            lambda: config().reload.grace,
        )
        removed_streamers = RemovalGrace(
            STREAMERS, journal, reactor, lambda key: not routing.is_configured(key, ""), lambda: config().reload.grace
        )

        def render(notice: Notice, name: str) -> bytes:
            # One that is gone may return before its deliveries end.
            destination = routing.destination(name, notice.streamer.key) or Destination(name=name, url="")
            return open_destination(destination).render(notice)

        def orphaned(delivery: Delivery) -> float | None:
            if routing.is_configured(delivery.streamer, delivery.broadcaster_id):
                return None
            return removed_streamers.ends(delivery.streamer)

        def find_owners() -> Deferred[None]:
            owners = journal.owners(lambda name: routing.destination(name) is not None)
            return owners.addCallback(routing.set_owners)

        queue = DeliveryQueue(
            journal,
            senders.send,
            routing.destination,
            lambda: config().retry,
            sinks,
            reactor,
            context.random,
            grace_end=removed_destinations.ends,
            forget=removed_destinations.forget,
            orphaned=orphaned,
            find_owners=find_owners,
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
            context.event_spans.stored,
            removed_streamers.ends,
            routing.destination,
            lambda: config().broadcast.reconnect_window,
            lambda: config().broadcast.settle,
            queue.is_under_way,
            wall=context.wall.seconds,
            destination_end=removed_destinations.ends,
            previews=lambda: config().broadcast.refresh_preview,
            recordings=lambda: config().broadcast.refresh_recording,
            new_id=context.new_event_id,
        )
        return cls(
            removed_destinations,
            removed_streamers,
            output,
            render,
            senders,
            queue,
            pipeline,
            StallCheck(
                lambda: journal.next_due(lambda name: routing.destination(name) is not None),
                journal.undelivered,
                reactor,
            ),
        )
