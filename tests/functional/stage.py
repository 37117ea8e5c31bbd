"""
A stage for the real daemon: a simulated Twitch and a receiver on loopback, a folder, and processes that are all ended.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NoReturn, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase
from twisted.web.client import Agent, HTTPConnectionPool

from itsjustintv.config.sections import CONDUIT, WEBHOOK
from itsjustintv.journal.interfaces import IOfflineJournal
from itsjustintv.journal.sqlite.storage import SQLiteStorage
from itsjustintv.model import Accounting
from itsjustintv.simulator.eventsub import Message, stream_online
from itsjustintv.simulator.loopback import Listening, free_port, listen, listen_with
from itsjustintv.simulator.process import DaemonProcess, environment
from itsjustintv.simulator.receiver import Receiver
from itsjustintv.simulator.subscriptions import SimulatedSubscription
from itsjustintv.simulator.twitch import SimulatedTwitch
from itsjustintv.simulator.world import SimulatedStream
from tests.functional.run import Ended, run, until

__all__ = ["SECRET", "Stage", "StageCase", "lacking", "tool"]

SECRET = "a webhook secret of the stage"

#: Lines of a daemon's log in the report of a failure.
_LAST_LINES = 40

T = TypeVar("T")


def tool(name: str) -> str:
    """
    Find a program that nobody here wrote.

    :raises SkipTest: it is not there, unless ``ITSJUSTINTV_REQUIRE_TOOLS`` lists it: then its absence is a failure.
    """
    path = shutil.which(name)
    if path is None:
        lacking(name, f"{name} is not installed")
    return path


def lacking(name: str, reason: str) -> NoReturn:
    """
    End a test for which a program cannot do its work here.

    :raises SkipTest: as :func:`tool`.
    """
    if name in os.environ.get("ITSJUSTINTV_REQUIRE_TOOLS", "").split():
        raise AssertionError(f"{reason}, and this run must not do without it")
    raise SkipTest(reason)


@define(eq=False)
class Stage:
    """
    Everything around the daemon.

    :ivar folder: where the daemon runs, and keeps its data.
    :ivar settings: TOML that is added to the configuration, after everything else.
    :ivar server: TOML that is added to its ``[server]``.
    :ivar journal_file: where that puts the journal.
    :ivar webhook_secret: what the configuration lets Twitch sign with.
    :ivar incoming_webhook_url: what it calls the callback, if it says anything of it.
    :ivar transport: how Twitch's messages arrive.
    """

    reactor: Any
    folder: Path
    settings: str = ""
    server: str = ""
    journal_file: str = "data/itsjustintv.db"
    streamers: dict[str, str] = field(factory=dict)
    port: int = field(factory=free_port)
    webhook_secret: str = SECRET
    incoming_webhook_url: str = ""
    transport: str = WEBHOOK
    _pool: HTTPConnectionPool = field(init=False)
    twitch: SimulatedTwitch = field(init=False)
    receiver: Receiver = field(init=False)
    _listening: list[Listening] = field(factory=list, init=False)
    _twitch_port: int = field(init=False)
    _daemons: list[DaemonProcess] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self._pool = HTTPConnectionPool(self.reactor, persistent=False)
        self.twitch = SimulatedTwitch(self.reactor, Agent(self.reactor, pool=self._pool), Random(1))
        self.receiver = Receiver(self.reactor)
        self._listening = [
            listen(self.reactor, self.twitch.resource()),
            listen(self.reactor, self.receiver.resource()),
            listen_with(self.reactor, self.twitch.websockets()),
        ]
        self._twitch_port = self._listening[0].port

    @property
    def url(self) -> str:
        """
        Of the daemon.
        """
        return f"http://127.0.0.1:{self.port}"

    @property
    def twitch_url(self) -> str:
        """
        Where Twitch listens, without a slash at its end.
        """
        return f"http://127.0.0.1:{self._twitch_port}"

    @property
    def websocket_url(self) -> str:
        """
        Where the WebSockets of Twitch listen.
        """
        return self._listening[2].websocket_url

    @property
    def callback(self) -> str:
        """
        Where Twitch reaches the daemon.
        """
        return self.incoming_webhook_url or f"{self.url}/twitch"

    @property
    def hook(self) -> str:
        """
        Where the receiver listens, without a slash at its end.
        """
        return self._listening[1].url

    def add_streamer(self, login: str, more: str = "", **about: Any) -> None:
        """
        Let somebody stream, and be told at ``/<login>`` of the receiver.

        :param more: TOML of the streamer's table.
        """
        channel = self.twitch.world.add_streamer(login, **about)
        self.configure_streamer(login, f'user_id = "{channel.id}"\n{more}')

    def configure_streamer(self, login: str, more: str = "") -> None:
        """
        Have somebody in the configuration by login, whether Twitch knows of anybody like that or not.

        :param more: TOML of the streamer's table.
        """
        self.streamers[login] = (
            f'[streamers.{login}]\nlogin = "{login}"\ntarget_webhook_url = "{self.hook}/{login}"\n{more}\n'
        )

    @property
    def configuration(self) -> str:
        """
        The text of the configuration.
        """
        incoming = f'incoming_webhook_url = "{self.incoming_webhook_url}"\n' if self.incoming_webhook_url else ""
        more = f'webhook_secret = "{self.webhook_secret}"\n{incoming}'
        if self.transport == CONDUIT:
            more = f'transport = "conduit"\n[twitch.conduit]\nwebsocket_url = "{self.websocket_url}"\n'
        return f"""
[server]
listen_addr = "127.0.0.1"
port = {self.port}
{self.server}
[twitch]
client_id = "{self.twitch.client_id}"
client_secret = "{self.twitch.client_secret}"
api_url = "{self.twitch_url}/helix"
auth_url = "{self.twitch_url}/oauth2"
{more}{"".join(self.streamers.values())}
{self.settings}
"""

    def configure(self) -> Path:
        """
        Write the configuration.
        """
        path = self.folder / "config.toml"
        path.write_text(self.configuration, encoding="utf-8")
        return path

    def daemon(
        self, wrapper: Sequence[str] = (), command: Sequence[str] = (), env: Mapping[str, str] = {}
    ) -> DaemonProcess:
        """
        A daemon that is ended with the stage; it has yet to be started.

        :param wrapper: a command that runs it.
        :param command: another way to start it.
        :param env: is added to its environment.
        """
        # Tests that are not about it tell of every broadcast themselves, or it may be found before they do.
        quiet = {} if "[catch_up]" in self.settings else {"ITSJUSTINTV_CATCH_UP_ENABLED": "false"}
        daemon = DaemonProcess(
            self.reactor,
            self.folder,
            self.configure().absolute(),
            self.url,
            {**environment(os.environ), **quiet, **env},
            wrapper=wrapper,
            command=command,
        )
        self._daemons.append(daemon)
        return daemon

    async def started(self) -> DaemonProcess:
        """
        A daemon that is ready.
        """
        daemon = self.daemon()
        daemon.start()
        await daemon.ready()
        return daemon

    async def take_twitch_away(self) -> None:
        """
        Let nobody answer where Twitch has been.
        """
        await self._listening[0].stop()

    def bring_twitch_back(self) -> None:
        """
        Let Twitch answer again where it has been.
        """
        self._listening[0] = listen(self.reactor, self.twitch.resource(), self._twitch_port)

    def command(self, *arguments: str) -> Coroutine[Any, Any, Ended]:
        """
        Run the ``itsjustintv`` command in the daemon's folder.
        """
        environ = environment(os.environ)
        return run(self.reactor, [sys.executable, "-m", "itsjustintv", *arguments], self.folder, environ)

    async def subscribed(self, *logins: str) -> None:
        """
        Wait until the daemon has subscribed to these streamers, or all, and Twitch has verified the callback, if any.
        """
        wanted = {self.twitch.world.channel(login).id for login in logins or self.streamers}
        await self.until(lambda: wanted <= self._subscribed())

    def _subscribed(self) -> set[str]:
        if self.transport != CONDUIT:
            return self.twitch.subscriptions.enabled_for(self.callback)
        return {
            each.broadcaster_id
            for each in self.twitch.subscriptions
            if each.conduit_id and (each.status, each.type) == ("enabled", "stream.online")
        }

    def message(self, stream: SimulatedStream, secret: str = SECRET) -> Message:
        """
        Write a message about a broadcast, under an id of its own; to be sent with ``twitch.eventsub.send``, as often as
        a test likes.

        :param secret: what it is signed with.
        """
        subscription = SimulatedSubscription(
            id="a-subscription-that-has-ended",
            status="enabled",
            type="stream.online",
            version="1",
            condition={"broadcaster_user_id": stream.channel.id},
            callback=self.callback,
            secret=secret,
            created_at=stream.started_at,
        )
        return self.twitch.eventsub.notification(subscription, stream_online(stream))

    @property
    def journal(self) -> IOfflineJournal:
        """
        The journal, as an operator's commands see it.
        """
        return SQLiteStorage(self.folder / self.journal_file).offline(self.reactor.seconds)

    def accounting(self) -> Accounting:
        """
        What the journal says has become of everything.
        """
        return self.journal.accounting()

    async def settled(self, clock: IReactorTime, patience: float = 30.0) -> Accounting:
        """
        Wait until nothing is accepted or pending any more.
        """
        until = clock.seconds() + patience
        while (account := self.accounting()).accepted or account.pending:
            if clock.seconds() > until:
                raise AssertionError(f"still not settled: {account}")
            await deferLater(clock, 0.05)
        return account

    async def until(self, condition: Callable[[], T], patience: float = 30.0) -> T:
        """
        Ask again and again until the answer counts as true.

        :raises AssertionError: it never did within so many seconds.
        """
        return await until(self.reactor, condition, patience)

    def last_lines(self) -> str:
        """
        How every daemon is, and the last lines that it wrote.
        """
        return "\n".join(_last_lines(daemon) for daemon in self._daemons)

    async def close(self) -> None:
        """
        End every process and let go of every port. The receiver goes first: a daemon that stops would wait for one that
        does not answer.
        """
        self.twitch.stop()
        for listening in self._listening:
            await listening.stop()
        for daemon in self._daemons:
            await daemon.stop()
        await self._pool.closeCachedConnections()


def _last_lines(daemon: DaemonProcess) -> str:
    if daemon.status is not None:
        state = f"ended with status {daemon.status}"
    else:
        state = "has not been started" if daemon.pid is None else f"runs as process {daemon.pid}"
    return "\n".join([f"The daemon {state}. Its last lines:", *daemon.output.splitlines()[-_LAST_LINES:]])


class StageCase(TestCase):
    """
    A test with a stage.
    """

    timeout = 120
    _stages: Sequence[Stage] = ()

    def more_on_failure(self) -> str:
        """
        The last lines of every daemon, for the report of a failure.
        """
        return "\n".join(stage.last_lines() for stage in self._stages)

    def stage(self, **settings: Any) -> Stage:
        """
        A stage that is closed with the test.
        """
        from twisted.internet import reactor  # noqa: PLC0415 - trial has installed it by now

        stage = Stage(reactor, Path(self.mktemp()).absolute(), **settings)
        self._stages = [*self._stages, stage]
        self.addCleanup(lambda: Deferred.fromCoroutine(stage.close()))
        return stage
