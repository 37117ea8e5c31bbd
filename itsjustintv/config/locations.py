"""
Finds the configuration file, and resolves the relative paths in it, independent of the current directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

import attrs
from attrs import evolve, frozen

from itsjustintv.config.destination_tables import destination_tables
from itsjustintv.config.keys import leaves
from itsjustintv.config.parse_state import ParseState
from itsjustintv.config.sections import Config, DestinationEntry, Storage
from itsjustintv.errors import Problem

__all__ = [
    "INSTALLED",
    "SEARCH_ORDER",
    "STATE",
    "FoundConfig",
    "base_folder",
    "find_config",
    "is_path",
    "relative_paths",
    "resolve_paths",
]

#: Where docs/install.md puts the configuration.
INSTALLED = Path("/etc/itsjustintv/itsjustintv.toml")

#: The help of ``--config``: what :func:`find_config` does.
SEARCH_ORDER = f"Configuration file; otherwise ITSJUSTINTV_CONFIG, config.toml here, or {INSTALLED}."

#: The base of relative paths for a configuration below /etc: the StateDirectory of the systemd unit.
STATE = Path("/var/lib/itsjustintv")

#: No files are below these, but what a shell makes of ``<(...)``.
_PIPES = (Path("/dev"), Path("/proc"))


@frozen
class FoundConfig:
    """
    :ivar path: of the configuration, absolute.
    :ivar note: names it for the user if another file might have been meant, else empty.
    """

    path: Path
    note: str = ""


def find_config(
    given: str | None, environ: Mapping[str, str], here: Path = Path(), installed: Path = INSTALLED
) -> FoundConfig:
    """
    Find the configuration: the one given, else the one that ``ITSJUSTINTV_CONFIG`` names, else ``config.toml`` here,
    else the installed one; without any, ``config.toml`` here.

    :param here: the current directory.
    """
    here = here.absolute()
    if named := given or environ.get("ITSJUSTINTV_CONFIG"):
        return FoundConfig(here / named)
    path = here / "config.toml"
    if not _may_exist(installed):
        return FoundConfig(path)
    if _may_exist(path):
        return FoundConfig(path, f"itsjustintv: the configuration is {path}, not {installed}")
    return FoundConfig(installed, f"itsjustintv: the configuration is {installed}")


def is_path(key: str) -> bool:
    """
    Whether a key of the configuration names a file or a folder.
    """
    return key.endswith(("_file", "_dir", "file_path", "ca_bundle")) or key == "path"


def base_folder(state: ParseState, path: Path, here: Path | None) -> tuple[Path, tuple[Problem, ...]]:
    """
    Find the base of relative paths: ``storage.base``, else :data:`STATE` for a configuration below ``/etc``, else the
    folder of the configuration.

    Earlier versions used the current directory. Data that exists there, and not in the right folder, is used from
    there: a second, empty journal would lose the pending deliveries of the first.

    :param path: of the configuration.
    :param here: the current directory of the daemon; ``None`` to ignore it.
    :return: the folder, and warnings.
    """
    path = Path(os.path.normpath(path.absolute()))
    said = state.get(("storage", "base"))
    if isinstance(said, str) and said:
        return path.parent / said, ()
    if any(path.is_relative_to(each) for each in _PIPES):
        return (here or Path()).absolute(), ()
    base = STATE if path.is_relative_to("/etc") else path.parent
    if here is None or base.resolve() == here.resolve():
        return base, ()
    here = here.absolute()
    for name in _relative(state):
        ours, theirs = base / name, here / name
        if _may_exist(ours):
            # With a journal in both places, the one in use may be the wrong one.
            twice = name == (state.get(("storage", "path")) or Storage().path) and _may_exist(theirs)
            return base, (_twice(ours, theirs, here),) if twice else ()
        if _may_exist(theirs):
            return here, (_left_behind(ours, theirs, here),)
    return base, ()


def resolve_paths(config: Config, base: Path) -> Config:
    """
    Make every relative path in a configuration absolute.
    """
    placed: Config = _located(config, base)
    streamers = {
        key: evolve(_located(each, base), at=_located_entries(each.at, base))
        if each.target_webhook_secret_file or each.at
        else each
        for key, each in config.streamers.items()
    }
    return evolve(placed, streamers=streamers, destinations=_located_entries(config.destinations, base))


def _located_entries(entries: Mapping[str, DestinationEntry], base: Path) -> Mapping[str, DestinationEntry]:
    return {
        key: evolve(
            each,
            settings=_located(each.settings, base),
            files={name: str(base / file) for name, file in each.files.items()},
        )
        for key, each in entries.items()
    }


def _located(section: Any, base: Path) -> Any:
    changes: dict[str, Any] = {}
    for attribute in attrs.fields(type(section)):
        value = getattr(section, attribute.name)
        if attrs.has(type(value)):
            changes[attribute.name] = _located(value, base)
        elif isinstance(value, str) and value and is_path(attribute.name):
            changes[attribute.name] = str(base / value)
    return evolve(section, **changes)


def relative_paths(values: Mapping[str, Any], base: Path) -> Mapping[str, Any]:
    """
    Undo :func:`resolve_paths` in a configuration as plain values, so that the same file compares equal anywhere.
    """
    start = f"{base}{os.sep}"
    made: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            made[key] = relative_paths(value, base)
        elif isinstance(value, str) and value.startswith(start) and is_path(key):
            made[key] = value.removeprefix(start)
        else:
            made[key] = value
    return made


def _relative(state: ParseState) -> Iterator[str]:
    """
    List the relative paths of a configuration, the journal's first.
    """
    found = [each.keys for each in leaves() if is_path(each.keys[-1])]
    found.sort(key=lambda keys: keys != ("storage", "path"))
    names = [state.get(keys) or attrgetter(".".join(keys))(Config()) for keys in found]
    streamers = state.get(("streamers",))
    keys = streamers if isinstance(streamers, dict) else ()
    for each in destination_tables(state):
        names += [value for key, value in each.values.items() if is_path(key)]
    for name in (*names, *(state.get(("streamers", key, "target_webhook_secret_file")) for key in keys)):
        if isinstance(name, str) and name and "\0" not in name and not Path(name).is_absolute():
            yield name


def _may_exist(path: Path) -> bool:
    """
    Whether a path exists, or may exist where this user cannot look.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _left_behind(ours: Path, theirs: Path, here: Path) -> Problem:
    return Problem(
        "storage.base",
        f"is not set: {theirs} exists and {ours} does not, so relative paths refer to the current directory, as in"
        f' earlier versions. Set storage.base = "{here}", or stop the daemon and move the files',
    )


def _twice(ours: Path, theirs: Path, here: Path) -> Problem:
    return Problem(
        "storage.base",
        f"is not set: the journal is {ours}, but {theirs}, which earlier versions used, exists too:"
        f' if that is the right one, set storage.base = "{here}"',
    )
