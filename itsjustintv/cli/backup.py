"""
``itsjustintv backup`` and ``itsjustintv restore``: a copy of the journal, and the way back.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from itsjustintv.cli.console import config_option, errors, examples, loaded, tell, utc
from itsjustintv.journal.sqlite.backup import copy
from itsjustintv.journal.sqlite.database import explained
from itsjustintv.journal.sqlite.restore import Contents, contents
from itsjustintv.journal.sqlite.restore import restore as put_back

__all__ = ["backup", "restore"]

_file = click.argument("file", type=click.Path(path_type=Path, readable=False))


@click.command(short_help="Copy the journal, also while the daemon runs.", epilog=examples("backup journal-backup.db"))
@config_option
@_file
def backup(config: str | None, file: Path) -> None:
    """
    Copy the journal into FILE, also while the daemon runs, and verify the copy. It is there as a whole or not at all,
    with mode 0600, and replaces nothing. It holds what is to be sent, and no secrets of the configuration.
    """
    path, target = Path(loaded(config).config.storage.path).absolute(), file.absolute()
    with errors():
        with explained(path):
            copy(path, target)
        found = contents(target)
    tell(f"{target} is a verified copy of {path}.", "good")
    tell(f"Deliveries in it: {found.deliveries}; still to be made: {found.unfinished}.")


@click.command(
    short_help="Put a backup in the place of the journal.",
    epilog=examples("restore journal-backup.db --dry-run", "restore journal-backup.db"),
)
@config_option
@click.option("--dry-run", is_flag=True, help="Only verify the file, and say what would happen.")
@_file
def restore(config: str | None, file: Path, dry_run: bool) -> None:
    """
    Put FILE, a backup, in the place of the journal. Stop the daemon first. What is there is kept under another name.
    """
    path, source = Path(loaded(config).config.storage.path).absolute(), file.absolute()
    stamp = datetime.fromtimestamp(time.time(), UTC).strftime("before-restore-%Y%m%dT%H%M%SZ")
    with errors():
        found = contents(source)
        aside = [] if dry_run else put_back(source, path, stamp)
    tell(f"{source} can be restored to {path}." if dry_run else f"{path} is restored from {source}.", "good")
    for each in aside:
        tell(f"  Kept: {each}")
    _report(found)
    if not dry_run:
        tell("Next: start the daemon.")


def _report(found: Contents) -> None:
    """
    Say what a restored journal means.
    """
    tell(
        f"Deliveries to be made: {found.unfinished}. They are sent at the next start, with the ids they had, unless"
        " they are older than retry.max_age. What was delivered after the backup is sent a second time."
    )
    since = "" if found.newest is None else f" The newest event in it is of {utc(found.newest)} UTC."
    tell(f"Forgotten: what was accepted later. A broadcast that is still live may be announced again.{since}")
    if found.outdated:
        tell("It is of an older version: the daemon upgrades it at the next start.")
