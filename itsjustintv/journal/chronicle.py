"""
What happened to an event, step by step, as the journal tells it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from sqlite3 import Connection
from typing import Any

from attrs import field, frozen

from itsjustintv.journal.queries import attempts, event
from itsjustintv.journal.rows import to_delivery
from itsjustintv.model import Attempt, Delivery, Event, State

__all__ = ["Course", "Step", "Story", "story"]


@frozen(kw_only=True)
class Step:
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
class Course:
    """
    One delivery of an event.

    :ivar delivery: without its picture.
    :ivar finished_at: when it ended, if it has.
    """

    delivery: Delivery
    attempts: tuple[Attempt, ...]
    finished_at: float | None = None

    @property
    def revived(self) -> bool:
        """
        Whether an operator has sent it once more, so that the moment of its acceptance is not the first one.
        """
        return bool(self.attempts) and self.attempts[0].started_at < self.delivery.accepted_at

    @property
    def prepared_at(self) -> float | None:
        """
        When its payload was made, as that says itself.
        """
        if not self.delivery.body:
            return None
        content: Any = json.loads(self.delivery.body)
        try:
            return datetime.fromisoformat(content["timestamp"]).timestamp()
        except (KeyError, TypeError, ValueError):
            # One that was taken over from the original program.
            return None

    def steps(self, received_at: float) -> Iterator[Step]:
        """
        Tell it, in the order of time but for an operator's second try.

        :param received_at: when the event was received.
        """
        about, name = self.delivery, self.delivery.destination
        prepared = self.prepared_at
        if prepared is not None:
            took = None if self.revived else prepared - about.accepted_at
            text = "details from twitch, tag filter and payload"
            yield Step(at=prepared, took=took, name="prepared", text=text, destination=name)
        for number, attempt in enumerate(self.attempts, 1):
            yield Step(
                at=attempt.started_at,
                took=attempt.duration,
                name="attempt",
                text=f"attempt {number}: {attempt.detail or attempt.reason}",
                destination=name,
            )
        if self.revived:
            text = "the operator has it sent once more"
            yield Step(at=about.accepted_at, took=None, name="again", text=text, destination=name)
        if self.finished_at is not None:
            took = None if self.revived else self.finished_at - received_at
            ended = {State.DELIVERED: "in all", State.FILTERED: f"not wanted: {about.reason}"}
            text = ended.get(about.state, about.reason)
            yield Step(at=self.finished_at, took=took, name=about.state.value, text=text, destination=name)


@frozen(kw_only=True)
class Story:
    """
    An event and its deliveries, in the order in which they were wanted.
    """

    event: Event
    courses: tuple[Course, ...]
    kept_at: float = field(init=False)

    @kept_at.default
    def _kept(self) -> float:
        kept = [each.delivery.accepted_at for each in self.courses if not each.revived]
        return min(kept, default=self.event.received_at)

    def steps(self) -> Sequence[Step]:
        """
        Everything that happened, in the order of time.
        """
        event = self.event
        source = "found by asking twitch who is live" if event.recovered else "told by twitch"
        count = len(self.courses)
        whom = f"accepted for {count} destination{'s' * (count != 1)}, with its keys against duplicates"
        began = _moment(event.started_at)
        since = None if began is None else event.received_at - began
        told = [
            Step(at=event.received_at, took=since, name="received", text=f"{source}; since the broadcast began"),
            Step(at=self.kept_at, took=self.kept_at - event.received_at, name="kept", text=whom),
        ]
        later = [step for each in self.courses for step in each.steps(event.received_at)]
        return [*told, *sorted(later, key=lambda step: step.at)]


def story(connection: Connection, name: str) -> Story | None:
    """
    Find an event, and all there is of it.

    :param name: its id, that of one of its deliveries, or that of the message that told of it.
    """
    row = connection.execute(
        "SELECT id FROM events WHERE id = :name OR message_id = :name"
        " UNION SELECT event_id FROM deliveries WHERE id = :name",
        {"name": name},
    ).fetchone()
    if row is None:
        return None
    rows = connection.execute("SELECT * FROM deliveries WHERE event_id = ? ORDER BY rowid", (row["id"],)).fetchall()
    return Story(
        event=event(connection, row["id"]),
        courses=tuple(
            Course(
                delivery=to_delivery(each),
                attempts=attempts(connection, each["id"]),
                finished_at=each["finished_at"],
            )
            for each in rows
        ),
    )


def _moment(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
