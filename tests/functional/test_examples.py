"""
Programs that are printed in the documents, run as they are printed.
"""

from __future__ import annotations

import os
import sys

from itsjustintv.simulator.process import environment
from tests.documents import ROOT, Document
from tests.functional.run import run
from tests.functional.stage import StageCase


class DevelopmentTests(StageCase):
    """
    docs/development.md.
    """

    async def test_a_scene_with_the_simulator(self) -> None:
        """
        The scene plays to its end: Twitch gets its 200, and the third attempt arrives.
        """
        from twisted.internet import reactor  # noqa: PLC0415 - trial has installed it by now

        [scene] = [block for block in Document(ROOT / "docs" / "development.md").blocks if "stage.open()" in str(block)]
        folder = self.stage().folder
        (folder / "scene.py").write_text(str(scene), encoding="utf-8")
        ended = await run(reactor, [sys.executable, "scene.py"], folder, environment(os.environ))
        self.assertEqual(ended.status, 0, ended)
        self.assertIn("Twitch was answered 200", ended.out)
        self.assertIn("'streamer_login': 'tanuki'", ended.out)
