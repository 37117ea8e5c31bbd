"""
Tests of :mod:`itsjustintv.admin.page` and its parts.
"""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from treq.testing import StubTreq
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.admin.api import ApiResource
from itsjustintv.admin.assets import AvatarResource
from itsjustintv.admin.auth import Access
from itsjustintv.admin.chart import chart, decades, top
from itsjustintv.admin.delivery_page import DeliveryResource
from itsjustintv.admin.endpoints import write_cursor
from itsjustintv.admin.html import Markup, el, page
from itsjustintv.admin.live_updates import LiveUpdates
from itsjustintv.admin.page import ACTIONS, ActionResource, PageResource
from itsjustintv.admin.site import AdminResource
from itsjustintv.admin.views import CardView, FactView, PointView, ReasonView, SubscriptionView
from itsjustintv.journal.history import EVERYTHING, HistoryFilter
from itsjustintv.model import UNDELIVERED, Action, State, Subscribed
from itsjustintv.support.foreign_text import visible
from tests.admin.values import AT, HOSTILE, House, shard, story, streamer

HOME = "http://localhost:8081"


class Outline(HTMLParser):
    """
    What a browser makes of a page.

    :ivar tags: every element with its attributes.
    :ivar texts: every text.
    :ivar isolated: those in an element whose direction ends with it.
    :ivar open: elements that are open; none must be at the end.
    """

    VOID = frozenset({"input", "img", "link", "meta"})

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.isolated: list[str] = []
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
        if "bdi" in self.open:
            self.isolated.append(data)

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
        self.pulse = LiveUpdates(sources.mark, clock, "p")
        actions = ActionResource(sources, self.access)
        self.treq = StubTreq(
            AdminResource(
                self.access,
                {},
                {
                    b"/": PageResource(sources, self.access, self.pulse),
                    **{f"/actions/{each}".encode(): actions for each in ACTIONS},
                },
                {b"/avatars/": AvatarResource(sources), b"/deliveries/": DeliveryResource(sources, self.access)},
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
            "received", "+500 ms", "first attempt", "delivered", "Undelivered", "Send again", "In progress", "Cancel",
            "the receiver answered", "streamers.tanuki", "Send a test", "1 waiting", "global_webhook",
            "Nothing sent yet", "hooks.example.org", "server.port: wrong", "storage.path: later", "x: doubtful",
            "790 of 800 points", "1 of 10,000", "Version",
        ):  # fmt: skip
            self.assertIn(words, text)

    def test_a_conduit(self) -> None:
        """
        Each shard has its state, the age of its last frame, and why it was lost; what else is wrong stands above.
        """
        text = " ".join(self.outline().texts)
        for words in (
            "26b1c993-bfcf-44d9-b876-379dacafe75a", "1 of 2 enabled", "Shard 0",
            "receiving", "2 sessions lost, 1 moved", "Shard 1", "not connected", "<b>closed</b> with code 4006",
        ):  # fmt: skip
            self.assertIn(words, text)
        for words in ("close code", "Last loss", "held in memory", "still arrive by webhook"):
            self.assertNotIn(words, text)
        self.house.transport = evolve(
            self.house.transport,
            held=1,
            used=["conduit", "webhook"],
            shards=[shard(reason="silence of 15 s", code=4005)],
        )
        text = " ".join(self.outline().texts)
        for words in (
            "1 event held in memory",
            "still arrive by webhook",
            "Last loss: ",
            "silence of 15 s (close code 4005)",
        ):
            self.assertIn(words, text)

    def test_no_conduit(self) -> None:
        """
        Where messages arrive by webhook the section is not there.
        """
        self.assertTrue(self.outline().find("section", id="conduit"))
        self.assertNotIn("pending verification", " ".join(self.outline().texts))
        self.house.transport = evolve(self.house.transport, method="webhook", conduit_id="", shards=[])
        self.assertIn("pending verification", " ".join(self.outline().texts))
        self.assertFalse(self.outline().find("section", id="conduit"))

    def test_posts_and_a_preview(self) -> None:
        """
        A destination of a service has its state with advice, the posts that can still change, and a preview, in which
        nothing of a streamer is markup.
        """
        found = self.outline()
        text = " ".join(found.texts)
        for words in ("gone", "Nothing is sent there any more", "3 open posts", "and 2 more", "Preview"):
            self.assertIn(words, text)
        self.assertIn(r"<script>alert(1)</script> \u202e is live", text)
        self.assertEqual(found.find("script", src=None), [])

    def test_a_card(self) -> None:
        """
        Where a message is a card it is drawn, with its colour; nothing in it is markup, loaded from elsewhere, or a
        style, which the policy of the page forbids.
        """
        before = self.outline()
        self.house.card = CardView(
            text=f"above\nbelow {HOSTILE}",
            author=HOSTILE,
            title=HOSTILE,
            details=(HOSTILE,),
            facts=(FactView(name="Category", text=HOSTILE),),
            footer=HOSTILE,
            profile=True,
            picture=True,
            colour="#9146ff",
        )
        found = self.outline()
        self.assertEqual(found.isolated.count(visible(HOSTILE)) - before.isolated.count(visible(HOSTILE)), 5)
        self.assertIn("above", found.isolated)
        self.assertTrue(found.find("rect", fill="#9146ff"))
        self.assertEqual(len(found.find("img")), len(before.find("img")))
        self.assertFalse([each for _, each in found.tags if "style" in each])
        self.assertNotIn(r"<script>alert(1)</script> \u202e is live", " ".join(found.texts))

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
        self.assertEqual(len(names), 7)
        self.assertEqual(len(found.find("input", name="proof", value=self.access.form_proof())), 7)
        change = {"data-api": "/api/v1/destinations/main/test?event=update"}
        self.assertTrue(found.find("form", action="/actions/test-update", **change))
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
                    self.assertRegex(value or "", r"^(/[a-z0-9]|/$|/\?|/?#|https://www\.twitch\.tv/[a-z0-9_]+$)")
                if (value or "").startswith("https://"):
                    self.assertEqual(attributes["rel"], "noopener noreferrer")

    def test_nobody_is_taken_for_markup(self) -> None:
        """
        Whatever a streamer, a receiver or an operator calls something, it is shown as a text, with a direction of its
        own, and with what steers or hides text in it as escapes.
        """
        self.house.streamers = [
            streamer(
                HOSTILE, name=HOSTILE, title=HOSTILE, game=HOSTILE, destinations=(HOSTILE,),
                subscription=SubscriptionView(state=Subscribed.BROKEN, reason=HOSTILE),
            )
        ]  # fmt: skip
        tale = story("e1", State.DEAD, broadcaster_name=HOSTILE)
        [one] = tale.deliveries
        tried = evolve(one.attempts[0], detail=HOSTILE, reason=HOSTILE, response=HOSTILE)
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
        self.assertGreater(sum(visible(HOSTILE) in each for each in found.texts), 8)
        self.assertEqual(found.isolated.count(visible(HOSTILE)), sum(visible(HOSTILE) == each for each in found.texts))
        self.assertNotRegex(self.ask()[1], "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")

    def test_half_a_character(self) -> None:
        """
        A text that has no form in UTF-8 is shown as an escape.
        """
        self.house.streamers = [streamer(name="a\ud800b")]
        self.assertIn("a\\ud800b", "".join(self.outline().texts))

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
        self.assertIn("No configured streamer matches.", found.texts)

    def test_paging(self) -> None:
        """
        A timeline that goes on leads to what is older, and back to the latest, with all that is looked for; each is a
        link, so that it works without scripts.
        """
        self.house.goes_on = (1.5, "x")
        [older] = [
            each["href"] or "" for each in self.outline("/?query=a&state=dead").find("a") if "cursor" in str(each)
        ]
        self.assertTrue(older.startswith("/?state=dead&query=a&cursor=") and older.endswith("#timeline"), older)
        found = self.outline(older.partition("#")[0])
        self.assertIn(((1.5, "x"), 20, HistoryFilter(states=(State.DEAD,))), self.house.asked)
        self.assertTrue(found.find("a", href="/?state=dead&query=a#timeline"))
        self.house.asked.clear()
        for wrong in ("x", "%00", "é", write_cursor("streamers", (1,))):
            self.outline(f"/?cursor={wrong}")
            self.assertIn((None, 20, EVERYTHING), self.house.asked)

    def test_filters(self) -> None:
        """
        The timeline is asked for what the form says, which is shown again; a state that there is not is none. JSON is
        linked to with the very same filters and place.
        """
        house = self.house
        house.stories, house.goes_on = [story("e1", State.DEAD)], (1.5, "x")
        query = "streamer=%22%3Ek%C3%A9y&destination=streamers.tanuki&state=undelivered"
        found = self.outline(f"/?{query}&cursor={write_cursor('events', (2.5, 'y'))}")
        chosen = HistoryFilter(states=UNDELIVERED, destination="streamers.tanuki", streamer='">k\u00e9y')
        asked = ((2.5, "y"), 20, chosen)
        self.assertIn(asked, house.asked)
        self.assertEqual(found.find("input", id="by-streamer")[0]["value"], '">k\u00e9y')
        self.assertEqual(found.find("input", id="by-destination")[0]["value"], "streamers.tanuki")
        self.assertTrue(found.find("option", value="undelivered", selected=None) and found.find("option", value="dead"))
        [json] = [each["href"] or "" for each in found.find("a", **{"aria-label": "Timeline as JSON"})]
        house.asked.clear()
        StubTreq(ApiResource(house.sources())).get(f"http://localhost{json}")
        self.assertEqual(house.asked, [asked])
        house.asked.clear()
        self.outline("/?state=gone&streamer=%00&destination=+")
        self.assertIn((None, 20, EVERYTHING), house.asked)

    def test_the_same_as_json(self) -> None:
        """
        Each part of the page has a link to the same as JSON, with as many and the same filters, and each is answered.
        """
        self.house.stories = [story("e1", State.DEAD), story("e2", State.EXPIRED), story("e3", State.PENDING)]
        found = self.outline("/?query=tanu")
        links = {each["aria-label"]: each["href"] or "" for each in found.find("a", **{"class": "json"})}
        self.assertEqual(len(links), len(found.find("section")))
        api = StubTreq(ApiResource(self.house.sources()))
        answers = {}
        for name, link in links.items():
            answer = self.successResultOf(api.get(f"http://localhost{link}"))
            self.assertEqual(answer.code, 200, link)
            answers[name] = self.successResultOf(answer.json())
        self.assertEqual([each["id"] for each in answers["Undelivered as JSON"]["items"]], ["e1-1", "e2-1"])
        self.assertEqual([each["id"] for each in answers["In progress as JSON"]["items"]], ["e3-1"])
        self.assertEqual(len(answers["The last hours as JSON"]), 12)
        self.assertIn("query=tanu", links["Streamers as JSON"])

    def test_what_needs_action_comes_first(self) -> None:
        """
        In the document, and so on a phone, what ended undelivered and what waits stand before the charts and the lists.
        """
        self.house.stories = [story("e1", State.EXPIRED), story("e2", State.PENDING)]
        self.house.reasons = [ReasonView(check="twitch", reason="away", grave=False)]
        places = [each["id"] for _, each in self.outline().tags if "id" in each]
        order = ("alarm", "undelivered", "waiting", "history", "streamers", "timeline", "destinations")
        self.assertEqual([each for each in places if each in order], list(order))

    def test_undelivered_is_one_notion(self) -> None:
        """
        The dead and the expired are one list with one count and the same button, and while there are any the page does
        not call itself healthy in green.
        """
        self.house.stories = [story("e1", State.DEAD), story("e2", State.EXPIRED), story("e3", State.CANCELLED)]
        found = self.outline()
        self.assertEqual(len(found.find("form", action="/actions/retry")), 2)
        self.assertIn((None, 20, HistoryFilter(states=UNDELIVERED)), self.house.asked)
        self.assertIn("healthy, 2 undelivered", found.texts)
        self.assertTrue(found.find("span", **{"class": "badge warn"}))
        self.assertTrue(found.find("a", href="#undelivered"))
        self.house.stories = [story("e1")]
        found = self.outline()
        self.assertEqual((found.find("section", id="undelivered"), "healthy" in found.texts), ([], True))

    def test_what_is_suspended(self) -> None:
        """
        What waits for a destination that is not configured any more is said to be suspended, without a next attempt.
        """
        self.house.stories = [story("e1", State.PENDING)]
        self.assertNotIn("suspended", self.outline().texts)
        del self.house.signings["streamers.tanuki"]
        self.assertIn("suspended", self.outline().texts)

    def test_more_than_are_shown(self) -> None:
        """
        Of a long list some are shown, how many there are is said, and a link leads to all of them.
        """
        self.house.stories = [story(f"e{number}", State.EXPIRED) for number in range(30)]
        found = self.outline()
        self.assertIn("20 of 30", found.texts)
        self.assertTrue(found.find("a", href="/?state=undelivered#timeline"))

    def test_the_receivers_own_words(self) -> None:
        """
        Beside what was not delivered, and beside a destination that failed, the beginning of the answer is quoted: 200
        characters, in one line, with what cannot be seen as escapes.
        """
        tale = story("e1", State.DEAD)
        [one] = tale.deliveries
        words = "no <b>tea</b>\x1b[2J\u202e" + "x" * 300
        tried = evolve(one.attempts[0], response=words)
        self.house.stories = [evolve(tale, deliveries=(evolve(one, attempts=(tried,)),))]
        found = self.outline()
        quoted = visible(f"{words[:200]}\u2026")
        self.assertEqual(found.texts.count(quoted), 2)
        self.assertIn("out of tea", found.isolated)

    def test_an_unknown_login(self) -> None:
        """
        A login that Twitch does not know is said to be one, with what to do; it is no channel to link to.
        """
        state = SubscriptionView(state=Subscribed.UNKNOWN_LOGIN, reason="no such user; correct the login")
        self.house.streamers = [streamer("nobodi", live=None, user_id="", subscription=state)]
        found = self.outline()
        self.assertTrue(found.find("span", **{"class": "badge bad"}))
        self.assertIn("unknown login", found.texts)
        self.assertIn("no such user; correct the login", "".join(found.texts))
        self.assertFalse([each for each in found.find("a") if "nobodi" in (each["href"] or "")])

    def test_what_else_is_lacking(self) -> None:
        """
        A streamer whose starts arrive is subscribed; which other events do not is said beside that, in the numbers too.
        """
        lacking = "no working subscription for stream.offline: there is no subscription"
        state = SubscriptionView(state=Subscribed.ENABLED, reason=lacking)
        self.house.streamers = [streamer(subscription=state)]
        found = self.outline()
        self.assertIn("subscribed", found.texts)
        self.assertIn(lacking, found.isolated)

    def test_the_channel(self) -> None:
        """
        A name leads to the channel at Twitch, if its login is one that Twitch can have.
        """
        self.house.streamers = [streamer(login="Tanu_ki1"), streamer("b", login='../x"><b>'), streamer("c", login="")]
        self.house.stories = [story(broadcaster_login="kitsune")]
        links = [each["href"] or "" for each in self.outline().find("a") if "twitch.tv" in (each["href"] or "")]
        self.assertEqual(links, ["https://www.twitch.tv/tanu_ki1", "https://www.twitch.tv/kitsune"])

    def test_nothing_yet(self) -> None:
        """
        Where there is nothing, that is said.
        """
        self.house.streamers, self.house.stories = [], []
        text = " ".join(self.outline().texts)
        for words in ("No streamer is configured.", "No streamer has gone live yet."):
            self.assertIn(words, text)
        self.assertNotIn("In progress Cancel", text)

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
        self.assertNotIn("Log out", self.outline().texts)
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
        for what, words in (
            ("retry", "is requeued"),
            ("resend", "is resent as"),
            ("cancel", "is cancelled"),
            ("test", "the receiver answered"),
        ):
            status, content = self.press(what, "e1-1")
            self.assertEqual(status, 200)
            self.assertIn(words, content)
        self.assertEqual(self.house.orders, [(what, "e1-1") for what in ACTIONS])

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
        Whatever is put into an element, it is one element with one text and one value, and nothing in it is hidden.
        """
        written: Callable[[str], Markup] = lambda text: el("b", text, title=value)  # noqa: E731
        found = Outline(written(inside))
        self.assertEqual([tag for tag, _ in found.tags], ["b"])
        self.assertEqual(("".join(found.texts), found.tags[0][1]["title"]), (visible(inside), visible(value)))

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

    @given(st.integers(0, 10**9), st.floats(0, 1e7))
    def test_scales(self, most: int, slowest: float) -> None:
        """
        A scale of counts ends at a round number with a whole half, not much above the highest; one of times at a power
        of ten, with one in the middle.
        """
        end = top(most)
        self.assertTrue(end >= most and end % 2 == 0 and (end <= 2 * most or end == 2), (end, most))
        self.assertEqual(int(str(end).rstrip("0")) in (1, 2, 4, 6), True)
        low, high = decades(slowest)
        self.assertTrue(10**high >= slowest * 0.999999 and (high - low) % 2 == 0 and high > low)

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
        What the bars show is said above them, for those who hear it in one sentence each, of each bar when somebody
        points at it, and in a table; nothing of it takes colours.
        """
        self.assertIn("Acceptance to delivery: none", chart([]))
        drawn = chart(House().series(3600))
        for words in (
            "66 delivered",
            "12 attempts failed",
            "median 1.1 s, 95% within 2.2 s lately",
            "03:55 UTC: 11 deliveries",
            "Deliveries in the last hour: at most 11 in five minutes, at 03:55 UTC",
            "Time from acceptance to delivery in the last hour: at most 2.2 s",
        ):
            self.assertIn(words, drawn)
        found = Outline(drawn)
        self.assertEqual(len(found.find("svg", role="img")), 3)
        cells = "|".join(found.texts)
        self.assertIn("From, UTC|Delivered|Failed attempts|Undelivered|Median|95th percentile", cells)
        self.assertIn("03:55|11|2|0|1.1 s|2.2 s", cells)
        self.assertEqual(len(found.find("th", scope="row")), 11)

    def test_values_on_the_axes(self) -> None:
        """
        Each drawing says what its highest, middle and lowest line stand for, and which times its ends are.
        """
        texts = Outline(chart(House().series(3600))).texts
        found = "|".join(each for each in texts if " UTC: " not in each)
        for axis in ("20|10|0|1 h ago|0.5 h ago|now", "2|1|0|1 h ago", "100 s|1 s|10 ms|1 h ago"):
            self.assertIn(axis, found)
        self.assertIn("03:05 UTC: 1 delivery", texts)


class DeliveryTests(PageCase):
    """
    One delivery, and what was sent and answered.
    """

    def test_payload_request_and_answer(self) -> None:
        """
        Its page has the payload, and for each attempt the request and the answer: what is secret or is not stored is
        named as such.
        """
        tale = story("e1", State.DEAD)
        [one] = tale.deliveries
        first = evolve(one.attempts[0], response="no <b>tea</b>\x1b", retry_after=1.5, status=503)
        second = evolve(first, status=None, response="", reason="timeout", started_at=1_767_323_099.9)
        self.house.stories = [evolve(tale, deliveries=(evolve(one, attempts=(first, second)),))]
        found = self.outline("/deliveries/e1-1")
        text = "".join(found.texts)
        for words in (
            "Delivery", "dead", "streamers.tanuki", "Cool_User", '"title": "Pottery"', "POST [redacted] HTTP/1.1",
            "Content-Type: application/json", "X-Hub-Signature-256: sha256=[not stored]", "webhook-id: e1",
            "webhook-timestamp: 1767323046", "webhook-timestamp: 1767323099", "webhook-signature: v1,[not stored]",
            "HTTP 503", "Retry-After: 1.5 s", "no <b>tea</b>\\x1b", "No response.", "current configuration",
            "Send again",
        ):  # fmt: skip
            self.assertIn(words, text)
        self.assertTrue(found.find("a", href="/api/v1/deliveries/e1-1"))
        del self.house.signings["streamers.tanuki"]
        text = "".join(self.outline("/deliveries/e1-1").texts)
        self.assertNotIn("webhook-signature", text)
        self.assertIn("How it was signed is not known", text)

    def test_what_it_does_with_its_post(self) -> None:
        """
        The page of a delivery, and its rows in the list and the timeline, name its action where there is a post.
        """
        tale = story("e1", State.DEAD)
        [one] = tale.deliveries
        posted = evolve(one.delivery, broadcast="e1", shown="x", action=Action.FOLLOW_UP)
        for delivery, count in ((posted, 2), (one.delivery, 0)):
            self.house.stories = [evolve(tale, deliveries=(evolve(one, delivery=delivery),))]
            self.assertEqual("".join(self.outline().texts).count("follow-up"), count)
            self.assertEqual("|".join(self.outline("/deliveries/e1-1").texts).count("|Action|follow-up|"), count // 2)

    def test_the_payload_is_what_was_sent(self) -> None:
        """
        Of a message whose plain form is stored beside it, the page shows the one that was sent.
        """
        tale = story("e1")
        [one] = tale.deliveries
        stored = b'{"body":{"content":"**Pottery**"},"plain":{"content":"Pottery"}}'
        for plain, words in ((False, "**Pottery**"), (True, "Pottery")):
            delivery = evolve(one.delivery, body=stored, plain=plain)
            self.house.stories = [evolve(tale, deliveries=(evolve(one, delivery=delivery),))]
            text = "".join(self.outline("/deliveries/e1-1").texts)
            self.assertIn(f'{{\n  "content": "{words}"\n}}', text)
        delivery = evolve(one.delivery, body=b'{"body":{"image":{"data":"UE5H"}},"plain":{}}')
        self.house.stories = [evolve(tale, deliveries=(evolve(one, delivery=delivery),))]
        self.assertNotIn("UE5H", "".join(self.outline("/deliveries/e1-1").texts))

    def test_every_state_has_a_colour(self) -> None:
        """
        The page shows a delivery in whatever state it is.
        """
        for state in State:
            self.house.stories = [story("e1", state)]
            for path in ("/", "/deliveries/e1-1"):
                self.assertIn(state.value, "".join(self.outline(path).texts))

    def test_what_can_be_done(self) -> None:
        """
        What is on its way can be cancelled, what ended undelivered and what what was delivered or cancelled can be sent
        again; what was filtered has no button.
        """
        for state, action in (
            (State.PENDING, "cancel"),
            (State.DEAD, "retry"),
            (State.EXPIRED, "retry"),
            (State.DELIVERED, "resend"),
            (State.FILTERED, None),
            (State.CANCELLED, "retry"),
        ):
            self.house.stories = [story("e1", state)]
            forms = [each["data-api"] for each in self.outline("/deliveries/e1-1").find("form")]
            self.assertEqual(forms, [f"/api/v1/deliveries/e1-1/{action}"] if action else [], state)

    def test_it_leads_there(self) -> None:
        """
        Every delivery on the page leads to its own.
        """
        self.house.stories = [story("e1", State.DEAD), story("e2")]
        links = [each["href"] for each in self.outline().find("a") if (each["href"] or "").startswith("/deliveries/")]
        self.assertEqual(links, ["/deliveries/e1-1", "/deliveries/e1-1", "/deliveries/e2-1"])

    def test_what_is_not_there(self) -> None:
        """
        What is not there is 404, a journal that cannot be read 503, another method 405; nothing is taken for markup.
        """
        status, content = self.ask("/deliveries/%3Cb%3E%1b")
        self.assertEqual(status, 404)
        self.assertIn("&lt;b&gt;\\x1b", content)
        self.assertEqual(self.ask("/deliveries/%ff")[0], 404)
        self.assertEqual(self.ask("/deliveries/e1-1", "POST")[0], 405)
        self.house.away = True
        self.assertEqual(self.ask("/deliveries/e1-1")[0], 503)

    def test_a_requeued_one(self) -> None:
        """
        The time at which an operator requeued a delivery, or sent it again, is not called that of its acceptance.
        """
        tale = story("e1", State.PENDING)
        [one] = tale.deliveries
        later = evolve(one, delivery=evolve(one.delivery, accepted_at=one.attempts[0].started_at + 60))
        labels = {"Accepted": one, "Requeued": later, "Sent again": evolve(one, resent=True)}
        for label, found in labels.items():
            self.house.stories = [evolve(tale, deliveries=(found,))]
            text = "|".join(self.outline("/deliveries/e1-1").texts)
            self.assertEqual([each for each in labels if f"{each}|2026-01-02 03:0" in text], [label])

    def test_before_anything_was_tried(self) -> None:
        """
        A delivery without a payload and without attempts says so.
        """
        tale = story("e1", State.ACCEPTED)
        [one] = tale.deliveries
        bare = evolve(one, delivery=evolve(one.delivery, body=b""), attempts=())
        self.house.stories = [evolve(tale, deliveries=(bare,))]
        text = "".join(self.outline("/deliveries/e1-1").texts)
        for words in ("No attempt yet.", "it was not built yet", "Cancel"):
            self.assertIn(words, text)
