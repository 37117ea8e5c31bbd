"""
Tests of .github/workflows/.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml
from twisted.trial.unittest import SynchronousTestCase

from tests.documents import ROOT
from tests.functional.stage import tool

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))


class WorkflowTests(SynchronousTestCase):
    """
    The workflows; nobody here can run them.
    """

    def test_a_linter_has_nothing_to_say(self) -> None:
        """
        Actionlint finds nothing in them.
        """
        command = [tool("actionlint"), "-shellcheck=", *map(str, WORKFLOWS)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
        self.assertEqual((ended.returncode, ended.stdout), (0, ""))

    def test_rights_are_given_one_by_one(self) -> None:
        """
        Each begins with the right to read and nothing else, keeps no credentials in the checkout, and has a limit of
        time for each job.
        """
        for path in WORKFLOWS:
            workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
            self.assertEqual(workflow["permissions"], {"contents": "read"}, path)
            for name, job in workflow["jobs"].items():
                self.assertIn("timeout-minutes", job, name)
                for step in job["steps"]:
                    if step.get("uses", "").startswith("actions/checkout@"):
                        self.assertIs(step["with"]["persist-credentials"], False, name)

    def test_scripts_exist(self) -> None:
        """
        Every script that they run is in scripts/ and may be executed.
        """
        for path in WORKFLOWS:
            for name in re.findall(r"\bscripts/\w+", path.read_text(encoding="utf-8")):
                script = ROOT / Path(name)
                self.assertTrue(script.exists() and script.stat().st_mode & 0o100, name)

    def test_the_longest_tests_exist(self) -> None:
        """
        Every module that scripts/test puts first, or leaves out when it has to be quick, is there.
        """
        lists = re.findall(
            r"(?s)^\w+=\(([\w/\s]+)\)$", (ROOT / "scripts" / "test").read_text(encoding="utf-8"), re.MULTILINE
        )
        names = " ".join(lists).split()
        self.assertIn("functional/test_crash", names)
        self.assertEqual([name for name in names if not (ROOT / "tests" / f"{name}.py").exists()], [])
