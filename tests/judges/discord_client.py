"""
Use a webhook as bots do, by discord.py. Each request is a line of JSON on standard output, and its answer the next line
on standard input; so is each sleep. The last line is what the library made of it all.

Run by the Python of the judges, which has nothing of ours: ``discord_client.py URL FORUM_URL``.
"""

from __future__ import annotations

import json
import sys
import time
from base64 import b64decode, b64encode
from io import BytesIO
from typing import Any

import discord  # type: ignore[import-not-found]
import requests


def say(line: object) -> None:
    """
    Write a line.
    """
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def exchange(line: object) -> Any:
    """
    Say a line, and read the next.
    """
    say(line)
    return json.loads(sys.stdin.readline())


class Session(requests.Session):
    """
    Sends by the pipes instead of the network.
    """

    def send(self, request: requests.PreparedRequest, **_kwargs: Any) -> requests.Response:
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        headers = {name.lower(): str(value) for name, value in request.headers.items()}
        answer = exchange(
            {"method": request.method, "url": request.url, "headers": headers, "body": b64encode(body).decode()}
        )
        response = requests.Response()
        response.status_code = answer["status"]
        response.headers.update(answer["headers"])
        response.raw = BytesIO(b64decode(answer["body"]))
        response.url, response.request = request.url or "", request
        return response


def sleep(seconds: float) -> None:
    """
    Let the other side move its clock.
    """
    exchange({"sleep": seconds})


def error(call: Any) -> list[Any]:
    """
    Type, status, code and text of the error that a call ends in.
    """
    try:
        call()
    except discord.HTTPException as failed:
        return [type(failed).__name__, failed.status, failed.code, failed.text]
    return []


time.sleep = sleep
session = Session()
session.headers["User-Agent"] = f"DiscordBot (https://example.test/, {discord.__version__})"
webhook, forum = (discord.SyncWebhook.from_url(url, session=session) for url in sys.argv[1:3])
made: dict[str, Any] = {}

told = webhook.fetch()
made["webhook"] = [told.name, str(told.channel_id), str(told.guild_id), told.type.name]

card = discord.Embed(title="Pottery", url="https://www.twitch.tv/tanuki", colour=0x9146FF, description="Clay")
card.add_field(name="Category", value="Art").set_image(url="attachment://preview.jpg").set_footer(text="Twitch")
card.timestamp = discord.utils.parse_time("2026-01-02T04:00:00+00:00")
message = webhook.send(
    content="<@&165511591545143296> is live <@5>",
    username="Live",
    embed=card,
    file=discord.File(BytesIO(b"\x00\r\n\xff"), "preview.jpg"),
    # A list of roles would be sent as numbers, which Discord takes although its document has text.
    allowed_mentions=discord.AllowedMentions(everyone=False, users=False, roles=True),
    silent=True,
    wait=True,
)
made["message"] = [
    str(message.id),
    message.content,
    message.author.name,
    message.raw_role_mentions,
    message.flags.value,
]
made["embed"] = [message.embeds[0].title, message.embeds[0].colour.value, message.embeds[0].image.url]
made["attachments"] = [[each.filename, each.size] for each in message.attachments]
made["created"] = message.created_at.isoformat()

edited = message.edit(content="was live", embeds=[], attachments=[])
made["edited"] = [edited.content, len(edited.embeds), len(edited.attachments), edited.edited_at is not None]
made["read"] = webhook.fetch_message(message.id).content
message.delete()
made["gone"] = error(lambda: webhook.fetch_message(message.id))
made["form"] = error(lambda: webhook.send(embed=discord.Embed(title="x" * 257), wait=True))
made["empty"] = error(lambda: webhook.send(content=" ", wait=True))
made["many"] = [webhook.send(content=str(number), wait=True).content for number in range(7)]
made["without wait"] = webhook.send(content="quick") is None
made["neither"] = error(lambda: forum.send(content="x"))
post = forum.send(content="x", thread_name="live", wait=True)
made["thread"] = [str(post.id), str(post.channel.id)]
forum.edit_message(post.id, content="y", thread=discord.Object(post.id))
made["lost"] = error(lambda: forum.edit_message(post.id, content="y"))
say({"made": made})
