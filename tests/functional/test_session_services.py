"""
The real daemon announces where one HTTP request is not enough: by e-mail, at an MQTT broker, at an imitated Bluesky,
and by the library Apprise.
"""

from __future__ import annotations

from pathlib import Path

from itsjustintv.destinations.apprise_library import is_installed
from itsjustintv.simulator.fakes.bluesky import FakeBluesky
from itsjustintv.simulator.fakes.site import FakeSite
from itsjustintv.simulator.loopback import listen
from tests.functional.stage import Stage, StageCase, lacking
from tests.judges.broker import Broker
from tests.judges.mail_server import MailServer

_SETTINGS = """
[broadcast]
reconnect_window = "500ms"
refresh_preview = []
refresh_recording = []
settle = "300ms"
"""

_PASSWORD = "abcd-efgh-ijkl-mnop"


class SessionTests(StageCase):
    """
    One streamer at one service.
    """

    async def begin(self, name: str, keys: str, types: int) -> Stage:
        """
        Start the daemon with a destination, and wait for its subscriptions.
        """
        stage = self.stage()
        stage.settings = f'{_SETTINGS}\n[destinations.{name}]\ntype = "{name}"\n{keys}\n'
        channel = stage.twitch.world.add_streamer("tanuki", title="Töpfern", game="Art")
        stage.streamers["tanuki"] = (
            f'[streamers.tanuki]\nlogin = "tanuki"\nuser_id = "{channel.id}"\ndestinations = ["{name}"]\n'
        )
        self.daemon = await stage.started()
        await stage.until(lambda: sum(each.status == "enabled" for each in stage.twitch.subscriptions) == types)
        return stage

    async def go_live(self, stage: Stage) -> None:
        await stage.twitch.announce(stage.twitch.world.go_live("tanuki"))

    async def end(self, stage: Stage) -> None:
        stage.twitch.world.go_offline("tanuki")
        await stage.twitch.announce_end(stage.twitch.world.channel("tanuki"))

    async def assert_all_delivered(self, stage: Stage) -> None:
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.imbalance, account.dead, account.expired), (0, 0, 0), self.daemon.output)

    async def test_bluesky(self) -> None:
        """
        A post stands while the streamer is live; the daemon logs in once, also when it is started again.
        """
        fake = FakeBluesky()
        stage = self.stage()
        listening = listen(stage.reactor, FakeSite(stage.reactor, [fake]).resource())
        self.addCleanup(listening.stop)
        keys = (
            f'identifier = "{fake.accounts[0].handle}"\npassword = "{_PASSWORD}"\nservice = "{listening.url}/bluesky"\n'
            'events = ["online", "offline"]\non_offline = "delete"'
        )
        stage = await self.begin("bluesky", keys, 2)
        await self.go_live(stage)
        await stage.until(lambda: fake.messages)
        [post] = fake.messages.values()
        self.assertEqual(post["text"], "tanuki is live: Töpfern\n\nhttps://twitch.tv/tanuki")
        self.assertIn(post["card"]["thumb"]["ref"]["$link"], fake.blobs)
        await stage.settled(stage.reactor)
        await self.daemon.stop()
        first = self.daemon.output
        self.daemon = await stage.started()
        await self.end(stage)
        await stage.until(lambda: not fake.messages)
        await self.assert_all_delivered(stage)
        called = [each.request.path[-1].rpartition(".")[2] for each in fake.history]
        self.assertEqual(called, ["createSession", "uploadBlob", "putRecord", "deleteRecord"])
        for output in (first, self.daemon.output):
            self.assertNotIn(_PASSWORD, output)

    async def test_email(self) -> None:
        """
        The start and the end come as mails in one thread; a short drop after a new title brings no mail.
        """
        server = self.enterContext(MailServer(Path(self.mktemp())))
        keys = (
            f'host = "127.0.0.1"\nport = {server.port}\nsecurity = "none"\nsender = "Bot <bot@x.example>"\n'
            'to = ["ada@x.example"]\nevents = ["online", "offline"]\non_offline = "post"'
        )
        stage = await self.begin("email", keys, 2)
        await self.go_live(stage)
        await stage.until(lambda: server.mails)
        await stage.settled(stage.reactor)
        stage.twitch.world.change("tanuki", title="glazing", game="Crafts")
        await self.end(stage)
        await self.go_live(stage)
        await stage.until(lambda: stage.accounting().superseded == 2)
        await self.end(stage)
        await stage.until(lambda: len(server.mails) == 2)
        await self.assert_all_delivered(stage)
        first, second = server.mails
        self.assertIn("is live: Töpfern", first.message["subject"])
        self.assertIn("was live", second.message["subject"])
        self.assertEqual(second.message["in-reply-to"], first.message["message-id"])

    async def test_apprise(self) -> None:
        """
        The start and the end come as plain text, once each, though a short drop brings another title.
        """
        if not is_installed():
            lacking("apprise", "apprise is not installed")
        stage = self.stage()
        keys = f'url = "json://{stage.hook.removeprefix("http://")}/apprise"\nevents = ["online", "offline"]'
        receiver, stage = stage.receiver, await self.begin("apprise", keys, 2)
        await self.go_live(stage)
        started = await receiver.delivery("/apprise")
        await stage.settled(stage.reactor)
        stage.twitch.world.change("tanuki", title="glazing", game="Crafts")
        await self.end(stage)
        await self.go_live(stage)
        await stage.until(lambda: stage.accounting().superseded == 2)
        await self.end(stage)
        ended = await receiver.delivery("/apprise", 2)
        await self.assert_all_delivered(stage)
        self.assertIn("Töpfern", started.payload["message"])
        self.assertEqual([each.payload["title"] for each in (started, ended)], ["tanuki is live", "tanuki was live"])
        self.assertEqual(len(receiver.at("/apprise")), 2)

    async def test_mqtt(self) -> None:
        """
        The state is ON, then OFF; a new title is in the attributes. While the daemon runs it is online there, and no
        longer when it was killed.
        """
        broker = self.enterContext(Broker(Path(self.mktemp())))
        stage = await self.begin("mqtt", f'host = "127.0.0.1"\nport = {broker.port}', 3)
        await self.go_live(stage)
        await stage.until(lambda: broker.state.get("itsjustintv/tanuki/live") == b"ON")
        await stage.settled(stage.reactor)
        await stage.twitch.announce_change(stage.twitch.world.change("tanuki", title="glazing", game="Crafts"))
        await stage.until(lambda: b"glazing" in broker.state["itsjustintv/tanuki/attributes"])
        await stage.settled(stage.reactor)
        await self.end(stage)
        await stage.until(lambda: broker.state["itsjustintv/tanuki/live"] == b"OFF")
        await self.assert_all_delivered(stage)
        self.assertEqual(broker.state["itsjustintv/status"], b"online")
        await self.daemon.kill()
        await stage.until(lambda: broker.state["itsjustintv/status"] == b"offline")
        self.daemon = await stage.started()
        await stage.until(lambda: broker.state["itsjustintv/status"] == b"online")
        self.assertIn("mqtt (mqtt) accepts connections", (await stage.command("doctor")).out)
        tested = await stage.command("destinations", "test", "mqtt")
        self.assertEqual(tested.status, 0, tested.err)
        self.assertIn("itsjustintv/tanuki/test/live", broker.state)
        self.assertEqual(broker.state["itsjustintv/tanuki/live"], b"OFF")
        await self.daemon.stop()
        await stage.until(lambda: broker.state["itsjustintv/status"] == b"offline")
