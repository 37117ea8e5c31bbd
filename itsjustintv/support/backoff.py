"""
How long to wait before another try, and work that is tried until it succeeds.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Iterable
from random import random as random_number
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from itsjustintv.errors import JournalUnavailable, TwitchError, TwitchUnavailable
from itsjustintv.support.counts import Counted
from itsjustintv.support.durations import Seconds

__all__ = ["KeyedBackoff", "RetryingTask", "exponential", "varied"]


def exponential(failures: int, first: float, longest: float, factor: float = 2.0) -> float:
    """
    The pause that follows so many earlier ones: the first, then each ``factor`` times as long as the last, up to the
    longest.

    :param failures: from 0.
    :return: seconds.
    """
    try:
        return min(first * factor ** min(failures, 100), longest)
    except OverflowError:
        return longest


def varied(seconds: float, share: float, random: Callable[[], float]) -> float:
    """
    Make a pause longer or shorter by a random part of it, so that those who failed together do not retry together.

    :param share: the largest such part, 0 to 1.
    :param random: from 0 to 1.
    """
    return seconds * (1.0 + share * (2.0 * random() - 1.0))


_FIRST = 2.0
_LONGEST = 300.0


@define(eq=False)
class RetryingTask:
    """
    Does some work whenever it is asked to, never twice at the same time, and after a failure again until it succeeds.

    :ivar what: completes "cannot ...", for the log and for :meth:`problem`.
    :ivar work: called again after a failure, it may do only what is left.
    :ivar random: from 0 to 1; so many seconds are added to each pause.
    """

    _clock: IReactorTime
    _what: str
    _work: Callable[[], Coroutine[Deferred[Any], Any, None]]
    _random: Callable[[], float] = random_number
    _running: Deferred[float | None] | None = field(default=None, init=False)
    _retry: IDelayedCall | None = field(default=None, init=False)
    _asked_again: bool = field(default=False, init=False)
    _stopped: bool = field(default=False, init=False)
    _failures: int = field(default=0, init=False)
    _reason: str | None = field(default=None, init=False)

    log = Logger()

    def run(self) -> None:
        """
        Run the work now, or again after the run under way. Never raises.
        """
        self._stopped = False
        if self._running is not None:
            self._asked_again = True
            return
        self._cancel_retry()
        self._running = Deferred.fromCoroutine(self._try())
        self._running.addCallback(self._ended)

    def stop(self) -> None:
        """
        Cancel the work under way, and do not retry.
        """
        self._stopped, self._asked_again = True, False
        self._cancel_retry()
        if self._running is not None:
            self._running.cancel()

    def problem(self) -> str | None:
        """
        Why it failed the last time, or ``None``.
        """
        return None if self._reason is None else f"cannot {self._what}: {self._reason}"

    async def _try(self) -> float | None:
        """
        Try once. Never raises.

        :return: seconds until it is tried again, or ``None`` when it has succeeded.
        """
        try:
            await self._work()
        except (TwitchError, JournalUnavailable) as error:
            delay = exponential(self._failures, _FIRST, _LONGEST) + self._random()
            if isinstance(error, TwitchUnavailable) and error.retry_after is not None:
                delay = max(delay, error.retry_after)
            if str(error) != self._reason:
                self.log.warn(
                    "cannot {what}: {reason}; retrying in {delay}",
                    what=self._what,
                    reason=str(error),
                    delay=Seconds(delay),
                )
            self._reason = str(error)
        except Exception:  # noqa: BLE001 - a defect must not end the retries
            if self._stopped:
                return None
            delay = _LONGEST
            self.log.failure("cannot {what}; retrying in {delay}", what=self._what, delay=Seconds(delay))
            self._reason = "an unexpected error, see the log"
        else:
            if self._failures:
                self.log.info(
                    "can {what} again, after {count}", what=self._what, count=Counted(self._failures, "failure")
                )
            self._failures, self._reason = 0, None
            return None
        self._failures += 1
        return delay

    def _ended(self, delay: float | None) -> None:
        self._running = None
        if self._stopped:
            return
        if self._asked_again:
            self._asked_again, delay = False, 0.0
        if delay is not None:
            self._retry = self._clock.callLater(delay, self.run)

    def _cancel_retry(self) -> None:
        retry, self._retry = self._retry, None
        if retry is not None and retry.active():
            retry.cancel()


_FIRST_PAUSE = 60.0
_LONGEST_PAUSE = 3600.0
_JITTER = 0.1


@frozen
class _Attempts:
    count: int
    not_before: float


@define(eq=False)
class KeyedBackoff:
    """
    A pause for each key, which grows with each attempt from a minute to an hour until the key is reset.

    :ivar random: from 0 to 1.
    """

    _clock: IReactorTime
    _random: Callable[[], float]
    _made: dict[Hashable, _Attempts] = field(factory=dict, init=False)

    def attempted(self, key: Hashable) -> None:
        """
        Count an attempt, and begin the next pause.
        """
        count = self.attempts(key)
        pause = exponential(count, _FIRST_PAUSE, _LONGEST_PAUSE) * (1 + _JITTER * self._random())
        self._made[key] = _Attempts(count + 1, self._clock.seconds() + pause)

    def attempts(self, key: Hashable) -> int:
        """
        How many there were since the last reset.
        """
        made = self._made.get(key)
        return made.count if made else 0

    def remaining(self, key: Hashable) -> float:
        """
        Seconds until the next attempt may be made; 0 if it may be made now.
        """
        made = self._made.get(key)
        return max(0.0, made.not_before - self._clock.seconds()) if made else 0.0

    def reset(self, key: Hashable) -> None:
        """
        Forget the attempts for a key, since the last one succeeded.
        """
        self._made.pop(key, None)

    def retain(self, keys: Iterable[Hashable]) -> None:
        """
        Forget the attempts for all other keys.
        """
        kept = set(keys)
        self._made = {each: made for each, made in self._made.items() if each in kept}

    def clear(self) -> None:
        self._made.clear()
