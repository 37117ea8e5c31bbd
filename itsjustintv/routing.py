"""
Who is announced where at this moment: the routes of the current configuration with the ids that Twitch told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define, field

from itsjustintv.config.routes import Routes
from itsjustintv.config.sections import Config
from itsjustintv.model import Destination, Event, Streamer

__all__ = ["Routing"]


@define(eq=False)
class Routing:
    """
    Answers for each event and each delivery, from one complete set of routes at a time.
    """

    _routes: Routes
    _ids: Mapping[str, str] = field(factory=dict, init=False)

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
        self._routes = Routes.of(config).with_ids(self._ids)

    def identify(self, ids: Mapping[str, str]) -> None:
        """
        Take note of the ids of logins.

        :param ids: login to user id.
        """
        self._ids = {**self._ids, **ids}
        self._routes = self._routes.with_ids(ids)

    def match(self, event: Event) -> Streamer | None:
        """
        Who is configured to be told about an event; ``None`` when nobody is.
        """
        return self._routes.match(event.broadcaster_id, event.broadcaster_login)

    def destination(self, name: str) -> Destination | None:
        """
        A destination as it is configured now, or ``None``.
        """
        return self._routes.destination(name)

    def destination_for(self, key: str, url: str) -> str | None:
        """
        The name of the destination of a URL in the original program's queue, or ``None``.
        """
        return self._routes.destination_for(key, url)

    def wanted(self) -> Mapping[str, str]:
        """
        Every streamer whose id is known: user id to the name of his table in the configuration.
        """
        return {streamer.user_id: streamer.key for streamer in self._routes.streamers if streamer.user_id}

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
