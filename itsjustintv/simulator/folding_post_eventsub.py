"""
One POST to somebody's callback, with a bounded wait.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.web.client import readBody
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from itsjustintv.simulator.folding_cancelling_loopback import cancelling
from itsjustintv.support.causes import cause

__all__ = ["Posted", "post"]


@frozen(kw_only=True)
class Posted:
    """
    How a POST ended.

    :ivar status: of the answer, or ``None`` when there was none.
    :ivar problem: why there was none, in a few words.
    :ivar duration: seconds from the first byte sent to the last one read.
    :ivar measured: whether the answer announced its length, instead of coming in chunks.
    :ivar retry_after: what the answer's ``Retry-After`` says; empty when there is none.
    :ivar request_id: likewise ``X-Request-Id``.
    """

    status: int | None
    duration: float
    body: bytes = field(default=b"", repr=False)
    problem: str = ""
    measured: bool = False
    retry_after: str = ""
    request_id: str = ""

    @property
    def ok(self) -> bool:
        """
        Whether the answer was 2xx.
        """
        return self.status is not None and 200 <= self.status < 300


@implementer(IBodyProducer)
@frozen
class _Bytes:
    """
    A body that is written at once, in no need of a reactor's turn.
    """

    _body: bytes

    @property
    def length(self) -> int:
        return len(self._body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None: ...


async def post(
    agent: IAgent, clock: IReactorTime, url: str, headers: Mapping[str, str], body: bytes, *, timeout: float
) -> Posted:
    """
    POST a body. Redirects are not followed.

    :param timeout: seconds for everything.
    """
    started = clock.seconds()
    try:
        response, answer = await cancelling(_exchange(agent, url, headers, body)).addTimeout(timeout, clock)
    except defer.TimeoutError:
        return Posted(status=None, duration=clock.seconds() - started, problem=f"no answer within {timeout:g} s")
    except CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever kept the answer away is what the caller wants to know
        return Posted(status=None, duration=clock.seconds() - started, problem=cause(error))
    return Posted(
        status=response.code,
        duration=clock.seconds() - started,
        body=answer,
        measured=response.length is not UNKNOWN_LENGTH,
        retry_after=(response.headers.getRawHeaders("Retry-After") or [""])[0],
        request_id=(response.headers.getRawHeaders("X-Request-Id") or [""])[0],
    )


async def _exchange(agent: IAgent, url: str, headers: Mapping[str, str], body: bytes) -> tuple[IResponse, bytes]:
    sent = Headers({name: [value] for name, value in headers.items()})
    response = await agent.request(b"POST", url.encode("ascii"), sent, _Bytes(body))
    answer = await readBody(response)
    return response, answer
