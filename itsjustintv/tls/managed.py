"""
One configured name: its certificate, its renewal record, and who waits for its next order.
"""

from __future__ import annotations

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from itsjustintv.config.sections import TLS
from itsjustintv.model import rfc3339
from itsjustintv.support.waiters import Waiters
from itsjustintv.tls import renewal_policy
from itsjustintv.tls.acme.order import IssuedCertificate
from itsjustintv.tls.certificate import Bundle, CertificateMetrics, key_type
from itsjustintv.tls.renewal_policy import Health, Record, ValidityWindow
from itsjustintv.tls.settings import fingerprint

__all__ = ["ManagedCertificate", "Status"]


@frozen(kw_only=True)
class Status:
    """
    The status of a certificate, for an operator. Times are RFC 3339, empty for none.
    """

    name: str
    level: str
    reason: str
    expires: str
    renew: str
    last_attempt: str
    next_attempt: str
    failures: int
    problem: str
    issuer: str
    serial: str
    profile: str


@define(eq=False)
class ManagedCertificate:
    """
    A name with its certificate and its renewal record.

    :ivar fraction: ``server.tls.renew_fraction``, or 0.
    :ivar stamp: of the file that ``bundle`` was read from.
    :ivar unsaved: whether ``bundle`` could not be written yet.
    :ivar task: the order, or the request for renewal information, under way.
    :ivar forced: whether to order even if nothing is due.
    :ivar error: why the last order failed.
    :ivar waiters: fire with the outcome of the order under way, or of the next one.
    :ivar finished_waiters: fire with the outcome of the last order, once that is stored.
    :ivar attempted: orders started.
    :ivar succeeded: orders that led to a certificate.
    :ivar failed: orders that did not.
    """

    name: str
    bundle: Bundle | None = None
    record: Record = field(factory=Record)
    fraction: float = 0.0
    stamp: tuple[int, int, int] | None = None
    unsaved: bool = False
    task: Deferred[None] | None = None
    forced: bool = False
    error: Failure | None = None
    waiters: Waiters[None] = field(factory=Waiters)
    finished_waiters: list[Waiters[None]] = field(factory=list)
    attempted: int = 0
    succeeded: int = 0
    failed: int = 0

    @property
    def validity(self) -> ValidityWindow | None:
        return (
            None
            if self.bundle is None
            else ValidityWindow(self.bundle.not_before, self.bundle.not_after, self.fraction)
        )

    def is_valid(self, now: float) -> bool:
        return self.bundle is not None and now < self.bundle.not_after

    def due_reason(self, settings: TLS, now: float) -> str | None:
        """
        Why a certificate must be ordered, or ``None``.
        """
        reason = renewal_policy.due_reason(self.validity, self.record, now)
        if reason is not None or self.bundle is None:
            return reason
        if not self.bundle.covers(self.name):
            return "it is for other names"
        if key_type(self.bundle.key) != settings.key_type:
            return "server.tls.key_type has changed"
        if self.record.serial == self.bundle.serial and self.record.profile != settings.profile:
            return "server.tls.profile has changed"
        return None

    def is_blocked(self, settings: TLS) -> bool:
        """
        Whether the authority is known to refuse an order with these settings.
        """
        return bool(self.record.blocked_by) and self.record.blocked_by == fingerprint(settings, self.name)

    def is_ari_due(self, now: float) -> bool:
        """
        Whether to fetch renewal information.
        """
        return (
            renewal_policy.is_ari_due(self.validity, self.record, now)
            and self.bundle is not None
            and bool(self.bundle.ari_id)
        )

    def next_action_at(self, settings: TLS, now: float) -> float:
        """
        When something is to be done, now at the earliest.
        """
        moments = []
        if self.is_valid(now) and self.bundle is not None and self.bundle.ari_id:
            moments.append(self.record.ask_at)
        orders = self.next_order_at(settings, now)
        if orders is not None:
            moments.append(orders)
        return max(now, min(moments, default=float("inf")))

    def next_order_at(self, settings: TLS, now: float) -> float | None:
        """
        When a certificate is to be ordered, possibly in the past; ``None`` if not before the settings change.
        """
        if self.due_reason(settings, now):
            return None if self.is_blocked(settings) else self.record.next_attempt
        if self.validity is None:
            return None
        return renewal_policy.order_moment(self.validity, self.record)

    def replaced(self) -> tuple[str, str] | None:
        """
        What an order replaces: the certificate's identifier for renewal information, and its account.
        """
        if self.bundle is None or self.record.serial != self.bundle.serial or not self.bundle.ari_id:
            return None
        return self.bundle.ari_id, self.record.account

    def request_renewal(self) -> Deferred[None]:
        """
        Have a certificate ordered even if nothing is due.

        :return: fires when it is there. May be cancelled.
        """
        self.forced = True
        return self.waiters.wait()

    def end_order(self) -> None:
        """
        Mark the order as ended: later requests want another one.
        """
        self.finished_waiters.append(self.waiters)
        self.waiters, self.forced = Waiters(), False

    def notify(self, failed: Failure | None) -> None:
        """
        Fire those who wait for the order that has ended.
        """
        finished, self.finished_waiters = self.finished_waiters, []
        for waiters in finished:
            waiters.answer(failed)

    def install(self, issued: IssuedCertificate, now: float) -> None:
        """
        Take a new certificate. Failures are reset, except those that count for the authority's limit.
        """
        bundle = issued.bundle
        self.end_order()
        self.bundle, self.error, self.unsaved = bundle, None, True
        self.succeeded += 1
        self.record = Record(
            names=tuple(sorted(bundle.names)),
            serial=bundle.serial,
            not_before=bundle.not_before,
            not_after=bundle.not_after,
            issuer=bundle.issuer,
            profile=issued.profile,
            account=issued.account,
            last_attempt=now,
            recent_failures=self.record.recent_failures,
        )

    def unblock(self) -> None:
        """
        Let a blocked name be tried again.
        """
        if self.record.blocked_by:
            self.record = evolve(self.record, blocked_by="", next_attempt=0.0)

    def health(self, now: float) -> Health:
        return renewal_policy.health(self.name, self.validity, self.record, now)

    def status(self, now: float) -> Status:
        health, validity, record = self.health(now), self.validity, self.record
        return Status(
            name=self.name,
            level=health.level.value,
            reason=health.reason,
            expires=_text(0.0 if validity is None else validity.not_after),
            renew=_text(0.0 if validity is None else renewal_policy.order_moment(validity, record)),
            last_attempt=_text(record.last_attempt),
            next_attempt=_text(record.next_attempt if record.failures else 0.0),
            failures=record.failures,
            problem=record.problem,
            issuer="" if self.bundle is None else self.bundle.issuer,
            serial="" if self.bundle is None else self.bundle.serial,
            profile=record.profile,
        )

    def metrics(self, settings: TLS, now: float) -> CertificateMetrics:
        orders = self.next_order_at(settings, now)
        return CertificateMetrics(
            name=self.name,
            not_after=None if self.bundle is None else self.bundle.not_after,
            renew_at=None if orders is None else max(orders, now),
            problem=self.record.problem,
            attempted=self.attempted,
            succeeded=self.succeeded,
            failed=self.failed,
        )


def _text(moment: float) -> str:
    return rfc3339(moment) if moment else ""
