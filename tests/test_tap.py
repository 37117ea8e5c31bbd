"""
Tests for :mod:`itsjustintv.tap`.
"""

from __future__ import annotations

import os
import sys
from io import BytesIO
from pathlib import Path
from subprocess import run

from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import Logging
from itsjustintv.logs import LOG_SETTINGS
from itsjustintv.tap import log_observer


class Screen(BytesIO):
    """
    A terminal.
    """

    def isatty(self) -> bool:
        return True


class LogTests(SynchronousTestCase):
    """
    The log of the process.
    """

    def written(self, out: BytesIO, environ: dict[str, str]) -> bytes:
        """
        What is written of a warning, as text.
        """
        self.patch(os, "environ", environ)
        self.addCleanup(LOG_SETTINGS.follow, Logging())
        LOG_SETTINGS.follow(Logging(format="text"))
        Logger(observer=log_observer(out)).warn("careful")
        return out.getvalue()

    def test_colours_are_for_terminals(self) -> None:
        """
        And for those only who want them.
        """
        self.assertIn(b"\x1b[33mwarn", self.written(Screen(), {}))
        for out, environ in ((BytesIO(), {}), (Screen(), {"NO_COLOR": "1"}), (Screen(), {"TERM": "dumb"})):
            self.assertNotIn(b"\x1b", self.written(out, environ))

    def test_what_ends_the_process(self) -> None:
        """
        A defect at the start, before there is a log, is told on standard error, without secrets.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "config.toml").write_text(
            '[twitch]\nclient_id = "x"\nclient_secret = "a-secret-of-this-test"\nwebhook_secret = "0123456789"\n'
        )
        code = (
            "from itsjustintv.tap import Options\noptions = Options()\noptions.parseOptions([])\n"
            "raise RuntimeError(options.loaded.config.twitch.client_secret)"
        )
        done = run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
        self.assertEqual(done.stderr.splitlines()[-1], "RuntimeError: [redacted]")


class RunDirectoryTests(SynchronousTestCase):
    """
    The data of an installation whose configuration and journal are in different places.
    """

    def test_of_a_tac(self) -> None:
        """
        The journal that is in twistd's run directory is used, however twistd was told of that.
        """
        folder = Path(self.mktemp()).absolute()
        (folder / "conf").mkdir(parents=True)
        (folder / "run" / "data").mkdir(parents=True)
        (folder / "run" / "data" / "itsjustintv.db").touch()
        (folder / "conf" / "config.toml").write_text(
            '[twitch]\nclient_id = "x"\nclient_secret = "a-secret-of-this-test"\nwebhook_secret = "0123456789"\n'
        )
        code = (
            "from itsjustintv.tap import Options\noptions = Options()\noptions.parseOptions([])\n"
            "print(options.loaded.config.storage.path)"
        )
        expected = {
            True: folder / "run" / "data" / "itsjustintv.db",
            False: folder / "conf" / "data" / "itsjustintv.db",
        }
        for arguments, found in (
            (["--rundir", "run", "-ny", "the.tac"], True),
            (["-nd", "run", "--python=the.tac"], True),
            (["-ny", "the.tac", "--rundir=run"], True),
            (["-ny", "the.tac"], False),
            (["--unknown", "--rundir=run"], False),
        ):
            done = run(
                [sys.executable, "-c", code, *arguments],
                capture_output=True,
                text=True,
                check=True,
                cwd=folder,
                env={**os.environ, "ITSJUSTINTV_CONFIG": str(folder / "conf" / "config.toml")},
            )
            self.assertEqual(done.stdout.strip(), str(expected[found]), arguments)
