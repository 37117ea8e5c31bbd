"""
``itsjustintv migrate``: converts the folder of the original program to a configuration and a journal.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from attrs import asdict, frozen

from itsjustintv.cli.console import (
    ListedError,
    config_argument,
    config_option,
    echo,
    errors,
    examples,
    json_option,
    new_config_path,
    write_json,
)
from itsjustintv.cli.legacy_config import ConvertedConfig, Difference, convert, differences
from itsjustintv.config.example import write_new
from itsjustintv.config.load import read
from itsjustintv.config.sections import Cache, Config, Retry, Twitch
from itsjustintv.journal.legacy_files import Imported, LegacyFiles
from itsjustintv.journal.storage import open_storage
from itsjustintv.routing import Routes
from itsjustintv.support.counts import count
from itsjustintv.support.files import make_private, replace
from itsjustintv.twitch.api.oauth import as_original

__all__ = ["migrate"]


@frozen
class _Folder:
    """
    The folder in which the original ran.
    """

    path: Path
    _tables: Mapping[str, Any]

    def file(self, section: str, key: str, default: str) -> Path:
        """
        Find a file of the original by its configuration.
        """
        table = self._tables.get(section)
        name = table.get(key) if isinstance(table, dict) else None
        return self.path / (name if isinstance(name, str) and name else default)


@click.command(
    short_help="Migrate from the original program.",
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
    help="Folder of the original, with config.toml and its data. It is not changed.",
)
@config_option
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@json_option
def migrate(folder: Path, config: str | None, dry_run: bool, as_json: bool) -> None:
    """
    Migrate the configuration and state of the original program, and list what behaves differently.

    Writes the configuration to --config; an existing file is used unchanged. The state goes to the journal that the
    configuration names. Stop the original first, and run this on the daemon's machine as the daemon's user.
    """
    source, target = folder.absolute() / "config.toml", new_config_path(config)
    existing = target.exists()
    with errors():
        accepted = convert(_original(source), os.environ, target, str(source), moving=not existing)
        in_use = convert(read(target), os.environ, target) if existing else accepted
        # An existing file is never changed, not even to convert it.
        usable = in_use.loaded is not None and not (existing and in_use.repairs)
        if not dry_run and not existing:
            make_private(target.absolute().parent)
            write_new(target, accepted.text)
        found = in_use.loaded.config if in_use.loaded is not None else Config()
        different = list(differences(accepted.tables, found, os.environ))
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
                "differences": [asdict(each) for each in different],
                "state": state,
            }
        )
    else:
        _report(in_use, target, different, state=state, existing=existing, dry_run=dry_run)
    if problems:
        raise ListedError(f"correct {target}, then run this again:", problems)
    if not as_json:
        more = f"migrate --from {shlex.quote(str(folder))}" if dry_run else "run"
        echo(f"Next: itsjustintv {more}{config_argument(target)}")


def _original(path: Path) -> str:
    if not path.exists():
        raise click.ClickException(f"{path} does not exist: --from must name the folder in which the original ran")
    return read(path)


def _take_over(folder: _Folder, config: Config) -> Mapping[str, Any]:
    """
    Import the state into the journal, and copy the token.

    :raises JournalUnavailable: the journal cannot be written.
    """
    storage = open_storage(config.storage)
    cache, queue = (
        folder.file("cache", "file_path", Cache().file_path),
        folder.file("retry", "state_file", Retry().state_file),
    )
    imported = storage.import_legacy(LegacyFiles(cache, queue, Routes.of(config).destination_for), time.time())
    problems = [*(imported.problems if imported else ()), *_token(folder, Path(config.twitch.token_file))]
    counts = imported or Imported()
    return {
        "journal": str(storage),
        "new": imported is not None,
        "announced": counts.keys,
        "pending": counts.pending,
        "cancelled": counts.cancelled,
        "problems": problems,
    }


def _token(folder: _Folder, to: Path) -> Sequence[str]:
    source = folder.file("twitch", "token_file", Twitch().token_file)
    if to.exists():
        return []
    try:
        token = as_original(source)
    except (OSError, ValueError) as error:
        return [f"cannot import {source}: {error}; the daemon requests a new token"]
    if token is not None:
        make_private(to.absolute().parent)
        replace(to, token)
    return []


def _report(
    accepted: ConvertedConfig,
    target: Path,
    different: Sequence[Difference],
    *,
    state: Mapping[str, Any] | None,
    existing: bool,
    dry_run: bool,
) -> None:
    what = "Using the existing" if existing else "Would write" if dry_run else "Wrote"
    echo(f"{what} {target}.", "good")
    for repair in () if existing else accepted.repairs:
        echo(f"  {repair.path}: {repair.text}")
    for warning in accepted.loaded.warnings if accepted.loaded else ():
        echo(f"Warning: {warning}", "doubtful", err=True)
        for line in warning.lines:
            echo(f"    {line}", err=True)
    if state is not None:
        if state["new"]:
            echo(
                f"Imported {count(state['announced'], 'announced broadcast')} and"
                f" {count(state['pending'], 'pending delivery')} into {state['journal']}."
            )
            if state["cancelled"]:
                cancelled = count(state["cancelled"], "delivery", ("is", "are"))
                echo(f"  {cancelled} cancelled: the webhook is not configured", "doubtful")
        else:
            echo(f"{state['journal']} already has data: the state was not imported again.", "doubtful")
        for problem in state["problems"]:
            echo(f"Warning: {problem}", "doubtful", err=True)
    echo("What behaves differently:")
    for each in different:
        echo(f"  {each.about}: {each.text}")
