"""
The sections of the page about the daemon itself: health, numbers, conduit, certificates, configuration, Twitch.
"""

from __future__ import annotations

from collections.abc import Sequence

from itsjustintv.admin.html import Markup, el, foreign
from itsjustintv.admin.page_sections import badge, section, when
from itsjustintv.admin.views import (
    CertificateView,
    ConfigurationView,
    RateView,
    ShardView,
    StatusView,
    TransportView,
)
from itsjustintv.support.counts import count

__all__ = ["alarm", "certificates", "conduit", "configuration", "daemon", "defect", "health_badge", "tiles", "twitch"]

_SHARDS = {
    "enabled": ("good", "receiving"),
    "assigning": ("warn", "being assigned"),
    "connecting": ("warn", "connecting"),
    "waiting": ("bad", "not connected"),
    "standing_by": ("warn", "used by another program"),
    "stopped": ("warn", "stopped"),
}
_TONES = {"healthy": "good", "degraded": "warn", "unhealthy": "bad"}


def health_badge(status: StatusView) -> Markup:
    """
    The health as a badge, which is not green while anything is undelivered.
    """
    if status.status == "healthy" and status.undelivered:
        return badge("warn", f"healthy, {status.undelivered:,} undelivered")
    return badge(_TONES[status.status], status.status)


def alarm(reasons: Sequence[str], *, grave: bool) -> Markup:
    """
    The health checks that failed.
    """
    tone = "alarm bad" if grave else "alarm warn"
    return el("div", el("ul", [el("li", foreign(each)) for each in reasons]), class_=tone, role="alert", id="alarm")


def defect(imbalance: int) -> Markup:
    """
    Says that deliveries are unaccounted for.
    """
    words = f"{imbalance:,} deliveries are unaccounted for. This is a defect of itsjustintv: please report it."
    return el("div", el("p", words), class_="alarm bad", role="alert", id="defect")


def tiles(status: StatusView) -> Markup:
    """
    The numbers at the top.
    """
    account, subscriptions = status.accounting, status.subscriptions
    ever = account.dead + account.expired
    in_progress = account.pending + account.accepted
    tiles = (
        ("Live now", f"{status.live:,}", f"of {status.streamers:,}", "#streamers", ""),
        ("Subscribed", f"{subscriptions.enabled:,}", f"of {status.streamers:,}", "#streamers",
         "bad" if subscriptions.broken else ""),
        ("Delivered", f"{account.delivered:,}", "", "#timeline", ""),
        ("In progress", f"{in_progress:,}", "", "#waiting" if account.pending else "/?state=accepted#timeline",
         "warn" if in_progress else ""),
        ("Undelivered", f"{status.undelivered:,}", f"of {ever:,} in total" if ever != status.undelivered else "",
         "#undelivered" if status.undelivered else "/?state=undelivered#timeline",
         "bad" if status.undelivered else ""),
    )  # fmt: skip
    return el(
        "ul",
        [
            el(
                "li",
                el(
                    "a",
                    el("span", name, class_="quiet"),
                    el("span", number, el("small", f" {more}"), class_=f"number {tone}"),
                    href=link,
                ),
            )
            for name, number, more, link, tone in tiles
        ],
        class_="tiles",
        aria_label="Summary",
    )


def _facts(facts: Sequence[tuple[str, object]]) -> Markup:
    return el("dl", [el("div", el("dt", name), el("dd", value)) for name, value in facts])


def conduit(found: TransportView) -> Markup | None:
    """
    The conduit and its shards; ``None`` where messages arrive by webhook.
    """
    if found.method != "conduit":
        return None
    enabled = sum(each.state == "enabled" for each in found.shards)
    troubles = []
    if found.held:
        troubles.append(("bad", f"{count(found.held, 'event')} held in memory: the journal cannot store them"))
    if "webhook" in found.used:
        troubles.append(("warn", "Messages still arrive by webhook: the change of the transport is not complete"))
    return section(
        "conduit",
        "Conduit",
        f"{enabled:,} of {len(found.shards):,} enabled" if found.shards else "",
        el("ul", [el("li", words, class_=tone) for tone, words in troubles], class_="troubles") if troubles else None,
        el("ul", [_shard(each) for each in found.shards], class_="rows"),
        el("p", "Id ", el("code", found.conduit_id) if found.conduit_id else "none yet", class_="quiet"),
        api="/transport",
    )


def _shard(each: ShardView) -> Markup:
    tone, words = _SHARDS[each.state]
    reason = each.reason + (f" (close code {each.code})" if each.code and str(each.code) not in each.reason else "")
    moved = f", {each.moves:,} moved" if each.moves else ""
    return el(
        "li",
        el("p", el("strong", f"Shard {each.id}", class_="to"), " ", badge(tone, words), class_="name"),
        el(
            "p",
            "since ",
            when(each.since),
            " · last frame ",
            when(each.last_frame_at),
            f" · {count(each.losses, 'session')} lost{moved}",
            class_="quiet",
        ),
        el(
            "p",
            "Last loss: " if each.state == "enabled" else "",
            foreign(reason),
            class_="quiet" if each.state == "enabled" else tone,
        )
        if reason
        else None,
        data_key=f"shard-{each.id}",
    )


def certificates(found: Sequence[CertificateView]) -> Markup | None:
    """
    The certificates; ``None`` without any.
    """
    if not found:
        return None
    rows = [
        el(
            "li",
            el("p", el("strong", each.name, class_="to"), class_="name"),
            el(
                "p",
                "expires ",
                when(each.expires_at, "no certificate yet"),
                " · renewal ",
                when(each.renew_at, "by the operator"),
                class_="quiet",
            ),
            el("p", foreign(each.problem), class_="bad") if each.problem else None,
            data_key=f"certificate-{each.name}",
        )
        for each in found
    ]
    return section("certificates", "Certificates", "", el("ul", rows, class_="rows"), api="/certificates")


def configuration(found: ConfigurationView) -> Markup:
    """
    The configuration, with what is wrong with its file.
    """
    troubles = [("bad", each) for each in found.problems] + [
        ("warn", each) for each in (*found.refused, *found.warnings)
    ]
    return section(
        "configuration",
        "Configuration",
        "",
        el("ul", [el("li", foreign(words), class_=tone) for tone, words in troubles], class_="troubles")
        if troubles
        else None,
        _facts(
            (
                ("State", badge("bad", "the file is invalid") if found.problems else badge("good", "in use")),
                ("In use since", when(found.changed_at)),
                ("Reloads", f"{found.applied:,} applied, {found.failed:,} failed"),
                ("Hash", el("code", found.hash)),
            )
        ),
        api="/configuration",
    )


def twitch(rate: RateView, status: StatusView, *, verified: bool) -> Markup:
    """
    Show what is left of Twitch's rate limit, how many subscriptions are enabled, and what is wrong with the others.

    :param verified: whether Twitch verifies subscriptions: only those of webhooks.
    """
    subscriptions = status.subscriptions
    label = f"{rate.points:,} of {rate.limit:,} points"
    return section(
        "twitch",
        "Twitch",
        "",
        el("p", foreign(subscriptions.problem), class_="bad") if subscriptions.problem else None,
        _facts(
            (
                (
                    "Rate limit",
                    [
                        el("meter", label, min=0, max=rate.limit, value=rate.points, aria_label="Rate limit"),
                        f" {label}",
                    ],
                ),
                (
                    "Subscriptions",
                    [
                        f"{subscriptions.enabled:,} enabled",
                        f", {subscriptions.pending:,} pending verification"
                        if verified or subscriptions.pending
                        else "",
                        f", {subscriptions.broken:,} broken",
                        f", {subscriptions.incomplete:,} incomplete" if subscriptions.incomplete else "",
                    ],
                ),
                (
                    "Cost",
                    f"{subscriptions.total_cost:,} of {subscriptions.max_total_cost:,}"
                    if subscriptions.max_total_cost
                    else "not known yet",
                ),
                ("Checked", when(subscriptions.checked_at)),
            )
        ),
        api="/rate",
    )


def daemon(status: StatusView) -> Markup:
    """
    Version, start, and counts that are nowhere else.
    """
    counts = status.accounting
    return section(
        "daemon",
        "Daemon",
        "",
        _facts(
            (
                ("Version", status.version),
                ("Started", when(status.started_at)),
                ("Attempts in progress", f"{status.under_way:,}"),
                (
                    "Filtered, cancelled, superseded",
                    f"{counts.filtered:,}, {counts.cancelled:,}, {counts.superseded:,}",
                ),
            )
        ),
        api="/status",
    )
