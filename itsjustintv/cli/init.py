"""
``itsjustintv init``: a first configuration, from a few answers that are checked as far as they can be.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import click

from itsjustintv.cli.console import Listed, config_option, errors, examples, in_reactor, naming, ruled, tell, to_write
from itsjustintv.cli.questions import INTERRUPTED, Given, Interview
from itsjustintv.config import hosts, urls, values
from itsjustintv.config.example import example, filled, write_new
from itsjustintv.config.load import parse
from itsjustintv.config.sections import Server, Twitch, callback_url
from itsjustintv.doctor.setup_checks import SetupChecks
from itsjustintv.doctor.tls_checks import addresses
from itsjustintv.twitch.eventsub.callback_check import doubts

__all__ = ["init"]


def _ip_address(value: str) -> Iterator[str]:
    try:
        ip_address(value)
    except ValueError:
        yield "must be an address such as 127.0.0.1 or ::1, not a name"


@click.command(
    epilog=examples(
        "init",
        "init --client-id ID --domain hooks.example.org --streamer tanuki --webhook https://receiver.example.org/live",
        "init --no-check --config /etc/itsjustintv.toml",
    )
)
@config_option
@click.option(
    "--client-id",
    metavar="ID",
    envvar="ITSJUSTINTV_TWITCH_CLIENT_ID",
    show_envvar=True,
    callback=ruled(values.visible),
    help="Of the application at Twitch.",
)
@click.option(
    "--client-secret",
    metavar="SECRET",
    envvar="ITSJUSTINTV_TWITCH_CLIENT_SECRET",
    show_envvar=True,
    callback=ruled(values.visible),
    help="Its secret; rather set the variable, since others can see what a command is started with.",
)
@click.option(
    "--domain", metavar="NAME", callback=ruled(hosts.authority), help="The public name at which Twitch reaches us."
)
@click.option(
    "--https/--proxy",
    default=None,
    help="Serve https here, with certificates of Let's Encrypt; or let a proxy do it, which is the default.",
)
@click.option("--agree-to-terms", is_flag=True, help="With --https: you agree to the terms of Let's Encrypt.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=Server().port,
    show_default=True,
    help="Where the proxy finds us.",
)
@click.option(
    "--proxy-address",
    "proxy",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    callback=ruled(_ip_address),
    help="From where the proxy calls. For one on this machine, only this machine is listened to.",
)
@click.option(
    "--streamer",
    "streamers",
    metavar="LOGIN",
    multiple=True,
    callback=ruled(values.login),
    help="Whom to announce; may be repeated.",
)
@click.option("--webhook", metavar="URL", callback=ruled(urls.receiver_url), help="Whom to tell.")
@click.option("--webhook-secret", metavar="SECRET", help="What to sign with; made up unless given.")
@click.option("--test/--no-test", "send_test", default=False, help="Send a test to the webhook.")
@click.option("--check/--no-check", default=True, show_default=True, help="Ask Twitch and the name servers.")
@click.option("--yes", "-y", is_flag=True, help="Ask nothing, as without a terminal.")
@click.option("--api-url", default=Twitch().api_url, envvar="ITSJUSTINTV_TWITCH_API_URL", hidden=True)
@click.option("--auth-url", default=Twitch().auth_url, envvar="ITSJUSTINTV_TWITCH_AUTH_URL", hidden=True)
def init(config: str | None, check: bool, yes: bool, **said: Any) -> None:
    """
    Write a first configuration. Asks what it is not told, checks the answers, makes up the secrets, and never
    overwrites a file.
    """
    path = to_write(config)
    if path.exists():
        raise click.ClickException(f"{path} is already there, and is left as it is")
    given = Given(**said)
    asking = sys.stdin.isatty() and not yes
    missing = given.missing()
    if missing and not asking:
        why = "--yes was given" if yes else "there is no terminal to ask at"
        raise click.UsageError(f"{', '.join(missing)}: must be given, since {why}")

    async def interview(reactor: Any) -> str:
        talk = Interview(given, SetupChecks(reactor, addresses) if check else None, asking)
        answers, streamers = await talk.hold()
        if talk.problems:
            raise Listed("nothing was written; correct this, or say --no-check to be believed:", talk.problems)
        return filled(example(), answers, streamers)

    text = in_reactor(interview, INTERRUPTED)
    with errors():
        settings = parse(text, {}, name=str(path))
        found = settings.config
        write_new(path, text)
    tell(f"{path} is written, with mode 0600: there are secrets in it. Every key is explained there.", "good")
    for warning in settings.warnings:
        tell(f"Warning: {warning}", "doubtful", err=True)
    for doubt in doubts(callback_url(found)):
        tell(f"Warning: twitch may refuse the callback: {doubt}", "doubtful", err=True)
    if found.server.tls.enabled:
        tell("Ports 443 and 80 must lead here: itsjustintv certs check tells.")
    else:
        callback, server = callback_url(found), found.server
        where = f"{server.listen_addr}:{server.port}" if ":" not in server.listen_addr else f"port {server.port} of ::1"
        tell(f"Let your proxy pass {callback} on to {where}, path and body untouched; it is trusted at {given.proxy}.")
        tell(f"Once the daemon runs, curl -i {callback} from outside is to say 405.")
    tell(f"Next: itsjustintv run{naming(path)}")
