"""
Whom a message on Discord notifies.

Source: discord-api-docs, resources/message, "Allowed Mentions Object". Where Discord may be more lenient, as with
mentions in code or behind a backslash, a mention counts: a program that is safe here is safe there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from typing import Any

from attrs import frozen

__all__ = ["DEFAULT", "DiscordMentions"]

#: What applies to a webhook's message or edit that says nothing.
DEFAULT: Mapping[str, Any] = {"parse": ["users"]}

_USER = re.compile(r"<@!?([0-9]+)>")
_ROLE = re.compile(r"<@&([0-9]+)>")
_ALL = re.compile(r"@(everyone|here)")


@frozen
class DiscordMentions:
    """
    The mentions of a text that count.

    :ivar everyone: ``everyone``, ``here``, both or neither.
    """

    users: Sequence[str] = ()
    roles: Sequence[str] = ()
    everyone: Sequence[str] = ()

    @classmethod
    def of(cls, content: str, allowed: Mapping[str, Any] | None, fixed_roles: Set[str]) -> DiscordMentions:
        """
        Find them in the content, the one place from which they count.

        :param allowed: the field ``allowed_mentions``; ``None`` if it is missing or null.
        :param fixed_roles: roles that cannot be mentioned.
        """
        allowed = DEFAULT if allowed is None else allowed
        parse = allowed.get("parse") or ()

        def kept(pattern: re.Pattern[str], kind: str) -> list[str]:
            ids = dict.fromkeys(pattern.findall(content))
            return [each for each in ids if kind in parse or each in (allowed.get(kind) or ())]

        return cls(
            users=kept(_USER, "users"),
            roles=[each for each in kept(_ROLE, "roles") if each not in fixed_roles],
            everyone=list(dict.fromkeys(_ALL.findall(content))) if "everyone" in parse else [],
        )

    @property
    def whom(self) -> list[str]:
        """
        In the words of :class:`~itsjustintv.simulator.fakes.service.Ping`.
        """
        return [*self.everyone, *(f"role:{each}" for each in self.roles), *(f"user:{each}" for each in self.users)]
