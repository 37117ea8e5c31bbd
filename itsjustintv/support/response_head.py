"""
The head of an answer, read before Twisted's client is given it.

What that client cannot read it throws away together with the status, and says so with the name of an exception. Here
the status line is the receiver's word, whatever comes after it, and what was wrong has a name of its own.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from attrs import define, field

__all__ = ["LIMIT", "LINE_LIMIT", "BrokenAnswer", "Fault", "Head"]

#: Bytes that may come in answer to one request before its head is complete, interim answers included.
LIMIT = 256 * 1024

#: Bytes of one line; what Twisted takes.
LINE_LIMIT = 16 * 1024

_STATUS = re.compile(rb"HTTP/[0-9]\.[0-9] ([0-9]{3})(?: [^\n]*)?\r?")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_LENGTH = re.compile(rb"[0-9]{1,18}")
_FRAMING = (b"transfer-encoding", b"content-length")

# A frame's header is nine bytes (RFC 9113, section 4.1); a connection begins with SETTINGS, and ends with GOAWAY.
_FRAME = 9
_FRAMES = (4, 7)

# A record of TLS that is an alert, of any version (RFC 8446, section 5.1).
_ALERT = b"\x15\x03"


class Fault(Enum):
    """
    What is wrong with an answer.
    """

    NOT_HTTP = auto()
    HTTP2 = auto()
    TLS = auto()
    SWITCHED = auto()
    ENDLESS_INTERIM = auto()
    INTERIM_ONLY = auto()
    LONG_LINE = auto()
    LARGE = auto()
    MALFORMED = auto()
    INCOMPLETE = auto()
    STALE = auto()


# What it is called when the final answer has not begun.
_OF_INTERIM = {Fault.INCOMPLETE: Fault.INTERIM_ONLY, Fault.LARGE: Fault.ENDLESS_INTERIM}


class BrokenAnswer(Exception):
    """
    An answer whose head never came to a good end.

    :ivar status: of its status line, or of the last interim answer; ``None`` when there was none.
    """

    def __init__(self, fault: Fault, status: int | None = None) -> None:
        super().__init__(fault.name)
        self.fault = fault
        self.status = status

    @property
    def final(self) -> bool:
        """
        Whether the status is that of a final answer (RFC 9110, section 15.2).
        """
        return self.status is not None and not 100 <= self.status < 200


@define(eq=False)
class Head:
    """
    Collects the head of one answer, with as much of its body as came with it.
    """

    _buffer: bytearray = field(factory=bytearray, init=False)
    _line: int = field(default=0, init=False)
    _received: int = field(default=0, init=False)
    _interim: int | None = field(default=None, init=False)
    _status: int | None = field(default=None, init=False)
    _fields: list[tuple[bytes, bytes]] = field(factory=list, init=False)

    def feed(self, data: bytes) -> bytes | None:
        """
        Take what came.

        :return: the whole head of a final answer and what came after it, for whoever reads it; ``None`` before that.
        :raises BrokenAnswer: it is none.
        """
        self._buffer += data
        self._received += len(data)
        if self._status is None:
            self._begins()
        while (end := self._buffer.find(b"\n", self._line)) >= 0:
            line = bytes(self._buffer[self._line : end])
            if len(line) > LINE_LIMIT:
                raise self._broken(Fault.LONG_LINE)
            self._line = end + 1
            if self._status is None:
                self._read_status(line)
            elif field := line.removesuffix(b"\r"):
                self._read_field(field)
            elif self._ends():
                return bytes(self._buffer)
        if len(self._buffer) - self._line > LINE_LIMIT:
            raise self._broken(Fault.LONG_LINE)
        if self._received > LIMIT:
            raise self._broken(Fault.LARGE)
        return None

    @property
    def empty(self) -> bool:
        """
        Whether not a byte has come.
        """
        return not self._received

    def cut(self) -> BrokenAnswer | None:
        """
        What it means that no more comes; ``None`` when no line has come either.
        """
        if self._status is None and self._interim is None:
            return None
        return self._broken(Fault.INCOMPLETE)

    def _broken(self, fault: Fault) -> BrokenAnswer:
        if self._is_final():
            return BrokenAnswer(fault, self._status)
        interim = self._interim if self._status is None else self._status
        if interim is None or fault not in _OF_INTERIM:
            return BrokenAnswer(Fault.NOT_HTTP)
        return BrokenAnswer(_OF_INTERIM[fault], interim)

    def _begins(self) -> None:
        """
        Tell other protocols by their first bytes; none of them need ever send a line.
        """
        start = bytes(self._buffer[:_FRAME])
        if b"HTTP/".startswith(start[:5]):
            return
        if start.startswith(_ALERT):
            raise BrokenAnswer(Fault.TLS)
        if start == _ALERT[:1] or (start[0] == 0 and len(start) < _FRAME):
            return
        if start[0] == 0 and start[3] in _FRAMES and not any(start[5:]):
            raise BrokenAnswer(Fault.HTTP2)
        raise BrokenAnswer(Fault.NOT_HTTP)

    def _read_status(self, line: bytes) -> None:
        found = _STATUS.fullmatch(line)
        if found is None:
            raise BrokenAnswer(Fault.NOT_HTTP)
        self._status = int(found[1])
        self._fields.clear()
        if self._status == 101:
            raise BrokenAnswer(Fault.SWITCHED, self._status)

    def _read_field(self, line: bytes) -> None:
        # A field over several lines is read by nobody, unless it says where the body ends (RFC 9112, section 5.2).
        if line[:1] in b" \t" and self._fields and self._fields[-1][0] not in _FRAMING:
            return
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name):
            raise self._broken(Fault.MALFORMED)
        self._fields.append((name.lower(), value.strip()))

    def _ends(self) -> bool:
        """
        Take note of the end of a head.

        :return: whether it is the final one.
        """
        if self._is_final():
            if not self._framed():
                raise self._broken(Fault.MALFORMED)
            return True
        self._interim, self._status = self._status, None
        del self._buffer[: self._line]
        self._line = 0
        if self._buffer:
            self._begins()
        return False

    def _is_final(self) -> bool:
        return self._status is not None and not 100 <= self._status < 200

    def _framed(self) -> bool:
        """
        Whether the end of the body is said in one way only (RFC 9112, section 6.3).
        """
        if codings := [value.lower() for name, value in self._fields if name == _FRAMING[0]]:
            return codings == [b"chunked"]
        given = [value for name, value in self._fields if name == _FRAMING[1]]
        lengths = [each.strip() for each in b",".join(given).split(b",")] if given else [b"0"]
        return all(map(_LENGTH.fullmatch, lengths)) and len(set(map(int, lengths))) == 1
