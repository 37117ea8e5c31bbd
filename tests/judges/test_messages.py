"""
What the adapters of chat services send, judged by libraries of others.
"""

from __future__ import annotations

import subprocess
from typing import Any

import orjson
from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.destinations import slack, teams, telegram
from itsjustintv.destinations.kinds import open_destination
from itsjustintv.destinations.message_samples import SAMPLES
from itsjustintv.model import Action, Destination, DestinationPolicy
from itsjustintv.simulator.fakes.telegram import CAPTION_LIMIT, TEXT_LIMIT
from tests.judges.program import judge_python
from tests.judges.validators import card_problems, rendering_problems, slack_problems


def _bodies(kind: str, settings: Any, **policy: Any) -> list[dict[str, Any]]:
    """
    Render every sample.

    :return: both forms of each.
    """
    destination = Destination(
        name="home", url="", kind=kind, settings=settings, keeps_posts=True, policy=DestinationPolicy(**policy)
    )
    adapter = open_destination(destination)
    notices = (evolve(each.notice, action=Action.CREATE, mention=True) for each in SAMPLES)
    forms = (orjson.loads(adapter.render(each)) for each in notices)
    return [form for both in forms for form in (both["body"], both["plain"])]


class MessageTests(SynchronousTestCase):
    """
    Every sample, known or unknown, usual or hostile.
    """

    def test_blocks_of_slack(self) -> None:
        """
        The library slack_sdk finds nothing wrong with them.
        """
        settings = slack.Settings(url="https://hooks.slack.com/services/T/B/x")
        bodies = _bodies("slack", settings, mention=("here", "role:S1"))
        self.assertEqual(slack_problems([each["blocks"] for each in bodies]), [""] * len(bodies))

    def test_cards_of_teams(self) -> None:
        """
        Neither the published schema nor the renderer of Adaptive Cards finds anything wrong with them.
        """
        cards = _bodies("teams", teams.Settings(url="https://example.org/x", wrap=False))
        plain = [{name: value for name, value in card.items() if name != "msteams"} for card in cards]
        self.assertEqual(card_problems(plain), [""] * len(cards))
        self.assertEqual(rendering_problems(plain), [""] * len(cards))

    def test_limits_of_telegram(self) -> None:
        """
        The library python-telegram-bot knows the same limits, and all samples are within those of a caption.
        """
        python = judge_python("telegram")
        code = "from telegram.constants import MessageLimit as m; print(m.CAPTION_LENGTH, m.MAX_TEXT_LENGTH)"
        printed = subprocess.run([python, "-c", code], capture_output=True, check=True, timeout=60).stdout
        self.assertEqual([int(each) for each in printed.split()], [CAPTION_LIMIT, TEXT_LIMIT])
        self.assertLessEqual(telegram.CAPTION_LIMIT, CAPTION_LIMIT)
