"""
JSON Schema of what is shown, read off its declaration.
"""

from __future__ import annotations

import re
import types
from collections.abc import Sequence
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
from attrs import define, field

__all__ = ["Schemas", "explained"]

_SIMPLE: dict[object, dict[str, object]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
}

_IVAR = re.compile(r":ivar (\w+): ((?:.|\n(?!\s*(?::|$)))+)")


def explained(thing: Any) -> str:
    """
    The first paragraph of a docstring, on one line.
    """
    return " ".join((thing.__doc__ or "").split("\n\n")[0].split())


@define(eq=False)
class Schemas:
    """
    Collects a schema for each class that is shown.

    :ivar components: by name, as OpenAPI keeps them.
    """

    components: dict[str, dict[str, object]] = field(factory=dict)

    def of(self, kind: Any) -> dict[str, object]:
        """
        The schema of a type; that of a class is a reference to its component.
        """
        origin, arguments = get_origin(kind), get_args(kind)
        if kind in _SIMPLE:
            return dict(_SIMPLE[kind])
        if origin in (Union, types.UnionType):
            return self._either([self.of(each) for each in arguments])
        if origin is Literal:
            return {"type": "string", "enum": list(arguments)}
        if origin is Sequence:
            return {"type": "array", "items": self.of(arguments[0])}
        if isinstance(kind, type) and issubclass(kind, Enum):
            return {"type": "string", "enum": [each.value for each in kind]}
        return self._component(
            kind, origin or kind, dict(zip(getattr(origin, "__parameters__", ()), arguments, strict=True))
        )

    def _component(self, kind: Any, cls: Any, filled: dict[Any, Any]) -> dict[str, object]:
        name = "".join(each.__name__ for each in (*get_args(kind), cls)).replace("View", "")
        if name not in self.components:
            self.components[name] = {}  # so that what is within itself ends
            hints, words = get_type_hints(cls), dict(_IVAR.findall(cls.__doc__ or ""))
            properties = {
                attribute.name: self._described(_fill(hints[attribute.name], filled), words.get(attribute.name, ""))
                for attribute in attrs.fields(cls)
            }
            self.components[name] = {
                "type": "object",
                "description": explained(cls),
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            }
        return {"$ref": f"#/components/schemas/{name}"}

    def _described(self, kind: Any, words: str) -> dict[str, object]:
        schema = self.of(kind)
        return {**schema, "description": " ".join(words.split())} if words else schema

    @staticmethod
    def _either(schemas: Sequence[dict[str, object]]) -> dict[str, object]:
        plain = [each["type"] for each in schemas if each.keys() == {"type"}]
        return {"type": plain} if len(plain) == len(schemas) else {"anyOf": list(schemas)}


def _fill(hint: Any, filled: dict[Any, Any]) -> Any:
    """
    Put types where a generic class has variables.
    """
    parameters = getattr(hint, "__parameters__", ())
    if not parameters:
        return filled.get(hint, hint)
    return hint[tuple(filled.get(each, each) for each in parameters)]
