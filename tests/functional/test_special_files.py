"""
The real daemon where paths name something else than files.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys

from itsjustintv.simulator.process import twistd
from tests.functional.stage import StageCase


class SpecialFileTests(StageCase):
    """
    Nothing that an operator puts in the place of a file holds the daemon up.
    """

    async def test_a_named_pipe_in_place_of_the_configuration(self) -> None:
        """
        The daemon says what it is and goes on, takes up the file that comes after it, and stops at once while there is
        a pipe again.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        daemon = await stage.started()
        path = stage.folder / "config.toml"
        path.unlink()
        os.mkfifo(path)
        await daemon.said("cannot be read: it is a named pipe, use a regular file")
        path.unlink()
        stage.add_streamer("kitsune")
        stage.configure()
        await daemon.said("1 streamer added: kitsune")
        path.unlink()
        os.mkfifo(path)
        daemon.send_signal(signal.SIGHUP)
        await daemon.said("(SIGHUP), problems: ")
        begun = stage.reactor.seconds()
        self.assertEqual(await daemon.stop(), 0)
        self.assertLess(stage.reactor.seconds() - begun, 5)

    async def test_a_configuration_that_a_shell_hands_over(self) -> None:
        """
        With ``--config <(...)`` the daemon runs, says that it cannot read that again, and stays healthy.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        stage.configure()
        start = shlex.join([sys.executable, str(twistd()), "-n", "--pidfile=", "itsjustintv", "--config"])
        daemon = stage.daemon(command=["/bin/bash", "-c", f"exec {start} <(cat config.toml)"])
        daemon.start()
        await daemon.ready()
        await daemon.said("cannot be read again; restart the daemon to change the configuration")
        daemon.send_signal(signal.SIGHUP)
        await daemon.said("(SIGHUP): valid and unchanged")
        self.assertNotIn("cannot use the configuration", daemon.output)
