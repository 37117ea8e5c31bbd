"""
A simulated Twitch: the token server, Helix and EventSub, with faults that a test can plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, ClassVar, cast

from attrs import define, field
from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.web import http
from twisted.web.iweb import IAgent
from twisted.web.resource import IResource
from twisted.web.server import Request

from itsjustintv.simulator.behaviour import Script, act, avatar
from itsjustintv.simulator.eventsub import EventSub, VerificationReport, channel_update, stream_offline, stream_online
from itsjustintv.simulator.helix import SimulatedHelix
from itsjustintv.simulator.loopback import all_of
from itsjustintv.simulator.oauth import OAuth, Tokens
from itsjustintv.simulator.responses import Bucket
from itsjustintv.simulator.subscriptions import (
    ENABLED,
    FAILED,
    FAILURES_EXCEEDED,
    USER_REMOVED,
    SimulatedSubscription,
    SimulatedSubscriptions,
    loopback_too,
)
from itsjustintv.simulator.world import SimulatedChannel, SimulatedStream, World

__all__ = ["SimulatedTwitch"]


@define(eq=False)
class SimulatedTwitch:
    """
    OAuth at ``/oauth2``, Helix at ``/helix``, profile images at ``/images``; EventSub messages are sent with an agent.

    :ivar world: the channels and their broadcasts.
    :ivar faults: how the endpoints behave, by name: ``token``, ``validate``, ``revoke``, ``users``, ``channels``,
        ``streams``, ``channels/followers``, ``videos``, ``eventsub/subscriptions``, ``images``.
    :ivar challenge_after: seconds from the creation of a subscription to its challenge; at Twitch more than a minute
        was observed (pyTwitchAPI, issue 111). Below 0, the challenge is sent before the creation is answered.
    :ivar challenge_again: whether a challenge that is not answered with 2xx is resent like a notification; not
        documented (dev.twitch.tv, "Handling webhook events").
    :ivar patience: after this many messages in a row without an acknowledgement, all tries of one counting once, a
        subscription is revoked. "Handling webhook events" says "too many"; twitch4j reports one, the worst case.
    :ivar requests: method and path of every request, in order.
    """

    _clock: IReactorTime
    _agent: IAgent = field(repr=False)
    _random: Random
    client_id: str = "simulated-client-id-0123456789"
    client_secret: str = field(default="simulated-client-secret-0123456", repr=False)
    _callback_is_allowed: Callable[[str], bool] = loopback_too
    challenge_after: float = 0.0
    challenge_again: bool = False
    patience: int = 1
    world: World = field(init=False)
    tokens: Tokens = field(init=False)
    bucket: Bucket = field(init=False)
    subscriptions: SimulatedSubscriptions = field(init=False)
    eventsub: EventSub = field(init=False)
    faults: Script = field(factory=Script, init=False)
    requests: list[str] = field(factory=list, init=False)
    _planned: set[IDelayedCall] = field(factory=set, init=False)
    _failures: Counter[str] = field(factory=Counter, init=False, repr=False)
    _oauth: OAuth = field(init=False)
    _helix: SimulatedHelix = field(init=False)

    app: ClassVar[Klein] = Klein()

    def __attrs_post_init__(self) -> None:
        self.world = World(self._clock, self._random)
        self.tokens = Tokens(self._clock, self._random, self.client_id, self.client_secret)
        self.bucket = Bucket(self._clock)
        self.subscriptions = SimulatedSubscriptions(self._clock, self._random, self.world, self._callback_is_allowed)
        self.eventsub = EventSub(self._agent, self._clock, self._random)
        self._oauth = OAuth(self._clock, self.tokens, self.faults)
        self._helix = SimulatedHelix(
            self._clock, self.world, self.tokens, self.bucket, self.faults, self.subscriptions, self._verify_soon
        )

    def resource(self) -> IResource:
        return cast("IResource", self.app.resource())

    def subscribe(self, login: str, callback: str, secret: str) -> Deferred[VerificationReport]:
        """
        Subscribe a callback to ``stream.online`` of a channel without an API call; it still has to be verified.
        """
        broadcaster = self.world.channel(login).id
        return self.verify(self.subscriptions.add("stream.online", "1", broadcaster, callback, secret))

    def verify(self, subscription: SimulatedSubscription) -> Deferred[VerificationReport]:
        """
        Send a challenge. The subscription is enabled if the answer is 200 with exactly the challenge as body
        (dev.twitch.tv, "Handling webhook events", "Responding to a challenge request") and a ``Content-Length``:
        chunked answers have failed (github.com/twitchdev, issues 369).
        """
        message, challenge = self.eventsub.challenge(subscription)

        def judge(report: VerificationReport) -> VerificationReport:
            answer = report.tries[-1]
            right = answer.status == http.OK and answer.body == challenge and answer.measured
            self.subscriptions.set_status(subscription.id, ENABLED if right else FAILED)
            return report

        return self.eventsub.send(message, again=self.challenge_again).addCallback(judge)

    def announce(self, stream: SimulatedStream) -> Deferred[list[VerificationReport]]:
        """
        Send ``stream.online`` to every enabled subscription. Fires when each message is acknowledged or given up; a
        subscription that fails too often is revoked, see ``patience``.
        """
        return self._send("stream.online", stream.channel, stream_online(stream))

    def announce_end(self, channel: SimulatedChannel) -> Deferred[list[VerificationReport]]:
        """
        Send ``stream.offline``.
        """
        return self._send("stream.offline", channel, stream_offline(channel))

    def announce_change(self, channel: SimulatedChannel) -> Deferred[list[VerificationReport]]:
        """
        Send ``channel.update``, also for an offline channel.
        """
        return self._send("channel.update", channel, channel_update(channel))

    def remove(self, login: str, *, silently: bool = False) -> Deferred[list[VerificationReport]]:
        """
        Remove a channel, and revoke the subscriptions to it (dev.twitch.tv, "Handling webhook events":
        ``user_removed``).

        :param silently: send no revocation; Twitch does not promise one.
        """
        channel = self.world.remove(login)
        affected = [each for each in self.subscriptions if each.broadcaster_id == channel.id and each.counted]
        if silently:
            for each in affected:
                self.subscriptions.set_status(each.id, USER_REMOVED)
            return all_of([])
        return all_of(self.revoke(each, USER_REMOVED) for each in affected)

    def revoke(self, subscription: SimulatedSubscription, status: str) -> Deferred[VerificationReport]:
        """
        Revoke a subscription, with one message (dev.twitch.tv, "Handling webhook events",
        "Revoking your subscription").

        :param status: the reason, such as ``user_removed``.
        """
        ended = self.subscriptions.set_status(subscription.id, status) or subscription
        return self.eventsub.send(self.eventsub.revocation(ended), again=False)

    def after(self, delay: float, send: Callable[[], Deferred[Any]]) -> None:
        """
        Send something later, without waiting for it: Twitch promises no order (dev.twitch.tv, "EventSub").
        """

        def begin() -> None:
            self._planned.discard(call)
            send().addErrback(lambda failure: failure.trap(CancelledError))

        call = self._clock.callLater(delay, begin)
        self._planned.add(call)

    def stop(self) -> None:
        """
        Cancel every message, and send nothing more.
        """
        for call in self._planned:
            call.cancel()
        self._planned.clear()
        self.eventsub.stop()

    def _send(
        self, kind: str, channel: SimulatedChannel, event: Mapping[str, object]
    ) -> Deferred[list[VerificationReport]]:
        wanted = self.subscriptions.enabled(kind, channel.id)
        return all_of(self._notify(each, event) for each in wanted)

    def _notify(self, subscription: SimulatedSubscription, event: Mapping[str, object]) -> Deferred[VerificationReport]:
        async def notify() -> VerificationReport:
            report = await self.eventsub.send(self.eventsub.notification(subscription, event))
            self._failures[subscription.id] = 0 if report.acknowledged else self._failures[subscription.id] + 1
            if self._failures[subscription.id] >= self.patience:
                await self.revoke(subscription, FAILURES_EXCEEDED)
            return report

        return Deferred.fromCoroutine(notify())

    def _verify_soon(self, subscription: SimulatedSubscription) -> None:
        if self.challenge_after < 0:
            self.verify(subscription).addErrback(lambda failure: failure.trap(CancelledError))
        else:
            # On a later turn, so that the answer to the creation leaves first.
            self.after(self.challenge_after, lambda: self.verify(subscription))

    @app.route("/oauth2", branch=True)
    def _serve_oauth(self, request: Request) -> IResource:
        return self._record(request, self._oauth.app)

    @app.route("/helix", branch=True)
    def _serve_helix(self, request: Request) -> IResource:
        return self._record(request, self._helix.app)

    @app.route("/images/<user_id>.png")
    async def _serve_image(self, request: Request, user_id: str) -> bytes:
        self._note_request(request)
        behaviour = self.faults.next("images")
        body = await act(behaviour, request, self._clock)
        if not behaviour.well:
            return body
        if not self.world.channels(ids=[user_id]):
            request.setResponseCode(http.NOT_FOUND)
            return b""
        request.setHeader("content-type", "image/png")
        return avatar(user_id)

    def _record(self, request: Request, app: Klein) -> IResource:
        self._note_request(request)
        return cast("IResource", app.resource())

    def _note_request(self, request: Request) -> None:
        self.requests.append(f"{request.method.decode()} {request.path.decode()}")
