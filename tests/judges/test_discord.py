"""
That the imitated Discord is as strict as Discord's own document and the library that most bots use.
"""

from __future__ import annotations

import json
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.simulator.fakes.discord import FakeDiscord
from itsjustintv.simulator.fakes.discord_form import CREATE
from tests.judges.program import judge_python
from tests.judges.validators import discord_problems
from tests.simulator.fakes.test_discord_form import ACCEPTED, CARD, LIMITS, WRONG

#: What the fake refuses and the document does not know of; a length only for a name that is blank.
BEYOND = {
    "BASE_TYPE_REQUIRED",
    "BASE_TYPE_BAD_LENGTH",
    "COMPONENT_NOT_ALLOWED",
    "DATETIME_TYPE_PARSE",
    "MAX_EMBED_SIZE_EXCEEDED",
    "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
    "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
    "SET_TYPE_ALREADY_CONTAINS_VALUE",
    "URL_TYPE_INVALID_SCHEME",
    "URL_TYPE_INVALID_URL",
    "USERNAME_INVALID",
    "USERNAME_INVALID_CONTAINS",
}
#: Values for any place of a body. None has white space at its ends, which Discord trims and the judges do not.
VALUES: Sequence[Any] = [
    *(None, "", "x", 0, 1, -1, True, [], {}, ["x"], "https://example.test/", "http://", "attachment://x.png"),
    *(0xFFFFFF, 0x1000000, "1", "01", [1], ["1"], ["users"], "2026-01-02T04:00:00Z", "2026-01-02", "clyde", 4096),
    *("x" * length for limit in (80, 100, 256, 1024, 2000, 2048, 4096) for length in (limit, limit + 1)),
    *([{"name": "n", "value": "v"}] * count for count in (25, 26)),
    *([{"title": "t"}] * count for count in (10, 11)),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """
    The path of every value in a body.
    """
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(each for key, item in inner for each in places(item, (*path, key)))]


def changed(random: Random) -> dict[str, Any]:
    """
    The card with another value at one or two places.
    """
    body = deepcopy(CARD)
    for _ in range(random.randint(1, 2)):
        *way, last = random.choice(places(body))
        place: Any = body
        for step in way:
            place = place[step]
        place[last] = deepcopy(random.choice(VALUES))
    return body


def codes(body: Any) -> Mapping[str, str]:
    """
    The first error of the fake at each path.
    """
    return {".".join(path): found[0][0] for path, found in CREATE.check(body)[1].found.items()}


class DiscordTests(SynchronousTestCase):
    """
    The fake and the judges see the same bodies.
    """

    def setUp(self) -> None:
        limits = [make(number) for make, limit, _, _ in LIMITS.values() for number in (limit, limit + 1)]
        random = Random(10)
        self.bodies = [
            *ACCEPTED.values(),
            *limits,
            *(body for body, _, _ in WRONG.values() if isinstance(body, dict)),
            *(changed(random) for _ in range(800)),
        ]

    def test_what_the_fake_accepts_discord_accepts(self) -> None:
        """
        No body that the fake takes is refused by Discord's own document; what the fake refuses beside it, the document
        does not know of. Both happen often.
        """
        agreed, refused = 0, 0
        for body, problem in zip(self.bodies, discord_problems(self.bodies), strict=True):
            ours = codes(body)
            if problem["openapi"]:
                refused += 1
                self.assertTrue(ours, f"{problem['openapi']}: {body}")
            elif ours:
                self.assertLessEqual(set(ours.values()), BEYOND, body)
            else:
                agreed += 1
        self.assertGreater(min(agreed, refused), 60)

    def test_embeds_that_the_fake_accepts_pass_the_setters(self) -> None:
        """
        No embed that the fake takes is refused by the setters of discord.js.
        """
        for body, problem in zip(self.bodies, discord_problems(self.bodies), strict=True):
            if not codes(body):
                self.assertEqual(problem["builders"], "", body)


class ClientTests(SynchronousTestCase):
    """
    A library that thousands of bots use, against the fake.
    """

    def test_the_library_believes_the_fake(self) -> None:
        """
        discord.py posts, edits, reads and deletes messages, uploads a file, opens a post in a forum, waits before a
        limit and understands each error, as it does with Discord.
        """
        python = judge_python("discord")
        fake = FakeDiscord()
        webhook, forum = fake.add_webhook(), fake.add_webhook(channel="1200", forum=True)
        script = Path(__file__).with_name("discord_client.py")
        made = self.serve(fake, [str(python), str(script), webhook.url, forum.url])
        number, thread = made["message"][0], made["thread"][0]
        self.assertEqual(made["webhook"], ["Captain Hook", "1100", webhook.guild, "incoming"])
        self.assertEqual(
            made["message"], [number, "<@&165511591545143296> is live <@5>", "Live", [165511591545143296], 4096]
        )
        self.assertEqual(fake.pinged(number), ["role:165511591545143296"])
        self.assertEqual(made["embed"][:2], ["Pottery", 0x9146FF])
        self.assertTrue(made["embed"][2].startswith("https://cdn.discordapp.com/attachments/1100/"))
        self.assertEqual(made["attachments"], [["preview.jpg", 4]])
        self.assertEqual(made["created"], "2026-01-02T04:00:00.500000+00:00")
        self.assertEqual((made["edited"], made["read"]), (["was live", 0, 0, True], "was live"))
        self.assertEqual(made["gone"], ["NotFound", 404, 10008, "Unknown Message"])
        too_long = "Invalid Form Body\nIn embeds.0.title: Must be 256 or fewer in length."
        self.assertEqual(made["form"], ["HTTPException", 400, 50035, too_long])
        self.assertEqual(made["empty"], ["HTTPException", 400, 50006, "Cannot send an empty message"])
        self.assertEqual((made["many"], made["without wait"]), ([str(each) for each in range(7)], True))
        self.assertEqual(made["neither"][:3], ["HTTPException", 400, 220001])
        self.assertEqual((made["thread"], fake.messages[thread]["content"]), ([thread, thread], "y"))
        self.assertEqual(made["lost"][:3], ["NotFound", 404, 10008])
        self.assertEqual([each for each in fake.history if each.answer.status == 429], [])
        self.assertGreater(self.slept, 0)

    def serve(self, fake: FakeDiscord, command: Sequence[str]) -> Mapping[str, Any]:
        """
        Answer a program's requests until it has said what it made of them.
        """
        made: Mapping[str, Any] = {}
        now, self.slept = 1_767_326_400.5, 0.0
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
            assert program.stdin is not None
            assert program.stdout is not None
            for line in program.stdout:
                said = json.loads(line)
                if "made" in said:
                    made = said["made"]
                    break
                if "sleep" in said:
                    self.slept += said["sleep"]
                    now += said["sleep"]
                    reply: object = {}
                else:
                    body = b64decode(said["body"])
                    answer = fake.handle(said["method"], said["url"], said["headers"], body, now)
                    encoded = b64encode(answer.body).decode()
                    reply = {"status": answer.status, "headers": dict(answer.headers), "body": encoded}
                program.stdin.write(json.dumps(reply).encode() + b"\n")
                program.stdin.flush()
        self.assertTrue(made, "the program ended without a result")
        return made
