"""
Tests of :mod:`itsjustintv.filters`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.filters import FilterResult, apply_filter, apply_tag_filter, unwanted_hour, unwanted_type
from itsjustintv.model import DestinationFilter, DestinationPolicy, Enrichment, Event, StreamDetails, Streamer
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


class DestinationFilterTests(SynchronousTestCase):
    """
    The filter of a destination.
    """

    def apply(self, wanted: DestinationFilter, **found: Any) -> FilterResult:
        """
        Apply it to a broadcast in Art, with the title "Clay and glaze" and the tag Cosy, unless other things are known.
        """
        values = {"title": "Clay and glaze", "game_id": "509660", "game_name": "Art", "tags": ("Cosy",), "type": "live"}
        values |= found
        news = Event(
            id="e",
            message_id="",
            stream_id="1",
            broadcaster_id="42",
            broadcaster_login="tanuki",
            broadcaster_name="Tanuki",
            type=values.pop("type"),
            started_at="",
            received_at=0.0,
        )
        tags = values.pop("tags")
        return apply_filter(wanted, news, Enrichment(stream=StreamDetails(**values), tags=tags))[0]

    def test_lists(self) -> None:
        """
        A list holds when one entry does and no excluding one does; all lists must hold.
        """
        for expected, wanted in (
            (True, {}),
            (True, {"categories": ("art",)}),
            (True, {"categories": ("Chess", "509660")}),
            (False, {"categories": ("Chess",)}),
            (False, {"categories": ("Ar",)}),
            (True, {"categories": ("!Slots",)}),
            (False, {"categories": ("!art",)}),
            (False, {"categories": ("Art", "!509660")}),
            (True, {"title": ("CLAY",)}),
            (False, {"title": ("!glaze",)}),
            (True, {"title": (r"/^clay\b/",)}),
            (False, {"title": (r"/^glaze/",)}),
            (True, {"tags": ("cosy",)}),
            (False, {"tags": ("!COSY",)}),
            (True, {"types": ("Live",)}),
            (False, {"types": ("rerun",)}),
            (False, {"categories": ("Art",), "title": ("wood",)}),
        ):
            result = FilterResult.SEND if expected else FilterResult.BLOCKED
            self.assertEqual(self.apply(DestinationFilter(**wanted)), result, wanted)

    def test_unknown(self) -> None:
        """
        What is not known leaves it open, unless something that is known excludes the broadcast.
        """
        for wanted, found in (
            ({"categories": ("Art",)}, {"game_id": "", "game_name": ""}),
            ({"title": ("clay",)}, {"title": ""}),
            ({"tags": ("Cosy",)}, {"tags": None}),
        ):
            self.assertEqual(self.apply(DestinationFilter(**wanted), **found), FilterResult.UNKNOWN)
            self.assertEqual(
                self.apply(DestinationFilter(**{**wanted, "types": ("rerun",)}), **found), FilterResult.BLOCKED
            )
        self.assertEqual(self.apply(DestinationFilter(types=("rerun",)), type=""), FilterResult.SEND)


class QuietHourTests(SynchronousTestCase):
    """
    Hours in which nothing new is posted.
    """

    def quiet(self, span: str, moment: str, zone: str = "UTC", **more: Any) -> bool:
        policy = DestinationPolicy(quiet_hours=(span,), quiet=more.pop("quiet", "drop"), timezone=zone)
        return bool(unwanted_hour(policy, datetime.fromisoformat(moment).timestamp(), **more))

    def test_edges(self) -> None:
        """
        The first minute belongs to it and the last does not, also over midnight.
        """
        for span, moment, expected in (
            ("09:00-17:00", "2026-03-01T08:59:59Z", False),
            ("09:00-17:00", "2026-03-01T09:00:00Z", True),
            ("09:00-17:00", "2026-03-01T16:59:59Z", True),
            ("09:00-17:00", "2026-03-01T17:00:00Z", False),
            ("23:00-07:00", "2026-03-01T22:59:59Z", False),
            ("23:00-07:00", "2026-03-01T23:00:00Z", True),
            ("23:00-07:00", "2026-03-02T00:00:00Z", True),
            ("23:00-07:00", "2026-03-02T06:59:59Z", True),
            ("23:00-07:00", "2026-03-02T07:00:00Z", False),
        ):
            self.assertEqual(self.quiet(span, moment), expected, (span, moment))

    def test_summer_time(self) -> None:
        """
        They follow the clocks of their zone: in Berlin 23:00 is 22:00 UTC in winter and 21:00 UTC in summer; the hour
        that there is twice is quiet twice.
        """
        for moment, expected in (
            ("2026-01-15T21:30:00Z", False),
            ("2026-01-15T22:00:00Z", True),
            ("2026-07-15T21:00:00Z", True),
            ("2026-07-16T05:00:00Z", False),
            ("2026-01-16T05:30:00Z", True),
        ):
            self.assertEqual(self.quiet("23:00-07:00", moment, "Europe/Berlin"), expected, moment)
        for moment in ("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"):
            self.assertTrue(self.quiet("02:00-03:00", moment, "Europe/Berlin"), moment)
        self.assertFalse(self.quiet("02:00-03:00", "2026-03-29T01:00:00Z", "Europe/Berlin"))

    def test_silent(self) -> None:
        """
        Hours that only silence drop nothing.
        """
        moment = "2026-03-01T10:00:00Z"
        self.assertFalse(self.quiet("09:00-17:00", moment, quiet="silent"))
        self.assertTrue(self.quiet("09:00-17:00", moment, quiet="silent", any_quiet=True))
