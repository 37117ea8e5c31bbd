"""
``itsjustintv migrate``: from the original program's folder to a configuration and a journal of ours.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from attrs import asdict, frozen

from itsjustintv.cli.console import (
    Listed,
    config_option,
    errors,
    examples,
    json_option,
    naming,
    tell,
    to_write,
    write_json,
)
from itsjustintv.cli.legacy_config import Accepted, Difference, accept, differences
from itsjustintv.config.example import write_new
from itsjustintv.config.load import read
from itsjustintv.config.sections import Cache, Config, Retry, Twitch
from itsjustintv.errors import JournalUnavailable
from itsjustintv.journal.sqlite.database import create, explain, lock
from itsjustintv.journal.sqlite.legacy_files import Imported, Original
from itsjustintv.routing import Routes
from itsjustintv.support.counts import count
from itsjustintv.support.files import make_private, replace
from itsjustintv.twitch.api.oauth import as_original

__all__ = ["migrate"]


@frozen
class _Folder:
    """
    Where the original ran.
    """

    path: Path
    _tables: Mapping[str, Any]

    def file(self, section: str, key: str, default: str) -> Path:
        """
        A file of the original's, as its configuration names it.
        """
        table = self._tables.get(section)
        name = table.get(key) if isinstance(table, dict) else None
        return self.path / (name if isinstance(name, str) and name else default)


@click.command(
    short_help="Take over from the original program.",
    epilog=examples(
        "migrate --from /opt/old --dry-run",
        "migrate --from /opt/old",
        "migrate --from /opt/old --config /etc/itsjustintv.toml",
    ),
)
@click.option(
    "--from",
    "folder",
    required=True,
    metavar="DIRECTORY",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where the original ran: its config.toml, and data below it. Nothing there is changed.",
)
@config_option
@click.option("--dry-run", is_flag=True, help="Only say what would be different.")
@json_option
def migrate(folder: Path, config: str | None, dry_run: bool, as_json: bool) -> None:
    """
    Take over the original program's configuration and state, and say what will be different.

    The configuration is written to --config, unless there is one already: then that one is used as it is. The state
    goes to the journal that it names. Stop the original first, and run this where the daemon will run, as its user.
    """
    source, target = folder.absolute() / "config.toml", to_write(config)
    existing = target.exists()
    with errors():
        accepted = accept(_original(source), os.environ, target, str(source))
        in_use = accept(read(target), os.environ, target) if existing else accepted
        # What is there is never changed, not even for the better.
        usable = in_use.loaded is not None and not (existing and in_use.repairs)
        if not dry_run and not existing:
            make_private(target.absolute().parent)
            write_new(target, accepted.text)
        found = in_use.loaded.config if in_use.loaded is not None else Config()
        told = list(differences(accepted.tables, found, os.environ))
        state = _take_over(_Folder(folder, accepted.tables), found) if usable and not dry_run else None
    repairs = in_use.repairs if existing else accepted.repairs
    problems = [*map(str, in_use.problems), *([f"{each.path}: {each.text}" for each in repairs] if existing else [])]
    if as_json:
        write_json(
            {
                "config": str(target),
                "repairs": [] if existing else [asdict(each) for each in repairs],
                "problems": problems,
                "warnings": [str(each) for each in in_use.loaded.warnings] if in_use.loaded else [],
                "differences": [asdict(each) for each in told],
                "state": state,
            }
        )
    else:
        _report(in_use, target, told, state=state, existing=existing, dry_run=dry_run)
    if problems:
        raise Listed(f"{target} must be corrected, then run this again:", problems)
    if not as_json:
        more = f"migrate --from {shlex.quote(str(folder))}" if dry_run else "run"
        tell(f"Next: itsjustintv {more}{naming(target)}")


def _original(path: Path) -> str:
    if not path.exists():
        raise click.ClickException(f"{path} is not there: --from names the folder in which the original ran")
    return read(path)


def _take_over(folder: _Folder, config: Config) -> Mapping[str, Any]:
    """
    Bring the state into the journal, and the token to its place.

    :raises JournalUnavailable: the journal cannot be written.
    """
    path = Path(config.storage.path)
    cache, queue = (
        folder.file("cache", "file_path", Cache().file_path),
        folder.file("retry", "state_file", Retry().state_file),
    )
    held = lock(path)
    try:
        connection = create(path)
        try:
            imported = Original(cache, queue, Routes.of(config).destination_for).take_over(connection, time.time())
        except sqlite3.Error as error:
            raise JournalUnavailable(explain(path, error)) from error
        finally:
            connection.close()
    finally:
        os.close(held)
    problems = [*(imported.problems if imported else ()), *_token(folder, Path(config.twitch.token_file))]
    counts = imported or Imported()
    return {
        "journal": str(path),
        "new": imported is not None,
        "announced": counts.keys,
        "pending": counts.pending,
        "cancelled": counts.cancelled,
        "problems": problems,
    }


def _token(folder: _Folder, to: Path) -> Sequence[str]:
    kept = folder.file("twitch", "token_file", Twitch().token_file)
    if to.exists():
        return []
    try:
        token = as_original(kept)
    except (OSError, ValueError) as error:
        return [f"{kept} stays behind: {error}; another token is asked for"]
    if token is not None:
        make_private(to.absolute().parent)
        replace(to, token)
    return []


def _report(
    accepted: Accepted,
    target: Path,
    told: Sequence[Difference],
    *,
    state: Mapping[str, Any] | None,
    existing: bool,
    dry_run: bool,
) -> None:
    verb = "is there already, and is used as it is" if existing else "would be written" if dry_run else "is written"
    tell(f"{target} {verb}.", "good")
    for repair in () if existing else accepted.repairs:
        tell(f"  {repair.path}: {repair.text}")
    for warning in accepted.loaded.warnings if accepted.loaded else ():
        tell(f"Warning: {warning}", "doubtful", err=True)
    if state is not None:
        if state["new"]:
            tell(
                f"{state['journal']} has {count(state['announced'], 'announced broadcast')} and"
                f" {count(state['pending'], 'delivery')} to be made."
            )
            if state["cancelled"]:
                cancelled = count(state["cancelled"], "delivery", ("is", "are"))
                tell(f"  {cancelled} cancelled: the webhook is not configured", "doubtful")
        else:
            tell(f"{state['journal']} is in use already: nothing is taken over a second time.", "doubtful")
        for problem in state["problems"]:
            tell(f"Warning: {problem}", "doubtful", err=True)
    tell("Different from the original:")
    for each in told:
        tell(f"  {each.about}: {each.text}")
