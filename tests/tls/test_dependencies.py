"""
What the part on certificates stands on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

import itsjustintv
from tests.functional.stage import lacking, tool
from tests.test_layering import imports, within


def _trial(
    *tests: str, wrapper: Sequence[str] = (), python: Sequence[str] = (), **environ: str
) -> subprocess.CompletedProcess[str]:
    """
    Run tests in a process of their own.
    """
    root = Path(itsjustintv.__file__).parents[1]
    with TemporaryDirectory() as folder:
        return subprocess.run(
            [
                *(*wrapper, sys.executable, *python, "-m", "twisted.trial"),
                *("--temp-directory", f"{folder}/trial", *tests),
            ],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


class DependencyTests(SynchronousTestCase):
    """
    Packages of others.
    """

    def test_s40_one_module_knows_the_service_of_txacme_and_none_knows_its_client(self) -> None:
        """
        ``txacme.service`` draws in a dozen packages: it is imported once. What speaks the dead first version of ACME,
        or cannot be imported at all, is not.
        """
        dead = ("txacme.client", "txacme.endpoint", "txacme.challenges", "txacme.urls", "txacme.messages", "acme")
        found = [(name, each) for name, names in imports().items() for each in names]
        users = {name for name, each in found if within(each, "txacme.service")}
        self.assertLessEqual(users, {"tls.certificate_service"})
        self.assertEqual([pair for pair in found if any(within(pair[1], package) for package in dead)], [])

    def test_s42_txacme_is_the_one_release_that_works(self) -> None:
        """
        It is required exactly, it is what is installed, and its frame can be imported.
        """
        setup = Path(itsjustintv.__file__).parents[1] / "setup.py"
        self.assertIn('"txacme==0.9.3"', setup.read_text(encoding="utf-8"))
        self.assertEqual(version("txacme"), "0.9.3")
        code = "from txacme import interfaces, service, store; service.AcmeIssuingService, store.DirectoryStore"
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_s39_nothing_that_is_deprecated_is_used(self) -> None:
        """
        Orders, renewals, files and handshakes, with every warning of Python and of cryptography an error. The one of
        ``txacme.logging`` is silenced where txacme is imported.
        """
        strict = ["-W", "error::DeprecationWarning", "-W", "error::UserWarning"]
        tests = [
            "test_certificate_service.IssuanceTests",
            "test_certificate_service.RestartTests",
            "test_sni.NameTests",
            "test_store",
        ]
        ended = _trial(*(f"tests.tls.{each}" for each in tests), python=strict)
        self.assertEqual(ended.returncode, 0, ended.stdout[-3000:])

    def test_s43_without_pebble_its_tests_are_skipped_unless_they_must_not_be(self) -> None:
        """
        With a reason where it is not installed; where it is required each of them fails instead.
        """
        for required, status, line in (("", 0, "PASSED (skips="), ("pebble", 1, "FAILED (errors=")):
            ended = _trial("tests.tls.test_pebble", PATH=self.mktemp(), ITSJUSTINTV_REQUIRE_TOOLS=required)
            self.assertEqual(ended.returncode, status, ended.stdout)
            self.assertIn(line, ended.stdout)
            self.assertIn("pebble is not installed", ended.stdout)
            self.assertNotIn("successes", ended.stdout)

    def test_s43_no_test_needs_a_network(self) -> None:
        """
        Where there is nothing but loopback a certificate is obtained from Pebble, and the client is content.
        """
        unshare = tool("unshare")
        for each in ("pebble", "pebble-challtestsrv", "ip"):
            tool(each)
        if subprocess.run([unshare, "--net", "true"], capture_output=True, check=False).returncode:
            lacking("mount", "a network of one's own takes root")
        alone = [unshare, "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        tests = ["tests.tls.test_pebble.PebbleTests.test_s01_two_names_by_http", "tests.tls.acme.test_client"]
        ended = _trial(*tests, wrapper=alone)
        self.assertEqual(ended.returncode, 0, ended.stdout)
        self.assertNotIn("skips", ended.stdout)

    def test_s42_the_installed_packages_agree_with_each_other(self) -> None:
        """
        No package misses another, or has it in a version that it does not want.
        """
        if find_spec("pip") is None:
            raise SkipTest("pip is not installed")
        checked = subprocess.run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"], capture_output=True, check=False
        )
        self.assertEqual((checked.returncode, checked.stderr), (0, b""), checked.stdout)
