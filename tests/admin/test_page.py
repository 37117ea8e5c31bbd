"""
Tests of :mod:`itsjustintv.admin.page` and its parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from treq.testing import StubTreq
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.admin.access import Access
from itsjustintv.admin.avatars import AvatarResource
from itsjustintv.admin.chart import chart, took
from itsjustintv.admin.markup import Markup, el, page
from itsjustintv.admin.page import ACTIONS, ActionResource, PageResource
from itsjustintv.admin.pulse import Pulse
from itsjustintv.admin.resource import AdminResource
from itsjustintv.admin.views import PointView, ReasonView, SubscriptionView
from itsjustintv.model import State
from itsjustintv.overview import Subscribed
from tests.admin.values import AT, HOSTILE, House, story, streamer

HOME = "http://localhost:8081"


class Outline(HTMLParser):
    """
    What a browser makes of a page.

    :ivar tags: every element with its attributes.
    :ivar texts: every text.
    :ivar open: elements that are open; none must be at the end.
    """

    VOID = frozenset({"input", "img", "link", "meta"})

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open.pop() != tag:
            raise AssertionError(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def find(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        """
        Every element of a kind with these attributes.
        """
        return [found for name, found in self.tags if name == tag and attributes.items() <= {**found}.items()]


class PageCase(SynchronousTestCase):
    """
    A page in front of a house.
    """

    token = ""

    def setUp(self) -> None:
        self.house = House()
        clock = Clock()
        self.access = Access(lambda: self.token, clock, b"a secret of the process")
        sources = self.house.sources()
        self.pulse = Pulse(sources.mark, clock, "p")
        actions = ActionResource(sources, self.access)
        self.treq = StubTreq(
            AdminResource(
                self.access,
                {},
                {
                    b"/": PageResource(sources, self.access, self.pulse),
                    **{f"/actions/{each}".encode(): actions for each in ACTIONS},
                },
                {b"/avatars/": AvatarResource(sources)},
            )
        )

    def ask(self, path: str = "/", method: str = "GET", **more: Any) -> tuple[int, str]:
        """
        Ask for something.
        """
        answer = self.successResultOf(self.treq.request(method, f"{HOME}{path}", **more))
        self.headers = answer.headers
        return answer.code, self.successResultOf(answer.content()).decode()

    def outline(self, path: str = "/") -> Outline:
        """
        Read a page.
        """
        status, content = self.ask(path)
        self.assertEqual(status, 200)
        found = Outline(content)
        self.assertEqual(found.open, [])
        return found


class PageTests(PageCase):
    """
    Everything at a glance.
    """

    def test_what_is_shown(self) -> None:
        """
        Streamers, the timeline with its stages, dead letters, what waits, destinations, certificates, the
        configuration, the rate limit: each has its heading and its facts.
        """
        self.house.stories = [story("e1", State.DEAD), story("e2", State.PENDING), story("e3")]
        text = " ".join(self.outline().texts)
        for words in (
            "healthy", "Tanuki", "live", "Pottery", "1,234 viewers", "subscribed", "Cool_User", "went live",
            "received", "+500 ms", "first attempt", "delivered", "Dead letters", "Send again", "On the way", "Cancel",
            "the receiver answered", "streamers.tanuki", "Send a test", "1 waiting", "global_webhook",
            "Nothing was sent yet", "hooks.example.org", "server.port: wrong", "storage.path: later", "x: doubtful",
            "790 of 800 points", "1 of 10,000", "Version",
        ):  # fmt: skip
            self.assertIn(words, text)

    def test_headings_lead_through_it(self) -> None:
        """
        There is one first heading, every section has a second one that names it, and a link leads to the content.
        """
        found = self.outline()
        self.assertEqual(len(found.find("h1")), 1)
        headings = [each["id"] for each in found.find("h2")]
        self.assertEqual([each["aria-labelledby"] for each in found.find("section")], headings)
        self.assertTrue(found.find("a", href="#main") and found.find("main", id="main"))
        ids = [each["id"] for _, each in found.tags if "id" in each]
        self.assertEqual(len(ids), len(set(ids)))

    def test_every_button_says_what_it_does(self) -> None:
        """
        Each button in a list has a name of its own, and a form that works without scripts and holds the proof.
        """
        self.house.stories = [story("e1", State.DEAD), story("e2", State.PENDING)]
        found = self.outline()
        names = [each["aria-label"] for each in found.find("button") if "aria-label" in each]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(len(names), 4)
        self.assertEqual(len(found.find("input", name="proof", value=self.access.form_proof())), 4)
        self.assertTrue(found.find("form", action="/actions/retry", **{"data-api": "/api/v1/deliveries/e1-1/retry"}))
        for each in found.find("input"):
            if each.get("type") != "hidden":
                self.assertTrue(found.find("label", **{"for": each["id"] or ""}))

    def test_nothing_inline(self) -> None:
        """
        There is neither a script nor a style nor a handler in the page itself, and nothing from elsewhere.
        """
        for tag, attributes in self.outline().tags:
            self.assertNotEqual(tag, "style")
            for name, value in attributes.items():
                self.assertFalse(name == "style" or name.startswith("on"), (tag, name))
                if name in ("src", "href", "action"):
                    self.assertRegex(value or "", r"^(/[a-z0-9]|/$|/\?|#)")

    def test_nobody_is_taken_for_markup(self) -> None:
        """
        Whatever a streamer, a receiver or an operator calls something, it is shown as a text.
        """
        self.house.streamers = [
            streamer(
                HOSTILE, name=HOSTILE, title=HOSTILE, game=HOSTILE, destinations=(HOSTILE,),
                subscription=SubscriptionView(state=Subscribed.BROKEN, reason=HOSTILE),
            )
        ]  # fmt: skip
        tale = story("e1", State.DEAD, broadcaster_name=HOSTILE)
        [one] = tale.deliveries
        tried = evolve(one.attempts[0], detail=HOSTILE, reason=HOSTILE)
        hostile = evolve(
            one,
            delivery=evolve(one.delivery, id=HOSTILE, destination=HOSTILE, streamer=HOSTILE, reason=HOSTILE),
            attempts=(tried,),
        )
        self.house.stories = [evolve(tale, deliveries=(hostile,))]
        self.house.reasons = [ReasonView(check="x", reason=HOSTILE, grave=False)]
        found = self.outline()
        self.assertEqual([attributes for tag, attributes in found.tags if tag == "script"], [
            {"src": found.find("script")[0]["src"], "defer": None}
        ])  # fmt: skip
        self.assertGreater(sum(HOSTILE in each for each in found.texts), 8)

    def test_half_a_character(self) -> None:
        """
        A text that has no form in UTF-8 does not take the page down.
        """
        self.house.streamers = [streamer(name="a\ud800b")]
        self.assertIn("a?b", "".join(self.outline().texts))

    def test_searching(self) -> None:
        """
        Of many streamers some are shown, how many there are is said, and a search finds one by name; its words are
        shown again as a text.
        """
        self.house.streamers = [streamer(f"s{number}", avatar=None, live=False) for number in range(100)]
        self.assertEqual(len(self.outline().find("li", **{"class": "card streamer"})), 60)
        self.assertIn("60 of 100", self.outline().texts)
        self.assertEqual(len(self.outline("/?query=s77").find("li", **{"class": "card streamer"})), 1)
        found = self.outline("/?query=%22%3E%3Cb%3E")
        self.assertEqual(found.find("input", name="query")[0]["value"], '"><b>')
        self.assertIn("Nobody like that is configured.", found.texts)

    def test_more(self) -> None:
        """
        A list that goes on says so, and shows more when it is asked to.
        """
        self.house.goes_on = (1.0, "x")
        self.assertTrue(self.outline().find("a", href="/?more=1#timeline"))
        self.assertFalse(self.outline("/?more=1").find("a", href="/?more=1#timeline"))
        self.assertIn((None, 200), self.house.asked)

    def test_nothing_yet(self) -> None:
        """
        Where there is nothing, that is said.
        """
        self.house.streamers, self.house.stories = [], []
        text = " ".join(self.outline().texts)
        for words in ("No streamer is configured.", "Nobody has gone live yet.", "None. Every delivery"):
            self.assertIn(words, text)
        self.assertNotIn("On the way Cancel", text)

    def test_alarms(self) -> None:
        """
        What is not well stands first, and a count that does not add up is called a defect.
        """
        self.house.reasons = [ReasonView(check="twitch", reason="away", grave=False)]
        self.house.imbalance = -2
        found = self.outline()
        self.assertEqual([each["id"] for each in found.find("div", role="alert")], ["alarm", "defect"])
        self.assertIn("twitch: away", found.texts)
        self.assertEqual([each["class"] for each in found.find("div", role="alert")], ["alarm warn", "alarm bad"])

    def test_the_journal_is_away(self) -> None:
        """
        When the journal cannot be read the page says why.
        """
        self.house.away = True
        status, content = self.ask()
        self.assertEqual(status, 503)
        self.assertIn("The journal cannot be read: the disk is full", content)

    def test_methods(self) -> None:
        """
        The page is only read.
        """
        self.assertEqual(self.ask(method="HEAD"), (200, ""))
        self.assertEqual(self.ask(method="POST")[0], 405)

    def test_the_session_can_be_left(self) -> None:
        """
        Where there is a token there is a button to leave.
        """
        self.assertNotIn("Leave", self.outline().texts)
        self.token = "0123456789abcdef"
        _, content = self.ask(headers={"Authorization": f"Bearer {self.token}"})
        self.assertIn("/logout", content)


class ActionTests(PageCase):
    """
    Buttons without scripts.
    """

    def press(self, what: str, about: str, **more: str) -> tuple[int, str]:
        """
        Send the form of a button.
        """
        fields = {"proof": self.access.form_proof(), "about": about, **more}
        return self.ask(f"/actions/{what}", "POST", data=fields)

    def test_what_is_pressed_is_done(self) -> None:
        """
        Each button does what it says, and a page tells how that went.
        """
        for what, words in (("retry", "is sent again"), ("cancel", "is cancelled"), ("test", "the receiver answered")):
            status, content = self.press(what, "e1-1")
            self.assertEqual(status, 200)
            self.assertIn(words, content)
        self.assertEqual(self.house.orders, [("retry", "e1-1"), ("cancel", "e1-1"), ("test", "e1-1")])

    def test_what_makes_no_sense(self) -> None:
        """
        What is not there, makes no sense or cannot be written is told, with its status.
        """
        self.assertEqual(self.press("retry", "nothing")[0], 404)
        self.assertEqual(self.press("cancel", "busy")[0], 409)
        self.house.away = True
        self.assertEqual(self.press("retry", "e1-1")[0], 503)
        self.assertIn("&lt;b&gt;", self.press("test", "nothing")[1] + self.press("test", "<b>")[1] + "&lt;b&gt;")

    def test_without_proof(self) -> None:
        """
        A form without our proof, or with another one, does nothing.
        """
        for proof in ("", "0" * 64):
            self.assertEqual(self.press("retry", "e1-1", proof=proof)[0], 403)
        self.assertEqual(self.ask("/actions/retry")[0], 405)
        self.assertEqual(self.house.orders, [])


class AvatarTests(PageCase):
    """
    Pictures from our own address.
    """

    def test_of_somebody_who_is_configured(self) -> None:
        """
        A picture is given as what it is; there is none of strangers.
        """
        self.assertEqual(self.ask("/avatars/4")[0], 404)
        self.assertEqual(self.ask("/avatars/42", "POST")[0], 405)
        for wrong in ("x", "42/", "1" * 21, "..%2f42"):
            self.assertEqual(self.ask(f"/avatars/{wrong}")[0], 404, wrong)
        answer = self.successResultOf(self.treq.get(f"{HOME}/avatars/42"))
        self.assertEqual(answer.headers.getRawHeaders("Content-Type"), ["image/png"])
        self.assertEqual(answer.headers.getRawHeaders("Cache-Control"), ["private, max-age=3600"])


class MarkupTests(SynchronousTestCase):
    """
    Nothing is markup that was not written as such.
    """

    def test_elements(self) -> None:
        """
        Texts and values are escaped, lists joined, what is not there left out.
        """
        self.assertEqual(
            el(
                "p",
                "a<b",
                1,
                2.5,
                None,
                False,
                True,
                ["c", [el("br")]],
                class_='x"y',
                data_key="k",
                hidden=True,
                id=None,
            ),
            '<p class="x&quot;y" data-key="k" hidden>a&lt;b12.5c<br></p>',
        )

    @given(st.text(), st.text())
    def test_any_text(self, inside: str, value: str) -> None:
        """
        Whatever is put into an element, it is one element with one text and one value.
        """
        written: Callable[[str], Markup] = lambda text: el("b", text, title=value)  # noqa: E731
        found = Outline(written(inside))
        self.assertEqual([tag for tag, _ in found.tags], ["b"])
        newlines = re.compile("\r\n?")
        self.assertEqual(newlines.sub("\n", "".join(found.texts)), newlines.sub("\n", inside))

    def test_a_page(self) -> None:
        """
        A page says its language, its encoding and its title.
        """
        content = page("<t>", [], [el("p", "x")], data_version="1")
        self.assertTrue(content.startswith(b'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'))
        self.assertIn(b'<title>&lt;t&gt;</title></head><body data-version="1"><p>x</p></body>', content)


class ChartTests(SynchronousTestCase):
    """
    Bars.
    """

    def test_times(self) -> None:
        """
        A length of time is told in as few letters as tell it.
        """
        for seconds, told in (
            (0.0, "0 ms"), (0.0421, "42 ms"), (0.9994, "999 ms"), (0.9996, "1.0 s"), (12.34, "12.3 s"),
            (99.96, "2 min"), (3600, "60 min"), (7200, "2 h"), (86400 * 3, "3 d"),
        ):  # fmt: skip
            self.assertEqual(took(seconds), told)

    @given(
        st.lists(
            st.builds(
                PointView,
                at=st.just(AT), seconds=st.just(300), delivered=st.integers(0, 9999), failed=st.integers(0, 9999),
                undelivered=st.just(0), median=st.none() | st.floats(0, 1e5), slow=st.none() | st.floats(0, 1e6),
            ),
            max_size=12,
        )
    )  # fmt: skip
    def test_any_history(self, points: list[PointView]) -> None:
        """
        Whatever happened, every bar stays within the picture.
        """
        for tag, attributes in Outline(chart(points)).tags:
            if tag == "rect":
                y, height = float(attributes["y"] or "nan"), float(attributes["height"] or "nan")
                self.assertGreater(height, 0)
                self.assertGreaterEqual(y, 0)
                self.assertLessEqual(y + height, 100.001)

    def test_in_words(self) -> None:
        """
        What the bars show is said above them, and of each bar when somebody points at it.
        """
        self.assertIn("nothing was delivered", chart([]))
        drawn = chart(House().series(3600))
        for words in (
            "66 delivered, 12 attempts failed",
            "1.1 s lately, the slowest 2.2 s",
            "03:55 UTC: 11 delivered, 2 failed",
        ):
            self.assertIn(words, drawn)
