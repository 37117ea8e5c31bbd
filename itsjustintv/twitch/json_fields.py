"""
Twitch's JSON objects, read without trust in their types. Knows no field by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from itsjustintv.errors import Unreadable

__all__ = ["JSONFields"]


@frozen
class JSONFields:
    """
    One JSON object. A field that is missing, or of another type, is empty unless it is required.
    """

    _content: Mapping[str, Any]

    @classmethod
    def of(cls, value: Any) -> JSONFields:
        """
        Read a value; one that is no object has no fields.
        """
        return cls(value if isinstance(value, dict) else {})

    @classmethod
    def required(cls, value: Any, what: str) -> JSONFields:
        """
        :param what: names the value in the error.
        :raises Unreadable: it is no object.
        """
        if not isinstance(value, dict):
            raise Unreadable(f"{what} is not an object")
        return cls(value)

    def __contains__(self, name: str) -> bool:
        return name in self._content

    def value(self, name: str) -> Any:
        """
        Read a field of any type; ``None`` when it is missing.
        """
        return self._content.get(name)

    def object(self, name: str) -> JSONFields:
        """
        Read an object within this one.
        """
        return JSONFields.of(self._content.get(name))

    def text(self, name: str) -> str:
        value = self._content.get(name)
        return value if isinstance(value, str) else ""

    def required_text(self, name: str) -> str:
        """
        :raises Unreadable: there is no such text, or an empty one.
        """
        value = self._content.get(name)
        if not isinstance(value, str) or not value:
            raise Unreadable(f"{name} is not a string")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """
        Read the texts of a list.
        """
        values = self._content.get(name)
        return tuple(value for value in values if isinstance(value, str)) if isinstance(values, list) else ()

    def count(self, name: str) -> int | None:
        """
        Read a whole number that fits into 63 bits and is not negative.
        """
        value = self._content.get(name)
        return value if type(value) is int and 0 <= value < 1 << 63 else None
