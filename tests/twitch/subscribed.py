"""
A reconciler, a simulated Twitch that it talks to, and the callback between the two, on one clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from random import Random
from typing import Any, cast

from attrs import define, evolve, field
from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent, StubTreq
from twisted.internet.task import Clock
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from itsjustintv.config.sections import Twitch
from itsjustintv.errors import Refused
from itsjustintv.simulator.responses import Query
from itsjustintv.simulator.subscriptions import SimulatedSubscription
from itsjustintv.simulator.twitch import SimulatedTwitch
from itsjustintv.twitch.api.helix import Helix
from itsjustintv.twitch.api.oauth import AppToken
from itsjustintv.twitch.api.rate_limit import RateBucket
from itsjustintv.twitch.eventsub.messages import Challenge, Revocation, open_message
from itsjustintv.twitch.eventsub.reconciler import SubscriptionReconciler
from itsjustintv.twitch.eventsub.subscriptions_api import SubscriptionsAPI
from itsjustintv.twitch.eventsub.transport import ConduitTransport, WebhookTransport
from tests.doubles import MemoryLastKnown
from tests.twitch.fake import NOW, at_once

__all__ = ["CALLBACK", "SECRET", "Callback", "Scene"]

CALLBACK = "https://hooks.example.net/twitch"
SECRET = "a-secret-for-tests"


class Callback(Resource):
    """
    What Twitch reaches: answers as the daemon does, as long as it works.

    :ivar refused: messages that no secret explained.
    """

    isLeaf = True

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.works, self.hangs = True, False
        self.reconciler: SubscriptionReconciler | None = None
        self.refused = 0
        self._clock = clock

    def render(self, request: Request) -> bytes | int:
        if self.hangs:
            return NOT_DONE_YET
        if self.reconciler is None or not self.works:
            request.setResponseCode(502)
            return b""
        try:
            message = open_message(
                request.requestHeaders,
                request.content.read(),
                self.reconciler.secrets(),
                self._clock.seconds(),
                "an-id",
            )
        except Refused:
            self.refused += 1
            request.setResponseCode(403)
            return b""
        if isinstance(message, Revocation):
            self.reconciler.revoked(message)
        if not isinstance(message, Challenge):
            return b""
        return message.text.encode()


@define(eq=False)
class Scene:
    """
    Everything, with an hour in no time.

    :ivar conduit: the id of the conduit that is configured; empty for the callback.
    :ivar wanted: the streamers that are wanted, by user id.
    :ivar types: what is wanted of them besides their starts, by user id.
    :ivar ends: until when those who are not wanted any more may return, by user id.
    :ivar gaps: what the reconciler told of.
    """

    path: Path
    clock: Clock = field(factory=Clock)
    callback_url: str = CALLBACK
    secret: str = SECRET
    conduit: str = ""
    wanted: dict[str, str] = field(factory=dict)
    types: dict[str, Collection[str]] = field(factory=dict)
    certain: bool = True
    ends: dict[str, float] = field(factory=dict)
    last_known: MemoryLastKnown = field(factory=MemoryLastKnown)
    random: Random = field(factory=lambda: Random(7))
    gaps: list[Sequence[str]] = field(factory=list)
    callback: Callback = field(init=False)
    twitch: SimulatedTwitch = field(init=False)
    reconciler: SubscriptionReconciler = field(init=False)
    bucket: RateBucket = field(init=False)
    _agent: RequestTraversalAgent = field(init=False)
    _treq: StubTreq = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.clock.advance(NOW)
        self.callback = Callback(self.clock)
        self._agent = RequestTraversalAgent(self.callback)
        self.twitch = SimulatedTwitch(self.clock, self._agent, Random(1))
        self.new_process()

    def new_process(self) -> None:
        """
        Begin with nothing but what is on disk and at Twitch.
        """
        self._treq = StubTreq(self.twitch.resource())
        settings = Twitch(
            client_id=self.twitch.client_id,
            client_secret=self.twitch.client_secret,
            api_url="http://twitch.test/helix",
            auth_url="http://twitch.test/oauth2",
            token_file=str(self.path),
        )
        http = cast("HTTPClient", self._treq)
        token = AppToken(http, lambda: settings, self.clock, at_once)
        self.bucket = RateBucket(self.clock)
        self.reconciler = SubscriptionReconciler(
            SubscriptionsAPI(Helix(http, lambda: settings, token, self.bucket, self.clock)),
            lambda: self.wanted,
            lambda: (
                ConduitTransport(self.conduit) if self.conduit else WebhookTransport(self.callback_url, self.secret)
            ),
            self.last_known,
            self.clock,
            self.random.random,
            self.gaps.append,
            lambda: self.certain,
            lambda each: self.ends.get(each, 0.0),
            wanted=lambda: self.types,
        )
        self.callback.reconciler = self.reconciler

    def restart(self) -> None:
        """
        End the process and start another one.
        """
        self.stop()
        self.new_process()
        self.start()

    def start(self, seconds: float = 0.0) -> None:
        """
        Start the reconciler.
        """
        self.reconciler.startService()
        self.settle()
        self.let_pass(seconds)

    def stop(self) -> None:
        """
        Stop the reconciler.
        """
        if self.reconciler.running:
            self.reconciler.stopService()
            self.settle()

    def settle(self) -> None:
        """
        Let everything happen that needs no time.
        """
        for _ in range(3):
            self._treq.flush()
            self._agent.flush()
            self.clock.advance(0)

    def let_pass(self, seconds: float) -> None:
        """
        Let time pass, from one call to the next.
        """
        until = self.clock.seconds() + seconds
        self.settle()
        while (calls := self.clock.getDelayedCalls()) and (at := min(call.getTime() for call in calls)) <= until:
            self.clock.advance(max(0.0, at - self.clock.seconds()))
            self.settle()
        self.clock.advance(max(0.0, until - self.clock.seconds()))
        self.settle()

    def streamers(self, *logins: str, wanted: bool = True) -> list[str]:
        """
        Let somebody be on Twitch, and wanted.
        """
        ids = [self.twitch.world.add_streamer(login).id for login in logins]
        if wanted:
            self.wanted.update(zip(ids, logins, strict=True))
        return ids

    def subscription(self, broadcaster_id: str, **changes: Any) -> SimulatedSubscription:
        """
        Put a subscription at Twitch, past every check.
        """
        callback, secret = changes.pop("callback", CALLBACK), changes.pop("secret", SECRET)
        kind, version = changes.pop("type", "stream.online"), changes.pop("version", "1")
        made = self.twitch.subscriptions.add(kind, version, broadcaster_id, callback, secret)
        return self.change(made.id, **changes) if changes else made

    def change(self, subscription_id: str, **changes: Any) -> SimulatedSubscription:
        """
        Change a subscription at Twitch.
        """
        changed = self.twitch.subscriptions.change(subscription_id, **changes)
        assert changed is not None
        return changed

    def tell_of_the_end(self, subscription: SimulatedSubscription, status: str) -> None:
        """
        Have Twitch revoke a subscription and list it as before.
        """
        told = self.twitch.eventsub.revocation(evolve(subscription, status=status))
        self.twitch.eventsub.send(told, again=False)
        self.settle()

    def new_conduit(self) -> str:
        """
        A conduit at Twitch.
        """
        self.twitch.conduits.create(b'{"shard_count":2}', Query({}))
        *_, made = self.twitch.conduits
        return str(made.id)

    def find(self, chosen: Callable[[SimulatedSubscription], bool] = lambda each: True) -> list[SimulatedSubscription]:
        """
        Some of the subscriptions at Twitch.
        """
        return [each for each in self.twitch.subscriptions if chosen(each)]

    def statuses(self) -> dict[str, list[str]]:
        """
        The statuses of the subscriptions with our callback or conduit of today, by login or else user id.
        """
        found: dict[str, list[str]] = {}
        for each in self.find(self.is_ours):
            found.setdefault(self.wanted.get(each.broadcaster_id, each.broadcaster_id), []).append(each.status)
        return found

    def is_ours(self, subscription: SimulatedSubscription) -> bool:
        """
        Whether a subscription has the transport of today.
        """
        if self.conduit:
            return subscription.conduit_id == self.conduit
        return subscription.callback == self.callback_url

    def asked(self, method: str) -> int:
        """
        How often something was asked of the subscriptions.
        """
        return self.twitch.requests.count(f"{method} /helix/eventsub/subscriptions")
