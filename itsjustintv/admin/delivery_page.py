"""
``/deliveries/ID``: one delivery, with its payload, and request and response of each attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import quote, unquote

import orjson
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request

from itsjustintv.admin.assets import HEAD
from itsjustintv.admin.auth import Access
from itsjustintv.admin.event_views import AttemptView, DeliveryView, EventView, RequestView, to_event_view
from itsjustintv.admin.html import Markup, el, foreign, page
from itsjustintv.admin.page_sections import Forms, action, badge, channel, tone_of, when
from itsjustintv.admin.responses import HTML, respond_to_get, send_response
from itsjustintv.admin.sources import REFUSALS, Sources, status_of
from itsjustintv.errors import JournalUnavailable
from itsjustintv.support.durations import duration
from itsjustintv.support.foreign_text import visible, visible_json

__all__ = ["DeliveryResource"]

_ROOT = b"/deliveries/"


class DeliveryResource(Resource):
    """
    The page of a delivery.
    """

    isLeaf = True

    def __init__(self, sources: Sources, access: Access) -> None:
        super().__init__()
        self._sources = sources
        self._access = access

    def render(self, request: Request) -> int:
        return respond_to_get(request, self._answer)

    async def _answer(self, request: Request) -> None:
        name = unquote(request.path.removeprefix(_ROOT).decode("latin-1"), errors="replace")
        status = http.OK
        content: Sequence[Markup | None]
        try:
            found = await self._sources.delivery(name)
        except JournalUnavailable as error:
            status, content = http.SERVICE_UNAVAILABLE, [_sorry(f"The journal cannot be read: {error}")]
        except REFUSALS as error:
            status, content = status_of(error), [_sorry(f"{error}.")]
        else:
            if found is None:
                status, content = http.NOT_FOUND, [_sorry(f"There is no delivery {name[:100]} in the journal.")]
            else:
                event = to_event_view(found, self._sources.signing)
                [story] = found.deliveries
                begun = "Sent again" if story.resent else "Requeued" if story.revived else "Accepted"
                content = _content(event, event.deliveries[0], Forms(self._access.form_proof()), begun=begun)
        body = [
            el("a", "Skip to the content", href="#main", class_="skip"),
            el("header", el("p", el("a", "itsjustintv", href="/"), class_="home")),
            el("main", content, id="main", tabindex="-1"),
            el("div", id="said", role="status", aria_live="polite"),
        ]
        send_response(request, page("Delivery \u2013 itsjustintv", HEAD, body), HTML, status)


def _sorry(words: str) -> Markup:
    return el("section", el("h1", "Delivery"), el("p", foreign(words)))


def _content(event: EventView, each: DeliveryView, forms: Forms, *, begun: str) -> Sequence[Markup | None]:
    """
    :param begun: what the time ``accepted_at`` of the delivery is.
    """
    facts = (
        ("State", [badge(tone_of(each.state), each.state.value), " ", foreign(each.reason)]),
        ("Destination", foreign(each.destination)),
        *([("Action", each.action.word)] if each.action else []),
        ("Event", [channel(event.login, event.name), f" {event.deed} ", when(event.received_at)]),
        (begun, when(each.accepted_at)),
        ("Prepared", when(each.prepared_at, "not yet")),
        ("Finished", when(each.finished_at, "not yet")),
        ("Next attempt", when(each.next_attempt_at, "none")),
        ("Id", el("code", each.id)),
    )
    api = f"/api/v1/deliveries/{quote(each.id, safe='')}"
    return (
        el(
            "section",
            el(
                "div",
                el("h1", "Delivery"),
                el("a", "JSON", href=api, class_="json", aria_label="This delivery as JSON"),
                class_="head",
            ),
            el("dl", [el("div", el("dt", name), el("dd", value)) for name, value in facts]),
            action(each, forms),
            id="delivery",
        ),
        *(_attempt(number, tried) for number, tried in enumerate(each.tries, 1)),
        None if each.tries else el("section", el("h2", "Attempts"), el("p", "No attempt yet.", class_="quiet")),
        el(
            "section",
            el("h2", "Payload"),
            el("p", "The body of every request above, without the bytes of the picture.", class_="quiet"),
            _preformatted(_json_lines(each.payload), "Payload")
            if each.payload is not None
            else el("p", "No payload: it was not built yet, or is not JSON.", class_="quiet"),
            id="payload",
        ),
        _stored(each.tries) if each.tries else None,
    )


def _json_lines(payload: object) -> Sequence[str]:
    return visible_json(orjson.dumps(payload, option=orjson.OPT_INDENT_2).decode()).split("\n")


def _stored(tries: Sequence[AttemptView]) -> Markup:
    """
    Say what is stored in the journal, and what was reconstructed.
    """
    sources = dict.fromkeys(each.request.source for each in tries if each.request)
    answers = (
        "Of a response the journal stores the status, Retry-After, and the first 2 KiB of the body on one line, without"
        " secrets. It does not store its headers."
    )
    return el("section", el("h2", "What is stored"), [el("p", each, class_="quiet") for each in (*sources, answers)])


def _attempt(number: int, tried: AttemptView) -> Markup:
    return el(
        "section",
        el(
            "h2",
            f"Attempt {number} ",
            badge("good" if tried.ok else "bad", tried.reason),
            el("span", when(tried.started_at), f" \u00b7 {duration(tried.duration)}", class_="count"),
        ),
        el("p", foreign(tried.detail)),
        el(
            "div",
            el("div", el("h3", "Request"), *_request(tried.request, number)),
            el("div", el("h3", "Response"), *_answer(tried, number)),
            class_="exchange",
        ),
        data_key=f"attempt-{tried.started_at}",
    )


def _request(request: RequestView | None, number: int) -> Sequence[Markup]:
    if request is None:
        return ()
    lines = [
        f"{request.method} {request.target} HTTP/1.1",
        *(f"{each.name}: {each.value}" for each in request.headers),
        "",
        "[payload]",
    ]
    return (_preformatted(lines, f"Request of attempt {number}"),)


def _answer(tried: AttemptView, number: int) -> Sequence[Markup | None]:
    if tried.status is None:
        return (el("p", "No response.", class_="quiet"),)
    lines = [f"HTTP {tried.status}"]
    if tried.retry_after is not None:
        lines.append(f"Retry-After: {duration(tried.retry_after)}")
    lines += ["", tried.response or "[no body]"]
    return (_preformatted(lines, f"Response to attempt {number}"),)


def _preformatted(lines: Sequence[str], label: str) -> Markup:
    """
    Preformatted lines, which can be scrolled with the keyboard.
    """
    written = Markup("\n".join(escape(visible(each)) for each in lines))
    return el("pre", el("bdi", written), tabindex=0, role="region", aria_label=label)
