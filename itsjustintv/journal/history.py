"""
What an operator sees of the journal: events, deliveries and attempts as they happened. Knows no database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import orjson
from attrs import frozen

from itsjustintv.model import Action, Attempt, Delivery, Event, State, parse_rfc3339, shown_form
from itsjustintv.support.counts import count as counted

__all__ = [
    "EVERYTHING",
    "SHORTEST_ID",
    "BackupContents",
    "DeliveryHistory",
    "DestinationBacklog",
    "EventHistory",
    "HistoryFilter",
    "HistoryStep",
    "OpenPost",
    "Place",
    "shorten_id",
]

#: Where a list that is read in parts goes on: the values that order it, of the last entry read so far.
Place = tuple[float | str, ...]


@frozen(kw_only=True)
class HistoryFilter:
    """
    Which entries a list holds.

    :ivar states: deliveries in one of these; empty for any. Of events, those with such a delivery.
    :ivar destination: name of the destination; ``None`` for any.
    :ivar streamer: of deliveries its key; of events a part of key, login or name, whatever its case, or the user id.
        ``None`` for any.
    """

    states: tuple[State, ...] = ()
    destination: str | None = None
    streamer: str | None = None


#: Lists every entry.
EVERYTHING = HistoryFilter()


@frozen(kw_only=True)
class HistoryStep:
    """
    One step of an event.

    :ivar at: when, in seconds since the epoch.
    :ivar took: seconds it took, from its beginning or from the step before it; ``None`` when that is not known.
    :ivar name: ``received``, ``kept``, ``prepared``, ``attempt``, ``again`` or the state in which a delivery ended.
    :ivar text: a description.
    :ivar destination: empty for a step of the whole event.
    """

    at: float
    took: float | None
    name: str
    text: str
    destination: str = ""


@frozen(kw_only=True)
class DeliveryHistory:
    """
    A delivery and its attempts.

    :ivar delivery: without its picture; with its payload only where a single event or delivery was asked for.
    :ivar finished_at: when it ended, or ``None``.
    :ivar resent: whether an operator had it sent again: it is not the first of its event to its destination.
    :ivar attempts: in order, those before it was requeued included; of very many the last, in lists of deliveries only
        one.
    """

    delivery: Delivery
    finished_at: float | None
    attempts: tuple[Attempt, ...] = ()
    resent: bool = False

    @property
    def is_refresh(self) -> bool:
        """
        Whether it shows a post again that another delivery of the event had shown.
        """
        return self.delivery.action is Action.REFRESH

    @property
    def came_later(self) -> bool:
        """
        Whether it was not accepted when its event was, or an operator has requeued it.
        """
        return self.revived or self.is_refresh

    @property
    def revived(self) -> bool:
        """
        Whether an operator has requeued or resent it.
        """
        return self.resent or (bool(self.attempts) and self.attempts[0].started_at < self.delivery.accepted_at)

    @cached_property
    def payload(self) -> Mapping[str, Any]:
        """
        Its JSON payload, as it is sent, without the bytes of a picture. Empty while there is none, and for one of the
        original program that has another form.
        """
        try:
            payload = shown_form(orjson.loads(self.delivery.body), plain=self.delivery.plain)
        except orjson.JSONDecodeError:
            return {}
        return payload if isinstance(payload, dict) and isinstance(payload.get("timestamp", ""), str) else {}

    @property
    def prepared_at(self) -> float | None:
        """
        When its payload was made: the payload says that itself.
        """
        return parse_rfc3339(self.payload.get("timestamp"))

    def steps(self, received_at: float) -> Iterator[HistoryStep]:
        """
        List its steps, in the order of time except for requeuing.

        :param received_at: when the event was received.
        """
        delivery, destination = self.delivery, self.delivery.destination
        prepared = self.prepared_at
        if prepared is not None and not self.resent:
            took = None if self.came_later else prepared - delivery.accepted_at
            text = "fetched details from twitch, applied the tag filter, made the payload"
            yield HistoryStep(at=prepared, took=took, name="prepared", text=text, destination=destination)
        for number, attempt in enumerate(self.attempts, 1):
            yield HistoryStep(
                at=attempt.started_at,
                took=attempt.duration,
                name="attempt",
                text=f"attempt {number}: {attempt.explanation or attempt.reason}",
                destination=destination,
            )
        if self.revived:
            text = f"resent as {delivery.id} by an operator" if self.resent else "requeued by an operator"
            yield HistoryStep(at=delivery.accepted_at, took=None, name="again", text=text, destination=destination)
        elif self.is_refresh:
            text = f"accepted {delivery.id}, which refreshes the post"
            yield HistoryStep(at=delivery.accepted_at, took=None, name="again", text=text, destination=destination)
        if self.finished_at is not None:
            took = None if self.came_later else self.finished_at - received_at
            reasons = {State.DELIVERED: "total time", State.FILTERED: f"filtered out: {delivery.reason}"}
            yield HistoryStep(
                at=self.finished_at,
                took=took,
                name=delivery.state.value,
                text=reasons.get(delivery.state, delivery.reason),
                destination=destination,
            )


@frozen(kw_only=True)
class EventHistory:
    """
    An event and its deliveries, in the order in which they were accepted.

    :ivar title: of the broadcast, as Twitch had it when a delivery was prepared first; empty until then.
    :ivar category: likewise.
    """

    event: Event
    deliveries: tuple[DeliveryHistory, ...]
    title: str = ""
    category: str = ""

    @property
    def stored_at(self) -> float:
        """
        When it was stored, unless an operator has requeued every delivery since.
        """
        accepted = [each.delivery.accepted_at for each in self.deliveries if not each.came_later]
        return min(accepted, default=self.event.received_at)

    def steps(self) -> Sequence[HistoryStep]:
        """
        List everything that happened, in the order of time.
        """
        event = self.event
        source = "found by asking Twitch who is live" if event.recovered else "message from Twitch"
        count = sum(not each.resent and not each.is_refresh for each in self.deliveries)
        started = parse_rfc3339(event.started_at)
        since = None if started is None else event.received_at - started
        steps = [
            HistoryStep(
                at=event.received_at,
                took=since,
                name="received",
                text=f"{source}; the time is that since the broadcast started",
            ),
            HistoryStep(
                at=self.stored_at,
                took=self.stored_at - event.received_at,
                name="kept",
                text=f"stored with its deduplication keys, for {counted(count, 'destination')}",
            ),
        ]
        later = [step for each in self.deliveries for step in each.steps(event.received_at)]
        return [*steps, *sorted(later, key=lambda step: step.at)]


@frozen(kw_only=True)
class DestinationBacklog:
    """
    What is pending for a destination.

    :ivar next_at: when the first of it is due.
    """

    destination: str
    count: int
    next_at: float


@frozen(kw_only=True)
class OpenPost:
    """
    A post that stands at a destination and can still change.

    :ivar streamer: key of the streamer's table when the broadcast began.
    :ivar started_at: of the broadcast; RFC 3339, as Twitch wrote it.
    :ivar changed_at: when it was created or last changed.
    """

    destination: str
    streamer: str
    started_at: str
    changed_at: float


@frozen(kw_only=True)
class BackupContents:
    """
    What a backup of a journal holds.

    :ivar unfinished: deliveries that are accepted or pending.
    :ivar deliveries: all of them.
    :ivar newest: when the last event was received, in seconds since the epoch; ``None`` when there is none.
    :ivar is_outdated: whether the daemon upgrades it at its next start.
    """

    unfinished: int
    deliveries: int
    newest: float | None
    is_outdated: bool


#: Characters that a prefix of an id needs at least.
SHORTEST_ID = 8


def shorten_id(delivery_id: str, event_id: str, length: int) -> str:
    """
    Cut the part of a delivery's id that is its event's to so many characters: ``019b7c9f-1``.
    """
    if len(event_id) <= length or not delivery_id.startswith(f"{event_id}-"):
        return delivery_id
    return event_id[:length] + delivery_id[len(event_id) :]
