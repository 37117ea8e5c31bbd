"""
Receive EventSub through a conduit by TwitchIO. Each thing that happens is a line of JSON on standard output; it
runs until it is ended.

Run by the Python of the judges, which has nothing of ours: ``twitchio_client.py SETTINGS``, a JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import twitchio  # type: ignore[import-not-found]
from twitchio import eventsub
from twitchio.eventsub import websockets  # type: ignore[import-not-found]
from twitchio.http import Route  # type: ignore[import-not-found]


def say(**line: object) -> None:
    """
    Write a line.
    """
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Client(twitchio.AutoClient):  # type: ignore[misc]
    """
    Says what it is told.
    """

    async def event_ready(self) -> None:
        say(ready=True)

    async def event_websocket_welcome(self, payload: Any) -> None:
        say(session=payload.id, keepalive=payload.keepalive_timeout_seconds)

    async def event_stream_online(self, payload: Any) -> None:
        say(online=payload.id, broadcaster=payload.broadcaster.id)

    async def event_subscription_revoked(self, payload: Any) -> None:
        say(revoked=str(payload.status.value), type=payload.type)


async def main(settings: dict[str, Any]) -> None:
    """
    Create a conduit of two shards with the subscriptions, and serve it.
    """
    # There is no setting for the hosts.
    Route.BASE = settings["api_url"] + "/"
    Route.ID_BASE = settings["auth_url"].removesuffix("oauth2")
    websockets.WSS = settings["websocket_url"]
    client = Client(
        client_id=settings["client_id"],
        client_secret=settings["client_secret"],
        conduit_id=True,
        shard_ids=[0, 1],
        subscriptions=[
            eventsub.StreamOnlineSubscription(broadcaster_user_id=each) for each in settings["broadcasters"]
        ],
    )
    await client.start(with_adapter=False, load_tokens=False, save_tokens=False)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
