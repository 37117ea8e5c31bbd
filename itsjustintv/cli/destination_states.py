"""
What the journal knows of destinations: their posts, and what their services have said of them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

from attrs import frozen

from itsjustintv.cli.console import utc
from itsjustintv.config.load import Loaded
from itsjustintv.errors import JournalUnavailable
from itsjustintv.journal.interfaces import IOfflineJournal
from itsjustintv.journal.storage import open_storage
from itsjustintv.model import Destination, State, Verdict
from itsjustintv.routing import Routes

__all__ = ["DestinationStates"]

_WORDS = {
    Verdict.DESTINATION_GONE: "gone",
    Verdict.UNAUTHORIZED: "not authorized",
    Verdict.MOVED: "moved",
}

_REFUSALS = {
    Verdict.DESTINATION_GONE: ("the service has no such place", "address"),
    Verdict.UNAUTHORIZED: ("the service refuses its token", "token"),
}

# Why a delivery waits when the service has asked for a pause.
_LIMITED = "http_429"

# Deliveries to a destination that are searched for a pause.
_LATEST = 20


@frozen
class DestinationStates:
    """
    The states of the destinations, as the daemon stored them last.

    :ivar posts: how many can still change, by destination.
    :ivar places: verdicts, by :attr:`~itsjustintv.model.Destination.access`.
    :ivar pauses: until when a destination takes nothing, in seconds since the epoch.
    :ivar problem: why nothing is known; empty when it is.
    """

    posts: Mapping[str, int]
    places: Mapping[str, Verdict]
    pauses: Mapping[str, float]
    problem: str = ""

    @classmethod
    def of(cls, settings: Loaded) -> DestinationStates:
        """
        Read them from the journal, if there is one.
        """
        storage = open_storage(settings.config.storage)
        try:
            if not storage.exists():
                return cls({}, {}, {})
            journal = storage.offline(time.time)
            return cls(
                Counter(each.destination for each in journal.open_posts()),
                {place: verdict for place, (verdict, _) in journal.places().items()},
                _pauses(journal, Routes.of(settings.config).destinations),
            )
        except JournalUnavailable as error:
            return cls({}, {}, {}, str(error))

    def refuses(self, destination: Destination) -> bool:
        """
        Whether the daemon sends nothing there any more.
        """
        return self.places.get(destination.access) in _REFUSALS

    def state(self, destination: Destination) -> str:
        """
        One or two words.
        """
        if self.problem:
            return "unknown"
        verdict = self.places.get(destination.access)
        if verdict is not None:
            return _WORDS.get(verdict, verdict.value)
        return "paused" if destination.name in self.pauses else "ok"

    def explain(self, destination: Destination) -> str:
        """
        What the state means and what to do; empty when it is ok or not known.
        """
        name, verdict = destination.name, self.places.get(destination.access)
        if verdict in _REFUSALS:
            reason, what = _REFUSALS[verdict]
            return (
                f"{name} is {_WORDS[verdict]}: {reason}, and the daemon sends nothing there any more. Correct its"
                f" {what}, try it with itsjustintv destinations test {name}, then requeue what is dead with itsjustintv"
                f" deliveries retry --all --destination {name}"
            )
        if verdict is Verdict.MOVED:
            return f"{name} has moved, and the daemon follows: configure its new address, which the log has"
        if name in self.pauses:
            return (
                f"{name} is paused until {utc(self.pauses[name])} UTC: the service wants fewer requests. The daemon"
                " continues by itself"
            )
        return ""


def _pauses(journal: IOfflineJournal, destinations: Mapping[str, Destination]) -> Mapping[str, float]:
    """
    Until when services have asked to wait. The pauses themselves are in the daemon's memory; what waits is not.
    """
    found = {}
    for name in destinations:
        waiting = journal.list(State.PENDING, destination=name, limit=_LATEST)
        until = max((each.next_attempt_at for each in waiting if each.reason == _LIMITED), default=0.0)
        if until > time.time():
            found[name] = until
    return found
