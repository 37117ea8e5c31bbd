"""
One certificate at a time: fetches renewal information, orders, stores, and records failures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, evolve
from twisted.internet.defer import CancelledError, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from itsjustintv.config.sections import TLS
from itsjustintv.errors import AcmeProblem, CertificateError
from itsjustintv.model import rfc3339
from itsjustintv.tls import renewal_policy
from itsjustintv.tls.acme.http import explain, is_final
from itsjustintv.tls.acme.order import OrderRunner
from itsjustintv.tls.certificate import Bundle
from itsjustintv.tls.managed import ManagedCertificate
from itsjustintv.tls.settings import fingerprint
from itsjustintv.tls.store import CertificateStore

__all__ = ["Renewer", "alarm"]

_log = Logger()


def alarm(failure: Failure, server_name: str) -> None:
    """
    Log that a certificate may expire before it is renewed.
    """
    _log.critical(
        "the certificate of {name} may expire before it is renewed: {reason}",
        name=server_name,
        reason=failure.getErrorMessage(),
    )


@define(eq=False)
class Renewer:
    """
    Does what is due for one certificate.

    :ivar settings: returns the settings of the moment.
    :ivar serve: called with every certificate that is to be served from now on.
    :ivar alarm: txacme's alarm, called with a failure and a name.
    :ivar random: returns a number from 0 to 1.
    """

    _settings: Callable[[], TLS]
    _store: CertificateStore
    _orders: OrderRunner
    _serve: Callable[[str, Bundle], None]
    _alarm: Callable[[Failure, str], Any]
    _clock: IReactorTime
    _random: Callable[[], float]

    log = Logger()

    def should_order(self, certificate: ManagedCertificate, now: float) -> bool:
        """
        Whether a certificate is due and may be tried for now.
        """
        settings = self._settings()
        if certificate.due_reason(settings, now) is None or certificate.is_blocked(settings):
            return False
        # A refusal with other settings, perhaps before a restart, no longer counts.
        certificate.unblock()
        return now >= certificate.record.next_attempt

    async def renew_if_due(self, certificate: ManagedCertificate) -> None:
        """
        Fetch renewal information if due, and order a certificate if due or forced. Never fails because of an authority
        or a disk.
        """
        if certificate.is_ari_due(self._clock.seconds()):
            await self._ask_renewal_info(certificate)
        if not certificate.forced and not self.should_order(certificate, self._clock.seconds()):
            return
        certificate.forced = False
        certificate.attempted += 1
        await self._order(certificate)

    async def save(self, certificate: ManagedCertificate) -> None:
        """
        Store a certificate. If that fails it is served from memory, and the next check tries again.
        """
        if certificate.bundle is None:
            return
        try:
            await self._store.store(certificate.name, certificate.bundle.objects())
        except OSError as error:
            self.log.error(  # noqa: TRY400 - the reason is in the line
                "cannot write the certificate of {name}: {reason}; it is served from memory until a"
                " restart; retrying the write",
                name=certificate.name,
                reason=error.strerror or str(error),
            )
            return
        certificate.unsaved = False
        certificate.stamp = await self._store.stamp(certificate.name)
        await self._store_record(certificate)

    async def raise_alarm(self, certificate: ManagedCertificate, now: float) -> None:
        certificate.record = evolve(certificate.record, alarmed_at=now)
        failure = certificate.error or Failure(CertificateError(certificate.record.problem))
        maybeDeferred(self._alarm, failure, certificate.name).addErrback(
            lambda broken: self.log.failure("cannot raise a certificate alarm", broken)
        )
        await self._store_record(certificate)

    async def _ask_renewal_info(self, certificate: ManagedCertificate) -> None:
        validity, bundle, now = certificate.validity, certificate.bundle, self._clock.seconds()
        assert validity is not None and bundle is not None and bundle.ari_id is not None  # noqa: S101, PT018 - ari_due()
        try:
            client = await self._orders.client()
            info = await client.renewal_info(bundle.ari_id)
        except (CertificateError, OSError) as error:
            after = error.retry_after if isinstance(error, AcmeProblem) else None
            self.log.info(
                "cannot fetch renewal information for {name}: {reason}", name=certificate.name, reason=str(error)
            )
            certificate.record = renewal_policy.without_ari(certificate.record, validity, now, after)
        else:
            before = certificate.record.renew_at
            if info is None:
                certificate.record = renewal_policy.without_ari(certificate.record, validity, now, float("inf"))
            else:
                certificate.record = renewal_policy.with_ari(certificate.record, info, now, self._random)
            if certificate.record.renew_at != before and certificate.record.renew_at:
                self.log.info(
                    "the authority advises renewing {name} at {moment} {explanation}",
                    name=certificate.name,
                    moment=rfc3339(certificate.record.renew_at),
                    explanation=certificate.record.explanation,
                )
        await self._store_record(certificate)

    async def _order(self, certificate: ManagedCertificate) -> None:
        settings, name = self._settings(), certificate.name
        reason = certificate.due_reason(settings, self._clock.seconds()) or "requested by an operator"
        self.log.info("ordering a certificate for {name}: {reason}", name=name, reason=reason)
        try:
            issued = await self._orders.issue(
                name, replaced=certificate.replaced(), failures=certificate.record.failures
            )
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the next attempt has its time
            await self._record_failure(certificate, settings, error)
            return
        now = self._clock.seconds()
        certificate.install(issued, now)
        self._serve(name, issued.bundle)
        self.log.info(
            "received a certificate for {name}: valid until {until}, issued by {issuer}",
            name=name,
            until=rfc3339(issued.bundle.not_after),
            issuer=issued.bundle.issuer,
        )
        await self.save(certificate)
        if certificate.is_ari_due(now):
            await self._ask_renewal_info(certificate)

    async def _record_failure(self, certificate: ManagedCertificate, settings: TLS, error: Exception) -> None:
        now = self._clock.seconds()
        certificate.end_order()
        certificate.error = Failure(error)
        certificate.failed += 1
        problem = error if isinstance(error, AcmeProblem) else None
        final = problem is not None and is_final(problem)
        reason = explain(error)
        validity = certificate.validity if certificate.is_valid(now) else None
        certificate.record = renewal_policy.record_failure(
            certificate.record,
            validity,
            reason,
            now,
            self._random,
            retry_after=None if problem is None else problem.retry_after,
            blocked_by=fingerprint(settings, certificate.name) if final else "",
        )
        if not isinstance(error, CertificateError | OSError):
            self.log.failure("cannot obtain a certificate for {name}", certificate.error, name=certificate.name)
        elif final:
            self.log.error(
                "cannot obtain a certificate for {name}: {reason}; not retrying: correct [server.tls], or run"
                " itsjustintv certs renew",
                name=certificate.name,
                reason=reason,
            )
        else:
            self.log.warn(
                "cannot obtain a certificate for {name}: {reason}; retrying at {moment}",
                name=certificate.name,
                reason=reason,
                moment=rfc3339(certificate.record.next_attempt),
            )
        await self._store_record(certificate)

    async def _store_record(self, certificate: ManagedCertificate) -> None:
        try:
            await self._store.remember(certificate.name, certificate.record)
        except OSError as error:
            self.log.warn(
                "cannot store the renewal record of {name}: {reason}",
                name=certificate.name,
                reason=error.strerror or "",
            )
