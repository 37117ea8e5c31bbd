"""
The fake of Teams: what its flow accepts, and what becomes of it.
"""

from __future__ import annotations

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.fakes.adaptive_card import check_card, find_mentions
from itsjustintv.simulator.fakes.service import FakeAnswer
from itsjustintv.simulator.fakes.teams import SIZE_LIMIT, FakeTeams
from tests.judges.validators import card_problems, rendering_problems

NOW = 1_780_000_000.0
CARD_TYPE = "application/vnd.microsoft.card.adaptive"


def card(*body: Any, **more: Any) -> dict[str, Any]:
    """
    A card with these elements.
    """
    schema = "http://adaptivecards.io/schemas/adaptive-card.json"
    return {"$schema": schema, "type": "AdaptiveCard", "version": "1.4", "body": list(body), **more}


def message(content: Any) -> dict[str, Any]:
    """
    The message around a card.
    """
    attachment = {"contentType": CARD_TYPE, "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


TEXT = {"type": "TextBlock", "text": "Tanuki is live", "wrap": True, "size": "Large", "weight": "Bolder"}
PICTURE = {"type": "Image", "url": "https://static-cdn.example.net/preview.jpg", "altText": "preview"}
RICH = {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": "Pots!"}, "plain"]}
FACTS = {"type": "FactSet", "facts": [{"title": "Category", "value": "Art"}]}
OPEN = {"type": "Action.OpenUrl", "title": "Watch", "url": "https://www.twitch.tv/tanuki"}
COLUMNS = {
    "type": "ColumnSet",
    "columns": [{"type": "Column", "width": "auto", "items": [PICTURE]}, {"type": "Column", "items": [TEXT]}],
}
MENTION = {"type": "mention", "text": "<at>Mods</at>", "mentioned": {"id": "29:1", "name": "Mods"}}
SHOWN = [
    card(TEXT, RICH, PICTURE, FACTS, COLUMNS, actions=[OPEN]),
    card({"type": "Container", "items": [TEXT], "selectAction": OPEN}),
    card({"type": "ActionSet", "actions": [OPEN]}),
]
#: Each with the words that say what is wrong, and whether the schema of Adaptive Cards says so too.
HIDDEN = [
    (card({"type": "TextBlock"}), "TextBlock needs text", True),
    (card({"type": "Image"}), "Image needs url", True),
    (card({"type": "Banner", "text": "x"}), "unknown element 'Banner'", True),
    (card({"type": "RichTextBlock"}), "RichTextBlock needs inlines", True),
    (card({"type": "FactSet", "facts": [{"title": "x"}]}), "Fact needs value", True),
    (card({"type": "Container"}), "Container needs items", True),
    (card({**TEXT, "size": "huge"}), "'huge' is not one of its values", True),
    (card({**TEXT, "text": 1}), "wrong type", True),
    (card(TEXT, actions=[{"type": "Action.OpenUrl", "title": "x"}]), "Action.OpenUrl needs url", True),
    (card(TEXT, actions=[TEXT]), "unknown element 'TextBlock'", True),
    (card({"type": "Container", "items": [{"type": "Image"}]}), "card.body[0].items[0]: Image needs url", True),
    (card({**PICTURE, "url": "http://e.net/x.jpg"}), "not an address", False),
    ({"type": "AdaptiveCard", "body": [TEXT]}, "AdaptiveCard needs version", False),
    ({"version": "1.4", "body": [TEXT]}, "unknown element None", False),
    (card(TEXT, version="2.0"), "version 2.0 is not supported", False),
    (card(), "it is empty", False),
]


class CardTests(SynchronousTestCase):
    """
    The rules of cards.
    """

    def test_good_cards_are_shown(self) -> None:
        """
        A card of known elements with all that they need is shown.
        """
        for content in SHOWN:
            self.assertEqual(check_card(content), [])

    def test_bad_cards_are_not(self) -> None:
        """
        A card with an unknown element, or one that lacks what it needs, is not shown, and the place is named.
        """
        for content, problem, _ in HIDDEN:
            problems = check_card(content)
            self.assertEqual(len(problems), 1, problems)
            self.assertIn(problem, problems[0])
        for version, shown in {"1.0": True, "1.5": True, "1.6": False, "0.9": False, "x": False}.items():
            self.assertEqual(not check_card(card(TEXT, version=version)), shown, version)
        for junk in (None, [], "x", {}):
            self.assertIn("unknown element", check_card(junk)[0])

    def test_the_schema_agrees(self) -> None:
        """
        The published schema takes the same cards, and refuses those whose fault it knows.
        """
        self.assertEqual(card_problems(SHOWN), [""] * len(SHOWN))
        problems = card_problems([content for content, _, _ in HIDDEN])
        for problem, (_, words, known) in zip(problems, HIDDEN, strict=True):
            self.assertEqual(bool(problem), known, words)

    def test_the_renderer_agrees(self) -> None:
        """
        The renderer that Teams is built on parses what is shown here, and complains about unknown elements.
        """
        self.assertEqual(rendering_problems(SHOWN), [""] * len(SHOWN))
        (problem,) = rendering_problems([card({"type": "Banner", "text": "x"})])
        self.assertIn("Banner", problem)

    def test_only_entities_mention(self) -> None:
        """
        A mention needs an entity whose text stands in the card; ``<at>`` alone notifies nobody.
        """
        text = {**TEXT, "text": "<at>Mods</at> live"}
        entities = {"msteams": {"width": "Full", "entities": [MENTION]}}
        self.assertEqual(find_mentions(card(text)), ())
        self.assertEqual(find_mentions(card(text, **entities)), ("user:29:1",))
        self.assertEqual(find_mentions(card(TEXT, **entities)), ())
        self.assertEqual(check_card(card(text, **entities)), [])
        self.assertIn("its text is not in the card", check_card(card(TEXT, **entities))[0])
        facts = {"type": "FactSet", "facts": [{"title": "For", "value": "<at>Mods</at>"}]}
        self.assertEqual(find_mentions(card(facts, **entities)), ("user:29:1",))
        for odd in ("x", {**MENTION, "type": "other"}):
            self.assertEqual(find_mentions(card(text, msteams={"entities": [odd]})), ())
        broken = {"msteams": {"entities": [{**MENTION, "mentioned": {"id": "29:1"}}]}}
        self.assertIn("a mention needs", check_card(card(text, **broken))[0])


class TeamsTests(SynchronousTestCase):
    """
    A workflow.
    """

    def setUp(self) -> None:
        self.fake = FakeTeams()
        self.now = NOW

    def post(self, payload: Any, path: str = "") -> FakeAnswer:
        self.now += 1
        body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        return self.fake.handle("POST", path or self.fake.path, {}, body, self.now)

    def test_accepted_and_shown(self) -> None:
        """
        A good card is answered 202 without a body, and shown.
        """
        answer = self.post(message(SHOWN[0]))
        self.assertEqual((answer.status, answer.body), (202, b""))
        self.assertEqual(self.fake.messages, {"1": SHOWN[0]})
        self.assertIs(self.fake.runs[0].shown, True)

    def test_some_flows_answer_200(self) -> None:
        """
        A flow can answer 200, and can want the bare card.
        """
        self.fake.accepted = 200
        self.fake.wrapped = False
        self.assertEqual(self.post(SHOWN[0]).status, 200)
        self.assertEqual(list(self.fake.messages), ["1"])

    def test_accepted_and_not_shown(self) -> None:
        """
        Whatever parses is accepted; what is wrong with it appears in the run of the flow only.
        """
        payloads = {
            "foreach": {"type": "message"},
            "is of type 'Null'": [],
            "not 'message'": {**message(SHOWN[0]), "type": "text"},
            "exactly one attachment": {"type": "message", "attachments": []},
            "contentType": {"type": "message", "attachments": [{"contentType": "text/html", "content": "x"}]},
            "TextBlock needs text": message(card({"type": "TextBlock"})),
        }
        for reason, payload in payloads.items():
            self.assertEqual(self.post(payload).status, 202)
            self.assertIn(reason, self.fake.runs[-1].reason)
            self.assertIs(self.fake.runs[-1].shown, False)
        self.assertEqual(self.fake.messages, {})

    def test_what_does_not_parse_is_refused(self) -> None:
        """
        A body that is not JSON is a 400.
        """
        answer = self.post(b"{")
        self.assertEqual((answer.status, answer.json["error"]["code"]), (400, "InvalidRequestContent"))
        self.assertEqual(self.fake.runs, [])

    def test_the_size_is_limited(self) -> None:
        """
        A message of 28 KiB is accepted, one byte more is 413.
        """
        room = SIZE_LIMIT - len(orjson.dumps(message(card({**TEXT, "text": ""}))))
        self.assertEqual(self.post(message(card({**TEXT, "text": "x" * room}))).status, 202)
        self.assertEqual(self.post(message(card({**TEXT, "text": "x" * (room + 1)}))).status, 413)

    def test_four_requests_a_second(self) -> None:
        """
        The fifth request within a second is a 429, without a word about the wait.
        """
        statuses = []
        for _ in range(5):
            self.now -= 0.9
            statuses.append(self.post(message(SHOWN[0])).status)
        self.assertEqual(statuses, [202, 202, 202, 202, 429])
        self.assertEqual(self.fake.history[-1].answer.header("retry-after"), "")
        self.now = NOW + 1
        self.assertEqual(self.post(message(SHOWN[0])).status, 202)

    def test_the_address_is_the_secret(self) -> None:
        """
        A wrong signature is 401, an unknown, deleted or disabled workflow 404.
        """
        self.assertEqual(self.post({}, self.fake.path + "x").status, 401)
        self.assertEqual(self.post({}, "/workflows/other/triggers/manual/paths/invoke?sig=fake-signature").status, 404)
        for state in ("deleted", "disabled"):
            self.fake.state = state
            self.assertEqual(self.post({}).status, 404)

    def test_old_connectors_hide_errors(self) -> None:
        """
        A connector of old answers 200 whatever happens, and says in its text that it failed.
        """
        self.fake.connector = True
        self.assertEqual(self.post(message(SHOWN[0])).body, b"1")
        answer = self.post(b" " * (SIZE_LIMIT + 1))
        self.assertEqual(answer.status, 200)
        self.assertIn(b"returned HTTP error 413", answer.body)

    def test_mentions_ping(self) -> None:
        """
        A mention by the entities of a card notifies.
        """
        text = {**TEXT, "text": "<at>Mods</at> live"}
        self.post(message(card(text, msteams={"entities": [MENTION]})))
        self.assertEqual(self.fake.pinged("1"), ["user:29:1"])
