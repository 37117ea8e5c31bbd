"""
The shards of the daemon's conduit: each has a WebSocket session, and is assigned to it.

dev.twitch.tv, "Handling Conduit Events". A notification goes to one shard; if that is disabled, to one other; if that
is disabled too, it is dropped. Twitch keeps nothing for later. So there are two shards or more, and after each loss
Twitch is asked who is live.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import Factory, define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, gatherResults, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from itsjustintv.config.sections import CONDUIT
from itsjustintv.config.sections import Twitch as TwitchSettings
from itsjustintv.errors import TwitchError, TwitchRejected, TwitchUnavailable
from itsjustintv.model import rfc3339
from itsjustintv.support.backoff import RetryingTask
from itsjustintv.support.file_thread_pool import InThread
from itsjustintv.support.periodic_service import PeriodicService
from itsjustintv.support.waiters import Waiters
from itsjustintv.twitch.eventsub.conduit_file import ConduitFile, RememberedConduit
from itsjustintv.twitch.eventsub.conduits_api import (
    SHARD_ENABLED,
    Conduit,
    ConduitGone,
    ConduitsAPI,
    Shard,
    TooManyConduits,
)
from itsjustintv.twitch.eventsub.messages import Frame
from itsjustintv.twitch.eventsub.shard_counts import ShardCounts
from itsjustintv.twitch.eventsub.transport import ConduitTransport

if TYPE_CHECKING:
    # With it comes the library of the WebSocket, which only a conduit needs.
    from itsjustintv.twitch.eventsub.session import EventSubSession, Gap, SessionOwner, SessionStatus

__all__ = ["MakeSession", "ShardService", "ShardStatus"]

#: Makes the session of a shard, of its owner and its name.
MakeSession = Callable[["SessionOwner", str], "EventSubSession"]

# Seconds between two looks at what Twitch says of the shards, and for which what we did overrules that.
_LOOK_EVERY = 60.0

# Seconds until an assignment that failed for a passing reason is tried again, within the time that Twitch gives.
_TRY_AGAIN = 1.0

# Seconds between the beginning of a broadcast and its message, at the most.
_ON_THE_WAY = 120.0

# Ids of sessions of this process that are remembered, to tell them from another program's.
_MOST_SESSIONS = 1000


@frozen(kw_only=True)
class ShardStatus:
    """
    One shard, as this daemon sees it.

    :ivar standing_by: whether another program receives its messages.
    """

    id: str
    enabled: bool
    standing_by: bool
    session: SessionStatus


@define(eq=False)
class _Shard:
    """
    One shard and its session.

    :ivar session_id: of the session that is to be assigned, or is.
    :ivar assigned_at: when it was assigned; ``None`` while it is not.
    :ivar was_assigned: whether this process has ever assigned it.
    :ivar gap: whether messages may have been missed since the last assignment.
    :ivar others_until: until when another program had its messages; minus infinity if none had.
    """

    id: str
    session: EventSubSession
    session_id: str = ""
    assigned_at: float | None = None
    was_assigned: bool = False
    standing_by: bool = False
    gap: bool = False
    others_until: float = -inf
    assigning: Deferred[None] | None = None

    def cancel(self) -> None:
        assigning, self.assigning = self.assigning, None
        if assigning is not None:
            assigning.cancel()


@define(eq=False)
class ShardService(Service):
    """
    Remembers the conduit, or creates one; keeps a session for each shard, and the shards assigned to them.

    A conduit that this daemon did not create is neither used nor deleted. One that Twitch has deleted is created anew.

    :ivar on_gap: called when messages may have been missed, and again when they arrive again; with the number of
        seconds until now before which another program had them, or infinity.
    :ivar on_open: called when messages can arrive through another conduit than before, with its transport.
    :ivar on_frame: takes a frame that is not about the session.
    :ivar wall: the time of the machine, in seconds since the epoch.
    :ivar counts: what happened to the connections.
    """

    _api: ConduitsAPI
    _make_session: MakeSession
    _settings: Callable[[], TwitchSettings]
    _clock: IReactorTime
    _in_thread: InThread
    _on_frame: Callable[[Frame], None]
    _on_gap: Callable[[float], None]
    _on_open: Callable[[ConduitTransport], None]
    _wall: Callable[[], float]
    _task: RetryingTask = field(
        init=False,
        default=Factory(lambda self: RetryingTask(self._clock, "open the conduit", self._open), takes_self=True),
    )
    _look: PeriodicService = field(
        init=False,
        default=Factory(
            lambda self: PeriodicService(
                self._clock, _LOOK_EVERY, "look at the shards of the conduit", self._compare, now=False
            ),
            takes_self=True,
        ),
    )
    _conduit: Conduit | None = field(default=None, init=False)
    _known: RememberedConduit | None = field(default=None, init=False)
    _transport: ConduitTransport | None = field(default=None, init=False)
    _shards: dict[str, _Shard] = field(factory=dict, init=False)
    _mine: dict[str, None] = field(factory=dict, init=False)
    _opened: Waiters[None] = field(factory=Waiters, init=False)
    _deaf_since: str | None = field(default=None, init=False)
    _paused: bool = field(default=False, init=False)
    counts: ShardCounts = field(init=False, default=Factory(lambda self: ShardCounts(self._clock), takes_self=True))

    log = Logger()

    def startService(self) -> None:
        super().startService()
        self._look.startService()
        self.refresh()

    def stopService(self) -> Deferred[None]:
        """
        Close the connections. The conduit and its subscriptions stay, for the next start or another daemon.
        """
        super().stopService()
        self._task.stop()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self._look.stopService()
        await self._close()

    def refresh(self) -> None:
        """
        Follow the configuration: open the conduit if it is configured.
        """
        if not self._is_configured():
            self._deaf_since = None
            self._task.stop()
        elif self.running:
            self._note_deafness()
            self._task.run()

    def release(self) -> Deferred[None]:
        """
        Close the connections, unless the conduit is configured: no subscription needs it any more.
        """
        if self._is_configured() or not self._shards:
            return succeed(None)
        self._task.stop()
        self.log.info("closed the connections of conduit {conduit}: the transport is webhook", conduit=self.conduit_id)
        return Deferred.fromCoroutine(self._close())

    def transport(self) -> ConduitTransport | None:
        """
        What subscriptions are to be created with; ``None`` until a shard was assigned.
        """
        return self._transport

    def when_open(self) -> Deferred[None]:
        """
        Fires when messages can arrive: a shard is assigned.
        """
        return self._opened.wait() if self._transport is None else succeed(None)

    @property
    def conduit_id(self) -> str:
        """
        The conduit that is in use; empty without one.
        """
        return "" if self._conduit is None else self._conduit.id

    def pause(self, paused: bool) -> None:
        """
        Stop reading, or read on: what arrives meanwhile waits in the connections.
        """
        self._paused = paused
        for each in self._shards.values():
            (each.session.pause if paused else each.session.resume)()

    def status(self) -> Sequence[ShardStatus]:
        """
        Every shard, in the order of the ids.
        """
        return [
            ShardStatus(
                id=each.id,
                enabled=each.assigned_at is not None,
                standing_by=each.standing_by,
                session=each.session.status(),
            )
            for each in self._shards.values()
        ]

    def configured(self) -> int:
        """
        How many shards there are to be; 0 unless the transport is a conduit.
        """
        settings = self._settings()
        return settings.conduit.shards if settings.transport == CONDUIT else 0

    def moves(self) -> int:
        """
        How often Twitch had a shard change to another connection, without a gap.
        """
        return self.counts.moves(sum(each.session.status().moves for each in self._shards.values()))

    def problem(self) -> str | None:
        """
        Why messages may be missed, or ``None``.
        """
        if (problem := self.critical()) or not self._is_configured():
            return problem
        enabled = self._enabled()
        if enabled == len(self._shards):
            return None
        reasons = [self._reason(each) for each in self._shards.values() if each.assigned_at is None]
        return f"{enabled} of {len(self._shards)} shards enabled" + _because(reasons)

    def critical(self) -> str | None:
        """
        Why no message arrives, or ``None``.
        """
        if not self._is_configured() or self._deaf_since is None:
            return None
        if self._shards and all(each.standing_by for each in self._shards.values()):
            return "standing by: another program receives the messages of this conduit"
        reasons = [self._reason(each) for each in self._shards.values()]
        return f"deaf since {self._deaf_since} because no shard is enabled" + _because(
            [self._task.problem() or "", *reasons]
        )

    @staticmethod
    def _reason(shard: _Shard) -> str:
        """
        Why a shard is not enabled; empty while that is not known.
        """
        if shard.standing_by:
            return f"another program receives the messages of shard {shard.id}"
        return shard.session.status().reason

    # What the sessions call.

    def welcomed(self, session: EventSubSession, session_id: str) -> None:
        """
        Assign a shard to its fresh session.
        """
        shard = self._shard_of(session)
        if shard is None:
            return
        self._mine[session_id] = None
        for old in list(self._mine)[:-_MOST_SESSIONS]:
            del self._mine[old]
        shard.session_id, shard.assigned_at = session_id, None
        self._begin(shard)

    def received(self, session: EventSubSession, frame: Frame) -> None:  # noqa: ARG002
        """
        Pass a frame on.
        """
        if frame.kind == "revocation" and frame.payload.object("subscription").text("status") == "conduit_deleted":
            self._task.run()
        self._on_frame(frame)

    def lost(self, session: EventSubSession, gap: Gap) -> None:
        """
        Note that a shard has no session, and ask Twitch who may have been missed.
        """
        shard = self._shard_of(session)
        if shard is None:
            return
        shard.cancel()
        self.counts.lost(shard.id, gap)
        shard.session_id, shard.assigned_at, shard.gap = "", None, True
        self._note_deafness()
        self._on_gap(inf)

    # The conduit.

    def _is_configured(self) -> bool:
        return self._settings().transport == CONDUIT

    async def _open(self) -> None:
        """
        Find or create the conduit, with as many shards as configured, and have a session for each.

        :raises TwitchError: there is none yet.
        """
        settings = self._settings()
        if settings.transport != CONDUIT:
            return
        conduit = await self._find(settings)
        before, self._conduit = self._conduit, conduit
        for each in [each for each in self._shards if int(each) >= conduit.shard_count]:
            await self._remove(self._shards.pop(each))
        for number in range(conduit.shard_count):
            self._add(str(number))
        if before is not None and before.id != conduit.id:
            for shard in self._shards.values():
                if shard.was_assigned:
                    self.counts.gap_began(shard.id, self._clock.seconds())
                shard.assigned_at, shard.was_assigned, shard.gap = None, False, True
                if shard.session_id:
                    self._begin(shard)
            self._note_deafness()

    async def _find(self, settings: TwitchSettings) -> Conduit:
        file, wanted = ConduitFile(Path(settings.conduit.state_file)), settings.conduit.shards
        remembered = await self._recall(file, settings.client_id)
        if remembered is not None:
            for each in await self._api.list():
                if each.id == remembered.conduit_id:
                    if remembered is self._known:
                        # The file was deleted, or is another one since a reload.
                        await self._remember(file, remembered)
                    self._known = remembered
                    return each if each.shard_count == wanted else await self._api.resize(each.id, wanted)
            self.log.warn(
                "Twitch has no conduit {conduit} any more; creating another one, and its subscriptions",
                conduit=remembered.conduit_id,
            )
        try:
            conduit = await self._api.create(wanted)
        except TooManyConduits as error:
            raise await self._too_many(error) from None
        created_at = rfc3339(self._wall())
        await self._remember(
            file, RememberedConduit(client_id=settings.client_id, conduit_id=conduit.id, created_at=created_at)
        )
        self.log.info("created conduit {conduit} with {count} shards", conduit=conduit.id, count=wanted)
        return conduit

    async def _recall(self, file: ConduitFile, client_id: str) -> RememberedConduit | None:
        """
        Find out which conduit is this daemon's: the file says so, or else it is in use already.
        """
        known = self._known if self._known is not None and self._known.client_id == client_id else None
        try:
            return await self._in_thread(file.read, client_id) or known
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.log.warn(
                "cannot read {path}: {reason}; the conduit that it names is not used",
                path=str(file.path),
                reason=reason,
            )
            return known

    async def _remember(self, file: ConduitFile, conduit: RememberedConduit) -> None:
        self._known = conduit
        try:
            await self._in_thread(file.write, conduit)
        except OSError as error:
            self.log.error(  # noqa: TRY400 - the reason is in the line; a traceback adds nothing
                "cannot write {path}: {reason}; conduit {conduit} is not found again after a restart",
                path=str(file.path),
                reason=error.strerror or str(error),
                conduit=conduit.conduit_id,
            )

    async def _too_many(self, error: TooManyConduits) -> TwitchRejected:
        try:
            listed = ", ".join(each.id for each in await self._api.list())
        except TwitchError:
            listed = "itsjustintv conduits list"
        return TwitchRejected(
            f"Twitch allows no further conduit for this client id ({listed}): delete one that is not in use with"
            " 'itsjustintv conduits delete ID', or use another client id",
            error.status,
        )

    # The shards.

    def _add(self, shard_id: str) -> None:
        if shard_id in self._shards:
            return
        self._shards[shard_id] = _Shard(shard_id, self._begin_session(shard_id))

    def _begin_session(self, shard_id: str) -> EventSubSession:
        session = self._make_session(self, f"shard {shard_id}")
        session.start()
        if self._paused:
            session.pause()
        return session

    async def _remove(self, shard: _Shard) -> None:
        shard.cancel()
        self.counts.removed(shard.id, shard.session.status().moves)
        await shard.session.stop()

    async def _close(self) -> None:
        shards, self._shards = self._shards, {}
        self._conduit = self._transport = None
        await gatherResults([Deferred.fromCoroutine(self._remove(each)) for each in shards.values()])

    def _shard_of(self, session: EventSubSession) -> _Shard | None:
        return next((each for each in self._shards.values() if each.session is session), None)

    def _enabled(self) -> int:
        return sum(each.assigned_at is not None for each in self._shards.values())

    def _note_deafness(self) -> None:
        if self._enabled():
            self._deaf_since = None
        elif self._deaf_since is None:
            self._deaf_since = rfc3339(self._wall())

    def _begin(self, shard: _Shard) -> None:
        """
        Assign a shard to its session, in the time that Twitch gives; the session ends it after that.
        """
        shard.cancel()
        shard.assigning = assigning = Deferred.fromCoroutine(self._assign(shard, shard.session_id))
        assigning.addErrback(lambda failure: failure.trap(CancelledError) and None)
        assigning.addErrback(
            lambda failure: self.log.failure("cannot assign shard {shard}", failure=failure, shard=shard.id)
        )

    async def _assign(self, shard: _Shard, session_id: str) -> None:
        # A session whose time is over ends without a call: its shard has none then, whatever Twitch answers late.
        while self._conduit is not None and shard.session.holds(session_id):
            conduit = self._conduit
            try:
                if shard.was_assigned and self._is_taken(await self._listed(conduit), shard):
                    self._stand_by(shard)
                    return
                faults = await self._api.assign(conduit.id, {shard.id: session_id})
            except ConduitGone:
                self.counts.not_assigned += 1
                # It begins with another conduit.
                self._task.run()
                return
            except TwitchUnavailable:
                self.counts.not_assigned += 1
                await deferLater(self._clock, _TRY_AGAIN, lambda: None)
                continue
            except TwitchRejected as error:
                self.counts.not_assigned += 1
                shard.session.drop(session_id, str(error))
                return
            if shard.id in faults:
                self.counts.not_assigned += 1
                shard.session.drop(session_id, f"Twitch did not assign it: {faults[shard.id]}")
            elif shard.session.holds(session_id):
                self._assigned(shard, session_id, conduit)
            return

    def _assigned(self, shard: _Shard, session_id: str, conduit: Conduit) -> None:
        shard.assigned_at = self._clock.seconds()
        # At the start it is not known what was missed before.
        missed, shard.gap = shard.gap or not shard.was_assigned, False
        shard.was_assigned = True
        self.counts.assigned += 1
        self.counts.gap_ended(shard.id)
        self._note_deafness()
        shard.session.assigned(session_id)
        transport = ConduitTransport(conduit.id)
        if transport != self._transport:
            self._transport = transport
            self._opened.answer(None)
            self._on_open(transport)
        others_until, shard.others_until = shard.others_until, -inf
        if missed:
            self._on_gap(self._clock.seconds() - others_until)

    # What Twitch says of them.

    async def _listed(self, conduit: Conduit) -> Mapping[str, Shard]:
        return {each.id: each for each in await self._api.shards(conduit.id)}

    def _is_taken(self, listed: Mapping[str, Shard], shard: _Shard) -> bool:
        """
        Whether another program has assigned a shard to its own session.
        """
        found = listed.get(shard.id)
        if found is None or found.status != SHARD_ENABLED or found.session_id in self._mine:
            return False
        # Twitch may have had a session move.
        return all(found.session_id != each.session.status().session_id for each in self._shards.values())

    def _stand_by(self, shard: _Shard) -> None:
        self.log.warn(
            "another program has taken shard {shard} of conduit {conduit}, as during an upgrade; standing by until it"
            " is free",
            shard=shard.id,
            conduit=self.conduit_id,
        )
        shard.standing_by, shard.session_id, shard.assigned_at = True, "", None
        self._note_others(shard)
        self.counts.gap_ended(shard.id)
        self._note_deafness()
        shard.session.stop()

    def _note_others(self, shard: _Shard) -> None:
        # Messages take a while from the beginning of a broadcast to the other program.
        shard.others_until = self._clock.seconds() - _ON_THE_WAY

    async def stands_by(self) -> bool:
        """
        Whether Twitch sends every message to another program now. Never fails.
        """
        if self._conduit is None or not self._shards or not self._is_configured():
            return False
        try:
            listed = await self._listed(self._conduit)
        except TwitchError:
            return False
        return all(self._is_taken(listed, each) for each in self._shards.values())

    async def _compare(self) -> None:
        """
        Compare what Twitch says of the shards with what is believed here.
        """
        if self._conduit is None:
            return
        try:
            listed = await self._listed(self._conduit)
        except ConduitGone:
            self._task.run()
            return
        except TwitchError as error:
            self.log.debug("cannot look at the shards: {reason}", reason=str(error))
            return
        for shard in list(self._shards.values()):
            self._correct(shard, listed)

    def _correct(self, shard: _Shard, listed: Mapping[str, Shard]) -> None:
        taken = self._is_taken(listed, shard)
        if shard.standing_by:
            if not taken:
                self.log.info("shard {shard} is free; taking it", shard=shard.id)
                shard.standing_by, shard.gap = False, True
                self.counts.removed(shard.id, shard.session.status().moves)
                self.counts.gap_began(shard.id, self._clock.seconds())
                shard.session = self._begin_session(shard.id)
            else:
                self._note_others(shard)
            return
        # The list may be behind.
        if shard.assigned_at is None or self._clock.seconds() - shard.assigned_at < _LOOK_EVERY:
            return
        found = listed.get(shard.id)
        if taken:
            shard.cancel()
            self._stand_by(shard)
        elif found is None or found.status != SHARD_ENABLED:
            status = "missing" if found is None else found.status or "unknown"
            shard.session.drop(shard.session_id, f"Twitch lists the shard as {status}")


def _because(reasons: Sequence[Any]) -> str:
    found = dict.fromkeys(each for each in reasons if each)
    return f": {'; '.join(found)}" if found else ""
