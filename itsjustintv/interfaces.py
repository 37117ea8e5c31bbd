"""
The seams of the daemon: what may be replaced, and the functions by which an event is handed from part to part.

A docstring here is the contract; an implementation needs none.
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
    "IDeliveryJournal",
    "IDestination",
    "IEnricher",
    "IKeyValues",
    "IOutcomeSink",
    "Match",
    "Render",
    "Resolve",
    "Send",
    "Submit",
]

# The hand-offs of an event: each part is given the next one as a function. This is their order.

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


class IDeliveryJournal(Interface):
    """
    What an event needs on its way. A method that writes answers with a Deferred that fires once the write is on stable
    storage, and fails with :class:`~itsjustintv.errors.JournalUnavailable` when nothing of it was stored. Cancelling
    such a Deferred abandons the answer, never the write.
    """

    def accept(event: Event, deliveries: Sequence[Delivery], expires_at: float) -> Deferred[bool]:
        """
        Store an event, its deduplication keys until ``expires_at`` and one delivery for each destination, all or
        nothing. ``False`` when one of the keys is stored and has not expired: then nothing was stored.
        """

    def seen(now: float) -> Deferred[Sequence[tuple[str, float]]]:
        """
        List every deduplication key that has not expired, with its expiry.
        """

    def unprepared(now: float, limit: int) -> Deferred[Sequence[tuple[Event, Delivery]]]:
        """
        List accepted deliveries without a payload whose ``next_attempt_at`` has come, oldest first.
        """

    def prepare(
        delivery_id: str, body: bytes, picture: bytes | None, now: float, title: str = "", category: str = ""
    ) -> Deferred[bool]:
        """
        Give an accepted delivery its payload and make it pending, due at ``now``. ``False`` when it is no longer
        accepted. Title and category of the broadcast are stored with the event, unless it has some already.
        """

    def hold(delivery_id: str, until: float, reason: str) -> Deferred[None]:
        """
        Leave an accepted delivery as it is until a later time.
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
        Record an attempt that ended, or the end of a delivery without an attempt. An attempt is counted and stored.
        Answers with the delivery as it now is, body included. A delivery that has ended meanwhile, because an operator
        cancelled it, stays as it is, unless it was in fact delivered.
        """

    def destinations() -> Deferred[Sequence[str]]:
        """
        List the destinations with at least one pending delivery.
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
        List the last ``limit`` deliveries on which an attempt has ended, oldest first, each with its last attempt.
        """

    def accounting() -> Deferred[Accounting]:
        """
        Count every (event, destination) by state, those that retention removed included.
        """

    def changed() -> Deferred[bool]:
        """
        Whether an operator's command has written since the last call.
        """

    def problem() -> str | None:
        """
        Why the last commit failed, or ``None``. Answers at once.
        """


class IKeyValues(Interface):
    """
    Small numbers that survive a restart, such as the followers of a channel. Writing and cancelling are as with
    :class:`IDeliveryJournal`.
    """

    def recall(kind: str, key: str) -> Deferred[tuple[int, float] | None]:
        """
        Fetch the value of a key and when it was stored.
        """

    def remember(kind: str, key: str, value: int, now: float) -> Deferred[None]:
        """
        Store a value.
        """

    def recall_all(kind: str) -> Deferred[Mapping[str, tuple[int, float]]]:
        """
        Fetch every value of a kind and when it was stored, by key.
        """

    def remember_all(kind: str, values: Mapping[str, int], now: float) -> Deferred[None]:
        """
        Store many values, all or nothing.
        """

    def forget(kind: str, keys: Sequence[str]) -> Deferred[None]:
        """
        Remove values; keys without one are skipped.
        """


class IDestination(Interface):
    """
    One configured destination: what is sent to it, and what its answers mean. Does no I/O. There is a class for each
    kind, in :data:`itsjustintv.destinations.kinds.KINDS`.
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


class IOutcomeSink(Interface):
    """
    Is notified of what became of deliveries.
    """

    def record(outcome: Outcome) -> None:
        """
        Note an outcome. Returns at once and never raises.
        """
