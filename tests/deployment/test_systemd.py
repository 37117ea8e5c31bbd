"""
Tests of etc/systemd/.
"""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.keys import leaves
from tests.documents import ROOT
from tests.functional.stage import tool

FOLDER = ROOT / "etc" / "systemd"
UNIT = FOLDER / "itsjustintv.service"
CONDUIT = FOLDER / "conduit.conf"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """
    Run one of systemd's programs to its end.
    """
    return subprocess.run([tool(command[0]), *command[1:]], capture_output=True, text=True, timeout=60, check=False)


def settings(section: str, path: Path = UNIT) -> dict[str, list[str]]:
    """
    A section of the unit, or of another file: each name with all its values.
    """
    found: dict[str, list[str]] = {}
    within = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            within = line == f"[{section}]"
        elif within and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


class UnitTests(SynchronousTestCase):
    """
    The unit.
    """

    def test_systemd_understands_it(self) -> None:
        """
        ``systemd-analyze verify`` has nothing to say, once the command is there.
        """
        unit = Path(self.mktemp()) / "itsjustintv.service"
        unit.parent.mkdir()
        text = UNIT.read_text(encoding="utf-8")
        command = str(shutil.which("true"))
        unit.write_text(text.replace("/opt/itsjustintv/bin/itsjustintv", command), encoding="utf-8")
        ended = run("systemd-analyze", "verify", str(unit))
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, "", ""))

    def test_it_gives_away_little(self) -> None:
        """
        ``systemd-analyze security`` calls its exposure 2.0 at the most.
        """
        ended = run("systemd-analyze", "security", "--offline=yes", "--threshold=20", str(UNIT))
        self.assertEqual(ended.returncode, 0, ended.stdout[-300:])
        self.assertRegex(ended.stdout, r"exposure level for itsjustintv\.service: [01]\.\d OK")

    def test_what_it_sets_is_a_setting(self) -> None:
        """
        Every variable that it sets is one of the configuration, and names a credential that it loads.
        """
        service = settings("Service")
        known = {leaf.variable for leaf in leaves()}
        loaded = {each.partition(":")[0] for each in service["LoadCredential"]}
        named = set()
        for each in service["Environment"]:
            variable, _, value = each.partition("=")
            self.assertIn(variable, known)
            named.add(value.removeprefix("%d/"))
        self.assertEqual(named, loaded)

    def test_it_gives_the_daemon_the_time_it_needs(self) -> None:
        """
        A stop takes less time than it is given, even when an attempt hangs.
        """
        operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
        (seconds,) = re.findall(r"Give it\s+(\d+) s\.", operations)
        self.assertEqual(settings("Service")["TimeoutStopSec"], [f"{seconds}s"])


class ConduitTests(SynchronousTestCase):
    """
    The addition to the unit for a daemon that Twitch does not call.
    """

    def test_systemd_understands_it(self) -> None:
        """
        ``systemd-analyze verify`` has nothing to say of the unit with it.
        """
        unit = Path(self.mktemp()) / "itsjustintv.service"
        folder = unit.parent / "itsjustintv.service.d"
        folder.mkdir(parents=True)
        shutil.copy(CONDUIT, folder)
        text = UNIT.read_text(encoding="utf-8")
        command = str(shutil.which("true"))
        unit.write_text(text.replace("/opt/itsjustintv/bin/itsjustintv", command), encoding="utf-8")
        ended = run("systemd-analyze", "verify", str(unit))
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, "", ""))

    def test_it_takes_back_what_is_not_needed(self) -> None:
        """
        Of the credentials only the client secret is left, which must exist, and of the privileges none. An empty value
        comes first, since systemd adds to lists.
        """
        service = settings("Service", CONDUIT)
        self.assertEqual(service["LoadCredential"], ["", "client_secret:/etc/itsjustintv/client_secret"])
        self.assertEqual(service["Environment"], ["", "ITSJUSTINTV_TWITCH_CLIENT_SECRET_FILE=%d/client_secret"])
        self.assertEqual((service["AmbientCapabilities"], service["CapabilityBoundingSet"]), ([""], [""]))
        unit = settings("Service")
        self.assertLessEqual(set(service), set(unit))
        self.assertLessEqual({each for each in service["LoadCredential"] if each}, set(unit["LoadCredential"]))


class AccountTests(SynchronousTestCase):
    """
    The user and the folder of the configuration.
    """

    def setUp(self) -> None:
        """
        Take an empty machine, but for root.
        """
        self.root = Path(self.mktemp()).absolute()
        (self.root / "etc").mkdir(parents=True)
        (self.root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (self.root / "etc" / "group").write_text("root:x:0:\n")

    def test_the_user(self) -> None:
        """
        ``systemd-sysusers`` makes a system user, who cannot log in, and the group of that name.
        """
        ended = run("systemd-sysusers", f"--root={self.root}", str(FOLDER / "sysusers.conf"))
        self.assertEqual(ended.returncode, 0, ended.stderr)
        (user,) = (
            line.split(":")
            for line in (self.root / "etc" / "passwd").read_text().splitlines()
            if line.startswith("itsjustintv:")
        )
        self.assertLess(int(user[2]), 1000)
        self.assertEqual(user[5], settings("Service")["WorkingDirectory"][0])
        self.assertTrue(user[6].endswith("/nologin"), user)
        self.assertEqual(settings("Service")["User"], ["itsjustintv"])
        self.assertIn("\nitsjustintv:", (self.root / "etc" / "group").read_text())

    def test_the_folder(self) -> None:
        """
        ``systemd-tmpfiles`` makes the folder of the configuration: root's, and closed to everybody but the daemon.
        """
        self.test_the_user()
        ended = run("systemd-tmpfiles", "--create", f"--root={self.root}", str(FOLDER / "tmpfiles.conf"))
        self.assertEqual(ended.returncode, 0, ended.stderr)
        about = (self.root / "etc" / "itsjustintv").stat()
        self.assertEqual((about.st_uid, stat.S_IMODE(about.st_mode)), (0, 0o750))
        config = settings("Service")["ExecStart"][0].rpartition(" ")[2]
        self.assertEqual(Path(config).parent, Path("/etc/itsjustintv"))
