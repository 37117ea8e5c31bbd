"""
The real daemon with a long backlog: it starts, stays small, and lets what is new go first.

``ITSJUSTINTV_BACKLOG`` is how long, in deliveries; without it, long enough that to hold all of them in memory, or to
work them off first, could not be missed.
"""

from __future__ import annotations

import os
from pathlib import Path

import orjson
from twisted.internet.defer import Deferred

from itsjustintv.journal.sqlite import writes
from itsjustintv.journal.sqlite.database import create
from itsjustintv.model import Delivery, Event, State
from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.process import DaemonProcess
from itsjustintv.simulator.world import SimulatedStream
from tests.functional.stage import Stage, StageCase

LENGTH = int(os.environ.get("ITSJUSTINTV_BACKLOG", "20000"))

#: Of one payload, in bytes: all of them together are far more than the daemon may use.
SIZE = 8 * 1024

MEBIBYTE = 1024 * 1024


def fill(stage: Stage, login: str, due_in: float) -> None:
    """
    Leave a backlog for a streamer's destination in the journal of a daemon that has yet to be started.

    :param due_in: seconds from now until all of it is due.
    """
    now = stage.reactor.seconds()
    connection = create(stage.folder / "data" / "itsjustintv.db")
    # Nobody needs it after a power cut.
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    writes.count_wanted(connection, LENGTH)
    for number in range(LENGTH):
        event = Event(
            id=f"backlog{number}",
            message_id=f"message{number}",
            stream_id=f"stream{number}",
            broadcaster_id=stage.twitch.world.channel(login).id,
            broadcaster_login=login,
            broadcaster_name=login,
            type="live",
            started_at="2026-01-02T03:04:05Z",
            received_at=now - 60,
        )
        writes.insert_events(connection, [event])
        delivery = Delivery(
            id=f"{event.id}-1",
            event_id=event.id,
            streamer=login,
            destination=f"streamers.{login}",
            accepted_at=event.received_at,
            next_attempt_at=now + due_in,
            state=State.PENDING,
            body=orjson.dumps({"id": event.id, "description": "x" * SIZE}),
        )
        writes.insert_deliveries(connection, [delivery])
    connection.execute("COMMIT")
    connection.close()


def peak_memory(daemon: DaemonProcess) -> int:
    """
    The most memory that a daemon has ever held, in bytes.
    """
    for line in Path(f"/proc/{daemon.pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("linux does not say how much memory a process has used")


class BacklogTests(StageCase):
    """
    What has piled up for one destination holds up nobody, not even that destination's own news.
    """

    async def go_live(self, stage: Stage, login: str) -> SimulatedStream:
        """
        Let somebody go live, and Twitch tell of it.
        """
        stream = stage.twitch.world.go_live(login)
        report = await stage.twitch.eventsub.send(stage.message(stream), again=False)
        self.assertTrue(report.acknowledged, report)
        return stream

    async def test_news_overtake_a_backlog_that_is_due(self) -> None:
        """
        All of a backlog is due and its receiver hangs: the daemon is healthy and holds only a little of it in memory,
        another destination hears at once, and when the receiver answers again it hears the news before the old.
        """
        stage = self.stage(settings='[retry]\ntimeout = "10m"\n')
        stage.add_streamer("tanuki")
        stage.add_streamer("kitsune")
        stuck: list[Deferred[None]] = [Deferred(), Deferred()]
        stage.receiver.script.plan("/tanuki", *(Behaviour(after=each) for each in stuck))
        fill(stage, "tanuki", due_in=-30)
        daemon = await stage.started()
        await stage.receiver.delivery("/tanuki", len(stuck))

        await self.go_live(stage, "kitsune")
        await stage.receiver.delivery("/kitsune")
        await stage.until(lambda: stage.accounting().delivered == 1)
        self.assertEqual(stage.accounting().pending, LENGTH)

        news = (await self.go_live(stage, "tanuki")).id.encode()
        await stage.until(lambda: stage.accounting().pending == LENGTH + 1)
        for each in stuck:
            each.callback(None)
        await stage.until(lambda: any(news in received.body for received in stage.receiver.at("/tanuki")))
        place = [news in received.body for received in stage.receiver.at("/tanuki")].index(True)
        self.assertLess(place, 20)
        # The line is read on, and what it is made of is not kept.
        await stage.receiver.delivery("/tanuki", 200)
        self.assertLess(peak_memory(daemon), 200 * MEBIBYTE)
        await daemon.kill()

    async def test_news_do_not_wait_behind_retries(self) -> None:
        """
        A long line of retries that are not due yet is left alone, while the same destination hears the news at once.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        fill(stage, "tanuki", due_in=3600)
        daemon = await stage.started()

        news = await self.go_live(stage, "tanuki")

        received = await stage.receiver.delivery("/tanuki")
        self.assertEqual(received.payload["stream"]["id"], news.id)
        await stage.until(lambda: stage.accounting().delivered == 1)
        self.assertEqual(await daemon.stop(), 0, daemon.output)
        self.assertEqual(stage.accounting().pending, LENGTH)
        self.assertEqual(len(stage.receiver.received), 1)
