"""
Tests of :mod:`itsjustintv.twitch.enrich`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from itsjustintv.errors import TwitchRejected, TwitchUnavailable
from itsjustintv.interfaces import IEnricher
from itsjustintv.model import Broadcast, Enrichment, Event, Picture, StreamDetails, Streamer
from itsjustintv.twitch.api.lookups import Lookups
from itsjustintv.twitch.enrich import TwitchEnricher
from tests.twitch.api.test_lookups import CHANNEL, STREAM, USER
from tests.twitch.fake import HANG, NOW, Reply, World

EVENT = Event(
    id="0000-event",
    message_id="m-1",
    stream_id="7000000001",
    broadcaster_id="42",
    broadcaster_login="tanuki",
    broadcaster_name="Tanuki",
    type="live",
    started_at="2026-01-02T04:00:00Z",
    received_at=NOW,
)
OFFLINE = evolve(
    EVENT, stream_id="", type="", started_at="", event_type="stream.offline", occurred_at=NOW, keys=("message:m-1",)
)
UPDATE = evolve(OFFLINE, event_type="channel.update", title="new")
BROADCAST = Broadcast(
    id="b-1", broadcaster_id="42", streamer="tanuki", started_at="2026-01-02T04:00:00Z", stream_ids=("1", "2", "3", "4")
)
STREAMER = Streamer(key="tanuki", user_id="42")
TAGS = ("Deutsch", "Keramik")
URL = "https://cdn.example.net/42.png"
PICTURE = Picture(url=URL, mime_type="image/png", data=b"png")


class TwitchEnricherTests(SynchronousTestCase):
    """
    What an event gets to know about itself.
    """

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.clock, self.twitch = self.world.clock, self.world.twitch
        self.twitch.usual |= {
            "/helix/users": Reply(200, {"data": [USER]}),
            "/helix/channels": Reply(200, {"data": [CHANNEL | {"title": "the channel's"}]}),
            "/helix/streams": Reply(200, {"data": [STREAM | {"title": "the stream's"}]}),
        }
        self.counted: list[tuple[str, str]] = []
        self.image = "embed"
        self.total: Any = 1000
        self.picture: Any = PICTURE
        self.asked_for: list[tuple[str, ...]] = []
        self.enricher = TwitchEnricher(
            Lookups(self.world.helix, self.clock, self.world.pace),
            self.followers,
            self.find_picture,
            self.clock,
            lambda: 3.0,
            lambda: self.image,
            lambda name, reason: self.counted.append((name, reason)),
        )

    async def followers(self, user_id: str) -> int:
        """
        The total, or what happens instead.
        """
        self.asked_for.append((user_id,))
        return await self.outcome(self.total)

    async def find_picture(self, user_id: str, url: str) -> Picture:
        """
        The picture, or what happens instead.
        """
        self.asked_for.append((user_id, url))
        return await self.outcome(self.picture)

    async def outcome(self, value: Any) -> Any:
        """
        Answer, fail or wait.
        """
        if isinstance(value, Exception):
            raise value
        return await value if isinstance(value, Deferred) else value

    def enrich(self, seconds: float = 0.25, event: Event = EVENT, broadcast: Broadcast | None = None) -> Enrichment:
        """
        The result after a moment, and that nothing is left behind.
        """
        enriching = self.enricher.enrich(event, STREAMER, broadcast)
        self.clock.advance(min(seconds, 0.25))
        self.clock.advance(max(0.0, seconds - 0.25))
        return self.successResultOf(enriching)

    def offline(self, *items: dict[str, Any]) -> None:
        """
        Have Get Streams list something else.
        """
        self.twitch.usual["/helix/streams"] = Reply(200, {"data": list(items)})

    def test_it_is_an_enricher(self) -> None:
        """
        It keeps the contract.
        """
        verifyObject(IEnricher, self.enricher)

    def test_everything_is_there(self) -> None:
        """
        When all goes well one call of each kind, all at once, finds out everything.
        """
        with capturedLogs() as logs:
            self.assertEqual(
                self.enrich(0.005),
                Enrichment(
                    stream=StreamDetails(
                        listed=True,
                        title="the stream's",
                        game_id="509660",
                        game_name="Art",
                        viewer_count=7,
                        language="de",
                        thumbnail_url="https://cdn.example.net/42-{width}x{height}.jpg",
                    ),
                    tags=TAGS,
                    followers_count=1000,
                    description="pots",
                    picture=PICTURE,
                ),
            )
        self.assertEqual(
            sorted(asked.path for asked in self.twitch.asked),
            ["/helix/channels", "/helix/streams", "/helix/users", "/oauth2/token"],
        )
        self.assertEqual(sorted(self.asked_for), [("42",), ("42", URL)])
        self.assertEqual((self.counted, [event for event in logs if event["log_level"] is LogLevel.warn]), ([], []))

    def test_a_broadcast_not_yet_listed_is_described_by_its_channel(self) -> None:
        """
        Get Streams is asked once; until it lists the broadcast the channel's settings are used, and it is no failure.
        """
        for listed in ((), (STREAM | {"id": "6000000000"},)):
            self.offline(*listed)
            found = self.enrich()
            self.assertEqual(
                found.stream,
                StreamDetails(title="the channel's", game_id="509660", game_name="Art", language="de"),
            )
            self.assertEqual((found.tags, found.problems), (TAGS, ()))
            self.clock.advance(1)
        self.assertEqual(len(self.twitch.to("/helix/streams")), 2)

    def test_an_end_has_its_recordings(self) -> None:
        """
        Those of the broadcast's streams in their order; one without a recording, or whose address is no web page, is
        left out, which is no problem.
        """
        self.offline()
        self.twitch.usual["/helix/videos"] = Reply(
            200,
            {
                "data": [
                    {"stream_id": "4", "url": "javascript:alert(1)"},
                    {"stream_id": "3", "url": "https://www.twitch.tv/videos/33"},
                    {"stream_id": "9", "url": "https://www.twitch.tv/videos/99"},
                    {"stream_id": None, "url": "https://www.twitch.tv/videos/88"},
                    {"stream_id": "1", "url": "https://www.twitch.tv/videos/11"},
                ]
            },
        )
        found = self.enrich(event=OFFLINE, broadcast=BROADCAST)
        self.assertEqual(found.vods, ("https://www.twitch.tv/videos/11", "https://www.twitch.tv/videos/33"))
        self.assertEqual((found.problems, found.stream.listed, found.picture), ((), False, PICTURE))
        self.assertEqual((found.stream.title, found.tags), ("the channel's", TAGS))
        [asked] = self.twitch.to("/helix/videos")
        self.assertEqual(asked.params, [("user_id", "42"), ("type", "archive"), ("first", "100")])
        self.assertEqual(len(self.twitch.to("/helix/streams")), 1)

    def test_an_end_that_is_none(self) -> None:
        """
        A stream of the broadcast is listed, or one that began soon after the end; not at once, since the list may be
        behind, and not a stream that began long after the end, which is another broadcast.
        """
        self.twitch.usual["/helix/videos"] = Reply(200, {"data": []})
        began_at = datetime(2026, 1, 2, 4, tzinfo=UTC).timestamp()
        ours = evolve(BROADCAST, stream_ids=("1", "7000000001"))
        later = evolve(OFFLINE, received_at=NOW - 300.0)
        for event, broadcast, listed in (
            (OFFLINE, ours, False),
            (later, ours, True),
            (evolve(OFFLINE, recovered=True), ours, True),
            (later, evolve(BROADCAST, offline_at=began_at - 60.0), True),
            (later, evolve(BROADCAST, offline_at=began_at - 3600.0), False),
            (later, evolve(BROADCAST, offline_at=0.0), False),
            (later, BROADCAST, False),
            (later, None, True),
        ):
            found = self.enrich(event=event, broadcast=broadcast)
            title = "the stream's" if listed else "the channel's"
            self.assertEqual((found.stream.listed, found.stream.title, found.vods), (listed, title, ()), broadcast)

    def test_recordings_that_cannot_be_had(self) -> None:
        """
        Cost nothing but the link; without a broadcast they are not asked for.
        """
        self.twitch.usual["/helix/videos"] = Reply(500)
        with capturedLogs():
            found = self.enrich(event=OFFLINE, broadcast=BROADCAST)
        self.assertEqual((found.vods, len(found.problems)), ((), 1))
        self.assertEqual(self.counted, [("videos", "unavailable")])
        before = len(self.twitch.to("/helix/videos"))
        self.enrich(event=OFFLINE)
        self.enrich(broadcast=BROADCAST)
        self.assertEqual(len(self.twitch.to("/helix/videos")), before)

    def test_a_change_says_itself_what_it_is(self) -> None:
        """
        Title and category are the event's, empty ones too, since Helix may be behind; the rest is Helix's.
        """
        found = self.enrich(event=UPDATE, broadcast=BROADCAST)
        self.assertEqual(
            (found.stream.title, found.stream.game_id, found.stream.game_name, found.stream.language),
            ("new", "", "", "de"),
        )
        self.assertEqual((found.stream.listed, found.stream.viewer_count, found.tags, found.vods), (True, 7, TAGS, ()))
        self.assertEqual(self.twitch.to("/helix/videos"), [])
        self.offline()
        self.twitch.usual["/helix/channels"] = Reply(500)
        with capturedLogs():
            found = self.enrich(event=evolve(UPDATE, language="fr"))
        self.assertEqual((found.stream.title, found.stream.listed, found.stream.language), ("new", False, "fr"))

    def test_one_of_two_sources_of_tags_is_enough(self) -> None:
        """
        Tags come from the stream when the channel fails, and the other way round.
        """
        self.twitch.then("/helix/channels", Reply(500))
        found = self.enrich()
        self.assertEqual((found.tags, found.stream.title, found.stream.language), (TAGS, "the stream's", "de"))
        self.twitch.then("/helix/streams", Reply(500))
        self.clock.advance(1)
        found = self.enrich()
        self.assertEqual((found.tags, found.stream.title), (TAGS, "the channel's"))

    def test_unknown_tags_are_not_no_tags(self) -> None:
        """
        Tags are unknown when a failure hid them, and empty when there are none.
        """
        self.offline()
        self.twitch.then("/helix/channels", Reply(500))
        self.assertIsNone(self.enrich().tags)
        self.twitch.then("/helix/channels", Reply(500))
        self.twitch.then("/helix/streams", Reply(500))
        self.clock.advance(1)
        self.assertIsNone(self.enrich().tags)
        self.twitch.then("/helix/channels", Reply(200, {"data": []}))
        self.clock.advance(1)
        self.assertEqual(self.enrich().tags, ())
        self.twitch.then("/helix/channels", Reply(200, {"data": [CHANNEL | {"tags": []}]}))
        self.clock.advance(1)
        self.assertEqual(self.enrich().tags, ())

    def test_what_is_slow_is_left_out(self) -> None:
        """
        At the deadline the event goes on with what there is; the picture's fetching is not stopped by that.
        """
        self.twitch.then("/helix/streams", HANG)
        self.picture = Deferred()
        self.total = Deferred()
        enriching = self.enricher.enrich(EVENT, STREAMER)
        self.clock.advance(0.25)
        self.clock.advance(2.74)
        self.assertNoResult(enriching)
        self.clock.advance(0.01)
        found = self.successResultOf(enriching)
        self.assertEqual((found.tags, found.description, found.picture), (TAGS, "pots", Picture(url=URL)))
        self.assertEqual(self.counted, [("stream", "timeout"), ("followers", "timeout"), ("picture", "timeout")])

    def test_a_twitch_that_is_away_costs_the_deadline_at_the_most(self) -> None:
        """
        When nothing answers at all there is an empty enrichment in time.
        """
        for path in ("users", "channels", "streams"):
            self.twitch.then(f"/helix/{path}", HANG)
        self.total = Deferred()
        with capturedLogs() as logs:
            found = self.enrich(3.0)
        self.assertEqual((found.stream, found.tags, found.picture), (StreamDetails(), None, None))
        self.assertEqual(len(found.problems), 5)
        [event] = [event for event in logs if event["log_level"] is LogLevel.warn]
        self.assertEqual((event["event_id"], event["streamer"]), ("0000-event", "tanuki"))

    def test_failures_are_told_apart_and_said_once(self) -> None:
        """
        One line for an event names each failure and its reason, and each is counted.
        """
        self.twitch.then("/helix/users", Reply(400, {"message": "bad id"}))
        self.total = TwitchUnavailable("the rate limit has no point to spare")
        with capturedLogs() as logs:
            found = self.enrich()
        self.assertEqual(self.counted, [("user", "rejected"), ("followers", "unavailable")])
        self.assertEqual(
            found.problems,
            ("user: GET /users answered 400 (bad id)", "followers: the rate limit has no point to spare"),
        )
        [event] = [event for event in logs if event["log_level"] is LogLevel.warn]
        self.assertEqual(event["reason"], "; ".join(found.problems))

    def test_a_picture_that_is_refused(self) -> None:
        """
        Its address is there all the same, and the rest.
        """
        self.picture = TwitchRejected("the profile image: it is larger than 2 MiB", 200)
        found = self.enrich()
        self.assertEqual((found.picture, found.description), (Picture(url=URL), "pots"))
        self.assertEqual(self.counted, [("picture", "rejected")])

    def test_a_defect_is_no_reason_to_be_silent(self) -> None:
        """
        An unexpected error is logged with its traceback, and the event goes on.
        """
        self.total = ZeroDivisionError()
        self.assertIsNone(self.enrich().followers_count)
        self.assertEqual(self.counted, [("followers", "error")])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_user_nobody_knows(self) -> None:
        """
        What Helix does not know is a problem, too.
        """
        self.twitch.usual["/helix/users"] = Reply(200, {"data": []})
        found = self.enrich()
        self.assertEqual((found.description, found.picture), ("", None))
        self.assertEqual(self.counted, [("user", "missing")])

    def test_the_address_alone_downloads_nothing(self) -> None:
        """
        With image = "url" the picture is not fetched.
        """
        self.image = "url"
        self.assertEqual(self.enrich().picture, Picture(url=URL))
        self.assertEqual(self.asked_for, [("42",)])

    def test_a_user_without_a_picture(self) -> None:
        """
        No address, no picture, no problem.
        """
        self.twitch.usual["/helix/users"] = Reply(200, {"data": [USER | {"profile_image_url": ""}]})
        found = self.enrich()
        self.assertEqual((found.picture, found.problems), (None, ()))

    def test_a_cancelled_enrichment_ends(self) -> None:
        """
        It fails as cancelled instead of going on with nothing, and leaves nothing behind but the calls under way.
        """
        enriching = self.enricher.enrich(EVENT, STREAMER)
        enriching.cancel()
        self.failureResultOf(enriching, CancelledError)
        self.clock.advance(0.25)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.twitch.asked, [])

    def test_events_at_the_same_time_share_calls(self) -> None:
        """
        Two thousand events within a minute take no more than the points of a minute.
        """
        enriching = []
        for number in range(2000):
            self.clock.advance(60 / 2000)
            event = Event(
                id=str(number),
                message_id=str(number),
                stream_id=str(number),
                broadcaster_id=str(100_000 + number),
                broadcaster_login="",
                broadcaster_name="",
                type="live",
                started_at="2026-01-02T04:00:00Z",
                received_at=NOW,
            )
            enriching.append(self.enricher.enrich(event, STREAMER))
        self.clock.advance(3)
        for each in enriching:
            self.successResultOf(each)
        self.assertLessEqual(len(self.twitch.asked), 1 + 800)

    def test_ends_at_the_same_time_leave_points_to_starts(self) -> None:
        """
        A thousand ends within half a minute take no more points than there are, and a start after them has all its
        details.
        """
        self.twitch.usual["/helix/videos"] = Reply(200, {"data": []})
        with capturedLogs():
            for number in range(1000):
                self.clock.advance(30 / 1000)
                event = evolve(OFFLINE, id=str(number), broadcaster_id=str(100_000 + number), keys=(str(number),))
                self.enricher.enrich(event, STREAMER, BROADCAST)
            self.assertLessEqual(len(self.twitch.asked), 1 + 800 + 400 - 200)
            found = self.enricher.enrich(EVENT, STREAMER)
            self.clock.advance(1.0)
        details = self.successResultOf(found)
        self.assertEqual((details.stream.title, details.problems), ("the stream's", ()))

    @given(
        st.fixed_dictionaries(
            {
                f"/helix/{path}": st.one_of(
                    st.just(HANG),
                    st.builds(
                        Reply, st.sampled_from([200, 204, 302, 400, 401, 404, 429, 500, 503]), st.binary(max_size=5)
                    ),
                    st.builds(Reply, st.just(200), st.sampled_from([{"data": []}, {"data": [item, None]}, [], None])),
                )
                for path, item in (("users", USER), ("channels", CHANNEL), ("streams", STREAM))
            }
        )
    )
    def test_it_never_fails_and_is_always_in_time(self, replies: dict[str, Reply]) -> None:
        """
        Whatever Helix does, three seconds later there is an enrichment.
        """
        self.setUp()
        self.twitch.usual |= replies
        self.assertIsInstance(self.enrich(3.0), Enrichment)
