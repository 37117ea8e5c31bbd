"""
Speaking ACME (RFC 8555), with renewal information (RFC 9773) and profiles.

Nothing here decides when, how often or for whom; that is :mod:`itsjustintv.tls.renewal_policy`. Every wait ends when
its Deferred is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from attrs import define, field
from cryptography.x509 import IPAddress
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from itsjustintv.errors import AcmeProblem, AcmeUnavailable
from itsjustintv.support.backoff import exponential
from itsjustintv.support.durations import duration
from itsjustintv.tls.acme.http import AcmeResponse, AcmeTransport
from itsjustintv.tls.acme.jose import PrivateKey, eab_binding, public_jwk, sign_request, unpadded
from itsjustintv.tls.acme.messages import (
    AcmeChallenge,
    AcmeDirectory,
    Authorization,
    Binding,
    Order,
    RenewalInfo,
    location,
    read_authorization,
    read_directory,
    read_order,
    read_renewal_info,
)
from itsjustintv.tls.certificate import general_name

__all__ = ["AcmeClient"]

# How often a request is sent at the most, when its nonce is not taken. Each refusal brings the next nonce, and an order
# is a dozen requests of which each must get through: with ten tries, one order in fourteen would fail where 60 % of the
# nonces are refused, as Pebble does for practice; with thirty, one in three hundred thousand.
_NONCE_TRIES = 30
_NONCES_KEPT = 8

# Seconds of polling in all.
_PATIENCE = 300.0
# Seconds between two looks: within these bounds as the authority says, else growing from the first to the second.
_ASKED = (1.0, 30.0)
_UNASKED = (0.25, 5.0)


@define(eq=False)
class AcmeClient:
    """
    One account with one authority.

    :ivar directory_url: of the authority.
    :ivar key: of the account.
    :ivar account_url: as the authority gave it; ``None`` until :meth:`register`, unless it was kept from then.
    :ivar rejected_nonces: how often a nonce was not taken.
    """

    _transport: AcmeTransport
    _clock: IReactorTime
    directory_url: str
    key: PrivateKey
    account_url: str | None = None
    rejected_nonces: int = field(default=0, init=False)
    _directory: AcmeDirectory | None = field(default=None, init=False)
    _nonces: list[str] = field(factory=list, init=False)

    async def directory(self) -> AcmeDirectory:
        """
        What the authority offers; asked for once.

        :raises AcmeUnavailable: it gave no usable answer.
        :raises AcmeProblem: it refused.
        """
        if self._directory is None:
            answer = await self._transport.ask("GET", self.directory_url)
            if answer.status != 200:
                raise answer.problem()
            self._directory = read_directory(answer)
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
        self.account_url = location(answer)
        return self.account_url

    async def new_order(self, names: Sequence[str], *, profile: str = "", replaces: str | None = None) -> Order:
        """
        Order a certificate.

        :param names: A-labels in lower case, or addresses (RFC 8738).
        :param replaces: the identifier of the certificate it is to replace (RFC 9773, section 5).
        """
        payload: dict[str, object] = {"identifiers": [_identifier(name) for name in names]}
        if profile:
            payload["profile"] = profile
        if replaces is not None:
            payload["replaces"] = replaces
        answer = await self._post((await self.directory()).new_order, payload)
        return read_order(location(answer), answer)

    async def authorization(self, url: str) -> Authorization:
        """
        Look at an authorization.
        """
        return read_authorization(await self._post(url, None))

    async def answer(self, challenge: AcmeChallenge) -> None:
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
        return read_authorization(answer)

    async def ordered(self, url: str) -> Order:
        """
        Wait until an order does not wait for the authority.

        :raises AcmeUnavailable: it still does after five minutes.
        """
        answer = await self._poll(url, lambda content: content.get("status") in ("ready", "valid", "invalid"))
        return read_order(url, answer)

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
        done = read_order(order.url, answer)
        if done.status in ("valid", "invalid"):
            return done
        await self._pause(answer, 0)
        answer = await self._poll(order.url, lambda content: content.get("status") in ("valid", "invalid"))
        return read_order(order.url, answer)

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
        answer = await self._transport.ask("GET", f"{base.rstrip('/')}/{certificate_id}")
        if answer.status != 200:
            raise answer.problem()
        return read_renewal_info(answer)

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
    ) -> AcmeResponse:
        """
        Send a signed request, again with another nonce when its nonce is not taken.

        :param anonymous: signed with the key alone, because the account has no URL yet.
        :raises AcmeProblem: the authority refused.
        """
        account = None if anonymous else self.account_url
        for left in reversed(range(_NONCE_TRIES)):
            nonce = self._nonces.pop() if self._nonces else await self._fresh_nonce()
            body = sign_request(self.key, url, payload, nonce=nonce, account_url=account)
            answer = await self._transport.ask("POST", url, body, accept)
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
        answer = await self._transport.ask("HEAD", (await self.directory()).new_nonce)
        nonce = answer.header("Replay-Nonce")
        if nonce is None:
            raise answer.problem() if answer.status >= 400 else AcmeUnavailable("the authority sent no nonce")
        return nonce

    def _keep_nonce(self, answer: AcmeResponse) -> None:
        nonce = answer.header("Replay-Nonce")
        if nonce is not None and len(self._nonces) < _NONCES_KEPT:
            self._nonces.append(nonce)

    async def _poll(self, url: str, done: Callable[[Mapping[str, Any]], bool]) -> AcmeResponse:
        until, looks = self._clock.seconds() + _PATIENCE, 0
        while True:
            answer = await self._post(url, None)
            if done(answer.content()):
                return answer
            if self._clock.seconds() >= until:
                raise AcmeUnavailable(f"{url} was still pending after {duration(_PATIENCE)}")
            await self._pause(answer, looks)
            looks += 1

    async def _pause(self, answer: AcmeResponse, looks: int) -> None:
        asked = answer.retry_after
        if asked is None:
            first, longest = _UNASKED
            seconds = exponential(looks, first, longest)
        else:
            shortest, longest = _ASKED
            seconds = min(max(asked, shortest), longest)
        await deferLater(self._clock, seconds)


def _identifier(name: str) -> Mapping[str, str]:
    kind = "ip" if isinstance(general_name(name), IPAddress) else "dns"
    return {"type": kind, "value": name}


def _offered(url: str | None, what: str) -> str:
    if url is None:
        raise AcmeProblem(f"the authority does not offer {what}", kind="", detail="", status=0)
    return url
