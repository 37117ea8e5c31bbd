"""
The adapter for Matrix, judged by a real server.
"""

from __future__ import annotations

from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.destinations.kinds import open_destination
from itsjustintv.destinations.matrix import MATRIX_KIND, Settings
from itsjustintv.destinations.message_samples import SAMPLES
from itsjustintv.model import (
    CHANNEL_UPDATE,
    STREAM_OFFLINE,
    Action,
    Delivery,
    Destination,
    DestinationPolicy,
    Notice,
    Result,
    Verdict,
)
from tests.destinations.contract import NOW, notice
from tests.judges.program import perform
from tests.judges.synapse import Synapse


class MatrixTests(SynchronousTestCase):
    """
    A room of Synapse.
    """

    def setUp(self) -> None:
        self.server = self.enterContext(Synapse(Path(self.mktemp())))
        self.token = self.server.register("bot")
        self.room = self.server.create_room(self.token)
        self.number = 0

    def at(self, **settings: str) -> Destination:
        given = {"homeserver": self.server.url, "token": self.token, "room": self.room, **settings}
        policy = DestinationPolicy(mention=("everyone", "user:@bot:matrix.test"))
        return Destination(
            name="home",
            url=self.server.url,
            kind=MATRIX_KIND.name,
            settings=Settings(**given),
            policy=policy,
        )

    def prepare(self, what: Notice, remote: str = "", *, plain: bool = False) -> Delivery:
        self.number += 1
        return Delivery(
            id=f"event-{self.number}",
            event_id="event",
            streamer="tanuki",
            destination="home",
            accepted_at=NOW,
            next_attempt_at=NOW,
            body=open_destination(self.at()).render(what),
            action=what.action,
            remote=remote,
            plain=plain,
        )

    def attempt(self, delivery: Delivery, destination: Destination | None = None) -> Result:
        destination = destination or self.at()
        adapter = open_destination(destination)
        return adapter.interpret(perform(adapter.make_request(delivery, NOW)), delivery, NOW)

    def shown(self, event: str) -> dict[str, object]:
        """
        The content that clients show for an event.
        """
        found = self.server.event(self.token, self.room, event)
        replaced = found.get("unsigned", {}).get("m.relations", {}).get("m.replace", {}).get("content", {})
        content: dict[str, object] = replaced.get("m.new_content", found["content"])
        return content

    def test_life_of_a_broadcast(self) -> None:
        """
        A repeated creation is one event; edits replace what clients show, and a deletion empties it.
        """
        creation = self.prepare(notice(mention=True))
        created, repeated = self.attempt(creation), self.attempt(creation)
        self.assertEqual((created.verdict, created.remote), (Verdict.OK, repeated.remote), created.detail)
        self.assertEqual(self.shown(created.remote)["m.mentions"], {"room": True, "user_ids": ["@bot:matrix.test"]})
        for what in (notice(CHANNEL_UPDATE, Action.EDIT, title="Kiln"), notice(STREAM_OFFLINE, Action.EDIT)):
            self.assertEqual(self.attempt(self.prepare(what, created.remote)).verdict, Verdict.OK)
        self.assertIn("Tanuki was live.", str(self.shown(created.remote)["body"]))
        self.assertEqual(self.shown(created.remote)["m.mentions"], {})
        deleted = self.attempt(self.prepare(notice(STREAM_OFFLINE, Action.DELETE), created.remote))
        self.assertEqual(deleted.verdict, Verdict.OK)
        self.assertEqual(self.shown(created.remote), {})

    def test_every_sample(self) -> None:
        """
        The server takes every message and every edit, however long and hostile the words are, and the plain form.
        """
        for sample in SAMPLES:
            for plain in (False, True):
                with self.subTest(sample.description, plain=plain):
                    created = self.attempt(self.prepare(evolve(sample.notice, action=Action.CREATE), plain=plain))
                    self.assertEqual(created.verdict, Verdict.OK, created.detail)
                    edit = self.prepare(evolve(sample.notice, action=Action.EDIT), created.remote, plain=plain)
                    edited = self.attempt(edit)
                    self.assertEqual(edited.verdict, Verdict.OK, edited.detail)

    def test_refusals(self) -> None:
        """
        What the server refuses is understood: the token, the room, and an event that it does not know.
        """
        for settings, what, remote, verdict in (
            ({"token": "wrong"}, notice(), "", Verdict.UNAUTHORIZED),
            ({"room": "!none:matrix.test"}, notice(), "", Verdict.DESTINATION_GONE),
            ({}, notice(STREAM_OFFLINE, Action.EDIT), "$none", Verdict.MESSAGE_GONE),
        ):
            with self.subTest(verdict):
                result = self.attempt(self.prepare(what, remote), self.at(**settings))
                self.assertEqual(result.verdict, verdict, result.detail)
