"""
What asks Twitch, or whoever Twitch names.
"""

from __future__ import annotations

from attrs import frozen
from treq.client import HTTPClient

from itsjustintv.app.context import Ground
from itsjustintv.interfaces import IEnricher
from itsjustintv.support.folding_agents_http_agents import twitch_agent
from itsjustintv.telemetry.event_spans import FollowedEnricher
from itsjustintv.telemetry.folding_calls_tracing import ApiCall
from itsjustintv.twitch.api.folding_pace_batching import Pace
from itsjustintv.twitch.api.helix import Helix
from itsjustintv.twitch.api.lookups import Directory
from itsjustintv.twitch.api.oauth import AppToken
from itsjustintv.twitch.api.rate_limit import RateBucket
from itsjustintv.twitch.api.server_time import TwitchTime
from itsjustintv.twitch.enrich import TwitchEnricher
from itsjustintv.twitch.followers import Followers
from itsjustintv.twitch.live_status import Overheard, Roster
from itsjustintv.twitch.profile_images import ProfileImages

__all__ = ["Twitch"]


@frozen
class Twitch:
    """
    Its parts, all behind one token and one rate limit.
    """

    time: TwitchTime
    http: HTTPClient
    bucket: RateBucket
    token: AppToken
    helix: Helix
    directory: Directory
    followers: Followers
    images: ProfileImages
    roster: Roster
    enricher: IEnricher

    def problem(self) -> str | None:
        """
        Why nothing can be asked of Twitch, or nothing has been yet; ``None`` while all is well.
        """
        return self.token.problem() or self.helix.problem()

    @classmethod
    def of(cls, ground: Ground) -> Twitch:
        """
        Put them together.
        """
        reactor, config = ground.reactor, ground.config
        agent = twitch_agent(reactor)
        http = HTTPClient(agent)
        time = TwitchTime(reactor, ground.wall.seconds)
        bucket = RateBucket(reactor, wall=time.now)
        token = AppToken(http, lambda: config().twitch, reactor, ground.disk.run, ground.hide, time.heard)

        def called(call: ApiCall) -> None:
            ground.metrics.called(call)
            ground.following.called(call)

        helix = Helix(http, lambda: config().twitch, token, bucket, reactor, called, time.heard)
        pace = Pace(bucket, reactor)
        directory = Directory(helix, reactor, pace)
        followers = Followers(directory.followers, bucket, pace, ground.journal, reactor)
        images = ProfileImages(agent, lambda: config().twitch, lambda: config().cache, reactor, ground.disk.run)
        enricher = TwitchEnricher(
            directory,
            followers.total,
            images.get,
            reactor,
            lambda: config().enrich.timeout,
            lambda: config().image,
            ground.metrics.gap,
        )
        followed = FollowedEnricher(enricher, ground.following, ground.tracer, reactor)
        roster = Roster(directory, ground.routing.wanted, images.get, reactor)
        return cls(time, http, bucket, token, helix, directory, followers, images, roster, Overheard(followed, roster))
