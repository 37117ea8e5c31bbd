"""
Tests of itsjustintv.destinations.message_values.
"""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.destinations.message_names import NAMES, SHORTENED, STREAMER_CONTROLLED, Link, Trusted
from itsjustintv.destinations.message_samples import SAMPLE_DESTINATION, SAMPLES
from itsjustintv.destinations.message_values import message_event, message_values
from itsjustintv.destinations.text import clean
from itsjustintv.model import DestinationPolicy, Notice, StreamDetails
from tests.destinations.test_text import HARD


def sample(event: str, number: int = 0) -> Notice:
    """
    One of the samples of an event: as usual, nothing known, hostile.
    """
    return [each.notice for each in SAMPLES if each.event == event][number]


class MessageValueTests(SynchronousTestCase):
    """
    What templates are given.
    """

    def test_every_name_has_a_value(self) -> None:
        """
        Of every sample, the names are those of the table; each sample is of the event that it says.
        """
        for each in SAMPLES:
            with self.subTest(each.description):
                self.assertEqual(message_values(each.notice, SAMPLE_DESTINATION).keys(), NAMES.keys())
                self.assertEqual(message_event(each.notice), each.event)
        self.assertLess(SHORTENED, STREAMER_CONTROLLED)
        self.assertLess(STREAMER_CONTROLLED, NAMES.keys())

    def test_while_it_is_live(self) -> None:
        """
        A broadcast that begins has its preview as picture, in full size and with the time of its state.
        """
        values = message_values(sample("online"), SAMPLE_DESTINATION)
        picture = "https://static-cdn.jtvnw.net/previews-ttv/live_user_tanuki-1280x720.jpg?t=1767355447"
        self.assertEqual(values["picture"], picture)
        self.assertEqual(values["thumbnail"], picture)
        self.assertEqual((values["name"], values["url"]), ("Tanuki", "https://twitch.tv/tanuki"))
        self.assertEqual((values["title"], values["category"]), ("Drawing until dawn", "Art"))
        self.assertEqual((values["viewers"], values["ended"], values["duration"]), (42, None, None))
        self.assertEqual(str(values["started"]), "2 January 2026, 12:04 UTC")

    def test_the_same_state_has_the_same_picture(self) -> None:
        """
        Rendered twice, a notice gives the same address; a later state of the broadcast another one.
        """
        notice = sample("online")
        first, second = (message_values(notice, SAMPLE_DESTINATION)["picture"] for _ in range(2))
        self.assertEqual(first, second)
        later = message_values(evolve(notice, built_at=notice.built_at + 60), SAMPLE_DESTINATION)["picture"]
        self.assertNotEqual(first, later)

    def test_when_it_has_ended(self) -> None:
        """
        A broadcast that has ended has its duration, its recording, what was announced last, and no preview.
        """
        notice = sample("offline")
        stream = StreamDetails(title="Next: cooking", game_name="Food")
        notice = evolve(notice, enrichment=evolve(notice.enrichment, stream=stream))
        values = message_values(notice, SAMPLE_DESTINATION)
        self.assertEqual((values["title"], values["category"]), ("Drawing until dawn", "Art"))
        self.assertEqual((values["vod"], values["duration"]), ("https://www.twitch.tv/videos/1", 11313.0))
        self.assertIsNone(values["thumbnail"])
        self.assertIsNone(values["viewers"])
        self.assertEqual(values["picture"], values["profile"])

    def test_an_unknown_end_is_not_invented(self) -> None:
        """
        Without a time of the end there is no duration.
        """
        notice = sample("offline")
        assert notice.broadcast is not None
        notice = evolve(
            notice,
            event=evolve(notice.event, occurred_at=0.0),
            broadcast=evolve(notice.broadcast, offline_at=0.0),
        )
        values = message_values(notice, SAMPLE_DESTINATION)
        self.assertEqual((values["ended"], values["duration"]), (None, None))

    def test_what_an_update_changed(self) -> None:
        """
        It is compared with what was announced last.
        """
        values = message_values(sample("update"), SAMPLE_DESTINATION)
        self.assertEqual(values["changes"], ("title",))
        self.assertEqual((values["title"], values["previous_title"]), ("Now in colour", "Drawing until dawn"))
        self.assertEqual(message_values(sample("online"), SAMPLE_DESTINATION)["changes"], ())

    def test_times_are_in_the_zone_of_the_destination(self) -> None:
        """
        One that does not exist counts as UTC.
        """
        for zone, hour in (("Europe/Berlin", "13:04 CET"), ("Nowhere/None", "12:04 UTC"), ("../etc", "12:04 UTC")):
            policy = DestinationPolicy(timezone=zone)
            values = message_values(sample("online"), evolve(SAMPLE_DESTINATION, policy=policy))
            self.assertEqual(str(values["started"]), f"2 January 2026, {hour}")

    def test_mentions_come_from_the_adapter(self) -> None:
        """
        They are trusted, and none unless they are given.
        """
        self.assertEqual(message_values(sample("online"), SAMPLE_DESTINATION)["mentions"], "")
        self.assertIsInstance(message_values(sample("online"), SAMPLE_DESTINATION, "<@&1>")["mentions"], Trusted)

    def test_a_login_that_is_none_has_no_address(self) -> None:
        """
        What is no login is shown as words, and linked nowhere.
        """
        self.assertIsNone(message_values(sample("online", 2), SAMPLE_DESTINATION)["url"])

    @given(HARD, HARD)
    def test_every_text_is_clean(self, title: str, tag: str) -> None:
        """
        Cleaned once more, no text changes; links and mentions are types of their own.
        """
        notice = sample("online")
        details = evolve(notice.enrichment, stream=StreamDetails(title=title, thumbnail_url=title), tags=(tag, tag))
        event = evolve(notice.event, broadcaster_name=tag, broadcaster_login=title)
        values = message_values(evolve(notice, event=event, enrichment=details), SAMPLE_DESTINATION)
        for name, value in values.items():
            for each in value if isinstance(value, tuple) else (value,):
                if type(each) is str:
                    self.assertEqual(each, each.strip(), name)
                    self.assertEqual(each.splitlines()[1:], [], name)
                    each.encode("utf-8")
                else:
                    self.assertNotEqual(name in STREAMER_CONTROLLED and isinstance(each, (Link, Trusted)), True)
        self.assertEqual(values["title"], clean(title))
