"""
Tests of :mod:`itsjustintv.web.http1`: what is read at once is what Twisted reads line by line.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Request

from itsjustintv.web.http1 import parse_single_read
from tests.web.test_http1 import Echo, Server, post

MESSAGE = (
    b"POST /twitch?x=1 HTTP/1.1\r\nHost: bench.example\r\ntwitch-eventsub-message-ID: \t 1 2\t \r\nEmpty:\r\n"
    b"Content-Length: 4\r\nX: a\r\nx: b\r\n\r\n{ \r\n"
)


class Everything(Echo):
    """
    Answers with all it was told.
    """

    def render(self, request: Request) -> bytes:
        headers = sorted(request.requestHeaders.getAllRawHeaders())
        body = request.content.read()
        return repr((request.method, request.uri, request.clientproto, request.args, headers, body)).encode("ascii")


requests = st.builds(
    lambda line, headers, end, length, body, more: (
        line + b"".join(header + end for header in headers) + (length % len(body)) + b"\r\n\r\n" + body + more
    ),
    st.sampled_from(
        [b"POST / HTTP/1.1\r\n"] * 4
        + [
            b"POST /twitch?a=1&a=%20 HTTP/1.1\r\n",
            b"post / HTTP/1.1\r\n",
            b"PUT / HTTP/1.1\r\n",
            b"POST / HTTP/1.0\r\n",
            b"POST  / HTTP/1.1\r\n",
            b"POST http://x/ HTTP/1.1\r\n",
            b"POST /\x00 HTTP/1.1\r\n",
            b"POST / HTTP/1.1\n",
            b"\r\nPOST / HTTP/1.1\r\n",
        ]
    ),
    st.lists(
        st.sampled_from(
            [
                b"Host: x",
                b"host:y",
                b"X-A: 1, \xff",
                b"X-A:\t2\t",
                b"etag: x",
                b"Bad Name: x",
                b"Bad-Name : x",
                b": x",
                b"no colon",
                b" folded: x",
                b"\tfolded",
                b"NUL: \x00",
                b"CR: a\rb",
                b"LF: a\nContent-Length: 1",
                b"Content-Length: 0",
                b"Transfer-Encoding: chunked",
                b"Transfer-Encoding: identity",
                b"Connection: close",
                b"Expect: 100-continue",
                b"Cookie: a=b",
                b"",
            ]
        ),
        max_size=4,
    ),
    st.sampled_from([b"\r\n"] * 8 + [b"\n", b"\r", b"\r\r\n"]),
    st.sampled_from(
        [b"Content-Length: %d"] * 5
        + [b"content-length:%d ", b"Content-Length: +%d", b"Content-Length: 0%d", b"Content-Length: %d0", b"X: %d"]
    ),
    st.sampled_from([b"", b"x", b"{}\r\n\r\n", b"x" * 2000]),
    st.sampled_from([b"", b"", b"\r\n", b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", b"GET / HTTP/1.1\r\n\r\n"]),
)


class SingleReadTests(SynchronousTestCase):
    """
    Requests in one piece.
    """

    def test_a_message_is_read(self) -> None:
        """
        Path, headers under their proper names, each with its values in order, and body.
        """
        single = parse_single_read(MESSAGE)
        assert single is not None
        self.assertEqual((single.path, single.body), (b"/twitch?x=1", b"{ \r\n"))
        self.assertEqual(single.headers.getRawHeaders(b"Twitch-Eventsub-Message-Id"), [b"1 2"])
        self.assertEqual(single.headers.getRawHeaders("X"), ["a", "b"])
        self.assertEqual(single.headers.getRawHeaders(b"Empty"), [b""])

    def test_only_one_request_no_more_and_no_less(self) -> None:
        """
        Any part of a request is not one, nor is a request with more behind it.
        """
        for message in (MESSAGE, b"POST / HTTP/1.1\r\nContent-Length: 0\r\nX: a\r\n\r\n"):
            self.assertIsNotNone(parse_single_read(message))
            for end in range(len(message)):
                self.assertIsNone(parse_single_read(message[:end]), message[:end])
            self.assertIsNone(parse_single_read(message + b"\n"))

    def test_what_has_another_reading_is_left_alone(self) -> None:
        """
        Whatever says something about connection or framing, or has two meanings, is read by Twisted.
        """
        for header in (b"Transfer-Encoding: chunked", b"Connection: close", b"Content-Length: 1", b"A: b\nC: d", b"A"):
            self.assertIsNone(parse_single_read(post(b"x", header)))
        self.assertIsNone(parse_single_read(post(b"", *[b"A: b"] * 101)))
        self.assertIsNone(parse_single_read(post(b"", b"A: " + b"b" * 9000)))
        self.assertIsNone(parse_single_read(post(b"").replace(b"POST", b"PUT")))
        self.assertIsNotNone(parse_single_read(post(b"x")))

    @given(requests)
    def test_read_at_once_is_as_read_by_and_by(self, data: bytes) -> None:
        """
        A request, and whatever looks like one, is answered alike whether it arrives in one piece or not.
        """
        server = Server(Everything())
        self.assertEqual(server.exchange(data), server.exchange(data[:1], data[1:]))

    @given(st.integers(0, len(MESSAGE)), st.integers(0, len(MESSAGE)), st.binary(max_size=3))
    def test_no_byte_makes_a_difference(self, begin: int, end: int, instead: bytes) -> None:
        """
        The same of a message with anything in the place of any part of it.
        """
        server = Server(Everything())
        data = MESSAGE[:begin] + instead + MESSAGE[end:]
        self.assertEqual(server.exchange(data), server.exchange(data[:1], data[1:]))
