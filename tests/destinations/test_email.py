"""
Tests for :mod:`itsjustintv.destinations.email`, against a mailbox in memory that reads mails with the standard library.
"""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, ClassVar, cast

from attrs import define, evolve
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.destinations.email import EMAIL_KIND, Email, Settings
from itsjustintv.destinations.kinds import open_destination
from itsjustintv.destinations.smtp import PHASE, Phase
from itsjustintv.model import STREAM_OFFLINE, Action, Destination, Verdict
from itsjustintv.simulator.fakes.service import FakeAnswer, FakeRequest, FakeService
from itsjustintv.support.http_response import Response
from tests.destinations.contract import NOW, notice
from tests.destinations.golden import GoldenBodies


@define(eq=False, kw_only=True)
class Mailbox(FakeService):
    """
    Takes mails as a strict server does: lines of at most 998 bytes that end with CRLF, and ASCII alone.
    """

    name: ClassVar[str] = "mail"

    def answer(self, request: FakeRequest) -> FakeAnswer:
        mail = request.body
        lines = mail.split(b"\r\n")
        if any(len(each) > 998 or b"\n" in each or b"\r" in each or b"\0" in each for each in lines):
            return FakeAnswer(554, ((PHASE, Phase.CONTENT),))
        mail.decode("ascii")
        message = cast("EmailMessage", message_from_bytes(mail, policy=policy.default))
        if message.defects or sorted(message.keys()) != sorted(set(message.keys())):
            return FakeAnswer(550, ((PHASE, Phase.CONTENT),))
        text, html = message.get_body(("plain",)), message.get_body(("html",))
        assert text is not None
        self.messages[str(message["Message-ID"])] = {
            "headers": {name: str(value) for name, value in message.items()},
            "text": text.get_content().replace("\r\n", "\n"),
            "html": "" if html is None else html.get_content(),
        }
        return FakeAnswer(250)


class EmailTests(GoldenBodies, SynchronousTestCase):
    """
    Mails to two people.
    """

    kind = EMAIL_KIND
    fake: Mailbox

    def make_fake(self) -> Mailbox:
        return Mailbox()

    def make_settings(self, fake: Any, **more: Any) -> Settings:
        usual = {"host": "mail.example.org", "sender": "Tanuki <bot@example.org>", "to": ("a@x.example", "b@x.example")}
        return Settings(**{**usual, **more})

    def at(self, **more: Any) -> Destination:
        return evolve(self.destination(), settings=self.make_settings(self.fake, **more))

    def test_golden_bodies(self) -> None:
        """
        The mails of a broadcast are as they were.
        """
        self.assert_golden(self.at())

    def test_the_mail(self) -> None:
        """
        A mail says who is live, with what title, in which category, and where; as text and as HTML.
        """
        created = self.post(self.at(), notice(title="Töpfern & <b>Kaffee</b>"))
        self.assert_taken(created)
        [mail] = self.fake.messages.values()
        headers = mail["headers"]
        self.assertEqual(headers["Subject"], "Tanuki is live: Töpfern & <b>Kaffee</b>")
        self.assertEqual((headers["From"], headers["To"]), ("Tanuki <bot@example.org>", "a@x.example, b@x.example"))
        self.assertEqual(headers["Date"], "Fri, 02 Jan 2026 12:04:07 +0000")
        self.assertEqual(headers["Auto-Submitted"], "auto-generated")
        self.assertEqual(
            mail["text"],
            "Tanuki is live on Twitch.\n\nTöpfern & <b>Kaffee</b>\n\nCategory: Art\n\nhttps://twitch.tv/tanuki\n",
        )
        self.assertIn("<p>Töpfern &amp; &lt;b&gt;Kaffee&lt;/b&gt;</p>", mail["html"])
        self.assertIn('<a href="https://twitch.tv/tanuki">', mail["html"])

    def test_the_plain_form(self) -> None:
        """
        The plain form has no HTML.
        """
        delivery = evolve(self.prepare(self.at(), notice()), plain=True)
        self.assert_taken(self.attempt(self.at(), delivery))
        self.assertEqual([each["html"] for each in self.fake.messages.values()], [""])

    def test_one_thread(self) -> None:
        """
        What follows a mail is in its thread; every attempt at a mail has the same Message-ID.
        """
        first = self.prepare(self.at(), notice())
        created = self.attempt(self.at(), first)
        self.assertEqual(self.attempt(self.at(), first).remote, created.remote)
        self.assertEqual([*self.fake.messages], [created.remote])
        self.assertRegex(created.remote, r"^<[0-9a-f]+-1@example\.org>$")
        self.assert_taken(self.post(self.at(), notice(STREAM_OFFLINE, Action.FOLLOW_UP), created.remote))
        headers = [*self.fake.messages.values()][1]["headers"]
        self.assertEqual((headers["In-Reply-To"], headers["References"]), (created.remote, created.remote))
        self.assertEqual(headers["Subject"], "Tanuki was live for 3 h 9 min")

    def test_no_header_of_others(self) -> None:
        """
        Neither a template with line breaks nor what the journal has as the first mail adds a header.
        """
        broken = {"online": {"subject": "{{ title }}\r\nBcc: eve@x.example"}}
        destination = evolve(self.destination(messages=broken), settings=self.make_settings(self.fake))
        self.assert_taken(self.post(destination, notice(title="x")))
        follow_up = notice(STREAM_OFFLINE, Action.FOLLOW_UP)
        self.assert_taken(self.post(destination, follow_up, "<a@x>\r\nBcc: eve@x.example"))
        mails = [*self.fake.messages.values()]
        self.assertEqual(mails[0]["headers"]["Subject"], "x Bcc: eve@x.example")
        self.assertEqual([name for each in mails for name in each["headers"] if name in ("Bcc", "In-Reply-To")], [])

    def test_what_a_reply_means(self) -> None:
        """
        A code means what it says of the step at which it came.
        """
        adapter, delivery = open_destination(self.at()), self.prepare(self.at(), notice())
        for phase, code, verdict in (
            (Phase.CONTENT, 250, Verdict.OK),
            (Phase.GREETING, 554, Verdict.RETRY),
            (Phase.TLS, 502, Verdict.RETRY),
            (Phase.LOGIN, 535, Verdict.UNAUTHORIZED),
            (Phase.LOGIN, 454, Verdict.RETRY),
            (Phase.SENDER, 530, Verdict.UNAUTHORIZED),
            (Phase.SENDER, 553, Verdict.REJECTED),
            (Phase.RECIPIENT, 550, Verdict.DESTINATION_GONE),
            (Phase.RECIPIENT, 450, Verdict.RETRY),
            (Phase.CONTENT, 554, Verdict.REJECTED),
            (Phase.CONTENT, 421, Verdict.RETRY),
        ):
            with self.subTest(phase, code=code):
                response = Response(code, Headers({PHASE: [phase.value]}), b"FOREIGN")
                result = adapter.interpret(response, delivery, NOW)
                self.assertEqual(result.verdict, verdict)
                self.assertNotIn("FOREIGN", result.detail)

    def test_the_server(self) -> None:
        """
        The port follows from the security unless it is given.
        """
        for more, port in (({}, 587), ({"security": "tls"}, 465), ({"security": "none"}, 25), ({"port": 2525}, 2525)):
            server = Email(self.at(**more)).server()
            self.assertEqual((server.port, server.sender), (port, "bot@example.org"))
        ipv6 = self.make_settings(None, host="[2001:db8::1]")
        self.assertEqual(EMAIL_KIND.address(ipv6), "smtp://[2001:db8::1]:587")
        user = self.make_settings(None, user="ada@x.example", password="x")
        self.assertEqual(EMAIL_KIND.address(user), "smtp://ada%40x.example@mail.example.org:587")
        self.assertEqual(Email(self.at(host="[2001:db8::1]")).server().host, "2001:db8::1")

    def test_mistakes_in_the_settings(self) -> None:
        """
        Each mistake is said at its key.
        """
        self.assertEqual([*EMAIL_KIND.check(self.make_settings(None, user="a", password="b"))], [])
        for key, more in (
            ("host", {"host": "smtp://mail.example.org"}),
            ("host", {"host": "mail.example.org:25"}),
            ("port", {"port": 70_000}),
            ("security", {"security": "ssl"}),
            ("password", {"user": "ada"}),
            ("user", {"password": "x"}),
            ("security", {"security": "none", "user": "ada", "password": "x"}),
            ("sender", {"sender": "tanuki"}),
            ("sender", {"sender": "a@x.example\r\nBcc: eve@x.example"}),
            ("sender", {"sender": "a@x.example, b@x.example"}),
            ("to", {"to": ()}),
            ("to", {"to": ("Ada <a@x.example>",)}),
            ("to", {"to": ("a@x.example> SIZE=1",)}),
            ("to", {"to": ("ä@x.example",)}),
        ):
            with self.subTest(key, **more):
                self.assertEqual([each for each, _ in EMAIL_KIND.check(self.make_settings(None, **more))], [key])
        local = self.make_settings(None, host="127.0.0.1", security="none", user="a", password="b")
        self.assertEqual([*EMAIL_KIND.check(local)], [])
