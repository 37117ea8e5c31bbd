"""
What the fakes of all services have in common: requests and answers as values, scripted failures, and a record.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import orjson
from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred

from itsjustintv.simulator.behaviour import Behaviour, Script

__all__ = ["ANY", "Exchange", "FakeAnswer", "FakeRequest", "FakeService", "Fetch", "Ping", "json_answer", "text_answer"]

#: The name by which a behaviour of every endpoint is planned.
ANY = "*"

#: Fetches a picture by its URL; ``None`` when that fails.
Fetch = Callable[[str], bytes | None]


def _any_picture(url: str) -> bytes | None:
    return f"the picture at {url}".encode()


@frozen
class FakeAnswer:
    """
    An answer, or the lack of one.

    :ivar after: wait for this first.
    :ivar delay: seconds to wait after that.
    :ivar hang: there is no answer, and the connection stays open.
    :ivar drop: there is no answer, and the connection is closed.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    after: Deferred[None] | None = field(default=None, kw_only=True, repr=False)
    delay: float = field(default=0.0, kw_only=True)
    hang: bool = field(default=False, kw_only=True)
    drop: bool = field(default=False, kw_only=True)

    @property
    def answered(self) -> bool:
        return not self.hang and not self.drop

    @property
    def json(self) -> Any:
        """
        The body, parsed.

        :raises ValueError: it is not JSON.
        """
        return orjson.loads(self.body)

    def header(self, name: str) -> str:
        """
        The first value of a header; empty if there is none.
        """
        return next((value for each, value in self.headers if each.lower() == name.lower()), "")


def json_answer(status: int, body: Any, headers: Mapping[str, str] = {}) -> FakeAnswer:
    """
    Make an answer of JSON.
    """
    return FakeAnswer(status, (("Content-Type", "application/json"), *headers.items()), orjson.dumps(body))


def text_answer(status: int, text: str, headers: Mapping[str, str] = {}, kind: str = "text/plain") -> FakeAnswer:
    """
    Make an answer of text.
    """
    return FakeAnswer(status, (("Content-Type", f"{kind}; charset=utf-8"), *headers.items()), text.encode())


@frozen(kw_only=True)
class FakeRequest:
    """
    A request to a service.

    :ivar url: whole, or without scheme and host; only its path and query matter.
    :ivar headers: by lower-case name.
    :ivar at: when it came, in seconds since the epoch.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    at: float

    @property
    def path(self) -> tuple[str, ...]:
        """
        The segments of the path, percent-decoded.
        """
        return tuple(unquote(each) for each in urlsplit(self.url).path.split("/") if each)

    @property
    def query(self) -> Mapping[str, str]:
        """
        The first value of each parameter.
        """
        return {name: values[0] for name, values in parse_qs(urlsplit(self.url).query, keep_blank_values=True).items()}

    @property
    def json(self) -> Any:
        """
        The body, parsed.

        :raises ValueError: it is not JSON.
        """
        return orjson.loads(self.body)


@frozen(kw_only=True)
class Exchange:
    """
    A request, and what became of it.
    """

    request: FakeRequest
    answer: FakeAnswer


@frozen(kw_only=True)
class Ping:
    """
    A notification that a message sent to people who had not asked for all messages.

    :ivar whom: ``everyone``, ``here``, ``role:ID``, ``user:ID``, or what else the service has.
    """

    message: str
    whom: str
    at: float


@define(eq=False, kw_only=True)
class FakeService(ABC):
    """
    A service without a network. It is one server as one client sees it: what it counts by address, it counts once.

    A behaviour is planned on :attr:`script` by the name that :meth:`endpoint` gives to a request, or by :data:`ANY`.
    ``Behaviour(status=503)`` answers so and does nothing; ``hang`` and ``drop`` do nothing and do not answer. With
    ``lost`` the request has its effect, and then its true answer is lost: the connection hangs, or is closed with
    ``drop`` too, or the given ``status`` or ``body`` is sent.

    :ivar fetch: how the service itself gets a picture.
    :ivar messages: what people see now: each message as the service describes it, by its id, oldest first.
    :ivar pings: all that were sent, oldest first.
    :ivar history: every request, oldest first.
    """

    #: The first segment of its paths when it is served over HTTP.
    name: ClassVar[str]

    script: Script = field(factory=Script)
    fetch: Fetch = _any_picture
    messages: dict[str, dict[str, Any]] = field(factory=dict, init=False)
    pings: list[Ping] = field(factory=list, init=False)
    history: list[Exchange] = field(factory=list, init=False)

    def handle(self, method: str, url: str, headers: Mapping[str, str], body: bytes, now: float) -> FakeAnswer:
        """
        Treat a request as the script says, and record it.

        :param headers: by lower-case name.
        :param now: seconds since the epoch.
        """
        request = FakeRequest(method=method, url=url, headers=headers, body=body, at=now)
        answer = self._scripted(self._behaviour(request), request)
        self.history.append(Exchange(request=request, answer=answer))
        return answer

    @abstractmethod
    def answer(self, request: FakeRequest) -> FakeAnswer:
        """
        Treat a request as the service does.
        """

    def endpoint(self, request: FakeRequest) -> str:
        """
        The name by which a behaviour is planned for a request: its method, unless a service says more.
        """
        return request.method

    def pinged(self, message: str) -> list[str]:
        """
        Whom a message notified.
        """
        return [ping.whom for ping in self.pings if ping.message == message]

    def summary(self) -> dict[str, Any]:
        """
        Everything visible, as JSON for a person.
        """
        return {
            "messages": list(self.messages.values()),
            "pings": [{"message": each.message, "whom": each.whom, "at": each.at} for each in self.pings],
            "history": [
                {
                    "at": each.request.at,
                    "method": each.request.method,
                    "url": each.request.url,
                    "body": each.request.body.decode("utf-8", "replace"),
                    "status": each.answer.status if each.answer.answered else None,
                    "answer": each.answer.body.decode("utf-8", "replace"),
                }
                for each in self.history
            ],
        }

    def _behaviour(self, request: FakeRequest) -> Behaviour:
        behaviour = self.script.next(ANY)
        return self.script.next(self.endpoint(request)) if behaviour == Behaviour() else behaviour

    def _scripted(self, behaviour: Behaviour, request: FakeRequest) -> FakeAnswer:
        if behaviour.lost:
            self.answer(request)
        elif behaviour.well and not behaviour.body and not behaviour.headers:
            return evolve(self.answer(request), after=behaviour.after, delay=behaviour.delay)
        silent = behaviour.lost and behaviour.well and not behaviour.body
        return FakeAnswer(
            behaviour.status,
            tuple(behaviour.headers.items()),
            behaviour.body,
            after=behaviour.after,
            delay=behaviour.delay,
            hang=behaviour.hang or silent,
            drop=behaviour.drop,
        )
