"""
The state of loading a configuration: its tables, where each value comes from, and the problems so far.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field, frozen

from itsjustintv.config.keys import Keys, dotted
from itsjustintv.errors import Problem
from itsjustintv.model import DestinationKind

__all__ = ["ConfigProblem", "ParseState"]


@frozen
class ConfigProblem:
    """
    A problem with a key.

    :ivar path: of the key, dotted.
    :ivar message: what is allowed. It never quotes the value, which may be a misplaced secret.
    :ivar involves: other keys on which the problem depends.
    :ivar lines: what to write instead, in TOML.
    """

    path: str
    message: str
    involves: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


@define(eq=False)
class ParseState:
    """
    The values from the file, the environment and the secret files so far.

    :ivar tables: as parsed from TOML; changed in place.
    :ivar kinds: the kinds of destinations, by their types.
    :ivar findings: the problems so far, in order of discovery.
    :ivar sources: for a value from elsewhere than its own key, where the operator finds it.
    :ivar files: for a secret that was read from a file, the name of the file.
    :ivar guessed: keys that are misspelt in the file.
    :ivar unknowable: keys whose intended value is unknown, so that nothing can be checked against them.
    """

    tables: dict[str, Any]
    kinds: Mapping[str, DestinationKind] = field(factory=dict)
    findings: list[ConfigProblem] = field(factory=list)
    sources: dict[str, str] = field(factory=dict)
    files: dict[str, str] = field(factory=dict)
    guessed: set[str] = field(factory=set)
    unknowable: set[str] = field(factory=set)

    def get(self, keys: Keys) -> object:
        """
        The value at these keys, or ``None`` if there is none.
        """
        table: Any = self.tables
        for key in keys:
            table = table.get(key) if isinstance(table, dict) else None
        return table

    def put(self, keys: Keys, value: object, source: str) -> None:
        """
        Set a value from elsewhere. If the file has a value where a table belongs, nothing is set: that is an error of
        its own.
        """
        table: Any = self.tables
        for key in keys[:-1]:
            table = table.setdefault(key, {}) if isinstance(table, dict) else None
        if isinstance(table, dict):
            table[keys[-1]] = value
            self.sources[dotted(keys)] = source

    def drop(self, keys: Keys) -> None:
        """
        Remove a value, if there is one.
        """
        table = self.get(keys[:-1])
        if isinstance(table, dict):
            table.pop(keys[-1], None)

    @property
    def wrong(self) -> set[str]:
        """
        The keys that must not be used in further checks.
        """
        return {path for finding in self.findings for path in (finding.path, *finding.involves)} | self.unknowable

    def judge(self, findings: Iterable[ConfigProblem]) -> None:
        """
        Add problems, except those that depend on a key that is already wrong: a key of the wrong type is not also
        reported as missing.
        """
        wrong = self.wrong
        for finding in findings:
            if not any(_within(path, wrong) for path in (finding.path, *finding.involves)):
                self.findings.append(finding)

    def problem(self, finding: ConfigProblem) -> Problem:
        """
        Name the place of a problem as the operator finds it.
        """
        return Problem(self.place(finding.path), finding.message, finding.lines)

    def problems(self) -> tuple[Problem, ...]:
        """
        Everything that was found wrong, in order, without repetitions.
        """
        return tuple(dict.fromkeys(map(self.problem, self.findings)))

    def place(self, path: str) -> str:
        """
        Where the operator finds a key: the variable that its value came from, or the misspelt key in the file.
        """
        above, below = path, ""
        while above not in self.sources and "." in above:
            above, dot, last = above.rpartition(".")
            below = f"{dot}{last}{below}"
        return f"{self.sources[above]}{below}" if above in self.sources else path


def _within(path: str, wrong: set[str]) -> bool:
    return bool(wrong) and (path in wrong or any(path[: dot.start()] in wrong for dot in re.finditer(r"\.", path)))
