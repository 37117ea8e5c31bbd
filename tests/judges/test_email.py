"""
Mails that the sender hands to a mail server by others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import evolve
from OpenSSL.crypto import FILETYPE_PEM, load_certificate
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.ssl import Certificate, PrivateCertificate, trustRootFromCertificates
from twisted.protocols.portforward import ProxyFactory
from twisted.trial.unittest import TestCase
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.iweb import IAgent

from itsjustintv.destinations.email import EMAIL_KIND, Email, Settings
from itsjustintv.destinations.email_sender import SmtpSender
from itsjustintv.destinations.kinds import open_destination
from itsjustintv.interfaces import SenderTools
from itsjustintv.model import STREAM_OFFLINE, Action, Attempt, Delivery, Destination, Verdict
from itsjustintv.support.egress import EgressPolicy
from tests.destinations.contract import NOW, notice
from tests.judges.mail_server import MailServer
from tests.judges.test_mail_server import make_certificate


class MailServerTests(TestCase):
    """
    A mail server takes the mails, or says why not.
    """

    timeout = 60
    patience = 10.0
    egress = EgressPolicy()

    def server(self, **more: Any) -> MailServer:
        self.judge = self.enterContext(MailServer(Path(self.mktemp()), **more))
        return self.judge

    def at(self, **more: Any) -> Destination:
        usual = {"host": "localhost", "port": self.judge.port, "security": "none", "sender": "Bot <bot@x.example>"}
        settings = Settings(**{**usual, "to": ("ada@x.example", "eve@x.example"), **more})
        return Destination(name="mail", url=EMAIL_KIND.address(settings), kind="email", settings=settings)

    def delivery(self, where: Destination, **more: Any) -> Delivery:
        what = notice(title="Töpfern 🏺")
        usual = {"id": "019b-1", "event_id": "019b", "streamer": "tanuki", "destination": "mail", "accepted_at": NOW}
        body = open_destination(where).render(what)
        return Delivery(**{**usual, "next_attempt_at": NOW, "body": body, **more})

    def send(
        self, where: Destination, trust: Path | None = None, *, ask: bool = False, **more: Any
    ) -> Deferred[Attempt]:
        agent: IAgent = None  # type: ignore[assignment]  # for HTTP
        tools = SenderTools(
            reactor=reactor, agent=agent, egress=lambda: self.egress, timeout=lambda: self.patience, wall=lambda: NOW
        )
        policy = BrowserLikePolicyForHTTPS()
        if trust is not None:
            root = Certificate(load_certificate(FILETYPE_PEM, trust.read_bytes()))
            policy = BrowserLikePolicyForHTTPS(trustRootFromCertificates([root]))
        sender = SmtpSender(tools, Email, policy)
        act = sender.ask if ask else sender.send
        sending = act(self.delivery(where, **more), where)
        return sending.addCallback(lambda attempt: sender.stop().addCallback(lambda _: attempt))

    async def test_a_mail(self) -> None:
        """
        A mail arrives with all that is in it, for every recipient; what follows is in its thread.
        """
        self.server()
        attempt = await self.send(self.at())
        self.assertEqual((attempt.verdict, attempt.status, attempt.remote), (Verdict.OK, 250, "<019b-1@x.example>"))
        body = open_destination(self.at()).render(notice(STREAM_OFFLINE, Action.FOLLOW_UP))
        await self.send(self.at(), id="019c-1", action=Action.FOLLOW_UP, remote=attempt.remote, body=body)
        first, second = self.judge.wait_for(2)
        self.assertEqual((first.sender, first.recipients), ("bot@x.example", ("ada@x.example", "eve@x.example")))
        self.assertEqual(first.message["subject"], "Tanuki is live: Töpfern 🏺")
        self.assertEqual(second.message["in-reply-to"], first.message["message-id"])
        self.assertEqual([each.get_content_type() for each in first.message.iter_parts()], ["text/plain", "text/html"])

    async def test_tls_and_a_login(self) -> None:
        """
        With STARTTLS the mail is encrypted, and the sender logs in; a wrong password means that, and a certificate
        that nothing vouches for is not accepted.
        """
        certificate, key = make_certificate(Path(self.mktemp()), "localhost")
        self.server(certificate=certificate, key=key, users={"tanuki": "secret"})
        where = self.at(security="starttls", user="tanuki", password="secret")
        attempt = await self.send(where, certificate)
        self.assertEqual(attempt.verdict, Verdict.OK, attempt.detail)
        self.assertEqual([(each.encrypted, each.user) for each in self.judge.wait_for(1)], [(True, "tanuki")])
        wrong = await self.send(self.at(security="starttls", user="tanuki", password="wrong"), certificate)
        self.assertEqual((wrong.verdict, "answered 535" in wrong.detail), (Verdict.UNAUTHORIZED, True))
        without = await self.send(self.at(security="starttls"), certificate)
        self.assertEqual((without.verdict, "answered 530" in without.detail), (Verdict.UNAUTHORIZED, True))
        unknown = await self.send(where)
        self.assertEqual((unknown.verdict, unknown.reason), (Verdict.RETRY, "tls"), unknown.detail)
        self.assertEqual(len(self.judge.mails), 1)

    async def test_tls_from_the_first_byte(self) -> None:
        """
        With ``tls`` the connection is encrypted before the server says anything.
        """
        certificate, key = make_certificate(Path(self.mktemp()), "localhost")
        self.server()
        pair = PrivateCertificate.loadPEM(key.read_bytes() + certificate.read_bytes())
        # TLS ends in front of the server.
        proxy = reactor.listenSSL(0, ProxyFactory("127.0.0.1", self.judge.port), pair.options(), interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(proxy.stopListening)
        where = self.at(security="tls", port=proxy.getHost().port)
        attempt = await self.send(where, certificate)
        self.assertEqual(attempt.verdict, Verdict.OK, attempt.detail)
        self.assertEqual(len(self.judge.wait_for(1)), 1)
        self.assertEqual((await self.send(where)).reason, "tls")

    async def test_a_question(self) -> None:
        """
        The server is asked for as much as a mail needs, the login included, and gets no mail.
        """
        certificate, key = make_certificate(Path(self.mktemp()), "localhost")
        self.server(certificate=certificate, key=key, users={"tanuki": "secret"})
        where = self.at(security="starttls", user="tanuki", password="secret")
        found = await self.send(where, certificate, ask=True)
        self.assertEqual((found.ok, found.detail), (True, "mail (email) accepts the login."))
        wrong = await self.send(self.at(security="starttls", user="tanuki", password="wrong"), certificate, ask=True)
        self.assertEqual((wrong.verdict, wrong.final), (Verdict.UNAUTHORIZED, True))
        absent = await self.send(self.at(port=1), ask=True)
        self.assertEqual((absent.ok, absent.final, absent.reason), (False, False, "refused"))
        self.assertEqual(self.judge.mails, [])

    async def test_no_starttls(self) -> None:
        """
        A server without STARTTLS gets nothing where it is required.
        """
        self.server()
        attempt = await self.send(self.at(security="starttls"))
        self.assertEqual((attempt.verdict, attempt.reason), (Verdict.RETRY, "error"))
        self.assertIn("offers no STARTTLS", attempt.detail)
        self.assertEqual(self.judge.mails, [])

    async def test_refusals(self) -> None:
        """
        What is refused for now is tried again; a mail that is refused is not, and a place whose recipients are refused
        is gone. One refused recipient does not keep the others from it.
        """
        self.server()
        where = self.at()
        for what, reply, verdict in (
            ("MAIL", "451 4.7.1 Later", Verdict.RETRY),
            ("MAIL", "553 5.1.8 No", Verdict.REJECTED),
            ("DATA", "554 5.7.1 Spam", Verdict.REJECTED),
            ("DATA", "452 4.2.2 Full", Verdict.RETRY),
            ("ada@x.example", "450 4.2.0 Greylisted", Verdict.RETRY),
        ):
            self.judge.refuse(what, reply)
            attempt = await self.send(where)
            self.judge.refuse(what)
            self.assertEqual((attempt.verdict, attempt.is_uncertain), (verdict, False))
            self.assertIn(f"answered {reply[:3]}", attempt.detail)
            self.assertIn(reply[4:], attempt.explanation)
        self.judge.refuse("ada@x.example", "550 5.1.1 No such user")
        gone = await self.send(self.at(to=("ada@x.example",)))
        self.assertEqual(gone.verdict, Verdict.DESTINATION_GONE)
        self.assertEqual(self.judge.mails, [])
        self.assertEqual((await self.send(where)).verdict, Verdict.OK)
        self.assertEqual([each.recipients for each in self.judge.wait_for(1)], [("eve@x.example",)])

    async def test_no_server(self) -> None:
        """
        A server that is not there, silent or refused by the egress rules ends an attempt in time.
        """
        self.server()
        here = self.at()
        refused = await self.send(self.at(port=1))
        self.assertEqual((refused.verdict, refused.reason), (Verdict.RETRY, "refused"))
        self.egress = EgressPolicy(public_only=True)
        forbidden = await self.send(self.at(host="127.0.0.1"))
        self.assertEqual((forbidden.verdict, forbidden.reason), (Verdict.RETRY, "egress"))
        self.egress = EgressPolicy()
        self.patience = 0.3
        # It waits for a handshake.
        silent = await self.send(evolve(here, settings=evolve(here.settings, security="tls")))
        self.assertIn(silent.reason, ("timeout", "tls", "reset"))
        self.assertEqual(silent.verdict, Verdict.RETRY)
