"""
``itsjustintv simulate``: a Twitch in a box, for whoever develops a receiver.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import SystemRandom
from secrets import token_bytes, token_hex
from typing import Any

import click
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall

from itsjustintv.cli.console import errors, examples, in_reactor, ruled, tell, write_json
from itsjustintv.config.example import example, filled, write_new
from itsjustintv.config.urls import host_url
from itsjustintv.config.values import login
from itsjustintv.support.causes import cause
from itsjustintv.support.signatures import signature_for, standard_secret

__all__ = ["simulate"]

_PORT = 8090


def _logins(_: click.Context, __: click.Parameter, value: Sequence[str]) -> Sequence[str]:
    if problems := [problem for each in value for problem in login(each)]:
        raise click.BadParameter("; ".join(problems))
    return tuple(dict.fromkeys(each.lower() for each in value))


@click.command(
    short_help="Run a Twitch on this machine.",
    epilog=examples(
        "simulate",
        "simulate --streamer tanuki --write box.toml --webhook http://127.0.0.1:8091/live",
        "simulate --every 60",
    ),
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=_PORT,
    show_default=True,
    help="Where it listens on this machine; 0 for any that is free.",
)
@click.option(
    "--streamer",
    "streamers",
    metavar="LOGIN",
    multiple=True,
    callback=_logins,
    help="Who streams; may be repeated.",
)
@click.option("--every", type=click.FloatRange(0.1), metavar="SECONDS", help="Begin a broadcast again and again.")
@click.option(
    "--write",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a configuration for a daemon beside it.",
)
@click.option("--webhook", metavar="URL", callback=ruled(host_url), help="With --write: whom to tell.")
@click.option("--webhook-secret", metavar="SECRET", help="With --write: what to sign with; made up unless given.")
@click.option("--json", "as_json", is_flag=True, help="Only one line of JSON: where it is, and with which credentials.")
def simulate(  # noqa: PLR0917 - click names them
    port: int,
    streamers: Sequence[str],
    every: float | None,
    write: Path | None,
    webhook: str | None,
    webhook_secret: str | None,
    as_json: bool,
) -> None:
    """
    Run a Twitch on this machine: tokens, Helix, subscriptions with challenges, signed messages that are sent again.

    A daemon beside it behaves as it does with the real one. Who goes live is said over HTTP, as the first lines tell.
    """
    if (webhook is None) != (write is None):
        raise click.UsageError("--write and --webhook go together")
    names = streamers or ("tanuki", "kitsune")

    async def work(reactor: Any) -> None:
        from itsjustintv.simulator.stage import StandaloneTwitch, begin  # noqa: PLC0415 - imports Klein, which installs a reactor

        def announce(box: StandaloneTwitch, number: int) -> None:
            name = names[number % len(names)]
            tell(f"{name} goes live", err=as_json)
            box.twitch.announce(box.twitch.world.go_live(name)).addErrback(lambda failure: failure.trap(CancelledError))

        try:
            box = begin(reactor, SystemRandom(), port)
        except CannotListenError as error:
            raise click.ClickException(
                f"cannot listen on port {port}: {cause(error)}; choose another with --port"
            ) from None
        repeating: LoopingCall | None = None
        try:
            for name in names:
                box.twitch.world.add_streamer(name, name.title(), title="A broadcast that nobody makes", game="Art")
            if write is not None and webhook is not None:
                _write(write, box.told, names, webhook, webhook_secret)
            if as_json:
                write_json(box.told, indent=None)
            else:
                _explain(box.told, names, write)
            if every is not None:
                counted = iter(range(1 << 62))
                repeating = LoopingCall(lambda: announce(box, next(counted)))
                repeating.clock = reactor
                repeating.start(every, now=False)
            await Deferred()
        except CancelledError:
            pass
        finally:
            if repeating is not None:
                repeating.stop()
            await box.stop()

    in_reactor(work)


def _write(path: Path, told: Mapping[str, str], names: Sequence[str], webhook: str, secret: str | None) -> None:
    """
    Write a configuration for a daemon on this machine.
    """
    secret = secret or standard_secret(token_bytes(32))
    text = filled(
        example(),
        {
            ("server", "listen_addr"): "127.0.0.1",
            **{("twitch", key): value for key, value in told.items() if key != "control_url"},
            ("twitch", "webhook_secret"): token_hex(32),
            ("global_webhook", "enabled"): True,
            ("global_webhook", "url"): webhook,
            ("global_webhook", "target_webhook_secret"): secret,
            ("global_webhook", "target_webhook_signature"): signature_for(secret),
        },
        {name: {"login": name} for name in names},
    )
    with errors():
        try:
            write_new(path, text)
        except FileExistsError:
            raise click.ClickException(f"{path} is already there, and is left as it is") from None


def _explain(told: Mapping[str, str], names: Sequence[str], written: Path | None) -> None:
    url = told["control_url"].rpartition("/")[0]
    tell(f"A Twitch is at {url}, on this machine only. {' and '.join(names)} stream there. Ctrl-C ends it.", "good")
    tell("")
    if written is None:
        tell("A daemon finds it with:")
        tell("")
        tell("  [twitch]")
        for key in ("client_id", "client_secret", "api_url", "auth_url"):
            tell(f'  {key} = "{told[key]}"')
    else:
        tell(f"{written} is written for a daemon on this machine. In another terminal:")
        tell("")
        tell(f"  itsjustintv run --config {written}")
    tell("")
    tell("Begin a broadcast, end it, and show all there is:")
    tell("")
    tell(f'  curl -d \'{{"login": "{names[0]}"}}\' {told["control_url"]}/live')
    tell(f'  curl -d \'{{"login": "{names[0]}"}}\' {told["control_url"]}/offline')
    tell(f"  curl {told['control_url']}/state")
