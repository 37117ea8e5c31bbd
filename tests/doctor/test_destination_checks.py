"""
Tests of :mod:`itsjustintv.doctor.destination_checks`; what is sent, tests.functional.test_destination_commands sees.
"""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.destinations.kinds import KINDS
from itsjustintv.doctor.destination_checks import test_steps
from itsjustintv.doctor.setup_checks import make_destination
from itsjustintv.model import Action, Destination

DISCORD = {"url": "https://discord.com/api/webhooks/1/a"}
TEAMS = {"url": "https://prod-01.westeurope.logic.azure.com/workflows/a/triggers/manual/paths/invoke?sig=x"}


class StepTests(SynchronousTestCase):
    """
    What a test does.
    """

    def made(self, kind: str, **values: str) -> Destination:
        destination, problem = make_destination(kind, values)
        assert destination is not None, problem
        return destination

    def done(self, destination: Destination, *, keep: bool = False) -> list[str]:
        return [done for done, _, _ in test_steps(destination, keep=keep)]

    def test_as_far_as_the_service_can(self) -> None:
        """
        A message is changed and deleted where that is possible; one that can only be changed says at last that it is
        over, and one that is to stay is not deleted.
        """
        self.assertEqual(self.done(self.made("discord", **DISCORD)), ["sent", "changed", "deleted"])
        self.assertEqual(self.done(self.made("discord", **DISCORD), keep=True), ["sent", "changed"])
        self.assertEqual(self.done(self.made("mqtt", host="127.0.0.1")), ["sent", "changed", "ended"])
        self.assertEqual(self.done(self.made("teams", **TEAMS)), ["sent"])

    def test_every_kind(self) -> None:
        """
        The first step of every kind is a new message, and a program of one's own gets nothing else.
        """
        webhook = Destination(name="streamers.tanuki", url="https://hooks.example.org/x")
        self.assertEqual(self.done(webhook), ["sent"])
        for kind in KINDS:
            with_settings = evolve(webhook, kind=kind)
            [(done, event, action), *_] = test_steps(with_settings, keep=True)
            self.assertEqual((done, event, action), ("sent", "online", Action.CREATE))
