"""
``python -m itsjustintv.simulator``: a Twitch on this machine, until it is interrupted.
"""

from __future__ import annotations

import json
import sys
from random import SystemRandom

from twisted.internet import reactor
from twisted.web.client import Agent

from itsjustintv.simulator.loopback import listen
from itsjustintv.simulator.twitch import SimulatedTwitch


def main(port: int) -> None:
    """
    Listen, print one line of JSON with what the configuration needs, and serve.

    :param port: 0 for any that is free.
    """
    twitch = SimulatedTwitch(reactor, Agent(reactor), SystemRandom())
    listening = listen(reactor, twitch.resource(), port)
    told = {
        "api_url": f"{listening.url}/helix",
        "auth_url": f"{listening.url}/oauth2",
        "control_url": f"{listening.url}/simulator",
        "client_id": twitch.client_id,
        "client_secret": twitch.client_secret,
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
