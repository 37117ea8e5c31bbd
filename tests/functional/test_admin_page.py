"""
The admin page of the real daemon in a real browser.
"""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path
from random import Random

from attrs import evolve
from twisted.internet.defer import Deferred

from itsjustintv.journal.sqlite import writes
from itsjustintv.journal.sqlite.database import create
from itsjustintv.model import State, rfc3339
from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.loopback import free_port
from tests.documents import ROOT
from tests.functional.run import Background
from tests.functional.stage import Stage, StageCase, lacking, tool
from tests.journal.sqlite.values import accept
from tests.journal.values import attempt, deliveries, event

TOKEN = "an-admin-token-of-the-stage"
SCRIPT = Path(__file__).with_name("browser.cjs")

STREAMERS = {
    "tanuki": ("Pottery night: glazing the big one", "Art", 1_204),
    "kitsune": ("Speedrun practice, any%", "Celeste", 348),
    "mujina": ("<img src=x onerror=alert(1)>", "Just Chatting", 12),
    "okami": ("Ink and brush", "Art", 4_811),
    "usagi": ("Moon landing, attempt 41", "Kerbal Space Program", 95),
    "neko": ("Sleeping", "Animals, Aquariums, and Zoos", 2),
}


def modules() -> str:
    """
    Where Playwright and axe are installed.
    """
    places = (os.environ.get("NODE_PATH", ""), str(ROOT / ".venv" / "tools" / "node_modules"))
    for place in filter(None, places):
        if all((Path(place) / name).is_dir() for name in ("playwright-core", "axe-core")):
            return place
    return lacking("chromium", "npm install --prefix .venv/tools playwright-core axe-core has not been run")


class PageTests(StageCase):
    """
    What an operator sees and does.
    """

    timeout = 180

    def seed(self, stage: Stage) -> None:
        """
        Give the journal some hours of a past.
        """
        path = stage.folder / stage.journal_file
        random, now = Random(4), stage.reactor.seconds()
        with closing(create(path)) as connection:
            connection.execute("BEGIN")
            for number in range(160):
                at = now - 6.2 * 3600 + number * 135 + random.uniform(0, 400)
                if at > now - 60:
                    continue
                key = random.choice(list(STREAMERS))
                title, game, _ = STREAMERS[key] if key != "mujina" else ("Talking about badgers", "Just Chatting", 0)
                news = event(
                    f"p{number:05}",
                    received_at=at,
                    started_at=rfc3339(at - 1),
                    broadcaster_login=key,
                    broadcaster_name=key.title(),
                )
                [one] = deliveries(news, f"streamers.{key}")
                accept(connection, news, [evolve(one, streamer=key)], at, at)
                built = rfc3339(at + 0.15, "milliseconds")
                body = f'{{"timestamp":"{built}","stream":{{"title":"{title}","game_name":"{game}"}}}}'.encode()
                writes.prepare(connection, one.id, body, None, at + 0.2)
                took = random.lognormvariate(-1.2, 0.6)
                if random.random() < 0.12:
                    failed = attempt(started_at=at + 0.2)
                    writes.settle(connection, one.id, State.PENDING, "http_503", at + took, failed, at + 30)
                    took += 30
                sent = attempt(ok=True, started_at=at + 0.2)
                writes.settle(connection, one.id, State.DELIVERED, "delivered", at + took, sent)
            connection.execute("COMMIT")

    def test_a_page_that_is_alive(self) -> Deferred[None]:
        """
        A streamer who goes live appears without a reload, with his picture and his title, whatever it holds. By the
        keyboard a dead letter is sent again, a click sends a test. axe finds no fault with it, in light or in dark,
        nothing is too wide for 320 pixels, nothing is loaded from elsewhere, and nobody complains. Without
        scripts it is all there as well. The requests and answers of a delivery can be looked at, the timeline can be
        searched and paged through, what is said covers nothing that it speaks of, and on a phone what needs somebody is
        on the first screen.
        """

        async def scenario() -> None:
            chromium, node, place = tool("chromium"), tool("node"), modules()
            port = free_port()
            admin = f'[admin]\nenabled = true\nlisten = "127.0.0.1:{port}"\ntoken = "{TOKEN}"\n'
            stage = self.stage(settings=f"{admin}[retry]\nmax_attempts = 1\n")
            for login, (title, game, viewers) in STREAMERS.items():
                stage.add_streamer(login, name=login.title(), title=title, game=game, viewers=viewers)
            stage.receiver.script.plan("/kitsune", Behaviour(status=503, body=b"maintenance until noon"))
            self.seed(stage)
            world, announce = stage.twitch.world, stage.twitch.announce
            await stage.started()
            await stage.subscribed()
            for login in ("okami", "usagi"):
                await announce(world.go_live(login))
            browser = Background(
                stage.reactor,
                [node, str(SCRIPT), chromium, f"http://127.0.0.1:{port}", TOKEN, str(stage.folder)],
                stage.folder,
            )
            self.addCleanup(lambda: Deferred.fromCoroutine(browser.kill()))
            browser.start({**os.environ, "NODE_PATH": place, "HOME": str(stage.folder)})

            async def says(word: str) -> None:
                await stage.until(lambda: f"{word}\n" in browser.output or not browser.running, patience=60)
                self.assertIn(f"{word}\n", browser.output)

            await says("ready")
            await announce(world.go_live("tanuki"))
            await announce(world.go_live("kitsune"))
            await says("live")
            await says("retried")
            await stage.receiver.delivery("/kitsune", 2)
            await says("tested")
            sent = await stage.receiver.delivery("/tanuki", 2)
            self.assertEqual(sent.payload["test"], True)
            await stage.receiver.delivery("/neko", 1)
            await announce(world.go_live("mujina"))
            await says("plain")
            account = stage.accounting()
            self.assertEqual((account.dead, account.imbalance), (0, 0))
            for picture in stage.folder.glob("*.png"):
                if to := os.environ.get("ITSJUSTINTV_PICTURES"):
                    shutil.copy(picture, to)

        return Deferred.fromCoroutine(scenario())
