"""
That the simulated WebSockets are what client libraries expect: pyTwitchAPI with the session of a user, TwitchIO with a
conduit.
"""

from __future__ import annotations

import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.judges.eventsub_clients import EventSubClient, Simulator
from tests.judges.program import judge_python


class _Case(SynchronousTestCase):
    package = ""

    def setUp(self) -> None:
        # Without the library no simulator is needed either.
        judge_python(self.package)
        self.simulator = self.enterContext(Simulator(Path(self.mktemp())))
        self.control = self.simulator.control

    def live(self, login: str) -> str:
        """
        :return: the id of the broadcast.
        """
        stream_id: str = self.control("live", login=login)["id"]
        return stream_id

    def changed(self) -> bool:
        """
        Whether every session has changed from one socket to another.
        """
        return all((each["status"], each["sockets"]) == ("connected", 1) for each in self.simulator.state["sessions"])

    def sessions(self) -> list[str]:
        return [each["id"] for each in self.simulator.state["sessions"]]


class PyTwitchAPITests(_Case):
    """
    A user's session with one subscription.
    """

    package = "twitchAPI"

    def setUp(self) -> None:
        super().setUp()
        self.control("streamers", login="tanuki", user_id="4711")
        # The library waits twice as long for a keepalive.
        self.control("timing", keepalive=1)
        token = self.control("tokens", login="tanuki")["access_token"]
        settings = {**self.simulator.settings, "token": token, "broadcaster_id": "4711"}
        self.client = self.enterContext(
            EventSubClient(Path(self.mktemp()), self.package, "py_twitch_api_client.py", settings, "subscription")
        )

    def assert_received(self, *streams: str) -> None:
        """
        Exactly these broadcasts were told, in this order.
        """
        self.client.wait_until(lambda: len(self.client.said("online")) >= len(streams), "a notification is missing")
        self.assertEqual(self.client.said("online"), list(streams))

    def resubscribed(self, before: str) -> None:
        """
        Wait until there is another session, with the subscription.
        """

        def again() -> bool:
            state = self.simulator.state
            enabled = [each for each in state["subscriptions"] if each["status"] == "enabled"]
            ids = [each["id"] for each in state["sessions"]]
            return len(ids) == 1 and ids != [before] and [each["transport"]["session_id"] for each in enabled] == ids

        self.client.wait_until(again, "the library has no other session")

    def test_a_life(self) -> None:
        """
        The library reads the welcome, lives on keepalives alone, and receives a notification and a revocation.
        """
        (session,) = self.sessions()
        welcome = self.client.lines[0]
        self.assertEqual(welcome, {"session": session, "status": "connected", "keepalive": 1})
        time.sleep(3.0)
        self.assertEqual(self.sessions(), [session])
        self.assert_received(self.live("tanuki"))
        (subscription,) = self.simulator.state["subscriptions"]
        self.assertEqual(subscription["id"], self.client.said("subscription")[0])
        self.control("revoke", id=subscription["id"], status="version_removed")
        self.client.wait_until(lambda: self.client.said("revoked") == ["version_removed"], "no revocation")

    def test_a_reconnect(self) -> None:
        """
        The library changes to another socket of the same session, and receives there; Twitch closed nothing. What comes
        in between the library can lose, as it reads nothing from the old socket after the new welcome.
        """
        (session,) = self.sessions()
        before = self.live("tanuki")
        self.assert_received(before)
        self.control("reconnect")
        self.client.wait_until(self.changed, "no other socket came")
        after = self.live("tanuki")
        self.assert_received(before, after)
        self.assertEqual((self.sessions(), self.simulator.state["closed"]), ([session], []))

    def test_losses(self) -> None:
        """
        After a close frame, a FIN and an RST the library has another session with its subscription.
        """
        told = []
        for how in ("close", "fin", "rst"):
            (session,) = self.sessions()
            self.control("break", how=how, code=4000)
            self.resubscribed(session)
            told.append(self.live("tanuki"))
        self.assert_received(*told)

    def test_a_message_twice(self) -> None:
        """
        A repeated message has its id, and the library hands on both.
        """
        stream_id = self.live("tanuki")
        self.control("notify", login="tanuki", id="again", times=2)
        self.assert_received(stream_id, stream_id, stream_id)
        self.assertEqual(self.client.said("message")[1:], ["again", "again"])


class TwitchIOTests(_Case):
    """
    A conduit with two shards.
    """

    package = "twitchio"

    def setUp(self) -> None:
        super().setUp()
        self.logins = [f"streamer{each}" for each in range(6)]
        self.ids = [self.control("streamers", login=each)["id"] for each in self.logins]
        settings = {**self.simulator.settings, "broadcasters": self.ids}
        self.client = self.enterContext(
            EventSubClient(Path(self.mktemp()), self.package, "twitchio_client.py", settings, "ready")
        )

    def enabled(self) -> list[tuple[str, str]]:
        """
        The enabled shards, each with its session.
        """
        (conduit,) = self.simulator.state["conduits"]
        return [
            (each["id"], each["transport"]["session_id"]) for each in conduit["shards"] if each["status"] == "enabled"
        ]

    def assert_received(self, streams: list[str]) -> None:
        """
        These broadcasts were told, each once.
        """
        self.client.wait_until(lambda: len(self.client.said("online")) >= len(streams), "a notification is missing")
        self.assertEqual(sorted(self.client.said("online")), sorted(streams))

    def test_a_life(self) -> None:
        """
        The library creates a conduit and subscriptions, assigns two sessions, and receives on both; a revocation too.
        """
        state = self.simulator.state
        self.assertEqual([number for number, _ in self.enabled()], ["0", "1"])
        self.assertEqual({each["transport"]["method"] for each in state["subscriptions"]}, {"conduit"})
        self.assertEqual([each["status"] for each in state["subscriptions"]], ["enabled"] * 6)
        self.assertEqual(self.client.said("keepalive"), [10, 10])
        self.assert_received([self.live(each) for each in self.logins])
        self.assertTrue(all(each["frames"] for each in self.simulator.state["sessions"]))
        self.control("revoke", id=state["subscriptions"][0]["id"], status="user_removed")
        self.client.wait_until(lambda: self.client.said("revoked") == ["user_removed"], "no revocation")

    def test_a_reconnect(self) -> None:
        """
        The library moves both sessions to other sockets, without a close frame of Twitch. Then it closes the old ones,
        takes that for a loss, and assigns other sessions to the shards; all of which the simulated Twitch bears. What
        comes in between it loses, as it reads nothing from the old sockets.
        """
        enabled = self.enabled()
        self.control("reconnect")
        self.client.wait_until(
            lambda: (
                len(self.enabled()) == 2 and not {each for _, each in enabled} & {each for _, each in self.enabled()}
            ),
            "no other sessions came",
        )
        welcomed = self.client.said("session")
        self.assertEqual(sorted(welcomed[:2]), sorted(welcomed[2:4]))
        self.assert_received([self.live(each) for each in self.logins])
        self.assertEqual(self.simulator.state["closed"], [])

    def test_losses(self) -> None:
        """
        While one socket is lost, the other gets everything; the library assigns another session to the shard.
        """
        told = []
        for how in ("close", "fin", "rst"):
            before = dict(self.enabled())
            self.control("break", how=how, code=4000, session=before["0"])
            told += [self.live(each) for each in self.logins]
            self.client.wait_until(
                lambda: len(self.enabled()) == 2 and dict(self.enabled())["0"] != before["0"],  # noqa: B023 - at once
                "the shard was not assigned again",
            )
        self.assert_received(told)
        self.assertEqual((self.simulator.state["dropped"], self.simulator.state["lost"]), ([], []))
