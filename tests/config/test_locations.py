"""
Tests for :mod:`itsjustintv.config.locations`.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from shutil import copy, copytree

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.diff import fingerprint
from itsjustintv.config.keys import leaves
from itsjustintv.config.load import Loaded, load
from itsjustintv.config.locations import STATE, FoundConfig, base_folder, find_config, is_path
from itsjustintv.config.parse_state import ParseState
from itsjustintv.config.sections import StreamerEntry

TEXT = """
[twitch]
client_id = "id"
client_secret = "client secret"
webhook_secret_file = "webhook_secret"
[server.tls]
mode = "files"
cert_file = "/certs/chain.pem"
key_file = "key.pem"
[streamers.tanuki]
login = "tanuki"
target_webhook_url = "https://receiver.example.org/live"
target_webhook_secret_file = "secrets/tanuki"
"""


class PlaceCase(SynchronousTestCase):
    """
    A folder, and somewhere else to stand.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.elsewhere = self.folder / "elsewhere"
        self.elsewhere.mkdir(parents=True)


class FindTests(PlaceCase):
    """
    Which configuration it is.
    """

    def test_in_this_order(self) -> None:
        """
        The option, the variable, config.toml here, the installed one; where there is none, config.toml here is missed.
        """
        installed, environ = self.folder / "installed.toml", {"ITSJUSTINTV_CONFIG": "named.toml"}
        here = self.elsewhere / "config.toml"
        self.assertEqual(find_config(None, {}, self.elsewhere, installed), FoundConfig(here))
        installed.touch()
        note = "itsjustintv: the configuration is"
        self.assertEqual(
            find_config(None, {}, self.elsewhere, installed), FoundConfig(installed, f"{note} {installed}")
        )
        here.touch()
        self.assertEqual(
            find_config(None, {}, self.elsewhere, installed), FoundConfig(here, f"{note} {here}, not {installed}")
        )
        self.assertEqual(
            find_config(None, environ, self.elsewhere, installed), FoundConfig(self.elsewhere / "named.toml")
        )
        self.assertEqual(
            find_config("given.toml", environ, self.elsewhere, installed), FoundConfig(self.elsewhere / "given.toml")
        )

    def test_nothing_set(self) -> None:
        """
        A variable that is set to nothing counts as not set.
        """
        found = find_config(None, {"ITSJUSTINTV_CONFIG": ""}, self.elsewhere, self.folder / "installed.toml")
        self.assertEqual(found, FoundConfig(self.elsewhere / "config.toml"))


class BaseTests(PlaceCase):
    """
    Where relative paths start.
    """

    def setUp(self) -> None:
        super().setUp()
        self.path = self.folder / "config.toml"
        self.path.write_text(TEXT, encoding="utf-8")
        for name in ("webhook_secret", "secrets/tanuki"):
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_text("a secret of tests", encoding="utf-8")

    def loaded(self, **environ: str) -> Loaded:
        """
        Load it from elsewhere.
        """
        return load(self.path, environ, here=self.elsewhere)

    def put(self, *paths: Path) -> None:
        """
        Leave files somewhere.
        """
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def test_the_folder_of_the_configuration(self) -> None:
        """
        Every relative path starts at the folder of the configuration, wherever one stands; whole ones stay what they
        are.
        """
        config = self.loaded().config
        self.assertEqual(self.loaded().warnings, load(self.path, {}, here=self.folder).warnings)
        self.assertEqual(config, load(self.path, {}, here=self.folder).config)
        self.assertEqual(config.storage.path, f"{self.folder}/data/itsjustintv.db")
        self.assertEqual(config.cache.image_dir, f"{self.folder}/data/image_cache")
        self.assertEqual(config.twitch.webhook_secret, "a secret of tests")
        self.assertEqual(config.server.tls.key_file, f"{self.folder}/key.pem")
        self.assertEqual(config.server.tls.cert_file, "/certs/chain.pem")
        self.assertEqual(config.streamers["tanuki"].target_webhook_secret_file, f"{self.folder}/secrets/tanuki")

    def test_every_path_is_known(self) -> None:
        """
        Whatever is documented to be a file or a folder is one.
        """
        paths = {".".join(leaf.keys) for leaf in (*leaves(), *leaves(StreamerEntry)) if is_path(leaf.keys[-1])}
        self.assertEqual(
            paths,
            {
                "server.tls.cert_dir",
                "server.tls.cert_file",
                "server.tls.key_file",
                "server.tls.ca_bundle",
                "server.tls.eab_hmac_file",
                "twitch.client_secret_file",
                "twitch.webhook_secret_file",
                "twitch.token_file",
                "twitch.conduit.state_file",
                "retry.state_file",
                "output.file_path",
                "admin.token_file",
                "cache.file_path",
                "cache.image_dir",
                "storage.path",
                "global_webhook.target_webhook_secret_file",
                "target_webhook_secret_file",
            },
        )

    def test_below_etc(self) -> None:
        """
        The data of a configuration below /etc is where the unit of systemd has it.
        """
        for name in ("/etc/itsjustintv/itsjustintv.toml", "/etc/itsjustintv.toml", "/usr/../etc/a/b.toml"):
            self.assertEqual(base_folder(ParseState({}), Path(name), self.elsewhere), (STATE, ()))
        self.assertEqual(base_folder(ParseState({}), Path("/etcetera/a.toml"), self.elsewhere)[0], Path("/etcetera"))

    def test_of_a_pipe(self) -> None:
        """
        A configuration that is no file has no folder: the current directory it is.
        """
        for name in ("/dev/stdin", "/dev/fd/63", "/proc/self/fd/0"):
            self.assertEqual(base_folder(ParseState({}), Path(name), self.elsewhere), (self.elsewhere, ()))

    def test_as_it_is_said(self) -> None:
        """
        storage.base, in the file or the environment, goes before everything, whatever lies about elsewhere.
        """
        self.put(self.elsewhere / "data/itsjustintv.db")
        self.path.write_text(f'{TEXT}[storage]\nbase = "{self.folder}/base"\n', encoding="utf-8")
        for name in ("webhook_secret", "secrets/tanuki"):
            self.put(self.folder / "base" / name)
            (self.folder / "base" / name).write_text("a secret of tests", encoding="utf-8")
        self.assertEqual(self.loaded().config.storage.path, f"{self.folder}/base/data/itsjustintv.db")
        said = self.loaded(ITSJUSTINTV_STORAGE_BASE=str(self.folder))
        self.assertEqual(said.config.storage.path, f"{self.folder}/data/itsjustintv.db")

    def test_it_must_be_whole(self) -> None:
        """
        A base that is relative itself is refused.
        """
        with self.assertRaisesRegex(Exception, "ITSJUSTINTV_STORAGE_BASE: must be the absolute path of a folder"):
            self.loaded(ITSJUSTINTV_STORAGE_BASE="data")

    def test_what_was_left_behind(self) -> None:
        """
        A journal at the current directory, with none at the right place, is used where it is, with everything else: it
        may have deliveries to make. A warning says so, and what to do.
        """
        self.put(self.elsewhere / "data/itsjustintv.db", self.elsewhere / "webhook_secret")
        for name in ("webhook_secret", "secrets/tanuki"):
            self.put(self.elsewhere / name)
            (self.elsewhere / name).write_text("another secret", encoding="utf-8")
        loaded = self.loaded()
        self.assertEqual(loaded.base, self.elsewhere)
        self.assertEqual(loaded.config.storage.path, f"{self.elsewhere}/data/itsjustintv.db")
        self.assertEqual(loaded.config.twitch.webhook_secret, "another secret")
        [warning] = [each for each in loaded.warnings if each.path == "storage.base"]
        self.assertIn(f'Set storage.base = "{self.elsewhere}"', warning.message)

    def test_two_journals(self) -> None:
        """
        With a journal at the right place that one is used; one at the current directory is warned of.
        """
        self.put(self.folder / "data/itsjustintv.db", self.elsewhere / "data/itsjustintv.db")
        loaded = self.loaded()
        self.assertEqual(loaded.base, self.folder)
        [warning] = [each for each in loaded.warnings if each.path == "storage.base"]
        self.assertIn(f"but {self.elsewhere}/data/itsjustintv.db, which earlier", warning.message)

    def test_secrets_that_were_left_behind(self) -> None:
        """
        Without any journal, files of secrets decide in the same way.
        """
        self.path.write_text(TEXT.replace("secrets/tanuki", "/dev/null").replace("/dev/null", "webhook_secret"))
        (self.folder / "webhook_secret").rename(self.elsewhere / "webhook_secret")
        self.assertEqual(self.loaded().base, self.elsewhere)

    def test_what_cannot_be_looked_at(self) -> None:
        """
        A folder that this user may not look into is not taken for an empty one.
        """
        if os.geteuid() == 0:
            closed = self.folder / ("x" * 300)  # no such name can be: neither there nor absent, like a closed folder
            base, warnings = base_folder(ParseState({}), closed / "config.toml", self.elsewhere)
            self.assertEqual((base, warnings), (closed, ()))
        else:
            closed = self.folder / "closed"
            closed.mkdir(mode=0)
            self.addCleanup(closed.chmod, 0o700)
            self.put(self.elsewhere / "data/itsjustintv.db")
            self.assertEqual(base_folder(ParseState({}), closed / "config.toml", self.elsewhere), (closed, ()))

    def test_odd_values(self) -> None:
        """
        What is no path is for the checks to refuse, not to stumble over.
        """
        tables = tomllib.loads('streamers = 5\n[storage]\nbase = 5\npath = "a\\u0000b"\n[twitch]\ntoken_file = 7\n')
        self.assertEqual(base_folder(ParseState(tables), self.path, self.elsewhere), (self.folder, ()))

    def test_the_hash_is_the_same_everywhere(self) -> None:
        """
        The same file has the same hash wherever its data is.
        """
        moved = self.folder / "moved"
        copytree(self.folder / "secrets", moved / "secrets")
        for name in ("config.toml", "webhook_secret"):
            copy(self.folder / name, moved)
        there, ours = load(moved / "config.toml", {}), self.loaded()
        self.assertNotEqual(there.config.storage.path, ours.config.storage.path)
        self.assertEqual(fingerprint(there.config, there.base), fingerprint(ours.config, ours.base))
