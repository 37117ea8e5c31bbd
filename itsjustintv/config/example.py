"""
The annotated example that operators start from.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from itsjustintv.config.keys import Keys, dotted

__all__ = ["Value", "example", "fill_in", "to_toml", "write_example", "write_new"]


def example() -> str:
    """
    The text of the example: every key with its default and a comment.
    """
    return files("itsjustintv.config").joinpath("example.toml").read_text(encoding="utf-8")


def write_example(path: Path) -> None:
    """
    Write the example to a new file, as :func:`write_new` does.
    """
    write_new(path, example())


def write_new(path: Path, text: str) -> None:
    """
    Write a new configuration with mode 0600, since it holds secrets.

    :raises FileExistsError: the file exists.
    :raises OSError: it cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


#: What a key of the configuration can be.
Value = str | int | float | bool | tuple[str, ...]

_TABLE = re.compile(r"\[([\w.]+)\]\s*$")
_KEY = re.compile(r"#?(\w+) = ")


def to_toml(value: Value) -> str:
    """
    Write a value as TOML does.
    """
    # What JSON writes is TOML too, but for surrogate pairs, and one control character that JSON does not escape.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f")


def fill_in(
    example: str,
    values: Mapping[Keys, Value | None],
    streamers: Mapping[str, Mapping[str, Value]],
    destinations: Mapping[str, Mapping[str, Value]] = {},
) -> str:
    """
    Replace values in the example, whether their key is commented out or not. Comments stay.

    :param values: by key; ``None`` comments a key out.
    :param streamers: their tables by name, appended at the end; those of ``destinations`` before them.
    :raises KeyError: the example has no such key.
    """
    waiting, table = dict(values), ""
    lines = []
    for line in example.splitlines():
        if heading := _TABLE.match(line):
            table = heading[1]
        key = _KEY.match(line)
        keys: Keys = (*filter(None, table.split(".")), key[1]) if key else ()
        lines.append(_assign(keys[-1], waiting.pop(keys)) if keys in waiting else line)
    if waiting:
        raise KeyError(", ".join(map(dotted, waiting)))
    for above, tables in (("destinations", destinations), ("streamers", streamers)):
        for name, about in tables.items():
            lines += [
                "",
                f"[{dotted((above, name))}]",
                *(f"{key} = {to_toml(value)}" for key, value in about.items()),
            ]
    return "\n".join(lines) + "\n"


def _assign(name: str, value: Value | None) -> str:
    return f'#{name} = ""' if value is None else f"{name} = {to_toml(value)}"
