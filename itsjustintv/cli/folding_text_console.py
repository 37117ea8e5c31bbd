"""
How the commands write: for people in tables, for programs in JSON, in colour and with progress on a terminal only.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol, TextIO

import click

from itsjustintv.support.foreign_text import visible, visible_json

__all__ = ["Advance", "colour_in", "progress", "table", "tell", "utc", "write_json"]

_TONES = {"good": "green", "bad": "red", "doubtful": "yellow"}


class Advance(Protocol):
    """
    Tells that so much more is done.
    """

    def __call__(self, steps: int = 1) -> None:
        """
        Move on.
        """


def utc(seconds: float) -> str:
    """
    Write a moment, given in seconds since the epoch, in UTC and without saying so.
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def write_json(content: object, indent: int | None = 2) -> None:
    """
    Write a JSON value, for programs that read on, and so that it steers no terminal.

    :param indent: ``None`` for one line.
    """
    document = visible_json(json.dumps(content, indent=indent, ensure_ascii=False))
    click.echo(document if document == _encodable(document) else json.dumps(content, indent=indent))


def _encodable(text: str, *, err: bool = False) -> str:
    """
    Write as codes what the encoding of the terminal, or of the file, does not have.
    """
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def colour_in(environ: Mapping[str, str]) -> bool | None:
    """
    What click is to do about colour: ``None`` for colour on a terminal, ``False`` where somebody wants none of it
    (no-color.org), or the terminal has none.
    """
    return False if environ.get("NO_COLOR") or environ.get("TERM") == "dumb" else None


def tell(text: str, tone: str = "", *, err: bool = False) -> None:
    """
    Write one line, whatever is in it.

    :param tone: ``good``, ``bad``, ``doubtful``, or nothing in particular.
    """
    line = _encodable(visible(text), err=err)
    click.echo(click.style(line, fg=_TONES[tone]) if tone else line, err=err)


def table(rows: Sequence[Sequence[str]], tones: Mapping[str, str] = {}) -> None:
    """
    Write rows under the first of them.

    :param rows: cells; the first row is the headings.
    :param tones: of cells that say one of these words.
    """
    rows = [[_encodable(visible(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        # The last cell is not filled up, so that no line ends in blanks.
        cells = [
            cell.ljust(width) if place + 1 < len(row) else cell
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        if number:
            painted = [
                click.style(cell, fg=_TONES[tones[cell.strip()]]) if cell.strip() in tones else cell for cell in cells
            ]
            click.echo("  ".join(painted).rstrip())
        else:
            click.echo(click.style("  ".join(cells).rstrip(), bold=True))


def _nothing(steps: int = 1) -> None:
    """
    Nobody watches.
    """


@contextmanager
def progress(length: int, label: str, out: TextIO | None = None) -> Iterator[Advance]:
    """
    Show on standard error how far long work has come, if that is a terminal and there is work worth watching.

    :param length: steps in all.
    """
    out = sys.stderr if out is None else out
    if length < 2 or not out.isatty() or os.environ.get("TERM") == "dumb":
        yield _nothing
        return
    with click.progressbar(length=length, label=label, file=out, show_pos=True) as bar:
        yield lambda steps=1: bar.update(steps)
