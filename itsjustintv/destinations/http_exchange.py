"""
One HTTP exchange of an attempt, bounded in time and size, that never raises. Knows no kind of destination.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import Factory, define, field
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from itsjustintv.destinations.attempt_record import make_attempt
from itsjustintv.destinations.response import (
    classify_broken,
    classify_failure,
    classify_status,
    classify_timeout,
    find_broken,
)
from itsjustintv.interfaces import BeginSpan, IDestination
from itsjustintv.model import Attempt, Delivery, Destination, Result
from itsjustintv.support.http_client import read_beginning
from itsjustintv.support.http_response import Response
from itsjustintv.support.response_head import BrokenAnswer, Fault
from itsjustintv.support.waiters import watch

__all__ = ["HttpExchange"]

# Bytes of an answer that are read.
_READ = 64 * 1024

_NOTHING = Result("error", "")


@define(eq=False)
class HttpExchange:
    """
    Sends what an adapter makes of a delivery once.

    The agent must not follow redirects: they are failures. It must not decode bodies either: without
    ``Accept-Encoding`` there is nothing to expand, whatever the receiver sends.

    :ivar agent: opens the connections.
    :ivar timeout: seconds for one attempt, from the look-up of the name to the last byte of the answer.
    :ivar wall: the time of the machine, in seconds since the epoch, which receivers compare with theirs.
    :ivar begin_span: makes the span of an attempt; the receiver gets it as ``traceparent``.
    """

    _agent: IAgent
    _clock: IReactorTime
    _timeout: Callable[[], float]
    _begin_span: BeginSpan = lambda _: ""
    _wall: Callable[[], float] = field(default=Factory(lambda self: self._clock.seconds, takes_self=True))

    log = Logger()

    def exchange(self, adapter: IDestination, delivery: Delivery, destination: Destination) -> Deferred[Attempt]:
        """
        Send the adapter's request and say how that ended. Never fails, unless it is cancelled, which aborts the
        connection.

        The status line is the receiver's word: an answer counts by its status even if its head or its body is
        malformed, breaks off, has no end, or is still under way at the deadline.
        """
        return Deferred.fromCoroutine(self._attempt(adapter, delivery, destination))

    async def _attempt(self, adapter: IDestination, delivery: Delivery, destination: Destination) -> Attempt:
        started_at = self._clock.seconds()
        timeout = self._timeout()
        exchange = _Exchange(trace=self._begin_span(delivery.trace))
        sending = Deferred.fromCoroutine(self._exchange(exchange, adapter, delivery, destination))
        deadline = self._clock.callLater(timeout, exchange.expire, sending)
        try:
            await watch(sending)
        except CancelledError:
            sending.cancel()
            if exchange.status is None and not exchange.expired:
                raise
        except Exception:  # noqa: BLE001 - whatever went wrong is how the attempt ended
            exchange.result = classify_failure(Failure(), destination.name)
        finally:
            if deadline.active():
                deadline.cancel()
        late = timeout if exchange.expired else None
        answer = exchange.answer()
        meaning = None if answer is None else self._interpret(adapter, answer, delivery, destination)
        if exchange.broken is not None:
            exchange.result = classify_broken(exchange.broken, destination.name, late, meaning)
        elif meaning is not None:
            exchange.result = meaning
        elif late is not None:
            # A look-up that is cancelled fails as if the name did not exist, so the deadline has the last word.
            exchange.result = classify_timeout(late, destination.name)
        return self._record(exchange, destination, started_at)

    def _interpret(
        self, adapter: IDestination, answer: Response, delivery: Delivery, destination: Destination
    ) -> Result:
        try:
            return adapter.interpret(answer, delivery, self._wall())
        except Exception:  # noqa: BLE001 - an attempt without an outcome would be made again and again
            self.log.failure(
                "cannot interpret the answer of {destination}; its status counts", destination=destination.name
            )
            return classify_status(answer.status, destination.name)

    async def _exchange(
        self, exchange: _Exchange, adapter: IDestination, delivery: Delivery, destination: Destination
    ) -> None:
        try:
            request = adapter.make_request(delivery, self._wall())
            headers = Headers()
            for name, value in request.headers:
                headers.addRawHeader(name, value)
            if exchange.trace:
                headers.addRawHeader("traceparent", exchange.trace)
        except ValueError as error:
            # Neither signature nor headers quote the secret when they refuse it.
            advice = "" if destination.keeps_posts else ", check its secret, header and hashing"
            verb = "sent to" if destination.keeps_posts else "signed for"
            exchange.result = Result("error", f"nothing can be {verb} {destination.name}{advice}: {error}.")
            return
        method, url = request.method.encode("ascii"), request.url.encode("ascii")
        while exchange.response is None:
            try:
                exchange.response = await self._agent.request(method, url, headers, _BodyProducer(request.body))
            except Exception:
                broken = find_broken(Failure())
                # The receiver closed a connection that had been idle as the request was written: another one is taken.
                if broken is not None and broken.fault is Fault.STALE:
                    continue
                exchange.broken = broken
                raise
        exchange.body = await read_beginning(exchange.response, _READ)

    def _record(self, exchange: _Exchange, destination: Destination, started_at: float) -> Attempt:
        return make_attempt(
            exchange.result,
            destination,
            started_at,
            self._clock.seconds(),
            status=exchange.status,
            answer=exchange.body,
            trace=exchange.trace,
        )


@define(eq=False)
class _Exchange:
    """
    The state of one request, wherever it is cut short.
    """

    trace: str
    response: IResponse | None = None
    broken: BrokenAnswer | None = None
    body: bytes = b""
    result: Result = _NOTHING
    expired: bool = False

    @property
    def status(self) -> int | None:
        """
        The status that was answered, whatever came after it.
        """
        if self.response is not None:
            code: int = self.response.code
            return code
        return None if self.broken is None else self.broken.status

    def answer(self) -> Response | None:
        """
        What there is of a final answer.
        """
        if self.response is not None:
            return Response(self.response.code, self.response.headers, self.body)
        if self.broken is not None and self.broken.final and self.broken.status is not None:
            return Response(self.broken.status, Headers(), b"")
        return None

    def expire(self, sending: Deferred[None]) -> None:
        """
        Cancel the request at its deadline.
        """
        self.expired = True
        sending.cancel()


@implementer(IBodyProducer)
class _BodyProducer:
    """
    A body that is already there.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """
        Hand it over in one piece.
        """
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """
        It is all in the transport's buffer already.
        """

    def resumeProducing(self) -> None:
        """
        Do nothing: the whole body has been written.
        """

    def stopProducing(self) -> None:
        """
        Do nothing: the whole body has been written.
        """
