"""
The real daemon posts to several imitated services at once, over HTTP, and changes what can be changed there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from itsjustintv.simulator.fakes.gotify import FakeGotify
from itsjustintv.simulator.fakes.mastodon import FakeMastodon
from itsjustintv.simulator.fakes.matrix import FakeMatrix
from itsjustintv.simulator.fakes.ntfy import FakeNtfy
from itsjustintv.simulator.fakes.pushover import FakePushover
from itsjustintv.simulator.fakes.service import FakeService
from itsjustintv.simulator.fakes.site import FakeSite
from itsjustintv.simulator.loopback import listen
from tests.functional.stage import StageCase

_SETTINGS = """
[broadcast]
reconnect_window = "500ms"
refresh_preview = []
refresh_recording = []
settle = "300ms"

[destinations.ntfy]
type = "ntfy"
url = "{site}/ntfy"
topic = "live-9f2c"
token = "tk_fakefakefakefakefakefakefake"
updates = true

[destinations.gotify]
type = "gotify"
url = "{site}/gotify"
token = "AFakeAppToken.1"
client_token = "CFakeClientTok1"
events = ["online", "offline"]
on_offline = "delete"

[destinations.pushover]
type = "pushover"
url = "{site}/pushover"
token = "azGDORePK8gMaC0QOYAMyEEuzJnyUi"
user = "uQiRzpo4DXghDmr9QzzfQu27cmVRsG"
events = ["online", "offline"]

[destinations.matrix]
type = "matrix"
homeserver = "{site}/matrix"
token = "syt_token"
room = "!lounge:matrix.test"
mention = ["user:@ada:matrix.test"]

[destinations.mastodon]
type = "mastodon"
url = "{site}/mastodon"
token = "mastodon-token"
"""

_TEXT: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "ntfy": lambda message: f"{message['title']}: {message['message']}",
    "gotify": lambda message: f"{message['title']}: {message['message']}",
    "pushover": lambda message: f"{message['title']}: {message['message']}",
    "matrix": lambda message: str(message["content"]["body"]),
    "mastodon": lambda message: str(message["text"]),
}


class ServiceTests(StageCase):
    """
    One streamer, five services.
    """

    async def test_one_broadcast_everywhere(self) -> None:
        """
        Every service shows the start; where a post can be edited the same one shows a new title and the end, elsewhere
        the end is a message of its own or the post is deleted. No token is logged.
        """
        stage = self.stage()
        self.fakes: dict[str, FakeService] = {
            each.name: each for each in (FakeNtfy(), FakeGotify(), FakePushover(), FakeMatrix(), FakeMastodon())
        }
        listening = listen(stage.reactor, FakeSite(stage.reactor, [*self.fakes.values()]).resource())
        self.addCleanup(listening.stop)
        stage.settings = _SETTINGS.format(site=listening.url)
        channel = stage.twitch.world.add_streamer("tanuki", title="pottery", game="Art")
        stage.streamers["tanuki"] = (
            f'[streamers.tanuki]\nlogin = "tanuki"\nuser_id = "{channel.id}"\ndestinations = {[*self.fakes]}\n'
        )
        daemon = await stage.started()
        await stage.until(lambda: sum(each.status == "enabled" for each in stage.twitch.subscriptions) == 3)
        world, twitch = stage.twitch.world, stage.twitch
        await twitch.announce(world.go_live("tanuki"))
        await stage.until(lambda: all(self.shown(each, "is live", "pottery") for each in self.fakes))
        ids = {name: [*fake.messages] for name, fake in self.fakes.items()}
        await twitch.announce_change(world.change("tanuki", title="glazing", game="Crafts"))
        edited = ("ntfy", "matrix", "mastodon")
        await stage.until(lambda: all(self.shown(each, "is live", "glazing", "Crafts") for each in edited))
        world.go_offline("tanuki")
        await twitch.announce_end(world.channel("tanuki"))
        await stage.until(lambda: all(self.shown(each, "was live", "glazing") for each in (*edited, "pushover")))
        await stage.until(lambda: not self.fakes["gotify"].messages)
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.imbalance, account.dead, account.expired), (0, 0, 0), daemon.output)
        self.assertEqual({name: [*self.fakes[name].messages] for name in edited}, {name: ids[name] for name in edited})
        self.assertEqual(len(self.fakes["pushover"].messages), 2)
        self.assertEqual([each.whom for each in self.fakes["matrix"].pings], ["user:@ada:matrix.test"])
        for secret in ("live-9f2c", "tk_fake", "AFakeAppToken", "CFakeClientTok", "azGDORePK8gMaC0QOYAMyEEuzJnyUi"):
            self.assertNotIn(secret, daemon.output)

    def shown(self, name: str, *words: str) -> bool:
        """
        Whether the newest message of a service has all of these words.
        """
        messages = [*self.fakes[name].messages.values()]
        return bool(messages) and all(word in _TEXT[name](messages[-1]) for word in words)
