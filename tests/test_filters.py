"""
Tests of :mod:`itsjustintv.filters`.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.filters import FilterResult, apply_tag_filter, unwanted_type
from itsjustintv.model import Enrichment, Streamer
from tests.journal.values import event

TAGS = st.lists(st.text(max_size=4) | st.sampled_from(["English", "english", "Straße", "STRASSE", "vip"]), max_size=5)


def decision(wanted: list[str], tags: list[str] | None, additional: tuple[str, ...] = ()) -> FilterResult:
    """
    What the filter says.
    """
    streamer = Streamer(key="foo", tag_filter=tuple(wanted), additional_tags=additional)
    return apply_tag_filter(streamer, Enrichment(tags=None if tags is None else tuple(tags)))[0]


class DecideTests(SynchronousTestCase):
    """
    Which broadcasts pass.
    """

    def test_without_a_filter_everything_passes(self) -> None:
        """
        Even when the tags are unknown.
        """
        self.assertIs(decision([], ["x"]), FilterResult.SEND)
        self.assertIs(decision([], None), FilterResult.SEND)

    def test_one_tag_in_whatever_case_is_enough(self) -> None:
        """
        Case is folded as Unicode does.
        """
        self.assertIs(decision(["speedrun", "ENGLISH"], ["Art", "english"]), FilterResult.SEND)
        self.assertIs(decision(["straße"], ["STRASSE"]), FilterResult.SEND)

    def test_a_part_of_a_tag_is_not_a_tag(self) -> None:
        """
        Neither way round.
        """
        self.assertIs(decision(["English"], ["EnglishOnly"]), FilterResult.BLOCKED)
        self.assertIs(decision(["EnglishOnly"], ["English"]), FilterResult.BLOCKED)

    def test_additional_tags_do_not_count(self) -> None:
        """
        They say nothing about the broadcast.
        """
        self.assertIs(decision(["vip"], ["Art"], ("vip",)), FilterResult.BLOCKED)

    def test_no_tags_are_blocked_and_unknown_tags_are_unknown(self) -> None:
        """
        Each with its reason.
        """
        streamer = Streamer(key="foo", tag_filter=("Art",))
        self.assertEqual(
            [apply_tag_filter(streamer, Enrichment(tags=tags)) for tags in ((), None, ("art",))],
            [
                (FilterResult.BLOCKED, "no tag of the broadcast is in tag_filter"),
                (FilterResult.UNKNOWN, "the tags of the broadcast could not be fetched"),
                (FilterResult.SEND, ""),
            ],
        )

    @given(TAGS, TAGS)
    def test_it_is_the_same_whoever_shouts(self, wanted: list[str], tags: list[str]) -> None:
        """
        Upper case on either side and the order of either list change nothing.
        """
        expected = decision(wanted, tags)
        self.assertIs(decision([each.casefold() for each in reversed(wanted)], tags[::-1]), expected)
        if wanted:
            common = {each.casefold() for each in wanted} & {each.casefold() for each in tags}
            self.assertIs(expected, FilterResult.SEND if common else FilterResult.BLOCKED)


class TypeTests(SynchronousTestCase):
    """
    Which types of broadcasts pass.
    """

    def test_only_those_that_are_configured(self) -> None:
        """
        The others have a reason that names both; without ``types``, and without a type, there is none.
        """
        live, two, every = (Streamer(key="foo", types=types) for types in (("live",), ("live", "rerun"), ()))
        for kind in ("rerun", "playlist", "premiere", "watch_party", "something new"):
            reason = unwanted_type(live, event(type=kind))
            self.assertEqual(reason, f"a broadcast of type {kind} is not among the types live")
            self.assertEqual(unwanted_type(every, event(type=kind)), "")
        for kind in ("live", "LIVE", ""):
            self.assertEqual(unwanted_type(live, event(type=kind)), "")
        self.assertEqual(unwanted_type(two, event(type="rerun")), "")
        self.assertLess(len(unwanted_type(live, event(type="x" * 9999))), 100)
