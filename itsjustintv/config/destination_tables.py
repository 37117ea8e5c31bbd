"""
The tables of destinations: which keys each type has, and what a table becomes.

Keys of the policy are the same for all types; the others are the attributes of the settings of the type's kind, and for
each secret the file that holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_type_hints

import attrs
from attrs import evolve, frozen

from itsjustintv.config.keys import Keys, Leaf, leaves
from itsjustintv.config.parse_state import ParseState
from itsjustintv.config.sections import DestinationEntry
from itsjustintv.errors import KindUnavailable
from itsjustintv.model import DestinationKind, DestinationPolicy

__all__ = [
    "EVENTS",
    "DestinationTable",
    "default_policy",
    "destination_leaves",
    "destination_tables",
    "file_of",
    "make_entry",
    "overlaid",
    "required_keys",
    "secret_names",
    "settings_class",
    "table_class",
]

#: What a destination can hear of.
EVENTS = ("online", "offline", "update")

_EMPTY: Mapping[Any, Any] = {str: "", bool: False, int: 0, float: 0.0}


@frozen
class DestinationTable:
    """
    A table of the file that is about a destination whose type is known.

    :ivar keys: its place: ``("destinations", "main")`` or ``("streamers", "tanuki", "at", "main")``.
    :ivar values: of its keys; for a streamer only those that differ.
    :ivar whole: its values laid over those of the destination.
    """

    keys: Keys
    kind: DestinationKind
    values: dict[str, Any]
    whole: dict[str, Any]

    @property
    def name(self) -> str:
        """
        The name of the destination.
        """
        return self.keys[-1]

    @property
    def is_override(self) -> bool:
        """
        Whether it is about one streamer.
        """
        return self.keys[0] == "streamers"


def destination_tables(state: ParseState) -> Iterator[DestinationTable]:
    """
    List the tables of all destinations, then those of streamers. What is no table, or has no known type, is left out.
    """
    whole: dict[str, DestinationTable] = {}
    tables = state.get(("destinations",))
    for name, values in tables.items() if isinstance(tables, dict) else ():
        if isinstance(values, dict) and (kind := _kind(state, values)) is not None:
            whole[name] = DestinationTable(("destinations", name), kind, values, values)
            yield whole[name]
    if not whole:
        return
    streamers = state.get(("streamers",))
    for key, entry in streamers.items() if isinstance(streamers, dict) else ():
        over = entry.get("at") if isinstance(entry, dict) else None
        for name, values in over.items() if isinstance(over, dict) else ():
            if name in whole and isinstance(values, dict):
                base = whole[name]
                yield DestinationTable(("streamers", key, "at", name), base.kind, values, overlaid(base.values, values))


def _kind(state: ParseState, values: Mapping[str, Any]) -> DestinationKind | None:
    kind = values.get("type")
    if not isinstance(kind, str):
        return None
    try:
        return state.kinds.get(kind)
    except KindUnavailable:
        return None


def overlaid(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """
    Lay a table over another: a value replaces a value, a table is laid over a table.
    """
    made = dict(base)
    for key, value in over.items():
        below = made.get(key)
        made[key] = overlaid(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return made


@frozen
class _NoSettings:
    """
    What a kind without settings of its own has.
    """


def settings_class(kind: DestinationKind) -> type:
    """
    The class of what only a kind has.
    """
    return _NoSettings if kind.settings is None else kind.settings


def file_of(secret: str) -> str:
    """
    The key of the file that holds a secret.
    """
    return f"{secret}_file"


@cache
def secret_names(settings: type) -> tuple[str, ...]:
    """
    The keys of the secrets of a class of settings: texts that are not shown.
    """
    types = get_type_hints(settings)
    return tuple(each.name for each in attrs.fields(settings) if each.repr is False and types[each.name] is str)


@cache
def required_keys(settings: type) -> tuple[str, ...]:
    """
    The keys of a class of settings that have no default.
    """
    return tuple(each.name for each in attrs.fields(settings) if each.default is attrs.NOTHING and each.init)


@cache
def table_class(kind: DestinationKind) -> type:
    """
    Make the class of a table: all keys that it can have, each ``None`` unless it is given.
    """
    settings = settings_class(kind)
    types: dict[str, Any] = {"type": str, "default": bool}
    for cls in (DestinationPolicy, settings):
        hints = get_type_hints(cls)
        types |= {each.name: hints[each.name] for each in attrs.fields(cls)}
    types |= {file_of(name): str for name in secret_names(settings)}
    made = attrs.make_class(
        "DestinationTable",
        {name: attrs.field(default=None, type=each) for name, each in types.items()},
        frozen=True,
        kw_only=True,
    )
    made.kind_name = kind.name  # type: ignore[attr-defined]
    return made


def destination_leaves(state: ParseState) -> Iterator[Leaf]:
    """
    List every key of the destinations in the file that holds a value, but for their types.
    """
    for table in destination_tables(state):
        if not table.is_override:
            yield from (leaf for leaf in leaves(table_class(table.kind), table.keys) if leaf.keys[2:] != ("type",))


def make_entry(table: DestinationTable, structured: Any) -> DestinationEntry:
    """
    Make what the configuration says of a destination. A value that is required and not given is empty.

    :param structured: an instance of :func:`table_class`.
    """
    given = {name: value for name, value in attrs.asdict(structured, recurse=False).items() if value is not None}
    settings = settings_class(table.kind)
    types = get_type_hints(settings)
    empty = {name: _EMPTY.get(types[name], ()) for name in required_keys(settings)}
    made = settings(**{**empty, **_known(settings, given)})
    return DestinationEntry(
        type=table.kind.name,
        default=given.get("default", False),
        policy=evolve(default_policy(table.kind, made), **_known(DestinationPolicy, given)),
        settings=made,
        files={key: given[key] for key in map(file_of, secret_names(settings)) if given.get(key)},
        kind=table.kind,
    )


def default_policy(kind: DestinationKind, settings: Any) -> DestinationPolicy:
    """
    What holds where nothing else is configured. Some of it depends on what can be done: a post that can be edited
    changes with its broadcast.
    """
    edits = kind.can_edit(settings)
    change = "edit" if edits else "post"
    return DestinationPolicy(events=EVENTS if edits else ("online",), on_offline=change, on_update=change)


def _known(cls: type, given: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: given[each.name] for each in attrs.fields(cls) if each.name in given}
