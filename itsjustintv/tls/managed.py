"""
What is known of one name's certificate at this moment.
"""

from __future__ import annotations

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from itsjustintv.config.sections import TLS
from itsjustintv.model import rfc3339
from itsjustintv.tls import renewal_policy
from itsjustintv.tls.acme.order import IssuedCertificate
from itsjustintv.tls.certificate import Bundle, CertificateMetrics, key_type
from itsjustintv.tls.renewal_policy import Health, Record, ValidityWindow
from itsjustintv.tls.settings import fingerprint

__all__ = ["ManagedCertificate", "Status"]


@frozen(kw_only=True)
class Status:
    """
    What an operator may want to know of a certificate. Moments are RFC 3339, empty when there is none.
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
    A name, its certificate and its record.

    :ivar fraction: ``server.tls.renew_fraction``, or 0.
    :ivar stamp: of the file that ``bundle`` was read from.
    :ivar unsaved: whether ``bundle`` could not be written yet.
    :ivar task: what is being done about it.
    :ivar forced: whether somebody wants another certificate, whatever is due.
    :ivar waiters: who wants to know how the next order ends, or the one that is under way.
    :ivar leaving: who is to be told how the last one ended, once that is written.
    :ivar attempted: how many orders were begun.
    :ivar succeeded: how many of them led to a certificate.
    :ivar failed: how many did not.
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
    waiters: list[Deferred[None]] = field(factory=list)
    leaving: list[Deferred[None]] = field(factory=list)
    attempted: int = 0
    succeeded: int = 0
    failed: int = 0

    @property
    def span(self) -> ValidityWindow | None:
        """
        The life of the certificate, if there is one.
        """
        return (
            None
            if self.bundle is None
            else ValidityWindow(self.bundle.not_before, self.bundle.not_after, self.fraction)
        )

    def valid(self, now: float) -> bool:
        """
        Whether it can be served.
        """
        return self.bundle is not None and now < self.bundle.not_after

    def due(self, settings: TLS, now: float) -> str | None:
        """
        Say why a certificate must be ordered, or ``None``.
        """
        reason = renewal_policy.due(self.span, self.record, now)
        if reason is not None or self.bundle is None:
            return reason
        if not self.bundle.covers(self.name):
            return "it is for other names"
        if key_type(self.bundle.key) != settings.key_type:
            return "server.tls.key_type has changed"
        if self.record.serial == self.bundle.serial and self.record.profile != settings.profile:
            return "server.tls.profile has changed"
        return None

    def blocked(self, settings: TLS) -> bool:
        """
        Whether an order is known to be refused with these settings.
        """
        return bool(self.record.blocked_by) and self.record.blocked_by == fingerprint(settings, self.name)

    def is_ari_due(self, now: float) -> bool:
        """
        Whether to ask for renewal information.
        """
        return (
            renewal_policy.is_ari_due(self.span, self.record, now)
            and self.bundle is not None
            and bool(self.bundle.ari_id)
        )

    def next_moment(self, settings: TLS, now: float) -> float:
        """
        When there will be something to be done.
        """
        moments = []
        if self.valid(now) and self.bundle is not None and self.bundle.ari_id:
            moments.append(self.record.ask_at)
        orders = self.next_order(settings, now)
        if orders is not None:
            moments.append(orders)
        return max(now, min(moments, default=float("inf")))

    def next_order(self, settings: TLS, now: float) -> float | None:
        """
        When a certificate is to be ordered, which may have passed; ``None`` when not before the settings change.
        """
        if self.due(settings, now):
            return None if self.blocked(settings) else self.record.next_attempt
        if self.span is None:
            return None
        return renewal_policy.order_moment(self.span, self.record)

    def replacing(self) -> tuple[str, str] | None:
        """
        What an order says it replaces: the certificate's name in renewal information, and the account it was for.
        """
        if self.bundle is None or self.record.serial != self.bundle.serial or not self.bundle.ari_id:
            return None
        return self.bundle.ari_id, self.record.account

    def ask(self) -> Deferred[None]:
        """
        Want another certificate, whatever is due.

        :return: fires when it is there; to be cancelled by whoever does not want to know any more.
        """
        waiter: Deferred[None] = Deferred(self._forget)
        self.waiters.append(waiter)
        self.forced = True
        return waiter

    def _forget(self, waiter: Deferred[None]) -> None:
        for each in (self.waiters, self.leaving):
            if waiter in each:
                each.remove(waiter)

    def ended(self) -> None:
        """
        Take note that an order has ended: whoever asks from now on wants another one.
        """
        self.leaving += self.waiters
        self.waiters, self.forced = [], False

    def tell(self, failed: Failure | None) -> None:
        """
        Tell whoever is to be told how the last order ended.
        """
        waiters, self.leaving = self.leaving, []
        for waiter in waiters:
            if failed is None:
                waiter.callback(None)
            else:
                waiter.errback(failed)

    def take(self, issued: IssuedCertificate, now: float) -> None:
        """
        Hold a new certificate. All failures are forgiven, except towards the authority's limit.
        """
        bundle = issued.bundle
        self.ended()
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
        """
        How well it is with it.
        """
        return renewal_policy.health(self.name, self.span, self.record, now)

    def status(self, now: float) -> Status:
        """
        What an operator may want to know.
        """
        health, span, record = self.health(now), self.span, self.record
        return Status(
            name=self.name,
            level=health.level.value,
            reason=health.reason,
            expires=_text(0.0 if span is None else span.not_after),
            renew=_text(0.0 if span is None else renewal_policy.order_moment(span, record)),
            last_attempt=_text(record.last_attempt),
            next_attempt=_text(record.next_attempt if record.failures else 0.0),
            failures=record.failures,
            problem=record.problem,
            issuer="" if self.bundle is None else self.bundle.issuer,
            serial="" if self.bundle is None else self.bundle.serial,
            profile=record.profile,
        )

    def metrics(self, settings: TLS, now: float) -> CertificateMetrics:
        """
        What can be counted and measured.
        """
        orders = self.next_order(settings, now)
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
