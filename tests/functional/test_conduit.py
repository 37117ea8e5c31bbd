"""
The real daemon receives EventSub messages through a conduit of a simulated Twitch.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from itsjustintv.simulator.sessions import SimulatedSession
from tests.functional.stage import Stage, StageCase


class ConduitStage(Stage):
    """
    A stage on which nothing is needed but client id and secret.
    """

    conduit: bool = True

    @property
    def configuration(self) -> str:
        """
        The text of the configuration.
        """
        text = super().configuration
        if self.conduit:
            text = text.replace(
                f'webhook_secret = "{self.webhook_secret}"', f'transport = "conduit"\n{self._conduit_table}', 1
            )
        return text

    @property
    def _conduit_table(self) -> str:
        return f'conduit.websocket_url = "{self.websocket_url}"'

    @property
    def sessions(self) -> Sequence[SimulatedSession]:
        """
        Those that live.
        """
        return [each for each in self.twitch.sessions if not each.over]

    @property
    def enabled(self) -> int:
        """
        How many shards Twitch can send to.
        """
        return sum(shard.status == "enabled" for conduit in self.twitch.conduits for shard in conduit.shards.values())

    async def through_conduit(self, *logins: str) -> None:
        """
        Wait until these streamers, or all, are subscribed to through a conduit, and both shards are enabled.
        """
        wanted = {self.twitch.world.channel(login).id for login in logins or self.streamers}

        def there() -> bool:
            found = {
                each.broadcaster_id
                for each in self.twitch.subscriptions
                if each.conduit_id and each.status == "enabled" and each.type == "stream.online"
            }
            return wanted <= found and self.enabled >= 2

        await self.until(there)

    def go_live(self, login: str) -> None:
        """
        Let somebody go live, and Twitch send what it sends.
        """
        self.twitch.announce(self.twitch.world.go_live(login))


class ConduitCase(StageCase):
    """
    A test with such a stage.
    """

    timeout = 180

    def conduit_stage(self, count: int = 1, settings: str = "[catch_up]\nenabled = true\n") -> ConduitStage:
        """
        A stage with streamers.
        """
        from twisted.internet import reactor  # noqa: PLC0415 - trial has installed it by now

        stage = ConduitStage(reactor, Path(self.mktemp()).absolute(), settings=settings)
        self._stages = [*self._stages, stage]
        self.addCleanup(lambda: Deferred.fromCoroutine(stage.close()))
        for number in range(count):
            stage.add_streamer(f"streamer{number}")
        return stage

    async def delivered(self, stage: Stage, logins: Sequence[str], patience: float = 60.0) -> None:
        """
        Wait until each of them was delivered, and say that none was delivered twice.
        """
        wanted = {f"/{login}" for login in logins}
        await stage.until(lambda: wanted <= {each.path for each in stage.receiver.received}, patience)
        await stage.settled(stage.reactor, patience)
        counted = Counter(each.path for each in stage.receiver.received)
        self.assertEqual({path: number for path, number in counted.items() if number > 1}, {})
        self.assertEqual(counted.keys(), wanted)


class AnnouncementTests(ConduitCase):
    """
    What needs no port.
    """

    async def test_announced_with_no_port_open_to_the_network(self) -> None:
        """
        Client id, client secret, a streamer and a destination: the notice arrives, and the process listens on loopback
        only.
        """
        stage = self.conduit_stage()
        daemon = await stage.started()
        await stage.through_conduit()
        stage.go_live("streamer0")
        await self.delivered(stage, ["streamer0"])
        self.assertEqual(daemon.listening(), {"127.0.0.1"})

    async def test_a_restart_uses_the_same_conduit_and_subscriptions(self) -> None:
        """
        Nothing is created a second time; what was missed meanwhile is announced.
        """
        stage = self.conduit_stage(2)
        daemon = await stage.started()
        await stage.through_conduit()
        await daemon.stop()
        before = [each.id for each in stage.twitch.conduits], [each.id for each in stage.twitch.subscriptions]
        stage.go_live("streamer1")
        await stage.started()
        await stage.through_conduit()
        await self.delivered(stage, ["streamer1"])
        self.assertEqual(
            ([each.id for each in stage.twitch.conduits], [each.id for each in stage.twitch.subscriptions]), before
        )

    async def test_a_conduit_that_twitch_has_deleted(self) -> None:
        """
        It and every subscription are created anew, while the daemon runs.
        """
        stage = self.conduit_stage(2)
        await stage.started()
        await stage.through_conduit()
        (old,) = stage.twitch.conduits
        stage.twitch.conduits.delete(old.id)
        stage.go_live("streamer0")
        for each in stage.sessions:
            stage.twitch.sessions.sever(each.id, "fin")
        await stage.until(lambda: [each.id for each in stage.twitch.conduits] not in ([], [old.id]))
        await stage.through_conduit()
        stage.go_live("streamer1")
        await self.delivered(stage, ["streamer0", "streamer1"])


class BrokenConnectionTests(ConduitCase):
    """
    Connections end in every way while streams go live.
    """

    timeout = 300

    async def test_each_is_announced_once(self) -> None:
        """
        Connections are closed, reset, moved, silenced and fed garbage at random, and the daemon is killed in the
        middle: each of 500 streams is delivered exactly once, by message or recovered.
        """
        stage = self.conduit_stage(500)
        random = Random(5)
        daemon = await stage.started()
        await stage.through_conduit()
        logins = list(stage.streamers)
        random.shuffle(logins)
        for number, login in enumerate(logins):
            stage.go_live(login)
            if number == 250:
                await daemon.kill()
                daemon = await stage.started()
            if number % 10 == 9:
                self.break_one(stage, random)
            await deferLater(stage.reactor, 0.02)
        # Sooner than the second look at what the restart may have missed.
        await self.delivered(stage, logins, 60.0)

    def break_one(self, stage: ConduitStage, random: Random) -> None:
        """
        Disturb one connection, if there is any.
        """
        if not stage.sessions:
            return
        each = random.choice(stage.sessions)
        how = random.choice(
            ["fin", "rst", "silence", "close", "reconnect", "text", "garbage", "unknown", "huge", "bytes"]
        )
        try:
            if how == "reconnect":
                stage.twitch.sessions.reconnect(each.id)
            elif how in ("fin", "rst", "silence"):
                stage.twitch.sessions.sever(each.id, how)
            elif how == "close":
                stage.twitch.sessions.sever(
                    each.id, how, random.choice([4000, 4001, 4002, 4003, 4004, 4005, 4006, 4007])
                )
            else:
                stage.twitch.sessions.write(each.id, how)
        except LookupError:
            pass


class MoveTests(ConduitCase):
    """
    Twitch moves sessions to other connections.
    """

    async def test_nothing_is_lost_on_the_way(self) -> None:
        """
        While streams go live, each session moves again and again, and nothing but messages tells of them: each is
        delivered once, and no session ends.
        """
        stage = self.conduit_stage(120, "[catch_up]\nenabled = false\n")
        await stage.started()
        await stage.through_conduit()
        before, moves = [each.id for each in stage.sessions], 0
        for number, login in enumerate(stage.streamers):
            for each in stage.sessions:
                if each.status == "connected" and stage.twitch.sessions.sockets(each.id) == 1:
                    stage.twitch.sessions.reconnect(each.id)
                    moves += 1
            # In the middle of a move as well as between two.
            await deferLater(stage.reactor, 0.005 * (number % 10))
            stage.go_live(login)
        await self.delivered(stage, list(stage.streamers))
        self.assertEqual([each.id for each in stage.sessions], before)
        self.assertEqual((list(stage.twitch.sessions.closed), list(stage.twitch.dropped)), ([], []))
        self.assertGreater(moves, 4)


class ChangeOfTransportTests(ConduitCase):
    """
    From one transport to the other.
    """

    async def test_both_ways_under_traffic(self) -> None:
        """
        While streams go live, a reload changes from webhooks to a conduit, and back: each is delivered once, and in the
        end all subscriptions have the transport that is configured.
        """
        stage = self.conduit_stage(60)
        stage.conduit = False
        daemon = await stage.started()
        await stage.subscribed()
        logins = list(stage.streamers)
        for number, login in enumerate(logins):
            stage.go_live(login)
            if number in (10, 35):
                stage.conduit = not stage.conduit
                stage.configure()
                daemon.send_signal(signal.SIGHUP)
            if number == 34:
                await stage.until(lambda: not any(each.callback for each in stage.twitch.subscriptions), 60.0)
            await deferLater(stage.reactor, 0.05)
        await self.delivered(stage, logins)
        await stage.until(lambda: not any(each.conduit_id for each in stage.twitch.subscriptions), 60.0)
        await stage.subscribed()
        await stage.until(lambda: not stage.sessions)
