"""
Tests for what commands say of posts.
"""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli.console import describe_post
from itsjustintv.model import Action, Delivery, State

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
