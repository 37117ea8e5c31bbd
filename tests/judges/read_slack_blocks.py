"""
Read lists of Slack's blocks from standard input, and write for each list why the package ``slack_sdk`` refuses it; an
empty text for one that it takes.

Run by the Python of the judges, which has nothing of ours.
"""

from __future__ import annotations

import json
import sys

from slack_sdk.errors import SlackObjectFormationError  # type: ignore[import-not-found, unused-ignore]
from slack_sdk.models.blocks import Block  # type: ignore[import-not-found, unused-ignore]


def explain(blocks: list[object]) -> str:
    """
    Why the blocks are refused. The package gives nothing for a type that it does not know.
    """
    for block in blocks:
        try:
            parsed = Block.parse(block)
            if parsed is None:
                return f"unknown block {block}"
            parsed.to_dict()
        except (SlackObjectFormationError, TypeError) as error:
            return str(error)
    return ""


json.dump([explain(blocks) for blocks in json.load(sys.stdin)], sys.stdout)
