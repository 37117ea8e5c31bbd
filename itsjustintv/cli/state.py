"""
``itsjustintv state``: the state, in the files of the original program.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import click

from itsjustintv.cli.console import config_option, errors, examples, loaded, tell
from itsjustintv.destinations.webhook import embed
from itsjustintv.journal.offline import OfflineJournal
from itsjustintv.routing import Routes
from itsjustintv.support.counts import count
from itsjustintv.support.files import make_private, replace
from itsjustintv.twitch.api.oauth import as_original

__all__ = ["state"]


@click.group(epilog=examples("state export DIRECTORY"))
def state() -> None:
    """
    Exchange the state with the original program.
    """


@state.command(epilog=examples("state export exported"))
@config_option
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def export(config: str | None, directory: Path) -> None:
    """
    Write cache.json, retry_state.json and tokens.json as the original program keeps them. They hold addresses and
    secrets.
    """
    found = loaded(config).config
    with errors():
        ledger = OfflineJournal.open(Path(found.storage.path), time.time)
        make_private(directory)
        written = ledger.export(directory, Routes.of(found).destination, embed)
        problems = [*written.problems, *_export_token(Path(found.twitch.token_file), directory / "tokens.json")]
    for problem in problems:
        tell(f"Warning: {problem}", "doubtful", err=True)
    tell(
        f"{count(written.keys, 'announced broadcast')} and {count(written.pending, 'delivery')} written to {directory}"
    )


def _export_token(kept: Path, to: Path) -> Iterator[str]:
    """
    Write the token.

    :return: what is wrong with it.
    """
    try:
        token = as_original(kept)
    except ValueError as error:
        yield f"the token file {kept} stays behind: {error}"
    else:
        if token is not None and kept.resolve() != to.resolve():
            replace(to, token)
