"""
Work that has to be done in the end, however long Twitch or the journal is away.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from attrs import define, field, frozen
from twisted.application.internet import backoffPolicy
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from itsjustintv.errors import JournalUnavailable, TwitchError, TwitchUnavailable
from itsjustintv.support.counts import Counted
from itsjustintv.support.durations import Seconds

__all__ = ["Backoff", "KeyedBackoff", "RetryingTask"]

#: Seconds to wait after so many failures in a row, counted from 0.
Backoff = Callable[[int], float]

_FIRST = 2.0
_LONGEST = 300.0


@define(eq=False)
class RetryingTask:
    """
    Does something when it is asked to, one at a time, and after a failure again and again until it is done.

    :ivar what: completes "cannot ...", for the log and for :meth:`problem`.
    :ivar work: does it; may do what is left of it when it is called again after a failure.
    """

    _clock: IReactorTime
    _what: str
    _work: Callable[[], Coroutine[Deferred[Any], Any, None]]
    _backoff: Backoff = field(factory=lambda: backoffPolicy(_FIRST, _LONGEST, 2.0))
    _doing: Deferred[float | None] | None = field(default=None, init=False)
    _waiting: IDelayedCall | None = field(default=None, init=False)
    _again: bool = field(default=False, init=False)
    _stopped: bool = field(default=False, init=False)
    _failures: int = field(default=0, init=False)
    _reason: str | None = field(default=None, init=False)

    log = Logger()

    def go(self) -> None:
        """
        Do it now, or once more after what is under way. Never raises.
        """
        self._stopped = False
        if self._doing is not None:
            self._again = True
            return
        self._forget_waiting()
        self._doing = Deferred.fromCoroutine(self._do())
        self._doing.addCallback(self._ended)

    def stop(self) -> None:
        """
        Leave undone what is not done.
        """
        self._stopped, self._again = True, False
        self._forget_waiting()
        if self._doing is not None:
            self._doing.cancel()

    def problem(self) -> str | None:
        """
        Why it could not be done the last time, or ``None``.
        """
        return None if self._reason is None else f"cannot {self._what}: {self._reason}"

    async def _do(self) -> float | None:
        """
        Try once. Never raises.

        :return: seconds until it is tried again, or ``None`` when it is done.
        """
        try:
            await self._work()
        except (TwitchError, JournalUnavailable) as error:
            delay = self._backoff(self._failures)
            if isinstance(error, TwitchUnavailable) and error.retry_after is not None:
                delay = max(delay, error.retry_after)
            if str(error) != self._reason:
                self.log.warn(
                    "cannot {what}: {reason}; trying again in {delay}, and then until it works",
                    what=self._what,
                    reason=str(error),
                    delay=Seconds(delay),
                )
            self._reason = str(error)
        except Exception:  # noqa: BLE001 - whatever it is, it must not end this for ever
            if self._stopped:
                return None
            delay = _LONGEST
            self.log.failure("cannot {what}, trying again in {delay}", what=self._what, delay=Seconds(delay))
            self._reason = "an unexpected error, see the log"
        else:
            if self._failures:
                self.log.info("could {what} after {count}", what=self._what, count=Counted(self._failures, "failure"))
            self._failures, self._reason = 0, None
            return None
        self._failures += 1
        return delay

    def _ended(self, delay: float | None) -> None:
        self._doing = None
        if self._stopped:
            return
        if self._again:
            self._again, delay = False, 0.0
        if delay is not None:
            self._waiting = self._clock.callLater(delay, self.go)

    def _forget_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting.active():
            waiting.cancel()


_FIRST_PAUSE = 60.0
_LONGEST_PAUSE = 3600.0
_JITTER = 0.1


@frozen
class _Tried:
    times: int
    not_before: float


@define(eq=False)
class KeyedBackoff:
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
        pause = min(_FIRST_PAUSE * 2.0 ** min(times, 10), _LONGEST_PAUSE) * (1 + _JITTER * self._random())
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
