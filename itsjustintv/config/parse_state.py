"""
A configuration on its way from text to :class:`~itsjustintv.config.sections.Config`, with all that was found wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from attrs import define, field, frozen

from itsjustintv.config.keys import Keys, dotted
from itsjustintv.errors import Problem

__all__ = ["ConfigProblem", "ParseState"]


@frozen
class ConfigProblem:
    """
    Something wrong with a key.

    :ivar path: of the key, dotted.
    :ivar message: what is allowed. It never quotes the value, which may be a secret in the wrong place.
    :ivar involves: the other keys on which the verdict rests.
    """

    path: str
    message: str
    involves: tuple[str, ...] = ()


@define(eq=False)
class ParseState:
    """
    What the file, the environment and the files of secrets have contributed so far.

    :ivar tables: as TOML has them; changed in place.
    :ivar findings: what is wrong so far, in the order of its discovery.
    :ivar sources: for a value that is not from its own place in the file, where the operator finds it.
    :ivar files: for a secret that was read from a file, the name of that.
    :ivar guessed: keys that are misspelt in the file.
    :ivar unknowable: keys on which no verdict can rest: what they were meant to be is not known.
    """

    tables: dict[str, Any]
    findings: list[ConfigProblem] = field(factory=list)
    sources: dict[str, str] = field(factory=dict)
    files: dict[str, str] = field(factory=dict)
    guessed: set[str] = field(factory=set)
    unknowable: set[str] = field(factory=set)

    def get(self, keys: Keys) -> object:
        """
        The value, or ``None`` when there is none.
        """
        table: Any = self.tables
        for key in keys:
            table = table.get(key) if isinstance(table, dict) else None
        return table

    def put(self, keys: Keys, value: object, source: str) -> None:
        """
        Set a value that comes from elsewhere. Where the file has something other than a table on the way, nothing is
        set: that is an error of its own.
        """
        table: Any = self.tables
        for key in keys[:-1]:
            table = table.setdefault(key, {}) if isinstance(table, dict) else None
        if isinstance(table, dict):
            table[keys[-1]] = value
            self.sources[dotted(keys)] = source

    def drop(self, keys: Keys) -> None:
        """
        Forget a value, if there is one.
        """
        table = self.get(keys[:-1])
        if isinstance(table, dict):
            table.pop(keys[-1], None)

    @property
    def wrong(self) -> set[str]:
        """
        The keys on which no further verdict can rest.
        """
        return {path for finding in self.findings for path in (finding.path, *finding.involves)} | self.unknowable

    def judge(self, findings: Iterable[ConfigProblem]) -> None:
        """
        Add findings about values, except those that rest on a key which is already known to be wrong: a key of the
        wrong type is reported as that, not also as missing.
        """
        wrong = self.wrong
        for finding in findings:
            if not any(_within(path, wrong) for path in (finding.path, *finding.involves)):
                self.findings.append(finding)

    def problem(self, finding: ConfigProblem) -> Problem:
        """
        Put a finding into the operator's terms.
        """
        return Problem(self.place(finding.path), finding.message)

    def problems(self) -> tuple[Problem, ...]:
        """
        Everything that was found, each once.
        """
        return tuple(dict.fromkeys(map(self.problem, self.findings)))

    def place(self, path: str) -> str:
        """
        Where the operator finds a key: a variable where its value came from one, and as it stands in the file where it
        is misspelt, or is in a table that is.
        """
        above, below = path, ""
        while above not in self.sources and "." in above:
            above, dot, last = above.rpartition(".")
            below = f"{dot}{last}{below}"
        return f"{self.sources[above]}{below}" if above in self.sources else path


def _within(path: str, wrong: set[str]) -> bool:
    return bool(wrong) and (path in wrong or any(path[: dot.start()] in wrong for dot in re.finditer(r"\.", path)))
