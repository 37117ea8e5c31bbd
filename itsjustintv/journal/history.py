"""
What an operator sees of the journal at a glance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import orjson
from attrs import frozen

from itsjustintv.model import Attempt, Delivery, Event, State, parse_rfc3339
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
    Something that happened.

    :ivar at: when, in seconds since the epoch.
    :ivar took: seconds it took, from its beginning or from the step before it; ``None`` when that is not known.
    :ivar name: ``received``, ``kept``, ``prepared``, ``attempt``, ``again`` or the state in which a delivery ended.
    :ivar text: what it was, for people.
    :ivar destination: whom it concerns; empty for all of them.
    """

    at: float
    took: float | None
    name: str
    text: str
    destination: str = ""


@frozen(kw_only=True)
class DeliveryHistory:
    """
    A delivery and what was tried.

    :ivar delivery: without its picture; its payload is there only where a single event or delivery was asked for.
    :ivar finished_at: when it ended, or ``None``.
    :ivar resent: whether it is not the first of its event to its destination: an operator had it sent again.
    :ivar attempts: in order, those of earlier rounds included; of very many the last, in lists of deliveries only one.
    """

    delivery: Delivery
    finished_at: float | None
    attempts: tuple[Attempt, ...] = ()
    resent: bool = False

    @property
    def revived(self) -> bool:
        """
        Whether an operator has requeued it or had it sent again, so that it was not accepted with its event.
        """
        return self.resent or (bool(self.attempts) and self.attempts[0].started_at < self.delivery.accepted_at)

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """
        Its payload, whoever built it; empty while there is none, and for one from the original program's queue that has
        another shape.
        """
        try:
            content = orjson.loads(self.delivery.body)
        except orjson.JSONDecodeError:
            return {}
        shaped = isinstance(content, dict) and isinstance(content.get("stream", {}), dict)
        return content if shaped and isinstance(content.get("timestamp", ""), str) else {}

    @property
    def prepared_at(self) -> float | None:
        """
        When its payload was made, as that says itself.
        """
        return parse_rfc3339(self.content.get("timestamp"))

    def steps(self, received_at: float) -> Iterator[HistoryStep]:
        """
        Tell it, in the order of time but for an operator's second try.

        :param received_at: when the event was received.
        """
        about, name = self.delivery, self.delivery.destination
        prepared = self.prepared_at
        if prepared is not None and not self.resent:
            took = None if self.revived else prepared - about.accepted_at
            text = "details from twitch, tag filter and payload"
            yield HistoryStep(at=prepared, took=took, name="prepared", text=text, destination=name)
        for number, attempt in enumerate(self.attempts, 1):
            yield HistoryStep(
                at=attempt.started_at,
                took=attempt.duration,
                name="attempt",
                text=f"attempt {number}: {attempt.explanation or attempt.reason}",
                destination=name,
            )
        if self.revived:
            text = f"sent again as {about.id} by an operator" if self.resent else "requeued by an operator"
            yield HistoryStep(at=about.accepted_at, took=None, name="again", text=text, destination=name)
        if self.finished_at is not None:
            took = None if self.revived else self.finished_at - received_at
            ended = {State.DELIVERED: "in all", State.FILTERED: f"not wanted: {about.reason}"}
            text = ended.get(about.state, about.reason)
            yield HistoryStep(at=self.finished_at, took=took, name=about.state.value, text=text, destination=name)


@frozen(kw_only=True)
class EventHistory:
    """
    An event and what became of it: its deliveries, in the order in which they were wanted.
    """

    event: Event
    deliveries: tuple[DeliveryHistory, ...]

    @property
    def kept_at(self) -> float:
        """
        When it was kept, as far as an operator's second tries let that be known.
        """
        kept = [each.delivery.accepted_at for each in self.deliveries if not each.revived]
        return min(kept, default=self.event.received_at)

    def steps(self) -> Sequence[HistoryStep]:
        """
        Everything that happened, in the order of time.
        """
        event = self.event
        source = "found by asking twitch who is live" if event.recovered else "told by twitch"
        count = sum(not each.resent for each in self.deliveries)
        whom = f"accepted for {counted(count, 'destination')}, with its keys against duplicates"
        began = parse_rfc3339(event.started_at)
        since = None if began is None else event.received_at - began
        told = [
            HistoryStep(at=event.received_at, took=since, name="received", text=f"{source}; since the broadcast began"),
            HistoryStep(at=self.kept_at, took=self.kept_at - event.received_at, name="kept", text=whom),
        ]
        later = [step for each in self.deliveries for step in each.steps(event.received_at)]
        return [*told, *sorted(later, key=lambda step: step.at)]


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
