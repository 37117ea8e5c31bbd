"""
What the admin page shows: each part asked for what it knows, and told in the page's terms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import TypeVar

from attrs import asdict, define, field
from twisted.internet.defer import Deferred

from itsjustintv import __version__
from itsjustintv.admin.event_views import Signing, moment
from itsjustintv.admin.recent_stats import RecentStats
from itsjustintv.admin.sources import Declined, Sources, Unknown
from itsjustintv.admin.views import (
    AccountingView,
    CertificateView,
    ConfigurationView,
    DestinationView,
    RateView,
    ReasonView,
    StatusView,
    StreamerView,
    SubscriptionsView,
    SubscriptionView,
)
from itsjustintv.app.context import Context
from itsjustintv.app.delivery import DeliveryParts
from itsjustintv.app.twitch import SubscriptionParts, TwitchParts
from itsjustintv.app.web import WebParts
from itsjustintv.delivery.sample import SampleRefused, SampleSender
from itsjustintv.errors import AmbiguousId, DeliveryNotFound, OperationRefused
from itsjustintv.journal.history import DeliveryHistory, EventHistory, HistoryFilter, Place
from itsjustintv.model import Attempt, Streamer, Subscribed, parse_rfc3339
from itsjustintv.support.clocks import shift_times

__all__ = ["AdminSources"]

_T = TypeVar("_T")

# How often the journal is asked for one list of events that few fit into, at the most.
_QUESTIONS = 10

_ORDER = {
    Subscribed.BROKEN: 1,
    Subscribed.UNKNOWN_LOGIN: 1,
    Subscribed.UNKNOWN: 2,
    Subscribed.PENDING: 2,
    Subscribed.ENABLED: 3,
}


@define(eq=False)
class AdminSources:
    """
    Answers for every part.
    """

    _context: Context
    _twitch: TwitchParts
    _delivery: DeliveryParts
    _subscriptions: SubscriptionParts
    _web: WebParts
    _recent_stats: RecentStats
    _started_at: float = field(init=False)
    _sample_sender: SampleSender = field(init=False)

    def __attrs_post_init__(self) -> None:
        context = self._context
        self._started_at = context.reactor.seconds()
        self._sample_sender = SampleSender(
            self._delivery.sender.send,
            self._delivery.render,
            context.routing.destination,
            context.routing.streamers,
            context.new_event_id,
            context.wall,
        )

    def sources(self) -> Sources:
        """
        Everything that can be asked.
        """
        return Sources(
            status=self.status,
            streamers=self.streamers,
            events=self.events,
            event=self.event,
            deliveries=self.deliveries,
            delivery=self.delivery,
            signing=self.signing,
            destinations=self.destinations,
            certificates=self.certificates,
            configuration=self.configuration,
            rate=lambda: RateView(limit=self._twitch.bucket.limit, points=self._twitch.bucket.points),
            series=self._recent_stats.series,
            retry=self.retry,
            resend=self.resend,
            cancel=self.cancel,
            test=self.test,
            picture=self._twitch.live_status.picture,
            mark=self.mark,
        )

    async def status(self) -> StatusView:
        """
        The whole in short.
        """
        account = await self._context.journal.accounting()
        undelivered = await self._context.journal.undelivered()
        failed, degraded = self._web.health.reasons()
        return StatusView(
            status=self._web.health.status(failed, degraded),
            reasons=[
                *(ReasonView(**each, grave=True) for each in failed),
                *(ReasonView(**each, grave=False) for each in degraded),
            ],
            version=__version__,
            now=moment(self._context.wall.seconds()) or "",
            started_at=moment(self._started_at + self._context.clock_jumps.ahead) or "",
            streamers=len(self._context.routing.streamers()),
            live=len(self._twitch.live_status.live()),
            under_way=self._delivery.queue.under_way,
            subscriptions=self._subscriptions_view(),
            undelivered=undelivered,
            accounting=AccountingView(**asdict(account), imbalance=account.imbalance),
        )

    def streamers(self, query: str, limit: int, start: int) -> tuple[Sequence[StreamerView], int]:
        """
        Some of the streamers, and how many there are.
        """
        self._twitch.live_status.look()
        query = query.casefold()
        live = self._twitch.live_status.live()
        ranked: tuple[list[Streamer], ...] = ([], [], [], [])
        for each in self._context.routing.streamers():
            if not query or self._matches(each, query):
                ranked[0 if each.user_id in live else _ORDER[self._state(each)[0]]].append(each)
        found = [each for rank in ranked for each in rank]
        return [self._streamer(each) for each in found[start : start + limit]], len(found)

    async def events(
        self,
        after: Place | None,
        limit: int,
        filters: HistoryFilter,
    ) -> tuple[Sequence[EventHistory], Place | None]:
        """
        Some of the events. Where few of them are looked for the journal is asked several times, so that deliveries,
        which are read in the same thread, get their turn in between.
        """
        found: list[EventHistory] = []
        for _ in range(_QUESTIONS):
            part, after = await self._context.journal.list_events(after, limit - len(found), filters)
            found += part
            if after is None or len(found) >= limit:
                break
        return found, after

    async def event(self, event_id: str) -> EventHistory | None:
        """
        One event, by its id or a prefix of it.
        """
        return await self._ask(self._context.journal.find_event(event_id))

    async def deliveries(
        self,
        after: Place | None,
        limit: int,
        filters: HistoryFilter,
    ) -> tuple[Sequence[DeliveryHistory], Place | None]:
        """
        Some of the deliveries.
        """
        return await self._context.journal.list_deliveries(after, limit, filters)

    async def delivery(self, delivery_id: str) -> EventHistory | None:
        """
        One delivery, by its id or a prefix of it.
        """
        return await self._ask(self._context.journal.find_delivery(delivery_id))

    def signing(self, name: str) -> Signing | None:
        """
        How deliveries to a destination are signed.
        """
        found = self._context.routing.destination(name)
        if found is None:
            return None
        return Signing(kind=found.signature, signed=bool(found.secret), header=found.header, hashing=found.hashing)

    async def destinations(self, limit: int, start: int) -> tuple[Sequence[DestinationView], int]:
        """
        Some of the destinations, and how many there are.
        """
        waiting = {each.destination: each for each in await self._context.journal.backlogs()}
        routing, last = self._context.routing, self._recent_stats.last
        everywhere = routing.destinations()
        ailing = {name for name in everywhere if name in waiting or ((tried := last(name)) and not tried.ok)}
        names = [*(name for name in everywhere if name in ailing), *(name for name in everywhere if name not in ailing)]
        streamers = Counter(chain.from_iterable(each.destinations for each in routing.streamers()))
        return [
            DestinationView(
                name=name,
                signature=everywhere[name].signature,
                signed=bool(everywhere[name].secret),
                streamers=streamers[name],
                pending=waiting[name].count if name in waiting else 0,
                next_attempt_at=moment(waiting[name].next_at) if name in waiting else None,
                last=last(name),
            )
            for name in names[start : start + limit]
        ], len(names)

    def certificates(self) -> Sequence[CertificateView]:
        """
        Every certificate.
        """
        return [
            CertificateView(
                name=each.name,
                expires_at=moment(each.not_after),
                renew_at=moment(each.renew_at),
                problem=each.problem,
                attempted=each.attempted,
                succeeded=each.succeeded,
                failed=each.failed,
            )
            for each in self._web.https.metrics()
        ]

    def configuration(self) -> ConfigurationView:
        """
        Where the configuration stands. Its problems and warnings quote no value.
        """
        status, loaded = self._on_the_wall(self._context.config_service.status()), self._context.config_service.loaded
        return ConfigurationView(
            hash=status.hash,
            changed_at=moment(status.changed_at) or "",
            succeeded_at=moment(status.succeeded_at) or "",
            failed_at=moment(status.failed_at),
            problems=[str(each) for each in status.problems],
            refused=[str(each) for each in status.refused],
            warnings=[str(each) for each in loaded.warnings],
            applied=status.applied,
            failed=status.failed,
        )

    async def retry(self, delivery_id: str) -> None:
        """
        Send what has ended undelivered again.
        """
        await self._ask(self._context.journal.retry(delivery_id))

    async def resend(self, delivery_id: str) -> str:
        """
        Send what was delivered again, as another delivery.

        :return: its id.
        """
        return (await self._ask(self._context.journal.resend(delivery_id))).id

    async def cancel(self, delivery_id: str) -> None:
        """
        End what has not ended.
        """
        await self._ask(self._context.journal.cancel(delivery_id))

    async def test(self, name: str) -> Attempt:
        """
        Send a test notification.
        """
        try:
            attempt = await self._sample_sender.send(name)
        except SampleRefused as error:
            raise Declined(str(error)) from None
        if attempt is None:
            raise Unknown(f"there is no destination {name}")
        return attempt

    async def mark(self) -> object:
        """
        Something that is different whenever anything else here is.
        """
        self._twitch.live_status.look()
        return (
            await self._context.journal.history_version(),
            self._web.health.reasons(),
            self._context.config_service.status(),
            self._subscriptions_view(),
            self._web.https.metrics(),
            self._twitch.live_status.version,
        )

    async def _ask(self, answer: Deferred[_T]) -> _T:
        """
        Wait for the journal's answer about something that an operator named.

        :raises Unknown: it is not there.
        :raises Declined: the name is ambiguous, or what is asked for makes no sense.
        """
        try:
            return await answer
        except DeliveryNotFound as error:
            raise Unknown(str(error)) from None
        except (AmbiguousId, OperationRefused) as error:
            raise Declined(str(error)) from None

    def _on_the_wall(self, value: _T) -> _T:
        """
        With its moments as the clock of the machine has them.
        """
        return shift_times(value, self._context.clock_jumps.ahead)

    def _subscriptions_view(self) -> SubscriptionsView:
        report = self._on_the_wall(self._subscriptions.reconciler.report())
        return SubscriptionsView(
            wanted=report.wanted,
            enabled=report.enabled,
            pending=report.pending,
            broken=report.broken,
            checked_at=moment(report.at),
            next_at=moment(report.next_at or None),
            total_cost=report.total_cost,
            max_total_cost=report.max_total_cost,
            problem=report.last_error,
        )

    def _matches(self, streamer: Streamer, query: str) -> bool:
        name = self._twitch.live_status.name(streamer.user_id)
        return any(query in text.casefold() for text in (streamer.key, streamer.login, streamer.user_id, name))

    def _state(self, streamer: Streamer) -> tuple[Subscribed, str]:
        absence = self._subscriptions.unknown_users.reason(streamer)
        if not streamer.user_id:
            if absence is not None:
                return Subscribed.UNKNOWN_LOGIN, f"{absence}; correct the login in the configuration"
            why = self._subscriptions.user_ids.problem() or "Twitch has not been asked for the id of this login yet"
            return Subscribed.UNKNOWN, why
        found = self._subscriptions.reconciler.state(streamer.user_id) or (Subscribed.UNKNOWN, "not looked at yet")
        return found if absence is None or found[0] is Subscribed.ENABLED else (Subscribed.BROKEN, absence)

    def _streamer(self, streamer: Streamer) -> StreamerView:
        presence = self._twitch.live_status.presence(streamer.user_id)
        state, reason = self._state(streamer)
        return StreamerView(
            key=streamer.key,
            login=streamer.login,
            user_id=streamer.user_id,
            name=presence.name or streamer.login or streamer.key,
            live=presence.live,
            title=presence.title,
            game=presence.game,
            viewers=presence.viewers,
            live_since=moment(parse_rfc3339(presence.started_at)),
            avatar=f"/avatars/{streamer.user_id}" if presence.pictured else None,
            destinations=streamer.destinations,
            subscription=SubscriptionView(state=state, reason=reason),
        )
