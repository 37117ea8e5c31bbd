"""
A second door, which may be open or shut, and be opened and shut while the daemon runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory

from itsjustintv.errors import CannotServe, ConfigError, Problem
from itsjustintv.web.listening import Listener

__all__ = ["SideDoor"]


@define(eq=False)
class SideDoor(Service):
    """
    Listens where the configuration says, or nowhere.

    :ivar description: where to listen at first, as :func:`~twisted.internet.endpoints.serverFromString` has it; empty
        for nowhere.
    :ivar key: of the configuration, which says where.
    """

    _description: Callable[[], str]
    _factory: IProtocolFactory
    _reactor: Any
    _key: str
    _listener: Listener | None = field(default=None, init=False)

    @property
    def port(self) -> Any:
        """
        The port that is listened on, while there is one.
        """
        return None if self._listener is None else self._listener.port

    def privilegedStartService(self) -> None:
        """
        Listen, while the process may still have the privileges for that.

        :raises CannotServe: nobody can listen there, or not we.
        """
        super().privilegedStartService()
        self._open_at_first()

    def startService(self) -> None:
        """
        Listen, if that has not been done yet.

        :raises CannotServe: nobody can listen there, or not we.
        """
        super().startService()
        self._open_at_first()

    def stopService(self) -> Deferred[None]:
        """
        Cease to listen. Connections that are open go on.
        """
        super().stopService()
        listener, self._listener = self._listener, None
        return succeed(None) if listener is None else listener.stopService()

    async def prepare(self, description: str) -> Callable[[bool], None]:
        """
        Listen at a new place as well, or make ready to listen nowhere, and wait for the decision.

        :return: to be called with ``True`` to leave the old place, with ``False`` to stay there.
        :raises ConfigError: nobody can listen there, or not we; everything stays.
        """
        if not self.running:
            return lambda _: None
        if not description:
            return self._shut
        try:
            if self._listener is not None:
                return await self._listener.prepare(description)
            new = self._opened(description)
        except (CannotServe, ConfigError) as error:
            reason = error.problems[0].message if isinstance(error, ConfigError) else str(error)
            raise ConfigError((Problem(self._key, reason.replace(_THEIRS, self._key)),)) from None

        def decide(move: bool) -> None:
            if move and self.running:
                self._listener = new
            else:
                new.stopService()

        return decide

    def _open_at_first(self) -> None:
        if self._listener is None and (description := self._description()):
            self._listener = self._opened(description)

    def _opened(self, description: str) -> Listener:
        listener = Listener(lambda: description, self._factory, self._reactor)
        try:
            listener.startService()
        except CannotListenError as error:
            reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
            raise CannotServe(
                f"cannot listen on {error.interface}:{error.port}: {reason.lower()}. Stop what holds it, or change"
                f" {self._key}."
            ) from None
        return listener

    def _shut(self, move: bool) -> None:
        if move and self._listener is not None:
            self._listener.stopService()
            self._listener = None


# What the other door says in its place.
_THEIRS = "server.listen_addr and server.port"
