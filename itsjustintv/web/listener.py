"""
A listening port that can move while connections are open.
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
    Describe a TCP port, for :func:`~twisted.internet.endpoints.serverFromString`.
    """
    return f"tcp:{port}:interface={quoteStringArgument(host)}"


@define(eq=False)
class Listener(Service):
    """
    Listens where the configuration says, and moves when it changes.

    A move binds the new port before it closes the old one, so no client is rejected; except where the old one is in its
    way, which has the same number at another address. Connections on the old port continue. All ports use the same
    factory.

    Where a port cannot be bound and is not required, the listener does without and tries again at :meth:`retry`. At a
    move to such a place the old port is closed all the same: it may be what is in the way. So the failure is reported
    at the next retry, when all ports have moved.

    :ivar description: returns where to listen at first, for :func:`~twisted.internet.endpoints.serverFromString`; empty
        for nowhere.
    :ivar section: the section of the configuration with these settings.
    :ivar keys: the keys in it, that of the port last.
    :ivar is_required: whether the start fails if the port cannot be bound.
    :ivar on_missing: called with the place and the reason when the listener does without; once for the same reason.
    """

    _description: Callable[[], str]
    _factory: IProtocolFactory
    _reactor: Any
    _section: str = "server"
    _keys: Sequence[str] = ("server.listen_addr", "server.port")
    _is_required: Callable[[], bool] = lambda: True
    _on_missing: Callable[[str, str], None] = lambda _place, _reason: None
    _where: str = field(default="", init=False)
    _logged: LogOnChange = field(factory=LogOnChange, init=False)
    _port: IListeningPort | None = field(default=None, init=False)
    _closing: set[Deferred[Any]] = field(factory=set, init=False)

    log = Logger()

    @property
    def port(self) -> IListeningPort | None:
        """
        The port that is bound, if any.
        """
        return self._port

    def problem(self) -> str | None:
        """
        Why no connection is accepted, or ``None``.
        """
        return "no port is open" if self._port is None else None

    def privilegedStartService(self) -> None:
        """
        Bind the port while the process may still have the privileges for that.

        :raises CannotServe: it cannot be bound and is required.
        """
        super().privilegedStartService()
        self._open()

    def startService(self) -> None:
        """
        Bind the port if that has not been tried yet.

        :raises CannotServe: it cannot be bound and is required.
        """
        super().startService()
        if self._port is None and not self._missing:
            self._open()

    def stopService(self) -> Deferred[None]:
        """
        Close the port. Open connections continue.
        """
        super().stopService()
        port, self._port, self._where = self._port, None, ""
        self._close(port)
        return self.settled()

    async def prepare(self, description: str, *, needed: bool = True) -> Callable[[bool], None]:
        """
        Bind another port as well, and wait for the decision.

        :param description: of the new place; empty for nowhere.
        :param needed: whether a port that cannot be bound is an error. Otherwise the listener does without.
        :return: to be called with ``True`` to close the old port, with ``False`` to keep it. :meth:`settled` fires when
            that is done.
        :raises ConfigError: the new port cannot be bound and is needed; the old one stays.
        """
        if not self.running or (description == self._where and not self._missing):
            return lambda _: None
        new = None
        try:
            new = await self._listen(description)
        except CannotListenError as error:
            if needed and self._is_in_the_way(error):
                return lambda move: self._swap(description) if move else None
            if needed:
                raise ConfigError((Problem(self._section, self._why_not(error)),)) from None

        def decide(move: bool) -> None:
            if not move or not self.running:
                self._close(new)
                return
            old, self._port, self._where = self._port, new, description
            if not self._missing:
                self._logged.reset()
            self._log_move(old, new)
            self._close(old)

        return decide

    def settled(self) -> Deferred[None]:
        """
        Fires when the ports closed so far are free.
        """
        return DeferredList(list(self._closing)).addCallback(lambda _: None)

    def retry(self) -> None:
        """
        Try again to bind a port that could not be bound.
        """
        if self._missing:
            self._listen(self._missing).addCallbacks(self._bound, self._go_without)

    async def move(self, description: str) -> None:
        """
        Listen at a new place instead.

        :raises ConfigError: the new port cannot be bound; the old one stays.
        """
        (await self.prepare(description))(True)
        await self.settled()

    def _swap(self, description: str) -> None:
        """
        Close the old port before the new one is bound.
        """
        if self.running:
            swapping = Deferred.fromCoroutine(self._bind_instead(description))
            self._closing.add(swapping)
            swapping.addErrback(lambda failure: self.log.failure("cannot close a port cleanly", failure))
            swapping.addCallback(lambda _: self._closing.discard(swapping))

    async def _bind_instead(self, description: str) -> None:
        former, here, port = self._where, _place(self._port), self._port
        self._port, self._where = None, description
        self._close(port)
        await self.settled()
        for where in (description, former):
            if not self.running:
                return
            try:
                self._port = await self._listen(where)
            except CannotListenError as error:
                self.log.error(  # noqa: TRY400 - the reason is in the line
                    "cannot listen on {place}: {reason}; stop what holds it, or change {keys}",
                    place=_requested_place(error),
                    reason=_cause(error),
                    keys=" and ".join(self._keys),
                )
            else:
                self._where = where
                if where == description:
                    self.log.info(
                        "listening on {new} instead of {old}; open connections continue",
                        new=_place(self._port),
                        old=here,
                    )
                else:
                    self._log_move(None, self._port)
                return

    def _open(self) -> None:
        description = self._description()
        opened: list[Any] = []
        self._listen(description).addBoth(opened.append)
        # A TCP endpoint answers at once, and the start must know whether it worked.
        assert opened  # noqa: S101
        if not isinstance(opened[0], Failure):
            self._port, self._where = opened[0], description
            self._log_move(None, self._port)
        elif self._is_required():
            raise self._cannot_serve(opened[0]) from None
        else:
            self._where = description
            self._go_without(opened[0])

    @property
    def _missing(self) -> str:
        """
        Where it should listen and does not; empty if it listens.
        """
        return self._where if self._port is None else ""

    def _bound(self, port: IListeningPort) -> None:
        self._port = port
        self._log_move(None, port)

    def _go_without(self, failure: Failure) -> None:
        failure.trap(CannotListenError)
        error: Any = failure.value
        missing = _requested_place(error), _cause(error)
        if self._logged.is_new(missing):
            self._on_missing(*missing)

    def _log_move(self, old: IListeningPort | None, new: IListeningPort | None) -> None:
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

    def _is_in_the_way(self, error: CannotListenError) -> bool:
        return getattr(error.socketError, "errno", None) == errno.EADDRINUSE and (
            _place(self._port).endswith(f":{error.port}")
        )

    def _why_not(self, error: CannotListenError) -> str:
        place = _requested_place(error)
        return f"cannot listen on {place}: {_cause(error)}; stop what holds it, or change {' and '.join(self._keys)}"


def _cause(error: CannotListenError) -> str:
    return str(getattr(error.socketError, "strerror", None) or error.socketError).lower()


def _requested_place(error: CannotListenError) -> str:
    return f"{error.interface or '0.0.0.0'}:{error.port}"  # noqa: S104 - only said


def _place(port: IListeningPort | None) -> str:
    host: Any = None if port is None else port.getHost()
    return f"{getattr(host, 'host', host)}:{getattr(host, 'port', '')}"
