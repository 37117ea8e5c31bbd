"""
The door: a listening port that can be moved while people are inside.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from itsjustintv.errors import CannotServe, ConfigError, Problem
from itsjustintv.support.log_throttle import LogOnChange

__all__ = ["Listener", "tcp"]


def tcp(host: str, port: int) -> str:
    """
    Describe a place to listen at, as :func:`~twisted.internet.endpoints.serverFromString` has it.
    """
    return f"tcp:{port}:interface={quoteStringArgument(host)}"


@define(eq=False)
class Listener(Service):
    """
    Listens where the configuration says, and elsewhere when it says something else.

    A move listens at the new place before it ceases to listen at the old one, where connections that are open go on
    until they end by themselves: nobody is ever turned away. The factory is that of all of them.

    Where it cannot listen and need not, it does without, and tries again when it is asked to. At a move to such a place
    the old one is given up all the same: it may be what is in the way, or somebody else who moves as well. So that is
    told at the next try only, when all have settled.

    :ivar description: where to listen at first, as :func:`~twisted.internet.endpoints.serverFromString` has it; empty
        for nowhere.
    :ivar section: the part of the configuration that says so.
    :ivar keys: the keys in it that do, that of the port last.
    :ivar needed: whether it must listen at its start.
    :ivar without: told where it would listen and why it cannot, when it does without; the same thing only once.
    """

    _description: Callable[[], str]
    _factory: IProtocolFactory
    _reactor: Any
    _section: str = "server"
    _keys: Sequence[str] = ("server.listen_addr", "server.port")
    _needed: Callable[[], bool] = lambda: True
    _without: Callable[[str, str], None] = lambda _place, _reason: None
    _where: str = field(default="", init=False)
    _logged: LogOnChange = field(factory=LogOnChange, init=False)
    _port: IListeningPort | None = field(default=None, init=False)
    _closing: set[Deferred[Any]] = field(factory=set, init=False)

    log = Logger()

    @property
    def port(self) -> IListeningPort | None:
        """
        The port that is listened on, while there is one.
        """
        return self._port

    def problem(self) -> str | None:
        """
        Why nobody gets in, or ``None`` while the door is open.
        """
        return "no port is open" if self._port is None else None

    def privilegedStartService(self) -> None:
        """
        Listen, while the process may still have the privileges for that.

        :raises CannotServe: nobody can listen there, or not we, and it is needed.
        """
        super().privilegedStartService()
        self._open()

    def startService(self) -> None:
        """
        Listen, if that has not been tried yet.

        :raises CannotServe: nobody can listen there, or not we, and it is needed.
        """
        super().startService()
        if self._port is None and not self._missing:
            self._open()

    def stopService(self) -> Deferred[None]:
        """
        Cease to listen. Connections that are open go on.
        """
        super().stopService()
        port, self._port, self._where = self._port, None, ""
        self._close(port)
        return self.settled()

    async def prepare(self, description: str, *, needed: bool = True) -> Callable[[bool], None]:
        """
        Listen at a new place as well, and wait for the decision.

        :param description: of the new place; empty for nowhere.
        :param needed: whether it cannot be done without. Otherwise, where nobody can listen, or not we, it is.
        :return: to be called with ``True`` to cease listening at the old place, with ``False`` to stay there.
        :raises ConfigError: nobody can listen there, or not we, and it is needed; the old place stays.
        """
        if not self.running or (description == self._where and not self._missing):
            return lambda _: None
        new = None
        try:
            new = await self._listen(description)
        except CannotListenError as error:
            if needed:
                raise ConfigError((Problem(self._section, self._why_not(error)),)) from None

        def decide(move: bool) -> None:
            if not move or not self.running:
                self._close(new)
                return
            old, self._port, self._where = self._port, new, description
            if not self._missing:
                self._logged.reset()
            self._say(old, new)
            self._close(old)

        return decide

    def settled(self) -> Deferred[None]:
        """
        Fires when the ports that were given up so far are free.
        """
        return DeferredList(list(self._closing)).addCallback(lambda _: None)

    def retry(self) -> None:
        """
        Try once more to listen where that could not be done and is not needed.
        """
        if self._missing:
            self._listen(self._missing).addCallbacks(self._found, self._do_without)

    async def move(self, description: str) -> None:
        """
        Listen at a new place instead.

        :raises ConfigError: nobody can listen there, or not we; the old place stays.
        """
        (await self.prepare(description))(True)

    def _open(self) -> None:
        description = self._description()
        opened: list[Any] = []
        self._listen(description).addBoth(opened.append)
        # Nothing there waits: whoever starts us must know now whether it worked.
        assert opened  # noqa: S101
        if not isinstance(opened[0], Failure):
            self._port, self._where = opened[0], description
            self._say(None, self._port)
        elif self._needed():
            raise self._cannot_serve(opened[0]) from None
        else:
            self._where = description
            self._do_without(opened[0])

    @property
    def _missing(self) -> str:
        """
        Where it would listen and does not.
        """
        return self._where if self._port is None else ""

    def _found(self, port: IListeningPort) -> None:
        self._port = port
        self._say(None, port)

    def _do_without(self, failure: Failure) -> None:
        failure.trap(CannotListenError)
        error: Any = failure.value
        told = _wanted(error), _cause(error)
        if self._logged.is_new(told):
            self._without(*told)

    def _say(self, old: IListeningPort | None, new: IListeningPort | None) -> None:
        if old is None and new is not None:
            self.log.info("listening on {place}", place=_place(new))
        elif old is not None and new is None:
            self.log.info("stopped listening on {place}; open connections continue", place=_place(old))
        elif old is not None:
            self.log.info(
                "listening on {new} instead of {old}; open connections continue",
                new=_place(new),
                old=_place(old),
            )

    def _listen(self, description: str) -> Deferred[IListeningPort | None]:
        if not description:
            return succeed(None)
        listening: Deferred[Any] = serverFromString(self._reactor, description).listen(self._factory)
        return listening

    def _close(self, port: IListeningPort | None) -> None:
        if port is None:
            return
        closing = maybeDeferred(port.stopListening)
        self._closing.add(closing)
        closing.addErrback(lambda failure: self.log.failure("cannot close a port cleanly", failure))
        closing.addCallback(lambda _: self._closing.discard(closing))

    def _cannot_serve(self, failure: Failure) -> CannotServe:
        failure.trap(CannotListenError)
        error: Any = failure.value
        interface, port, reason = error.interface or "0.0.0.0", error.port, _cause(error)  # noqa: S104 - only said
        return CannotServe(
            f"cannot listen on {interface}:{port}: {reason}; stop what holds it, or change {' and '.join(self._keys)}"
        )

    def _why_not(self, error: CannotListenError) -> str:
        cause = error.socketError
        place = _wanted(error)
        here = _place(self._port)
        if here.endswith(f":{error.port}") and getattr(cause, "errno", None) == errno.EADDRINUSE:
            return (
                f"cannot listen on {place} while the daemon itself holds that port on {here};"
                f" take another port in {self._keys[-1]}, or restart the daemon"
            )
        return f"cannot listen on {place}: {_cause(error)}; stop what holds it, or change {' and '.join(self._keys)}"


def _cause(error: CannotListenError) -> str:
    return str(getattr(error.socketError, "strerror", None) or error.socketError).lower()


def _wanted(error: CannotListenError) -> str:
    return f"{error.interface or '0.0.0.0'}:{error.port}"  # noqa: S104 - only said


def _place(port: IListeningPort | None) -> str:
    host: Any = None if port is None else port.getHost()
    return f"{getattr(host, 'host', host)}:{getattr(host, 'port', '')}"
