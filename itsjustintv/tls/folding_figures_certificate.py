"""
What can be counted and measured of certificates.
"""

from __future__ import annotations

from attrs import frozen

__all__ = ["Figures"]


@frozen(kw_only=True)
class Figures:
    """
    Of one name. Moments are in seconds since the epoch; counts begin with the process, or with the name if that came
    later.

    :ivar not_after: when the certificate expires; ``None`` while there is none.
    :ivar renew_at: when the next one is to be ordered, the present moment if that is overdue or under way; ``None`` if
        it will not be by itself, as one that was refused for good or that the operator looks after.
    :ivar problem: why the last attempt failed, in words fit for a log; empty when it did not.
    :ivar attempted: orders that were begun.
    :ivar succeeded: orders that led to a certificate.
    :ivar failed: orders that did not. One that was given up, as at a stop, is neither.
    """

    name: str
    not_after: float | None = None
    renew_at: float | None = None
    problem: str = ""
    attempted: int = 0
    succeeded: int = 0
    failed: int = 0
