"""
Every metric there is: its name, unit, meaning and labels. ``docs/telemetry.md`` lists the same, held to it by a test.

A name is for ever: alerts and dashboards are written with it. What is counted begins with the process; what is said of
the journal's deliveries does not. A moment is in seconds since the epoch, so that ``time() - x`` is an age whenever it
is asked.
"""

from __future__ import annotations

from itertools import product

from itsjustintv.model import State
from itsjustintv.telemetry.instruments import Family, Kind

__all__ = ["ALL", "DESTINATIONS"]

#: So many destinations are told apart; the others are added up under one name. A crowd then costs no more than this.
DESTINATIONS = 1000

_MESSAGES = (
    "accepted",
    "duplicate",
    "ignored",
    "challenge",
    "revocation",
    "other",
    "forged",
    "stale",
    "unreadable",
    "unavailable",
    "failed",
)
_FAILURES = ("timeout", "refused", "reset", "dns", "tls", "redirect", "gone", "rate_limited", "http_4xx", "http_5xx")
_HELIX = ("ok", "rate_limited", "unauthorized", "rejected", "unavailable", "no_answer")
_ENDPOINTS = (
    "GET /users",
    "GET /channels",
    "GET /streams",
    "GET /channels/followers",
    "GET /eventsub/subscriptions",
    "POST /eventsub/subscriptions",
    "DELETE /eventsub/subscriptions",
)
_GAPS = product(
    ("user", "channel", "stream", "followers", "picture"),
    ("timeout", "unavailable", "rejected", "missing", "error"),
)


def _each(*values: str) -> tuple[tuple[str], ...]:
    return tuple((value,) for value in values)


def _counter(name: str, unit: str, text: str, *labels: str, **more: object) -> Family:
    return Family(name=f"itsjustintv.{name}", kind=Kind.COUNTER, unit=unit, help=text, labels=labels, **more)  # type: ignore[arg-type]


def _gauge(name: str, unit: str, text: str, *labels: str, **more: object) -> Family:
    return Family(name=f"itsjustintv.{name}", kind=Kind.GAUGE, unit=unit, help=text, labels=labels, **more)  # type: ignore[arg-type]


def _histogram(name: str, text: str, bounds: tuple[float, ...]) -> Family:
    return Family(name=f"itsjustintv.{name}", kind=Kind.HISTOGRAM, unit="s", help=text, expected=((),), bounds=bounds)


_QUICK = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)
_PROMPT = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_PATIENT = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 21600.0)
_DISK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)

# What comes in

MESSAGES = _counter(
    "messages",
    "{message}",
    "Messages at the callback by what became of them; forged, stale and unreadable ones were refused.",
    "outcome",
    expected=_each(*_MESSAGES),
)
RECOVERED = _counter(
    "recovered",
    "{event}",
    "Broadcasts that no message told of, found by asking Twitch, by what became of them.",
    "verdict",
    expected=_each("accepted", "duplicate", "ignored", "unavailable"),
)
HTTP_REFUSED = _counter(
    "http.refused",
    "{request}",
    "Requests and connections turned away before anything was read of them.",
    "reason",
    expected=_each("too_many_connections", "slow", "400", "411", "413"),
)
HTTP_CONNECTIONS = _gauge("http.connections", "{connection}", "Connections open at the callback's port.")
LAST_EVENT_AGE = _gauge(
    "last_event.age", "s", "Time since the last broadcast was accepted, before a restart or after it."
)

# The journal

COMMIT_DURATION = _histogram(
    "journal.commit.duration", "Time that a transaction of the journal took, the wait for the disk included.", _DISK
)
COMMITTED = _counter("journal.operations", "{operation}", "Operations committed to the journal, many at a time.")
DELIVERIES = _gauge(
    "deliveries",
    "{delivery}",
    "Deliveries ever wanted, by where they stand now; what was removed from the journal counts on.",
    "state",
    expected=_each(*(state.value for state in State)),
)
WANTED = _gauge("deliveries.wanted", "{delivery}", "Deliveries ever wanted, counted apart from what became of them.")
IMBALANCE = _gauge(
    "accounting.imbalance", "{delivery}", "Deliveries wanted that are in no state; anything but 0 is a defect."
)
PENDING = _gauge(
    "pending",
    "{delivery}",
    "Deliveries that wait for an attempt, by destination.",
    "destination",
    limit=DESTINATIONS,
)
OLDEST_AGE = _gauge("oldest_pending.age", "s", "Time since the oldest delivery that has not ended was accepted.")
DEAD_LETTERS = _gauge("dead_letters", "{delivery}", "Deliveries that were given up and can be sent again.")
UNDELIVERED = _gauge("undelivered", "{delivery}", "Deliveries that ended as dead or expired and can be sent again.")

# What goes out

ATTEMPTS = _counter(
    "attempts",
    "{attempt}",
    "Attempts to deliver, by destination and by whether the receiver took it.",
    "destination",
    "outcome",
    limit=2 * DESTINATIONS,
)
ATTEMPT_FAILURES = _counter(
    "attempt.failures",
    "{attempt}",
    "Attempts that failed, by reason.",
    "reason",
    expected=_each(*_FAILURES, "error"),
    limit=len(_FAILURES) + 1,
)
ATTEMPT_DURATION = _histogram(
    "attempt.duration", "Time of an attempt, from the look-up of the name to the last byte.", _QUICK
)
ATTEMPTS_UNDER_WAY = _gauge("attempts.under_way", "{attempt}", "Attempts that are being made or recorded.")
ENDED = _counter(
    "deliveries.ended",
    "{delivery}",
    "Deliveries that ended, by how.",
    "state",
    expected=_each(*(state.value for state in State if state.final)),
)
TO_FIRST_ATTEMPT = _histogram(
    "event_to_first_attempt", "Time from the acceptance of an event to the first attempt to deliver it.", _PROMPT
)
TO_DELIVERED = _histogram(
    "event_to_delivered", "Time from the acceptance of an event to its delivery, whatever it took.", _PATIENT
)
DESTINATION_STATE = _gauge(
    "destination.state",
    "",
    "1 for the state a destination is in: failing since its last attempt did, paused as it asked, else healthy.",
    "destination",
    "state",
    limit=3 * DESTINATIONS,
)

# Twitch

HELIX_CALLS = _counter(
    "helix.calls",
    "{call}",
    "Requests to Helix, by endpoint and by how they were answered.",
    "endpoint",
    "outcome",
    expected=tuple(product(_ENDPOINTS, _HELIX)),
    limit=2 * len(_ENDPOINTS) * len(_HELIX),
)
HELIX_DURATION = _histogram("helix.call.duration", "Time of a request to Helix, its answer included.", _QUICK)
HELIX_POINTS = _gauge("helix.points", "{point}", "Points of Helix's rate limit that are left, at the least.")
HELIX_LIMIT = _gauge("helix.points.limit", "{point}", "Points that Helix's rate limit gives for a minute.")
GAPS = _counter(
    "enrichment.gaps",
    "{lookup}",
    "What an announcement had to do without, and why.",
    "what",
    "reason",
    expected=tuple(_GAPS),
)
SUBSCRIPTIONS = _gauge(
    "subscriptions",
    "{streamer}",
    "Streamers wanted, and of these: those whose events arrive, whose subscription is being verified, that have none,"
    " and whose login Twitch does not know.",
    "state",
    expected=_each("wanted", "enabled", "pending", "broken", "unknown"),
)
SUBSCRIPTIONS_CHECKED = _gauge(
    "subscriptions.checked.timestamp", "s", "When the subscriptions were last looked at, since the epoch."
)
TOKEN_EXPIRY = _gauge("token.expiry.timestamp", "s", "When the token for Helix expires, since the epoch.")

# The daemon itself

CERTIFICATE_EXPIRY = _gauge(
    "certificate.expiry.timestamp", "s", "When the certificate of a name expires, since the epoch.", "name"
)
CERTIFICATE_ORDERS = _counter(
    "certificate.orders", "{order}", "Orders for certificates, by name and outcome.", "name", "outcome"
)
RELOADS = _counter(
    "config.reloads",
    "{reload}",
    "Reloads that changed something, and reloads that failed.",
    "outcome",
    expected=_each("applied", "failed"),
)
RELOAD_SUCCESSFUL = _gauge(
    "config.last_reload.successful", "", "Whether the configuration on the disk is the one in use: 1, or 0 if not."
)
RELOAD_SUCCESS = _gauge(
    "config.last_reload.success.timestamp", "s", "When the configuration was last found to be usable, since the epoch."
)
PROBLEM = _gauge("problem", "", "Whether a check of /health finds something wrong: 1, or 0 while all is well.", "check")
BUILD = _gauge("build_info", "", "1, for the version that runs.", "version")
STARTED = _gauge("start.timestamp", "s", "When the daemon was started, since the epoch.")
CLOCK_AHEAD = _gauge(
    "clock.ahead",
    "s",
    "By how much this machine's clock is ahead of Twitch's, negative if behind, as Twitch last said.",
)
CLOCK_SET = _counter(
    "clock.sets", "{set}", "How often the clock of this machine was set, by a second or more, since the daemon started."
)
SPANS = _counter(
    "telemetry.spans",
    "{span}",
    "Spans by what became of them: sent, refused by the collector, or dropped because too many waited.",
    "outcome",
    expected=_each("sent", "failed", "dropped"),
)
TRACES = _counter(
    "telemetry.traces",
    "{trace}",
    "Events by whether their trace is recorded, not sampled, or passed over since too many spans wait.",
    "decision",
    expected=_each("recorded", "not_sampled", "passed_over"),
)

#: All of them, by name.
ALL = {family.name: family for family in list(globals().values()) if isinstance(family, Family)}
