"""
What is shown, by the page and as JSON alike. Every field is explained where it is declared; the OpenAPI document is
made of that.

Moments are RFC 3339 in UTC, durations seconds. There is no secret in any of it, and no address of a webhook.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

from attrs import frozen

from itsjustintv.model import Subscribed

__all__ = [
    "AccountingView",
    "CertificateView",
    "ConfigurationView",
    "DestinationView",
    "LastAttemptView",
    "Page",
    "PointView",
    "ProblemView",
    "RateView",
    "ReasonView",
    "StatusView",
    "StreamerView",
    "SubscriptionView",
    "SubscriptionsView",
]

T = TypeVar("T")


@frozen(kw_only=True)
class ProblemView:
    """
    Why a request was not answered (RFC 9457).

    :ivar type: always about:blank.
    :ivar title: the words of the status.
    :ivar status: the status.
    :ivar detail: for a person.
    """

    type: str
    title: str
    status: int
    detail: str


@frozen(kw_only=True)
class Page(Generic[T]):
    """
    A part of a list.

    :ivar items: perhaps none, even if there are more.
    :ivar next: what to give as cursor for those that follow; null at the end.
    """

    items: Sequence[T]
    next: str | None


@frozen(kw_only=True)
class ReasonView:
    """
    Something that is not well.

    :ivar check: which part says so.
    :ivar reason: for a person.
    :ivar grave: whether the daemon does not do its work for that.
    """

    check: str
    reason: str
    grave: bool


@frozen(kw_only=True)
class AccountingView:
    """
    What became of every event for every destination it was to be told to, ever.

    :ivar wanted: how many there were; the sum of all that follow.
    :ivar accepted: not prepared yet.
    :ivar pending: to be sent, or sent again.
    :ivar delivered: taken by the receiver.
    :ivar dead: given up on after too many attempts.
    :ivar expired: too old to be news.
    :ivar filtered: not wanted, by a tag filter.
    :ivar cancelled: ended by an operator, or by a change of the configuration.
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
    imbalance: int


@frozen(kw_only=True)
class SubscriptionsView:
    """
    How the subscriptions at Twitch stand.

    :ivar wanted: streamers that are to be heard of, as far as their ids are known.
    :ivar enabled: those whose events arrive.
    :ivar pending: those whose subscription Twitch is verifying.
    :ivar broken: the others.
    :ivar checked_at: when they were last looked at; null before the first time.
    :ivar next_at: when they are looked at again, unless something happens before.
    :ivar total_cost: what all subscriptions of the client id cost.
    :ivar max_total_cost: what they may cost; 0 while it is not known.
    :ivar problem: why the last look, or a part of it, failed; null if it did not.
    """

    wanted: int
    enabled: int
    pending: int
    broken: int
    checked_at: str | None
    next_at: str | None
    total_cost: int
    max_total_cost: int
    problem: str | None


@frozen(kw_only=True)
class StatusView:
    """
    The whole in short.

    :ivar status: healthy; degraded, when something needs attention; unhealthy, when the daemon does not do its work.
    :ivar reasons: why it is not healthy.
    :ivar version: of itsjustintv.
    :ivar now: the time of the daemon.
    :ivar started_at: when it was started.
    :ivar streamers: how many are configured.
    :ivar live: how many of them are live, as far as it is known.
    :ivar under_way: attempts that are being made at this moment.
    :ivar undelivered: deliveries in the journal that ended as dead or expired, and can be sent again.
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
    How it stands with the subscription of one streamer.

    :ivar state: enabled, when events arrive; pending, while Twitch verifies the callback; broken; or unknown.
    :ivar reason: why it is not enabled; empty if it is.
    """

    state: Subscribed
    reason: str


@frozen(kw_only=True)
class StreamerView:
    """
    A streamer. What Twitch says of a broadcast is asked for while the page is open, once in a minute at the most.

    :ivar key: the name of the table in the configuration.
    :ivar login: empty when only the id is configured.
    :ivar user_id: empty while it is not known.
    :ivar name: as Twitch shows it; else the login.
    :ivar live: null while it is not known.
    :ivar title: of the broadcast; empty when there is none or it is not known, as all that follow.
    :ivar game: its category.
    :ivar viewers: how many watch.
    :ivar live_since: when it began.
    :ivar avatar: path of the profile image on this server.
    :ivar destinations: where it is announced.
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
    The last attempt at a destination that is remembered.

    :ivar at: when it ended.
    :ivar ok: whether the answer was 2xx.
    :ivar reason: a word.
    :ivar detail: for a person.
    :ivar status: of the answer, if one came.
    :ivar duration: how long it took.
    :ivar response: the beginning of the answer.
    """

    at: str
    ok: bool
    reason: str
    detail: str
    status: int | None
    duration: float
    response: str


@frozen(kw_only=True)
class DestinationView:
    """
    Where notifications go. Its address is a secret.

    :ivar name: streamers.KEY, or global_webhook.
    :ivar signature: hub, standard or both.
    :ivar signed: whether there is a secret to sign with.
    :ivar streamers: how many are announced there.
    :ivar pending: deliveries that wait for it.
    :ivar next_attempt_at: when the first of those is due.
    :ivar last: null when none is remembered.
    """

    name: str
    signature: str
    signed: bool
    streamers: int
    pending: int
    next_attempt_at: str | None
    last: LastAttemptView | None


@frozen(kw_only=True)
class CertificateView:
    """
    A certificate that is served, or to be had.

    :ivar name: of the host.
    :ivar expires_at: null while there is none.
    :ivar renew_at: when the next one is ordered; null if it is not by itself.
    :ivar problem: why the last attempt failed; empty if it did not.
    :ivar attempted: orders since the start.
    :ivar succeeded: those that led to a certificate.
    :ivar failed: those that did not.
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
    Where the configuration stands.

    :ivar hash: of the one in use.
    :ivar changed_at: since when it is in use.
    :ivar succeeded_at: when the file was last found to be usable.
    :ivar failed_at: when it was last found not to be; null if never.
    :ivar problems: what was wrong with it the last time.
    :ivar refused: what waits for a restart.
    :ivar warnings: what is allowed and yet seldom meant.
    :ivar applied: reloads that have changed something.
    :ivar failed: reloads that have failed.
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
    What Helix lets us ask.

    :ivar limit: points of a full bucket.
    :ivar points: what is left, at the least.
    """

    limit: int
    points: int


@frozen(kw_only=True)
class PointView:
    """
    Some minutes of the recent past.

    :ivar at: when they began.
    :ivar seconds: how long they are.
    :ivar delivered: deliveries that were taken.
    :ivar failed: attempts that were not.
    :ivar undelivered: deliveries that ended as dead or expired.
    :ivar median: from acceptance to delivery; null when nothing was delivered.
    :ivar slow: the same for the slowest twentieth.
    """

    at: str
    seconds: int
    delivered: int
    failed: int
    undelivered: int
    median: float | None
    slow: float | None
