"""
Who is announced where at this moment: the routes of the current configuration with the ids that Twitch told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define, field
from twisted.logger import Logger

from itsjustintv.config.folding_leaves_parse import dotted
from itsjustintv.config.sections import Config
from itsjustintv.folding_routes_routing import GLOBAL, Routes
from itsjustintv.model import Destination, Event, Owner, Streamer

__all__ = ["Routing"]


@define(eq=False)
class Routing:
    """
    Answers for each event and each delivery, from one complete set of routes at a time.
    """

    _routes: Routes
    _ids: Mapping[str, str] = field(factory=dict, init=False)
    _owners: dict[str, Owner] = field(factory=dict, init=False)
    _renamed: Mapping[str, str] = field(factory=dict, init=False)
    _said: frozenset[tuple[str, ...]] = field(default=frozenset(), init=False)
    _keys: frozenset[str] = field(init=False)

    log = Logger()

    @_keys.default
    def _first_keys(self) -> frozenset[str]:
        return frozenset(each.key for each in self._routes.streamers)

    @classmethod
    def of(cls, config: Config) -> Routing:
        """
        Begin with a configuration that was checked.
        """
        return cls(Routes.of(config))

    def configure(self, config: Config) -> None:
        """
        Go by another configuration from now on; ids that are known stay known.
        """
        before, after = self._routes, Routes.of(config).with_ids(self._ids)
        keys = frozenset(each.key for each in before.streamers)
        # Those that were there are no new name of it: they got their own deliveries.
        self._owners.update(
            (name, Owner(each.user_id, each.login, keys)) for each in before.streamers for name in each.destinations
        )
        self._take(after)

    def identify(self, ids: Mapping[str, str]) -> None:
        """
        Take note of the ids of logins.

        :param ids: login to user id.
        """
        self._ids = {**self._ids, **ids}
        self._take(self._routes.with_ids(ids))

    def adopt(self, owners: Mapping[str, Owner]) -> None:
        """
        Take note of whose the destinations are that are not configured, as the journal has it: after a restart nothing
        else tells that a table was renamed.

        :param owners: by the names of the destinations.
        """
        self._owners = {**owners, **self._owners}
        self._find_renamed()

    def problem(self) -> str | None:
        """
        Which channel is configured twice, in words fit for strangers, or ``None``.
        """
        twins = self._routes.twins
        if not twins:
            return None
        more = f", and {len(twins) - 1} more" if len(twins) > 1 else ""
        return f"{_names(next(iter(twins.values())))} are the same channel{more}: one entry is enough"

    def match(self, event: Event) -> Sequence[Streamer]:
        """
        Who is configured to be told about an event: nobody, one entry, or each of those that turned out to be the same
        channel.
        """
        return self._routes.match(event.broadcaster_id, event.broadcaster_login)

    def destination(self, name: str) -> Destination | None:
        """
        A destination as it is configured now, or ``None``. That of a streamer whose table was renamed is the new one.
        """
        found = self._routes.destination(name)
        return self._routes.destination(self._renamed.get(name, name)) if found is None else found

    def has(self, key: str, user_id: str) -> bool:
        """
        Whether a streamer is configured, by the key or by the user id.
        """
        return key in self._keys or bool(user_id and self._routes.match(user_id, ""))

    def destination_for(self, key: str, url: str) -> str | None:
        """
        The name of the destination of a URL in the original program's queue, or ``None``.
        """
        return self._routes.destination_for(key, url)

    def wanted(self) -> Mapping[str, str]:
        """
        Every streamer whose id is known: user id to the name of his table in the configuration.
        """
        return self._routes.wanted()

    def streamers(self) -> Sequence[Streamer]:
        """
        Every streamer, in the order of the configuration.
        """
        return self._routes.streamers

    def destinations(self) -> Mapping[str, Destination]:
        """
        Every destination by its name, as they are configured now.
        """
        return self._routes.destinations

    def logins(self) -> Sequence[str]:
        """
        The logins of streamers that are configured without an id, whether or not it is known by now.
        """
        return self._routes.unidentified

    def ids(self) -> Sequence[str]:
        """
        The user ids of streamers that are configured with one.
        """
        return self._routes.identified

    def _take(self, routes: Routes) -> None:
        self._routes = routes
        self._keys = frozenset(each.key for each in routes.streamers)
        found = {tuple(each.key for each in twins): twins for twins in routes.twins.values()}
        for keys, twins in found.items():
            if keys not in self._said:
                self.log.warn(
                    "{streamers} are the same channel, {user_id}: each is announced where the ones before it are not,"
                    " with its own filter; keep one of the entries in the configuration",
                    streamers=_names(twins),
                    user_id=twins[0].user_id,
                )
        self._said = frozenset(found)
        self._find_renamed()

    def _find_renamed(self) -> None:
        """
        Find out which destinations are those of streamers whose table has another name now.
        """
        self._owners = {
            name: owner
            for name, owner in self._owners.items()
            if name != GLOBAL and name not in self._routes.destinations
        }
        by_id, by_login = dict[str, list[Streamer]](), dict[str, list[Streamer]]()
        for each in self._routes.streamers if self._owners else ():
            by_id.setdefault(each.user_id, []).append(each)
            by_login.setdefault(each.login, []).append(each)
        self._renamed = {
            name: streamer.destinations[0]
            for name, owner in self._owners.items()
            for streamer in (*by_login.get(owner.login, ()), *by_id.get(owner.user_id, ()))
            if owner.is_now(streamer)
        }


def _names(twins: Sequence[Streamer]) -> str:
    return " and ".join(dotted(("streamers", each.key)) for each in twins)
