"""
The formats of the services' fields: how words, links and times are written in each.

Nothing that a streamer wrote can be markup, a mention or a tag there. Adapters have measures of their own
beside this one, such as Discord's ``allowed_mentions``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

from attrs import frozen

from itsjustintv.destinations.message_names import Moment

__all__ = [
    "APPRISE",
    "BLUESKY",
    "DISCORD",
    "DISCORD_PLAIN",
    "EMAIL",
    "EMAIL_HTML",
    "GOTIFY",
    "MASTODON",
    "MATRIX",
    "MATRIX_PLAIN",
    "NTFY",
    "PLAIN",
    "PUSHOVER",
    "SLACK",
    "TEAMS",
    "TELEGRAM",
    "TELEGRAM_PLAIN",
    "Format",
]

_ZERO_WIDTH_SPACE = "\u200b"


def _as_it_is(text: str) -> str:
    return text


def _write_local(moment: Moment, style: str) -> str:
    return moment.write(style)


@frozen(eq=False)
class Format:
    """
    How a field of a service is written.

    :ivar escape: makes of words what shows them, and does nothing else.
    :ivar escape_link: the same of a :class:`~itsjustintv.destinations.message_names.Link`.
    :ivar moment: writes a time in one of :data:`~itsjustintv.destinations.message_names.STYLES`, in this format.
    :ivar is_markup: whether a text must not be cut once it is rendered.
    """

    name: str
    escape: Callable[[str], str] = _as_it_is
    escape_link: Callable[[str], str] = _as_it_is
    moment: Callable[[Moment, str], str] = _write_local
    is_markup: bool = False


def _break(characters: str) -> Callable[[str], str]:
    """
    Put a zero-width space after each of some characters, so that what follows is no name.
    """
    found = re.compile(f"[{re.escape(characters)}]")
    return lambda text: found.sub(rf"\g<0>{_ZERO_WIDTH_SPACE}", text)


def _escape_by_backslash(characters: str) -> Callable[[str], str]:
    found = re.compile(f"[{re.escape(characters)}]")
    return lambda text: found.sub(r"\\\g<0>", text)


def _chain(*steps: Callable[[str], str]) -> Callable[[str], str]:
    def escape_in_steps(text: str) -> str:
        for each in steps:
            text = each(text)
        return text

    return escape_in_steps


_no_mentions = _break("@\uff20")
_discord = _escape_by_backslash("\\*_~`|>#-[]()<")
_common_mark = _escape_by_backslash("\\`*_{}[]()<>#+-.!|~&=")


def _escape_slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _write_discord(moment: Moment, style: str) -> str:
    return f"<t:{int(moment.at)}:{style}>"


#: Text that is shown as it is.
PLAIN = Format("plain")

#: Markdown of ``content``, and of an embed's title, description and fields; times in the reader's zone.
DISCORD = Format("discord", escape=_chain(_discord, _no_mentions), moment=_write_discord, is_markup=True)

#: An embed's footer and author, and the user name: plain text.
DISCORD_PLAIN = Format("discord-plain")

#: mrkdwn. Asterisks and the like cannot be escaped there: such words may be styled, but wake and link nothing.
SLACK = Format("slack", escape=_escape_slack, escape_link=_escape_slack, is_markup=True)

#: TextRun, and all else that is not rendered as Markdown.
TEAMS = Format("teams")

#: ``parse_mode: HTML``.
TELEGRAM = Format("telegram", escape=_chain(escape, _no_mentions), escape_link=escape, is_markup=True)

#: The same without ``parse_mode``.
TELEGRAM_PLAIN = Format("telegram-plain", escape=_no_mentions)

#: ``org.matrix.custom.html``.
MATRIX = Format("matrix", escape=_chain(escape, _no_mentions), escape_link=escape, is_markup=True)

#: ``body``.
MATRIX_PLAIN = Format("matrix-plain", escape=_no_mentions)

#: ``status``: plain text in which names and tags are found.
MASTODON = Format("mastodon", escape=_break("@\uff20#\uff03"))

#: ``message`` without ``markdown``, and ``title``.
NTFY = Format("ntfy")

#: CommonMark, for ``text/markdown``.
GOTIFY = Format("gotify", escape=_common_mark, is_markup=True)

#: ``html=1``.
PUSHOVER = Format("pushover", escape=escape, escape_link=escape, is_markup=True)

#: ``text`` of a record: links and mentions are facets, so that words are only words.
BLUESKY = Format("bluesky")

#: Subject and ``text/plain``.
EMAIL = Format("e-mail")

#: ``text/html``.
EMAIL_HTML = Format("e-mail-html", escape=escape, escape_link=escape, is_markup=True)

#: Plain text for a service that is not known: what mentions or is a tag at one of them is broken.
APPRISE = Format("apprise", escape=_break("@\uff20#\uff03<"))
