"""
When to renew, when to retry, when to warn: pure functions, and the renewal record they work on.

Times are seconds since the epoch, ``now`` is always an argument, and ``random`` returns a number from 0 to 1. Only the
leaf of a certificate counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import cattrs
import orjson
from attrs import asdict, evolve, frozen

from itsjustintv.support.backoff import varied
from itsjustintv.support.durations import duration
from itsjustintv.tls.acme.messages import RenewalInfo

__all__ = [
    "Health",
    "Level",
    "Record",
    "ValidityWindow",
    "advised_moment",
    "due_reason",
    "health",
    "is_alarm_due",
    "is_ari_due",
    "is_clock_unset",
    "last_moment",
    "next_ari",
    "order_moment",
    "record_failure",
    "renewal_moment",
    "retry_moment",
    "rotate_types",
    "with_ari",
    "without_ari",
]

_MINUTE = 60.0
_HOUR = 3600.0
_DAY = 86400.0

# Certificates that live shorter than this are renewed at half their life, others when a third is left, as Let's
# Encrypt advises.
_SHORT_LIVED = 10 * _DAY
# Share of the lifetime left from which on the authority's advice is ignored.
_EMERGENCY = 1 / 20

_WITHOUT = tuple(minutes * _MINUTE for minutes in (1, 5, 15, 30, 60, 120, 240, 360))
_WITH = tuple(minutes * _MINUTE for minutes in (1, 10, 100))
_JITTER = 0.1

# Let's Encrypt allows five failed validations of a name in an hour.
_FAILURES_AN_HOUR = 5

# Bounds of the wait for renewal information, and its default (RFC 9773, section 4.3).
_ARI_WAIT = (_MINUTE, _DAY)
_ARI_UNASKED = 6 * _HOUR

_ALARM_EVERY = _DAY

# 2026-01-01. A clock that shows less has not been set yet.
_BEFORE_US = 1767225600.0


@frozen
class ValidityWindow:
    """
    The validity of a certificate.

    :ivar fraction: share of the lifetime that is left at renewal, if the operator has set one; else 0.
    """

    not_before: float
    not_after: float
    fraction: float = 0.0

    @property
    def life(self) -> float:
        """
        Seconds from its beginning to its end.
        """
        return self.not_after - self.not_before

    @property
    def lead(self) -> float:
        """
        Seconds between the time of renewal and the end.
        """
        if self.fraction:
            return self.life * self.fraction
        return self.life / 2 if self.life < _SHORT_LIVED else self.life / 3


class Level(Enum):
    """
    The health of a certificate.
    """

    OK = "ok"
    DEGRADED = "degraded"
    CRITICAL = "critical"


@frozen
class Health:
    """
    The health of a certificate, with its reason.

    :ivar reason: in words fit for the public; empty while all is well.
    """

    level: Level
    reason: str = ""


def is_clock_unset(now: float) -> bool:
    """
    Whether the machine's clock has not been set yet: then no certificate can be judged.
    """
    return now < _BEFORE_US


def renewal_moment(validity: ValidityWindow) -> float:
    """
    When to renew without the authority's advice.
    """
    return validity.not_after - validity.lead


def due_reason(validity: ValidityWindow | None, record: Record, now: float) -> str | None:
    """
    Why a certificate must be ordered now, or ``None``.

    The authority's advice may be later than our own rule, but not later than the operator's, nor dangerously late.
    """
    if validity is None:
        return "there is none"
    if now >= validity.not_after:
        return "it has expired"
    if now >= last_moment(validity):
        return "it is about to expire"
    if now < order_moment(validity, record):
        return None
    advised = advised_moment(validity, record)
    return "renewal is due" if advised is None or now < advised else "the authority asks for it"


def order_moment(validity: ValidityWindow, record: Record) -> float:
    """
    The moment of a renewal: the earlier of what the authority advises and what ``renew_fraction`` asks for, and in any
    case before too little is left.
    """
    advised, own = advised_moment(validity, record), renewal_moment(validity)
    moment = own if advised is None else min(advised, own) if validity.fraction else advised
    return min(moment, last_moment(validity))


def advised_moment(validity: ValidityWindow, record: Record) -> float | None:
    """
    When the authority advises renewal, or ``None``. Never before a twentieth of the lifetime, or a day: an authority
    that finds every certificate overdue must not be asked for one after the other.
    """
    if not record.renew_at:
        return None
    return max(record.renew_at, validity.not_before + min(_DAY, _EMERGENCY * validity.life))


def last_moment(validity: ValidityWindow) -> float:
    """
    When to renew whatever the authority advises.
    """
    return validity.not_after - _EMERGENCY * validity.life


def retry_moment(
    record: Record,
    validity: ValidityWindow | None,
    now: float,
    random: Callable[[], float],
    retry_after: float | None = None,
) -> float:
    """
    When to retry after ``record.failures`` failures in a row, at least one. Never before the authority allows it, and
    no name fails more than five times in an hour.

    :param validity: of the certificate that is served, if it is still valid.
    :param retry_after: seconds, as the authority said, or ``None``.
    """
    if validity is not None and now < validity.not_after:
        waits: Sequence[float] = _WITH
        last = max(_HOUR, min(_DAY, (validity.not_after - now) / 10))
    else:
        waits, last = _WITHOUT, _WITHOUT[-1]
    wait = waits[record.failures - 1] if record.failures <= len(waits) else last
    moment = now + max(varied(wait, _JITTER, random), retry_after or 0.0)
    if len(record.recent_failures) >= _FAILURES_AN_HOUR:
        moment = max(moment, record.recent_failures[-_FAILURES_AN_HOUR] + _HOUR)
    return moment


def record_failure(
    record: Record,
    validity: ValidityWindow | None,
    problem: str,
    now: float,
    random: Callable[[], float],
    *,
    retry_after: float | None = None,
    blocked_by: str = "",
) -> Record:
    """
    Record a failure.

    :param blocked_by: fingerprint of the settings with which a retry would be refused again; empty if it may succeed.
    """
    recent = (*(each for each in record.recent_failures if each > now - _HOUR), now)
    record = evolve(
        record,
        failures=record.failures + 1,
        last_attempt=now,
        problem=problem,
        blocked_by=blocked_by,
        recent_failures=recent[-_FAILURES_AN_HOUR:],
    )
    return evolve(record, next_attempt=retry_moment(record, validity, now, random, retry_after))


def is_ari_due(validity: ValidityWindow | None, record: Record, now: float) -> bool:
    """
    Whether to fetch renewal information: never about a certificate that has expired.
    """
    return validity is not None and now < validity.not_after and now >= record.ask_at


def next_ari(now: float, retry_after: float | None) -> float:
    """
    When to fetch renewal information again.
    """
    shortest, longest = _ARI_WAIT
    return now + (_ARI_UNASKED if retry_after is None else min(max(retry_after, shortest), longest))


def with_ari(record: Record, info: RenewalInfo, now: float, random: Callable[[], float]) -> Record:
    """
    Apply renewal information: a time is drawn from its window, once for each window.
    """
    record = evolve(record, ask_at=next_ari(now, info.retry_after), explanation=info.explanation)
    if record.renew_at and (record.window_start, record.window_end) == (info.start, info.end):
        return record
    return evolve(
        record,
        window_start=info.start,
        window_end=info.end,
        renew_at=info.start + random() * (info.end - info.start),
    )


def without_ari(record: Record, validity: ValidityWindow, now: float, retry_after: float | None = None) -> Record:
    """
    Go on without renewal information: what was known may make the renewal earlier than our own rule, not later.
    """
    record = evolve(record, ask_at=next_ari(now, retry_after))
    if record.renew_at <= renewal_moment(validity):
        return record
    return evolve(record, renew_at=0.0, window_start=0.0, window_end=0.0)


def rotate_types(types: Sequence[str], failures: int) -> Sequence[str]:
    """
    The order in which configured challenge types are tried: after a failure the next one first.
    """
    turn = failures % len(types) if types else 0
    return (*types[turn:], *types[:turn])


def is_alarm_due(validity: ValidityWindow | None, record: Record, now: float) -> bool:
    """
    Whether to raise the alarm, once a day: renewal fails with less than half the lead left, or there is no certificate.
    """
    if not record.failures:
        return False
    if validity is not None and now < validity.not_after - validity.lead / 2:
        return False
    return not record.alarmed_at or now >= record.alarmed_at + _ALARM_EVERY


def health(name: str, validity: ValidityWindow | None, record: Record, now: float) -> Health:
    """
    Judge one certificate: critical without one or with less than a quarter of the lead left, degraded when it should
    have been renewed and is not.
    """
    if validity is None:
        return Health(Level.CRITICAL, f"there is no certificate for {name} yet")
    left = validity.not_after - now
    if left <= 0:
        return Health(Level.CRITICAL, f"the certificate for {name} has expired")
    left_over = f"the certificate for {name} expires in {duration(left)}"
    if left < validity.lead / 4:
        return Health(Level.CRITICAL, left_over)
    if record.failures:
        return Health(Level.DEGRADED, f"{left_over}, and could not be renewed {record.failures} times")
    if left < validity.lead / 2:
        return Health(Level.DEGRADED, f"{left_over}, and its renewal is overdue")
    return Health(Level.OK)


@frozen(kw_only=True)
class Record:
    """
    A sidecar of a certificate. Moments are in seconds since the epoch; 0 is "never".

    :ivar serial: of the certificate that ``profile``, ``account`` and the renewal information are about.
    :ivar account: URL of the account that ordered it.
    :ivar window_start: of the authority's renewal window.
    :ivar renew_at: the moment that was drawn from that window.
    :ivar ask_at: when to ask for renewal information again.
    :ivar failures: how often in a row it could not be had.
    :ivar next_attempt: not to be tried before.
    :ivar problem: why the last attempt failed; empty when it did not.
    :ivar blocked_by: fingerprint of the settings with which a retry would be refused again; empty if it may succeed.
    :ivar alarmed_at: when the alarm was last raised.
    :ivar recent_failures: moments of the failures of the last hour, for the authority's limit.
    """

    names: tuple[str, ...] = ()
    serial: str = ""
    not_before: float = 0.0
    not_after: float = 0.0
    issuer: str = ""
    profile: str = ""
    account: str = ""
    window_start: float = 0.0
    window_end: float = 0.0
    renew_at: float = 0.0
    ask_at: float = 0.0
    explanation: str = ""
    failures: int = 0
    last_attempt: float = 0.0
    next_attempt: float = 0.0
    problem: str = ""
    blocked_by: str = ""
    alarmed_at: float = 0.0
    recent_failures: tuple[float, ...] = ()

    def dump(self) -> bytes:
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def load(cls, text: bytes) -> Record:
        """
        Read what :meth:`dump` wrote, in any version: unknown fields are ignored.

        :raises ValueError: it is no record.
        """
        try:
            content: Any = orjson.loads(text)
            return _CONVERTER.structure(content, cls)
        except Exception as error:
            raise ValueError("it is not a record of a certificate") from error


_CONVERTER = cattrs.Converter(detailed_validation=False)
