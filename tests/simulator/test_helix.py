"""
The simulated Helix.
"""

from __future__ import annotations

from struct import unpack
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.behaviour import Behaviour
from tests.simulator.worlds import NOW, Answer, InMemory, twitch


class HelixTestCase(SynchronousTestCase):
    """
    A Twitch with one streamer, and somebody who may ask.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.twitch = twitch(self.clock)
        self.world = self.twitch.world
        self.tanuki = self.world.add_streamer(
            "tanuki", "タヌキ", title="pots", game="Art", tags=["English"], followers=7, viewers=3, description="clay"
        )
        self.request = InMemory(self, self.twitch.resource())
        self.headers = {
            "Authorization": f"Bearer {self.twitch.tokens.issue()}",
            "Client-Id": self.twitch.client_id,
        }

    def ask(self, path: str, method: str = "GET", **more: Any) -> Answer:
        return self.request(method, f"/helix{path}", headers=self.headers, **more)


class DoorTests(HelixTestCase):
    """
    What every request goes through.
    """

    def test_strangers_are_refused(self) -> None:
        """
        A missing, unknown or foreign token, and a missing or foreign client id, are answered 401.
        """
        good = dict(self.headers)
        for changes, message in (
            ({"Authorization": ""}, "OAuth token is missing"),
            ({"Authorization": good["Authorization"].replace("Bearer", "OAuth")}, "OAuth token is missing"),
            ({"Authorization": "Bearer other"}, "Invalid OAuth token"),
            ({"Client-Id": ""}, "Client ID is missing"),
            ({"Client-Id": "other"}, "Client ID and OAuth token do not match"),
        ):
            self.headers = {**good, **changes}
            answer = self.ask("/users?login=tanuki")
            expected = {"error": "Unauthorized", "status": 401, "message": message}
            self.assertEqual((answer.status, answer.json), (401, expected))

    def test_every_answer_shows_the_bucket(self) -> None:
        """
        Each request takes a point, and ``Ratelimit-Reset`` is when the bucket is full again.
        """
        self.ask("/users?login=tanuki")
        headers = self.ask("/users?login=tanuki").headers
        shown = [headers[f"ratelimit-{name}"] for name in ("limit", "remaining", "reset")]
        self.assertEqual(shown, ["800", "798", "1767326401"])

    def test_an_empty_bucket_refuses_and_refills(self) -> None:
        """
        Without a point left the answer is 429; the bucket is full at the time it names, and not before.
        """
        self.twitch.bucket.empty()
        answer = self.ask("/users?login=tanuki")
        self.assertEqual((answer.status, answer.headers["ratelimit-remaining"]), (429, "0"))
        reset = float(answer.headers["ratelimit-reset"])
        self.clock.advance(reset - 2 - self.clock.seconds())
        self.assertLess(int(self.ask("/users?login=tanuki").headers["ratelimit-remaining"]), 799)
        self.clock.advance(2)
        answer = self.ask("/users?login=tanuki")
        self.assertEqual((answer.status, answer.headers["ratelimit-remaining"]), (200, "799"))

    def test_a_planned_failure_comes_before_the_token(self) -> None:
        """
        A fault is answered with Helix's own form of an error, for as long as planned.
        """
        self.headers = {}
        self.twitch.faults.plan("users", then=Behaviour(status=500))
        for _ in range(3):
            answer = self.ask("/users?login=tanuki")
            self.assertEqual((answer.status, answer.json["error"]), (500, "Internal Server Error"))

    def test_a_planned_delay_is_kept_on_the_clock(self) -> None:
        """
        A slow endpoint answers rightly, but late; a hanging one does not.
        """
        for behaviour, answered in ((Behaviour(delay=5.0), True), (Behaviour(hang=True), False)):
            self.twitch.faults.plan("users", behaviour)
            requesting = self.request._treq.get("http://twitch.test/helix/users?login=tanuki", headers=self.headers)
            self.request._treq.flush()
            self.clock.advance(4.9)
            self.request._treq.flush()
            self.assertNoResult(requesting)
            self.clock.advance(0.1)
            self.request._treq.flush()
            if answered:
                self.assertEqual(self.successResultOf(requesting).code, 200)
            else:
                self.assertNoResult(requesting)

    def test_requests_are_noted(self) -> None:
        """
        What was asked for can be counted afterwards.
        """
        self.ask("/users?login=tanuki")
        self.request("GET", "/oauth2/validate")
        self.assertEqual(self.twitch.requests, ["GET /helix/users", "GET /oauth2/validate"])


class CatalogueTests(HelixTestCase):
    """
    Users, channels, streams and followers.
    """

    def test_users_are_found_by_id_and_by_login_once(self) -> None:
        """
        Ids and logins may be mixed; unknown ones are missing from the answer.
        """
        other = self.world.add_streamer("mujina")
        path = f"/users?id={self.tanuki.id}&login=tanuki&login=MUJINA&login=nobody"
        users = self.ask(path).json["data"]
        self.assertEqual([user["id"] for user in users], [self.tanuki.id, other.id])
        self.assertEqual(users[0]["display_name"], "タヌキ")
        self.assertEqual(users[0]["description"], "clay")

    def test_the_limits_of_a_request_are_kept(self) -> None:
        """
        Nothing asked for, or more than a hundred, is a 400, as is a page size out of bounds or a foreign cursor.
        """
        many = "&".join(f"id={number}" for number in range(101))
        for path in (
            "/users",
            f"/users?{many}",
            "/channels",
            "/channels/followers",
            f"/channels?{many.replace('id=', 'broadcaster_id=')}",
            f"/streams?{many.replace('id=', 'user_id=')}",
            "/streams?first=101",
            "/streams?first=0",
            "/streams?first=x",
            "/streams?after=x",
        ):
            self.assertEqual(self.ask(path).status, 400, path)

    def test_a_profile_image_is_a_png_of_its_own(self) -> None:
        """
        The address in a user's record leads to a PNG of 300 by 300 that nobody else has.
        """
        self.world.add_streamer("mujina")
        users = self.ask("/users?login=tanuki&login=mujina").json["data"]
        images = []
        for user in users:
            self.assertTrue(user["profile_image_url"].startswith("http://twitch.test/images/"))
            image = self.request("GET", user["profile_image_url"].removeprefix("http://twitch.test"))
            self.assertEqual((image.status, image.headers["content-type"]), (200, "image/png"))
            self.assertEqual(image.body[:8], b"\x89PNG\r\n\x1a\n")
            self.assertEqual(unpack(">II", image.body[16:24]), (300, 300))
            images.append(image.body)
        self.assertNotEqual(*images)

    def test_images_can_be_missing_and_can_fail(self) -> None:
        """
        An unknown image is a 404, and a planned failure works here as well.
        """
        self.assertEqual(self.request("GET", "/images/0.png").status, 404)
        self.twitch.faults.plan("images", Behaviour(status=502))
        self.assertEqual(self.request("GET", f"/images/{self.tanuki.id}.png").status, 502)

    def test_channels_are_there_while_offline(self) -> None:
        """
        A channel's title, game, tags and language do not depend on a broadcast.
        """
        (channel,) = self.ask(f"/channels?broadcaster_id={self.tanuki.id}&broadcaster_id=0").json["data"]
        told = [channel[key] for key in ("title", "game_name", "tags", "broadcaster_language", "broadcaster_name")]
        self.assertEqual(told, ["pots", "Art", ["English"], "en", "タヌキ"])

    def test_one_game_has_one_id(self) -> None:
        """
        Two streamers of a game have the same ``game_id``; without a game it is empty.
        """
        self.world.add_streamer("mujina", game="Art")
        self.world.add_streamer("kitsune")
        ids = [self.world.channel(login).game_id for login in ("tanuki", "mujina", "kitsune")]
        self.assertEqual(ids, [self.tanuki.game_id, self.tanuki.game_id, ""])

    def test_a_stream_is_listed_after_its_lag(self) -> None:
        """
        Get Streams lists a broadcast some time after it began, and not after it ended.
        """
        path = f"/streams?user_id={self.tanuki.id}"
        self.world.lag = 30.0
        stream = self.world.go_live("tanuki")
        self.world.add_streamer("mujina")
        self.world.go_live("mujina", lag=0.0)
        self.assertEqual(self.ask(path).json, {"data": [], "pagination": {}})
        self.clock.advance(30)
        (listed,) = self.ask(path).json["data"]
        told = [listed[key] for key in ("id", "user_login", "title", "viewer_count", "started_at")]
        self.assertEqual(told, [stream.id, "tanuki", "pots", 3, "2026-01-02T04:00:00Z"])
        self.world.go_offline("tanuki")
        self.assertEqual(self.ask(path).json["data"], [])

    def test_each_broadcast_has_an_id_of_its_own(self) -> None:
        """
        Going live again is another broadcast, which may be listed at once.
        """
        self.world.lag = 30.0
        first, second = self.world.go_live("tanuki"), self.world.go_live("tanuki", lag=0.0)
        self.assertNotEqual(first.id, second.id)
        self.assertEqual([each["id"] for each in self.ask("/streams").json["data"]], [second.id])

    def test_a_page_of_streams_is_twenty_unless_asked(self) -> None:
        """
        A hundred ids without ``first`` yield twenty streams and a cursor to the rest.
        """
        channels = [self.world.add_streamer(f"streamer{number}") for number in range(25)]
        for channel in channels:
            self.world.go_live(channel.login)
        query = "&".join(f"user_id={channel.id}" for channel in channels)
        first = self.ask(f"/streams?{query}").json
        rest = self.ask(f"/streams?{query}&after={first['pagination']['cursor']}").json
        self.assertEqual((len(first["data"]), len(rest["data"]), rest["pagination"]), (20, 5, {}))
        self.assertEqual({each["user_id"] for each in first["data"] + rest["data"]}, {each.id for each in channels})
        self.assertEqual(len(self.ask(f"/streams?{query}&first=100").json["data"]), 25)

    def test_recordings(self) -> None:
        """
        Each broadcast has one, the newest first, as long as it lasted; one that goes on is as long as it is by now, and
        a broadcast that continues continues its recording. A channel may record nothing, and a recording may come late.
        """
        world, channel = self.world, self.tanuki
        first = world.go_live("tanuki")
        self.clock.advance(3 * 3600.0 + 8 * 60.0 + 33.0)
        world.go_offline("tanuki")
        self.clock.advance(60.0)
        second = world.go_live("tanuki")
        self.clock.advance(21 * 60.0 + 3.0)
        world.go_offline("tanuki")
        self.clock.advance(10.0)
        world.go_live("tanuki", again=True)
        self.clock.advance(2.0)

        def listed(more: str = "") -> list[tuple[str, str]]:
            found = self.ask(f"/videos?user_id={channel.id}{more}").json["data"]
            return [(each["stream_id"], each["duration"]) for each in found]

        self.assertEqual(listed(), [(second.id, "21m15s"), (first.id, "3h8m33s")])
        world.records = False
        world.go_live("tanuki")
        self.clock.advance(5.0)
        self.assertEqual(listed("&type=archive&first=1"), [(second.id, "21m15s")])
        self.assertEqual(listed("&type=highlight"), [])
        world.recording_lag = 60.0
        self.assertEqual([each for each, _ in listed()], [first.id])
        self.clock.advance(55.0)
        self.assertEqual([each for each, _ in listed()], [second.id, first.id])
        for wrong in ("", "?id=1", f"?user_id={channel.id}&id=1", f"?user_id={channel.id}&type=x"):
            self.assertEqual(self.ask(f"/videos{wrong}").status, 400, wrong)

    def test_followers_are_counted_but_not_named(self) -> None:
        """
        With an app access token, the total is given and the list is empty.
        """
        answer = self.ask(f"/channels/followers?broadcaster_id={self.tanuki.id}&first=1").json
        self.assertEqual(answer, {"total": 7, "data": [], "pagination": {}})

    def test_whether_somebody_follows_is_not_told(self) -> None:
        """
        An app access token is not enough for that.
        """
        self.assertEqual(self.ask(f"/channels/followers?broadcaster_id={self.tanuki.id}&user_id=1").status, 401)

    def test_streams_are_found_by_what_they_are(self) -> None:
        """
        By login, game and language as well as by id.
        """
        self.twitch.world.add_streamer("kitsune", game="Chess", language="ja")
        for login in ("tanuki", "kitsune"):
            self.twitch.world.go_live(login)
        chess = self.twitch.world.channel("kitsune").game_id
        for query, found in (
            ("user_login=TANUKI", ["tanuki"]),
            (f"user_login=kitsune&user_id={self.tanuki.id}", ["tanuki", "kitsune"]),
            (f"game_id={chess}", ["kitsune"]),
            ("language=ja&language=en", ["tanuki", "kitsune"]),
            ("language=de", []),
        ):
            answer = self.ask(f"/streams?{query}").json
            self.assertEqual([each["user_login"] for each in answer["data"]], found, query)

    def test_what_becomes_of_a_channel_is_seen_in_its_broadcast(self) -> None:
        """
        A title that changes while somebody is live is the broadcast's as well.
        """
        self.twitch.world.go_live("tanuki")
        self.twitch.world.change("tanuki", title="and now this")
        self.assertEqual(self.ask("/streams").json["data"][0]["title"], "and now this")

    def test_nobody_cannot_go_live(self) -> None:
        """
        A login that nobody has is an error of the test, and says so.
        """
        self.assertRaises(LookupError, self.world.go_live, "nobody")
