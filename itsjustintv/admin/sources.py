"""
What the page and the API ask, and whom.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred

from itsjustintv.admin.event_views import Signing
from itsjustintv.admin.views import (
    CertificateView,
    ConfigurationView,
    DestinationView,
    PointView,
    RateView,
    StatusView,
    StreamerView,
)
from itsjustintv.journal.history import DeliveryHistory, EventHistory, HistoryFilter, Place
from itsjustintv.model import Attempt, Picture

__all__ = ["Asked", "Declined", "Sources", "Unknown"]

T = TypeVar("T")

#: Somebody who answers later.
Asked = Coroutine[Deferred[Any], Any, T]


class Unknown(Exception):
    """
    What an order is about is not there.
    """


class Declined(Exception):
    """
    An order makes no sense as things stand; the text says why.
    """


@frozen(kw_only=True)
class Sources:
    """
    Each answers at once, or by a coroutine that may raise :class:`~itsjustintv.errors.JournalUnavailable`.

    :ivar streamers: those that match a text, empty for all, those who are live first and then those who need attention:
        so many from a position on, and how many there are in all.
    :ivar events: the latest first, from a place on, so many; perhaps none, even if there are more.
    :ivar deliveries: from a place on, so many.
    :ivar signing: how deliveries to a destination are signed now, ``None`` when it is not configured.
    :ivar destinations: those that need attention first: so many from a position on, and how many there are in all.
    :ivar event: by its id or a prefix of it; raises :class:`Declined` when several begin so, as does the next.
    :ivar retry: sends what has ended undelivered again; raises :class:`Unknown` and :class:`Declined`, as do the next
        three.
    :ivar resend: sends what was delivered again, as another delivery whose id it answers with.
    :ivar cancel: ends what has not ended.
    :ivar test: sends a test notification.
    :ivar series: so many seconds of the recent past.
    :ivar picture: the profile image of a user id.
    :ivar mark: something that is different whenever anything that is shown is.
    """

    status: Callable[[], Asked[StatusView]]
    streamers: Callable[[str, int, int], tuple[Sequence[StreamerView], int]]
    events: Callable[[Place | None, int, HistoryFilter], Asked[tuple[Sequence[EventHistory], Place | None]]]
    event: Callable[[str], Asked[EventHistory | None]]
    deliveries: Callable[[Place | None, int, HistoryFilter], Asked[tuple[Sequence[DeliveryHistory], Place | None]]]
    delivery: Callable[[str], Asked[EventHistory | None]]
    signing: Callable[[str], Signing | None]
    destinations: Callable[[int, int], Asked[tuple[Sequence[DestinationView], int]]]
    certificates: Callable[[], Sequence[CertificateView]]
    configuration: Callable[[], ConfigurationView]
    rate: Callable[[], RateView]
    series: Callable[[float], Sequence[PointView]]
    retry: Callable[[str], Asked[None]]
    resend: Callable[[str], Asked[str]]
    cancel: Callable[[str], Asked[None]]
    test: Callable[[str], Asked[Attempt]]
    picture: Callable[[str], Asked[Picture | None]]
    mark: Callable[[], Asked[object]]
