"""
The page.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request

from itsjustintv.admin.access import Access
from itsjustintv.admin.answers import give, give_problem, later
from itsjustintv.admin.assets import HEAD
from itsjustintv.admin.chart import chart
from itsjustintv.admin.login import form
from itsjustintv.admin.markup import Markup, el, page
from itsjustintv.admin.pulse import Pulse
from itsjustintv.admin.sections import Forms, badge, dead, destinations, section, streamers, timeline, waiting, when
from itsjustintv.admin.sources import Asked, Declined, Sources, Unknown
from itsjustintv.admin.telling import tell_delivery, tell_event
from itsjustintv.admin.views import CertificateView, ConfigurationView, RateView, StatusView
from itsjustintv.errors import JournalUnavailable
from itsjustintv.model import State

__all__ = ["ACTIONS", "ActionResource", "PageResource"]

#: What can be done without scripts.
ACTIONS = ("retry", "cancel", "test")

_HTML = b"text/html; charset=utf-8"
_TONES = {"healthy": "good", "degraded": "warn", "unhealthy": "bad"}
_HOURS = 6

# How much of each list is shown: at first, and to those who want more.
_FEW, _MANY = 20, 200
_CARDS = 60


class PageResource(Resource):
    """
    ``/``: everything at a glance.
    """

    isLeaf = True

    def __init__(self, sources: Sources, access: Access, pulse: Pulse) -> None:
        super().__init__()
        self._sources = sources
        self._access = access
        self._pulse = pulse

    def render(self, request: Request) -> int:
        """
        Show it as things are now.
        """
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"Allow", b"GET, HEAD")
            return give_problem(request, http.NOT_ALLOWED, "the page is read with GET")
        return later(request, self._answer(request))

    async def _answer(self, request: Request) -> None:
        arguments: dict[bytes, list[bytes]] = request.args or {}
        query = arguments.get(b"query", [b""])[0].decode("utf-8", "replace").strip()[:100]
        version = self._pulse.version
        status = http.OK
        try:
            state, content = await self._content(query, _MANY if b"more" in arguments else _FEW)
        except JournalUnavailable as error:
            status, state = http.SERVICE_UNAVAILABLE, badge("bad", "unhealthy")
            content = [_alarm([f"The journal cannot be read: {error}"], grave=True)]
        body = [
            el("a", "Skip to the content", href="#main", class_="skip"),
            el(
                "header",
                el("h1", "itsjustintv"),
                state,
                el("span", class_="stream", id="stream", role="status"),
            ),
            el("main", content, id="main", tabindex="-1"),
            el("div", id="said", role="status", aria_live="polite"),
            el(
                "footer",
                el("a", "The same as JSON", href="/api/v1/openapi.json"),
                None if self._access.open else _leave(),
            ),
        ]
        give(request, page("itsjustintv", HEAD, body, data_version=version), _HTML, status)

    async def _content(self, query: str, most: int) -> tuple[Markup, Sequence[Markup | None]]:
        """
        Ask for everything.

        :raises JournalUnavailable: nothing can be shown.
        """
        ask, forms = self._sources, Forms(self._access.form_proof())
        status = await ask.status()
        events, goes_on = await ask.events(None, most)
        pending, _ = await ask.deliveries(None, most, State.PENDING, None, None)
        letters, _ = await ask.deliveries(None, most, State.DEAD, None, None)
        found, total = ask.streamers(query, _CARDS if most == _FEW else 10 * _CARDS, 0)
        state = badge(_TONES[status.status], status.status)
        return state, [
            _alarm([f"{each.check}: {each.reason}" for each in status.reasons], grave=status.status == "unhealthy")
            if status.reasons
            else None,
            _defect(status.accounting.imbalance) if status.accounting.imbalance else None,
            _tiles(status),
            section("history", "The last hours", "", chart(ask.series(_HOURS * 3600))),
            el(
                "div",
                el(
                    "div",
                    streamers(found, total, query),
                    timeline([tell_event(each) for each in events], more=goes_on is not None and most == _FEW),
                ),
                el(
                    "div",
                    dead([tell_delivery(each) for each in letters], forms),
                    waiting([tell_delivery(each) for each in pending], status.accounting.pending, forms),
                    destinations(*await ask.destinations(_CARDS, 0), forms),
                    _certificates(ask.certificates()),
                    _configuration(ask.configuration()),
                    _twitch(ask.rate(), status),
                    _daemon(status),
                ),
                class_="columns",
            ),
        ]


class ActionResource(Resource):
    """
    ``/actions/...``: what the buttons of the page do where scripts are off.
    """

    isLeaf = True

    def __init__(self, sources: Sources, access: Access) -> None:
        super().__init__()
        self._sources = sources
        self._access = access

    def render(self, request: Request) -> int:
        """
        Do it, and say how that went.
        """
        what = request.path.rpartition(b"/")[2].decode("latin-1")
        if request.method != b"POST":
            request.setHeader(b"Allow", b"POST")
            return give_problem(request, http.NOT_ALLOWED, "a button is pressed with POST")
        fields = form(request)
        if not self._access.is_form_proof(fields.get("proof", "")):
            return give_problem(
                request, http.FORBIDDEN, "this form is not one of ours, or is too old: load the page again"
            )
        return later(request, self._answer(request, self._do(what, fields.get("about", ""))))

    async def _do(self, what: str, about: str) -> str:
        if what == "retry":
            await self._sources.retry(about)
            return f"{about} is sent again."
        if what == "cancel":
            await self._sources.cancel(about)
            return f"{about} is cancelled."
        attempt = await self._sources.test(about)
        return f"The test notification to {about}: {attempt.detail}"

    async def _answer(self, request: Request, doing: Asked[str]) -> None:
        try:
            status, said = http.OK, await doing
        except Unknown as error:
            status, said = http.NOT_FOUND, f"Nothing was done: {error}."
        except Declined as error:
            status, said = http.CONFLICT, f"Nothing was done: {error}."
        except JournalUnavailable as error:
            status, said = http.SERVICE_UNAVAILABLE, f"Nothing was done: {error}."
        body = el("main", el("p", said, role="status"), el("p", el("a", "Back to the page", href="/")), class_="login")
        give(request, page("itsjustintv", HEAD, [body]), _HTML, status)


def _leave() -> Markup:
    return el("form", el("button", "Leave", type="submit"), method="post", action="/logout", class_="leave")


def _alarm(reasons: Sequence[str], *, grave: bool) -> Markup:
    tone = "alarm bad" if grave else "alarm warn"
    return el("div", el("ul", [el("li", each) for each in reasons]), class_=tone, role="alert", id="alarm")


def _defect(imbalance: int) -> Markup:
    words = f"{imbalance:,} deliveries are unaccounted for. That is a defect of itsjustintv: please report it."
    return el("div", el("p", words), class_="alarm bad", role="alert", id="defect")


def _tiles(status: StatusView) -> Markup:
    account, subscriptions = status.accounting, status.subscriptions
    on_the_way = account.pending + account.accepted
    tiles = (
        ("Live now", f"{status.live:,}", f"of {status.streamers:,}", "#streamers", ""),
        ("Subscribed", f"{subscriptions.enabled:,}", f"of {status.streamers:,}", "#streamers",
         "bad" if subscriptions.broken else ""),
        ("Delivered", f"{account.delivered:,}", "", "#timeline", ""),
        ("On the way", f"{on_the_way:,}", "", "#waiting" if account.pending else "#destinations",
         "warn" if on_the_way else ""),
        ("Given up", f"{account.dead + account.expired:,}", "", "#dead", "bad" if account.dead else ""),
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
        aria_label="In short",
    )


def _facts(facts: Sequence[tuple[str, object]]) -> Markup:
    return el("dl", [el("div", el("dt", name), el("dd", value)) for name, value in facts])


def _certificates(found: Sequence[CertificateView]) -> Markup | None:
    if not found:
        return None
    rows = [
        el(
            "li",
            el("p", el("strong", each.name, class_="to"), class_="name"),
            el(
                "p",
                "expires ",
                when(each.expires_at, "there is none yet"),
                " · renewed ",
                when(each.renew_at, "by you"),
                class_="quiet",
            ),
            el("p", each.problem, class_="bad") if each.problem else None,
            data_key=f"certificate-{each.name}",
        )
        for each in found
    ]
    return section("certificates", "Certificates", "", el("ul", rows, class_="rows"))


def _configuration(found: ConfigurationView) -> Markup:
    troubles = [("bad", each) for each in found.problems] + [
        ("warn", each) for each in (*found.refused, *found.warnings)
    ]
    return section(
        "configuration",
        "Configuration",
        "",
        el("ul", [el("li", words, class_=tone) for tone, words in troubles], class_="troubles") if troubles else None,
        _facts(
            (
                ("State", badge("bad", "the file cannot be used") if found.problems else badge("good", "in use")),
                ("In use since", when(found.changed_at)),
                ("Reloads", f"{found.applied:,} applied, {found.failed:,} failed"),
                ("Hash", el("code", found.hash)),
            )
        ),
    )


def _twitch(rate: RateView, status: StatusView) -> Markup:
    subscriptions = status.subscriptions
    label = f"{rate.points:,} of {rate.limit:,} points"
    return section(
        "twitch",
        "Twitch",
        "",
        el("p", subscriptions.problem, class_="bad") if subscriptions.problem else None,
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
                        f"{subscriptions.enabled:,} enabled, {subscriptions.pending:,} being verified",
                        f", {subscriptions.broken:,} broken",
                    ],
                ),
                (
                    "Cost",
                    f"{subscriptions.total_cost:,} of {subscriptions.max_total_cost:,}"
                    if subscriptions.max_total_cost
                    else "not known yet",
                ),
                ("Looked at", when(subscriptions.checked_at)),
            )
        ),
    )


def _daemon(status: StatusView) -> Markup:
    return section(
        "daemon",
        "Daemon",
        "",
        _facts(
            (
                ("Version", status.version),
                ("Started", when(status.started_at)),
                ("Attempts under way", f"{status.under_way:,}"),
                ("Filtered, cancelled", f"{status.accounting.filtered:,}, {status.accounting.cancelled:,}"),
            )
        ),
    )
