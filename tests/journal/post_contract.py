"""
What every journal must do about broadcasts and their posts, as tests: inherited beside :class:`JournalContract`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from itsjustintv.model import (
    CHANNEL_UPDATE,
    STREAM_OFFLINE,
    STREAM_ONLINE,
    Action,
    Attempt,
    Delivery,
    PostState,
    Standing,
    State,
    Verdict,
    rfc3339,
)
from tests.journal.contract import NOW, TTL
from tests.journal.values import attempt, deliveries, event

__all__ = ["PostContract"]

WINDOW = 300.0


class PostContract:
    """
    Uses what the contract of the journal has.
    """

    journal: Any
    clock: Any
    assertEqual: Any
    assertTrue: Any
    assertIsNone: Any

    def news(self, name: str, event_type: str, at: float = 0.0, *destinations: str, **more: Any) -> Deferred[bool]:
        """
        Something happens ``at`` seconds after the test has begun.
        """
        if event_type == STREAM_ONLINE:
            times: dict[str, Any] = {"started_at": rfc3339(NOW + at)}
        else:
            times = {"occurred_at": NOW + at, "stream_id": "", "started_at": "", "type": ""}
        found = event(name, event_type=event_type, received_at=NOW + at, **{**times, **more})
        if event_type != STREAM_ONLINE:
            found = evolve(found, keys=(f"message of {name}",))
        about = [evolve(each, broadcast=name) for each in deliveries(found, *(destinations or ("a",)))]
        return self.journal.accept(found, about, self.clock.seconds() + TTL, WINDOW)

    def online(self, name: str, at: float = 0.0, **more: Any) -> Deferred[bool]:
        return self.news(name, STREAM_ONLINE, at, **more)

    def offline(self, name: str, at: float, **more: Any) -> Deferred[bool]:
        return self.news(name, STREAM_OFFLINE, at, **more)

    def update(self, name: str, at: float, **more: Any) -> Deferred[bool]:
        return self.news(name, CHANNEL_UPDATE, at, **more)

    async def broadcast_of(self, delivery_id: str) -> str:
        return (await self.journal.load(delivery_id)).broadcast

    async def standing(self, delivery_id: str) -> Standing:
        found: Standing = await self.journal.standing(delivery_id)
        return found

    async def state(self, delivery_id: str) -> State:
        return (await self.journal.load(delivery_id)).state

    async def attempted(
        self, delivery_id: str, *, ok: bool = True, state: State | None = None, **more: Any
    ) -> Delivery:
        """
        An attempt ends.
        """
        tried: Attempt = attempt(ok, place="p", **more)
        end = state or (State.DELIVERED if ok else State.PENDING)
        found: Delivery = await self.journal.settle(delivery_id, end, "", self.clock.seconds(), tried)
        return found

    async def posted(self, name: str = "e1", **more: Any) -> None:
        """
        A broadcast begins, and its message is created as ``m1``.
        """
        await self.online(name, **more)
        await self.journal.prepare(f"{name}-1", b"{}", None, NOW, "Pottery", "Art", shown="s1", mention=True)
        await self.attempted(f"{name}-1", remote="m1")

    # What is one broadcast

    async def test_one_broadcast_over_a_drop(self) -> None:
        """
        A stream that begins within the window after the end goes on with the broadcast; a later one begins another.
        """
        await self.online("e1")
        await self.offline("e2", 100)
        await self.online("e3", 100 + WINDOW)
        await self.offline("e4", 1000)
        await self.online("e5", 1001 + WINDOW)
        self.assertEqual([await self.broadcast_of(f"e{each}-1") for each in (1, 2, 3, 4, 5)], ["e1"] * 4 + ["e5"])
        found = (await self.standing("e3-1")).broadcast
        self.assertEqual((found.stream_ids, found.offline_at), (("stream of e1", "stream of e3"), NOW + 1000))
        self.assertEqual((found.started_at, found.type), (rfc3339(NOW), "live"))

    async def test_same_stream_after_any_time(self) -> None:
        """
        A stream that comes back under its id goes on with the broadcast, however late.
        """
        await self.online("e1")
        await self.offline("e2", 100)
        await self.online("e3", 5000, stream_id="stream of e1", keys=("other",))
        self.assertEqual(await self.broadcast_of("e3-1"), "e1")
        self.assertEqual([each.id for each in await self.journal.live_broadcasts()], ["e1"])

    async def test_stream_that_comes_back(self) -> None:
        """
        A stream that came back under its id is live since then: an end that was reported before is an old one.
        """
        self.assertIsNone(await self.journal.latest_broadcast("1337"))
        await self.online("e1")
        await self.offline("e2", 100)
        latest = await self.journal.latest_broadcast("1337")
        self.assertEqual((latest.id, latest.offline_at), ("e1", NOW + 100))
        await self.online("e3", 0, stream_id="stream of e1", keys=("other",), sent_at=NOW + 160)
        self.assertTrue((await self.journal.latest_broadcast("1337")).is_live)
        await self.offline("e4", 150)
        self.assertEqual(await self.broadcast_of("e4-1"), "")
        await self.offline("e5", 900)
        found = (await self.standing("e5-1")).broadcast
        self.assertEqual((found.id, found.duration), ("e1", 900.0))

    async def test_end_before_the_start(self) -> None:
        """
        The end of the stream before ends that one, though the next has begun by then; an end of none is about none.
        """
        await self.offline("e0", -10)
        self.assertEqual(await self.broadcast_of("e0-1"), "")
        await self.online("e1")
        await self.online("e2", 1000)
        await self.offline("e3", 990)
        self.assertEqual(await self.broadcast_of("e3-1"), "e1")
        self.assertEqual([each.id for each in await self.journal.live_broadcasts()], ["e2"])
        await self.offline("e4", 995)
        self.assertEqual(await self.broadcast_of("e4-1"), "")

    async def test_ids_of_a_clock_that_was_set_back(self) -> None:
        """
        Which broadcast is the latest is decided by Twitch's times, also where the id of a later one sorts before.
        """
        await self.online("e9")
        await self.offline("f1", 100)
        await self.online("e1", 1000)
        await self.update("f2", 1100)
        await self.offline("f3", 1200)
        self.assertEqual([await self.broadcast_of(f"f{each}-1") for each in (1, 2, 3)], ["e9", "e1", "e1"])

    async def test_old_changes(self) -> None:
        """
        A change that is older than the start or than the last change is about no broadcast; so is one after the end.
        """
        await self.online("e1", 10)
        await self.update("e2", 5)
        await self.update("e3", 30)
        await self.update("e4", 20)
        await self.offline("e5", 50)
        await self.update("e6", 60)
        found = [await self.broadcast_of(f"e{each}-1") for each in (2, 3, 4, 5, 6)]
        self.assertEqual(found, ["", "e1", "", "e1", ""])

    async def test_recovered_end(self) -> None:
        """
        An end that was found without a message names the stream, and may have no time; a message adds it.
        """
        await self.online("e1")
        await self.online("e2", 1000)
        await self.offline("e3", 0, recovered=True, occurred_at=0.0, stream_id="stream of e1")
        self.assertEqual(await self.broadcast_of("e3-1"), "e1")
        found = (await self.standing("e3-1")).broadcast
        self.assertEqual((found.offline_at, found.duration, found.is_live), (0.0, None, False))
        await self.offline("e4", 500)
        found = (await self.standing("e4-1")).broadcast
        self.assertEqual((found.id, found.duration), ("e1", 500.0))
        self.assertEqual([each.id for each in await self.journal.live_broadcasts()], ["e2"])

    async def test_resumed(self) -> None:
        """
        A broadcast whose end was a false alarm is live.
        """
        await self.online("e1")
        await self.offline("e2", 100)
        self.assertEqual(await self.journal.live_broadcasts(), [])
        await self.journal.resume("e1", NOW + 200)
        self.assertTrue((await self.standing("e2-1")).broadcast.is_live)
        await self.offline("e3", 300)
        self.assertEqual(await self.broadcast_of("e3-1"), "e1")

    async def test_another_name_of_the_destination(self) -> None:
        """
        A post is found by its place when its destination has another name, and belongs to that from the next change.
        """
        await self.posted()
        await self.news("e2", CHANNEL_UPDATE, 100, "cards")
        self.assertIsNone((await self.standing("e2-1")).post)
        found = (await self.journal.standing("e2-1", "p")).post
        self.assertEqual((found.destination, found.remote), ("a", "m1"))
        self.assertIsNone((await self.journal.standing("e2-1", "elsewhere")).post)
        await self.journal.prepare("e2-1", b"{}", None, NOW, action=Action.EDIT, shown="s2", form="p")
        self.assertEqual((await self.journal.load("e2-1")).remote, "m1")

    async def test_prepared_again(self) -> None:
        """
        A delivery whose payload fits no more is accepted again and due, with its age and attempts; one that has ended
        stays as it is.
        """
        await self.online("e1")
        await self.journal.prepare("e1-1", b"{}", b"picture", NOW, shown="s1", mention=True, form="p")
        await self.attempted("e1-1", ok=False)
        before = await self.journal.load("e1-1")
        self.assertEqual((before.form, before.picture), ("p", b"picture"))
        await self.journal.unprepare("e1-1", NOW + 5)
        found = await self.journal.load("e1-1")
        self.assertEqual(
            found,
            evolve(
                before,
                state=State.ACCEPTED,
                body=b"",
                picture=None,
                form="",
                shown="",
                mention=False,
                next_attempt_at=NOW + 5,
            ),
        )
        await self.journal.prepare("e1-1", b"{2}", b"another", NOW)
        await self.attempted("e1-1")
        await self.journal.unprepare("e1-1", NOW + 9)
        self.assertEqual(await self.state("e1-1"), State.DELIVERED)

    # What waits

    async def test_later_news_supersedes(self) -> None:
        """
        Of what is accepted for a post only the start of the broadcast and the newest remain, at each destination.
        """
        await self.news("e1", STREAM_ONLINE, 0, "a", "b")
        await self.news("e2", CHANNEL_UPDATE, 10, "a", "b")
        await self.news("e3", STREAM_OFFLINE, 20, "a")
        ended = {name: await self.state(name) for name in ("e1-1", "e1-2", "e2-1", "e2-2", "e3-1")}
        self.assertEqual([name for name, state in ended.items() if state is State.SUPERSEDED], ["e2-1"])
        account = await self.journal.accounting()
        self.assertEqual((account.superseded, account.wanted, account.imbalance), (1, 5, 0))

    async def test_settling_has_an_end(self) -> None:
        """
        Changes that never stop are shown five minutes after the first of them.
        """
        await self.online("e1")
        for number in range(2, 9):
            found = event(f"e{number}", event_type=CHANNEL_UPDATE, occurred_at=NOW + 60 * number, received_at=NOW)
            about = [
                evolve(each, broadcast="x", accepted_at=NOW + 60 * number, next_attempt_at=NOW + 60 * (number + 2))
                for each in deliveries(found, "a")
            ]
            await self.journal.accept(found, about, NOW + TTL, WINDOW)
        last = await self.journal.load("e8-1")
        self.assertEqual((last.accepted_at, last.next_attempt_at), (NOW + 120, NOW + 120 + 300))

    async def test_prepared_change_supersedes(self) -> None:
        """
        A change that is prepared takes the place of the one before it that waits for an attempt, never of the creation.
        """
        await self.online("e1")
        await self.journal.prepare("e1-1", b"{}", None, NOW)
        for name, at in (("e2", 10), ("e3", 20)):
            await self.update(name, at)
            await self.journal.prepare(f"{name}-1", b"{}", None, NOW, action=Action.EDIT)
        found = [await self.state(f"e{each}-1") for each in (1, 2, 3)]
        self.assertEqual(found, [State.PENDING, State.SUPERSEDED, State.PENDING])

    # Refreshes

    async def refreshed(self, *refreshes: float, remote: str = "m1") -> Sequence[Delivery]:
        """
        A broadcast begins; its message is created, and to be refreshed after so many seconds.

        :return: the refreshes that are accepted.
        """
        await self.online("e1")
        await self.journal.prepare("e1-1", b"{}", None, NOW, "Pottery", "Art", shown="s1", refreshes=refreshes)
        self.assertEqual(await self.waiting(), [])
        await self.attempted("e1-1", remote=remote)
        return await self.waiting()

    async def waiting(self) -> Sequence[Delivery]:
        found = await self.journal.unprepared(NOW + 86400.0, 99)
        return [each for _, each in found if each.action is Action.REFRESH]

    async def test_refreshes_are_accepted_with_the_creation(self) -> None:
        """
        In the transaction that stores that a post was created its refreshes are accepted, as further deliveries of the
        same event, and counted; a restart keeps them.
        """
        await self.refreshed(120.0, 360.0)
        await self.restart()
        found = await self.waiting()
        self.assertEqual(
            [(each.id, each.next_attempt_at) for each in found], [("e1-2", NOW + 120), ("e1-3", NOW + 360)]
        )
        self.assertEqual({(each.event_id, each.destination, each.broadcast) for each in found}, {("e1", "a", "e1")})
        account = await self.journal.accounting()
        self.assertEqual((account.wanted, account.delivered, account.accepted, account.imbalance), (3, 1, 2, 0))
        # It is not late for anything.
        self.assertIsNone((await self.journal.census()).oldest_at)

    async def test_history_of_refreshes(self) -> None:
        """
        To those who look at it a refresh is part of the event, neither resent nor requeued, and not accepted with it.
        """
        await self.refreshed(120.0)
        found = await self.journal.find_event("e1")
        about = [(each.is_refresh, each.came_later, each.resent) for each in found.deliveries]
        self.assertEqual(about[1], (True, True, False))
        self.assertEqual((about[0][0], about[0][2], found.deliveries[1].revived), (False, False, False))
        [alone] = (await self.journal.find_delivery("e1-2")).deliveries
        self.assertEqual((alone.is_refresh, alone.resent), (True, False))
        await self.journal.resend("e1-1")
        self.assertEqual(
            [each.resent for each in (await self.journal.find_event("e1")).deliveries], [False, False, True]
        )
        texts = [each.text for each in found.steps()]
        self.assertIn("stored with its deduplication keys, for 1 destination", texts)
        self.assertIn("accepted e1-2, which refreshes the post", texts)

    async def test_late_refreshes(self) -> None:
        """
        The refreshes whose time has passed when the post is created become one that is due at once.
        """
        self.clock.advance(400.0)
        found = await self.refreshed(120.0, 360.0, 500.0)
        self.assertEqual([each.next_attempt_at for each in found], [NOW + 400, NOW + 500])

    async def test_no_refresh_without_a_success(self) -> None:
        """
        A creation that fails has no refreshes.
        """
        await self.online("e1")
        await self.journal.prepare("e1-1", b"{}", None, NOW, refreshes=(120.0,))
        await self.attempted("e1-1", ok=False, state=State.DEAD)
        self.assertEqual(await self.waiting(), [])

    async def test_a_refresh_creates_nothing(self) -> None:
        """
        To what comes later, a refresh that waits is neither a creation nor a change; it is no reason against sending
        the creation again.
        """
        await self.refreshed(120.0)
        await self.update("e2", 10)
        found = await self.standing("e2-1")
        self.assertEqual((found.creating, found.changing, found.overtaken), (None, False, False))
        self.assertEqual((await self.journal.resend("e1-1")).id, "e1-3")

    async def test_a_change_supersedes_refreshes(self) -> None:
        """
        A change that is prepared takes the place of every refresh of the same post; one that is only accepted does not.
        """
        await self.refreshed(120.0, 360.0)
        await self.journal.prepare("e1-2", b"{}", None, NOW, action=Action.REFRESH)
        await self.update("e2", 10)
        self.assertEqual([await self.state(f"e1-{each}") for each in (2, 3)], [State.PENDING, State.ACCEPTED])
        self.assertTrue((await self.standing("e2-1")).changing)
        await self.journal.prepare("e2-1", b"{}", None, NOW, action=Action.EDIT)
        self.assertEqual([await self.state(f"e1-{each}") for each in (2, 3)], [State.SUPERSEDED] * 2)
        account = await self.journal.accounting()
        self.assertEqual((account.superseded, account.wanted, account.imbalance), (2, 4, 0))

    async def test_a_refresh_that_is_overtaken(self) -> None:
        """
        A refresh is overtaken by any change that waits for an attempt; it supersedes other refreshes that are due, and
        no change.
        """
        await self.refreshed(120.0, 360.0)
        await self.update("e2", 10)
        await self.journal.prepare("e2-1", b"{}", None, NOW, action=Action.EDIT, refreshes=(5.0, 60.0))
        await self.attempted("e2-1")
        self.clock.advance(30.0)
        await self.journal.prepare("e2-2", b"{}", None, NOW + 30, action=Action.REFRESH)
        self.assertEqual(
            ((await self.standing("e2-3")).overtaken, (await self.standing("e2-3")).changing), (False, True)
        )
        self.assertEqual([await self.state(f"e2-{each}") for each in (2, 3)], [State.PENDING, State.ACCEPTED])
        await self.update("e3", 40)
        await self.journal.prepare("e3-1", b"{}", None, NOW + 40, action=Action.EDIT, refreshes=(5.0, 60.0))
        self.assertEqual([await self.state(f"e2-{each}") for each in (2, 3)], [State.SUPERSEDED] * 2)
        await self.attempted("e3-1")
        await self.update("e4", 50)
        await self.journal.prepare("e3-2", b"{}", None, NOW + 50, action=Action.REFRESH)
        self.assertFalse((await self.standing("e3-3")).overtaken)
        await self.journal.prepare("e3-3", b"{}", None, NOW + 90, action=Action.REFRESH)
        self.assertEqual([await self.state(f"e3-{each}") for each in (2, 3)], [State.SUPERSEDED, State.PENDING])
        await self.journal.resend("e1-1")
        await self.journal.prepare("e1-4", b"{}", None, NOW + 90, action=Action.EDIT)
        self.assertEqual(await self.state("e3-3"), State.SUPERSEDED)

    async def test_a_refresh_that_is_prepared_again(self) -> None:
        """
        A refresh whose payload is taken away is still one, and creates nothing.
        """
        await self.refreshed(120.0)
        await self.journal.prepare("e1-2", b"{}", None, NOW, action=Action.REFRESH)
        await self.journal.unprepare("e1-2", NOW)
        self.assertEqual([each.id for each in await self.waiting()], ["e1-2"])

    async def test_what_a_refresh_shows(self) -> None:
        """
        A refresh changes what the post shows; without an answer that is not known. That of an end leaves it closed.
        """
        await self.refreshed(120.0)
        await self.offline("e2", 10)
        await self.journal.prepare("e1-2", b"{}", None, NOW, action=Action.REFRESH, shown="s2")
        await self.attempted("e1-2", ok=False, status=None, reason="timeout")
        self.assertEqual((await self.standing("e2-1")).post.shown, "")
        await self.attempted("e1-2")
        found = (await self.standing("e2-1")).post
        self.assertEqual((found.shown, found.state), ("s2", PostState.OPEN))
        await self.journal.prepare("e2-1", b"{}", None, NOW, action=Action.EDIT, shown="s3", refreshes=(600.0,))
        await self.attempted("e2-1")
        await self.journal.prepare("e2-2", b"{}", None, NOW, action=Action.REFRESH, shown="s4")
        await self.attempted("e2-2")
        found = (await self.standing("e2-2")).post
        self.assertEqual((found.shown, found.state), ("s4", PostState.CLOSED))

    # What stands there

    async def test_post_with_its_attempt(self) -> None:
        """
        What an attempt did to the post is stored with the attempt: created, edited, over, gone.
        """
        await self.posted()
        await self.update("e2", 10)
        found = await self.standing("e2-1")
        self.assertEqual((found.post.remote, found.post.place, found.post.shown), ("m1", "p", "s1"))
        self.assertEqual((found.post.state, found.mentioned, found.mentioned_at), (PostState.OPEN, True, NOW))
        self.assertEqual((found.broadcast.title, found.broadcast.category), ("Pottery", "Art"))
        await self.journal.prepare("e2-1", b"{}", None, NOW, "Glazing", "", action=Action.EDIT, shown="s2")
        self.assertEqual((await self.journal.load("e2-1")).remote, "m1")
        await self.attempted("e2-1")
        await self.offline("e3", 20)
        found = await self.standing("e3-1")
        self.assertEqual((found.post.shown, found.broadcast.title, found.broadcast.category), ("s2", "Glazing", "Art"))
        await self.journal.prepare("e3-1", b"{}", None, NOW, action=Action.EDIT, shown="s3")
        await self.attempted("e3-1")
        self.assertEqual((await self.standing("e3-1")).post.state, PostState.CLOSED)
        await self.attempted("e3-1", ok=False, state=State.SUPERSEDED, verdict=Verdict.MESSAGE_GONE, status=404)
        self.assertEqual((await self.standing("e3-1")).post.state, PostState.GONE)

    async def test_created_without_an_id(self) -> None:
        """
        A post whose id the answer did not have is lost, and is not created again.
        """
        await self.online("e1")
        await self.journal.prepare("e1-1", b"{}", None, NOW)
        await self.attempted("e1-1")
        await self.offline("e2", 10)
        self.assertEqual((await self.standing("e2-1")).post.state, PostState.LOST)

    async def test_uncertain(self) -> None:
        """
        A creation without an answer, or with 5xx, may have created; one that was refused has not. After an edit without
        an answer it is not known what is shown.
        """
        for number, (status, reason, uncertain) in enumerate(
            ((None, "timeout", True), (502, "http_502", True), (429, "http_429", False), (None, "refused", False))
        ):
            name, other = f"e{number}x", f"e{number}y"
            await self.online(name, broadcaster_id=str(number))
            await self.journal.prepare(f"{name}-1", b"{}", None, NOW)
            await self.attempted(f"{name}-1", ok=False, status=status, reason=reason)
            await self.offline(other, 10, broadcaster_id=str(number))
            found = await self.standing(f"{other}-1")
            self.assertEqual((found.creating, found.uncertain), (f"{name}-1", uncertain), reason)
        await self.posted("e5")
        await self.update("e6", 10)
        await self.journal.prepare("e6-1", b"{}", None, NOW, action=Action.EDIT, shown="s2")
        await self.attempted("e6-1", ok=False, status=None, reason="timeout")
        self.assertEqual((await self.standing("e6-1")).post.shown, "")

    async def test_what_came_before_and_after(self) -> None:
        """
        A delivery knows whether the creation before it failed or was given up, and which changes are around it.
        """
        await self.online("e1")
        await self.journal.prepare("e1-1", b"{}", None, NOW)
        await self.journal.settle("e1-1", State.DEAD, "", NOW)
        await self.update("e2", 10)
        self.assertEqual((await self.standing("e2-1")).failed, State.DEAD)
        await self.online("e3", 5000, broadcaster_id="7")
        await self.journal.settle("e3-1", State.SUPERSEDED, "", NOW)
        await self.offline("e4", 5001, broadcaster_id="7")
        found = await self.standing("e4-1")
        self.assertEqual((found.given_up, found.failed, found.creating), (True, None, None))
        await self.posted("e5", broadcaster_id="8")
        await self.update("e6", 10, broadcaster_id="8")
        await self.journal.prepare("e6-1", b"{}", None, NOW, action=Action.EDIT)
        await self.update("e7", 20, broadcaster_id="8")
        self.assertTrue((await self.standing("e7-1")).changing)
        await self.journal.prepare("e7-1", b"{}", None, NOW, action=Action.EDIT)
        self.assertTrue((await self.standing("e6-1")).overtaken)

    async def test_asked_for_again(self) -> None:
        """
        What an operator requeues or resends of a post is made again, and known to be asked for.
        """
        await self.posted()
        again = await self.journal.resend("e1-1")
        self.assertEqual((again.state, again.body, again.mention, again.requested), (State.ACCEPTED, b"", False, True))
        found = await self.standing("e1-2")
        self.assertEqual((found.requested, found.mentioned, found.post.remote), (True, True, "m1"))
        await self.offline("e2", 10)
        await self.journal.prepare("e2-1", b"{}", None, NOW, action=Action.EDIT)
        await self.journal.settle("e2-1", State.DEAD, "", NOW)
        requeued = await self.journal.retry("e2-1")
        self.assertEqual((requeued.state, requeued.requested), (State.ACCEPTED, True))

    async def test_resent_after_the_end(self) -> None:
        """
        What is sent again after the end shows the end, so that the post needs no further change.
        """
        await self.posted()
        await self.offline("e2", 10)
        await self.journal.prepare("e2-1", b"{}", None, NOW, action=Action.EDIT)
        await self.journal.settle("e2-1", State.DELIVERED, "", NOW, attempt(ok=True))
        await self.journal.resend("e1-1")
        await self.journal.prepare("e1-2", b"{}", None, NOW, action=Action.EDIT)
        await self.journal.settle("e1-2", State.DELIVERED, "", NOW, attempt(ok=True))
        self.assertIs((await self.standing("e1-2")).post.state, PostState.CLOSED)

    # Places

    async def test_places(self) -> None:
        """
        What an attempt says of its place is stored with it, until an operator requeues something; a move stays.
        """
        await self.news("e1", STREAM_ONLINE, 0, "a", "b", "c")
        for number, (verdict, moved_to) in enumerate(
            ((Verdict.DESTINATION_GONE, ""), (Verdict.MOVED, "-100"), (Verdict.UNAUTHORIZED, "")), 1
        ):
            await self.journal.prepare(f"e1-{number}", b"{}", None, NOW)
            tried = attempt(access=f"p{number}", verdict=verdict, moved_to=moved_to, status=400)
            await self.journal.settle(f"e1-{number}", State.DEAD, "gone", NOW, tried)
        moved = ("p2", (Verdict.MOVED, "-100"))
        gone, refused = ("p1", (Verdict.DESTINATION_GONE, "")), ("p3", (Verdict.UNAUTHORIZED, ""))
        await self.restart()
        self.assertEqual(dict(await self.journal.places()), dict((gone, moved, refused)))
        await self.journal.forget_places(["p3"])
        self.assertEqual(dict(await self.journal.places()), dict((gone, moved)))
        await self.journal.retry("e1-1")
        self.assertEqual(dict(await self.journal.places()), dict((moved,)))

    async def restart(self) -> None:
        raise NotImplementedError
