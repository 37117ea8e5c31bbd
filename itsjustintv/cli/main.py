"""
The ``itsjustintv`` command. Finds the module of a subcommand when it is needed.
"""

from __future__ import annotations

import os
import sys
from collections import UserDict
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from itsjustintv.cli.console import Interrupted, ListedError, colour_in, config_option, config_path, examples, verbose
from itsjustintv.support.foreign_text import visible

__all__ = ["main"]

#: The commands in the order of their use; those in no group come last.
_GROUPS: Mapping[str, Sequence[str]] = {
    "Set up": ("init", "migrate", "config", "demo"),
    "Run": ("run", "health", "doctor"),
    "Inspect and repair": (
        "explain",
        "preview",
        "destinations",
        "deliveries",
        "subscriptions",
        "conduits",
        "certs",
        "backup",
        "restore",
    ),
    "Try out": ("simulate", "receive"),
}

#: Where in :mod:`itsjustintv.cli` each command is.
_MODULES: Mapping[str, str] = {
    "init": "init.init",
    "migrate": "migrate.migrate",
    "simulate": "simulate.simulate",
    "receive": "receive.receive",
    "config": "config.config_group",
    "deliveries": "deliveries.deliveries",
    "destinations": "destinations.destinations",
    "preview": "preview.preview",
    "subscriptions": "subscriptions.subscriptions",
    "conduits": "conduits.conduits",
    "certs": "certs.certs",
    "state": "state.state",
    "health": "health.health",
    "explain": "explain.explain",
    "doctor": "doctor.doctor",
    "backup": "backup.backup",
    "restore": "backup.restore",
    "version": "version.version",
}

_SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


class _Commands(UserDict[str, Any]):
    """
    Commands by name, each imported on first use: importing all takes a second.
    """

    def __getitem__(self, name: str) -> Any:
        if isinstance(self.data[name], str):
            module, _, attribute = self.data[name].rpartition(".")
            self.data[name] = getattr(import_module(f"itsjustintv.cli.{module}"), attribute)
        return self.data[name]


class _MainGroup(click.Group):
    """
    A group that lists its commands by purpose.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """
        Run a command. An interrupt has its own status, and an error is one line unless it is a list.
        """
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            shown = isinstance(error, (click.UsageError, ListedError, Interrupted))
            raise error if shown else click.ClickException(visible(error.message)) from None
        except (KeyboardInterrupt, click.Abort):
            raise Interrupted("interrupted") from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        grouped = {name for names in _GROUPS.values() for name in names}
        rest = sorted(name for name, each in self.commands.items() if name not in grouped and not each.hidden)
        width = max(map(len, self.commands))
        for title, names in (*_GROUPS.items(), ("Other", rest)):
            with formatter.section(title):
                limit = formatter.width - width - 6
                formatter.write_dl(
                    [(name.ljust(width), self.commands[name].get_short_help_str(limit)) for name in names]
                )


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from itsjustintv import __version__  # noqa: PLC0415 - slow to find

        click.echo(f"itsjustintv {__version__}")
        context.exit()


@click.group(
    cls=_MainGroup,
    commands=_Commands(_MODULES),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "init", "", "demo", "config validate", "deliveries list --state undelivered", "subscriptions explain tanuki"
    )
    + "\n\nStatus: 0 success; 1 failure, explained on standard error; 2 usage error; 130"
    " interrupted. Every command has its"
    " own --help.",
)
@config_option
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.pass_context
def main(context: click.Context, config: str | None) -> None:  # noqa: ARG001 - see console.config_path
    """
    Announce where you want when a Twitch streamer goes live: on Discord, other services, or by a webhook.

    Without a command, run the daemon.
    """
    context.color = colour_in(os.environ)
    if context.invoked_subcommand is None:
        context.invoke(run, config=None)


@main.command(
    short_help="Run the daemon in the foreground.", epilog=examples("run", "run --config /etc/itsjustintv/config.toml")
)
@config_option
def run(config: str | None) -> None:
    """
    Run the daemon in the foreground and log to standard output.
    """
    path = config_path(config)
    if verbose():
        # The environment wins over the file, also after a reload.
        os.environ["ITSJUSTINTV_LOGGING_LEVEL"] = "debug"
    from twisted.scripts import twistd  # noqa: PLC0415 - imports the reactor

    sys.argv = [
        "twistd",
        "--nodaemon",
        "--pidfile=",
        "itsjustintv",
        "--config",
        str(path),
    ]
    twistd.run()


@main.command(short_help="Demonstrate the daemon, on this machine only.", epilog=examples("demo"))
def demo() -> None:
    """
    Demonstrate the daemon with a simulated Twitch on this machine.
    """
    from itsjustintv.simulator.demo import run_demo  # noqa: PLC0415 - imports the reactor

    sys.exit(run_demo())


@main.command(
    short_help="Print shell completion.",
    epilog="\b\nExamples:\n"
    "  $ itsjustintv completion bash > ~/.local/share/bash-completion/completions/itsjustintv\n"
    "  $ itsjustintv completion zsh > ~/.zfunc/_itsjustintv\n"
    "  $ itsjustintv completion fish > ~/.config/fish/completions/itsjustintv.fish",
)
@click.argument("shell", type=click.Choice(tuple(_SHELLS)))
def completion(shell: str) -> None:
    """
    Print a completion script for a shell.
    """
    click.echo(_SHELLS[shell](main, {}, "itsjustintv", "_ITSJUSTINTV_COMPLETE").source())


@main.command(hidden=True, epilog=examples("manual man", "manual markdown"))
@click.argument("form", type=click.Choice(("man", "markdown")))
def manual(form: str) -> None:
    """
    Print the manual, for man or in Markdown.
    """
    from itsjustintv import __version__  # noqa: PLC0415 - slow to find
    from itsjustintv.cli.manual import man, markdown  # noqa: PLC0415 - only for packagers

    click.echo(man(main, __version__) if form == "man" else markdown(main), nl=False)
