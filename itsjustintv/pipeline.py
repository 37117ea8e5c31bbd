"""
The way of an event from Twitch's message to the queue of its deliveries. Knows no HTTP, no payload and no database.

While Twitch waits (:meth:`Pipeline.accept`) an event is matched, deduplicated and committed to the journal. After the
answer each of its deliveries is prepared: enriched, filtered, rendered, committed again and handed to the queue. The
journal, not this module's memory, says what is still to be prepared: what a crash, a full disk or a burst of events
left unprepared is found there by a poll.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any
from uuid import uuid4

from attrs import Factory, define, evolve, field
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from itsjustintv.dedup import Seen, SeenEvents
from itsjustintv.delivery.attempt import DESTINATION_REMOVED, report_unprepared
from itsjustintv.delivery.post_policy import (
    OVERTAKEN,
    SHOWN_ALREADY,
    STILL_LIVE,
    WAITS,
    Decision,
    PostPolicy,
    as_refresh,
    as_return,
    as_update,
    complete,
    decide_refresh,
    end_before,
    hash_shown,
    is_needless,
)
from itsjustintv.errors import JournalUnavailable
from itsjustintv.filters import FilterResult, apply_filter, apply_tag_filter, unwanted_hour, unwanted_type
from itsjustintv.interfaces import (
    GraceEnd,
    IDeliveryJournal,
    IEnricher,
    IOutcomeSink,
    Match,
    Render,
    Resolve,
    Submit,
)
from itsjustintv.model import (
    STREAM_OFFLINE,
    STREAM_ONLINE,
    Acceptance,
    Action,
    Delivery,
    Destination,
    Event,
    Notice,
    Outcome,
    State,
    Streamer,
    message_key,
)
from itsjustintv.support.durations import Seconds
from itsjustintv.support.periodic_service import PeriodicService

__all__ = ["OnError", "Pipeline", "Stored"]

#: Notified of an event that the journal has stored, or knew already, and of when it was asked. Never raises.
Stored = Callable[[Event, float], None]


class OnError(Enum):
    """
    What to do when a tag filter cannot be decided.
    """

    SEND = "send"
    HOLD = "hold"


@define(eq=False)
class Pipeline(Service):
    """
    Accepts events and prepares their deliveries.

    :ivar ttl: seconds for which a broadcast is remembered.
    :ivar max_age: seconds after which an event is no longer news.
    :ivar on_stored: notified of every event that the journal was asked to store, when it has answered.
    :ivar grace_end: by the key of a streamer.
    :ivar resolve: finds the destinations that keep posts; by default none does.
    :ivar window: seconds after its end within which a stream goes on with a broadcast.
    :ivar settling: seconds for which changes of title and category are collected.
    :ivar under_way: whether an attempt on a delivery is being made.
    :ivar previews: after how many seconds the post of a live broadcast is refreshed; likewise ``recordings``, of one
        that has ended.
    :ivar concurrency: how many deliveries are prepared at the same time; more wait in the journal.
    :ivar poll_interval: seconds between two looks into the journal.
    :ivar retry_delay: seconds until a delivery that could not be prepared is tried again.
    :ivar wall: the time of the machine, in seconds since the epoch, for payloads.
    :ivar destination_end: by the name of a destination.
    :ivar new_id: makes the ids of events.
    """

    _clock: IReactorTime
    _journal: IDeliveryJournal
    _seen: SeenEvents
    _match: Match
    _enricher: IEnricher
    _render: Render
    _submit: Submit
    _sinks: Sequence[IOutcomeSink]
    _ttl: Callable[[], float]
    _on_error: Callable[[], OnError]
    _max_age: Callable[[], float]
    _on_stored: Stored = lambda _event, _asked_at: None
    _grace_end: GraceEnd = lambda _: 0.0
    _resolve: Resolve = lambda _name, _key: None
    _window: Callable[[], float] = lambda: 0.0
    _settling: Callable[[], float] = lambda: 0.0
    _under_way: Callable[[str], bool] = lambda _: False
    _concurrency: int = 1000
    _poll_interval: float = 2.0
    _retry_delay: float = 30.0
    _wall: Callable[[], float] = field(default=Factory(lambda self: self._clock.seconds, takes_self=True), kw_only=True)
    _destination_end: GraceEnd = field(default=lambda _: 0.0, kw_only=True)
    _previews: Callable[[], tuple[float, ...]] = field(default=lambda: (), kw_only=True)
    _recordings: Callable[[], tuple[float, ...]] = field(default=lambda: (), kw_only=True)
    _new_id: Callable[[], str] = field(default=lambda: uuid4().hex, kw_only=True)
    _posts: PostPolicy = field(
        init=False,
        default=Factory(
            lambda self: PostPolicy(
                self._window,
                self._settling,
                self._under_way,
                self._clock.seconds,
                self._wall,
                self._previews,
                self._recordings,
            ),
            takes_self=True,
        ),
    )
    _accepting: set[Deferred[Acceptance]] = field(factory=set, init=False)
    _ending: set[Deferred[None]] = field(factory=set, init=False)
    _preparing: dict[str, Deferred[None]] = field(factory=dict, init=False)
    _prepared: set[str] = field(factory=set, init=False)
    _poll: PeriodicService = field(init=False)
    _journal_failed: bool = field(default=False, init=False)

    log = Logger()

    @_poll.default
    def _make_poll(self) -> PeriodicService:
        return PeriodicService(
            self._clock, self._poll_interval, "read the deliveries to prepare from the journal", self._prepare_waiting
        )

    def startService(self) -> None:
        """
        Load the deduplication keys, and go on with what the journal says is unprepared.
        """
        super().startService()
        Deferred.fromCoroutine(self._load_seen()).addErrback(
            lambda failure: self.log.failure("cannot read the deduplication keys from the journal", failure)
        )
        self._poll.startService()

    def stopService(self) -> Deferred[None]:
        """
        Accept nothing more, let acceptances under way reach the journal, and leave unprepared deliveries to it.
        """
        super().stopService()
        polling = self._poll.stopService()
        preparing = list(self._preparing.values())
        for each in preparing:
            each.cancel()
        under_way: list[Deferred[Any]] = [polling, *self._accepting, *self._ending, *preparing]
        return DeferredList(under_way, consumeErrors=True).addCallback(lambda _: None)

    def problem(self) -> str | None:
        """
        Why nothing would be prepared, or ``None`` while all is well.
        """
        return self._poll.problem()

    def accept(self, event: Event) -> Deferred[Acceptance]:
        """
        Store an event and a delivery for each of its destinations. The answer comes when they are on stable storage.

        Cancelling the answer ends the wait only: what the journal has been given is stored.

        :raises JournalUnavailable: the event was not stored and Twitch must send it again.
        """
        accepting = Deferred.fromCoroutine(self._accept(event))
        self._accepting.add(accepting)

        def ended(result: Acceptance | Failure) -> Acceptance | Failure:
            self._accepting.discard(accepting)
            return result

        return accepting.addBoth(ended)

    async def _accept(self, event: Event) -> Acceptance:
        if not self.running:
            raise JournalUnavailable("the daemon is stopping")
        streamers = self._match(event)
        if not streamers:
            return Acceptance.IGNORED
        pairs = [(streamer.key, name) for streamer in streamers for name in streamer.destinations]
        is_back = await self._is_known(event.keys)
        if is_back:
            returned = await self._find_return(event, pairs)
            if returned is None or await self._is_known(returned.keys):
                return Acceptance.DUPLICATE
            event = returned
        now, keys = self._clock.seconds(), event.keys
        expires_at = now + self._ttl()
        deliveries = [self._make_delivery(event, number, key, name, now) for number, (key, name) in enumerate(pairs, 1)]
        if is_back:
            # What keeps no posts was sent the start of this stream, and gets it once.
            deliveries = [each for each in deliveries if each.broadcast]
        self._seen.claim(keys)
        try:
            is_new = await self._journal.accept(event, deliveries, expires_at, self._window())
        except BaseException:
            self._seen.release(keys)
            raise
        self._seen.confirm(keys, expires_at)
        self._on_stored(event, now)
        if not is_new:
            return Acceptance.DUPLICATE
        if event.event_type == STREAM_ONLINE and any(each.broadcast for each in deliveries):
            self._clock.callLater(0, self._end_former, event)
        if len(self._preparing) < self._concurrency:
            # In the next iteration of the reactor, so that Twitch's answer is sent first.
            due = [each for each in deliveries if each.next_attempt_at <= now]
            self._clock.callLater(0, self._begin_all, event, due)
        return Acceptance.ACCEPTED

    async def _is_known(self, keys: Sequence[str]) -> bool:
        """
        Whether an event is a copy. One that arrives while the first is being committed waits for that commit: if it
        fails, the copy is stored.
        """
        while (seen := self._seen.state(keys)) is Seen.PENDING:
            await self._seen.settled(keys)
        return seen is Seen.KNOWN

    async def _find_return(self, event: Event, pairs: Sequence[tuple[str, str]]) -> Event | None:
        """
        Find out whether the start of a known stream says that it came back after its end, where a post shows that.
        """
        if not event.sent_at or self._seen.state((message_key(event.message_id),)) is not Seen.NEW:
            return None
        found = (self._resolve(name, key) for key, name in pairs)
        if not any(each is not None and each.keeps_posts for each in found):
            return None
        return as_return(event, await self._journal.latest_broadcast(event.broadcaster_id))

    def _make_delivery(self, event: Event, number: int, streamer: str, name: str, now: float) -> Delivery:
        destination = self._resolve(name, streamer)
        is_post = destination is not None and destination.keeps_posts
        return Delivery(
            id=f"{event.id}-{number}",
            event_id=event.id,
            streamer=streamer,
            destination=name,
            accepted_at=now,
            next_attempt_at=now + self._posts.delay(event) if is_post else now,
            trace=event.trace,
            broadcast=event.id if is_post else "",
        )

    def _end_former(self, event: Event) -> None:
        """
        End the broadcasts of a channel whose end no message reported, now that another one has begun.
        """
        ending = Deferred.fromCoroutine(self._accept_ends(event))
        self._ending.add(ending)

        def ended(result: object) -> None:
            self._ending.discard(ending)
            if isinstance(result, Failure) and not result.check(JournalUnavailable, CancelledError):
                self.log.failure("cannot end the broadcast before {event_id}", result, event_id=event.id)

        ending.addBoth(ended)

    async def _accept_ends(self, event: Event) -> None:
        if not self.running:
            return
        live = [each for each in await self._journal.live_broadcasts() if each.broadcaster_id == event.broadcaster_id]
        for each in live:
            if event.stream_id in each.stream_ids or each.began_after(event.started_at):
                continue
            await self.accept(end_before(event, each, self._new_id()))

    async def _load_seen(self) -> None:
        self._seen.load(await self._journal.seen(self._clock.seconds()))

    async def _prepare_waiting(self) -> None:
        """
        Begin with what the journal holds unprepared.

        While the journal cannot be written, one delivery at a time is tried: more would ask Twitch for the same details
        again and again, for nothing.
        """
        room = (1 if self._journal_failed else self._concurrency) - len(self._preparing)
        if room <= 0:
            return
        # A delivery that is prepared while the journal is being read may still be in what was read.
        self._prepared.clear()
        try:
            # What is already being prepared is listed as well, so ask for that many more.
            found = await self._journal.unprepared(self._clock.seconds(), room + len(self._preparing))
        except JournalUnavailable as error:
            if not self._journal_failed:
                self.log.warn(
                    "cannot read the deliveries to prepare from the journal: {reason}; retrying in {delay}",
                    reason=str(error),
                    delay=Seconds(self._poll_interval),
                )
            self._journal_failed = True
            return
        self._journal_failed = self._journal_failed and bool(found)
        for event, delivery in found:
            if delivery.id not in self._prepared:
                self._begin(event, delivery)

    def _begin_all(self, event: Event, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._begin(event, delivery)

    def _begin(self, event: Event, delivery: Delivery) -> None:
        if not self.running or delivery.id in self._preparing or len(self._preparing) >= self._concurrency:
            return
        preparing = Deferred.fromCoroutine(self._prepare(event, delivery))
        self._preparing[delivery.id] = preparing

        def ended(_: object) -> None:
            del self._preparing[delivery.id]
            self._prepared.add(delivery.id)

        preparing.addBoth(ended)

    async def _prepare(self, event: Event, delivery: Delivery) -> None:
        """
        Bring one delivery to the queue, or to its end. Never raises, but for a cancellation at stop.
        """
        try:
            await self._process(event, delivery)
        except CancelledError:
            raise
        except JournalUnavailable as error:
            self._leave_to_poll(delivery, error)
        except Exception:  # noqa: BLE001 - one event's defect must not take the others with it
            self.log.failure(
                "cannot prepare the delivery of {event_id} to {destination}; retrying in {delay}",
                event_id=event.id,
                destination=delivery.destination,
                delay=Seconds(self._retry_delay),
            )
            await self._hold(delivery, "could not be prepared")

    async def _process(self, event: Event, delivery: Delivery) -> None:
        destination = self._resolve(delivery.destination, delivery.streamer)
        is_news = delivery.action is not Action.REFRESH
        if is_news and self._clock.seconds() - delivery.accepted_at >= self._longest_wait(event, destination):
            await self._settle(delivery, State.EXPIRED, delivery.reason or "too old to be news")
            return
        if destination is None and (delivery.broadcast or event.event_type != STREAM_ONLINE):
            # Whether it creates a post or changes one is known when it is configured again.
            await self._wait_for(delivery)
            return
        streamers = self._match(event)
        if not streamers:
            if self._grace_end(delivery.streamer) > self._clock.seconds():
                await self._hold(delivery, "streamer not configured")
            else:
                await self._settle(delivery, State.CANCELLED, "streamer removed from the configuration")
            return
        # The table of the streamer may have been renamed since.
        streamer = next((each for each in streamers if each.key == delivery.streamer), streamers[0])
        if reason := unwanted_type(streamer, event):
            await self._settle(delivery, State.FILTERED, reason)
            return
        if destination is not None and destination.keeps_posts:
            await self._process_post(event, streamer, delivery, destination)
            return
        enrichment = await self._enricher.enrich(event, streamer)
        notice = Notice(event=event, streamer=streamer, enrichment=enrichment, built_at=self._wall())
        if event.event_type == STREAM_OFFLINE or await self._is_wanted(notice, delivery, destination):
            picture = None if enrichment.picture is None else enrichment.picture.data
            form = "" if destination is None else destination.form
            await self._enqueue(notice, evolve(delivery, form=form), picture)

    async def _wait_for(self, delivery: Delivery) -> None:
        """
        Hold a delivery while its destination may return to the configuration.
        """
        if self._destination_end(delivery.destination) > self._clock.seconds():
            await self._hold(delivery, "destination not configured")
        else:
            await self._settle(delivery, State.CANCELLED, DESTINATION_REMOVED)

    def _longest_wait(self, event: Event, destination: Destination | None) -> float:
        """
        For how many seconds a delivery may wait to be prepared. A change of a post is worth more time than news.
        """
        if destination is None or not destination.keeps_posts or event.event_type == STREAM_ONLINE:
            return self._max_age()
        return destination.policy.edit_max_age

    async def _process_post(
        self, event: Event, streamer: Streamer, delivery: Delivery, destination: Destination
    ) -> None:
        """
        Bring the delivery of a post to the queue or to its end. What is done is decided now, by what the journal knows
        and Twitch says at this moment, so that the newest state is shown.
        """
        standing = await self._journal.standing(delivery.id, destination.place)
        refreshes = delivery.action is Action.REFRESH
        if refreshes:
            event = as_refresh(event, standing.broadcast)
        enrichment = await self._enricher.enrich(event, streamer, standing.broadcast)
        false_alarm = not refreshes and event.event_type == STREAM_OFFLINE and enrichment.stream.listed
        broadcast = standing.broadcast
        if broadcast is not None:
            if false_alarm:
                await self._journal.resume(broadcast.id, self._wall())
                # It has superseded the changes before it, so it shows them.
                broadcast, event = evolve(broadcast, offline_at=None), as_update(event, enrichment)
                standing = evolve(standing, broadcast=broadcast)
            is_behind = refreshes and self._posts.is_recent(broadcast)
            event, enrichment = complete(event, enrichment, broadcast, is_behind=is_behind)
        shows = not false_alarm or (destination.policy.on_update == "edit" and "update" in destination.policy.events)
        if refreshes:
            decision = decide_refresh(event.event_type, destination, standing, listed=enrichment.stream.listed)
        else:
            decision = self._posts.decide(event, destination, standing) if shows else Decision()
        if decision.supersede is not None and not await self._end_creation(decision.supersede):
            # Its attempt began in the same moment: what that creates is changed by this delivery.
            decision = Decision(wait=True, reason=WAITS)
        if decision.wait:
            await self._hold(delivery, decision.reason)
            return
        if decision.action is None:
            await self._settle(delivery, decision.end, STILL_LIVE if false_alarm else decision.reason)
            return
        notice = self._posts.notice(event, streamer, enrichment, destination, standing, decision.action)
        if decision.action is Action.CREATE and not await self._is_wanted(notice, delivery, destination):
            return
        shown = hash_shown(notice)
        if standing.shows(shown) and is_needless(notice, decision.action):
            await self._settle(delivery, State.SUPERSEDED, STILL_LIVE if false_alarm else SHOWN_ALREADY)
            return
        await self._enqueue(
            notice,
            evolve(
                delivery,
                broadcast="" if standing.broadcast is None else standing.broadcast.id,
                action=decision.action,
                remote="" if standing.post is None else standing.post.remote,
                shown=shown,
                mention=notice.mention and decision.action is Action.CREATE,
                form=destination.form,
                refreshes=self._posts.refreshes(event, notice, destination, decision.action),
            ),
        )

    async def _end_creation(self, delivery_id: str) -> bool:
        """
        End the delivery that was to create a post, since the broadcast is over.

        :return: ``False`` when an attempt of it has begun meanwhile.
        """
        now = self._clock.seconds()
        settled = await self._journal.settle(delivery_id, State.SUPERSEDED, OVERTAKEN, now)
        self._report(settled, now)
        return not self._under_way(delivery_id)

    async def _enqueue(self, notice: Notice, delivery: Delivery, picture: bytes | None = None) -> None:
        now = self._clock.seconds()
        stream = notice.enrichment.stream
        body = self._render(notice, delivery.destination)
        prepared = await self._journal.prepare(
            delivery.id,
            body,
            picture,
            now,
            stream.title,
            stream.game_name,
            action=delivery.action,
            shown=delivery.shown,
            mention=delivery.mention,
            form=delivery.form,
            refreshes=delivery.refreshes,
        )
        self._journal_failed = False
        if prepared:
            self._submit(evolve(delivery, state=State.PENDING, next_attempt_at=now, body=body, picture=picture))

    async def _is_wanted(self, notice: Notice, delivery: Delivery, destination: Destination | None) -> bool:
        """
        Apply the filters of the streamer and the destination. Otherwise the delivery has ended, or is held.
        """
        results = [apply_tag_filter(notice.streamer, notice.enrichment)]
        if reason := unwanted_type(notice.streamer, notice.event):
            results.insert(0, (FilterResult.BLOCKED, reason))
        if destination is not None:
            if reason := unwanted_hour(destination.policy, self._wall()):
                results.insert(0, (FilterResult.BLOCKED, reason))
            results.append(apply_filter(destination.policy.filter, notice.event, notice.enrichment))
        for result, reason in results:
            if result is FilterResult.BLOCKED:
                await self._settle(delivery, State.FILTERED, reason)
                return False
            if result is FilterResult.UNKNOWN and not await self._send_unfiltered(delivery, reason):
                return False
        return True

    async def _send_unfiltered(self, delivery: Delivery, reason: str) -> bool:
        """
        Decide whether to send now although the tags are unknown; otherwise the delivery is held.
        """
        if self._on_error() is OnError.SEND:
            self.log.warn(
                "cannot apply the tag filter of {streamer}: {reason}; sending anyway (filter.on_error)",
                streamer=delivery.streamer,
                reason=reason,
                event_id=delivery.event_id,
            )
            return True
        self.log.warn(
            "cannot apply the tag filter of {streamer}: {reason}; retrying in {delay} (filter.on_error)",
            streamer=delivery.streamer,
            reason=reason,
            event_id=delivery.event_id,
            delay=Seconds(self._retry_delay),
        )
        await self._hold(delivery, reason)
        return False

    async def _hold(self, delivery: Delivery, reason: str) -> None:
        try:
            await self._journal.hold(delivery.id, self._clock.seconds() + self._retry_delay, reason)
        except JournalUnavailable as error:
            self._leave_to_poll(delivery, error)
        else:
            self._journal_failed = False

    def _leave_to_poll(self, delivery: Delivery, error: JournalUnavailable) -> None:
        """
        Leave a delivery to the poll. An outage of the journal is logged once, not for every delivery.
        """
        if not self._journal_failed:
            self.log.warn(
                "cannot store the payload of {event_id} for {destination}: {reason}; this and later deliveries wait for"
                " the journal",
                event_id=delivery.event_id,
                destination=delivery.destination,
                reason=str(error),
            )
        self._journal_failed = True

    async def _settle(self, delivery: Delivery, state: State, reason: str) -> None:
        now = self._clock.seconds()
        settled = await self._journal.settle(delivery.id, state, reason, now)
        self._journal_failed = False
        self._report(settled, now)

    def _report(self, settled: Delivery, now: float) -> None:
        report_unprepared(self.log, settled)
        for sink in self._sinks:
            sink.record(Outcome(delivery=settled, attempt=None, at=now))
