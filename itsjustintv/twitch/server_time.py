"""
Twitch's time, from the ``Date`` of its answers (RFC 9110, section 6.6.1), and how far this machine's clock is off.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel
from twisted.web.http_headers import Headers

from itsjustintv.support.durations import Seconds, duration
from itsjustintv.twitch.eventsub.messages import WINDOW

__all__ = ["ADVICE", "FAR_OFF", "TwitchTime", "read_date"]

#: Seconds by which the clock may be off without harm. Webhooks of Twitch that seem ten minutes old are refused;
#: receivers of Standard Webhooks refuse what seems five minutes old.
FAR_OFF = 120.0

#: What to do about a wrong clock.
ADVICE = "set it and keep it set with NTP (timedatectl, chronyc tracking)"


def read_date(headers: Headers) -> float | None:
    """
    The time of an answer, in seconds since the epoch, in the middle of the second that it names; ``None`` without a
    ``Date``, or when it comes from a cache.
    """
    [date, *_] = headers.getRawHeaders("Date") or [""]
    if headers.hasHeader("Age"):
        return None
    try:
        return parsedate_to_datetime(date).timestamp() + 0.5
    except (ValueError, TypeError, OverflowError):
        return None


@define(eq=False)
class TwitchTime:
    """
    Compares this machine's clock with Twitch's, and logs when they begin to differ and when they agree again.

    :ivar clock: the monotonic one, which continues Twitch's time between two answers, so that a correction of this
        machine's clock counts at once.
    :ivar wall: the clock of this machine.
    :ivar rejecting: whether messages with another time are rejected: webhooks are, frames are not.
    """

    _clock: IReactorTime
    _wall: Callable[[], float]
    _rejecting: Callable[[], bool] = lambda: True
    _difference: float | None = field(default=None, init=False)
    _far: bool = field(default=False, init=False)

    log = Logger()

    def learn(self, headers: Headers) -> None:
        """
        Learn from the headers of an answer that has just arrived.
        """
        theirs = read_date(headers)
        if theirs is not None:
            self._difference = theirs - self._clock.seconds()
            self.log_change()

    def ahead(self) -> float | None:
        """
        By how many seconds this machine's clock is ahead of Twitch's, negative if behind; ``None`` before the first
        answer.
        """
        return None if self._difference is None else self._wall() - self._clock.seconds() - self._difference

    def now(self) -> float:
        """
        Twitch's time, in seconds since the epoch; before the first answer, this machine's.
        """
        return self._wall() if self._difference is None else self._clock.seconds() + self._difference

    def problem(self) -> str | None:
        """
        Why messages may be refused, or ``None``.
        """
        ahead = self.ahead()
        if ahead is None or abs(ahead) <= FAR_OFF:
            return None
        difference = f"{_rough(ahead)} {_direction(ahead)} Twitch's"
        return f"this machine's clock is {difference}: {self._consequence(ahead)}; {ADVICE}"

    def log_change(self) -> None:
        """
        Log a change between agreeing and differing.
        """
        ahead = self.ahead()
        if ahead is None or (abs(ahead) > FAR_OFF) == self._far:
            return
        self._far = not self._far
        if self._far:
            self.log.emit(
                LogLevel.error if abs(ahead) > WINDOW and self._rejecting() else LogLevel.warn,
                "this machine's clock is {off} {direction} Twitch's: {consequence}; {advice}",
                off=_rough(ahead),
                direction=_direction(ahead),
                consequence=self._consequence(ahead),
                advice=ADVICE,
            )
        else:
            self.log.info("this machine's clock agrees with Twitch's again")

    def _consequence(self, ahead: float) -> str:
        if not self._rejecting():
            return "receivers may reject deliveries, and certificates may seem invalid"
        if abs(ahead) > WINDOW:
            return "every message from Twitch is rejected"
        return (
            f"beyond {duration(WINDOW)} messages from Twitch are rejected, and receivers may reject deliveries sooner"
        )


def _rough(ahead: float) -> Seconds:
    """
    A difference without the fraction by which it is uncertain.
    """
    off = abs(ahead)
    return Seconds(round(off) if off < WINDOW else 60 * round(off / 60))


def _direction(ahead: float) -> str:
    return "ahead of" if ahead > 0 else "behind"
