"""
The ``itsjustintv`` command. What it prints is for people; errors are one line on standard error and status 1.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from itsjustintv import __version__
from itsjustintv.cli_certs import certs
from itsjustintv.cli_subscriptions import subscriptions
from itsjustintv.config.callback import callback_url
from itsjustintv.config.load import Loaded, load
from itsjustintv.config.routes import Routes
from itsjustintv.errors import ConfigError, ItsJustInTVError
from itsjustintv.folders import make_private
from itsjustintv.journal.ledger import Ledger
from itsjustintv.model import State
from itsjustintv.payload import embed
from itsjustintv.tap import config_path
from itsjustintv.twitch.files import replace
from itsjustintv.twitch.oauth import as_original
from itsjustintv.twitch.preflight import doubts

__all__ = ["main"]

_config = click.option(
    "--config",
    "-c",
    metavar="FILE",
    help="The configuration; otherwise ITSJUSTINTV_CONFIG, otherwise config.toml.",
)


@contextmanager
def _errors() -> Iterator[None]:
    """
    Turn what can go wrong into one line and status 1.
    """
    try:
        yield
    except ConfigError as error:
        raise click.ClickException(
            "\n  ".join(["the configuration cannot be used:", *map(str, error.problems)])
        ) from None
    except (ItsJustInTVError, OSError) as error:
        raise click.ClickException(str(error)) from None


def _load(given: str | None) -> Loaded:
    with _errors():
        return load(config_path(given), os.environ)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@_config
@click.pass_context
def main(context: click.Context, config: str | None) -> None:
    """
    Tell webhooks, once and reliably, when a Twitch streamer goes live.

    Without a command, run the daemon.
    """
    if context.invoked_subcommand is None:
        context.invoke(run, config=config)


@main.command()
@_config
def run(config: str | None) -> None:
    """
    Run the daemon in the foreground, with JSON logs on standard output.
    """
    from twisted.scripts import twistd  # noqa: PLC0415 - imports the reactor

    sys.argv = [
        "twistd",
        "--nodaemon",
        "--pidfile=",
        "--logger=itsjustintv.logs.json_logger",
        "itsjustintv",
        "--config",
        str(config_path(config)),
    ]
    twistd.run()


@main.command()
def version() -> None:
    """
    Print the version.
    """
    click.echo(f"itsjustintv {__version__}")


@main.command()
def demo() -> None:
    """
    Watch the daemon do its work against a Twitch simulated on this machine.
    """
    from itsjustintv.simulator.demo import run_demo  # noqa: PLC0415 - imports the reactor

    sys.exit(run_demo())


@main.group("config")
def config_group() -> None:
    """
    Check a configuration, or begin one.
    """


@config_group.command()
@_config
def validate(config: str | None) -> None:
    """
    Check the configuration and list everything that is wrong with it. Creates nothing.
    """
    loaded = _load(config)
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    for doubt in doubts(callback_url(loaded.config)):
        click.echo(f"Warning: twitch may refuse the callback: {doubt}", err=True)
    click.echo(f"Configuration file '{config_path(config)}' is valid")
    click.echo(f"Found {len(loaded.config.streamers)} configured streamers")


@config_group.command()
@click.argument("path", default="config.example.toml")
def example(path: str) -> None:
    """
    Write an example that explains every key. Never overwrites a file.
    """
    from itsjustintv.config.example import write_example  # noqa: PLC0415

    with _errors():
        try:
            write_example(Path(path))
        except FileExistsError:
            raise click.ClickException(f"{path} is already there, and is left as it is") from None
    click.echo(f"Example configuration written to: {path}")


@main.group()
def deliveries() -> None:
    """
    Look at what became of every notification, and change it, whether the daemon runs or not.
    """


@deliveries.command("list")
@_config
@click.option("--state", type=click.Choice([state.value for state in State]), help="Only those in this state.")
@click.option("--streamer", metavar="KEY", help="Only this streamer's.")
@click.option("--destination", metavar="NAME", help="Only those to this destination.")
@click.option("--limit", default=100, show_default=True, help="At most so many, the newest first.")
def list_deliveries(
    config: str | None, state: str | None, streamer: str | None, destination: str | None, limit: int
) -> None:
    """
    List deliveries and count all there are.
    """
    with _errors():
        ledger = _ledger(_load(config))
        found = ledger.list(None if state is None else State(state), destination, streamer, limit)
        account = ledger.accounting()
    if found:
        click.echo(f"{'ACCEPTED (UTC)':<20} {'STATE':<10} {'TRIES':>5}  {'STREAMER':<20} {'DELIVERY':<36} REASON")
    for each in found:
        click.echo(
            f"{_time(each.accepted_at):<20} {each.state.value:<10} {each.attempts:>5}  {_plain(each.streamer):<20} "
            f"{each.id:<36} {_plain(each.reason)}".rstrip()
        )
    click.echo(
        f"{account.wanted} wanted = {account.delivered} delivered + {account.dead} dead + {account.expired} expired"
        f" + {account.filtered} filtered + {account.cancelled} cancelled"
        f" + {account.accepted + account.pending} on their way"
    )
    if account.imbalance:
        raise click.ClickException(f"{account.imbalance} deliveries are unaccounted for; this is a defect")


@deliveries.command()
@_config
@click.argument("delivery")
def show(config: str | None, delivery: str) -> None:
    """
    Show a delivery, every attempt and the payload.
    """
    with _errors():
        history = _ledger(_load(config)).show(delivery)
    about, event = history.delivery, history.event
    click.echo(f"delivery     {about.id}")
    click.echo(f"streamer     {_plain(about.streamer)} ({_plain(event.broadcaster_name)}, id {event.broadcaster_id})")
    found = ", found by asking twitch who is live" if event.recovered else ""
    click.echo(f"broadcast    {event.stream_id}, started {_plain(event.started_at)}{found}")
    click.echo(f"destination  {_plain(about.destination)}")
    click.echo(f"accepted     {_time(about.accepted_at)} UTC")
    click.echo(f"state        {about.state.value}{f': {_plain(about.reason)}' if about.reason else ''}")
    if not about.state.final:
        click.echo(f"next attempt {_time(about.next_attempt_at)} UTC")
    for number, attempt in enumerate(history.attempts, 1):
        click.echo(
            f"attempt {number:<4} {_time(attempt.started_at)} UTC, {attempt.duration * 1000:.0f} ms: {attempt.detail}"
        )
        if attempt.response:
            click.echo(f"             answered: {_plain(attempt.response)[:200]}")
    if about.body:
        click.echo(json.dumps(json.loads(about.body), indent=2, ensure_ascii=False))


@deliveries.command()
@_config
@click.argument("delivery", nargs=-1, required=True)
def retry(config: str | None, delivery: tuple[str, ...]) -> None:
    """
    Send deliveries that ended undelivered once more, with all their attempts before them.
    """
    with _errors():
        ledger = _ledger(_load(config))
        for each in delivery:
            click.echo(f"{each} is {ledger.retry(each).state.value} again")


@deliveries.command()
@_config
@click.argument("delivery", nargs=-1, required=True)
def cancel(config: str | None, delivery: tuple[str, ...]) -> None:
    """
    End deliveries that are on their way.
    """
    with _errors():
        ledger = _ledger(_load(config))
        for each in delivery:
            click.echo(f"{each} is {ledger.cancel(each).state.value}")


main.add_command(subscriptions)
main.add_command(certs)


@main.group()
def state() -> None:
    """
    Exchange the state with the original program.
    """


@state.command()
@_config
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def export(config: str | None, directory: Path) -> None:
    """
    Write cache.json, retry_state.json and tokens.json as the original program keeps them. They hold addresses and
    secrets.
    """
    loaded = _load(config)
    with _errors():
        ledger = _ledger(loaded)
        make_private(directory)
        written = ledger.export(directory, Routes.of(loaded.config).destination, embed)
        problems = [*written.problems, *_export_token(Path(loaded.config.twitch.token_file), directory / "tokens.json")]
    for problem in problems:
        click.echo(f"Warning: {problem}", err=True)
    click.echo(f"{written.keys} announced broadcasts and {written.pending} deliveries written to {directory}")


def _export_token(kept: Path, to: Path) -> Iterator[str]:
    """
    Write the token.

    :return: what is wrong with it.
    """
    try:
        token = as_original(kept)
    except ValueError as error:
        yield f"the token file {kept} stays behind: {error}"
    else:
        if token is not None and kept.resolve() != to.resolve():
            replace(to, token)


def _ledger(loaded: Loaded) -> Ledger:
    return Ledger.open(Path(loaded.config.storage.path), time.time)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _plain(text: str) -> str:
    """
    Keep a stranger's text from steering the terminal.
    """
    return "".join(character if character.isprintable() else " " for character in text)
