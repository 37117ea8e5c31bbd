"""
Names that an operator types: streamers and destinations, those of the configuration and those that only the journal
still has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import click

from itsjustintv.config.load import Loaded
from itsjustintv.journal.offline import OfflineJournal
from itsjustintv.model import Streamer
from itsjustintv.routing import Routes
from itsjustintv.support.nearest import EMPTY, did_you_mean, nearest

__all__ = ["NearChoice", "configured", "destination_named", "streamer_named", "streamer_names"]


class NearChoice(click.Choice[str]):
    """
    A choice among words that asks about the nearest one when it is none of them.
    """

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """
        Take one of the words.
        """
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            near = nearest(value, self.choices, 1)
            if not near:
                raise
            self.fail(f"{error.message.removesuffix('.')}; did you mean {near[0]}?", param, ctx)


def configured(routes: Routes, text: str) -> Streamer | None:
    """
    The streamer of the configuration that goes by this key, login or user id, whatever the case; a key comes first.
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
    Everything that a configured streamer may be called, to find what is like it.
    """
    return dict.fromkeys(name for each in routes.streamers for name in (each.key, each.login) if name)


def streamer_named(settings: Loaded, ledger: OfflineJournal, text: str | None) -> str | None:
    """
    The key of the streamer that an option names, by key, login or user id; one that is no longer configured is found by
    the key that the journal has.

    :raises click.ClickException: there is none, in either.
    """
    if text is None:
        return None
    routes = Routes.of(settings.config)
    if found := configured(routes, text):
        return found.key
    past = ledger.streamers()
    if text in past:
        return text
    suggestion = did_you_mean(text, [*streamer_names(routes), *past])
    raise click.ClickException(f"there is no streamer {text or EMPTY} in the configuration or the journal{suggestion}")


def destination_named(settings: Loaded, ledger: OfflineJournal, text: str | None) -> str | None:
    """
    The destination that an option names; one that is no longer configured is found in the journal.

    :raises click.ClickException: there is none, in either.
    """
    if text is None:
        return None
    known = Routes.of(settings.config).destinations
    if text in known:
        return text
    past = ledger.destinations()
    if text in past:
        return text
    name, suggestion = text or EMPTY, did_you_mean(text, [*known, *past])
    raise click.ClickException(f"there is no destination {name} in the configuration or the journal{suggestion}")
