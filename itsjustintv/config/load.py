"""
From a file and the environment to a :class:`~itsjustintv.config.sections.Config`, or to everything that is wrong.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from itsjustintv.config.checks import check, doubts
from itsjustintv.config.draft import Draft
from itsjustintv.config.environment import overlay, strangers
from itsjustintv.config.secret_files import fill
from itsjustintv.config.sections import Config
from itsjustintv.config.structure import structure
from itsjustintv.errors import ConfigError, Problem

__all__ = ["Loaded", "load", "parse", "read"]


@frozen
class Loaded:
    """
    A configuration that can be used.

    :ivar warnings: what is allowed and yet seldom meant.
    """

    config: Config
    warnings: tuple[Problem, ...] = ()


def load(path: Path, environ: Mapping[str, str], base: Path = Path()) -> Loaded:
    """
    Read and check the configuration. Nothing is created or changed.

    :param path: of the TOML file. Paths inside it start at the current directory, as the original's do.
    :param environ: wins over the file.
    :param base: where relative paths of files with secrets start, if not at the current directory.
    :raises ConfigError: listing everything that is wrong.
    """
    return parse(read(path), environ, base, str(path))


def read(path: Path) -> str:
    """
    Read the text of a configuration.

    :raises ConfigError: it is not there, cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise _unusable(path, "does not exist; give --config, or set ITSJUSTINTV_CONFIG") from None
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise _unusable(path, f"is not UTF-8 (at byte {error.start})") from None


def parse(text: str, environ: Mapping[str, str], base: Path = Path(), name: str = "config.toml") -> Loaded:
    """
    Check the text of a configuration.

    :param base: where relative paths of files with secrets start.
    :param name: what to call the text when it is not TOML.
    :raises ConfigError: listing everything that is wrong.
    """
    try:
        draft = Draft(tomllib.loads(text))
    except ValueError as error:
        raise _unusable(name, f"is not TOML: {error}") from None
    except RecursionError:
        raise _unusable(name, "is not TOML that can be read: it is nested too deeply") from None
    overlay(draft, environ)
    fill(draft, base)
    config = structure(draft)
    draft.judge(check(config))
    if draft.findings:
        raise ConfigError(tuple(draft.problem(finding) for finding in draft.findings))
    return Loaded(config, (*strangers(environ), *(draft.problem(finding) for finding in doubts(config))))


def _unusable(name: object, message: str) -> ConfigError:
    return ConfigError((Problem(str(name), message),))
