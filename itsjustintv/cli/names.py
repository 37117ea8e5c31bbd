"""
Finds the streamer or destination that an operator named, in the configuration or in the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import click

from itsjustintv.config.load import Loaded
from itsjustintv.journal.interfaces import IOfflineJournal
from itsjustintv.model import Streamer
from itsjustintv.routing import Routes
from itsjustintv.support.nearest import EMPTY, did_you_mean, nearest

__all__ = ["NearChoice", "configured", "destination_named", "streamer_named", "streamer_names"]


class NearChoice(click.Choice[str]):
    """
    A choice that suggests the nearest word.
    """

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            near = nearest(value, self.choices, 1)
            if not near:
                raise
            self.fail(f"{error.message.removesuffix('.')}; did you mean {near[0]}?", param, ctx)


def configured(routes: Routes, text: str) -> Streamer | None:
    """
    Find a configured streamer by key, login or user id, in any case; a key comes first.
    """
    wanted = text.lower()
    names: Sequence[Callable[[Streamer], str]] = (
        lambda each: each.key,
        lambda each: each.key.lower(),
        lambda each: each.login,
        lambda each: each.user_id,
    )
    for name, sought in zip(names, (text, wanted, wanted, wanted), strict=True):
        if found := next((each for each in routes.streamers if sought and name(each) == sought), None):
            return found
    return None


def streamer_names(routes: Routes) -> Iterable[str]:
    """
    List the keys and logins of all configured streamers, for suggestions.
    """
    return dict.fromkeys(name for each in routes.streamers for name in (each.key, each.login) if name)


def streamer_named(settings: Loaded, journal: IOfflineJournal, text: str | None) -> str | None:
    """
    Find the key of the streamer that an option names. One that is no longer configured is found in the journal by its
    key.

    :raises click.ClickException: neither has it.
    """
    if text is None:
        return None
    routes = Routes.of(settings.config)
    if found := configured(routes, text):
        return found.key
    past = journal.streamers()
    if text in past:
        return text
    suggestion = did_you_mean(text, [*streamer_names(routes), *past])
    raise click.ClickException(f"no streamer {text or EMPTY} in the configuration or the journal{suggestion}")


def destination_named(settings: Loaded, journal: IOfflineJournal, text: str | None) -> str | None:
    """
    Find the destination that an option names, in the configuration or else in the journal.

    :raises click.ClickException: neither has it.
    """
    if text is None:
        return None
    known = Routes.of(settings.config).destinations
    if text in known:
        return text
    past = journal.destinations()
    if text in past:
        return text
    name, suggestion = text or EMPTY, did_you_mean(text, [*known, *past])
    raise click.ClickException(f"no destination {name} in the configuration or the journal{suggestion}")
