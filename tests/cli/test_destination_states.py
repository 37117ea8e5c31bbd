"""
Tests for :mod:`itsjustintv.cli.destination_states`.
"""

from __future__ import annotations

import json
from pathlib import Path
from time import time

from attrs import evolve
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli.destination_states import DestinationStates
from itsjustintv.cli.explain import _states
from itsjustintv.cli.main import main
from itsjustintv.config.load import Loaded, load
from itsjustintv.destinations.kinds import KINDS
from itsjustintv.journal.sqlite import writes
from itsjustintv.journal.sqlite.database import create
from itsjustintv.model import State, Verdict
from itsjustintv.routing import Routes
from tests.journal.sqlite.values import accept
from tests.journal.values import attempt, deliveries, event

NAMES = ("gone", "refused", "moved", "paused", "good")


class DestinationStatesTests(SynchronousTestCase):
    """
    Five destinations, to each of which something else has happened.
    """

    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        self.path = folder / "config.toml"
        self.connection = create(folder / "journal.db")
        self.addCleanup(self.connection.close)
        tables = "".join(
            f'[destinations.{name}]\ntype = "webhook"\nurl = "https://{name}.example.org/secret"\n' for name in NAMES
        )
        self.path.write_text(
            f'[storage]\npath = "{folder}/journal.db"\n'
            '[twitch]\nclient_id = "an-id-of-tests"\nclient_secret = "a-secret-of-tests"\n'
            'webhook_secret = "a secret of tests"\n'
            f'{tables}[streamers.tanuki]\nlogin = "tanuki"\ndestinations = {json.dumps(NAMES)}\n'
        )
        self.routes = Routes.of(self.settings().config)
        news = event("e1")
        now = time()
        accept(self.connection, news, deliveries(news, *NAMES), now + 9999.0, now)
        verdicts = {1: Verdict.DESTINATION_GONE, 2: Verdict.UNAUTHORIZED, 3: Verdict.MOVED}
        for number, name in enumerate(NAMES, 1):
            writes.prepare(self.connection, f"e1-{number}", b"{}", None, now)
            ended = evolve(
                attempt(name == "good", reason="http_429"),
                verdict=verdicts.get(number, Verdict.OK),
                access=self.routes.destinations[name].access,
            )
            if name == "good":
                writes.settle(self.connection, f"e1-{number}", State.DELIVERED, "", now, ended)
            elif name == "paused":
                writes.settle(self.connection, f"e1-{number}", State.PENDING, "http_429", now, ended, now + 600)
            else:
                writes.settle(self.connection, f"e1-{number}", State.DEAD, "why", now, ended)

    def settings(self) -> Loaded:
        """
        The configuration as a command loads it.
        """
        return load(self.path, {}, kinds=KINDS)

    def test_words(self) -> None:
        """
        Each state has a word.
        """
        known = DestinationStates.of(self.settings())
        found = {name: known.state(each) for name, each in self.routes.destinations.items()}
        self.assertEqual(
            found,
            {"gone": "gone", "refused": "not authorized", "moved": "moved", "paused": "paused", "good": "ok"},
        )
        refused = {name for name, each in self.routes.destinations.items() if known.refuses(each)}
        self.assertEqual(refused, {"gone", "refused"})

    def test_what_to_do(self) -> None:
        """
        ``explain STREAMER`` has a line for each destination that needs one, with what to do.
        """
        [streamer] = self.routes.streamers
        found = dict(zip(NAMES, (text for _, text in _states(streamer, self.settings())), strict=False))
        self.assertEqual(set(found), set(NAMES) - {"good"})
        for name, words in (
            ("gone", "Correct its address, try it with itsjustintv destinations test gone, then requeue"),
            ("refused", "Correct its token, try it with"),
            ("moved", "moved has moved, and the daemon follows: configure its new address"),
            ("paused", "paused is paused until 20"),
        ):
            self.assertIn(words, found[name])

    def test_the_list_has_the_lines(self) -> None:
        """
        ``destinations list`` says the same below the table.
        """
        result = CliRunner().invoke(main, ["destinations", "list", "--config", str(self.path)])
        self.assertIn("gone is gone: the service has no such place, and", result.output)
        self.assertIn("paused is paused until", result.output)
        self.assertNotIn("secret", result.output)

    def test_a_pause_that_is_over(self) -> None:
        """
        A destination whose delivery is due again is not paused.
        """
        self.connection.execute("UPDATE deliveries SET next_attempt_at = 5 WHERE destination = 'paused'")
        self.assertEqual(DestinationStates.of(self.settings()).state(self.routes.destinations["paused"]), "ok")

    def test_without_a_journal(self) -> None:
        """
        Before the daemon has run, nothing is known to be wrong; of a journal that cannot be read, nothing is known.
        """
        (self.path.parent / "journal.db").write_bytes(b"x" * 4096)
        known = DestinationStates.of(self.settings())
        self.assertEqual(known.state(self.routes.destinations["gone"]), "unknown")
        self.assertFalse(known.refuses(self.routes.destinations["gone"]))
