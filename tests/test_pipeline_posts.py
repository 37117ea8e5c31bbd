"""
Tests for :mod:`itsjustintv.pipeline` and destinations that keep posts.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from itsjustintv.dedup import SeenEvents
from itsjustintv.interfaces import IEnricher, IOutcomeSink
from itsjustintv.model import (
    CHANNEL_UPDATE,
    STREAM_OFFLINE,
    STREAM_ONLINE,
    Acceptance,
    Action,
    Broadcast,
    Delivery,
    Destination,
    DestinationFilter,
    DestinationPolicy,
    Enrichment,
    Event,
    Notice,
    Outcome,
    Post,
    Standing,
    State,
    StreamDetails,
    Streamer,
)
from itsjustintv.pipeline import OnError, Pipeline
from tests.doubles import MemoryJournal, Outcomes

START = 1_800_000_000.0
TANUKI = Streamer(key="tanuki", user_id="42", login="tanuki", types=("live",), destinations=("main",))
MAIN = Destination(
    name="main",
    url="",
    place="p",
    keeps_posts=True,
    policy=DestinationPolicy(events=("online", "offline", "update"), mention=("role:1",)),
)
LIVE = Broadcast(
    id="e1",
    broadcaster_id="42",
    streamer="tanuki",
    started_at="2027-01-15T07:00:00Z",
    stream_ids=("7",),
    title="pottery",
    type="live",
)
OVER = evolve(LIVE, offline_at=START - 900)
POST = Post(broadcast="e1", destination="main", place="p", remote="99")


def event(event_type: str, name: str = "e2", **more: Any) -> Event:
    """
    Something that tanuki did.
    """
    starts = event_type == STREAM_ONLINE
    values: dict[str, Any] = {
        "id": name,
        "message_id": f"message of {name}",
        "stream_id": "7" if starts else "",
        "broadcaster_id": "42",
        "broadcaster_login": "tanuki",
        "broadcaster_name": "Tanuki",
        "type": "live" if starts else "",
        "started_at": LIVE.started_at if starts else "",
        "received_at": START,
        "event_type": event_type,
        "occurred_at": 0.0 if starts else START,
    }
    return Event(**{**values, **more})


@implementer(IEnricher)
class Enricher:
    """
    Answers with what the test says.
    """

    answer = Enrichment(stream=StreamDetails(title="pottery", game_name="Art"), tags=())

    def enrich(self, event: Event, streamer: Streamer, broadcast: Broadcast | None = None) -> Deferred[Enrichment]:
        return succeed(self.answer)


class PipelinePostTests(SynchronousTestCase):
    """
    What a delivery comes to, by what the journal says of its post.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.journal = MemoryJournal()
        self.sinks: list[IOutcomeSink] = [Outcomes()]
        self.enricher = Enricher()
        self.submitted: list[Delivery] = []
        self.notices: list[Notice] = []
        self.main: Destination | None = MAIN
        self.under_way: set[str] = set()
        self.grace_end = START + 600
        self.pipeline = Pipeline(
            self.clock,
            self.journal,
            SeenEvents(self.clock),
            lambda _: (TANUKI,),
            self.enricher,
            self.render,
            self.submitted.append,
            self.sinks,
            lambda: 7200.0,
            lambda: OnError.SEND,
            lambda: 21600.0,
            resolve=lambda _name, _key: self.main,
            window=lambda: 300.0,
            settling=lambda: 60.0,
            under_way=self.under_way.__contains__,
            destination_end=lambda _: self.grace_end,
            new_id=lambda: "e9",
            previews=lambda: (120.0, 360.0),
            recordings=lambda: (600.0,),
        )
        self.pipeline.startService()
        self.addCleanup(self.pipeline.stopService)

    def render(self, notice: Notice, name: str) -> bytes:
        self.notices.append(notice)
        return b"{}"

    def found(self, title: str = "pottery", category: str = "Art", *, listed: bool = False) -> None:
        """
        What Twitch says from now on.
        """
        stream = StreamDetails(listed=listed, title=title, game_name=category)
        self.enricher.answer = Enrichment(stream=stream, tags=())

    def policy(self, **more: Any) -> None:
        self.main = evolve(MAIN, policy=evolve(MAIN.policy, **more))

    def happen(self, event_type: str, broadcast: Broadcast | None = LIVE, **standing: Any) -> tuple[State, str]:
        """
        Accept an event, and let its turn come.
        """
        self.journal.standings["e2-1"] = Standing(broadcast=broadcast, **standing)
        self.successResultOf(self.pipeline.accept(event(event_type)))
        self.clock.pump([1.0] * 400)
        delivery = self.journal.deliveries["e2-1"]
        return delivery.state, delivery.reason

    def test_created_and_edited(self) -> None:
        """
        A start is created at once with a mention; a change edits after it has settled, with the id of the post.
        """
        self.happen(STREAM_ONLINE)
        [created] = self.submitted
        self.assertEqual((created.action, created.mention, created.next_attempt_at), (Action.CREATE, True, START + 1))
        self.assertTrue(self.notices[0].mention)
        self.submitted.clear()
        self.journal.standings["e3-1"] = Standing(broadcast=LIVE, post=POST, mentioned=True)
        self.successResultOf(self.pipeline.accept(event(CHANNEL_UPDATE, "e3", keys=("k",))))
        at = self.clock.seconds()
        self.clock.pump([1.0] * 70)
        [edited] = self.submitted
        self.assertEqual((edited.action, edited.remote, edited.mention), (Action.EDIT, "99", False))
        self.assertTrue(at + 60 <= edited.next_attempt_at <= at + 63, edited.next_attempt_at)

    def test_waits_for_the_creation(self) -> None:
        """
        A change waits while the creation has not ended, and is sent after it.
        """
        self.assertEqual(
            self.happen(CHANNEL_UPDATE, creating="e1-1"),
            (State.ACCEPTED, "waits for the first message of the broadcast"),
        )
        self.journal.standings["e2-1"] = Standing(broadcast=LIVE, post=POST)
        self.clock.pump([1.0] * 33)
        self.assertEqual([each.action for each in self.submitted], [Action.EDIT])

    def test_false_alarm(self) -> None:
        """
        An end that Twitch contradicts resumes the broadcast, and shows the changes that it had superseded.
        """
        self.found("glazing", listed=True)
        self.assertEqual(self.happen(STREAM_OFFLINE, OVER, post=POST)[0], State.PENDING)
        self.assertEqual(self.journal.resumed, ["e1"])
        self.assertEqual([each.action for each in self.submitted], [Action.EDIT])
        self.assertEqual((self.notices[0].event.event_type, self.notices[0].event.title), (CHANNEL_UPDATE, "glazing"))

    def test_false_alarm_without_changes(self) -> None:
        """
        Where changes are not heard of, nothing is sent after a false alarm.
        """
        self.policy(events=("online", "offline"))
        self.found("glazing", listed=True)
        self.assertEqual(
            self.happen(STREAM_OFFLINE, OVER, post=POST), (State.SUPERSEDED, "the broadcast is still live")
        )
        self.assertEqual((self.journal.resumed, self.submitted), (["e1"], []))

    def test_late(self) -> None:
        """
        The end before the creation supersedes it; with ``late = "tell"`` the end is posted, without a mention.
        """
        self.policy(late="tell")
        self.journal.put(evolve(Delivery(id="e1-1", event_id="e1", streamer="tanuki", destination="main",
            accepted_at=START, next_attempt_at=START, broadcast="e1"), state=State.PENDING, body=b"{}"))  # fmt: skip
        self.happen(STREAM_OFFLINE, OVER, creating="e1-1")
        self.assertEqual(self.journal.deliveries["e1-1"].state, State.SUPERSEDED)
        self.assertEqual([(each.action, each.mention) for each in self.submitted], [(Action.CREATE, False)])
        self.assertTrue(self.notices[0].silent)

    def test_creation_that_begins_meanwhile(self) -> None:
        """
        When an attempt of the creation begins as it is superseded, the end waits: there may be a post to change.
        """
        self.journal.put(evolve(Delivery(id="e1-1", event_id="e1", streamer="tanuki", destination="main",
            accepted_at=START, next_attempt_at=START, broadcast="e1"), state=State.PENDING, body=b"{}"))  # fmt: skip

        @implementer(IOutcomeSink)
        class Beginning:
            """
            An attempt begins as its delivery ends.
            """

            def record(_, outcome: Outcome) -> None:  # noqa: N805
                self.under_way.add(outcome.delivery.id)

        self.sinks.append(Beginning())
        self.assertEqual(self.happen(STREAM_OFFLINE, OVER, creating="e1-1")[0], State.ACCEPTED)
        self.journal.standings["e2-1"] = Standing(broadcast=OVER, post=POST)
        self.clock.pump([1.0] * 33)
        self.assertEqual([each.action for each in self.submitted], [Action.EDIT])

    def test_replayed_after_the_end(self) -> None:
        """
        A start that an operator requeues after the end is posted as it is now: over, silent, without a mention.
        """
        self.happen(STREAM_ONLINE, OVER, requested=True)
        [notice] = self.notices
        self.assertEqual((notice.event.event_type, notice.silent, notice.mention), (STREAM_OFFLINE, True, False))

    def test_shown_already(self) -> None:
        """
        What the post shows is not sent again, unless a change before it still waits.
        """
        self.happen(CHANNEL_UPDATE, post=POST)
        shown = self.submitted[0].shown
        for changing, state in ((False, State.SUPERSEDED), (True, State.PENDING)):
            self.setUp()
            self.assertEqual(self.happen(CHANNEL_UPDATE, post=evolve(POST, shown=shown), changing=changing)[0], state)

    def test_wanted_category_later(self) -> None:
        """
        A change that brings the wanted category opens the post; a rerun opens none, and no other category does.
        """
        self.policy(filter=DestinationFilter(categories=("Art",)))
        self.found(category="Chess")
        self.assertEqual(self.happen(CHANNEL_UPDATE)[0], State.FILTERED)
        self.setUp()
        self.policy(filter=DestinationFilter(categories=("Art",)))
        self.happen(CHANNEL_UPDATE)
        self.assertEqual([(each.action, each.mention) for each in self.submitted], [(Action.CREATE, True)])
        self.setUp()
        self.assertEqual(self.happen(CHANNEL_UPDATE, evolve(LIVE, type="rerun"))[0], State.FILTERED)

    def test_destination_that_is_away(self) -> None:
        """
        While its destination is not configured nothing is made of a delivery; afterwards it is decided as usual.
        """
        for event_type in (STREAM_ONLINE, CHANNEL_UPDATE):
            self.setUp()
            self.journal.standings["e2-1"] = Standing(broadcast=LIVE, post=POST)
            self.successResultOf(self.pipeline.accept(event(event_type)))
            self.main = None
            self.clock.pump([1.0] * 100)
            self.assertEqual(self.journal.deliveries["e2-1"].reason, "destination not configured")
            self.main = MAIN
            self.clock.pump([1.0] * 40)
            self.assertEqual([each.action for each in self.submitted], [Action.EDIT])

    def test_destination_that_stays_away(self) -> None:
        """
        After its grace the delivery is cancelled.
        """
        self.successResultOf(self.pipeline.accept(event(STREAM_ONLINE)))
        self.main = None
        self.clock.pump([10.0] * 70)
        self.assertEqual(self.journal.deliveries["e2-1"].reason, "destination removed")

    def refresh(self, event_type: str, broadcast: Broadcast, **standing: Any) -> tuple[State, str]:
        """
        Let the turn of a refresh come, of a post that was created for an event or showed its end.
        """
        self.main = evolve(MAIN, previews=True)
        # Longer ago than Twitch is behind.
        broadcast = evolve(broadcast, seen_at=START - 900)
        self.journal.standings["e2-2"] = Standing(broadcast=broadcast, **{"post": POST, "mentioned": True, **standing})
        self.journal.events["e2"] = event(event_type)
        self.journal.put(Delivery(id="e2-2", event_id="e2", streamer="tanuki", destination="main", accepted_at=START,
            next_attempt_at=START + 120, broadcast="e1", action=Action.REFRESH))  # fmt: skip
        self.clock.pump([1.0] * 130)
        delivery = self.journal.deliveries["e2-2"]
        return delivery.state, delivery.reason

    def found_live(self, thumbnail: str = "https://example.com/{width}x{height}.jpg", title: str = "pottery") -> None:
        stream = StreamDetails(listed=True, title=title, game_name="Art", thumbnail_url=thumbnail)
        self.enricher.answer = Enrichment(stream=stream, tags=())

    def test_refreshes_are_planned(self) -> None:
        """
        A creation is prepared with the times of its refreshes, where posts show a preview.
        """
        self.happen(STREAM_ONLINE)
        self.assertEqual(self.submitted[0].refreshes, ())
        self.setUp()
        self.main = evolve(MAIN, previews=True)
        self.happen(STREAM_ONLINE)
        self.assertEqual(self.submitted[0].refreshes, (120.0, 360.0))
        self.assertEqual(self.journal.deliveries["e2-1"].refreshes, (120.0, 360.0))

    def test_fresh_preview(self) -> None:
        """
        The post is edited at its time, though nothing else differs: with the id of the post, and with the mention as
        text alone.
        """
        self.found_live()
        self.assertEqual(self.refresh(STREAM_ONLINE, LIVE)[0], State.PENDING)
        [sent] = self.submitted
        self.assertEqual((sent.action, sent.remote, sent.mention, sent.refreshes), (Action.REFRESH, "99", False, ()))
        [notice] = self.notices
        self.assertEqual((notice.action, notice.mention, notice.event.event_type), (Action.EDIT, True, STREAM_ONLINE))
        self.assertTrue(START + 120 <= notice.built_at <= START + 123)
        again = {"post": evolve(POST, shown=sent.shown)}
        self.setUp()
        self.found_live()
        self.assertEqual(self.refresh(STREAM_ONLINE, LIVE, **again)[0], State.PENDING)
        self.setUp()
        self.found_live(thumbnail="")
        self.assertEqual(self.refresh(STREAM_ONLINE, LIVE, **again), (State.SUPERSEDED, "the post shows it already"))

    def test_late_title(self) -> None:
        """
        A refresh shows the title that Twitch has by then, also where Twitch has no preview.
        """
        self.found_live(thumbnail="", title="glazing")
        self.refresh(STREAM_ONLINE, LIVE)
        self.assertEqual([each.enrichment.stream.title for each in self.notices], ["glazing"])

    def test_late_recording(self) -> None:
        """
        After the end the post is edited when there is a recording that it does not have, although the channel is live
        with another broadcast by then, whose title it does not get.
        """
        self.found_live(title="another")
        self.assertEqual(self.refresh(STREAM_OFFLINE, OVER)[0], State.PENDING)
        shown = self.submitted[0].shown
        self.setUp()
        self.found_live(title="yet another")
        without = self.refresh(STREAM_OFFLINE, OVER, post=evolve(POST, shown=shown))
        self.assertEqual(without, (State.SUPERSEDED, "the post shows it already"))
        self.setUp()
        self.enricher.answer = evolve(self.enricher.answer, vods=("https://example.com/1",))
        self.assertEqual(self.refresh(STREAM_OFFLINE, OVER, post=evolve(POST, shown=shown))[0], State.PENDING)
        self.assertEqual(self.notices[0].enrichment.stream.title, "pottery")
        self.assertEqual(self.journal.resumed, [])

    def test_refresh_after_days(self) -> None:
        """
        A refresh never expires: it is decided whether it is still of use.
        """
        self.clock.advance(10 * 86400)
        self.assertEqual(self.refresh(STREAM_ONLINE, LIVE), (State.SUPERSEDED, "Twitch does not list the stream"))

    def test_unreported_end(self) -> None:
        """
        When another broadcast begins, the one before whose end was not reported ends, by the stream it had.
        """
        self.journal.live = [evolve(LIVE, id="e1", stream_ids=("6",)), evolve(LIVE, id="e2"), evolve(LIVE, id="e0",
            broadcaster_id="43")]  # fmt: skip
        self.happen(STREAM_ONLINE)
        found = self.journal.events["e9"]
        self.assertEqual((found.event_type, found.stream_id, found.recovered), (STREAM_OFFLINE, "6", True))
        self.assertEqual(found.keys, ("offline:e1:6",))
        self.assertEqual(set(self.journal.events), {"e2", "e9"})

    def test_unreported_end_after_the_clock_was_set_back(self) -> None:
        """
        Which of two broadcasts came first is decided by Twitch's times: ids sort by this machine's clock.
        """
        later = evolve(LIVE, id="e0", stream_ids=("8",), started_at="2027-01-15T07:30:00Z")
        self.journal.live = [evolve(LIVE, id="e3", stream_ids=("6",)), later]
        self.happen(STREAM_ONLINE)
        self.assertEqual(self.journal.events["e9"].stream_id, "6")
        self.assertEqual(set(self.journal.events), {"e2", "e9"})

    def test_stream_that_comes_back_under_its_id(self) -> None:
        """
        After the end of its broadcast a further message about a known stream is accepted once, for the posts alone.
        """
        self.happen(STREAM_ONLINE)
        copy = event(STREAM_ONLINE, "e3", sent_at=START - 800)
        for self.journal.live in ([], [LIVE]):
            self.assertEqual(self.successResultOf(self.pipeline.accept(copy)), Acceptance.DUPLICATE)
        self.journal.live = [OVER]
        self.main = evolve(MAIN, keeps_posts=False)
        self.assertEqual(self.successResultOf(self.pipeline.accept(copy)), Acceptance.DUPLICATE)
        self.main = MAIN
        self.assertEqual(self.successResultOf(self.pipeline.accept(copy)), Acceptance.ACCEPTED)
        self.assertEqual(self.journal.deliveries["e3-1"].broadcast, "e3")
        for again in (copy, event(STREAM_ONLINE, "e4", sent_at=START - 700)):
            self.assertEqual(self.successResultOf(self.pipeline.accept(again)), Acceptance.DUPLICATE)
