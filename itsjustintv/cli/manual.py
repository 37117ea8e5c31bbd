"""
The manual of the ``itsjustintv`` command, made from its help: a page for ``man``, and one in Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import click
from attrs import frozen

__all__ = ["ManualEntry", "entries", "man", "markdown"]

#: What a command exits with; the help of ``itsjustintv`` has the same in one sentence.
STATUSES = (
    (0, "success"),
    (1, "failure; standard error has the reason"),
    (2, "usage error"),
    (130, "interrupted"),
)

_ENVIRONMENT = (
    ("ITSJUSTINTV_CONFIG", "The configuration file, without --config."),
    ("ITSJUSTINTV_SECTION_KEY", "Any key of the configuration; wins over the file."),
    ("NO_COLOR", "Never use colour."),
)


@frozen(kw_only=True)
class ManualEntry:
    """
    A command, as its help describes it.

    :ivar name: the full name, ``itsjustintv`` included.
    :ivar usage: what may follow the name.
    :ivar paragraphs: of the description.
    :ivar options: each as it is written, with its description.
    :ivar examples: without a prompt.
    :ivar group: whether it has subcommands.
    """

    name: str
    usage: str
    paragraphs: Sequence[str]
    options: Sequence[tuple[str, str]]
    examples: Sequence[str]
    group: bool


def entries(command: click.Command, name: str = "itsjustintv") -> Iterator[ManualEntry]:
    """
    Describe a command and its subcommands, except hidden ones.
    """
    context = click.Context(command, info_name=name)
    records = [each.get_help_record(context) for each in command.params]
    usage = " ".join(command.collect_usage_pieces(context))
    yield ManualEntry(
        name=name,
        usage=usage,
        paragraphs=[" ".join(each.split()) for each in (command.help or "").split("\n\n")],
        options=[(each, " ".join(text.split())) for each, text in filter(None, records) if text],
        examples=re.findall(r"^ +\$ (.*)$", command.epilog or "", re.MULTILINE),
        group=isinstance(command, click.Group),
    )
    if isinstance(command, click.Group):
        for word, below in sorted(command.commands.items()):
            if not below.hidden:
                yield from entries(below, f"{name} {word}")


def man(command: click.Command, version: str) -> str:
    """
    Write the manual as one page for ``man`` (man(7)).
    """
    whole, *others = entries(command)
    lines = [
        f'.TH ITSJUSTINTV 1 "" "itsjustintv {version}" "User Commands"',
        ".SH NAME",
        rf"itsjustintv \- {_roff(whole.paragraphs[0][:1].lower() + whole.paragraphs[0][1:]).rstrip('.')}",
        ".SH SYNOPSIS",
        *_synopsis(whole),
        ".SH DESCRIPTION",
        *_paragraphs(whole.paragraphs[1:]),
        ".SH OPTIONS",
        *_options(whole.options),
        ".SH COMMANDS",
    ]
    for each in others:
        lines += [f'.SS "{_roff(each.name.removeprefix("itsjustintv "))}"']
        if not each.group:
            lines += _synopsis(each)
        lines += [*_paragraphs(each.paragraphs), *_options(each.options)]
        lines += _examples(each.examples) if not each.group else ()
    lines += [".SH EXAMPLES", *_examples(whole.examples), ".SH EXIT STATUS"]
    for status, meaning in STATUSES:
        lines += [".TP", f".B {status}", _roff(meaning)]
    lines += [".SH ENVIRONMENT"]
    for variable, meaning in _ENVIRONMENT:
        lines += [".TP", f".B {_roff(variable)}", _roff(meaning)]
    lines += [".SH SEE ALSO", ".BR twistd (1)"]
    return "\n".join(lines) + "\n"


def _roff(text: str) -> str:
    """
    Escape a text for roff.
    """
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _synopsis(entry: ManualEntry) -> Iterator[str]:
    yield rf".B {_roff(entry.name)}"
    if entry.usage:
        yield _roff(entry.usage)


def _paragraphs(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        yield from (".PP", _roff(text))


def _options(options: Sequence[tuple[str, str]]) -> Iterator[str]:
    for option, text in options:
        yield from (".TP", f".B {_roff(option)}", _roff(text))


def _examples(examples: Sequence[str]) -> Iterator[str]:
    if examples:
        yield from (".PP", ".nf", *(f"    {_roff(each)}" for each in examples), ".fi")


def markdown(command: click.Command) -> str:
    """
    Write the manual as a page of the documentation.
    """
    lines = [
        "# Commands",
        "",
        "The output of `--help` on one page. `make manual` generates it, and the manual page for `man`.",
        "",
        "| status | meaning |",
        "|---|---|",
        *(f"| {status} | {meaning} |" for status, meaning in STATUSES),
        "",
        "Colour and progress appear on a terminal only, and no colour where `NO_COLOR` is set. The output of `--json`",
        "is stable: fields may be added, but none is renamed or removed.",
    ]
    bar = r"\|"
    for each in entries(command):
        lines += ["", f"{'##' if each.group else '###'} {each.name}", ""]
        lines += ["\n\n".join(_markdown(text) for text in each.paragraphs)]
        if not each.group or each.name == "itsjustintv":
            lines += ["", f"    {each.name} {each.usage}".rstrip()]
        if each.options:
            lines += ["", "| option | meaning |", "|---|---|"]
            lines += [f"| `{option.replace('|', bar)}` | {_markdown(text)} |" for option, text in each.options]
        if each.examples and not each.group:
            lines += ["", "```text", *each.examples, "```"]
    return "\n".join(lines) + "\n"


def _markdown(text: str) -> str:
    """
    Escape a text for Markdown.
    """
    return re.sub(r"([*<>|\[\]])", r"\\\1", text)
