"""
The parts of the page that are about streamers, events and deliveries.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from attrs import frozen

from itsjustintv.admin.chart import took
from itsjustintv.admin.markup import Markup, el
from itsjustintv.admin.records import DeliveryView, EventView
from itsjustintv.admin.views import DestinationView, StreamerView
from itsjustintv.model import State
from itsjustintv.overview import Subscribed, seconds

__all__ = ["Forms", "badge", "dead", "destinations", "section", "streamers", "timeline", "waiting", "when"]

_TONES = {
    State.DELIVERED: "good",
    State.DEAD: "bad",
    State.EXPIRED: "bad",
    State.PENDING: "warn",
    State.ACCEPTED: "warn",
    State.FILTERED: "quiet",
    State.CANCELLED: "quiet",
}
_SUBSCRIBED = {
    Subscribed.ENABLED: ("good", "subscribed"),
    Subscribed.PENDING: ("warn", "being verified"),
    Subscribed.BROKEN: ("bad", "not subscribed"),
    Subscribed.UNKNOWN: ("warn", "not known yet"),
    Subscribed.UNKNOWN_LOGIN: ("bad", "unknown login"),
}


@frozen
class Forms:
    """
    Buttons that do something.

    :ivar proof: what shows that a form is one of ours.
    """

    _proof: str

    def button(self, words: str, what: str, about: str, label: str, api: str) -> Markup:
        """
        A form with nothing but a button.

        :param what: is done by ``/actions/<what>``, where scripts are off.
        :param label: the whole sentence, for those who hear one button after the other.
        :param api: does the same where they are on.
        """
        return el(
            "form",
            el("input", type="hidden", name="proof", value=self._proof),
            el("input", type="hidden", name="about", value=about),
            el("button", words, type="submit", aria_label=label),
            method="post",
            action=f"/actions/{what}",
            data_api=f"/api/v1{api}",
        )


def when(moment: str | None, otherwise: str = "never") -> Markup | str:
    """
    A moment. Scripts make it a relative one.
    """
    if moment is None:
        return otherwise
    return el("time", f"{moment[:10]} {moment[11:19]} UTC", datetime=moment)


def badge(tone: str, words: str) -> Markup:
    """
    A word that matters.
    """
    return el("span", words, class_=f"badge {tone}")


def section(name: str, title: str, count: str, *content: object) -> Markup:
    """
    A part of the page, with a heading that can be linked to.
    """
    heading = el("h2", title, el("span", count, class_="count") if count else None, id=f"{name}-heading")
    return el("section", heading, content, id=name, aria_labelledby=f"{name}-heading")


def streamers(found: Sequence[StreamerView], total: int, query: str) -> Markup:
    """
    Who is announced, and whether it is certain that we hear of them.
    """
    search = el(
        "form",
        el("label", "Find", for_="query"),
        el("input", id="query", name="query", type="search", value=query, placeholder="name, login or id"),
        el("button", "Find", type="submit"),
        method="get",
        action="/",
        class_="search",
        role="search",
    )
    shown = f"{len(found)} of {total:,}" if len(found) < total else f"{total:,}"
    nobody = "Nobody like that is configured." if query else "No streamer is configured."
    return section(
        "streamers",
        "Streamers",
        shown,
        search if total > 8 or query else None,
        el("ul", [_streamer(each) for each in found], class_="cards") if found else el("p", nobody, class_="quiet"),
    )


def _streamer(each: StreamerView) -> Markup:
    tone, words = _SUBSCRIBED[each.subscription.state]
    picture = (
        el("img", src=each.avatar, alt="", width=48, height=48, loading="lazy", class_="avatar")
        if each.avatar
        else el("span", each.name[:1].upper(), class_="avatar", aria_hidden="true")
    )
    facts = [each.game, f"{each.viewers:,} viewers" if each.viewers is not None else ""]
    live = el(
        "div",
        el("p", each.title or "No title", class_="title"),
        el(
            "p",
            " · ".join(filter(None, facts)),
            " · " if any(facts) else "",
            "began ",
            when(each.live_since),
            class_="quiet",
        ),
    )
    why = el("span", f" {each.subscription.reason}", class_="quiet") if tone == "bad" or not each.user_id else None
    state = badge("live", "live") if each.live else badge("quiet", "offline") if each.live is False else None
    return el(
        "li",
        picture,
        el(
            "div",
            el("p", el("strong", each.name), " ", state, class_="name"),
            live if each.live else None,
            el("p", badge(tone, words), why),
            class_="about",
        ),
        class_="card streamer",
        data_key=f"streamer-{each.key}",
        id=f"streamer-{each.key}",
    )


def timeline(found: Sequence[EventView], *, more: bool) -> Markup:
    """
    What happened, with the time of each stage.
    """
    content = (
        el("ol", [_event(each) for each in found], class_="timeline")
        if found
        else el("p", "Nobody has gone live yet.", class_="quiet")
    )
    older = el("p", el("a", "Show more", href="/?more=1#timeline")) if more else None
    return section("timeline", "Timeline", "", content, older)


def _event(each: EventView) -> Markup:
    recovered = badge("warn", "found late") if each.recovered else None
    return el(
        "li",
        el("p", el("strong", each.name), " went live ", recovered, when(each.received_at), class_="name"),
        el("p", each.title, f" · {each.game}" if each.game else "", class_="title") if each.title else None,
        [_way(each, delivery) for delivery in each.deliveries],
        data_key=f"event-{each.id}",
    )


def _way(event: EventView, delivery: DeliveryView) -> Markup:
    """
    One delivery, stage by stage.
    """
    stages: list[tuple[str, str | None]] = [
        ("began", event.started_at),
        ("received", event.received_at),
        ("prepared", delivery.prepared_at),
        *((("first attempt", delivery.tries[0].started_at),) if delivery.tries else ()),
        *(((delivery.state.value, delivery.finished_at),) if delivery.finished_at else ()),
    ]
    known = [(name, at) for name, moment in stages if (at := seconds(moment)) is not None]
    steps = [
        el("li", name, "" if not number else f" {_after(at - known[number - 1][1])}")
        for number, (name, at) in enumerate(known)
    ]
    failures = [each for each in delivery.tries if not each.ok]
    tries = (
        el(
            "details",
            el("summary", f"{len(delivery.tries)} attempts" if len(delivery.tries) > 1 else "1 attempt"),
            el(
                "ol",
                [el("li", when(each.started_at), f" {each.detail} ({took(each.duration)})") for each in delivery.tries],
            ),
            data_key=f"tries-{delivery.id}",
        )
        if failures
        else None
    )
    soon = [" · next attempt ", when(delivery.next_attempt_at)] if delivery.next_attempt_at and delivery.tries else None
    return el(
        "div",
        el(
            "p",
            badge(_TONES[delivery.state], delivery.state.value),
            " ",
            el("span", delivery.destination, class_="to"),
            soon,
        ),
        el("ol", steps, class_="steps"),
        tries,
        class_="way",
        data_key=f"way-{delivery.id}",
    )


def _after(lapse: float) -> str:
    """
    How much later something was; the clock of Twitch, and what an operator sends again, may be ahead.
    """
    return f"+{took(lapse)}" if lapse >= 0 else "earlier"


def destinations(found: Sequence[DestinationView], total: int, forms: Forms) -> Markup:
    """
    Where notifications go, and how that goes.
    """
    rows = [
        el(
            "li",
            el(
                "div",
                el("p", el("strong", each.name, class_="to"), _queue(each), class_="name"),
                el("p", _last(each), class_="quiet"),
                class_="about",
            ),
            forms.button(
                "Send a test",
                "test",
                each.name,
                f"Send a test notification to {each.name}",
                f"/destinations/{_quoted(each.name)}/test",
            ),
            class_="row",
            data_key=f"destination-{each.name}",
        )
        for each in found
    ]
    count = f"{len(found)} of {total:,}" if len(found) < total else f"{total:,}"
    return section("destinations", "Destinations", count, el("ul", rows, class_="rows"))


def _queue(each: DestinationView) -> object:
    if not each.pending:
        return None
    return [" ", badge("warn", f"{each.pending:,} waiting"), el("small", " next ", when(each.next_attempt_at))]


def _last(each: DestinationView) -> object:
    signed = f"signed ({each.signature})" if each.signed else "not signed"
    if each.last is None:
        return f"Nothing was sent yet · {signed}"
    if each.last.ok:
        return ["Delivered ", when(each.last.at), f" in {took(each.last.duration)} · {signed}"]
    return ["Failed ", when(each.last.at), f": {each.last.detail} ({signed})"]


def waiting(found: Sequence[DeliveryView], count: int, forms: Forms) -> Markup | None:
    """
    What is to be sent, or sent again; nothing when there is nothing.
    """
    if not found:
        return None
    rows = [
        _row(
            each, ["next attempt ", when(each.next_attempt_at), f" · {each.attempts} so far"], forms, "Cancel", "cancel"
        )
        for each in found
    ]
    return section("waiting", "On the way", f"{count:,}", el("ul", rows, class_="rows"))


def dead(found: Sequence[DeliveryView], forms: Forms) -> Markup:
    """
    What was given up on.
    """
    rows = [_row(each, ["given up ", when(each.finished_at)], forms, "Send again", "retry") for each in found]
    content = el("ul", rows, class_="rows") if rows else el("p", "None. Every delivery found its way.", class_="quiet")
    return section("dead", "Dead letters", f"{len(rows)}" if rows else "", content)


def _row(each: DeliveryView, facts: Sequence[object], forms: Forms, words: str, what: str) -> Markup:
    return el(
        "li",
        el(
            "div",
            el("p", el("strong", each.streamer), " to ", el("span", each.destination, class_="to"), class_="name"),
            el("p", facts, [f" · {one.detail}" for one in each.tries[-1:]], class_="quiet"),
            class_="about",
        ),
        forms.button(
            words,
            what,
            each.id,
            f"{words}: {each.streamer} to {each.destination}",
            f"/deliveries/{_quoted(each.id)}/{what}",
        ),
        class_="row",
        data_key=f"{what}-{each.id}",
    )


def _quoted(text: str) -> str:
    return quote(text, safe="")
