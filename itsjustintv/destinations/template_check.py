"""
Decides whether a template contains only what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import frozen

from itsjustintv.destinations.message_names import NAMES, STREAMER_CONTROLLED
from itsjustintv.destinations.template_filters import FILTERS
from itsjustintv.support.nearest import did_you_mean

if TYPE_CHECKING:
    from jinja2 import TemplateSyntaxError, nodes

__all__ = ["TESTS", "TemplateCheck", "TemplateMistake", "syntax_mistake"]

TESTS = frozenset(
    {"defined", "undefined", "none", "number", "string", "true", "false", "in", "eq", "ne", "lt", "gt", "le", "ge"}
)

# The most places at which names are used, and the most nodes of a syntax tree: a template of all names has a tenth.
_MOST_NAMES = 200
_MOST_NODES = 2000


class TemplateMistake(Exception):
    """
    A template that cannot be used.

    :ivar line: from 1, as is the column.
    :ivar sentence: what is wrong; holds nothing but words of the template.
    """

    def __init__(self, line: int, column: int, sentence: str) -> None:
        super().__init__(f"line {line}, column {column}: {sentence}")
        self.line = line
        self.column = column
        self.sentence = sentence


# Words for what is not allowed, by the names of Jinja's nodes, and what to look for on its line.
_REFUSED = {
    "Getattr": ("a name has no parts here: write the name alone, without a dot", "."),
    "Getitem": ("a value has no entries that can be picked here", "["),
    "Call": ("nothing can be called here", "("),
    "For": ("there are no loops here; a list is printed by join", "for"),
    "Assign": ("nothing can be set here", "set"),
    "AssignBlock": ("nothing can be set here", "set"),
    "Slice": ("a value has no entries that can be picked here", "["),
}
_ARITHMETIC = {
    "Add": "+",
    "Sub": "-",
    "Mul": "*",
    "Div": "/",
    "FloorDiv": "//",
    "Mod": "%",
    "Pow": "**",
    "Neg": "-",
    "Pos": "+",
}

_ALLOWED = frozenset(
    {
        "Template", "Output", "TemplateData", "Name", "Const", "Filter", "Test", "If", "CondExpr", "And", "Or", "Not",
        "Compare", "Operand", "Concat", "Keyword", "Tuple", "List",
    }
)  # fmt: skip

# What prints a value as what it is, or only asks for it.
_KEEPING = frozenset({"Output", "If", "CondExpr", "And", "Or", "Not"})

# How a text ends that makes an address or a mention of what follows.
_ADDRESS = re.compile(r"(?:https?://|\]\(|(?:href|src)\s*=\s*[\"']?)\S*\Z", re.IGNORECASE)
_IN_ADDRESS = "would be escaped within an address; write {{ url }} for the address of the channel"
_MENTION = re.compile(r"(?:[@\uff20]\S*|<[^\s>]*)\Z")
_IN_MENTION = "must not follow @ or <: it would notify an account or a group of that name"


@frozen
class TemplateCheck:
    """
    Checks a syntax tree against the list of what is allowed.
    """

    _source: str
    _pings: bool

    def check(self, tree: nodes.Template) -> frozenset[str]:
        """
        :return: the names that it uses.
        :raises TemplateMistake: for the first thing that is not allowed.
        """
        from jinja2 import nodes  # noqa: PLC0415

        names: list[str] = []
        before = ""
        count = 0
        ahead: list[tuple[Any, bool]] = [(tree, False)]
        while ahead:
            node, alone = ahead.pop()
            count += 1
            self._check_node(node, alone)
            if isinstance(node, nodes.Output):
                before = self._check_places(node, before)
            kind = type(node).__name__
            if kind == "Name":
                names.append(node.name)
            if len(names) > _MOST_NAMES or count > _MOST_NODES:
                raise TemplateMistake(1, 1, "it is too long")
            alone = kind in _KEEPING or (kind == "Filter" and node.name in ("default", "trim"))
            ahead += [(each, alone) for each in reversed(list(node.iter_child_nodes()))]
        return frozenset(names)

    def _check_node(self, node: Any, alone: bool) -> None:
        kind = type(node).__name__
        if kind in _ARITHMETIC:
            self._refuse(node, _ARITHMETIC[kind], "nothing can be calculated here")
        if kind not in _ALLOWED:
            sentence, token = _REFUSED.get(kind, (f"{kind.lower()} is not possible here", kind.lower()))
            self._refuse(node, token, sentence)
        if kind == "Name":
            self._check_name(node, alone)
        elif kind in ("Filter", "Test"):
            self._check_use(node, kind)

    def _check_name(self, node: Any, alone: bool) -> None:
        if node.name not in NAMES:
            self._refuse(node, node.name, f"there is no {node.name}{did_you_mean(node.name, NAMES)}")
        if node.name == "mentions" and not alone:
            self._refuse(
                node, node.name, "mentions can only be printed by itself, as {{ mentions }}, or used as a condition"
            )

    def _check_use(self, node: Any, kind: str) -> None:
        known: Iterable[str] = FILTERS if kind == "Filter" else TESTS
        if node.name not in known:
            word = "filter" if kind == "Filter" else "test"
            self._refuse(node, node.name, f"there is no {word} {node.name}{did_you_mean(node.name, known)}")
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self._refuse(node, "*", "arguments are written one by one here")
        if node.name == "raw" and kind == "Filter" and self._pings:
            for each in _names_in(node):
                if each.name in STREAMER_CONTROLLED:
                    self._refuse(
                        node,
                        "raw",
                        f"{each.name} holds words of the streamer, and raw would let them notify people; remove raw",
                    )

    def _check_places(self, node: Any, before: str) -> str:
        """
        Refuse a streamer's words where the template's own text makes an address or a mention of them.

        :param before: the template's text before this output.
        :return: the text before the next one.
        """
        for each in node.nodes:
            if type(each).__name__ == "TemplateData":
                before = each.data
                continue
            wrong = _IN_ADDRESS if _ADDRESS.search(before) else _IN_MENTION if _MENTION.search(before) else ""
            for name in _names_in(each) if wrong else ():
                if name.name in STREAMER_CONTROLLED and (wrong == _IN_ADDRESS or self._pings):
                    self._refuse(name, name.name, f"{name.name} {wrong}")
            before = _raw_text(each)
        return before

    def _refuse(self, node: Any, token: str, sentence: str) -> NoReturn:
        # Jinja gives no line to what it puts in by itself.
        line = getattr(node, "lineno", None) or 1
        raise TemplateMistake(line, _column(self._source, line, token), sentence)


def _raw_text(node: Any) -> str:
    """
    The text in quotes that a node may print raw.
    """
    from jinja2 import nodes  # noqa: PLC0415

    found = [node] if isinstance(node, nodes.Filter) else []
    return "".join(
        str(each.value)
        for raw in (*found, *node.find_all(nodes.Filter))
        if raw.name == "raw"
        for each in raw.find_all(nodes.Const)
    )


def _names_in(node: Any) -> Iterator[Any]:
    from jinja2 import nodes  # noqa: PLC0415

    if isinstance(node, nodes.Name):
        yield node
    yield from node.find_all(nodes.Name)


def _line(source: str, number: int) -> str:
    lines = source.splitlines()
    return lines[number - 1] if 0 < number <= len(lines) else ""


_TAGS = re.compile(r"\{\{.*?(?:\}\}|\Z)|\{%.*?(?:%\}|\Z)", re.DOTALL)


def _tag_column(source: str, line: int) -> int:
    """
    Where the first tag of a line begins.
    """
    found = _TAGS.search(_line(source, line))
    return found.start() + 1 if found else 1


def _column(source: str, line: int, token: str) -> int:
    """
    Where a token of a tag is in its line, as well as can be said: Jinja knows lines only.
    """
    text = _line(source, line)
    wanted = re.compile(rf"\b{re.escape(token)}\b" if token.isidentifier() else re.escape(token))
    for tag in _TAGS.finditer(text):
        if found := wanted.search(text, tag.start() + 2, tag.end()):
            return found.start() + 1
    found = wanted.search(text)
    return found.start() + 1 if found else _tag_column(source, line)


def syntax_mistake(source: str, error: TemplateSyntaxError) -> TemplateMistake:
    """
    Say what Jinja says of a text that is not a template.
    """
    line = error.lineno or 1
    message = str(error.message or "it cannot be read").rstrip(".")
    return TemplateMistake(
        line, _tag_column(source, line), f"it is not a valid template: {message[:1].lower()}{message[1:]}"
    )
