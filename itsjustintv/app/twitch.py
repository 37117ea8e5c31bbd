"""
What asks Twitch, or whoever Twitch names.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen
from treq.client import HTTPClient

from itsjustintv.app.context import Context
from itsjustintv.config.removal_grace import CHANNELS, LOGINS, RemovalGrace
from itsjustintv.config.sections import callback_url
from itsjustintv.interfaces import Accept, IEnricher
from itsjustintv.support.http_agents import TWITCH, make_agent
from itsjustintv.telemetry.tracing import ApiCall
from itsjustintv.twitch.api.batching import BatchInterval
from itsjustintv.twitch.api.helix import Helix
from itsjustintv.twitch.api.lookups import Lookups
from itsjustintv.twitch.api.oauth import AppToken
from itsjustintv.twitch.api.rate_limit import RateBucket
from itsjustintv.twitch.api.server_time import TwitchTime
from itsjustintv.twitch.catch_up import CatchUpService, CatchUpSettings
from itsjustintv.twitch.enrich import TwitchEnricher
from itsjustintv.twitch.eventsub.callback_check import CallbackCheck
from itsjustintv.twitch.eventsub.reconciler import SubscriptionReconciler
from itsjustintv.twitch.eventsub.subscriptions_api import SubscriptionsAPI
from itsjustintv.twitch.eventsub.transport import configured_transport
from itsjustintv.twitch.followers import Followers
from itsjustintv.twitch.live_status import LiveStatus, LiveStatusEnricher
from itsjustintv.twitch.profile_images import ProfileImages
from itsjustintv.twitch.user_ids import Identities, UnknownLogins

__all__ = ["SubscriptionParts", "TwitchParts"]


@frozen
class TwitchParts:
    """
    Its parts, all behind one token and one rate limit.
    """

    time: TwitchTime
    http: HTTPClient
    bucket: RateBucket
    token: AppToken
    helix: Helix
    directory: Lookups
    followers: Followers
    images: ProfileImages
    roster: LiveStatus
    enricher: IEnricher

    def problem(self) -> str | None:
        """
        Why nothing can be asked of Twitch, or nothing has been yet; ``None`` while all is well.
        """
        return self.token.problem() or self.helix.problem()

    @classmethod
    def of(cls, context: Context) -> TwitchParts:
        """
        Put them together.
        """
        reactor, config = context.reactor, context.config
        agent = make_agent(reactor, TWITCH)
        http = HTTPClient(agent)
        time = TwitchTime(reactor, context.wall.seconds)
        bucket = RateBucket(reactor, wall=time.now)
        token = AppToken(
            http, lambda: config().twitch, reactor, context.file_threads.run, context.hide_secrets, time.heard
        )

        def called(call: ApiCall) -> None:
            context.metrics.called(call)
            context.event_spans.called(call)

        helix = Helix(http, lambda: config().twitch, token, bucket, reactor, called, time.heard)
        pace = BatchInterval(bucket, reactor)
        directory = Lookups(helix, reactor, pace)
        followers = Followers(directory.followers, bucket, pace, context.journal, reactor)
        images = ProfileImages(
            agent, lambda: config().twitch, lambda: config().cache, reactor, context.file_threads.run
        )
        enricher = TwitchEnricher(
            directory,
            followers.total,
            images.get,
            reactor,
            lambda: config().enrich.timeout,
            lambda: config().image,
            context.metrics.gap,
        )
        roster = LiveStatus(directory, context.routing.keys_by_user_id, images.get, reactor)
        return cls(
            time, http, bucket, token, helix, directory, followers, images, roster, LiveStatusEnricher(enricher, roster)
        )


@frozen
class SubscriptionParts:
    """
    Its parts.

    :ivar channels: since when channels have been missing that there are subscriptions for; likewise ``logins``, whose
        ids are known.
    """

    unknown_users: UnknownLogins
    channels: RemovalGrace
    logins: RemovalGrace
    catch_up: CatchUpService
    identities: Identities
    keeper: SubscriptionReconciler
    preflight: CallbackCheck

    @classmethod
    def of(cls, context: Context, twitch: TwitchParts, accept: Accept) -> SubscriptionParts:
        """
        Put them together.

        :param accept: takes an event that no message told of.
        """
        reactor, config, journal, routing = context.reactor, context.config, context.journal, context.routing
        catch_up = CatchUpService(
            twitch.directory,
            accept,
            reactor,
            context.new_event_id,
            lambda: CatchUpSettings.of(config()),
            wall=twitch.time.now,
        )

        channels = RemovalGrace(
            CHANNELS,
            journal,
            reactor,
            lambda user_id: user_id not in routing.keys_by_user_id(),
            lambda: config().reload.grace,
        )

        logins = RemovalGrace(
            LOGINS,
            journal,
            reactor,
            lambda login: all(login != each.lower() for each in routing.logins()),
            lambda: config().reload.grace,
        )

        def identify(ids: Mapping[str, str]) -> None:
            routing.set_user_ids(ids)
            channels.refresh()
            keeper.reconcile("the id of a streamer has changed")

        identities = Identities(
            twitch.directory, journal, reactor, routing.logins, identify, routing.user_ids, ends=logins.ends
        )
        unknown_users = UnknownLogins(identities, routing.streamers)
        keeper = SubscriptionReconciler(
            SubscriptionsAPI(twitch.helix),
            routing.keys_by_user_id,
            lambda: configured_transport(config()),
            journal,
            reactor,
            context.random,
            catch_up.ask,
            identities.certain,
            channels.ends,
            unknown_users.logins,
            lambda: twitch.time.problem() is not None,
            wall=twitch.time.now,
        )
        preflight = CallbackCheck(twitch.http, reactor.nameResolver, reactor, lambda: callback_url(config()))
        return cls(unknown_users, channels, logins, catch_up, identities, keeper, preflight)
