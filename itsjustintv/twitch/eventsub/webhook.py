"""
``POST /twitch``: the webhook transport. Knows HTTP and messages, and hands events over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from attrs import Factory, define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web import http
from twisted.web.iweb import IRequest

from itsjustintv.errors import Forged, JournalUnavailable, Refused, Stale, Unreadable
from itsjustintv.model import Acceptance, Event
from itsjustintv.support.counts import Counted
from itsjustintv.support.log_throttle import LogThrottle
from itsjustintv.twitch.eventsub.intake import Intake, log_fields
from itsjustintv.twitch.eventsub.messages import Challenge, Notification, Revocation, open_message

__all__ = ["Secrets", "TwitchResource"]

#: The secrets that Twitch may sign with now.
Secrets = Callable[[], Sequence[bytes]]
# Seconds. Twitch redelivers within a couple of minutes whatever this says; it is for other clients.
_RETRY_AFTER = b"5"


@frozen
class _Response:
    status: int
    body: bytes
    content_type: bytes = b"application/json"
    extra: tuple[tuple[bytes, bytes], ...] = ()

    def write(self, request: IRequest) -> bytes:
        """
        Set status and headers.

        Content-Length is always set: Twitch has been seen to reject a challenge without it.

        :return: the body.
        """
        request.setResponseCode(self.status)
        request.setHeader(b"Content-Type", self.content_type)
        request.setHeader(b"Content-Length", b"%d" % len(self.body))
        for name, value in self.extra:
            request.setHeader(name, value)
        return self.body


_PROCESSED = _Response(http.OK, b'{"status":"processed"}')
_IGNORED = _Response(http.OK, b'{"status":"ignored"}')
_ANSWERS = {Acceptance.ACCEPTED: _PROCESSED, Acceptance.DUPLICATE: _PROCESSED, Acceptance.IGNORED: _IGNORED}
_REFUSED = {Forged: "forged", Stale: "stale", Unreadable: "unreadable"}
_UNREADABLE = _Response(http.BAD_REQUEST, b'{"status":"bad request"}')
_FORBIDDEN = _Response(http.FORBIDDEN, b'{"status":"forbidden"}')
_NOT_ALLOWED = _Response(http.NOT_ALLOWED, b'{"status":"method not allowed"}', extra=((b"Allow", b"POST"),))
_FAILED = _Response(http.INTERNAL_SERVER_ERROR, b'{"status":"internal server error"}')
_UNAVAILABLE = _Response(http.SERVICE_UNAVAILABLE, b'{"status":"unavailable"}', extra=((b"Retry-After", _RETRY_AFTER),))


@define(eq=False)
class TwitchResource:
    """
    Answers 2xx to a notification only once ``accept`` says that it is stored.

    :ivar secrets: asked for at each message.
    :ivar intake: goes on when the peer hangs up.
    :ivar clock: gives the time at which an event was received.
    :ivar new_id: makes the ids of requests. The id of a notification is also its event's, so that one id links Twitch's
        record to the last attempt. An id in the request is ignored: anyone could send one.
    :ivar wall: the time of the machine, in seconds since the epoch, for the age of messages.
    """

    log: ClassVar[Logger] = Logger()

    _secrets: Secrets
    _intake: Intake
    _clock: IReactorTime
    _new_id: Callable[[], str]
    _wall: Callable[[], float] = field(default=Factory(lambda self: self._clock.seconds, takes_self=True))
    _refusals: LogThrottle = field(init=False, default=Factory(lambda self: LogThrottle(self._clock), takes_self=True))

    def receive(self, request: IRequest) -> bytes | Deferred[bytes]:
        """
        Answer one request.

        The method is checked here, not by the route, so that every response is ours.
        """
        request_id = self._new_id()
        request.setHeader(b"X-Request-Id", request_id.encode("ascii"))
        if request.method != b"POST":
            return _NOT_ALLOWED.write(request)
        try:
            response = self._open(request, request_id)
        except Refused as refusal:
            self._note(refusal, getattr(request.getClientAddress(), "host", "unknown"), request_id)
            self._intake.count(_REFUSED[type(refusal)])
            return (_UNREADABLE if isinstance(refusal, Unreadable) else _FORBIDDEN).write(request)
        except Exception:  # noqa: BLE001 - Twitch redelivers after a 500
            self.log.failure("cannot handle a message from Twitch; Twitch will redeliver", request_id=request_id)
            self._intake.count("failed")
            return _FAILED.write(request)
        if isinstance(response, Deferred):
            return response.addCallback(_Response.write, request)
        return response.write(request)

    def _open(self, request: IRequest, request_id: str) -> _Response | Deferred[_Response]:
        message = open_message(
            request.requestHeaders,
            request.content.read(),
            self._secrets(),
            self._wall(),
            request_id,
            received_at=self._clock.seconds(),
        )
        if isinstance(message, Notification):
            return _uncancelled(Deferred.fromCoroutine(self._accept_event(message.event)))
        if isinstance(message, Challenge):
            self._intake.count("challenge")
            self.log.info(
                "answered Twitch's challenge for subscription {subscription_id}",
                subscription_id=message.subscription_id or "unknown (a conduit shard)",
                request_id=request_id,
            )
            return _Response(http.OK, message.text.encode("utf-8"), b"text/plain")
        if isinstance(message, Revocation):
            self._intake.revoked(message, request_id)
        else:
            self._intake.ignored(message.kind, request_id)
        return _IGNORED

    async def _accept_event(self, event: Event) -> _Response:
        """
        Hand an event over and wait until it is stored. Never fails.
        """
        try:
            return _ANSWERS[await self._intake.accept_event(event)]
        except JournalUnavailable as error:
            self.log.error(  # noqa: TRY400 - the reason is in the line; a traceback adds nothing
                "cannot store {event_id} of {streamer}: {reason}; Twitch will redeliver",
                reason=str(error),
                **log_fields(event),
            )
            self._intake.count("unavailable")
            return _UNAVAILABLE
        except Exception:  # noqa: BLE001 - Twitch redelivers after a 500
            self.log.failure("cannot accept {event_id} of {streamer}; Twitch will redeliver", **log_fields(event))
            self._intake.count("failed")
            return _FAILED

    def _note(self, refusal: Refused, client: str, request_id: str) -> None:
        """
        Log a refusal, or count it for the next line with the same reason. Apart from the age of a message the reasons
        are fixed texts, so there are few.

        :param client: the address of the sender.
        :param request_id: a line about several refusals has the id of the last.
        """
        if count := self._refusals.count("stale" if isinstance(refusal, Stale) else str(refusal)):
            self.log.warn(
                "rejected {count}, the last from {client}: {reason}",
                count=Counted(count, "message"),
                client=client,
                reason=str(refusal),
                request_id=request_id,
            )


def _uncancelled(working: Deferred[_Response]) -> Deferred[_Response]:
    """
    A Deferred whose cancellation, when the peer hangs up, does not cancel the work.
    """
    response: Deferred[_Response] = Deferred()
    working.addCallback(response.callback)
    return response
