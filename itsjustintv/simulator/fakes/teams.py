"""
Microsoft Teams: a workflow that accepts whatever parses, and shows a card later, or does not.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from attrs import define, field, frozen

from itsjustintv.simulator.fakes.adaptive_card import check_card, find_mentions
from itsjustintv.simulator.fakes.rate_limits import SlidingWindow
from itsjustintv.simulator.fakes.service import FakeAnswer, FakeRequest, FakeService, Ping, json_answer, text_answer

__all__ = ["SIZE_LIMIT", "FakeTeams", "FlowRun"]

#: Bytes of a message.
SIZE_LIMIT: Final = 28 * 1024

_CARD = "application/vnd.microsoft.card.adaptive"


@frozen(kw_only=True)
class FlowRun:
    """
    What a flow made of a message that it had accepted.

    :ivar reason: why nothing is shown; empty if the card is.
    :ivar message: the key of the card.
    """

    payload: Any
    at: float
    reason: str = ""
    message: str = ""

    @property
    def shown(self) -> bool:
        return not self.reason


class _Refused(Exception):
    """
    A message is not accepted.
    """

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


@define(eq=False, kw_only=True)
class FakeTeams(FakeService):
    """
    One workflow, at :attr:`path` or at any path that contains its id. Its answer says that the message was accepted,
    never that it is shown: :attr:`runs` says that.

    :ivar accepted: the status of an accepted message; some flows answer 200.
    :ivar wrapped: whether the flow wants a message with attachments, or the bare card.
    :ivar connector: answer as the old connectors did: 200, with ``1`` or a text that says what failed.
    :ivar state: empty, or why nothing is accepted: ``deleted``, ``disabled``.
    :ivar runs: of all messages that were accepted, oldest first.
    """

    name: ClassVar[str] = "teams"

    workflow: str = "0a1b2c3d"
    signature: str = field(default="fake-signature")
    accepted: int = 202
    wrapped: bool = True
    connector: bool = False
    state: str = ""
    limit: tuple[int, float] = (4, 1.0)
    runs: list[FlowRun] = field(factory=list, init=False)
    _window: SlidingWindow | None = field(default=None, init=False)

    @property
    def path(self) -> str:
        """
        The path and the query at which the workflow is.
        """
        query = f"api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={self.signature}"
        return f"/workflows/{self.workflow}/triggers/manual/paths/invoke?{query}"

    def answer(self, request: FakeRequest) -> FakeAnswer:
        try:
            self._check(request)
            payload = request.json
        except _Refused as refused:
            return self._refuse(refused)
        except ValueError:
            text = "The request content is not valid and could not be deserialized."
            return self._refuse(_Refused(400, "InvalidRequestContent", text))
        self._run(payload, request.at)
        return text_answer(200, "1") if self.connector else FakeAnswer(self.accepted)

    def _check(self, request: FakeRequest) -> None:
        if self.workflow not in request.path or self.state == "deleted":
            raise _Refused(404, "WorkflowNotFound", "The workflow could not be found.")
        if request.query.get("sig") != self.signature:
            raise _Refused(401, "DirectApiAuthorizationRequired", "The request must be authenticated.")
        if self.state == "disabled" or request.method != "POST":
            raise _Refused(404, "WorkflowTriggerIsNotEnabled", "The trigger is disabled.")
        if len(request.body) > SIZE_LIMIT:
            raise _Refused(413, "RequestEntityTooLarge", "The request is too large.")
        if self._window is None:
            self._window = SlidingWindow(*self.limit)
        if self._window.wait(request.at) > 0:
            raise _Refused(429, "TooManyRequests", "Rate limit is exceeded.")
        self._window.take(request.at)

    def _refuse(self, refused: _Refused) -> FakeAnswer:
        if self.connector and refused.status in (413, 429):
            return text_answer(
                200,
                "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error"
                f" {refused.status} with ContextId tcid=0,server=fake.",
            )
        return json_answer(refused.status, {"error": {"code": refused.code, "message": str(refused)}})

    def _run(self, payload: Any, now: float) -> None:
        card, reason = self._unwrap(payload)
        problems = [reason] if reason else check_card(card)
        if problems:
            self.runs.append(FlowRun(payload=payload, at=now, reason="; ".join(problems)))
            return
        key = str(len(self.runs) + 1)
        self.runs.append(FlowRun(payload=payload, at=now, message=key))
        self.messages[key] = card
        self.pings.extend(Ping(message=key, whom=whom, at=now) for whom in find_mentions(card))

    def _unwrap(self, payload: Any) -> tuple[Any, str]:
        if not self.wrapped:
            return payload, ""
        attachments = payload.get("attachments") if isinstance(payload, dict) else None
        if not isinstance(attachments, list):
            return None, (
                "The execution of template action 'Send_each_adaptive_card' failed: the result of the evaluation of"
                " 'foreach' expression is of type 'Null'. The result must be a valid array."
            )
        if payload.get("type") != "message":
            return None, "the type of the message is not 'message'"
        if len(attachments) != 1 or not isinstance(attachments[0], dict):
            return None, "there is not exactly one attachment"
        if attachments[0].get("contentType") != _CARD:
            return None, f"the contentType of the attachment is not {_CARD}"
        return attachments[0].get("content"), ""
