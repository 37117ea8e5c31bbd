"""
``POST /twitch``: what Twitch sends, and what it is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from attrs import Factory, define, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web import http
from twisted.web.iweb import IRequest

from itsjustintv.errors import Forged, JournalUnavailable, Refused, Stale, Unreadable
from itsjustintv.interfaces import Accept
from itsjustintv.model import Acceptance, Event
from itsjustintv.support.counts import Counted
from itsjustintv.support.log_throttle import LogThrottle
from itsjustintv.twitch.eventsub.messages import Challenge, Notification, Revocation, open_message

__all__ = ["Count", "OnRevocation", "Secrets", "TwitchResource"]

#: The secrets Twitch may sign with at this moment.
Secrets = Callable[[], Sequence[bytes]]
#: Counts a message by what became of it, in one word.
Count = Callable[[str], None]
#: Is told of a subscription that Twitch has ended. Returns at once.
OnRevocation = Callable[[Revocation], None]

# Twitch sends a message again within a couple of minutes; this is for everybody else.
_RETRY_AFTER = b"5"


@frozen
class _Answer:
    """
    A whole answer.
    """

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    extra: tuple[tuple[bytes, bytes], ...] = ()

    def give(self, request: IRequest) -> bytes:
        """
        Set status and headers.

        The length is always there: Twitch has been seen to reject a challenge without it.

        :return: the body.
        """
        request.setResponseCode(self.status)
        request.setHeader(b"Content-Type", self.content_type)
        request.setHeader(b"Content-Length", b"%d" % len(self.body))
        for name, value in self.extra:
            request.setHeader(name, value)
        return self.body


_PROCESSED = _Answer(http.OK, b'{"status":"processed"}')
_IGNORED = _Answer(http.OK, b'{"status":"ignored"}')
_VERDICTS = {
    Acceptance.ACCEPTED: ("accepted", "accepted {event_id}: {streamer} went live", _PROCESSED),
    Acceptance.DUPLICATE: ("duplicate", "dropped {event_id} of {streamer}: it was accepted before", _PROCESSED),
    Acceptance.IGNORED: ("ignored", "ignored {event_id}: nobody asked for {streamer}", _IGNORED),
}
_REFUSED = {Forged: "forged", Stale: "stale", Unreadable: "unreadable"}
_UNREADABLE = _Answer(http.BAD_REQUEST, b'{"status":"bad request"}')
_FORBIDDEN = _Answer(http.FORBIDDEN, b'{"status":"forbidden"}')
_NOT_ALLOWED = _Answer(http.NOT_ALLOWED, b'{"status":"method not allowed"}', extra=((b"Allow", b"POST"),))
_FAILED = _Answer(http.INTERNAL_SERVER_ERROR, b'{"status":"internal server error"}')
_UNAVAILABLE = _Answer(http.SERVICE_UNAVAILABLE, b'{"status":"unavailable"}', extra=((b"Retry-After", _RETRY_AFTER),))


@define(eq=False)
class TwitchResource:
    """
    Answers Twitch: 2xx for a notification only once ``accept`` says that it is kept.

    :ivar secrets: asked for at each message.
    :ivar accept: what it started goes on when the peer hangs up.
    :ivar clock: tells when an event was received.
    :ivar new_id: makes the ids of requests. That of a notification is its event's, so that one id leads from Twitch's
        own record to the last attempt. An id that a request brings along is not looked at: anybody can say anything.
    :ivar count: is told ``accepted``, ``duplicate``, ``ignored``, ``challenge``, ``revocation``, ``other``, ``forged``,
        ``stale``, ``unreadable``, ``unavailable`` or ``failed`` of each message.
    :ivar wall: tells the age of messages: the time of the machine, in seconds since the epoch.
    """

    log: ClassVar[Logger] = Logger()

    _secrets: Secrets
    _accept: Accept
    _on_revocation: OnRevocation
    _clock: IReactorTime
    _new_id: Callable[[], str]
    _count: Count = lambda _: None
    _wall: Callable[[], float] = field(default=Factory(lambda self: self._clock.seconds, takes_self=True))
    _refusals: LogThrottle = field(init=False, default=Factory(lambda self: LogThrottle(self._clock), takes_self=True))

    def receive(self, request: IRequest) -> bytes | Deferred[bytes]:
        """
        Answer one request.

        The method is told apart here, not by the route, so that every answer is ours.
        """
        request_id = self._new_id()
        request.setHeader(b"X-Request-Id", request_id.encode("ascii"))
        if request.method != b"POST":
            return _NOT_ALLOWED.give(request)
        try:
            answer = self._open(request, request_id)
        except Refused as refusal:
            self._note(refusal, getattr(request.getClientAddress(), "host", "nobody"), request_id)
            self._count(_REFUSED[type(refusal)])
            return (_UNREADABLE if isinstance(refusal, Unreadable) else _FORBIDDEN).give(request)
        except Exception:  # noqa: BLE001 - whatever it is, Twitch gets an answer and sends the message again
            self.log.failure(
                "a message from twitch could not be handled; twitch will send it again", request_id=request_id
            )
            self._count("failed")
            return _FAILED.give(request)
        if isinstance(answer, Deferred):
            return answer.addCallback(_Answer.give, request)
        return answer.give(request)

    def _open(self, request: IRequest, request_id: str) -> _Answer | Deferred[_Answer]:
        """
        Decide what becomes of a message.
        """
        now = self._wall()
        message = open_message(request.requestHeaders, request.content.read(), self._secrets(), now, request_id)
        if isinstance(message, Notification):
            event = evolve(message.event, received_at=self._clock.seconds())
            return _uncancelled(Deferred.fromCoroutine(self._take(event)))
        if isinstance(message, Challenge):
            self._count("challenge")
            self.log.info(
                "answered twitch's challenge for the subscription {subscription_id}",
                subscription_id=message.subscription_id or "of a conduit",
                request_id=request_id,
            )
            return _Answer(http.OK, message.text.encode("utf-8"), b"text/plain")
        if isinstance(message, Revocation):
            self._count("revocation")
            self._revoked(message, request_id)
        else:
            self._count("other")
            self.log.info("ignored a message about {kind}", kind=message.kind, request_id=request_id)
        return _IGNORED

    async def _take(self, event: Event) -> _Answer:
        """
        Hand an event over and wait for the verdict. Never fails.
        """
        fields: dict[str, Any] = {
            "event_id": event.id,
            "message_id": event.message_id,
            "streamer": event.broadcaster_login or event.broadcaster_id,
        }
        try:
            verdict = await self._accept(event)
        except JournalUnavailable as error:
            self.log.error(  # noqa: TRY400 - the reason is in the line; a traceback adds nothing
                "could not keep {event_id} of {streamer}: {reason}; twitch will send it again",
                reason=str(error),
                **fields,
            )
            self._count("unavailable")
            return _UNAVAILABLE
        except Exception:  # noqa: BLE001 - whatever it is, Twitch gets an answer and sends the message again
            self.log.failure("could not accept {event_id} of {streamer}; twitch will send it again", **fields)
            self._count("failed")
            return _FAILED
        outcome, sentence, answer = _VERDICTS[verdict]
        self._count(outcome)
        if verdict is Acceptance.ACCEPTED and event.type not in ("", "live"):
            self.log.info("accepted {event_id}: {streamer} began a broadcast of type {type}", type=event.type, **fields)
        else:
            self.log.info(sentence, **fields)
        return answer

    def _revoked(self, revocation: Revocation, request_id: str) -> None:
        """
        Pass on that a subscription ended.
        """
        self.log.warn(
            "twitch ended the subscription {subscription_id} to {kind} of {streamer}: {reason}",
            subscription_id=revocation.subscription_id,
            kind=revocation.type,
            streamer=revocation.broadcaster_id,
            reason=revocation.status,
            request_id=request_id,
        )
        self._on_revocation(revocation)

    def _note(self, refusal: Refused, client: str, request_id: str) -> None:
        """
        Log a refusal, or count it for the next line about the same reason. But for the age of a message the reasons
        are fixed texts, so there are few.

        :param client: the address of whoever sent the message.
        :param request_id: of the request; a line about several has that of the last.
        """
        if count := self._refusals.count("stale" if isinstance(refusal, Stale) else str(refusal)):
            self.log.warn(
                "refused {count}, the last from {client}: {reason}",
                count=Counted(count, "message"),
                client=client,
                reason=str(refusal),
                request_id=request_id,
            )


def _uncancelled(decision: Deferred[_Answer]) -> Deferred[_Answer]:
    """
    Let go of an answer without cancelling what it waits for; Klein cancels when the peer hangs up.
    """
    answer: Deferred[_Answer] = Deferred()
    decision.addCallback(answer.callback)
    return answer
