"""
Tests of docs/install.md.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import yaml
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.load import load
from tests.documents import ROOT, Document

INSTALL = Document(ROOT / "docs" / "install.md")


class ConfigurationTests(SynchronousTestCase):
    """
    What is shown of configurations can be used.
    """

    def test_every_configuration(self) -> None:
        """
        Each is enough, once its dots are replaced and its secrets are in their files, and nothing about it is doubtful.
        What is shown of ``[server]`` alone goes with the rest of the one for systemd.
        """
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        for name in ("client_secret", "webhook_secret", "admin_token"):
            (folder / name).write_text("something-secret\n")
        texts = [str(block) for block in INSTALL.blocks if block.language == "toml"]
        whole = next(each for each in texts if "webhook_secret_file" in each)
        rest = whole[whole.index("[twitch]") :]
        for number, text in enumerate(texts):
            path = folder / f"{number}.toml"
            whole = text if "[twitch]" in text else f"{text}\n{rest}"
            path.write_text(whole.replace('"..."', '"something"').replace("/etc/itsjustintv", str(folder)))
            self.assertEqual(load(path, {}).warnings, (), whole)


class ComposeTests(SynchronousTestCase):
    """
    The folder for docker compose.
    """

    def test_without_a_domain(self) -> None:
        """
        The file without a port needs one secret, and the configuration that is shown for a conduit.
        """
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        file = yaml.safe_load((ROOT / "etc" / "compose" / "conduit.yaml").read_text(encoding="utf-8"))
        daemon = file["services"]["itsjustintv"]
        self.assertNotIn("ports", daemon)
        self.assertEqual(list(file["secrets"]), ["client_secret"])
        (folder / "client_secret").write_text("a-secret")
        (text,) = [str(block) for block in INSTALL.blocks if 'transport = "conduit"' in str(block)]
        lines = [line for line in text.splitlines() if not line.startswith("client_secret_file")]
        (folder / "config.toml").write_text("\n".join(lines).replace('"..."', '"something"'), encoding="utf-8")
        environ = {name: value.replace("/run/secrets", str(folder)) for name, value in daemon["environment"].items()}
        found = load(folder / "config.toml", environ)
        twitch, listen_addr = found.config.twitch, found.config.server.listen_addr
        self.assertEqual((found.warnings, twitch.client_secret, listen_addr), ((), "a-secret", "127.0.0.1"))

    def test_its_commands_make_all_that_is_mounted(self) -> None:
        """
        In a checkout, what is typed before the engine is needed makes every file and folder that the compose file
        names, and the daemon can use them.
        """
        checkout = Path(self.mktemp()).absolute()
        shutil.copytree(ROOT / "etc", checkout / "etc")
        blocks = [[line.removeprefix("$ ") for line in block.lines] for block in INSTALL.blocks]
        (typed,) = [lines for lines in blocks if any("docker compose up" in line for line in lines)]
        *lines, up = typed
        self.assertTrue(up.startswith("docker "), "what takes an engine; and nothing takes root")
        self.assertNotIn("sudo", "\n".join(lines))
        (editor,) = [each for each in lines if each.startswith("editor ")]
        # What is typed there.
        secret, config = editor.split()[1:]
        lines[lines.index(editor)] = f"echo a-secret > {secret}"
        subprocess.run(["/bin/sh", "-ec", "\n".join(lines)], cwd=checkout, check=True, timeout=60)
        folder = checkout / "itsjustintv"
        self.assertEqual((folder / ".env").read_text(), f"DAEMON_UID={os.getuid()}\n", "the files stay their owner's")
        file = yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))
        daemon = file["services"]["itsjustintv"]
        mounted = dict(each.split(":")[:2] for each in daemon["volumes"] if each.startswith("."))
        for name in (*mounted, *(each["file"] for each in file["secrets"].values())):
            self.assertTrue((folder / name).exists(), name)
        self.assertEqual({f"./{Path(config).parent}": "/etc/itsjustintv"}, mounted)
        shown = [str(block) for block in INSTALL.blocks if block.language == "toml"]
        (direct,) = [each for each in shown if "http_listen" in each]
        streamers = shown[0][shown[0].index("[streamers") :]
        text = f'{direct}\n[twitch]\nclient_id = "an-id"\n{streamers}'
        (folder / config).write_text(text, encoding="utf-8")
        environ = {
            name: value.replace("/run/secrets", str(folder / "secrets"))
            for name, value in daemon["environment"].items()
        }
        (page,) = [each for each in shown if "[admin]" in each]
        admin = tomllib.loads(page)["admin"]
        found = load(folder / config, environ)
        self.assertEqual((found.warnings, found.config.twitch.client_secret), ((), "a-secret"))
        server = found.config.server
        self.assertEqual(
            {each.rpartition(":")[2] for each in daemon["ports"]},
            {str(server.port), server.tls.http_listen.rpartition(":")[2], admin["listen"].rpartition(":")[2]},
        )
