"""
HTTP/2 cut into frames, before anything is made of them.

h2 would keep what has arrived of a frame or of a head until the end of it, however long that is.
"""

from __future__ import annotations

__all__ = ["HEADERS", "FrameTooLong", "Frames"]

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
