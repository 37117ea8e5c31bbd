"""
What adapters send, kept as files: a change of it is seen in a review.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from itsjustintv.destinations.kinds import open_destination
from itsjustintv.model import CHANNEL_UPDATE, STREAM_OFFLINE, Action, Delivery, Destination, Notice
from tests.destinations.contract import NOW, AdapterContract, notice
from tests.documents import ROOT

__all__ = ["GoldenBodies"]

_FOLDER = ROOT / "tests" / "data" / "destinations"


class GoldenBodies(AdapterContract):
    """
    A part of a kind's test case. The files are ``tests/data/destinations/KIND/NAME.json``; one that is removed is
    written anew by the next test.
    """

    def assert_golden(
        self, destination: Destination, remote: str = "", *, folder: str = "", **variants: Destination
    ) -> None:
        """
        Compare the bodies of all requests for a broadcast, and those of variants for its start.

        :param remote: of the post that is edited.
        :param folder: below that of the kind.
        """
        for name, delivery in self._deliveries(destination, remote, variants):
            with self.subTest(name):
                owner = variants.get(name, destination)
                body = open_destination(owner).make_request(delivery, NOW).body
                path = _FOLDER / self.kind.name / folder / f"{name}.json"
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(body)
                self.assertEqual(body, path.read_bytes(), f"{path} has what was sent before")

    def _deliveries(
        self, destination: Destination, remote: str, variants: dict[str, Destination]
    ) -> Iterator[tuple[str, Delivery]]:
        change = Action.EDIT if remote else Action.FOLLOW_UP
        notices: dict[str, Notice] = {
            "online": notice(),
            "update": notice(CHANNEL_UPDATE, change, title="Kiln"),
            "offline": notice(STREAM_OFFLINE, change),
        }
        for name, each in notices.items():
            yield name, self.prepare(destination, each, remote)
        yield "plain", evolve(self.prepare(destination, notice()), plain=True)
        for name, variant in variants.items():
            yield name, self.prepare(variant, notice(mention=bool(variant.policy.mention)))
