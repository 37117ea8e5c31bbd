"""
The container, without an engine: the Dockerfile's own steps, and what they built, run as an engine would run it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
from pathlib import Path

from itsjustintv.simulator.process import DaemonProcess, environment
from tests.deployment.dockerfile import Image, context, image
from tests.documents import ROOT
from tests.functional.run import Ended, run
from tests.functional.stage import Stage, StageCase, lacking, tool

#: What an engine does with the image: volumes, a read-only root file system, a process of its own as number 1.
RUN = """
root="$place/{stage}/root"
mount --bind {config} "$root/etc/itsjustintv"
mount --bind {data} "$root/data"
echo "installed: $(du -sm "$root/opt/itsjustintv" | cut -f1) MiB"
mount -o remount,ro "$root"
exec unshare --pid --fork --kill-child -- sh -c {inside} sh "$root"
"""

#: A user of whom the image knows nothing, in the group that may write to its volume.
ANYBODY = ("54321", "0")

INSIDE = """mount -t proc proc "$1/proc" && exec chroot "$1" setpriv --reuid={user} --regid={group} --clear-groups \
--no-new-privs --bounding-set=-all --inh-caps=-all --pdeathsig=KILL env -i {environment} {command}"""


class ContainerTests(StageCase):
    """
    From the Dockerfile to a delivery.
    """

    timeout = 280

    def setUp(self) -> None:
        """
        Namespaces and mounts take root.
        """
        self.unshare, self.nsenter = tool("unshare"), tool("nsenter")
        if os.geteuid() != 0:
            lacking("mount", "only root can mount")

    def script(self, stage: Stage, built: Image) -> Path:
        """
        Write what builds the image and then runs it, as a user without any rights.
        """
        config, data = stage.folder / "etc", stage.folder / "data"
        config.mkdir()
        (config / "config.toml").write_text(stage.configuration)
        data.mkdir()
        # As where an engine chooses the user: the volume is the group's.
        user, group = ANYBODY
        os.chown(data, 0, 0)
        data.chmod(0o770)
        inside = INSIDE.format(
            user=user,
            group=group,
            environment=shlex.join(f"{name}={value}" for name, value in built.environment.items()),
            command=shlex.join([*built.entrypoint, *built.command]),
        )
        running = RUN.format(
            stage=built.stage,
            config=shlex.quote(str(config)),
            data=shlex.quote(str(data)),
            inside=shlex.quote(inside),
        )
        path = stage.folder / "container.sh"
        path.write_text(f"{built.script}{running}")
        return path

    def inner(self, daemon: DaemonProcess) -> int:
        """
        The process that is number 1 in the container.
        """
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
        self.assertEqual(len(children), 1)
        return int(children[0])

    async def inside(self, stage: Stage, pid: int, built: Image, *command: str) -> Ended:
        """
        Run a command in the container, as the health check is run.
        """
        entering = [self.nsenter, f"--target={pid}", "--mount", "--pid", "--root", "--wd", "setpriv"]
        user, group = ANYBODY
        settings = [f"{name}={value}" for name, value in built.environment.items()]
        whole = [*entering, f"--reuid={user}", f"--regid={group}", "--clear-groups", "env", "-i", *settings, *command]
        return await run(stage.reactor, whole, stage.folder, environment(os.environ))

    async def test_from_the_dockerfile_to_a_delivery(self) -> None:
        """
        Every step of the Dockerfile works in a clean root file system. What it built runs with nobody's rights and a
        read-only root, says that it is healthy, delivers, writes to its volume alone, and ends with status 0 on the
        signal that an engine sends, though it is process 1.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        files = stage.folder / "context"
        for each in context(ROOT):
            (files / each).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / each, files / each)
        text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
        built = image(text, files, os.path.realpath(sys.base_prefix), os.environ)
        place = stage.folder / "place"
        place.mkdir()
        script = self.script(stage, built)
        begin = f"mount -t tmpfs tmpfs {shlex.quote(str(place))} && exec sh {shlex.quote(str(script))} {place}"
        command = [self.unshare, "--mount", "--propagation=private", "--", "sh", "-c", begin]
        daemon = stage.daemon(command=command)
        daemon.start()
        await daemon.ready(240)
        pid = self.inner(daemon)
        # SIGTERM would not reach it, as unshare stands between.
        self.addCleanup(lambda: daemon.send_signal(signal.SIGKILL))

        stage.incoming_webhook_url = f"{stage.url}/twitch"
        report = await stage.twitch.eventsub.send(stage.message(stage.twitch.world.go_live("tanuki")))
        self.assertTrue(report.acknowledged, report)
        await stage.receiver.delivery("/tanuki").addTimeout(30, stage.reactor)

        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
        )
        self.assertEqual(status["Uid"].split(), 4 * [ANYBODY[0]])
        self.assertEqual((status["CapEff"], status["CapBnd"], status["NoNewPrivs"]), ("0" * 16, "0" * 16, "1"))
        written = await self.inside(stage, pid, built, "sh", "-c", "echo > /opt/itsjustintv/x || echo > /etc/x")
        self.assertIn("Read-only file system", written.err, written)
        healthy = await self.inside(stage, pid, built, *built.health)
        self.assertEqual(healthy.status, 0, healthy)
        self.assertTrue((stage.folder / "data" / "itsjustintv.db").exists())

        os.kill(pid, getattr(signal, built.stop_signal))
        self.assertEqual(await daemon.ended().addTimeout(30, stage.reactor), 0, daemon.output)
        self.assertNotIn("plugin cache", daemon.output)

    def test_nothing_but_the_program(self) -> None:
        """
        The context that is sent to an engine holds the package and its metadata: no tests, no history, no settings.
        """
        self.assertEqual(
            {each.parts[0] for each in context(ROOT)},
            {"requirements.lock", "setup.py", "pyproject.toml", "README.md", "LICENSE", "itsjustintv", "twisted"},
        )
