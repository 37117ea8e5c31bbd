"""
What the page and the API show, except events and deliveries. The docstrings are the descriptions in the OpenAPI
document.

Times are RFC 3339 in UTC, durations seconds. No field holds a secret or the URL of a webhook.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

from attrs import frozen

from itsjustintv.model import Subscribed

__all__ = [
    "AccountingView",
    "CardView",
    "CertificateView",
    "ConfigurationView",
    "DestinationView",
    "FactView",
    "LastAttemptView",
    "OpenPostView",
    "Page",
    "PointView",
    "PreviewLineView",
    "ProblemView",
    "RateView",
    "ReasonView",
    "ShardView",
    "StatusView",
    "StreamerView",
    "SubscriptionView",
    "SubscriptionsView",
    "TransportView",
]

T = TypeVar("T")


@frozen(kw_only=True)
class ProblemView:
    """
    Why a request failed (RFC 9457).

    :ivar type: always about:blank.
    :ivar title: reason phrase of the status.
    :ivar status: HTTP status.
    :ivar detail: explanation for people.
    """

    type: str
    title: str
    status: int
    detail: str


@frozen(kw_only=True)
class Page(Generic[T]):
    """
    One page of a list.

    :ivar items: may be empty, even if more follow.
    :ivar next: cursor of the next page; null at the end.
    """

    items: Sequence[T]
    next: str | None


@frozen(kw_only=True)
class ReasonView:
    """
    One reason why the daemon is not healthy.

    :ivar check: name of the health check that failed.
    :ivar reason: explanation for people.
    :ivar grave: whether it makes the daemon unhealthy, not just degraded.
    """

    check: str
    reason: str
    grave: bool


@frozen(kw_only=True)
class AccountingView:
    """
    All deliveries ever, by state.

    :ivar wanted: all of them: the sum of the other states.
    :ivar accepted: not prepared yet.
    :ivar pending: waiting for an attempt.
    :ivar delivered: accepted by the receiver.
    :ivar dead: given up after too many attempts.
    :ivar expired: given up because the event is too old.
    :ivar filtered: excluded by a tag filter.
    :ivar cancelled: ended by an operator or by a change of the configuration.
    :ivar superseded: replaced by a later delivery to the same post.
    :ivar imbalance: how many are unaccounted for; anything but 0 is a defect.
    """

    wanted: int
    accepted: int
    pending: int
    delivered: int
    dead: int
    expired: int
    filtered: int
    cancelled: int
    superseded: int
    imbalance: int


@frozen(kw_only=True)
class SubscriptionsView:
    """
    Subscriptions at Twitch.

    :ivar wanted: configured streamers whose user id is known.
    :ivar enabled: streamers with a working subscription.
    :ivar pending: streamers whose subscription Twitch is verifying; none with a conduit, where nothing is verified.
    :ivar broken: streamers without a working subscription.
    :ivar incomplete: streamers with one for starts of broadcasts, but without another one that is wanted.
    :ivar checked_at: when the subscriptions were last checked; null before the first time.
    :ivar next_at: when they are checked next, at the latest.
    :ivar total_cost: cost of all subscriptions of the client id.
    :ivar max_total_cost: the limit of that cost; 0 while it is not known.
    :ivar problem: why the last check failed, fully or in part; null if it succeeded.
    """

    wanted: int
    enabled: int
    pending: int
    broken: int
    incomplete: int
    checked_at: str | None
    next_at: str | None
    total_cost: int
    max_total_cost: int
    problem: str | None


@frozen(kw_only=True)
class StatusView:
    """
    Summary of the daemon.

    :ivar status: healthy; degraded, when something needs attention; unhealthy, when the daemon does not do its work.
    :ivar reasons: why it is not healthy.
    :ivar version: version of itsjustintv.
    :ivar now: current time of the daemon.
    :ivar started_at: when the daemon was started.
    :ivar streamers: number of configured streamers.
    :ivar live: number of streamers known to be live.
    :ivar under_way: attempts in progress.
    :ivar undelivered: dead or expired deliveries in the journal; they can be requeued.
    :ivar subscriptions: subscriptions at Twitch.
    :ivar accounting: all deliveries by state.
    """

    status: Literal["healthy", "degraded", "unhealthy"]
    reasons: Sequence[ReasonView]
    version: str
    now: str
    started_at: str
    streamers: int
    live: int
    under_way: int
    undelivered: int
    subscriptions: SubscriptionsView
    accounting: AccountingView


@frozen(kw_only=True)
class SubscriptionView:
    """
    Subscription of one streamer.

    :ivar state: enabled, when Twitch sends events; pending, while it verifies the callback of a webhook; broken; or
        unknown.
    :ivar reason: why it is not enabled, or which events other than starts of broadcasts do not arrive, and why; empty
        if all is well.
    """

    state: Subscribed
    reason: str


@frozen(kw_only=True)
class ShardView:
    """
    A shard of the conduit: a connection of the daemon to Twitch.

    :ivar id: its number.
    :ivar state: enabled, when messages arrive; assigning, while Twitch is asked to use the new session; connecting;
        waiting, until the next attempt to connect; standing_by, when another program receives its messages; stopped.
    :ivar since: when that state began; for an enabled shard, the start of its session.
    :ivar last_frame_at: when the last frame of any kind arrived; null before the first.
    :ivar losses: sessions that were lost; each left a gap.
    :ivar moves: changes to another connection that left none.
    :ivar reason: why the last session was lost, or could not be had; empty if there was no such case.
    :ivar code: close code of Twitch that belongs to the reason; null if there was none.
    """

    id: str
    state: Literal["enabled", "assigning", "connecting", "waiting", "standing_by", "stopped"]
    since: str
    last_frame_at: str | None
    losses: int
    moves: int
    reason: str
    code: int | None


@frozen(kw_only=True)
class TransportView:
    """
    How EventSub messages arrive.

    :ivar method: webhook or conduit, as configured.
    :ivar used: methods of the subscriptions there are: both during a change; empty before the first check.
    :ivar conduit_id: conduit in use; empty for webhooks, and while there is none.
    :ivar problem: why messages may be missed; null if nothing is known to be wrong. Webhooks are judged by the
        subscriptions alone.
    :ivar held: events from a conduit that wait in memory, since the journal cannot store them.
    :ivar shards: shards of the conduit.
    """

    method: Literal["webhook", "conduit"]
    used: Sequence[str]
    conduit_id: str
    problem: str | None
    held: int
    shards: Sequence[ShardView]


@frozen(kw_only=True)
class StreamerView:
    """
    A configured streamer. While the page is open Twitch is asked who is live, at most once a minute.

    :ivar key: name of the table in the configuration.
    :ivar login: login; empty when only the id is configured.
    :ivar user_id: user id at Twitch; empty while it is not known.
    :ivar name: display name at Twitch; otherwise the login.
    :ivar live: whether the streamer is live; null while it is not known.
    :ivar title: title of the broadcast; empty when the streamer is offline or it is not known.
    :ivar game: category of the broadcast; empty likewise.
    :ivar viewers: number of viewers; null likewise.
    :ivar live_since: when the broadcast started; null likewise.
    :ivar avatar: path of the profile image on this server; null when there is none.
    :ivar destinations: names of the destinations that are notified.
    :ivar subscription: subscription of the streamer.
    """

    key: str
    login: str
    user_id: str
    name: str
    live: bool | None
    title: str
    game: str
    viewers: int | None
    live_since: str | None
    avatar: str | None
    destinations: Sequence[str]
    subscription: SubscriptionView


@frozen(kw_only=True)
class LastAttemptView:
    """
    The last attempt at a destination.

    :ivar at: when it ended.
    :ivar ok: whether the response was 2xx.
    :ivar reason: one word.
    :ivar detail: explanation for people.
    :ivar status: status of the response; null if none came.
    :ivar duration: how long it took.
    :ivar response: beginning of the response.
    """

    at: str
    ok: bool
    reason: str
    detail: str
    status: int | None
    duration: float
    response: str


@frozen(kw_only=True)
class OpenPostView:
    """
    A post that stands at a destination and can still change.

    :ivar streamer: key of the streamer.
    :ivar since: when the broadcast began; null when that is not known.
    """

    streamer: str
    since: str | None


@frozen(kw_only=True)
class PreviewLineView:
    """
    A text of a message.

    :ivar name: its place in the message.
    :ivar text: text as the service gets it, of a made-up broadcast.
    """

    name: str
    text: str


@frozen(kw_only=True)
class FactView:
    """
    A fact on a card.

    :ivar name: what it is.
    :ivar text: as it is shown.
    """

    name: str
    text: str


@frozen(kw_only=True)
class CardView:
    """
    What people see of a message about a made-up broadcast.

    :ivar text: above the card.
    :ivar author: the line above the title.
    :ivar title: title of the card.
    :ivar details: lines below it.
    :ivar facts: facts, such as the category.
    :ivar footer: the last line.
    :ivar profile: whether the streamer's profile image is beside it.
    :ivar picture: whether it has a large picture.
    :ivar colour: colour of its edge, as #rrggbb; empty where the service has none.
    """

    text: str
    author: str
    title: str
    details: Sequence[str]
    facts: Sequence[FactView]
    footer: str
    profile: bool
    picture: bool
    colour: str


@frozen(kw_only=True)
class DestinationView:
    """
    A destination of notifications. Its URL is a secret.

    :ivar name: that of its table in the configuration; or streamers.KEY, or global_webhook.
    :ivar type: its type in the configuration: webhook, discord.
    :ivar signature: hub, standard or both; empty where deliveries are requests of a service, which are not signed.
    :ivar signed: whether there is a secret to sign with.
    :ivar streamers: number of streamers it is notified of.
    :ivar pending: number of pending deliveries.
    :ivar next_attempt_at: when the first of those is due; null without any.
    :ivar last: the last attempt; null when none is known.
    :ivar state: ok; gone or unauthorized, when nothing is sent there any more; moved; paused.
    :ivar advice: what the state means and what to do; empty when it is ok.
    :ivar paused_until: when the service takes the next message; null while it is not paused.
    :ivar posts: number of posts that can still change.
    :ivar open_posts: the first of these.
    :ivar preview: texts of a message; empty where there are no posts.
    :ivar card: the same as people see it; null where a message is no card.
    """

    name: str
    type: str
    signature: str
    signed: bool
    streamers: int
    pending: int
    next_attempt_at: str | None
    last: LastAttemptView | None
    state: str = "ok"
    advice: str = ""
    paused_until: str | None = None
    posts: int = 0
    open_posts: Sequence[OpenPostView] = ()
    preview: Sequence[PreviewLineView] = ()
    card: CardView | None = None


@frozen(kw_only=True)
class CertificateView:
    """
    A TLS certificate.

    :ivar name: host name.
    :ivar expires_at: when it expires; null while there is none.
    :ivar renew_at: when the next one is ordered; null when the operator renews it.
    :ivar problem: why the last order failed; empty if it succeeded.
    :ivar attempted: orders since the start.
    :ivar succeeded: orders that succeeded.
    :ivar failed: orders that failed.
    """

    name: str
    expires_at: str | None
    renew_at: str | None
    problem: str
    attempted: int
    succeeded: int
    failed: int


@frozen(kw_only=True)
class ConfigurationView:
    """
    State of the configuration.

    :ivar hash: hash of the configuration in use.
    :ivar changed_at: since when it is in use.
    :ivar succeeded_at: when the file was last valid.
    :ivar failed_at: when the file was last invalid; null if never.
    :ivar problems: what is wrong with the file.
    :ivar refused: changes that need a restart.
    :ivar warnings: values that are valid but probably not intended.
    :ivar applied: reloads that changed something.
    :ivar failed: reloads that failed.
    """

    hash: str
    changed_at: str
    succeeded_at: str
    failed_at: str | None
    problems: Sequence[str]
    refused: Sequence[str]
    warnings: Sequence[str]
    applied: int
    failed: int


@frozen(kw_only=True)
class RateView:
    """
    Rate limit of the Twitch API.

    :ivar limit: points of a full bucket.
    :ivar points: points left, at least.
    """

    limit: int
    points: int


@frozen(kw_only=True)
class PointView:
    """
    Five minutes of the recent past.

    :ivar at: when they began.
    :ivar seconds: their length.
    :ivar delivered: successful deliveries.
    :ivar failed: failed attempts.
    :ivar undelivered: deliveries that ended as dead or expired.
    :ivar median: median time from acceptance to delivery; null when nothing was delivered.
    :ivar slow: the same time at the 95th percentile.
    """

    at: str
    seconds: int
    delivered: int
    failed: int
    undelivered: int
    median: float | None
    slow: float | None
