"""
What is on disk now, beside what is in use.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import evolve, frozen

from itsjustintv.config.diff import Changes, changes, fingerprint
from itsjustintv.config.load import Loaded, load
from itsjustintv.config.secrets import named_files
from itsjustintv.config.sections import Config
from itsjustintv.errors import Problem
from itsjustintv.support.regular_files import is_descriptor, read_again

__all__ = ["Found", "reread"]

_JOURNAL = Problem(
    "storage.path", "cannot change while the daemon runs, and stays what it was; restart the daemon to move the journal"
)

_BASE = Problem(
    "storage.base", "cannot change while the daemon runs, and stays what it was; restart the daemon to move its files"
)


@frozen
class Found:
    """
    A configuration as it is on disk, but for what is refused, and what is different about it.
    """

    loaded: Loaded
    changes: Changes
    hash: str
    refused: tuple[Problem, ...] = ()


def reread(path: Path, environ: Mapping[str, str], base: Path, old: Config) -> Found:
    """
    Read, check and compare; with thousands of streamers each of these takes its time.

    :raises ConfigError: listing everything that is wrong.
    """
    loaded = load(path, environ, base, opening=read_again)
    refused: list[Problem] = []
    if is_descriptor(path):
        refused.append(
            Problem("--config", f"{path} cannot be read again; restart the daemon to change the configuration")
        )
    new = loaded.config
    for key, name in named_files(new).items():
        if is_descriptor(Path(name)):
            refused.append(Problem(key, f"{name} cannot be read again; restart the daemon to change the secret"))
    if new.storage.path != old.storage.path:
        new = evolve(new, storage=evolve(new.storage, path=old.storage.path))
        refused.append(_JOURNAL)
    if new.storage.base != old.storage.base:
        new = evolve(new, storage=evolve(new.storage, base=old.storage.base))
        refused.append(_BASE)
    return Found(evolve(loaded, config=new), changes(old, new), fingerprint(new, base), tuple(refused))
