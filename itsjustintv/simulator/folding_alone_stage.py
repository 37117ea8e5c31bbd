"""
The simulated Twitch on its own, for programs and people that bring the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from attrs import frozen
from twisted.web.client import Agent

from itsjustintv.simulator.loopback import Listening, listen
from itsjustintv.simulator.twitch import SimulatedTwitch

__all__ = ["Alone", "begin"]


@frozen
class Alone:
    """
    A Twitch that listens on this machine.
    """

    twitch: SimulatedTwitch
    listening: Listening

    @property
    def told(self) -> Mapping[str, str]:
        """
        Where it is and with which credentials: what a configuration needs, and ``control_url``.
        """
        return {
            "api_url": f"{self.listening.url}/helix",
            "auth_url": f"{self.listening.url}/oauth2",
            "control_url": f"{self.listening.url}/simulator",
            "client_id": self.twitch.client_id,
            "client_secret": self.twitch.client_secret,
        }

    async def stop(self) -> None:
        """
        Send nothing more, and close every connection.
        """
        self.twitch.stop()
        await self.listening.stop()


def begin(reactor: Any, random: Random, port: int) -> Alone:
    """
    Let a Twitch listen.

    :param port: 0 for any that is free.
    :raises twisted.internet.error.CannotListenError: somebody else listens there.
    """
    twitch = SimulatedTwitch(reactor, Agent(reactor), random)
    return Alone(twitch, listen(reactor, twitch.resource(), port))
