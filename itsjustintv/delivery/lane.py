"""
The deliveries of one destination that wait: in memory those just prepared, and a window onto what the journal holds.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Sequence

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall

from itsjustintv.model import Due

__all__ = ["Lane"]

# So many fresh deliveries may overtake one that has been due for longer.
_OVERTAKING = 4


@define(eq=False)
class Lane:
    """
    The deliveries of one destination, in the order in which they are due. Memory holds at most ``size`` fresh ones and
    ``size`` others, by their ids only; what does not fit stays in the journal, and is read when the window moves on.

    The window holds every pending delivery whose :class:`~itsjustintv.model.Due` is not beyond ``_horizon``, and while
    ``_more`` is unset there is no horizon: it holds them all.

    :ivar name: of the destination.
    :ivar size: how many ids are kept in memory, of each kind.
    :ivar in_flight: attempts under way.
    :ivar concurrency: how many may be; ``None`` for ``retry.concurrency``.
    :ivar paused_until: no attempt before this moment: the receiver asked for that, or the journal was unavailable.
    :ivar removed: whether the destination is not configured any more.
    :ivar suspended_until: while it is removed, neither an attempt nor an end before this moment.
    :ivar ending: whether it is removed and that moment is over: everything in the lane ends now, due or not.
    :ivar removal_logged: whether it was logged that it is removed.
    :ivar reading: whether the journal is being read.
    :ivar timer: the only one, for the next moment at which there is something to do.
    """

    name: str
    size: int
    in_flight: int = 0
    concurrency: int | None = None
    paused_until: float = 0.0
    removed: bool = False
    suspended_until: float = 0.0
    ending: bool = False
    removal_logged: bool = False
    reading: bool = False
    timer: IDelayedCall | None = None
    _fresh: deque[Due] = field(factory=deque, init=False)
    _window: list[Due] = field(factory=list, init=False)
    _known: set[str] = field(factory=set, init=False)
    _more: bool = field(default=False, init=False)
    _horizon: Due | None = field(default=None, init=False)
    _stale: bool = field(default=False, init=False)
    _meanwhile: list[Due] = field(factory=list, init=False)
    _overtaken: int = field(default=0, init=False)

    def pause_until(self, moment: float) -> None:
        """
        Begin no attempt before a moment, or before a later one that was asked for already.
        """
        self.paused_until = max(self.paused_until, moment)

    def claim(self, delivery_id: str) -> bool:
        """
        Note that a delivery is being attempted, unless it is in the lane, or being attempted, already.
        """
        if delivery_id in self._known:
            return False
        self._known.add(delivery_id)
        return True

    def release(self, delivery_id: str, again: Due | None) -> None:
        """
        Note that an attempt has ended.

        :param again: when the delivery is due next, if it is still pending.
        """
        self._known.discard(delivery_id)
        if again is not None:
            self.add(again)

    def add_fresh(self, due: Due) -> None:
        """
        Add a delivery that was never attempted, before those that were; beyond ``size`` it waits like the others.
        """
        if len(self._fresh) >= self.size:
            self.add(due)
        elif self.claim(due.id):
            self._fresh.append(due)

    def add(self, due: Due) -> None:
        """
        Add a delivery that the journal holds, or leave it to the journal.
        """
        if self.reading:
            # Whether it is beyond the horizon can only be said when the new horizon is known. Too many to remember are
            # found by reading everything again.
            self._stale = self._stale or len(self._meanwhile) >= self.size
            if not self._stale:
                self._meanwhile.append(due)
        elif not self._beyond(due) and self.claim(due.id):
            insort(self._window, due)
            if len(self._window) > self.size:
                self._known.discard(self._window.pop().id)
                self._more, self._horizon = True, self._window[-1]

    def head(self, now: float) -> Due | None:
        """
        The delivery to attempt now, if any, without taking it out of the lane.
        """
        if now < max(self.paused_until, self.suspended_until):
            return None
        due = self._window[0] if self._window and (self.ending or self._window[0].at <= now) else None
        if self._fresh and (due is None or self._overtaken < _OVERTAKING):
            return self._fresh[0]
        return due

    def take(self, now: float) -> Due:
        """
        Take the :meth:`head` out of the lane; it stays claimed until it is released.
        """
        due = self.head(now)
        if self._fresh and due is self._fresh[0]:
            self._overtaken += 1
            return self._fresh.popleft()
        self._overtaken = 0
        return self._window.pop(0)

    def next_at(self) -> float | None:
        """
        When there will be something to do, ``None`` when nothing waits.
        """
        if self.removed and not self.is_idle:
            return max(self.paused_until, self.suspended_until)
        if self._fresh or self.room:
            return self.paused_until
        if self._window:
            return max(self.paused_until, self._window[0].at)
        return None

    @property
    def is_idle(self) -> bool:
        """
        Whether nothing waits and nothing is under way, here or in the journal.
        """
        return not (self._known or self._more or self.reading or self.in_flight)

    @property
    def length(self) -> int:
        """
        How many deliveries wait here; there may be more in the journal unless :attr:`is_complete`.
        """
        return len(self._fresh) + len(self._window)

    @property
    def is_complete(self) -> bool:
        """
        Whether everything that waits is here.
        """
        return not (self._more or self.reading)

    def forget(self) -> None:
        """
        Empty the window, since what is in the journal may have changed.
        """
        self._known.difference_update(due.id for due in self._window)
        self._window.clear()
        self._more, self._horizon, self._stale = True, None, self.reading

    @property
    def room(self) -> int:
        """
        How many deliveries to read from the journal now, 0 for none.
        """
        if not self._more or self.reading or len(self._window) > self.size // 4:
            return 0
        return self.size - len(self._window)

    def begin_reading(self) -> Due | None:
        """
        Note that the journal is being read.

        :return: after which delivery to read.
        """
        self.reading = True
        return self._horizon

    def end_reading(self, found: Sequence[Due], complete: bool) -> None:
        """
        Add what was found in the journal.

        :param complete: whether that was everything after the place where reading began.
        """
        if not self._stale:
            for due in found:
                if self.claim(due.id):
                    insort(self._window, due)
            self._more = not complete
            self._horizon = None if complete else found[-1]
        self.abandon_reading()

    def abandon_reading(self) -> None:
        """
        Note that the journal is not being read any more.
        """
        self.reading = False
        meanwhile, self._meanwhile = self._meanwhile, []
        if self._stale:
            # They are in the journal, which is going to be read again.
            self.forget()
        else:
            for due in meanwhile:
                self.add(due)

    def _beyond(self, due: Due) -> bool:
        return self._more and (self._horizon is None or due > self._horizon)
