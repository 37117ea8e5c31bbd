"""
What the part on certificates stands on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

import itsjustintv
from tests.test_layering import imports, modules, within


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
        found = [(name, each) for name, tree in modules() for each in imports(tree)]
        users = {name for name, each in found if within(each, "txacme.service")}
        self.assertLessEqual(users, {"certs.service"})
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
        root = Path(itsjustintv.__file__).parents[1]
        folder = str(Path(self.mktemp()).absolute())
        strict = ["-W", "error::DeprecationWarning", "-W", "error::UserWarning"]
        tests = ["test_service.IssuanceTests", "test_service.RestartTests", "test_contexts.NameTests", "test_store"]
        ended = subprocess.run(
            [
                *(sys.executable, *strict, "-m", "twisted.trial", "--temp-directory", folder),
                *(f"tests.certs.{each}" for each in tests),
            ],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            check=False,
        )
        self.assertEqual(ended.returncode, 0, ended.stdout.decode()[-3000:])

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
