"""
Tests for :mod:`itsjustintv.config.load`.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.load import load, reread
from itsjustintv.errors import ConfigError
from itsjustintv.support import regular_files

CONFIGURATION = b"""
[twitch]
client_id = "id"
client_secret = "client secret"
webhook_secret = "webhook secret"
[streamers.a]
login = "a"
target_webhook_url = "https://hooks.example.org/"
"""


class DescriptorTests(SynchronousTestCase):
    """
    A configuration that a shell hands over: ``--config <(...)``.
    """

    def setUp(self) -> None:
        self.patch(regular_files, "_streams", {})
        reading, self.writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.path = Path(f"/dev/fd/{reading}")

    def test_it_stays_what_it_was(self) -> None:
        """
        It is read at the start; a reload finds it usable and unchanged, and says that it cannot be read again.
        """
        with os.fdopen(self.writing, "wb") as file:
            file.write(CONFIGURATION)
        loaded = load(self.path, {})
        found = reread(self.path, {}, loaded.base, loaded.config)
        self.assertFalse(found.changes)
        self.assertEqual(found.loaded.config, loaded.config)
        self.assertEqual(
            [str(each) for each in found.refused],
            [f"--config: {self.path} cannot be read again; restart the daemon to change the configuration"],
        )

    def test_a_secret_stays_what_it_was(self) -> None:
        """
        A secret that a shell hands over is read at the start; a reload says that it cannot be read again.
        """
        with os.fdopen(self.writing, "wb") as secret:
            secret.write(b"client secret")
        file = Path(self.mktemp())
        file.write_bytes(
            CONFIGURATION.replace(b'client_secret = "client secret"', b'client_secret_file = "%b"' % bytes(self.path))
        )
        loaded = load(file, {})
        found = reread(file, {}, loaded.base, loaded.config)
        self.assertEqual("client secret", found.loaded.config.twitch.client_secret)
        self.assertEqual(
            [str(each) for each in found.refused],
            [f"twitch.client_secret_file: {self.path} cannot be read again; restart the daemon to change the secret"],
        )

    def test_a_reload_never_waits_for_one(self) -> None:
        """
        A descriptor that is first named by a reload is refused, though it may have something to read one day.
        """
        self.addCleanup(os.close, self.writing)
        file = Path(self.mktemp())
        file.write_bytes(CONFIGURATION)
        config = load(file, {}).config
        file.write_bytes(
            CONFIGURATION.replace(b'client_secret = "client secret"', b'client_secret_file = "%b"' % bytes(self.path))
        )
        error = self.assertRaises(ConfigError, reread, file, {}, Path(), config)
        self.assertIn("it can be read at the start only, use a regular file", str(error))
