"""
What the real daemon listens on.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.functional.stage import StageCase

#: As /proc/net/tcp calls it.
LISTENING = "0A"


def listening(pid: int) -> set[str]:
    """
    The places at which a process listens, as ``address:port`` in hexadecimal, of TCP; and every other socket that is
    open to others.
    """
    folder = Path(f"/proc/{pid}/fd")
    links = [os.readlink(folder / name) for name in os.listdir(folder)]  # noqa: PTH115, PTH208 - links to no file
    ours = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in ours and (fields[3] == LISTENING or not table.startswith("tcp")):
                found.add(fields[1])
    return found


class PortsTests(StageCase):
    """
    Open doors.
    """

    async def test_one_port_is_open(self) -> None:
        """
        A daemon that was told of one port listens there and nowhere else, of any kind.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        daemon = await stage.started()
        await stage.subscribed()
        assert daemon.pid is not None
        self.assertEqual(listening(daemon.pid), {f"0100007F:{stage.port:04X}"})
