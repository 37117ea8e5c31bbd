"""
``itsjustintv config``: checks a configuration, or writes the example.
"""

from __future__ import annotations

from pathlib import Path

import click

from itsjustintv.cli.console import (
    config_option,
    config_path,
    echo,
    errors,
    examples,
    json_option,
    load_config,
    write_json,
)
from itsjustintv.config.secrets import readable_by_others
from itsjustintv.config.sections import CONDUIT, callback_url
from itsjustintv.support.counts import count
from itsjustintv.twitch.eventsub.callback_check import url_warnings

__all__ = ["config_group"]


@click.group("config", epilog=examples("config validate", "config example config.toml"))
def config_group() -> None:
    """
    Check the configuration, or write an example.
    """


@config_group.command(epilog=examples("config validate", "config validate --config /etc/itsjustintv/config.toml"))
@config_option
@json_option
def validate(config: str | None, as_json: bool) -> None:
    """
    Check the configuration and list all errors and warnings. Creates no files.
    """
    found = load_config(config)
    warnings = {str(warning): warning.lines for warning in found.warnings}
    for problem in readable_by_others(config_path(config), found.config):
        warnings[f"{problem.path} {problem.message}"] = ()
    by_webhook = found.config.twitch.transport != CONDUIT
    for doubt in url_warnings(callback_url(found.config)) if by_webhook else ():
        warnings[f"Twitch may reject the callback: {doubt}"] = ()
    streamers = len(found.config.streamers)
    if as_json:
        write_json({"path": str(config_path(config)), "streamers": streamers, "warnings": list(warnings)})
        return
    for warning, lines in warnings.items():
        echo(f"Warning: {warning}", "doubtful", err=True)
        for line in lines:
            echo(f"    {line}", err=True)
    echo(f"Configuration file '{config_path(config)}' is valid")
    echo(f"Found {count(streamers, 'configured streamer')}")


@config_group.command(epilog=examples("config example", "config example config.toml"))
@click.argument("path", default="config.example.toml")
def example(path: str) -> None:
    """
    Write an example that explains every key to PATH. Never overwrites a file.
    """
    from itsjustintv.config.example import write_example  # noqa: PLC0415

    with errors():
        try:
            write_example(Path(path))
        except FileExistsError:
            raise click.ClickException(f"{path} exists already and was not changed") from None
    echo(f"Example configuration written to: {path}")
