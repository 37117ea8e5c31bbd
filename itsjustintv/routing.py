"""
Who is announced where at this moment: the routes of the current configuration with the ids that Twitch told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import define, evolve, field, frozen
from twisted.logger import Logger

from itsjustintv.config.parse_state import dotted
from itsjustintv.config.sections import Config, GlobalWebhook, StreamerEntry
from itsjustintv.config.values import ALL
from itsjustintv.model import Destination, Event, Owner, Streamer
from itsjustintv.support.signatures import HASHINGS

__all__ = ["GLOBAL", "Routes", "Routing"]


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


#: The name of the destination for every streamer without one of its own.
GLOBAL = "global_webhook"


@frozen
class Routes:
    """
    Looks streamers and destinations up, each in one step.

    :ivar streamers: in the order of the configuration.
    :ivar destinations: by their names.
    """

    streamers: tuple[Streamer, ...]
    destinations: Mapping[str, Destination]
    _configured: frozenset[str]
    _by_id: Mapping[str, tuple[Streamer, ...]] = field(init=False)
    _by_login: Mapping[str, Streamer] = field(init=False)

    @_by_id.default
    def _index_ids(self) -> Mapping[str, tuple[Streamer, ...]]:
        found: dict[str, list[Streamer]] = {}
        # Whoever is configured by id comes first.
        for streamer in sorted(self.streamers, key=lambda streamer: streamer.key not in self._configured):
            if streamer.user_id:
                found.setdefault(streamer.user_id, []).append(streamer)
        return {user_id: tuple(each) for user_id, each in found.items()}

    @_by_login.default
    def _index_logins(self) -> Mapping[str, Streamer]:
        # An id that is known, configured or not, is what counts: the login can have passed to somebody else.
        return {s.login: s for s in self.streamers if s.login and not s.user_id}

    @property
    def unidentified(self) -> Sequence[str]:
        """
        The logins of streamers that are configured without an id.
        """
        return [streamer.login for streamer in self.streamers if streamer.key not in self._configured]

    @property
    def identified(self) -> Sequence[str]:
        """
        The ids that are in the configuration.
        """
        return [streamer.user_id for streamer in self.streamers if streamer.key in self._configured]

    @classmethod
    def of(cls, config: Config) -> Routes:
        """
        Take the routes from a configuration that was checked.
        """
        destinations = {
            _name(key): _own(key, entry) for key, entry in config.streamers.items() if entry.target_webhook_url
        }
        if config.global_webhook.enabled:
            destinations[GLOBAL] = _shared(config.global_webhook)
        return cls(
            tuple(_streamer(key, entry, config.filter.types) for key, entry in config.streamers.items()),
            destinations,
            frozenset(key for key, entry in config.streamers.items() if entry.user_id),
        )

    @property
    def twins(self) -> Mapping[str, Sequence[Streamer]]:
        """
        Channels that have more than one entry, by user id; the first entry is the one that counts where only one can.
        """
        return {user_id: each for user_id, each in self._by_id.items() if len(each) > 1}

    def wanted(self) -> Mapping[str, str]:
        """
        Every streamer whose id is known: user id to the key of the entry that counts.
        """
        return {user_id: each[0].key for user_id, each in self._by_id.items()}

    def match(self, user_id: str, login: str) -> Sequence[Streamer]:
        """
        Find the entries for a broadcaster: by id, and by login whatever its case. An entry whose id is known is found
        by that id only, since a login can pass to somebody else.

        There is more than one where a login turned out to be a channel that has another entry. Each comes with the
        destinations that those before it do not have, by name or by URL: nobody is told twice, nobody is left out.
        """
        known, other = self._by_id.get(user_id, ()), self._by_login.get(login.lower())
        found = known if other is None else (*known, other)
        return found if len(found) < 2 else tuple(self._once(found))

    def _once(self, streamers: Sequence[Streamer]) -> Iterator[Streamer]:
        told: set[str] = set()
        for streamer in streamers:
            places = {name: self.destinations[name].url for name in streamer.destinations if name in self.destinations}
            fresh = tuple(name for name in streamer.destinations if places.get(name, name) not in told)
            told.update(places.get(name, name) for name in fresh)
            if fresh:
                yield evolve(streamer, destinations=fresh)

    def destination(self, name: str) -> Destination | None:
        """
        Find a destination by its name, ``streamers.<key>`` or ``global_webhook``; ``None`` when it is not configured
        any more.
        """
        return self.destinations.get(name)

    def destination_for(self, key: str, url: str) -> str | None:
        """
        Name the destination that a URL of the original program's queue stands for: the streamer's own, or the global
        one, whichever has that URL now; ``None`` when neither does.
        """
        for name in (_name(key), GLOBAL):
            destination = self.destinations.get(name)
            if destination is not None and destination.url == url:
                return name
        return None

    def with_ids(self, ids: Mapping[str, str]) -> Routes:
        """
        Fill in the ids that Twitch knows for logins. Ids from the configuration stay; so do those of logins that are
        not mentioned.

        :param ids: login in any case to user id.
        """
        known = {login.lower(): user_id for login, user_id in ids.items()}
        streamers = tuple(
            streamer
            if streamer.key in self._configured
            else evolve(streamer, user_id=known.get(streamer.login, streamer.user_id))
            for streamer in self.streamers
        )
        return Routes(streamers, self.destinations, self._configured)


def _name(key: str) -> str:
    return f"streamers.{key}"


def _streamer(key: str, entry: StreamerEntry, usual: tuple[str, ...]) -> Streamer:
    types = entry.types or usual
    return Streamer(
        key=key,
        user_id=entry.user_id,
        login=entry.login.lower(),
        tag_filter=entry.tag_filter,
        types=() if ALL in types else types,
        additional_tags=entry.additional_tags,
        destinations=(_name(key) if entry.target_webhook_url else GLOBAL,),
    )


def _own(key: str, entry: StreamerEntry) -> Destination:
    return _destination(_name(key), entry.target_webhook_url, entry)


def _shared(webhook: GlobalWebhook) -> Destination:
    return _destination(GLOBAL, webhook.url, webhook)


def _destination(name: str, url: str, signing: StreamerEntry | GlobalWebhook) -> Destination:
    defaults = GlobalWebhook()
    return Destination(
        name=name,
        url=url,
        secret=signing.target_webhook_secret,
        header=signing.target_webhook_header or defaults.target_webhook_header,
        hashing=HASHINGS[(signing.target_webhook_hashing or defaults.target_webhook_hashing).upper()],
        signature=signing.target_webhook_signature or defaults.target_webhook_signature,
    )
