"""
The order in which the real daemon starts, and what it does when a step of it is not to be had.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred

from itsjustintv.simulator.behaviour import Behaviour
from tests.functional.stage import Stage, StageCase
from tests.functional.test_delivery import go_live
from tests.functional.test_reload import health

#: Twitch is not waited for when it comes to an event.
HASTY = '[enrich]\ntimeout = "200ms"\n'

SUBSCRIPTIONS = "/helix/eventsub/subscriptions"


async def concerns(stage: Stage) -> dict[str, str]:
    """
    What the daemon says is wrong with it, while it does its work all the same.
    """
    report = await health(stage)
    assert report["status"] in ("healthy", "degraded"), report
    return {each["check"]: each["reason"] for each in report.get("reasons", ())}


async def concern(stage: Stage, check: str, no_longer: str | None = None) -> str:
    """
    Wait until it is worried about something, and answer why.

    :param no_longer: a reason that passes by itself.
    """
    found: dict[str, str] = {}
    end = stage.reactor.seconds() + 30.0
    while found.get(check, no_longer) == no_longer:
        if stage.reactor.seconds() > end:
            raise AssertionError(f"nothing is wrong with {check}, only {found}")
        found = await concerns(stage)
    return found[check]


async def no_concerns(stage: Stage) -> None:
    """
    Wait until nothing is wrong.
    """
    end = stage.reactor.seconds() + 30.0
    while found := await concerns(stage):
        if stage.reactor.seconds() > end:
            raise AssertionError(found)


class OrderCase(StageCase):
    """
    A stage on which a step can be held up.
    """

    def held(self, stage: Stage, endpoint: str) -> Deferred[None]:
        """
        Let an endpoint of Twitch answer nobody until the result is fired.
        """
        gate: Deferred[None] = Deferred()
        self.addCleanup(lambda: gate.called or gate.callback(None))
        stage.twitch.faults.plan(endpoint, then=Behaviour(after=gate))
        return gate


class OrderTests(OrderCase):
    """
    One step after the other.
    """

    async def test_nothing_is_subscribed_to_before_somebody_can_answer(self) -> None:
        """
        From the moment at which the daemon first asks for its subscriptions on, its port is open.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        connections: list[int] = []
        look = stage.twitch.subscriptions.list

        def listing(*asked: Any) -> Any:
            # At this very moment, without another turn of the reactor.
            with socket.socket() as caller:
                connections.append(caller.connect_ex(("127.0.0.1", stage.port)))
            return look(*asked)

        self.patch(type(stage.twitch.subscriptions), "list", lambda _, *asked: listing(*asked))
        await stage.started()
        await stage.until(lambda: connections)
        self.assertEqual(connections[0], 0)
        await stage.subscribed()

    async def test_the_daemon_serves_while_it_waits_for_the_ids(self) -> None:
        """
        As long as Twitch has not told the ids nothing is asked about subscriptions, though the daemon is up and takes
        what arrives; then everybody is subscribed to.
        """
        stage = self.stage(settings=HASTY)
        stage.add_streamer("tanuki")
        stage.twitch.world.add_streamer("kitsune")
        stage.configure_streamer("kitsune")
        known = self.held(stage, "users")
        await stage.started()
        await stage.until(lambda: "GET /helix/users" in stage.twitch.requests)
        await go_live(stage, "tanuki")
        await stage.receiver.delivery("/tanuki")
        self.assertFalse([each for each in stage.twitch.requests if SUBSCRIPTIONS in each])
        known.callback(None)
        await stage.subscribed()

    async def test_a_daemon_without_its_port_touches_no_subscription(self) -> None:
        """
        When the port is taken the daemon ends, and Twitch has not been asked about subscriptions.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        with socket.socket() as holder:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", stage.port))
            holder.listen()
            daemon = stage.daemon()
            daemon.start()
            self.assertEqual(await daemon.ended(), 1)
        self.assertFalse([each for each in stage.twitch.requests if SUBSCRIPTIONS in each])
        self.assertEqual(list(stage.twitch.subscriptions), [])


class AwayTests(OrderCase):
    """
    Twitch is not there when the daemon starts.
    """

    async def test_it_refuses_connections(self) -> None:
        """
        Nobody listens where Twitch should be.
        """
        stage = self.stage(settings=HASTY)
        await self.starts_without(stage, stage.take_twitch_away, stage.bring_twitch_back)

    async def test_it_fails(self) -> None:
        """
        Every answer is a 503.
        """
        await self.starts_with(Behaviour(status=503))

    async def test_it_hangs(self) -> None:
        """
        There is no answer at all.
        """
        await self.starts_with(Behaviour(hang=True))

    async def starts_with(self, behaviour: Behaviour) -> None:
        """
        Twitch behaves in one way, whatever it is asked, and later well.
        """
        stage = self.stage(settings=HASTY)

        async def go() -> None:
            stage.twitch.faults.usually = behaviour

        def come() -> None:
            stage.twitch.faults.usually = Behaviour()

        await self.starts_without(stage, go, come)

    async def starts_without(self, stage: Stage, go: Callable[[], Awaitable[None]], come: Callable[[], None]) -> None:
        """
        The daemon is ready and degraded; whoever it knows from before, by login only, is announced; when Twitch is back
        everybody is subscribed to and nothing is wrong any more.
        """
        for login in ("tanuki", "kitsune"):
            stage.twitch.world.add_streamer(login)
        stage.configure_streamer("tanuki")
        daemon = await stage.started()
        await stage.subscribed()
        await daemon.stop()
        # Another login by now, so that nothing but the id that was kept leads to the streamer.
        tanuki = stage.twitch.world.channel("tanuki")
        stage.twitch.world.add_streamer("tanuki_the_second", user_id=tanuki.id)
        stage.configure_streamer("kitsune")

        await go()
        daemon = await stage.started()
        self.assertEqual((await health(stage))["status"], "degraded")
        self.assertEqual((await concerns(stage))["twitch"], "Twitch has not answered yet")
        await go_live(stage, "tanuki_the_second")
        self.assertEqual((await stage.receiver.delivery("/tanuki")).payload["streamer_login"], "tanuki_the_second")
        self.assertIn("cannot look up the ids of the streamers", await concern(stage, "ids"))

        come()
        await stage.until(lambda: len(stage.twitch.subscriptions.enabled_for(stage.callback)) == 2, patience=20.0)
        await no_concerns(stage)
        await go_live(stage, "kitsune")
        await stage.receiver.delivery("/kitsune")
        self.assertIsNone(daemon.status)

    async def test_a_wrong_secret_is_said_once_and_can_be_mended(self) -> None:
        """
        When Twitch rejects the client secret one line of error says what to check, however often it is needed, and
        health tells it as long as it lasts. Once the file is right everybody is subscribed to without a restart.
        """
        stage = self.stage(settings=HASTY)
        stage.add_streamer("tanuki")
        stage.twitch.world.add_streamer("kitsune")
        stage.configure_streamer("kitsune")
        right = stage.twitch.client_secret
        stage.twitch.client_secret = "not the client secret of the stage"
        daemon = await stage.started()
        reason = await concern(stage, "twitch", no_longer="Twitch has not answered yet")
        self.assertEqual(reason, "Twitch rejects twitch.client_id and twitch.client_secret")
        await concern(stage, "ids")
        for number in (1, 2):
            await go_live(stage, "tanuki")
            await stage.receiver.delivery("/tanuki", number)
        asked = stage.twitch.requests.count("POST /oauth2/token")
        stage.twitch.client_secret = right
        stage.configure()
        await stage.subscribed()
        await no_concerns(stage)

        self.assertEqual(asked, 1)
        lines = [
            line for line in daemon.output.splitlines() if "check twitch.client_id and twitch.client_secret" in line
        ]
        self.assertEqual(len(lines), 1, daemon.output)
        self.assertNotIn(stage.twitch.client_secret, daemon.output)


class RenamedTests(OrderCase):
    """
    A login passes to somebody else while the daemon is away.
    """

    async def test_a_streamer_is_followed_by_id(self) -> None:
        """
        Whoever was configured by login and has another one by now is still the one who is subscribed to and announced;
        whoever has the login now is not. One warning tells the new login.
        """
        stage = self.stage()
        tanuki = stage.twitch.world.add_streamer("tanuki")
        stage.configure_streamer("tanuki")
        daemon = await stage.started()
        await stage.subscribed()
        await daemon.stop()
        stage.twitch.world.add_streamer("tanuki_the_second", user_id=tanuki.id)
        heir = stage.twitch.world.add_streamer("tanuki")
        daemon = await stage.started()
        await daemon.said("subscriptions: 1 of 1 enabled")

        self.assertEqual([each.broadcaster_id for each in stage.twitch.subscriptions], [tanuki.id])
        await go_live(stage, "tanuki_the_second")
        self.assertEqual((await stage.receiver.delivery("/tanuki")).payload["streamer_login"], "tanuki_the_second")
        await go_live(stage, "tanuki")
        await daemon.said("tanuki is not configured")
        self.assertEqual((await stage.settled(stage.reactor)).wanted, 1)
        warnings = [line for line in daemon.output.splitlines() if "changed its login to tanuki_the_second" in line]
        self.assertEqual(len(warnings), 1, daemon.output)
        self.assertNotIn(heir.id, daemon.output)


class TwinTests(OrderCase):
    """
    One channel is configured twice, which only Twitch can tell.
    """

    async def test_each_destination_is_told_once(self) -> None:
        """
        An entry by id and one by login of the same channel are each announced, once, under one subscription; health
        and ``subscriptions explain`` name both.
        """
        stage = self.stage()
        tanuki = stage.twitch.world.add_streamer("tanuki")
        stage.configure_streamer("tanuki")
        stage.settings = f'[streamers.by_id]\nuser_id = "{tanuki.id}"\ntarget_webhook_url = "{stage.hook}/by_id"\n'
        await stage.started()
        await stage.until(lambda: stage.twitch.subscriptions.enabled_for(stage.callback))
        self.assertIn("streamers.by_id and streamers.tanuki are the same channel", await concern(stage, "streamers"))
        explained = await stage.command("subscriptions", "explain", "tanuki")
        self.assertIn("yes, by streamers.by_id", explained.out)
        self.assertIn("streamers.tanuki: the same channel; remove all but one", explained.out)
        await go_live(stage, "tanuki")
        for path in ("/by_id", "/tanuki"):
            self.assertEqual((await stage.receiver.delivery(path)).payload["streamer_login"], "tanuki")
        settled = await stage.settled(stage.reactor)
        self.assertEqual((settled.wanted, settled.delivered), (2, 2))
        self.assertEqual(len(list(stage.twitch.subscriptions)), 1)
