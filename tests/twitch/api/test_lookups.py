"""
Tests of :mod:`itsjustintv.twitch.api.lookups`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.errors import TwitchUnavailable
from itsjustintv.twitch.api.lookups import Channel, Lookups, Stream, User
from tests.twitch.fake import HANG, Asked, Reply, World, run

USER = {
    "id": "42",
    "login": "tanuki",
    "display_name": "Tanuki",
    "type": "",
    "description": "pots",
    "profile_image_url": "https://cdn.example.net/42.png",
}
CHANNEL = {
    "broadcaster_id": "42",
    "broadcaster_login": "tanuki",
    "broadcaster_name": "Tanuki",
    "broadcaster_language": "de",
    "game_id": "509660",
    "game_name": "Art",
    "title": "pottery",
    "delay": 0,
    "tags": ["Deutsch", "Keramik"],
}
STREAM = {
    "id": "7000000001",
    "user_id": "42",
    "user_login": "tanuki",
    "user_name": "Tanuki",
    "game_id": "509660",
    "game_name": "Art",
    "type": "live",
    "title": "pottery",
    "tags": ["Deutsch", "Keramik"],
    "viewer_count": 7,
    "started_at": "2026-01-02T04:00:00Z",
    "language": "de",
    "thumbnail_url": "https://cdn.example.net/42-{width}x{height}.jpg",
}


class DirectoryTests(SynchronousTestCase):
    """
    What is asked for, and how the answers are read.
    """

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.twitch = self.world.twitch
        self.directory = Lookups(self.world.helix, self.world.clock, self.world.pace)

    def after(self, looking: Any) -> Any:
        """
        The answer, once the look-ups have left.
        """
        self.world.clock.advance(0.25)
        return self.successResultOf(looking)

    def test_users_by_id_and_login_share_a_call(self) -> None:
        """
        Ids and logins, in whatever case, are asked for together, and found under both.
        """
        self.twitch.usual["/helix/users"] = Reply(200, {"data": [USER]})
        by_id, by_login, nobody = (
            self.directory.user("42"),
            self.directory.user_by_login("TaNuKi"),
            self.directory.user_by_login("nobody"),
        )
        user = User(
            id="42", login="tanuki", name="Tanuki", description="pots", image_url="https://cdn.example.net/42.png"
        )
        self.assertEqual([self.after(by_id), self.after(by_login), self.after(nobody)], [user, user, None])
        [asked] = self.twitch.to("/helix/users")
        self.assertEqual(asked.params, [("id", "42"), ("login", "tanuki"), ("login", "nobody")])

    def test_a_channel(self) -> None:
        """
        Get Channel Information, for several at once.
        """
        self.twitch.usual["/helix/channels"] = Reply(200, {"data": [CHANNEL]})
        found, missing = self.directory.channel("42"), self.directory.channel("43")
        self.assertEqual(
            self.after(found),
            Channel(
                id="42",
                language="de",
                title="pottery",
                game_id="509660",
                game_name="Art",
                tags=("Deutsch", "Keramik"),
            ),
        )
        self.assertIsNone(self.after(missing))
        self.assertEqual(self.twitch.to("/helix/channels")[0].values("broadcaster_id"), ["42", "43"])

    def test_a_stream(self) -> None:
        """
        Get Streams, asking for as many as there are ids.
        """
        self.twitch.usual["/helix/streams"] = Reply(200, {"data": [STREAM], "pagination": {}})
        found, offline = self.directory.stream("42"), self.directory.stream("43")
        self.assertEqual(
            self.after(found),
            Stream(
                id="7000000001",
                user_id="42",
                user_login="tanuki",
                user_name="Tanuki",
                type="live",
                started_at="2026-01-02T04:00:00Z",
                language="de",
                title="pottery",
                game_id="509660",
                game_name="Art",
                tags=("Deutsch", "Keramik"),
                viewer_count=7,
                thumbnail_url="https://cdn.example.net/42-{width}x{height}.jpg",
            ),
        )
        self.assertIsNone(self.after(offline))
        self.assertEqual(
            self.twitch.to("/helix/streams")[0].params, [("first", "100"), ("user_id", "42"), ("user_id", "43")]
        )

    def test_recordings(self) -> None:
        """
        Get Videos of type archive; what a recording does not say is unknown.
        """
        item = {"stream_id": "70", "url": "https://x.example/1", "created_at": "2026-01-02T04:00:00Z"}
        durations = ("3h8m33s", "21m3s", "0s", "15s", "1h", "soon", "", "-1s", "1m1h", "99999999999h", None, 7)
        self.twitch.usual["/helix/videos"] = Reply(200, {"data": [{**item, "duration": each} for each in durations]})
        found = self.after(Deferred.fromCoroutine(self.directory.recordings("42")))
        self.assertEqual([each.duration for each in found], [11313.0, 1263.0, 0.0, 15.0, 3600.0, *[None] * 7])
        began = datetime(2026, 1, 2, 4, tzinfo=UTC).timestamp()
        self.assertEqual([each.ended_at for each in found[:2]], [began + 11313.0, began + 1263.0])
        self.assertEqual(evolve(found[0], created_at="?").ended_at, None)
        self.assertEqual(self.after(Deferred.fromCoroutine(self.directory.recordings("42&x=1"))), ())
        self.assertEqual(len(self.twitch.to("/helix/videos")), 1)

    def test_recordings_are_asked_for_once(self) -> None:
        """
        Those who ask at the same time share a call; one that waits too long is given up.
        """
        self.twitch.usual["/helix/videos"] = HANG
        both = [Deferred.fromCoroutine(self.directory.recordings("42")) for _ in range(2)]
        self.assertEqual(len(self.twitch.to("/helix/videos")), 1)
        with capturedLogs():
            self.world.clock.advance(15.0)
        for each in both:
            self.failureResultOf(each, TwitchUnavailable)

    def test_a_name_that_cannot_exist_is_unknown(self) -> None:
        """
        What would make Helix refuse the whole call is not asked for.
        """
        for looking in (
            self.directory.user("4 2"),
            self.directory.user(""),
            self.directory.user("٤٢"),
            self.directory.user_by_login("no-dash"),
            self.directory.user_by_login("x" * 26),
            self.directory.channel("42&id=1"),
            self.directory.stream("../42"),
        ):
            self.assertIsNone(self.successResultOf(looking))
        self.assertEqual(self.twitch.asked, [])

    def test_followers_are_a_total(self) -> None:
        """
        The total is asked for with a page as small as can be.
        """
        self.twitch.usual["/helix/channels/followers"] = Reply(200, {"total": 12345, "data": [], "pagination": {}})
        self.assertEqual(self.successResultOf(run(self.directory.followers("42"))), 12345)
        [asked] = self.twitch.to("/helix/channels/followers")
        self.assertEqual(asked.params, [("broadcaster_id", "42"), ("first", "1")])

    def test_answers_of_another_shape_are_no_answers(self) -> None:
        """
        Without the list or the total there is nothing to go by.
        """
        for body in ([], {"data": {}}, {"data": None}, {"total": True}, {"total": -1}, {"total": "5"}, 5):
            self.twitch.usual["/helix/users"] = self.twitch.usual["/helix/channels/followers"] = Reply(200, body)
            looking = self.directory.user("42")
            self.world.clock.advance(0.25)
            self.failureResultOf(looking, TwitchUnavailable)
            self.failureResultOf(run(self.directory.followers("42")), TwitchUnavailable)

    @given(
        st.sampled_from([USER, CHANNEL, STREAM]).flatmap(
            lambda item: st.fixed_dictionaries(
                {},
                optional={
                    name: st.none()
                    | st.booleans()
                    | st.integers()
                    | st.text(max_size=3)
                    | st.lists(st.none() | st.text(max_size=3))
                    for name in item
                },
            )
        )
        | st.none()
        | st.integers(),
    )
    def test_fields_of_another_type_are_absent(self, item: Any) -> None:
        """
        Whatever an item holds, reading it does not fail.
        """
        world = World(Path(self.mktemp()))
        directory = Lookups(world.helix, world.clock, world.pace)

        def answer(asked: Asked) -> Reply:
            return Reply(200, repr_json({"data": [item, USER | CHANNEL | STREAM | {"id": "42"}]}))

        world.twitch.usual = {
            **world.twitch.usual,
            **dict.fromkeys(("/helix/users", "/helix/channels", "/helix/streams"), answer),
        }
        found = [directory.user("42"), directory.channel("42"), directory.stream("42")]
        world.clock.advance(0.25)
        for each in found:
            self.assertIsNotNone(self.successResultOf(each))


def repr_json(value: Any) -> bytes:
    """
    JSON with integers of any size.
    """
    return json.dumps(value).encode()
