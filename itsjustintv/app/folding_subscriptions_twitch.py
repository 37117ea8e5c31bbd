"""
What keeps Twitch telling of everybody who is wanted, and asks for what it did not tell.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from itsjustintv.app.context import Ground
from itsjustintv.app.removal_grace import CHANNELS, LOGINS, Absences
from itsjustintv.app.twitch import Twitch
from itsjustintv.config.folding_callback_sections import callback_url
from itsjustintv.twitch.catch_up import Accept, CatchUp, CatchUpSettings
from itsjustintv.twitch.eventsub.callback_check import Preflight
from itsjustintv.twitch.eventsub.reconciler import SubscriptionKeeper
from itsjustintv.twitch.eventsub.subscriptions_api import SubscriptionsAPI
from itsjustintv.twitch.folding_unknown_users_user_ids import UnknownUsers
from itsjustintv.twitch.user_ids import Identities

__all__ = ["Subscriptions"]


@frozen
class Subscriptions:
    """
    Its parts.

    :ivar channels: since when channels have been missing that there are subscriptions for; likewise ``logins``, whose
        ids are known.
    """

    unknown_users: UnknownUsers
    channels: Absences
    logins: Absences
    catch_up: CatchUp
    identities: Identities
    keeper: SubscriptionKeeper
    preflight: Preflight

    @classmethod
    def of(cls, ground: Ground, twitch: Twitch, accept: Accept) -> Subscriptions:
        """
        Put them together.

        :param accept: takes an event that no message told of.
        """
        reactor, config, journal, routing = ground.reactor, ground.config, ground.journal, ground.routing
        catch_up = CatchUp(
            twitch.directory,
            accept,
            reactor,
            ground.new_id,
            lambda: CatchUpSettings.of(config()),
            wall=twitch.time.now,
        )

        channels = Absences(
            CHANNELS,
            journal,
            reactor,
            lambda user_id: user_id not in routing.wanted(),
            lambda: config().reload.grace,
        )

        logins = Absences(
            LOGINS,
            journal,
            reactor,
            lambda login: all(login != each.lower() for each in routing.logins()),
            lambda: config().reload.grace,
        )

        def identify(ids: Mapping[str, str]) -> None:
            routing.identify(ids)
            channels.refresh()
            keeper.reconcile("the id of a streamer has changed")

        identities = Identities(
            twitch.directory, journal, reactor, routing.logins, identify, routing.ids, ends=logins.ends
        )
        unknown_users = UnknownUsers(identities, routing.streamers)
        keeper = SubscriptionKeeper(
            SubscriptionsAPI(twitch.helix),
            routing.wanted,
            lambda: callback_url(config()),
            lambda: config().twitch.webhook_secret,
            journal,
            reactor,
            ground.random,
            catch_up.ask,
            identities.certain,
            channels.ends,
            unknown_users.logins,
            lambda: twitch.time.problem() is not None,
            wall=twitch.time.now,
        )
        preflight = Preflight(twitch.http, reactor.nameResolver, reactor, lambda: callback_url(config()))
        return cls(unknown_users, channels, logins, catch_up, identities, keeper, preflight)
