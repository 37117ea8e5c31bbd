"""
Proofs of the control of a name, on port 80.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from treq.testing import StubTreq
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from txacme.interfaces import IResponder

from itsjustintv.tls.acme.challenges import CHALLENGES, ChallengeResource, Http01Responder, TlsAlpn01Responder
from itsjustintv.tls.acme.messages import AcmeChallenge

NAME = "hooks.example.test"
PATH = "/.well-known/acme-challenge/"
CHALLENGE = AcmeChallenge("http-01", "https://ca/challenge", "a-token")


class ResponderTests(SynchronousTestCase):
    """
    The tables.
    """

    def test_s41_they_are_responders_of_txacme(self) -> None:
        """
        Each row of the table is a class that says which challenge it is for.
        """
        self.assertEqual(list(CHALLENGES), ["http-01", "tls-alpn-01"])
        for challenge_type, responder in CHALLENGES.items():
            made = responder(Clock())
            self.assertTrue(IResponder.providedBy(made))
            self.assertEqual(made.challenge_type, challenge_type)

    def test_stopping_what_never_began_is_no_error(self) -> None:
        """
        Cleaning up may come at any time.
        """
        for responder in CHALLENGES.values():
            self.successResultOf(responder(Clock()).stop_responding(NAME, CHALLENGE, "x"))

    def test_secrets_are_not_shown(self) -> None:
        """
        A key authorization does not get into a log by accident.
        """
        responder = Http01Responder(Clock())
        responder.start_responding(NAME, CHALLENGE, "hush-hush")
        self.assertNotIn("hush", repr(responder))
        self.assertNotIn("a-token", repr(CHALLENGE))

    def test_a_name_has_one_challenge_of_tls_at_a_time(self) -> None:
        """
        A validator says the name only: whoever proves it a second time waits until the first proof is done with.
        """
        responder = TlsAlpn01Responder(Clock())
        self.successResultOf(responder.start_responding(NAME, CHALLENGE, "one.thumb"))
        first = responder.context_for(NAME.encode())
        second = responder.start_responding(NAME, CHALLENGE, "two.thumb")
        self.successResultOf(responder.start_responding("other.example.test", CHALLENGE, "three.thumb"))
        self.assertNoResult(second)
        self.assertIs(responder.context_for(NAME.encode()), first)
        responder.stop_responding(NAME, CHALLENGE, "one.thumb")
        self.successResultOf(second)
        self.assertNotIn(responder.context_for(NAME.encode()), (None, first))
        responder.stop_responding(NAME, CHALLENGE, "two.thumb")
        self.assertIsNone(responder.context_for(NAME.encode()))


class SiteTests(SynchronousTestCase):
    """
    The site.
    """

    def setUp(self) -> None:
        self.responder = Http01Responder(Clock())
        self.names = {NAME}
        self.http = StubTreq(ChallengeResource(self.responder, lambda: self.names))

    def ask(self, path: str, method: str = "GET", host: str = NAME) -> tuple[int, bytes, str | None]:
        """
        Status, body, and where it leads.
        """
        asking = self.http.request(method, f"http://{NAME}{path}", headers={"Host": host}, allow_redirects=False)
        response: Any = self.successResultOf(asking)
        return (
            response.code,
            self.successResultOf(response.content()),
            response.headers.getRawHeaders("Location", [None])[0],
        )

    def test_a_proof_is_answered_while_it_is_expected(self) -> None:
        """
        Exactly the key authorization, before and after nothing; whatever name the authority uses.
        """
        self.assertEqual(self.ask(f"{PATH}a-token")[0], 404)
        self.responder.start_responding(NAME, CHALLENGE, "a-token.thumb")
        for host in (NAME, "192.0.2.7"):
            self.assertEqual(self.ask(f"{PATH}a-token", host=host), (200, b"a-token.thumb", None))
        self.assertEqual(self.ask(f"{PATH}a-token", "HEAD"), (200, b"", None))
        self.assertEqual(self.ask(f"{PATH}another")[0], 404)
        self.assertEqual(self.ask(f"{PATH}a-token", "POST")[0], 405)
        self.responder.stop_responding(NAME, CHALLENGE, "a-token.thumb")
        self.assertEqual(self.ask(f"{PATH}a-token")[0], 404)

    def test_everybody_else_is_led_to_https(self) -> None:
        """
        To the same name, path and query, with the same method.
        """
        for method in ("GET", "POST"):
            self.assertEqual(self.ask("/twitch?a=b%20c", method), (308, b"", f"https://{NAME}/twitch?a=b%20c"))
        for host in (NAME.upper(), f"{NAME}.", f"{NAME}:8080"):
            self.assertEqual(self.ask("/", host=host)[2], f"https://{NAME}/")
        self.names = {"2001:db8::1"}
        self.assertEqual(self.ask("/", host="[2001:DB8::1]:8080")[2], "https://[2001:db8::1]/")

    def test_nobody_is_led_to_a_stranger(self) -> None:
        """
        A request that names another host is not sent there.
        """
        for host in ("evil.example", "192.0.2.7"):
            self.assertEqual(self.ask("/", host=host), (404, b"", None))

    def test_another_port_is_named(self) -> None:
        """
        When HTTPS is not on 443.
        """
        self.http = StubTreq(ChallengeResource(self.responder, lambda: self.names, 8443))
        self.assertEqual(self.ask("/x")[2], f"https://{NAME}:8443/x")

    @given(st.lists(st.sampled_from(["..", ".", "a-token", "%2e%2e", "%00", "", "%ff"]), max_size=5))
    def test_paths_lead_nowhere(self, parts: list[str]) -> None:
        """
        Only a token is answered; no path is looked up anywhere.
        """
        self.responder.start_responding(NAME, CHALLENGE, "a-token.thumb")
        status, body, _ = self.ask(PATH + "/".join(parts))
        self.assertIn(status, (200, 308, 404))
        self.assertEqual(status == 200, body == b"a-token.thumb")
