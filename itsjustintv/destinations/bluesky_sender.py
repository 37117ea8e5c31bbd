"""
Sends the posts of all destinations of the kind ``bluesky``: within a session, which outlives the daemon in a file.

Logins are few, 30 in five minutes and 300 a day, so tokens are kept, and renewed once they are refused
(docs.bsky.app, "Rate Limits").
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from attrs import define, evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from itsjustintv.destinations.attempt_record import make_attempt
from itsjustintv.destinations.http_exchange import HttpExchange
from itsjustintv.destinations.post_body import AGENT, to_send
from itsjustintv.destinations.response import classify_failure, classify_timeout
from itsjustintv.destinations.service_answer import ServiceAnswer, shown_word
from itsjustintv.interfaces import IDestination, ISender, SenderTools
from itsjustintv.model import Action, Attempt, Delivery, Destination, Notice, OutgoingRequest, Result
from itsjustintv.support.files import replace
from itsjustintv.support.http_response import Response
from itsjustintv.support.regular_files import read
from itsjustintv.support.waiters import watch

__all__ = ["ENDED_TOKENS", "SESSION_ENDED", "BlueskySender", "Session", "wait_for_reset"]

#: The reason of an attempt whose token was refused.
SESSION_ENDED = "session_ended"

#: The errors that say so.
ENDED_TOKENS = frozenset({"ExpiredToken", "InvalidToken"})

# The part of an attempt's time that the upload of a picture may take.
_SHARE = 0.4

# Uploaded pictures that are remembered for another attempt.
_PICTURES = 50

# Of a file, in bytes.
_LIMIT = 64 * 1024

# They become headers and parts of requests.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,8192}")
_DID = re.compile(r"did:[a-z]+:[A-Za-z0-9.:_%-]{1,200}")


@frozen(kw_only=True)
class Session:
    """
    What a login gave.

    :ivar did: of the account.
    :ivar access: a token for hours; ``refresh``: one that gets the next two, once.
    :ivar owner: fingerprint of the credentials.
    """

    did: str
    access: str = field(repr=False)
    refresh: str = field(repr=False)
    owner: str

    @classmethod
    def parse(cls, about: object, owner: str) -> Session:
        """
        Read what a server answers, or :meth:`dump` wrote.

        :raises ValueError: it is none of that. Never quotes it.
        """
        if not isinstance(about, dict):
            raise ValueError("it is not an object")  # noqa: TRY004 - one error for whatever is wrong with it
        did, access, refresh = (about.get(name) for name in ("did", "accessJwt", "refreshJwt"))
        if not (isinstance(did, str) and _DID.fullmatch(did)):
            raise ValueError("did is not the id of an account")
        if not (isinstance(access, str) and _TOKEN.fullmatch(access)):
            raise ValueError("accessJwt is not a token")
        if not (isinstance(refresh, str) and _TOKEN.fullmatch(refresh)):
            raise ValueError("refreshJwt is not a token")
        return cls(did=did, access=access, refresh=refresh, owner=str(about.get("owner", "")) or owner)

    def dump(self) -> bytes:
        about = {"did": self.did, "accessJwt": self.access, "refreshJwt": self.refresh, "owner": self.owner}
        return orjson.dumps(about, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


@implementer(ISender)
@define(eq=False)
class BlueskySender:
    """
    Logs in once for each account, and sends with its token.

    :ivar open: makes the adapter of a destination, within a session.
    :ivar pictures: what names those that were uploaded, by delivery.
    """

    _tools: SenderTools
    _open: Callable[[Destination, Session], IDestination]
    _sessions: dict[str, Session] = field(factory=dict, init=False)
    _loaded: set[str] = field(factory=set, init=False)
    _locks: dict[str, DeferredLock] = field(factory=dict, init=False)
    pictures: dict[str, Mapping[str, Any]] = field(factory=dict, init=False)

    log = Logger()

    def send(self, delivery: Delivery, destination: Destination) -> Deferred[Attempt]:
        return Deferred.fromCoroutine(self._attempt(delivery, destination))

    def stop(self) -> Deferred[None]:
        return succeed(None)

    async def _attempt(self, delivery: Delivery, destination: Destination) -> Attempt:
        tools = self._tools
        began, timeout = tools.reactor.seconds(), tools.timeout()
        steps = _Steps(self, delivery, destination, began + timeout)
        working = Deferred.fromCoroutine(steps.run())
        # Each request has an end of its own; this one is for all else.
        deadline = tools.reactor.callLater(timeout, working.cancel)
        try:
            attempt = await watch(working)
        except CancelledError:
            if deadline.active():
                working.cancel()
                raise
            attempt = steps.record(classify_timeout(timeout, destination.name))
        except Exception:  # noqa: BLE001 - whatever went wrong is how the attempt ended
            self.log.failure(
                "cannot send {event_id} to {destination}", event_id=delivery.event_id, destination=destination.name
            )
            attempt = steps.record(classify_failure(Failure(), destination.name))
        finally:
            if deadline.active():
                deadline.cancel()
        return evolve(attempt, started_at=began, duration=max(0.0, tools.reactor.seconds() - began))

    def lock(self, place: str) -> DeferredLock:
        """
        Held by those who change the session of an account.
        """
        return self._locks.setdefault(place, DeferredLock())

    async def session(self, destination: Destination) -> Session | None:
        """
        The session of an account, from memory or from its file, unless its credentials have changed.
        """
        place = destination.place
        if place not in self._loaded:
            try:
                text = await self._tools.in_thread(_read, self._path(place))
                if text is not None:
                    self._keep(place, Session.parse(orjson.loads(text), ""))
            except (OSError, ValueError) as error:
                self.log.warn(
                    "cannot use the session file {path}: {reason}; logging in anew",
                    path=str(self._path(place)),
                    reason=_reason(error),
                )
            self._loaded.add(place)
        found = self._sessions.get(place)
        return found if found is not None and found.owner == fingerprint(destination) else None

    async def store(self, place: str, session: Session) -> None:
        """
        Keep a new session, in its file too.
        """
        self._keep(place, session)
        try:
            await self._tools.in_thread(replace, self._path(place), session.dump())
        except OSError as error:
            self.log.warn(
                "cannot write the session file {path}: {reason}; the session is used until the next start",
                path=str(self._path(place)),
                reason=_reason(error),
            )

    def _keep(self, place: str, session: Session) -> None:
        self._tools.hide((session.access, session.refresh))
        self._sessions[place] = session

    def _path(self, place: str) -> Path:
        return self._tools.state() / f"bluesky-{place}.json"

    def exchange(self, until: float) -> HttpExchange:
        """
        What makes the requests of an attempt.

        :param until: when the attempt ends, by the clock of the reactor.
        """
        tools = self._tools
        return HttpExchange(
            tools.agent, tools.reactor, lambda: max(0.0, until - tools.reactor.seconds()), tools.begin_span, tools.wall
        )

    def open(self, destination: Destination, session: Session) -> IDestination:
        """
        Make the adapter of a destination that uses a session.
        """
        return self._open(destination, session)

    def remember(self, delivery: str, blob: Mapping[str, Any]) -> None:
        """
        Keep what names an uploaded picture for the next attempts of a delivery.
        """
        if len(self.pictures) >= _PICTURES:
            del self.pictures[next(iter(self.pictures))]
        self.pictures[delivery] = blob

    def now(self) -> float:
        """
        The time by the clock of the reactor.
        """
        now: float = self._tools.reactor.seconds()
        return now


@define(eq=False)
class _Steps:
    """
    The requests of one attempt.
    """

    sender: BlueskySender
    delivery: Delivery
    destination: Destination
    until: float

    async def run(self) -> Attempt:
        """
        Send the post, with a token that is renewed once if need be.
        """
        session: Session | None = None
        for _ in range(2):
            session, failed = await self._signed_in(session)
            if session is None:
                return failed
            hidden = evolve(self.destination, secrets=(*self.destination.secrets, session.access, session.refresh))
            adapter = self.sender.open(self.destination, session)
            delivery = await self._with_picture(session, hidden)
            attempt = await self.sender.exchange(self.until).exchange(adapter, delivery, hidden)
            if attempt.reason != SESSION_ENDED:
                break
        return attempt

    async def _with_picture(self, session: Session, hidden: Destination) -> Delivery:
        """
        Upload the picture of the card, and put what names it there into the post. Without the picture the post is sent
        all the same.
        """
        delivery, sender = self.delivery, self.sender
        content = _picture(delivery)
        if content is None:
            return delivery
        if delivery.id not in sender.pictures:
            step = _Upload(self.destination, session, *content)
            until = sender.now() + (self.until - sender.now()) * _SHARE
            attempt = await sender.exchange(until).exchange(step, delivery, hidden)
            if step.blob is None:
                if attempt.reason != SESSION_ENDED:
                    sender.log.warn(
                        "cannot upload the picture for {event_id} to {destination}: {detail} The post has none",
                        event_id=delivery.event_id,
                        destination=self.destination.name,
                        detail=attempt.explanation,
                    )
                return delivery
            sender.remember(delivery.id, step.blob)
        stored = orjson.loads(delivery.body)
        stored["body"]["record"]["embed"]["external"]["thumb"] = sender.pictures[delivery.id]
        return evolve(delivery, body=orjson.dumps(stored))

    def record(self, result: Result) -> Attempt:
        """
        Record a result without an answer.
        """
        now = self.sender.now()
        return make_attempt(result, self.destination, now, now)

    async def _signed_in(self, refused: Session | None) -> tuple[Session | None, Attempt]:
        """
        Get a session, other than one whose token was refused.
        """
        lock = self.sender.lock(self.destination.place)
        await lock.acquire()
        try:
            session = await self.sender.session(self.destination)
            if session is not None and (refused is None or session.access != refused.access):
                return session, self.record(_NOTHING)
            attempt = self.record(_NOTHING)
            for renewed in (session, None) if session is not None else (None,):
                step = _Login(self.destination, renewed)
                secrets = (*self.destination.secrets, *(() if renewed is None else (renewed.refresh,)))
                hidden = evolve(self.destination, secrets=secrets)
                attempt = await self.sender.exchange(self.until).exchange(step, self.delivery, hidden)
                if step.session is not None:
                    await self.sender.store(self.destination.place, step.session)
                    return step.session, attempt
                if attempt.reason != SESSION_ENDED:
                    break
            # An answer that is no session may hold tokens all the same.
            return None, evolve(attempt, response="" if attempt.status == 200 else attempt.response)
        finally:
            lock.release()


@implementer(IDestination)
@define(eq=False)
class _Login:
    """
    The request for a session: by the refresh token of another one, otherwise by the password.
    """

    _destination: Destination
    _renewed: Session | None
    session: Session | None = field(default=None, init=False)

    def render(self, notice: Notice) -> bytes:
        return b""

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        settings = self._destination.settings
        headers = [("User-Agent", AGENT)]
        body = b""
        if self._renewed is None:
            method = "createSession"
            headers.append(("Content-Type", "application/json"))
            body = orjson.dumps({"identifier": settings.identifier.removeprefix("@"), "password": settings.password})
        else:
            method = "refreshSession"
            headers.append(("Authorization", f"Bearer {self._renewed.refresh}"))
        url = f"{settings.service.rstrip('/')}/xrpc/com.atproto.server.{method}"
        return OutgoingRequest(method="POST", url=url, headers=headers, body=body)

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        answer = ServiceAnswer.read(self._destination, response, now)
        if answer.is_success:
            try:
                self.session = Session.parse({**answer.json, "owner": ""}, fingerprint(self._destination))
            except ValueError:
                return answer.gone("is no server of Bluesky's network: check service")
            return answer.delivered()
        if answer.status == 429:
            return answer.pause("wants fewer logins", wait_for_reset(answer, now))
        if answer.status >= 500 and answer.status != 501:
            return answer.by_status()
        return self._refused(answer)

    def _refused(self, answer: ServiceAnswer) -> Result:
        error = shown_word(answer.json.get("error"))
        if error.startswith("Account"):
            return answer.gone("has closed this account")
        if self._renewed is not None and answer.status in (400, 401, 403):
            return evolve(answer.retry("wants a new login"), reason=SESSION_ENDED)
        if error == "AuthFactorTokenRequired":
            return answer.unauthorized("wants a second factor with this password: use an app password")
        if answer.status in (400, 401, 403):
            return answer.unauthorized("does not accept identifier and password: make a new app password")
        if answer.status in (404, 405, 501):
            return answer.gone("is no server of Bluesky's network: check service")
        return answer.by_status()


@implementer(IDestination)
@define(eq=False)
class _Upload:
    """
    The upload of a picture (com.atproto.repo.uploadBlob).

    :ivar blob: what names it, once it was taken.
    """

    _destination: Destination
    _session: Session
    _kind: str
    _content: bytes
    blob: Mapping[str, Any] | None = field(default=None, init=False)

    def render(self, notice: Notice) -> bytes:
        return b""

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        headers = [("User-Agent", AGENT), ("Content-Type", self._kind)]
        headers.append(("Authorization", f"Bearer {self._session.access}"))
        url = f"{self._destination.settings.service.rstrip('/')}/xrpc/com.atproto.repo.uploadBlob"
        return OutgoingRequest(method="POST", url=url, headers=headers, body=self._content)

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        answer = ServiceAnswer.read(self._destination, response, now)
        blob = answer.json.get("blob") if answer.is_success else None
        if isinstance(blob, dict):
            self.blob = blob
            return answer.delivered()
        if shown_word(answer.json.get("error")) in ENDED_TOKENS:
            return evolve(answer.retry("wants a new token"), reason=SESSION_ENDED)
        return answer.retry("does not take the picture")


def _picture(delivery: Delivery) -> tuple[str, bytes] | None:
    """
    The picture of the card in a post that is created: its type and its bytes.
    """
    if delivery.action not in (Action.CREATE, Action.FOLLOW_UP) or delivery.plain:
        return None
    image = to_send(delivery).get("image")
    return None if image is None else (image["mime_type"], b64decode(image["data"]))


_NOTHING = Result("error", "")


def fingerprint(destination: Destination) -> str:
    """
    A fingerprint of the credentials and the server they are for.
    """
    settings = destination.settings
    about = f"{settings.service} {settings.identifier}"
    return hmac.digest(settings.password.encode(), about.encode(), "sha256").hex()


def wait_for_reset(answer: ServiceAnswer, now: float) -> float | None:
    """
    Seconds until the quota that an answer is about begins anew, if it says so.
    """
    reset = answer.header_number("RateLimit-Reset")
    return None if reset is None else max(0.0, reset - now)


def _read(path: Path) -> bytes | None:
    try:
        return read(path, _LIMIT)
    except FileNotFoundError:
        return None


def _reason(error: Exception) -> str:
    if isinstance(error, orjson.JSONDecodeError):
        return "it is not JSON"
    return getattr(error, "strerror", None) or str(error)
