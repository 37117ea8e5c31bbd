"""
Who is announced where: the configured streamers and their destinations, ready to be looked up for each event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve, field, frozen

from itsjustintv.config.sections import Config, GlobalWebhook, StreamerEntry
from itsjustintv.model import Destination, Streamer
from itsjustintv.signature import HASHINGS

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
    _by_id: Mapping[str, Streamer] = field(init=False)
    _by_login: Mapping[str, Streamer] = field(init=False)

    @_by_id.default
    def _index_ids(self) -> Mapping[str, Streamer]:
        # Those configured by id come last: they win over a login that turned out to be the same broadcaster.
        ranked = sorted(self.streamers, key=lambda streamer: streamer.key in self._configured)
        return {streamer.user_id: streamer for streamer in ranked if streamer.user_id}

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
            tuple(_streamer(key, entry) for key, entry in config.streamers.items()),
            destinations,
            frozenset(key for key, entry in config.streamers.items() if entry.user_id),
        )

    def match(self, user_id: str, login: str) -> Streamer | None:
        """
        Find the entry for a broadcaster: by id, else by login whatever its case. An entry whose id is known is found
        by that id only, since a login can pass to somebody else.
        """
        return self._by_id.get(user_id) or self._by_login.get(login.lower())

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


def _streamer(key: str, entry: StreamerEntry) -> Streamer:
    return Streamer(
        key=key,
        user_id=entry.user_id,
        login=entry.login.lower(),
        tag_filter=entry.tag_filter,
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
