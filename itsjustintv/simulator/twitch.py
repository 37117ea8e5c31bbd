"""
A simulated Twitch: the token server, Helix and EventSub, with faults that a test can plan.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, ClassVar, cast

from attrs import define, evolve, field
from klein import Klein
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.web import http
from twisted.web.iweb import IAgent
from twisted.web.resource import IResource
from twisted.web.server import Request

from itsjustintv.simulator.behaviour import Script, act, avatar
from itsjustintv.simulator.conduits import SimulatedConduits, SimulatedShard
from itsjustintv.simulator.eventsub import (
    EventSub,
    Message,
    Posted,
    VerificationReport,
    channel_update,
    stream_offline,
    stream_online,
)
from itsjustintv.simulator.helix import SimulatedHelix
from itsjustintv.simulator.loopback import all_of
from itsjustintv.simulator.oauth import OAuth, Tokens
from itsjustintv.simulator.responses import Bucket
from itsjustintv.simulator.sessions import SimulatedSessions, Undelivered
from itsjustintv.simulator.subscriptions import (
    ENABLED,
    FAILED,
    FAILURES_EXCEEDED,
    USER_REMOVED,
    SimulatedSubscription,
    SimulatedSubscriptions,
    loopback_too,
)
from itsjustintv.simulator.websockets import WebSocketFactory
from itsjustintv.simulator.world import SimulatedChannel, SimulatedStream, World, rfc3339

__all__ = ["SimulatedTwitch"]

_REMEMBERED = 1000


@define(eq=False)
class SimulatedTwitch:
    """
    OAuth at ``/oauth2``, Helix at ``/helix``, profile images at ``/images``; EventSub messages are sent with an agent,
    or on the sockets of another port.

    :ivar world: the channels and their broadcasts.
    :ivar faults: how the endpoints behave, by name: ``token``, ``validate``, ``revoke``, ``users``, ``channels``,
        ``streams``, ``channels/followers``, ``videos``, ``eventsub/subscriptions``, ``eventsub/conduits``,
        ``eventsub/conduits/shards``, ``images``, ``ws``.
    :ivar challenge_after: seconds from the creation of a subscription to its challenge; at Twitch more than a minute
        was observed (pyTwitchAPI, issue 111). Below 0, the challenge is sent before the creation is answered.
    :ivar challenge_again: whether a challenge that is not answered with 2xx is resent like a notification; not
        documented (dev.twitch.tv, "Handling webhook events").
    :ivar patience: after this many messages in a row without an acknowledgement, all tries of one counting once, a
        subscription is revoked. "Handling webhook events" says "too many"; twitch4j reports one, the worst case.
    :ivar requests: method and path of every request, in order.
    :ivar sessions: serves ``/ws``, see :meth:`websockets`.
    :ivar dropped: the messages that Twitch could give to no shard and no session.
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
    sessions: SimulatedSessions = field(init=False)
    conduits: SimulatedConduits = field(init=False)
    dropped: deque[Undelivered] = field(factory=lambda: deque(maxlen=_REMEMBERED), init=False)
    _failures: Counter[str] = field(factory=Counter, init=False, repr=False)
    _oauth: OAuth = field(init=False)
    _helix: SimulatedHelix = field(init=False)

    app: ClassVar[Klein] = Klein()

    def __attrs_post_init__(self) -> None:
        self.world = World(self._clock, self._random)
        self.tokens = Tokens(self._clock, self._random, self.client_id, self.client_secret)
        self.bucket = Bucket(self._clock)
        self.sessions = SimulatedSessions(self._clock, self._random, self.faults)
        self.conduits = SimulatedConduits(self._clock, self._random, self.sessions.use, self._callback_is_allowed)
        self.subscriptions = SimulatedSubscriptions(
            self._clock,
            self._random,
            self.world,
            self._callback_is_allowed,
            lambda conduit_id: self.conduits.get(conduit_id) is not None,
            self.sessions.get,
            self.sessions.use,
        )
        self.sessions.on_end += [self.conduits.session_ended, self.subscriptions.session_ended]
        self.conduits.on_delete.append(self.subscriptions.conduit_deleted)
        self.conduits.on_callback.append(self._verify_shard_soon)
        self.eventsub = EventSub(self._agent, self._clock, self._random)
        self._oauth = OAuth(self._clock, self.tokens, self.faults)
        self._helix = SimulatedHelix(
            self._clock,
            self.world,
            self.tokens,
            self.bucket,
            self.faults,
            self.subscriptions,
            self.conduits,
            self._verify_soon,
        )

    def resource(self) -> IResource:
        return cast("IResource", self.app.resource())

    def websockets(self) -> WebSocketFactory:
        """
        Serves ``/ws``, on a port of its own.
        """
        return WebSocketFactory(self._clock, self.sessions)

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
            self.subscriptions.set_status(subscription.id, ENABLED if report.echoes(challenge) else FAILED)
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
        return self.send(self.eventsub.revocation(ended), again=False)

    def send(
        self, message: Message, *, number: int = 0, again: bool = True, age: float = 0.0, forged: bool = False
    ) -> Deferred[VerificationReport]:
        """
        Send a message by the transport of its subscription, with the parameters of :meth:`EventSub.send`.

        To a session it is written once: nothing acknowledges it there, so the only try has no status. What no shard and
        no session takes is in :attr:`dropped`.
        """
        subscription = message.subscription
        if subscription.method == "webhook":
            return self.eventsub.send(message, number=number, again=again, age=age, forged=forged)
        if subscription.method == "websocket":
            return succeed(self._write(message, subscription.session_id, age))
        shard = self.conduits.route(subscription.conduit_id, subscription.broadcaster_id)
        if shard is None:
            return succeed(self._drop(message, "the chosen shard of the conduit and another one are disabled"))
        if shard.session_id:
            return succeed(self._write(message, shard.session_id, age))
        at = evolve(message, subscription=evolve(subscription, callback=shard.callback, secret=shard.secret))
        sending = self.eventsub.send(at, number=number, again=again, age=age, forged=forged)
        return sending.addCallback(self._judge_shard, subscription.conduit_id, shard)

    def _write(self, message: Message, session_id: str, age: float) -> VerificationReport:
        text = message.frame(rfc3339(self._clock.seconds() - age))
        if not self.sessions.send(session_id, message.id, message.type, text):
            return self._drop(message, "the session has ended")
        return self._report(message, f"written to session {session_id}, where nothing acknowledges it")

    def _drop(self, message: Message, reason: str) -> VerificationReport:
        self.dropped.append(Undelivered(message.id, message.type, reason))
        return self._report(message, f"dropped: {reason}")

    def _report(self, message: Message, problem: str) -> VerificationReport:
        self.eventsub.sent.append((message.id, message.type, 0, None))
        return VerificationReport(message, (Posted(status=None, duration=0.0, problem=problem),))

    def _judge_shard(self, report: VerificationReport, conduit_id: str, shard: SimulatedShard) -> VerificationReport:
        """
        Disable a shard whose callback fails too often. Nothing is sent to another shard instead (dev.twitch.tv,
        "Getting Events Using Conduits", "Failure scenarios and cleanup").
        """
        key = f"{conduit_id} {shard.id} {shard.callback}"
        self._failures[key] = 0 if report.acknowledged else self._failures[key] + 1
        if self._failures[key] >= self.patience:
            self.conduits.set_shard_status(conduit_id, shard, FAILURES_EXCEEDED)
        return report

    def _verify_shard_soon(self, conduit_id: str, shard: SimulatedShard) -> None:
        message, challenge = self.eventsub.shard_challenge(conduit_id, shard.id, shard.callback, shard.secret)

        def judge(report: VerificationReport) -> VerificationReport:
            self.conduits.verified(conduit_id, shard, right=report.echoes(challenge))
            return report

        send = self.eventsub.send
        self.after(
            max(0.0, self.challenge_after),
            lambda: send(message, again=self.challenge_again).addCallback(judge),
        )

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
        self.sessions.stop()

    def _send(
        self, kind: str, channel: SimulatedChannel, event: Mapping[str, object]
    ) -> Deferred[list[VerificationReport]]:
        wanted = self.subscriptions.enabled(kind, channel.id)
        return all_of(self._notify(each, event) for each in wanted)

    def _notify(self, subscription: SimulatedSubscription, event: Mapping[str, object]) -> Deferred[VerificationReport]:
        async def notify() -> VerificationReport:
            report = await self.send(self.eventsub.notification(subscription, event))
            if subscription.method != "webhook":
                return report
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
