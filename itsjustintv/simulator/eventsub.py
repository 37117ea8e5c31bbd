"""
EventSub messages: signed, sent over HTTP, and resent until they are acknowledged.
"""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Mapping, Sequence
from random import Random
from uuid import UUID

import orjson
from attrs import define, evolve, field, frozen
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.internet.task import deferLater
from twisted.web import http
from twisted.web.client import readBody
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from itsjustintv.simulator.loopback import cancelling
from itsjustintv.simulator.subscriptions import SimulatedSubscription
from itsjustintv.simulator.world import SimulatedChannel, SimulatedStream, rfc3339
from itsjustintv.support.causes import cause

__all__ = [
    "EventSub",
    "Message",
    "Posted",
    "VerificationReport",
    "channel_update",
    "post",
    "stream_offline",
    "stream_online",
]

#: Seconds between the tries of one message. Twitch promises none; the documentation of twitch4j reports five tries in a
#: couple of minutes.
RESEND_AFTER = (10.0, 20.0, 30.0, 60.0)

_REMEMBERED = 1000


@frozen(kw_only=True)
class Message:
    """
    One message. When it is resent it keeps its id and its body (dev.twitch.tv, "EventSub": delivery is at least once,
    and a duplicate has the same id).

    :ivar id: opaque; Twitch does not promise a UUID.
    :ivar type: ``notification``, ``webhook_callback_verification`` or ``revocation``.
    :ivar subscription: as it was when the message was made.
    """

    id: str
    type: str
    subscription: SimulatedSubscription
    body: bytes

    def frame(self, timestamp: str) -> bytes:
        """
        The message as a text message of a WebSocket (dev.twitch.tv, "WebSocket reference").
        """
        metadata = {
            "message_id": self.id,
            "message_type": self.type,
            "message_timestamp": timestamp,
            "subscription_type": self.subscription.type,
            "subscription_version": self.subscription.version,
        }
        return orjson.dumps({"metadata": metadata, "payload": orjson.Fragment(self.body)})


@frozen
class VerificationReport:
    """
    The result of sending a message.

    :ivar tries: every POST of it, in order.
    """

    message: Message
    tries: tuple[Posted, ...]

    @property
    def acknowledged(self) -> bool:
        """
        Whether the last try was answered with any 2xx (dev.twitch.tv, "Handling webhook events").
        """
        return self.tries[-1].ok

    def echoes(self, challenge: bytes) -> bool:
        """
        Whether the last answer is right for a challenge: 200, the challenge alone, and its length.
        """
        answer = self.tries[-1]
        return answer.status == http.OK and answer.body == challenge and answer.measured


def stream_online(stream: SimulatedStream) -> dict[str, str]:
    """
    The ``event`` of a ``stream.online`` notification (dev.twitch.tv, EventSub reference).
    """
    return {
        "id": stream.id,
        "broadcaster_user_id": stream.channel.id,
        "broadcaster_user_login": stream.channel.login,
        "broadcaster_user_name": stream.channel.name,
        "type": stream.type,
        "started_at": stream.started_at,
    }


def stream_offline(channel: SimulatedChannel) -> dict[str, str]:
    """
    The ``event`` of a ``stream.offline`` notification, which names neither the broadcast nor the time (dev.twitch.tv,
    EventSub reference).
    """
    return {
        "broadcaster_user_id": channel.id,
        "broadcaster_user_login": channel.login,
        "broadcaster_user_name": channel.name,
    }


def channel_update(channel: SimulatedChannel) -> dict[str, object]:
    """
    The ``event`` of a ``channel.update`` notification, version 2 (dev.twitch.tv, EventSub reference).
    """
    return {
        **stream_offline(channel),
        "title": channel.title,
        "language": channel.language,
        "category_id": channel.game_id,
        "category_name": channel.game_name,
        "content_classification_labels": [],
    }


@define(eq=False)
class EventSub:
    """
    Makes messages and sends them.

    :ivar resend_after: seconds to wait before each further try of a message.
    :ivar timeout: seconds Twitch waits for an answer; the documents speak of a few, and Twitch's own command line tool
        waits for ten.
    :ivar sent: the last tries, in order: id and type of the message, number of the try, status of the answer or
        ``None``.
    """

    _agent: IAgent
    _clock: IReactorTime
    _random: Random
    resend_after: Sequence[float] = RESEND_AFTER
    timeout: float = 10.0
    sent: deque[tuple[str, str, int, int | None]] = field(factory=lambda: deque(maxlen=_REMEMBERED), init=False)
    _sending: set[Deferred[VerificationReport]] = field(factory=set, init=False)
    _stopped: bool = field(default=False, init=False)

    def notification(self, subscription: SimulatedSubscription, event: Mapping[str, object]) -> Message:
        """
        Make a notification with a new id.
        """
        return self._message("notification", subscription, {"event": event})

    def challenge(self, subscription: SimulatedSubscription) -> tuple[Message, bytes]:
        """
        Make a challenge (dev.twitch.tv, "Handling webhook events").

        :return: the message, and the answer that it requires.
        """
        challenge = f"{self._random.getrandbits(160):040x}"
        message = self._message("webhook_callback_verification", subscription, {"challenge": challenge})
        return message, challenge.encode()

    def shard_challenge(self, conduit_id: str, shard_id: str, callback: str, secret: str) -> tuple[Message, bytes]:
        """
        Make a challenge for the callback of a shard, which has no subscription (dev.twitch.tv, "Getting Events Using
        Conduits", "Verifying a conduit"). Which headers it has is not documented.

        :return: the message, and the answer that it requires.
        """
        shard = SimulatedSubscription(
            id="",
            status="",
            type="",
            version="",
            condition={},
            callback=callback,
            secret=secret,
            created_at="",
        )
        message, challenge = self.challenge(shard)
        body = {"challenge": challenge.decode(), "conduit_shard": {"conduit_id": conduit_id, "shard": shard_id}}
        return evolve(message, body=orjson.dumps(body)), challenge

    def revocation(self, subscription: SimulatedSubscription) -> Message:
        """
        Make the last message of a subscription, with the reason as its status and without an event (dev.twitch.tv,
        "Handling webhook events").
        """
        return self._message("revocation", subscription, {})

    def send(
        self, message: Message, *, number: int = 0, again: bool = True, age: float = 0.0, forged: bool = False
    ) -> Deferred[VerificationReport]:
        """
        Send a message until it is acknowledged or no tries are left.

        Each try has its own timestamp, the moment of sending, and so its own signature (dev.twitch.tv, "Handling
        webhook events").

        :param number: of the first try, for ``Twitch-Eventsub-Message-Retry``: 0 for a new message; observed to be
            counted up.
        :param again: whether to resend a message that is not acknowledged.
        :param age: seconds by which the timestamp is too old; receivers should reject more than ten minutes
            (dev.twitch.tv, "EventSub").
        :param forged: whether to sign it with another secret.
        :return: fails with ``CancelledError`` when the simulator stops, or has stopped.
        """
        if self._stopped:
            return fail(CancelledError())
        if forged:
            forger = evolve(message.subscription, secret=message.subscription.secret[::-1] + "?")
            message = evolve(message, subscription=forger)
        sending = Deferred.fromCoroutine(self._send(message, number, self.resend_after if again else (), age))
        self._sending.add(sending)

        def ended(result: VerificationReport) -> VerificationReport:
            self._sending.discard(sending)
            return result

        return sending.addBoth(ended)

    def stop(self) -> None:
        """
        Cancel every message that is being sent, and send nothing more.
        """
        self._stopped = True
        for sending in list(self._sending):
            sending.cancel()

    async def _send(self, message: Message, number: int, waits: Sequence[float], age: float) -> VerificationReport:
        tries = [await self._try(message, number, age)]
        for further, wait in enumerate(waits, number + 1):
            if tries[-1].ok:
                break
            await deferLater(self._clock, wait)
            tries.append(await self._try(message, further, age))
        return VerificationReport(message, tuple(tries))

    async def _try(self, message: Message, number: int, age: float) -> Posted:
        subscription = message.subscription
        timestamp = rfc3339(self._clock.seconds() - age)
        # dev.twitch.tv, "Handling webhook events", "Verifying the event message".
        signed = message.id.encode() + timestamp.encode() + message.body
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "itsjustintv-simulator",
            "Twitch-Eventsub-Message-Id": message.id,
            "Twitch-Eventsub-Message-Retry": str(number),
            "Twitch-Eventsub-Message-Type": message.type,
            "Twitch-Eventsub-Message-Signature": (
                f"sha256={hmac.digest(subscription.secret.encode(), signed, 'sha256').hex()}"
            ),
            "Twitch-Eventsub-Message-Timestamp": timestamp,
            "Twitch-Eventsub-Subscription-Type": subscription.type,
            "Twitch-Eventsub-Subscription-Version": subscription.version,
        }
        # Redirects are not followed (dev.twitch.tv, API reference, "Create EventSub Subscription").
        url = subscription.callback
        posted = await post(self._agent, self._clock, url, headers, message.body, timeout=self.timeout)
        self.sent.append((message.id, message.type, number, posted.status))
        return posted

    def _message(self, kind: str, subscription: SimulatedSubscription, more: Mapping[str, object]) -> Message:
        return Message(
            id=str(UUID(int=self._random.getrandbits(128), version=4)),
            type=kind,
            subscription=subscription,
            body=orjson.dumps({"subscription": subscription.public(), **more}),
        )


@frozen(kw_only=True)
class Posted:
    """
    The result of a POST.

    :ivar status: of the answer, or ``None`` if there was none.
    :ivar problem: why there was no answer.
    :ivar duration: seconds from the first byte sent to the last one read.
    :ivar measured: whether the answer had a ``Content-Length`` instead of chunks.
    :ivar retry_after: the ``Retry-After`` of the answer, or empty.
    :ivar request_id: the ``X-Request-Id`` of the answer, or empty.
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
    A body that is written at once, without a turn of the reactor.
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
    POST a body, without following redirects.

    :param timeout: seconds for the whole exchange.
    """
    started = clock.seconds()
    try:
        response, answer = await cancelling(_exchange(agent, url, headers, body)).addTimeout(timeout, clock)
    except defer.TimeoutError:
        return Posted(status=None, duration=clock.seconds() - started, problem=f"no answer within {timeout:g} s")
    except CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - the caller wants any reason for the lack of an answer
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
