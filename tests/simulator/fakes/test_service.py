"""
What all fakes share: scripted failures, and the record of what came.
"""

from __future__ import annotations

from typing import ClassVar

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.fakes.service import (
    ANY,
    FakeAnswer,
    FakeRequest,
    FakeService,
    Ping,
    json_answer,
    text_answer,
)

NOW = 1_767_326_400.5


@define(eq=False, kw_only=True)
class Board(FakeService):
    """
    The smallest service: keeps every body, and pings for each that begins with ``!``.
    """

    name: ClassVar[str] = "board"

    def answer(self, request: FakeRequest) -> FakeAnswer:
        number = str(len(self.messages) + 1)
        self.messages[number] = {"id": number, "text": request.body.decode()}
        if request.body.startswith(b"!"):
            self.pings.append(Ping(message=number, whom="everyone", at=request.at))
        return json_answer(200, {"id": number})


class FakeServiceTests(SynchronousTestCase):
    """
    A fake fails as its script says, and records everything.
    """

    def setUp(self) -> None:
        self.board = Board()

    def post(self, body: bytes = b"hello", method: str = "POST") -> FakeAnswer:
        return self.board.handle(method, "https://board.test/a%20b/c?x=1&y=", {"accept": "*/*"}, body, NOW)

    def texts(self) -> list[str]:
        return [each["text"] for each in self.board.messages.values()]

    def test_a_request_without_a_plan_is_answered_by_the_service(self) -> None:
        """
        The service's own answer is returned, and request and answer are kept.
        """
        answer = self.post(b"!hello")
        self.assertEqual(
            (answer.status, answer.json, answer.header("content-type")), (200, {"id": "1"}, "application/json")
        )
        self.assertEqual((self.texts(), self.board.pinged("1")), (["!hello"], ["everyone"]))
        (exchange,) = self.board.history
        self.assertEqual(exchange.answer, answer)
        self.assertEqual(exchange.request.path, ("a b", "c"))
        self.assertEqual(exchange.request.query, {"x": "1", "y": ""})

    def test_a_forced_status_has_no_effect(self) -> None:
        """
        A planned status is answered with its body and headers, and nothing is stored.
        """
        self.board.script.plan("POST", Behaviour(status=503, body=b"no", headers={"Retry-After": "2"}, delay=1.5))
        answer = self.post()
        self.assertEqual(
            (answer.status, answer.body, answer.header("retry-after"), answer.delay), (503, b"no", "2", 1.5)
        )
        self.assertEqual(self.texts(), [])
        self.assertEqual(self.post().status, 200)

    def test_a_connection_can_fail_before_the_effect(self) -> None:
        """
        A hang and a drop give no answer and have no effect, and the history has them.
        """
        self.board.script.plan("POST", Behaviour(hang=True), Behaviour(drop=True))
        hang, drop = self.post(), self.post()
        self.assertEqual((hang.hang, hang.drop, hang.answered), (True, False, False))
        self.assertEqual((drop.hang, drop.drop, drop.answered), (False, True, False))
        self.assertEqual((self.texts(), len(self.board.history)), ([], 2))

    def test_a_connection_can_fail_after_the_effect(self) -> None:
        """
        A lost answer leaves the message there, whether the connection hangs, is closed, or a wrong answer is sent.
        """
        self.board.script.plan(
            "POST", Behaviour(lost=True), Behaviour(lost=True, drop=True), Behaviour(lost=True, status=500)
        )
        hang, drop, wrong = self.post(b"1"), self.post(b"2"), self.post(b"3")
        self.assertEqual((hang.hang, drop.drop, wrong.answered, wrong.status), (True, True, True, 500))
        self.assertEqual(self.texts(), ["1", "2", "3"])

    def test_a_plan_for_every_endpoint_goes_before_the_others(self) -> None:
        """
        What is planned for any request comes first; then the plan of the endpoint, which others do not use up.
        """
        self.board.script.plan("PATCH", Behaviour(status=404))
        self.board.script.plan(ANY, Behaviour(status=502))
        self.assertEqual([self.post(method=each).status for each in ("PATCH", "POST", "PATCH")], [502, 200, 404])

    def test_the_state_is_shown_to_a_person(self) -> None:
        """
        The summary has messages, pings and the history, also where there was no answer.
        """
        self.post(b"!a")
        self.board.script.plan("POST", Behaviour(drop=True))
        self.post(b"\xff")
        shown = self.board.summary()
        self.assertEqual(shown["messages"], [{"id": "1", "text": "!a"}])
        self.assertEqual(shown["pings"], [{"message": "1", "whom": "everyone", "at": NOW}])
        self.assertEqual([(each["status"], each["body"]) for each in shown["history"]], [(200, "!a"), (None, "\ufffd")])

    def test_an_answer_can_be_text(self) -> None:
        """
        Text is sent in UTF-8, and its type says so.
        """
        answer = text_answer(400, "ü", {"X-Y": "z"}, kind="text/html")
        self.assertEqual((answer.body, answer.header("content-type")), ("ü".encode(), "text/html; charset=utf-8"))
        self.assertEqual((answer.header("x-y"), answer.header("x-z")), ("z", ""))
