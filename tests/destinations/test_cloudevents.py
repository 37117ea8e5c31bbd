"""
Tests of :mod:`itsjustintv.destinations.cloudevents`.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from pathlib import Path
from time import time
from typing import Any
from unittest import SkipTest
from urllib.parse import unquote

import orjson
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Verifier
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.destinations.cloudevents import CLOUDEVENTS, Settings
from itsjustintv.destinations.kinds import KINDS, open_destination
from itsjustintv.destinations.payload import build_payload
from itsjustintv.model import (
    CHANNEL_UPDATE,
    STREAM_OFFLINE,
    Delivery,
    Destination,
    Event,
    Notice,
    OutgoingRequest,
    Verdict,
)
from itsjustintv.support.http_response import Response
from tests.destinations.test_payload import BARE, EVENT, FULL, PICTURE, TEXT

try:
    from cloudevents.core.bindings.http import HTTPMessage, from_http_event
except ImportError:  # pragma: no cover - an independent implementation, which need not be installed
    from_http_event = None

#: What is sent, to the byte.
GOLDEN = Path(__file__).parent.parent / "data" / "cloudevents" / "requests.json"

URL = "https://events.example.org/in"
SECRET = "whsec_" + b64encode(b"k" * 32).decode()
NOW = 1_767_326_402.75

WITHOUT_START: dict[str, Any] = {"stream_id": "", "type": "", "started_at": ""}
OFFLINE = evolve(EVENT, id="e-off", event_type=STREAM_OFFLINE, occurred_at=1767333600.5, **WITHOUT_START)
UPDATE = evolve(
    EVENT,
    id="e-up",
    event_type=CHANNEL_UPDATE,
    occurred_at=1767330000.25,
    title="Glazing",
    category_id="509660",
    category="Art",
    language="de",
    **WITHOUT_START,
)

NOTICES = {
    "online": FULL,
    "recovered": evolve(BARE, event=evolve(EVENT, recovered=True)),
    "offline": evolve(FULL, event=OFFLINE),
    "update": evolve(FULL, event=UPDATE),
    "test": evolve(BARE, test=True),
}


def request_of(notice: Notice, now: float = NOW, **settings: Any) -> OutgoingRequest:
    """
    The request of a first attempt.
    """
    adapter = open_destination(destination(**settings))
    delivery = Delivery(
        id=f"{notice.event.id}-1",
        event_id=notice.event.id,
        streamer="tanuki",
        destination="bus",
        accepted_at=0.0,
        next_attempt_at=0.0,
        body=adapter.render(notice),
        picture=PICTURE.data,
    )
    return adapter.make_request(delivery, now)


def destination(**settings: Any) -> Destination:
    """
    A destination of this kind.
    """
    return Destination(name="bus", url=URL, kind="cloudevents", settings=Settings(url=URL, **settings))


def read(request: OutgoingRequest) -> Any:
    """
    Read a request with an implementation that is not ours, which also checks it.

    :raises SkipTest: it is not installed, unless ``ITSJUSTINTV_REQUIRE_TOOLS`` lists it.
    """
    if from_http_event is None:
        if "cloudevents" in os.environ.get("ITSJUSTINTV_REQUIRE_TOOLS", "").split():
            raise AssertionError("cloudevents is not installed, and this run must not do without it")
        raise SkipTest("cloudevents is not installed")
    return from_http_event(HTTPMessage(dict(request.headers), request.body))


class RequestTests(SynchronousTestCase):
    """
    What is sent.
    """

    def test_golden(self) -> None:
        """
        Every event in each mode, to the byte.
        """
        golden = json.loads(GOLDEN.read_text(encoding="ascii"))
        self.assertEqual({*golden}, {f"{name} {mode}" for name in NOTICES for mode in ("structured", "binary")})
        for key, expected in golden.items():
            name, mode = key.split()
            with self.subTest(key):
                request = request_of(NOTICES[name], mode=mode)
                self.assertEqual((request.method, request.url), ("POST", URL))
                headers = [[name, value] for name, value in request.headers if name != "User-Agent"]
                self.assertEqual({"headers": headers, "body": request.body.decode()}, expected)

    def test_read_by_others(self) -> None:
        """
        An implementation that is not ours reads the same from both modes.
        """
        for name, notice in NOTICES.items():
            structured, binary = (read(request_of(notice, mode=mode)) for mode in ("structured", "binary"))
            with self.subTest(name):
                for event in (structured, binary):
                    self.assertEqual(event.get_id(), notice.event.id)
                    self.assertEqual(event.get_source(), "/twitch/channels/42")
                    self.assertEqual(event.get_type(), f"tv.itsjustintv.{notice.event.event_type}")
                    self.assertEqual(event.get_subject(), "tanuki")
                    self.assertEqual(event.get_datacontenttype(), "application/json")
                    self.assertEqual(event.get_data(), json.loads(build_payload(notice)))
                self.assertEqual(structured.get_time(), binary.get_time())
        self.assertEqual(read(request_of(NOTICES["online"])).get_time().isoformat(), "2026-01-02T04:00:00+00:00")
        self.assertEqual(
            read(request_of(NOTICES["offline"])).get_time().isoformat(), "2026-01-02T06:00:00.500000+00:00"
        )

    def test_picture(self) -> None:
        """
        The bytes of the picture are left out in both modes, its URL is not.
        """
        for mode in ("structured", "binary"):
            request = request_of(FULL, mode=mode)
            self.assertNotIn(b64encode(PICTURE.data or b""), request.body)
            self.assertIn(PICTURE.url.encode(), request.body)

    def test_mode_changes(self) -> None:
        """
        What is stored does not depend on the mode, so that a reload can change it.
        """
        stored = [open_destination(destination(mode=mode)).render(FULL) for mode in ("structured", "binary")]
        self.assertEqual(*stored)

    def test_signatures(self) -> None:
        """
        What is signed is the body that is sent, in both modes; a header and a token go along.
        """
        for mode in ("structured", "binary"):
            request = request_of(
                FULL, time(), mode=mode, secret=SECRET, signature="both", bearer_token="t0ken", headers=("X-Team: red",)
            )
            headers = dict(request.headers)
            Verifier(SECRET).verify(request.body, headers)
            self.assertTrue(headers["X-Hub-Signature-256"].startswith("sha256="))
            self.assertEqual((headers["Authorization"], headers["X-Team"]), ("Bearer t0ken", "red"))

    @given(TEXT, TEXT, TEXT, st.sampled_from([EVENT, OFFLINE, UPDATE]), st.sampled_from(["structured", "binary"]))
    def test_anything(self, login: str, name: str, text: str, event: Event, mode: str) -> None:
        """
        Whatever Twitch sends becomes an event whose headers can be sent and read.
        """
        told = evolve(
            event, broadcaster_login=login, broadcaster_name=name, broadcaster_id=text, started_at=text, title=text
        )
        request = request_of(evolve(BARE, event=told), mode=mode)
        headers = Headers()
        for each, value in request.headers:
            self.assertTrue(value.isascii() and value.isprintable(), value)
            headers.addRawHeader(each, value)
        content = orjson.loads(request.body)
        attributes = (
            content
            if mode == "structured"
            else {each.removeprefix("ce-"): unquote(value) for each, value in request.headers if each.startswith("ce-")}
        )
        self.assertEqual((attributes["specversion"], attributes["id"]), ("1.0", told.id))
        self.assertTrue(attributes["source"].startswith("/twitch/channels/"))
        self.assertTrue(attributes["time"].endswith("Z"))
        self.assertTrue(all(attributes.values()))
        if from_http_event is not None:
            self.assertEqual(read(request).get_id(), told.id)


class AnswerTests(SynchronousTestCase):
    """
    What an answer means.
    """

    def test_status(self) -> None:
        """
        410 ends the use of the address, 415 that of the event, and 429 says how long to wait; all else is tried again.
        """
        adapter = open_destination(destination())
        delivery = Delivery(
            id="e-1", event_id="e", streamer="s", destination="bus", accepted_at=0.0, next_attempt_at=0.0
        )
        for status, verdict, final, pause in (
            (200, Verdict.OK, False, 0.0),
            (202, Verdict.OK, False, 0.0),
            (204, Verdict.OK, False, 0.0),
            (302, Verdict.RETRY, False, 0.0),
            (400, Verdict.RETRY, False, 0.0),
            (410, Verdict.DESTINATION_GONE, True, 0.0),
            (415, Verdict.REJECTED, True, 0.0),
            (429, Verdict.PAUSE, False, 7.0),
            (503, Verdict.RETRY, False, 0.0),
        ):
            with self.subTest(status):
                result = adapter.interpret(Response(status, Headers({"Retry-After": ["7"]}), b""), delivery, 0.0)
                self.assertEqual((result.verdict, result.final, result.pause), (verdict, final, pause))
                self.assertEqual((result.ok, result.retry_after), (verdict is Verdict.OK, 7.0))
        for mode, other in (("structured", "binary"), ("binary", "structured")):
            refused = open_destination(destination(mode=mode)).interpret(Response(415, Headers(), b""), delivery, 0.0)
            expected = f'bus answered 415: it takes no events in the mode "{mode}"; set "{other}".'
            self.assertEqual(refused.detail, expected)
        self.assertIs(adapter.interpret(Response(429, Headers(), b""), delivery, 0.0).verdict, Verdict.RETRY)


class KindTests(SynchronousTestCase):
    """
    The row of the table.
    """

    def test_check(self) -> None:
        """
        The mode is checked, and what a webhook has as well.
        """
        self.assertEqual(list(CLOUDEVENTS.check(Settings(url=URL, mode="binary"))), [])
        wrong = Settings(url=URL, mode="batch", header="a b", headers=("ce-id: 1",))
        self.assertEqual({key for key, _ in CLOUDEVENTS.check(wrong)}, {"mode", "header", "headers"})

    def test_row(self) -> None:
        """
        It keeps no posts; a webhook at the same URL is another place.
        """
        self.assertFalse(KINDS["cloudevents"].keeps_posts)
        self.assertEqual(CLOUDEVENTS.place(Settings(url=URL)), (URL,))
