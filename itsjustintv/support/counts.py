"""
Numbers of things, written for people.
"""

from __future__ import annotations

__all__ = ["Counted", "count", "inflect"]


def count(number: int, noun: str, verbs: tuple[str, str] | None = None) -> str:
    """
    Write how many there are: ``1 streamer``, ``2 deliveries``, ``1000 attempts``.

    :param noun: in the singular; the words before the noun belong to it: ``configured streamer``.
    :param verbs: what follows, for one and for many: ``("has", "have")``.
    """
    words = f"{number} {inflect(number, noun)}"
    return words if verbs is None else f"{words} {verbs[number != 1]}"


def inflect(number: int, noun: str) -> str:
    """
    The form a noun has after a number: ``delivery``, ``deliveries``.
    """
    if number == 1:
        return noun
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


class Counted(int):
    """
    A number of things as a field of a log line: its sentence has it as :func:`count` writes it, its field is the
    number.
    """

    _noun: str

    def __new__(cls, number: int, noun: str) -> Counted:
        """
        :param noun: in the singular.
        """
        made = super().__new__(cls, number)
        made._noun = noun
        return made

    def __str__(self) -> str:
        return count(int(self), self._noun)

    def __format__(self, form: str) -> str:
        return format(int(self), form) if form else str(self)
