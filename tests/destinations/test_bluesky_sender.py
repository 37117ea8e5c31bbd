"""
Tests for :mod:`itsjustintv.destinations.bluesky_sender`, against the imitated server.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import orjson
from attrs import evolve
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from itsjustintv.destinations.bluesky import BLUESKY_KIND, Bluesky, Settings
from itsjustintv.destinations.bluesky_sender import BlueskySender
from itsjustintv.interfaces import SenderTools
from itsjustintv.model import Attempt, Delivery, Destination, Picture, Verdict, hash_place
from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.fakes.bluesky import FakeBluesky
from itsjustintv.support.egress import EgressPolicy
from tests.destinations.contract import NOW, notice


class Server(Resource):
    """
    Serves the fake.
    """

    isLeaf = True

    def __init__(self, fake: FakeBluesky, clock: Clock) -> None:
        super().__init__()
        self._fake = fake
        self._clock = clock

    def render(self, request: Request) -> Any:
        assert request.content is not None
        headers = {
            name.decode().lower(): values[-1].decode() for name, values in request.requestHeaders.getAllRawHeaders()
        }
        body = request.content.read()
        answer = self._fake.handle(request.method.decode(), request.uri.decode(), headers, body, self._clock.seconds())
        if answer.hang:
            return NOT_DONE_YET
        request.setResponseCode(answer.status)
        for name, value in answer.headers:
            request.responseHeaders.addRawHeader(name, value)
        return answer.body


class BlueskySenderTests(SynchronousTestCase):
    """
    Tokens are kept and renewed.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.fake = FakeBluesky()
        self.hidden: list[str] = []
        self.folder = Path(self.mktemp())
        self.start()
        self.settings = Settings(
            identifier=self.fake.accounts[0].handle, password=self.fake.accounts[0].password, service="http://pds.test"
        )

    def start(self) -> None:
        """
        Make a sender, as each start of the daemon does.
        """
        tools = SenderTools(
            reactor=self.clock,
            agent=RequestTraversalAgent(Server(self.fake, self.clock)),
            egress=EgressPolicy,
            timeout=lambda: 10.0,
            wall=self.clock.seconds,
            state=lambda: self.folder,
            hide=self.hidden.extend,
        )
        self.sender = BlueskySender(tools, Bluesky)

    def sending(
        self, number: int = 1, settings: Settings | None = None, *, picture: bytes | None = None, **more: Any
    ) -> Deferred[Attempt]:
        given = settings or self.settings
        where = Destination(
            name="sky",
            url=given.service,
            kind="bluesky",
            settings=given,
            place=hash_place("bluesky", *BLUESKY_KIND.place(given)),
            secrets=(given.password,),
        )
        what = notice()
        assert what.broadcast is not None
        image = Picture(url="https://x.test/a.png", mime_type="image/png", data=picture)
        details = evolve(what.enrichment, picture=image)
        what = evolve(what, broadcast=evolve(what.broadcast, id=str(number)), enrichment=details)
        delivery = Delivery(
            id=f"{number}-1",
            event_id=str(number),
            streamer="tanuki",
            destination="sky",
            accepted_at=NOW,
            next_attempt_at=NOW,
            body=Bluesky(where).render(what),
            **more,
        )
        return self.sender.send(delivery, where)

    def send(self, number: int = 1, settings: Settings | None = None, **more: Any) -> Attempt:
        return self.successResultOf(self.sending(number, settings, **more))

    def methods(self) -> list[str]:
        """
        What was called, since the last time.
        """
        called = [each.request.path[-1].rpartition(".")[2] for each in self.fake.history]
        self.fake.history.clear()
        return called

    @property
    def file(self) -> Path:
        [path] = self.folder.iterdir()
        return path

    def test_one_login(self) -> None:
        """
        Many posts need one login, also after a restart; its file is private and the tokens are kept out of the log.
        """
        attempt = self.send()
        self.assertEqual((attempt.verdict, attempt.status), (Verdict.OK, 200), attempt.detail)
        self.assertRegex(attempt.remote, r"^at://did:plc:\w+/app\.bsky\.feed\.post/\w{13} b\w+$")
        self.send(2)
        self.start()
        self.send(3)
        self.assertEqual(self.methods(), ["createSession", "putRecord", "putRecord", "putRecord"])
        self.assertEqual(len(self.fake.messages), 3)
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        kept = orjson.loads(self.file.read_bytes())
        self.assertTrue({kept["accessJwt"], kept["refreshJwt"]} <= set(self.hidden))
        self.assertNotIn(self.settings.password, self.file.read_text())

    def test_an_expired_token(self) -> None:
        """
        An expired token is renewed once, without the password, and the post is sent within the same attempt.
        """
        self.send()
        self.methods()
        self.fake.expire()
        self.clock.advance(3)
        attempt = self.send(2)
        self.assertTrue(attempt.ok)
        self.assertEqual(attempt.started_at, NOW + 3)
        self.assertEqual(self.methods(), ["putRecord", "refreshSession", "putRecord"])
        self.start()
        self.assertTrue(self.send(3).ok)
        self.assertEqual(self.methods(), ["putRecord"], "the new tokens were stored")

    def test_a_session_that_has_ended(self) -> None:
        """
        When the refresh token is refused too, the password is used.
        """
        self.send()
        self.methods()
        self.clock.advance(100 * 86400)
        self.assertTrue(self.send(2).ok)
        self.assertEqual(self.methods(), ["putRecord", "refreshSession", "createSession", "putRecord"])

    def test_tokens_that_are_never_accepted(self) -> None:
        """
        A token that is refused again is not renewed again in the same attempt.
        """
        refused = Behaviour(status=400, body=b'{"error":"ExpiredToken"}')
        self.fake.script.plan("putRecord", refused, refused)
        attempt = self.send()
        self.assertEqual((attempt.verdict, attempt.reason), (Verdict.RETRY, "session_ended"))
        self.assertEqual(self.methods(), ["createSession", "putRecord", "refreshSession", "putRecord"])

    def test_a_wrong_password(self) -> None:
        """
        A login that is refused ends the attempt as unauthorized; another password is tried.
        """
        attempt = self.send(settings=evolve(self.settings, password="wrong"))
        self.assertEqual((attempt.verdict, attempt.status), (Verdict.UNAUTHORIZED, 401))
        self.assertFalse(self.folder.exists())
        self.assertTrue(self.send().ok)
        self.methods()
        self.assertEqual(self.send(2, evolve(self.settings, password="wrong")).verdict, Verdict.UNAUTHORIZED)
        self.assertEqual(self.methods(), ["createSession"], "a session of another password is not used")

    def test_two_at_once(self) -> None:
        """
        Posts that are sent at the same time share a login.
        """
        self.fake.script.plan("createSession", Behaviour(hang=True))
        first, second = self.sending(1), self.sending(2)
        self.assertEqual(self.methods(), ["createSession"])
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertTrue(self.successResultOf(second).ok)
        self.assertEqual(self.methods(), ["createSession", "putRecord"])

    def test_the_time_of_an_attempt(self) -> None:
        """
        Login and post together take no longer than one attempt may.
        """
        for endpoint in ("createSession", "putRecord"):
            self.fake.script.plan(endpoint, Behaviour(hang=True))
            sending = self.sending()
            self.clock.advance(9.9)
            self.assertNoResult(sending)
            self.clock.advance(0.2)
            attempt = self.successResultOf(sending)
            self.assertEqual((attempt.verdict, attempt.reason), (Verdict.RETRY, "timeout"))
            self.assertGreaterEqual(attempt.duration, 10.0)

    def test_limits_of_logins(self) -> None:
        """
        Too many logins pause the account until the quota begins anew; trouble of the server is only trouble.
        """
        self.fake.script.plan("createSession", Behaviour(status=502))
        self.assertEqual(self.send().verdict, Verdict.RETRY)
        self.fake.logins.limit = 0
        attempt = self.send()
        self.assertEqual((attempt.verdict, attempt.status), (Verdict.PAUSE, 429))
        self.assertGreater(attempt.pause, 0)

    def test_another_server(self) -> None:
        """
        What is no server of the network says so.
        """
        for status, body in ((404, b""), (200, b"<html>"), (200, b'{"did":"x","accessJwt":"kept"}')):
            self.fake.script.plan("createSession", Behaviour(status=status, body=body or b"no"))
            attempt = self.send()
            self.assertEqual(attempt.verdict, Verdict.DESTINATION_GONE)
            self.assertNotIn("kept", attempt.response)

    def test_a_broken_file(self) -> None:
        """
        A file that cannot be used is replaced, and the log says so.
        """
        self.send()
        for content in (b"", b"[]", b'{"did":"did:plc:x","accessJwt":"a\\r\\nb","refreshJwt":"c"}'):
            self.file.write_bytes(content)
            self.start()
            self.assertTrue(self.send().ok)
        self.assertEqual(orjson.loads(self.file.read_bytes())["did"], self.fake.accounts[0].did)

    def test_the_picture_of_the_card(self) -> None:
        """
        The picture is uploaded before the post, whose card names it; for another attempt it is not uploaded again.
        """
        self.fake.script.plan("putRecord", Behaviour(status=502))
        self.assertFalse(self.send(picture=b"PNG").ok)
        self.assertTrue(self.send(picture=b"PNG").ok)
        self.assertEqual(self.methods(), ["createSession", "uploadBlob", "putRecord", "putRecord"])
        [message] = self.fake.messages.values()
        [(cid, stored)] = self.fake.blobs.items()
        self.assertEqual((message["card"]["thumb"]["ref"]["$link"], stored), (cid, ("image/png", b"PNG")))

    def test_posts_without_a_picture(self) -> None:
        """
        Nothing is uploaded without a picture or with one that is too large, for the plain form, or for a post without
        a card.
        """
        for number, more in enumerate(
            (
                {},
                {"picture": b"x" * 200_001},
                {"picture": b"PNG", "plain": True},
                {"picture": b"PNG", "settings": evolve(self.settings, card=False)},
            )
        ):
            self.assertTrue(self.send(number, **more).ok)
        self.assertEqual(self.methods(), ["createSession", *["putRecord"] * 4])
        self.send(9, picture=b"x" * 200_000)
        self.assertEqual(self.methods(), ["uploadBlob", "putRecord"])

    def test_a_picture_that_is_not_taken(self) -> None:
        """
        When the upload fails or takes too long, the post is sent without the picture, within the time of the attempt.
        """
        for number, behaviour in enumerate((Behaviour(status=413), Behaviour(status=500), Behaviour(hang=True))):
            self.fake.script.plan("uploadBlob", behaviour)
            with capturedLogs() as logs:
                sending = self.sending(number, picture=b"PNG")
                self.clock.advance(5)
            self.assertTrue(self.successResultOf(sending).ok)
            self.assertEqual([each["event_id"] for each in logs if "detail" in each], [str(number)])
        self.assertEqual([each["card"].get("thumb") for each in self.fake.messages.values()], [None] * 3)

    def test_a_token_that_expired_before_the_upload(self) -> None:
        """
        A token that is refused for the upload is renewed for the post, and the picture is there.
        """
        self.send()
        self.methods()
        self.fake.expire()
        self.assertTrue(self.send(2, picture=b"PNG").ok)
        self.assertEqual(self.methods(), ["uploadBlob", "putRecord", "refreshSession", "uploadBlob", "putRecord"])
        self.assertIn("thumb", list(self.fake.messages.values())[-1]["card"])
