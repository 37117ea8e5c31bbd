"""
The real daemon on a disk that fails for a while.

A full disk is a small one of its own, mounted by the test. Every other failure is what strace lets the system calls on
the journal answer: it attaches to the daemon when the disk is to fail, and leaves when it is to work again.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import Agent, readBody

from itsjustintv.config.sections import CONDUIT
from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.eventsub import Message
from itsjustintv.simulator.process import DaemonProcess
from tests.functional.stage import Stage, StageCase, lacking, tool

#: What a failing disk answers, and to which system calls.
FAULTS = {
    "is_full": ("ENOSPC", ("pwrite64",)),
    "turned_read_only": ("EROFS", ("openat", "pwrite64")),
    "neither_reads_nor_writes": ("EIO", ("pread64", "pwrite64")),
    "does_not_sync": ("EIO", ("fsync", "fdatasync")),
}


@define(eq=False)
class Strace(ProcessProtocol):
    """
    A strace that is attached to a daemon.
    """

    said: bytes = b""
    attached: Deferred[None] = field(factory=Deferred, init=False)
    ended: Deferred[None] = field(factory=Deferred, init=False)
    _transport: Any = field(default=None, init=False)

    def start(self, reactor: Any, arguments: Sequence[str]) -> Deferred[None]:
        """
        Attach it.

        :return: fires when that is done; fails with ``RuntimeError`` when it cannot be.
        """
        # It dies with us, as the daemon does.
        tether = ["-m", "itsjustintv.simulator.die_with_parent", str(os.getpid())]
        command = [sys.executable, *tether, tool("strace"), *arguments]
        self._transport = reactor.spawnProcess(self, sys.executable, command, env=os.environ)
        return self.attached

    def errReceived(self, data: bytes) -> None:
        self.said += data
        if b" attached" in self.said and not self.attached.called:
            self.attached.callback(None)

    def processEnded(self, reason: Failure) -> None:
        if not self.attached.called:
            self.attached.errback(RuntimeError(self.said.decode().strip()))
        self.ended.callback(None)

    async def leave(self) -> None:
        """
        Let the daemon go on as if nothing had been.
        """
        try:
            self._transport.signalProcess(signal.SIGTERM)
        except ProcessExitedAlready:
            return
        await self.ended


class DiskCase(StageCase):
    """
    A daemon that has done some work, and then meets a disk that fails.
    """

    async def working(self, stage: Stage) -> DaemonProcess:
        """
        A daemon that has delivered a notice.
        """
        stage.add_streamer("tanuki")
        stage.add_streamer("kitsune")
        daemon = await stage.started()
        self.assertTrue((await self.send(stage, stage.message(stage.twitch.world.go_live("kitsune"))))[0])
        await stage.settled(stage.reactor)
        return daemon

    async def send(self, stage: Stage, message: Message) -> tuple[bool, int | None, str]:
        """
        Send a message once.

        :return: whether it was acknowledged, the status, and what ``Retry-After`` says.
        """
        report = await stage.twitch.eventsub.send(message, again=False)
        return report.acknowledged, report.tries[0].status, report.tries[0].retry_after

    async def health(self, stage: Stage) -> tuple[int, Any]:
        """
        What ``/health`` says.
        """
        response = await Agent(stage.reactor).request(b"GET", f"{stage.url}/health".encode())
        return response.code, json.loads(await readBody(response))

    async def refused(self, stage: Stage, daemon: DaemonProcess) -> Message:
        """
        While the disk fails Twitch is asked to come again, as often as it comes, and the daemon lives.

        :return: the message that was refused.
        """
        message = stage.message(stage.twitch.world.go_live("tanuki"))
        for _ in range(3):
            acknowledged, status, retry_after = await self.send(stage, message)
            self.assertEqual((acknowledged, status), (False, 503))
            self.assertGreater(int(retry_after), 0)
        self.assertIsNotNone(daemon.pid)
        status, report = await self.health(stage)
        self.assertEqual(status, 503, report)
        self.assertIn("journal", [each["check"] for each in report["reasons"]])
        return message

    async def healed(self, stage: Stage, daemon: DaemonProcess, message: Message) -> None:
        """
        Once the disk works the daemon recovers though nothing comes, and what it refused is taken and delivered once.
        """
        await daemon.ready()
        acknowledged, _, _ = await self.send(stage, message)
        self.assertTrue(acknowledged)
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.wanted, account.delivered), (2, 2))
        await self.end(stage, daemon)

    async def end(self, stage: Stage, daemon: DaemonProcess) -> None:
        """
        Each receiver heard once, and the log told of the failure and of its end.
        """
        self.assertEqual(await daemon.stop(), 0, daemon.output)
        self.assertEqual(sorted(each.path for each in stage.receiver.received), ["/kitsune", "/tanuki"])
        self.assertIn("cannot write the journal: ", daemon.output)
        self.assertEqual(daemon.output.count("the journal can be written again"), 1, daemon.output)
        self.assertNotIn("Traceback", daemon.output)


class FullDiskTests(DiskCase):
    """
    A disk without a free block.
    """

    def mount(self, stage: Stage) -> Path:
        """
        Give the daemon a small disk of its own, which goes away with the test.
        """
        data = stage.folder / "data"
        data.mkdir()
        command = [tool("mount"), "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", str(data)]
        mounting = subprocess.run(command, capture_output=True, text=True, check=False)
        if mounting.returncode:
            lacking("mount", f"a disk cannot be mounted here ({mounting.stderr.strip()})")

        async def unmount() -> None:
            await stage.close()
            subprocess.run([tool("umount"), str(data)], check=True)

        self.addCleanup(lambda: Deferred.fromCoroutine(unmount()))
        return data

    def fill(self, data: Path) -> Path:
        """
        Write until nothing more can be written.

        :return: the file that takes all the place.
        """
        ballast = data / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError as error:
                self.assertEqual(error.errno, errno.ENOSPC)
        return ballast

    def output(self, data: Path) -> list[Any]:
        """
        What is in the output file.
        """
        path = data / "output.json"
        found: list[Any] = json.loads(path.read_bytes()) if path.exists() else []
        return found

    async def test_a_full_disk_costs_nothing_but_time(self) -> None:
        """
        While the disk is full Twitch is asked to come again; once there is room, everything goes on by itself, the
        output file included.
        """
        stage = self.stage(settings="[output]\nenabled = true\n")
        data = self.mount(stage)
        daemon = await self.working(stage)
        await stage.until(lambda: self.output(data))

        ballast = self.fill(data)
        message = await self.refused(stage, daemon)
        self.assertIn("is full: free some space", daemon.output)
        ballast.unlink()

        await self.healed(stage, daemon, message)
        self.assertEqual([each["success"] for each in self.output(data)], [True, True])

    async def test_what_arrives_on_a_socket_is_held(self) -> None:
        """
        Nothing is sent again on a socket. While the disk is full, for longer than silence is borne, what arrives is
        held in memory, the daemon is not ready, and its sessions live; with room again, everything is stored by
        itself and delivered once.
        """
        stage = self.stage(transport=CONDUIT)
        data = self.mount(stage)
        for number in range(20):
            stage.add_streamer(f"streamer{number}")
        daemon = await stage.started()
        await stage.subscribed()
        await stage.until(lambda: sum(each.used for each in stage.twitch.sessions) == 2)
        sessions = [each.id for each in stage.twitch.sessions]

        ballast = self.fill(data)
        for login in stage.streamers:
            stage.twitch.announce(stage.twitch.world.go_live(login))
            await deferLater(stage.reactor, 1.0)
        status, report = await self.health(stage)
        self.assertEqual(status, 503)
        reasons = " ".join(each["reason"] for each in report["reasons"])
        self.assertRegex(reasons, r"\d+ events? held in memory, not stored yet: ")
        ballast.unlink()

        await daemon.ready()
        wanted = sorted(f"/{login}" for login in stage.streamers)
        await stage.until(lambda: len(stage.receiver.received) >= len(wanted), 60.0)
        account = await stage.settled(stage.reactor)
        self.assertEqual((account.wanted, account.delivered), (20, 20))
        self.assertEqual(sorted(each.path for each in stage.receiver.received), wanted)
        self.assertEqual([each.id for each in stage.twitch.sessions], sessions)
        self.assertEqual(list(stage.twitch.sessions.closed), [])
        self.assertEqual(await daemon.stop(), 0, daemon.output)
        self.assertIn("stored every event that was held in memory", daemon.output)
        self.assertNotIn("Traceback", daemon.output)

    async def test_a_start_on_a_full_disk(self) -> None:
        """
        A daemon that finds no room at its start says so, whatever SQLite calls it, both with a journal and without;
        with room again it starts.
        """
        stage = self.stage()
        data = self.mount(stage)
        daemon = await stage.started()
        self.assertEqual(await daemon.stop(), 0)
        ballast = self.fill(data)
        for journal in (True, False):
            if not journal:
                for each in data.glob("itsjustintv.db*"):
                    each.unlink()
                self.fill(data)
            refused = stage.daemon()
            refused.start()
            self.assertEqual(await refused.ended(), 1)
            self.assertIn("is full: free some space", refused.output)
        ballast.unlink()
        self.assertEqual(await (await stage.started()).stop(), 0)


class FailingDiskTests(DiskCase):
    """
    A disk that answers with errors.
    """

    async def break_disk(self, stage: Stage, daemon: DaemonProcess, fault: str) -> Strace:
        """
        Let system calls on the journal fail from now on.
        """
        error, calls = FAULTS[fault]
        journal = (stage.folder / "data" / "itsjustintv.db").resolve()
        strace = Strace()
        self.addCleanup(lambda: Deferred.fromCoroutine(strace.leave()))
        try:
            await strace.start(
                stage.reactor,
                [
                    f"--attach={daemon.pid}",
                    "--follow-forks",
                    "--output=/dev/null",
                    *(f"--trace-path={journal}{ending}" for ending in ("", "-wal", "-shm")),
                    f"--trace={','.join(calls)}",
                    f"--inject={','.join(calls)}:error={error}",
                ],
            )
        except RuntimeError as why:
            lacking("strace", f"strace cannot attach to a process here ({why})")
        return strace

    async def survive(self, fault: str) -> None:
        """
        Hold the daemon to its promises before, while and after the disk fails.
        """
        stage = self.stage()
        daemon = await self.working(stage)
        strace = await self.break_disk(stage, daemon, fault)
        message = await self.refused(stage, daemon)
        await strace.leave()
        await self.healed(stage, daemon, message)

    async def test_an_outcome_waits_for_the_disk(self) -> None:
        """
        The disk fails while a receiver has a notice in its hands: that it took it is kept as soon as that is possible,
        and the notice is not sent again.
        """
        stage = self.stage()
        daemon = await self.working(stage)
        answer: Deferred[None] = Deferred()
        stage.receiver.script.plan("/tanuki", Behaviour(after=answer))
        message = stage.message(stage.twitch.world.go_live("tanuki"))
        self.assertTrue((await self.send(stage, message))[0])
        await stage.receiver.delivery("/tanuki")

        strace = await self.break_disk(stage, daemon, "is_full")
        answer.callback(None)
        await daemon.said("waits for the journal")
        self.assertEqual(stage.accounting().delivered, 1)
        await strace.leave()

        account = await stage.settled(stage.reactor)
        self.assertEqual((account.wanted, account.delivered), (2, 2))
        (delivered, _) = stage.journal.list()
        self.assertEqual((delivered.streamer, delivered.attempts), ("tanuki", 1))
        await self.end(stage, daemon)

    async def test_what_was_accepted_waits_for_the_disk(self) -> None:
        """
        The disk fails between Twitch's answer and the first attempt: the notice goes out when it works again, once.
        """
        stage = self.stage()
        daemon = await self.working(stage)
        answer: Deferred[None] = Deferred()
        stage.twitch.faults.plan("users", Behaviour(after=answer))
        message = stage.message(stage.twitch.world.go_live("tanuki"))
        self.assertTrue((await self.send(stage, message))[0])

        strace = await self.break_disk(stage, daemon, "is_full")
        answer.callback(None)
        await daemon.said("wait for the journal")
        self.assertEqual(stage.accounting().accepted, 1)
        await strace.leave()

        account = await stage.settled(stage.reactor)
        self.assertEqual((account.wanted, account.delivered), (2, 2))
        await self.end(stage, daemon)


def _case(fault: str) -> None:
    async def test(self: FailingDiskTests) -> None:
        await self.survive(fault)

    test.__doc__ = f"A disk that {fault.replace('_', ' ')} for a while costs nothing but time."
    setattr(FailingDiskTests, f"test_a_disk_that_{fault}", test)


for _fault in FAULTS:
    _case(_fault)
