"""
Regular expressions whose search takes a time that is bounded: proportional to the length of the text.

Python's own engine tries alternatives one after the other, so that ``(a+)+b`` takes years for thirty letters. Here all
alternatives advance together (Thompson, "Regular Expression Search Algorithm", 1968), at the price of what needs
memory: back references and assertions about what is around.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from attrs import define, field, frozen

__all__ = ["BoundedPattern"]

# States of a pattern, and characters of a text that are searched: the product bounds the time.
_MOST_STATES = 250
_LONGEST = 500

_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    sre.CATEGORY_DIGIT: str.isdecimal,
    sre.CATEGORY_SPACE: str.isspace,
    sre.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
}
_NEGATED = {
    sre.CATEGORY_NOT_DIGIT: sre.CATEGORY_DIGIT,
    sre.CATEGORY_NOT_SPACE: sre.CATEGORY_SPACE,
    sre.CATEGORY_NOT_WORD: sre.CATEGORY_WORD,
}


def _is_word(text: str, place: int) -> bool:
    return 0 <= place < len(text) and _CATEGORIES[sre.CATEGORY_WORD](text[place])


def _at_boundary(text: str, place: int) -> bool:
    return _is_word(text, place - 1) != _is_word(text, place)


_PLACES: dict[Any, Callable[[str, int], bool]] = {
    sre.AT_BEGINNING: lambda _, place: place == 0,
    sre.AT_BEGINNING_STRING: lambda _, place: place == 0,
    sre.AT_END: lambda text, place: place == len(text),
    sre.AT_END_STRING: lambda text, place: place == len(text),
    sre.AT_BOUNDARY: _at_boundary,
    sre.AT_NON_BOUNDARY: lambda text, place: not _at_boundary(text, place),
}

_REFUSED = {
    sre.ASSERT: "look around, as in (?=...)",
    sre.ASSERT_NOT: "look around, as in (?!...)",
    sre.GROUPREF: "refer to a group",
    sre.GROUPREF_EXISTS: "refer to a group",
}


@define
class _State:
    """
    A state: it goes on after a character, at a place, or at once.
    """

    takes: Callable[[str], bool] | None = None
    place: Callable[[str, int], bool] | None = None
    then: list[int] = field(factory=list)


@frozen(eq=False)
class BoundedPattern:
    """
    A regular expression in Python's syntax, in any case.
    """

    _states: Sequence[_State]

    @classmethod
    def parse(cls, text: str) -> BoundedPattern:
        """
        :raises ValueError: why it cannot be used, as a sentence without a subject.
        """
        try:
            tree = _parser.parse(text, re.IGNORECASE)
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error.msg}") from None
        except (RecursionError, OverflowError):
            raise ValueError("is too large") from None
        builder = _Builder()
        try:
            builder.end(builder.sequence(tree, [0]))
        except RecursionError:
            raise ValueError("is too large") from None
        return cls(builder.states)

    def search(self, text: str) -> bool:
        """
        Whether it is found in a text. Of a long text only the beginning is searched.
        """
        text = text[:_LONGEST]
        last, current = len(self._states) - 1, set[int]()
        for place in range(len(text) + 1):
            current = self._closure({0, *current}, text, place)
            if last in current:
                return True
            if place < len(text):
                current = self._advanced(current, text[place])
        return False

    def _closure(self, states: Iterable[int], text: str, place: int) -> set[int]:
        """
        Add all states that are reached without a character.
        """
        found, ahead = set[int](), list(states)
        while ahead:
            number = ahead.pop()
            if number in found:
                continue
            found.add(number)
            state = self._states[number]
            if state.takes is None and (state.place is None or state.place(text, place)):
                ahead += state.then
        return found

    def _advanced(self, states: Iterable[int], character: str) -> set[int]:
        return {
            after
            for number in states
            if (takes := self._states[number].takes) is not None and takes(character)
            for after in self._states[number].then
        }


@define
class _Builder:
    """
    Makes states from a syntax tree. Ends are states whose continuation is still open.
    """

    states: list[_State] = field(factory=lambda: [_State()])

    def end(self, ends: Sequence[int]) -> None:
        """
        Lead the open ends to the last state.
        """
        self._add(_State(), ends)

    def sequence(self, tree: Iterable[tuple[Any, Any]], ends: list[int]) -> list[int]:
        """
        Add what follows the open ends.

        :return: the new open ends.
        """
        for operation, argument in tree:
            ends = self._one(operation, argument, ends)
        return ends

    def _add(self, state: _State, ends: Iterable[int]) -> list[int]:
        if len(self.states) >= _MOST_STATES:
            raise ValueError("is too large")
        self.states.append(state)
        for each in ends:
            self.states[each].then.append(len(self.states) - 1)
        return [len(self.states) - 1]

    def _one(self, operation: Any, argument: Any, ends: list[int]) -> list[int]:
        if operation is sre.AT and argument in _PLACES:
            return self._add(_State(place=_PLACES[argument]), ends)
        if operation is sre.SUBPATTERN:
            return self.sequence(argument[3], ends)
        if operation is sre.BRANCH:
            return [end for each in argument[1] for end in self.sequence(each, self._add(_State(), ends))]
        if operation in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            least, most, tree = argument
            return self._repeat(least, most, tree, ends)
        takes = _taker(operation, argument)
        if takes is None:
            what = _REFUSED.get(operation, "use this syntax")
            raise ValueError(f"cannot {what}: its time must be bounded")
        return self._add(_State(takes=takes), ends)

    def _repeat(self, least: int, most: Any, tree: Any, ends: list[int]) -> list[int]:
        for _ in range(least):
            ends = self.sequence(tree, self._add(_State(), ends))
        if most is sre.MAXREPEAT:
            [loop] = self._add(_State(), ends)
            for each in self.sequence(tree, [loop]):
                self.states[each].then.append(loop)
            return [loop]
        out = list(ends)
        for _ in range(most - least):
            ends = self.sequence(tree, self._add(_State(), ends))
            out += ends
        return out


def _taker(operation: Any, argument: Any) -> Callable[[str], bool] | None:
    """
    Make the test of one character; ``None`` for what is more than that.
    """
    if operation is sre.ANY:
        return lambda c: c != "\n"
    if operation is sre.LITERAL:
        return _in_any_case([(sre.LITERAL, argument)])
    if operation is sre.NOT_LITERAL:
        found = _in_any_case([(sre.LITERAL, argument)])
        return lambda c: not found(c)
    if operation is sre.IN:
        negated = argument[0][0] is sre.NEGATE
        among = _in_any_case(argument[negated:])
        return (lambda c: not among(c)) if negated else among
    if operation is sre.CATEGORY:
        return _in_any_case([(operation, argument)])
    return None


def _in_any_case(items: Sequence[tuple[Any, Any]]) -> Callable[[str], bool]:
    def among(character: str) -> bool:
        return any(_is(item, c) for c in {character, character.lower(), character.upper()} for item in items)

    return among


def _is(item: tuple[Any, Any], character: str) -> bool:
    operation, argument = item
    if operation is sre.CATEGORY:
        wanted = argument in _CATEGORIES
        return _CATEGORIES[argument if wanted else _NEGATED[argument]](character) is wanted
    if len(character) != 1:
        return False
    if operation is sre.RANGE:
        return bool(argument[0] <= ord(character) <= argument[1])
    return bool(ord(character) == argument)
