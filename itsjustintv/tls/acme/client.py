"""
An ACME client (RFC 8555), with renewal information (RFC 9773) and profiles.

Makes no decisions; those are in :mod:`itsjustintv.tls.renewal_policy`. Every wait ends when its Deferred is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field
from cryptography.x509 import IPAddress
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from itsjustintv.errors import AcmeProblem, AcmeUnavailable
from itsjustintv.support.backoff import exponential
from itsjustintv.support.durations import duration
from itsjustintv.tls.acme.http import AcmeResponse, AcmeTransport
from itsjustintv.tls.acme.jose import PrivateKey, eab_binding, sign_request, unpadded
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

# Attempts per request while its nonces are rejected; each rejection brings the next nonce. An order needs a dozen
# requests: where 60 % of the nonces are rejected, as Pebble does to test clients, one order in fourteen fails with ten
# attempts, and one in three hundred thousand with thirty.
_NONCE_TRIES = 30
_MAX_NONCES = 8

# Seconds.
_POLL_TIMEOUT = 300.0
# Seconds between polls: as the authority says within the first bounds, else growing from the first to the second bound.
_RETRY_AFTER_BOUNDS = (1.0, 30.0)
_POLL_BOUNDS = (0.25, 5.0)


@define(eq=False)
class AcmeClient:
    """
    One account with one authority.

    :ivar directory_url: of the authority.
    :ivar key: of the account.
    :ivar account_url: given by the authority; ``None`` until :meth:`register`, unless it was stored.
    :ivar rejected_nonces: how often the authority rejected a nonce.
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
        Fetch the authority's directory, once.

        :raises AcmeUnavailable: it gave no valid answer.
        :raises AcmeProblem: it refused.
        """
        if self._directory is None:
            response = await self._transport.request("GET", self.directory_url)
            if response.status != 200:
                raise response.problem()
            self._directory = read_directory(response)
        return self._directory

    async def register(self, *, email: str = "", binding: Binding | None = None) -> str:
        """
        Register the account, agreeing to the terms, or find the one that this key has already.

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
        response = await self._post(directory.new_account, payload, anonymous=True)
        self.account_url = location(response)
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
        response = await self._post((await self.directory()).new_order, payload)
        return read_order(location(response), response)

    async def authorization(self, url: str) -> Authorization:
        return read_authorization(await self._post(url, None))

    async def respond(self, challenge: AcmeChallenge) -> None:
        """
        Tell the authority that the challenge can be validated.
        """
        await self._post(challenge.url, {})

    async def wait_authorized(self, url: str) -> Authorization:
        """
        Wait until an authorization is no longer pending.

        :raises AcmeUnavailable: it still is after five minutes.
        """
        response = await self._poll(url, lambda content: content.get("status") not in ("pending", "processing"))
        return read_authorization(response)

    async def wait_ordered(self, url: str) -> Order:
        """
        Wait until an order is ready, valid or invalid.

        :raises AcmeUnavailable: it is still pending after five minutes.
        """
        response = await self._poll(url, lambda content: content.get("status") in ("ready", "valid", "invalid"))
        return read_order(url, response)

    async def finalize(self, order: Order, csr: bytes) -> Order:
        """
        Submit the signing request, and wait until the authority has processed it.

        :param csr: DER.
        """
        try:
            response = await self._post(order.finalize, {"csr": unpadded(csr)})
        except AcmeProblem as problem:
            if problem.kind != "orderNotReady":
                raise
            await self.wait_ordered(order.url)
            response = await self._post(order.finalize, {"csr": unpadded(csr)})
        done = read_order(order.url, response)
        if done.status in ("valid", "invalid"):
            return done
        await self._pause(response, 0)
        response = await self._poll(order.url, lambda content: content.get("status") in ("valid", "invalid"))
        return read_order(order.url, response)

    async def certificate(self, url: str) -> bytes:
        """
        Fetch a certificate chain in PEM.
        """
        return (await self._post(url, None, accept="application/pem-certificate-chain")).body

    async def renewal_info(self, certificate_id: str) -> RenewalInfo | None:
        """
        Fetch when to renew a certificate; ``None`` if the authority does not offer that.

        :raises AcmeUnavailable: the answer is invalid, or a window that ends before it starts.
        """
        base = (await self.directory()).renewal_info
        if base is None:
            return None
        response = await self._transport.request("GET", f"{base.rstrip('/')}/{certificate_id}")
        if response.status != 200:
            raise response.problem()
        return read_renewal_info(response)

    async def _post(
        self, url: str, payload: object | None, *, anonymous: bool = False, accept: str = "application/json"
    ) -> AcmeResponse:
        """
        Send a signed request; again with another nonce if the authority rejects its nonce.

        :param anonymous: signed with the key alone, because the account has no URL yet.
        :raises AcmeProblem: the authority refused.
        """
        account = None if anonymous else self.account_url
        for left in reversed(range(_NONCE_TRIES)):
            nonce = self._nonces.pop() if self._nonces else await self._fresh_nonce()
            body = sign_request(self.key, url, payload, nonce=nonce, account_url=account)
            response = await self._transport.request("POST", url, body, accept)
            self._keep_nonce(response)
            if response.status < 300:
                return response
            problem = response.problem()
            if problem.kind != "badNonce" or not left:
                raise problem
            self.rejected_nonces += 1
            # The other stored nonces are as old.
            del self._nonces[:-1]
        raise AssertionError("the last try either returns or raises")

    async def _fresh_nonce(self) -> str:
        response = await self._transport.request("HEAD", (await self.directory()).new_nonce)
        nonce = response.header("Replay-Nonce")
        if nonce is None:
            raise response.problem() if response.status >= 400 else AcmeUnavailable("the authority sent no nonce")
        return nonce

    def _keep_nonce(self, response: AcmeResponse) -> None:
        nonce = response.header("Replay-Nonce")
        if nonce is not None and len(self._nonces) < _MAX_NONCES:
            self._nonces.append(nonce)

    async def _poll(self, url: str, done: Callable[[Mapping[str, Any]], bool]) -> AcmeResponse:
        until, polls = self._clock.seconds() + _POLL_TIMEOUT, 0
        while True:
            response = await self._post(url, None)
            if done(response.content()):
                return response
            if self._clock.seconds() >= until:
                raise AcmeUnavailable(f"{url} was still pending after {duration(_POLL_TIMEOUT)}")
            await self._pause(response, polls)
            polls += 1

    async def _pause(self, response: AcmeResponse, polls: int) -> None:
        asked = response.retry_after
        if asked is None:
            first, longest = _POLL_BOUNDS
            seconds = exponential(polls, first, longest)
        else:
            shortest, longest = _RETRY_AFTER_BOUNDS
            seconds = min(max(asked, shortest), longest)
        await deferLater(self._clock, seconds)


def _identifier(name: str) -> Mapping[str, str]:
    kind = "ip" if isinstance(general_name(name), IPAddress) else "dns"
    return {"type": kind, "value": name}
