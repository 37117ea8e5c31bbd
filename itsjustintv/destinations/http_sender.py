"""
Sends the request of one attempt: one HTTP exchange, bounded in time and size, that never raises. Knows no kind of
destination.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

from attrs import Factory, define, field
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from itsjustintv.destinations.kinds import open_destination
from itsjustintv.destinations.response import (
    classify_broken,
    classify_failure,
    classify_status,
    classify_timeout,
    find_broken,
)
from itsjustintv.interfaces import IDestination
from itsjustintv.model import Attempt, Delivery, Destination, Result
from itsjustintv.support.http_client import Response, one_line, read_beginning
from itsjustintv.support.http_url import HttpUrl, after_host
from itsjustintv.support.quoted_secrets import SHORTEST, QuotedSecrets
from itsjustintv.support.response_head import BrokenAnswer, Fault

__all__ = ["BeginSpan", "HttpSender"]

#: Begins a span within a trace, both as a ``traceparent`` (W3C Trace Context); empty for none.
BeginSpan = Callable[[str], str]

# Bytes of an answer that are read, and that are stored.
_READ = 64 * 1024
_KEPT = 2 * 1024

# Longer than any part of a URL is, in most notations.
_MARGIN = 1024

_NOTHING = Result("error", "")

# Shorter parts of a URL occur in too many words, and are no secrets: "v1", "id".
_SHORTEST_PART = 4

# A part of a path whose pieces are no secrets: "my-receiver".
_WORDS = re.compile("[A-Z]?[a-z]{1,11}([._-][A-Z]?[a-z]{1,11})*")

# Common in addresses and in error pages.
# fmt: off
_ORDINARY = frozenset({
    "alert", "alerts", "announce", "announcements", "api", "auth", "bots", "callback", "channel", "channels",
    "discord", "event", "events", "hook", "hooks", "http", "https", "incoming", "index", "json", "live", "message",
    "messages", "notification", "notifications", "notify", "password", "post", "push", "receive", "receiver",
    "secret", "send", "service", "services", "slack", "stream", "streamer", "streamers", "streams", "teams",
    "telegram", "test", "token", "true", "twitch", "webhook", "webhooks", "workflows",
})
# fmt: on

_SEPARATORS = re.compile("[/&#;,]")


@define(eq=False)
class HttpSender:
    """
    Sends a delivery to its destination once.

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

    def send(self, delivery: Delivery, destination: Destination) -> Deferred[Attempt]:
        """
        Send it and say how that ended. Never fails, unless it is cancelled, which aborts the connection.

        The status line is the receiver's word: an answer counts by its status even if its head or its body is
        malformed, breaks off, has no end, or is still under way at the deadline.
        """
        return Deferred.fromCoroutine(self._attempt(delivery, destination))

    async def _attempt(self, delivery: Delivery, destination: Destination) -> Attempt:
        started_at = self._clock.seconds()
        timeout = self._timeout()
        adapter = open_destination(destination)
        exchange = _Exchange(trace=self._begin_span(delivery.trace))
        sending = Deferred.fromCoroutine(self._exchange(exchange, adapter, delivery, destination))
        deadline = self._clock.callLater(timeout, exchange.expire, sending)
        try:
            await _watch(sending)
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
            exchange.result = Result(
                "error", f"nothing can be signed for {destination.name}, check its secret, header and hashing: {error}."
            )
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
        now, result = self._clock.seconds(), exchange.result
        return Attempt(
            ok=result.ok,
            reason=result.reason,
            detail=result.detail,
            started_at=started_at,
            duration=max(0.0, now - started_at),
            status=exchange.status,
            response=_readable(exchange.body, destination),
            retry_after=result.retry_after,
            final=result.final,
            trace=exchange.trace,
            verdict=result.verdict,
            remote=result.remote,
            pause=result.pause,
            pause_host=result.pause_host,
            moved_to=result.moved_to,
            place=destination.place,
        )


def _watch(sending: Deferred[None]) -> Deferred[None]:
    """
    Wait for a request, so that a cancellation of the wait is one: a request that is itself cancelled fails as if the
    receiver had hung up.
    """
    watching: Deferred[None] = Deferred()
    sending.chainDeferred(watching)
    return watching


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
        There is nothing more.
        """

    def stopProducing(self) -> None:
        """
        There is nothing more.
        """


def _readable(body: bytes, destination: Destination) -> str:
    """
    Make one line of an answer's body, without the secrets that error pages quote ("Cannot POST /hooks/..."). More is
    searched than is returned, and its end is left out, so that no secret is cut before it is found.
    """
    if not body:
        return ""
    hidden = _quoted(destination.url, destination.secrets).hide(body[: 2 * _KEPT])
    if len(body) > 2 * _KEPT:
        hidden = hidden[:-_MARGIN]
    return one_line(hidden.decode("utf-8", "replace"))[:_KEPT]


@lru_cache(maxsize=1024)
def _quoted(url: str, given: tuple[str, ...]) -> QuotedSecrets:
    """
    What an answer may quote: the given secrets; the URL, its path and its query as a whole, as written and as sent; and
    their parts, of which those that are no words are secrets of which not even a piece is shown.
    """
    paths = [after_host(url)]
    with suppress(ValueError):
        paths.append(HttpUrl.parse(url).target)
    wholes, words, secrets = {url, *paths}, set[str](), set(given)
    for place, _, query in (path.partition("?") for path in paths):
        # What names a value is no secret, unless there is no value.
        pairs = (pair.partition("=") for pair in _SEPARATORS.split(query))
        values = set(filter(_is_revealing, (value or name for name, _, value in pairs)))
        steps = set(filter(_is_revealing, _SEPARATORS.split(place)))
        wholes |= {place, query}
        words |= values | steps
        secrets |= {each for each in values if len(each) >= SHORTEST}
        secrets |= {each for each in steps if len(each) >= SHORTEST and not _WORDS.fullmatch(each)}
    return QuotedSecrets(secrets, [each for each in wholes if len(each) > 1], words)


def _is_revealing(part: str) -> bool:
    return len(part) >= _SHORTEST_PART and part.lower() not in _ORDINARY
