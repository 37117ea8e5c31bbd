"""
Tests of :mod:`itsjustintv.destinations.kind_table`, and of the example of a package that adds a type.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.destinations.kind_table import GROUP, KindTable
from itsjustintv.destinations.webhook import WEBHOOK
from itsjustintv.errors import KindUnavailable
from tests.documents import ROOT

ADDED = evolve(WEBHOOK, name="added")
MISNAMED = WEBHOOK
NO_ATTRS = evolve(WEBHOOK, name="no-attrs", settings=dict)


def entry(name: str, value: str) -> EntryPoint:
    """
    An entry point of a package.
    """
    return EntryPoint(name, value if ":" in value else f"{__name__}:{value}", GROUP)


class KindTableTests(SynchronousTestCase):
    """
    Kinds of other packages.
    """

    def table(self, *entries: EntryPoint) -> KindTable:
        """
        A table with one kind of its own.
        """
        return KindTable({"webhook": "itsjustintv.destinations.webhook:WEBHOOK"}, lambda: entries)

    def test_an_added_type(self) -> None:
        """
        It is found beside those of the package, and listed after them.
        """
        table = self.table(entry("added", "ADDED"))
        self.assertIs(ADDED, table["added"])
        self.assertIs(WEBHOOK, table["webhook"])
        self.assertEqual(["webhook", "added"], list(table))
        self.assertEqual(2, len(table))
        self.assertIsNone(table.get("other"))
        self.assertNotIn("other", table)

    def test_searched_for_when_needed(self) -> None:
        """
        A type of the package itself costs no search, and cannot be replaced.
        """

        def fail() -> list[EntryPoint]:
            raise AssertionError("other packages were searched")

        self.assertIs(WEBHOOK, KindTable({"webhook": "itsjustintv.destinations.webhook:WEBHOOK"}, fail)["webhook"])
        table = self.table(entry("webhook", "ADDED"))
        self.assertIs(WEBHOOK, table["webhook"])
        self.assertEqual(1, len(table))

    def test_what_cannot_be_used(self) -> None:
        """
        A package that cannot be imported, has no such object or one of another kind, is an error that names it when the
        type is asked for; that it exists can be asked without.
        """
        for name, value, reason in (
            ("x", "no.such.module:X", "which cannot be loaded (ModuleNotFoundError: 'No module named 'no''): update"),
            ("x", "NONE", "which cannot be loaded (AttributeError"),
            ("x", "ROOT", "is not a DestinationKind"),
            ("x", "MISNAMED", "has another name"),
            ("no-attrs", "NO_ATTRS", "is not a DestinationKind"),
        ):
            table = self.table(entry(name, value))
            self.assertIn(name, table)
            self.assertEqual(["webhook", name], list(table))
            self.assertIn(reason, str(self.assertRaises(KindUnavailable, table.__getitem__, name)))

    def test_two_packages(self) -> None:
        """
        Two packages with the same type are an error; the same entry that is found twice is one.
        """
        one, two = entry("added", "ADDED"), entry("added", "MISNAMED")
        self.assertIs(ADDED, self.table(one, one)["added"])
        self.assertIn(
            "uninstall all but one", str(self.assertRaises(KindUnavailable, self.table(one, two).__getitem__, "added"))
        )


class ExamplePackageTests(SynchronousTestCase):
    """
    The package in ``examples/``, installed.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        source = self.folder / "source"
        shutil.copytree(ROOT / "examples" / "itsjustintv-mattermost", source)
        self.installed = self.folder / "installed"
        install = ("install", "--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", self.installed)
        self.run_python("-m", "pip", *map(str, install), str(source))

    def run_python(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """
        Run the interpreter with the package in reach.
        """
        paths = f"{self.installed}{os.pathsep}{ROOT}"
        environment = {**os.environ, "PYTHONPATH": paths, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environ}
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=120, env=environment
        )
        self.assertIn(done.returncode, (0, 1), done.stderr)
        if arguments[1] == "pip":
            self.assertEqual(0, done.returncode, done.stderr)
        return done

    def validate(self, about: str, **environ: str) -> str:
        """
        What ``config validate`` prints about a destination of the type.
        """
        path = self.folder / "config.toml"
        path.write_text(
            '[twitch]\nclient_id = "abc"\nclient_secret = "abcdefghij"\nwebhook_secret = "abcdefghijkl"\n'
            '[server]\nexternal_domain = "hooks.example.org"\n'
            f'[destinations.team]\ntype = "mattermost"\n{about}\n[streamers.a]\nlogin = "a"\ndestinations = ["team"]\n',
            encoding="utf-8",
        )
        path.chmod(0o600)
        done = self.run_python("-m", "itsjustintv", "config", "validate", "--config", str(path), **environ)
        return done.stdout + done.stderr

    def test_installed(self) -> None:
        """
        Its type can be configured, with its keys in the file and the environment, and its rules; a broken package is an
        error that names it.
        """
        url = 'url = "https://chat.example/hooks/abc"'
        self.assertIn("is valid", self.validate(f'{url}\nmention = ["here"]\nmessages.online.text = "{{{{ name }}}}"'))
        self.assertIn("is valid", self.validate("", ITSJUSTINTV_DESTINATIONS_TEAM_URL="https://chat.example/hooks/abc"))
        said = self.validate(f'{url}\nchanel = "#a"\nmention = ["role:1"]\nmessages.online.text = "{{{{ nam }}}}"')
        for wanted in (
            'destinations.team.chanel: unknown key of the type "mattermost"; did you mean channel?',
            "destinations.team.chanel: must be the name of the channel without #",
            'destinations.team.mention: number 1 must be one of "everyone", "here", "user:ID"',
            "destinations.team.messages.online.text: ",
        ):
            self.assertIn(wanted, said)
        (self.installed / "itsjustintv_mattermost.py").write_text("import no_such_module\n", encoding="utf-8")
        said = self.validate(url)
        self.assertIn("destinations.team.type: is added by the package itsjustintv-mattermost 1.0, which cannot", said)
        self.assertIn("no_such_module", said)
