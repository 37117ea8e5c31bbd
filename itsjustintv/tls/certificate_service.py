"""
All certificates that are ordered: loads, serves and renews them. One process per folder orders; others follow it.

The service has the constructor, timer, ``when_certs_valid`` and ``panic`` of txacme's issuing service. Only this module
imports ``txacme.service``, which brings a dozen packages.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attr
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    DeferredList,
    DeferredSemaphore,
    fail,
    maybeDeferred,
    succeed,
)
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from itsjustintv.config.sections import TLS
from itsjustintv.model import rfc3339
from itsjustintv.support.file_thread_pool import InThread
from itsjustintv.support.log_throttle import LogOnChange
from itsjustintv.support.waiters import Waiters
from itsjustintv.tls import renewal_policy
from itsjustintv.tls.acme.order import OrderRunner
from itsjustintv.tls.certificate import Bundle, CertificateMetrics
from itsjustintv.tls.key_folder import FolderLock, prepare, require_private
from itsjustintv.tls.managed import ManagedCertificate, Status
from itsjustintv.tls.registry import Certificates
from itsjustintv.tls.renewal_policy import Level
from itsjustintv.tls.renewer import Renewer, alarm
from itsjustintv.tls.settings import directory_url
from itsjustintv.tls.store import CertificateStore

with warnings.catch_warnings():
    # twisted.python.compat.unicode, in txacme.logging.
    warnings.simplefilter("ignore", DeprecationWarning)
    from txacme.service import AcmeIssuingService

__all__ = ["CertificateService"]

_CHECK_INTERVAL = timedelta(minutes=10)
# Seconds: between checks of what another process renews, and the least between our own checks.
_FOLLOW_INTERVAL = 60.0
_MIN_INTERVAL = 1.0
_CONCURRENT_ORDERS = 3


@attr.s(eq=False)
class CertificateService(AcmeIssuingService):  # type: ignore[misc]  # txacme has no types
    """
    Serves the certificates on disk, and renews each in time.

    :ivar root: ``cert_dir``.
    :ivar settings: returns the settings of the moment; :meth:`refresh` says that they have changed.
    :ivar serve: called with every certificate that is to be served from now on.
    :ivar retire: called with every name that is no longer served.
    :ivar random: returns a number from 0 to 1.
    :ivar close: closes the connections to the authority.
    """

    _root: Path = attr.ib(kw_only=True)
    _settings: Callable[[], TLS] = attr.ib(kw_only=True)
    _orders: OrderRunner = attr.ib(kw_only=True)
    _serve: Callable[[str, Bundle], None] = attr.ib(kw_only=True)
    _retire: Callable[[str], None] = attr.ib(kw_only=True, default=lambda _: None)
    _random: Callable[[], float] = attr.ib(kw_only=True)
    _in_thread: InThread = attr.ib(kw_only=True)
    _close: Callable[[], Any] = attr.ib(kw_only=True, default=lambda: None)
    _certificates: Certificates = attr.ib(init=False)
    _renewer: Renewer = attr.ib(init=False)
    _limit: DeferredSemaphore = attr.ib(factory=lambda: DeferredSemaphore(_CONCURRENT_ORDERS), init=False)
    _checking: Deferred[None] | None = attr.ib(default=None, init=False)
    _check_again: bool = attr.ib(default=False, init=False)
    _wake: IDelayedCall | None = attr.ib(default=None, init=False)
    _all_ready: Waiters[None] = attr.ib(factory=Waiters, init=False)
    _name_ready: dict[str, Waiters[None]] = attr.ib(factory=lambda: defaultdict(Waiters), init=False)
    _folder_checked: bool = attr.ib(default=False, init=False)
    _logged: LogOnChange = attr.ib(factory=LogOnChange, init=False)

    log = Logger()

    def __attrs_post_init__(self) -> None:
        self._certificates = Certificates(
            self.cert_store,
            FolderLock(self._root / "lock"),
            self._serve,
            self._retire,
            self._clock,
            self._random,
            self._in_thread,
        )
        self._renewer = Renewer(
            self._settings,
            self.cert_store,
            self._orders,
            self._serve,
            self._panic,
            self._clock,
            self._random,
        )

    @classmethod
    def of(  # noqa: PLR0917 - a composition root hands many parts over
        cls,
        root: Path,
        settings: Callable[[], TLS],
        orders: OrderRunner,
        serve: Callable[[str, Bundle], None],
        clock: Any,
        random: Callable[[], float],
        in_thread: InThread,
        check_interval: timedelta = _CHECK_INTERVAL,
        **more: Any,
    ) -> CertificateService:
        """
        Build the service and its store.

        :param check_interval: the longest time between two checks of all certificates.
        :param more: ``panic``, ``retire`` and ``close``, all optional.
        """
        now = settings()
        store = CertificateStore.of(root, directory_url(now), now.domains, in_thread)
        make_one: Any = cls
        made: CertificateService = make_one(
            store,
            lambda: Deferred.fromCoroutine(orders.client()),
            clock,
            [],
            email=now.email or None,
            check_interval=check_interval,
            panic=more.pop("panic", alarm),
            root=root,
            settings=settings,
            orders=orders,
            serve=serve,
            random=random,
            in_thread=in_thread,
            **more,
        )
        return made

    def privilegedStartService(self) -> None:
        """
        Check that the keys are private. Creates nothing: what root creates now, the user it becomes could not use.

        :raises CertificatesUnsafe: others can read the keys.
        """
        super().privilegedStartService()
        if not self._folder_checked:
            require_private(self._root)

    def startService(self) -> None:
        """
        Start checking and renewing.

        :raises CertificatesUnsafe: others can read the keys, or the folder cannot be written.
        """
        if not self._folder_checked:
            self._check_folder()
        super().startService()

    async def load(self) -> None:
        """
        Do beforehand, without blocking, what a start would do and what can fail; read the certificates.

        :raises CertificatesUnsafe: as :meth:`startService`.
        """
        await self._in_thread(self._check_folder)
        await self._certificates.set_names(self._settings().domains)

    def _check_folder(self) -> None:
        prepare(self._root)
        require_private(self._root)
        self._folder_checked = True

    def stopService(self) -> Deferred[None]:
        """
        Cancel what is under way and release the folder. Waits only for the disk.
        """
        self.running = 0
        self.ready = False
        if self._wake is not None and self._wake.active():
            self._wake.cancel()
        for waiters in (self._all_ready, *self._name_ready.values()):
            waiters.cancel()
        return Deferred.fromCoroutine(self._end())

    async def _end(self) -> None:
        timer = maybeDeferred(self._timer_service.stopService) if hasattr(self, "_timer_service") else succeed(None)
        tasks = [certificate.task for certificate in self._certificates if certificate.task is not None]
        for task in tasks:
            task.cancel()
        await DeferredList([*tasks, timer, *([self._checking] if self._checking else [])], consumeErrors=True)
        maybeDeferred(self._close).addErrback(lambda _: None)
        self._certificates.close()

    @property
    def is_leader(self) -> bool:
        """
        Whether this process is the one that orders.
        """
        return self._certificates.is_leader

    def when_ready(self, name: str) -> Deferred[None]:
        """
        Fires when one name has a valid certificate; fails with ``CancelledError`` when the service stops before.
        """
        certificate = self._certificates.get(name)
        if certificate is not None and certificate.is_valid(self._clock.seconds()):
            return succeed(None)
        return self._name_ready[name].wait()

    def when_certs_valid(self) -> Deferred[None]:
        """
        Fires when every name has a valid certificate; fails with ``CancelledError`` when the service stops before.
        """
        return succeed(None) if self.ready else self._all_ready.wait()

    def issue_cert(self, server_name: str) -> Deferred[None]:
        """
        Order a certificate now, even if it is not due. Joins an order that is under way.

        :raises CertificateError: the order failed.
        :raises KeyError: the name is not configured.
        """
        certificate = self._certificates.get(server_name)
        if certificate is None:
            return fail(KeyError(server_name))
        waiter = certificate.request_renewal()
        self._start(certificate)
        return waiter

    def refresh(self) -> None:
        """
        Follow changed settings: other names, profile or key type. What an authority refused is tried again. Another
        ``cert_dir``, directory or account needs another service.
        """
        for certificate in self._certificates:
            certificate.unblock()
        self._check_certs()

    def problem(self) -> str | None:
        """
        Why HTTPS does not work, or soon will not, for some name; ``None`` while it does.
        """
        return self._first_reason(Level.CRITICAL)

    def concern(self) -> str | None:
        """
        What needs attention, while there is time; ``None`` while all is well.
        """
        return self._first_reason(Level.DEGRADED)

    def statuses(self) -> Sequence[Status]:
        """
        The status of every certificate, for an operator.
        """
        now = self._clock.seconds()
        return [certificate.status(now) for certificate in self._certificates]

    def metrics(self) -> Sequence[CertificateMetrics]:
        """
        The metrics of every certificate; none before they are loaded.
        """
        now, settings = self._clock.seconds(), self._settings()
        return tuple(certificate.metrics(settings, now) for certificate in self._certificates)

    def _first_reason(self, level: Level) -> str | None:
        now = self._clock.seconds()
        if not self._certificates and self.running:
            return "the certificates are not loaded yet" if level is Level.CRITICAL else None
        healths = (certificate.health(now) for certificate in self._certificates)
        return next((health.reason for health in healths if health.level is level), None)

    # Hooks of txacme's service

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.seconds(), UTC)

    def _ensure_registered(self) -> Deferred[str]:
        return Deferred.fromCoroutine(self._orders.register())

    def _issue_cert(self, client: object, server_name: str) -> Deferred[None]:  # noqa: ARG002 - as txacme has it
        return self.issue_cert(server_name)

    def _check_certs(self) -> Deferred[None]:
        """
        Start whatever is due. Never fails, and does not wait for an authority.
        """
        self._check_again = True
        if self._checking is None or self._checking.called:
            # A check that is running sees the flag set above and runs again.
            self._checking = Deferred()
            Deferred.fromCoroutine(self._check()).chainDeferred(self._checking)
        return succeed(None)

    async def _check(self) -> None:
        try:
            while self._check_again and self.running:
                self._check_again = False
                await self._check_once()
        except Exception:  # noqa: BLE001 - whatever it was, the next look may succeed
            self.log.failure("cannot check the certificates; retrying later")
        self._schedule_check()

    async def _check_once(self) -> None:
        settings = self._settings()
        await self._certificates.set_names(settings.domains)
        self._notify_ready()
        now = self._clock.seconds()
        if renewal_policy.is_clock_unset(now):
            self._warn_once(
                "clock", "the system clock says {now}: certificates are not checked until it is set", now=rfc3339(now)
            )
            return
        if not await self._certificates.try_lead():
            self._warn_once(
                "lock",
                "another process renews the certificates in {path}; this one only serves them",
                path=str(self._root),
            )
            await self._certificates.reload_changed()
            self._notify_ready()
            return
        for certificate in self._certificates:
            certificate.fraction = settings.renew_fraction
            if certificate.unsaved and certificate.task is None:
                await self._renewer.save(certificate)
            if renewal_policy.is_alarm_due(certificate.validity, certificate.record, now):
                await self._renewer.raise_alarm(certificate, now)
        for certificate in sorted(self._certificates, key=lambda _: self._random()):
            if certificate.is_ari_due(now) or self._renewer.should_order(certificate, now):
                self._start(certificate)

    def _start(self, certificate: ManagedCertificate) -> None:
        if certificate.task is not None or not self.running:
            return
        task = certificate.task = self._limit.run(
            lambda: Deferred.fromCoroutine(self._renewer.renew_if_due(certificate))
        )
        task.addBoth(self._finished, certificate)

    def _finished(self, result: Any, certificate: ManagedCertificate) -> None:
        certificate.task = None
        error = result if isinstance(result, Failure) else None
        if error is not None:
            certificate.end_order()
            if not error.check(CancelledError):
                self.log.failure("cannot renew the certificate of {name}", error, name=certificate.name)
        certificate.notify(error or certificate.error)
        if certificate.waiters:
            self._start(certificate)
        self._notify_ready()
        self._check_certs()

    def _schedule_check(self) -> None:
        """
        Schedule the next check for when something is due.
        """
        if self._wake is not None and self._wake.active():
            self._wake.cancel()
        if not self.running:
            return
        now, settings = self._clock.seconds(), self._settings()
        moment = now + self.check_interval.total_seconds()
        if not self._certificates.is_leader or renewal_policy.is_clock_unset(now):
            moment = now + _FOLLOW_INTERVAL
        else:
            idle = (certificate for certificate in self._certificates if certificate.task is None)
            moment = min([moment, *(certificate.next_action_at(settings, now) for certificate in idle)])
        self._wake = self._clock.callLater(max(_MIN_INTERVAL, moment - now), self._check_certs)

    def _notify_ready(self) -> None:
        now = self._clock.seconds()
        valid = {certificate.name for certificate in self._certificates if certificate.is_valid(now)}
        for name in valid & self._name_ready.keys():
            self._name_ready[name].answer(None)
        self.ready = bool(valid) and valid == set(self._settings().domains)
        if self.ready:
            self._all_ready.answer(None)

    def _warn_once(self, what: str, text: str, **fields: object) -> None:
        if self._logged.is_new(text, what):
            self.log.warn(text, **fields)
