"""
The receiver: what it believes, and how it behaves.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from treq.testing import StubTreq
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.receiver import Expectation, Receiver
from itsjustintv.support.signatures import sign_hub, sign_standard
from tests.simulator.worlds import NOW, Answer, InMemory

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
BODY = '{"streamer_name":"タヌキ"}'.encode()


def published(message_id: str, now: float, body: bytes) -> dict[str, str]:
    """
    The headers as the published implementation of Standard Webhooks writes them.
    """
    signature = Webhook(SECRET).sign(message_id, datetime.fromtimestamp(int(now), UTC), body.decode())
    return {"Webhook-Id": message_id, "Webhook-Timestamp": str(int(now)), "Webhook-Signature": signature}


class ReceiverTests(SynchronousTestCase):
    """
    Deliveries are verified, recorded and answered.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.receiver = Receiver(self.clock)
        self.ask = InMemory(self, self.receiver.resource())

    def post(self, headers: Mapping[str, str] | None = None, body: bytes = BODY, path: str = "/live") -> Answer:
        return self.ask("POST", path, headers=dict(headers or {}), data=body)

    def test_a_delivery_is_recorded(self) -> None:
        """
        Path, headers, body and time of a delivery are kept, whatever it is.
        """
        self.assertEqual(self.post({"X-Test": "1"}).status, 200)
        (received,) = self.receiver.at("/live")
        self.assertEqual((received.headers["x-test"], received.body, received.at), ("1", BODY, NOW))
        self.assertEqual((received.payload, received.problem), ({"streamer_name": "タヌキ"}, ""))
        self.assertEqual(self.receiver.at("/other"), [])

    def test_data_of_a_cloudevent_is_the_payload(self) -> None:
        """
        Of a CloudEvent in structured mode the payload is its data, and the body stays what was received.
        """
        body = b'{"specversion":"1.0","id":"e","data":{"event":"stream.online"}}'
        self.post({"Content-Type": "application/cloudevents+json; charset=utf-8"}, body)
        (received,) = self.receiver.at("/live")
        self.assertEqual((received.payload, received.body), ({"event": "stream.online"}, body))

    def test_only_a_post_is_a_delivery(self) -> None:
        """
        Another method is refused and not recorded.
        """
        self.assertEqual(self.ask("GET", "/live").status, 405)
        self.assertEqual(self.receiver.received, [])

    def test_the_published_standard_signature_is_believed(self) -> None:
        """
        What the published Standard Webhooks package signs is verified here, among other signatures too.
        """
        self.receiver.expectations["/live"] = Expectation(secret=SECRET, signature="standard")
        headers = published("msg_1", NOW, BODY)
        self.assertEqual(self.post(headers).status, 200)
        headers["Webhook-Signature"] = f"v1,AAAA {headers['Webhook-Signature']}"
        self.assertEqual(self.post(headers).status, 200)

    def test_our_standard_signature_is_believed_by_the_published_package(self) -> None:
        """
        What is signed here is verified by the published Standard Webhooks package.
        """
        now = int(time.time())
        signature = sign_standard(SECRET, "msg_1", now, BODY)
        headers = {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signature}
        self.assertEqual(Webhook(SECRET).verify(BODY, headers), {"streamer_name": "タヌキ"})

    def test_a_standard_signature_that_does_not_hold_is_refused(self) -> None:
        """
        A missing header, another time, another id or another body is answered 401 and recorded with the problem.
        """
        self.receiver.expectations["/live"] = Expectation(secret=SECRET, signature="standard")
        good = published("msg_1", NOW, BODY)
        for headers, problem in (
            ({}, "a webhook-* header is missing"),
            (published("msg_1", NOW - 301, BODY), "webhook-timestamp is too far from the current time"),
            (published("msg_1", NOW + 302, BODY), "webhook-timestamp is too far from the current time"),
            ({**good, "Webhook-Timestamp": "now"}, "webhook-timestamp is too far from the current time"),
            ({**good, "Webhook-Id": "msg_2"}, "webhook-signature is wrong"),
            (published("msg_1", NOW, BODY + b" "), "webhook-signature is wrong"),
        ):
            self.assertEqual(self.post(headers).status, 401)
            self.assertEqual(self.receiver.received[-1].problem, problem)

    def test_the_original_signature_is_verified_as_configured(self) -> None:
        """
        Header and hash function are those expected; missing and wrong are told apart.
        """
        self.receiver.expectations["/live"] = Expectation(secret="s", header="X-Mine", hashing="sha1")
        right = sign_hub("s", BODY, "sha1")
        for headers, problem in (
            ({"X-Mine": right}, ""),
            ({}, "X-Mine is missing"),
            ({"X-Mine": right[:-1]}, "X-Mine is wrong"),
            ({"X-Mine": sign_hub("s", BODY)}, "X-Mine is wrong"),
            ({"X-Hub-Signature-256": right}, "X-Mine is missing"),
        ):
            self.assertEqual(self.post(headers).status, 401 if problem else 200)
            self.assertEqual(self.receiver.received[-1].problem, problem)

    def test_both_signatures_are_needed_when_both_are_expected(self) -> None:
        """
        With ``both``, one of the two is not enough.
        """
        self.receiver.expectations["/live"] = Expectation(secret=SECRET, signature="both")
        one, other = {"X-Hub-Signature-256": sign_hub(SECRET, BODY)}, published("msg_1", NOW, BODY)
        self.assertEqual([self.post(each).status for each in (one, other, {**one, **other})], [401, 401, 200])

    @given(body=st.binary(max_size=50), position=st.integers(min_value=0), bit=st.integers(0, 7))
    def test_one_flipped_bit_breaks_a_signature(self, body: bytes, position: int, bit: int) -> None:
        """
        Wherever a body is changed, its signature is not believed.
        """
        body += b"."
        changed = bytearray(body)
        changed[position % len(body)] ^= 1 << bit
        expectation = Expectation(secret=SECRET)
        headers = {"x-hub-signature-256": sign_hub(SECRET, body)}
        self.assertEqual(expectation.problem(headers, body, NOW), "")
        self.assertEqual(expectation.problem(headers, bytes(changed), NOW), "X-Hub-Signature-256 is wrong")

    def test_a_path_behaves_as_planned(self) -> None:
        """
        A path fails as often as planned and then recovers; other paths know nothing of it.
        """
        self.receiver.script.plan("/live", Behaviour(status=503, headers={"Retry-After": "3"}), Behaviour(status=500))
        first = self.post()
        self.assertEqual((first.status, first.headers["retry-after"]), (503, "3"))
        self.assertEqual([self.post(path="/other").status, self.post().status, self.post().status], [200, 500, 200])
        self.assertEqual([each.status for each in self.receiver.at("/live")], [503, 500, 200])

    def test_a_path_can_change_for_good(self) -> None:
        """
        After what is planned, a path may go on in another way than usual, until that is planned anew.
        """
        self.receiver.script.plan("/live", then=Behaviour(status=410))
        self.assertEqual([self.post().status for _ in range(2)], [410, 410])
        self.receiver.script.plan("/live")
        self.assertEqual(self.post().status, 200)

    def test_a_hanging_or_dropping_path_does_not_answer(self) -> None:
        """
        Without an answer the delivery is recorded all the same, with no status.
        """
        for behaviour in (Behaviour(hang=True), Behaviour(drop=True)):
            self.receiver.script.plan("/live", behaviour)
            stub = StubTreq(self.receiver.resource())
            posting = stub.post("http://receiver.test/live", data=b"")
            posting.addErrback(lambda _: None)
            stub.flush()
            self.assertEqual(self.receiver.received[-1].status, 0)

    def test_a_delivery_can_be_awaited(self) -> None:
        """
        The n-th delivery to a path is told when it comes, and at once when it has come.
        """
        second = self.receiver.delivery("/live", 2)
        abandoned = self.receiver.delivery("/live", 2)
        abandoned.cancel()
        self.failureResultOf(abandoned)
        self.post(body=b"1")
        self.post(body=b"other", path="/other")
        self.assertNoResult(second)
        self.post(body=b"2")
        self.assertEqual(self.successResultOf(second).body, b"2")
        self.assertEqual(self.successResultOf(self.receiver.delivery("/live")).body, b"1")
