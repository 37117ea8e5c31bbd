"""
Remembers when names were removed from the configuration, so that a mistake can be undone.

What is no longer configured stops at once; what waits for it ends after a grace. The journal holds when that began: a
restart neither shortens nor prolongs it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from itsjustintv.errors import JournalUnavailable
from itsjustintv.interfaces import IKeyValues
from itsjustintv.support.durations import Seconds

__all__ = ["CHANNELS", "DESTINATIONS", "LOGINS", "STREAMERS", "RemovalGrace"]

#: Kinds of names, as stored in :class:`~itsjustintv.interfaces.IKeyValues`: names of destinations, keys of streamers,
#: user ids of channels, logins in lower case.
DESTINATIONS = "absent_destination"
STREAMERS = "absent_streamer"
CHANNELS = "absent_channel"
LOGINS = "absent_login"

# Seconds after the end of a grace until the next one may begin, for what was requeued, or waited while the daemon was
# stopped.
_OVER = 3600.0

# Seconds until reading or writing is retried.
_RETRY = 5.0


@define(eq=False)
class RemovalGrace(Service):
    """
    Remembers when names of one kind were removed.

    :ivar missing: whether a name is not configured now.
    :ivar grace: seconds, as currently configured.
    """

    _kind: str
    _last_known: IKeyValues
    _clock: IReactorTime
    _missing: Callable[[str], bool]
    _grace: Callable[[], float]
    _since: dict[str, float] = field(factory=dict, init=False)
    _known: bool = field(default=False, init=False)
    _changed: dict[str, None] = field(factory=dict, init=False)
    _working: Deferred[None] | None = field(default=None, init=False)

    log = Logger()

    def startService(self) -> None:
        super().startService()
        self._known = False
        self._work()

    def stopService(self) -> Deferred[None] | None:
        super().stopService()
        working = self._working
        if working is not None:
            working.cancel()
        return working

    def ends(self, name: str) -> float:
        """
        When what waits for a removed name ends, in seconds since the epoch; infinity until the stored times are read.
        The grace begins with the first call.
        """
        if not self._known:
            return inf
        now = self._clock.seconds()
        since = self._since.get(name)
        if since is None or now > since + self._grace() + _OVER:
            since = self._note(name, now)
        return since + self._grace()

    def refresh(self) -> None:
        """
        End the grace of names that are configured again.
        """
        if self._known:
            for name in [name for name in self._since if not self._missing(name)]:
                self.forget(name)

    def forget(self, name: str) -> None:
        """
        End the grace of a name that nothing waits for any more.
        """
        if self._since.pop(name, None) is not None:
            self._store(name)

    def _note(self, name: str, now: float) -> float:
        self._since[name] = now
        self._store(name)
        return now

    def _store(self, name: str) -> None:
        self._changed[name] = None
        self._work()

    def _work(self) -> None:
        if self._working is None and self.running:
            self._working = Deferred.fromCoroutine(self._synchronize())

            def ended(_: object) -> None:
                self._working = None

            self._working.addBoth(ended)

    async def _synchronize(self) -> None:
        """
        Read the times once, then write changes. Never raises.
        """
        while self.running and not (self._known and not self._changed):
            try:
                await (self._write() if self._known else self._read())
            except CancelledError:
                return
            except JournalUnavailable:
                # The journal logs that itself. Until it can be read nothing ends.
                pass
            except Exception:  # noqa: BLE001 - a defect here must not end what waits
                self.log.failure(
                    "cannot store when names were removed from the configuration; retrying in {delay}",
                    delay=Seconds(_RETRY),
                )
            else:
                continue
            try:
                await deferLater(self._clock, _RETRY)
            except CancelledError:
                return

    async def _read(self) -> None:
        found = await self._last_known.recall_all(self._kind)
        now = self._clock.seconds()
        self._since = {name: min(float(since), now) for name, (since, _) in found.items()}
        self._known = True
        self.refresh()

    async def _write(self) -> None:
        names, self._changed = list(self._changed), {}
        present = {name: int(self._since[name]) for name in names if name in self._since}
        try:
            if present:
                await self._last_known.remember_all(self._kind, present, self._clock.seconds())
            if gone := [name for name in names if name not in present]:
                await self._last_known.forget(self._kind, gone)
        except BaseException:
            self._changed = {**dict.fromkeys(names), **self._changed}
            raise
