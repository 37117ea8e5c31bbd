"""
Tests of :mod:`itsjustintv.admin.api`, :mod:`itsjustintv.admin.endpoints` and :mod:`itsjustintv.admin.api`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from attrs import fields
from jsonschema_rs import Draft202012Validator
from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from itsjustintv.admin.api import ApiResource, openapi
from itsjustintv.admin.endpoints import OPERATIONS, write_cursor
from itsjustintv.admin.views import AccountingView
from itsjustintv.journal.history import EVERYTHING, HistoryFilter
from itsjustintv.model import UNDELIVERED, Accounting, State
from tests.admin.values import HOSTILE, House, story
from tests.documents import ROOT


class ApiCase(SynchronousTestCase):
    """
    An API in front of a house.
    """

    def setUp(self) -> None:
        self.house = House()
        self.resource = ApiResource(self.house.sources())
        self.treq = StubTreq(self.resource)
        self.document: Any = json.loads(json.dumps(openapi()))

    def ask(self, path: str, method: str = "GET") -> tuple[int, Any]:
        """
        Ask for something below the root of the API.
        """
        answer = self.successResultOf(self.treq.request(method, f"http://localhost/api/v1{path}"))
        self.headers = answer.headers
        body = self.successResultOf(answer.content())
        return answer.code, json.loads(body) if body else None

    def hold(self, status: int, answer: Any, path: str, method: str) -> None:
        """
        Hold an answer to what the document says.
        """
        operation = self.document["paths"][path][method.lower()]
        [content] = operation["responses"][str(status)]["content"].values()
        whole = {**content["schema"], "components": self.document["components"]}
        Draft202012Validator(whole).validate(answer)


class DocumentTests(ApiCase):
    """
    The document says what is so.
    """

    def test_every_answer_is_as_it_says(self) -> None:
        """
        Each operation answers as the document has it, and leaves out nothing that it requires.
        """
        self.house.stories = [story("e1", State.DEAD), story("e2", State.PENDING), story("e3")]
        for each in OPERATIONS:
            path = each.path.replace("{id}", "e1" if "events" in each.path else "e1-1").replace("{name}", "a")
            status, answer = self.ask(path, each.method)
            self.assertEqual(status, 200, (path, answer))
            self.hold(200, answer, each.path, each.method)

    def test_every_refusal_is_as_it_says(self) -> None:
        """
        Each refusal is a problem that the document lists for the operation.
        """
        for path, method, status, pattern in (
            ("/deliveries?limit=0", "GET", 400, "/deliveries"),
            ("/deliveries?state=gone", "GET", 400, "/deliveries"),
            ("/deliveries?cursor=none", "GET", 404, "/deliveries"),
            ("/deliveries/nothing", "GET", 404, "/deliveries/{id}"),
            ("/events/nothing", "GET", 404, "/events/{id}"),
            ("/deliveries/nothing/retry", "POST", 404, "/deliveries/{id}/retry"),
            ("/deliveries/busy/cancel", "POST", 409, "/deliveries/{id}/cancel"),
            ("/destinations/busy/test", "POST", 409, "/destinations/{name}/test"),
        ):
            found, answer = self.ask(path, method)
            self.assertEqual((found, answer["status"]), (status, status), path)
            self.assertEqual(self.headers.getRawHeaders("Content-Type"), ["application/problem+json"])
            self.hold(status, answer, pattern, method)
        self.house.away = True
        for path in ("/status", "/events", "/deliveries"):
            status, answer = self.ask(path)
            self.assertEqual((status, answer["detail"]), (503, "the disk is full"))
            self.hold(503, answer, path, "GET")

    def test_every_field_is_explained(self) -> None:
        """
        Every field of every answer has a word of what it is, unless it is an object of its own.
        """
        silent = [
            f"{name}.{key}"
            for name, schema in self.document["components"]["schemas"].items()
            for key, value in schema["properties"].items()
            if "description" not in value and "$ref" not in value
        ]
        self.assertEqual(silent, [])

    def test_every_state_is_counted(self) -> None:
        """
        The status has a number for each state that the journal counts.
        """
        counted = {each.name for each in fields(Accounting)}
        self.assertEqual({each.name for each in fields(AccountingView)}, counted | {"imbalance"})

    def test_the_page_about_it_names_everything(self) -> None:
        """
        docs/admin.md names every operation, and no other.
        """
        text = (ROOT / "docs" / "admin.md").read_text(encoding="utf-8")
        named = set(re.findall(r"`((?:GET|POST) /[^`]+)`", text))
        there = {f"{each.method} {each.path.replace('{id}', 'ID').replace('{name}', 'NAME')}" for each in OPERATIONS}
        self.assertEqual(named, there)

    def test_it_can_be_read(self) -> None:
        """
        The document is part of the API, and can only be read.
        """
        self.assertEqual(self.ask("/openapi.json"), (200, self.document))
        self.assertEqual(self.ask("/openapi.json", "POST")[0], 405)


class RequestTests(ApiCase):
    """
    What is asked for, and how.
    """

    def test_lists_go_on(self) -> None:
        """
        What a list says as next is where it goes on, with all its filters.
        """
        for path, place, shown in (
            ("/events", (1000.5, "e1"), ((1000.5, "e1"), 50, EVERYTHING)),
            (
                "/events?state=undelivered&destination=a&streamer=b",
                (1000.5, "e1"),
                ((1000.5, "e1"), 50, HistoryFilter(states=UNDELIVERED, destination="a", streamer="b")),
            ),
            ("/deliveries", (17,), ((17,), 50, EVERYTHING)),
            ("/deliveries?state=dead&limit=7", (2000.0, 3), ((2000.0, 3), 7, HistoryFilter(states=(State.DEAD,)))),
            ("/deliveries?state=undelivered", (2000.0, 3), ((2000.0, 3), 50, HistoryFilter(states=UNDELIVERED))),
            ("/deliveries?state=accepted", (1.0, "x"), ((1.0, "x"), 50, HistoryFilter(states=(State.ACCEPTED,)))),
            (
                "/deliveries?state=pending&destination=streamers.tanuk%C3%AD&streamer=a",
                ("a", 1.5, "x"),
                (
                    ("a", 1.5, "x"),
                    50,
                    HistoryFilter(states=(State.PENDING,), destination="streamers.tanuk\u00ed", streamer="a"),
                ),
            ),
        ):
            self.house.goes_on = place  # type: ignore[assignment]
            _, page = self.ask(path)
            self.house.goes_on = None
            _, last = self.ask(f"{path}{'&' if '?' in path else '?'}cursor={page['next']}")
            self.assertEqual(self.house.asked[-1], shown)
            self.assertIsNone(last["next"])

    def test_streamers_go_on(self) -> None:
        """
        Streamers and destinations are read in parts too.
        """
        self.house.streamers *= 3
        found, path = [], "/streamers?limit=2"
        while path:
            _, page = self.ask(path)
            found.append(len(page["items"]))
            path = f"/streamers?limit=2&cursor={page['next']}" if page["next"] else ""
        self.assertEqual(found, [2, 1])
        _, page = self.ask("/destinations?limit=1")
        _, last = self.ask(f"/destinations?limit=2&cursor={page['next']}")
        names = [each["name"] for each in (*page["items"], *last["items"])]
        self.assertEqual((names, last["next"]), (["streamers.tanuki", "main", "global_webhook"], None))
        self.assertEqual(self.ask("/streamers?query=nobody")[1], {"items": [], "next": None})
        for wrong in (-1, 1.5, 1 << 63):
            self.assertEqual(self.ask(f"/streamers?cursor={write_cursor('streamers', (wrong,))}")[0], 404)

    def test_the_cursor_of_another_list(self) -> None:
        """
        A cursor counts for the list that has given it, with the same state.
        """
        for wrong in (
            write_cursor("events", (1.0, "x")),
            write_cursor("dead", (1.0, 2)),
            write_cursor("all", (1.0, 2)),
            write_cursor("all", ("x",)),
            write_cursor("all", ()),
            write_cursor("all", (1 << 63,)),
            "",
            "AAAA",
            "%C3%A9",
            "e30",
            write_cursor("all", (True,)),
        ):
            self.assertEqual(self.ask(f"/deliveries?cursor={wrong}")[0], 404, wrong)

    def test_parameters(self) -> None:
        """
        A parameter that nobody knows, that is given twice, or that is not what it must be, is named.
        """
        for query, name in (
            ("limit=201", "limit"),
            ("limit=", "limit"),
            ("limit=1.0", "limit"),
            ("limit=%D9%A1", "limit"),
            ("limit=1&limit=2", "limit"),
            ("what=1", "what"),
            (f"streamer={'a' * 201}", "streamer"),
            ("streamer=a%00", "streamer"),
            ("streamer=%FF", "the URL"),
            ("&".join(["limit=1"] * 60), "the URL"),
        ):
            status, answer = self.ask(f"/deliveries?{query}")
            self.assertEqual((status, answer["detail"].partition(":")[0]), (400, name), query)

    def test_names_in_a_path(self) -> None:
        """
        A name in a path may hold anything, percent-encoded, a slash and a question mark too.
        """
        self.assertEqual(self.ask("/destinations/streamers.%C3%A4%2F%3F/test", "POST")[0], 200)
        self.assertEqual(self.house.orders, [("test", "streamers.\u00e4/?")])
        self.assertEqual(self.ask("/destinations/%FF/test", "POST")[0], 400)

    def test_methods(self) -> None:
        """
        Each path is asked with its method; HEAD is GET without a body, and does nothing that POST does.
        """
        status, answer = self.ask("/status", "HEAD")
        self.assertEqual((status, answer), (200, None))
        for path, method, allowed in (
            ("/status", "POST", "GET, HEAD"),
            ("/deliveries/x/retry", "GET", "POST"),
            ("/deliveries/x", "DELETE", "GET, HEAD"),
        ):
            self.assertEqual(self.ask(path, method)[0], 405)
            self.assertEqual(self.headers.getRawHeaders("Allow"), [allowed])
        self.assertEqual(self.house.orders, [])
        for path in ("", "/", "/nothing", "/status/", "//status", "/deliveries/x/y/z"):
            self.assertEqual(self.ask(path)[0], 404, path)

    def test_orders(self) -> None:
        """
        An order is carried out, and answered with how things stand.
        """
        self.assertEqual(self.ask("/deliveries/e1-1/retry", "POST")[1]["id"], "e1-1")
        self.assertEqual(self.ask("/deliveries/e1-1/resend", "POST")[1]["id"], "e1-1")
        self.assertEqual(self.ask("/deliveries/e1-1/cancel", "POST")[1]["id"], "e1-1")
        self.assertEqual(self.ask("/destinations/a/test", "POST")[1]["ok"], True)
        self.assertEqual(self.ask("/destinations/a/test?event=update", "POST")[1]["ok"], True)
        self.assertEqual(self.house.orders[-1], ("test of update", "a"))
        self.assertEqual(self.ask("/destinations/a/test?event=lunch", "POST")[0], 400)
        orders = [("retry", "e1-1"), ("resend", "e1-1"), ("cancel", "e1-1"), ("test", "a"), ("test of update", "a")]
        self.assertEqual(self.house.orders, orders)

    def test_payloads_are_for_those_who_ask(self) -> None:
        """
        The payload is told of one delivery or one event, and in no list.
        """
        self.assertEqual(self.ask("/deliveries/e1-1")[1]["payload"]["stream"]["title"], "Pottery")
        self.assertIsNone(self.ask("/deliveries/e1-1")[1]["action"])
        self.assertEqual(self.ask("/events/e1")[1]["deliveries"][0]["payload"]["stream"]["title"], "Pottery")
        self.assertIsNone(self.ask("/events")[1]["items"][0]["deliveries"][0]["payload"])

    def test_requests_are_for_those_who_ask(self) -> None:
        """
        What was sent in each attempt is told of one delivery or one event, and in no list.
        """
        for path in ("/deliveries/e1-1", "/events/e1"):
            found = self.ask(path)[1]
            request = (found.get("tries") or found["deliveries"][0]["tries"])[0]["request"]
            self.assertEqual((request["method"], request["target"]), ("POST", "[redacted]"))
            self.assertIn({"name": "webhook-id", "value": "e1"}, request["headers"])
        for path in ("/deliveries", "/events"):
            [found] = self.ask(path)[1]["items"]
            self.assertIsNone((found.get("tries") or found["deliveries"][0]["tries"])[0]["request"])

    def test_what_a_streamer_says(self) -> None:
        """
        Texts are told as they are: JSON has no markup. What would steer a terminal is written as an escape.
        """
        self.house.stories = [story(broadcaster_name=HOSTILE)]
        self.assertEqual(self.ask("/events")[1]["items"][0]["name"], HOSTILE)
        answer = self.successResultOf(self.treq.get("http://localhost/api/v1/events"))
        text = self.successResultOf(answer.text())
        self.assertIn(r"\u202e\u001b[2J\u0085", text)
        self.assertNotRegex(text, "[\x00-\x1f\x7f-\x9f\u202e]")

    def test_a_defect(self) -> None:
        """
        A defect of ours is a problem as well, and in the log; nobody learns of it more than that.
        """
        self.house.goes_on = (object(),)  # type: ignore[assignment]
        status, answer = self.ask("/events")
        self.assertEqual((status, answer["detail"]), (500, "internal error; see the log"))
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_somebody_hangs_up(self) -> None:
        """
        What is asked for somebody who hangs up is given up.
        """
        given_up: list[object] = []
        self.house.hold = Deferred(given_up.append)
        request: Any = DummyRequest([b"api", b"v1", b"status"])
        request.path = request.uri = b"/api/v1/status"
        self.resource.render(request)
        request.processingFailed(Failure(ConnectionDone()))
        self.assertEqual((len(given_up), request.written), (1, []))
