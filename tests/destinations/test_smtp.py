"""
Tests for :mod:`itsjustintv.destinations.smtp`, before a mail server that is a script.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.destinations.smtp import MailRefused, MailServer, NotSmtp, Phase, Reply, SmtpConnection

SERVER = MailServer(
    host="mail.example.org",
    port=25,
    security="none",
    user="",
    password="",
    sender="bot@example.org",
    recipients=("a@x.example", "b@x.example"),
)
MAIL = b"Subject: x\r\n\r\nhello\r\n"
OPENING = ["220 mail", "250-mail\r\n250 SIZE"]


class Transport(StringTransport):
    """
    Notes when TLS begins.
    """

    tls: object = None

    def startTLS(self, trust: object) -> None:
        self.tls = trust
        self.write(b"(TLS)\r\n")


class SmtpTests(SynchronousTestCase):
    """
    A mail is handed in as the protocol has it.
    """

    def begin(
        self, server: MailServer = SERVER, mail: bytes = MAIL, *, patient: bool = True
    ) -> Deferred[tuple[Reply, int]]:
        self.connect()
        return Deferred.fromCoroutine(self.connection.hand_in(server, mail, "trust", all_or_none=patient))

    def connect(self) -> None:
        self.clock = Clock()
        self.connection = SmtpConnection(self.clock)
        self.transport = Transport()
        self.connection.makeConnection(self.transport)

    def hear(self, replies: Sequence[str]) -> None:
        for each in replies:
            self.connection.dataReceived(each.encode() + b"\r\n")

    def said(self) -> list[str]:
        return self.transport.value().decode().split("\r\n")[:-1]

    def refused(self, handing_in: Deferred[tuple[Reply, int]]) -> tuple[Phase, int]:
        error = self.failureResultOf(handing_in, MailRefused).value
        return error.phase, error.reply.code

    def test_a_mail(self) -> None:
        """
        A mail goes to each recipient in one transaction; the connection then ends.
        """
        done = self.begin()
        self.hear([*OPENING, "250 ok", "250 ok", "250 ok", "354 go", "250-2.0.0 taken\r\n250 as 7"])
        reply, refused = self.successResultOf(done)
        self.assertEqual((reply, refused), (Reply(250, ("2.0.0 taken", "as 7")), 0))
        self.connection.leave()
        self.assertEqual(
            self.said(),
            [
                "EHLO [10.0.0.1]",
                "MAIL FROM:<bot@example.org>",
                "RCPT TO:<a@x.example>",
                "RCPT TO:<b@x.example>",
                "DATA",
                *MAIL.decode().split("\r\n")[:-1],
                ".",
                "QUIT",
            ],
        )
        self.assertTrue(self.transport.disconnecting)

    def test_over_ipv6(self) -> None:
        """
        This machine introduces itself by its address, which has a prefix if it is one of IPv6.
        """
        self.begin()
        self.transport.hostAddr = IPv6Address("TCP", "fe80::1%eth0", 25)
        self.hear(["220 mail"])
        self.assertEqual(self.said(), ["EHLO [IPv6:fe80::1]"])

    @given(st.lists(st.sampled_from([b"", b".", b"..", b".x", b"x", b"x."]), max_size=12))
    def test_dots(self, lines: list[bytes]) -> None:
        """
        Lines that begin with a dot arrive as they are, and none of them ends the mail.
        """
        mail = b"".join(line + b"\r\n" for line in lines)
        self.begin(mail=mail or b"\r\n")
        self.hear([*OPENING, "250 ok", "250 ok", "250 ok"])
        self.transport.clear()
        self.hear(["354 go"])
        sent = self.transport.value().split(b"\r\n")
        self.assertEqual(sent[-2:], [b".", b""])
        self.assertNotIn(b".", sent[:-2])
        self.assertEqual([each.removeprefix(b".") for each in sent[:-2]], lines or [b""])

    def test_refusals(self) -> None:
        """
        A refusal says at which step it came.
        """
        for replies, expected in (
            (["554 no"], (Phase.GREETING, 554)),
            (["220 mail", "502 no"], (Phase.GREETING, 502)),
            ([*OPENING, "553 no"], (Phase.SENDER, 553)),
            ([*OPENING, "250 ok", "550 no", "551 no"], (Phase.RECIPIENT, 550)),
            ([*OPENING, "250 ok", "550 no", "450 later"], (Phase.RECIPIENT, 450)),
            ([*OPENING, "250 ok", "250 ok", "450 later"], (Phase.RECIPIENT, 450)),
            ([*OPENING, "250 ok", "250 ok", "250 ok", "554 no"], (Phase.CONTENT, 554)),
            ([*OPENING, "250 ok", "250 ok", "250 ok", "354 go", "552 large"], (Phase.CONTENT, 552)),
        ):
            with self.subTest(expected):
                done = self.begin()
                self.hear(replies)
                self.assertEqual(self.refused(done), expected)

    def test_some_recipients(self) -> None:
        """
        Who is refused for good does not hold up the others, nor in the end who is refused for now.
        """
        for patient, reply in ((True, "550 no"), (False, "450 later")):
            done = self.begin(patient=patient)
            self.hear([*OPENING, "250 ok", "250 ok", reply, "354 go", "250 ok"])
            self.assertEqual(self.successResultOf(done)[1], 1)

    def test_a_question(self) -> None:
        """
        A question goes as far as the login, and hands in nothing.
        """
        self.connect()
        checking = Deferred.fromCoroutine(self.connection.check(evolve(SERVER, user="ada", password="x"), "trust"))
        self.hear(["220 mail", "250-mail\r\n250 AUTH PLAIN", "235 in"])
        self.assertEqual(self.said()[-1], "NOOP")
        self.hear(["250 fine"])
        self.assertEqual(self.successResultOf(checking).code, 250)
        self.connection.leave()
        self.assertEqual([line.split()[0] for line in self.said()], ["EHLO", "AUTH", "NOOP", "QUIT"])

    def test_starttls(self) -> None:
        """
        TLS begins before anything is said of the mail, and what the server offered before does not count.
        """
        done = self.begin(evolve(SERVER, security="starttls", user="ada", password="x"))
        self.hear(["220 mail", "250-mail\r\n250-AUTH PLAIN\r\n250 STARTTLS", "220 go"])
        self.assertEqual(self.transport.tls, "trust")
        self.hear(["250 mail"])
        self.assertIn("no login", str(self.failureResultOf(done, NotSmtp).value))
        self.assertEqual(self.said(), ["EHLO [10.0.0.1]", "STARTTLS", "(TLS)", "EHLO [10.0.0.1]"])

    def test_no_starttls(self) -> None:
        """
        Without the offer nothing is sent in the clear.
        """
        done = self.begin(evolve(SERVER, security="starttls", user="ada", password="x"))
        self.hear(OPENING)
        self.failureResultOf(done, NotSmtp)
        self.assertEqual(self.said(), ["EHLO [10.0.0.1]"])

    def test_what_comes_before_tls_is_not_believed(self) -> None:
        """
        A reply that another party put after that to STARTTLS ends the attempt.
        """
        for more in ("250 AUTH PLAIN\r\n", "250-x\r\n", "25"):
            done = self.begin(evolve(SERVER, security="starttls"))
            self.hear(["220 mail", "250-mail\r\n250 STARTTLS"])
            self.connection.dataReceived(f"220 go\r\n{more}".encode())
            with self.subTest(more):
                self.failureResultOf(done, NotSmtp)
                self.assertIsNone(self.transport.tls)

    def test_login(self) -> None:
        """
        The password is sent by PLAIN, otherwise by LOGIN.
        """
        name, password, plain = (b64encode(each).decode() for each in (b"ada", "pä".encode(), "\0ada\0pä".encode()))
        for offer, replies, expected in (
            ("AUTH LOGIN PLAIN", ["235 ok"], [f"AUTH PLAIN {plain}"]),
            ("AUTH LOGIN", ["334 VXNlcg==", "334 UGFzcw==", "235 ok"], ["AUTH LOGIN", name, password]),
        ):
            done = self.begin(evolve(SERVER, user="ada", password="pä"))
            self.hear(["220 mail", f"250-mail\r\n250 {offer}", *replies])
            self.assertEqual(self.said()[1:], [*expected, "MAIL FROM:<bot@example.org>"])
            self.assertNoResult(done)

    def test_a_login_that_is_refused(self) -> None:
        """
        A refused login says so, and the password is not said again.
        """
        for offer, replies in (("AUTH PLAIN", ["535 no"]), ("AUTH LOGIN", ["334 x", "535 no"])):
            done = self.begin(evolve(SERVER, user="ada", password="x"))
            self.hear(["220 mail", f"250-mail\r\n250 {offer}", *replies])
            self.assertEqual(self.refused(done), (Phase.LOGIN, 535))

    @given(st.one_of(st.binary(max_size=40), st.just(b"HTTP/1.1 400 Bad Request"), st.just(b"x" * 5000)))
    def test_something_else_answers(self, line: bytes) -> None:
        """
        What does not speak SMTP is left at once.
        """
        done = self.begin()
        self.connection.dataReceived(b"no " + line.replace(b"\n", b"") + b"\r\n")
        self.failureResultOf(done, NotSmtp)
        self.assertTrue(self.transport.disconnected)

    def test_a_reply_without_end(self) -> None:
        """
        A reply of too many lines is none.
        """
        done = self.begin()
        self.connection.dataReceived(b"220-x\r\n" * 200)
        self.failureResultOf(done, NotSmtp)

    def test_a_connection_that_is_lost(self) -> None:
        """
        Whenever the connection is lost, the attempt ends with the reason.
        """
        for replies in ([], OPENING):
            done = self.begin()
            self.hear(replies)
            self.connection.connectionLost(Failure(ConnectionLost()))
            self.failureResultOf(done, ConnectionLost)
            self.assertTrue(self.connection.ended.called)

    def test_cancelled(self) -> None:
        """
        A reply that comes after the end of the wait does no harm.
        """
        done = self.begin()
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.hear(OPENING)

    def test_a_server_that_does_not_end_it(self) -> None:
        """
        A connection that the server leaves open is aborted.
        """
        self.begin()
        self.connection.leave()
        self.assertFalse(self.transport.disconnected)
        self.clock.advance(2)
        self.assertTrue(self.transport.disconnected)
        self.connection.leave()
