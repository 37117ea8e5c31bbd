"""
HTTP/2 cut into frames, before anything is made of them.

h2 would keep what has arrived of a frame or of a head until the end of it, however long that is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

__all__ = ["FRAME", "HEAD", "HEADERS", "FrameTooLong", "Frames", "Framing"]

# RFC 9113, sections 3.4, 4.1 and 6: what a connection begins with, the head of a frame, types, and a flag.
_PREFACE = 24
_HEAD = 9
HEADERS, _GOAWAY, _CONTINUATION = 1, 7, 9
_END_HEADERS = 4


class FrameTooLong(Exception):
    """
    A frame, or a head in several of them, is longer than it may be.
    """


class Frames:
    """
    What a client sends, one after the other.

    :param longest: bytes that a frame may have beside its head.
    :param head: bytes that the head of a request may have, as it is sent.
    :ivar count: of what was taken so far; a head is one thing, in however many frames.
    """

    def __init__(self, longest: int, head: int) -> None:
        self.count = 0
        self._longest = longest
        self._most = head
        self._arrived = bytearray()
        self._wanted = _PREFACE
        self._greeted = self._judged = self._in_head = False
        self._head = 0

    @property
    def unfinished(self) -> bool:
        """
        Whether there is something left, or a head of which only a part was taken.
        """
        return bool(self._arrived) or self._in_head

    def add(self, data: bytes) -> None:
        """
        Go on with what has arrived.
        """
        self._arrived += data

    def take(self) -> bytes | None:
        """
        Take the next frame, if it is whole.

        :raises FrameTooLong: what is begun will be too long, which is said when that can be known.
        """
        if self._greeted and not self._judged and len(self._arrived) >= _HEAD:
            self._judge()
        if len(self._arrived) < self._wanted:
            return None
        whole = bytes(self._arrived[: self._wanted])
        del self._arrived[: self._wanted]
        self._wanted = _HEAD
        self._greeted, self._judged = True, False
        self.count += not self._in_head
        return whole

    def is_farewell(self, frame: bytes) -> bool:
        """
        Whether the frame that was taken last says that no requests will follow.
        """
        return frame[3] == _GOAWAY and len(frame) >= _HEAD + 8 and not any(frame[5:9]) and not self._in_head

    def _judge(self) -> None:
        length = int.from_bytes(self._arrived[:3], "big")
        kind, flags = self._arrived[3], self._arrived[4]
        if kind in (HEADERS, _CONTINUATION):
            self._head += length
            if self._head > self._most:
                raise FrameTooLong
            self._in_head = not flags & _END_HEADERS
            if not self._in_head:
                self._head = 0
        if length > self._longest:
            raise FrameTooLong
        self._wanted = _HEAD + length
        self._judged = True


#: Bytes of a head, as Twisted allows them in HTTP/1.1, and of a frame (RFC 9113, section 4.2).
HEAD = 16 * 1024
FRAME = 16 * 1024

# Bytes of the table that either side keeps of the other's headers.
_TABLE = 4096
_KNOWN = frozenset(SettingCodes)


class _Settings(Settings):
    """
    The peer's: those that mean something, and no more of our memory than we like.
    """

    def __setitem__(self, key: SettingCodes | int, value: int) -> None:
        if key == SettingCodes.HEADER_TABLE_SIZE:
            # It may allow a table of any size, and each answer leaves something in it.
            value = min(value, _TABLE)
        # To be told the same size twice, hpack forgets that it has to tell the peer of it.
        if key in _KNOWN and self.get(key) != value:
            super().__setitem__(key, value)


class Framing(H2Connection):
    """
    Our end of a connection.

    :param streams: requests that may be open at once.
    """

    #: By default it remembers of 65,536 streams how they were closed.
    MAX_CLOSED_STREAMS = 512

    def __init__(self, streams: int) -> None:
        super().__init__(H2Configuration(client_side=False, header_encoding=None))
        self.remote_settings = _Settings(client=True)
        self.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: HEAD,
            },
        )
        # Otherwise it would hold only once the peer has agreed to it.
        self.decoder.max_header_list_size = HEAD

    def settle(self) -> None:
        """
        After settings of the peer: tell it of the smallest and the last size of its table since the last answer (RFC
        7541, section 4.2). hpack would tell of each, and the last one may not allow those before it.
        """
        sizes = self.encoder.table_size_changes
        self.encoder.table_size_changes = sorted({min(sizes), sizes[-1]}) if sizes else []

    def say(self, number: int, fields: Sequence[tuple[bytes, bytes]]) -> bool:
        """
        Send a head on a stream.

        :return: whether it was sent, and not in vain since the stream or the connection is closed; as with the others.
        """
        return _attempt(self.send_headers, number, fields)

    def pour(self, number: int, waiting: bytearray) -> bool:
        """
        Send as much on a stream as the peer allows, and leave the rest.
        """

        def pour() -> None:
            while waiting:
                room = min(self.local_flow_control_window(number), self.max_outbound_frame_size)
                if room <= 0:
                    return
                self.send_data(number, bytes(waiting[:room]))
                del waiting[:room]

        return _attempt(pour)

    def finish(self, number: int) -> bool:
        """
        Have no more to say on a stream.
        """
        return _attempt(self.end_stream, number)

    def give_up(self, number: int, why: ErrorCodes) -> bool:
        """
        Reset a stream.
        """
        return _attempt(self.reset_stream, number, why)

    def taken(self, number: int, much: int) -> bool:
        """
        Allow as many bytes more as have been read from a stream.
        """
        return _attempt(self.acknowledge_received_data, much, number)

    def let_end(self, number: int) -> None:
        """
        Let a request end anywhere that has been refused; to h2 that would be the end of the connection. curl does so.
        """
        stream = self.streams.get(number)
        if stream is not None:
            stream._expected_content_length = None  # noqa: SLF001 - nothing else says so


def _attempt(send: Callable[..., None], *what: Any) -> bool:
    try:
        send(*what)
    except ProtocolError:
        return False
    return True
