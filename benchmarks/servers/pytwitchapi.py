"""
pyTwitchAPI's EventSubWebhook with one callback registered that does nothing. It registers by hand what
``listen_stream_online`` registers once Twitch has answered, as there is no Twitch here.
"""

import argparse
import threading

from twitchAPI.eventsub.webhook import EventSubWebhook
from twitchAPI.object.eventsub import StreamOnlineEvent
from twitchAPI.twitch import Twitch


async def ignore(event: StreamOnlineEvent) -> None:
    """
    The callback.
    """


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--subscription", required=True)
    options = parser.parse_args()
    twitch = Twitch("client-id", "client-secret", authenticate_app=False)
    webhook = EventSubWebhook("https://bench.example", options.port, twitch, host_binding="127.0.0.1")
    webhook.secret = options.secret
    webhook._add_callback(options.subscription, ignore, StreamOnlineEvent)  # noqa: SLF001 - see above
    webhook.start()
    threading.Event().wait()
