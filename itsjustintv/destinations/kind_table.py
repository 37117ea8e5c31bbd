"""
The table of kinds: those of this package, and those that other packages add by an entry point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

import attrs
from attrs import define, field

from itsjustintv.errors import KindUnavailable
from itsjustintv.model import DestinationKind
from itsjustintv.support.foreign_text import quote

__all__ = ["GROUP", "KindTable", "find_entry_points"]

#: The group of the entry points, each of which has the type as its name and a :class:`DestinationKind` as its object.
GROUP = "itsjustintv.destinations"


def find_entry_points() -> Iterable[EntryPoint]:
    """
    List what installed packages add.
    """
    return entry_points(group=GROUP)


@define(eq=False)
class KindTable(Mapping[str, DestinationKind]):
    """
    Looks kinds up by their types. A kind of this package is imported when it is asked for. Other packages are searched
    for when a type is not one of this package, and loaded when theirs is asked for, so that a broken one harms only
    those who use it.

    :ivar own: those of this package, which cannot be replaced: ``module:name`` by type.
    :ivar find: lists the entry points of other packages.
    """

    _own: Mapping[str, str]
    _find: Callable[[], Iterable[EntryPoint]] = find_entry_points
    _others: Mapping[str, tuple[EntryPoint, ...]] | None = field(default=None, init=False)
    _loaded: dict[str, DestinationKind] = field(factory=dict, init=False)

    def __getitem__(self, name: str) -> DestinationKind:
        """
        :raises KeyError: there is no such type.
        :raises KindUnavailable: a package adds it, but cannot be used.
        """
        if name not in self._loaded:
            own = self._own.get(name)
            self._loaded[name] = _load(name, self._added()[name]) if own is None else _import(own)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._added()

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from self._added()

    def __len__(self) -> int:
        return len(self._own) + len(self._added())

    def _added(self) -> Mapping[str, tuple[EntryPoint, ...]]:
        """
        The entry points of other packages, by type.
        """
        if self._others is None:
            found: dict[str, tuple[EntryPoint, ...]] = {}
            for each in self._find():
                if each.name not in self._own:
                    found[each.name] = (*found.get(each.name, ()), each)
            self._others = found
        return self._others


def _import(place: str) -> DestinationKind:
    module, _, name = place.partition(":")
    found: DestinationKind = getattr(import_module(module), name)
    return found


def _load(name: str, candidates: tuple[EntryPoint, ...]) -> DestinationKind:
    packages = " and ".join(dict.fromkeys(map(_package, candidates)))
    if len({each.value for each in candidates}) > 1:
        raise KindUnavailable(f"is added by {packages}: uninstall all but one")
    try:
        kind = candidates[0].load()
    except Exception as error:  # noqa: BLE001 - whatever a foreign module raises when it is imported
        what = f"{type(error).__name__}: {quote(str(error))}"
        raise KindUnavailable(
            f"is added by {packages}, which cannot be loaded ({what}): update or reinstall it"
        ) from None
    if not isinstance(kind, DestinationKind) or (kind.settings is not None and not attrs.has(kind.settings)):
        raise KindUnavailable(f"is added by {packages}, whose entry point is not a DestinationKind: update it")
    if kind.name != name:
        raise KindUnavailable(f"is added by {packages}, whose entry point has another name: update it")
    return kind


def _package(entry: EntryPoint) -> str:
    if entry.dist is None:
        return f"the module {entry.module}"
    return f"the package {entry.dist.name} {entry.dist.version}"
