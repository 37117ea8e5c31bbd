"""
Tests of :mod:`itsjustintv.twitch.eventsub.webhook`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from itertools import count
from typing import Any

from attrs import define, field
from treq.testing import StubTreq
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived
from twisted.web.http_headers import Headers

from itsjustintv.errors import JournalUnavailable
from itsjustintv.logs import Redactor
from itsjustintv.logs.formats import JSONLines
from itsjustintv.model import Acceptance, Event
from itsjustintv.twitch.eventsub.intake import Intake
from itsjustintv.twitch.eventsub.messages import WINDOW, Revocation
from itsjustintv.twitch.eventsub.webhook import TwitchResource
from itsjustintv.web.site import HandlerResource
from tests.twitch.eventsub.test_messages import (
    CHALLENGE,
    EVENT,
    NOW,
    OFFLINE,
    ONLINE,
    REVOKED,
    SECRET,
    SUBSCRIPTION,
    UPDATE,
    signed,
)

VECTOR_A = (
    b'{"challenge":"abc-123","subscription":{"id":"sub-a","status":"webhook_callback_verification_pending",'
    b'"type":"stream.online","version":"1","condition":{"broadcaster_user_id":"42"},"transport":{"method":"webhook",'
    b'"callback":"https://hooks.example.net/twitch"},"created_at":"2026-01-02T03:04:05.123456789Z","cost":1}}'
)
VECTOR_B = (
    '{"subscription":{"id":"sub-a","status":"enabled","type":"stream.online","version":"1","cost":1,"condition":'
    '{"broadcaster_user_id":"42"},"transport":{"method":"webhook","callback":"https://hooks.example.net/twitch"},'
    '"created_at":"2026-01-02T03:04:05.123456789Z"},"event":{"id":"7000000001","broadcaster_user_id":"42",'
    '"broadcaster_user_login":"tanuki","broadcaster_user_name":"タヌキ","type":"live",'
    '"started_at":"2026-01-02T04:00:00Z"}}'
).encode()


@define
class Answer:
    """
    What a client got.
    """

    status: int
    headers: Headers
    length: object
    body: bytes

    def header(self, name: str) -> str:
        """
        The one value of a header.
        """
        [value] = self.headers.getRawHeaders(name) or [""]
        return value


@define(eq=False)
class Door:
    """
    A resource with its collaborators, and a client in front of it.
    """

    verdict: Deferred[Acceptance] = field(factory=lambda: succeed(Acceptance.ACCEPTED))
    secrets: list[bytes] = field(factory=lambda: [SECRET])
    events: list[Event] = field(factory=list)
    revocations: list[Revocation] = field(factory=list)
    counts: list[str] = field(factory=list)
    clock: Clock = field(factory=Clock)
    ahead: float = 0.0
    ids: Iterator[int] = field(factory=lambda: count(1))
    client: StubTreq = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.clock.advance(NOW)
        resource = TwitchResource(
            secrets=lambda: self.secrets,
            intake=Intake(self.accept, self.revocations.append, self.counts.append),
            clock=self.clock,
            new_id=lambda: f"event-{next(self.ids)}",
            wall=lambda: self.clock.seconds() + self.ahead,
        )
        self.client = StubTreq(HandlerResource(resource.receive))

    def accept(self, event: Event) -> Deferred[Acceptance]:
        """
        Note an event.
        """
        self.events.append(event)
        return self.verdict

    def ask(self, method: str, headers: Headers | None = None, body: bytes = b"") -> Answer:
        """
        Send a request and read the answer to its end.
        """

        async def exchange() -> Answer:
            response = await self.request(method, headers, body)
            return Answer(response.code, response.headers, response.length, await response.content())

        done = Deferred.fromCoroutine(exchange())
        self.client.flush()
        return SynchronousTestCase().successResultOf(done)

    def request(self, method: str, headers: Headers | None, body: bytes) -> Deferred[Any]:
        """
        Send a request.
        """
        answer: Deferred[Any] = self.client.request(method, "http://example.net/twitch", headers=headers, data=body)
        return answer

    def send(self, content: Any, kind: bytes = b"notification", **how: bytes) -> Answer:
        """
        Send a signed message.
        """
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.ask("POST", signed(body, kind, **how), body)


class AnswerTests(SynchronousTestCase):
    """
    What Twitch is answered.
    """

    def assert_answer(self, answer: Answer, status: int, word: str) -> None:
        """
        Check an answer in JSON.
        """
        self.assertEqual((answer.status, json.loads(answer.body)), (status, {"status": word}))
        self.assertEqual(answer.header("Content-Type"), "application/json")
        self.assertEqual(answer.length, len(answer.body))

    def test_every_answer_has_an_id(self) -> None:
        """
        It is the event's, if there is one; never one that somebody brought along; and the lines of the log have it.
        """
        door = Door()
        asked = [
            lambda: door.send(ONLINE),
            lambda: door.send({**CHALLENGE}, b"webhook_callback_verification"),
            lambda: door.send(REVOKED, b"revocation"),
            lambda: door.send({**ONLINE, "subscription": {**SUBSCRIPTION, "type": "channel.raid"}}),
            lambda: door.send(b"{"),
            lambda: door.send(ONLINE, secret=b"somebody else's"),
            lambda: door.ask("GET", Headers({"X-Request-Id": ["of-a-stranger"]})),
        ]
        with capturedLogs() as logs:
            given = [ask().header("X-Request-Id") for ask in asked]
        self.assertEqual(given, [f"event-{number}" for number in range(1, 8)])
        self.assertEqual([event.id for event in door.events], ["event-1"])
        self.assertEqual([line.get("event_id") or line["request_id"] for line in logs], given[:6])

    def test_first_vector(self) -> None:
        """
        A challenge signed elsewhere is echoed to the byte, as text and with its length.
        """
        door = Door()
        headers = Headers(
            {
                "Twitch-Eventsub-Message-Id": ["m-0001"],
                "Twitch-Eventsub-Message-Timestamp": ["2026-01-02T03:04:06.000000001Z"],
                "Twitch-Eventsub-Message-Type": ["webhook_callback_verification"],
                "Twitch-Eventsub-Message-Signature": [
                    "sha256=6d1f6f81b4e4d0470044f2b039f7b314a24c80f0e78973910873fb813b97e61a"
                ],
            }
        )
        answer = door.ask("POST", headers, VECTOR_A)
        self.assertEqual((answer.status, answer.body), (200, b"abc-123"))
        self.assertEqual(answer.header("Content-Type"), "text/plain")
        self.assertEqual(answer.length, 7)

    def test_second_vector(self) -> None:
        """
        A notification signed elsewhere, with a name that is not ASCII, is accepted.
        """
        door = Door()
        door.clock.advance(3361)
        headers = Headers(
            {
                "Twitch-Eventsub-Message-Id": ["Zk_2-w=="],
                "Twitch-Eventsub-Message-Timestamp": ["2026-01-02T04:00:07.120Z"],
                "Twitch-Eventsub-Message-Type": ["notification"],
                "Twitch-Eventsub-Message-Signature": [
                    "sha256=cf8fb7cf674a7c26938d039469bc84769dc8a62f983cff59ba34a974d92843a2"
                ],
            }
        )
        self.assert_answer(door.ask("POST", headers, VECTOR_B), 200, "processed")
        [event] = door.events
        self.assertEqual((event.message_id, event.broadcaster_name), ("Zk_2-w==", "タヌキ"))

    def test_verdicts(self) -> None:
        """
        An event that is kept, or was kept before, is processed; one that nobody wants is ignored.
        """
        for verdict, word in (
            (Acceptance.ACCEPTED, "processed"),
            (Acceptance.DUPLICATE, "processed"),
            (Acceptance.IGNORED, "ignored"),
        ):
            with capturedLogs() as logs:
                self.assert_answer(Door(succeed(verdict)).send(ONLINE), 200, word)
            [line] = logs
            self.assertEqual(line["log_level"], LogLevel.info)
            self.assertEqual((line["event_id"], line["message_id"], line["streamer"]), ("event-1", "m-0001", "tanuki"))

    def test_a_rerun_is_not_said_to_be_live(self) -> None:
        """
        The line says what Twitch calls the broadcast.
        """
        for kind, words in (
            ("live", "went live"),
            ("rerun", "began a broadcast of type rerun"),
            ("a\nb", "began a broadcast of type a\nb"),
        ):
            with capturedLogs() as logs:
                Door(succeed(Acceptance.ACCEPTED)).send({**ONLINE, "event": {**ONLINE["event"], "type": kind}})
            self.assertEqual(formatEvent(logs[0]), f"accepted event-1: tanuki {words}")

    def test_ends_and_changes(self) -> None:
        """
        The line says what the streamer did; and of one that concerns no destination, that it asks for no such event.
        """
        for content, words, kind in (
            (OFFLINE, "went offline", "stream.offline"),
            (UPDATE, "changed the title or the category", "channel.update"),
        ):
            with capturedLogs() as logs:
                Door(succeed(Acceptance.ACCEPTED)).send(content)
                self.assert_answer(Door(succeed(Acceptance.IGNORED)).send(content), 200, "ignored")
            self.assertEqual(formatEvent(logs[0]), f"accepted event-1: tanuki {words}")
            self.assertEqual(
                formatEvent(logs[1]), f"ignored event-1: no destination of tanuki is configured for {kind}"
            )

    def test_answer_waits_for_the_verdict(self) -> None:
        """
        Nothing is acknowledged before it is kept.
        """
        door = Door(Deferred())
        body = json.dumps(ONLINE).encode()
        request = door.request("POST", signed(body), body)
        door.client.flush()
        self.assertNoResult(request)
        door.verdict.callback(Acceptance.ACCEPTED)
        door.client.flush()
        self.assertEqual(self.successResultOf(request).code, 200)

    def test_challenge_is_answered_again(self) -> None:
        """
        A challenge is answered as often as it is asked, about any subscription.
        """
        door = Door()
        unknown = {"challenge": "abc-123", "subscription": {**SUBSCRIPTION, "id": "never-heard-of"}}
        with capturedLogs() as logs:
            for content in (CHALLENGE, CHALLENGE, unknown):
                self.assertEqual(door.send(content, b"webhook_callback_verification").body, b"abc-123")
        self.assertEqual([line["subscription_id"] for line in logs], ["sub-a", "sub-a", "never-heard-of"])
        self.assertEqual(door.events, [])

    def test_revocation_is_passed_on(self) -> None:
        """
        A revocation is acknowledged, handed over and worth a warning.
        """
        door = Door()
        with capturedLogs() as logs:
            self.assert_answer(door.send(REVOKED, b"revocation"), 200, "ignored")
        self.assertEqual([revocation.status for revocation in door.revocations], ["user_removed"])
        self.assertEqual([line["log_level"] for line in logs], [LogLevel.warn])

    def test_other_news_is_ignored(self) -> None:
        """
        What is authentic and not for us is acknowledged, for else it would be sent again.
        """
        raid = {"subscription": {**SUBSCRIPTION, "type": "channel.raid"}, "event": {}}
        self.assert_answer(Door().send(raid), 200, "ignored")

    def test_forgery_is_forbidden(self) -> None:
        """
        A wrong signature is answered 403 and goes no further.
        """
        door = Door()
        self.assert_answer(door.send(ONLINE, secret=b"somebody else's"), 403, "forbidden")
        self.assert_answer(door.ask("POST", body=b"{}"), 403, "forbidden")
        self.assertEqual(door.events, [])

    def test_stale_message_is_forbidden(self) -> None:
        """
        A message from too long ago is answered 403.
        """
        door = Door()
        door.clock.advance(WINDOW + 1)
        self.assert_answer(door.send(ONLINE), 403, "forbidden")

    def test_age_is_told_by_the_clock_on_the_wall(self) -> None:
        """
        A clock that is set wrong keeps messages out, one that is set right lets them in at once; when an event was
        received is told by the steady one.
        """
        door = Door()
        for ahead, status in ((-30 * 86400.0, 403), (86400.0, 403), (0.0, 200), (300.0, 200)):
            door.ahead = ahead
            self.assertEqual(door.send(ONLINE).status, status)
        self.assertEqual([each.received_at for each in door.events], [NOW, NOW])

    def test_unreadable_message_is_a_bad_request(self) -> None:
        """
        Signed nonsense is answered 400.
        """
        self.assert_answer(Door().send(b"{"), 400, "bad request")

    def test_other_methods_are_not_allowed(self) -> None:
        """
        Only POST is for Twitch; the answer says so.
        """
        for method in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH"):
            answer = Door().ask(method)
            self.assert_answer(answer, 405, "method not allowed")
            self.assertEqual(answer.header("Allow"), "POST")
        self.assertEqual(Door().ask("HEAD").status, 405)

    def test_secrets_are_asked_for_each_time(self) -> None:
        """
        A new secret holds from the next message on.
        """
        door = Door()
        door.secrets = [b"new-secret-0"]
        self.assert_answer(door.send(ONLINE), 403, "forbidden")
        self.assert_answer(door.send(ONLINE, secret=b"new-secret-0"), 200, "processed")


class CountTests(SynchronousTestCase):
    """
    What is counted of messages.
    """

    def test_each_is_counted_once(self) -> None:
        """
        Every message at the callback is counted, by what became of it, and no other request is.
        """
        door = Door()
        for verdict in (Acceptance.ACCEPTED, Acceptance.DUPLICATE, Acceptance.IGNORED):
            door.verdict = succeed(verdict)
            door.send(ONLINE)
        door.send(CHALLENGE, b"webhook_callback_verification")
        door.send(REVOKED, b"revocation")
        door.send({"subscription": {**SUBSCRIPTION, "type": "channel.raid"}, "event": {}})
        door.send(ONLINE, secret=b"somebody else's")
        door.send(b"{")
        door.verdict = fail(JournalUnavailable("disk full"))
        door.send(ONLINE)
        door.verdict = fail(ZeroDivisionError())
        door.send(ONLINE)
        door.ask("GET")
        door.clock.advance(WINDOW + 1)
        door.send(ONLINE)
        door.secrets = None  # type: ignore[assignment]
        door.send(ONLINE)
        self.assertEqual(len(self.flushLoggedErrors()), 2)
        self.assertEqual(
            door.counts,
            [
                *("accepted", "duplicate", "ignored", "challenge", "revocation", "other"),
                *("forged", "unreadable", "unavailable", "failed", "stale", "failed"),
            ],
        )


class TroubleTests(SynchronousTestCase):
    """
    What happens when something behind the door fails.
    """

    def test_event_that_was_not_kept_is_refused(self) -> None:
        """
        When the journal does not commit, Twitch is told to come again.
        """
        with capturedLogs() as logs:
            answer = Door(fail(JournalUnavailable("disk full"))).send(ONLINE)
        self.assertEqual((answer.status, answer.body), (503, b'{"status":"unavailable"}'))
        self.assertEqual(answer.header("Retry-After"), "5")
        [line] = logs
        self.assertEqual((line["log_level"], line["reason"]), (LogLevel.error, "disk full"))

    def test_unexpected_failure_is_told_to_the_log_only(self) -> None:
        """
        A defect is a 500 without its traceback, which the log has, once.
        """
        with capturedLogs() as logs:
            answer = Door(fail(ZeroDivisionError("in the pipeline"))).send(ONLINE)
        self.assertEqual((answer.status, answer.body), (500, b'{"status":"internal server error"}'))
        self.assertEqual([line["log_level"] for line in logs], [LogLevel.critical])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_failure_before_the_verdict_is_the_same(self) -> None:
        """
        A defect in what is called at once is no different.
        """
        door = Door()
        door.secrets = None  # type: ignore[assignment]
        self.assertEqual(door.send(ONLINE).status, 500)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_acceptance_goes_on_when_the_peer_hangs_up(self) -> None:
        """
        What was begun for a peer that left is neither cancelled nor unlogged.
        """
        cancelled: list[object] = []
        door = Door(Deferred(cancelled.append))
        body = json.dumps(ONLINE).encode()
        request = door.request("POST", signed(body), body)
        door.client.flush()
        request.cancel()
        door.client.flush()
        self.failureResultOf(request, ResponseNeverReceived)
        self.assertEqual(cancelled, [])
        with capturedLogs() as logs:
            door.verdict.callback(Acceptance.ACCEPTED)
        self.assertEqual([line["event_id"] for line in logs], ["event-1"])

    def test_flood_of_forgeries_is_few_lines(self) -> None:
        """
        A reason is logged once in ten seconds, with how often it was met.
        """
        door = Door()
        with capturedLogs() as logs:
            for _ in range(5):
                door.send(ONLINE, secret=b"somebody else's")
            door.clock.advance(9.9)
            door.send(ONLINE, secret=b"somebody else's")
            door.send(b"{")
            door.clock.advance(0.1)
            door.send(ONLINE, secret=b"somebody else's")
        said = [(line["count"], line["reason"]) for line in logs]
        forged = "the signature does not match the message"
        self.assertEqual(said, [(1, forged), (1, "the body is not JSON"), (6, forged)])
        self.assertEqual({line["log_level"] for line in logs}, {LogLevel.warn})

    def test_nothing_secret_is_logged(self) -> None:
        """
        Neither the secret nor a signature is in any line, whatever happens.
        """
        with capturedLogs() as logs:
            for content in (ONLINE, {**ONLINE, "event": {**EVENT, "id": 7}}, b"{"):
                Door().send(content)
                Door().send(content, secret=b"somebody else's")
        out = BytesIO()
        for line in logs:
            out.write(JSONLines(Redactor())(line))
        self.assertEqual(len(out.getvalue().splitlines()), 6)
        self.assertNotIn(SECRET, out.getvalue())
        self.assertNotRegex(out.getvalue().decode(), "[0-9a-f]{64}")
