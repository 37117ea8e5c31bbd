"""
The original program's configuration, brought into a form that is read here: the original ignored what it did not know,
and took an unknown hash function for SHA-256.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field, frozen

from itsjustintv.config.load import Loaded, parse_for
from itsjustintv.config.parse_state import Keys, dotted, leaves
from itsjustintv.config.sections import Config, StreamerEntry
from itsjustintv.errors import ConfigError, Problem
from itsjustintv.routing import Routes
from itsjustintv.support.durations import duration

__all__ = ["Accepted", "Difference", "Repair", "accept", "differences"]

#: No configuration needs as many rounds: each is about what the one before has uncovered.
_ROUNDS = 5


@frozen
class Repair:
    """
    Something that was changed, so that the file can be used.

    :ivar path: of the key, dotted.
    :ivar text: what became of it, and why.
    """

    path: str
    text: str


@frozen(kw_only=True)
class Accepted:
    """
    What became of the original's file.

    :ivar text: the file as it can be used here, with its comments.
    :ivar tables: of the original, as it was.
    :ivar loaded: ``None`` when something has to be mended by hand.
    :ivar problems: that.
    """

    text: str = field(repr=False)
    tables: Mapping[str, Any] = field(repr=False)
    repairs: Sequence[Repair]
    loaded: Loaded | None
    problems: Sequence[Problem] = ()


@define
class _Statement:
    """
    A key with its value, the heading of a table, or lines in between.

    :ivar keys: from the top of the file; empty for lines in between.
    """

    keys: Keys
    lines: list[str]
    heading: bool = False


def accept(text: str, environ: Mapping[str, str], path: Path = Path("config.toml"), name: str = "") -> Accepted:
    """
    Read the original's configuration, and change as little of it as can be.

    :param environ: as in :func:`~itsjustintv.config.load.load`.
    :param path: where the configuration will be.
    :param name: what to call the text when it is not TOML, unless by this path.
    :raises ConfigError: it is not TOML.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError((Problem(name or str(path), f"is not TOML: {error}"),)) from None
    repairs: list[Repair] = []
    problems: Sequence[Problem] = ()
    for _ in range(_ROUNDS):
        try:
            loaded = parse_for(path, text, environ, name=name)
        except ConfigError as error:
            problems = error.problems
        else:
            return Accepted(text=text, tables=tables, repairs=repairs, loaded=loaded)
        text, made = _repaired(text, problems)
        if not made:
            break
        repairs += made
    return Accepted(text=text, tables=tables, repairs=repairs, loaded=None, problems=problems)


def _repaired(text: str, problems: Sequence[Problem]) -> tuple[str, Sequence[Repair]]:
    statements = list(_statements(text.splitlines()))
    repairs = [repair for problem in problems for repair in _repair(statements, problem)]
    return "\n".join(line for each in statements for line in each.lines) + "\n", repairs


def _repair(statements: Sequence[_Statement], problem: Problem) -> Iterator[Repair]:
    keys = _keys(problem.path)
    found = [each for each in statements if keys and each.keys[: len(keys)] == keys]
    if not found:
        return
    if keys[-1] == "target_webhook_hashing":
        for each in found:
            each.lines = [f'{_indent(each)}target_webhook_hashing = "SHA-256"  # was unknown, which meant this']
        yield Repair(problem.path, 'was unknown, which the original took for "SHA-256": now it says so')
    elif problem.message.startswith("unknown key"):
        right = _spelt(keys)
        if right and len(found) == 1 and not found[0].heading:
            [each] = found
            each.lines[0] = each.lines[0].replace(keys[-1], right, 1)
            yield Repair(problem.path, f"is spelt {right} here")
            return
        for each in found:
            each.lines = [f"# {line}".rstrip() for line in each.lines]
        yield Repair(problem.path, "is unknown, and was ignored by the original: now it is a comment")


def _keys(path: str) -> Keys:
    """
    Read a dotted path; nothing if it is none, as the name of a variable.
    """
    try:
        table: Any = tomllib.loads(f"{path} = 0")
    except ValueError:
        return ()
    keys: list[str] = []
    while isinstance(table, dict):
        [(key, table)] = table.items()
        keys.append(key)
    return tuple(keys)


def _spelt(keys: Keys) -> str:
    """
    How a key is spelt that the original knew in any case; empty if there is none.
    """
    above = keys[:-1]
    known = [leaf.keys for leaf in leaves()]
    if len(keys) == 3 and keys[0] == "streamers":
        known = [(*above, leaf.keys[-1]) for leaf in leaves(StreamerEntry)]
    return next((each[-1] for each in known if each[:-1] == above and each[-1] == keys[-1].lower()), "")


def _indent(statement: _Statement) -> str:
    line = statement.lines[0]
    return line[: len(line) - len(line.lstrip())]


def _statements(lines: Sequence[str]) -> Iterator[_Statement]:
    table: Keys = ()
    ahead = iter(lines)
    for line in ahead:
        if not line.strip() or line.lstrip().startswith("#"):
            yield _Statement((), [line])
            continue
        statement = _Statement((), [line])
        # A list or a text may go on for some lines: what is TOML is whole.
        while (found := _toml(statement.lines)) is None:
            statement.lines.append(next(ahead))
        if line.lstrip().startswith("["):
            table = _path(found)
            yield evolve(statement, keys=table, heading=True)
        else:
            yield evolve(statement, keys=(*table, *_path(found)))


def _toml(lines: Sequence[str]) -> Mapping[str, Any] | None:
    try:
        return tomllib.loads("\n".join(lines))
    except ValueError:
        return None


def _path(found: Mapping[str, Any]) -> Keys:
    """
    The way to what a statement sets. It ends where there is more than one.
    """
    keys: list[str] = []
    inner: Any = found
    while isinstance(inner, dict) and len(inner) == 1:
        [(key, inner)] = inner.items()
        keys.append(key)
    return tuple(keys)


#: What the original did where its configuration says nothing (durations in seconds).
_RETRY: Mapping[str, float] = {"max_attempts": 3, "initial_delay": 1.0, "max_delay": 300.0}


@frozen
class Difference:
    """
    Something that behaves differently.

    :ivar about: the key of the configuration, or what it is about.
    :ivar text: how, why, and what to do to have it as it was, if that can be.
    """

    about: str
    text: str


def differences(tables: Mapping[str, Any], config: Config, environ: Mapping[str, str]) -> Iterator[Difference]:
    """
    List what applies to this configuration.

    :param tables: the original's configuration as it was.
    :param config: as it is understood here.
    """
    yield from _twins(tables)
    yield from _retries(tables, config)
    yield from _deliveries(config)
    yield from _twitch(config, environ)
    yield from _tls(config)
    if config.output.enabled:
        yield Difference(
            "output.file_path",
            "what was delivered after a retry is written, too; the file is replaced as a whole, with mode 0600",
        )
    yield Difference(
        "log",
        "is JSON unless it is on a terminal, with sentences of its own: see docs/operations.md before you search for"
        " the original's",
    )
    yield Difference(
        "command line",
        "version prints more lines after its three; 2 is the status of what is not understood",
    )


def _twins(tables: Mapping[str, Any]) -> Iterator[Difference]:
    streamers = tables.get("streamers")
    seen: dict[tuple[str, str], str] = {}
    for name, entry in streamers.items() if isinstance(streamers, dict) else ():
        for key in ("user_id", "login") if isinstance(entry, dict) else ():
            if value := str(entry.get(key, "")).lower():
                first = seen.setdefault((key, value), name)
                if first != name:
                    yield Difference(
                        dotted(("streamers", name)),
                        f"is the same broadcaster as {first}: the original took one of the two at random each time;"
                        " here there can be only one",
                    )


def _retries(tables: Mapping[str, Any], config: Config) -> Iterator[Difference]:
    section = tables.get("retry")
    said = {key.lower() for key in section} if isinstance(section, dict) else set[str]()
    for key, was in _RETRY.items():
        now = getattr(config.retry, key)
        if key not in said and now != was:
            here = f"is {duration(now)} here" if now else "ends nothing here, retry.max_age does"
            before = duration(was) if now else f"{was:g}"
            yield Difference(
                f"retry.{key}", f"is not set, and {here}; the original's default was {before}: set it to keep that"
            )
    yield Difference(
        "retry.max_age",
        f"news that is older than {duration(config.retry.max_age)} is not sent; the original had no such limit",
    )
    yield Difference(
        "retries",
        "are on disk before Twitch is answered, and survive a crash; each pause varies a little, and Retry-After is"
        " obeyed; what ends undelivered is kept: itsjustintv deliveries list --state undelivered",
    )


def _deliveries(config: Config) -> Iterator[Difference]:
    yield Difference(
        "redirects",
        "are failures: the original took what was behind them for success, though nothing had arrived there; configure"
        " final URLs",
    )
    yield Difference(
        "payload",
        "has the original's fields and, after them, event, id and stream; User-Agent has the real version; the file"
        " type of a picture is said",
    )
    if "all" not in config.filter.types and config.filter.types:
        yield Difference(
            "filter.types",
            "a rerun, playlist, premiere or watch party is not announced: the original announced each as live; set it"
            ' to ["all"] to have it as it was',
        )
    if any(streamer.additional_tags for streamer in Routes.of(config).streamers):
        yield Difference("streamers.*.additional_tags", "a tag that Twitch has as well is in tags once, not twice")


def _twitch(config: Config, environ: Mapping[str, str]) -> Iterator[Difference]:
    yield Difference(
        "/twitch",
        "messages are verified as Twitch signs them, over id, time and body: the original refused the real ones; what"
        " is forged is answered 403 instead of 401, streamers that are not configured 200 instead of 410",
    )
    yield Difference(
        "/health", "is 503 when something is wrong that keeps events from being taken in or sent, and answers HEAD"
    )
    if config.telemetry.enabled:
        yield Difference("telemetry", "metrics and spans have other names: see docs/telemetry.md")
    yield Difference(
        "answers to Twitch",
        "come once an event is on disk, not once it is delivered, so that a slow receiver costs no subscription",
    )
    yield Difference(
        "subscriptions",
        "are replaced when they do not work, and deleted when nobody wants them; others' are left alone",
    )
    if config.catch_up.enabled:
        yield Difference(
            "catch_up.enabled",
            f"what began while nobody listened, {duration(config.catch_up.max_age)} ago at the most, is announced"
            " with recovered = true; set it to false to have it as it was",
        )
    if environ.get("ITSJUSTINTV_SERVER_EXTERNAL_DOMAIN"):
        yield Difference("ITSJUSTINTV_SERVER_EXTERNAL_DOMAIN", "has an effect; the original only promised it")


def _tls(config: Config) -> Iterator[Difference]:
    if config.server.tls.enabled:
        yield Difference(
            "server.tls.cert_dir",
            "the original's certificates are not used: others are ordered at the first start, and renewed in time",
        )
