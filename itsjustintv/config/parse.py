"""
Turns TOML tables into the sections: checks types and finds unknown keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from operator import eq
from typing import Any, get_type_hints

import attrs
from attrs import evolve
from cattrs import Converter
from cattrs.cols import mapping_structure_factory
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ForbiddenExtraKeysError,
)
from cattrs.gen import make_dict_structure_fn, override

from itsjustintv.config.destination_tables import destination_tables, make_entry, table_class
from itsjustintv.config.keys import FACTORS, Keys, dotted
from itsjustintv.config.parse_state import ConfigProblem, ParseState
from itsjustintv.config.sections import CONDUIT, NO_DESTINATION, Config, DestinationEntry, StreamerEntry
from itsjustintv.config.values import parse_duration

# A misspelt table may hold misspelt tables.
_ROUNDS = 8


#: The key, the message, and the known key if this is a misspelt one.
_Fault = tuple[Keys, str, Keys | None]

_UNKNOWN = "unknown key"

_Hook = Callable[[Any, Any], Any]

#: What v0.1 of the original called some keys.
_RENAMED = {"webhook_url": "target_webhook_url", "hmac_secret": "target_webhook_secret"}

#: What streamers call what destinations have, too.
_OF_STREAMERS = {
    "webhook_url": "url",
    "target_webhook_url": "url",
    "target_webhook_secret": "secret",
    "target_webhook_secret_file": "secret_file",
    "target_webhook_header": "header",
    "target_webhook_hashing": "hashing",
    "target_webhook_signature": "signature",
}

# TOML's own range, and SQLite's.
_LARGEST = 2**63 - 1


def resolve_unknown_keys(state: ParseState) -> None:
    """
    Report all unknown keys. The value of a misspelt key moves to the right key, so that it is checked too; other
    unknown keys are dropped.
    """
    for _ in range(_ROUNDS):
        found = [(keys, message, known) for keys, message, known in _faults(state) if message.startswith(_UNKNOWN)]
        if not found:
            return
        for keys, message, known in found:
            state.findings.append(ConfigProblem(dotted(keys), message))
            value = state.get(keys)
            state.drop(keys)
            if known is not None and state.get(known) in (None, ""):
                state.put(known, value, state.place(dotted(keys)))
                state.guessed.add(dotted(known))
            elif known is not None:
                _merge_misspelt(state, known, value, state.place(dotted(keys)))


def _merge_misspelt(state: ParseState, known: Keys, value: object, place: str) -> None:
    """
    Merge a misspelt table into the right one, whose values win.
    """
    table = state.get(known)
    if not isinstance(table, dict) or not isinstance(value, dict):
        return
    for key, each in value.items():
        below = f"{place}.{dotted((key,))}"
        if key in table:
            _merge_misspelt(state, (*known, key), each, below)
        else:
            state.put((*known, key), each, below)


def structure(state: ParseState) -> Config:
    """
    Make the sections. All values of the wrong type are reported and dropped, so that the rest can still be checked.
    """
    for keys, message, _ in _faults(state):
        if dotted(keys) in state.guessed:
            # A misspelt key, which is reported already: its value may have been meant for another key.
            state.unknowable.add(dotted(keys))
        else:
            state.findings.append(ConfigProblem(dotted(keys), message))
        state.drop(keys)
    config: Config = _CONVERTER.structure(state.tables, Config)
    if config.twitch.transport == CONDUIT and state.get(("server", "listen_addr")) is None:
        # Twitch connects to no port of the daemon, so none is open to the network unless the operator says so.
        config = evolve(config, server=evolve(config.server, listen_addr="127.0.0.1"))
    destinations: dict[str, DestinationEntry] = {}
    at: dict[str, dict[str, DestinationEntry]] = {}
    for table in destination_tables(state):
        entry = make_entry(table, _CONVERTER.structure(table.whole, table_class(table.kind)))
        if table.is_override:
            at.setdefault(table.keys[1], {})[table.name] = entry
        else:
            destinations[table.name] = entry
    streamers = {
        key: evolve(entry, at=at.get(key, {})) if entry.at else entry for key, entry in config.streamers.items()
    }
    return evolve(config, destinations=destinations, streamers=streamers)


def _faults(state: ParseState) -> list[_Fault]:
    return [
        *_faults_in(state.tables, Config, ()),
        *(
            fault
            for each in destination_tables(state)
            for fault in _faults_in(each.values, table_class(each.kind), each.keys)
        ),
    ]


def _faults_in(table: object, cls: type, above: Keys) -> list[_Fault]:
    try:
        _CONVERTER.structure(table, cls)
    except BaseValidationError as error:
        return list(_findings(error, above))
    return []


def _findings(error: BaseException, above: Keys) -> Iterator[_Fault]:
    """
    Flatten the errors of cattrs.
    """
    if isinstance(error, BaseValidationError):
        for each in error.exceptions:
            yield from _findings(each, (*above, *_step(each)))
    elif isinstance(error, ForbiddenExtraKeysError):
        kind = getattr(error.cl, "kind_name", None)
        renamed = _RENAMED if kind is None else _OF_STREAMERS
        unknown = _UNKNOWN if kind is None else f'{_UNKNOWN} of the type "{kind}"'
        for key in sorted(error.extra_fields):
            known = _nearest(key, [attribute.name for attribute in attrs.fields(error.cl)], renamed)
            if known is None:
                yield (*above, key), unknown, None
            else:
                yield (*above, key), f"{unknown}; did you mean {known}?", (*above, known)
    else:
        yield above, str(error), None


def _step(error: BaseException) -> Keys:
    """
    Read from the notes of cattrs where in the table an exception belongs.
    """
    notes = getattr(error, "__notes__", None)
    if not notes:
        return ()
    note = notes[0]
    return (note.name if isinstance(note, AttributeValidationNote) else str(note.index),)


def _nearest(key: str, names: list[str], renamed: Mapping[str, str]) -> str | None:
    if renamed.get(key) in names:
        return renamed[key]
    return next(iter(get_close_matches(key, names, n=1)), None)


def _string(value: object, _: object) -> str:
    if not isinstance(value, str):
        raise TypeError("must be a text in quotes")
    return value


def _strings(value: object, _: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("must be a list of texts in quotes, in square brackets")
    wrong = [str(number) for number, item in enumerate(value, 1) if not isinstance(item, str)]
    if wrong:
        raise ValueError(f"must be a list of texts in quotes: correct number {' and number '.join(wrong[:5])}")
    return tuple(value)


def _names(value: object, kind: object) -> tuple[str, ...]:
    return (NO_DESTINATION,) if value == NO_DESTINATION else _strings(value, kind)


def _truth(value: object, _: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("must be true or false, without quotes")
    return value


def _whole(value: object, _: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _LARGEST:
        raise ValueError("must be a whole number, without quotes")
    return value


def _factor(value: object, _: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= _LARGEST:
        raise ValueError("must be a number, without quotes")
    return float(value)


def _duration(value: object, _: object) -> float:
    return parse_duration(value)


def _durations(value: object, _: object) -> tuple[float, ...]:
    """
    Read a list of durations.

    :raises TypeError: it is no list.
    :raises ValueError: an entry is wrong, with its number.
    """
    if not isinstance(value, list):
        raise TypeError('must be a list of durations in square brackets, such as ["2m", "6m"]')
    found = []
    for number, item in enumerate(value, 1):
        try:
            found.append(parse_duration(item))
        except ValueError as error:
            raise ValueError(f"must be a list of durations: number {number} {error}") from None
    return tuple(found)


def _table(hook: _Hook) -> _Hook:
    def structure_table(value: object, kind: object) -> object:
        if not isinstance(value, dict):
            raise TypeError("must be a table")
        return hook(value, kind)

    return structure_table


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    for kind, hook in ((str, _string), (bool, _truth), (int, _whole), (float, _factor)):
        converter.register_structure_hook(kind, hook)
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _strings)
    converter.register_structure_hook_func(lambda kind: kind == tuple[float, ...], _durations)

    def section(cls: type) -> _Hook:
        durations: dict[str, Any] = {
            name: override(struct_hook=_duration)
            for name, kind in get_type_hints(cls).items()
            if kind is float and name not in FACTORS
        }
        if cls is StreamerEntry:
            durations["destinations"] = override(struct_hook=_names)
        return _table(make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, **durations))

    converter.register_structure_hook_factory(attrs.has, section)
    # What is in them depends on their types: destination_tables.
    converter.register_structure_hook(DestinationEntry, _table(lambda value, _: value))
    # What holds others comes after them.
    tables: tuple[Any, ...] = (
        Mapping[str, str],
        Mapping[str, Mapping[str, str]],
        Mapping[str, DestinationEntry],
        Mapping[str, StreamerEntry],
    )
    for each in tables:
        # Not gen_structure_mapping, which registers its hook itself, with precedence over this one; nor
        # each.__eq__, which is that of the class Mapping.
        of_mapping = _table(mapping_structure_factory(each, converter, dict))
        converter.register_structure_hook_func(partial(eq, each), of_mapping)
    return converter


_CONVERTER = _converter()
