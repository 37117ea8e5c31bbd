"""
Tests for :mod:`itsjustintv.destinations.mqtt`, against topics in memory.
"""

from __future__ import annotations

from typing import Any, ClassVar

import orjson
from attrs import define, evolve
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from itsjustintv.destinations.kinds import open_destination
from itsjustintv.destinations.mqtt import MQTT_KIND, Settings
from itsjustintv.model import STREAM_OFFLINE, Action, Destination, Verdict
from itsjustintv.simulator.fakes.service import FakeAnswer, FakeRequest, FakeService
from itsjustintv.support.http_response import Response
from tests.destinations.contract import NOW, notice
from tests.destinations.golden import GoldenBodies


@define(eq=False, kw_only=True)
class Topics(FakeService):
    """
    What is retained: a message is all that is below the topic of a streamer. A topic with a wildcard is refused.
    """

    name: ClassVar[str] = "topics"

    def answer(self, request: FakeRequest) -> FakeAnswer:
        for topic, payload in request.json:
            if set(topic) & set("+#\0") or len(topic.encode()) > 65_535:
                return FakeAnswer(400)
            base, _, name = topic.rpartition("/")
            if name != "config":
                self.messages.setdefault(base, {})[name] = payload
        return FakeAnswer(200)


class MqttTests(GoldenBodies, SynchronousTestCase):
    """
    Topics of a broker.
    """

    kind = MQTT_KIND
    fake: Topics

    def make_fake(self) -> Topics:
        return Topics()

    def make_settings(self, fake: Any, **more: Any) -> Settings:
        return Settings(**{"host": "broker.test", **more})

    def at(self, **more: Any) -> Destination:
        return evolve(self.destination(), settings=self.make_settings(self.fake, **more))

    def test_follow_up(self) -> None:
        """
        A follow-up is the new state.
        """
        self.post(self.at(), notice())
        self.assert_taken(self.post(self.at(), notice(STREAM_OFFLINE, Action.FOLLOW_UP)))
        self.assertEqual([each["live"] for each in self.fake.messages.values()], ["OFF"])

    def test_golden_bodies(self) -> None:
        """
        The topics of a broadcast are as they were.
        """
        self.assert_golden(self.at(), remote="itsjustintv/tanuki")

    def test_state_and_attributes(self) -> None:
        """
        The state is ON while a streamer is live, then OFF; the attributes say what is known.
        """
        created = self.post(self.at(), notice(title="Töpfern"))
        state = self.fake.messages["itsjustintv/tanuki"]
        attributes = orjson.loads(state["attributes"])
        self.assertEqual((state["live"], created.remote), ("ON", "itsjustintv/tanuki"))
        expected = {"name": "Tanuki", "title": "Töpfern", "category": "Art", "url": "https://twitch.tv/tanuki"}
        self.assertEqual({name: attributes[name] for name in expected}, expected)
        self.assertEqual(attributes["started"], "2026-01-02T12:04:05Z")
        self.post(self.at(), notice(STREAM_OFFLINE, Action.EDIT), created.remote)
        attributes = orjson.loads(state["attributes"])
        self.assertEqual((state["live"], attributes["ended"]), ("OFF", "2026-01-02T15:12:38Z"))
        self.assertEqual(attributes["vod"], "https://www.twitch.tv/videos/1")

    def test_the_sensor(self) -> None:
        """
        Home Assistant is told of a sensor with the topics of the streamer, before its state; unless that is not wanted.
        """

        def topics(**more: Any) -> list[Any]:
            delivery = self.prepare(self.at(**more), notice())
            return orjson.loads(open_destination(self.at(**more)).make_request(delivery, NOW).body)

        first, second, third = topics(topic="home/twitch")
        self.assertEqual(first[0], "homeassistant/binary_sensor/itsjustintv_1/config")
        sensor = orjson.loads(first[1])
        self.assertEqual((sensor["json_attributes_topic"], sensor["state_topic"]), (second[0], third[0]))
        self.assertEqual(third, ["home/twitch/tanuki/live", "ON"])
        self.assertEqual((sensor["unique_id"], sensor["device"]["name"]), ("itsjustintv_1_live", "Tanuki"))
        self.assertEqual(len(topics(discovery="")), 2)

    def test_availability(self) -> None:
        """
        The sensor names the topic that shows whether the daemon runs.
        """
        where = self.at(topic="home/twitch", user="ada")
        delivery = self.prepare(where, notice())
        [[_, config], *_] = orjson.loads(open_destination(where).make_request(delivery, NOW).body)
        sensor, shown = orjson.loads(config), open_destination(where).shown()
        self.assertEqual((shown.topic, shown.broker.user), ("home/twitch/status", "ada"))
        found = [sensor[f"{each}vailab{rest}"] for each, rest in (("a", "ility_topic"), ("payload_a", "le"))]
        self.assertEqual([*found, sensor["payload_not_available"]], [shown.topic, "online", "offline"])

    def test_a_test_moves_no_sensor(self) -> None:
        """
        A test message has topics of its own, and no sensor.
        """
        delivery = self.prepare(self.at(), evolve(notice(), test=True))
        messages = orjson.loads(open_destination(self.at()).make_request(delivery, NOW).body)
        self.assertEqual(
            [topic for topic, _ in messages], [f"itsjustintv/tanuki/test/{x}" for x in ("attributes", "live")]
        )

    def test_names_of_topics(self) -> None:
        """
        No name leads to another topic.
        """
        for key in ("a/b", "#", "+", "$SYS", "ü", ""):
            what = notice()
            what = evolve(what, streamer=evolve(what.streamer, key=key), event=evolve(what.event, broadcaster_id=key))
            self.assert_taken(self.post(self.at(), what))
        for topic in self.fake.messages:
            self.assertRegex(topic, r"^itsjustintv/[A-Za-z0-9_-]+$")

    def test_what_an_answer_means(self) -> None:
        """
        A refused login is for good, anything else is not.
        """
        adapter, delivery = open_destination(self.at()), self.prepare(self.at(), notice())
        for code, verdict in (
            (0, Verdict.OK),
            (1, Verdict.RETRY),
            (3, Verdict.RETRY),
            (4, Verdict.UNAUTHORIZED),
            (5, Verdict.UNAUTHORIZED),
        ):
            self.assertEqual(adapter.interpret(Response(code, Headers(), b""), delivery, NOW).verdict, verdict)

    def test_mistakes_in_the_settings(self) -> None:
        """
        Each mistake is said at its key.
        """
        self.assertEqual([*MQTT_KIND.check(self.make_settings(None, user="a", password="b", topic="a/b"))], [])
        for key, more in (
            ("host", {"host": "mqtt://broker"}),
            ("port", {"port": -1}),
            ("user", {"password": "x"}),
            ("topic", {"topic": "a/#"}),
            ("topic", {"topic": "/a"}),
            ("topic", {"topic": "a/"}),
            ("topic", {"topic": "$SYS"}),
            ("topic", {"topic": ""}),
            ("discovery", {"discovery": "a b"}),
        ):
            with self.subTest(key, **more):
                self.assertEqual([each for each, _ in MQTT_KIND.check(self.make_settings(None, **more))], [key])
        self.assertEqual(MQTT_KIND.address(self.make_settings(None, host="::1", tls=True)), "mqtts://[::1]:8883")
