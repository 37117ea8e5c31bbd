"""
What the commands share: options and completion, the configuration, output, errors and the reactor.

Exit status: 0 success, 1 failure, 2 usage error, 130 interrupted. An error is one line on standard error.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO, TypeVar

import click

from itsjustintv.config.locations import SEARCH_ORDER, find_config
from itsjustintv.errors import ConfigError, ItsJustInTVError
from itsjustintv.model import STREAM_ONLINE, Action, Delivery, Event, State
from itsjustintv.support.causes import cause
from itsjustintv.support.foreign_text import visible, visible_json

# Every command imports this module, and most do without these.
if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from itsjustintv.config.load import Loaded
    from itsjustintv.config.values import Rule
    from itsjustintv.routing import Routes

__all__ = [
    "Advance",
    "Interrupted",
    "ListedError",
    "checked_by",
    "colour_in",
    "complete_destination",
    "complete_streamer",
    "config_argument",
    "config_option",
    "config_path",
    "describe_event",
    "describe_post",
    "echo",
    "errors",
    "examples",
    "in_reactor",
    "interruptible",
    "json_option",
    "load_config",
    "new_config_path",
    "progress",
    "table",
    "utc",
    "verbose",
    "write_json",
]

F = TypeVar("F", bound=Callable[..., Any])

_NOTED = "itsjustintv.configuration noted"
_VERBOSE = "itsjustintv.verbose"


def verbose() -> bool:
    """
    Whether ``--verbose`` is anywhere on the command line.
    """
    return bool(click.get_current_context().find_root().meta.get(_VERBOSE))


def _note_verbose(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.find_root().meta[_VERBOSE] = True


def config_option(command: F) -> F:
    """
    Add the options of every command that reads the configuration: ``--config`` and ``--verbose``.
    """
    verbose_option = click.option(
        "--verbose",
        "-v",
        is_flag=True,
        expose_value=False,
        callback=_note_verbose,
        help="Print the path of the configuration; with run, log at debug level.",
    )
    return click.option("--config", "-c", metavar="FILE", help=SEARCH_ORDER)(verbose_option(command))


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Interrupted(click.ClickException):
    """
    The command was interrupted; the text says in which state it left things.
    """

    exit_code = 130


class ListedError(click.ClickException):
    """
    Several errors, each on its own line.
    """

    def __init__(self, what: str, problems: Iterable[str]) -> None:
        super().__init__("\n  ".join(map(visible, (what, *problems))))


@contextmanager
def interruptible(text: str) -> Iterator[None]:
    """
    Let Ctrl-C end a question; the reactor would not interrupt it.

    :param text: the error text then.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except click.Abort:
        raise Interrupted(text) from None
    finally:
        signal.signal(signal.SIGINT, before)


def checked_by(rule: Rule) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """
    Make an option callback that applies a rule of the configuration.
    """

    def check(_: click.Context, __: click.Parameter, value: Any) -> Any:
        for each in value if isinstance(value, tuple) else (value,):
            if each is not None and (problems := list(rule(each))):
                raise click.BadParameter("; ".join(problems))
        return value

    return check


def examples(*lines: str) -> str:
    """
    Format the examples at the end of a command's help, one command per line.
    """
    return "\b\nExamples:\n" + "\n".join(f"  $ itsjustintv {line}".rstrip() for line in lines)


@contextmanager
def errors() -> Iterator[None]:
    """
    Turn this package's exceptions and ``OSError`` into one line and status 1.

    :raises click.ClickException: in their place.
    """
    try:
        yield
    except ConfigError as error:
        raise ListedError("invalid configuration:", error.lines()) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        raise click.ClickException(cause(error)) from None
    except ItsJustInTVError as error:
        raise click.ClickException(str(error)) from None


def config_path(given: str | None) -> Path:
    """
    Find the configuration file, and name it on standard error, once, if it is not obvious which one that is.

    :param given: ``--config`` of the command; without it, the one before the command's name counts.
    :return: an absolute path.
    """
    root = click.get_current_context().find_root()
    place = find_config(given or root.params.get("config"), os.environ)
    note = f"Loaded configuration from: {place.path}" if root.meta.get(_VERBOSE) else place.note
    if note and root.meta.setdefault(_NOTED, place) is place:
        echo(note, err=True)
    return place.path


def new_config_path(given: str | None) -> Path:
    """
    Choose the path of a new configuration: ``--config``, else ``ITSJUSTINTV_CONFIG``, else ``config.toml`` here.

    :param given: as in :func:`config_path`.
    :return: an absolute path.
    """
    outermost = click.get_current_context().find_root().params.get("config")
    return Path(given or outermost or os.environ.get("ITSJUSTINTV_CONFIG") or "config.toml").absolute()


def config_argument(path: Path) -> str:
    """
    The ``--config`` option with which the next command finds a configuration; empty if it needs none.
    """
    found = find_config(None, os.environ)
    return "" if found.path == path and path.exists() else f" --config {shlex.quote(str(path))}"


def load_config(given: str | None) -> Loaded:
    """
    Read and check the configuration.

    :param given: the value of ``--config``, if any.
    :raises click.ClickException: listing every error in it.
    """
    from itsjustintv.config.load import load  # noqa: PLC0415 - not for every command
    from itsjustintv.destinations.kinds import KINDS  # noqa: PLC0415 - as above

    with errors():
        return load(config_path(given), os.environ, kinds=KINDS)


def complete_streamer(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """
    Complete the key of a streamer in a shell.
    """
    return [each.key for each in _routes(context).streamers if each.key.startswith(incomplete)]


def complete_destination(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """
    Complete the name of a destination in a shell.
    """
    from itsjustintv.routing import GLOBAL  # noqa: PLC0415 - only for completion

    routes = _routes(context)
    names = dict.fromkeys([*(name for each in routes.streamers for name in each.destinations), GLOBAL])
    return [name for name in names if name.startswith(incomplete) and routes.destination(name) is not None]


def _routes(context: click.Context) -> Routes:
    from itsjustintv.config.load import load  # noqa: PLC0415 - only for completion
    from itsjustintv.destinations.kinds import KINDS  # noqa: PLC0415 - as above
    from itsjustintv.routing import Routes  # noqa: PLC0415 - as above

    given = context.params.get("config") or context.find_root().params.get("config")
    try:
        return Routes.of(load(find_config(given, os.environ).path, os.environ, kinds=KINDS).config)
    except (ConfigError, OSError):
        # Completion must not print errors into the command line.
        return Routes((), {}, frozenset())


_TONES = {"good": "green", "bad": "red", "doubtful": "yellow"}


class Advance(Protocol):
    """
    Moves a progress bar on.
    """

    def __call__(self, steps: int = 1) -> None: ...


def utc(seconds: float) -> str:
    """
    Format seconds since the epoch as a time in UTC, without a zone.
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def describe_event(event: Event) -> tuple[str, str]:
    """
    Say what happened, as a label and a text: which broadcast began, or what the streamer did and when.
    """
    if event.event_type == STREAM_ONLINE:
        kind = "" if event.type in ("", "live") else f", of type {event.type}"
        return "broadcast", f"{event.stream_id}, started {event.started_at}{kind}"
    when = f" at {utc(event.occurred_at)} UTC" if event.occurred_at else ", at an unknown time"
    return "event type", f"{event.event_type}: {event.action}{when}"


_DONE = {
    Action.CREATE: "created",
    Action.EDIT: "edited",
    Action.DELETE: "deleted",
    Action.FOLLOW_UP: "followed by a further message",
    Action.REFRESH: "refreshed",
}


def describe_post(delivery: Delivery) -> str:
    """
    Say what a delivery does with the post of its broadcast; empty where there is none, and when it does nothing.
    """
    if not delivery.broadcast or (delivery.state.is_final and delivery.state is not State.DELIVERED):
        return ""
    if delivery.state is State.ACCEPTED and delivery.action is not Action.REFRESH:
        return "to be decided when its turn comes"
    done = _DONE[delivery.action] if delivery.state is State.DELIVERED else f"to be {_DONE[delivery.action]}"
    more = ["with a mention"] * delivery.mention + ["as plain text"] * delivery.plain
    more += [f"id {delivery.remote}"] * bool(delivery.remote)
    return ", ".join([done, *more])


def write_json(content: object, indent: int | None = 2) -> None:
    """
    Print a JSON value, without characters that control a terminal.

    :param indent: ``None`` for one line.
    """
    document = visible_json(json.dumps(content, indent=indent, ensure_ascii=False))
    click.echo(document if document == _encodable(document) else json.dumps(content, indent=indent))


def _encodable(text: str, *, err: bool = False) -> str:
    """
    Escape characters that the encoding of the output does not have.
    """
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def colour_in(environ: Mapping[str, str]) -> bool | None:
    """
    What click needs: ``None`` for colour on a terminal, ``False`` for none (no-color.org, or a dumb terminal).
    """
    return False if environ.get("NO_COLOR") or environ.get("TERM") == "dumb" else None


def echo(text: str, tone: str = "", *, err: bool = False) -> None:
    """
    Print one line, whatever characters it holds.

    :param tone: ``good``, ``bad``, ``doubtful``, or empty.
    """
    line = _encodable(visible(text), err=err)
    click.echo(click.style(line, fg=_TONES[tone]) if tone else line, err=err)


def table(rows: Sequence[Sequence[str]], tones: Mapping[str, str] = {}) -> None:
    """
    Print a table.

    :param rows: cells; the first row has the headings.
    :param tones: of the cells with one of these words.
    """
    rows = [[_encodable(visible(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        # The last cell is not padded, so that no line ends in blanks.
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


def _ignore_progress(steps: int = 1) -> None:
    """
    Ignore progress, without a terminal.
    """


@contextmanager
def progress(length: int, label: str, out: TextIO | None = None) -> Iterator[Advance]:
    """
    Show a progress bar on standard error, if that is a terminal and there is more than one step.

    :param length: steps in total.
    """
    out = sys.stderr if out is None else out
    if length < 2 or not out.isatty() or os.environ.get("TERM") == "dumb":
        yield _ignore_progress
        return
    with click.progressbar(length=length, label=label, file=out, show_pos=True) as bar:
        yield lambda steps=1: bar.update(steps)


T = TypeVar("T")


def in_reactor(
    work: Callable[[Any], Coroutine[Deferred[Any], Any, T]], interrupted: str = "interrupted", grace: float = 5.0
) -> T:
    """
    Run a coroutine in the reactor, once in a process. A signal cancels it.

    :param work: is given the reactor.
    :param interrupted: the error text after a signal.
    :param grace: seconds for a cancelled coroutine to clean up.
    :raises click.ClickException: the error, in one line.
    """
    from twisted.internet import reactor  # noqa: PLC0415 - a command that does not need it must not install it
    from twisted.internet.defer import CancelledError, Deferred  # noqa: PLC0415 - as above
    from twisted.internet.error import ReactorNotRunning  # noqa: PLC0415 - as above
    from twisted.python.failure import Failure  # noqa: PLC0415 - as above

    running: Any = reactor
    results: list[Any] = []

    def begin() -> None:
        task = Deferred.fromCoroutine(work(running))
        over: Deferred[None] = Deferred()

        def ended(result: Any) -> None:
            results.append(result)
            over.callback(None)
            with suppress(ReactorNotRunning):
                running.stop()

        def signalled() -> Deferred[None]:
            task.cancel()
            return over.addTimeout(grace, running, onTimeoutCancel=lambda *_: None)

        # A signal stops the reactor, which waits for the Deferred that this returns.
        running.addSystemEventTrigger("before", "shutdown", signalled)
        task.addBoth(ended)

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
