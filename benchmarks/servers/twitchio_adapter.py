"""
TwitchIO's web adapter, either of the two, dispatching to a client whose listener does nothing. The client is not logged
in, as there is no Twitch here.
"""

import argparse
import asyncio

from twitchio import Client, StreamOnline
from twitchio.web import AiohttpAdapter, StarletteAdapter


class Listener(Client):
    """
    Hears of streams.
    """

    async def event_stream_online(self, payload: StreamOnline) -> None:
        """
        The callback.
        """


async def main(adapter: str, port: int, secret: str) -> None:
    """
    Serve for ever.
    """
    adapters = {"aiohttp": AiohttpAdapter, "starlette": StarletteAdapter}
    client = Listener(client_id="client-id", client_secret="client-secret")
    web = adapters[adapter](host="127.0.0.1", port=port, eventsub_secret=secret, client=client)
    await web.run()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adapter", choices=["aiohttp", "starlette"], required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secret", required=True)
    options = parser.parse_args()
    asyncio.run(main(options.adapter, options.port, options.secret))
