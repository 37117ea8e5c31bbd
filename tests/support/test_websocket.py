"""
Tests of :mod:`itsjustintv.support.websocket`.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv import __version__
from itsjustintv.support.websocket import Closed, WebSocketDialer, websocket_url
from tests.support.peers import SERVERS, Connected, Listener, MemoryEndpoints, OfWebsockets, Server

KIB = 1024
LARGEST = 256 * KIB


def frame(opcode: int, data: bytes, *, fin: bool = True, reserved: int = 0) -> bytes:
    """
    A frame as a server sends it (RFC 6455, section 5.2).
    """
    head = bytes([(0x80 if fin else 0) | reserved | opcode])
    if len(data) < 126:
        return head + bytes([len(data)]) + data
    if len(data) < 1 << 16:
        return head + bytes([126]) + len(data).to_bytes(2, "big") + data
    return head + bytes([127]) + len(data).to_bytes(8, "big") + data


CONTINUATION, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9


class DialingTests(SynchronousTestCase):
    """
    From a URL to a connection.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoints = MemoryEndpoints()
        self.listener = Listener()
        self.dialer = WebSocketDialer(self.clock, self.endpoints)

    def test_the_request(self) -> None:
        """
        The request line has path and query as they are written; Host has the port if it is not the scheme's own.
        """
        cases = {
            "ws://127.0.0.1:8080/ws?a=1&b=%2F+/=": (b"http://127.0.0.1:8080/", "/ws?a=1&b=%2F+/=", "127.0.0.1:8080"),
            "wss://eventsub.wss.twitch.tv/ws": (b"https://eventsub.wss.twitch.tv/", "/ws", "eventsub.wss.twitch.tv"),
            "wss://eventsub.wss.twitch.tv?challenge=a|b": (
                b"https://eventsub.wss.twitch.tv/",
                "/?challenge=a|b",
                "eventsub.wss.twitch.tv",
            ),
            "WSS://Example.ORG:444": (b"https://example.org:444/", "/", "example.org:444"),
            "ws://[::1]:9000/a/../b#c": (b"http://[::1]:9000/", "/a/../b", "[::1]:9000"),
            "ws://[::1]/": (b"http://[::1]/", "/", "[::1]"),
        }
        for url, (endpoint, target, host) in cases.items():
            self.dialer.dial(url, self.listener)
            self.clock.advance(0)
            transport = self.endpoints.establish(secure=url.lower().startswith("wss"))
            lines = transport.value().decode().split("\r\n")
            self.assertEqual(lines[0], f"GET {target} HTTP/1.1", url)
            self.assertIn(f"Host: {host}", lines)
            self.assertIn(f"User-Agent: itsjustintv/{__version__}", lines)
            self.assertNotIn("Sec-WebSocket-Extensions", transport.value().decode())
            self.assertTrue(self.endpoints.uris[-1].startswith(endpoint.rstrip(b"/")), self.endpoints.uris[-1])

    def test_nothing_is_sent_before_tls_is_established(self) -> None:
        """
        With ``wss`` the request waits for the certificate to be verified.
        """
        self.dialer.dial("wss://example.org/", self.listener)
        self.clock.advance(0)
        transport = self.endpoints.establish()
        self.assertEqual(transport.value(), b"")
        transport.protocol.handshakeCompleted()
        self.assertIn(b"GET / HTTP/1.1", transport.value())

    def test_addresses_that_cannot_be_used(self) -> None:
        """
        Each is told as the end of a connection that there never was, after the dialling has returned.
        """
        for url in (
            "",
            "http://example.org/",
            "ws://",
            "ws://a:0/",
            "wss://user@example.org/",
            "ws://a/\r\nX:y",
            "ws://a/ b",
            "ws://a/ü",
        ):
            listener = Listener()
            websocket = self.dialer.dial(url, listener)
            for act in (websocket.pause, websocket.resume, websocket.close, websocket.abort):
                act()
            self.assertEqual(listener.closes, [])
            self.clock.advance(0)
            self.assertIn("the address cannot be used: ", listener.end.reason, url)
            self.assertFalse(listener.end.opened)
        self.assertEqual(self.endpoints.uris, [])

    def test_no_connection(self) -> None:
        """
        A connection that is refused, and an endpoint that cannot be made.
        """
        self.dialer.dial("ws://example.org:81/", self.listener)
        self.clock.advance(0)
        reason = "cannot connect to example.org:81: network is unreachable"
        self.endpoints.connecting[-1].errback(ConnectError(string="Network is unreachable"))
        self.assertEqual(self.listener.end, Closed(None, reason, opened=False))
        self.endpoints.fault = ValueError("no such thing")
        other = Listener()
        self.dialer.dial("ws://example.org/", other)
        self.clock.advance(0)
        self.assertEqual(other.end.reason, "cannot connect to example.org: no such thing")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_deadlines(self) -> None:
        """
        TCP and TLS together have ten seconds, and so has the handshake.
        """
        self.dialer.dial("wss://example.org/", self.listener)
        self.clock.advance(0)
        self.clock.advance(9.9)
        self.assertEqual(self.listener.closes, [])
        self.clock.advance(0.1)
        self.assertEqual(self.endpoints.cancelled, 1)
        self.assertEqual(self.listener.end.reason, "cannot connect to example.org: no answer within 10 s")

        slow = Listener()
        self.dialer.dial("wss://example.org/", slow)
        self.clock.advance(0)
        transport = self.endpoints.establish()
        self.clock.advance(10)
        self.assertTrue(transport.aborted)
        self.assertEqual(slow.end.reason, "cannot connect to example.org: no answer within 10 s")

        silent = Listener()
        self.dialer.dial("wss://example.org/", silent)
        self.clock.advance(0)
        self.clock.advance(9)
        transport = self.endpoints.establish(secure=True)
        self.clock.advance(9.9)
        self.assertEqual(silent.closes, [])
        self.clock.advance(0.1)
        self.assertTrue(transport.aborted)
        self.assertEqual(silent.end.reason, "example.org did not answer the WebSocket handshake within 10 s")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_given_up_while_dialling(self) -> None:
        """
        Closing and aborting end an attempt at every point of it, and nothing is left.
        """
        for act in ("close", "abort"):
            for point in ("before", "connecting", "connected", "secured"):
                listener = Listener()
                websocket = self.dialer.dial("wss://example.org/", listener)
                if point != "before":
                    self.clock.advance(0)
                if point in ("connected", "secured"):
                    self.endpoints.establish(secure=point == "secured")
                getattr(websocket, act)()
                websocket.abort()
                self.clock.advance(0)
                self.assertEqual(listener.end, Closed(None, "it was closed here", False), (act, point))
                self.assertEqual(self.clock.getDelayedCalls(), [], (act, point))

    def test_connected_although_given_up(self) -> None:
        """
        A connection that is established after it was given up is aborted, and nothing is sent on it.
        """
        for url in ("ws://example.org/", "wss://example.org/"):
            listener = Listener()
            websocket = self.dialer.dial(url, listener)
            self.clock.advance(0)
            websocket.abort()
            transport = self.endpoints.establish()
            self.assertEqual((transport.aborted, transport.value(), len(listener.closes)), (True, b"", 1))
        self.dialer.dial("wss://example.org/", Listener()).abort()
        self.clock.advance(0)
        websocket = self.dialer.dial("wss://example.org/", Listener())
        self.clock.advance(0)
        transport = self.endpoints.establish()
        protocol = transport.protocol
        websocket.abort()
        # TLS may be complete in the same segment.
        protocol.handshakeCompleted()
        self.assertEqual(transport.value(), b"")

    def test_a_certificate_that_is_refused(self) -> None:
        """
        What ends TLS is the reason.
        """

        class VerificationError(Exception):
            pass

        VerificationError.__module__ = "service_identity.exceptions"
        self.dialer.dial("wss://example.org/", self.listener)
        self.clock.advance(0)
        self.endpoints.establish().lose(VerificationError())
        self.assertEqual(self.listener.end.reason, "cannot connect to example.org: its certificate is for another name")


class HandshakeTests(SynchronousTestCase):
    """
    What may come instead of an opening.
    """

    def ending(self, answer: bytes, *, lost: Exception | None = None) -> Closed:
        """
        How an answer ends the connection, however it is cut.
        """
        ends = []
        for sizes in (len(answer), 1, 7):
            made = Connected.to(OfWebsockets())
            for start in range(0, len(answer), sizes or 1):
                made.receive(answer[start : start + sizes])
            if lost is not None:
                made.transport.lose(lost)
            self.assertEqual(made.listener.events, [])
            self.assertEqual(made.clock.getDelayedCalls(), [])
            ends.append(made.listener.end)
        self.assertEqual(len({end.reason for end in ends}), 1, ends)
        return ends[0]

    def test_another_status(self) -> None:
        """
        An HTTP answer is told by its status, without waiting for its body.
        """
        for status in (200, 302, 403, 429, 500, 503):
            head = f"HTTP/1.1 {status} Whatever\r\nContent-Length: 100000\r\nLocation: wss://example.net/\r\n\r\n"
            end = self.ending(head.encode())
            self.assertEqual(
                end.reason, f"example.org answered with HTTP status {status} instead of opening a WebSocket"
            )
            self.assertEqual((end.code, end.opened), (None, False))

    def test_an_answer_that_opens_nothing(self) -> None:
        """
        What is no HTTP, or agrees to something else, is named so.
        """
        key = b"Sec-WebSocket-Accept: aaaa\r\n"
        upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        for answer in (
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"\x15\x03\x01\x00\x02\x02\x28\r\n",
            b"HTTP/2 101 \r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            upgrade + b"\r\n",
            upgrade + key + b"\r\n",
            b"x" * 9000,
        ):
            self.assertEqual(self.ending(answer).reason, "the answer of example.org does not open a WebSocket", answer)

    def test_an_extension_or_a_subprotocol_that_was_not_offered(self) -> None:
        """
        A server must not choose what was not offered.
        """
        for header in (b"Sec-WebSocket-Extensions: permessage-deflate", b"Sec-WebSocket-Protocol: chat"):
            made = Connected.to(OfWebsockets())
            answer = made.answer().replace(b"\r\n\r\n", b"\r\n" + header + b"\r\n\r\n")
            made.receive(answer)
            self.assertEqual(made.listener.end.reason, "the answer of example.org does not open a WebSocket")

    def test_a_connection_that_ends_meanwhile(self) -> None:
        """
        A FIN or a reset in the handshake, with or without the beginning of an answer.
        """
        for answer in (b"", b"HT", b"HTTP/1.1 101 Switching Protocols\r\nUpgr"):
            for lost in (ConnectionDone(), ConnectionLost()):
                end = self.ending(answer, lost=lost)
                self.assertEqual(end.reason, "example.org closed the connection during the WebSocket handshake")


class MessageTests(SynchronousTestCase):
    """
    What comes over an open connection.
    """

    def opened(self) -> Connected:
        return Connected.opened(OfWebsockets())

    def assert_refused(self, made: Connected, code: int, reason: str) -> None:
        """
        The server got the close frame, and the connection is gone two seconds later though it does nothing.
        """
        made.answer()
        self.assertEqual([each.partition(":")[2].partition(":")[0] for each in made.server.seen], [str(code)])
        self.assertEqual(made.listener.closes, [])
        # What follows does not count any more.
        made.receive(frame(TEXT, b"late") + frame(CLOSE, (1000).to_bytes(2, "big")))
        made.clock.advance(2)
        self.assertTrue(made.transport.aborted)
        self.assertEqual(made.listener.end, Closed(None, reason, opened=True))
        self.assertNotIn("late", made.listener.events)
        self.assertEqual(made.clock.getDelayedCalls(), [])

    def test_the_largest(self) -> None:
        """
        A message of 256 KiB is received, whole or in parts; one byte more closes the connection with 1009.
        """
        text = b"x" * LARGEST
        for size in (LARGEST, LARGEST - 1, 100 * KIB):
            made = self.opened()
            made.receive(frame(TEXT, text[:size], fin=size == LARGEST))
            if size < LARGEST:
                made.receive(frame(CONTINUATION, text[size:]))
            self.assertEqual(made.listener.events[1:], [text.decode()])

            made = self.opened()
            if size < LARGEST:
                made.receive(frame(TEXT, text[:size], fin=False) + frame(CONTINUATION, text[size:] + b"x"))
            else:
                made.receive(frame(TEXT, text + b"x"))
            self.assert_refused(made, 1009, "a message had more than 256 KiB")

    def test_a_huge_length_is_refused_by_its_head(self) -> None:
        """
        The rest of a message that is too long is not waited for.
        """
        made = self.opened()
        made.receive(bytes([0x81, 127]) + (1 << 40).to_bytes(8, "big"))
        self.assert_refused(made, 1009, "a message had more than 256 KiB")

    def test_what_is_not_text(self) -> None:
        """
        Binary messages and texts that are not UTF-8 are refused, each with the code that it has.
        """
        cases = (
            (frame(BINARY, b"{}"), 1003, "a message was binary"),
            (frame(TEXT, b"\xff{}"), 1007, "a message was not UTF-8"),
            (frame(TEXT, b"a\xc3", fin=False) + frame(CONTINUATION, b"b"), 1007, "a message was not UTF-8"),
            (frame(CLOSE, b"\x03\xe8\xff"), 1007, "the reason of a close frame was not UTF-8"),
        )
        for data, code, reason in cases:
            made = self.opened()
            made.receive(data)
            self.assert_refused(made, code, reason)

    def test_frames_that_break_the_protocol(self) -> None:
        """
        Masked frames, reserved bits and kinds, and parts without a beginning are refused with 1002.
        """
        for data in (
            bytes([0x81, 0x82]) + b"mask" + b"ab",
            frame(TEXT, b"ab", reserved=0x40),
            frame(3, b"ab"),
            frame(CONTINUATION, b"ab"),
            frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
            frame(PING, b"", fin=False),
            frame(PING, b"x" * 126),
            frame(CLOSE, b"\x03"),
            frame(CLOSE, (1005).to_bytes(2, "big")),
            frame(TEXT, b"a", fin=False) + frame(CLOSE, (1000).to_bytes(2, "big")),
        ):
            made = self.opened()
            made.receive(data)
            made.answer()
            made.clock.advance(2)
            self.assertIn("a frame broke the WebSocket protocol: ", made.listener.end.reason, data)
            self.assertTrue(made.server.seen[-1].startswith("close:1002"), (data, made.server.seen))

    def test_messages_before_a_fault(self) -> None:
        """
        What came before a fault in the same segment was received.
        """
        made = self.opened()
        made.receive(frame(TEXT, b"one") + frame(TEXT, b"two") + frame(BINARY, b"") + frame(TEXT, b"three"))
        self.assertEqual(made.listener.events[1:], ["one", "two"])

    def test_pings(self) -> None:
        """
        A ping is answered by a pong with its payload, also between the parts of a message, and is not told.
        """
        for server in SERVERS:
            made = Connected.opened(server())
            made.receive(made.server.ping(b"abc"))
            made.receive(frame(TEXT, b"a", fin=False) + frame(PING, b"def") + frame(CONTINUATION, b"b"))
            made.answer()
            self.assertEqual(made.server.seen, ["pong:abc", "pong:def"])
            self.assertEqual(made.listener.events, ["opened", "ab"])

    def test_silence(self) -> None:
        """
        An open connection may be silent for as long as it likes: nothing waits for anything.
        """
        made = self.opened()
        self.assertEqual(made.clock.getDelayedCalls(), [])
        made.receive(frame(TEXT, b"one"))
        self.assertEqual(made.listener.events, ["opened", "one"])

    def test_a_listener_that_fails(self) -> None:
        """
        An exception of the listener is logged, and the next message is told.
        """

        def fail(text: str) -> None:
            if text == "one":
                raise ValueError("a defect")

        made = self.opened()
        made.listener.then = fail
        made.receive(frame(TEXT, b"one") + frame(TEXT, b"two"))
        self.assertEqual(made.listener.events, ["opened", "one", "two"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class EndTests(SynchronousTestCase):
    """
    How a connection ends.
    """

    def test_a_close_frame(self) -> None:
        """
        Code and reason are told; the frame is answered, and the connection closed at once.
        """
        for server in SERVERS:
            made = Connected.opened(server())
            made.receive(made.server.close(4004, "reconnect grace time expired"))
            self.assertTrue(made.transport.disconnecting)
            made.fin()
            reason = "example.org closed the connection with code 4004: 'reconnect grace time expired'"
            self.assertEqual(made.listener.end, Closed(4004, reason, opened=True))
            self.assertEqual(made.clock.getDelayedCalls(), [])
            made.answer()
            self.assertEqual(made.server.seen, ["close:4004:reconnect grace time expired"])

    def test_what_a_close_frame_may_lack(self) -> None:
        """
        A close frame without a reason or a code; and one whose reason is meant for a terminal.
        """
        cases = (
            (frame(CLOSE, (4000).to_bytes(2, "big")), 4000, "example.org closed the connection with code 4000"),
            (frame(CLOSE, b""), 1005, "example.org closed the connection without a reason"),
            (
                frame(CLOSE, (4000).to_bytes(2, "big") + b"a\x1b[2J\n"),
                4000,
                "example.org closed the connection with code 4000: 'a\\x1b[2J'",
            ),
        )
        for data, code, reason in cases:
            made = Connected.opened(OfWebsockets())
            made.receive(data)
            made.fin()
            self.assertEqual(made.listener.end, Closed(code, reason, opened=True))

    def test_a_server_that_does_not_let_go(self) -> None:
        """
        After its close frame a server has two seconds; then the connection is aborted, and the code is still known.
        """
        made = Connected.opened(OfWebsockets())
        made.receive(made.server.close(4000, ""))
        made.clock.advance(1.9)
        self.assertEqual(made.listener.closes, [])
        made.clock.advance(0.1)
        self.assertTrue(made.transport.aborted)
        self.assertEqual(made.listener.end.code, 4000)

    def test_without_a_close_frame(self) -> None:
        """
        A FIN and a reset without one have no code.
        """
        for lost in (ConnectionDone(), ConnectionLost()):
            made = Connected.opened(OfWebsockets())
            made.receive(made.server.text(["a"]))
            made.transport.lose(lost)
            reason = "example.org closed the connection without a close code"
            self.assertEqual(made.listener.end, Closed(None, reason, opened=True))
            self.assertEqual(made.listener.events, ["opened", "a"])

    def test_closed_politely(self) -> None:
        """
        The server gets code and reason; what it had sent is received until it answers.
        """
        for server in SERVERS:
            made = Connected.opened(server())
            late = made.server.text(["late"])
            made.websocket.close(1000, "moved")
            made.websocket.close()
            made.receive(late)
            made.exchange()
            made.fin()
            self.assertEqual(made.server.seen, ["close:1000:moved"])
            self.assertEqual(made.listener.events, ["opened", "late"])
            self.assertEqual(made.listener.end, Closed(None, "it was closed here", opened=True))
            self.assertEqual(made.clock.getDelayedCalls(), [])

    def test_a_server_that_does_not_answer_a_close(self) -> None:
        """
        Two seconds after a request to close, the connection is gone.
        """
        made = Connected.opened(OfWebsockets())
        made.websocket.close()
        made.clock.advance(2)
        self.assertTrue(made.transport.aborted)
        self.assertEqual(made.listener.end.reason, "it was closed here")

    def test_aborted(self) -> None:
        """
        A connection that is aborted tells nothing more but its end, and sends nothing.
        """
        made = Connected.opened(OfWebsockets())
        made.listener.then = lambda text: made.websocket.abort()
        made.receive(frame(TEXT, b"one") + frame(TEXT, b"two") + frame(PING, b""))
        made.websocket.abort()
        made.websocket.close()
        self.assertEqual(made.listener.events, ["opened", "one"])
        self.assertEqual(made.listener.end, Closed(None, "it was closed here", opened=True))
        self.assertEqual(made.clock.getDelayedCalls(), [])

    def test_nothing_is_done_after_the_end(self) -> None:
        """
        Whatever is asked of a connection that is gone does nothing.
        """
        made = Connected.opened(OfWebsockets())
        made.transport.taken()
        made.fin()
        for act in (made.websocket.pause, made.websocket.resume, made.websocket.close, made.websocket.abort):
            act()
        self.assertEqual(made.transport.taken(), b"")
        self.assertEqual(len(made.listener.closes), 1)
        self.assertEqual(made.clock.getDelayedCalls(), [])


class PauseTests(SynchronousTestCase):
    """
    A listener that cannot keep up.
    """

    def setUp(self) -> None:
        self.made = Connected.opened(OfWebsockets())

    def test_nothing_is_told_meanwhile(self) -> None:
        """
        The transport is paused; what had arrived, and the end, are told after the pause in their order.
        """
        made = self.made
        made.listener.then = lambda text: made.websocket.pause() if text == "one" else None
        made.receive(frame(TEXT, b"one") + frame(TEXT, b"two") + frame(TEXT, b"three"))
        self.assertEqual(made.transport.producerState, "paused")
        self.assertEqual(made.listener.events, ["opened", "one"])
        made.fin()
        self.assertEqual(made.listener.closes, [])
        made.websocket.resume()
        self.assertEqual(made.listener.events, ["opened", "one", "two", "three"])
        self.assertTrue(made.listener.end)

    def test_paused_again(self) -> None:
        """
        A listener may pause within what a resumption tells; the transport stays paused then.
        """
        made = self.made
        made.listener.then = lambda _: made.websocket.pause()
        made.receive(frame(TEXT, b"one") + frame(TEXT, b"two"))
        made.websocket.resume()
        self.assertEqual((made.listener.events[-1], made.transport.producerState), ("two", "paused"))
        made.websocket.resume()
        self.assertEqual(made.transport.producerState, "producing")
        made.websocket.resume()
        self.assertEqual(made.transport.producerState, "producing")

    def test_one_after_the_other(self) -> None:
        """
        A listener that pauses and resumes gets the next message when it has returned.
        """
        made = self.made
        made.websocket.pause()
        made.receive(frame(TEXT, b"one") + frame(TEXT, b"two"))

        def then(text: str) -> None:
            made.websocket.pause()
            made.websocket.resume()
            made.listener.events.append(f"end of {text}")

        made.listener.then = then
        made.websocket.resume()
        self.assertEqual(made.listener.events, ["opened", "one", "end of one", "two", "end of two"])
        self.assertEqual(made.transport.producerState, "producing")

    def test_before_it_is_open(self) -> None:
        """
        The handshake is read all the same.
        """
        made = Connected.to(OfWebsockets())
        made.websocket.pause()
        self.assertEqual(made.transport.producerState, "producing")
        made.receive(made.answer() + frame(TEXT, b"one"))
        self.assertEqual((made.listener.events, made.transport.producerState), ([], "paused"))
        made.websocket.resume()
        self.assertEqual(made.listener.events, ["opened", "one"])

    def test_a_close_ends_it(self) -> None:
        """
        The answer of the server to a close can only be read without a pause.
        """
        made = self.made
        made.websocket.pause()
        made.receive(frame(TEXT, b"one"))
        made.websocket.close()
        self.assertEqual((made.listener.events[-1], made.transport.producerState), ("one", "producing"))
        made.exchange()
        made.fin()
        self.assertTrue(made.listener.end)

    def test_an_abortion_ends_it(self) -> None:
        """
        The end is told though it is paused, also if the connection was lost before.
        """
        for lost in (False, True):
            made = Connected.opened(OfWebsockets())
            made.websocket.pause()
            made.receive(frame(TEXT, b"one"))
            if lost:
                made.fin()
            made.websocket.abort()
            self.assertEqual(made.listener.events, ["opened"])
            self.assertEqual(len(made.listener.closes), 1)


class CutTests(SynchronousTestCase):
    """
    Against servers that are not ours, cut at every byte.
    """

    TEXTS = ("{}", "grüße \U0001f99d", "x" * 200, "ab" * 3)

    def stream(self, made: Connected) -> bytes:
        """
        All that a server sends.
        """
        server = made.server
        return b"".join(
            [
                made.answer(),
                server.text(self.TEXTS[:1]),
                server.ping(b"one"),
                server.text(["grü", "ße ", "\U0001f99d"]),
                server.text(self.TEXTS[2:3]),
                server.text(["ab", "ab", "", "ab"]),
                server.close(4000, "the end"),
            ]
        )

    def test_in_two_segments(self) -> None:
        """
        Wherever a stream is cut, the same is told.
        """
        for server in SERVERS:
            length = len(self.stream(Connected.to(server())))
            for cut in range(length + 1):
                made = Connected.to(server())
                data = self.stream(made)
                made.receive(data[:cut])
                made.receive(data[cut:])
                made.fin()
                self.assert_all(made)

    def test_byte_by_byte(self) -> None:
        """
        And so it is if each byte comes by itself.
        """
        for server in SERVERS:
            made = Connected.to(server())
            for byte in self.stream(made):
                made.receive(bytes([byte]))
            made.fin()
            self.assert_all(made)

    def test_cut_off(self) -> None:
        """
        Wherever a stream ends, the messages that were complete are told, and the end once, with the code if it came.
        """
        for server in SERVERS:
            length = len(self.stream(Connected.to(server())))
            for cut in range(length + 1):
                made = Connected.to(server())
                made.receive(self.stream(made)[:cut])
                made.fin()
                told = made.listener.events
                self.assertEqual(told, ["opened", *self.TEXTS][: len(told)])
                end = made.listener.end
                self.assertEqual(end.opened, bool(told))
                self.assertEqual(end.code, 4000 if cut == length else None)
                self.assertEqual(made.clock.getDelayedCalls(), [])

    def assert_all(self, made: Connected) -> None:
        """
        Everything of the stream was told.
        """
        self.assertEqual(made.listener.events, ["opened", *self.TEXTS])
        self.assertEqual(made.listener.end.code, 4000)
        made.answer()
        self.assertEqual(made.server.seen, ["pong:one", "close:4000:the end"])


class FragmentationTests(SynchronousTestCase):
    """
    Messages, fragments and segments of every size.
    """

    @settings(max_examples=200, deadline=None)
    @given(
        st.sampled_from(SERVERS),
        st.lists(st.lists(st.text(max_size=20), min_size=1, max_size=5), max_size=6),
        st.lists(st.integers(1, 60), min_size=1, max_size=20),
    )
    def test_any(self, server: type[Server], messages: list[list[str]], sizes: list[int]) -> None:
        """
        Messages arrive as they were sent, in whatever fragments, with pings between them, and in whatever segments.
        """
        made = Connected.to(server())
        data = made.answer()
        for parts in messages:
            data += made.server.text(parts) + made.server.ping(b"")
        turn = 0
        while data:
            size = sizes[turn % len(sizes)]
            made.receive(data[:size])
            data, turn = data[size:], turn + 1
        made.answer()
        self.assertEqual(made.listener.events, ["opened", *map("".join, messages)])
        self.assertEqual(made.server.seen, ["pong:"] * len(messages))

    @settings(max_examples=300, deadline=None)
    @given(st.booleans(), st.lists(st.binary(max_size=40), max_size=8), st.integers(0, 9))
    def test_garbage(self, opened: bool, segments: list[bytes], acts: int) -> None:
        """
        Whatever comes, and whatever is asked meanwhile, the end is told exactly once and nothing is left.
        """
        made = Connected.to(OfWebsockets())
        if opened:
            made.receive(made.answer())
        for number, data in enumerate(segments):
            made.receive(data)
            if number == acts:
                made.websocket.pause()
            elif number == acts + 1:
                made.websocket.resume()
            elif number == acts + 3:
                made.websocket.close()
        made.websocket.resume()
        made.clock.advance(12)
        made.fin()
        self.assertEqual(len(made.listener.closes), 1)
        self.assertEqual(made.clock.getDelayedCalls(), [])


class UrlTests(SynchronousTestCase):
    """
    What is a URL of a WebSocket.
    """

    def test_parsed(self) -> None:
        """
        The scheme becomes that of the request, and host and port are read.
        """
        for text, expected in {
            "wss://eventsub.wss.twitch.tv/ws": ("https", "eventsub.wss.twitch.tv", 443),
            "WS://LocalHost:81": ("http", "localhost", 81),
        }.items():
            url = websocket_url(text)
            self.assertEqual((url.scheme, url.host, url.port), expected)
        for text in ("", "http://a/", "https://a/", "w", "wsss://a/", "://a/"):
            with self.assertRaisesRegex(ValueError, "not a ws or wss URL"):
                websocket_url(text)
