"""
The frames of HTTP/2, with an eye on memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

__all__ = ["Framing"]

# Bytes of a head, as Twisted allows them in HTTP/1.1; and of the table that either side keeps of the other's headers.
_HEAD = 16 * 1024
_TABLE = 4096


class Framing(H2Connection):
    """
    Our end of a connection, as h2 has it. It reads ahead of us: a stream on which we speak may have been closed by what
    the peer said last.

    :param streams: requests that may be open at once.
    """

    #: By default it remembers of 65,536 streams how they were closed.
    MAX_CLOSED_STREAMS = 512

    def __init__(self, streams: int) -> None:
        super().__init__(H2Configuration(client_side=False, header_encoding=None))
        self.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: _HEAD,
                SettingCodes.HEADER_TABLE_SIZE: _TABLE,
            },
        )
        # Otherwise it would hold only once the peer has agreed to it.
        self.decoder.max_header_list_size = _HEAD

    def keep_small(self) -> None:
        """
        Keep the table of our own headers small, after the peer has allowed another size. It may be any, and each answer
        leaves something in it.
        """
        self.encoder.header_table_size = min(self.encoder.header_table_size, _TABLE)

    def say(self, number: int, fields: Sequence[tuple[bytes, bytes]]) -> bool:
        """
        Send a head on a stream.

        :return: whether anybody listens; as with the others.
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


def _attempt(send: Callable[..., None], *what: Any) -> bool:
    try:
        send(*what)
    except ProtocolError:
        return False
    return True
