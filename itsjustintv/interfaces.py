"""
The seams of the daemon: what may be replaced, and the functions by which an event is handed from part to part.

A docstring here is the contract; an implementation needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, execute
from twisted.web.iweb import IAgent
from zope.interface import Interface

from itsjustintv.model import (
    Acceptance,
    Accounting,
    Action,
    Attempt,
    Broadcast,
    Delivery,
    Destination,
    DestinationKind,
    Due,
    Enrichment,
    Event,
    Notice,
    Outcome,
    OutgoingRequest,
    Result,
    Standing,
    State,
    Streamer,
    Verdict,
)
from itsjustintv.support.egress import EgressPolicy
from itsjustintv.support.file_thread_pool import InThread
from itsjustintv.support.http_response import Response

__all__ = [
    "Accept",
    "BeginSpan",
    "DestinationKind",
    "GraceEnd",
    "IAskingSender",
    "IDeliveryJournal",
    "IDestination",
    "IEnricher",
    "IFollowingSender",
    "IKeyValues",
    "IOutcomeSink",
    "ISender",
    "Match",
    "Probe",
    "ProbeAnswer",
    "Render",
    "Resolve",
    "Send",
    "SenderTools",
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

#: The destination of a name as it is configured now for a streamer, by the key; ``None`` when it is not configured. The
#: key may be empty: then what is configured for single streamers is left out.
Resolve = Callable[[str, str], Destination | None]

#: When what waits for a name that is no longer configured ends: seconds since the epoch, infinity while unknown.
GraceEnd = Callable[[str], float]

#: Sends a delivery once and says how that ended. Never fails, unless it is cancelled.
Send = Callable[[Delivery, Destination], Deferred[Attempt]]

#: Begins a span within a trace, both as a ``traceparent`` (W3C Trace Context); empty for none.
BeginSpan = Callable[[str], str]


class IDeliveryJournal(Interface):
    """
    What an event needs on its way. A method that writes answers with a Deferred that fires once the write is on stable
    storage, and fails with :class:`~itsjustintv.errors.JournalUnavailable` when nothing of it was stored. Cancelling
    such a Deferred abandons the answer, never the write.
    """

    def accept(event: Event, deliveries: Sequence[Delivery], expires_at: float, window: float = 0.0) -> Deferred[bool]:
        """
        Store an event, its deduplication keys until ``expires_at`` and one delivery for each destination, all or
        nothing. ``False`` when one of the keys is stored and has not expired: then nothing was stored.

        A delivery with a ``broadcast`` is about a post: the event opens a broadcast under its id or joins the one of
        its channel, and the delivery gets that one's id; none when it names no open one. It supersedes what was
        accepted earlier for the same post and is not prepared yet, but for the one that opened the broadcast.

        :param window: seconds after its end within which a stream goes on with a broadcast.
        """

    def seen(now: float) -> Deferred[Sequence[tuple[str, float]]]:
        """
        List every deduplication key that has not expired, with its expiry.
        """

    def unprepared(now: float, limit: int) -> Deferred[Sequence[tuple[Event, Delivery]]]:
        """
        List accepted deliveries without a payload whose ``next_attempt_at`` has come, oldest first.
        """

    def standing(delivery_id: str, place: str = "") -> Deferred[Standing]:
        """
        Find out where the post stands that a delivery is about.

        :param place: of its destination, as :attr:`Destination.place`: a post there counts also if the destination had
            another name when it was created.
        """

    def resume(broadcast: str, now: float) -> Deferred[None]:
        """
        Take back that a broadcast has ended: it is live.
        """

    def live_broadcasts() -> Deferred[Sequence[Broadcast]]:
        """
        List the broadcasts whose end is not known.
        """

    def latest_broadcast(broadcaster_id: str) -> Deferred[Broadcast | None]:
        """
        Find the broadcast of a channel that began last.
        """

    def prepare(
        delivery_id: str,
        body: bytes,
        picture: bytes | None,
        now: float,
        title: str = "",
        category: str = "",
        *,
        action: Action = Action.CREATE,
        shown: str = "",
        mention: bool = False,
        form: str = "",
        refreshes: Sequence[float] = (),
    ) -> Deferred[bool]:
        """
        Give an accepted delivery its payload and make it pending, due at ``now``. ``False`` when it is no longer
        accepted. Title and category of the broadcast are stored with the event, unless it has some already, and with
        the broadcast.

        :param action: what it does with its post; ``shown``, ``mention``, ``form`` and ``refreshes`` are as those of a
            delivery. Earlier changes of the post that wait for an attempt are superseded, and all refreshes; by a
            refresh only other refreshes that are due.
        """

    def unprepare(delivery_id: str, now: float) -> Deferred[None]:
        """
        Take the payload of a pending delivery away: it is accepted again, due at ``now``.
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
        *,
        plain: bool = False,
    ) -> Deferred[Delivery]:
        """
        Record an attempt that ended, or the end of a delivery without an attempt. An attempt is counted and stored, and
        in the same transaction what it did to the post and says of the place; when it succeeded, the refreshes of the
        post are accepted; those whose time has passed become one that is due at once.
        Answers with the delivery as it now is, body included. A delivery that has ended meanwhile, because an operator
        cancelled it, stays as it is, unless it was in fact delivered.

        :param plain: whether the next attempt sends the plain form.
        """

    def places() -> Deferred[Mapping[str, tuple[Verdict, str]]]:
        """
        List the places that must not be used any more, or have moved: the verdict, and the new address.
        """

    def forget_places(places: Sequence[str]) -> Deferred[None]:
        """
        Let places be used again.
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
        Store a value, with the time at which it was true.
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
        Make the request of one attempt from the stored body: method, address, headers, picture and signature. Of a
        delivery that is ``plain``, it sends the plain form that the body holds beside the other.

        :param now: by the wall clock, since receivers compare the time of a signature with theirs.
        :raises ValueError: when it cannot be signed, without quoting the secret.
        """

    def interpret(response: Response, delivery: Delivery, now: float) -> Result:
        """
        Say what an answer means. Its headers and its body are empty when only the status arrived; the body may be cut
        off.

        :param now: by the wall clock, for a ``Retry-After`` that is a date.
        """


class ISender(Interface):
    """
    Sends the deliveries of a kind where that takes more than one HTTP request.
    """

    def send(delivery: Delivery, destination: Destination) -> Deferred[Attempt]:
        """
        Send a delivery once and say how that ended, within the time that the tools give. Never fails, unless it is
        cancelled, which ends whatever is under way.
        """

    def stop() -> Deferred[None]:
        """
        Close what is open. Nothing is sent afterwards.
        """


class IAskingSender(ISender):
    """
    A sender that can find out whether a delivery would be taken.
    """

    def ask(question: Delivery, destination: Destination) -> Deferred[Attempt]:
        """
        Go as far as possible without posting, as :meth:`ISender.send`; the detail of a good attempt says what is known.

        :param question: has nothing to send.
        """


class IFollowingSender(ISender):
    """
    A sender that also does something while nothing is sent, such as staying connected.
    """

    def follow(destinations: Sequence[Destination]) -> None:
        """
        Do it for these destinations: all of the kind that are configured now, none of them a copy with the keys of a
        single streamer.
        """


@frozen(kw_only=True)
class SenderTools:
    """
    What a sender may use.

    :ivar reactor: its time is steady.
    :ivar agent: opens the connections of HTTP requests; it follows no redirects.
    :ivar egress: the addresses that may be connected to, asked for each connection.
    :ivar timeout: seconds for one attempt.
    :ivar wall: the time of the machine, in seconds since the epoch.
    :ivar begin_span: makes the span of an attempt.
    :ivar in_thread: runs a function that may block on files.
    :ivar state: the folder of what must survive a restart; files in it are private.
    :ivar hide: keeps texts out of the log from now on.
    """

    reactor: Any
    agent: IAgent
    egress: Callable[[], EgressPolicy]
    timeout: Callable[[], float]
    wall: Callable[[], float]
    begin_span: BeginSpan = lambda _: ""
    in_thread: InThread = execute
    state: Callable[[], Path] = lambda: Path("data")
    hide: Callable[[Sequence[str]], None] = lambda _: None


@frozen
class ProbeAnswer:
    """
    What a service says of itself and of the address.

    :ivar ok: whether it would take a message, as far as that can be seen.
    :ivar text: a clause about it for the operator, without the full stop; what the service says is quoted.
    """

    ok: bool
    text: str


@frozen(kw_only=True)
class Probe:
    """
    A question to a service that posts nothing. Does no I/O.

    :ivar ask: makes the request, of the settings; ``None`` when these cannot be asked about.
    :ivar read: reads the answer, with the settings; ``None`` for what :meth:`IDestination.interpret` knows better, such
        as errors.
    """

    ask: Callable[[Any], OutgoingRequest | None]
    read: Callable[[Response, Any], ProbeAnswer | None]


class IEnricher(Interface):
    """
    Finds out more about an event.
    """

    def enrich(event: Event, streamer: Streamer, broadcast: Broadcast | None = None) -> Deferred[Enrichment]:
        """
        Answer with whatever can be had within a bounded time. Never fails.

        :param broadcast: what the event belongs to, for the recordings of one that has ended.
        """


class IOutcomeSink(Interface):
    """
    Is notified of what became of deliveries.
    """

    def record(outcome: Outcome) -> None:
        """
        Note an outcome. Returns at once and never raises.
        """
