"""
HTTP/2 cut into frames, before anything is made of them.

h2 would keep what has arrived of a frame or of a head until the end of it, however long that is.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Frames", "TooLong"]

# RFC 9113, section 4: what a connection begins with, the head of a frame, two of its types and a flag of those.
_PREFACE = 24
_HEAD = 9
_HEADERS, _CONTINUATION = 1, 9
_END_HEADERS = 4


class TooLong(Exception):
    """
    A frame, or a head in several of them, is longer than it may be.
    """


class Frames:
    """
    What a client sends, one after the other.

    :param longest: bytes that a frame may have beside its head.
    :param head: bytes that the head of a request may have, as it is sent.
    :ivar count: of what was whole so far; a head is one thing, in however many frames.
    """

    def __init__(self, longest: int, head: int) -> None:
        self._longest = longest
        self._most = head
        self.count = 0
        self._begun = bytearray()
        self._wanted = _PREFACE
        self._greeted = self._in_head = False
        self._head = 0

    @property
    def unfinished(self) -> bool:
        """
        Whether there is something of which only a part has arrived.
        """
        return bool(self._begun) or self._in_head

    def cut(self, data: bytes) -> Iterator[bytes]:
        """
        Go on with what has arrived; what is not whole yet is kept.

        :raises TooLong: what is begun will be too long, which is said when that can be known.
        """
        place = 0
        while place < len(data):
            part = data[place : place + self._wanted - len(self._begun)]
            self._begun += part
            place += len(part)
            if len(self._begun) < self._wanted:
                return
            if self._greeted and len(self._begun) == _HEAD:
                self._judge()
                if len(self._begun) < self._wanted:
                    continue
            whole = bytes(self._begun)
            self._begun.clear()
            self._wanted = _HEAD
            self._greeted = True
            self.count += not self._in_head
            yield whole

    def _judge(self) -> None:
        length = int.from_bytes(self._begun[:3], "big")
        kind, flags = self._begun[3], self._begun[4]
        if kind in (_HEADERS, _CONTINUATION):
            self._head += length
            if self._head > self._most:
                raise TooLong
            self._in_head = not flags & _END_HEADERS
            if not self._in_head:
                self._head = 0
        if length > self._longest:
            raise TooLong
        self._wanted = _HEAD + length
