"""
Which streamers and destinations an event concerns: the configuration, with the user ids that Twitch gave for logins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set

from attrs import define, evolve, field, frozen
from twisted.logger import Logger

from itsjustintv.config.destination_checks import GLOBAL, destinations_of
from itsjustintv.config.keys import dotted
from itsjustintv.config.secrets import destination_secrets
from itsjustintv.config.sections import Config, DestinationEntry, GlobalWebhook, StreamerEntry
from itsjustintv.config.values import ALL
from itsjustintv.model import (
    CHANNEL_UPDATE,
    STREAM_OFFLINE,
    STREAM_ONLINE,
    Destination,
    Event,
    Owner,
    Streamer,
    hash_place,
)
from itsjustintv.support.signatures import HASHINGS, SIGNERS

__all__ = ["GLOBAL", "Routes", "Routing"]


@define(eq=False)
class Routing:
    """
    Looks up streamers and destinations in the current :class:`Routes`, which are replaced as a whole.
    """

    _routes: Routes
    _ids: Mapping[str, str] = field(factory=dict, init=False)
    _owners: dict[str, Owner] = field(factory=dict, init=False)
    _renamed: Mapping[str, str] = field(factory=dict, init=False)
    _logged: frozenset[tuple[str, ...]] = field(default=frozenset(), init=False)
    _keys: frozenset[str] = field(init=False)

    log = Logger()

    @_keys.default
    def _initial_keys(self) -> frozenset[str]:
        return frozenset(each.key for each in self._routes.streamers)

    @classmethod
    def of(cls, config: Config) -> Routing:
        """
        Make it from a configuration that was checked.
        """
        return cls(Routes.of(config))

    def configure(self, config: Config) -> None:
        """
        Switch to another configuration; ids that are known stay known.
        """
        before, after = self._routes, Routes.of(config).with_ids(self._ids)
        keys = frozenset(each.key for each in before.streamers)
        # A table that was there before is not the new name of a removed one: it got deliveries of its own.
        self._owners.update(
            (_destination_name(each.key), Owner(each.user_id, each.login, keys))
            for each in before.streamers
            if _destination_name(each.key) in each.destinations
        )
        self._replace(after)

    def set_user_ids(self, ids: Mapping[str, str]) -> None:
        """
        Set the ids of logins.

        :param ids: login to user id.
        """
        self._ids = {**self._ids, **ids}
        self._replace(self._routes.with_ids(ids))

    def set_owners(self, owners: Mapping[str, Owner]) -> None:
        """
        Set which channels the destinations belong to that are not configured, as the journal has it: after a restart
        nothing else shows that a table was renamed.

        :param owners: by the names of the destinations.
        """
        self._owners = {**owners, **self._owners}
        self._find_renamed()

    def problem(self) -> str | None:
        """
        Which channel is configured twice, or ``None``. Shown to anyone.
        """
        twins = self._routes.duplicates
        if not twins:
            return None
        more = f", and {len(twins) - 1} more" if len(twins) > 1 else ""
        return f"{_names(next(iter(twins.values())))} are the same channel{more}: one entry is enough"

    def match(self, event: Event) -> Sequence[Streamer]:
        """
        The entries of the streamer of an event, each with the destinations that are to hear of it: none, one, or each
        of those that turned out to be the same channel.
        """
        return self._routes.match(event.broadcaster_id, event.broadcaster_login, event.event_type)

    def wanted_types(self) -> Mapping[str, frozenset[str]]:
        """
        Every streamer whose id is known: user id to the types of events that some destination is to hear of.
        """
        return self._routes.wanted_types()

    def destination(self, name: str, streamer: str = "") -> Destination | None:
        """
        A destination as it is configured now, or ``None``. That of a streamer whose table was renamed is the new one.

        :param streamer: the key of the streamer, for what is configured for it alone; may be empty.
        """
        found = self._routes.destination(name, streamer)
        return self._routes.destination(self._renamed.get(name, name), streamer) if found is None else found

    def is_configured(self, key: str, user_id: str) -> bool:
        """
        Whether a streamer is configured, by the key or by the user id.
        """
        return key in self._keys or bool(user_id and self._routes.match(user_id, ""))

    def destination_for(self, key: str, url: str) -> str | None:
        """
        The name of the destination of a URL in the original program's queue, or ``None``.
        """
        return self._routes.destination_for(key, url)

    def keys_by_user_id(self) -> Mapping[str, str]:
        """
        Every streamer whose id is known: user id to the key of the table in the configuration.
        """
        return self._routes.keys_by_user_id()

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
        return self._routes.logins

    def user_ids(self) -> Sequence[str]:
        """
        The user ids of streamers that are configured with one.
        """
        return self._routes.user_ids

    def _replace(self, routes: Routes) -> None:
        self._routes = routes
        self._keys = frozenset(each.key for each in routes.streamers)
        found = {tuple(each.key for each in twins): twins for twins in routes.duplicates.values()}
        for keys, twins in found.items():
            if keys not in self._logged:
                self.log.warn(
                    "{streamers} are the same channel, {user_id}: each is announced only where the entries before it"
                    " are not, with its own filter; remove all but one from the configuration",
                    streamers=_names(twins),
                    user_id=twins[0].user_id,
                )
        self._logged = frozenset(found)
        self._find_renamed()

    def _find_renamed(self) -> None:
        """
        Find out which removed destinations belong to streamers whose table has been renamed.
        """
        self._owners = {
            name: owner
            for name, owner in self._owners.items()
            if name.startswith(_OWN) and name not in self._routes.destinations
        }
        by_id, by_login = dict[str, list[Streamer]](), dict[str, list[Streamer]]()
        for each in self._routes.streamers if self._owners else ():
            by_id.setdefault(each.user_id, []).append(each)
            by_login.setdefault(each.login, []).append(each)
        self._renamed = {
            name: streamer.destinations[0]
            for name, owner in self._owners.items()
            for streamer in (*by_login.get(owner.login, ()), *by_id.get(owner.user_id, ()))
            if streamer.destinations and owner.is_now(streamer)
        }


def _names(twins: Sequence[Streamer]) -> str:
    return " and ".join(dotted(("streamers", each.key)) for each in twins)


# What the destinations of single streamers are called: no other name has a dot.
_OWN = "streamers."

#: What a policy calls the types of events.
_EVENTS = {STREAM_ONLINE: "online", STREAM_OFFLINE: "offline", CHANNEL_UPDATE: "update"}


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
    _for_one: Mapping[tuple[str, str], Destination] = field(factory=dict)
    _by_id: Mapping[str, tuple[Streamer, ...]] = field(init=False)
    _by_login: Mapping[str, Streamer] = field(init=False)
    _matches: dict[tuple[str, str | None], Sequence[Streamer]] = field(factory=dict, init=False, eq=False, repr=False)

    @_by_id.default
    def _index_ids(self) -> Mapping[str, tuple[Streamer, ...]]:
        found: dict[str, list[Streamer]] = {}
        # Those that are configured by id come first.
        for streamer in sorted(self.streamers, key=lambda streamer: streamer.key not in self._configured):
            if streamer.user_id:
                found.setdefault(streamer.user_id, []).append(streamer)
        return {user_id: tuple(each) for user_id, each in found.items()}

    @_by_login.default
    def _index_logins(self) -> Mapping[str, Streamer]:
        # Where an id is known, configured or not, it decides: the login can have passed to another user.
        return {s.login: s for s in self.streamers if s.login and not s.user_id}

    @property
    def logins(self) -> Sequence[str]:
        """
        The logins of streamers that are configured without an id.
        """
        return [streamer.login for streamer in self.streamers if streamer.key not in self._configured]

    @property
    def user_ids(self) -> Sequence[str]:
        """
        The ids that are in the configuration.
        """
        return [streamer.user_id for streamer in self.streamers if streamer.key in self._configured]

    @classmethod
    def of(cls, config: Config) -> Routes:
        """
        Make them from a configuration that was checked.
        """
        destinations = {
            _destination_name(key): _streamer_destination(key, entry)
            for key, entry in config.streamers.items()
            if entry.target_webhook_url
        }
        if config.global_webhook.enabled:
            destinations[GLOBAL] = _global_destination(config.global_webhook)
        destinations |= {name: _named_destination(name, entry) for name, entry in config.destinations.items()}
        return cls(
            tuple(_streamer(key, entry, config) for key, entry in config.streamers.items()),
            destinations,
            frozenset(key for key, entry in config.streamers.items() if entry.user_id),
            {
                (name, key): _named_destination(name, each)
                for key, entry in config.streamers.items()
                for name, each in entry.at.items()
            },
        )

    @property
    def duplicates(self) -> Mapping[str, Sequence[Streamer]]:
        """
        Channels that have more than one entry, by user id; where only one can count, it is the first.
        """
        return {user_id: each for user_id, each in self._by_id.items() if len(each) > 1}

    def keys_by_user_id(self) -> Mapping[str, str]:
        """
        Every streamer whose id is known: user id to the key of the entry that counts.
        """
        return {user_id: each[0].key for user_id, each in self._by_id.items()}

    def match(self, user_id: str, login: str, event_type: str | None = None) -> Sequence[Streamer]:
        """
        Find the entries for a broadcaster: by id, and by login whatever its case. An entry whose id is known is found
        by that id only, since a login can pass to another user.

        There is more than one where a login turned out to be a channel that has another entry. Each comes with the
        destinations that those before it do not have, by name or by place, so that each is notified once.

        :param event_type: leaves out the destinations that are not to hear of it, and streamers without any.
        """
        known, other = self._by_id.get(user_id, ()), self._by_login.get(login.lower())
        if other is not None:
            return self._find(event_type, (*known, other))
        if not known:
            return ()
        # Only what is configured is kept here: a login is anyone's text.
        if (matched := self._matches.get((user_id, event_type))) is None:
            matched = self._matches[user_id, event_type] = self._find(event_type, known)
        return matched

    def _find(self, event_type: str | None, found: Sequence[Streamer]) -> Sequence[Streamer]:
        if event_type is not None:
            found = tuple(self._hearing(found, event_type))
        if len(found) > 1 or any(len(each.destinations) > 1 for each in found):
            return tuple(self._without_repeats(found))
        return found

    def _hearing(self, streamers: Sequence[Streamer], event_type: str) -> Iterator[Streamer]:
        for streamer in streamers:
            names = tuple(name for name in streamer.destinations if event_type in self._types(name, streamer.key))
            if names:
                yield streamer if names == streamer.destinations else evolve(streamer, destinations=names)

    def _types(self, name: str, streamer: str) -> Set[str]:
        """
        The types of events that a destination is to hear of.
        """
        found = self.destination(name, streamer)
        events = () if found is None else found.policy.events
        return {each for each, word in _EVENTS.items() if word in events}

    def wanted_types(self) -> Mapping[str, frozenset[str]]:
        """
        Every streamer whose id is known: user id to the types of events that some destination is to hear of. Where a
        post changes with its broadcast, the beginning belongs to it.
        """
        wanted: dict[str, frozenset[str]] = {}
        for user_id, streamers in self._by_id.items():
            types = set[str]()
            for streamer in streamers:
                for name in streamer.destinations:
                    types |= self._types(name, streamer.key)
            wanted[user_id] = frozenset({STREAM_ONLINE, *types} if types else ())
        return wanted

    def _without_repeats(self, streamers: Sequence[Streamer]) -> Iterator[Streamer]:
        seen: set[str] = set()
        for streamer in streamers:
            fresh = []
            for name in streamer.destinations:
                destination = self.destinations.get(name)
                place = name if destination is None else destination.place
                if place not in seen:
                    seen.add(place)
                    fresh.append(name)
            if fresh:
                yield evolve(streamer, destinations=tuple(fresh))

    def destination(self, name: str, streamer: str = "") -> Destination | None:
        """
        Find a destination by its name, ``streamers.<key>``, ``global_webhook`` or that of a table; ``None`` when it is
        not configured any more.

        :param streamer: the key of the streamer, for what is configured for it alone; may be empty.
        """
        return self._for_one.get((name, streamer)) or self.destinations.get(name)

    def destination_for(self, key: str, url: str) -> str | None:
        """
        Name the destination that a URL of the original program's queue stands for: the streamer's own, or the global
        one, whichever has that URL now; ``None`` when neither does.
        """
        for name in (_destination_name(key), GLOBAL):
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
        return Routes(streamers, self.destinations, self._configured, self._for_one)


def _destination_name(key: str) -> str:
    return f"{_OWN}{key}"


def _streamer(key: str, entry: StreamerEntry, config: Config) -> Streamer:
    types = entry.types or config.filter.types
    own = [_destination_name(key)] if entry.target_webhook_url else []
    return Streamer(
        key=key,
        user_id=entry.user_id,
        login=entry.login.lower(),
        tag_filter=entry.tag_filter,
        types=() if ALL in types else types,
        additional_tags=entry.additional_tags,
        destinations=(*own, *destinations_of(config, entry)),
    )


def _streamer_destination(key: str, entry: StreamerEntry) -> Destination:
    return _make_destination(_destination_name(key), entry.target_webhook_url, entry)


def _global_destination(webhook: GlobalWebhook) -> Destination:
    return _make_destination(GLOBAL, webhook.url, webhook)


def _named_destination(name: str, entry: DestinationEntry) -> Destination:
    settings, kind = entry.settings, entry.kind
    made = Destination(
        name=name,
        url=kind.address(settings),
        kind=kind.name,
        settings=settings,
        policy=entry.policy,
        place=hash_place(kind.name, *kind.place(settings)),
        secrets=tuple(filter(None, destination_secrets(settings))),
        keeps_posts=kind.keeps_posts,
        edits=kind.can_edit(settings),
        has_key=kind.has_key,
        previews=kind.can_refresh(settings),
    )
    if getattr(settings, "signature", None) not in SIGNERS:
        return made
    return evolve(
        made,
        secret=settings.secret,
        header=settings.header,
        hashing=HASHINGS[settings.hashing.upper()],
        signature=settings.signature,
    )


def _make_destination(name: str, url: str, signing: StreamerEntry | GlobalWebhook) -> Destination:
    defaults = GlobalWebhook()
    return Destination(
        name=name,
        url=url,
        secret=signing.target_webhook_secret,
        header=signing.target_webhook_header or defaults.target_webhook_header,
        hashing=HASHINGS[(signing.target_webhook_hashing or defaults.target_webhook_hashing).upper()],
        signature=signing.target_webhook_signature or defaults.target_webhook_signature,
    )
