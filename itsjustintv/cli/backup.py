"""
``itsjustintv backup`` and ``itsjustintv restore``: copy the journal, and put a copy in its place.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from itsjustintv.cli.console import config_option, echo, errors, examples, load_config, utc
from itsjustintv.journal.history import BackupContents
from itsjustintv.journal.storage import open_storage

__all__ = ["backup", "restore"]

_file = click.argument("file", type=click.Path(path_type=Path, readable=False))


@click.command(short_help="Copy the journal, even while the daemon runs.", epilog=examples("backup journal-backup.db"))
@config_option
@_file
def backup(config: str | None, file: Path) -> None:
    """
    Copy the journal to FILE, even while the daemon runs, and verify the copy. FILE must not exist; it is complete or
    absent, with mode 0600. It holds the payloads, but no secrets of the configuration.
    """
    storage, target = open_storage(load_config(config).config.storage), file.absolute()
    with errors():
        found = storage.back_up(target)
    echo(f"Copied {storage} to {target} and verified the copy.", "good")
    echo(f"Deliveries in it: {found.deliveries}; unfinished: {found.unfinished}.")


@click.command(
    short_help="Replace the journal with a backup.",
    epilog=examples("restore journal-backup.db --dry-run", "restore journal-backup.db"),
)
@config_option
@click.option("--dry-run", is_flag=True, help="Only verify the file, and show what would happen.")
@_file
def restore(config: str | None, file: Path, dry_run: bool) -> None:
    """
    Replace the journal with FILE, a backup. Stop the daemon first. The current journal is renamed, not deleted.
    """
    storage, source = open_storage(load_config(config).config.storage), file.absolute()
    stamp = datetime.fromtimestamp(time.time(), UTC).strftime("before-restore-%Y%m%dT%H%M%SZ")
    with errors():
        found = storage.read_backup(source)
        aside = [] if dry_run else storage.restore(source, stamp)
    echo(f"{source} can be restored to {storage}." if dry_run else f"Restored {storage} from {source}.", "good")
    for each in aside:
        echo(f"  Previous file: {each}")
    _report(found)
    if not dry_run:
        echo("Next: start the daemon.")


def _report(found: BackupContents) -> None:
    """
    Explain the effects of a restored journal.
    """
    echo(
        f"Unfinished deliveries: {found.unfinished}. They are sent at the next start, with the same"
        " ids, unless they are"
        " older than retry.max_age. Those delivered after the backup are sent again."
    )
    since = "" if found.newest is None else f" Its newest event is from {utc(found.newest)} UTC."
    echo(f"Events accepted after the backup are lost. A broadcast that is still live may be announced again.{since}")
    if found.is_outdated:
        echo("The backup has an older schema: the daemon upgrades it at the next start.")
