"""
Sends the mails of all destinations of the kind ``email``: each attempt over a connection of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import Factory, define, evolve, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from itsjustintv.destinations.attempt_record import make_attempt
from itsjustintv.destinations.response import RESET, classify_timeout
from itsjustintv.destinations.server_connections import ServerAdapter, ServerConnections, classify_connection
from itsjustintv.destinations.smtp import PHASE, MailRefused, MailServer, NotSmtp, Phase, Reply, SmtpConnection
from itsjustintv.interfaces import IAskingSender, SenderTools
from itsjustintv.model import Attempt, Delivery, Destination, Result
from itsjustintv.model.deliveries import SERVER_ERROR
from itsjustintv.support.http_response import Response
from itsjustintv.support.waiters import watch

__all__ = ["SmtpSender"]

# A recipient who is refused for now holds up a mail for so many attempts; then the others get it without.
_PATIENT = 3

_NOTHING = Result("error", "")

_SENTENCES: Mapping[str, str] = {
    RESET: "closed the connection without an answer: check host, port and security.",
    "dns": "has a mail server whose name cannot be resolved: check host and the name server.",
    "error": "did not answer in SMTP: check host, port and security.",
}


@implementer(IAskingSender)
@define(eq=False)
class SmtpSender:
    """
    Hands a mail to the mail server of its destination.

    :ivar open: makes the adapter of a destination.
    :ivar trust: decides which certificates of mail servers are trusted.
    """

    _tools: SenderTools
    _open: Callable[[Destination], ServerAdapter[MailServer]]
    _trust: IPolicyForHTTPS = field(factory=BrowserLikePolicyForHTTPS)
    _connections: ServerConnections = field(
        default=Factory(lambda self: ServerConnections(self._tools, self._trust), takes_self=True), init=False
    )

    log = Logger()

    def send(self, delivery: Delivery, destination: Destination) -> Deferred[Attempt]:
        return Deferred.fromCoroutine(self._attempt(delivery, destination))

    def ask(self, question: Delivery, destination: Destination) -> Deferred[Attempt]:
        return Deferred.fromCoroutine(self._ask(question, destination))

    def stop(self) -> Deferred[None]:
        return self._connections.close()

    async def _ask(self, question: Delivery, destination: Destination) -> Attempt:
        attempt = await self._attempt(question, destination, is_question=True)
        does = "accepts the login" if self._open(destination).server().user else "answers"
        return evolve(attempt, detail=f"{destination.name} (email) {does}.") if attempt.ok else attempt

    async def _attempt(self, delivery: Delivery, destination: Destination, *, is_question: bool = False) -> Attempt:
        tools = self._tools
        began, timeout = tools.reactor.seconds(), tools.timeout()
        talk = _Talk(self._open(destination), delivery, destination, is_question)
        talking = Deferred.fromCoroutine(self._talk(talk))
        deadline = tools.reactor.callLater(timeout, talk.expire, talking)
        try:
            await watch(talking)
        except CancelledError:
            talking.cancel()
            if not talk.expired:
                raise
        except ValueError:
            talk.result = Result("error", f"no mail can be made for {destination.name}: check sender and to.")
        except Exception:  # noqa: BLE001 - whatever went wrong is how the attempt ended
            talk.result = _classify(Failure(), destination.name)
        finally:
            if deadline.active():
                deadline.cancel()
        if talk.reply is not None:
            talk.result = talk.interpret(talk.reply, tools.wall())
        elif talk.expired:
            talk.result = classify_timeout(timeout, destination.name)
        # A code of 5xx is a refusal: in HTTP it would mean that the outcome is not known.
        status = None if talk.reply is None or talk.reply.code >= SERVER_ERROR else talk.reply.code
        return make_attempt(
            talk.result,
            destination,
            began,
            tools.reactor.seconds(),
            status=status,
            answer=b"" if talk.reply is None else talk.reply.text.encode(),
            trace=tools.begin_span(delivery.trace),
        )

    async def _talk(self, talk: _Talk) -> None:
        server = talk.adapter.server()
        mail = b"" if talk.is_question else talk.adapter.make_request(talk.delivery, self._tools.wall()).body
        trust = self._connections.trust(server.host, server.port)
        connection = await self._connections.open(
            SmtpConnection(self._tools.reactor), server.host, server.port, tls=server.security == "tls"
        )
        try:
            if talk.is_question:
                talk.reply, refused = await connection.check(server, trust), 0
            else:
                patient = talk.delivery.attempts < _PATIENT
                talk.reply, refused = await connection.hand_in(server, mail, trust, all_or_none=patient)
        except MailRefused as error:
            talk.reply, talk.phase = error.reply, error.phase
        except BaseException:
            connection.abort()
            raise
        else:
            if refused:
                self.log.warn(
                    "{destination} did not take a mail for {refused} of {count} recipients; the others get it",
                    destination=talk.destination.name,
                    refused=refused,
                    count=len(server.recipients),
                )
        connection.leave()


@define(eq=False)
class _Talk:
    """
    The state of one attempt, wherever it is cut short.

    :ivar is_question: whether no mail is handed in.
    """

    adapter: ServerAdapter[MailServer]
    delivery: Delivery
    destination: Destination
    is_question: bool = False
    reply: Reply | None = None
    phase: Phase = Phase.CONTENT
    result: Result = _NOTHING
    expired: bool = False

    def expire(self, talking: Deferred[None]) -> None:
        """
        Cancel it at its deadline.
        """
        self.expired = True
        talking.cancel()

    def interpret(self, reply: Reply, now: float) -> Result:
        """
        Say what a reply means.
        """
        headers = Headers({PHASE: [self.phase.value]})
        return self.adapter.interpret(Response(reply.code, headers, b""), self.delivery, now)


def _classify(failure: Failure, destination: str) -> Result:
    """
    Classify an attempt that got no reply of its own.
    """
    if isinstance(failure.value, NotSmtp):
        return Result("error", f"{destination} {failure.value}: check host, port and security.")
    return classify_connection(failure, destination, _SENTENCES)
