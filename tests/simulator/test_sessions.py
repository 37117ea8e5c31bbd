"""
The sessions of the simulated WebSockets: every rule at its limit and one step beyond.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.behaviour import Behaviour
from tests.simulator.sockets import Client
from tests.simulator.worlds import NOW, twitch


class SessionCase(SynchronousTestCase):
    """
    A Twitch, and clients that answer pings.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.twitch = twitch(self.clock)
        self.ended: list[tuple[str, str]] = []
        self.twitch.sessions.on_end.append(lambda session_id, status: self.ended.append((session_id, status)))
        self.clients: list[Client] = []

    def connect(self, url: str = "ws://twitch.test/ws", *, used: bool = True) -> Client:
        """
        :param used: whether the session serves something.
        """
        client = Client(self.twitch, url)
        self.clients.append(client)
        if used and client.frames:
            self.twitch.sessions.use(client.session_id)
        return client

    def wait(self, seconds: float, step: float = 1.0) -> None:
        """
        Let time pass, in which the clients answer.
        """
        while seconds > 0:
            self.clock.advance(min(step, seconds))
            seconds -= step
            for each in self.clients:
                each.pump()


class HandshakeTests(SessionCase):
    """
    How a socket is opened.
    """

    def test_a_welcome(self) -> None:
        """
        The first message is a welcome with an id, the time between keepalives, and no url.
        """
        client = self.connect("ws://twitch.test/ws?keepalive_timeout_seconds=30")
        (welcome,) = client.frames
        self.assertEqual(welcome["metadata"]["message_type"], "session_welcome")
        self.assertEqual(set(welcome["metadata"]), {"message_id", "message_type", "message_timestamp"})
        self.assertEqual(
            welcome["payload"]["session"],
            {
                "id": client.session_id,
                "status": "connected",
                "connected_at": "2026-01-02T04:00:00.500000000Z",
                "keepalive_timeout_seconds": 30,
                "reconnect_url": None,
            },
        )

    def test_the_keepalive_is_clamped(self) -> None:
        """
        Less than 10 is 10, more than 600 is 600, and nothing that is a number is 10.
        """
        for asked, told in (("9", 10), ("10", 10), ("600", 600), ("601", 600), ("x", 10), ("-1", 10), ("", 10)):
            client = self.connect(f"ws://twitch.test/ws?keepalive_timeout_seconds={asked}")
            self.assertEqual(client.frames[0]["payload"]["session"]["keepalive_timeout_seconds"], told)

    def test_no_other_path(self) -> None:
        """
        Anything but ``/ws`` is not found.
        """
        response = self.connect("ws://twitch.test/eventsub").response
        self.assertEqual(response and response.status_code, 404)

    def test_a_handshake_that_goes_wrong(self) -> None:
        """
        A plan for ``ws`` refuses a handshake, lets it wait, hangs or drops it; the next one is normal again.
        """
        self.twitch.faults.plan(
            "ws",
            Behaviour(status=503, headers={"Retry-After": "3"}, body=b"busy"),
            Behaviour(delay=2.0),
            Behaviour(hang=True),
            Behaviour(drop=True),
        )
        refused, late, hung, dropped, normal = (self.connect() for _ in range(5))
        self.assertEqual(refused.response and refused.response.status_code, 503)
        self.assertEqual(refused.response and refused.response.headers["Retry-After"], "3")
        self.assertEqual((hung.response, dropped.response, normal.types), (None, None, ["session_welcome"]))
        self.assertTrue(dropped.wire.disconnecting)
        self.assertEqual(late.types, [])
        self.wait(2.0)
        self.assertEqual(late.types, ["session_welcome"])

    def test_what_is_no_handshake(self) -> None:
        """
        A request that wants no WebSocket is answered with an HTTP error.
        """
        client = Client(self.twitch, dead=True)
        client.server.dataReceived(b"GET /ws HTTP/1.1\r\nHost: twitch.test\r\n\r\n")
        self.assertTrue(client.wire.value().startswith(b"HTTP/1.1 426 "))

    def test_a_late_welcome(self) -> None:
        """
        The welcome can come late, or later than a client waits.
        """
        self.twitch.sessions.welcome_after = 3.0
        client = self.connect()
        self.wait(2.75, 0.25)
        self.assertEqual(client.types, [])
        self.wait(0.25)
        self.assertEqual(client.types, ["session_welcome"])


class LifeTests(SessionCase):
    """
    What a session lives by, and what it dies of.
    """

    def test_keepalives(self) -> None:
        """
        A keepalive comes when nothing else did for the time; any message puts it off.
        """
        client = self.connect()
        self.wait(9.75, 0.25)
        self.assertEqual(client.types, ["session_welcome"])
        self.wait(0.25)
        self.assertEqual(client.types[1:], ["session_keepalive"])
        self.assertEqual(client.frames[-1]["payload"], {})
        self.wait(9.0)
        self.twitch.sessions.write(client.session_id, "unknown")
        self.wait(9.0)
        self.assertEqual(client.types[2:], ["session_surprise"])
        self.wait(1.0)
        self.assertEqual(client.types[3:], ["session_keepalive"])

    def test_a_keepalive_of_the_test(self) -> None:
        """
        A test can have keepalives sooner than Twitch would send them.
        """
        self.twitch.sessions.keepalive = 0.5
        client = self.connect()
        self.assertEqual(client.frames[0]["payload"]["session"]["keepalive_timeout_seconds"], 0.5)
        self.wait(1.0, 0.5)
        self.assertEqual(client.types[1:], ["session_keepalive"] * 2)

    def test_unused(self) -> None:
        """
        A session that serves nothing for 10 s is closed with 4003; one that does is not.
        """
        unused, used = self.connect(used=False), self.connect()
        self.wait(9.75, 0.25)
        self.assertEqual((unused.code, self.ended), (None, []))
        self.wait(0.25)
        self.assertEqual((unused.code, used.code), (4003, None))
        self.assertEqual(self.ended, [(unused.session_id, "websocket_connection_unused")])
        self.assertIsNone(self.twitch.sessions.use(unused.session_id))

    def test_inbound_traffic(self) -> None:
        """
        A client that sends a message is closed with 4001.
        """
        client = self.connect()
        client.say("hello")
        self.assertEqual(client.code, 4001)
        self.assertEqual(self.ended, [(client.session_id, "websocket_received_inbound_traffic")])

    def test_a_ping_of_the_client(self) -> None:
        """
        A ping of the client is borne, unless a test wants it to count as traffic.
        """
        client = self.connect()
        client.ping()
        self.assertIsNone(client.code)
        self.twitch.sessions.strict_pings = True
        client.ping()
        self.assertEqual(client.code, 4001)

    def test_pings(self) -> None:
        """
        There is a ping each 5 s; a client that answers them lives.
        """
        client = self.connect()
        self.wait(4.75, 0.25)
        self.assertEqual(client.pings, 0)
        self.wait(0.25)
        self.assertEqual(client.pings, 1)
        self.wait(600)
        self.assertEqual((client.pings, client.code), (121, None))

    def test_a_client_that_died(self) -> None:
        """
        A client that answers no ping is believed to be there until a ping is unanswered for 10 s, and then closed with
        4002.
        """
        client = self.connect()
        client.dead = True
        self.wait(14.75, 0.25)
        self.assertIsNotNone(self.twitch.sessions.get(client.session_id))
        self.wait(0.25)
        self.assertEqual(self.ended, [(client.session_id, "websocket_failed_ping_pong")])
        client.dead = False
        self.assertEqual(client.pump().code, 4002)

    def test_the_ends_by_a_client(self) -> None:
        """
        A close frame and a FIN disconnect a session, an RST is a network error; the end is told once.
        """
        leaving, fin, rst = (self.connect() for _ in range(3))
        leaving.leave()
        leaving.hang_up()
        fin.hang_up()
        rst.hang_up(orderly=False)
        self.assertEqual(
            self.ended,
            [
                (leaving.session_id, "websocket_disconnected"),
                (fin.session_id, "websocket_disconnected"),
                (rst.session_id, "websocket_network_error"),
            ],
        )
        self.assertEqual((list(self.twitch.sessions), self.clock.getDelayedCalls()), ([], []))

    def test_a_client_that_does_not_answer_a_close_frame(self) -> None:
        """
        The connection is aborted two seconds after the close frame.
        """
        client = self.connect()
        client.dead = True
        self.twitch.sessions.sever(client.session_id, "close", 4000)
        self.wait(1.75, 0.25)
        self.assertFalse(client.wire.disconnecting)
        self.wait(0.25)
        self.assertTrue(client.wire.disconnecting)

    def test_every_code(self) -> None:
        """
        Each close code reaches the client, and what the session served gets the status of that code.
        """
        statuses = {
            4000: "websocket_internal_error",
            4001: "websocket_received_inbound_traffic",
            4002: "websocket_failed_ping_pong",
            4003: "websocket_connection_unused",
            4004: "websocket_failed_to_reconnect",
            4005: "websocket_network_timeout",
            4006: "websocket_network_error",
            4007: "websocket_disconnected",
            1012: "websocket_internal_error",
        }
        for code, status in statuses.items():
            client = self.connect()
            self.twitch.sessions.sever(client.session_id, "close", code)
            self.assertEqual(client.pump().code, code)
            self.assertEqual(self.ended.pop(), (client.session_id, status))
            client.hang_up()
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_other_breaks(self) -> None:
        """
        A FIN and an RST come without a close frame; Twitch knows of both at once.
        """
        for how in ("fin", "rst"):
            client = self.connect()
            self.twitch.sessions.sever(client.session_id, how)
            self.assertTrue(client.wire.disconnecting)
            self.assertEqual(client.pump().code, None)
            self.assertEqual(self.ended.pop(), (client.session_id, "websocket_network_error"))
        with self.assertRaises(ValueError):
            self.twitch.sessions.sever(self.connect().session_id, "gently")
        with self.assertRaises(LookupError):
            self.twitch.sessions.sever("unknown", "fin")

    def test_silence(self) -> None:
        """
        A socket that died says nothing more, hears nothing, and is believed to be there until no pong comes; what was
        written to it is lost, and is listed as that.
        """
        client = self.connect()
        self.twitch.sessions.sever(client.session_id, "silence")
        (session,) = self.twitch.sessions
        self.assertTrue(session.silent)
        self.assertTrue(self.twitch.sessions.send(client.session_id, "m", "notification", b"{}"))
        self.assertEqual([each.id for each in self.twitch.sessions.lost], ["m"])
        client.say("is anybody there?")
        client.hang_up()
        self.wait(14.0)
        self.assertEqual((client.types, client.pings, self.ended), (["session_welcome"], 0, []))
        self.wait(1.0)
        self.assertEqual(self.ended, [(client.session_id, "websocket_failed_ping_pong")])
        self.assertEqual((client.code, self.clock.getDelayedCalls()), (None, []))

    def test_late_frames(self) -> None:
        """
        Notifications can be late; one whose session has ended meanwhile is lost.
        """
        self.twitch.sessions.frame_delay = 2.0
        client = self.connect()
        self.twitch.sessions.send(client.session_id, "m", "notification", b'{"metadata": {"message_type": "late"}}')
        self.wait(1.75, 0.25)
        self.assertEqual(client.types, ["session_welcome"])
        self.wait(0.25)
        self.assertEqual(client.types[1:], ["late"])
        self.twitch.sessions.send(client.session_id, "n", "notification", b"{}")
        client.leave()
        self.wait(2.0)
        self.assertEqual([each.id for each in self.twitch.sessions.lost], ["n"])
        self.assertFalse(self.twitch.sessions.send(client.session_id, "o", "notification", b"{}"))

    def test_what_twitch_does_not_send(self) -> None:
        """
        A test can have other texts, binary messages and bytes that are no frame.
        """
        client, write = self.connect(), self.twitch.sessions.write
        write(client.session_id, "garbage")
        write(client.session_id, "text", text="ahoy")
        write(client.session_id, "binary")
        write(client.session_id, "huge", size=300_000)
        self.assertEqual(client.pump().others, [b"{]", b"ahoy", b"\x00\x01"])
        self.assertEqual(len(client.frames[-1]["payload"]["padding"]), 300_000)
        write(client.session_id, "bytes")
        self.assertEqual(client.wire.value(), b"\xff\xff\xff\xff")
        with self.assertRaises(ValueError):
            write(client.session_id, "nothing")

    def test_stop(self) -> None:
        """
        Nothing is planned after the end.
        """
        self.twitch.sessions.frame_delay = 2.0
        client, used = self.connect(used=False), self.connect()
        self.twitch.sessions.send(used.session_id, "m", "notification", b"{}")
        self.twitch.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertTrue(client.wire.disconnecting and used.wire.disconnecting)


class ReconnectTests(SessionCase):
    """
    ``session_reconnect``.
    """

    def reconnect(self, client: Client) -> str:
        url = self.twitch.sessions.reconnect(client.session_id)
        client.pump()
        return url

    def send(self, client: Client, kind: str) -> None:
        frame = b'{"metadata": {"message_type": "%s"}}' % kind.encode()
        self.twitch.sessions.send(client.session_id, kind, "notification", frame)
        for each in self.clients:
            each.pump()

    def test_the_message(self) -> None:
        """
        It has the url, the status and no keepalive.
        """
        client = self.connect()
        url = self.reconnect(client)
        self.assertTrue(url.startswith("ws://twitch.test/ws?challenge="))
        session: Any = client.frames[-1]["payload"]["session"]
        self.assertEqual(client.types[-1], "session_reconnect")
        self.assertEqual((session["status"], session["keepalive_timeout_seconds"]), ("reconnecting", None))
        self.assertEqual((session["id"], session["reconnect_url"]), (client.session_id, url))

    def test_make_before_break(self) -> None:
        """
        The old socket gets messages until the new one is welcome; the session keeps its id, and nothing ends.
        """
        old = self.connect()
        url = self.reconnect(old)
        self.send(old, "before")
        new = self.connect(url, used=False)
        self.assertEqual((new.session_id, self.twitch.sessions.sockets(old.session_id)), (old.session_id, 2))
        self.send(old, "after")
        old.leave()
        self.assertEqual(self.twitch.sessions.sockets(old.session_id), 1)
        self.send(new, "later")
        self.wait(60)
        self.assertEqual(old.types, ["session_welcome", "session_reconnect", "before"])
        self.assertEqual(new.types[:3], ["session_welcome", "after", "later"])
        self.assertEqual((self.ended, new.code), ([], None))

    def test_a_welcome_that_is_late(self) -> None:
        """
        Until the welcome on the new socket, the old one gets the messages.
        """
        old = self.connect()
        url = self.reconnect(old)
        self.twitch.sessions.welcome_after = 2.0
        new = self.connect(url, used=False)
        self.send(old, "before")
        self.wait(2.0)
        self.send(old, "after")
        self.assertEqual(old.types[2:], ["before"])
        self.assertEqual(new.types, ["session_welcome", "after"])

    def test_the_grace(self) -> None:
        """
        After 30 s without another socket the session ends with 4004.
        """
        client = self.connect()
        url = self.reconnect(client)
        self.wait(29.75, 0.25)
        self.assertIsNone(client.code)
        self.wait(0.25)
        self.assertEqual(client.code, 4004)
        self.assertEqual(self.ended, [(client.session_id, "websocket_failed_to_reconnect")])
        self.assertEqual(self.connect(url).code, 4007)

    def test_the_grace_is_not_prolonged(self) -> None:
        """
        It ends 30 s after the first request, also for a client that is asked again.
        """
        client = self.connect()
        self.reconnect(client)
        self.wait(20)
        self.reconnect(client)
        self.wait(10)
        self.assertEqual(client.code, 4004)

    def test_an_old_socket_that_stays(self) -> None:
        """
        The old socket is closed with 4004 after 30 s although there is a new one; the session goes on.
        """
        old = self.connect()
        new = self.connect(self.reconnect(old), used=False)
        self.wait(30)
        self.assertEqual((old.code, new.code, self.ended), (4004, None, []))
        self.assertEqual(old.types, ["session_welcome", "session_reconnect"])

    def test_a_url_is_good_once(self) -> None:
        """
        The second use of a url is closed with 4007, and harms nothing.
        """
        old = self.connect()
        url = self.reconnect(old)
        new, again = self.connect(url), self.connect(url)
        self.assertEqual((again.types, again.code, new.code, self.ended), ([], 4007, None, []))

    def test_a_url_that_is_wrong(self) -> None:
        """
        So is one that never was, and one that was replaced by another.
        """
        client = self.connect()
        self.assertEqual(self.connect(f"ws://twitch.test/ws?challenge=&id={client.session_id}").code, 4007)
        first, second = self.reconnect(client), self.reconnect(client)
        for url in (first, second + "0", f"ws://twitch.test/ws?challenge=&id={client.session_id}"):
            self.assertEqual(self.connect(url).code, 4007)
        self.assertEqual(self.connect(second).types, ["session_welcome"])

    def test_break_before_make(self) -> None:
        """
        A client that leaves the old socket first has lost the session: its url is closed with 4007.
        """
        client = self.connect()
        url = self.reconnect(client)
        client.leave()
        self.assertEqual(self.ended, [(client.session_id, "websocket_disconnected")])
        self.assertEqual(self.connect(url).code, 4007)

    def test_the_new_socket_fails(self) -> None:
        """
        Where the new socket is lost before its welcome, the session goes on with the old one until the grace ends.
        """
        old = self.connect()
        url = self.reconnect(old)
        self.twitch.sessions.welcome_after = 2.0
        self.connect(url, used=False).hang_up()
        self.send(old, "still")
        self.assertEqual((old.types[2:], self.ended), (["still"], []))
        self.assertEqual(self.connect(url).code, 4007)
        self.wait(30)
        self.assertEqual(self.ended, [(old.session_id, "websocket_failed_to_reconnect")])

    def test_another_url(self) -> None:
        """
        A test can have the client sent elsewhere.
        """
        client = self.connect()
        self.twitch.sessions.reconnect(client.session_id, "wss://elsewhere.example/ws")
        self.assertEqual(client.pump().frames[-1]["payload"]["session"]["reconnect_url"], "wss://elsewhere.example/ws")


_STEPS = st.sampled_from(
    ["connect", "follow", "wait", "move", "sever", "silence", "use", "leave", "fin", "rst", "say", "die"]
)


class AnyOrderTests(SessionCase):
    """
    Whatever happens in whatever order.
    """

    @given(st.lists(st.tuples(_STEPS, st.integers(0, 5)), max_size=30))
    def test_each_end_is_told_once(self, steps: list[tuple[str, int]]) -> None:
        """
        A session has two sockets at the most, and its end is told once; when every client is dead, all sessions end,
        and nothing is planned any more.
        """
        self.setUp()
        sessions = self.twitch.sessions
        self.urls = ["ws://twitch.test/ws?challenge=none&id=none"]
        for what, number in steps:
            self.one(what, number)
            for each in self.clients:
                each.pump()
            for session in sessions:
                self.assertIn(sessions.sockets(session.id), (1, 2))
                self.assertNotIn(session.id, [ended for ended, _ in self.ended])
        for client in self.clients:
            client.dead = True
        self.wait(60.0)
        told = [session_id for session_id, _ in self.ended]
        self.assertEqual(len(told), len(set(told)))
        self.assertEqual((list(sessions), self.clock.getDelayedCalls()), ([], []))

    def one(self, what: str, number: int) -> None:
        """
        Let something happen to a client or a session, if there is one.
        """
        if what == "connect":
            self.connect(used=False)
        elif what == "follow":
            self.connect(self.urls[number % len(self.urls)], used=False)
        elif what == "wait":
            self.wait(float(number * number))
        elif what in ("move", "sever", "silence", "use"):
            if alive := list(self.twitch.sessions):
                self.to_session(what, alive[number % len(alive)].id, number)
        elif alive_clients := [each for each in self.clients if not each.dead and each.code is None]:
            self.to_client(what, alive_clients[number % len(alive_clients)])

    def to_session(self, what: str, session_id: str, number: int) -> None:
        sessions = self.twitch.sessions
        if what == "move":
            self.urls.append(sessions.reconnect(session_id))
        elif what == "use":
            sessions.use(session_id)
        else:
            sessions.sever(session_id, "silence" if what == "silence" else ("close", "fin", "rst")[number % 3])

    def to_client(self, what: str, client: Client) -> None:
        if what == "say":
            client.say("hello")
        elif what == "leave":
            client.leave()
        elif what != "die":
            client.hang_up(orderly=what == "fin")
        # It has nothing to say any more.
        client.dead = True
