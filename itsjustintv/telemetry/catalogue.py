"""
Every metric: its name, unit, meaning and labels. ``docs/telemetry.md`` has the same list; a test compares them.

Names never change: alerts and dashboards use them. Counters start with the process, except for those read from the
journal. A moment is in seconds since the epoch, so that ``time() - x`` is an age.
"""

from __future__ import annotations

from itertools import product

from itsjustintv.model import State
from itsjustintv.telemetry.instruments import Family, Kind

__all__ = ["ALL", "CLOSE_CODES", "DESTINATIONS"]

#: The number of destinations with labels of their own; the others share one label.
DESTINATIONS = 1000

#: The values of the label for Twitch's close codes: RFC 6455's and Twitch's own (dev.twitch.tv, "Handling WebSocket
#: Events").
CLOSE_CODES = (
    "none", "1000", "1001", "1006", "4000", "4001", "4002", "4003", "4004", "4005", "4006", "4007", "other"
)  # fmt: skip

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
# fmt: off
_FAILURES = (
    "timeout", "refused", "reset", "dns", "tls", "egress", "redirect", "gone", "rate_limited", "http_4xx", "http_5xx",
)
# fmt: on
_HELIX = ("ok", "rate_limited", "unauthorized", "rejected", "unavailable", "no_answer")
_ENDPOINTS = (
    "GET /users",
    "GET /channels",
    "GET /streams",
    "GET /channels/followers",
    "GET /videos",
    "GET /eventsub/subscriptions",
    "POST /eventsub/subscriptions",
    "DELETE /eventsub/subscriptions",
)
_GAPS = product(
    ("user", "channel", "stream", "followers", "picture", "videos"),
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


_REQUEST_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)
_FIRST_ATTEMPT_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_DELIVERED_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 21600.0)
_COMMIT_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)

# Incoming

MESSAGES = _counter(
    "messages",
    "{message}",
    "EventSub messages by outcome; forged, stale and unreadable ones were rejected.",
    "outcome",
    expected=_each(*_MESSAGES),
)
RECOVERED = _counter(
    "recovered",
    "{event}",
    "Starts and ends of broadcasts without an EventSub message, found by asking Twitch, by outcome.",
    "verdict",
    expected=_each("accepted", "duplicate", "ignored", "unavailable"),
)
HTTP_REFUSED = _counter(
    "http.refused",
    "{request}",
    "Requests and connections rejected before a request was read.",
    "reason",
    expected=_each("too_many_connections", "slow", "400", "411", "413"),
)
HTTP_CONNECTIONS = _gauge("http.connections", "{connection}", "Connections open at the port of server.port.")
EVENTS_HELD = _gauge(
    "events.held", "{event}", "Events from a conduit that wait in memory, since the journal cannot store them."
)
CONDUIT_SHARDS = _gauge(
    "conduit.shards",
    "{shard}",
    "Shards that are configured; of these, those that are enabled, and those that another program receives.",
    "state",
    expected=_each("configured", "enabled", "standing_by"),
)
LAST_FRAME_AGE = _gauge(
    "conduit.last_frame.age", "s", "Time since the last frame of any kind on the connection of a shard.", "shard"
)
SESSIONS_LOST = _counter(
    "conduit.sessions.lost",
    "{session}",
    "Sessions of shards that were lost, by close code; each left a gap.",
    "code",
    expected=_each(*CLOSE_CODES),
)
SESSION_MOVES = _counter(
    "conduit.sessions.moved", "{move}", "Changes of a shard to another connection that left no gap."
)
ASSIGNMENTS = _counter(
    "conduit.assignments",
    "{assignment}",
    "Assignments of a session to its shard, by outcome.",
    "outcome",
    expected=_each("succeeded", "failed"),
)
GAP_SECONDS = _counter(
    "conduit.gap", "s", "Time in which a shard had no session after it had one, of all shards together."
)
LAST_EVENT_AGE = _gauge(
    "last_event.age", "s", "Time since the last broadcast was accepted, before a restart or after it."
)

# The journal

COMMIT_DURATION = _histogram(
    "journal.commit.duration", "Time of a journal transaction, including the wait for the disk.", _COMMIT_BOUNDS
)
COMMITTED = _counter("journal.operations", "{operation}", "Operations committed to the journal, many at a time.")
DELIVERIES = _gauge(
    "deliveries",
    "{delivery}",
    "All deliveries by current state, including those that were removed from the journal.",
    "state",
    expected=_each(*(state.value for state in State)),
)
WANTED = _gauge("deliveries.wanted", "{delivery}", "All deliveries, counted independently of their state.")
IMBALANCE = _gauge("accounting.imbalance", "{delivery}", "Deliveries without a state; any value but 0 is a defect.")
PENDING = _gauge(
    "pending",
    "{delivery}",
    "Deliveries that wait for an attempt, by destination.",
    "destination",
    limit=DESTINATIONS,
)
OLDEST_AGE = _gauge(
    "oldest_pending.age",
    "s",
    "Time since the oldest delivery that has not ended was accepted, but for refreshes that wait for their time.",
)
DEAD_LETTERS = _gauge("dead_letters", "{delivery}", "Deliveries that ended as dead and can be requeued.")
UNDELIVERED = _gauge("undelivered", "{delivery}", "Deliveries that ended as dead or expired and can be requeued.")

# Outgoing

ATTEMPTS = _counter(
    "attempts",
    "{attempt}",
    "Delivery attempts by destination and outcome.",
    "destination",
    "outcome",
    limit=2 * DESTINATIONS,
)
ATTEMPT_FAILURES = _counter(
    "attempt.failures",
    "{attempt}",
    "Failed delivery attempts by reason.",
    "reason",
    expected=_each(*_FAILURES, "error"),
    limit=len(_FAILURES) + 1,
)
ATTEMPT_DURATION = _histogram(
    "attempt.duration", "Time of an attempt, from the DNS lookup to the last byte of the answer.", _REQUEST_BOUNDS
)
ATTEMPTS_UNDER_WAY = _gauge("attempts.under_way", "{attempt}", "Attempts that are being made or recorded.")
ENDED = _counter(
    "deliveries.ended",
    "{delivery}",
    "Deliveries that ended, by final state.",
    "state",
    expected=_each(*(state.value for state in State if state.is_final)),
)
DOUBLES = _counter(
    "posts.possible_doubles",
    "{post}",
    "Messages sent again although the attempt before, which had no clear outcome, may have created them.",
    "destination",
    limit=DESTINATIONS,
)
TO_FIRST_ATTEMPT = _histogram(
    "event_to_first_attempt",
    "Time from the acceptance of an event to the first attempt to deliver it.",
    _FIRST_ATTEMPT_BOUNDS,
)
TO_DELIVERED = _histogram(
    "event_to_delivered", "Time from the acceptance of an event to its delivery, including retries.", _DELIVERED_BOUNDS
)
DESTINATION_STATE = _gauge(
    "destination.state",
    "",
    "1 for the state of a destination: failing after a failed attempt, paused if it asked for a pause, else healthy.",
    "destination",
    "state",
    limit=3 * DESTINATIONS,
)

# Twitch

HELIX_CALLS = _counter(
    "helix.calls",
    "{call}",
    "Requests to Helix by endpoint and outcome.",
    "endpoint",
    "outcome",
    expected=tuple(product(_ENDPOINTS, _HELIX)),
    limit=2 * len(_ENDPOINTS) * len(_HELIX),
)
HELIX_DURATION = _histogram("helix.call.duration", "Time of a request to Helix, including its answer.", _REQUEST_BOUNDS)
HELIX_POINTS = _gauge("helix.points", "{point}", "Points left of Helix's rate limit; a lower bound.")
HELIX_LIMIT = _gauge("helix.points.limit", "{point}", "Points per minute of Helix's rate limit.")
GAPS = _counter(
    "enrichment.gaps",
    "{lookup}",
    "Details that an announcement lacks, by detail and reason.",
    "what",
    "reason",
    expected=tuple(_GAPS),
)
SUBSCRIPTIONS = _gauge(
    "subscriptions",
    "{streamer}",
    "Configured streamers (wanted), and of these: with an enabled, a pending or no working subscription, with an"
    " unknown login, and enabled but without another subscription that is wanted (incomplete).",
    "state",
    expected=_each("wanted", "enabled", "pending", "broken", "unknown", "incomplete"),
)
SUBSCRIPTIONS_CHECKED = _gauge(
    "subscriptions.checked.timestamp", "s", "When the subscriptions were last checked, since the epoch."
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
RELOAD_SUCCESSFUL = _gauge("config.last_reload.successful", "", "1 if the configuration on disk is in use, else 0.")
RELOAD_SUCCESS = _gauge(
    "config.last_reload.success.timestamp",
    "s",
    "When the configuration was last loaded without an error, since the epoch.",
)
PROBLEM = _gauge("problem", "", "1 if a check of /health finds a problem, else 0.", "check")
BUILD = _gauge("build_info", "", "1, with the version as a label.", "version")
STARTED = _gauge("start.timestamp", "s", "When the daemon started, since the epoch.")
CLOCK_AHEAD = _gauge(
    "clock.ahead",
    "s",
    "Difference between this machine's clock and Twitch's; negative if this clock is behind.",
)
CLOCK_SET = _counter(
    "clock.sets", "{set}", "Steps of this machine's clock by a second or more since the daemon started."
)
SPANS = _counter(
    "telemetry.spans",
    "{span}",
    "Spans by outcome: sent, failed at the collector, or dropped because the queue was full.",
    "outcome",
    expected=_each("sent", "failed", "dropped"),
)
TRACES = _counter(
    "telemetry.traces",
    "{trace}",
    "Events by trace decision: recorded, not sampled, or passed over because the queue is half full.",
    "decision",
    expected=_each("recorded", "not_sampled", "passed_over"),
)

#: Every metric by name.
ALL = {family.name: family for family in list(globals().values()) if isinstance(family, Family)}
