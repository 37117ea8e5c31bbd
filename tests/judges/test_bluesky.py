"""
Records that the adapter makes, before the library of Bluesky's own app.
"""

from __future__ import annotations

from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.destinations.bluesky import BLUESKY_KIND, Bluesky, Settings
from itsjustintv.destinations.message_samples import HOSTILE_WORDS, SAMPLES
from itsjustintv.model import Destination, DestinationPolicy, Notice
from tests.destinations.contract import notice
from tests.judges.validators import bluesky_problems

_FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"


def _records(what: Notice, template: str = "") -> list[Any]:
    settings = Settings(identifier="tanuki.test", password="x")
    messages = {"online": {"text": template}} if template else {}
    policy = DestinationPolicy(messages=messages)
    where = Destination(
        name="sky", url=BLUESKY_KIND.address(settings), kind="bluesky", settings=settings, policy=policy
    )
    forms = orjson.loads(Bluesky(where).render(what))
    return [forms[form]["record"] for form in ("body", "plain")]


class BlueskyTests(SynchronousTestCase):
    """
    Every record is one of the lexicon.
    """

    def test_records(self) -> None:
        """
        Whatever is known of a broadcast, and whatever a streamer writes, the record is valid.
        """
        records = [record for each in SAMPLES for record in _records(each.notice)]
        for words in (HOSTILE_WORDS, _FAMILY * 130, "e\u0301" * 400, "\U0001f1e9" * 700, "界" * 1100, "\u200b" * 400):
            records += _records(notice(title=words, category=words, name=words))
            records += _records(notice(title=words), "{{ title }} {{ url }} https://example.org/rules")
        self.assertEqual([each for each in bluesky_problems(records) if each], [])
