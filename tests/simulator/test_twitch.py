"""
EventSub as the simulated Twitch sends it: challenges, notifications, redelivery, revocation.
"""

from __future__ import annotations

from typing import Any

from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from itsjustintv.errors import Forged
from itsjustintv.simulator.eventsub import VerificationReport
from itsjustintv.support.signatures import verify_eventsub
from tests.simulator.worlds import NOW, SECRET, Answer, InMemory, twitch

CALLBACK = "http://127.0.0.1:4711/twitch"


class Callback(Resource):
    """
    A daemon in short: it echoes challenges and answers everything else as told.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[tuple[Headers, bytes]] = []
        self.statuses: list[int] = []
        self.quoted = False
        self.chunked = False
        self.silent = False

    def render_POST(self, request: Request) -> Any:
        content: Any = request.content
        body = content.read()
        self.requests.append((request.requestHeaders, body))
        if self.silent:
            return NOT_DONE_YET
        kind = request.getHeader("twitch-eventsub-message-type")
        if kind != "webhook_callback_verification":
            request.setResponseCode(self.statuses.pop(0) if self.statuses else 204)
            return b""
        challenge: bytes = Answer(0, {}, body).json["challenge"].encode()
        if self.chunked:
            request.write(challenge)
            request.finish()
            return NOT_DONE_YET
        return b'"%s"' % challenge if self.quoted else challenge

    def header(self, name: str) -> list[str | None]:
        """
        One header of all requests so far.
        """
        return [values[0] if (values := headers.getRawHeaders(name)) else None for headers, _ in self.requests]


class EventSubTests(SynchronousTestCase):
    """
    The messages, and what becomes of a subscription.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.callback = Callback()
        self.agent = RequestTraversalAgent(self.callback)
        self.twitch = twitch(self.clock, agent=self.agent)
        self.tanuki = self.twitch.world.add_streamer("tanuki", "タヌキ")

    def subscribe(self) -> VerificationReport:
        subscribing = self.twitch.subscribe("tanuki", CALLBACK, SECRET)
        self.agent.flush()
        return self.successResultOf(subscribing)

    @property
    def statuses(self) -> list[str]:
        return [each.status for each in self.twitch.subscriptions]

    def pump(self, *seconds: float) -> None:
        for each in seconds:
            self.agent.flush()
            self.clock.advance(each)
        self.agent.flush()

    def announce(self) -> Deferred[list[VerificationReport]]:
        announcing = self.twitch.announce(self.twitch.world.go_live("tanuki"))
        self.agent.flush()
        return announcing

    def test_a_challenge_that_is_echoed_enables(self) -> None:
        """
        The exact challenge, answered 200 with its length, makes the subscription enabled.
        """
        report = self.subscribe()
        self.assertEqual((self.statuses, report.tries[0].status), (["enabled"], 200))
        self.assertEqual(self.callback.header("twitch-eventsub-message-type"), ["webhook_callback_verification"])

    def test_a_challenge_answered_wrongly_fails(self) -> None:
        """
        A quoted or chunked challenge is not accepted, and is not asked for again.
        """
        for fault in ("quoted", "chunked"):
            setattr(self.callback, fault, True)
            self.subscribe()
            setattr(self.callback, fault, False)
        self.pump(*self.twitch.eventsub.resend_after)
        self.assertEqual(self.statuses, ["webhook_callback_verification_failed"] * 2)
        self.assertEqual(len(self.callback.requests), 2)

    def test_a_challenge_without_an_answer_fails_in_time(self) -> None:
        """
        Twitch waits for ten seconds.
        """
        self.callback.silent = True
        subscribing = self.twitch.subscribe("tanuki", CALLBACK, SECRET)
        self.pump(9.9)
        self.assertEqual(self.statuses, ["webhook_callback_verification_pending"])
        self.pump(0.1)
        self.assertEqual(self.statuses, ["webhook_callback_verification_failed"])
        (answer,) = self.successResultOf(subscribing).tries
        self.assertEqual((answer.status, answer.problem), (None, "no answer within 10 s"))

    def test_a_creation_over_the_api_is_challenged(self) -> None:
        """
        After a POST to the Subscriptions API, the callback is challenged over HTTP and the list shows the result.
        """
        ask = InMemory(self, self.twitch.resource())
        headers = {"Authorization": f"Bearer {self.twitch.tokens.issue()}", "Client-Id": self.twitch.client_id}
        asked = {
            "type": "stream.online",
            "version": "1",
            "condition": {"broadcaster_user_id": self.tanuki.id},
            "transport": {"method": "webhook", "callback": CALLBACK, "secret": SECRET},
        }
        self.assertEqual(ask("POST", "/helix/eventsub/subscriptions", headers=headers, json=asked).status, 202)
        self.assertEqual(self.callback.requests, [])
        self.pump(0)
        listed = ask("GET", "/helix/eventsub/subscriptions", headers=headers).json["data"]
        self.assertEqual([each["status"] for each in listed], ["enabled"])

    def test_a_stop_gives_up_a_challenge(self) -> None:
        """
        A stop while a new subscription is being verified is not an error, and leaves it pending.
        """
        self.callback.silent = True
        self.twitch._verify_soon(self.twitch.subscriptions.add("stream.online", "1", self.tanuki.id, CALLBACK, SECRET))
        self.pump(0)
        self.twitch.stop()
        self.assertEqual(self.statuses, ["webhook_callback_verification_pending"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_is_sent_after_a_stop(self) -> None:
        """
        A subscription that was made just before a stop, or is made after it, is not verified any more, and a broadcast
        is told to nobody.
        """
        self.subscribe()
        sent = len(self.callback.requests)
        for stop in (self.twitch.stop, lambda: None):
            self.twitch._verify_soon(
                self.twitch.subscriptions.add("stream.online", "1", self.tanuki.id, CALLBACK, SECRET)
            )
            stop()
        announcing = self.twitch.announce(self.twitch.world.go_live("tanuki"))
        self.pump(0)
        self.failureResultOf(announcing, CancelledError)
        self.assertEqual(len(self.callback.requests), sent)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_notification_is_what_twitch_sends(self) -> None:
        """
        A notification has Twitch's headers and body, and its signature holds for these very bytes only.
        """
        self.subscribe()
        stream = self.twitch.world.go_live("tanuki")
        announcing = self.twitch.announce(stream)
        self.agent.flush()
        (report,) = self.successResultOf(announcing)
        self.assertTrue(report.acknowledged)
        headers, body = self.callback.requests[-1]
        self.assertEqual(
            Answer(0, {}, body).json["event"],
            {
                "id": stream.id,
                "broadcaster_user_id": self.tanuki.id,
                "broadcaster_user_login": "tanuki",
                "broadcaster_user_name": "タヌキ",
                "type": "live",
                "started_at": "2026-01-02T04:00:00Z",
            },
        )
        self.assertEqual(Answer(0, {}, body).json["subscription"]["status"], "enabled")
        told = {
            name: headers.getRawHeaders(f"twitch-eventsub-{name}")
            for name in ("message-retry", "message-type", "message-timestamp", "subscription-type")
        }
        self.assertEqual(
            told,
            {
                "message-retry": ["0"],
                "message-type": ["notification"],
                "message-timestamp": ["2026-01-02T04:00:00.500000000Z"],
                "subscription-type": ["stream.online"],
            },
        )
        signed = [
            (headers.getRawHeaders(f"twitch-eventsub-message-{name}") or [""])[0].encode()
            for name in ("id", "timestamp", "signature")
        ]
        verify_eventsub(SECRET.encode(), signed[0], signed[1], body, signed[2])
        with self.assertRaises(Forged):
            verify_eventsub(SECRET.encode(), signed[0], signed[1], body + b" ", signed[2])

    def test_an_unacknowledged_message_comes_again(self) -> None:
        """
        A message that is not answered with 2xx is sent again under its id, with a higher number, until it is.
        """
        self.subscribe()
        self.callback.statuses = [503, 301]
        announcing = self.announce()
        self.assertNoResult(announcing)
        self.pump(10.0, 20.0)
        (report,) = self.successResultOf(announcing)
        self.assertEqual([each.status for each in report.tries], [503, 301, 204])
        self.assertEqual(self.callback.header("twitch-eventsub-message-retry"), ["0", "0", "1", "2"])
        self.assertEqual(len(set(self.callback.header("twitch-eventsub-message-id")[1:])), 1)
        self.assertEqual(len({body for _, body in self.callback.requests[1:]}), 1)
        self.assertEqual(self.statuses, ["enabled"])

    def test_a_message_never_acknowledged_ends_the_subscription(self) -> None:
        """
        After five tries the subscription is listed with the reason, a revocation is sent, and nothing else is.
        """
        self.subscribe()
        self.callback.statuses = [500] * 5
        announcing = self.announce()
        self.pump(10.0, 20.0, 30.0, 60.0)
        (report,) = self.successResultOf(announcing)
        self.assertEqual((len(report.tries), report.acknowledged), (5, False))
        self.assertEqual(self.statuses, ["notification_failures_exceeded"])
        self.assertEqual(self.callback.header("twitch-eventsub-message-type")[-1], "revocation")
        self.assertNotIn("event", Answer(0, {}, self.callback.requests[-1][1]).json)
        self.assertEqual(self.successResultOf(self.announce()), [])

    def test_twitch_may_be_more_patient(self) -> None:
        """
        With more patience it takes that many messages in a row, each never acknowledged, to end a subscription; one
        that is acknowledged forgives those before it.
        """
        self.subscribe()
        self.twitch.patience, self.twitch.eventsub.resend_after = 2, ()
        for statuses, status in (
            ([500], "enabled"),
            ([204], "enabled"),
            ([500], "enabled"),
            ([500], "notification_failures_exceeded"),
        ):
            self.callback.statuses = statuses
            self.announce()
            self.assertEqual(self.statuses, [status])

    def test_a_challenge_may_come_before_the_answer(self) -> None:
        """
        The callback may be challenged before the creation is answered.
        """
        self.twitch.challenge_after = -1
        self.twitch._verify_soon(self.twitch.subscriptions.add("stream.online", "1", self.tanuki.id, CALLBACK, SECRET))
        self.agent.flush()
        self.assertEqual(self.statuses, ["enabled"])

    def test_a_message_can_be_sent_twice(self) -> None:
        """
        A message that was acknowledged can be sent once more, as Twitch sometimes does.
        """
        self.subscribe()
        (report,) = self.successResultOf(self.announce())
        again = self.twitch.eventsub.send(report.message, number=1, again=False)
        self.agent.flush()
        self.assertTrue(self.successResultOf(again).acknowledged)
        self.assertEqual(self.callback.header("twitch-eventsub-message-retry")[1:], ["0", "1"])

    def test_a_revocation_is_sent_for_a_reason(self) -> None:
        """
        Revoking a subscription tells its callback why, even if it was deleted meanwhile.
        """
        self.subscribe()
        (subscription,) = self.twitch.subscriptions
        for _ in range(2):
            revoking = self.twitch.revoke(subscription, "user_removed")
            self.agent.flush()
            self.assertTrue(self.successResultOf(revoking).acknowledged)
            self.twitch.subscriptions._subscriptions.clear()
        told = Answer(0, {}, self.callback.requests[1][1]).json["subscription"]["status"]
        self.assertEqual(told, "user_removed")

    def test_a_stop_gives_up_what_is_under_way(self) -> None:
        """
        After a stop nothing is sent any more, and nothing is left on the clock.
        """
        self.subscribe()
        self.callback.statuses = [503]
        announcing = self.announce()
        self.twitch.stop()
        self.failureResultOf(announcing, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_stop_gives_up_a_message_that_waits_for_its_answer(self) -> None:
        """
        A request under way is abandoned by a stop, not taken for a failed try that is to be repeated.
        """
        self.subscribe()
        self.callback.silent = True
        announcing = self.announce()
        self.twitch.stop()
        self.failureResultOf(announcing, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_callback_that_cannot_be_reached_is_not_acknowledged(self) -> None:
        """
        Without a connection there is no status, but a reason.
        """

        @implementer(IAgent)
        class Unreachable:
            def request(self, *_: object) -> Deferred[IResponse]:
                return fail(ConnectError(string="refused"))

        away = twitch(self.clock, agent=Unreachable())
        away.world.add_streamer("tanuki")
        (answer,) = self.successResultOf(away.subscribe("tanuki", CALLBACK, SECRET)).tries
        self.assertEqual((answer.status, answer.ok), (None, False))
        self.assertIn("refused", answer.problem)
