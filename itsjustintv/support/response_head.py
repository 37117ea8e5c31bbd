"""
Reads the head of a response before Twisted's client gets it.

When Twisted's client cannot parse a head, the status is lost with it, and the error is the name of an exception. Here
the status of a broken response is known, and its fault has a name.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from attrs import define, field

__all__ = ["LIMIT", "LINE_LIMIT", "BrokenAnswer", "Fault", "Head"]

#: Bytes that may be received before the head of a response is complete, interim responses included.
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
    What is wrong with a response.
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
    The head of a response is broken or incomplete.

    :ivar status: of its status line, or of the last interim response; ``None`` when there was none.
    """

    def __init__(self, fault: Fault, status: int | None = None) -> None:
        super().__init__(fault.name)
        self.fault = fault
        self.status = status

    @property
    def final(self) -> bool:
        """
        Whether the status is that of a final response (RFC 9110, section 15.2).
        """
        return self.status is not None and not 100 <= self.status < 200


@define(eq=False)
class Head:
    """
    Collects the head of one response, with as much of its body as came with it.
    """

    _buffer: bytearray = field(factory=bytearray, init=False)
    _line: int = field(default=0, init=False)
    _received: int = field(default=0, init=False)
    _interim: int | None = field(default=None, init=False)
    _status: int | None = field(default=None, init=False)
    _fields: list[tuple[bytes, bytes]] = field(factory=list, init=False)

    def feed(self, data: bytes) -> bytes | None:
        """
        Read the next bytes.

        :return: the complete head of a final response and what came after it; ``None`` before that.
        :raises BrokenAnswer: it is not a head that can be read.
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
    def is_empty(self) -> bool:
        """
        Whether nothing was received.
        """
        return not self._received

    def cut(self) -> BrokenAnswer | None:
        """
        The error when nothing more comes; ``None`` when not even a line was received.
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
        Recognize other protocols by their first bytes: they may never send a line.
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
        # The further lines of a field are not read, unless the field says where the body ends (RFC 9112, section 5.2).
        if line[:1] in b" \t" and self._fields and self._fields[-1][0] not in _FRAMING:
            return
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name):
            raise self._broken(Fault.MALFORMED)
        self._fields.append((name.lower(), value.strip()))

    def _ends(self) -> bool:
        """
        Handle the end of a head.

        :return: whether it is that of a final response.
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
        Whether the length of the body is unambiguous (RFC 9112, section 6.3).
        """
        if codings := [value.lower() for name, value in self._fields if name == _FRAMING[0]]:
            return codings == [b"chunked"]
        given = [value for name, value in self._fields if name == _FRAMING[1]]
        lengths = [each.strip() for each in b",".join(given).split(b",")] if given else [b"0"]
        return all(map(_LENGTH.fullmatch, lengths)) and len(set(map(int, lengths))) == 1
