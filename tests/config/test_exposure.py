"""
Tests for :mod:`itsjustintv.config.secrets`.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.secrets import readable_by_others
from itsjustintv.config.sections import TLS, Config, GlobalWebhook, Server, StreamerEntry, Twitch


class ExposedTests(SynchronousTestCase):
    """
    Who can read what is secret.
    """

    def setUp(self) -> None:
        """
        Have a configuration with files of secrets.
        """
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        for name in ("config.toml", "client", "webhook", "global", "streamer"):
            (self.folder / name).touch(0o600)
        self.config = Config(
            twitch=Twitch(
                client_secret_file=str(self.folder / "client"), webhook_secret_file=str(self.folder / "webhook")
            ),
            global_webhook=GlobalWebhook(target_webhook_secret_file=str(self.folder / "global")),
            streamers={"a b": StreamerEntry(login="a", target_webhook_secret_file=str(self.folder / "streamer"))},
        )

    def told(self) -> list[str]:
        """
        What is remarked on.
        """
        return [str(each.path) for each in readable_by_others(self.folder / "config.toml", self.config)]

    def test_owner_and_group(self) -> None:
        """
        Its owner and its group may read a file; one that is not there is not looked at.
        """
        for path in self.folder.iterdir():
            path.chmod(0o640)
        (self.folder / "client").unlink()
        self.assertEqual([], self.told())

    def test_others(self) -> None:
        """
        Each file that others can read is named, with the key that names it and the command that ends it.
        """
        for path in self.folder.iterdir():
            path.chmod(0o644)
        keys = {
            "the configuration": "config.toml",
            "twitch.client_secret_file": "client",
            "twitch.webhook_secret_file": "webhook",
            "global_webhook.target_webhook_secret_file": "global",
            'streamers."a b".target_webhook_secret_file': "streamer",
        }
        self.assertEqual([f"{key} {self.folder / name}" for key, name in keys.items()], self.told())
        [first, *_] = readable_by_others(self.folder / "config.toml", self.config)
        self.assertEqual(f"can be read by other users: chmod 600 {self.folder / 'config.toml'}", first.message)

    def test_the_key_of_a_certificate(self) -> None:
        """
        The key of a certificate of one's own is one of the files, with a command that a shell takes as it is.
        """
        key = self.folder / "the key.pem"
        key.touch(0o644)
        tls = TLS(enabled=True, mode="files", key_file=str(key))
        [problem] = readable_by_others(self.folder / "config.toml", Config(server=Server(tls=tls)))
        self.assertEqual(
            f"server.tls.key_file {key} can be read by other users: chmod 600 '{key}'",
            f"{problem.path} {problem.message}",
        )
        self.assertEqual(
            [], list(readable_by_others(self.folder / "config.toml", Config(server=Server(tls=TLS(enabled=True)))))
        )

    def test_what_is_no_file(self) -> None:
        """
        A terminal or a pipe in the place of the configuration is nothing to remark on.
        """
        self.assertEqual([], list(readable_by_others(Path("/dev/null"), Config())))
