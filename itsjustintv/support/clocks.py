"""
Two clocks: a steady one, for waits and ages, and the machine's, for moments that others have named.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs
from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

__all__ = ["SteadyClock", "WallClock", "boot_id", "shift_times", "uptime"]

_T = TypeVar("_T")

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# Two looks at a clock that are further apart, in seconds, had the process stopped in between.
_TOGETHER = 0.1
_LOOKS = 5

# A difference below this, in seconds, is none.
_LEAST_SHIFT = 1.0


#: Seconds since the machine started, those in which it was suspended included where the system counts them (Linux:
#: clock_gettime(2), ``CLOCK_BOOTTIME``). This clock cannot be set. Asked for some seventy times for each event, it is
#: no function of ours.
uptime: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


def boot_id() -> str:
    """
    Name the run of the machine in which :func:`uptime` counts; empty where the system does not tell (Linux: random(4)).
    """
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


@define(eq=False)
class SteadyClock:
    """
    Seconds since the epoch by the wall clock as it was at the start, and by what has passed since: whatever is done to
    the wall clock, a second takes a second.

    :ivar wall: the time of the machine, in seconds since the epoch.
    :ivar uptime: see :func:`uptime`; it is the same clock for every process of one ``boot``.
    :ivar boot: see :func:`boot_id`.
    :ivar origin: what this clock showed when ``uptime`` was 0.
    """

    wall: Callable[[], float]
    uptime: Callable[[], float]
    boot: str = ""
    origin: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.origin = 0.0
        self.origin = self.ahead()

    def seconds(self) -> float:
        """
        Seconds since the epoch, never less than before.
        """
        return self.origin + self.uptime()

    def ahead(self) -> float:
        """
        By how many seconds the wall clock is ahead: by how much it was set forward since the start, negative if back.
        """
        for _ in range(_LOOKS):
            before = self.seconds()
            wall = self.wall()
            after = self.seconds()
            if after - before < _TOGETHER:
                break
        return wall - (before + after) / 2


@implementer(IReactorTime)
@define(eq=False)
class WallClock:
    """
    The time of the machine, with a reactor's timers, for what deals with moments that others have named. A timer takes
    as many seconds as it was asked for, whatever the time is by then.
    """

    _wall: Callable[[], float]
    _reactor: Any

    def seconds(self) -> float:
        """
        Seconds since the epoch; may jump.
        """
        return self._wall()

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> IDelayedCall:  # noqa: A002
        """
        Call something after so many seconds.
        """
        call: IDelayedCall = self._reactor.callLater(delay, callable, *args, **kwargs)
        return call

    def getDelayedCalls(self) -> Any:
        return self._reactor.getDelayedCalls()


def shift_times(value: _T, by: float) -> _T:
    """
    A value, or a sequence of values, with every moment in it moved by so many seconds: what is called ``at``, or
    something that ends so.
    """
    if abs(by) < _LEAST_SHIFT:
        return value
    found: Any = value
    if isinstance(value, tuple | list):
        found = type(value)(shift_times(each, by) for each in value)
    elif attrs.has(type(value)):
        content = {each.alias: getattr(value, each.name) for each in attrs.fields(type(value)) if each.init}  # type: ignore[arg-type]
        changed = {name: _shift(name, each, by) for name, each in content.items()}
        found = attrs.evolve(value, **{name: each for name, each in changed.items() if each is not content[name]})  # type: ignore[misc]
    return found  # type: ignore[no-any-return]


def _shift(name: str, value: Any, by: float) -> Any:
    if isinstance(value, float):
        # 0 stands for a moment that is not known.
        return value + by if value and (name == "at" or name.endswith("_at")) else value
    return shift_times(value, by)
