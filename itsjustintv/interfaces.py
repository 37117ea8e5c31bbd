"""
The points of the daemon that are meant to be replaced.

A docstring here is the contract; an implementation may stay silent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.internet.defer import Deferred
from zope.interface import Interface

from itsjustintv.model import (
    Acceptance,
    Accounting,
    Attempt,
    Delivery,
    Destination,
    Due,
    Enrichment,
    Event,
    Notice,
    Outcome,
    OutgoingRequest,
    Result,
    State,
    Streamer,
)
from itsjustintv.support.http_client import Response

__all__ = [
    "Accept",
    "GraceEnd",
    "IDestination",
    "IEnricher",
    "IJournal",
    "ILastKnown",
    "IOutcomeSink",
    "Match",
    "Render",
    "Resolve",
    "Send",
    "Submit",
]

# The hand-offs of an event: each part is given the next one as a function.

#: Stores an event; fails with :class:`~itsjustintv.errors.JournalUnavailable` when it could not be stored.
Accept = Callable[[Event], Deferred[Acceptance]]

#: The configured streamers that an event concerns, each with the destinations that it goes to.
Match = Callable[[Event], Sequence[Streamer]]

#: Makes the body that is stored for a notice, for the destination of a name.
Render = Callable[[Notice, str], bytes]

#: Takes over a delivery that is ready to be sent.
Submit = Callable[[Delivery], None]

#: The destination of a name as it is configured now; ``None`` when it is not.
Resolve = Callable[[str], Destination | None]

#: When what waits for a name that is no longer configured ends: seconds since the epoch, infinity while unknown.
GraceEnd = Callable[[str], float]

#: Sends a delivery once and says how that ended. Never fails, unless it is cancelled.
Send = Callable[[Delivery, Destination], Deferred[Attempt]]


class IJournal(Interface):
    """
    The durable state. Every method that writes answers with a Deferred that fires after the write is on stable
    storage, and fails with :class:`~itsjustintv.errors.JournalUnavailable` when none of it is. Cancelling such a
    Deferred abandons the answer, never the write.
    """

    def accept(event: Event, deliveries: Sequence[Delivery], expires_at: float) -> Deferred[bool]:
        """
        Keep an event, its deduplication keys until ``expires_at`` and one delivery for each destination, all or
        nothing. Answers ``False``, keeping nothing, when one of its keys is already there and has not expired.
        """

    def seen(now: float) -> Deferred[Sequence[tuple[str, float]]]:
        """
        List every deduplication key that has not expired, with its expiry.
        """

    def unprepared(now: float, limit: int) -> Deferred[Sequence[tuple[Event, Delivery]]]:
        """
        List accepted deliveries without a payload whose ``next_attempt_at`` has come, oldest first.
        """

    def prepare(delivery_id: str, body: bytes, picture: bytes | None, now: float) -> Deferred[bool]:
        """
        Give an accepted delivery its payload and make it pending, due at ``now``. ``False`` when it is no longer
        accepted.
        """

    def hold(delivery_id: str, until: float, reason: str) -> Deferred[None]:
        """
        Leave an accepted delivery as it is until a later moment.
        """

    def settle(
        delivery_id: str,
        state: State,
        reason: str,
        now: float,
        attempt: Attempt | None = None,
        next_attempt_at: float | None = None,
    ) -> Deferred[Delivery]:
        """
        Record what became of a delivery: an attempt that ended, or an end without an attempt. An attempt is counted
        and kept. Answers with the delivery as it now stands, body included. A delivery that an operator cancelled
        meanwhile stays cancelled, unless it was in fact delivered.
        """

    def destinations() -> Deferred[Sequence[str]]:
        """
        Name every destination with at least one pending delivery.
        """

    def due(destination: str, after: Due | None, limit: int) -> Deferred[Sequence[Due]]:
        """
        List a destination's pending deliveries in the order of their time, those after ``after`` only.
        """

    def load(delivery_id: str) -> Deferred[Delivery | None]:
        """
        Fetch a delivery, body, picture and broadcaster included.
        """

    def outcomes(limit: int) -> Deferred[Sequence[Outcome]]:
        """
        The last ``limit`` deliveries on which an attempt has ended, oldest first, each with its last attempt.
        """

    def accounting() -> Deferred[Accounting]:
        """
        Count every (event, destination) by state.
        """

    def changed() -> Deferred[bool]:
        """
        Whether somebody else, an operator's command say, has written since the last call.
        """

    def problem() -> str | None:
        """
        Why the last commit did not happen, or ``None`` while all is well. Answers at once.
        """


class IDestination(Interface):
    """
    One configured destination: what is sent to it, and what its answers mean. Does no I/O. There is a class for each
    kind, in :data:`itsjustintv.destinations.KINDS`.
    """

    def render(notice: Notice) -> bytes:
        """
        Make the body that is stored with a delivery, without the bytes of the picture. The same notice gives the same
        bytes.
        """

    def make_request(delivery: Delivery, now: float) -> OutgoingRequest:
        """
        Make the request of one attempt from the stored body: address, headers, picture and signature.

        :param now: by the wall clock, since receivers compare the time of a signature with theirs.
        :raises ValueError: when it cannot be signed, without quoting the secret.
        """

    def interpret(response: Response, now: float) -> Result:
        """
        Say what an answer means. Its headers and its body are empty when only the status arrived; the body may be cut
        off.

        :param now: by the wall clock, for a ``Retry-After`` that is a date.
        """


class IEnricher(Interface):
    """
    Finds out more about an event.
    """

    def enrich(event: Event, streamer: Streamer) -> Deferred[Enrichment]:
        """
        Answer with whatever can be had within a bounded time. Never fails.
        """


class ILastKnown(Interface):
    """
    Small numbers worth remembering across a restart, such as the followers of a channel.

    Writing and cancelling are as with :class:`IJournal`.
    """

    def recall(kind: str, key: str) -> Deferred[tuple[int, float] | None]:
        """
        The last value kept and when it was kept, or ``None``.
        """

    def remember(kind: str, key: str, value: int, now: float) -> Deferred[None]:
        """
        Keep a value.
        """

    def recall_all(kind: str) -> Deferred[Mapping[str, tuple[int, float]]]:
        """
        Every value kept of a kind and when it was kept, by key.
        """

    def remember_all(kind: str, values: Mapping[str, int], now: float) -> Deferred[None]:
        """
        Keep many values, all or nothing.
        """

    def forget(kind: str, keys: Sequence[str]) -> Deferred[None]:
        """
        Keep values no longer; those that are not there are passed over.
        """


class IOutcomeSink(Interface):
    """
    Somebody who wants to know what became of deliveries.
    """

    def record(outcome: Outcome) -> None:
        """
        Take note. Returns at once and never raises.
        """
