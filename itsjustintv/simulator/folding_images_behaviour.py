"""
Profile images: small, valid, and different for everybody.
"""

from __future__ import annotations

from hashlib import sha256
from struct import pack
from zlib import compress, crc32

__all__ = ["avatar"]

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
    One line of pixels, its right half the mirror of its left, after the byte that says it is not filtered.
    """
    half = [bits >> shift & 1 for shift in range(_CELLS // 2 + 1)]
    cells = half + half[-2::-1]
    pixels = "".join(str(cell) * _CELL for cell in cells)
    width = -(-len(pixels) // 8)
    return b"\0" + int(pixels.ljust(width * 8, "0"), 2).to_bytes(width)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return pack(">I", len(data)) + kind + data + pack(">I", crc32(kind + data))
