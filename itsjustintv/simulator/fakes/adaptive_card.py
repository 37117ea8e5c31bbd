"""
The rules of Adaptive Cards as Teams shows them: known elements, what they need, and mentions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from attrs import field, frozen

__all__ = ["check_card", "find_mentions"]

_COLORS = ("default", "dark", "light", "accent", "good", "warning", "attention")
_SIZES = ("default", "small", "medium", "large", "extralarge")
_WEIGHTS = ("default", "lighter", "bolder")
_SPACINGS = ("none", "default", "small", "medium", "large", "extralarge", "padding")
_ALIGNMENTS = ("left", "center", "right")
_TEXT: Final[Mapping[str, tuple[str, ...]]] = {"color": _COLORS, "size": _SIZES, "weight": _WEIGHTS}

#: The newest version that Teams shows.
_VERSION = (1, 5)


@frozen(kw_only=True)
class _Rule:
    """
    What an element needs.

    :ivar required: properties, each with its type.
    :ivar choices: properties with fixed values, in lower case.
    :ivar children: properties that hold elements, each with the types that may be there.
    """

    required: Mapping[str, type] = field(factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(factory=dict)
    children: Mapping[str, frozenset[str]] = field(factory=dict)


_ACTIONS = frozenset(
    ("Action.OpenUrl", "Action.ShowCard", "Action.ToggleVisibility", "Action.Submit", "Action.Execute")
)
_ELEMENTS = frozenset(
    (
        "TextBlock",
        "Image",
        "Media",
        "RichTextBlock",
        "Container",
        "ColumnSet",
        "FactSet",
        "ImageSet",
        "ActionSet",
        "Table",
        "Input.Text",
        "Input.Number",
        "Input.Date",
        "Input.Time",
        "Input.Toggle",
        "Input.ChoiceSet",
    )
)
_SELECT = {"selectAction": _ACTIONS - {"Action.ShowCard"}}

_RULES: Final[Mapping[str, _Rule]] = {
    "AdaptiveCard": _Rule(required={"version": str}, children={"body": _ELEMENTS, "actions": _ACTIONS, **_SELECT}),
    "TextBlock": _Rule(required={"text": str}, choices={**_TEXT, "horizontalAlignment": _ALIGNMENTS}),
    "TextRun": _Rule(required={"text": str}, choices=_TEXT, children=_SELECT),
    "RichTextBlock": _Rule(required={"inlines": list}, children={"inlines": frozenset(("TextRun",))}),
    "Image": _Rule(
        required={"url": str},
        choices={"size": ("auto", "stretch", "small", "medium", "large"), "style": ("default", "person")},
        children=_SELECT,
    ),
    "ImageSet": _Rule(required={"images": list}, children={"images": frozenset(("Image",))}),
    "Media": _Rule(required={"sources": list}),
    "Container": _Rule(required={"items": list}, children={"items": _ELEMENTS, **_SELECT}),
    "ColumnSet": _Rule(children={"columns": frozenset(("Column",)), **_SELECT}),
    "Column": _Rule(children={"items": _ELEMENTS, **_SELECT}),
    "FactSet": _Rule(required={"facts": list}, children={"facts": frozenset(("Fact",))}),
    "Fact": _Rule(required={"title": str, "value": str}),
    "ActionSet": _Rule(required={"actions": list}, children={"actions": _ACTIONS}),
    "Table": _Rule(),
    "Action.OpenUrl": _Rule(required={"url": str}),
    "Action.ShowCard": _Rule(children={"card": frozenset(("AdaptiveCard",))}),
    "Action.ToggleVisibility": _Rule(required={"targetElements": list}),
    "Action.Submit": _Rule(),
    "Action.Execute": _Rule(),
    **{name: _Rule(required={"id": str}) for name in _ELEMENTS if name.startswith("Input.")},
}

#: The type of what stands in such a list without saying its own.
_IMPLIED = {"facts": "Fact", "columns": "Column", "inlines": "TextRun", "images": "Image"}

_ADDRESSES = {"Image": r"https://[^\s/]+\S*$", "Action.OpenUrl": r"[a-z][a-z0-9+.-]*:\S+$"}


def check_card(card: Any) -> list[str]:
    """
    List why Teams would not show a card; empty if it would.
    """
    problems = list(_check(card, frozenset(("AdaptiveCard",)), "card"))
    return problems or list(_check_root(card))


def _check_root(card: Mapping[str, Any]) -> Iterator[str]:
    found = re.fullmatch(r"(\d+)\.(\d+)", card["version"])
    if found is None or not (1, 0) <= (int(found[1]), int(found[2])) <= _VERSION:
        yield f"card: the version {card['version']} is not supported"
    if not card.get("body") and not card.get("actions"):
        yield "card: it is empty"
    texts = "\n".join(_texts(card))
    for number, entity in enumerate(_entities(card)):
        path = f"msteams.entities[{number}]"
        if not _is_mention(entity):
            yield f"{path}: a mention needs text, mentioned.id and mentioned.name"
        elif entity["text"] not in texts:
            yield f"{path}: its text is not in the card"


def _check(element: Any, allowed: frozenset[str], path: str) -> Iterator[str]:
    kind = element.get("type") if isinstance(element, dict) else None
    if kind not in allowed:
        yield f"{path}: unknown element {kind!r}"
        return
    rule = _RULES[kind]
    for name, wanted in rule.required.items():
        if name not in element or (wanted is str and element[name] == "" and kind != "Fact"):
            yield f"{path}: {kind} needs {name}"
        elif not isinstance(element[name], wanted):
            yield f"{path}.{name}: wrong type"
    for name, values in rule.choices.items():
        if name in element and str(element[name]).lower() not in values:
            yield f"{path}.{name}: {element[name]!r} is not one of its values"
    if str(element.get("spacing", "none")).lower() not in _SPACINGS:
        yield f"{path}.spacing: {element['spacing']!r} is not one of its values"
    url = element.get("url")
    if kind in _ADDRESSES and isinstance(url, str) and url and not re.match(_ADDRESSES[kind], url, re.IGNORECASE):
        yield f"{path}.url: it is not an address that Teams opens"
    for name, kinds in rule.children.items():
        yield from _check_children(element, name, kinds, path)


def _check_children(element: Mapping[str, Any], name: str, kinds: frozenset[str], path: str) -> Iterator[str]:
    children = element.get(name)
    if children is None:
        return
    if name in ("selectAction", "card"):
        children = [children]
    elif not isinstance(children, list):
        yield f"{path}.{name}: wrong type"
        return
    for number, child in enumerate(children):
        at = f"{path}.{name}[{number}]"
        if isinstance(child, str) and name == "inlines":
            continue
        implied = {"type": _IMPLIED[name]} if name in _IMPLIED else {}
        yield from _check({**implied, **child} if isinstance(child, dict) else child, kinds, at)


def find_mentions(card: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Find who is notified by a card: ``user:ID`` for every entity whose text is in the card. Text alone notifies no one.
    """
    texts = "\n".join(_texts(card))
    mentions = (entity for entity in _entities(card) if _is_mention(entity) and entity["text"] in texts)
    return tuple(dict.fromkeys(f"user:{entity['mentioned']['id']}" for entity in mentions))


def _entities(card: Mapping[str, Any]) -> list[Any]:
    teams = card.get("msteams")
    entities = teams.get("entities") if isinstance(teams, dict) else None
    return entities if isinstance(entities, list) else []


def _is_mention(entity: Any) -> bool:
    if not isinstance(entity, dict) or entity.get("type") != "mention":
        return False
    mentioned = entity.get("mentioned")
    named = isinstance(mentioned, dict) and bool(mentioned.get("id")) and bool(mentioned.get("name"))
    return named and re.fullmatch(r"<at>.+</at>", str(entity.get("text"))) is not None


def _texts(value: Any) -> Iterator[str]:
    """
    The texts in which a mention counts: those of ``TextBlock`` and of facts.
    """
    if isinstance(value, dict):
        if value.get("type") == "TextBlock":
            yield str(value.get("text", ""))
        if {"title", "value"} <= value.keys():
            yield str(value["value"])
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _texts(each)
