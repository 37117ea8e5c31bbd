"""
``itsjustintv destinations``: lists, tests and explains where notifications go.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import attrs
import click

from itsjustintv.cli.console import (
    complete_destination,
    complete_streamer,
    config_option,
    echo,
    examples,
    in_reactor,
    json_option,
    load_config,
    table,
    write_json,
)
from itsjustintv.cli.destination_states import DestinationStates
from itsjustintv.cli.names import configured, streamer_names
from itsjustintv.config.destination_tables import default_policy, secret_names
from itsjustintv.config.keys import dotted
from itsjustintv.config.load import Loaded
from itsjustintv.config.sections import DestinationEntry
from itsjustintv.config.values import format_duration
from itsjustintv.destinations.request_preview import MASK
from itsjustintv.doctor.destination_checks import DestinationChecks
from itsjustintv.model import Destination, Streamer
from itsjustintv.routing import GLOBAL, Routes
from itsjustintv.support.durations import duration
from itsjustintv.support.nearest import EMPTY, did_you_mean

__all__ = ["destinations"]

_TONES = {
    "ok": "good",
    "gone": "bad",
    "not authorized": "bad",
    "moved": "doubtful",
    "paused": "doubtful",
    "unknown": "doubtful",
}


@click.group(
    short_help="List, test and explain destinations.",
    epilog=examples("destinations list", "destinations test main", "destinations explain main tanuki"),
)
def destinations() -> None:
    """
    List, test and explain the destinations of notifications.
    """


@destinations.command("list", epilog=examples("destinations list", "destinations list --json"))
@config_option
@json_option
def list_destinations(config: str | None, as_json: bool) -> None:
    """
    List the destinations: type, address without secrets, events, streamers, posts that can still change, and state.
    """
    settings = load_config(config)
    routes = Routes.of(settings.config)
    known = DestinationStates.of(settings)
    streamers = Counter(name for each in routes.streamers for name in each.destinations)
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "type": each.kind,
            "address": _address(each),
            "default": _is_default(settings, name),
            "events": list(each.policy.events),
            "streamers": streamers[name],
            "posts": known.posts.get(name, 0),
            "state": known.state(each),
        }
        for name, each in routes.destinations.items()
    ]
    if as_json:
        write_json({"destinations": found, "problem": known.problem or None})
        return
    if not found:
        echo("no destination is configured: add a table [destinations.NAME]")
        return
    rows = [("NAME", "TYPE", "ADDRESS", "DEFAULT", "EVENTS", "STREAMERS", "POSTS", "STATE")]
    rows += [
        (
            each["name"],
            each["type"],
            each["address"],
            "yes" if each["default"] else "no",
            ",".join(each["events"]),
            f"{each['streamers']:>9}",
            f"{each['posts']:>5}",
            each["state"],
        )
        for each in found
    ]
    table(rows, _TONES)
    if known.problem:
        echo(f"posts and states are not known: {known.problem}", "doubtful", err=True)
    for destination in routes.destinations.values():
        if explanation := known.explain(destination):
            echo(explanation, "bad" if known.refuses(destination) else "doubtful")


@destinations.command("test", epilog=examples("destinations test main", "destinations test main --keep"))
@config_option
@click.argument("name", shell_complete=complete_destination)
@click.option("--keep", is_flag=True, help="Leave the test message there.")
def test_destination(config: str | None, name: str, keep: bool) -> None:
    """
    Send a test message to the destination NAME. It says that it is a test and notifies no one. Where the service can,
    it is changed and deleted afterwards.
    """
    settings = load_config(config)
    routes = Routes.of(settings.config)
    destination = _named(routes, name)
    allow, timeout = settings.config.egress.allow, settings.config.retry.timeout
    steps = in_reactor(
        lambda reactor: DestinationChecks(reactor, allow, timeout).test(destination, routes.streamers, keep=keep)
    )
    for each in steps:
        if not each.attempt.ok:
            raise click.ClickException(f"the test message was not {each.done}: {each.attempt.explanation}")
        echo(f"{each.done} in {duration(each.attempt.duration)}: {each.attempt.detail}", "good")
    if steps[-1].done != "deleted":
        echo(f"The test message stays at {name}.")


@destinations.command(
    epilog=examples("destinations explain main", "destinations explain main tanuki", "destinations explain main --json")
)
@config_option
@click.argument("name", shell_complete=complete_destination)
@click.argument("streamer", required=False, shell_complete=complete_streamer)
@json_option
def explain(config: str | None, name: str, streamer: str | None, as_json: bool) -> None:
    """
    Show which keys hold for the destination NAME and where each comes from: by default, from its table, or from that of
    STREAMER (key, login or user id); and which streamers it announces.
    """
    settings = load_config(config)
    routes = Routes.of(settings.config)
    destination = _named(routes, name)
    about = None if streamer is None else _streamer(routes, streamer)
    if about is not None and name not in about.destinations:
        raise click.ClickException(f"{about.key} does not have the destination {name}")
    keys = [*_keys(settings, destination, about)]
    reached = [each for each in routes.streamers if name in each.destinations]
    if as_json:
        write_json(
            {
                "name": name,
                "type": destination.kind,
                "address": _address(destination),
                "keys": [{"key": key, "value": value, "from": source} for key, value, source in keys],
                "streamers": [{"key": each.key, "because": _because(settings, each, name)} for each in reached],
            }
        )
        return
    echo(f"{name}: {destination.kind}, {_address(destination)}")
    table([("KEY", "VALUE", "FROM"), *((key, _toml(value), source) for key, value, source in keys)])
    click.echo()
    if not reached:
        echo("announces no streamer: name it in destinations of a streamer, or set default = true", "doubtful")
        return
    table([("STREAMER", "BECAUSE"), *((each.key, _because(settings, each, name)) for each in reached)])


def _named(routes: Routes, name: str) -> Destination:
    found = routes.destination(name)
    if found is None:
        raise click.ClickException(f"no destination {name or EMPTY}{did_you_mean(name, routes.destinations)}")
    return found


def _streamer(routes: Routes, text: str) -> Streamer:
    found = configured(routes, text)
    if found is None:
        suggestion = did_you_mean(text, streamer_names(routes))
        raise click.ClickException(f"no streamer {text or EMPTY} in the configuration{suggestion}")
    return found


def _address(destination: Destination) -> str:
    """
    The scheme and the host; the rest may be secret.
    """
    parts = urlsplit(destination.url)
    return f"{parts.scheme}://{parts.hostname}/..." if parts.hostname else "..."


def _is_default(settings: Loaded, name: str) -> bool:
    if name == GLOBAL:
        return True
    entry = settings.config.destinations.get(name)
    return entry is not None and entry.default


def _because(settings: Loaded, streamer: Streamer, name: str) -> str:
    """
    Why a streamer has a destination.
    """
    entry = settings.config.streamers[streamer.key]
    path = dotted(("streamers", streamer.key))
    if name in entry.destinations:
        return f"{path}.destinations names it"
    if name in (path, f"streamers.{streamer.key}"):
        return f"{path}.target_webhook_url"
    return "global_webhook.enabled" if name == GLOBAL else f"{path} names no destinations, and it is a default"


def _keys(settings: Loaded, destination: Destination, streamer: Streamer | None) -> Iterator[tuple[str, Any, str]]:
    """
    List every key that holds: its name, its value, and where that comes from. A secret is masked.
    """
    name = destination.name
    base = settings.config.destinations.get(name)
    if base is None:
        where = GLOBAL if name == GLOBAL else name
        for key in ("header", "hashing", "signature"):
            yield f"target_webhook_{key}", getattr(destination, key), where
        return
    usual = {**_flat(default_policy(base.kind, base.settings)), **_defaults(base)}
    own = _values(base)
    over = None if streamer is None else settings.config.streamers[streamer.key].at.get(name)
    holding = own if over is None else _values(over)
    for key, value in holding.items():
        if over is not None and own.get(key) != value and streamer is not None:
            source = dotted(("streamers", streamer.key, "at", name))
        else:
            source = "default" if key in usual and usual[key] == value else dotted(("destinations", name))
        yield key, value, source


def _values(entry: DestinationEntry) -> Mapping[str, Any]:
    settings: type = type(entry.settings)
    secrets = secret_names(settings)
    found = {each.name: getattr(entry.settings, each.name) for each in attrs.fields(type(entry.settings))}
    shown = {
        key: (MASK if value else value) if _is_secret(entry, key, secrets) else value for key, value in found.items()
    }
    return {**shown, **entry.files, **_flat(entry.policy)}


def _is_secret(entry: DestinationEntry, key: str, secrets: Sequence[str]) -> bool:
    return key in secrets or attrs.fields_dict(type(entry.settings))[key].repr is False


def _defaults(entry: DestinationEntry) -> Mapping[str, Any]:
    found = {}
    for each in attrs.fields(type(entry.settings)):
        if each.default is not attrs.NOTHING and not isinstance(each.default, attrs.Factory):  # type: ignore[arg-type]
            found[each.name] = each.default
    return found


def _flat(value: Any, above: str = "") -> Mapping[str, Any]:
    """
    The keys of a table and of those in it, dotted.
    """
    pairs = (
        value.items()
        if isinstance(value, Mapping)
        else ((each.name, getattr(value, each.name)) for each in attrs.fields(type(value)))
    )
    found: dict[str, Any] = {}
    for key, each in pairs:
        path = f"{above}{key}"
        if isinstance(each, Mapping) or attrs.has(type(each)):
            found |= _flat(each, f"{path}.")
        else:
            found[path] = each
    return found


def _toml(value: Any) -> str:
    if isinstance(value, float):
        value = format_duration(value)
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
