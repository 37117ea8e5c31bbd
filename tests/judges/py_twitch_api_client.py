"""
Receive EventSub over a WebSocket by pyTwitchAPI. Each thing that happens is a line of JSON on standard output; it
runs until it is ended.

Run by the Python of the judges, which has nothing of ours: ``py_twitch_api_client.py SETTINGS``, a JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from twitchAPI.eventsub.websocket import EventSubWebsocket  # type: ignore[import-not-found]
from twitchAPI.twitch import Twitch  # type: ignore[import-not-found]


def say(**line: object) -> None:
    """
    Write a line.
    """
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def main(settings: dict[str, Any]) -> None:
    """
    Log in as a user, and subscribe to one channel.
    """
    twitch = await Twitch(
        settings["client_id"],
        settings["client_secret"],
        base_url=settings["api_url"] + "/",
        auth_base_url=settings["auth_url"] + "/",
    )
    twitch.auto_refresh_auth = False
    await twitch.set_user_authentication(settings["token"], [])

    async def online(event: Any) -> None:
        say(online=event.event.id, message=event.metadata.message_id)

    async def revoked(payload: dict[str, Any]) -> None:
        say(revoked=payload["subscription"]["status"])

    eventsub = EventSubWebsocket(
        twitch,
        connection_url=settings["websocket_url"],
        subscription_url=settings["api_url"],
        revocation_handler=revoked,
    )
    eventsub.start()
    session = eventsub.active_session
    say(session=session.id, status=session.status, keepalive=session.keepalive_timeout_seconds)
    say(subscription=await eventsub.listen_stream_online(settings["broadcaster_id"], online))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
