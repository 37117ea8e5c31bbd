"""
Reads keys from the environment: all outside ``streamers``, as ``ITSJUSTINTV_SECTION_KEY``; those of destinations that
the file has, as ``ITSJUSTINTV_DESTINATIONS_NAME_KEY``.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from difflib import get_close_matches
from string import ascii_uppercase, digits

from itsjustintv.config.destination_tables import destination_leaves
from itsjustintv.config.keys import Leaf, dotted, leaves
from itsjustintv.config.lint import describe, describe_unexpected, edge_mistakes, is_invisible, trim
from itsjustintv.config.parse_state import ConfigProblem, ParseState
from itsjustintv.config.secrets import SECRETS, counterpart, destination_counterpart
from itsjustintv.errors import Problem

__all__ = ["apply_environment", "unknown_variables"]

_LEAVES = {leaf.variable: leaf for leaf in leaves()}

#: The original's name comes first, so that the full one wins.
_NAMES = {"ITSJUSTINTV_TLS_ENABLED": _LEAVES["ITSJUSTINTV_SERVER_TLS_ENABLED"], **_LEAVES}

_PREFIX = "ITSJUSTINTV_"
_DESTINATIONS = "ITSJUSTINTV_DESTINATIONS_"
_SUFFIXES = [name.removeprefix(_PREFIX) for name in _NAMES]
# Variables of ids, secrets and secret files: empty, they are probably a mistake.
_NEEDED = [
    variable
    for variable, leaf in _LEAVES.items()
    if leaf.keys in SECRETS or counterpart(leaf.keys) in SECRETS or leaf.keys[-1] in {"client_id", "eab_kid"}
]
_IN_NAMES = ascii_uppercase + digits + "_"
_ELSEWHERE = frozenset({"ITSJUSTINTV_CONFIG"})
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_WHOLE = re.compile(r"-?[0-9]{1,19}")


def apply_environment(state: ParseState, environ: Mapping[str, str]) -> None:
    """
    Override the values of the file. An empty variable counts as not set. A secret, or the file to read it from,
    replaces both keys of the configuration file.
    """
    given = [(variable, leaf) for variable, leaf in _NAMES.items() if environ.get(variable)]
    if any(name.startswith(_DESTINATIONS) for name in environ):
        given += _destinations(state, environ)
    for _, leaf in given:
        other = counterpart(leaf.keys) or destination_counterpart(state, leaf.keys)
        if other is not None:
            state.drop(other)
    for variable, leaf in given:
        state.drop(leaf.keys)
        state.guessed.discard(dotted(leaf.keys))
        try:
            state.put(leaf.keys, _value(leaf, environ[variable]), variable)
        except ValueError as error:
            state.sources[dotted(leaf.keys)] = variable
            state.findings.append(ConfigProblem(dotted(leaf.keys), str(error)))


def _destinations(state: ParseState, environ: Mapping[str, str]) -> Iterator[tuple[str, Leaf]]:
    """
    List the variables of destinations that are set, each with its key.
    """
    claims: dict[str, list[Leaf]] = {}
    for leaf in destination_leaves(state):
        if environ.get(leaf.variable):
            claims.setdefault(leaf.variable, []).append(leaf)
    for variable, (leaf, *others) in claims.items():
        if others:
            names = " and ".join(dotted(each.keys) for each in (leaf, *others))
            state.sources[variable] = variable
            state.findings.append(
                ConfigProblem(variable, f"is the variable of {names}: rename one of the destinations")
            )
        else:
            yield variable, leaf


def unknown_variables(environ: Mapping[str, str], state: ParseState | None = None) -> Iterator[Problem]:
    """
    Warn of ``ITSJUSTINTV_`` variables that set nothing.

    :param state: knows the destinations; without it, none of their variables is judged.
    """
    ours = {leaf.variable for leaf in destination_leaves(state)} if state is not None else set()
    for variable in _NEEDED:
        if environ.get(variable) == "":
            yield Problem(variable, "is empty, which counts as not set")
    for name in sorted(environ):
        plain = _plain(name)
        if not plain.startswith(_PREFIX) or name in _NAMES or name in _ELSEWHERE or name in ours:
            continue
        if state is None and plain.startswith(_DESTINATIONS):
            continue
        if plain != name:
            yield _misnamed(name, plain)
            continue
        if name.startswith(f"{_PREFIX}STREAMERS"):
            yield Problem(name, "is ignored: streamers can be configured in the file only")
            continue
        # Without the prefix, which would make all names similar.
        suffixes = [*_SUFFIXES, *(each.removeprefix(_PREFIX) for each in ours)]
        near = get_close_matches(name.removeprefix(_PREFIX), suffixes, n=1)
        hint = f"; did you mean {_PREFIX}{near[0]}?" if near else ""
        yield Problem(name, f"is ignored: there is no such key{hint}")


def _plain(name: str) -> str:
    """
    Normalize a name to capitals, digits and underscores.
    """
    bare = re.sub(r"\A(?:export|set)\s+", "", name.strip(), flags=re.IGNORECASE)
    return re.sub("[^A-Z0-9_]", "", bare.upper().replace("-", "_").replace(".", "_"))


def _misnamed(name: str, plain: str) -> Problem:
    known = plain in _NAMES or plain in _ELSEWHERE
    meant = f"; the variable is {plain}" if known else ""
    blanks = [c for c in dict.fromkeys(name) if c == " " or is_invisible(c)]
    if blanks:
        return Problem(dotted((name,)), f"is ignored, since its name holds {describe(blanks)}{meant}")
    if odd := describe_unexpected(name.upper(), _IN_NAMES):
        return Problem(dotted((name,)), f"is ignored, since its name holds {odd}{meant}")
    return Problem(name, f"is ignored, since its name is not in capitals{meant}")


def _value(leaf: Leaf, text: str) -> object:
    """
    Convert a variable to the type that TOML would have. A text that is not a number may be a duration.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("must be UTF-8") from None
    if leaf.type is bool:
        if text.lower() not in _TRUTH:
            raise ValueError(f"must be true or false (or 1 or 0){_because(text, _TRUTH)}")
        return _TRUTH[text.lower()]
    if leaf.type is int:
        if not _WHOLE.fullmatch(text):
            raise ValueError(f"must be a whole number{_because(text)}")
        return int(text)
    if leaf.type is float:
        return float(text) if _NUMBER.fullmatch(text) else text
    if leaf.type is str:
        return text
    return [part.strip() for part in text.split(",") if part.strip()]


def _because(text: str, allowed: Container[str] | None = None) -> str:
    """
    Describe the mistake at the edges of a value that is right without it.
    """
    inner = trim(text).lower()
    right = inner in allowed if allowed is not None else _WHOLE.fullmatch(inner)
    return f": it {next(edge_mistakes(text))}" if right else ""
