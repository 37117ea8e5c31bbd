"""
Converts the configuration of the original program, and lists what behaves differently. The original ignored unknown
keys, and treated an unknown hash function as SHA-256.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

from attrs import define, evolve, field, frozen

from itsjustintv.config.example import to_toml
from itsjustintv.config.keys import Keys, dotted, leaves
from itsjustintv.config.load import Loaded, parse_for
from itsjustintv.config.pasted_address import read_pasted
from itsjustintv.config.sections import CONDUIT, Config, StreamerEntry
from itsjustintv.destinations.kinds import KINDS
from itsjustintv.errors import ConfigError, Problem
from itsjustintv.routing import Routes
from itsjustintv.support.durations import duration

__all__ = ["ConvertedConfig", "Difference", "Repair", "convert", "differences"]

#: More than any configuration needs: each round repairs what the previous one uncovered.
_ROUNDS = 5


@frozen
class Repair:
    """
    A change that makes the file valid.

    :ivar path: of the key, dotted.
    :ivar text: what was changed, and why.
    """

    path: str
    text: str


@frozen(kw_only=True)
class ConvertedConfig:
    """
    The original's file after the conversion.

    :ivar text: the converted file, with its comments.
    :ivar tables: of the original, unchanged.
    :ivar loaded: ``None`` if errors remain.
    :ivar problems: these errors.
    """

    text: str = field(repr=False)
    tables: Mapping[str, Any] = field(repr=False)
    repairs: Sequence[Repair]
    loaded: Loaded | None
    problems: Sequence[Problem] = ()


@define
class _Statement:
    """
    A key with its value, the heading of a table, or a comment or blank line.

    :ivar keys: from the top of the file; empty for a comment or blank line.
    """

    keys: Keys
    lines: list[str]
    heading: bool = False


def convert(
    text: str,
    environ: Mapping[str, str],
    path: Path = Path("config.toml"),
    name: str = "",
    *,
    moving: bool = False,
) -> ConvertedConfig:
    """
    Make the original's configuration valid with as few changes as possible.

    :param environ: as in :func:`~itsjustintv.config.load.load`.
    :param path: where the configuration will be.
    :param name: names the text in an error about TOML; the path by default.
    :param moving: whether addresses of chat services, to which the original could deliver nothing, become destinations.
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
            loaded = parse_for(path, text, environ, name=name, kinds=KINDS)
        except ConfigError as error:
            problems = error.problems
        else:
            moved, made = _moved(text, tables) if moving else ("", ())
            if made:
                with suppress(ConfigError):
                    # What cannot be moved stays as it is, with a warning that has the lines.
                    loaded = parse_for(path, moved, environ, name=name, kinds=KINDS)
                    text, repairs = moved, [*repairs, *made]
            return ConvertedConfig(text=text, tables=tables, repairs=repairs, loaded=loaded)
        text, made = _repaired(text, problems)
        if not made:
            break
        repairs += made
    return ConvertedConfig(text=text, tables=tables, repairs=repairs, loaded=None, problems=problems)


def _moved(text: str, tables: Mapping[str, Any]) -> tuple[str, Sequence[Repair]]:
    """
    Make destinations of the addresses of chat services that can be one as they are.
    """
    statements = list(_statements(text.splitlines()))
    taken = set(tables.get("destinations", ()))
    names: dict[str, str] = {}
    added: list[str] = []
    repairs = []
    for each in [*statements]:
        if len(each.lines) != 1 or each.keys[-1:] not in {("target_webhook_url",), ("url",)}:
            continue
        is_global = each.keys == ("global_webhook", "url")
        if is_global and tables["global_webhook"].get("enabled") is not True:
            continue
        if not is_global and (each.keys[:1] != ("streamers",) or len(each.keys) != 3):
            continue
        value: Any = _toml([line.strip() for line in each.lines])
        for _ in range(10):
            value = next(iter(value.values())) if isinstance(value, dict) else value
        found = read_pasted(value) if isinstance(value, str) else None
        if found is None or found.missing:
            continue
        if value not in names:
            candidates = chain([found.kind], (f"{found.kind}-{number}" for number in count(2)))
            names[value] = next(name for name in candidates if name not in taken)
            taken.add(names[value])
            added += ["", f"[destinations.{names[value]}]", f'type = "{found.kind}"']
            added += [f"{key} = {to_toml(given)}" for key, given in found.values.items()]
        if is_global:
            added.insert(added.index(f"[destinations.{names[value]}]") + 1, "default = true")
        name = names[value]
        _replace(statements, each, name, is_global=is_global)
        repairs.append(Repair(dotted(each.keys), f"is an address of {found.kind}: moved to destinations.{name}"))
    return "\n".join([*(line for each in statements for line in each.lines), *added]) + "\n", repairs


def _replace(statements: Sequence[_Statement], address: _Statement, name: str, *, is_global: bool) -> None:
    """
    Put the name of a destination in the place of an address, and comment out what belonged to the address.
    """
    for each in statements:
        beside = each is not address and each.keys[:-1] == address.keys[:-1] and not each.heading
        if beside and (is_global or each.keys[-1].startswith("target_webhook_")):
            each.lines = [f"# {line}".rstrip() for line in each.lines]
    indent = _indent(address)
    address.lines = [f"{indent}# moved to destinations.{name}"]
    if not is_global:
        address.lines.append(f'{indent}destinations = ["{name}"]')


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
        yield Repair(problem.path, 'was unknown, which the original treated as "SHA-256": set to that')
    elif problem.message.startswith("unknown key"):
        right = _spelling(keys)
        if right and len(found) == 1 and not found[0].heading:
            [each] = found
            each.lines[0] = each.lines[0].replace(keys[-1], right, 1)
            yield Repair(problem.path, f"renamed to {right}")
            return
        for each in found:
            each.lines = [f"# {line}".rstrip() for line in each.lines]
        yield Repair(problem.path, "unknown key, which the original ignored: commented out")


def _keys(path: str) -> Keys:
    """
    Parse a dotted path; empty if it is none, such as the name of a variable.
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


def _spelling(keys: Keys) -> str:
    """
    Find the spelling of a key that the original accepted in any case; empty if there is none.
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
        # A list or a string may span lines: the statement ends where the lines are valid TOML.
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
    The keys that lead to what a statement sets. They end where a table has more than one.
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
    Something that behaves differently from the original.

    :ivar about: a key of the configuration, or another topic.
    :ivar text: the difference, the reason, and how to keep the old behaviour if possible.
    """

    about: str
    text: str


def differences(tables: Mapping[str, Any], config: Config, environ: Mapping[str, str]) -> Iterator[Difference]:
    """
    List the differences that apply to this configuration.

    :param tables: the original's configuration, unchanged.
    :param config: the converted configuration.
    """
    yield from _duplicates(tables)
    yield from _retries(tables, config)
    yield from _deliveries(config)
    yield from _twitch(config, environ)
    yield from _tls(config)
    if config.output.enabled:
        yield Difference(
            "output.file_path",
            "includes what was delivered after a retry; the file is replaced atomically, with mode 0600",
        )
    yield Difference(
        "log",
        "is JSON unless the output is a terminal, and its texts are different: see docs/operations.md if you search for"
        " the original's",
    )
    yield Difference(
        "command line",
        "version prints further lines after the original three; a usage error exits with status 2",
    )


def _duplicates(tables: Mapping[str, Any]) -> Iterator[Difference]:
    streamers = tables.get("streamers")
    seen: dict[tuple[str, str], str] = {}
    for name, entry in streamers.items() if isinstance(streamers, dict) else ():
        for key in ("user_id", "login") if isinstance(entry, dict) else ():
            if value := str(entry.get(key, "")).lower():
                first = seen.setdefault((key, value), name)
                if first != name:
                    yield Difference(
                        dotted(("streamers", name)),
                        f"is the same broadcaster as {first}: the original chose one of the two at"
                        " random; keep only one",
                    )


def _retries(tables: Mapping[str, Any], config: Config) -> Iterator[Difference]:
    section = tables.get("retry")
    given = {key.lower() for key in section} if isinstance(section, dict) else set[str]()
    for key, was in _RETRY.items():
        now = getattr(config.retry, key)
        if key not in given and now != was:
            here = f"is now {duration(now)}" if now else "is now unlimited, retry.max_age ends the retries"
            before = duration(was) if now else f"{was:g}"
            yield Difference(
                f"retry.{key}", f"is not set: the default {here}; it was {before}: set it to keep the old value"
            )
    yield Difference(
        "retry.max_age",
        f"a notification older than {duration(config.retry.max_age)} is not sent; the original had no limit",
    )
    yield Difference(
        "retries",
        "survive a crash, since they are stored before Twitch gets its answer; delays vary at"
        " random, and Retry-After is"
        " respected; list what could not be delivered with itsjustintv deliveries list --state undelivered",
    )


def _deliveries(config: Config) -> Iterator[Difference]:
    yield Difference(
        "redirects",
        "count as failures: the original counted a redirect as success although the payload was lost; configure final"
        " URLs",
    )
    yield Difference(
        "payload",
        "has the original's fields, followed by event, id and stream; User-Agent has the real version; a profile image"
        " has its file type",
    )
    if "all" not in config.filter.types and config.filter.types:
        yield Difference(
            "filter.types",
            "a rerun, playlist, premiere or watch party is not announced; the original announced it as live: set this"
            ' to ["all"] to keep that',
        )
    if any(streamer.additional_tags for streamer in Routes.of(config).streamers):
        yield Difference("streamers.*.additional_tags", "a tag that Twitch has too appears in tags once, not twice")


def _twitch(config: Config, environ: Mapping[str, str]) -> Iterator[Difference]:
    yield Difference(
        "/twitch",
        "the signature is verified over id, timestamp and body, as Twitch makes it; the original"
        " rejected real messages."
        " A forged message gets 403 instead of 401, an event of a streamer that is not configured 200 instead of 410",
    )
    yield Difference("/health", "returns 503 when events cannot be accepted or sent, and accepts HEAD")
    if config.telemetry.enabled:
        yield Difference("telemetry", "metrics and spans have different names: see docs/telemetry.md")
    if config.twitch.transport != CONDUIT:
        yield Difference(
            "twitch.transport",
            'stays "webhook"; with "conduit" no domain, certificate or open port is needed: see docs/conduits.md',
        )
    yield Difference(
        "answers to Twitch",
        "are sent once the event is stored, not once it is delivered: a slow receiver cannot cost a subscription",
    )
    yield Difference(
        "subscriptions",
        "are replaced when they do not work, and deleted when they are not needed; those of other programs stay",
    )
    if config.catch_up.enabled:
        yield Difference(
            "catch_up.enabled",
            f"a broadcast that began at most {duration(config.catch_up.max_age)} ago, while the daemon was down, is"
            " announced with recovered = true; set this to false to prevent that",
        )
    if environ.get("ITSJUSTINTV_SERVER_EXTERNAL_DOMAIN"):
        yield Difference("ITSJUSTINTV_SERVER_EXTERNAL_DOMAIN", "now has an effect; the original ignored it")


def _tls(config: Config) -> Iterator[Difference]:
    if config.server.tls.enabled:
        yield Difference(
            "server.tls.cert_dir",
            "the original's certificates are not used: new ones are ordered at the first start, and"
            " renewed automatically",
        )
