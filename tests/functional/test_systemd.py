"""
The real daemon under the real systemd, installed as docs/install.md says.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from time import time
from typing import Any

from attrs import define, field
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from itsjustintv.simulator.process import environment
from itsjustintv.tls.certificate import KEY_TYPES, format_key
from tests.deployment.dockerfile import BASE, PASSED_ON
from tests.documents import ROOT, Document, asked_from_outside
from tests.functional.run import Background, Ended, run
from tests.functional.stage import lacking, tool
from tests.tls.authority import DAY, Issuer

NAME = "hooks.example.org"

#: A machine: a root file system in memory with the checkout in /src, where the document's commands are run; then
#: systemd, in namespaces of its own, with a network that leads nowhere and no way to the kernel's modules.
MACHINE = """
set -eu
place={place}
mount -t tmpfs tmpfs "$place"
base() {{ {base} }}
base / "$place"
root="$place/root"
mkdir -p "$root/src"
cp -a {checkout}/. "$root/src"
mount -t proc proc "$root/proc"
chroot "$root" env -i {environment} sh -ec {commands}
umount "$root/proc"
cp -a {extra}/. "$root/etc/itsjustintv"
chroot "$root" chgrp -R itsjustintv /etc/itsjustintv
umount -l "$root/dev"
exec unshare --pid --fork --kill-child --uts --ipc --cgroup --net sh -ec {boot} sh "$root"
"""

BOOT = """
ip link set lo up
mount -t proc proc "$1/proc"
mount --bind "$1/proc/sys" "$1/proc/sys"
mount -o remount,ro,bind "$1/proc/sys"
mount -t sysfs -o ro sysfs "$1/sys"
mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$1/dev"
for node in null zero full random urandom tty; do touch "$1/dev/$node"; mount --bind /dev/$node "$1/dev/$node"; done
mkdir "$1/dev/shm" && mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
mkdir "$1/dev/pts" "$1/dev/mqueue" && mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/dev/pts"
ln -s pts/ptmx "$1/dev/ptmx"
ln -s /proc/self/fd "$1/dev/fd"
mount -t tmpfs -o mode=755 tmpfs "$1/run"
rm -rf "$1"/etc/systemd/system/*.wants
printf '[Unit]\\nRequires=basic.target\\nAfter=basic.target\\n' > "$1/etc/systemd/system/stage.target"
mount --make-rshared "$1"
export container=stage
set -- chroot "$1" /lib/systemd/systemd --system --unit=stage.target
exec setpriv --bounding-set=-sys_module,-sys_time,-sys_boot "$@"
"""

#: What a test cannot wait for.
IMPATIENT = "[Service]\nWatchdogSec=3s\nRestartSec=100ms\n"

CONFIG = """
[server]
port = 443
[server.tls]
enabled = true
mode = "files"
domains = ["{name}"]
cert_file = "/etc/itsjustintv/served.pem"
key_file = "/etc/itsjustintv/served.pem"
[twitch]
client_id = "an-id"
client_secret_file = "/etc/itsjustintv/client_secret"
webhook_secret_file = "/etc/itsjustintv/webhook_secret"
api_url = "http://127.0.0.1:9/helix"
auth_url = "http://127.0.0.1:9/oauth2"
[streamers.tanuki]
user_id = "42"
target_webhook_url = "http://127.0.0.1:9/"
"""


def commands() -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    """
    Read the document: how to install, to start, and to run a command.
    """
    blocks = [
        [line.removeprefix("# ") for line in block.lines if line.startswith("# ")]
        for block in Document(ROOT / "docs" / "install.md").blocks
        if block.language == "console"
    ]
    first = next(number for number, lines in enumerate(blocks) if "systemd-sysusers" in lines)
    install, start, use = blocks[first : first + 3]
    return install, start, use


@define(eq=False)
class Machine:
    """
    A machine that has booted.
    """

    reactor: Any
    folder: Path
    _background: Background = field(init=False)

    async def boot(self, script: str) -> None:
        """
        Prepare it, boot it, and wait until systemd runs.
        """
        (self.folder / "machine.sh").write_text(script)
        command = [tool("unshare"), "--mount", "--propagation=private", "sh", str(self.folder / "machine.sh")]
        self._background = Background(self.reactor, command, self.folder)
        self._background.start(environment(os.environ))
        while (state := (await self.run("systemctl", "is-system-running")).out.strip()) not in ("running", "degraded"):
            if not self._background.running:
                raise AssertionError(f"{state}\n{self._background.output}")
            await deferLater(self.reactor, 0.2)

    @property
    def init(self) -> int | None:
        """
        The process that is number 1 there, if it has come so far.
        """
        parent = self._background.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        if len(children) != 1 or Path(f"/proc/{children[0]}/comm").read_text().strip() != "systemd":
            return None
        return int(children[0])

    async def run(self, *command: str) -> Ended:
        """
        Run a command as root there; before there is a systemd, none.
        """
        if not self._background.running or (pid := self.init) is None:
            return Ended("", "", -1)
        entering = [tool("nsenter"), f"--target={pid}", *("--mount", "--pid", "--uts", "--ipc", "--cgroup", "--net")]
        variables = ["env", "-i", "PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin"]
        return await run(
            self.reactor, [*entering, "--root", "--wd", *variables, *command], self.folder, dict(os.environ), 90
        )

    async def show(self, name: str) -> str:
        """
        Ask systemd for something that it knows of the service.
        """
        return (await self.run("systemctl", "show", "itsjustintv", "--value", f"--property={name}")).out.strip()

    async def off(self) -> None:
        """
        Switch it off.
        """
        await self._background.kill()


class SystemdTests(TestCase):
    """
    From an empty machine to a daemon that is looked after.
    """

    # A bound for what hangs: it installs the package, which takes a minute on cores that do nothing else.
    timeout = 600

    def setUp(self) -> None:
        """
        Namespaces and mounts take root.
        """
        tool("systemd-analyze")
        if os.geteuid() != 0:
            lacking("mount", "only root can mount")

    def script(self, folder: Path) -> str:
        """
        Write how the machine comes to be.
        """
        checkout, extra, place = folder / "checkout", folder / "extra", folder / "place"
        place.mkdir()
        extra.mkdir()
        for name in ("etc", "itsjustintv", "twisted"):
            shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
        for name in ("requirements.lock", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, checkout / name)
        (extra / "itsjustintv.toml").write_text(CONFIG.format(name=NAME))
        key, issuer = KEY_TYPES["p256"](), Issuer()
        leaf = issuer.issue([NAME], key.public_key(), time() - DAY, time() + DAY)
        (extra / "root.pem").write_bytes(issuer.root.public_bytes(Encoding.PEM))
        (extra / "served.pem").write_bytes(format_key(key) + b"\n" + issuer.chain(leaf))
        # The one thing that is typed.
        typed = [
            each.replace('systemd-ask-password "Twitch client secret:"', "echo a-secret") for each in commands()[0]
        ]
        variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        variables["PATH"] = "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin"
        return MACHINE.format(
            place=shlex.quote(str(place)),
            base=BASE.format(python=shlex.quote(os.path.realpath(sys.base_prefix))),
            checkout=shlex.quote(str(checkout)),
            environment=shlex.join(f"{name}={value}" for name, value in variables.items()),
            commands=shlex.quote("\n".join(["cd /src", *typed])),
            extra=shlex.quote(str(extra)),
            boot=shlex.quote(BOOT),
        )

    async def succeed(self, machine: Machine, *command: str) -> str:
        """
        Run a command that must succeed.
        """
        ended = await machine.run(*command)
        journal = "" if not ended.status else (await machine.run("journalctl", "--no-pager", "-n", "40")).out
        self.assertEqual(ended.status, 0, f"{command}: {ended}\n{journal}")
        return ended.out

    async def check_runbook(self, machine: Machine) -> None:
        """
        Type the commands of docs/operations.md, and what docs/install.md has last, as they say: as the daemon's user,
        in any directory.
        """
        blocks = [each for each in Document(ROOT / "docs" / "operations.md").blocks if each.language == "console"]
        ours = [line.removeprefix("$ ") for each in blocks for line in each.lines if line.startswith("$ itsjustintv ")]
        self.assertIn("itsjustintv backup journal-backup.db", ours)
        names = {"STREAMER": "tanuki", "global_webhook": "streamers.tanuki"}
        for command in [*(f"runuser -u itsjustintv -- {each}" for each in dict.fromkeys(ours)), *commands()[2]]:
            words = [names.get(word, word) for word in shlex.split(command)]
            ended = await machine.run("sh", "-c", f"cd /tmp && {shlex.join(words)}")
            self.assertIn("the configuration is /etc/itsjustintv/itsjustintv.toml\n", ended.err, command)
            if "restore" in words:
                # The daemon runs.
                self.assertIn("/var/lib/itsjustintv/data/itsjustintv.db is in use by", ended.err)
                self.assertEqual(ended.status, 1, ended)
                continue
            if "doctor" in words:
                # Twitch is not there, which is an error.
                self.assertEqual((ended.status, ended.err.count("Error: ")), (1, 1), ended)
                told = ended.out.splitlines()
                self.assertIn("error: daemon: not ready: twitch: Twitch is unavailable; see its log", told)
                self.assertIn("ok: journal: all 0 deliveries are accounted for", told)
                for place in (
                    "disk: storage.path: the folder /var/lib/itsjustintv/data ",
                    "https: server.port: port 443 ",
                ):
                    self.assertTrue([line for line in told if line.startswith(f"ok: {place}")], ended)
                errors = {line.split(": ")[1] for line in told if line.startswith("error")}
                self.assertEqual(
                    errors, {"daemon", "https", "twitch"}, "Twitch is not there, and the name resolves to no machine"
                )
            else:
                self.assertEqual(ended.status, 0, f"{command}: {ended}")

    async def test_as_the_document_says(self) -> None:
        """
        Its commands install the daemon and start it. Within everything that the unit takes from it, it serves HTTPS on
        port 443 as a user without other rights, reloads, lets its commands be run, is restarted when it hangs, and
        stops well.
        """
        from twisted.internet import reactor  # noqa: PLC0415 - trial has installed it by now

        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        machine = Machine(reactor, folder)
        self.addCleanup(lambda: Deferred.fromCoroutine(machine.off()))
        await machine.boot(self.script(folder))
        for each in commands()[1]:
            await self.succeed(machine, *shlex.split(each))

        ask = [
            "curl",
            "--silent",
            "--fail",
            "--cacert",
            "/etc/itsjustintv/root.pem",
            "--resolve",
            f"{NAME}:443:127.0.0.1",
        ]
        self.assertIn("alive", await self.succeed(machine, *ask, f"https://{NAME}/livez"))
        for path in asked_from_outside():
            asking = [each for each in ask if each != "--fail"]
            answer = await self.succeed(machine, *asking, "--include", f"https://{NAME}{path}")
            self.assertIn(" 405", answer.splitlines()[0])
        status = await self.succeed(machine, "cat", f"/proc/{await machine.show('MainPID')}/status")
        facts = dict(re.findall(r"^(\w+):\s+(\S+)", status, re.MULTILINE))
        self.assertGreater(int(facts["Uid"]), 0)
        self.assertEqual(int(facts["CapEff"], 16), 1 << 10, "CAP_NET_BIND_SERVICE is number 10")
        self.assertEqual((facts["NoNewPrivs"], facts["Seccomp"]), ("1", "2"))

        await self.succeed(machine, "systemctl", "reload", "itsjustintv")
        log = ("journalctl", "--no-pager", "--output=cat", "--unit=itsjustintv")
        while "configuration read again (SIGHUP)" not in await self.succeed(machine, *log):
            pass
        await self.check_runbook(machine)

        drop_in = "/etc/systemd/system/itsjustintv.service.d"
        write = f"mkdir {drop_in} && printf {shlex.quote(IMPATIENT)} > {drop_in}/test.conf && systemctl daemon-reload"
        await self.succeed(machine, "sh", "-c", write)
        await self.succeed(machine, "systemctl", "restart", "itsjustintv")
        hung = await machine.show("MainPID")
        await self.succeed(machine, "kill", "-STOP", hung)
        while await machine.show("NRestarts") != "1" or await machine.show("ActiveState") != "active":
            await deferLater(reactor, 0.2)
        self.assertNotEqual(await machine.show("MainPID"), hung)
        self.assertIn("Watchdog timeout", await self.succeed(machine, "journalctl", "--no-pager", "--unit=itsjustintv"))

        await self.succeed(machine, "systemctl", "stop", "itsjustintv")
        self.assertEqual(await machine.show("Result"), "success")
        self.assertEqual(await machine.show("ExecMainStatus"), "0")
