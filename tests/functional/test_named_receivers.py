"""
The real daemon with named destinations that are receivers: webhooks and CloudEvents.
"""

from __future__ import annotations

import json
from base64 import b64encode

from itsjustintv.simulator.receiver import Expectation
from tests.functional.stage import StageCase
from tests.functional.test_delivery import go_live

#: Two secrets of Standard Webhooks.
NEW, OLD = (f"whsec_{b64encode(letter * 32).decode()}" for letter in (b"n", b"o"))

TOKEN = "a-token-that-is-not-in-the-log"
PASSWORD = "a-password-that-is-not-in-the-log"


class NamedReceiverTests(StageCase):
    """
    A broadcast reaches each of a streamer's destinations in its form.
    """

    async def test_each_gets_its_own(self) -> None:
        """
        One broadcast arrives at a streamer's URL, at a webhook with a token and a header, and as a CloudEvent in both
        modes, under one id and verified; a receiver that answers with what it was sent gives the log no secret.
        """
        stage = self.stage()
        (stage.folder / "token").write_text(f"{TOKEN}\n", encoding="utf-8")
        stage.add_streamer("tanuki", 'destinations = ["hook", "bus", "ducts"]')
        stage.settings = f"""
[destinations.hook]
type = "webhook"
url = "{stage.hook}/hook"
bearer_token_file = "token"
headers = ["X-Password: {PASSWORD}"]

[destinations.bus]
type = "cloudevents"
url = "{stage.hook}/bus"
secret = "{NEW}"
signature = "standard"

[destinations.ducts]
type = "cloudevents"
url = "{stage.hook}/ducts"
mode = "binary"
secret = "{NEW}"
signature = "standard"
"""
        for path in ("/bus", "/ducts"):
            stage.receiver.expectations[path] = Expectation(secret=NEW, signature="standard")
        daemon = await stage.started()
        await stage.subscribed()
        await go_live(stage, "tanuki")

        own, hook, bus, ducts = [
            await stage.receiver.delivery(f"/{each}") for each in ("tanuki", "hook", "bus", "ducts")
        ]
        for each in (hook, bus, ducts):
            self.assertEqual((each.payload["id"], each.problem), (own.payload["id"], ""))
        self.assertEqual(hook.headers["authorization"], f"Bearer {TOKEN}")
        self.assertEqual(hook.headers["x-password"], PASSWORD)
        event = json.loads(bus.body)
        self.assertEqual((event["type"], event["subject"]), ("tv.itsjustintv.stream.online", "tanuki"))
        self.assertEqual(ducts.headers["ce-id"], event["id"])
        self.assertEqual(ducts.headers["ce-source"], event["source"])
        for secret in (TOKEN, PASSWORD, NEW):
            self.assertNotIn(secret, daemon.output)

    async def test_secret_is_replaced(self) -> None:
        """
        While both secrets are configured, receivers with the old one and with the new one accept what is sent.
        """
        stage = self.stage()
        receivers = {"/early": NEW, "/late": OLD}
        for path, secret in receivers.items():
            stage.receiver.expectations[path] = Expectation(secret=secret, signature="standard")
        stage.add_streamer("tanuki", 'destinations = ["early", "late"]')
        stage.settings = "".join(
            f'[destinations.{path[1:]}]\ntype = "webhook"\nurl = "{stage.hook}{path}"\nsignature = "standard"\n'
            f'secret = "{NEW}"\nold_secret = "{OLD}"\n'
            for path in receivers
        )
        await stage.started()
        await stage.subscribed()
        await go_live(stage, "tanuki")
        for path in receivers:
            received = await stage.receiver.delivery(path)
            self.assertEqual((received.problem, received.status), ("", 200), path)
