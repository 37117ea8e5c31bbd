"""
Builds the Twitch clients, and what keeps the subscriptions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen
from treq.client import HTTPClient
from twisted.internet.defer import Deferred

from itsjustintv.app.conduit import ConduitParts
from itsjustintv.app.context import Context
from itsjustintv.config.removal_grace import CHANNELS, LOGINS, RemovalGrace
from itsjustintv.config.sections import CONDUIT, WEBHOOK, callback_url
from itsjustintv.interfaces import Accept, IEnricher
from itsjustintv.model import STREAM_OFFLINE, Broadcast
from itsjustintv.support.http_agents import PICTURES, TWITCH, make_agent
from itsjustintv.support.http_client import make_http_client
from itsjustintv.telemetry.tracing import ApiCall
from itsjustintv.twitch.api.batching import BatchInterval
from itsjustintv.twitch.api.helix import Helix
from itsjustintv.twitch.api.lookups import Lookups
from itsjustintv.twitch.api.oauth import AppToken
from itsjustintv.twitch.api.rate_limit import RateBucket
from itsjustintv.twitch.catch_up import CatchUpService, CatchUpSettings
from itsjustintv.twitch.enrich import LiveStatusEnricher, TwitchEnricher
from itsjustintv.twitch.eventsub.callback_check import CallbackCheck
from itsjustintv.twitch.eventsub.intake import Intake
from itsjustintv.twitch.eventsub.messages import Revocation
from itsjustintv.twitch.eventsub.reconciler import SubscriptionReconciler
from itsjustintv.twitch.eventsub.subscriptions_api import SubscriptionsAPI
from itsjustintv.twitch.eventsub.transport import ConduitTransport, TransportSwitch
from itsjustintv.twitch.followers import Followers
from itsjustintv.twitch.live_status import LiveStatus
from itsjustintv.twitch.profile_images import ProfileImages, picture_egress
from itsjustintv.twitch.server_time import TwitchTime
from itsjustintv.twitch.user_ids import UnknownLogins, UserIds

__all__ = ["SubscriptionParts", "TwitchParts"]


@frozen
class TwitchParts:
    """
    The clients, all with one token and one rate limit.
    """

    time: TwitchTime
    http: HTTPClient
    bucket: RateBucket
    token: AppToken
    helix: Helix
    lookups: Lookups
    followers: Followers
    profile_images: ProfileImages
    live_status: LiveStatus
    enricher: IEnricher

    def problem(self) -> str | None:
        """
        Why Twitch cannot be asked, or has not been yet; ``None`` while it answers.
        """
        return self.token.problem() or self.helix.problem()

    @classmethod
    def of(cls, context: Context) -> TwitchParts:
        reactor, config = context.reactor, context.config
        http = make_http_client(make_agent(reactor, TWITCH))
        time = TwitchTime(reactor, context.wall.seconds, lambda: config().twitch.transport == WEBHOOK)
        bucket = RateBucket(reactor, wall=time.now)
        token = AppToken(
            http, lambda: config().twitch, reactor, context.file_threads.run, context.hide_secrets, time.learn
        )

        def on_call(call: ApiCall) -> None:
            context.metrics.called(call)
            context.event_spans.called(call)

        helix = Helix(http, lambda: config().twitch, token, bucket, reactor, on_call, time.learn)
        interval = BatchInterval(bucket, reactor)
        lookups = Lookups(helix, reactor, interval)
        followers = Followers(lookups.followers, bucket, interval, context.journal, reactor)
        profile_images = ProfileImages(
            make_agent(
                reactor,
                PICTURES,
                egress=lambda origin: picture_egress(origin, config().twitch.api_url, config().egress.allow),
            ),
            lambda: config().twitch,
            lambda: config().cache,
            reactor,
            context.file_threads.run,
        )
        live_status = LiveStatus(lookups, context.routing.keys_by_user_id, profile_images.get, reactor)
        enricher = TwitchEnricher(
            lookups,
            followers.total,
            profile_images.get,
            reactor,
            lambda: config().enrich.timeout,
            lambda: config().image,
            context.metrics.gap,
        )
        return cls(
            time=time,
            http=http,
            bucket=bucket,
            token=token,
            helix=helix,
            lookups=lookups,
            followers=followers,
            profile_images=profile_images,
            live_status=live_status,
            enricher=LiveStatusEnricher(enricher, live_status.went_live),
        )


@frozen
class SubscriptionParts:
    """
    The subscriptions, and what they need to know.

    :ivar removed_channels: the grace periods of removed channels, whose subscriptions are kept meanwhile.
    :ivar removed_logins: those of removed logins, whose user ids are kept meanwhile.
    """

    unknown_users: UnknownLogins
    removed_channels: RemovalGrace
    removed_logins: RemovalGrace
    catch_up: CatchUpService
    user_ids: UserIds
    reconciler: SubscriptionReconciler
    callback_check: CallbackCheck
    intake: Intake
    conduit: ConduitParts

    def conduit_problem(self) -> str | None:
        """
        Why messages may be missed on their way through the conduit, or ``None``.
        """
        problem = self.conduit.shards.problem()
        if problem and self.conduit.shards.critical() and WEBHOOK in self.reconciler.methods:
            return f"messages still arrive by webhook, and not through the conduit: {problem}"
        return problem

    def deaf(self) -> str | None:
        """
        Why no message arrives, or ``None``. Until a change to a conduit is complete, they arrive by webhook.
        """
        return None if WEBHOOK in self.reconciler.methods else self.conduit.shards.critical()

    @classmethod
    def of(
        cls, context: Context, twitch: TwitchParts, accept: Accept, accept_frame: Accept, recover: Accept
    ) -> SubscriptionParts:
        """
        :param accept: stores an event that Twitch sent by webhook.
        :param accept_frame: stores an event that Twitch sent through a conduit.
        :param recover: stores an event that the catch-up recovered.
        """
        reactor, config, journal, routing = context.reactor, context.config, context.journal, context.routing

        async def live_broadcasts() -> Sequence[Broadcast]:
            wanted = routing.wanted_types()
            return [
                each
                for each in await journal.live_broadcasts()
                if STREAM_OFFLINE in wanted.get(each.broadcaster_id, ())
            ]

        catch_up = CatchUpService(
            twitch.lookups,
            recover,
            reactor,
            context.new_event_id,
            lambda: CatchUpSettings.of(config()),
            wall=twitch.time.now,
            live_broadcasts=lambda: Deferred.fromCoroutine(live_broadcasts()),
            stands_by=lambda: Deferred.fromCoroutine(conduit.shards.stands_by()),
        )
        removed_channels = RemovalGrace(
            CHANNELS,
            journal,
            reactor,
            lambda user_id: user_id not in routing.keys_by_user_id(),
            lambda: config().reload.grace,
        )
        removed_logins = RemovalGrace(
            LOGINS,
            journal,
            reactor,
            lambda login: all(login != each.lower() for each in routing.logins()),
            lambda: config().reload.grace,
        )

        def on_ids(ids: Mapping[str, str]) -> None:
            routing.set_user_ids(ids)
            removed_channels.refresh()
            reconciler.reconcile("the id of a streamer has changed")

        user_ids = UserIds(
            twitch.lookups, journal, reactor, routing.logins, on_ids, routing.user_ids, ends=removed_logins.ends
        )
        unknown_users = UnknownLogins(user_ids, routing.streamers)

        def on_open(transport: ConduitTransport) -> None:
            reconciler.reconcile(f"messages arrive through {transport.host}")

        def revoked(revocation: Revocation) -> None:
            reconciler.revoked(revocation)

        intake = Intake(accept, revoked, context.metrics.message)
        conduit = ConduitParts.of(
            context,
            twitch.helix,
            Intake(accept_frame, revoked, context.metrics.message),
            lambda within: catch_up.ask(routing.keys_by_user_id(), within),
            on_open,
        )
        reconciler = SubscriptionReconciler(
            SubscriptionsAPI(twitch.helix),
            routing.keys_by_user_id,
            TransportSwitch(config, conduit.shards.transport).current,
            journal,
            reactor,
            context.random,
            catch_up.ask,
            user_ids.all_known,
            removed_channels.ends,
            unknown_users.logins,
            lambda: twitch.time.problem() is not None,
            wanted=routing.wanted_types,
            wall=twitch.time.now,
        )

        def close_unused() -> None:
            if CONDUIT not in reconciler.methods:
                conduit.shards.release()

        reconciler.add_listener(close_unused)

        def callback() -> str:
            return callback_url(config()) if config().twitch.transport == WEBHOOK else ""

        return cls(
            unknown_users=unknown_users,
            removed_channels=removed_channels,
            removed_logins=removed_logins,
            catch_up=catch_up,
            user_ids=user_ids,
            reconciler=reconciler,
            callback_check=CallbackCheck(twitch.http, reactor.nameResolver, reactor, callback),
            intake=intake,
            conduit=conduit,
        )
