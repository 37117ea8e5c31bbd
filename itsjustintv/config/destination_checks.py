"""
The rules for destinations, their policies, and what streamers say of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import attrs
from attrs import evolve

from itsjustintv.config.destination_tables import (
    EVENTS,
    DestinationTable,
    default_policy,
    destination_tables,
    file_of,
    required_keys,
    secret_names,
    settings_class,
)
from itsjustintv.config.keys import Keys, Leaf, dotted
from itsjustintv.config.lint import is_invisible
from itsjustintv.config.parse_state import ConfigProblem, ParseState
from itsjustintv.config.sections import NO_DESTINATION, Config, DestinationEntry, StreamerEntry
from itsjustintv.config.values import BROADCAST_TYPES, above
from itsjustintv.errors import KindUnavailable
from itsjustintv.model import DestinationFilter, DestinationKind, DestinationPolicy
from itsjustintv.support.bounded_pattern import BoundedPattern
from itsjustintv.support.nearest import did_you_mean, nearest

__all__ = ["GLOBAL", "check_destinations", "destination_warnings", "destinations_of", "pattern_in"]

#: The name of the destination of ``[global_webhook]``.
GLOBAL = "global_webhook"

_TAKEN = frozenset({GLOBAL, NO_DESTINATION})
_NAME = re.compile("[a-z0-9][a-z0-9_-]{0,63}")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_UTC = "UTC"

#: A mistake in a destination: the key within its table, and what is wrong.
_Mistake = tuple[Keys, str]


def destinations_of(config: Config, entry: StreamerEntry) -> Sequence[str]:
    """
    Name the destinations of a streamer, besides that of its own ``target_webhook_url``.
    """
    if entry.destinations:
        return [name for name in dict.fromkeys(entry.destinations) if name != NO_DESTINATION]
    if entry.target_webhook_url:
        return ()
    usual = [name for name, each in config.destinations.items() if each.default]
    return [*usual, *[GLOBAL] * config.global_webhook.enabled]


def pattern_in(text: str) -> str | None:
    """
    The regular expression in an entry of ``filter.title``, ``/.../``; ``None`` for words.
    """
    return text[1:-1] if len(text) > 1 and text.startswith("/") and text.endswith("/") else None


def check_destinations(config: Config, state: ParseState) -> Iterator[ConfigProblem]:
    """
    Check each destination, and what streamers say of them.
    """
    yield from _names_and_types(state)
    found: dict[str, list[_Mistake]] = {}
    for table in destination_tables(state):
        if table.is_override:
            yield from _override(config, table, found[table.name])
            continue
        missing = [*_missing(table)]
        keys = {mistake[0] for mistake in missing}
        wrong = [each for each in _mistakes(config.destinations[table.name]) if each[0] not in keys]
        found[table.name] = [*missing, *wrong]
        for key, message in found[table.name]:
            path = dotted((*table.keys, *key))
            yield ConfigProblem(path, message, (file_of(path),))
    yield from _streamers(config, state)


def destination_warnings(config: Config) -> Iterator[ConfigProblem]:
    """
    Find what has no effect.
    """
    yield from _unheard(config)
    yield from _twins(config)
    for key, entry in config.streamers.items():
        names = destinations_of(config, entry)
        for name in entry.at:
            if name not in names:
                path = dotted(("streamers", key, "at", name))
                yield ConfigProblem(path, "has no effect, since the streamer does not have this destination")
        places: dict[object, str] = {}
        for name in names if entry.destinations else ():
            if name in config.destinations:
                first = places.setdefault(_place(config.destinations[name]), name)
                if first != name:
                    yield ConfigProblem(
                        dotted(("streamers", key, "destinations")),
                        f"names {first} and {name}, which are the same place: only {first} is used",
                    )


def _unheard(config: Config) -> Iterator[ConfigProblem]:
    """
    Find what is configured for events that a destination does not hear of.
    """
    for name, entry in config.destinations.items():
        usual = default_policy(entry.kind, entry.settings)
        over = [streamer.at[name] for streamer in config.streamers.values() if name in streamer.at]
        heard = {event for each in (entry, *over) for event in each.policy.events}
        for event in EVENTS:
            if event in heard:
                continue
            key = f"on_{event}"
            changed = getattr(entry.policy, key, None) != getattr(usual, key, None)
            for keys in [(key,)] * changed + [("messages", event)] * (event in entry.policy.messages):
                path = dotted(("destinations", name, *keys))
                yield ConfigProblem(path, f'has no effect, since events does not have "{event}"')


def _twins(config: Config) -> Iterator[ConfigProblem]:
    """
    Find default destinations that are one place.
    """
    places: dict[object, str] = {}
    for name, entry in config.destinations.items():
        if entry.default and (first := places.setdefault(_place(entry), name)) != name:
            path = dotted(("destinations", name, "default"))
            yield ConfigProblem(path, f"has no effect, since {first} is the same place, and a default too")


def _place(entry: DestinationEntry) -> tuple[str, ...]:
    return entry.type, *entry.kind.place(entry.settings)


def _names_and_types(state: ParseState) -> Iterator[ConfigProblem]:
    tables = state.get(("destinations",))
    for name, values in tables.items() if isinstance(tables, dict) else ():
        path = dotted(("destinations", name))
        if name in _TAKEN:
            yield ConfigProblem(path, "must have another name: this one has a meaning of its own")
        elif not _NAME.fullmatch(name):
            yield ConfigProblem(
                path,
                "must have a name of lower-case letters, digits, _ and -, at most 64, that begins with a letter or a"
                " digit",
            )
        if isinstance(values, dict) and (message := _type_mistake(state.kinds, values.get("type"))):
            yield ConfigProblem(f"{path}.type", message)


def _type_mistake(kinds: Mapping[str, DestinationKind], kind: object) -> str:
    names = ", ".join(f'"{each}"' for each in sorted(kinds))
    if kind is None or not isinstance(kind, str):
        return f"must be given: one of {names}"
    try:
        if kind in kinds and kinds[kind].name:
            return ""
    except KindUnavailable as error:
        return str(error)
    near = nearest(kind, kinds, 1)
    return f"must be one of {names}" + (f'; did you mean "{near[0]}"?' if near else "")


def _missing(table: DestinationTable) -> Iterator[_Mistake]:
    secrets = secret_names(settings_class(table.kind))
    for name in required_keys(settings_class(table.kind)):
        if table.values.get(name) in (None, ""):
            here = f"here, in {file_of(name)}," if name in secrets else "here"
            yield (name,), f"must be given, {here} or in the environment as {Leaf((*table.keys, name), str).variable}"


def _override(config: Config, table: DestinationTable, of_base: Sequence[_Mistake]) -> Iterator[ConfigProblem]:
    """
    Check what a streamer changes. A mistake in what it does not change is reported at the destination only.
    """
    base, entry = config.destinations[table.name], config.streamers[table.keys[1]].at[table.name]
    fixed = dict(_fixed(base, entry, table, of_base))
    for key, message in fixed.items():
        yield ConfigProblem(dotted((*table.keys, key)), message)
    for keys, message in _mistakes(entry):
        if keys[0] not in fixed and (_has(table.values, keys) or (keys, message) not in of_base):
            yield ConfigProblem(dotted((*table.keys, *keys)), message, (dotted(("destinations", table.name, *keys)),))


def _fixed(
    base: DestinationEntry, entry: DestinationEntry, table: DestinationTable, of_base: Sequence[_Mistake]
) -> Iterator[tuple[str, str]]:
    """
    List the keys that a streamer must not change.
    """
    settings = settings_class(table.kind)
    secrets = secret_names(settings)
    own = {each.name for each in attrs.fields(settings)}
    sound = not any(keys[0] in own for keys, _ in of_base)
    for key in table.values:
        if key in ("type", "default"):
            yield key, "cannot be changed for one streamer"
        elif key in secrets or key in map(file_of, secrets):
            yield key, _ADDRESS
        elif key in own and sound:
            changed = evolve(base, settings=evolve(base.settings, **{key: getattr(entry.settings, key)}))
            if base.kind.place(changed.settings) != base.kind.place(base.settings):
                yield key, _ADDRESS


_ADDRESS = "cannot be changed for one streamer, since it is part of the address: add another destination"


def _has(values: object, keys: Keys) -> bool:
    for key in keys:
        if not isinstance(values, dict):
            return True
        if key not in values:
            return False
        values = values[key]
    return True


def _mistakes(entry: DestinationEntry) -> Iterator[_Mistake]:
    yield from _policy(entry.policy, entry.kind, entry.settings)
    yield from _filter(entry.policy.filter)
    named = [*_message_names(entry)]
    yield from named
    known = {keys for keys, _ in named}
    for event, fields in entry.policy.messages.items():
        for name, text in fields.items():
            if not {("messages", event), ("messages", event, name)} & known:
                yield from _check_message(entry.kind, event, name, text)
    for key, message in entry.kind.check(entry.settings):
        yield (key,), message


def _policy(policy: DestinationPolicy, kind: DestinationKind, settings: Any) -> Iterator[_Mistake]:
    able = {"edit": kind.can_edit(settings), "delete": kind.can_delete(settings), "post": True}
    changes = [word for word, can in able.items() if can]
    words: Mapping[str, Sequence[str]] = {
        "on_offline": changes,
        "on_update": [each for each in changes if each != "delete"],
        "late": ("skip", "tell"),
        "quiet": ("silent", "drop"),
    }
    if not policy.events:
        yield ("events",), "must not be empty: leave the destination out instead"
    yield from _each(
        policy.events, "events", lambda each: "" if each in EVENTS else f"must be one of {_quoted(EVENTS)}"
    )
    for key, allowed in words.items():
        value = getattr(policy, key)
        if value not in allowed:
            yield (key,), f"must be {_quoted(allowed, 'or')}{_cannot(value, key, kind)}"
    yield from _each(policy.mention, "mention", lambda each: _mention(each, kind))
    for message in above(0)(policy.edit_max_age):
        yield ("edit_max_age",), message
    yield from _each(policy.quiet_hours, "quiet_hours", _quiet_hours)
    if not _is_zone(policy.timezone):
        yield ("timezone",), _zone_mistake(policy.timezone, available_timezones())


def _cannot(value: str, key: str, kind: DestinationKind) -> str:
    if value in ("edit", "delete"):
        by_settings = callable(kind.edits if value == "edit" else kind.deletes)
        how = " with these settings" if by_settings else ""
        return f", since posts of the type {kind.name} cannot be {value.removesuffix('e')}ed{how}"
    if value == "ignore":
        return f'; to ignore it, leave "{key.removeprefix("on_")}" out of events'
    return ""


def _mention(text: str, kind: DestinationKind) -> str:
    if not kind.mentions:
        return f"is not possible: the type {kind.name} cannot mention anyone"
    word, colon, identity = text.partition(":")
    forms = [each if each in ("everyone", "here") else f"{each}:ID" for each in sorted(kind.mentions)]
    if word not in kind.mentions or bool(colon) != (word in ("role", "user")):
        return f"must be one of {_quoted(forms)}"
    if colon and (not identity or any(c == " " or is_invisible(c) for c in identity)):
        return f"must have an id without blanks after {word}:"
    return kind.check_mention(text) if colon else ""


def _quiet_hours(text: str) -> str:
    if not _HOURS.fullmatch(text):
        return 'must be two times of 24 hours, such as "23:00-07:00"'
    begin, _, end = text.partition("-")
    return "must begin and end at different times" if begin == end else ""


def _zone_mistake(name: str, known: Collection[str]) -> str:
    if not known:
        return f'must be "{_UTC}", since this machine has no database of time zones: install the package tzdata'
    return f'must be the name of a time zone such as "Europe/Berlin"{did_you_mean(name, known)}'


def _is_zone(name: str) -> bool:
    if name == _UTC:
        return True
    try:
        ZoneInfo(name)
    except (ValueError, OSError):
        # ZoneInfoNotFoundError is a KeyError.
        return False
    except KeyError:
        return False
    return True


def _filter(policy: DestinationFilter) -> Iterator[_Mistake]:
    rules = {"title": _title_entry, "types": _type_entry}
    for name in ("categories", "title", "tags", "types"):
        for (key,), message in _each(getattr(policy, name), name, rules.get(name, _filter_entry)):
            yield ("filter", key), message


def _filter_entry(text: str) -> str:
    return "" if text.removeprefix("!").strip() else "must not be empty"


def _title_entry(text: str) -> str:
    if (pattern := pattern_in(text.removeprefix("!"))) is not None:
        try:
            BoundedPattern.parse(pattern)
        except ValueError as error:
            return str(error)
    return _filter_entry(text)


def _type_entry(text: str) -> str:
    known = text.removeprefix("!") in BROADCAST_TYPES
    return _filter_entry(text) or ("" if known else f"must be one of {_quoted(BROADCAST_TYPES)}")


@lru_cache(maxsize=4096)
def _check_message(kind: DestinationKind, event: str, name: str, text: str) -> tuple[_Mistake, ...]:
    """
    Check a template. The results are kept, since that takes tens of milliseconds, and each streamer may have the same.
    """
    found = kind.check_messages({event: {name: text}})
    return tuple((tuple(path.split(".")), message) for path, message in found)


def _message_names(entry: DestinationEntry) -> Iterator[_Mistake]:
    for event, fields in entry.policy.messages.items():
        if event not in EVENTS:
            yield ("messages", event), f"must be one of {_quoted(EVENTS)}{_did_you_mean(event, EVENTS)}"
        elif not entry.kind.fields:
            yield ("messages", event), f"is not possible: the type {entry.kind.name} has no messages"
        else:
            for name in fields:
                if name not in entry.kind.fields:
                    yield (
                        ("messages", event, name),
                        f"must be one of {_quoted(entry.kind.fields)}{_did_you_mean(name, entry.kind.fields)}",
                    )


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    near = nearest(name, known, 1)
    return f"; did you mean {near[0]}?" if near else ""


def _each(values: Sequence[str], key: str, rule: Callable[[str], str]) -> Iterator[_Mistake]:
    """
    Apply a rule to each text of a list.
    """
    for number, each in enumerate(values, 1):
        if message := rule(each):
            yield (key,), f"number {number} {message}"


def _quoted(words: Iterable[str], joint: str = "") -> str:
    quoted = [f'"{each}"' for each in words]
    return f" {joint} ".join(quoted) if joint else ", ".join(quoted)


def _streamers(config: Config, state: ParseState) -> Iterator[ConfigProblem]:
    tables = state.get(("destinations",))
    known = set(tables) if isinstance(tables, dict) else set[str]()
    for key, entry in config.streamers.items():
        given = state.get(("streamers", key, "destinations"))
        path = dotted(("streamers", key, "destinations"))
        if given == []:
            yield ConfigProblem(path, f'must not be empty: to send nothing, write "{NO_DESTINATION}"')
        if NO_DESTINATION in entry.destinations and len(entry.destinations) > 1:
            yield ConfigProblem(path, f'must not have other entries beside "{NO_DESTINATION}"')
        for number, name in enumerate(entry.destinations, 1):
            if name == GLOBAL:
                if not config.global_webhook.enabled:
                    message = f"number {number} is {GLOBAL}, which is not enabled"
                    yield ConfigProblem(path, message, ("global_webhook.enabled",))
            elif name != NO_DESTINATION and name not in known:
                yield ConfigProblem(path, f"number {number} is not a configured destination{did_you_mean(name, known)}")
        over = state.get(("streamers", key, "at"))
        for name in over if isinstance(over, dict) else ():
            if name not in known:
                message = f"is not a configured destination{did_you_mean(name, known)}"
                yield ConfigProblem(dotted(("streamers", key, "at", name)), message)
