"""
What the tests of the admin page show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred

from itsjustintv.admin.event_views import Signing
from itsjustintv.admin.sources import Sources
from itsjustintv.admin.views import (
    AccountingView,
    CardView,
    CertificateView,
    ConfigurationView,
    DestinationView,
    LastAttemptView,
    OpenPostView,
    PointView,
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
from itsjustintv.errors import DeliveryNotFound, JournalUnavailable, OperationRefused
from itsjustintv.journal.history import DeliveryHistory, EventHistory, HistoryFilter, Place
from itsjustintv.model import Attempt, Delivery, Picture, State, Subscribed
from tests.journal.values import attempt, deliveries, event

__all__ = ["HOSTILE", "House", "shard", "story", "streamer"]

#: What a streamer may call himself.
HOSTILE = "<script>alert(1)</script>\"'&\u202e\x1b[2J\x85\U0001f3ba"
AT = "2026-01-02T03:04:05.000Z"


def streamer(key: str = "tanuki", **changes: Any) -> StreamerView:
    """
    A streamer who is live.
    """
    values: dict[str, Any] = {
        "key": key,
        "login": key,
        "user_id": "42",
        "name": "Tanuki",
        "live": True,
        "title": "Pottery",
        "game": "Art",
        "viewers": 1234,
        "live_since": AT,
        "avatar": "/avatars/42",
        "destinations": (f"streamers.{key}",),
        "subscription": SubscriptionView(state=Subscribed.ENABLED, reason=""),
    }
    return StreamerView(**{**values, **changes})


def shard(shard_id: str = "0", **changes: Any) -> ShardView:
    """
    A shard that receives.
    """
    values: dict[str, Any] = {
        "id": shard_id,
        "state": "enabled",
        "since": AT,
        "last_frame_at": AT,
        "losses": 2,
        "moves": 1,
        "reason": "",
        "code": None,
    }
    return ShardView(**{**values, **changes})


def story(name: str = "e1", state: State = State.DELIVERED, **changes: Any) -> EventHistory:
    """
    An event with one delivery.
    """
    news = event(name, **{"received_at": 1_767_323_046.0, **changes})
    [delivery] = deliveries(news, "streamers.tanuki")
    body = b'{"timestamp":"2026-01-02T03:04:06.500000Z","stream":{"title":"Pottery","game_name":"Art"}}'
    waits = state in (State.ACCEPTED, State.PENDING)
    tried = attempt(ok=state is State.DELIVERED, started_at=news.received_at + 0.5)
    return EventHistory(
        event=news,
        title="Pottery",
        category="Art",
        deliveries=(
            DeliveryHistory(
                delivery=evolve(delivery, state=state, attempts=1, body=body, reason=tried.reason),
                finished_at=None if waits else news.received_at + 1,
                attempts=(tried,),
            ),
        ),
    )


@define(eq=False)
class House:
    """
    Everything that can be asked, answered from memory.

    :ivar orders: what was asked to be done.
    :ivar away: whether the journal is.
    """

    streamers: list[StreamerView] = field(factory=lambda: [streamer()])
    stories: list[EventHistory] = field(factory=lambda: [story()])
    orders: list[tuple[str, str]] = field(factory=list)
    asked: list[tuple[object, ...]] = field(factory=list)
    away: bool = False
    version: int = 0
    imbalance: int = 0
    reasons: Sequence[ReasonView] = ()
    goes_on: Place | None = None
    hold: Deferred[None] | None = None
    signings: dict[str, Signing] = field(
        factory=lambda: {
            "streamers.tanuki": Signing(kind="both", signed=True, header="X-Hub-Signature-256", hashing="sha256")
        }
    )
    card: CardView | None = None
    hours: list[float] = field(factory=list)
    transport: TransportView = field(
        factory=lambda: TransportView(
            method="conduit",
            used=["conduit"],
            conduit_id="26b1c993-bfcf-44d9-b876-379dacafe75a",
            problem="1 of 2 shards enabled: <b>Twitch</b>",
            held=0,
            shards=[shard(), shard("1", state="waiting", reason="<b>closed</b> with code 4006", code=4006)],
        )
    )

    def sources(self) -> Sources:
        """
        As the page is handed it.
        """
        return Sources(
            status=self.status,
            streamers=self.some,
            events=self.events,
            event=self.event,
            deliveries=self.deliveries,
            delivery=self.delivery,
            signing=self.signings.get,
            destinations=self.destinations,
            certificates=lambda: [
                CertificateView(
                    name="hooks.example.org",
                    expires_at=AT,
                    renew_at=None,
                    problem="",
                    attempted=1,
                    succeeded=1,
                    failed=0,
                )
            ],
            configuration=lambda: ConfigurationView(
                hash="3e9ea18646bb3f93",
                changed_at=AT,
                succeeded_at=AT,
                failed_at=AT,
                problems=["server.port: wrong"],
                refused=["storage.path: later"],
                warnings=["x: doubtful"],
                applied=1,
                failed=1,
            ),
            transport=lambda: self.transport,
            rate=lambda: RateView(limit=800, points=790),
            series=self.series,
            retry=self.retry,
            resend=self.resend,
            cancel=self.cancel,
            test=self.test,
            picture=self.picture,
            mark=self.mark,
        )

    def _ask(self) -> None:
        if self.away:
            raise JournalUnavailable("the disk is full")

    async def status(self) -> StatusView:
        self._ask()
        if self.hold is not None:
            await self.hold
        return StatusView(
            status="degraded" if self.reasons else "healthy",
            reasons=self.reasons,
            version="1",
            now=AT,
            started_at=AT,
            streamers=len(self.streamers),
            live=1,
            under_way=0,
            undelivered=sum(one.delivery.state.is_undelivered for each in self.stories for one in each.deliveries),
            subscriptions=SubscriptionsView(
                wanted=1,
                enabled=1,
                pending=0,
                broken=0,
                incomplete=0,
                checked_at=AT,
                next_at=AT,
                total_cost=1,
                max_total_cost=10000,
                problem=None,
            ),
            accounting=AccountingView(
                wanted=3,
                accepted=0,
                pending=1,
                delivered=1,
                dead=1,
                expired=0,
                filtered=0,
                cancelled=0,
                superseded=0,
                imbalance=self.imbalance,
            ),
        )

    def some(self, query: str, limit: int, start: int) -> tuple[Sequence[StreamerView], int]:
        found = [each for each in self.streamers if query in each.key]
        return found[start : start + limit], len(found)

    async def events(
        self,
        after: Place | None,
        limit: int,
        filters: HistoryFilter,
    ) -> tuple[Sequence[EventHistory], Place | None]:
        self._ask()
        self.asked.append((after, limit, filters))
        return self.stories[:limit], self.goes_on

    async def event(self, event_id: str) -> EventHistory | None:
        return next((each for each in self.stories if each.event.id == event_id), None)

    async def deliveries(
        self,
        after: Place | None,
        limit: int,
        filters: HistoryFilter,
    ) -> tuple[Sequence[DeliveryHistory], Place | None]:
        self._ask()
        self.asked.append((after, limit, filters))
        found = [
            one
            for each in self.stories
            for one in each.deliveries
            if not filters.states or one.delivery.state in filters.states
        ]
        return found[:limit], self.goes_on

    async def delivery(self, delivery_id: str) -> EventHistory | None:
        self._ask()
        return next((each for each in self.stories if each.deliveries[0].delivery.id == delivery_id), None)

    async def destinations(self, limit: int, start: int) -> tuple[Sequence[DestinationView], int]:
        last = LastAttemptView(
            at=AT,
            ok=False,
            reason="http_503",
            detail="It answered 503.",
            status=503,
            duration=0.1,
            response="out of tea",
        )
        found = [
            DestinationView(
                type="webhook",
                name="streamers.tanuki",
                signature="hub",
                signed=True,
                streamers=1,
                pending=1,
                next_attempt_at=AT,
                last=last,
            ),
            DestinationView(
                type="webhook",
                name="main",
                signature="",
                state="gone",
                advice="Nothing is sent there any more",
                posts=3,
                open_posts=[OpenPostView(streamer="<b>tanuki</b>", since=AT)],
                preview=[PreviewLineView(name="content", text="<script>alert(1)</script> \u202e is live")],
                card=self.card,
                signed=False,
                streamers=0,
                pending=0,
                next_attempt_at=None,
                last=None,
            ),
            DestinationView(
                type="webhook",
                name="global_webhook",
                signature="both",
                signed=False,
                streamers=0,
                pending=0,
                next_attempt_at=None,
                last=None,
            ),
        ]
        return found[start : start + limit], len(found)

    def series(self, seconds: float) -> Sequence[PointView]:
        self.hours.append(seconds / 3600)
        return [
            PointView(
                at=f"2026-01-02T03:{5 * number:02}:00.000Z",
                seconds=300,
                delivered=number,
                failed=number % 3,
                undelivered=0,
                median=0.1 * number or None,
                slow=0.2 * number or None,
            )
            for number in range(12)
        ]

    async def retry(self, delivery_id: str) -> Delivery:
        return self._order("retry", delivery_id)

    async def resend(self, delivery_id: str) -> Delivery:
        done = self._order("resend", delivery_id)
        return evolve(done, id="e3-2") if delivery_id == "e3-1" else done

    async def cancel(self, delivery_id: str) -> Delivery:
        return self._order("cancel", delivery_id)

    async def test(self, name: str, happened: str) -> Attempt:
        self._order("test" if happened == "online" else f"test of {happened}", name)
        return attempt(ok=True)

    def _order(self, what: str, about: str) -> Delivery:
        self._ask()
        if about == "nothing":
            raise DeliveryNotFound(f"there is no delivery {about}")
        if about == "busy":
            raise OperationRefused("busy is delivered already")
        self.orders.append((what, about))
        [one] = deliveries(event("e"), "streamers.tanuki")
        return evolve(one, id=about)

    async def picture(self, user_id: str) -> Picture | None:
        return Picture(url="", mime_type="image/png", data=b"\x89PNG") if user_id == "42" else None

    async def mark(self) -> object:
        self._ask()
        return self.version
