"""
Bytes to frames, bounded, and h2's connection with bounds. h2 itself would buffer a frame or a head of any length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

__all__ = ["FRAME", "HEAD", "HEADERS", "BoundedH2Connection", "FrameSplitter", "FrameTooLong"]

# RFC 9113, sections 3.4, 4.1 and 6: what a connection begins with, the head of a frame, types, and a flag.
_PREFACE = 24
_FRAME_HEAD = 9
HEADERS, _GOAWAY, _CONTINUATION = 1, 7, 9
_END_HEADERS = 4


class FrameTooLong(Exception):
    """
    A frame, or a head in several of them, exceeds the limit.
    """


class FrameSplitter:
    """
    Splits what a client sends into frames.

    :param max_frame: bytes of a frame without its head.
    :param head: bytes of the head of a request, as it is sent.
    :ivar count: frames taken so far; a head counts once, in however many frames.
    """

    def __init__(self, max_frame: int, head: int) -> None:
        self.count = 0
        self._max_frame = max_frame
        self._max_head = head
        self._buffer = bytearray()
        self._needed = _PREFACE
        self._preface_seen = self._length_checked = self._in_head = False
        self._head_size = 0

    @property
    def is_incomplete(self) -> bool:
        """
        Whether bytes are left, or a head is incomplete.
        """
        return bool(self._buffer) or self._in_head

    def add(self, data: bytes) -> None:
        self._buffer += data

    def take(self) -> bytes | None:
        """
        Take the next frame if it is complete.

        :raises FrameTooLong: the frame will be too long; raised as soon as that is known.
        """
        if self._preface_seen and not self._length_checked and len(self._buffer) >= _FRAME_HEAD:
            self._check_length()
        if len(self._buffer) < self._needed:
            return None
        frame = bytes(self._buffer[: self._needed])
        del self._buffer[: self._needed]
        self._needed = _FRAME_HEAD
        self._preface_seen, self._length_checked = True, False
        self.count += not self._in_head
        return frame

    def is_goaway(self, frame: bytes) -> bool:
        """
        Whether the frame taken last says that the peer will send no more requests.
        """
        return frame[3] == _GOAWAY and len(frame) >= _FRAME_HEAD + 8 and not any(frame[5:9]) and not self._in_head

    def _check_length(self) -> None:
        length = int.from_bytes(self._buffer[:3], "big")
        kind, flags = self._buffer[3], self._buffer[4]
        if kind in (HEADERS, _CONTINUATION):
            self._head_size += length
            if self._head_size > self._max_head:
                raise FrameTooLong
            self._in_head = not flags & _END_HEADERS
            if not self._in_head:
                self._head_size = 0
        if length > self._max_frame:
            raise FrameTooLong
        self._needed = _FRAME_HEAD + length
        self._length_checked = True


#: Bytes of a head, as Twisted allows them in HTTP/1.1, and of a frame (RFC 9113, section 4.2).
HEAD = 16 * 1024
FRAME = 16 * 1024

# Bytes of a header table.
_TABLE = 4096
_KNOWN = frozenset(SettingCodes)


class _Settings(Settings):
    """
    The peer's settings: unknown ones are ignored, and a header table has at most our size.
    """

    def __setitem__(self, key: SettingCodes | int, value: int) -> None:
        if key == SettingCodes.HEADER_TABLE_SIZE:
            # The peer may allow a table of any size, and each answer adds to it.
            value = min(value, _TABLE)
        # Set to the same size twice, hpack forgets to announce it.
        if key in _KNOWN and self.get(key) != value:
            super().__setitem__(key, value)


class BoundedH2Connection(H2Connection):
    """
    The server's end of a connection. Methods that send return whether the stream or connection was still open.

    :param streams: requests that may be open at once.
    """

    #: By default h2 remembers how 65,536 streams were closed.
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
        # Otherwise it would apply only once the peer has acknowledged it.
        self.decoder.max_header_list_size = HEAD

    def limit_table_updates(self) -> None:
        """
        After new settings: announce only the smallest and the last size of the header table (RFC 7541, section 4.2).
        hpack would announce each, and the last one may not allow those before it.
        """
        sizes = self.encoder.table_size_changes
        self.encoder.table_size_changes = sorted({min(sizes), sizes[-1]}) if sizes else []

    def send_head(self, number: int, fields: Sequence[tuple[bytes, bytes]]) -> bool:
        return _attempt(self.send_headers, number, fields)

    def send_body(self, number: int, unsent: bytearray) -> bool:
        """
        Send as much as the peer's window allows, and leave the rest in ``unsent``.
        """

        def send_body() -> None:
            while unsent:
                room = min(self.local_flow_control_window(number), self.max_outbound_frame_size)
                if room <= 0:
                    return
                self.send_data(number, bytes(unsent[:room]))
                del unsent[:room]

        return _attempt(send_body)

    def finish(self, number: int) -> bool:
        return _attempt(self.end_stream, number)

    def reset(self, number: int, why: ErrorCodes) -> bool:
        return _attempt(self.reset_stream, number, why)

    def acknowledge(self, number: int, size: int) -> bool:
        """
        Let the peer send as many bytes more as were read.
        """
        return _attempt(self.acknowledge_received_data, size, number)

    def accept_any_length(self, number: int) -> None:
        """
        Accept any length of a rejected request's body. To h2 a wrong one is an error of the connection, and curl stops
        early.
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
