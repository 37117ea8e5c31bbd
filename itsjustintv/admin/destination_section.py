"""
The section of the page about destinations: where they stand, their posts, a preview and tests.
"""

from __future__ import annotations

from collections.abc import Sequence

from itsjustintv.admin.html import Markup, el, foreign
from itsjustintv.admin.page_sections import Forms, badge, quoted, quoted_name, section, shown_of, when
from itsjustintv.admin.views import CardView, DestinationView
from itsjustintv.support.counts import count
from itsjustintv.support.durations import duration

__all__ = ["destinations"]


def destinations(found: Sequence[DestinationView], total: int, forms: Forms) -> Markup:
    """
    The destinations, what is pending for each, and its last attempt.
    """
    rows = [
        el(
            "li",
            el(
                "div",
                el("p", el("strong", foreign(each.name), class_="to"), _queue(each), class_="name"),
                el("p", _last(each), class_="quiet"),
                el("p", [foreign(each.advice), _until(each)], class_="quiet") if each.advice else None,
                _posts(each),
                _preview(each),
                class_="about",
            ),
            el("div", [_test(each, forms, *test) for test in _TESTS], class_="tests")
            if each.preview
            else _test(each, forms, *_TESTS[0]),
            class_="row",
            data_key=f"destination-{each.name}",
        )
        for each in found
    ]
    api = f"/destinations?limit={max(1, len(found))}"
    return section("destinations", "Destinations", shown_of(found, total), el("ul", rows, class_="rows"), api=api)


#: The button of each test: the word, the event, and what is sent, for screen readers.
_TESTS = (
    ("Send a test", "online", "Send a test notification to"),
    ("Test a change", "update", "Send the test of a change to"),
    ("Test the end", "offline", "Send the test of an end to"),
)


def _test(each: DestinationView, forms: Forms, words: str, event: str, label: str) -> Markup:
    online = event == "online"
    return forms.button(
        words,
        "test" if online else f"test-{event}",
        each.name,
        f"{label} {each.name}",
        f"/destinations/{quoted_name(each.name)}/test" + ("" if online else f"?event={event}"),
    )


def _until(each: DestinationView) -> object:
    return [" until ", when(each.paused_until)] if each.paused_until else None


def _posts(each: DestinationView) -> Markup | None:
    """
    The posts that can still change, for whom and since when.
    """
    if not each.posts:
        return None
    more = each.posts - len(each.open_posts)
    return el(
        "p",
        f"{count(each.posts, 'open post')}: ",
        [
            [", " if number else None, foreign(post.streamer), " since " if post.since else None, when(post.since)]
            for number, post in enumerate(each.open_posts)
        ],
        f" and {more:,} more" if more else None,
        class_="quiet",
    )


def _preview(each: DestinationView) -> Markup | None:
    """
    What a message looks like: a card, or its texts.
    """
    if not each.preview:
        return None
    texts = el("dl", [el("div", el("dt", line.name), el("dd", foreign(line.text))) for line in each.preview])
    return el(
        "details",
        el("summary", "Preview"),
        texts if each.card is None else _card(each.card),
        data_key=f"preview-{each.name}",
    )


def _card(card: CardView) -> Markup:
    """
    Draw a card about as services do. Its pictures are grey: the page fetches nothing from elsewhere.
    """
    # A colour in a style would be forbidden by the policy of the page.
    edge = el("svg", el("rect", width="100%", height="100%", fill=card.colour), class_="edge", aria_hidden="true")
    lines = [
        el("p", foreign(card.author), class_="quiet") if card.author else None,
        el("p", el("strong", foreign(card.title))) if card.title else None,
        [el("p", foreign(each)) for each in card.details],
        el("dl", [el("div", el("dt", fact.name), el("dd", foreign(fact.text))) for fact in card.facts])
        if card.facts
        else None,
        el("p", "Preview of the broadcast", class_="picture") if card.picture else None,
        el("p", el("small", foreign(card.footer))) if card.footer else None,
    ]
    return el(
        "div",
        [el("p", foreign(line)) for line in card.text.splitlines() if line],
        el(
            "div",
            edge if card.colour else None,
            el("div", lines, class_="about"),
            el("span", (card.author or card.title)[:1], class_="avatar", aria_hidden="true") if card.profile else None,
            class_="card",
        ),
        class_="post",
    )


def _queue(each: DestinationView) -> object:
    if each.state != "ok":
        state = badge("warn" if each.state in ("paused", "moved") else "bad", each.state)
        return [" ", state, f" {each.pending:,} waiting" if each.pending else None]
    if not each.pending:
        return None
    return [" ", badge("warn", f"{each.pending:,} waiting"), el("small", " next ", when(each.next_attempt_at))]


def _last(each: DestinationView) -> object:
    signed = f"signed ({each.signature})" if each.signed else "not signed" if each.signature else each.type
    if each.last is None:
        return f"Nothing sent yet · {signed}"
    if each.last.ok:
        return ["Delivered ", when(each.last.at), f" in {duration(each.last.duration)} · {signed}"]
    return [
        "Failed ", when(each.last.at), ": ", foreign(each.last.detail), " ", quoted(each.last.response), f" ({signed})"
    ]  # fmt: skip
