"""
Tests for :mod:`itsjustintv.destinations.http_sender` and :mod:`itsjustintv.destinations.response`.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from service_identity import VerificationError
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from treq.testing import RequestTraversalAgent
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Response, ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from twisted.web.resource import Resource
from twisted.web.server import Request
from zope.interface import implementer
from zope.interface.verify import verifyObject

from itsjustintv import __version__
from itsjustintv.destinations import kinds
from itsjustintv.destinations.http_sender import HttpSender
from itsjustintv.destinations.payload import embed_picture
from itsjustintv.destinations.response import classify_status
from itsjustintv.interfaces import DestinationKind, IDestination
from itsjustintv.model import Attempt, Delivery, Destination, Notice, OutgoingRequest, Result, State
from itsjustintv.support.egress import EgressRefused
from itsjustintv.support.http_response import Response as WholeResponse

NOW = 1_700_000_000.25
SECRET = "whsec_" + b64encode(b"k" * 32).decode()
WHERE = Destination(name="home", url="https://example.org/hooks/abcdefghijklmnop?key=zyxwvuts", secret=SECRET)
WHAT = Delivery(
    id="e1-1",
    event_id="e1",
    streamer="foo",
    destination="home",
    accepted_at=NOW,
    next_attempt_at=NOW,
    state=State.PENDING,
    body='{"streamer_name":"タヌキ"}'.encode(),
)


class Receiver(Resource):
    """
    Keeps what it was sent and answers as it is told.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        self.status = 204
        self.headers: list[tuple[bytes, bytes]] = []
        self.answer = b""

    def render(self, request: Request) -> bytes:
        assert request.content is not None
        self.requests.append(request)
        self.bodies.append(request.content.read())
        request.setResponseCode(self.status)
        for name, value in self.headers:
            request.responseHeaders.addRawHeader(name, value)
        return self.answer


class SenderTestCase(SynchronousTestCase):
    """
    A sender before a receiver in memory.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.receiver = Receiver()
        self.agent: IAgent = RequestTraversalAgent(self.receiver)

    def send(self, delivery: Delivery = WHAT, destination: Destination = WHERE) -> Attempt:
        """
        Send something now.
        """
        return self.successResultOf(self.sending(delivery, destination))

    def sending(self, delivery: Delivery = WHAT, destination: Destination = WHERE) -> Deferred[Attempt]:
        """
        Begin to send something.
        """
        return HttpSender(self.agent, self.clock, lambda: 15.0).send(delivery, destination)

    def traced(self, delivery: Delivery) -> Attempt:
        """
        Send something whose span is named after its trace.
        """
        sender = HttpSender(self.agent, self.clock, lambda: 15.0, lambda trace: trace and f"span of {trace}")
        return self.successResultOf(sender.send(delivery, WHERE))

    def header(self, name: str) -> str | None:
        """
        What the receiver got in a header of the last request.
        """
        value = self.receiver.requests[-1].getHeader(name)
        return value if value is None else str(value)


class RequestTests(SenderTestCase):
    """
    What a receiver gets.
    """

    def test_the_receiver_is_told_the_span(self) -> None:
        """
        An attempt of a trace says so, in a header and in its record; one of none does not.
        """
        attempt = self.traced(evolve(WHAT, trace="a trace"))
        self.assertEqual((self.header("traceparent"), attempt.trace), ("span of a trace", "span of a trace"))
        self.assertEqual((self.traced(WHAT).trace, self.header("traceparent")), ("", None))

    def test_request(self) -> None:
        """
        It is a POST of the payload as JSON, which says who sends it and asks for no compression.
        """
        self.send()
        request = self.receiver.requests[0]
        self.assertEqual((request.method, request.uri), (b"POST", b"/hooks/abcdefghijklmnop?key=zyxwvuts"))
        self.assertEqual(self.receiver.bodies, [WHAT.body])
        self.assertEqual(self.header("content-type"), "application/json")
        self.assertEqual(self.header("user-agent"), f"itsjustintv/{__version__}")
        self.assertEqual(self.header("content-length"), str(len(WHAT.body)))
        self.assertIsNone(self.header("accept-encoding"))

    def test_signature_of_the_original(self) -> None:
        """
        The original's signature is the HMAC of the exact bytes, in the header and with the hash that are configured.
        """
        for hashing in ("sha1", "sha256", "sha512"):
            with self.subTest(hashing):
                self.send(destination=evolve(WHERE, header="X-Mine", hashing=hashing))
                expected = hmac.new(SECRET.encode(), self.receiver.bodies[-1], hashing).hexdigest()
                self.assertEqual(self.header("x-mine"), f"{hashing}={expected}")
                self.assertIsNone(self.header("webhook-signature"))

    def test_no_secret_no_signature(self) -> None:
        """
        Without a secret there is nothing to sign with, and the original's header is absent.
        """
        self.assertTrue(self.send(destination=evolve(WHERE, secret="")).ok)
        self.assertIsNone(self.header("x-hub-signature-256"))

    def test_both_signatures(self) -> None:
        """
        Both kinds of signature can be sent at once, over the same bytes.
        """
        self.send(destination=evolve(WHERE, signature="both"))
        assert self.header("x-hub-signature-256") is not None
        self.verify()

    def test_standard_signature_only(self) -> None:
        """
        Standard Webhooks alone leaves the original's header out.
        """
        self.send(destination=evolve(WHERE, signature="standard"))
        self.assertIsNone(self.header("x-hub-signature-256"))
        self.assertEqual(self.header("webhook-id"), "e1")
        self.assertEqual(self.header("webhook-timestamp"), "1700000000")

    def test_the_time_of_the_signature_is_that_on_the_wall(self) -> None:
        """
        A receiver compares it with its own clock, whatever ours was set by since the daemon started; when the
        attempt was made is told by the journal's.
        """
        sender = HttpSender(self.agent, self.clock, lambda: 15.0, wall=lambda: NOW + 86400.0)
        attempt = self.successResultOf(sender.send(WHAT, evolve(WHERE, signature="standard")))
        self.assertEqual(self.header("webhook-timestamp"), str(int(NOW) + 86400))
        self.assertEqual(attempt.started_at, NOW)

    def test_picture_is_signed_too(self) -> None:
        """
        A picture is put into the payload before that is signed.
        """
        body = b'{"image":{"url":"u"}}'
        self.send(evolve(WHAT, body=body, picture=b"PNG"), evolve(WHERE, signature="standard"))
        self.assertEqual(self.receiver.bodies, [embed_picture(body, b"PNG")])
        self.verify()

    def test_attempts_are_signed_afresh(self) -> None:
        """
        An attempt hours later carries the same id, its own time and a signature that is valid for it.
        """
        self.send(destination=evolve(WHERE, signature="standard"))
        self.clock.advance(7200)
        self.send(destination=evolve(WHERE, signature="standard"))
        self.assertEqual(self.header("webhook-id"), "e1")
        self.assertEqual(self.header("webhook-timestamp"), "1700007200")
        self.verify()

    def test_missing_standard_secret(self) -> None:
        """
        Where Standard Webhooks is asked for and the secret is not one of its kind, nothing is sent unsigned.
        """
        for secret in ("", "plain secret", "whsec_!!!!"):
            with self.subTest(secret):
                attempt = self.send(destination=evolve(WHERE, secret=secret, signature="standard"))
                self.assertEqual((attempt.ok, attempt.reason, attempt.status), (False, "error", None))
                self.assertIn("home", attempt.detail)
                self.assertTrue(not secret or secret not in attempt.detail)
        self.assertEqual(self.receiver.requests, [])

    @given(st.binary(max_size=200), st.none() | st.binary(max_size=50), st.uuids(), st.integers(0, 10**6))
    def test_published_verifier(self, body: bytes, picture: bytes | None, event_id: object, later: int) -> None:
        """
        The published library of Standard Webhooks accepts whatever is sent, and refuses it changed.
        """
        text = b'{"x":"' + body.hex().encode() + b'"}'
        self.clock.advance(later)
        self.send(evolve(WHAT, body=text, picture=picture, event_id=str(event_id)), evolve(WHERE, signature="standard"))
        self.verify()

    def verify(self) -> None:
        """
        Let the published library check the last request, at the time of its sending.
        """
        headers = {name: self.header(name) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        webhook = Webhook(SECRET)
        sent = datetime.fromtimestamp(int(headers["webhook-timestamp"] or 0), UTC)
        signature = webhook.sign(str(headers["webhook-id"]), sent, self.receiver.bodies[-1].decode())
        self.assertEqual(headers["webhook-signature"], signature)


class VerifierClockTests(SenderTestCase):
    """
    The published library's own idea of time.
    """

    def test_accepted_now(self) -> None:
        """
        What is sent now passes the library's complete check, and fails it with one byte changed.
        """
        self.clock.rightNow = datetime.now(UTC).timestamp()
        self.send(destination=evolve(WHERE, signature="both"))
        headers = {name: str(self.header(name)) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        body = self.receiver.bodies[-1].decode()
        Webhook(SECRET).verify(body, headers)
        self.assertRaises(WebhookVerificationError, Webhook(SECRET).verify, body + " ", headers)


class AnswerTests(SenderTestCase):
    """
    What an answer means.
    """

    def test_every_status(self) -> None:
        """
        2xx is success, 3xx is a redirect that is not followed, 410 is final, and everything else is a failure.
        """
        for status in range(200, 600):
            self.receiver.status = status
            self.receiver.headers = [(b"Location", b"https://example.org/elsewhere")]
            attempt = self.send()
            with self.subTest(status):
                self.assertEqual(attempt.status, status)
                self.assertEqual(attempt.ok, status < 300)
                self.assertEqual(attempt.final, status == 410)
                kind = "delivered" if status < 300 else "redirect" if status < 400 else f"http_{status}"
                self.assertEqual(attempt.reason, "gone" if status == 410 else kind)
                self.assertEqual((attempt.started_at, attempt.duration), (NOW, 0.0))
        self.assertEqual(len(self.receiver.requests), 400)

    @given(st.integers())
    def test_invented_status(self, status: int) -> None:
        """
        A status that HTTP does not have is a failure whose reason is not made of it.
        """
        meaning = classify_status(status, "home")
        if not 200 <= status < 600:
            self.assertEqual((meaning.ok, meaning.reason), (False, "error"))

    def test_retry_after(self) -> None:
        """
        The largest Retry-After of an answer is handed on; none is None.
        """
        self.receiver.status = 429
        self.assertIsNone(self.send().retry_after)
        self.receiver.headers = [(b"Retry-After", b"3"), (b"retry-after", b"0.376"), (b"Retry-After", b"\xff")]
        self.assertEqual(self.send().retry_after, 3.0)

    def test_beginning_of_the_answer(self) -> None:
        """
        The first 2 KiB of an answer are kept as text on one line, without anything that a terminal would obey.
        """
        self.receiver.status = 500
        self.receiver.answer = b"no \x1b[31m\xff\r\n\x00  such\thook" + b"x" * 5000
        response = self.send().response
        self.assertTrue(response.startswith("no \\x1b[31m\ufffd \\x00 such hookxxx"), response)
        self.assertLessEqual(len(response), 2048)

    def test_quoted_secrets_are_hidden(self) -> None:
        """
        An error page that quotes the address, as many do, or the secret does not bring it into the journal.
        """
        self.receiver.status = 404
        self.receiver.answer = (
            b"Cannot POST /hooks/abcdefghijklmnop?key=zyxwvuts (abcdefghijklmnop, zyxwvuts) with " + SECRET.encode()
        )
        response = self.send().response
        for secret in ("abcdefghijklmnop", "zyxwvuts", SECRET):
            self.assertNotIn(secret, response)
        self.assertTrue(response.startswith("Cannot POST [redacted]"), response)

    def test_the_address_in_each_form(self) -> None:
        """
        It is hidden without a path before the query as well, and in the form in which it is sent.
        """
        self.receiver.status = 404
        for url, quoted in (
            ("https://example.org?token=zyxwvuts", "/?token=zyxwvuts, zyxwvuts"),
            ("https://example.org/a/../hooks/{zyxwvuts}", "/hooks/%7Bzyxwvuts%7D, %7Bzyxwvuts%7D"),
            ("https://example.org//zyxwvuts//", "//zyxwvuts//, zyxwvuts"),
        ):
            self.receiver.answer = f"Cannot POST {quoted}".encode()
            self.assertNotIn("zyxwvuts", self.send(destination=evolve(WHERE, url=url)).response or "", url)

    def test_quoted_secrets_are_hidden_in_every_notation(self) -> None:
        """
        Percent-encoded, as HTML or JSON, in base64, in other case, in pieces, and where the limit of what is kept cuts.
        """
        self.receiver.status = 400
        path = "/hooks/abcdefghijklmnop?key=zyxwvuts"
        for quoted in (
            quote(path, safe=""),
            quote(quote(WHERE.url, safe=""), safe=""),
            path.upper(),
            path.replace("/", "&#x2F;").replace("=", "&#61;"),
            path.replace("/", "\\/"),
            b64encode(f"POST {path}".encode()).decode(),
            "bcdefghijkl... yxwvut",
            SECRET.lower(),
            quote(SECRET, safe="").lower(),
        ):
            for room in (0, 2000, 2030, 2043):
                with self.subTest(quoted=quoted, room=room):
                    self.receiver.answer = b"-" * room + b" " + quoted.encode()
                    response = self.send().response
                    self.assertNotRegex(response.lower(), "bcdefg|ghijkl|yxwvut|whsec_|a2tr|ywjj|ymnk|bmnkz|pqrstu")
                    if not room:
                        self.assertIn("[redacted]", response)

    def test_a_secret_that_is_quoted_again_and_again_is_not_cut(self) -> None:
        """
        What is hidden makes the text shorter, and no half of a part of the address comes into view behind it.
        """
        where = evolve(WHERE, url="https://example.org/hooks/tanuki-receiver-for-everything-new", secret="")
        self.receiver.status = 404
        for room in range(60):
            self.receiver.answer = b"-" * room + b"/hooks/tanuki-receiver-for-everything-new " * 200
            self.assertRegex(self.send(destination=where).response, r"\A-*(\[redacted\] ?)+\[?[a-z]*\]?\Z")

    def test_short_parts_of_the_address_are_hidden(self) -> None:
        """
        Down to four characters, where they stand alone; what is in every address and is a word stays.
        """
        where = evolve(WHERE, url="https://example.org/api/webhooks/k7q2/kiwi?token=abcd&x=12", secret="")
        self.receiver.status = 404
        self.receiver.answer = b"unknown webhooks K7Q2 of kiwi: bad token 'abcd', abcde and kiwis are fine"
        self.assertEqual(
            self.send(destination=where).response,
            "unknown webhooks [redacted] of [redacted]: bad token '[redacted]', abcde and kiwis are fine",
        )


@implementer(IAgent)
@define(eq=False)
class Scripted:
    """
    An agent that does as it is told.
    """

    answer: Callable[[], Deferred[IResponse]]
    producers: list[IBodyProducer] = field(factory=list)

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        assert bodyProducer is not None
        self.producers.append(bodyProducer)
        return self.answer()


class Wire:
    """
    An answer whose body arrives as it is told.
    """

    def __init__(self, status: int) -> None:
        self.transport = StringTransport()
        self.response = Response((b"HTTP", 1, 1), status, b"", Headers(), self.transport)

    def give(self, data: bytes) -> None:
        self.response._bodyDataReceived(data)

    def end(self, reason: Exception) -> None:
        self.response._bodyDataFinished(Failure(reason))


class FailureTests(SenderTestCase):
    """
    What the lack of an answer means.
    """

    def failing(self, problem: Exception) -> Attempt:
        """
        Send something with an agent that fails.
        """
        self.agent = Scripted(lambda: fail(problem))
        return self.send()

    def test_classes(self) -> None:
        """
        Every way not to get an answer has one word, whatever it was wrapped in, and a sentence that names the
        destination but quotes neither its address nor the exception.
        """
        for problem, reason in [
            (error.ConnectionRefusedError("example.org"), "refused"),
            (error.DNSLookupError("example.org"), "dns"),
            (error.TimeoutError("example.org"), "timeout"),
            (error.TCPTimedOutError(110, "example.org"), "timeout"),
            (error.NoRouteError(113, "example.org"), "error"),
            (error.ConnectError(string="example.org"), "error"),
            (SSL.Error([("SSL routines", "", "certificate verify failed: example.org")]), "tls"),
            (VerificationError(errors=["example.org"]), "tls"),
            (SSL.SysCallError(-1, "Unexpected EOF example.org"), "reset"),
            (error.ConnectionLost("example.org"), "reset"),
            (error.ConnectionDone("example.org"), "reset"),
            (error.ConnectionAborted("example.org"), "reset"),
            (ValueError("example.org"), "error"),
            (ZeroDivisionError(WHERE.url), "error"),
        ]:
            for wrapped in (
                problem,
                ResponseNeverReceived([Failure(problem)]),
                ResponseFailed([Failure(ResponseFailed([Failure(problem)]))]),
            ):
                with self.subTest(repr(wrapped)):
                    attempt = self.failing(wrapped)
                    self.assertEqual((attempt.ok, attempt.status, attempt.reason), (False, None, reason))
                    self.assertIn("home", attempt.detail)
                    self.assertNotIn("example.org", attempt.detail)

    def test_refused_addresses(self) -> None:
        """
        Of a connection that was not made, since its address is refused, the sentence names each address and what to do.
        """
        one, two = EgressRefused(["169.254.169.254"]), EgressRefused(["fe80::1", "0.0.0.1"])
        attempt = self.failing(one)
        self.assertEqual((attempt.ok, attempt.status, attempt.reason), (False, None, "egress"))
        self.assertEqual(
            attempt.detail,
            "home resolves to 169.254.169.254, which is refused (egress): add it to egress.allow if that is meant.",
        )
        self.assertIn("resolves to fe80::1 and 0.0.0.1, which are refused (egress): add the", self.failing(two).detail)

    def test_no_route(self) -> None:
        """
        What the system says about an address that cannot be reached is handed on.
        """
        self.assertIn("no route to host", self.failing(error.NoRouteError(113, "x")).detail)

    def test_impossible_address(self) -> None:
        """
        An address that cannot be one is a failed attempt and not an exception.
        """
        for url in ("", "ftp://example.org/", "https://\u00e4.example/", "https://[::1", "nonsense", "http://a b/"):
            with self.subTest(url):
                attempt = self.send(destination=evolve(WHERE, url=url))
                self.assertEqual((attempt.ok, attempt.reason), (False, "error"))

    def test_impossible_header(self) -> None:
        """
        A header name that cannot be one, or a hash that does not exist, is a failed attempt and not an exception.
        """
        for wrong in ({"header": "X-Sig: x\r\nX-Evil"}, {"hashing": "md-nonsense"}):
            attempt = self.send(destination=evolve(WHERE, **wrong))
            self.assertEqual((attempt.ok, attempt.reason), (False, "error"))
            self.assertIn("check its secret, header and hashing", attempt.detail)
            self.assertNotIn(SECRET, attempt.detail)
        self.assertEqual(self.receiver.requests, [])


class DeadlineTests(SenderTestCase):
    """
    One deadline covers everything.
    """

    def test_silence(self) -> None:
        """
        Whatever has not led to an answer in 15 s is cancelled, and that is a timeout.
        """
        cancelled: list[str] = []
        self.agent = Scripted(lambda: Deferred(lambda _: cancelled.append("cancelled")))
        sending = self.sending()
        self.clock.advance(14.9)
        self.assertNoResult(sending)
        self.clock.advance(0.1)
        attempt = self.successResultOf(sending)
        self.assertEqual((attempt.ok, attempt.reason, cancelled), (False, "timeout", ["cancelled"]))
        self.assertAlmostEqual(attempt.duration, 15.0, 5)
        self.assertIn("15 s", attempt.detail)

    def test_look_up_that_hangs(self) -> None:
        """
        A look-up that fails because it was cancelled is a timeout, not an unknown name.
        """

        def not_found(looking: Deferred[IResponse]) -> None:
            looking.errback(error.DNSLookupError())

        self.agent = Scripted(lambda: Deferred(not_found))
        sending = self.sending()
        self.clock.advance(15)
        self.assertEqual(self.successResultOf(sending).reason, "timeout")

    def test_endless_body_of_a_success(self) -> None:
        """
        The status is the receiver's word: a success whose body never ends is delivered, at the deadline at the latest.
        """
        wire = Wire(200)
        self.agent = Scripted(lambda: succeed(wire.response))
        sending = self.sending()
        for _ in range(14):
            wire.give(b"x")
            self.clock.advance(1)
        self.assertNoResult(sending)
        self.clock.advance(1)
        attempt = self.successResultOf(sending)
        self.assertEqual((attempt.ok, attempt.status, attempt.response), (True, 200, "x" * 14))
        self.assertTrue(wire.transport.disconnecting)

    def test_large_body(self) -> None:
        """
        Of a body no more than 64 KiB are read; then the connection is closed and the status counts.
        """
        wire = Wire(500)
        self.agent = Scripted(lambda: succeed(wire.response))
        sending = self.sending()
        wire.give(b"x" * 65535)
        self.assertNoResult(sending)
        wire.give(b"yz")
        self.assertEqual(self.successResultOf(sending).reason, "http_500")
        self.assertTrue(wire.transport.disconnecting)
        wire.give(b"more")
        wire.end(error.ConnectionDone())

    def test_body_that_breaks_off(self) -> None:
        """
        An answer that is cut off after its status counts by its status.
        """
        wire = Wire(204)
        self.agent = Scripted(lambda: succeed(wire.response))
        sending = self.sending()
        wire.give(b"half")
        wire.end(ResponseFailed([Failure(error.ConnectionLost())]))
        attempt = self.successResultOf(sending)
        self.assertEqual((attempt.ok, attempt.response), (True, "half"))

    def test_nothing_is_left_behind(self) -> None:
        """
        An attempt that ends in time leaves no deadline behind.
        """
        self.send()
        self.agent = Scripted(lambda: fail(error.ConnectionRefusedError()))
        self.send()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled_from_outside(self) -> None:
        """
        An attempt that somebody else cancels is no attempt, whatever its request then fails with, and leaves nothing
        behind.
        """

        def reset(asking: Deferred[IResponse]) -> None:
            asking.errback(ResponseNeverReceived([Failure(error.ConnectionAborted())]))

        for canceller in (None, reset):
            self.agent = Scripted(lambda canceller=canceller: Deferred(canceller))  # type: ignore[misc]
            sending = self.sending()
            sending.cancel()
            self.failureResultOf(sending, CancelledError)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled_after_the_status(self) -> None:
        """
        An attempt that is cancelled while the body of its answer is read has been answered.
        """
        wire = Wire(200)
        self.agent = Scripted(lambda: succeed(wire.response))
        sending = self.sending()
        wire.give(b"half")
        sending.cancel()
        attempt = self.successResultOf(sending)
        self.assertEqual((attempt.ok, attempt.status, attempt.response), (True, 200, "half"))
        self.assertTrue(wire.transport.disconnecting)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class BodyTests(SenderTestCase):
    """
    The body that is handed to the agent.
    """

    def test_producer(self) -> None:
        """
        It keeps the contract of body producers.
        """
        wire = Wire(204)
        scripted = Scripted(lambda: succeed(wire.response))
        self.agent = scripted
        sending = self.sending()
        wire.end(ResponseDone())
        self.successResultOf(sending)
        (producer,) = scripted.producers
        verifyObject(IBodyProducer, producer)
        consumer = StringTransport()
        self.successResultOf(producer.startProducing(consumer))
        producer.pauseProducing()
        producer.resumeProducing()
        producer.stopProducing()
        self.assertEqual(consumer.value(), WHAT.body)
        self.assertEqual(producer.length, len(WHAT.body))


@implementer(IDestination)
@define
class Chat:
    """
    A kind of destination that is nothing like a webhook.
    """

    destination: Destination

    def render(self, notice: Notice) -> bytes:
        return b""

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        url = f"{self.destination.url}/messages"
        return OutgoingRequest(method="PATCH", url=url, headers=[("X-Now", str(now))], body=delivery.body.upper())

    def interpret(self, response: WholeResponse, _delivery: Delivery, now: float) -> Result:
        if response.body == b"no such channel":
            return Result("gone", "the channel is gone.", final=True)
        return Result("busy", "it is busy.", retry_after=3.0)


class KindTests(SenderTestCase):
    """
    The sender knows no kind of destination.
    """

    def test_another_kind(self) -> None:
        """
        A row in the table is enough for a destination with another method, address, body and meaning of its answers.
        """
        self.patch(kinds, "KINDS", {"chat": DestinationKind(name="chat", open=Chat, settings=None)})
        where = Destination(name="home", url="https://chat.example.org/c", kind="chat")
        self.receiver.status, self.receiver.answer = 200, b"slow down"
        attempt = self.send(destination=where)
        request = self.receiver.requests[-1]
        self.assertEqual((request.method, request.uri), (b"PATCH", b"/c/messages"))
        self.assertEqual((self.header("x-now"), self.header("content-type")), (str(NOW), None))
        self.assertEqual(self.receiver.bodies[-1], WHAT.body.upper())
        self.assertEqual((attempt.ok, attempt.reason, attempt.retry_after, attempt.final), (False, "busy", 3.0, False))
        self.patch(Chat, "interpret", lambda *_: 1 // 0)
        attempt = self.send(destination=where)
        self.assertEqual((attempt.ok, attempt.reason), (True, "delivered"), "by its status, after a defect")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_another_kind_that_cannot_make_a_request(self) -> None:
        """
        What a kind cannot send is said in its own words, without a word of signatures.
        """
        self.patch(kinds, "KINDS", {"chat": DestinationKind(name="chat", open=Chat, settings=None)})

        def refuse(*_: object) -> None:
            raise ValueError("the post has no thread")

        self.patch(Chat, "make_request", refuse)
        where = Destination(name="home", url="https://chat.example.org/c", kind="chat", keeps_posts=True)
        attempt = self.send(destination=where)
        self.assertEqual(attempt.detail, "nothing can be sent to home: the post has no thread.")

    def test_another_kind_says_what_is_final(self) -> None:
        """
        An answer that a kind calls final ends the delivery, whatever its status.
        """
        self.patch(kinds, "KINDS", {"chat": DestinationKind(name="chat", open=Chat, settings=None)})
        where = Destination(name="home", url="https://chat.example.org/c", kind="chat")
        self.receiver.status, self.receiver.answer = 200, b"no such channel"
        attempt = self.send(destination=where)
        self.assertEqual((attempt.reason, attempt.detail, attempt.final), ("gone", "the channel is gone.", True))
