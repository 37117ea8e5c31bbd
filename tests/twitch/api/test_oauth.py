"""
Tests of :mod:`itsjustintv.twitch.api.oauth`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import TwitchRejected, TwitchUnavailable
from tests.twitch.fake import HANG, NOW, FakeTwitch, Reply, World, run, token

TOKEN = "/oauth2/token"


class AppTokenTests(SynchronousTestCase):
    """
    Where the token comes from, and how often.
    """

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "data" / "tokens.json"
        self.world = World(self.path)
        self.twitch = self.world.twitch

    def get(self) -> str:
        """
        The token, now.
        """
        return self.successResultOf(run(self.world.token.get()))

    def wrong(self) -> Any:
        """
        Why there is none.
        """
        return self.failureResultOf(run(self.world.token.get())).value

    def put(self, **changes: Any) -> None:
        """
        Have a file of the original program.
        """
        expires_at = datetime.fromtimestamp(NOW, UTC) + timedelta(days=50)
        content = {
            "access_token": "from-disk",
            "token_type": "bearer",
            "expires_in": 5_000_000,
            "expires_at": expires_at.isoformat().replace("+00:00", ".123456789Z"),
            **changes,
        }
        self.path.parent.mkdir(parents=True)
        self.path.write_text(json.dumps(content), encoding="utf-8")

    def test_every_token_is_hidden(self) -> None:
        """
        Wherever a token comes from, it is told to whoever keeps it out of the log.
        """
        self.put()
        self.get()
        self.assertEqual(self.world.hidden, ["from-disk"])
        self.world.token.rejected("from-disk")
        self.twitch.usual[TOKEN] = token("from-twitch")
        self.assertEqual(self.get(), "from-twitch")
        self.assertEqual(self.world.hidden, ["from-disk", "from-twitch"])

    def test_client_credentials_are_exchanged(self) -> None:
        """
        The token endpoint gets the credentials as a form, and its token is the answer.
        """
        self.assertIsNone(self.world.token.expires_at)
        self.assertEqual(self.get(), "token-1")
        self.assertEqual(self.world.token.expires_at, NOW + 5_000_000)
        [asked] = self.twitch.asked
        self.assertEqual((asked.method, asked.path, asked.params), ("POST", TOKEN, []))
        self.assertEqual(asked.headers["content-type"], "application/x-www-form-urlencoded")
        self.assertEqual(
            asked.body, b"client_id=an-id&client_secret=a-secret-nobody-sees&grant_type=client_credentials"
        )

    def test_a_token_serves_for_most_of_its_life(self) -> None:
        """
        Nothing is asked again before nine tenths of a token's life are over.
        """
        self.get()
        self.world.clock.advance(5_000_000 * 0.9 - 1)
        self.assertEqual(self.get(), "token-1")
        self.assertEqual(len(self.twitch.asked), 1)

    def test_an_ageing_token_is_renewed_meanwhile(self) -> None:
        """
        In the last tenth of its life a token is answered at once, and its successor as soon as it has come.
        """
        self.get()
        self.world.clock.advance(5_000_000 * 0.9)
        self.twitch.then(TOKEN, HANG)
        self.assertEqual([self.get(), self.get()], ["token-1", "token-1"])
        [request] = self.twitch.hanging
        request.write(FakeTwitch.answer(request, token("token-2")))
        request.finish()
        self.world.stub.flush()
        self.assertEqual(self.get(), "token-2")
        self.assertEqual(len(self.twitch.asked), 2)

    def test_an_ageing_token_outlives_a_failed_renewal(self) -> None:
        """
        A token endpoint that is down, or refuses, does no harm while the token is valid; after that it does.
        """
        self.get()
        self.world.clock.advance(5_000_000 * 0.95)
        self.twitch.usual[TOKEN] = Reply(500, b"<html>")
        self.assertEqual(self.get(), "token-1")
        self.world.clock.advance(5_000_000 * 0.05)
        self.assertIsInstance(self.wrong(), TwitchUnavailable)

    def test_one_renewal_for_everybody(self) -> None:
        """
        All who want a token while it is asked for wait for the same answer.
        """
        self.twitch.then(TOKEN, HANG)
        waiting = [run(self.world.token.get()) for _ in range(5)]
        [request] = self.twitch.hanging
        request.write(FakeTwitch.answer(request, token("token-1")))
        request.finish()
        self.world.stub.flush()
        self.assertEqual([self.successResultOf(each) for each in waiting], ["token-1"] * 5)
        self.assertEqual(len(self.twitch.asked), 1)

    def test_a_cancelled_wait_does_not_cancel_the_renewal(self) -> None:
        """
        Whoever began the renewal may stop waiting; the others still get the token.
        """
        self.twitch.then(TOKEN, HANG)
        first, second = run(self.world.token.get()), run(self.world.token.get())
        first.cancel()
        self.failureResultOf(first, CancelledError)
        [request] = self.twitch.hanging
        request.write(FakeTwitch.answer(request, token("token-1")))
        request.finish()
        self.world.stub.flush()
        self.assertEqual(self.successResultOf(second), "token-1")

    def test_the_token_survives_a_restart(self) -> None:
        """
        The file is as the original program writes it, readable by its owner only, and is used at the next start.
        """
        self.get()
        content = json.loads(self.path.read_text(encoding="utf-8"))
        del content["owner"]
        expires_at = datetime.fromtimestamp(NOW + 5_000_000, UTC).isoformat().replace("+00:00", "Z")
        self.assertEqual(
            content,
            {
                "access_token": "token-1",
                "token_type": "bearer",
                "expires_in": 5_000_000,
                "expires_at": expires_at,
            },
        )
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual([each.name for each in self.path.parent.iterdir()], ["tokens.json"])
        self.world.token = self.world.new_token()
        self.assertEqual(self.get(), "token-1")
        self.assertEqual(len(self.twitch.asked), 1)

    def test_the_file_does_not_tell_the_secret(self) -> None:
        """
        The file holds nothing of the client's secret.
        """
        self.get()
        self.assertNotIn("a-secret-nobody-sees", self.path.read_text(encoding="utf-8"))

    def test_the_originals_file_is_taken_over(self) -> None:
        """
        A file of the original program, nanoseconds included, saves a request.
        """
        self.put()
        self.assertEqual(self.get(), "from-disk")
        self.assertEqual(self.twitch.asked, [])

    def test_an_expired_file_is_not_used(self) -> None:
        """
        A token that has expired meanwhile is replaced.
        """
        self.put(expires_at="2020-01-01T00:00:00Z")
        self.assertEqual(self.get(), "token-1")

    def test_changed_credentials_make_a_new_token(self) -> None:
        """
        A token made for another client id, another secret or another server is not used, in memory or from the file.
        """
        self.get()
        for number, change in enumerate(
            [
                {"client_id": "another"},
                {"client_secret": "rotated"},
                {"auth_url": "https://id.example.org/oauth2"},
            ],
            2,
        ):
            self.world.settings = evolve(self.world.settings, **change)
            self.twitch.usual[TOKEN] = token(f"token-{number}")
            self.assertEqual(self.get(), f"token-{number}")
        self.world.settings = evolve(self.world.settings, client_secret="rotated-while-down")
        self.world.token = self.world.new_token()
        self.twitch.usual[TOKEN] = token("token-5")
        self.assertEqual(self.get(), "token-5")

    def test_a_corrupt_file_is_ignored_with_one_warning(self) -> None:
        """
        Whatever the file holds instead of a token, one line warns of it without quoting it, and a token is asked for.
        """
        for content in (
            b"",
            b'{"access_token": "quoted-secret", ',
            b"[]",
            b"\xff",
            b'{"access_token": "two words", "expires_in": 5, "expires_at": "2026-01-01T00:00:00Z"}',
            b'{"access_token": "x", "expires_in": true, "expires_at": "2026-01-01T00:00:00Z"}',
            b'{"access_token": "x", "expires_in": 5}',
            b'{"access_token": "x", "expires_in": 5, "expires_at": "2026-01-01T00:00:00"}',
            b'{"access_token": "x", "expires_in": 5, "expires_at": "soon"}',
        ):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(content)
            self.world.token = self.world.new_token()
            with capturedLogs() as logs:
                self.assertEqual([self.get(), self.get()], ["token-1", "token-1"])
            [warning] = [event for event in logs if event["log_level"] is LogLevel.warn]
            self.assertNotIn("quoted-secret", warning["reason"])

    def test_a_file_that_cannot_be_read_or_written_is_a_warning(self) -> None:
        """
        Where the file should be there is a directory: both failures are said, and the token is used.
        """
        self.path.mkdir(parents=True)
        with capturedLogs() as logs:
            self.assertEqual(self.get(), "token-1")
        warnings = [event["log_format"].split(":")[0] for event in logs if event["log_level"] is LogLevel.warn]
        self.assertEqual(warnings, ["invalid token file {path}", "cannot write the token file {path}"])
        self.assertEqual(list(self.path.parent.glob(".*")), [])

    def test_a_rejected_token_is_dropped_once(self) -> None:
        """
        A 401 makes a new token, once: the next one within a minute is not blamed on the token.
        """
        self.get()
        self.twitch.usual[TOKEN] = token("token-2")
        self.assertTrue(self.world.token.rejected("token-1"))
        self.assertEqual(self.get(), "token-2")
        self.assertTrue(self.world.token.rejected("token-1"), "another one is there")
        self.assertFalse(self.world.token.rejected("token-2"))
        self.assertEqual(self.get(), "token-2")
        self.world.clock.advance(60)
        self.assertTrue(self.world.token.rejected("token-2"))

    def test_wrong_credentials_are_said_once_and_not_tried_again(self) -> None:
        """
        A refusal stands for a minute, with one line in the log for one cause, and the secret is in neither.
        """
        self.twitch.usual[TOKEN] = Reply(403, {"status": 403, "message": "invalid client secret a-secret-nobody-sees"})
        with capturedLogs() as logs:
            errors = [self.wrong() for _ in range(3)]
            self.world.clock.advance(59)
            errors.append(self.wrong())
            self.assertEqual(len(self.twitch.asked), 1)
            self.world.clock.advance(1)
            errors.append(self.wrong())
            self.assertEqual(len(self.twitch.asked), 2)
        self.assertIn("twitch.client_secret", self.world.token.problem() or "")
        said = [event for event in logs if event["log_level"] is LogLevel.error]
        self.assertEqual(
            [event["reason"] for event in said],
            ["the token endpoint answered 403 (invalid client secret [redacted])"],
        )
        self.assertEqual({(type(error), error.status) for error in errors}, {(TwitchRejected, 403)})

    def test_a_missing_secret_garbles_no_message(self) -> None:
        """
        There is nothing to hide then.
        """
        self.world.settings = evolve(self.world.settings, client_secret="")
        self.twitch.usual[TOKEN] = Reply(400, {"status": 400, "message": "missing client secret"})
        self.assertEqual(str(self.wrong()), "the token endpoint answered 400 (missing client secret)")

    def test_corrected_credentials_are_tried_at_once(self) -> None:
        """
        A refusal ends when the credentials change.
        """
        self.twitch.then(TOKEN, Reply(400, {"status": 400, "message": "invalid client"}))
        self.wrong()
        self.world.settings = evolve(self.world.settings, client_id="the-right-one")
        self.assertIsNone(self.world.token.problem())
        self.assertEqual(self.get(), "token-1")

    def test_a_twitch_that_is_away_is_worth_another_try(self) -> None:
        """
        5xx, 429, a timeout, an answer without a token: all of them may be better a moment later, and are.
        """
        replies = [
            Reply(500, b"<html>"),
            Reply(429, {"message": "slow down"}),
            Reply(200, b"<html>"),
            Reply(200, b"[]"),
            Reply(200, {"access_token": "a\r\nb", "expires_in": 5}),
            Reply(200, b"x" * 70_000),
        ]
        for reply in replies:
            self.twitch.then(TOKEN, reply)
            self.assertIsInstance(self.wrong(), TwitchUnavailable)
            asked = len(self.twitch.asked)
            self.wrong()
            self.assertEqual(len(self.twitch.asked), asked, "not again within the same moment")
            self.world.clock.advance(1)
        self.assertEqual(self.get(), "token-1")

    def test_retry_after_is_obeyed(self) -> None:
        """
        The endpoint is left alone for as long as it asks.
        """
        self.twitch.then(TOKEN, Reply(503, headers={"Retry-After": "30"}))
        self.assertEqual(self.wrong().retry_after, 30)
        self.world.clock.advance(29)
        self.wrong()
        self.assertEqual(len(self.twitch.asked), 1)
        self.world.clock.advance(1)
        self.assertEqual(self.get(), "token-1")

    def test_an_endpoint_that_does_not_answer_is_given_up(self) -> None:
        """
        Five seconds are enough, and nothing is left behind.
        """
        self.twitch.then(TOKEN, HANG)
        waiting = run(self.world.token.get())
        self.world.clock.advance(5)
        self.assertIn("no answer within 5 s", str(self.failureResultOf(waiting, TwitchUnavailable).value))
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_the_file_is_read_once_for_everybody(self) -> None:
        """
        Who comes while the file is being read waits for that.
        """
        disk: list[Deferred[Any]] = []

        def slow(*_: Any) -> Deferred[Any]:
            disk.append(Deferred())
            return disk[-1]

        self.world.in_thread = slow
        self.world.token = self.world.new_token()
        waiting = [run(self.world.token.get()) for _ in range(2)]
        [reading] = disk
        reading.callback(None)
        [_, writing] = disk
        writing.callback(None)
        self.assertEqual([self.successResultOf(each) for each in waiting], ["token-1"] * 2)

    @given(st.binary(max_size=200) | st.from_type(dict).map(lambda value: json.dumps(str(value)).encode()))
    def test_no_answer_breaks_it(self, body: bytes) -> None:
        """
        Whatever the endpoint answers, there is a token or a TwitchUnavailable.
        """
        world = World(Path(self.mktemp()))
        world.twitch.usual[TOKEN] = Reply(200, body)
        self.failureResultOf(run(world.token.get()), TwitchUnavailable)
