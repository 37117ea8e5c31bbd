"""
What must be so for the daemon to be alive, and to be ready.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from itsjustintv.app.context import Ground
from itsjustintv.app.delivery import Deliveries
from itsjustintv.app.folding_subscriptions_twitch import Subscriptions
from itsjustintv.app.twitch import Twitch
from itsjustintv.tls.service import HTTPS
from itsjustintv.twitch.eventsub.status import Report
from itsjustintv.web.folding_probes_health import ProbeResource, Question

__all__ = ["alive", "ready", "vitals"]


def vitals(ground: Ground, deliveries: Deliveries) -> Sequence[Question]:
    """
    What only a restart can mend.
    """
    return (
        Question("journal", "a thread has ended", ground.journal.dead),
        Question("pipeline", "nothing is prepared", deliveries.pipeline.problem),
        Question("deliveries", "nothing is sent", deliveries.queue.problem),
    )


def alive(ground: Ground, deliveries: Deliveries) -> ProbeResource:
    """
    Whether only a restart can mend it. Whoever gets an answer knows already that the reactor runs.
    """
    return ProbeResource("alive", "dead", vitals(ground, deliveries))


def ready(
    ground: Ground, twitch: Twitch, deliveries: Deliveries, subscriptions: Subscriptions, tls: HTTPS
) -> ProbeResource:
    """
    Whether everything is as the operator wants it: what Twitch tells is taken in, and everybody wanted is told of.
    """

    def asked() -> str | None:
        return twitch.problem() or subscriptions.identities.problem() or subscriptions.catch_up.problem()

    return ProbeResource(
        "ready",
        "not ready",
        (
            Question("journal", "nothing can be kept", ground.journal.problem),
            Question("intake", "nothing is prepared", deliveries.pipeline.problem),
            Question("deliveries", "nothing is sent", deliveries.queue.problem),
            Question("backlog", "deliveries are long overdue", deliveries.backlog.problem),
            Question("twitch", "twitch cannot be asked", asked),
            Question("logins", "some streamers are unknown to twitch", subscriptions.unknown_users.problem),
            Question("subscriptions", "some streamers have no working subscription", _missing(subscriptions)),
            Question("certificates", "a certificate is missing or about to expire", tls.critical),
            Question("configuration", "the configuration on disk cannot be used", ground.settings.problem),
        ),
    )


def _missing(subscriptions: Subscriptions) -> Callable[[], str | None]:
    def missing() -> str | None:
        report: Report = subscriptions.keeper.report()
        if report.at is None:
            return "nobody has looked yet"
        possible = report.wanted - report.unknown
        return subscriptions.keeper.problem() or (
            f"{report.enabled} of {possible} enabled" if report.enabled < possible else None
        )

    return missing
