"""
The real daemon while its configuration changes.

``ITSJUSTINTV_RELOADS`` says how many reloads the storm has; 60 unless it is given.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from unittest import skipUnless

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import Agent, readBody

from itsjustintv.model import State
from itsjustintv.simulator.behaviour import Behaviour
from itsjustintv.simulator.loopback import free_port
from itsjustintv.simulator.process import DaemonProcess
from itsjustintv.simulator.receiver import Expectation
from tests.functional.stage import Stage, StageCase
from tests.functional.test_delivery import acknowledged, go_live

RELOADS = int(os.environ.get("ITSJUSTINTV_RELOADS", "60"))

#: Ways to break a configuration.
BROKEN: tuple[Callable[[str], str], ...] = (
    lambda text: text[: len(text) // 2] + "\n=",
    lambda text: text.replace("[server]", "[server]\nlisten_adr = 1"),
    lambda text: text.replace("port = ", "port = -"),
    lambda text: text.replace("client_id", "client_idd"),
    lambda _: "",
)


async def health(stage: Stage) -> Any:
    """
    What the daemon says of its configuration.
    """
    response = await Agent(stage.reactor).request(b"GET", f"{stage.url}/health".encode())
    return json.loads(await readBody(response))


def errors(daemon: DaemonProcess) -> list[str]:
    """
    Every line of error that the daemon has logged so far.
    """
    return [line for line in daemon.output.splitlines() if '"level":"error"' in line or '"level":"critical"' in line]


class Caller(Protocol):
    """
    A client that writes what a test says, and keeps what it hears.

    :ivar closed: fires with everything that was heard, once the daemon has closed.
    """

    transport: Any

    def __init__(self) -> None:
        self.heard = b""
        self.closed: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.closed.callback(self.heard)


class FollowTests(StageCase):
    """
    A change of the file is followed.
    """

    async def test_a_new_streamer_is_announced_without_a_restart(self) -> None:
        """
        A streamer who is added to the file is matched and delivered, and so is everybody who was there before.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        daemon = await stage.started()
        stage.add_streamer("kitsune")
        stage.configure()
        await daemon.said("1 streamer added: kitsune")
        await stage.subscribed("kitsune")

        await gatherResults([Deferred.fromCoroutine(go_live(stage, login)) for login in ("kitsune", "tanuki")])

        self.assertEqual((await stage.receiver.delivery("/kitsune")).payload["streamer_login"], "kitsune")
        self.assertEqual((await stage.receiver.delivery("/tanuki")).payload["streamer_login"], "tanuki")

    async def test_a_broken_file_changes_nothing_and_the_log_says_why(self) -> None:
        """
        A file with errors leaves everything as it was; the log has every problem, and health tells how many. When it is
        mended it is taken up.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        daemon = await stage.started()
        await stage.subscribed()
        before = (await health(stage))["configuration"]["hash"]
        stage.add_streamer("kitsune", 'tag_fliter = ["English"]')
        stage.settings = '[retry]\nconcurrency = "many"\n'
        stage.configure()
        await daemon.said("nothing was changed")
        await daemon.said("retry.concurrency: must be a whole number")
        await daemon.said("streamers.kitsune.tag_fliter: unknown key; did you mean tag_filter?")

        await go_live(stage, "tanuki")
        await stage.receiver.delivery("/tanuki")
        report = await health(stage)
        self.assertEqual((report["status"], report["configuration"]["problems"]), ("degraded", 2))
        self.assertEqual(report["configuration"]["hash"], before)

        stage.settings = ""
        stage.streamers["kitsune"] = stage.streamers["kitsune"].replace("fliter", "filter")
        stage.configure()
        await daemon.said("1 streamer added: kitsune")
        report = await health(stage)
        self.assertEqual((report["status"], report["configuration"]["problems"]), ("healthy", 0))
        self.assertNotEqual(report["configuration"]["hash"], before)

    async def test_what_a_half_written_file_lacks_continues(self) -> None:
        """
        A file that is valid and lacks a streamer stops what waits for that streamer and keeps the subscription; killed
        and started with it, the daemon has ended nothing. When the file is whole again, the delivery is made.
        """
        stage = self.stage()
        stage.settings = '[retry]\ninitial_delay = "100ms"\nbackoff_factor = 1\n'
        stage.add_streamer("tanuki")
        stage.add_streamer("kitsune")
        stage.receiver.script.plan("/kitsune", then=Behaviour(status=503))
        daemon = await stage.started()
        await stage.subscribed()
        await go_live(stage, "kitsune")
        await stage.receiver.delivery("/kitsune", 2)
        subscribed = stage.twitch.subscriptions.enabled_for(stage.callback)
        kitsune = stage.streamers.pop("kitsune")
        stage.configure()
        await daemon.said("destination streamers.kitsune was removed from the configuration; its deliveries")
        attempts = len(stage.receiver.at("/kitsune"))
        stage.receiver.script.plan("/kitsune")
        await daemon.kill()
        daemon = await stage.started()
        await daemon.said("destination streamers.kitsune was removed from the configuration; its deliveries")
        (waiting,) = stage.journal.list()
        self.assertEqual((waiting.state, len(stage.receiver.at("/kitsune"))), (State.PENDING, attempts))
        self.assertEqual(stage.twitch.subscriptions.enabled_for(stage.callback), subscribed)
        stage.streamers["kitsune"] = kitsune
        stage.configure()
        await daemon.said("destination streamers.kitsune is configured again; its deliveries continue")
        await stage.settled(stage.reactor)
        self.assertEqual(stage.accounting().delivered, 1)

    async def test_a_renamed_table_keeps_its_deliveries_when_the_daemon_is_killed(self) -> None:
        """
        Renamed by a reload, killed, and started with the new name, the daemon sends what waited under the old one.
        """
        stage = self.stage(settings='[retry]\ninitial_delay = "100ms"\nbackoff_factor = 1\n')
        stage.add_streamer("tanuki")
        stage.receiver.script.plan("/tanuki", then=Behaviour(status=503))
        daemon = await stage.started()
        await go_live(stage, "tanuki")
        await stage.receiver.delivery("/tanuki", 2)
        stage.streamers["tanuki"] = stage.streamers["tanuki"].replace("[streamers.tanuki]", "[streamers.raccoon]")
        stage.configure()
        await daemon.said("1 streamer added: raccoon")
        await daemon.kill()
        stage.receiver.script.plan("/tanuki")
        await stage.started()
        self.assertEqual((await stage.settled(stage.reactor)).delivered, 1)

    async def test_what_went_live_while_it_was_away_is_found(self) -> None:
        """
        A message about a streamer whom a half written file lacks is ignored; when the streamer returns Twitch is asked,
        and the broadcast is announced after all, once.
        """
        # Asked about nobody at the start, it need not wait before it asks again.
        stage = self.stage(settings="[catch_up]\nenabled = false\n")
        stage.add_streamer("tanuki")
        stage.add_streamer("kitsune")
        daemon = await stage.started()
        await stage.subscribed()
        kitsune = stage.streamers.pop("kitsune")
        stage.configure()
        await daemon.said("1 streamer removed: kitsune")
        (report,) = await stage.twitch.announce(stage.twitch.world.go_live("kitsune"))
        self.assertEqual(report.tries[0].status, 200)
        await daemon.said("ignored")
        stage.streamers["kitsune"] = kitsune
        stage.settings = ""
        stage.configure()
        announced = await stage.receiver.delivery("/kitsune")
        self.assertTrue(announced.payload["recovered"])
        await stage.settled(stage.reactor)
        self.assertEqual((stage.accounting().wanted, len(stage.receiver.at("/kitsune"))), (1, 1))

    async def test_however_the_file_is_replaced(self) -> None:
        """
        Writing into the file, renaming another onto it, and switching a link on the way to it are all noticed, again
        and again.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        stage.configure()
        path = stage.folder / "config.toml"
        versions = iter(range(100))

        def switch() -> None:
            version = f"..{next(versions)}"
            (stage.folder / version).mkdir()
            (stage.folder / version / "config.toml").write_text(stage.configuration)
            (stage.folder / "..next").symlink_to(version)
            (stage.folder / "..next").replace(stage.folder / "..data")

        def rename() -> None:
            (stage.folder / "new.toml").write_text(stage.configuration)
            (stage.folder / "new.toml").replace(path)

        def in_place() -> None:
            path.write_text(stage.configuration)

        def link() -> None:
            switch()
            path.unlink()
            path.symlink_to("..data/config.toml")

        daemon = await stage.started()
        for number, replace in enumerate((in_place, rename, in_place, rename, link, switch, switch, in_place, rename)):
            stage.add_streamer(f"streamer{number}")
            replace()
            # Sooner than somebody would find out who only looks now and then.
            await daemon.said(f"1 streamer added: streamer{number}").addTimeout(15, stage.reactor)
        self.assertEqual(errors(daemon), [])

    async def test_a_hangup_reads_the_file_again(self) -> None:
        """
        SIGHUP is answered in the log, and does not end the daemon.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        daemon = await stage.started()
        daemon.send_signal(signal.SIGHUP)
        await daemon.said("configuration read again (SIGHUP): valid and unchanged")
        await go_live(stage, "tanuki")
        await stage.receiver.delivery("/tanuki")

    async def test_the_log_follows(self) -> None:
        """
        Another level and another form of the log hold at once.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        daemon = await stage.started()
        await stage.subscribed()
        self.assertNotIn("debug", daemon.output)
        stage.settings = '[logging]\nlevel = "debug"\nformat = "text"\n'
        stage.configure()
        await daemon.said("Z debug    checking the subscriptions")

    async def test_a_retry_goes_to_the_address_of_the_moment(self) -> None:
        """
        A delivery that waits for its next attempt is sent to the address that is configured by then, and signed with
        the secret of then.
        """
        stage = self.stage(settings='[retry]\ninitial_delay = "3s"\njitter = 0\n')
        stage.add_streamer("tanuki")
        first = stage.streamers["tanuki"].replace("/tanuki", "/old") + 'target_webhook_secret = "an old secret"\n'
        stage.streamers["tanuki"] = first
        stage.receiver.script.plan("/old", then=Behaviour(status=503))
        daemon = await stage.started()
        await go_live(stage, "tanuki")
        await stage.receiver.delivery("/old")
        stage.streamers["tanuki"] = first.replace("/old", "/new").replace("an old secret", "the new secret")
        stage.receiver.expectations["/new"] = Expectation(secret="the new secret")
        stage.configure()
        await daemon.said("1 streamer changed: tanuki (target_webhook_url, target_webhook_secret)")

        self.assertEqual((await stage.receiver.delivery("/new")).problem, "")
        self.assertEqual((await stage.settled(stage.reactor)).delivered, 1)
        self.assertEqual(len(stage.receiver.at("/old")), 1)


class MoveTests(StageCase):
    """
    The port changes.
    """

    async def test_a_request_under_way_outlives_the_move(self) -> None:
        """
        The new port answers, the old one takes no new connections, and a request that was half sent to the old one is
        answered there.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        daemon = await stage.started()
        await stage.subscribed()
        old = stage.port
        caller = Caller()
        await connectProtocol(TCP4ClientEndpoint(stage.reactor, "127.0.0.1", old), caller)
        caller.transport.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n")
        stage.port = free_port()
        stage.configure()
        await daemon.said(f"server.port: {old} -> {stage.port}")

        caller.transport.write(b"\r\n")
        self.assertIn(b"HTTP/1.1 200 OK", await caller.closed)
        self.assertEqual((await health(stage))["status"], "healthy")
        with self.assertRaises(ConnectError):
            await connectProtocol(TCP4ClientEndpoint(stage.reactor, "127.0.0.1", old), Caller())
        await go_live(stage, "tanuki")
        await stage.receiver.delivery("/tanuki")

    async def test_a_taken_port_changes_nothing(self) -> None:
        """
        When the new port cannot be had nothing of the new file is taken up, the log says why, and the old port goes on.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        daemon = await stage.started()
        await stage.subscribed()
        old = stage.port
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            stage.port = holder.getsockname()[1]
            stage.add_streamer("kitsune")
            stage.configure()
            await daemon.said(f"cannot listen on 127.0.0.1:{stage.port}: address already in use")
            taken, stage.port = stage.port, old
            self.assertEqual((await health(stage))["configuration"]["problems"], 1)
            self.assertNotIn("streamer added", daemon.output)
        daemon.send_signal(signal.SIGHUP)
        await daemon.said("1 streamer added: kitsune")
        stage.port = taken
        self.assertEqual((await health(stage))["status"], "healthy")


class StormTests(StageCase):
    """
    Many reloads, under traffic.
    """

    timeout = 60 + 2 * RELOADS

    @skipUnless(sys.platform == "linux", "looks into /proc")
    async def test_a_storm_of_reloads_costs_nothing(self) -> None:
        """
        While the configuration is replaced again and again, three times in ten by a broken file, every event is taken,
        delivered once, and none is cancelled. Afterwards the daemon holds no more descriptors, and hardly more memory,
        than at the beginning.
        """
        random = Random(1)
        stage = self.stage()
        logins = [f"streamer{number}" for number in range(5)]
        for login in logins:
            stage.add_streamer(login)
        fixed = stage.settings
        daemon = await stage.started()
        await stage.subscribed()
        process = Path(f"/proc/{daemon.pid}")
        opened = len(list((process / "fd").iterdir()))
        sent = 0
        ending = False

        async def traffic() -> None:
            nonlocal sent
            while not ending:
                messages = [stage.message(stage.twitch.world.go_live(login)) for login in logins]
                sent += len(messages)
                await acknowledged(stage, *messages)
                await deferLater(stage.reactor, 0.02)

        async def reload(number: int) -> None:
            broken = random.random() < 0.3
            stage.settings = f"{fixed}[retry]\nconcurrency = {2 + number % 3}\nmax_attempts = {10 + number}\n"
            if number % 2:
                stage.settings += (
                    f'[streamers.extra{number}]\nuser_id = "{number}"\ntarget_webhook_url = "{stage.hook}"\n'
                )
            text = stage.configuration
            outcome = "cannot use the configuration" if broken else "configuration reloaded"
            before = daemon.output.count(outcome)
            new = stage.folder / "new.toml"
            new.write_text(random.choice(BROKEN)(text) if broken else text)
            new.replace(stage.folder / "config.toml")
            daemon.send_signal(signal.SIGHUP)
            await stage.until(lambda: daemon.output.count(outcome) > before)

        going = Deferred.fromCoroutine(traffic())
        warm = max(10, RELOADS // 5)
        for number in range(warm):
            await reload(number)
        before = memory(process)
        for number in range(warm, warm + RELOADS):
            await reload(number)
        after = memory(process)
        ending = True
        await going
        account = await stage.settled(stage.reactor)

        self.assertGreater(sent, RELOADS)
        self.assertEqual((account.wanted, account.delivered, account.cancelled), (sent, sent, 0))
        self.assertEqual(len(stage.receiver.received), sent)
        self.assertEqual(len({each.payload["id"] for each in stage.receiver.received}), sent)
        self.assertLess(after - before, 16 * 1024, f"KiB more than {before}, after {sent} events")
        # Besides, there are some connections that are kept for a while.
        await stage.until(lambda: len(list((process / "fd").iterdir())) < opened + 8)


def memory(process: Path) -> int:
    """
    The resident memory of a process, in KiB.
    """
    status = (process / "status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
