"""
Tests of :mod:`itsjustintv.support.response_head`, and of Twisted's client behind it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from itsjustintv.destinations.http_sender import HttpSender
from itsjustintv.destinations.response import Result, classify_broken, classify_status
from itsjustintv.model import Attempt, Delivery, Destination, State
from itsjustintv.support.response_head import LIMIT, LINE_LIMIT, BrokenAnswer, Fault, Head
from itsjustintv.support.strict_endpoint import StrictEndpoint

OK = b"HTTP/1.1 200 OK\r\n"

#: What may stand in a head or a body, without its end.
LINES = (
    *(b"X: y", b"X", b"", b"\r", b" fold", b"\0: y", b"\xff\xfe: z", b"Retry-After: 5", b"Connection: close"),
    *(b"Content-Length:", b"Content-Length: 3", b"Content-Length: 3, 3", b"Content-Length: x"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", b"3", b"abc", b"0"),
)


def read(*parts: bytes) -> tuple[bytes | None, Fault | None, int | None]:
    """
    What comes of an answer in parts, the connection being closed after them: what is passed on, or what is wrong and
    the status.
    """
    head = Head()
    try:
        for number, part in enumerate(parts, 1):
            whole = head.feed(part)
            if whole is not None:
                return whole + b"".join(parts[number:]), None, None
    except BrokenAnswer as error:
        return None, error.fault, error.status
    error_at_end = head.cut()
    return None, error_at_end and error_at_end.fault, error_at_end and error_at_end.status


class HeadTests(SynchronousTestCase):
    """
    The head of an answer.
    """

    def test_what_is_well_formed_is_passed_on(self) -> None:
        """
        A whole head comes out as it went in, with what came after it, whatever the parts; interim answers do not.
        """
        for head in (
            OK + b"\r\n",
            b"HTTP/1.0 500 \r\nX: y\r\n\r\n",
            b"HTTP/1.1 204\r\n\r\n",
            OK + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\n",
            OK + b"Transfer-Encoding: Chunked\r\n\r\n",
            OK + b"X: a\r\n b\r\n\tc\r\n\r\n",
            b"HTTP/1.1 200 OK\nServer: bare\n\n",
            OK + b"X: " + b"y" * (LINE_LIMIT - 5) + b"\r\n\r\n",
        ):
            sent = head + b"body"
            for parts in ((sent,), (head, b"body"), tuple(sent[at : at + 1] for at in range(len(sent)))):
                self.assertEqual(read(*parts), (sent, None, None), head[:99])
                interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
                self.assertEqual(read(interim, *parts), (sent, None, None), head[:99])

    def test_the_status_counts(self) -> None:
        """
        Whatever is wrong after the status line, the status is known, and what was wrong.
        """
        for rest, fault in (
            (b"no colon\r\n\r\n", Fault.MALFORMED),
            (b" folded: into nothing\r\n\r\n", Fault.MALFORMED),
            (b"na me: x\r\n\r\n", Fault.MALFORMED),
            (b": x\r\n\r\n", Fault.MALFORMED),
            (b"\r\r\n\r\n", Fault.MALFORMED),
            (b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", Fault.MALFORMED),
            (b"Content-Length: -1\r\n\r\n", Fault.MALFORMED),
            (b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", Fault.MALFORMED),
            (b"Content-Length: 5\r\n 6\r\n\r\n", Fault.MALFORMED),
            (b"Transfer-Encoding: gzip\r\n\r\n", Fault.MALFORMED),
            (b"X: " + b"y" * LINE_LIMIT + b"\r\n\r\n", Fault.LONG_LINE),
            (b"X: " + b"y" * LINE_LIMIT, Fault.LONG_LINE),
            (b"X: y\r\n" * (LIMIT // 6 + 1), Fault.LARGE),
            (b"X: y\r\n", Fault.INCOMPLETE),
            (b"", Fault.INCOMPLETE),
        ):
            self.assertEqual(read(OK + rest), (None, fault, 200), rest[:40])
            self.assertEqual(read(b"HTTP/1.1 100 C\r\n\r\n" + OK + rest), (None, fault, 200), rest[:40])

    def test_what_is_no_answer(self) -> None:
        """
        Another protocol, and answers that cannot come, are told apart, most by their first bytes.
        """
        for sent, fault, status in (
            (b"220 mail.example.org ESMTP\r\n", Fault.NOT_HTTP, None),
            (b"\r\n", Fault.NOT_HTTP, None),
            (b"HTTP/1.1 two Hundred\r\n", Fault.NOT_HTTP, None),
            (b"HTTP/1.1 2000 OK\r\n", Fault.NOT_HTTP, None),
            (b"HTTP/1.1 -20 OK\r\n", Fault.NOT_HTTP, None),
            (b"HTTP/1.1 " + b"2" * LINE_LIMIT, Fault.NOT_HTTP, None),
            (b"\0\0\6\4\0\0\0\0\0\0\3\0\0\0\1", Fault.HTTP2, None),
            (b"\0\0\x08\7\0\0\0\0\0", Fault.HTTP2, None),
            (b"\0\0\x08\1\0\0\0\0\1", Fault.NOT_HTTP, None),
            (b"\x15\3\1\0\2\2\x16", Fault.TLS, None),
            (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", Fault.SWITCHED, 101),
            (b"HTTP/1.1 100 C\r\n\r\n", Fault.INTERIM_ONLY, 100),
            (b"HTTP/1.1 102 P\r\n", Fault.INTERIM_ONLY, 102),
            (b"HTTP/1.1 100 C\r\n\r\n" * (LIMIT // 18 + 1), Fault.ENDLESS_INTERIM, 100),
            (b"HTTP/1.1 100 C\r\n\r\n220 mail\r\n", Fault.NOT_HTTP, None),
            (b"HTTP/1.1 2", None, None),
            (b"\0\0", None, None),
            (b"", None, None),
        ):
            self.assertEqual(read(sent), (None, fault, status), sent[:40])
            self.assertEqual(read(*(sent[at : at + 1] for at in range(min(99, len(sent)))), sent[99:])[1], fault)


class SentenceTests(SynchronousTestCase):
    """
    What a person is told.
    """

    def told(self, fault: Fault, status: int | None = None, timeout: float | None = None) -> Result:
        answer = BrokenAnswer(fault, status)
        by_status = classify_status(status, "home") if status is not None and answer.final else None
        return classify_broken(answer, "home", timeout, by_status)

    def test_every_fault_has_its_sentence(self) -> None:
        """
        Each is told in words of its own, that name the receiver and no class of Python.
        """
        for fault in Fault:
            for status in (None, 100, 200, 503):
                detail = self.told(fault, status).detail
                self.assertTrue(detail.startswith("home "), detail)
                self.assertNotIn("Fault", detail)
        self.assertEqual(
            self.told(Fault.HTTP2).detail,
            "home speaks HTTP/2 only, and this daemon sends HTTP/1.1: enable HTTP/1.1 there.",
        )
        self.assertIn("the daemon cut the connection", self.told(Fault.ENDLESS_INTERIM, 100).detail)

    def test_the_status_is_the_word(self) -> None:
        """
        What comes after the status line changes the sentence, not what follows.
        """
        for status, reason in ((204, "delivered"), (302, "redirect"), (410, "gone"), (503, "http_503")):
            meaning = self.told(Fault.LARGE, status)
            self.assertEqual((meaning.reason, meaning.ok), (reason, status == 204))
            self.assertIn("larger than 256 KiB, and the daemon cut the connection", meaning.detail)
        late = self.told(Fault.INCOMPLETE, 200, 4.0)
        self.assertIn("was not complete within 4 s", late.detail)

    def test_an_interim_answer_is_none(self) -> None:
        """
        After interim answers only, an attempt failed, and how says who ended it.
        """
        late, closed = self.told(Fault.INTERIM_ONLY, 103, 4.0), self.told(Fault.INTERIM_ONLY, 103)
        self.assertEqual((late.reason, closed.reason), ("timeout", "reset"))
        self.assertIn("103", late.detail)
        self.assertIn("no final one within 4 s", late.detail)
        self.assertEqual(self.told(Fault.SWITCHED, 101).reason, "http_101")


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class Wire:
    """
    A receiver that says what it is told to.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self.transport = StringTransport()

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return StrictEndpoint(self.clock, self)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        self.protocol = protocolFactory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 80))
        assert self.protocol is not None
        self.protocol.makeConnection(self.transport)
        connected: Deferred[IProtocol] = Deferred()
        connected.callback(self.protocol)
        return connected

    def say(self, data: bytes) -> None:
        cast("IProtocol", self.protocol).dataReceived(data)

    def close(self) -> None:
        cast("IProtocol", self.protocol).connectionLost(Failure(ConnectionResetError()))


class BehindTests(SynchronousTestCase):
    """
    Twisted's client behind it.
    """

    def test_nothing_after_the_status_line_changes_its_meaning(self) -> None:
        """
        Whatever comes after a status line, cut into parts anyhow, ended by whoever: the attempt has that status.
        """
        line = st.sampled_from(LINES)
        ending = st.sampled_from([b"\r\n", b"\n", b"\r\r\n"])

        @given(
            st.sampled_from([200, 204, 304, 404, 503]),
            st.lists(st.tuples(line, ending), max_size=8),
            st.lists(st.integers(0, 200), max_size=4),
            st.sampled_from(["close", "deadline"]),
        )
        def holds(status: int, lines: list[tuple[bytes, bytes]], cuts: list[int], end: str) -> None:
            clock = Clock()
            wire = Wire(clock)
            agent = Agent.usingEndpointFactory(clock, wire, HTTPConnectionPool(clock, persistent=False))
            ended: list[Attempt] = []
            delivery = Delivery(
                id="e-1", event_id="e", streamer="s", destination="home", accepted_at=0.0, next_attempt_at=0.0,
                state=State.PENDING, body=b"{}",
            )  # fmt: skip
            sender = HttpSender(agent, clock, lambda: 4.0)
            sender.send(delivery, Destination(name="home", url="http://127.0.0.1/")).addCallback(ended.append)
            sent = b"HTTP/1.1 %d X\r\n" % status + b"".join(map(b"".join, lines))
            places = sorted({0, len(sent), *(min(each, len(sent)) for each in cuts)})
            for begin, stop in pairwise(places):
                wire.say(sent[begin:stop])
            if end == "close":
                wire.close()
            clock.advance(4.0)
            clock.advance(1.0)
            [attempt] = ended
            self.assertEqual((attempt.status, attempt.ok), (status, status < 300), attempt.detail)
            self.assertEqual(clock.getDelayedCalls(), [])

        holds()
        self.flushLoggedErrors()
