"""
Tests for :mod:`itsjustintv.delivery.post_policy`.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.delivery.post_policy import (
    OVERTAKEN,
    STILL_LIVE,
    WAITS,
    Decision,
    PostPolicy,
    as_refresh,
    as_return,
    as_update,
    complete,
    decide,
    decide_refresh,
    hash_shown,
    is_needless,
    may_mention,
)
from itsjustintv.model import (
    CHANNEL_UPDATE,
    STREAM_OFFLINE,
    STREAM_ONLINE,
    Action,
    Broadcast,
    Destination,
    DestinationPolicy,
    Enrichment,
    Event,
    Notice,
    Post,
    PostState,
    Standing,
    State,
    StreamDetails,
    Streamer,
)

NOW = 1_800_000_000.0
PLACE = "here"
ONLINE = Event(
    id="e1",
    message_id="m",
    stream_id="1",
    broadcaster_id="42",
    broadcaster_login="tanuki",
    broadcaster_name="Tanuki",
    type="live",
    started_at="2027-01-15T07:00:00Z",
    received_at=NOW,
)
LIVE = Broadcast(
    id="e1", broadcaster_id="42", streamer="tanuki", started_at=ONLINE.started_at, stream_ids=("1",), title="pottery"
)
ENDED = evolve(LIVE, offline_at=NOW - 600)
OPEN = Post(broadcast="e1", destination="main", place=PLACE, remote="9", shown="s")
GONE = evolve(OPEN, state=PostState.GONE)
LOST = evolve(OPEN, state=PostState.LOST, remote="")
ELSEWHERE = evolve(OPEN, place="there")


class TableCase(SynchronousTestCase):
    """
    Decisions about one post.
    """

    def ask(
        self,
        event_type: str,
        broadcast: Broadcast | None = LIVE,
        *,
        under_way: bool = False,
        edits: bool = True,
        policy: DestinationPolicy | None = None,
        **standing: Any,
    ) -> Decision:
        return decide(
            event_type,
            policy or DestinationPolicy(),
            Standing(broadcast=broadcast, **standing),
            place=PLACE,
            edits=edits,
            ended=broadcast is ENDED,
            creation_under_way=under_way,
        )


class WhileLiveTests(TableCase):
    """
    The start, and what follows.
    """

    def test_created_once(self) -> None:
        """
        The start creates the post; whatever follows edits it, and waits while its creation is under way.
        """
        self.assertEqual(self.ask(STREAM_ONLINE), Decision(Action.CREATE))
        for event_type in (STREAM_ONLINE, CHANNEL_UPDATE):
            self.assertEqual(self.ask(event_type, post=OPEN), Decision(Action.EDIT))
            self.assertEqual(self.ask(event_type, creating="e1-1"), Decision(wait=True, reason=WAITS))

    def test_opened_by_a_change(self) -> None:
        """
        A change creates the post when the start was filtered, and does not when it failed.
        """
        self.assertEqual(self.ask(CHANNEL_UPDATE), Decision(Action.CREATE))
        for state in (State.DEAD, State.EXPIRED, State.CANCELLED):
            self.assertIsNone(self.ask(CHANNEL_UPDATE, failed=state).action)
        self.assertEqual(self.ask(CHANNEL_UPDATE, failed=State.DEAD, requested=True).action, Action.CREATE)

    def test_changes_as_messages(self) -> None:
        """
        With ``on_update = "post"`` each change is a further message, also beside a post that is gone.
        """
        policy = DestinationPolicy(on_update="post")
        for post in (OPEN, GONE):
            self.assertEqual(self.ask(CHANNEL_UPDATE, post=post, policy=policy), Decision(Action.FOLLOW_UP))

    def test_out_of_reach(self) -> None:
        """
        A post that was deleted, has no known id, or is at a former address, is left alone; with ``recreate`` the first
        is posted again, and whatever an operator asks for is.
        """
        for post in (GONE, LOST, ELSEWHERE):
            for event_type in (STREAM_ONLINE, CHANNEL_UPDATE):
                self.assertEqual(self.ask(event_type, post=post).action, None)
                self.assertEqual(self.ask(event_type, post=post, requested=True), Decision(Action.CREATE))
        policy = DestinationPolicy(recreate=True)
        self.assertEqual(self.ask(CHANNEL_UPDATE, post=GONE, policy=policy), Decision(Action.CREATE))
        self.assertIsNone(self.ask(CHANNEL_UPDATE, post=LOST, policy=policy).action)
        self.assertIsNone(self.ask(CHANNEL_UPDATE, ENDED, post=GONE, policy=policy).action)

    def test_a_further_start_where_nothing_can_be_edited(self) -> None:
        """
        A stream that comes back is announced once also where an edit would be one more message; the end and what an
        operator asks for are sent.
        """
        for post in (OPEN, LOST):
            decision = self.ask(STREAM_ONLINE, post=post, edits=False)
            self.assertEqual((decision.action, decision.end), (None, State.SUPERSEDED))
            self.assertEqual(self.ask(STREAM_ONLINE, post=post, edits=False, requested=True), Decision(Action.CREATE))
        delete = DestinationPolicy(on_offline="delete")
        ended = self.ask(STREAM_OFFLINE, ENDED, post=OPEN, edits=False, policy=delete)
        self.assertEqual(ended, Decision(Action.DELETE))
        recreate = DestinationPolicy(recreate=True)
        self.assertEqual(self.ask(STREAM_ONLINE, post=GONE, edits=False, policy=recreate), Decision(Action.CREATE))

    def test_old_change(self) -> None:
        """
        A change that was requeued after a later one was sent does not bring the old text back; a start brings the new.
        """
        self.assertEqual(self.ask(CHANNEL_UPDATE, post=OPEN, overtaken=True).reason, OVERTAKEN)
        self.assertEqual(self.ask(STREAM_ONLINE, post=OPEN, overtaken=True), Decision(Action.EDIT))

    def test_no_broadcast(self) -> None:
        """
        What belongs to no broadcast is filtered, but for a start that was accepted when no posts were kept.
        """
        for event_type in (STREAM_OFFLINE, CHANNEL_UPDATE):
            self.assertEqual(self.ask(event_type, None).end, State.FILTERED)
        self.assertEqual(self.ask(STREAM_ONLINE, None), Decision(Action.CREATE))


class EndTests(TableCase):
    """
    The table of what becomes of a post when the turn of the end has come.
    """

    def end(self, on_offline: str, late: str = "skip", **more: Any) -> Decision:
        policy = DestinationPolicy(on_offline=on_offline, late=late)
        return self.ask(STREAM_OFFLINE, ENDED, policy=policy, **more)

    def test_post_exists(self) -> None:
        """
        It is deleted, edited, or followed by a further message.
        """
        actions = {"delete": Action.DELETE, "edit": Action.EDIT, "post": Action.FOLLOW_UP}
        for on_offline, action in actions.items():
            self.assertEqual(self.end(on_offline, post=OPEN), Decision(action))

    def test_creation_pending(self) -> None:
        """
        Where nothing was sent for certain the creation is superseded; it is announced late only if that is wanted, and
        would not be deleted at once.
        """
        for on_offline in ("delete", "edit", "post"):
            found = self.end(on_offline, creating="e1-1")
            self.assertEqual((found.action, found.supersede, found.end), (None, "e1-1", State.SUPERSEDED))
        self.assertEqual(self.end("edit", "tell", creating="e1-1"), Decision(Action.CREATE, supersede="e1-1"))
        self.assertEqual(self.end("post", "tell", creating="e1-1"), Decision(Action.CREATE, supersede="e1-1"))
        self.assertIsNone(self.end("delete", "tell", creating="e1-1").action)

    def test_creation_unknown(self) -> None:
        """
        Where it may have been created, or is being created, the end waits for the creation.
        """
        for more in ({"uncertain": True}, {"under_way": True}):
            for on_offline in ("delete", "edit", "post"):
                self.assertEqual(
                    self.end(on_offline, "tell", creating="e1-1", **more), Decision(wait=True, reason=WAITS)
                )

    def test_creation_given_up(self) -> None:
        """
        After a restart between the end of the creation and what takes its place, that is still done.
        """
        self.assertEqual(self.end("edit", "tell", given_up=True), Decision(Action.CREATE))
        self.assertIsNone(self.end("edit", given_up=True).action)
        self.assertIsNone(self.end("delete", "tell", given_up=True).action)

    def test_creation_failed(self) -> None:
        """
        Nothing is done, but for a further message where late ones are wanted.
        """
        for on_offline in ("delete", "edit", "post"):
            self.assertIsNone(self.end(on_offline, failed=State.DEAD).action)
        self.assertEqual(self.end("post", "tell", failed=State.DEAD), Decision(Action.FOLLOW_UP))
        self.assertIsNone(self.end("edit", "tell", failed=State.EXPIRED).action)

    def test_out_of_reach(self) -> None:
        """
        A post that cannot be changed needs nothing; a further message is sent all the same.
        """
        for post in (GONE, LOST, ELSEWHERE):
            for on_offline in ("delete", "edit"):
                self.assertEqual(self.end(on_offline, post=post).end, State.SUPERSEDED)
                self.assertIsNone(self.end(on_offline, post=post, requested=True).action)
            self.assertEqual(self.end("post", post=post), Decision(Action.FOLLOW_UP))

    def test_never_announced(self) -> None:
        """
        Of a broadcast that was filtered nothing is said at its end.
        """
        for on_offline in ("delete", "edit", "post"):
            self.assertEqual(self.end(on_offline).end, State.FILTERED)

    def test_live_again(self) -> None:
        """
        The end of a broadcast that is live again changes nothing.
        """
        self.assertEqual(self.ask(STREAM_OFFLINE, LIVE, post=OPEN).reason, STILL_LIVE)

    def test_late_start(self) -> None:
        """
        A start whose turn comes after the end creates nothing, unless late ones are wanted or an operator asks; and
        never what would have to be deleted.
        """
        self.assertIsNone(self.ask(STREAM_ONLINE, ENDED).action)
        self.assertEqual(self.ask(STREAM_ONLINE, ENDED, requested=True), Decision(Action.CREATE))
        self.assertEqual(self.ask(STREAM_ONLINE, ENDED, policy=DestinationPolicy(late="tell")), Decision(Action.CREATE))
        deleted = DestinationPolicy(late="tell", on_offline="delete")
        self.assertIsNone(self.ask(STREAM_ONLINE, ENDED, policy=deleted, requested=True).action)


class RefreshTests(SynchronousTestCase):
    """
    Whether a post is shown again as it is by then.
    """

    card = Destination(
        name="main",
        url="",
        place=PLACE,
        previews=True,
        policy=DestinationPolicy(events=("online", "offline", "update")),
    )

    def ask(
        self, event_type: str = STREAM_ONLINE, broadcast: Broadcast = LIVE, *, listed: bool = True, **standing: Any
    ) -> Decision:
        found = Standing(broadcast=broadcast, **{"post": OPEN, **standing})
        return decide_refresh(event_type, self.card, found, listed=listed)

    def with_policy(self, **more: Any) -> None:
        self.card = evolve(self.card, policy=evolve(self.card.policy, **more))

    def test_preview(self) -> None:
        """
        While the broadcast is live and Twitch lists it, the post is refreshed.
        """
        self.assertIs(self.ask().action, Action.REFRESH)
        self.assertIs(self.ask(CHANNEL_UPDATE).action, Action.REFRESH)
        self.assertEqual(self.ask(listed=False).reason, "Twitch does not list the stream")
        drop = evolve(LIVE, offline_at=NOW - 10)
        self.assertEqual(self.ask(broadcast=drop).reason, "the broadcast has ended")

    def test_recording(self) -> None:
        """
        After the end the post is refreshed, whatever Twitch lists by then; not when the broadcast is live again.
        """
        self.assertIs(self.ask(STREAM_OFFLINE, ENDED).action, Action.REFRESH)
        self.assertIs(self.ask(STREAM_OFFLINE, ENDED, listed=False).action, Action.REFRESH)
        self.assertEqual(self.ask(STREAM_OFFLINE).reason, STILL_LIVE)

    def test_nothing_is_created(self) -> None:
        """
        Without a post that can be changed nothing is done, also if an operator asks, and the post may be recreated.
        """
        self.with_policy(recreate=True, late="tell")
        for post in (None, GONE, LOST, ELSEWHERE):
            for event_type, broadcast in ((STREAM_ONLINE, LIVE), (STREAM_OFFLINE, ENDED)):
                found = self.ask(event_type, broadcast, post=post, requested=True)
                self.assertEqual((found.action, found.end), (None, State.SUPERSEDED), (post, event_type))

    def test_overtaken(self) -> None:
        """
        A change that waits shows the newest state itself.
        """
        self.assertEqual(self.ask(overtaken=True).reason, OVERTAKEN)

    def test_what_the_destination_asks_for(self) -> None:
        """
        A preview is refreshed where posts show one and are edited at changes; a recording where they are edited at the
        end. No other delivery has refreshes.
        """
        ends = (STREAM_OFFLINE, ENDED)
        for more, preview, recording in (
            ({"on_update": "post"}, False, True),
            ({"events": ("online", "offline")}, False, True),
            ({"events": ("online", "update")}, True, False),
            ({"on_offline": "delete"}, True, False),
            ({"on_offline": "post"}, True, False),
        ):
            self.setUp()
            self.card = evolve(RefreshTests.card, policy=evolve(RefreshTests.card.policy, **more))
            self.assertEqual(self.ask().action is not None, preview, more)
            self.assertEqual(self.ask(*ends).action is not None, recording, more)
            self.assertEqual(self.planned() != (), preview, more)
            self.assertEqual(self.planned(*ends, action=Action.EDIT) != (), recording, more)
        self.card = evolve(RefreshTests.card, previews=False)
        self.assertEqual((self.ask().action, self.planned()), (None, ()))
        self.card = evolve(RefreshTests.card, edits=False)
        self.assertEqual((self.ask(*ends).action, self.planned(*ends)), (None, ()))

    def planned(
        self,
        event_type: str = STREAM_ONLINE,
        broadcast: Broadcast = LIVE,
        action: Action = Action.CREATE,
        vods: tuple[str, ...] = (),
    ) -> tuple[float, ...]:
        policy = PostPolicy(
            lambda: 300.0, lambda: 60.0, lambda _: False, lambda: NOW, lambda: NOW, lambda: (120.0,), lambda: (600.0,)
        )
        event = evolve(ONLINE, event_type=event_type)
        found = Enrichment(stream=StreamDetails(title="pottery"), vods=vods)
        notice = policy.notice(event, Streamer(key="tanuki"), found, self.card, Standing(broadcast=broadcast), action)
        return policy.refreshes(event, notice, self.card, action)

    def test_which_deliveries_are_followed(self) -> None:
        """
        A creation, and the start of a further stream, are followed by refreshes of the preview; a change and a refresh
        are not. The end is followed by those of the recording, unless there is one of each stream.
        """
        self.assertEqual(self.planned(), (120.0,))
        self.assertEqual(self.planned(action=Action.EDIT), (120.0,))
        self.assertEqual(self.planned(CHANNEL_UPDATE), (120.0,))
        self.assertEqual(self.planned(CHANNEL_UPDATE, action=Action.EDIT), ())
        self.assertEqual(self.planned(action=Action.REFRESH), ())
        self.assertEqual(self.planned(action=Action.FOLLOW_UP), ())
        self.assertEqual(self.planned(broadcast=ENDED), ())
        over = evolve(ENDED, stream_ids=("1", "2"))
        self.assertEqual(self.planned(STREAM_OFFLINE, over, Action.EDIT, ("one",)), (600.0,))
        self.assertEqual(self.planned(STREAM_OFFLINE, over, Action.EDIT, ("one", "two")), ())
        self.assertEqual(self.planned(STREAM_OFFLINE, over, Action.DELETE), ())

    def test_as_of_now(self) -> None:
        """
        What is refreshed is the broadcast as it is, with its last stream, whatever had shown it; an end stays an end.
        """
        found = as_refresh(evolve(ONLINE, event_type=CHANNEL_UPDATE, title="old"), evolve(LIVE, stream_ids=("1", "2")))
        self.assertEqual((found.event_type, found.stream_id), (STREAM_ONLINE, "2"))
        over = evolve(ONLINE, event_type=STREAM_OFFLINE)
        self.assertEqual(as_refresh(over, ENDED), over)

    def test_needed(self) -> None:
        """
        Of what the post shows already, only a preview is worth another edit.
        """
        notice = Notice(
            event=ONLINE,
            streamer=Streamer(key="tanuki"),
            enrichment=Enrichment(stream=StreamDetails(thumbnail_url="https://example.com/a.jpg")),
            built_at=NOW,
        )
        bare, over = (
            evolve(notice, enrichment=Enrichment()),
            evolve(notice, event=evolve(ONLINE, event_type=STREAM_OFFLINE)),
        )
        found = [is_needless(each, Action.REFRESH) for each in (notice, bare, over)]
        self.assertEqual(found, [False, True, True])
        self.assertEqual([is_needless(notice, each) for each in (Action.EDIT, Action.CREATE)], [True, False])

    def test_titles(self) -> None:
        """
        What Twitch says counts, but for a moment after a change, in which it may still say what was before; and after
        the end, when it may already say what comes next.
        """
        found = Enrichment(stream=StreamDetails(title="glazing", game_name="Crafts"))
        known = evolve(LIVE, category="Art")
        titles = [
            complete(event, found, known, is_behind=is_behind)[1].stream.title
            for event, is_behind in (
                (ONLINE, False),
                (ONLINE, True),
                (evolve(ONLINE, event_type=STREAM_OFFLINE), False),
            )
        ]
        self.assertEqual(titles, ["glazing", "pottery", "pottery"])
        policy = NoticeTests.policy
        recent = [policy.is_recent(evolve(LIVE, seen_at=NOW - ago)) for ago in (89.0, 90.0)]
        self.assertEqual(recent, [True, False])


class NoticeTests(SynchronousTestCase):
    """
    What is rendered, when, and with whom mentioned.
    """

    window = 300.0
    policy = PostPolicy(lambda: 300.0, lambda: 60.0, lambda _: False, lambda: NOW, lambda: NOW)

    def notice(
        self, event_type: str, action: Action, broadcast: Broadcast = LIVE, title: str = "pottery", **standing: Any
    ) -> Notice:
        destination = Destination(name="main", url="", policy=DestinationPolicy(mention=("role:1",)), place=PLACE)
        return self.policy.notice(
            evolve(ONLINE, event_type=event_type),
            Streamer(key="tanuki"),
            Enrichment(stream=StreamDetails(title=title)),
            destination,
            Standing(broadcast=broadcast, **standing),
            action,
        )

    def test_one_mention(self) -> None:
        """
        The creation mentions unless there was a mention; an edit keeps the text of one; a further message has none.
        """
        self.assertTrue(self.notice(STREAM_ONLINE, Action.CREATE).mention)
        self.assertFalse(self.notice(STREAM_ONLINE, Action.CREATE, mentioned=True).mention)
        self.assertTrue(self.notice(CHANNEL_UPDATE, Action.EDIT, mentioned=True).mention)
        self.assertFalse(self.notice(CHANNEL_UPDATE, Action.EDIT).mention)
        self.assertFalse(self.notice(CHANNEL_UPDATE, Action.FOLLOW_UP, mentioned=True).mention)

    def test_late(self) -> None:
        """
        What is created after the end shows the end, makes no sound and mentions no one.
        """
        found = self.notice(STREAM_ONLINE, Action.CREATE, ENDED)
        self.assertEqual((found.event.event_type, found.silent, found.mention), (STREAM_OFFLINE, True, False))
        drop = evolve(LIVE, offline_at=NOW - 10)
        self.assertEqual(self.notice(STREAM_ONLINE, Action.CREATE, drop).event.event_type, STREAM_ONLINE)

    def test_cooldown(self) -> None:
        """
        Within the cooldown after the last mention for a streamer there is no further one.
        """
        policy = DestinationPolicy(mention=("everyone",), cooldown=1800.0)
        for ago, expected in ((0.0, False), (1799.0, False), (1800.0, True)):
            self.assertEqual(may_mention(policy, Standing(mentioned_at=NOW - ago), NOW), expected)
        self.assertTrue(may_mention(policy, Standing(), NOW))
        self.assertFalse(may_mention(DestinationPolicy(), Standing(), NOW))

    def test_what_is_shown(self) -> None:
        """
        The title, and the end with its time, are worth an edit. What a post shows does not depend on an end that it
        does not show: else the end would count as shown already.
        """
        online = hash_shown(self.notice(STREAM_ONLINE, Action.CREATE))
        drop = evolve(LIVE, offline_at=NOW - 10)
        self.assertEqual(hash_shown(self.notice(STREAM_ONLINE, Action.CREATE, drop)), online)
        self.assertEqual(hash_shown(self.notice(CHANNEL_UPDATE, Action.EDIT)), online)
        over = {
            hash_shown(self.notice(STREAM_OFFLINE, Action.EDIT, evolve(LIVE, offline_at=at))) for at in (0.0, NOW - 10)
        }
        self.assertEqual(len({online, hash_shown(self.notice(STREAM_ONLINE, Action.EDIT, title="x")), *over}), 4)

    def test_delays(self) -> None:
        """
        A start is due at once, a change after the settling, an end after the window; a recovered end counts from then.
        """
        update = evolve(ONLINE, event_type=CHANNEL_UPDATE)
        end = evolve(ONLINE, event_type=STREAM_OFFLINE, occurred_at=NOW - 100)
        found = [self.policy.delay(each) for each in (ONLINE, update, end)]
        self.assertEqual(found, [0.0, 60.0, 300.0])
        for occurred_at, delay in ((NOW - 100, 200.0), (NOW - 900, 0.0), (0.0, 0.0)):
            self.assertEqual(self.policy.delay(evolve(end, recovered=True, occurred_at=occurred_at)), delay)

    def test_false_alarm(self) -> None:
        """
        An end that was none shows the title and the category of the moment.
        """
        stream = StreamDetails(listed=True, title="glazing", game_id="5", game_name="Crafts")
        found = as_update(evolve(ONLINE, event_type=STREAM_OFFLINE), Enrichment(stream=stream))
        self.assertEqual((found.event_type, found.title, found.category), (CHANNEL_UPDATE, "glazing", "Crafts"))

    def test_what_could_not_be_found_out(self) -> None:
        """
        Title, category and type that are not known are those of the broadcast; a change that says so has none.
        """
        broadcast = evolve(LIVE, category="Art", type="rerun")
        event, enrichment = complete(evolve(ONLINE, type=""), Enrichment(), broadcast)
        self.assertEqual(
            (event.type, enrichment.stream.title, enrichment.stream.game_name), ("rerun", "pottery", "Art")
        )
        event, enrichment = complete(evolve(ONLINE, event_type=CHANNEL_UPDATE), Enrichment(), broadcast)
        self.assertEqual((event.type, enrichment.stream.title), ("live", ""))


class ReturnTests(SynchronousTestCase):
    """
    A start whose stream is known.
    """

    def test_back_after_its_end(self) -> None:
        """
        It is news when its message was sent after the end of the last broadcast, and that was this stream; once
        for each end.
        """
        back = evolve(ONLINE, message_id="m2", sent_at=NOW - 500)
        found = as_return(back, ENDED)
        assert found is not None
        self.assertEqual(found.keys, ("message:m2", f"return:e1:{NOW - 600:.3f}"))
        self.assertIsNotNone(as_return(back, evolve(ENDED, offline_at=0.0)))

    def test_copies(self) -> None:
        """
        While the broadcast is live, of an older stream, or sent before the end, it is a copy.
        """
        back = evolve(ONLINE, sent_at=NOW - 500)
        for event, latest in (
            (back, None),
            (back, LIVE),
            (back, evolve(ENDED, stream_ids=("1", "2"))),
            (evolve(back, sent_at=NOW - 600), ENDED),
            (evolve(back, sent_at=NOW - 601), ENDED),
        ):
            self.assertIsNone(as_return(event, latest))
