"""
One certificate from one authority, from the account to the chain. Does not decide when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from josepy.b64 import b64decode
from twisted.internet.defer import DeferredLock, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from itsjustintv.config.sections import TLS
from itsjustintv.errors import AcmeProblem, AcmeUnavailable, CertificateUnusable
from itsjustintv.support.file_thread_pool import InThread
from itsjustintv.tls.acme.client import AcmeClient
from itsjustintv.tls.acme.http import AcmeTransport, is_replacement_error
from itsjustintv.tls.acme.jose import key_authorization
from itsjustintv.tls.acme.messages import Authorization, Binding, Order
from itsjustintv.tls.certificate import KEY_TYPES, Bundle, make_certificate_request, parse_certificates
from itsjustintv.tls.renewal_policy import rotate_types
from itsjustintv.tls.settings import challenge_types, directory_url
from itsjustintv.tls.store import Account, AccountFiles

__all__ = ["IssuedCertificate", "OrderRunner"]


@frozen
class IssuedCertificate:
    """
    A new certificate, and what to record about its origin.
    """

    bundle: Bundle
    account: str
    profile: str


@define(eq=False)
class OrderRunner:
    """
    Runs orders for one account.

    :ivar settings: returns the settings of the moment.
    :ivar responders: txacme's ``IResponder``, by challenge type.
    """

    _settings: Callable[[], TLS]
    _transport: AcmeTransport
    _accounts: AccountFiles
    _responders: Mapping[str, Any]
    _clock: IReactorTime
    _in_thread: InThread
    _client: AcmeClient | None = field(default=None, init=False)
    _registering: DeferredLock = field(factory=DeferredLock, init=False)

    log = Logger()

    @property
    def rejected_nonces(self) -> int:
        return 0 if self._client is None else self._client.rejected_nonces

    async def client(self) -> AcmeClient:
        """
        The client of the account, which need not be registered yet.

        :raises CertificateUnusable: the account's key on disk is invalid.
        :raises OSError: it cannot be stored.
        """
        await self._registering.acquire()
        try:
            if self._client is None:
                account = await self._accounts.load()
                url = directory_url(self._settings())
                self._client = AcmeClient(self._transport, self._clock, url, account.key, account.url or None)
            return self._client
        finally:
            self._registering.release()

    async def register(self, forgotten: str | None = None) -> str:
        """
        Register the account unless it is registered.

        :param forgotten: the URL of an account that the authority no longer knows. Of several callers one registers,
            and the others get the result.
        :return: its URL.
        :raises AcmeProblem: the authority refused.
        :raises AcmeUnavailable: it gave no valid answer.
        """
        client = await self.client()
        await self._registering.acquire()
        try:
            if client.account_url is None or client.account_url == forgotten:
                client.account_url = None
                url = await client.register(email=self._settings().email, binding=await self._binding(client))
                terms = (await client.directory()).terms or ""
                self.log.info("registered account {account} with {directory}", account=url, directory=self._host)
                await self._accounts.store_account(Account(key=client.key, url=url), terms, self._clock.seconds())
            return client.account_url or ""
        finally:
            self._registering.release()

    async def issue(
        self, name: str, *, replaced: tuple[str, str] | None = None, failures: int = 0
    ) -> IssuedCertificate:
        """
        Order a certificate and fetch it.

        :param name: an A-label in lower case.
        :param replaced: identifier and account of the certificate that it replaces.
        :param failures: failed attempts so far, for the choice among challenges.
        :raises AcmeProblem: the authority refused.
        :raises AcmeUnavailable: it gave no valid answer.
        :raises CertificateUnusable: the certificate cannot be served.
        :raises OSError: the account cannot be stored.
        """
        account = await self.register()
        try:
            return await self._issue(name, account, replaced, failures)
        except AcmeProblem as problem:
            if problem.kind != "accountDoesNotExist":
                raise
        self.log.warn("the account is unknown to {directory}: registering a new one", directory=self._host)
        return await self._issue(name, await self.register(forgotten=account), None, failures)

    async def _issue(
        self, name: str, account: str, replaced: tuple[str, str] | None, failures: int
    ) -> IssuedCertificate:
        client, settings = await self.client(), self._settings()
        order = await self._order(client, name, account, replaced)
        for url in order.authorizations:
            await self._prove(client, url, challenge_types(settings), failures)
        order = await client.wait_ordered(order.url)
        if order.status == "invalid":
            raise _lost(order, name)
        # A new key for every certificate: never the account's, never the previous one.
        key = await self._in_thread(KEY_TYPES[settings.key_type])
        if order.status != "valid":
            order = await client.finalize(order, make_certificate_request(key, [name]))
        if order.status != "valid" or order.certificate is None:
            raise _lost(order, name)
        chain = parse_certificates(await client.certificate(order.certificate))
        bundle = Bundle.join(key, chain)
        bundle.require([name], self._clock.seconds())
        return IssuedCertificate(bundle, account, settings.profile)

    async def _order(self, client: AcmeClient, name: str, account: str, replaced: tuple[str, str] | None) -> Order:
        directory, profile = await client.directory(), self._settings().profile
        if profile and profile not in directory.profiles:
            listed = ", ".join(sorted(directory.profiles)) or "none"
            raise AcmeProblem(
                f"{self._host} does not list the profile {profile}; it lists: {listed}",
                kind="invalidProfile",
                detail="",
                status=0,
            )
        replaces = None
        if replaced is not None and directory.renewal_info is not None and replaced[1] == account:
            replaces = replaced[0]
        try:
            return await client.new_order([name], profile=profile, replaces=replaces)
        except AcmeProblem as problem:
            if replaces is None or not is_replacement_error(problem):
                raise
            reason = str(problem)
        self.log.info(
            "ordering for {name} without naming the certificate it replaces: {reason}", name=name, reason=reason
        )
        return await client.new_order([name], profile=profile)

    async def _prove(self, client: AcmeClient, url: str, types: Sequence[str], failures: int) -> None:
        """
        Prove control of a name, unless the authorization is valid already.
        """
        authorization = await client.authorization(url)
        if authorization.status == "valid":
            return
        if authorization.status == "pending":
            authorization = await self._respond(client, authorization, types, failures)
        if authorization.status != "valid":
            raise authorization.problem or AcmeUnavailable(
                f"the authorization for {authorization.name} is {authorization.status}, without a reason"
            )

    async def _respond(
        self, client: AcmeClient, authorization: Authorization, types: Sequence[str], failures: int
    ) -> Authorization:
        offered = {each.type: each for each in authorization.challenges}
        usable = [each for each in rotate_types(types, failures) if each in offered and each in self._responders]
        if not usable:
            raise AcmeProblem(
                f"{self._host} offers for {authorization.name}: {', '.join(sorted(offered)) or 'nothing'};"
                f" server.tls.challenge allows {', '.join(types)}",
                kind="unsupportedIdentifier",
                detail="",
                status=0,
            )
        challenge = offered[usable[0]]
        responder = self._responders[challenge.type]
        response = key_authorization(client.key, challenge.token)
        await maybeDeferred(responder.start_responding, authorization.name, challenge, response)
        try:
            await client.respond(challenge)
            return await client.wait_authorized(authorization.url)
        finally:
            await maybeDeferred(responder.stop_responding, authorization.name, challenge, response)

    async def _binding(self, client: AcmeClient) -> Binding | None:
        settings = self._settings()
        if not settings.eab_kid:
            if (await client.directory()).needs_binding:
                raise AcmeProblem(
                    f"{self._host} requires an external account", kind="externalAccountRequired", detail="", status=0
                )
            return None
        try:
            secret = b64decode(settings.eab_hmac.strip())
        except (ValueError, TypeError):
            raise CertificateUnusable("server.tls.eab_hmac is not base64url") from None
        return Binding(kid=settings.eab_kid, hmac_key=secret)

    @property
    def _host(self) -> str:
        return directory_url(self._settings())


def _lost(order: Order, name: str) -> Exception:
    return order.problem or AcmeUnavailable(f"the order for {name} is {order.status}, without a reason")
