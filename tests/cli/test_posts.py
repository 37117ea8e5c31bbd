"""
Tests for what commands say of posts.
"""

from __future__ import annotations

import json
from pathlib import Path

from attrs import evolve
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli.console import describe_post
from itsjustintv.cli.main import main
from itsjustintv.journal.sqlite import writes
from itsjustintv.journal.sqlite.database import create
from itsjustintv.model import Action, Delivery, State
from tests.journal.sqlite.values import accept
from tests.journal.values import attempt, deliveries, event

POST = Delivery(
    id="e1-1",
    event_id="e1",
    streamer="tanuki",
    destination="main",
    accepted_at=0.0,
    next_attempt_at=0.0,
    broadcast="e1",
)


class DescribePostTests(SynchronousTestCase):
    """
    In plain words.
    """

    def test_words(self) -> None:
        """
        It is said what is or will be done with the post, and its id; nothing of what ended otherwise, or keeps no post.
        """
        sent = evolve(POST, state=State.DELIVERED, remote="99")
        for delivery, text in (
            (POST, "to be decided when its turn comes"),
            (evolve(POST, state=State.PENDING, action=Action.EDIT, remote="99"), "to be edited, id 99"),
            (evolve(sent, mention=True), "created, with a mention, id 99"),
            (evolve(sent, plain=True), "created, as plain text, id 99"),
            (evolve(sent, action=Action.DELETE), "deleted, id 99"),
            (evolve(sent, action=Action.FOLLOW_UP, remote=""), "followed by a further message"),
            (evolve(POST, state=State.SUPERSEDED), ""),
            (evolve(sent, broadcast=""), ""),
        ):
            self.assertEqual(describe_post(delivery), text)


class ListTests(SynchronousTestCase):
    """
    ``itsjustintv deliveries list`` and ``show``.
    """

    def setUp(self) -> None:
        """
        A journal with an event to four destinations, of which one keeps no post.
        """
        self.folder = Path(self.mktemp()).absolute()
        connection = create(self.folder / "journal.db")
        self.addCleanup(connection.close)
        news = event("e1")
        accept(connection, news, deliveries(news, "made", "noted", "undecided", "webhook"), 9999.0, 1000.0)
        for number, action, shown in ((1, Action.CREATE, "x"), (2, Action.FOLLOW_UP, "x"), (4, Action.CREATE, "")):
            writes.prepare(
                connection,
                f"e1-{number}",
                b'{"body":{"content":"hi"},"plain":{}}',
                None,
                1000.0,
                action=action,
                shown=shown,
            )
        writes.settle(connection, "e1-1", State.DELIVERED, "", 1001.0, attempt(True))
        connection.execute("UPDATE deliveries SET broadcast = 'e1' WHERE destination <> 'webhook'")

    def run_command(self, *arguments: str) -> str:
        """
        What the command prints.
        """
        path = self.folder / "config.toml"
        path.write_text(
            f'[storage]\npath = "{self.folder}/journal.db"\n'
            '[twitch]\nclient_id = "an-id-of-tests"\nclient_secret = "a-secret-of-tests"\n'
            'webhook_secret = "a secret of tests"\n'
        )
        result = CliRunner().invoke(main, ["deliveries", *arguments, "--config", str(path)])
        self.assertEqual(result.exit_code, 0, result.output)
        return result.output

    def test_the_list_names_the_action(self) -> None:
        """
        A column has the action of each delivery: empty where it is not decided and where there is no post.
        """
        header, *rows = self.run_command("list").splitlines()[:5]
        self.assertIn("POST", header)
        start = header.index("POST")
        found = {row.split()[-1 - (not row.endswith("again"))]: row[start:].split(" ")[0] for row in rows}
        self.assertEqual(sorted(found.values()), ["", "", "create", "follow-up"], found)

    def test_without_posts_there_is_no_column(self) -> None:
        """
        A list of deliveries to webhooks has no such column.
        """
        self.assertNotIn("POST", self.run_command("list", "--destination", "webhook"))

    def test_as_json(self) -> None:
        """
        Each delivery has the key ``action``, which is null where there is none, beside the keys of before.
        """
        found = json.loads(self.run_command("list", "--json"))["deliveries"]
        actions = {each["destination"]: each["action"] for each in found}
        self.assertEqual(actions, {"made": "create", "noted": "follow_up", "undecided": None, "webhook": None})
        self.assertEqual([each["post"] for each in found if each["destination"] == "made"], ["created"])

    def test_a_single_one(self) -> None:
        """
        ``show`` has a line with it.
        """
        self.assertIn("action       follow-up\n", self.run_command("show", "e1-2"))
        self.assertNotIn("action  ", self.run_command("show", "e1-4"))

    def test_the_payload_is_what_was_sent(self) -> None:
        """
        ``show`` has the message, without the plain form that is stored beside it.
        """
        self.assertEqual(json.loads(self.run_command("show", "e1-2", "--json"))["payload"], {"content": "hi"})
