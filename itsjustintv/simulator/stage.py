"""
A stage for the real daemon: a simulated Twitch, a receiver, a folder, and daemon processes; and a Twitch alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.web.client import Agent

from itsjustintv.simulator.control import with_control
from itsjustintv.simulator.fakes.discord import FakeDiscord
from itsjustintv.simulator.fakes.site import FakeSite
from itsjustintv.simulator.loopback import Listening, free_port, listen, listen_with
from itsjustintv.simulator.process import DaemonProcess, environment
from itsjustintv.simulator.receiver import Receiver
from itsjustintv.simulator.twitch import SimulatedTwitch

__all__ = ["Stage", "StandaloneTwitch", "Tables", "begin", "toml"]

#: A configuration: tables by dotted name.
Tables = Mapping[str, Mapping[str, object]]


def toml(tables: Tables) -> str:
    """
    Format tables of texts, numbers, booleans and lists of them as TOML.
    """
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )


def _value(value: object) -> str:
    # JSON is TOML too, except for surrogate pairs and one control character that JSON does not escape.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f")


@frozen
class _Open:
    twitch: Listening
    websockets: Listening
    receiver: Listening
    fakes: Listening


@define(eq=False)
class Stage:
    """
    Simulator, receiver and an imitated Discord listen from :meth:`open` to :meth:`close`; daemons are started in
    between.

    :ivar directory: an empty folder for the configuration and the data of the daemon; not removed.
    :ivar webhook_secret: signs the EventSub messages.
    """

    _reactor: Any
    directory: Path
    _random: Random
    _inherited: Mapping[str, str]
    webhook_secret: str = field(init=False, repr=False)
    twitch: SimulatedTwitch = field(init=False)
    receiver: Receiver = field(init=False)
    discord: FakeDiscord = field(factory=FakeDiscord, init=False)
    _open: _Open | None = field(default=None, init=False)
    _daemons: list[DaemonProcess] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.webhook_secret = f"{self._random.getrandbits(256):064x}"
        self.twitch = SimulatedTwitch(self._reactor, Agent(self._reactor), self._random)
        self.receiver = Receiver(self._reactor)

    def open(self) -> None:
        self._open = _Open(
            listen(self._reactor, self.twitch.resource()),
            listen_with(self._reactor, self.twitch.websockets()),
            listen(self._reactor, self.receiver.resource()),
            listen(self._reactor, FakeSite(self._reactor, [self.discord]).resource()),
        )

    @property
    def twitch_url(self) -> str:
        """
        The URL of the simulator, without a trailing slash.
        """
        return self._listening.twitch.url

    @property
    def websocket_url(self) -> str:
        """
        The URL of the simulator's WebSockets.
        """
        return self._listening.websockets.websocket_url

    @property
    def receiver_url(self) -> str:
        """
        The URL of the receiver, without a trailing slash.
        """
        return self._listening.receiver.url

    @property
    def discord_url(self) -> str:
        """
        What stands for ``https://discord.com`` here.
        """
        return f"{self._listening.fakes.url}/{self.discord.name}"

    def start_daemon(self, tables: Tables, transport: str = "webhook") -> DaemonProcess:
        """
        Write a configuration for this stage, and start a daemon with it.

        :param tables: added to the configuration; wins over the tables for server and credentials.
        :param transport: ``webhook`` or ``conduit``.
        """
        defaults: dict[str, dict[str, object]] = {
            "server": {"port": free_port()},
            "twitch": {
                "client_id": self.twitch.client_id,
                "client_secret": self.twitch.client_secret,
                "api_url": f"{self.twitch_url}/helix",
                "auth_url": f"{self.twitch_url}/oauth2",
            },
        }
        if transport == "webhook":
            defaults["server"]["listen_addr"] = "127.0.0.1"
            defaults["twitch"]["webhook_secret"] = self.webhook_secret
        else:
            defaults["twitch"]["transport"] = transport
            defaults["twitch.conduit"] = {"websocket_url": self.websocket_url}
        whole = {name: {**defaults.get(name, {}), **tables.get(name, {})} for name in {**defaults, **tables}}
        config = self.directory / "config.toml"
        config.write_text(toml(whole), encoding="utf-8")
        config.chmod(0o600)
        url = f"http://127.0.0.1:{whole['server']['port']}"
        daemon = DaemonProcess(self._reactor, self.directory, config, url, environment(self._inherited))
        self._daemons.append(daemon)
        daemon.start()
        return daemon

    async def close(self, grace: float = 25.0) -> None:
        """
        Stop every daemon, and close every port.

        :param grace: seconds for each daemon to exit.
        """
        self.twitch.stop()
        for daemon in self._daemons:
            await daemon.stop(grace)
        if self._open is not None:
            await self._open.twitch.stop()
            await self._open.websockets.stop()
            await self._open.receiver.stop()
            await self._open.fakes.stop()
            self._open = None

    @property
    def _listening(self) -> _Open:
        if self._open is None:
            raise RuntimeError("the stage is not open")
        return self._open


@frozen
class StandaloneTwitch:
    """
    A simulated Twitch that listens on this machine, without a daemon.
    """

    twitch: SimulatedTwitch
    listening: Listening
    websockets: Listening

    @property
    def settings(self) -> Mapping[str, str]:
        """
        The URLs and credentials for a configuration, and ``control_url``.
        """
        return {
            "api_url": f"{self.listening.url}/helix",
            "auth_url": f"{self.listening.url}/oauth2",
            "websocket_url": self.websockets.websocket_url,
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
        await self.websockets.stop()


def begin(reactor: Any, random: Random, port: int, websocket_port: int = 0) -> StandaloneTwitch:
    """
    Start a simulated Twitch with its control API.

    :param port: 0 for any free port.
    :param websocket_port: the same for the WebSockets.
    :raises twisted.internet.error.CannotListenError: a port is taken.
    """
    twitch = SimulatedTwitch(reactor, Agent(reactor), random)
    listening = listen(reactor, with_control(twitch), port)
    try:
        return StandaloneTwitch(twitch, listening, listen_with(reactor, twitch.websockets(), websocket_port))
    except CannotListenError:
        Deferred.fromCoroutine(listening.stop())
        raise
