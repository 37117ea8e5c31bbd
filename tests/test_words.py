"""
The words that people read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.documents import ROOT

#: Words that leave open who is meant or what is to be done, in whatever case.
AVOIDED = re.compile(
    r"\b(nobody|somebody|whoever|everybody|mend(?:ed|s|ing)?"
    r"|of no use|as far as can be seen|the one before it|one a line)\b",
    re.IGNORECASE,
)

#: The Unix user of that name; and the word that ``doctor --json`` promised to programs.
NAMES = re.compile(r"""`nobody`|`mend`|"mend\"""")

READ = ("*.md", "*.toml", "*.yml", "*.yaml", "*.service", "*.conf", "*.1", "*.js", "*.css", "*.html", "*.json")


def texts() -> Iterator[Path]:
    """
    The files whose words an operator, a user or a reader of the code meets: the package, the documents,
    ``etc`` and ``examples``.
    """
    for folder in ("itsjustintv", "examples"):
        yield from (ROOT / folder).rglob("*.py")
    for folder in ("itsjustintv", "docs", "etc", "examples"):
        for pattern in READ:
            yield from (ROOT / folder).rglob(pattern)
    yield from ROOT.glob("*.md")


class WordTests(SynchronousTestCase):
    """
    One plain word for each thing, and a subject that can be named.
    """

    def test_words_to_avoid_are_nowhere(self) -> None:
        """
        No log line, help text, error, page, document or comment uses a word of the list.
        """
        found = [
            f"{path.relative_to(ROOT)}:{number}: {match[0]}"
            for path in sorted(set(texts()))
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            for match in AVOIDED.finditer(NAMES.sub("", line))
        ]
        self.assertEqual(found, [])
