"""
What asks Twitch, or whoever Twitch names.
"""

from __future__ import annotations

from attrs import frozen
from treq.client import HTTPClient

from itsjustintv.agents import twitch_agent
from itsjustintv.assembly.ground import Ground
from itsjustintv.interfaces import IEnricher
from itsjustintv.telemetry.calls import ApiCall
from itsjustintv.telemetry.following import FollowedEnricher
from itsjustintv.twitch.bucket import RateBucket
from itsjustintv.twitch.dates import TwitchTime
from itsjustintv.twitch.directory import Directory
from itsjustintv.twitch.enrich import TwitchEnricher
from itsjustintv.twitch.followers import Followers
from itsjustintv.twitch.helix import Helix
from itsjustintv.twitch.images import ProfileImages
from itsjustintv.twitch.oauth import AppToken
from itsjustintv.twitch.pace import Pace
from itsjustintv.twitch.roster import Overheard, Roster

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
