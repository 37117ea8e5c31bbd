"""
Tests for :mod:`itsjustintv.cli.questions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
from attrs import evolve
from click.testing import CliRunner
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.cli.questions import InitOptions, Interview
from itsjustintv.config.sections import Twitch
from itsjustintv.errors import TwitchUnavailable
from itsjustintv.model import Destination

GIVEN = InitOptions(
    client_id="an-id",
    client_secret="a-secret",
    domain="hooks.example.org",
    conduit=False,
    https=None,
    agree_to_terms=False,
    port=8080,
    proxy="127.0.0.1",
    streamers=("tanuki",),
    webhook="https://receiver.example.org/live",
    destination=None,
    keys={},
    webhook_secret=None,
    send_test=False,
    api_url=Twitch().api_url,
    auth_url=Twitch().auth_url,
    websocket_url=Twitch().conduit.websocket_url,
)


class Look:
    """
    A world in which nobody can look anybody up.
    """

    async def credentials(self, twitch: Twitch) -> str:
        return ""

    async def name(self, domain: str) -> str:
        return "" if domain == "hooks.example.org" else f"{domain} cannot be resolved"

    async def connection(self, url: str) -> str:
        return "" if url == Twitch().conduit.websocket_url else f"no messages can arrive from {url}"

    async def users(self, twitch: Twitch, logins: Sequence[str]) -> Mapping[str, str | None]:
        raise TwitchUnavailable("twitch is away")

    async def receiver(self, destination: Destination) -> str:
        return ""


class InterviewTests(SynchronousTestCase):
    """
    What becomes of answers.
    """

    def hold(self, given: InitOptions, typed: str | None = None) -> tuple[Interview, Any, Any, str]:
        """
        Hold the interview with somebody who types this, or with nobody.

        :return: the interview, the values, the streamers, and what was shown.
        """
        talk = Interview(given, Look(), typed is not None)  # type: ignore[arg-type]
        with CliRunner().isolation(input=typed) as (out, *_):
            found = self.successResultOf(Deferred.fromCoroutine(talk.run()))
            self.destinations = found.destinations
            return talk, found.values, found.streamers, out.getvalue().decode()

    def test_an_address_of_a_chat_service(self) -> None:
        """
        A URL of Discord becomes a destination for every streamer, wherever it is given, and the global webhook stays
        off.
        """
        url = "https://discord.com/api/webhooks/1/a"
        wanted = {"main": {"type": "discord", "url": url, "default": True}}
        for given in (
            evolve(GIVEN, webhook=url, https=False),
            evolve(GIVEN, webhook=None, destination=f"{url}/slack", https=False),
        ):
            _, values, _, shown = self.hold(given, "y\ny\n")
            self.assertIn("Send a test message there now?", shown)
            self.assertEqual(self.destinations, wanted)
            self.assertNotIn(("global_webhook", "enabled"), values)

    def test_an_address_that_is_pasted(self) -> None:
        """
        The first question is where announcements go; a token of Telegram alone is asked for its chat, and what is wrong
        is asked for again.
        """
        typed = "nonsense\n123456:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghi\nhere\nn\n"
        typed += "123456:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghi\n-100123\nn\ny\n"
        _, _, _, shown = self.hold(evolve(GIVEN, webhook=None, https=False), typed)
        self.assertLess(shown.index("Where announcements go"), shown.index("Chat (id of the chat"))
        self.assertIn("chat must be the id of a chat", shown)
        self.assertEqual(self.destinations["main"]["chat"], "-100123")

    def test_no_one_to_ask_for_a_key(self) -> None:
        """
        Without a user, what a service needs besides is given as a key, or is a problem.
        """
        token = "123456:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghi"
        told = evolve(GIVEN, webhook=None, destination=token)
        self.assertIn("--destination: telegram needs chat", self.hold(told)[0].problems)
        self.hold(evolve(told, keys={"chat": "-100123"}))
        wanted = {"type": "telegram", "token": token, "chat": "-100123", "default": True}
        self.assertEqual(self.destinations, {"main": wanted})

    def test_nobody_to_ask(self) -> None:
        """
        What cannot be checked is a problem where nobody can say that it is right all the same.
        """
        talk, values, streamers, _ = self.hold(evolve(GIVEN, domain="elsewhere"))
        self.assertEqual([each.partition(":")[0] for each in talk.problems], ["--domain", "--streamer"])
        talk, values, streamers, _ = self.hold(GIVEN)
        self.assertEqual(talk.problems, ["--streamer: cannot look them up: twitch is away"])
        self.assertEqual(values["server", "external_domain"], "hooks.example.org")
        self.assertNotIn(("server", "port"), values)
        self.assertEqual(streamers, {"tanuki": {"login": "tanuki"}})

    def test_somebody_insists(self) -> None:
        """
        Somebody who is asked can say that it is right all the same.
        """
        talk, _, streamers, shown = self.hold(evolve(GIVEN, https=False), "n\ny\n")
        self.assertEqual((talk.problems, streamers), ([], {"tanuki": {"login": "tanuki"}}))
        self.assertIn("twitch is away", shown)

    def test_enter_instead_of_a_domain(self) -> None:
        """
        Who presses Enter gets a conduit, and is asked nothing about proxies, certificates or ports.
        """
        given = evolve(GIVEN, domain=None)
        _, values, _, shown = self.hold(given, "n\n\ny\n")
        self.assertIn("Domain (Enter for none): ", shown)
        self.assertNotIn("proxy", shown)
        self.assertEqual((values["twitch", "transport"], values["twitch", "webhook_secret"]), ("conduit", None))
        self.assertEqual([key for key in values if key[0] == "server"], [])
        _, values, _, shown = self.hold(evolve(given, conduit=True), "n\ny\n")
        self.assertNotIn("Domain", shown)
        self.assertEqual(values["twitch", "transport"], "conduit")

    def test_a_domain_that_is_typed(self) -> None:
        """
        A name makes a webhook; what is no name is asked for again, and certificates cannot do without one.
        """
        _, values, _, _ = self.hold(evolve(GIVEN, domain=None), "n\nhttps://a\nhooks.example.org\ny\ny\n")
        self.assertEqual(values["server", "external_domain"], "hooks.example.org")
        self.assertNotIn(("twitch", "transport"), values)
        given = evolve(GIVEN, domain=None, https=True, agree_to_terms=True)
        _, values, _, shown = self.hold(given, "n\n\nhooks.example.org\ny\n")
        self.assertNotIn("Enter for none", shown)
        self.assertEqual(values["server", "tls", "domains"], ("hooks.example.org",))

    def test_https_without_a_proxy(self) -> None:
        """
        Without a proxy certificates are ordered for the domain, by somebody who agrees to the authority's terms.
        """
        _, values, _, _ = self.hold(GIVEN, "n\nn\ny\ny\n")
        self.assertEqual(
            {key[1:]: value for key, value in values.items() if key[0] == "server"},
            {
                ("port",): 443,
                ("tls", "enabled"): True,
                ("tls", "domains"): ("hooks.example.org",),
                ("tls", "agree_to_terms"): True,
            },
        )

    def test_somebody_who_does_not_agree(self) -> None:
        """
        Who does not agree is told what else there is.
        """
        talk = Interview(evolve(GIVEN, https=True), Look(), True)  # type: ignore[arg-type]
        with CliRunner().isolation(input="n\nn\n"):
            failure = self.failureResultOf(Deferred.fromCoroutine(talk.run()), click.ClickException)
        self.assertIn("let a proxy serve HTTPS", failure.value.message)

    def test_a_secret_of_ones_own(self) -> None:
        """
        A secret of Standard Webhooks signs in both ways, any other as the original does; one that is made up is of the
        first kind, and no two are the same.
        """
        own = [evolve(GIVEN, webhook_secret=secret) for secret in ("whsec_" + 32 * "A", "anything", None, None)]
        found = [self.hold(given)[1] for given in own]
        signatures = [each["global_webhook", "target_webhook_signature"] for each in found]
        self.assertEqual(signatures, ["both", "hub", "both", "both"])
        secrets = [each["global_webhook", "target_webhook_secret"] for each in found]
        self.assertEqual(secrets[:2], ["whsec_" + 32 * "A", "anything"])
        self.assertEqual(len(set(secrets)), 4)

    def test_another_twitch(self) -> None:
        """
        A Twitch that is somewhere else is kept in the configuration, the real one is not.
        """
        values = self.hold(evolve(GIVEN, api_url="http://127.0.0.1:9/helix"))[1]
        self.assertEqual(values["twitch", "api_url"], "http://127.0.0.1:9/helix")
        self.assertNotIn(("twitch", "auth_url"), values)
        self.assertNotIn(("twitch", "conduit", "websocket_url"), values)
        talk, values, _, _ = self.hold(evolve(GIVEN, domain=None, websocket_url="ws://127.0.0.1:9/ws"))
        self.assertEqual(talk.problems[0], "--conduit: no messages can arrive from ws://127.0.0.1:9/ws")
        self.assertEqual(values["twitch", "conduit", "websocket_url"], "ws://127.0.0.1:9/ws")
