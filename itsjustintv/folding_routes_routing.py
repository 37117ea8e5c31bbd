"""
Who is announced where: the configured streamers and their destinations, ready to be looked up for each event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import evolve, field, frozen

from itsjustintv.config.sections import Config, GlobalWebhook, StreamerEntry
from itsjustintv.config.values import ALL
from itsjustintv.model import Destination, Streamer
from itsjustintv.support.signatures import HASHINGS

__all__ = ["GLOBAL", "Routes"]

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
