"""
Writes HTML. Texts are escaped, and characters in them that steer or hide text are shown as escapes.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from itsjustintv.support.foreign_text import visible

__all__ = ["Markup", "el", "foreign", "page"]

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Markup(str):
    """
    HTML, escaped already.
    """

    __slots__ = ()


def el(name: str, /, *content: object, **attributes: object) -> Markup:
    """
    Write an element.

    :param content: texts are escaped, lists joined, ``None`` and booleans left out.
    :param attributes: ``class_`` is ``class``, and an underscore in a name a hyphen. ``True`` writes the name alone,
        ``None`` and ``False`` leave the attribute out; other values are escaped as texts are.
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(visible(str(value)))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{''.join(_written(content))}</{name}>")


def foreign(text: str) -> Markup:
    """
    Write text of others so that its reading direction does not affect what follows.
    """
    return el("bdi", text)


def page(title: str, head: Iterable[Markup], body: Iterable[Markup], **attributes: object) -> bytes:
    """
    Write a whole page, in UTF-8.

    :param attributes: attributes of the body.
    """
    whole = el(
        "html",
        el("head", el("meta", charset="utf-8"), el("title", title), *head),
        el("body", *body, **attributes),
        lang="en",
    )
    return f"<!doctype html>\n{whole}\n".encode()


def _written(content: Iterable[object]) -> Iterable[str]:
    for each in content:
        if isinstance(each, Markup):
            yield each
        elif isinstance(each, str):
            yield escape(visible(each))
        elif each is None or isinstance(each, bool):
            continue
        elif isinstance(each, int | float):
            yield str(each)
        else:
            yield from _written(each)  # type: ignore[arg-type]
