"""
How an HTTP endpoint of the simulator behaves, request by request; and the profile images that it draws.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from hashlib import sha256
from struct import pack
from typing import Any
from zlib import compress, crc32

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.web import http
from twisted.web.server import Request

__all__ = ["Behaviour", "Script", "act", "avatar"]


@frozen(kw_only=True)
class Behaviour:
    """
    How to treat one request.

    :ivar status: of the answer.
    :ivar after: wait for this first.
    :ivar delay: seconds to wait after that.
    :ivar hang: never answer.
    :ivar drop: close the connection instead of answering.
    :ivar lost: have the effect, but never answer. Only Helix and the fakes of the chat services know this.
    """

    status: int = http.OK
    body: bytes = b""
    headers: Mapping[str, str] = field(factory=dict)
    delay: float = 0.0
    after: Deferred[None] | None = None
    hang: bool = False
    drop: bool = False
    lost: bool = False

    @property
    def well(self) -> bool:
        return 200 <= self.status < 300 and not self.hang and not self.drop


@define(eq=False)
class Script:
    """
    The next behaviour of each of several endpoints, by name.

    :ivar usually: the behaviour of an endpoint for which nothing is planned.
    :ivar first: its behaviours before that.
    """

    usually: Behaviour = Behaviour()
    first: Sequence[Behaviour] = ()
    _planned: dict[str, deque[Behaviour]] = field(factory=dict, init=False)
    _lasting: dict[str, Behaviour] = field(factory=dict, init=False)

    def plan(self, name: str, *behaviours: Behaviour, then: Behaviour | None = None) -> None:
        """
        Plan the next behaviours of an endpoint; afterwards it behaves like ``then``, or as usual. Replaces an earlier
        plan.
        """
        self._planned[name] = deque(behaviours)
        self._lasting[name] = then or self.usually

    def next(self, name: str) -> Behaviour:
        """
        Take the next behaviour of an endpoint.
        """
        if self.first and name not in self._planned:
            self._planned[name] = deque(self.first)
        planned = self._planned.get(name)
        return planned.popleft() if planned else self._lasting.get(name, self.usually)


async def act(behaviour: Behaviour, request: Request, clock: IReactorTime) -> bytes:
    """
    Treat a request like that.

    :return: the body of the answer; status and headers are set on the request. Never returns from a hang or a drop: the
        caller is cancelled when the connection ends.
    """
    if behaviour.after is not None:
        await behaviour.after
    if behaviour.delay:
        await deferLater(clock, behaviour.delay)
    if behaviour.drop:
        transport: Any = request.transport
        transport.abortConnection()
    if behaviour.hang or behaviour.drop:
        await Deferred()
    request.setResponseCode(behaviour.status)
    for name, value in behaviour.headers.items():
        request.setHeader(name, value)
    return behaviour.body


_CELLS = 5
_CELL = 60


def avatar(user_id: str) -> bytes:
    """
    Draw a user's profile image: a PNG of 300 by 300 pixels, two colours, the same each time.
    """
    seed = sha256(user_id.encode()).digest()
    rows = b"".join(_row(seed[number]) * _CELL for number in range(_CELLS))
    size = _CELLS * _CELL
    # One bit a pixel, indexed colour (PNG specification, 11.2.2).
    header = pack(">IIBBBBB", size, size, 1, 3, 0, 0, 0)
    colours = b"\xf7\xf7\xf8" + seed[-3:]
    chunks = ((b"IHDR", header), (b"PLTE", colours), (b"IDAT", compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _row(bits: int) -> bytes:
    """
    One line of pixels, its right half the mirror image of its left, after a byte for "no filter".
    """
    half = [bits >> shift & 1 for shift in range(_CELLS // 2 + 1)]
    cells = half + half[-2::-1]
    pixels = "".join(str(cell) * _CELL for cell in cells)
    width = -(-len(pixels) // 8)
    return b"\0" + int(pixels.ljust(width * 8, "0"), 2).to_bytes(width)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return pack(">I", len(data)) + kind + data + pack(">I", crc32(kind + data))
