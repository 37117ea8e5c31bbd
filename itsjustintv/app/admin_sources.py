"""
Collects what the admin site shows from all parts, as its views.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, Literal, TypeVar

from attrs import asdict, define, evolve, field

from itsjustintv import __version__
from itsjustintv.admin.event_views import Signing, moment
from itsjustintv.admin.recent_stats import RecentStats
from itsjustintv.admin.sources import Sources
from itsjustintv.admin.views import (
    AccountingView,
    CardView,
    CertificateView,
    ConfigurationView,
    DestinationView,
    FactView,
    OpenPostView,
    PreviewLineView,
    RateView,
    ReasonView,
    ShardView,
    StatusView,
    StreamerView,
    SubscriptionsView,
    SubscriptionView,
    TransportView,
)
from itsjustintv.app.context import Context
from itsjustintv.app.delivery import DeliveryParts
from itsjustintv.app.twitch import SubscriptionParts, TwitchParts
from itsjustintv.app.web import WebParts
from itsjustintv.config.sections import CONDUIT
from itsjustintv.delivery.sample import SampleSender
from itsjustintv.destinations.message_samples import SAMPLES
from itsjustintv.destinations.request_preview import RequestPreview
from itsjustintv.journal.history import EventHistory, HistoryFilter, OpenPost, Place
from itsjustintv.model import Card, Destination, Streamer, Subscribed, Verdict, parse_rfc3339
from itsjustintv.support.clocks import shift_times
from itsjustintv.twitch.eventsub.shards import ShardStatus

__all__ = ["AdminSources"]

_T = TypeVar("_T")

# Limit of questions to the journal for one list of events.
_QUESTIONS = 10

# Posts that are named for a destination.
_POSTS = 5

# Seconds within which a newer frame does not reload the page.
_FRAMES_SHOWN = 30.0

_SHARD_STATES: Mapping[str, Literal["assigning", "connecting", "waiting", "stopped"]] = {
    "stopped": "stopped",
    "waiting": "waiting",
    "connecting": "connecting",
    "welcomed": "assigning",
    "assigned": "assigning",
}

_ADVICE = {
    Verdict.DESTINATION_GONE: (
        "Nothing is sent there any more: the service has no such place. Correct its address, then requeue what is dead"
    ),
    Verdict.UNAUTHORIZED: (
        "Nothing is sent there any more: the service does not know its token. Correct it, then requeue what is dead"
    ),
    Verdict.MOVED: "It has moved, and the daemon follows. Configure its new address, which the log has",
}

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
    Reads the parts of the daemon for the admin site.
    """

    _context: Context
    _twitch: TwitchParts
    _delivery: DeliveryParts
    _subscriptions: SubscriptionParts
    _web: WebParts
    _recent_stats: RecentStats
    _started_at: float = field(init=False)
    _previews: dict[str, tuple[Destination, Mapping[str, Any]]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._started_at = self._context.reactor.seconds()

    def sources(self) -> Sources:
        """
        Everything the admin site may read and do.
        """
        context, journal = self._context, self._context.journal
        sample_sender = SampleSender(
            self._delivery.senders.send,
            self._delivery.render,
            context.routing.destination,
            context.routing.streamers,
            context.new_event_id,
            context.wall,
        )
        return Sources(
            status=self.status,
            streamers=self.streamers,
            events=self.events,
            event=journal.find_event,
            deliveries=journal.list_deliveries,
            delivery=journal.find_delivery,
            signing=self.signing,
            destinations=self.destinations,
            certificates=self.certificates,
            configuration=self.configuration,
            rate=lambda: RateView(limit=self._twitch.bucket.limit, points=self._twitch.bucket.points),
            transport=self.transport,
            series=self._recent_stats.series,
            retry=journal.retry,
            resend=journal.resend,
            cancel=journal.cancel,
            test=sample_sender.send,
            picture=self._twitch.live_status.picture,
            mark=self.mark,
        )

    async def status(self) -> StatusView:
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
        A part of the streamers, live ones first, and how many match.
        """
        self._twitch.live_status.refresh_if_old()
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
        A part of the events. When few match, the journal is asked several times instead of once for long: deliveries
        are read in the same thread in between.
        """
        found: list[EventHistory] = []
        for _ in range(_QUESTIONS):
            part, after = await self._context.journal.list_events(after, limit - len(found), filters)
            found += part
            if after is None or len(found) >= limit:
                break
        return found, after

    def signing(self, name: str) -> Signing | None:
        """
        How deliveries to a destination are signed.
        """
        found = self._context.routing.destination(name)
        if found is None:
            return None
        return Signing(kind=_signature(found), signed=bool(found.secret), header=found.header, hashing=found.hashing)

    async def destinations(self, limit: int, start: int) -> tuple[Sequence[DestinationView], int]:
        """
        A part of the destinations, those that need attention first, and how many there are.
        """
        backlogs = {each.destination: each for each in await self._context.journal.backlogs()}
        routing, last = self._context.routing, self._recent_stats.last
        everywhere = routing.destinations()
        places = await self._context.journal.places()
        ailing = {
            name
            for name, each in everywhere.items()
            if name in backlogs or each.access in places or ((tried := last(name)) and not tried.ok)
        }
        names = [*(name for name in everywhere if name in ailing), *(name for name in everywhere if name not in ailing)]
        posts = _by_destination(await self._context.journal.open_posts())
        streamers = Counter(chain.from_iterable(each.destinations for each in routing.streamers()))
        return [
            DestinationView(
                name=name,
                type=everywhere[name].kind,
                signature=_signature(everywhere[name]),
                signed=bool(everywhere[name].secret),
                streamers=streamers[name],
                pending=backlogs[name].count if name in backlogs else 0,
                next_attempt_at=moment(backlogs[name].next_at) if name in backlogs else None,
                last=last(name),
                posts=len(posts.get(name, ())),
                open_posts=[
                    OpenPostView(streamer=each.streamer, since=moment(parse_rfc3339(each.started_at)))
                    for each in posts.get(name, ())[:_POSTS]
                ],
                **self._preview(everywhere[name]),
                **self._standing(everywhere[name], places),
            )
            for name in names[start : start + limit]
        ], len(names)

    def _preview(self, destination: Destination) -> Mapping[str, Any]:
        """
        Show a made-up broadcast as a destination with posts shows one: once, while it is configured as it is.
        """
        if not destination.keeps_posts:
            return {}
        known, shown = self._previews.get(destination.name, (None, {}))
        if known is not destination:
            request = RequestPreview.of(SAMPLES[0].notice, destination)
            card = request.card()
            shown = {
                "preview": [PreviewLineView(name=name, text=text) for name, text in request.texts()],
                "card": None if card is None else _card(card),
            }
            self._previews[destination.name] = (destination, shown)
        return shown

    def _standing(self, destination: Destination, places: Mapping[str, tuple[Verdict, str]]) -> Mapping[str, Any]:
        """
        What the service has said of a destination.
        """
        verdict, _ = places.get(destination.access, (None, ""))
        if verdict in _ADVICE:
            return {"state": verdict.value, "advice": _ADVICE[verdict]}
        until = self._delivery.queue.paused_until(destination)
        if until <= self._context.reactor.seconds():
            return {}
        ahead = self._context.clock_jumps.ahead
        return {"state": "paused", "advice": "The service takes nothing", "paused_until": moment(until + ahead)}

    def certificates(self) -> Sequence[CertificateView]:
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
        State of the configuration. Its problems and warnings quote no value.
        """
        status, loaded = self._to_wall_clock(self._context.config_service.status()), self._context.config_service.loaded
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

    def transport(self) -> TransportView:
        """
        How messages arrive.
        """
        subscriptions, shards = self._subscriptions, self._subscriptions.conduit.shards
        return TransportView(
            method="conduit" if self._context.config().twitch.transport == CONDUIT else "webhook",
            used=sorted(subscriptions.reconciler.methods),
            conduit_id=shards.conduit_id,
            problem=subscriptions.conduit_problem(),
            held=subscriptions.conduit.frames.held,
            shards=[_shard(each, self._context.clock_jumps.ahead) for each in shards.status()],
        )

    def _transport_mark(self) -> object:
        """
        A value that changes with what is shown of the transport; with the last frames only now and then, since there is
        one every few seconds.
        """
        view = self.transport()
        frames = [each.session.last_frame for each in self._subscriptions.conduit.shards.status()]
        seen = [None if each is None else each // _FRAMES_SHOWN for each in frames]
        return evolve(view, shards=[evolve(each, last_frame_at=None) for each in view.shards]), seen

    async def mark(self) -> object:
        """
        A value that changes whenever anything else here changes.
        """
        self._twitch.live_status.refresh_if_old()
        return (
            await self._context.journal.history_version(),
            self._web.health.reasons(),
            self._context.config_service.status(),
            self._subscriptions_view(),
            self._web.https.metrics(),
            self._transport_mark(),
            self._twitch.live_status.version,
        )

    def _to_wall_clock(self, value: _T) -> _T:
        """
        Convert its times to the machine's clock.
        """
        return shift_times(value, self._context.clock_jumps.ahead)

    def _subscriptions_view(self) -> SubscriptionsView:
        report = self._to_wall_clock(self._subscriptions.reconciler.report())
        return SubscriptionsView(
            wanted=report.wanted,
            enabled=report.enabled,
            pending=report.pending,
            broken=report.broken,
            incomplete=report.incomplete,
            checked_at=moment(report.at),
            next_at=moment(report.next_at or None),
            total_cost=report.total_cost,
            max_total_cost=report.max_total_cost,
            problem=report.last_error,
        )

    def _matches(self, streamer: Streamer, query: str) -> bool:
        name = self._twitch.live_status.display_name(streamer.user_id)
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


def _shard(each: ShardStatus, ahead: float) -> ShardView:
    """
    :param ahead: of the wall clock.
    """
    session = each.session
    return ShardView(
        id=each.id,
        state="standing_by" if each.standing_by else "enabled" if each.enabled else _SHARD_STATES[session.state],
        since=moment(session.since + ahead) or "",
        last_frame_at=None if session.last_frame is None else moment(session.last_frame + ahead),
        losses=session.losses,
        moves=session.moves,
        reason=session.reason,
        code=session.code,
    )


def _by_destination(posts: Sequence[OpenPost]) -> Mapping[str, Sequence[OpenPost]]:
    return {name: [*found] for name, found in groupby(posts, attrgetter("destination"))}


def _card(card: Card) -> CardView:
    return CardView(
        text=card.text,
        author=card.author,
        title=card.title,
        details=card.details,
        facts=[FactView(name=name, text=text) for name, text in card.facts],
        footer=card.footer,
        profile=card.profile,
        picture=card.picture,
        colour="" if card.colour is None else f"#{card.colour:06x}",
    )


def _signature(destination: Destination) -> str:
    """
    The kind of signature of a destination; empty for services, whose requests are not signed.
    """
    signs = destination.settings is None or hasattr(destination.settings, "signature")
    return destination.signature if signs else ""
