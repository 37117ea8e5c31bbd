"""
What the commands have in common: their options, the examples in their help, and how they end.

A command ends with status 0 when all went well, 1 when something did not, 2 when it was not understood, and 130 when it
was interrupted. What went wrong is one line on standard error.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TextIO, TypeVar

import click
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.python.failure import Failure

from itsjustintv.config.load import Loaded, load
from itsjustintv.config.locations import FINDING, find
from itsjustintv.config.values import Rule
from itsjustintv.errors import ConfigError, ItsJustInTVError
from itsjustintv.routing import GLOBAL, Routes
from itsjustintv.support.causes import cause
from itsjustintv.support.foreign_text import visible, visible_json

__all__ = [
    "Advance",
    "Interrupted",
    "Listed",
    "chosen",
    "colour_in",
    "complete_destination",
    "complete_streamer",
    "config_option",
    "errors",
    "examples",
    "in_reactor",
    "json_option",
    "loaded",
    "naming",
    "progress",
    "ruled",
    "table",
    "tell",
    "to_write",
    "utc",
    "verbose",
    "write_json",
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


_TONES = {"good": "green", "bad": "red", "doubtful": "yellow"}


class Advance(Protocol):
    """
    Tells that so much more is done.
    """

    def __call__(self, steps: int = 1) -> None:
        """
        Move on.
        """


def utc(seconds: float) -> str:
    """
    Write a moment, given in seconds since the epoch, in UTC and without saying so.
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def write_json(content: object, indent: int | None = 2) -> None:
    """
    Write a JSON value, for programs that read on, and so that it steers no terminal.

    :param indent: ``None`` for one line.
    """
    document = visible_json(json.dumps(content, indent=indent, ensure_ascii=False))
    click.echo(document if document == _encodable(document) else json.dumps(content, indent=indent))


def _encodable(text: str, *, err: bool = False) -> str:
    """
    Write as codes what the encoding of the terminal, or of the file, does not have.
    """
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def colour_in(environ: Mapping[str, str]) -> bool | None:
    """
    What click is to do about colour: ``None`` for colour on a terminal, ``False`` where somebody wants none of it
    (no-color.org), or the terminal has none.
    """
    return False if environ.get("NO_COLOR") or environ.get("TERM") == "dumb" else None


def tell(text: str, tone: str = "", *, err: bool = False) -> None:
    """
    Write one line, whatever is in it.

    :param tone: ``good``, ``bad``, ``doubtful``, or nothing in particular.
    """
    line = _encodable(visible(text), err=err)
    click.echo(click.style(line, fg=_TONES[tone]) if tone else line, err=err)


def table(rows: Sequence[Sequence[str]], tones: Mapping[str, str] = {}) -> None:
    """
    Write rows under the first of them.

    :param rows: cells; the first row is the headings.
    :param tones: of cells that say one of these words.
    """
    rows = [[_encodable(visible(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        # The last cell is not filled up, so that no line ends in blanks.
        cells = [
            cell.ljust(width) if place + 1 < len(row) else cell
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        if number:
            painted = [
                click.style(cell, fg=_TONES[tones[cell.strip()]]) if cell.strip() in tones else cell for cell in cells
            ]
            click.echo("  ".join(painted).rstrip())
        else:
            click.echo(click.style("  ".join(cells).rstrip(), bold=True))


def _nothing(steps: int = 1) -> None:
    """
    Nobody watches.
    """


@contextmanager
def progress(length: int, label: str, out: TextIO | None = None) -> Iterator[Advance]:
    """
    Show on standard error how far long work has come, if that is a terminal and there is work worth watching.

    :param length: steps in all.
    """
    out = sys.stderr if out is None else out
    if length < 2 or not out.isatty() or os.environ.get("TERM") == "dumb":
        yield _nothing
        return
    with click.progressbar(length=length, label=label, file=out, show_pos=True) as bar:
        yield lambda steps=1: bar.update(steps)


T = TypeVar("T")


def in_reactor(
    work: Callable[[Any], Coroutine[Deferred[Any], Any, T]], interrupted: str = "interrupted", grace: float = 5.0
) -> T:
    """
    Do something with the reactor, once in a process. A signal cancels it.

    :param work: is given the reactor.
    :param interrupted: what to say when it was ended before its end.
    :param grace: seconds for what was cancelled to take down what it has set up.
    :raises click.ClickException: what can go wrong, in one line.
    """
    from twisted.internet import reactor  # noqa: PLC0415 - a command that does not need it must not install it

    running: Any = reactor
    results: list[Any] = []

    def begin() -> None:
        doing = Deferred.fromCoroutine(work(running))
        over: Deferred[None] = Deferred()

        def ended(result: Any) -> None:
            results.append(result)
            over.callback(None)
            with suppress(ReactorNotRunning):
                running.stop()

        def signalled() -> Deferred[None]:
            doing.cancel()
            return over.addTimeout(grace, running, onTimeoutCancel=lambda *_: None)

        # A signal stops the reactor, which waits for what this answers with.
        running.addSystemEventTrigger("before", "shutdown", signalled)
        doing.addBoth(ended)

    with errors():
        running.callWhenRunning(begin)
        running.run()
        if not results:
            raise Interrupted(interrupted)
        if isinstance(results[0], Failure):
            if results[0].check(CancelledError):
                raise Interrupted(interrupted)
            results[0].raiseException()
    found: T = results[0]
    return found
