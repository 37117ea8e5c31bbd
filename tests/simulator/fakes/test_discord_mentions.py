"""
Whom a message notifies on the imitated Discord.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.fakes.discord_mentions import DiscordMentions

TEXT = "@everyone and @here: <@1> <@!2> <@&3> <@&4> <@1>"


def whom(allowed: Mapping[str, Any] | None, text: str = TEXT) -> list[str]:
    """
    Who is notified, where role 4 cannot be mentioned.
    """
    return DiscordMentions.of(text, allowed, {"4"}).whom


class DiscordMentionsTests(SynchronousTestCase):
    """
    A mention counts when it is in the text and allowed.
    """

    def test_users_are_the_default(self) -> None:
        """
        Without ``allowed_mentions`` users are notified, and neither roles nor everyone.
        """
        self.assertEqual(whom(None), ["user:1", "user:2"])

    def test_an_empty_list_notifies_no_one(self) -> None:
        """
        Neither ``{"parse": []}`` nor ``{}`` allows anything.
        """
        self.assertEqual((whom({"parse": []}), whom({})), ([], []))

    def test_ids_allow_what_they_name(self) -> None:
        """
        Only the named roles and users count, and only if they are in the text.
        """
        self.assertEqual(whom({"parse": [], "roles": ["3", "9"], "users": ["2", "8"]}), ["role:3", "user:2"])

    def test_kinds_allow_all_of_a_kind(self) -> None:
        """
        ``parse`` allows whole kinds; a role that cannot be mentioned stays silent, though it is named.
        """
        self.assertEqual(whom({"parse": ["everyone"]}), ["everyone", "here"])
        self.assertEqual(whom({"parse": ["roles"]}), ["role:3"])
        self.assertEqual(whom({"roles": ["4"]}), [])

    def test_a_broken_mention_is_none(self) -> None:
        """
        A zero-width space after the at sign, or no id, makes it text.
        """
        everything = {"parse": ["everyone", "roles", "users"]}
        self.assertEqual(whom(everything, "@\u200beveryone <@\u200b1> <@&\u200b3> <@> <@x> @Everyone"), [])

    @given(st.text(alphabet="@<>&!1evryonh ") | st.just(TEXT))
    def test_no_text_notifies_when_nothing_is_allowed(self, text: str) -> None:
        """
        With ``{"parse": []}`` no text whatever notifies.
        """
        self.assertEqual(whom({"parse": []}, text), [])
