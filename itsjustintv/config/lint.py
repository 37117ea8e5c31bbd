"""
Finds probable mistakes in valid values: quotes that a tool kept, blanks and line ends, invisible characters,
placeholders. No sentence quotes more of a value than these characters, since it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from unicodedata import category, name

__all__ = [
    "describe",
    "describe_one",
    "describe_unexpected",
    "edge_mistakes",
    "is_invisible",
    "mistakes",
    "path_mistakes",
    "trim",
]

_NAMES = {
    "\0": "NUL",
    "\t": "tab",
    "\n": "newline",
    "\r": "carriage return",
    "\N{NO-BREAK SPACE}": "no-break space",
    "\N{ZERO WIDTH NO-BREAK SPACE}": "byte order mark",
    "\N{REPLACEMENT CHARACTER}": "replacement character: the original character was lost on saving",
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
    Find probable mistakes. Each is a sentence without a subject: ``ends with a newline (U+000A), ...``.
    """
    yield from edge_mistakes(value)
    _, inner, _ = _split(value)
    bare = inner[len(_quote(inner)) : len(inner) - len(_quote(inner[::-1]))]
    odd = [] if _plain(bare) else [c for c in dict.fromkeys(bare) if is_invisible(c) or c in _TYPESET]
    if odd:
        yield f"holds {describe(odd)}: type it again, or copy it from its source"
    _, bare, _ = _split(bare)
    if _PLACEHOLDER.fullmatch(bare):
        yield "is a placeholder: replace it with the real value"
    elif _VARIABLE.fullmatch(bare):
        yield "is a variable that was not expanded"
    elif _ASSIGNMENT.fullmatch(bare):
        yield "begins with a name and =, like a line of an environment file: keep only what follows it"
    elif _COMMENT.search(bare):
        yield "holds a # after a blank, like a comment, but comments are part of the value here: remove it"


def edge_mistakes(value: str) -> Iterator[str]:
    """
    Find blanks, line ends, invisible characters and quotes at both ends.
    """
    if _plain(value) and value[:1] not in _EDGES and value[-1:] not in _EDGES:
        return
    begin, inner, end = _split(value)
    if not inner:
        yield "holds only blanks" if value else "is empty"
        return
    for where, what in (("begins", begin), ("ends", end)):
        if what:
            times = f" {len(what)} times" if len(what) > 1 and len(set(what)) == 1 else ""
            yield f"{where} with {describe(dict.fromkeys(what))}{times}, which is part of the value: remove it"
    first, last = _quote(inner), _quote(inner[::-1])
    if not inner.strip(_QUOTES):
        yield "holds only quotes"
    elif first and last:
        yield f"is in quotes ({describe_one(first)}), which are part of the value: remove them"
    elif first or last:
        where = "begins" if first else "ends"
        yield f"{where} with a quote ({describe_one(first or last)}), which is part of the value: remove it"


def path_mistakes(value: str) -> Iterator[str]:
    """
    Find probable mistakes in a path.
    """
    yield from edge_mistakes(value)
    if found := _HOME.search(value):
        yield f"holds {found[0][0]}, which is not expanded as in a shell: write the full path"


def trim(value: str) -> str:
    """
    Remove blanks, invisible characters and quotes from both ends.
    """
    return _split(_split(value)[1].strip(_QUOTES))[1]


def _split(value: str) -> tuple[str, str, str]:
    """
    Split blanks and invisible characters from both ends.
    """
    if _plain(value) and not value.startswith(" ") and not value.endswith(" "):
        return "", value, ""
    blanks = "".join(c for c in set(value) if c == " " or is_invisible(c))
    begin = len(value) - len(value.lstrip(blanks))
    inner = value.strip(blanks)
    return value[:begin], inner, value[begin + len(inner) :]


def _plain(value: str) -> bool:
    """
    Whether a value needs no closer look. A configuration may have thousands.
    """
    return value.isascii() and value.isprintable()


def _quote(text: str) -> str:
    """
    The quotation mark that a text begins with, if any.
    """
    return text[:1] if text and text[:1] in _QUOTES else ""


def is_invisible(character: str) -> bool:
    """
    Whether a character is invisible or looks like a space. A space itself is not.
    """
    return character != " " and (category(character) in _INVISIBLE or character in _BLANK)


_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})


def describe_unexpected(value: str, allowed: Iterable[str]) -> str:
    """
    Describe the characters that are not allowed; empty if all are.
    """
    known = frozenset(allowed)
    return "" if known.issuperset(value) else describe(dict.fromkeys(c for c in value if c not in known))


def describe_one(character: str) -> str:
    """
    Describe a character: itself if it is printable ASCII, else its number and name.
    """
    if character.isascii() and character.isprintable() and character != " ":
        return character
    text = _NAMES.get(character) or name(character, "").lower() or "unprintable character"
    return f"U+{ord(character):04X} ({text})"


def describe(characters: Iterable[str]) -> str:
    """
    Describe up to three characters.
    """
    names = [_article(each) for each in characters]
    return " and ".join([*names[:3], *(["others"] if len(names) > 3 else [])])


def _article(character: str) -> str:
    known = {" ": "a space", "\n": "a newline", "\r": "a carriage return", "\t": "a tab"}
    if character in known:
        return f"{known[character]} (U+{ord(character):04X})"
    return describe_one(character)
