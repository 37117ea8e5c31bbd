"""
The simulated OAuth.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.behaviour import Behaviour
from tests.simulator.worlds import NOW, Answer, InMemory, twitch


class OAuthTests(SynchronousTestCase):
    """
    Tokens are issued and validated as Twitch does it.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.twitch = twitch(self.clock, client_id="id", client_secret="secret")
        self.ask = InMemory(self, self.twitch.resource())

    def token(self, **changes: str) -> Answer:
        form = {"client_id": "id", "client_secret": "secret", "grant_type": "client_credentials", **changes}
        return self.ask("POST", "/oauth2/token", data=form)

    def validate(self, authorization: str) -> Answer:
        return self.ask("GET", "/oauth2/validate", headers={"Authorization": authorization})

    def test_credentials_get_a_token_that_is_valid(self) -> None:
        """
        The right credentials get a bearer token, which validates under either scheme.
        """
        answer = self.token()
        self.assertEqual((answer.status, answer.json["token_type"]), (200, "bearer"))
        for scheme in ("OAuth", "Bearer"):
            validated = self.validate(f"{scheme} {answer.json['access_token']}")
            self.assertEqual((validated.status, validated.json["client_id"]), (200, "id"))
            self.assertEqual(validated.json["expires_in"], answer.json["expires_in"])

    def test_a_token_expires(self) -> None:
        """
        A token is valid to the end of its life and not longer.
        """
        answer = self.token().json
        self.clock.advance(answer["expires_in"] - 1)
        self.assertEqual(self.validate(f"OAuth {answer['access_token']}").status, 200)
        self.clock.advance(1)
        self.assertEqual(self.validate(f"OAuth {answer['access_token']}").status, 401)

    def test_a_token_can_be_revoked(self) -> None:
        """
        Once; by the application that it is for.
        """
        token = self.token().json["access_token"]

        def revoke(client_id: str) -> int:
            return self.ask("POST", "/oauth2/revoke", data={"client_id": client_id, "token": token}).status

        self.assertEqual([revoke("stranger"), revoke("id"), revoke("id")], [404, 200, 400])
        self.assertEqual(self.validate(f"OAuth {token}").status, 401)

    def test_forgotten_tokens_are_invalid(self) -> None:
        """
        Tokens that Twitch has invalidated do not validate any more.
        """
        token = self.token().json["access_token"]
        self.twitch.tokens.forget()
        answer = self.validate(f"OAuth {token}")
        self.assertEqual((answer.status, answer.json), (401, {"status": 401, "message": "invalid access token"}))

    def test_validation_needs_a_token(self) -> None:
        """
        A request to validate nothing is answered 401.
        """
        self.assertEqual(self.ask("GET", "/oauth2/validate").json["message"], "missing authorization token")

    def test_wrong_credentials_are_refused_for_good(self) -> None:
        """
        An unknown client is a 400, a wrong secret a 403, and both say which.
        """
        for changes, status, message in (
            ({"client_id": "other"}, 400, "invalid client"),
            ({"client_id": ""}, 400, "missing client id"),
            ({"client_secret": "other"}, 403, "invalid client secret"),
            ({"client_secret": ""}, 400, "missing client secret"),
            ({"grant_type": "password"}, 400, "invalid grant type"),
        ):
            answer = self.token(**changes)
            self.assertEqual((answer.status, answer.json), (status, {"status": status, "message": message}))

    def test_an_endpoint_fails_as_planned_and_recovers(self) -> None:
        """
        A planned failure is answered once; then all is as before.
        """
        self.twitch.faults.plan("token", Behaviour(status=503, body=b"<html>", headers={"Retry-After": "7"}))
        answer = self.token()
        self.assertEqual((answer.status, answer.body, answer.headers["retry-after"]), (503, b"<html>", "7"))
        self.assertEqual(self.token().status, 200)
