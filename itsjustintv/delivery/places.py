"""
What is known of the places of destinations: which must not be used any more, which have moved, and which ask to wait.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from attrs import define, evolve, field
from twisted.internet.interfaces import IReactorTime

from itsjustintv.interfaces import IDeliveryJournal
from itsjustintv.model import Attempt, Destination, Verdict

__all__ = ["Places"]

# No service may pause its destinations for longer than this, in seconds.
_LONGEST_PAUSE = 3600.0

# For how many seconds a place is asked no faster, after a limit that was not announced.
_PACED = 3600.0

_KEPT = (Verdict.DESTINATION_GONE, Verdict.UNAUTHORIZED, Verdict.MOVED)


@define(eq=False)
class Places:
    """
    Several destinations may have one place: five names for one webhook are one webhook to its service. What a service
    says of a place holds for all of them.

    The journal stores what an attempt says, in the transaction that settles it; here it is remembered.
    """

    _journal: IDeliveryJournal
    _clock: IReactorTime
    _known: dict[str, tuple[Verdict, str]] | None = field(default=None, init=False)
    _paused: dict[str, float] = field(factory=dict, init=False)
    _paces: dict[str, tuple[float, float]] = field(factory=dict, init=False)

    async def load(self) -> None:
        """
        Read what the journal knows, again after an operator's command.

        :raises JournalUnavailable: it could not be read.
        """
        self._known = dict(await self._journal.places())

    @property
    def is_loaded(self) -> bool:
        return self._known is not None

    def refusal(self, destination: Destination) -> Verdict | None:
        """
        Why nothing may be sent to a destination; ``None`` when it may.
        """
        verdict, _ = (self._known or {}).get(destination.access, (None, ""))
        return None if verdict is Verdict.MOVED else verdict

    def current(self, destination: Destination) -> Destination:
        """
        The destination with its new address, if the service said that it has moved.
        """
        if not self._known:
            return destination
        verdict, moved_to = self._known.get(destination.access, (None, ""))
        return evolve(destination, moved_to=moved_to) if verdict is Verdict.MOVED else destination

    def paused_until(self, destination: Destination) -> float:
        """
        No request may be sent to a destination before this moment.
        """
        if not self._paused:
            return 0.0
        keys = (destination.place, _host(destination))
        return max(self._paused.get(key, 0.0) for key in keys)

    def begin(self, destination: Destination) -> None:
        """
        Note that a request is being sent: where a service has limited requests, the next one comes a while later.
        """
        now = self._clock.seconds() if self._paces else 0.0
        for key in (destination.place, _host(destination)) if self._paces else ():
            interval, until = self._paces.get(key, (0.0, 0.0))
            if now < until:
                self._pause(key, now + interval)
            elif until:
                del self._paces[key]

    def learn(self, destination: Destination, attempt: Attempt) -> None:
        """
        Remember what an attempt says of its place.
        """
        now = self._clock.seconds()
        if attempt.verdict in _KEPT:
            known = self._known = {} if self._known is None else self._known
            known[destination.access] = (attempt.verdict, attempt.moved_to)
        if not attempt.pause and not attempt.pace:
            return
        key = _host(destination) if attempt.pause_host else destination.place
        if attempt.pause > 0:
            self._paused = {key: until for key, until in self._paused.items() if until > now}
            self._pause(key, now + min(attempt.pause, _LONGEST_PAUSE))
        if attempt.pace > 0:
            self._paces[key] = (attempt.pace, now + _PACED)

    def _pause(self, key: str, until: float) -> None:
        self._paused[key] = max(until, self._paused.get(key, 0.0))


def _host(destination: Destination) -> str:
    return f"//{(urlsplit(destination.url).hostname or '').lower()}"
