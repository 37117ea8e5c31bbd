"""
Loads the configuration from a file and the environment, or reports every error in it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import evolve, frozen

from itsjustintv.config.checks import check_rules, check_values, config_warnings, value_warnings
from itsjustintv.config.destination_checks import check_destinations
from itsjustintv.config.diff import Changes, changes, fingerprint
from itsjustintv.config.environment import apply_environment, unknown_variables
from itsjustintv.config.lint import edge_mistakes
from itsjustintv.config.locations import base_folder, resolve_paths
from itsjustintv.config.parse import resolve_unknown_keys, structure
from itsjustintv.config.parse_state import ParseState
from itsjustintv.config.secrets import named_files, read_secret_files
from itsjustintv.config.sections import Config
from itsjustintv.errors import ConfigError, Problem
from itsjustintv.model import DestinationKind
from itsjustintv.support.regular_files import is_descriptor, read_again, read_once

__all__ = ["FileReader", "Loaded", "Reread", "load", "parse", "parse_for", "read", "reread"]

#: Returns the content of a file, up to a number of bytes; see :mod:`~itsjustintv.support.regular_files`.
FileReader = Callable[[Path, int], bytes]

# Bytes; a thousand streamers take a third of one MiB.
_LARGEST = 16 * 1024 * 1024

_NONE: Mapping[str, DestinationKind] = {}


@frozen
class Loaded:
    """
    A valid configuration.

    :ivar warnings: of what is valid but probably wrong.
    :ivar base: the base of its relative paths, which are absolute already.
    """

    config: Config
    warnings: tuple[Problem, ...] = ()
    base: Path = Path()


def load(
    path: Path,
    environ: Mapping[str, str],
    base: Path | None = None,
    here: Path = Path(),
    read_file: FileReader = read_once,
    *,
    kinds: Mapping[str, DestinationKind] = _NONE,
) -> Loaded:
    """
    Read and check the configuration. Nothing is created or changed.

    :param path: of the TOML file.
    :param environ: wins over the file.
    :param base: the base of relative paths; by default that of :func:`~itsjustintv.config.locations.base_folder`.
    :param here: the current directory of the daemon.
    :param read_file: reads the configuration and the files with secrets.
    :param kinds: the kinds of destinations, by their types; by default there are none.
    :raises ConfigError: with every error.
    """
    text = read(path, read_file)
    if base is None:
        return parse_for(path, text, environ, here, read_file=read_file, kinds=kinds)
    return parse(text, environ, base, str(path), read_file, kinds=kinds)


def parse_for(  # noqa: PLR0917 - as load
    path: Path,
    text: str,
    environ: Mapping[str, str],
    here: Path | None = None,
    name: str = "",
    read_file: FileReader = read_once,
    *,
    kinds: Mapping[str, DestinationKind] = _NONE,
) -> Loaded:
    """
    Check the text of a configuration that is, or will be, at a path.

    :param here: the current directory of the daemon; ``None`` to ignore it.
    :param name: names the text in an error about TOML; the path by default.
    :param read_file: reads the files with secrets.
    :param kinds: as in :func:`load`.
    :raises ConfigError: with every error.
    """
    state = _parsed(text, environ, name or str(path), kinds)
    base, warnings = base_folder(state, path, here)
    return _checked(state, environ, base, warnings, read_file)


def read(path: Path, read_file: FileReader = read_once) -> str:
    """
    Read the text of a configuration.

    :raises ConfigError: it does not exist, cannot be read, or is not UTF-8.
    """
    try:
        text = read_file(path, _LARGEST).decode("utf-8-sig")
    except FileNotFoundError:
        odd = next(edge_mistakes(str(path)), "")
        where = "give --config, or write one with itsjustintv init" if read_file is read_once else "put it back"
        hint = f"its name {odd}" if odd else where
        raise _unusable(path, f"does not exist; {hint}") from None
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise _unusable(path, f"is not UTF-8 (at byte {error.start})") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse(
    text: str,
    environ: Mapping[str, str],
    base: Path = Path(),
    name: str = "config.toml",
    read_file: FileReader = read_once,
    *,
    kinds: Mapping[str, DestinationKind] = _NONE,
) -> Loaded:
    """
    Check the text of a configuration.

    :param base: the base of relative paths.
    :param name: names the text in an error about TOML.
    :param read_file: reads the files with secrets.
    :param kinds: as in :func:`load`.
    :raises ConfigError: with every error.
    """
    return _checked(_parsed(text, environ, name, kinds), environ, base, (), read_file)


def _parsed(text: str, environ: Mapping[str, str], name: str, kinds: Mapping[str, DestinationKind]) -> ParseState:
    try:
        state = ParseState(tomllib.loads(text), kinds)
    except ValueError as error:
        problems = (Problem(name, f"is not TOML: {error}"), *_of_environment(environ))
        raise ConfigError(problems, tuple(unknown_variables(environ))) from None
    except RecursionError:
        raise _unusable(name, "cannot be parsed: it is nested too deeply") from None
    resolve_unknown_keys(state)
    apply_environment(state, environ)
    return state


def _of_environment(environ: Mapping[str, str]) -> tuple[Problem, ...]:
    """
    Check the environment alone, when the file cannot be parsed.
    """
    state = ParseState({})
    apply_environment(state, environ)
    state.judge(check_values(structure(state)))
    return tuple(state.problem(each) for each in state.findings if each.path in state.sources)


def _checked(
    state: ParseState,
    environ: Mapping[str, str],
    base: Path,
    warnings: tuple[Problem, ...],
    read_file: FileReader = read_once,
) -> Loaded:
    read_secret_files(state, base, read_file)
    config = resolve_paths(structure(state), base)
    # The rules between values apply only to values that are valid themselves.
    state.judge(check_values(config))
    state.judge(check_destinations(config, state))
    state.judge(check_rules(config, state.wrong))
    if state.findings:
        raise ConfigError(
            state.problems(),
            (*warnings, *unknown_variables(environ, state), *map(state.problem, value_warnings(config, state))),
        )
    doubted = (state.problem(problem) for problem in config_warnings(config, state))
    return Loaded(config, (*warnings, *unknown_variables(environ, state), *doubted), base)


def _unusable(name: object, message: str) -> ConfigError:
    return ConfigError((Problem(str(name), message),))


_JOURNAL = Problem(
    "storage.path",
    "cannot change while the daemon runs and keeps its old value: stop the daemon, move the journal, start it again",
)

_BASE = Problem(
    "storage.base",
    "cannot change while the daemon runs and keeps its old value: stop the daemon, move its files, start it again",
)


@frozen
class Reread:
    """
    The configuration on disk, without the changes that are refused, and how it differs from the current one.
    """

    loaded: Loaded
    changes: Changes
    hash: str
    refused: tuple[Problem, ...] = ()


def reread(
    path: Path, environ: Mapping[str, str], base: Path, old: Config, kinds: Mapping[str, DestinationKind] = _NONE
) -> Reread:
    """
    Read, check and compare the configuration. Slow with thousands of streamers: call it in a thread.

    :param kinds: as in :func:`load`.
    :raises ConfigError: with every error.
    """
    loaded = load(path, environ, base, read_file=read_again, kinds=kinds)
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
    return Reread(evolve(loaded, config=new), changes(old, new), fingerprint(new, base), tuple(refused))
