"""
The environment's share of the configuration: every key but those of streamers, as ``ITSJUSTINTV_SECTION_KEY``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from itsjustintv.config.draft import Draft, Finding
from itsjustintv.config.leaves import Leaf, dotted, leaves
from itsjustintv.config.secret_files import counterpart
from itsjustintv.errors import Problem

__all__ = ["overlay", "strangers"]

_LEAVES = {leaf.variable: leaf for leaf in leaves()}

#: The original's name comes first, so that the full one wins.
_NAMES = {"ITSJUSTINTV_TLS_ENABLED": _LEAVES["ITSJUSTINTV_SERVER_TLS_ENABLED"], **_LEAVES}

_PREFIX = "ITSJUSTINTV_"
_SUFFIXES = [name.removeprefix(_PREFIX) for name in _NAMES]
_ELSEWHERE = frozenset({"ITSJUSTINTV_CONFIG"})
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_WHOLE = re.compile(r"-?[0-9]{1,19}")


def overlay(draft: Draft, environ: Mapping[str, str]) -> None:
    """
    Put the values of the environment over those of the file. A variable that is set to nothing counts as not set. A
    secret and the file to read it from are two ways to say one thing: either in the environment displaces both of the
    configuration file.
    """
    given = {variable: leaf for variable, leaf in _NAMES.items() if environ.get(variable)}
    for leaf in given.values():
        other = counterpart(leaf.keys)
        if other is not None:
            draft.drop(other)
    for variable, leaf in given.items():
        draft.drop(leaf.keys)
        try:
            draft.put(leaf.keys, _value(leaf, environ[variable]), variable)
        except ValueError as error:
            draft.sources[dotted(leaf.keys)] = variable
            draft.findings.append(Finding(dotted(leaf.keys), str(error)))


def strangers(environ: Mapping[str, str]) -> Iterator[Problem]:
    """
    Warn of variables that look like ours and set nothing.
    """
    for name in sorted(environ):
        if not name.startswith(_PREFIX) or name in _NAMES or name in _ELSEWHERE:
            continue
        if name.startswith(f"{_PREFIX}STREAMERS"):
            yield Problem(name, "is ignored: streamers are configured in the file only")
            continue
        # The prefix, which all of them share, would make everything look alike.
        near = get_close_matches(name.removeprefix(_PREFIX), _SUFFIXES, n=1)
        hint = f"; did you mean {_PREFIX}{near[0]}?" if near else ""
        yield Problem(name, f"is ignored: no key has this name{hint}")


def _value(leaf: Leaf, text: str) -> object:
    """
    Turn a variable's text into what TOML would have given. A text that is no plain number stays one, since it may be a
    duration.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("must be UTF-8") from None
    if leaf.type is bool:
        if text.lower() not in _TRUTH:
            raise ValueError("must be true or false (or 1 or 0)")
        return _TRUTH[text.lower()]
    if leaf.type is int:
        if not _WHOLE.fullmatch(text):
            raise ValueError("must be a whole number")
        return int(text)
    if leaf.type is float:
        return float(text) if _NUMBER.fullmatch(text) else text
    if leaf.type is str:
        return text
    return [part.strip() for part in text.split(",") if part.strip()]
