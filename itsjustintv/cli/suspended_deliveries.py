"""
Finds the deliveries that wait because a reload removed their streamer or destination, and until when.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from itsjustintv.cli.console import utc
from itsjustintv.config.removal_grace import DESTINATIONS, STREAMERS
from itsjustintv.config.sections import Config
from itsjustintv.journal.interfaces import IOfflineJournal
from itsjustintv.model import Delivery, State
from itsjustintv.routing import Routes

__all__ = ["Suspension", "Suspensions"]


@frozen
class Suspension:
    """
    Why a delivery is suspended.

    :ivar what: the streamer or destination that is not configured.
    :ivar end: when the delivery is cancelled unless that returns, in seconds since the epoch.
    """

    what: str
    end: float

    def __str__(self) -> str:
        return f"suspended: {self.what} is not configured; cancelled at {utc(self.end)} UTC unless it returns"


@frozen
class Suspensions:
    """
    The removals that the daemon recorded in the journal, compared with the configuration on disk.
    """

    _routes: Routes
    _grace: float
    _destinations: Mapping[str, tuple[int, float]]
    _streamers: Mapping[str, tuple[int, float]]

    @classmethod
    def of(cls, journal: IOfflineJournal, config: Config) -> Suspensions:
        """
        Read the removals.

        :raises JournalUnavailable: the journal cannot be read.
        """
        return cls(
            Routes.of(config), config.reload.grace, journal.recall_all(DESTINATIONS), journal.recall_all(STREAMERS)
        )

    def find(self, delivery: Delivery) -> Suspension | None:
        """
        Why a delivery is suspended, or ``None``. Only the daemon suspends: before it has seen a removal, nothing is.
        """
        if delivery.state.is_final:
            return None
        for what, name, configured, moments in (
            (
                f"destination {delivery.destination}",
                delivery.destination,
                delivery.state is State.ACCEPTED or self._routes.destination(delivery.destination) is not None,
                self._destinations,
            ),
            (
                f"streamer {delivery.streamer}",
                delivery.streamer,
                any(each.key == delivery.streamer for each in self._routes.streamers),
                self._streamers,
            ),
        ):
            if not configured and name in moments:
                return Suspension(what, moments[name][0] + self._grace)
        return None
