"""
Tests of :mod:`itsjustintv.destinations.webhook` and :mod:`itsjustintv.destinations.receiver`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from time import time

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from zope.interface.verify import verifyObject

import itsjustintv
from itsjustintv.destinations.kinds import KINDS, open_destination
from itsjustintv.destinations.payload import build_payload
from itsjustintv.destinations.webhook import WEBHOOK, Settings, Webhook
from itsjustintv.interfaces import IDestination
from itsjustintv.model import Delivery, Destination, Notice, OutgoingRequest, Streamer
from itsjustintv.support.http_response import Response
from itsjustintv.support.signatures import sign_hub
from tests.destinations.test_payload import BARE, EVENT, FULL, PICTURE

#: What was sent before there were other kinds, by this version's predecessor.
TODAY = Path(__file__).parent.parent / "data" / "webhook" / "today.json"

DELIVERY = Delivery(id="e-1", event_id="e", streamer="s", destination="home", accepted_at=0.0, next_attempt_at=0.0)
URL = "https://hooks.example.org/a?b=c"
NOW = 1_767_326_402.75


def standard(letter: bytes) -> str:
    """
    A secret of Standard Webhooks.
    """
    return "whsec_" + b64encode(letter * 32).decode()


NEW, OLD = standard(b"k"), standard(b"o")

NOTICES = {
    "full": FULL,
    "bare": BARE,
    "recovered": evolve(FULL, event=evolve(EVENT, recovered=True, type="rerun")),
    "test": evolve(BARE, test=True),
    "odd": evolve(
        BARE,
        event=evolve(EVENT, broadcaster_name="\ud83d <b>@everyone", broadcaster_login=""),
        streamer=Streamer(key="k", login="tanuki"),
    ),
}

DESTINATIONS = {
    "plain": Destination(name="d", url="https://example.org/a?b=c"),
    "hub": Destination(name="d", url="https://example.org/a", secret="secret", header="X-Signature", hashing="sha512"),
    "standard": Destination(name="d", url="https://example.org/a", secret=NEW, signature="standard"),
    "both": Destination(name="d", url="https://example.org/a", secret=NEW, signature="both", hashing="sha1"),
}


def named(destination: Destination) -> Destination:
    """
    The same with its keys in ``[destinations.NAME]``.
    """
    settings = Settings(
        url=destination.url,
        secret=destination.secret,
        header=destination.header,
        hashing=destination.hashing.upper().replace("SHA", "SHA-"),
        signature=destination.signature,
    )
    return evolve(Destination(name="d", url=destination.url), settings=settings)


def request_of(
    destination: Destination, notice: Notice, picture: bytes | None = None, now: float = NOW
) -> OutgoingRequest:
    """
    The request of a first attempt.
    """
    adapter = open_destination(destination)
    delivery = evolve(DELIVERY, event_id=notice.event.id, body=adapter.render(notice), picture=picture)
    return adapter.make_request(delivery, now)


def sent(**settings: object) -> dict[str, str]:
    """
    The headers that a receiver with these settings gets, by name.
    """
    configured = Settings(**{"url": URL, **settings})  # type: ignore[arg-type]
    request = request_of(Destination(name="home", url=URL, settings=configured), BARE)
    headers = dict(request.headers)
    assert len(headers) == len(request.headers)
    return headers


class TodayTests(SynchronousTestCase):
    """
    The keys of a streamer and of ``[global_webhook]``.
    """

    def test_golden(self) -> None:
        """
        Every byte and every header is what it was before there were other kinds; also for a named destination with the
        same keys.
        """
        for each in json.loads(TODAY.read_text(encoding="ascii")):
            notice, destination = NOTICES[each["notice"]], DESTINATIONS[each["destination"]]
            for where in (destination, named(destination)):
                with self.subTest(
                    notice=each["notice"], destination=each["destination"], named=where is not destination
                ):
                    request = request_of(where, notice, PICTURE.data if each["notice"] == "full" else None)
                    self.assertEqual(open_destination(where).render(notice).decode(), each["stored"])
                    self.assertEqual(request.body.decode(), each["sent"])
                    self.assertEqual((request.method, request.url), (each["method"], each["url"]))
                    headers = [
                        [name, value.replace(itsjustintv.__version__, "VERSION")] for name, value in request.headers
                    ]
                    self.assertEqual(headers, each["headers"])


class ReceiverTests(SynchronousTestCase):
    """
    What named destinations can do besides.
    """

    def test_headers(self) -> None:
        """
        Headers of the receiver's own and a bearer token come after the others.
        """
        configured = Settings(url=URL, secret="s", bearer_token="t0ken", headers=("X-Team: red, blue", "Cookie:a=b"))
        request = request_of(Destination(name="home", url=URL, settings=configured), BARE)
        self.assertEqual(
            request.headers[3:], [("Authorization", "Bearer t0ken"), ("X-Team", "red, blue"), ("Cookie", "a=b")]
        )

    def test_hidden(self) -> None:
        """
        No secret is in a representation.
        """
        shown = repr(Settings(url=URL, secret="s3", old_secret="o1d", bearer_token="t0ken", headers=("X-A: h1dden",)))
        for secret in ("hooks.example", "s3", "o1d", "t0ken", "h1dden"):
            self.assertNotIn(secret, shown)

    def test_rotation(self) -> None:
        """
        While a secret is replaced, a receiver verifies with the new one or with the old one, by the library of Standard
        Webhooks; and with no third one.
        """
        headers = sent(secret=NEW, old_secret=OLD, signature="standard")
        self.assertEqual(len(headers["webhook-signature"].split(" ")), 2)
        configured = Settings(url=URL, secret=NEW, old_secret=OLD, signature="standard")
        # The library compares with its own clock.
        request = request_of(Destination(name="home", url=URL, settings=configured), BARE, now=time())
        given = dict(request.headers)
        for secret in (NEW, OLD):
            Verifier(secret).verify(request.body, given)
        with self.assertRaises(WebhookVerificationError):
            Verifier(standard(b"x")).verify(request.body, given)

    def test_rotation_of_both(self) -> None:
        """
        The hub signature is made with the new secret alone; the other with both, the new one first.
        """
        before = sent(secret=NEW, signature="both")
        headers = sent(secret=NEW, old_secret=OLD, signature="both")
        self.assertEqual(headers["X-Hub-Signature-256"], before["X-Hub-Signature-256"])
        self.assertEqual(headers["webhook-signature"].split(" ")[0], before["webhook-signature"])
        swapped = sent(secret=OLD, signature="standard")["webhook-signature"]
        self.assertEqual(headers["webhook-signature"].split(" ")[1], swapped)


class CheckTests(SynchronousTestCase):
    """
    The mistakes that are found in ``[destinations.NAME]``.
    """

    def wrong(self, **settings: object) -> list[tuple[str, str]]:
        """
        What is wrong.
        """
        return list(WEBHOOK.check(Settings(**{"url": URL, **settings})))  # type: ignore[arg-type]

    def test_right(self) -> None:
        """
        Nothing is wrong with these.
        """
        for settings in (
            {},
            {"secret": "s", "hashing": "sha-512", "header": "X-Mine"},
            {"secret": NEW, "old_secret": OLD, "signature": "both", "bearer_token": "a.b-c_~+/="},
            {"headers": ("X-Team: red", "authorization: Basic Zm9v", "Cookie:a=b", "X-Empty-Inside: a  b")},
        ):
            self.assertEqual(self.wrong(**settings), [])

    def test_wrong(self) -> None:
        """
        Each mistake is named by its key, and no secret is quoted.
        """
        for settings, key, part in (
            ({"url": "ftp://example.org"}, "url", "must begin with https://"),
            ({"header": "a b"}, "header", "cannot hold"),
            ({"hashing": "md5"}, "hashing", "SHA-256"),
            ({"signature": "hmac"}, "signature", '"standard"'),
            ({"secret": "s3cret", "signature": "standard"}, "secret", "must start with whsec_"),
            ({"signature": "both"}, "secret", "must start with whsec_"),
            ({"secret": NEW, "old_secret": "s3cret", "signature": "both"}, "old_secret", "must start with whsec_"),
            ({"old_secret": "s3cret"}, "old_secret", "must not be given without secret"),
            ({"secret": "s3cret", "old_secret": "s3cret"}, "old_secret", "must be another secret"),
            ({"secret": "s3cret", "old_secret": "other"}, "old_secret", 'must not be given with signature "hub"'),
            ({"bearer_token": "s3cret\r\nX: y"}, "bearer_token", "must be ASCII without blanks"),
            ({"headers": ("s3cret",)}, "headers", "number 1 has no colon"),
            ({"headers": ("X-A: b", ": s3cret")}, "headers", "number 2 has no name"),
            ({"headers": ("X A: s3cret",)}, "headers", "cannot hold a space"),
            ({"headers": ("X-A:",)}, "headers", "number 1 has nothing after the colon"),
            ({"headers": ("X-A: s3cret\r\nX-B: c",)}, "headers", "carriage return"),
            ({"headers": ("X-A: s3cret\n",)}, "headers", "newline"),
            ({"headers": ("X-A: s3cr\u00e9t",)}, "headers", "printable ASCII"),
            ({"headers": ("X-A\r: s3cret",)}, "headers", "carriage return"),
            ({"headers": ("X-A: b", "x-a: s3cret")}, "headers", "another entry has it already (number 2)"),
            ({"headers": ("x-hub-signature-256: s3cret",)}, "headers", "the signature has it already"),
            ({"headers": ("Authorization: s3cret",), "bearer_token": "t"}, "headers", "bearer_token sets it already"),
            *(
                ({"headers": (f"{name}: s3cret",)}, "headers", "must be ")
                for name in ("Host", "content-TYPE", "Content-Length", "Transfer-Encoding", "Connection", "User-Agent")
            ),
            *(
                ({"headers": (f"{name}: s3cret",)}, "headers", "must be ")
                for name in ("webhook-id", "Expect", "TE", "traceparent", "ce-id", "Accept-Encoding", "Upgrade")
            ),
        ):
            with self.subTest(settings=settings):
                found = self.wrong(**settings)
                self.assertEqual({each for each, _ in found}, {key})
                self.assertIn(part, " ".join(sentence for _, sentence in found))
                self.assertNotIn("s3cret", repr(found))

    @given(st.lists(st.text(max_size=12) | st.from_regex(r"[A-Za-z-]{1,8}: ?[ -~]{0,8}", fullmatch=True), max_size=3))
    def test_anything(self, headers: list[str]) -> None:
        """
        Whatever passes can be sent as one header each, beside those that a delivery has.
        """
        if self.wrong(headers=tuple(headers)):
            return
        request = request_of(Destination(name="d", url=URL, settings=Settings(url=URL, headers=tuple(headers))), BARE)
        names = [name.lower() for name, _ in request.headers]
        self.assertEqual(len(names), len({*names}))
        for name, value in request.headers:
            sent = Headers()
            sent.addRawHeader(name, value)
            self.assertEqual(next(iter(sent.getAllRawHeaders()))[1], [value.encode("ascii")])


class DestinationTests(SynchronousTestCase):
    """
    The kind ``webhook`` as a destination.
    """

    def setUp(self) -> None:
        where = Destination(name="home", url="https://hooks.example.org/a?b=c", secret="s", header="X-Mine")
        self.destination = open_destination(where)

    def test_every_kind_is_a_destination(self) -> None:
        """
        Each row of the table makes one, and a destination that names no kind has a row.
        """
        for kind in KINDS:
            with self.subTest(kind):
                verifyObject(IDestination, open_destination(Destination(name="d", url="https://a/", kind=kind)))
        self.assertIsInstance(self.destination, Webhook)

    def test_request(self) -> None:
        """
        The stored body is what is rendered, and what is sent, with its headers in this order.
        """
        body = self.destination.render(FULL)
        self.assertEqual(body, build_payload(FULL))
        request = self.destination.make_request(evolve(DELIVERY, body=body), 1.9)
        self.assertEqual((request.method, request.url), ("POST", "https://hooks.example.org/a?b=c"))
        self.assertEqual(request.body, body)
        self.assertEqual(
            request.headers,
            [
                ("Content-Type", "application/json"),
                ("User-Agent", f"itsjustintv/{itsjustintv.__version__}"),
                ("X-Mine", sign_hub("s", body)),
            ],
        )

    def test_answers(self) -> None:
        """
        The status decides, 410 is final, and the receiver says how long to wait.
        """
        for status, expected in (
            (200, ("delivered", True, False)),
            (404, ("http_404", False, False)),
            (410, ("gone", False, True)),
            (503, ("http_503", False, False)),
        ):
            with self.subTest(status):
                answer = Response(status, Headers({"Retry-After": ["7"]}), b"{}")
                result = self.destination.interpret(answer, DELIVERY, 0.0)
                self.assertEqual((result.reason, result.ok, result.final), expected)
                self.assertEqual(result.retry_after, 7.0)
        self.assertIsNone(self.destination.interpret(Response(503, Headers(), b""), DELIVERY, 0.0).retry_after)
