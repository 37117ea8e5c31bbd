"""
How long to leave somebody alone for whom subscribing does not work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime

__all__ = ["Patience"]

_FIRST = 60.0
_LONGEST = 3600.0
_JITTER = 0.1


@frozen
class _Tried:
    times: int
    not_before: float


@define(eq=False)
class Patience:
    """
    Counts the tries for each streamer since it last went well. After each one the pause doubles, from a minute to an
    hour, so that a callback that Twitch cannot reach does not cost a creation every few seconds.

    :ivar random: from 0 to 1.
    """

    _clock: IReactorTime
    _random: Callable[[], float]
    _tried: dict[str, _Tried] = field(factory=dict, init=False)

    def tried(self, broadcaster_id: str) -> None:
        """
        Begin the next pause.
        """
        times = self.times(broadcaster_id)
        pause = min(_FIRST * 2.0 ** min(times, 10), _LONGEST) * (1 + _JITTER * self._random())
        self._tried[broadcaster_id] = _Tried(times + 1, self._clock.seconds() + pause)

    def times(self, broadcaster_id: str) -> int:
        """
        How often it was tried.
        """
        tried = self._tried.get(broadcaster_id)
        return tried.times if tried else 0

    def left(self, broadcaster_id: str) -> float:
        """
        Seconds until it may be tried again; 0 when it may be now.
        """
        tried = self._tried.get(broadcaster_id)
        return max(0.0, tried.not_before - self._clock.seconds()) if tried else 0.0

    def well(self, broadcaster_id: str) -> None:
        """
        Forget what went wrong.
        """
        self._tried.pop(broadcaster_id, None)

    def only(self, broadcaster_ids: Iterable[str]) -> None:
        """
        Forget everybody else.
        """
        kept = set(broadcaster_ids)
        self._tried = {each: tried for each, tried in self._tried.items() if each in kept}

    def forget(self) -> None:
        """
        Forget everything: what is tried is something else now.
        """
        self._tried.clear()
