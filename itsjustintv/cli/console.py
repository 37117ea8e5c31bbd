"""
What the commands have in common: their options, the examples in their help, and how they end.

A command ends with status 0 when all went well, 1 when something did not, 2 when it was not understood, and 130 when it
was interrupted. What went wrong is one line on standard error.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from itsjustintv.cli.folding_text_console import tell
from itsjustintv.config.load import Loaded, load
from itsjustintv.config.locations import FINDING, find
from itsjustintv.config.values import Rule
from itsjustintv.errors import ConfigError, ItsJustInTVError
from itsjustintv.folding_routes_routing import GLOBAL, Routes
from itsjustintv.support.causes import cause
from itsjustintv.support.foreign_text import visible

__all__ = [
    "Interrupted",
    "Listed",
    "chosen",
    "complete_destination",
    "complete_streamer",
    "config_option",
    "errors",
    "examples",
    "json_option",
    "loaded",
    "naming",
    "ruled",
    "to_write",
    "verbose",
]

F = TypeVar("F", bound=Callable[..., Any])

_SAID = "itsjustintv.which configuration it is"

_VERBOSE = "itsjustintv.verbose"


def verbose() -> bool:
    """
    Whether ``--verbose`` stands anywhere on the command line.
    """
    return bool(click.get_current_context().find_root().meta.get(_VERBOSE))


def _note_verbose(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.find_root().meta[_VERBOSE] = True


def config_option(command: F) -> F:
    """
    Give a command what all have that read the configuration: ``--config`` and ``--verbose``.
    """
    more = click.option(
        "--verbose",
        "-v",
        is_flag=True,
        expose_value=False,
        callback=_note_verbose,
        help="Name the configuration that is read; with run, log everything.",
    )
    return click.option("--config", "-c", metavar="FILE", help=FINDING)(more(command))


json_option = click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")


class Interrupted(click.ClickException):
    """
    Somebody did not wait for the end; the text says how things stand.
    """

    exit_code = 130


class Listed(click.ClickException):
    """
    Several things are wrong, and each has a line of its own.
    """

    def __init__(self, what: str, problems: Iterable[str]) -> None:
        super().__init__("\n  ".join(map(visible, (what, *problems))))


def ruled(rule: Rule) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """
    Hold an option to a rule of the configuration.
    """

    def judge(_: click.Context, __: click.Parameter, value: Any) -> Any:
        for each in value if isinstance(value, tuple) else (value,):
            if each is not None and (problems := list(rule(each))):
                raise click.BadParameter("; ".join(problems))
        return value

    return judge


def examples(*lines: str) -> str:
    """
    The end of a command's help: how it is used, a command to a line, with a comment of a few words if need be.
    """
    return "\b\nExamples:\n" + "\n".join(f"  $ itsjustintv {line}".rstrip() for line in lines)


@contextmanager
def errors() -> Iterator[None]:
    """
    Turn what can go wrong into one line and status 1.

    :raises click.ClickException: in place of the package's own exceptions and those of the operating system.
    """
    try:
        yield
    except ConfigError as error:
        raise Listed("the configuration cannot be used:", error.lines()) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        raise click.ClickException(cause(error)) from None
    except ItsJustInTVError as error:
        raise click.ClickException(str(error)) from None


def chosen(given: str | None) -> Path:
    """
    Find the configuration. If another one might have been meant, standard error has a line about it, once.

    :param given: what ``--config`` of the command says; else that counts which stands before the command's name.
    :return: an absolute path.
    """
    root = click.get_current_context().find_root()
    place = find(given or root.params.get("config"), os.environ)
    note = f"Loaded configuration from: {place.path}" if root.meta.get(_VERBOSE) else place.note
    if note and root.meta.setdefault(_SAID, place) is place:
        tell(note, err=True)
    return place.path


def to_write(given: str | None) -> Path:
    """
    Say where a new configuration goes: as given, else as ``ITSJUSTINTV_CONFIG`` says, else ``config.toml`` here.

    :param given: as in :func:`chosen`.
    :return: an absolute path.
    """
    outermost = click.get_current_context().find_root().params.get("config")
    return Path(given or outermost or os.environ.get("ITSJUSTINTV_CONFIG") or "config.toml").absolute()


def naming(path: Path) -> str:
    """
    Write the option that names a configuration to the next command, typed here; nothing if it finds that by itself.
    """
    found = find(None, os.environ)
    return "" if found.path == path and path.exists() else f" --config {shlex.quote(str(path))}"


def loaded(given: str | None) -> Loaded:
    """
    Read and check the configuration.

    :param given: what ``--config`` says, if anything.
    :raises click.ClickException: listing all that is wrong with it.
    """
    with errors():
        return load(chosen(given), os.environ)


def complete_streamer(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """
    The keys of streamers that begin so, for a shell that completes.
    """
    return [each.key for each in _routes(context).streamers if each.key.startswith(incomplete)]


def complete_destination(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """
    The names of destinations that begin so, for a shell that completes.
    """
    routes = _routes(context)
    names = dict.fromkeys([*(name for each in routes.streamers for name in each.destinations), GLOBAL])
    return [name for name in names if name.startswith(incomplete) and routes.destination(name) is not None]


def _routes(context: click.Context) -> Routes:
    given = context.params.get("config") or context.find_root().params.get("config")
    try:
        return Routes.of(load(find(given, os.environ).path, os.environ).config)
    except (ConfigError, OSError):
        # Nobody is told while he types.
        return Routes((), {}, frozenset())
