"""
A webhook receiver: verifies, records and answers deliveries as a test or the demonstration scripts it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, cast

import orjson
from attrs import define, field, frozen
from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web import http
from twisted.web.resource import IResource
from twisted.web.server import Request

from itsjustintv.simulator.behaviour import Behaviour, Script, act
from itsjustintv.support.signatures import SIGNERS, is_standard, sign_hub, sign_standard

__all__ = ["Expectation", "Received", "Receiver"]

#: Seconds by which a Standard Webhooks timestamp may differ from the clock.
_TOLERANCE = 300.0


@frozen(kw_only=True)
class Expectation:
    """
    How deliveries to one path must be signed.

    :ivar signature: ``hub``, ``standard`` or ``both``; or ``any``: at least one, and every one that is present.
    :ivar header: of the hub signature.
    :ivar hashing: ``sha1``, ``sha256`` or ``sha512``.
    """

    secret: str = field(repr=False)
    signature: str = "hub"
    header: str = "X-Hub-Signature-256"
    hashing: str = "sha256"

    def problem(self, headers: Mapping[str, str], body: bytes, now: float) -> str:
        """
        Why the signature of a delivery is invalid; empty if it is valid.

        :param headers: by lower-case name.
        """
        wanted = self.there(headers) if self.signature == "any" else [each.name for each in SIGNERS[self.signature]]
        if not wanted:
            return f"neither {self.header} nor webhook-signature is present"
        return next(filter(None, (_VERIFIERS[kind](self, headers, body, now) for kind in wanted)), "")

    def there(self, headers: Mapping[str, str]) -> Sequence[str]:
        """
        The signatures that are present and that this secret can verify: ``hub``, ``standard``.
        """
        standards = "webhook-signature" in headers and is_standard(self.secret)
        return [*(["hub"] if self.header.lower() in headers else []), *(["standard"] if standards else [])]


def _hub_problem(expected: Expectation, headers: Mapping[str, str], body: bytes, _now: float) -> str:
    given = headers.get(expected.header.lower(), "")
    right = hmac.compare_digest(given.encode(), sign_hub(expected.secret, body, expected.hashing).encode())
    return "" if right else f"{expected.header} is {'wrong' if given else 'missing'}"


def _standard_problem(expected: Expectation, headers: Mapping[str, str], body: bytes, now: float) -> str:
    message_id, timestamp, given = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (message_id and timestamp and given):
        return "a webhook-* header is missing"
    if not timestamp.isdecimal() or abs(int(timestamp) - now) > _TOLERANCE:
        return "webhook-timestamp is too far from the current time"
    signature = sign_standard(expected.secret, message_id, int(timestamp), body).encode()
    right = any(hmac.compare_digest(each.encode(), signature) for each in given.split(" "))
    return "" if right else "webhook-signature is wrong"


_VERIFIERS: Mapping[str, Callable[[Expectation, Mapping[str, str], bytes, float], str]] = {
    "hub": _hub_problem,
    "standard": _standard_problem,
}


@frozen(kw_only=True)
class Received:
    """
    One delivery.

    :ivar headers: by lower-case name.
    :ivar at: when its body was complete.
    :ivar problem: why its signature is invalid; empty if it is valid, or if none is expected.
    :ivar status: of the answer; 0 if there is none.
    """

    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    at: float
    problem: str
    status: int

    @property
    def payload(self) -> Any:
        """
        The body, parsed as JSON; of a CloudEvent in structured mode its data.

        :raises ValueError: it is not JSON.
        """
        content = orjson.loads(self.body)
        is_event = self.headers.get("content-type", "").startswith("application/cloudevents+json")
        return content.get("data") if is_event and isinstance(content, dict) else content


@define(eq=False)
class Receiver:
    """
    Takes deliveries to any path, and records them.

    :ivar script: how each path behaves; 200 unless something is planned.
    :ivar expectations: by path; a delivery with an invalid signature is answered 401.
    :ivar usually: the expectation for all other paths, if any.
    :ivar answered: is called with each delivery when its request has ended.
    :ivar received: all deliveries, oldest first; empty if :attr:`answered` is set.
    """

    _clock: IReactorTime
    script: Script = field(factory=Script)
    expectations: dict[str, Expectation] = field(factory=dict)
    usually: Expectation | None = None
    answered: Callable[[Received], object] | None = None
    received: list[Received] = field(factory=list, init=False)
    _awaited: list[tuple[str, int, Deferred[Received]]] = field(factory=list, init=False)

    app: ClassVar[Klein] = Klein()

    def resource(self) -> IResource:
        return cast("IResource", self.app.resource())

    def at(self, path: str) -> list[Received]:
        """
        The deliveries to one path, oldest first.
        """
        return [each for each in self.received if each.path == path]

    def delivery(self, path: str, number: int = 1) -> Deferred[Received]:
        """
        Wait for a delivery to a path, by its number since the start, from 1.
        """
        if len(there := self.at(path)) >= number:
            arrived: Deferred[Received] = Deferred()
            arrived.callback(there[number - 1])
            return arrived
        awaited: Deferred[Received] = Deferred(lambda _: self._awaited.remove(entry))
        entry = (path, number, awaited)
        self._awaited.append(entry)
        return awaited

    @app.route("/", methods=["POST"], branch=True)
    async def _receive(self, request: Request) -> bytes:
        path = request.path.decode()
        content: Any = request.content
        body = content.read()
        now = self._clock.seconds()
        headers = {
            name.decode().lower(): values[0].decode("latin-1")
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        expectation = self.expectations.get(path, self.usually)
        problem = expectation.problem(headers, body, now) if expectation else ""
        behaviour = Behaviour(status=http.UNAUTHORIZED) if problem else self.script.next(path)
        status = 0 if behaviour.hang or behaviour.drop else behaviour.status
        received = Received(path=path, headers=headers, body=body, at=now, problem=problem, status=status)
        if self.answered is None:
            self._record(received)
        else:
            answered = self.answered
            request.notifyFinish().addBoth(lambda _: answered(received))
        return await act(behaviour, request, self._clock)

    def _record(self, received: Received) -> None:
        self.received.append(received)
        count = len(self.at(received.path))
        for entry in list(self._awaited):
            path, number, awaited = entry
            if (path, number) == (received.path, count):
                self._awaited.remove(entry)
                awaited.callback(received)
