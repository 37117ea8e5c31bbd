"""
The sections of the page about streamers, events, deliveries and destinations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from urllib.parse import quote, urlencode

from attrs import frozen

from itsjustintv.admin.endpoints import STATES
from itsjustintv.admin.event_views import DeliveryView, EventView
from itsjustintv.admin.html import Markup, el, foreign
from itsjustintv.admin.views import StreamerView
from itsjustintv.journal.history import HistoryFilter
from itsjustintv.model import State, Subscribed, parse_rfc3339
from itsjustintv.support.counts import count
from itsjustintv.support.durations import duration

__all__ = [
    "Choice",
    "Forms",
    "action",
    "badge",
    "channel",
    "quoted",
    "quoted_name",
    "section",
    "shown_of",
    "streamers",
    "timeline",
    "tone_of",
    "undelivered",
    "waiting",
    "when",
]

# Characters quoted of a receiver's response.
_WORDS = 200

_LOGIN = re.compile("[A-Za-z0-9_]{1,25}")

_TONES = {
    State.DELIVERED: "good",
    State.DEAD: "bad",
    State.EXPIRED: "bad",
    State.PENDING: "warn",
    State.ACCEPTED: "warn",
    State.FILTERED: "quiet",
    State.CANCELLED: "quiet",
    State.SUPERSEDED: "quiet",
}
_SUBSCRIBED = {
    Subscribed.ENABLED: ("good", "subscribed"),
    Subscribed.PENDING: ("warn", "pending verification"),
    Subscribed.BROKEN: ("bad", "not subscribed"),
    Subscribed.UNKNOWN: ("warn", "not known yet"),
    Subscribed.UNKNOWN_LOGIN: ("bad", "unknown login"),
}


@frozen
class Forms:
    """
    Buttons for actions.

    :ivar proof: proves that a form is from this page.
    """

    _proof: str

    def button(self, words: str, what: str, about: str, label: str, api: str) -> Markup:
        """
        A form with a button.

        :param what: the action: ``/actions/<what>`` without scripts.
        :param about: the id or name it acts on, percent-encoded in the form.
        :param label: a whole sentence, for screen readers.
        :param api: path of the API that does the same with scripts.
        """
        return el(
            "form",
            el("input", type="hidden", name="proof", value=self._proof),
            el("input", type="hidden", name="about", value=quoted_name(about)),
            el("button", words, type="submit", aria_label=label),
            method="post",
            action=f"/actions/{what}",
            data_api=f"/api/v1{api}",
        )


def when(moment: str | None, otherwise: str = "never") -> Markup | str:
    """
    A time; scripts make it relative.
    """
    if moment is None:
        return otherwise
    return el("time", f"{moment[:10]} {moment[11:19]} UTC", datetime=moment)


def badge(tone: str, words: str) -> Markup:
    """
    Make a word or two in a coloured box.
    """
    return el("span", words, class_=f"badge {tone}")


def section(name: str, title: str, count: str, *content: object, api: str = "") -> Markup:
    """
    A section of the page, with a heading.

    :param api: path of the same data below the root of the API.
    """
    heading = el("h2", title, el("span", count, class_="count") if count else None, id=f"{name}-heading")
    json = el("a", "JSON", href=f"/api/v1{api}", class_="json", aria_label=f"{title} as JSON") if api else None
    return el("section", el("div", heading, json, class_="head"), content, id=name, aria_labelledby=f"{name}-heading")


def channel(login: str, name: str) -> Markup:
    """
    The name of a streamer, as a link to the channel if the login is known.
    """
    if not _LOGIN.fullmatch(login):
        return el("strong", foreign(name))
    return el(
        "a", el("strong", foreign(name)), href=f"https://www.twitch.tv/{login.lower()}", rel="noopener noreferrer"
    )


def quoted(text: str) -> Markup | None:
    """
    Quote the beginning of a receiver's response; ``None`` if it is blank.
    """
    if not text.strip():
        return None
    cut = text if len(text) <= _WORDS else f"{text[:_WORDS]}\u2026"
    return el("q", foreign(cut))


def tone_of(state: State) -> str:
    """
    The CSS class of a state.
    """
    return _TONES[state]


def streamers(found: Sequence[StreamerView], total: int, query: str, kept: Sequence[tuple[str, str]]) -> Markup:
    """
    The streamers, whether they are live, and their subscriptions.

    :param kept: other fields of the page's query, which a search does not change.
    """
    search = el(
        "form",
        el("label", "Find", for_="query"),
        el("input", id="query", name="query", type="search", value=query, placeholder="name, login or id"),
        _hidden(kept),
        el("button", "Find", type="submit"),
        method="get",
        action="/#streamers",
        class_="search",
        role="search",
    )
    nothing = "No configured streamer matches." if query else "No streamer is configured."
    return section(
        "streamers",
        "Streamers",
        shown_of(found, total),
        search if total > 8 or query else None,
        el("ul", [_streamer(each) for each in found], class_="cards") if found else el("p", nothing, class_="quiet"),
        api=f"/streamers?{urlencode({'limit': max(1, len(found)), 'query': query})}",
    )


def _hidden(fields: Sequence[tuple[str, str]]) -> Sequence[Markup]:
    return [el("input", type="hidden", name=name, value=value) for name, value in fields if value]


def _streamer(each: StreamerView) -> Markup:
    tone, words = _SUBSCRIBED[each.subscription.state]
    picture = (
        el("img", src=each.avatar, alt="", width=48, height=48, loading="lazy", class_="avatar")
        if each.avatar
        else el("span", each.name[:1].upper(), class_="avatar", aria_hidden="true")
    )
    facts: list[object] = [foreign(each.game)] if each.game else []
    if each.viewers is not None:
        facts.append(f"{each.viewers:,} viewers")
    live = el(
        "div",
        el("p", foreign(each.title) if each.title else "No title", class_="title"),
        el(
            "p",
            [(fact, " · ") for fact in facts],
            "started ",
            when(each.live_since),
            class_="quiet",
        ),
    )
    reason = each.subscription.reason
    told = tone == "bad" or not each.user_id or (tone == "good" and reason)
    why = [" ", el("span", foreign(reason), class_="quiet")] if told else None
    login = "" if each.subscription.state is Subscribed.UNKNOWN_LOGIN else each.login
    state = badge("live", "live") if each.live else badge("quiet", "offline") if each.live is False else None
    return el(
        "li",
        picture,
        el(
            "div",
            el("p", channel(login, each.name), " ", state, class_="name"),
            live if each.live else None,
            el("p", badge(tone, words), why),
            class_="about",
        ),
        class_="card streamer",
        data_key=f"streamer-{each.key}",
        id=f"streamer-{each.key}",
    )


@frozen(kw_only=True)
class Choice:
    """
    Which events the timeline shows.

    :ivar streamer: part of its names; empty for all, as the next two.
    :ivar cursor: where it goes on; empty for the newest.
    """

    streamer: str = ""
    destination: str = ""
    state: str = ""
    cursor: str = ""

    @property
    def filter(self) -> HistoryFilter:
        """
        The same as a filter of the journal's history.
        """
        return HistoryFilter(
            states=STATES.get(self.state, ()), destination=self.destination or None, streamer=self.streamer or None
        )

    @property
    def filters(self) -> Sequence[tuple[str, str]]:
        """
        The same as fields of a form.
        """
        return [("streamer", self.streamer), ("destination", self.destination), ("state", self.state)]

    def query(self, *more: tuple[str, str]) -> str:
        """
        The query of a URL, for the page and for the API.
        """
        return urlencode([(name, value) for name, value in (*self.filters, *more) if value])


def timeline(
    found: Sequence[EventView],
    choice: Choice,
    *,
    goes_on: str | None,
    limit: int,
    names: Sequence[str],
    states: Sequence[str],
    query: str,
) -> Markup:
    """
    Events, with the time of each stage of their deliveries.

    :param goes_on: cursor of the next page, ``None`` at the end.
    :param limit: events on a page.
    :param names: destinations offered by the filter.
    :param states: states offered by the filter.
    :param query: search among the streamers, which a filter does not change.
    """
    chosen = any(value for _, value in choice.filters)
    if found:
        content = el("ol", [_event(each) for each in found], class_="timeline")
    elif chosen and goes_on is not None:
        content = el("p", "No match among the events searched so far; choose Older to search on.", class_="quiet")
    else:
        words = "No event in the journal matches." if chosen else "No streamer has gone live yet."
        content = el("p", "No older events." if choice.cursor else words, class_="quiet")
    kept = (("query", query),)
    links = [
        el("a", "Latest", href=f"/?{choice.query(*kept)}#timeline") if choice.cursor else None,
        el("a", "Older", href=f"/?{choice.query(*kept, ('cursor', goes_on))}#timeline") if goes_on else None,
    ]
    return section(
        "timeline",
        "Timeline",
        "older" if choice.cursor else "",
        _filters(choice, names, states, kept) if found or chosen or choice.cursor else None,
        content,
        el("p", links, class_="pages") if any(links) else None,
        api=f"/events?{choice.query(('cursor', choice.cursor), ('limit', str(limit)))}",
    )


def _filters(choice: Choice, names: Sequence[str], states: Sequence[str], kept: Sequence[tuple[str, str]]) -> Markup:
    """
    The filter, as a form, so that it works without scripts.
    """
    return el(
        "form",
        el("div", el("label", "Streamer", for_="by-streamer"), el(
            "input", id="by-streamer", name="streamer", type="search", value=choice.streamer, maxlength=200,
            placeholder="key, login, name or id",
        )),
        el("div", el("label", "Destination", for_="by-destination"), el(
            "input", id="by-destination", name="destination", type="search", value=choice.destination, maxlength=200,
            list="destination-names", placeholder="any", autocomplete="off",
        )),
        el("datalist", [el("option", value=each) for each in names], id="destination-names"),
        el("div", el("label", "State", for_="by-state"), el(
            "select",
            el("option", "any", value=""),
            [el("option", each, value=each, selected=each == choice.state) for each in states],
            id="by-state", name="state",
        )),
        _hidden(kept),
        el("button", "Filter", type="submit"),
        el("a", "Show all", href="/#timeline") if any(value for _, value in choice.filters) else None,
        method="get",
        action="/#timeline",
        class_="filters",
        role="search",
        aria_label="Filter the timeline",
    )  # fmt: skip


def _event(each: EventView) -> Markup:
    recovered = badge("warn", "recovered") if each.recovered else None
    return el(
        "li",
        el("p", channel(each.login, each.name), f" {each.deed} ", recovered, when(each.received_at), class_="name"),
        el("p", foreign(each.title), [" · ", foreign(each.game)] if each.game else None, class_="title")
        if each.title
        else None,
        [_delivery(each, delivery) for delivery in each.deliveries],
        data_key=f"event-{each.id}",
    )


def _delivery(event: EventView, delivery: DeliveryView) -> Markup:
    """
    One delivery with its stages.
    """
    stages: list[tuple[str, str | None]] = [
        ("started", event.started_at),
        ("received", event.received_at),
        ("prepared", delivery.prepared_at),
        *((("first attempt", delivery.tries[0].started_at),) if delivery.tries else ()),
        *(((delivery.state.value, delivery.finished_at),) if delivery.finished_at else ()),
    ]
    known = [(name, at) for name, moment in stages if (at := parse_rfc3339(moment)) is not None]
    steps = [
        el("li", name, "" if not number else f" {_after(at - known[number - 1][1])}")
        for number, (name, at) in enumerate(known)
    ]
    last = delivery.tries[-1] if delivery.tries else None
    soon = [" · next attempt ", when(delivery.next_attempt_at)] if delivery.next_attempt_at and last else None
    tries = count(len(delivery.tries), "attempt") if delivery.tries else "details"
    return el(
        "div",
        el(
            "p",
            badge(_TONES[delivery.state], delivery.state.value),
            " ",
            el("span", foreign(delivery.destination), class_="to"),
            el("small", _done(delivery), " · ", el("a", tries, href=f"/deliveries/{quoted_name(delivery.id)}"), soon),
        ),
        el("ol", steps, class_="steps"),
        el("p", foreign(last.detail), " ", quoted(last.response), class_="quiet") if last and not last.ok else None,
        class_="way",
        data_key=f"way-{delivery.id}",
    )


def _done(delivery: DeliveryView) -> str:
    """
    What it does with its post, where there is one.
    """
    return f" · {delivery.action.word}" if delivery.action else ""


def _after(lapse: float) -> str:
    """
    Time between two stages; negative when Twitch's clock is ahead, or after a requeue.
    """
    return f"+{duration(lapse)}" if lapse >= 0 else "earlier"


def waiting(
    found: Sequence[DeliveryView], total: int, forms: Forms, configured: Callable[[str], bool]
) -> Markup | None:
    """
    Pending deliveries; ``None`` if there are none.

    :param configured: whether a destination is configured; deliveries to others are suspended.
    """
    if not found:
        return None
    rows = [
        _row(
            each,
            ["next attempt ", when(each.next_attempt_at), f" · {count(each.attempts, 'attempt')} so far"]
            if configured(each.destination)
            else [badge("warn", "suspended"), " the destination is not configured now"],
            forms,
        )
        for each in found
    ]
    content = (el("ul", rows, class_="rows"), _all(found, total, "pending"))
    return section(
        "waiting", "In progress", shown_of(found, total), *content, api=f"/deliveries?state=pending&limit={len(found)}"
    )


def undelivered(found: Sequence[DeliveryView], total: int, forms: Forms) -> Markup | None:
    """
    Dead and expired deliveries in the journal; ``None`` if there are none.

    :param total: how many there are.
    """
    if not found:
        return None
    rows = [_row(each, [badge("bad", each.state.value), " ", when(each.finished_at)], forms) for each in found]
    content = (el("ul", rows, class_="rows"), _all(found, total, "undelivered"))
    return section(
        "undelivered",
        "Undelivered",
        shown_of(found, total),
        *content,
        api=f"/deliveries?state=undelivered&limit={len(found)}",
    )


def shown_of(found: Sequence[object], total: int) -> str:
    """
    How many are shown of how many.
    """
    return f"{len(found)} of {total:,}" if len(found) < total else f"{total:,}"


def _all(found: Sequence[DeliveryView], total: int, state: str) -> Markup | None:
    """
    A link to all of them, if not all are shown.
    """
    if len(found) >= total:
        return None
    return el("p", el("a", "Show all in the timeline", href=f"/?state={state}#timeline"))


def action(each: DeliveryView, forms: Forms) -> Markup | None:
    """
    The button for the action that a delivery allows; ``None`` without one.
    """
    if not each.state.is_final:
        words, what = "Cancel", "cancel"
    elif each.state.is_undelivered or each.state is State.CANCELLED:
        words, what = "Send again", "retry"
    elif each.state is State.DELIVERED:
        words, what = "Send again", "resend"
    else:
        return None
    though = ", although it was delivered" if what == "resend" else ""
    return forms.button(
        words,
        what,
        each.id,
        f"{words}{though}: {each.streamer} to {each.destination}",
        f"/deliveries/{quoted_name(each.id)}/{what}",
    )


def _row(each: DeliveryView, facts: Sequence[object], forms: Forms) -> Markup:
    last = each.tries[-1] if each.tries else None
    why = [" · ", foreign(last.detail), " ", quoted(last.response)] if last else [" · ", foreign(each.reason)]
    return el(
        "li",
        el(
            "div",
            el(
                "p",
                el("strong", foreign(each.streamer)),
                " to ",
                el("span", foreign(each.destination), class_="to"),
                class_="name",
            ),
            el(
                "p",
                facts,
                _done(each),
                why if last or each.reason else None,
                " · ",
                el("a", "details", href=f"/deliveries/{quoted_name(each.id)}", aria_label=f"{each.id}: details"),
                class_="quiet",
            ),
            class_="about",
        ),
        action(each, forms),
        class_="row",
        data_key=f"{each.state.value}-{each.id}",
    )


def quoted_name(text: str) -> str:
    """
    Percent-encode a name for a path, slashes included.
    """
    return quote(text, safe="")
