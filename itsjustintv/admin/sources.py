"""
What the page and the API need from the daemon: functions that return data or act.
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

#: A coroutine that returns data of the daemon.
Asked = Coroutine[Deferred[Any], Any, T]


class Unknown(Exception):
    """
    There is no such thing; answered with 404.
    """


class Declined(Exception):
    """
    Not possible in the current state; the text says why. Answered with 409.
    """


@frozen(kw_only=True)
class Sources:
    """
    Coroutines may raise :class:`~itsjustintv.errors.JournalUnavailable`.

    :ivar streamers: ``(query, limit, start)``: the matching streamers, all for an empty query, live ones first and then
        those that need attention; and how many there are in all.
    :ivar events: ``(after, limit, filters)``: newest first, and where the list goes on; a page may be empty although it
        goes on.
    :ivar event: by its id or a unique prefix; raises :class:`Declined` for an ambiguous one. Likewise ``delivery``.
    :ivar deliveries: ``(after, limit, filters)``, likewise.
    :ivar signing: how deliveries to a destination are signed now, ``None`` when it is not configured.
    :ivar destinations: ``(limit, start)``: those that need attention first, and how many there are in all.
    :ivar series: the last so many seconds in numbers.
    :ivar retry: requeues a delivery; raises :class:`Unknown` and :class:`Declined`, as do the next three.
    :ivar resend: sends a delivered event again, as a new delivery; returns its id.
    :ivar cancel: cancels a delivery.
    :ivar test: sends a test notification to a destination.
    :ivar picture: the profile image of a user id.
    :ivar mark: a value that changes whenever anything shown changes.
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
