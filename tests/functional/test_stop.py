"""
Stopping the real daemon, whatever it is doing.
"""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

from twisted.internet.defer import Deferred

from itsjustintv.model import State
from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.process import DaemonProcess
from tests.functional.stage import Stage, StageCase

#: Runs twistd with a queue that waits half a second, and not the usual time, for attempts under way.
IMPATIENT = """
import sys
from functools import partial
from twisted.scripts.twistd import run
from itsjustintv.app import delivery
from itsjustintv.delivery.queue import QueueLimits

delivery.DeliveryQueue = partial(delivery.DeliveryQueue, limits=QueueLimits(stop=0.5))
del sys.argv[0]
run()
"""


def processes_in(folder: Path) -> list[str]:
    """
    The processes that work in a folder, by id.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append(process.name)
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


def is_open(port: int) -> bool:
    """
    Whether anybody listens on a port of this machine.
    """
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class StopTests(StageCase):
    """
    A stop that is asked for ends with status 0 and loses nothing.
    """

    async def go_live(self, stage: Stage, login: str) -> None:
        """
        Let somebody go live, and Twitch tell of it.
        """
        report = await stage.twitch.eventsub.send(stage.message(stage.twitch.world.go_live(login)))
        self.assertTrue(report.acknowledged, report)

    async def stopping(self, stage: Stage, daemon: DaemonProcess, number: signal.Signals) -> None:
        """
        Send a signal and wait until the daemon has closed its door.
        """
        daemon.send_signal(number)
        await daemon.said(f"stopping on {number.name}").addTimeout(10, stage.reactor)
        await stage.until(lambda: not is_open(stage.port), patience=10)

    async def ended(self, stage: Stage, daemon: DaemonProcess) -> int:
        """
        Wait for the end; it is not far.
        """
        return await daemon.ended().addTimeout(10, stage.reactor)

    async def test_sigterm_ends_an_idle_daemon(self) -> None:
        """
        SIGTERM: status 0, no process, no port, and the journal is free for the next one.
        """
        await self.end_idle(signal.SIGTERM)

    async def test_sigint_ends_an_idle_daemon(self) -> None:
        """
        SIGINT does the same.
        """
        await self.end_idle(signal.SIGINT)

    async def end_idle(self, number: signal.Signals) -> None:
        """
        End a daemon that has done its work.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        daemon = await stage.started()
        await self.go_live(stage, "tanuki")
        await stage.settled(stage.reactor)
        self.assertTrue(is_open(stage.port))
        self.assertEqual(processes_in(stage.folder), [str(daemon.pid)])

        daemon.send_signal(number)

        self.assertEqual(await self.ended(stage, daemon), 0, daemon.output)
        self.assertEqual(processes_in(stage.folder), [])
        self.assertFalse(is_open(stage.port))
        self.assertNotIn("Traceback", daemon.output)
        await stage.started()

    async def attempting(self, stage: Stage) -> tuple[DaemonProcess, Deferred[None]]:
        """
        Let a receiver take its time over a notice.

        :return: the daemon, which waits for the answer, and what lets the receiver give it.
        """
        answer: Deferred[None] = Deferred()
        stage.add_streamer("tanuki")
        stage.receiver.script.plan("/tanuki", Behaviour(after=answer))
        daemon = await stage.started()
        await self.go_live(stage, "tanuki")
        await stage.receiver.delivery("/tanuki")
        return daemon, answer

    async def test_an_attempt_under_way_is_finished(self) -> None:
        """
        SIGTERM comes while a receiver thinks about its answer: the answer is waited for and recorded, and the notice is
        not sent again.
        """
        stage = self.stage()
        daemon, answer = await self.attempting(stage)
        await self.stopping(stage, daemon, signal.SIGTERM)

        answer.callback(None)

        self.assertEqual(await self.ended(stage, daemon), 0, daemon.output)
        self.assertEqual(stage.accounting().delivered, 1)
        daemon = await stage.started()
        self.assertEqual(await daemon.stop(), 0)
        self.assertEqual(len(stage.receiver.received), 1)

    async def test_a_second_signal_does_not_cut_it_short(self) -> None:
        """
        Somebody who presses Ctrl-C again while an attempt is being finished does not lose its outcome.
        """
        stage = self.stage()
        daemon, answer = await self.attempting(stage)
        await self.stopping(stage, daemon, signal.SIGINT)

        daemon.send_signal(signal.SIGINT)
        daemon.send_signal(signal.SIGTERM)
        answer.callback(None)

        self.assertEqual(await self.ended(stage, daemon), 0, daemon.output)
        self.assertEqual(stage.accounting().delivered, 1)

    async def test_what_comes_while_it_stops_is_not_acknowledged(self) -> None:
        """
        The door is closed before attempts are waited for: Twitch keeps what comes then, and sends it again to the next
        daemon.
        """
        stage = self.stage()
        stage.add_streamer("kitsune")
        daemon, answer = await self.attempting(stage)
        await self.stopping(stage, daemon, signal.SIGTERM)
        message = stage.message(stage.twitch.world.go_live("kitsune"))

        refused = await stage.twitch.eventsub.send(message, again=False)

        self.assertIsNone(refused.tries[0].status)
        answer.callback(None)
        self.assertEqual(await self.ended(stage, daemon), 0, daemon.output)
        await stage.started()
        taken = await stage.twitch.eventsub.send(message, number=1, again=False)
        self.assertTrue(taken.acknowledged, taken)
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.wanted, account.delivered), (2, 2))

    async def test_an_attempt_that_is_never_answered_is_given_up(self) -> None:
        """
        A receiver that hangs holds up a stop for a bounded time; the attempt counts for nothing, and the next daemon
        makes it again under the same id.
        """
        stage = self.stage(settings='[retry]\ntimeout = "10m"\n')
        stage.add_streamer("tanuki")
        stage.receiver.script.plan("/tanuki", Behaviour(hang=True))
        daemon = stage.daemon([sys.executable, "-c", IMPATIENT])
        daemon.start()
        await daemon.ready()
        await self.go_live(stage, "tanuki")
        await stage.receiver.delivery("/tanuki")

        daemon.send_signal(signal.SIGTERM)

        self.assertEqual(await self.ended(stage, daemon), 0, daemon.output)
        (pending,) = stage.journal.list(State.PENDING)
        self.assertEqual(pending.attempts, 0)
        await stage.started()
        await stage.settled(stage.reactor)
        first, second = stage.receiver.received
        self.assertEqual((first.status, second.status), (0, 200))
        self.assertEqual(first.body, second.body)

    async def test_an_enrichment_under_way_is_left_to_the_next_daemon(self) -> None:
        """
        While Twitch's API hangs a stop does not wait for it: what was accepted stays accepted, and the next daemon
        enriches and delivers it.
        """
        stage = self.stage(settings='[enrich]\ntimeout = "10m"\n')
        stage.add_streamer("tanuki", title="Pottery night")
        stage.twitch.faults.plan("token", then=Behaviour(hang=True))
        daemon = await stage.started()
        await self.go_live(stage, "tanuki")
        await stage.until(lambda: "POST /oauth2/token" in stage.twitch.requests)

        daemon.send_signal(signal.SIGTERM)

        self.assertEqual(await self.ended(stage, daemon), 0, daemon.output)
        self.assertEqual(stage.accounting().accepted, 1)
        stage.twitch.faults.plan("token")
        await stage.started()
        received = await stage.receiver.delivery("/tanuki")
        self.assertEqual(received.payload["stream"]["title"], "Pottery night")
