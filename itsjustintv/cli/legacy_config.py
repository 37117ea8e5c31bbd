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

from itsjustintv.config.folding_leaves_parse import Keys, leaves
from itsjustintv.config.load import Loaded, parse_for
from itsjustintv.config.sections import StreamerEntry
from itsjustintv.errors import ConfigError, Problem

__all__ = ["Accepted", "Repair", "accept"]

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
