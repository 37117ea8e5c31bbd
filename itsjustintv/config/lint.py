"""
What got into a value by accident: quotes that a tool kept, blanks and line ends, invisible characters, and
placeholders. Such a value is valid, and then every signature fails.

Nothing here quotes more of a value than the characters in question.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from unicodedata import category, name

__all__ = [
    "described",
    "described_one",
    "edge_mistakes",
    "is_invisible",
    "mistakes",
    "path_mistakes",
    "trimmed",
    "unexpected",
]

_NAMES = {
    "\0": "NUL",
    "\t": "tab",
    "\n": "newline",
    "\r": "carriage return",
    "\N{NO-BREAK SPACE}": "no-break space",
    "\N{ZERO WIDTH NO-BREAK SPACE}": "byte order mark",
    "\N{REPLACEMENT CHARACTER}": "replacement character: what stood there was lost when it was saved",
}
# Quotation marks, straight and typeset.
_QUOTES = "\"'`\u00ab\u00bb\u2018\u2019\u201a\u201c\u201d\u201e"

# What a value of plain characters neither begins nor ends with; "" is in it.
_EDGES = f" {_QUOTES}"

# Quotation marks, dashes and dots that a word processor puts in the place of those that were typed.
_TYPESET = frozenset("\u00ab\u00bb\u2013\u2014\u2018\u2019\u201a\u201c\u201d\u201e\u2026\u2039\u203a\ufffd")

# Letters and symbols that look like nothing.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")

_PLACEHOLDER = re.compile(
    r"\.{3,}|\u2026|<.*>|\[.*\]|x{4,}|\*{3,}|(?:your|insert|enter|put)[-_]\S*|\S*[-_]here"
    r"|(?:change|replace|fix)[-_ ]?(?:me|this|it)|placeholder|to[-_ ]?do|tbd|none|null|undefined|redacted|example",
    re.IGNORECASE | re.DOTALL,
)
_VARIABLE = re.compile(r"\$[A-Z][A-Z0-9_]{2,}|\$\{.*\}|\{\{.*\}\}|\$\(.*\)|%[A-Z0-9_]+%", re.DOTALL)
_ASSIGNMENT = re.compile(r"(?:export )?[A-Z][A-Z0-9]*_[A-Z0-9_]+=.+", re.DOTALL)

# What a shell would have replaced.
_HOME = re.compile(r"\A~|\$[A-Za-z_{]")

_COMMENT = re.compile(r"\s#")


def mistakes(value: str) -> Iterator[str]:
    """
    Find what cannot be meant, a sentence each, without a subject: ``ends with a newline (U+000A), ...``.
    """
    yield from edge_mistakes(value)
    _, inner, _ = _split(value)
    bare = inner[len(_quote(inner)) : len(inner) - len(_quote(inner[::-1]))]
    odd = [] if _plain(bare) else [c for c in dict.fromkeys(bare) if is_invisible(c) or c in _TYPESET]
    if odd:
        yield f"holds {described(odd)}: type it anew, or copy it from where it is shown"
    _, bare, _ = _split(bare)
    if _PLACEHOLDER.fullmatch(bare):
        yield "is a placeholder: put the real value there"
    elif _VARIABLE.fullmatch(bare):
        yield "is the name of a variable that was not replaced by its value"
    elif _ASSIGNMENT.fullmatch(bare):
        yield "begins with a name and =, as a line of a file for the environment does: leave only what comes after it"
    elif _COMMENT.search(bare):
        yield "holds a # after a blank, as before a comment, which would count as part of it: remove it"


def edge_mistakes(value: str) -> Iterator[str]:
    """
    Find blanks, line ends, unseen characters and quotes at the ends.
    """
    if _plain(value) and value[:1] not in _EDGES and value[-1:] not in _EDGES:
        return
    begin, inner, end = _split(value)
    if not inner:
        yield "holds nothing but blanks" if value else "is empty"
        return
    for where, what in (("begins", begin), ("ends", end)):
        if what:
            times = f" {len(what)} times" if len(what) > 1 and len(set(what)) == 1 else ""
            yield f"{where} with {described(dict.fromkeys(what))}{times}, which counts as part of it: remove it"
    first, last = _quote(inner), _quote(inner[::-1])
    if not inner.strip(_QUOTES):
        yield "holds nothing but quotes"
    elif first and last:
        yield f"stands in quotes ({described_one(first)}), which count as part of it: remove them"
    elif first or last:
        where = "begins" if first else "ends"
        yield f"{where} with a quote ({described_one(first or last)}), which counts as part of it: remove it"


def path_mistakes(value: str) -> Iterator[str]:
    """
    Find what a path cannot be meant to hold.
    """
    yield from edge_mistakes(value)
    if found := _HOME.search(value):
        yield f"holds {found[0][0]}, which is taken as it is, not replaced as a shell does: write the whole path"


def trimmed(value: str) -> str:
    """
    Take blanks, unseen characters and quotes from the ends.
    """
    return _split(_split(value)[1].strip(_QUOTES))[1]


def _split(value: str) -> tuple[str, str, str]:
    """
    Take the blanks, and what looks like them or like nothing, from both ends.
    """
    if _plain(value) and not value.startswith(" ") and not value.endswith(" "):
        return "", value, ""
    blanks = "".join(c for c in set(value) if c == " " or is_invisible(c))
    begin = len(value) - len(value.lstrip(blanks))
    inner = value.strip(blanks)
    return value[:begin], inner, value[begin + len(inner) :]


def _plain(value: str) -> bool:
    """
    Whether there is nothing to look for. A configuration may have thousands of values.
    """
    return value.isascii() and value.isprintable()


def _quote(text: str) -> str:
    """
    The quotation mark that a text begins with, if any.
    """
    return text[:1] if text and text[:1] in _QUOTES else ""


def is_invisible(character: str) -> bool:
    """
    Whether a character cannot be seen, or not be told from a space. A space itself can be meant.
    """
    return character != " " and (category(character) in _UNSEEN or character in _BLANK)


_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})


def unexpected(value: str, allowed: Iterable[str]) -> str:
    """
    Name the characters that are not among those that are allowed; empty if all are.
    """
    known = frozenset(allowed)
    return "" if known.issuperset(value) else described(dict.fromkeys(c for c in value if c not in known))


def described_one(character: str) -> str:
    """
    Name a character so that it can be found: as it is if it is printable ASCII, else by its number and name.
    """
    if character.isascii() and character.isprintable() and character != " ":
        return character
    text = _NAMES.get(character) or name(character, "").lower() or "no printable character"
    return f"U+{ord(character):04X} ({text})"


def described(characters: Iterable[str]) -> str:
    """
    Name some characters, the first three of them.
    """
    names = [_article(each) for each in characters]
    return " and ".join([*names[:3], *(["others"] if len(names) > 3 else [])])


def _article(character: str) -> str:
    known = {" ": "a space", "\n": "a newline", "\r": "a carriage return", "\t": "a tab"}
    if character in known:
        return f"{known[character]} (U+{ord(character):04X})"
    return described_one(character)
