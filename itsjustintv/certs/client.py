"""
Speaking ACME (RFC 8555), with renewal information (RFC 9773) and profiles.

Nothing here decides when, how often or for whom; that is :mod:`itsjustintv.certs.policy`. Every wait ends when its
Deferred is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urljoin

import orjson
from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from itsjustintv.certs.exchange import Answer, Exchange, problem_in
from itsjustintv.certs.jose import PrivateKey, eab_binding, public_jwk, sign_request, unpadded
from itsjustintv.errors import AcmeProblem, AcmeUnavailable

__all__ = ["AcmeClient", "Authorization", "Binding", "Challenge", "Directory", "Order", "RenewalInfo"]

# How often a request is repeated when its nonce is not taken. With three tries one request of three hundred would fail
# where 15 % of the nonces are refused, as Pebble does for practice.
_NONCE_TRIES = 10
_NONCES_KEPT = 8

# Seconds of polling in all.
_PATIENCE = 300.0
# Seconds between two looks: within these bounds as the authority says, else growing from the first to the second.
_ASKED = (1.0, 30.0)
_UNASKED = (0.25, 5.0)


@frozen(kw_only=True)
class Directory:
    """
    What an authority offers (RFC 8555, section 7.1.1).

    :ivar renewal_info: where to ask when to renew, or ``None``.
    :ivar profiles: the names of the profiles it lists.
    """

    new_nonce: str
    new_account: str
    new_order: str
    revoke_cert: str | None
    key_change: str | None
    renewal_info: str | None
    terms: str | None
    profiles: frozenset[str]
    needs_binding: bool


@frozen(kw_only=True)
class Binding:
    """
    An account that the operator has with the authority already.

    :ivar hmac_key: the secret, decoded.
    """

    kid: str
    hmac_key: bytes = field(repr=False)


@frozen
class Challenge:
    """
    One way to prove the control of a name.
    """

    type: str
    url: str
    token: str = field(repr=False)


@frozen
class Authorization:
    """
    Whether the account may have certificates for a name.

    :ivar problem: why not, if the authority said.
    """

    url: str
    name: str
    status: str
    challenges: Sequence[Challenge]
    problem: AcmeProblem | None


@frozen
class Order:
    """
    A certificate on its way.
    """

    url: str
    status: str
    authorizations: Sequence[str]
    finalize: str
    certificate: str | None
    problem: AcmeProblem | None


@frozen
class RenewalInfo:
    """
    When the authority would like a certificate to be renewed (RFC 9773).

    :ivar start: of the window, in seconds since the epoch.
    :ivar retry_after: seconds until it is worth asking again, or ``None`` when it did not say.
    """

    start: float
    end: float
    explanation: str
    retry_after: float | None


@define(eq=False)
class AcmeClient:
    """
    One account with one authority.

    :ivar directory_url: of the authority.
    :ivar key: of the account.
    :ivar account_url: as the authority gave it; ``None`` until :meth:`register`, unless it was kept from then.
    :ivar rejected_nonces: how often a nonce was not taken.
    """

    _exchange: Exchange
    _clock: IReactorTime
    directory_url: str
    key: PrivateKey
    account_url: str | None = None
    rejected_nonces: int = field(default=0, init=False)
    _directory: Directory | None = field(default=None, init=False)
    _nonces: list[str] = field(factory=list, init=False)

    async def directory(self) -> Directory:
        """
        What the authority offers; asked for once.

        :raises AcmeUnavailable: it gave no usable answer.
        :raises AcmeProblem: it refused.
        """
        if self._directory is None:
            answer = await self._exchange.ask("GET", self.directory_url)
            if answer.status != 200:
                raise answer.problem()
            self._directory = _read_directory(answer)
        return self._directory

    async def register(self, *, email: str = "", binding: Binding | None = None) -> str:
        """
        Make the account, agreeing to the terms, or find the one that this key has already.

        :return: its URL, which is used from now on.
        """
        directory = await self.directory()
        payload: dict[str, object] = {"termsOfServiceAgreed": True}
        if email:
            payload["contact"] = [f"mailto:{email}"]
        if binding is not None:
            payload["externalAccountBinding"] = eab_binding(
                self.key, directory.new_account, binding.kid, binding.hmac_key
            )
        answer = await self._post(directory.new_account, payload, anonymous=True)
        self.account_url = _location(answer)
        return self.account_url

    async def new_order(self, names: Sequence[str], *, profile: str = "", replaces: str | None = None) -> Order:
        """
        Order a certificate.

        :param names: A-labels in lower case.
        :param replaces: the identifier of the certificate it is to replace (RFC 9773, section 5).
        """
        payload: dict[str, object] = {"identifiers": [{"type": "dns", "value": name} for name in names]}
        if profile:
            payload["profile"] = profile
        if replaces is not None:
            payload["replaces"] = replaces
        answer = await self._post((await self.directory()).new_order, payload)
        return _read_order(_location(answer), answer)

    async def authorization(self, url: str) -> Authorization:
        """
        Look at an authorization.
        """
        return _read_authorization(await self._post(url, None))

    async def answer(self, challenge: Challenge) -> None:
        """
        Tell the authority that it may come and see.
        """
        await self._post(challenge.url, {})

    async def authorized(self, url: str) -> Authorization:
        """
        Wait until an authorization is no longer pending.

        :raises AcmeUnavailable: it still is after five minutes.
        """
        answer = await self._poll(url, lambda content: content.get("status") not in ("pending", "processing"))
        return _read_authorization(answer)

    async def ordered(self, url: str) -> Order:
        """
        Wait until an order does not wait for the authority.

        :raises AcmeUnavailable: it still does after five minutes.
        """
        answer = await self._poll(url, lambda content: content.get("status") in ("ready", "valid", "invalid"))
        return _read_order(url, answer)

    async def finalize(self, order: Order, csr: bytes) -> Order:
        """
        Hand in the request for the certificate, and wait until the authority has dealt with it.

        :param csr: DER.
        """
        try:
            answer = await self._post(order.finalize, {"csr": unpadded(csr)})
        except AcmeProblem as problem:
            if problem.kind != "orderNotReady":
                raise
            await self.ordered(order.url)
            answer = await self._post(order.finalize, {"csr": unpadded(csr)})
        done = _read_order(order.url, answer)
        if done.status in ("valid", "invalid"):
            return done
        await self._pause(answer, 0)
        answer = await self._poll(order.url, lambda content: content.get("status") in ("valid", "invalid"))
        return _read_order(order.url, answer)

    async def certificate(self, url: str) -> bytes:
        """
        Fetch a chain of certificates in PEM.
        """
        return (await self._post(url, None, accept="application/pem-certificate-chain")).body

    async def renewal_info(self, certificate_id: str) -> RenewalInfo | None:
        """
        Ask when to renew a certificate; ``None`` when the authority does not tell such things.

        :raises AcmeUnavailable: what it says cannot be understood, or is a window that ends before it starts.
        """
        base = (await self.directory()).renewal_info
        if base is None:
            return None
        answer = await self._exchange.ask("GET", f"{base.rstrip('/')}/{certificate_id}")
        if answer.status != 200:
            raise answer.problem()
        content = answer.content()
        window = content.get("suggestedWindow")
        try:
            start, end = (datetime.fromisoformat(window[key]).timestamp() for key in ("start", "end"))  # type: ignore[index]
        except (TypeError, KeyError, ValueError, OverflowError):
            raise AcmeUnavailable("the renewal information cannot be understood") from None
        if end <= start:
            raise AcmeUnavailable("the renewal information is a window that ends before it starts")
        explanation = content.get("explanationURL")
        return RenewalInfo(start, end, explanation if isinstance(explanation, str) else "", answer.retry_after)

    async def change_key(self, new: PrivateKey) -> None:
        """
        Give the account another key (RFC 8555, section 7.3.5).

        :raises AcmeProblem: the authority refused, or does not offer that; the old key stays.
        """
        url = _offered((await self.directory()).key_change, "the change of an account's key")
        payload = {"account": self.account_url, "oldKey": public_jwk(self.key)}
        inner = orjson.loads(sign_request(new, url, payload, nonce=None, account_url=None))
        await self._post(url, inner)
        self.key = new

    async def revoke(self, certificate: bytes, reason: int = 0) -> None:
        """
        Revoke a certificate of this account.

        :param certificate: DER.
        :param reason: RFC 5280, section 5.3.1; 1 is "the key is known to others".
        """
        url = _offered((await self.directory()).revoke_cert, "revocation")
        await self._post(url, {"certificate": unpadded(certificate), "reason": reason})

    async def _post(
        self, url: str, payload: object | None, *, anonymous: bool = False, accept: str = "application/json"
    ) -> Answer:
        """
        Send a signed request, again with another nonce when its nonce is not taken.

        :param anonymous: signed with the key alone, because the account has no URL yet.
        :raises AcmeProblem: the authority refused.
        """
        account = None if anonymous else self.account_url
        for left in reversed(range(_NONCE_TRIES)):
            nonce = self._nonces.pop() if self._nonces else await self._fresh_nonce()
            body = sign_request(self.key, url, payload, nonce=nonce, account_url=account)
            answer = await self._exchange.ask("POST", url, body, accept)
            self._keep_nonce(answer)
            if answer.status < 300:
                return answer
            problem = answer.problem()
            if problem.kind != "badNonce" or not left:
                raise problem
            self.rejected_nonces += 1
            # What else was kept is as old.
            del self._nonces[:-1]
        raise AssertionError("the last try either returns or raises")

    async def _fresh_nonce(self) -> str:
        answer = await self._exchange.ask("HEAD", (await self.directory()).new_nonce)
        nonce = answer.header("Replay-Nonce")
        if nonce is None:
            raise answer.problem() if answer.status >= 400 else AcmeUnavailable("the authority gave no nonce")
        return nonce

    def _keep_nonce(self, answer: Answer) -> None:
        nonce = answer.header("Replay-Nonce")
        if nonce is not None and len(self._nonces) < _NONCES_KEPT:
            self._nonces.append(nonce)

    async def _poll(self, url: str, done: Callable[[Mapping[str, Any]], bool]) -> Answer:
        until, looks = self._clock.seconds() + _PATIENCE, 0
        while True:
            answer = await self._post(url, None)
            if done(answer.content()):
                return answer
            if self._clock.seconds() >= until:
                raise AcmeUnavailable(f"{url} did not come to an end within {_PATIENCE:g} s")
            await self._pause(answer, looks)
            looks += 1

    async def _pause(self, answer: Answer, looks: int) -> None:
        asked = answer.retry_after
        if asked is None:
            first, longest = _UNASKED
            seconds = min(first * 2.0 ** min(looks, 16), longest)
        else:
            shortest, longest = _ASKED
            seconds = min(max(asked, shortest), longest)
        await deferLater(self._clock, seconds)


def _offered(url: str | None, what: str) -> str:
    if url is None:
        raise AcmeProblem(f"the authority does not offer {what}", kind="", detail="", status=0)
    return url


def _location(answer: Answer) -> str:
    location = answer.header("Location")
    if location is None:
        raise AcmeUnavailable("the authority did not say where it put what it made")
    return urljoin(answer.url, location)


def _read_directory(answer: Answer) -> Directory:
    content = answer.content()
    meta = content.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    profiles = meta.get("profiles")
    return Directory(
        new_nonce=_text(content, "newNonce"),
        new_account=_text(content, "newAccount"),
        new_order=_text(content, "newOrder"),
        revoke_cert=_maybe_text(content, "revokeCert"),
        key_change=_maybe_text(content, "keyChange"),
        renewal_info=_maybe_text(content, "renewalInfo"),
        terms=_maybe_text(meta, "termsOfService"),
        profiles=frozenset(profiles) if isinstance(profiles, dict) else frozenset(),
        needs_binding=meta.get("externalAccountRequired") is True,
    )


def _read_order(url: str, answer: Answer) -> Order:
    content = answer.content()
    error = content.get("error")
    return Order(
        url=url,
        status=_text(content, "status"),
        authorizations=tuple(each for each in _list(content, "authorizations") if isinstance(each, str)),
        finalize=_text(content, "finalize"),
        certificate=_maybe_text(content, "certificate"),
        problem=None if error is None else problem_in(error, "the order failed"),
    )


def _read_authorization(answer: Answer) -> Authorization:
    content = answer.content()
    identifier = content.get("identifier")
    name = identifier.get("value", "") if isinstance(identifier, dict) else ""
    challenges, problem = [], None
    for each in _list(content, "challenges"):
        if not isinstance(each, dict):
            continue
        if each.get("error") is not None:
            problem = problem_in(each["error"], f"{name} could not be validated")
        if isinstance(each.get("url"), str):
            challenges.append(Challenge(str(each.get("type")), each["url"], str(each.get("token") or "")))
    return Authorization(answer.url, str(name), _text(content, "status"), tuple(challenges), problem)


def _text(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key)
    if not isinstance(value, str):
        raise AcmeUnavailable(f"the authority's answer has no {key}")
    return value


def _maybe_text(content: Mapping[str, Any], key: str) -> str | None:
    value = content.get(key)
    return value if isinstance(value, str) and value else None


def _list(content: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = content.get(key)
    return value if isinstance(value, list) else ()
