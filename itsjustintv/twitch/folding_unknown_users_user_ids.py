"""
Who of the configured streamers Twitch has no user for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from itsjustintv.model import Streamer
from itsjustintv.twitch.user_ids import Identities

__all__ = ["UnknownUsers", "listed"]

# As many are named in a text.
_NAMED = 3


@frozen
class UnknownUsers:
    """
    Tells it by the table of the configuration.

    :ivar streamers: all who are configured now.
    """

    _identities: Identities
    _streamers: Callable[[], Sequence[Streamer]]

    def reason(self, streamer: Streamer) -> str | None:
        """
        Why Twitch has no user for a streamer; ``None`` while it has one, or has not said.
        """
        return self._identities.absence(streamer.login, streamer.user_id)

    def everyone(self) -> Mapping[str, str]:
        """
        The reasons by key: misspelt logins, ids that are wrong, channels that are closed or suspended.
        """
        if not self._identities.any_absent():
            return {}
        return {each.key: reason for each in self._streamers() if (reason := self.reason(each))}

    def logins(self) -> Mapping[str, str]:
        """
        The reasons of those for whom nothing can be subscribed to, since there never was an id.
        """
        if not self._identities.any_absent():
            return {}
        return {each.key: reason for each in self._streamers() if not each.user_id and (reason := self.reason(each))}

    def problem(self) -> str | None:
        """
        Who is not announced for that reason, or ``None``.
        """
        absent = self.everyone()
        if not absent:
            return None
        return f"{len(absent)} of {len(self._streamers())} streamers cannot be announced: {listed(absent)}"


def listed(reasons: Mapping[str, str]) -> str:
    """
    Name the first of them with their reasons.
    """
    named = "; ".join(f"streamers.{key}: {reason}" for key, reason in list(reasons.items())[:_NAMED])
    return f"{named}; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else named
