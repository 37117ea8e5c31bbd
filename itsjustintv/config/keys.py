"""
The keys of the configuration: their paths, types and environment variables, as the sections define them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_origin, get_type_hints

import attrs
from attrs import frozen

from itsjustintv.config.sections import Config

__all__ = ["FACTORS", "Keys", "Leaf", "dotted", "leaves"]

#: The path from the top of the file to a value: ``("server", "tls", "enabled")``.
Keys = tuple[str, ...]

#: The only numbers with a fraction that are not durations.
FACTORS = frozenset({"backoff_factor", "jitter", "renew_fraction"})

_BARE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


@frozen
class Leaf:
    """
    A key that holds a value, not a table.

    :ivar type: of the attribute in its section.
    """

    keys: Keys
    type: Any

    @property
    def is_duration(self) -> bool:
        """
        Whether the value is a duration in seconds.
        """
        return self.type is float and self.keys[-1] not in FACTORS

    @property
    def variable(self) -> str:
        """
        The environment variable that sets it.
        """
        return "_".join(("ITSJUSTINTV", *self.keys)).upper().replace("-", "_")


def leaves(section: type = Config, above: Keys = ()) -> Iterator[Leaf]:
    """
    List every key with a value in a section and the sections below it, in their order. Tables whose names are the
    operator's are left out: those of streamers, destinations and messages.
    """
    types = get_type_hints(section)
    for attribute in attrs.fields(section):
        kind, keys = types[attribute.name], (*above, attribute.name)
        if attrs.has(kind):
            yield from leaves(kind, keys)
        elif get_origin(kind) is not Mapping:
            yield Leaf(keys, kind)


def dotted(keys: Keys) -> str:
    """
    Write keys as TOML would: joined by dots, quoted where necessary, so that they cannot break a line.
    """
    return ".".join([key if key and _BARE.issuperset(key) else _quoted(key) for key in keys])


def _quoted(key: str) -> str:
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else _escaped(ord(c)) for c in key) + '"'


def _escaped(point: int) -> str:
    return f"\\u{point:04X}" if point <= 0xFFFF else f"\\U{point:08X}"
