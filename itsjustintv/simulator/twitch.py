"""
A whole Twitch, as far as a program that wants to know who goes live can see it.
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
    OAuth at ``/oauth2``, Helix at ``/helix``, profile images at ``/images``; EventSub goes out through an agent.

    :ivar world: who streams.
    :ivar faults: how the endpoints behave, by name: ``token``, ``validate``, ``revoke``, ``users``, ``channels``,
        ``streams``, ``channels/followers``, ``eventsub/subscriptions``, ``images``.
    :ivar challenge_after: seconds from a creation to its challenge; nothing is promised, more than a minute was seen
        (pyTwitchAPI, issue 111). Below 0, the challenge is on its way before the creation is answered.
    :ivar challenge_again: whether a challenge that is not answered with 2xx is sent again as a notification would be;
        nothing is documented (dev.twitch.tv, "Handling webhook events").
    :ivar patience: how many messages in a row a callback may fail to acknowledge, however often each is sent, before
        its subscription ends. "Handling webhook events" says "too many"; what twitch4j reports is one, the worst case.
    :ivar requests: method and path of everything that was asked for, in order.
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
        """
        Everything this Twitch serves.
        """
        return cast("IResource", self.app.resource())

    def subscribe(self, login: str, callback: str, secret: str) -> Deferred[VerificationReport]:
        """
        Let an application that has not asked for it hear when somebody goes live, once its callback is verified.
        """
        broadcaster = self.world.channel(login).id
        return self.verify(self.subscriptions.add("stream.online", "1", broadcaster, callback, secret))

    def verify(self, subscription: SimulatedSubscription) -> Deferred[VerificationReport]:
        """
        Challenge a callback. The subscription is enabled if the answer is 200 and exactly the challenge (dev.twitch.tv,
        "Handling webhook events", "Responding to a challenge request"), and of announced length, since deployments
        whose answers came in chunks have failed (github.com/twitchdev, issues 369).
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
        Tell every enabled subscription of a broadcast; fires when each has acknowledged it, or never will. One that
        does not, again and again, ends with a revocation, see ``patience``.
        """
        return self._tell("stream.online", stream.channel, stream_online(stream))

    def announce_end(self, channel: SimulatedChannel) -> Deferred[list[VerificationReport]]:
        """
        Tell of the end of a broadcast.
        """
        return self._tell("stream.offline", channel, stream_offline(channel))

    def announce_change(self, channel: SimulatedChannel) -> Deferred[list[VerificationReport]]:
        """
        Tell what a channel has become, which is told of somebody who is not live as well.
        """
        return self._tell("channel.update", channel, channel_update(channel))

    def remove(self, login: str, *, silently: bool = False) -> Deferred[list[VerificationReport]]:
        """
        Close somebody's account, and end the subscriptions to it (dev.twitch.tv, "Handling webhook events":
        ``user_removed``).

        :param silently: without a word; there is no promise of one.
        """
        channel = self.world.remove(login)
        theirs = [each for each in self.subscriptions if each.broadcaster_id == channel.id and each.counted]
        if silently:
            for each in theirs:
                self.subscriptions.set_status(each.id, USER_REMOVED)
            return all_of([])
        return all_of(self.revoke(each, USER_REMOVED) for each in theirs)

    def revoke(self, subscription: SimulatedSubscription, status: str) -> Deferred[VerificationReport]:
        """
        End a subscription and say so, once; nothing more is sent for it (dev.twitch.tv, "Handling webhook events",
        "Revoking your subscription").

        :param status: why, such as ``user_removed``.
        """
        ended = self.subscriptions.set_status(subscription.id, status) or subscription
        return self.eventsub.send(self.eventsub.revocation(ended), again=False)

    def after(self, delay: float, tell: Callable[[], Deferred[Any]]) -> None:
        """
        Tell something later, and let nobody wait for it: Twitch promises no order (dev.twitch.tv, "EventSub").
        """

        def begin() -> None:
            self._planned.discard(call)
            tell().addErrback(lambda failure: failure.trap(CancelledError))

        call = self._clock.callLater(delay, begin)
        self._planned.add(call)

    def stop(self) -> None:
        """
        Send nothing more, whatever is still asked for.
        """
        for call in self._planned:
            call.cancel()
        self._planned.clear()
        self.eventsub.stop()

    def _tell(
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
        return self._noted(request, self._oauth.app)

    @app.route("/helix", branch=True)
    def _serve_helix(self, request: Request) -> IResource:
        return self._noted(request, self._helix.app)

    @app.route("/images/<user_id>.png")
    async def _serve_image(self, request: Request, user_id: str) -> bytes:
        self._note(request)
        behaviour = self.faults.next("images")
        body = await act(behaviour, request, self._clock)
        if not behaviour.well:
            return body
        if not self.world.channels(ids=[user_id]):
            request.setResponseCode(http.NOT_FOUND)
            return b""
        request.setHeader("content-type", "image/png")
        return avatar(user_id)

    def _noted(self, request: Request, app: Klein) -> IResource:
        self._note(request)
        return cast("IResource", app.resource())

    def _note(self, request: Request) -> None:
        self.requests.append(f"{request.method.decode()} {request.path.decode()}")
