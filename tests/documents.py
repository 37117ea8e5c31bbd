"""
Reading what a document says: its links, its commands, its code spans and its tables.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

__all__ = ["ROOT", "Document", "asked_from_outside", "documents"]

ROOT = Path(__file__).parents[1]

_FENCE = re.compile(r"^ *(`{3,}|~{3,}) *(\w*)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s]+)(?: \"[^\"]*\")?\)|^\[[^\]]+\]: +(\S+)", re.MULTILINE)
# A command that asks the public name for something: its path.
_ASKED = re.compile(r"\b(?:curl|wget)\b[^`\n]*?(?:YOUR\.DOMAIN|hooks\.example\.org)(/[^\s`\"']*)?")
# What stands between two commands of a shell.
_BETWEEN = re.compile(r"\$\(|[()|;]|&&")
_SHELL = ("", "console", "sh", "bash", "shell")


@frozen
class Block:
    """
    A block of code.

    :ivar language: as the fence says; empty for a block that is only indented.
    """

    language: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines)


@frozen
class Document:
    """
    A document in Markdown, of the plain kind that is written here.

    :ivar prose: everything but the blocks of code, paragraph by paragraph; a row of a table is one of its own.
    """

    path: Path
    blocks: Sequence[Block] = field(init=False)
    prose: Sequence[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        blocks, prose = _split(self.path.read_text(encoding="utf-8").splitlines())
        object.__setattr__(self, "blocks", blocks)
        object.__setattr__(self, "prose", prose)

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def spans(self) -> Iterator[str]:
        """
        What is set as code within a sentence.
        """
        for paragraph in self.prose:
            yield from (" ".join(match[2].split()) for match in _SPAN.finditer(paragraph))

    @property
    def links(self) -> Iterator[str]:
        """
        Where links lead.
        """
        for paragraph in self.prose:
            yield from (match[1] or match[2] for match in _LINK.finditer(_SPAN.sub("", paragraph)))

    @property
    def anchors(self) -> set[str]:
        """
        What can follow ``#`` in a link to this document.
        """
        found: set[str] = set()
        for paragraph in self.prose:
            if match := _HEADING.match(paragraph):
                anchor = re.sub(r"[^\w\- ]", "", match[1].lower()).replace(" ", "-")
                number = 0
                while (name := f"{anchor}-{number}" if number else anchor) in found:
                    number += 1
                found.add(name)
        return found

    @property
    def commands(self) -> Iterator[Sequence[str]]:
        """
        The words of every command: code spans, and lines of blocks in no other language than that of a shell. In a
        console, what the machine answers is none.
        """
        lines = [*self.spans]
        for block in self.blocks:
            if block.language == "console":
                lines += [line.removeprefix("$ ") for line in block.lines if line.startswith("$ ")]
            elif block.language in _SHELL:
                lines += block.lines
        for line in lines:
            for command in _BETWEEN.split(line):
                words = _words(command)
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words = words[1:]
                if words:
                    yield words

    def tables(self, *columns: str) -> Iterator[Mapping[str, str]]:
        """
        The rows of every table that begins with these columns: the cell of each column.
        """
        header: list[str] = []
        for paragraph in self.prose:
            if not paragraph.startswith("|"):
                header = []
            elif not header:
                header = _cells(paragraph)
            elif set(paragraph) - set("|- ") and header[: len(columns)] == list(columns):
                yield dict(zip(header, _cells(paragraph), strict=True))


def documents() -> Sequence[Document]:
    """
    Everything that is written for people, the main page first.
    """
    folders = (ROOT / "docs").rglob("*.md")
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        *sorted(folders),
        ROOT / "benchmarks" / "README.md",
        ROOT / "etc" / "README.md",
    ]
    return [Document(page) for page in pages]


def asked_from_outside() -> Sequence[str]:
    """
    What an operator is told to ask the public name for, anywhere: in the documents, by commands, alerts and the page.

    :return: paths.
    """
    files = [each.path for each in documents()]
    files += [path for path in (ROOT / "etc").rglob("*") if path.is_file()]
    files += [path for path in (ROOT / "itsjustintv").rglob("*") if path.suffix in (".py", ".js", ".toml")]
    texts = (path.read_text(encoding="utf-8") for path in files)
    return sorted({match[1] for text in texts for match in _ASKED.finditer(text)})


def _split(lines: Sequence[str]) -> tuple[Sequence[Block], Sequence[str]]:
    blocks: list[Block] = []
    prose: list[str] = [""]
    code: list[str] | None = None
    fence = language = ""
    for line in lines:
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence):
                blocks.append(Block(language, tuple(code or ())))
                fence, code = "", None
            else:
                assert code is not None
                code.append(line)
        elif code is not None and (line.startswith("    ") or not line):
            code.append(line.removeprefix("    "))
        else:
            if code is not None:
                blocks.append(Block("", tuple(code)))
                code = None
            if mark:
                fence, language, code = mark[1], mark[2], []
                prose.append("")
            elif line.startswith("    ") and not prose[-1]:
                code = [line.removeprefix("    ")]
            elif not line or line.startswith(("|", "#")) or prose[-1].startswith(("|", "#")):
                prose.append(line)
            else:
                prose[-1] = f"{prose[-1]}\n{line}".lstrip("\n")
    if code is not None:
        blocks.append(Block(language if fence else "", tuple(code)))
    return blocks, prose


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command, comments=True)
    except ValueError:
        # Not meant for a shell, or cut in two within quotes.
        return command.split()
