"""
Tests of :mod:`itsjustintv.twitch.live_status`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from itsjustintv.errors import TwitchRejected, TwitchUnavailable
from itsjustintv.interfaces import IEnricher
from itsjustintv.model import Broadcast, Enrichment, Event, Picture, Presence, StreamDetails, Streamer
from itsjustintv.twitch.api.lookups import Stream, User
from itsjustintv.twitch.enrich import LiveStatusEnricher
from itsjustintv.twitch.live_status import LiveStatus
from tests.journal.values import event


def stream(user_id: str, stream_id: str = "s1", **changes: Any) -> Stream:
    """
    A broadcast that Twitch lists.
    """
    values: dict[str, Any] = {
        "id": stream_id,
        "user_id": user_id,
        "user_login": "login",
        "user_name": "Name",
        "type": "live",
        "started_at": "2026-01-02T03:04:05Z",
        "language": "en",
        "title": "Pottery",
        "game_id": "1",
        "game_name": "Art",
        "tags": (),
        "viewer_count": 7,
        "thumbnail_url": "",
    }
    return Stream(**{**values, **changes})


class LiveStatusCase(SynchronousTestCase):
    """
    A live status, and a Twitch that counts.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.wanted = {"1": "one", "2": "two"}
        self.streams: dict[str, Stream] = {}
        self.asked: list[str] = []
        self.away = False
        self.waiting: list[Deferred[Any]] = []
        self.hang = False
        self.live_status = LiveStatus(self, lambda: self.wanted, self.fetch, self.clock)  # type: ignore[arg-type]
        self.live_status.startService()

    def stream(self, user_id: str) -> Deferred[Stream | None]:
        self.asked.append(user_id)
        if self.hang:
            self.waiting.append(Deferred())
            return self.waiting[-1]
        return fail(TwitchUnavailable("away")) if self.away else succeed(self.streams.get(user_id))

    def user(self, user_id: str) -> Deferred[User | None]:
        self.asked.append(f"user {user_id}")
        image = "" if user_id == "2" else f"https://img.example/{user_id}"
        return succeed(User(id=user_id, login=f"u{user_id}", name=f"U{user_id}", description="", image_url=image))

    async def fetch(self, user_id: str, url: str) -> Picture:
        if self.away:
            raise TwitchRejected("no picture", 404)
        return Picture(url=url, mime_type="image/png", data=user_id.encode())


class LookTests(LiveStatusCase):
    """
    Twitch is asked while somebody looks.
    """

    def test_nobody_looks(self) -> None:
        """
        Nothing is asked of Twitch before somebody looks, and nothing is known.
        """
        self.clock.advance(3600)
        self.assertEqual(self.asked, [])
        self.assertEqual(self.live_status.presence("1"), Presence())

    def test_a_look(self) -> None:
        """
        After a look it is known of everybody whether they are live, with what, and what they look like.
        """
        self.streams["1"] = stream("1")
        before = self.live_status.version
        self.live_status.refresh_if_old()
        self.assertNotEqual(self.live_status.version, before)
        self.assertEqual(
            self.live_status.presence("1"),
            Presence(
                live=True,
                name="U1",
                title="Pottery",
                game="Art",
                viewers=7,
                started_at="2026-01-02T03:04:05Z",
                pictured=True,
            ),
        )
        self.assertEqual(self.live_status.presence("2"), Presence(live=False, name="U2"))
        names = (self.live_status.display_name("2"), self.live_status.display_name("3"))
        self.assertEqual((self.live_status.live(), *names), ({"1"}, "U2", ""))

    def test_looks_are_answered_from_memory(self) -> None:
        """
        However often somebody looks, Twitch is asked once in a minute; names and faces once.
        """
        for _ in range(59):
            self.live_status.refresh_if_old()
            self.clock.advance(1)
        self.assertEqual(self.asked, ["1", "2", "user 1", "user 2"])
        before = self.live_status.version
        self.clock.advance(1)
        self.live_status.refresh_if_old()
        self.assertEqual(self.asked, ["1", "2", "user 1", "user 2", "1", "2"])
        self.assertEqual(self.live_status.version, before)

    def test_a_crowd_is_asked_for_less_often(self) -> None:
        """
        Ten thousand are asked for once in five minutes.
        """
        self.wanted = {str(number): "x" for number in range(10_000)}
        self.live_status.refresh_if_old()
        self.clock.advance(299)
        self.live_status.refresh_if_old()
        self.assertEqual(sum(not each.startswith("user") for each in self.asked), 10_000)
        self.clock.advance(1)
        self.live_status.refresh_if_old()
        self.assertEqual(sum(not each.startswith("user") for each in self.asked), 20_000)

    def test_twitch_is_away(self) -> None:
        """
        When Twitch is away what was known stays, and the next look after a minute asks again.
        """
        self.streams["1"] = stream("1")
        self.live_status.refresh_if_old()
        self.away = True
        self.clock.advance(60)
        self.live_status.refresh_if_old()
        self.assertTrue(self.live_status.presence("1").live)
        self.away = False
        self.streams.clear()
        self.clock.advance(60)
        self.live_status.refresh_if_old()
        self.assertFalse(self.live_status.presence("1").live)

    def test_who_is_wanted_no_more_is_forgotten(self) -> None:
        """
        What is known of somebody goes when he goes from the configuration.
        """
        self.streams["1"] = stream("1")
        self.live_status.refresh_if_old()
        del self.wanted["1"]
        self.clock.advance(60)
        self.live_status.refresh_if_old()
        self.assertEqual(self.live_status.presence("1"), Presence())

    def test_stopped(self) -> None:
        """
        A stop gives up what is being asked, and nothing is asked afterwards.
        """
        self.hang = True
        self.live_status.refresh_if_old()
        self.live_status.stopService()
        self.clock.advance(600)
        self.live_status.refresh_if_old()
        self.assertEqual(self.asked, ["1", "2"])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_defect_is_told(self) -> None:
        """
        What nobody thought of is logged, and does not end the looking.
        """
        self.patch(self, "stream", lambda _: fail(ZeroDivisionError()))
        self.live_status.refresh_if_old()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_pictures(self) -> None:
        """
        A picture is that of somebody who is wanted and has one, if it can be had.
        """
        self.live_status.refresh_if_old()
        picture = self.successResultOf(Deferred.fromCoroutine(self.live_status.picture("1")))
        assert picture is not None
        self.assertEqual(picture.data, b"1")
        self.away = True
        for nobody in ("1", "2", "3"):
            self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(self.live_status.picture(nobody))))


class LiveStatusEnricherTests(LiveStatusCase):
    """
    Who goes live is known at once.
    """

    def setUp(self) -> None:
        super().setUp()
        self.enriching: list[Deferred[Enrichment]] = []
        self.event = event(broadcaster_id="1", broadcaster_name="One", stream_id="s2")
        self.enricher = LiveStatusEnricher(self, self.live_status.went_live)  # type: ignore[arg-type]
        verifyObject(IEnricher, self.enricher)

    def enrich(self, event: Event, streamer: Streamer, broadcast: Broadcast | None = None) -> Deferred[Enrichment]:
        self.enriching.append(Deferred())
        return self.enriching[-1]

    def test_at_once_and_then_with_more(self) -> None:
        """
        Somebody is live as soon as the event is there, and with all that was found about it a moment later. The
        enrichment itself passes through.
        """
        answer = self.enricher.enrich(self.event, Streamer(key="one"))
        self.assertEqual(
            self.live_status.presence("1"), Presence(live=True, name="One", started_at=self.event.started_at)
        )
        found = Enrichment(
            stream=StreamDetails(title="Pottery", game_name="Art", viewer_count=3), picture=Picture(url="https://i")
        )
        self.enriching[0].callback(found)
        self.assertIs(self.successResultOf(answer), found)
        self.assertEqual(
            self.live_status.presence("1"),
            Presence(
                live=True,
                name="One",
                title="Pottery",
                game="Art",
                viewers=3,
                started_at=self.event.started_at,
                pictured=True,
            ),
        )

    def test_twitch_is_behind(self) -> None:
        """
        While Get Streams lists nobody, or the broadcast before, the event counts for more; not for ever.
        """
        self.streams["1"] = stream("1", "s1", title="Yesterday")
        self.enricher.enrich(self.event, Streamer(key="one"))
        self.live_status.refresh_if_old()
        self.clock.advance(74)
        self.assertEqual(self.live_status.presence("1").title, "")
        self.clock.advance(1)
        self.assertEqual(self.live_status.presence("1").title, "Yesterday")
        self.streams["1"] = stream("1", "s2", title="Today")
        self.enricher.enrich(self.event, Streamer(key="one"))
        self.live_status.refresh_if_old()
        self.assertEqual(self.live_status.presence("1").title, "Today")

    def test_a_crowd_is_forgotten_in_time(self) -> None:
        """
        Of a crowd only those are remembered who have just gone live, once each, and nothing of their pictures.
        """
        for number in range(100):
            news = event(broadcaster_id=str(number % 40))
            self.live_status.went_live(news, Enrichment(picture=Picture(url="https://i", data=b"x" * 1000)))
            self.clock.advance(3)
        self.assertEqual(len(self.live_status.live()), 24)
        self.assertLessEqual(len(self.live_status._started), 26)
        self.assertNotIn("xxx", repr(self.live_status._started))

    def test_it_ends(self) -> None:
        """
        A broadcast that is listed no more is over.
        """
        self.enricher.enrich(self.event, Streamer(key="one"))
        self.assertEqual(self.live_status.live(), {"1"})
        self.clock.advance(75)
        self.live_status.refresh_if_old()
        self.assertFalse(self.live_status.presence("1").live)
        self.assertEqual(self.live_status.live(), set())
