"""
Tests of :mod:`itsjustintv.twitch.api.helix` and :mod:`itsjustintv.support.http_client`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, fail
from twisted.internet.error import ConnectionRefusedError as RefusedError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived

from itsjustintv.errors import TwitchError, TwitchRejected, TwitchUnavailable
from itsjustintv.support.http_client import read_body
from itsjustintv.telemetry.tracing import ApiCall, on_behalf_of
from itsjustintv.twitch.api.helix import Helix
from tests.twitch.fake import HANG, NOW, FakeTwitch, Reply, World, run, token

USERS = "/helix/users"
TOKEN = "/oauth2/token"
FINE = Reply(200, {"data": []})


class HelixTests(SynchronousTestCase):
    """
    One request, and what becomes of it.
    """

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.twitch = self.world.twitch

    def get(self, *params: tuple[str, str]) -> Any:
        """
        Ask for users, now.
        """
        return self.successResultOf(run(self.world.helix.get("/users", params)))

    def wrong(self, *replies: Reply) -> Any:
        """
        What asking for users fails with.
        """
        self.twitch.then(USERS, *replies)
        return self.failureResultOf(run(self.world.helix.get("/users")), TwitchError).value

    def test_it_says_who_asks(self) -> None:
        """
        Token and client id are in the headers, and the answer is parsed.
        """
        self.twitch.usual[USERS] = Reply(200, {"data": [{"id": "1"}]})
        self.assertEqual(self.get(), {"data": [{"id": "1"}]})
        [asked] = self.twitch.to(USERS)
        self.assertEqual(asked.headers["authorization"], "Bearer token-1")
        self.assertEqual(asked.headers["client-id"], "an-id")

    def test_every_request_is_told_of(self) -> None:
        """
        Whoever listens hears of each request that was sent, with its status or without, and for whom it was made.
        """
        calls: list[ApiCall] = []
        world = self.world
        helix = Helix(world.http, lambda: world.settings, world.token, world.bucket, world.clock, calls.append)
        self.twitch.then(USERS, Reply(503, {}), FINE)
        self.twitch.then("/helix/streams", HANG)
        with on_behalf_of(["a span", "another"]):
            self.successResultOf(run(helix.get("/users", spare=10)))
            hanging = run(helix.get("/streams"))
        world.clock.advance(5.0)
        self.failureResultOf(hanging, TwitchUnavailable)
        self.assertEqual(
            [(call.method, call.path, call.status, call.duration, call.started_at) for call in calls],
            [
                ("GET", "/users", 503, 0.0, NOW),
                ("GET", "/users", 200, 0.0, NOW),
                ("GET", "/streams", None, 5.0, NOW),
            ],
        )
        self.assertEqual({call.requesters for call in calls}, {("a span", "another")})

    @given(
        st.lists(
            st.tuples(st.sampled_from(["id", "login"]), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
        )
    )
    def test_parameters_arrive_as_they_are(self, params: list[tuple[str, str]]) -> None:
        """
        Parameters are repeated for each value and escaped, whatever is in them.
        """
        world = World(Path(self.mktemp()))
        world.twitch.usual[USERS] = FINE
        self.successResultOf(run(world.helix.get("/users", params)))
        self.assertEqual(world.twitch.to(USERS)[0].params, params)

    def test_content_is_sent_as_json(self) -> None:
        """
        A request with content is JSON, and an empty answer is None.
        """
        self.twitch.usual["/helix/eventsub/subscriptions"] = Reply(204)
        work = self.world.helix.call("POST", "/eventsub/subscriptions", content={"type": "stream.online"})
        self.assertIsNone(self.successResultOf(run(work)))
        [asked] = self.twitch.to("/helix/eventsub/subscriptions")
        self.assertEqual(
            (asked.method, asked.headers["content-type"], asked.body),
            ("POST", "application/json", b'{"type":"stream.online"}'),
        )

    def test_the_server_may_change(self) -> None:
        """
        Each request goes where the configuration says at that moment.
        """
        self.twitch.usual["/mock/users"] = FINE
        self.world.settings = evolve(self.world.settings, api_url="http://127.0.0.1:8080/mock/")
        self.get()
        self.assertEqual(len(self.twitch.to("/mock/users")), 1)

    def test_nobody_thinks_well_of_it_before_the_first_answer(self) -> None:
        """
        From the first moment until Twitch has answered something it is a concern that it has not; failures of its own
        are no answer.
        """
        self.assertEqual(self.world.helix.problem(), "Twitch has not answered yet")
        self.wrong(Reply(503), Reply(503))
        self.assertEqual(self.world.helix.problem(), "Twitch has not answered yet")
        self.wrong(Reply(400))
        self.assertIsNone(self.world.helix.problem())

    def test_a_rejected_token_is_renewed_once(self) -> None:
        """
        After a 401 the same request is made with a new token.
        """
        self.twitch.then(TOKEN, token("old"), token("new"))
        self.twitch.usual[USERS] = lambda asked: (
            FINE if asked.headers["authorization"] == "Bearer new" else Reply(401, {"message": "Invalid OAuth token"})
        )
        self.get()
        self.get()
        self.assertEqual(len(self.twitch.to(TOKEN)), 2)
        self.assertEqual(
            [asked.headers["authorization"] for asked in self.twitch.to(USERS)],
            ["Bearer old", "Bearer new", "Bearer new"],
        )

    def test_a_401_that_no_token_cures_is_not_answered_with_tokens(self) -> None:
        """
        When a new token is rejected as well, requests fail, and no token is made for each of them.
        """
        self.twitch.usual[USERS] = Reply(401, {"message": "Client-ID and OAuth token do not match"})
        for _ in range(3):
            error = self.wrong()
            self.assertEqual((type(error), error.status), (TwitchRejected, 401))
        self.assertEqual(len(self.twitch.to(TOKEN)), 2)

    def test_requests_under_way_share_the_renewal(self) -> None:
        """
        Two requests whose token is rejected make one new token.
        """
        self.twitch.then(TOKEN, token("old"), token("new"))
        self.twitch.then(USERS, HANG, HANG)
        self.twitch.usual[USERS] = FINE
        both = [run(self.world.helix.get("/users")) for _ in range(2)]
        for request in self.twitch.hanging:
            request.write(FakeTwitch.answer(request, Reply(401)))
            request.finish()
        self.world.stub.flush()
        for each in both:
            self.assertEqual(self.successResultOf(each), {"data": []})
        self.assertEqual(len(self.twitch.to(TOKEN)), 2)

    def test_a_503_is_tried_once_more(self) -> None:
        """
        As Twitch's guide says.
        """
        self.twitch.then(USERS, Reply(503))
        self.twitch.usual[USERS] = FINE
        self.get()
        self.assertIsInstance(self.wrong(Reply(503), Reply(503)), TwitchUnavailable)

    def test_a_429_waits_for_the_bucket(self) -> None:
        """
        The request is made again when the bucket has been refilled, and nothing else leaves before.
        """
        full = {"Ratelimit-Limit": "800", "Ratelimit-Remaining": "0", "Ratelimit-Reset": str(int(NOW) + 30)}
        self.twitch.then(USERS, Reply(429, headers=full))
        self.twitch.usual[USERS] = FINE
        first, second = (run(self.world.helix.get("/users")) for _ in range(2))
        self.world.clock.advance(29)
        self.assertNoResult(first)
        self.assertEqual(len(self.twitch.to(USERS)), 1)
        self.world.clock.advance(1)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(len(self.twitch.to(USERS)), 3)

    def test_a_second_429_is_given_up(self) -> None:
        """
        The error says how long to wait.
        """
        reset = {"Ratelimit-Limit": "800", "Ratelimit-Remaining": "0", "Ratelimit-Reset": str(int(NOW) + 30)}
        self.twitch.then(USERS, Reply(429, headers=reset), Reply(429, headers=reset))
        failing = run(self.world.helix.get("/users"))
        self.world.clock.advance(30)
        error = self.failureResultOf(failing, TwitchUnavailable).value
        self.assertEqual(error.retry_after, 1)

    def test_a_429_with_points_left_is_a_rejection(self) -> None:
        """
        A limit that is not the bucket's is not cured by waiting.
        """
        headers = {"Ratelimit-Limit": "800", "Ratelimit-Remaining": "700"}
        error = self.wrong(Reply(429, {"message": "too many subscriptions"}, headers))
        self.assertEqual((type(error), error.status), (TwitchRejected, 429))

    def test_what_cannot_be_understood_says_what_to_do_next(self) -> None:
        """
        4xx and redirects are rejections, 5xx and unreadable answers are worth another try.
        """
        for reply, kind, words in (
            (Reply(400, {"message": "bad\nid"}), TwitchRejected, "GET /users answered 400 (bad id)"),
            (Reply(404, b"<html>"), TwitchRejected, "GET /users answered 404"),
            (Reply(400, b"[]"), TwitchRejected, "GET /users answered 400"),
            (Reply(302, headers={"Location": "/helix/elsewhere"}), TwitchRejected, "GET /users answered 302"),
            (Reply(500, {"message": 5}), TwitchUnavailable, "GET /users answered 500"),
            (Reply(200, b"<html>"), TwitchUnavailable, "GET /users: the answer is not JSON"),
            (
                Reply(200, b"x" * (1 << 20) + b"x"),
                TwitchUnavailable,
                "GET /users: the answer has more than 1048576 bytes",
            ),
        ):
            error = self.wrong(reply)
            self.assertEqual((type(error), str(error)), (kind, words))
        self.assertEqual(self.twitch.to("/helix/elsewhere"), [])

    def test_a_slow_answer_is_given_up(self) -> None:
        """
        Five seconds, the body included. The points stay paid until the bucket has refilled.
        """
        self.twitch.then(USERS, HANG, HANG)
        silent, slow = (run(self.world.helix.get("/users")) for _ in range(2))
        self.twitch.hanging[1].write(b'{"data":')
        self.world.stub.flush()
        self.world.clock.advance(5)
        for each in (silent, slow):
            self.assertIn("no answer within 5 s", str(self.failureResultOf(each, TwitchUnavailable).value))
        self.assertEqual(self.world.clock.getDelayedCalls(), [])
        self.world.clock.advance(1)
        self.assertTrue(self.world.bucket.can_spare(self.world.bucket.limit, 0))

    def test_a_connection_that_fails_is_explained(self) -> None:
        """
        The error says what happened, not which class wraps it.
        """

        class Refusing:
            def request(self, *_: object) -> Any:
                return fail(ResponseNeverReceived([Failure(RefusedError())]))

        self.get_token()
        client = HTTPClient(cast("Any", Refusing()))
        helix = Helix(client, lambda: self.world.settings, self.world.token, self.world.bucket, self.world.clock)
        error = self.failureResultOf(run(helix.get("/users")), TwitchUnavailable).value
        self.assertEqual(str(error), "GET /users: connection refused")

    def test_an_answer_without_end_is_cut_off(self) -> None:
        """
        What comes after the limit is dropped, also when it has arrived already.
        """
        self.twitch.then(USERS, HANG)
        failing = run(self.world.helix.get("/users"))
        [request] = self.twitch.hanging
        for _ in range(20):
            request.write(b"x" * 100_000)
        self.world.stub.flush()
        self.failureResultOf(failing, TwitchUnavailable)

    def test_reading_can_be_given_up_before_it_began(self) -> None:
        """
        A response that has not connected its body yet has no connection to close.
        """

        class Unconnected:
            def deliverBody(self, protocol: object) -> None:
                pass

        reading = read_body(cast("Any", Unconnected()), 10)
        reading.cancel()
        self.failureResultOf(reading, CancelledError)

    def test_a_body_that_breaks_off_is_no_answer(self) -> None:
        """
        Half an answer is worth another try.
        """
        self.twitch.then(USERS, HANG)
        failing = run(self.world.helix.get("/users"))
        [request] = self.twitch.hanging
        request.setHeader("Content-Length", "100")
        request.write(b'{"data":[]}')
        request.transport.loseConnection()
        self.world.stub.flush()
        self.failureResultOf(failing, TwitchUnavailable)

    def test_it_can_be_cancelled(self) -> None:
        """
        Whoever asked may stop waiting, before the answer or during it.
        """
        self.twitch.then(USERS, HANG)
        asking = run(self.world.helix.get("/users"))
        asking.cancel()
        self.failureResultOf(asking, CancelledError)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_a_crowd_takes_turns(self) -> None:
        """
        Of requests that leave points to others a limited number is under way, and one that does not sets out before
        those that wait. When one ends, or is given up, the next sets out.
        """
        self.twitch.usual[USERS] = HANG
        self.twitch.usual["/helix/streams"] = FINE
        crowd = [run(self.world.helix.get("/users", spare=1)) for _ in range(60)]
        under_way = len(self.twitch.hanging)
        self.assertLess(under_way, 40)
        self.successResultOf(run(self.world.helix.get("/streams")))
        self.assertEqual(len(self.twitch.hanging), under_way)
        crowd[0].cancel()
        self.failureResultOf(crowd[0], CancelledError)
        self.assertEqual(len(self.twitch.hanging), under_way + 1)
        crowd[-1].cancel()
        self.failureResultOf(crowd[-1], CancelledError)
        self.assertEqual(len(self.twitch.hanging), under_way + 1)
        for each in crowd[1:-1]:
            self.assertNoResult(each)
            request = self.twitch.hanging[1 + crowd[1:-1].index(each)]
            request.write(FakeTwitch.answer(request, FINE))
            request.finish()
            self.world.stub.flush()
            self.assertEqual(self.successResultOf(each), {"data": []})
        self.assertEqual(len(self.twitch.hanging), 59)

    def get_token(self) -> None:
        """
        Have a token.
        """
        self.successResultOf(run(self.world.token.get()))

    def test_no_token_no_request(self) -> None:
        """
        Without a token Helix is not asked.
        """
        self.twitch.usual[TOKEN] = Reply(400, {"message": "invalid client"})
        self.assertIsInstance(self.wrong(), TwitchRejected)
        self.assertEqual(self.twitch.to(USERS), [])

    @given(st.integers(200, 599), st.binary(max_size=50))
    def test_nothing_but_twitch_errors(self, status: int, body: bytes) -> None:
        """
        Whatever Helix answers, the result is JSON or a TwitchError.
        """
        world = World(Path(self.mktemp()))
        world.twitch.usual[USERS] = Reply(status, body)
        asking = run(world.helix.get("/users"))
        world.clock.advance(1)
        if isinstance(result := asking.result, Failure):
            self.failureResultOf(asking, TwitchError)
        else:
            self.assertTrue(200 <= status < 300, result)
