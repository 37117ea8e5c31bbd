"""
The annotated example with an operator's own values in it: what a first configuration looks like.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from itsjustintv.config.folding_leaves_parse import Keys, dotted

__all__ = ["Value", "filled", "toml"]

#: What a key of the configuration can be.
Value = str | int | float | bool | tuple[str, ...]

_TABLE = re.compile(r"\[([\w.]+)\]\s*$")
_KEY = re.compile(r"#?(\w+) = ")


def toml(value: Value) -> str:
    """
    Write a value as TOML does.
    """
    # What JSON writes is TOML too, but for surrogate pairs, and one control character that JSON does not escape.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f")


def filled(example: str, values: Mapping[Keys, Value], streamers: Mapping[str, Mapping[str, Value]]) -> str:
    """
    Put values in the place of the example's, whether a key is commented out there or not, and leave every comment where
    it is.

    :param streamers: their tables by name; they come at the end.
    :raises KeyError: the example does not know a key.
    """
    waiting, table = dict(values), ""
    lines = []
    for line in example.splitlines():
        if heading := _TABLE.match(line):
            table = heading[1]
        key = _KEY.match(line)
        keys: Keys = (*filter(None, table.split(".")), key[1]) if key else ()
        lines.append(f"{keys[-1]} = {toml(waiting.pop(keys))}" if keys in waiting else line)
    if waiting:
        raise KeyError(", ".join(map(dotted, waiting)))
    for name, about in streamers.items():
        lines += ["", f"[{dotted(('streamers', name))}]", *(f"{key} = {toml(value)}" for key, value in about.items())]
    return "\n".join(lines) + "\n"
