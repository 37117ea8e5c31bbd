"""
``itsjustintv state``: exports the state to the files of the original program.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import click

from itsjustintv.cli.console import config_option, echo, errors, examples, load_config
from itsjustintv.destinations.payload import embed_picture
from itsjustintv.journal.storage import open_storage
from itsjustintv.routing import Routes
from itsjustintv.support.counts import count
from itsjustintv.support.files import make_private, replace
from itsjustintv.twitch.api.oauth import as_original

__all__ = ["state"]


@click.group(epilog=examples("state export DIRECTORY"))
def state() -> None:
    """
    Export the state to the original program.
    """


@state.command(epilog=examples("state export exported"))
@config_option
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def export(config: str | None, directory: Path) -> None:
    """
    Write cache.json, retry_state.json and tokens.json to DIRECTORY, in the format of the original program. They hold
    webhook URLs and secrets.
    """
    found = load_config(config).config
    with errors():
        journal = open_storage(found.storage).offline(time.time)
        make_private(directory)
        written = journal.export(Routes.of(found).destination, embed_picture)
        written.write(directory)
        problems = [*written.problems, *_export_token(Path(found.twitch.token_file), directory / "tokens.json")]
    for problem in problems:
        echo(f"Warning: {problem}", "doubtful", err=True)
    echo(
        f"exported {count(written.keys, 'announced broadcast')} and {count(written.pending, 'delivery')} to {directory}"
    )


def _export_token(source: Path, to: Path) -> Iterator[str]:
    """
    Write the token.

    :return: warnings.
    """
    try:
        token = as_original(source)
    except ValueError as error:
        yield f"cannot export the token file {source}: {error}"
    else:
        if token is not None and source.resolve() != to.resolve():
            replace(to, token)
