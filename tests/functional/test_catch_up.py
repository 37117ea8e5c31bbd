"""
The real daemon announces what began while nobody was listening.
"""

from __future__ import annotations

from attrs import evolve

from itsjustintv.simulator.process import DaemonProcess
from itsjustintv.simulator.subscriptions import SimulatedSubscription
from itsjustintv.simulator.world import SimulatedStream, rfc3339
from tests.functional.stage import Stage, StageCase
from tests.functional.test_delivery import acknowledged, go_live

#: The stage has it off, unless a test says something of it.
CATCHING_UP = "[catch_up]\nenabled = true\n"


class CatchUpCase(StageCase):
    """
    A daemon that has been there before.
    """

    async def away(self, settings: str = CATCHING_UP) -> Stage:
        """
        A stage whose daemon has subscribed to everybody, and stopped.
        """
        stage = self.stage(settings=settings)
        stage.add_streamer("tanuki")
        stage.add_streamer("kitsune")
        daemon = await stage.started()
        await stage.subscribed()
        # What is not stored yet of a subscription would have it replaced at the next start.
        await daemon.said("subscriptions: ")
        await daemon.stop()
        return stage

    async def told(self, daemon: DaemonProcess, *, live: int, recovered: int = 0, known: int = 0, old: int = 0) -> None:
        """
        Wait until the daemon has asked who is live, and found so many.
        """
        await daemon.said(
            f"asked Twitch about 2 streamers: {live} live, {recovered} recovered,"
            f" {known} announced before, {old} live for more than "
        )

    async def late(self, stage: Stage, stream: SimulatedStream, **changes: str) -> None:
        """
        Let Twitch tell of a broadcast after all; the daemon must take it.

        :param changes: what it says differently.
        """
        await acknowledged(stage, stage.message(evolve(stream, **changes)))

    def subscription(self, stage: Stage, login: str) -> SimulatedSubscription:
        """
        The one that works.
        """
        (found,) = stage.twitch.subscriptions.enabled("stream.online", stage.twitch.world.channel(login).id)
        return found


class StartTests(CatchUpCase):
    """
    A start after some time away.
    """

    async def test_what_began_meanwhile_is_announced_once_and_marked(self) -> None:
        """
        A broadcast that began while the daemon was down is announced at the start, with ``recovered``. Neither Twitch's
        own message about it, which comes late and may have another idea of when it began, nor another start announces
        it again.
        """
        stage = await self.away()
        stream = stage.twitch.world.go_live("tanuki")
        daemon = await stage.started()
        notice = (await stage.receiver.delivery("/tanuki")).payload
        self.assertEqual(
            (notice["recovered"], notice["streamer_login"], notice["stream"]["id"]), (True, "tanuki", stream.id)
        )
        await self.told(daemon, live=1, recovered=1)
        await self.late(stage, stream)
        await daemon.said("it was accepted before")
        self.assertEqual((await stage.settled(stage.reactor)).delivered, 1)
        await daemon.stop()

        daemon = await stage.started()
        await self.told(daemon, live=1, known=1)
        await self.late(stage, stream, started_at=rfc3339(stage.reactor.seconds() - 60))
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.wanted, account.delivered), (1, 1))
        self.assertEqual(len(stage.receiver.received), 1)

    async def test_what_was_announced_in_time_is_not_announced_again(self) -> None:
        """
        A broadcast of which Twitch told in time, and that is still on at the next start, stays announced once, without
        the mark.
        """
        stage = self.stage(settings=CATCHING_UP)
        stage.add_streamer("tanuki")
        stage.add_streamer("kitsune")
        daemon = await stage.started()
        await self.told(daemon, live=0)
        await go_live(stage, "tanuki")
        self.assertNotIn("recovered", (await stage.receiver.delivery("/tanuki")).payload)
        await stage.settled(stage.reactor)
        await daemon.stop()

        await self.told(await stage.started(), live=1, known=1)
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.wanted, account.delivered, len(stage.receiver.received)), (1, 1, 1))

    async def test_what_is_no_news_any_more_is_not_announced(self) -> None:
        """
        A broadcast that began longer ago than ``catch_up.max_age`` is left alone; a younger one of somebody else is
        announced.
        """
        stage = await self.away('[catch_up]\nmax_age = "10m"\n')
        stage.twitch.world.go_live("kitsune", ago=601.0)
        stage.twitch.world.go_live("tanuki", ago=540.0)
        await self.told(await stage.started(), live=2, recovered=1, old=1)
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.wanted, account.delivered), (1, 1))
        self.assertEqual([each.path for each in stage.receiver.received], ["/tanuki"])

    async def test_nobody_is_asked_when_it_is_switched_off(self) -> None:
        """
        With ``catch_up.enabled = false`` Twitch is not asked who is live, and announces what it likes, unmarked.
        """
        stage = await self.away("[catch_up]\nenabled = false\n")
        asked = stage.twitch.requests.count("GET /helix/streams")
        stream = stage.twitch.world.go_live("tanuki")
        daemon = await stage.started()
        await daemon.said("subscriptions: 2 of 2 enabled")
        # It takes the daemon longer to see to that than it would have waited to ask.
        await stage.twitch.revoke(self.subscription(stage, "kitsune"), "user_removed")
        await daemon.said("1 created, 1 deleted")
        self.assertEqual(stage.twitch.requests.count("GET /helix/streams"), asked)
        await self.late(stage, stream)
        self.assertNotIn("recovered", (await stage.receiver.delivery("/tanuki")).payload)


class GapTests(CatchUpCase):
    """
    A subscription that was lost for a while.
    """

    async def test_what_began_in_the_gap_is_announced(self) -> None:
        """
        A broadcast that began after Twitch had ended the subscription, and before there was another one, is announced
        as soon as that one is enabled; nobody else is asked for.
        """
        stage = await self.away()
        daemon = await stage.started()
        await self.told(daemon, live=0)
        await stage.twitch.revoke(self.subscription(stage, "tanuki"), "user_removed")
        stream = stage.twitch.world.go_live("tanuki")
        notice = (await stage.receiver.delivery("/tanuki")).payload
        self.assertEqual((notice["recovered"], notice["stream"]["id"]), (True, stream.id))
        await daemon.said("asked Twitch about 1 streamer: 1 live, 1 recovered")
        await self.late(stage, stream)
        self.assertEqual((await stage.settled(stage.reactor)).delivered, 1)
