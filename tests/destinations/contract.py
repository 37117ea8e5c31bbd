"""
What the adapter of every kind that keeps posts must do, as tests: a kind's own test case inherits
:class:`AdapterContract` beside ``SynchronousTestCase``, and names its fake.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.web.http_headers import Headers
from zope.interface.verify import verifyObject

from itsjustintv.config.secrets import destination_secrets
from itsjustintv.destinations.kinds import open_destination
from itsjustintv.destinations.message_samples import HOSTILE_WORDS, SAMPLES
from itsjustintv.destinations.request_preview import RequestPreview
from itsjustintv.destinations.service_probe import ProbeAdapter
from itsjustintv.interfaces import DestinationKind, IDestination
from itsjustintv.model import (
    CHANNEL_UPDATE,
    STREAM_OFFLINE,
    STREAM_ONLINE,
    Action,
    Delivery,
    Destination,
    DestinationPolicy,
    Notice,
    Result,
    Verdict,
)
from itsjustintv.simulator.fakes.service import FakeService
from itsjustintv.support.http_response import Response
from tests import examples

__all__ = ["NOW", "AdapterContract", "notice", "words"]

#: The wall clock when a test begins.
NOW = 1_767_355_500.0

#: What a streamer may write: markup of every service, mentions, right-to-left text, emoji, and a great deal of it.
words = st.one_of(
    st.sampled_from(
        [
            HOSTILE_WORDS,
            "@everyone",
            "<!channel> <!here> <@U1> <!subteam^S1>",
            "<@123> <@&456> @admin #tag",
            "</b><a href='https://x.example'>x</a> &amp;",
            "\u202eevil\u202c مرحبا 👩‍👩‍👧‍👦 e\u0301\u0301\u0301",
            "*" * 300,
            "x" * 4096,
            "https://x.example/@everyone [a](b) `",
        ]
    ),
    st.text(max_size=300),
    st.text(alphabet="@<>!&#*_~`|[]()\\-:/ aeonryvhb1", max_size=80),
)


def notice(
    event_type: str = STREAM_ONLINE,
    action: Action = Action.CREATE,
    *,
    title: str | None = None,
    category: str | None = None,
    name: str | None = None,
    **changes: Any,
) -> Notice:
    """
    Make a notice of an event, with the usual details unless others are given.
    """
    event = {STREAM_ONLINE: "online", STREAM_OFFLINE: "offline", CHANNEL_UPDATE: "update"}[event_type]
    sample = next(each.notice for each in SAMPLES if each.event == event)
    happened, stream = sample.event, sample.enrichment.stream
    if name is not None:
        happened = evolve(happened, broadcaster_name=name)
    if title is not None:
        stream = evolve(stream, title=title)
        happened = evolve(happened, title=title) if event == "update" else happened
    if category is not None:
        stream = evolve(stream, game_name=category)
        happened = evolve(happened, category=category) if event == "update" else happened
    broadcast = sample.broadcast
    if broadcast is not None and event == "offline":
        broadcast = evolve(broadcast, offline_at=happened.occurred_at)
    enrichment = evolve(sample.enrichment, stream=stream)
    return evolve(sample, event=happened, enrichment=enrichment, broadcast=broadcast, action=action, **changes)


class AdapterContract:
    """
    Needs three things: the kind, its fake, and settings that point to it.

    :ivar mention: names for ``mention``, and whom the fake counts as pinged by them.
    """

    kind: DestinationKind
    mention: tuple[tuple[str, ...], frozenset[str]] = ((), frozenset())

    def make_fake(self) -> FakeService:
        """
        Make the imitated service, with a place to post to.
        """
        raise NotImplementedError

    def make_settings(self, fake: FakeService) -> Any:
        """
        Make the settings of a destination at the fake.
        """
        raise NotImplementedError

    def shown(self, fake: FakeService, message: str) -> str:
        """
        The words of a message that stands at the fake.
        """
        return str(fake.messages[message])

    def setUp(self) -> None:
        self.fake = self.make_fake()
        self.now = NOW
        self.number = 0

    def destination(self, **policy: Any) -> Destination:
        settings = self.make_settings(self.fake)
        return Destination(
            name="home",
            url=self.kind.address(settings),
            kind=self.kind.name,
            settings=settings,
            keeps_posts=self.kind.keeps_posts,
            policy=DestinationPolicy(**policy),
        )

    def prepare(self, destination: Destination, what: Notice, remote: str = "") -> Delivery:
        """
        Render a delivery as the pipeline does.
        """
        self.number += 1
        return Delivery(
            id=f"019b7c9f{self.number:08}-1",
            event_id=f"019b7c9f{self.number:08}",
            streamer=what.streamer.key,
            destination=destination.name,
            accepted_at=self.now,
            next_attempt_at=self.now,
            body=open_destination(destination).render(what),
            broadcast="" if what.broadcast is None else what.broadcast.id,
            action=what.action,
            remote=remote,
        )

    def attempt(self, destination: Destination, delivery: Delivery) -> Result:
        """
        Send a delivery to the fake, a minute after the one before.
        """
        self.now += 60
        adapter = open_destination(destination)
        request = adapter.make_request(delivery, self.now)
        headers = {name.lower(): value for name, value in request.headers}
        answer = self.fake.handle(request.method, request.url, headers, request.body, self.now)
        raw = Headers()
        for name, value in answer.headers:
            raw.addRawHeader(name, value)
        return adapter.interpret(Response(answer.status, raw, answer.body), delivery, self.now)

    def post(self, destination: Destination, what: Notice, remote: str = "") -> Result:
        return self.attempt(destination, self.prepare(destination, what, remote))

    def assert_taken(self, result: Result) -> None:
        self.assertEqual((result.verdict, result.ok), (Verdict.OK, True), result.detail)

    def test_interface(self) -> None:
        """
        It provides the whole of the interface.
        """
        verifyObject(IDestination, open_destination(self.destination()))

    def test_mentions_of_the_settings(self) -> None:
        """
        What the service can mention is right to the check of the configuration.
        """
        for name in self.mention[0]:
            self.assertEqual(self.kind.check_mention(name) if ":" in name else "", "", name)

    def test_life_of_a_broadcast(self) -> None:
        """
        A post is created once, changes with the broadcast where the service can do that, and is deleted on request.
        """
        destination = self.destination()
        created = self.post(destination, notice())
        self.assert_taken(created)
        [message] = self.fake.messages
        self.assertIn("Drawing until dawn", self.shown(self.fake, message))
        if self.kind.can_edit(destination.settings):
            self.assertNotEqual(created.remote, "")
            self.assert_taken(self.post(destination, notice(CHANNEL_UPDATE, Action.EDIT, title="Kiln"), created.remote))
            self.assertEqual([*self.fake.messages], [message], "the same message")
            self.assertIn("Kiln", self.shown(self.fake, message))
            self.assert_taken(self.post(destination, notice(STREAM_OFFLINE, Action.EDIT), created.remote))
            self.assertEqual([*self.fake.messages], [message], "the same message")
        if self.kind.can_delete(destination.settings):
            self.assert_taken(self.post(destination, notice(STREAM_OFFLINE, Action.DELETE), created.remote))
            self.assertEqual([*self.fake.messages], [])

    def test_a_question_posts_nothing(self) -> None:
        """
        Where the service can be asked about the destination, it says that all is well, and nothing is posted.
        """
        destination = self.destination()
        probe = self.kind.probe
        if probe is None or probe.ask(destination.settings) is None:
            return
        adapter = ProbeAdapter(destination, probe, open_destination(destination))
        request = adapter.make_request(self.prepare(destination, notice()), self.now)
        headers = {name.lower(): value for name, value in request.headers}
        # A proxy may stand before a service.
        url = request.url.replace("/prefix/", "/")
        answer = self.fake.handle(request.method, url, headers, request.body, self.now)
        response = Response(answer.status, Headers(), answer.body)
        result = adapter.interpret(response, self.prepare(destination, notice()), self.now)
        self.assert_taken(result)
        self.assertTrue(result.detail.startswith(f"home ({self.kind.name}) "), result.detail)
        self.assertEqual([*self.fake.messages], [])

    def test_a_preview_hides_secrets(self) -> None:
        """
        What a preview shows has the title, but no secret of the settings.
        """
        destination = evolve(self.destination(), secrets=())
        secrets = tuple(filter(None, destination_secrets(destination.settings)))
        shown = RequestPreview.of(notice(), evolve(destination, secrets=secrets)).public()
        self.assertIn("Drawing until dawn", str(shown["body"]))
        for secret in secrets:
            if len(secret) >= 6 and secret != destination.url:
                self.assertNotIn(secret, str(shown))

    def test_follow_up(self) -> None:
        """
        A follow-up is a message of its own.
        """
        destination = self.destination()
        created = self.post(destination, notice())
        self.assert_taken(self.post(destination, notice(STREAM_OFFLINE, Action.FOLLOW_UP, silent=True), created.remote))
        self.assertEqual(len(self.fake.messages), 2)

    def test_same_bytes(self) -> None:
        """
        The same notice gives the same bytes, and so does each attempt at the same moment.
        """
        destination = self.destination()
        first, second = (self.prepare(destination, notice()) for _ in range(2))
        self.assertEqual(first.body, second.body)
        adapter = open_destination(destination)
        self.assertEqual(adapter.make_request(first, NOW), adapter.make_request(first, NOW))

    def test_every_sample_is_accepted(self) -> None:
        """
        Whatever is known or not of a broadcast, the service takes the message, and its plain form.
        """
        for sample in SAMPLES:
            for plain in (False, True):
                with self.subTest(sample.description, plain=plain):
                    destination = self.destination()
                    delivery = self.prepare(destination, evolve(sample.notice, action=Action.CREATE))
                    self.assert_taken(self.attempt(destination, evolve(delivery, plain=plain)))

    # The test cases of several kinds share it, each with examples of its own.
    @settings(
        max_examples=examples(60),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
    )
    @given(title=words, category=words, name=words, plain=st.booleans(), mentions=st.booleans())
    def test_no_word_of_a_streamer_mentions_anyone(
        self, title: str, category: str, name: str, plain: bool, mentions: bool
    ) -> None:
        """
        Whatever a streamer writes, the service takes it, and only those are notified whom the settings name, by the
        first message alone.
        """
        self.setUp()
        names, expected = self.mention if mentions else ((), frozenset())
        destination = self.destination(mention=names)
        given_words = {"title": title, "category": category, "name": name}
        delivery = self.prepare(destination, notice(mention=mentions, **given_words))
        created = self.attempt(destination, evolve(delivery, plain=plain))
        self.assert_taken(created)
        self.assertEqual({each.whom for each in self.fake.pings}, set(expected))
        before = len(self.fake.pings)
        if self.kind.can_edit(destination.settings):
            for kind in (CHANNEL_UPDATE, STREAM_OFFLINE):
                edited = notice(kind, Action.EDIT, mention=mentions, **given_words)
                delivery = self.prepare(destination, edited, created.remote)
                self.assert_taken(self.attempt(destination, evolve(delivery, plain=plain)))
        followed = self.post(destination, notice(STREAM_OFFLINE, Action.FOLLOW_UP, silent=True, **given_words))
        self.assert_taken(followed)
        self.assertEqual(len(self.fake.pings), before, "no edit and no follow-up notifies")

    def test_every_status_means_something(self) -> None:
        """
        Each answer has a meaning, whatever its body: success only for 2xx, and no secret or foreign text in its detail.
        """
        destination = self.destination()
        adapter = open_destination(destination)
        delivery = self.prepare(destination, notice())
        for status in (200, 204, 301, 400, 401, 403, 404, 408, 409, 410, 413, 422, 425, 429, 500, 502, 503, 507):
            for body in (b"", b"{}", b"[]", b"<html>FOREIGN</html>", b'{"code":"FOREIGN","error":"FOREIGN WORDS"}'):
                with self.subTest(status, body=body):
                    result = adapter.interpret(Response(status, Headers(), body), delivery, NOW)
                    self.assertFalse(result.ok and status >= 300)
                    self.assertNotIn("FOREIGN WORDS", result.detail)
                    if status in (429, 500, 502, 503):
                        self.assertIn(result.verdict, (Verdict.RETRY, Verdict.PAUSE))
