"""
The difference between two configurations, without secrets, for the log.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from itsjustintv.config.keys import Keys, Leaf, dotted, leaves
from itsjustintv.config.locations import relative_paths
from itsjustintv.config.sections import Config, DestinationEntry, StreamerEntry
from itsjustintv.model import DestinationKind
from itsjustintv.support.counts import count
from itsjustintv.support.durations import duration

__all__ = ["Changes", "changes", "fingerprint"]

_PARTS_OF_ENTRY = frozenset({"policy", "settings", "files"})

# Streamers that are named in one line.
_NAMED = 20


@frozen
class Changes:
    """
    The difference between two configurations. True if there is one.

    :ivar keys: the changed keys outside ``streamers``, as ``server.port: 8080 -> 9090``; of a secret, and of a URL,
        which may hold one, only that it changed; and the destinations that changed.
    :ivar added: keys of the new streamers.
    :ivar removed: keys of the removed streamers.
    :ivar changed: keys of the changed streamers, each with the names of what changed.
    """

    keys: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys or self.added or self.removed or self.changed)

    @property
    def count(self) -> int:
        """
        The number of changed keys and streamers.
        """
        return len(self.keys) + len(self.added) + len(self.removed) + len(self.changed)

    def lines(self) -> Iterator[str]:
        """
        Format the changes; of many streamers, the number and the first few.
        """
        yield from self.keys
        altered = [f"{dotted((key,))} ({', '.join(names)})" for key, names in self.changed]
        for what, streamers in (
            ("added", _quoted(self.added)),
            ("removed", _quoted(self.removed)),
            ("changed", altered),
        ):
            if streamers:
                more = len(streamers) - _NAMED
                named = ", ".join(streamers[:_NAMED]) + (f" and {more} more" if more > 0 else "")
                yield f"{count(len(streamers), 'streamer')} {what}: {named}"


def changes(old: Config, new: Config) -> Changes:
    """
    Compare two configurations, including the content of secret files.
    """
    keys = []
    for leaf in leaves():
        before, after = (attrgetter(".".join(leaf.keys))(config) for config in (old, new))
        if before != after:
            keys.append(f"{dotted(leaf.keys)}: {_change(leaf, before, after)}")
    return Changes(
        (*keys, *_destinations(old.destinations, new.destinations)),
        tuple(key for key in new.streamers if key not in old.streamers),
        tuple(key for key in old.streamers if key not in new.streamers),
        tuple(
            (key, _differing(old.streamers[key], entry))
            for key, entry in new.streamers.items()
            if key in old.streamers and entry != old.streamers[key]
        ),
    )


def fingerprint(config: Config, base: Path = Path()) -> str:
    """
    Hash a configuration to sixteen hexadecimal digits, equal on all machines with the same configuration.

    The hash is keyed with the secrets, since a plain hash would allow guessing them.

    :param base: the base of relative paths.
    """
    plain = attrs.asdict(config, filter=lambda _, value: not isinstance(value, DestinationKind))
    content = json.dumps(relative_paths(plain, base), sort_keys=True).encode("ascii")
    key = json.dumps([config.twitch.client_secret, config.twitch.webhook_secret]).encode("ascii")
    return hmac.digest(key, content, "sha256").hex()[:16]


def _destinations(old: Mapping[str, DestinationEntry], new: Mapping[str, DestinationEntry]) -> Iterator[str]:
    """
    Describe the changes of destinations: what was added and removed, and of each that changed the keys.
    """
    for name in dict.fromkeys((*old, *new)):
        place, before, after = dotted(("destinations", name)), old.get(name), new.get(name)
        if before is None or after is None:
            yield f"{place}: {'added' if before is None else 'removed'}"
        elif before != after:
            names = [*_names(before, after), *_names(before.policy, after.policy)]
            if before.type == after.type:
                names += _names(before.settings, after.settings)
            yield f"{place}: changed ({', '.join(each for each in names if each not in _PARTS_OF_ENTRY)})"


def _names(old: Any, new: Any) -> Iterator[str]:
    """
    List the attributes that differ, of two instances of one class.
    """
    names = (attribute.name for attribute in attrs.fields(type(old)) if attribute.eq)
    return (name for name in names if getattr(old, name) != getattr(new, name))


def _differing(old: StreamerEntry, new: StreamerEntry) -> tuple[str, ...]:
    names = (attribute.name for attribute in attrs.fields(StreamerEntry))
    return tuple(name for name in names if getattr(old, name) != getattr(new, name))


def _hidden(keys: Keys) -> bool:
    return keys[-1].endswith(("_secret", "_hmac", "url", "endpoint")) or keys == ("admin", "token")


def _quoted(keys: Sequence[str]) -> list[str]:
    return [dotted((key,)) for key in keys]


def _change(leaf: Leaf, before: object, after: object) -> str:
    if _hidden(leaf.keys):
        return "changed"
    if leaf.is_duration and isinstance(before, float) and isinstance(after, float):
        return f"{_length(before)} -> {_length(after)}"
    if leaf.type == tuple[float, ...]:
        return f"{_lengths(before)} -> {_lengths(after)}"
    return f"{_shown(before)} -> {_shown(after)}"


def _length(seconds: float) -> str:
    """
    Format a duration exactly, so that two different ones never look the same.
    """
    smallest = 1 if seconds < 3600 else 60 if seconds < 86400 else 3600
    return duration(seconds) if seconds % smallest == 0 else f"{seconds:g} s"


def _lengths(seconds: Any) -> str:
    return json.dumps([_length(each) for each in seconds])


def _shown(value: object) -> str:
    """
    Format a value roughly as TOML would.
    """
    whole = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if whole else value, ensure_ascii=False)  # type: ignore[call-overload]
