"""
``/``: the page, composed of its sections, and ``/actions/...``: what its buttons do without scripts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from attrs import frozen
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request

from itsjustintv.admin.assets import HEAD
from itsjustintv.admin.auth import Access, form
from itsjustintv.admin.chart import chart
from itsjustintv.admin.daemon_sections import (
    alarm,
    certificates,
    conduit,
    configuration,
    daemon,
    defect,
    health_badge,
    tiles,
    twitch,
)
from itsjustintv.admin.destination_section import destinations
from itsjustintv.admin.endpoints import EVENTS, STATES, read_cursor, write_cursor
from itsjustintv.admin.event_views import to_delivery_view, to_event_view
from itsjustintv.admin.html import Markup, el, foreign, page
from itsjustintv.admin.live_updates import LiveUpdates
from itsjustintv.admin.page_sections import (
    Choice,
    Forms,
    badge,
    quoted,
    section,
    streamers,
    timeline,
    undelivered,
    waiting,
)
from itsjustintv.admin.responses import (
    HTML,
    respond_later,
    respond_to_get,
    send_not_allowed,
    send_problem,
    send_response,
)
from itsjustintv.admin.sources import REFUSALS, Asked, NotFound, Sources, status_of
from itsjustintv.errors import JournalUnavailable
from itsjustintv.journal.history import HistoryFilter, Place
from itsjustintv.model import UNDELIVERED, State

__all__ = ["ACTIONS", "ActionResource", "PageResource"]

#: Actions of buttons where scripts are off.
ACTIONS = ("retry", "resend", "cancel", "test")

_HOURS = 6

# Entries shown of each list.
_FEW = 20
_CARDS = 60

# Destinations offered by the filter; others can be typed.
_OFFERED = 200


@frozen(kw_only=True)
class _PageQuery:
    """
    The query of the page's URL.

    :ivar query: searched for among the streamers.
    :ivar after: where the timeline goes on.
    """

    query: str
    choice: Choice
    after: Place | None

    @classmethod
    def of(cls, arguments: Mapping[bytes, Sequence[bytes]]) -> _PageQuery:
        """
        Read it; invalid values are ignored, since people edit URLs.
        """

        def text(name: bytes, longest: int = 200) -> str:
            return arguments.get(name, [b""])[0].decode("utf-8", "replace").replace("\0", "").strip()[:longest]

        state, where = text(b"state"), text(b"cursor", 1000)
        try:
            after = read_cursor("events", where, "nt") if where else None
        except NotFound:
            after = None
        choice = Choice(
            streamer=text(b"streamer"),
            destination=text(b"destination"),
            state=state if state in STATES else "",
            cursor=where if after else "",
        )
        return cls(query=text(b"query"), choice=choice, after=after)


class PageResource(Resource):
    """
    ``/``: everything at a glance.
    """

    isLeaf = True

    def __init__(self, sources: Sources, access: Access, live_updates: LiveUpdates) -> None:
        super().__init__()
        self._sources = sources
        self._access = access
        self._live_updates = live_updates

    def render(self, request: Request) -> int:
        return respond_to_get(request, self._answer)

    async def _answer(self, request: Request) -> None:
        version = self._live_updates.version
        status = http.OK
        try:
            state, content = await self._content(_PageQuery.of(request.args or {}))
        except JournalUnavailable as error:
            status, state = http.SERVICE_UNAVAILABLE, badge("bad", "unhealthy")
            content = [alarm([f"The journal cannot be read: {error}"], grave=True)]
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
                el("a", "API", href="/api/v1/openapi.json"),
                None if self._access.is_open else _log_out(),
            ),
        ]
        send_response(request, page("itsjustintv", HEAD, body, data_version=version), HTML, status)

    async def _content(self, asked: _PageQuery) -> tuple[Markup, Sequence[Markup | None]]:
        """
        The badge of the header, and the sections. What needs action comes first: on a phone only that is visible.

        :raises JournalUnavailable: nothing can be shown.
        """
        ask, forms, choice = self._sources, Forms(self._access.form_proof()), asked.choice
        status = await ask.status()
        events, goes_on = await ask.events(asked.after, _FEW, choice.filter)
        pending, _ = await ask.deliveries(None, _FEW, HistoryFilter(states=(State.PENDING,)))
        lost, _ = await ask.deliveries(None, _FEW, HistoryFilter(states=UNDELIVERED))
        everywhere, total = await ask.destinations(_OFFERED, 0)
        found, count = ask.streamers(asked.query, _CARDS, 0)
        return health_badge(status), [
            alarm([f"{each.check}: {each.reason}" for each in status.reasons], grave=status.status == "unhealthy")
            if status.reasons
            else None,
            defect(status.accounting.imbalance) if status.accounting.imbalance else None,
            tiles(status),
            undelivered([to_delivery_view(each) for each in lost], status.undelivered, forms),
            waiting(
                [to_delivery_view(each) for each in pending],
                status.accounting.pending,
                forms,
                lambda name: ask.signing(name) is not None,
            ),
            section("history", "The last hours", "", chart(ask.series(_HOURS * 3600)), api=f"/history?hours={_HOURS}"),
            el(
                "div",
                el(
                    "div",
                    streamers(found, count, asked.query, choice.filters),
                    timeline(
                        [to_event_view(each) for each in events],
                        choice,
                        goes_on=write_cursor("events", goes_on),
                        limit=_FEW,
                        names=[each.name for each in everywhere],
                        states=list(STATES),
                        query=asked.query,
                    ),
                ),
                el(
                    "div",
                    destinations(everywhere[:_CARDS], total, forms),
                    conduit(ask.transport()),
                    certificates(ask.certificates()),
                    configuration(ask.configuration()),
                    twitch(ask.rate(), status, verified=ask.transport().method == "webhook"),
                    daemon(status),
                ),
                class_="columns",
            ),
        ]


class ActionResource(Resource):
    """
    ``/actions/...``: what the buttons of the page do where scripts are off. The response says how it went.
    """

    isLeaf = True

    def __init__(self, sources: Sources, access: Access) -> None:
        super().__init__()
        self._sources = sources
        self._access = access

    def render(self, request: Request) -> int:
        what = request.path.rpartition(b"/")[2].decode("latin-1")
        if request.method != b"POST":
            return send_not_allowed(request, b"POST")
        fields = form(request)
        if not self._access.is_form_proof(fields.get("proof", "")):
            return send_problem(
                request, http.FORBIDDEN, "this form is not from this page, or has expired: reload the page"
            )
        return respond_later(
            request, self._answer(request, self._do(what, unquote(fields.get("about", ""), errors="replace")))
        )

    async def _do(self, what: str, about: str) -> Sequence[object]:
        if what == "retry":
            await self._sources.retry(about)
            return [foreign(about), " is requeued."]
        if what == "resend":
            return [foreign(about), " is resent as ", foreign((await self._sources.resend(about)).id), "."]
        if what == "cancel":
            await self._sources.cancel(about)
            return [foreign(about), " is cancelled."]
        event = what.removeprefix("test-") if what.startswith("test-") else "online"
        attempt = await self._sources.test(about, event if event in EVENTS else "online")
        if attempt is None:
            raise NotFound(f"there is no destination {about}")
        return [
            "The test notification to ",
            foreign(about),
            ": ",
            foreign(attempt.detail),
            " ",
            quoted(attempt.response),
        ]

    async def _answer(self, request: Request, doing: Asked[Sequence[object]]) -> None:
        said: object
        try:
            status, said = http.OK, await doing
        except REFUSALS as error:
            status, said = status_of(error), foreign(f"Nothing was done: {error}.")
        body = el("main", el("p", said, role="status"), el("p", el("a", "Back to the page", href="/")), class_="login")
        send_response(request, page("itsjustintv", HEAD, [body]), HTML, status)


def _log_out() -> Markup:
    return el("form", el("button", "Log out", type="submit"), method="post", action="/logout", class_="leave")
