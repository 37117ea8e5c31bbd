"""
Tests of :mod:`itsjustintv.admin.event_views`.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from itsjustintv.admin.event_views import NOT_STORED, Signing, to_request_view
from itsjustintv.destinations.http_sender import HttpSender
from itsjustintv.model import Destination
from tests.journal.values import attempt, deliveries, event

#: Those that the HTTP client adds to each request with a body.
ADDED = {"Host", "Content-Length"}


@implementer(IAgent)
class Listening:
    """
    Hears what is sent, and never answers.
    """

    headers = Headers()

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        assert method == b"POST" and headers is not None
        self.headers = headers
        return Deferred()


class RequestTests(SynchronousTestCase):
    """
    What was sent.
    """

    @given(
        st.sampled_from(["hub", "standard", "both"]),
        st.sampled_from(["sha1", "sha256", "sha512"]),
        st.booleans(),
        st.sampled_from(["X-Hub-Signature-256", "X-My-Signature"]),
    )
    def test_it_is_what_is_sent(self, kind: str, hashing: str, signed: bool, header: str) -> None:
        """
        It has the headers of a real request, no more and no fewer, and each value is that one or says what of it is not
        stored.
        """
        [delivery] = deliveries(event("e1"), "streamers.tanuki")
        clock, agent = Clock(), Listening()
        clock.advance(1_767_323_046.25)
        secret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" if signed or kind != "hub" else ""
        destination = Destination(
            name="streamers.tanuki",
            url="https://hooks.example/secret",
            secret=secret,
            header=header,
            hashing=hashing,
            signature=kind,
        )
        sender = HttpSender(agent, clock, lambda: 10.0, lambda trace: trace)
        sender.send(delivery, destination)
        told = to_request_view(
            delivery,
            attempt(started_at=clock.seconds()),
            Signing(kind=kind, signed=bool(secret), header=header, hashing=hashing),
        )
        sent = {name.decode().lower(): values[0].decode() for name, values in agent.headers.getAllRawHeaders()}
        self.assertEqual(
            {each.name.lower() for each in told.headers} - {each.lower() for each in ADDED}, set(sent), (told, sent)
        )
        for each in told.headers:
            if each.name not in ADDED:
                known, hole, rest = each.value.partition(NOT_STORED)
                real = sent[each.name.lower()]
                self.assertTrue(real == known if not hole else real.startswith(known) and real.endswith(rest), each)
        self.assertNotIn("hooks.example", repr(told))
        self.assertNotIn(secret or "whsec_", repr(told))

    def test_a_service(self) -> None:
        """
        Of a request to a service, only what all requests have is shown, and that there is more.
        """
        [delivery] = deliveries(event("e1"), "main")
        told = to_request_view(delivery, attempt(), Signing(kind="", signed=False, header="X", hashing="sha256"))
        self.assertEqual(["Host", "Content-Type", "Content-Length"], [each.name for each in told.headers][:3])
        self.assertNotIn("X", [each.name for each in told.headers])
        self.assertEqual(NOT_STORED, told.method)
        self.assertIn("have other parts as well", told.source)
