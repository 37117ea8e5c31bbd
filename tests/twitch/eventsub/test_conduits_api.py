"""
Tests of :mod:`itsjustintv.twitch.eventsub.conduits_api`.
"""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import TwitchError, TwitchRejected, TwitchUnavailable
from itsjustintv.twitch.eventsub.conduits_api import Conduit, ConduitGone, ConduitsAPI, Shard, TooManyConduits
from tests.twitch.fake import Reply, World, run

CONDUITS = "/helix/eventsub/conduits"
SHARDS = "/helix/eventsub/conduits/shards"
SOCKET = {"method": "websocket", "session_id": "session-1", "connected_at": "2026-01-02T03:04:05Z"}


class ConduitsAPITests(SynchronousTestCase):
    """
    What is asked for, and how the answers are read.
    """

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.twitch = self.world.twitch
        self.api = ConduitsAPI(self.world.helix)

    def of(self, work: Coroutine[Deferred[Any], Any, Any]) -> Any:
        """
        What it returns.
        """
        return self.successResultOf(run(work))

    def fails(self, work: Coroutine[Deferred[Any], Any, object], kind: type[TwitchError]) -> Any:
        """
        What it raises.
        """
        return self.failureResultOf(run(work), kind).value

    def sent(self, path: str) -> tuple[str, Any]:
        """
        Method and body of the only request.
        """
        (asked,) = self.twitch.to(path)
        return asked.method, orjson.loads(asked.body) if asked.body else asked.params

    def test_conduits_are_listed(self) -> None:
        """
        Each has its id and its number of shards.
        """
        self.twitch.then(CONDUITS, Reply(200, {"data": [{"id": "a", "shard_count": 2}, {"id": "b", "shard_count": 5}]}))
        self.assertEqual(self.of(self.api.list()), [Conduit(id="a", shard_count=2), Conduit(id="b", shard_count=5)])

    def test_one_is_created_and_resized(self) -> None:
        """
        The number of shards is sent, and the answer is the conduit.
        """
        self.twitch.then(CONDUITS, Reply(200, {"data": [{"id": "a", "shard_count": 2}]}))
        self.assertEqual(self.of(self.api.create(2)), Conduit(id="a", shard_count=2))
        self.assertEqual(self.sent(CONDUITS), ("POST", {"shard_count": 2}))
        self.twitch.asked.clear()
        self.twitch.then(CONDUITS, Reply(200, {"data": [{"id": "a", "shard_count": 3}]}))
        self.assertEqual(self.of(self.api.resize("a", 3)), Conduit(id="a", shard_count=3))
        self.assertEqual(self.sent(CONDUITS), ("PATCH", {"id": "a", "shard_count": 3}))

    def test_a_sixth_conduit_is_refused_at_once(self) -> None:
        """
        A 429 about the number of conduits is not waited out.
        """
        for headers, message in (
            ({"Ratelimit-Remaining": "790", "Ratelimit-Limit": "800"}, "too many"),
            ({}, "maximum number of conduits reached"),
            ({}, "Conduit limit reached"),
        ):
            refusal = Reply(429, {"message": message}, headers)
            self.twitch.then(CONDUITS, refusal)
            self.fails(self.api.create(2), TooManyConduits)

    def test_deletion(self) -> None:
        """
        One that is gone already is no error; anything else is.
        """
        for status in (204, 404):
            self.twitch.asked.clear()
            self.twitch.then(CONDUITS, Reply(status))
            self.of(self.api.delete("a"))
            self.assertEqual(self.sent(CONDUITS), ("DELETE", [("id", "a")]))
        self.twitch.then(CONDUITS, Reply(400))
        self.fails(self.api.delete("a"), TwitchRejected)

    def test_shards_are_read_to_the_end(self) -> None:
        """
        Every page is asked for; a webhook's shard has no session.
        """
        self.twitch.then(
            SHARDS,
            Reply(
                200,
                {"data": [{"id": "0", "status": "enabled", "transport": SOCKET}], "pagination": {"cursor": "x"}},
            ),
            Reply(200, {"data": [{"id": "1", "status": "disabled", "transport": {"method": "webhook"}}]}),
        )
        self.assertEqual(
            self.of(self.api.shards("a")),
            (
                Shard(id="0", status="enabled", session_id="session-1", method="websocket"),
                Shard(id="1", status="disabled", method="webhook"),
            ),
        )
        self.assertEqual(
            [each.params for each in self.twitch.to(SHARDS)],
            [[("conduit_id", "a")], [("conduit_id", "a"), ("after", "x")]],
        )

    def test_an_assignment_says_which_shards_it_left_out(self) -> None:
        """
        A 202 may hold errors of single shards.
        """
        errors = [{"id": "1", "message": "the session is unknown", "code": "invalid_parameter"}, {"id": "2"}]
        self.twitch.then(SHARDS, Reply(202, {"data": [{"id": "0"}], "errors": errors}))
        self.assertEqual(
            self.of(self.api.assign("a", {"0": "s", "1": "t", "2": "u"})),
            {"1": "the session is unknown", "2": "without a reason"},
        )
        method, body = self.sent(SHARDS)
        self.assertEqual((method, body["conduit_id"]), ("PATCH", "a"))
        self.assertEqual(body["shards"][0], {"id": "0", "transport": {"method": "websocket", "session_id": "s"}})

    def test_a_conduit_that_is_gone(self) -> None:
        """
        A 404 says that there is no such conduit, whatever is asked about it.
        """
        for path, work in (
            (SHARDS, self.api.shards("a")),
            (SHARDS, self.api.assign("a", {"0": "s"})),
            (CONDUITS, self.api.resize("a", 2)),
        ):
            self.twitch.then(path, Reply(404, {"message": "conduit not found"}))
            self.fails(work, ConduitGone)

    def test_half_an_answer_is_none(self) -> None:
        """
        An answer without a list, and pages that lead back, are worth another try.
        """
        for wrong in (Reply(500), Reply(200, {}), Reply(200, [])):
            self.twitch.then(CONDUITS, wrong, wrong)
            self.fails(self.api.list(), TwitchUnavailable)
        self.twitch.then(CONDUITS, Reply(200, {"data": []}))
        self.fails(self.api.create(2), TwitchUnavailable)
        again = Reply(200, {"data": [], "pagination": {"cursor": "x"}})
        self.twitch.then(SHARDS, again, again)
        self.fails(self.api.shards("a"), TwitchUnavailable)

    @given(st.recursive(st.none() | st.booleans() | st.text(), st.lists))
    def test_anything_may_stand_in_a_field(self, value: object) -> None:
        """
        A field of another type than documented is as good as absent.
        """
        shard = {"id": "0", "status": value, "transport": value}
        self.twitch.then(SHARDS, Reply(200, {"data": [shard, value], "pagination": value}))
        (found,) = self.of(self.api.shards("a"))
        self.assertEqual((found.id, found.session_id), ("0", ""))
        self.twitch.then(SHARDS, Reply(202, {"data": value, "errors": value}))
        self.of(self.api.assign("a", {"0": "s"}))
