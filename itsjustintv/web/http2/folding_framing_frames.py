"""
The meaning of frames, as h2 has it, with an eye on memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

__all__ = ["FRAME", "HEAD", "Framing"]

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
