"""
What the demonstration writes, for people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TextIO

from attrs import define

__all__ = ["Terminal", "duration", "wants_colour"]

_BOLD, _DIM, _GREEN, _RED = "1", "2", "32", "31"


def wants_colour(out: TextIO, environment: Mapping[str, str]) -> bool:
    """
    Whether to write in colour: on a terminal, unless ``NO_COLOR`` is set (no-color.org).
    """
    return out.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def duration(seconds: float) -> str:
    """
    Write a duration so that it can be taken in at a glance.
    """
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


@define(eq=False)
class Terminal:
    """
    Headings, steps and tables; readable without colour.
    """

    _out: TextIO
    _colour: bool = False

    def line(self, text: str = "") -> None:
        """
        Write a line as it is.
        """
        self._out.write(text + "\n")
        self._out.flush()

    def heading(self, text: str) -> None:
        """
        Begin a part.
        """
        self.line()
        self.line(self._painted(_BOLD, text))

    def step(self, at: float, text: str) -> None:
        """
        Tell of something that went as it should.

        :param at: seconds since the beginning.
        """
        self.line(f"  {self._painted(_DIM, f'{at:5.2f} s')}  {text}")

    def block(self, text: str) -> None:
        """
        Show something as it is, set in.
        """
        for each in text.splitlines():
            self.line(f"           {self._painted(_DIM, each)}")

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """
        Show rows under the first of them.
        """
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for number, row in enumerate(rows):
            text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            self.line(f"  {text if number else self._painted(_DIM, text)}")

    def good(self, text: str) -> None:
        """
        Tell that all is well.
        """
        self.line(self._painted(_GREEN, text))

    def bad(self, text: str) -> None:
        """
        Tell that something is wrong.
        """
        self.line(self._painted(_RED, text))

    def _painted(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text
