"""
Sends each delivery in the way of its kind: by one HTTP request, unless the kind has a sender of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import cast

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults

from itsjustintv.destinations.http_sender import HttpSender
from itsjustintv.interfaces import DestinationKind, IAskingSender, IFollowingSender, ISender, SenderTools
from itsjustintv.model import Attempt, Delivery, Destination

__all__ = ["Senders"]


@define(eq=False, init=False)
class Senders(Service):
    """
    The senders of all kinds, each made when something of its kind is sent for the first time, and stopped with the
    daemon.

    :param kinds: by name.
    :param destinations: those that are configured now.
    """

    _kinds: Mapping[str, DestinationKind]
    _tools: SenderTools
    _destinations: Callable[[], Iterable[Destination]]
    _made: dict[str, ISender] = field(init=False)
    _http: ISender = field(init=False)

    def __init__(
        self,
        kinds: Mapping[str, DestinationKind],
        tools: SenderTools,
        destinations: Callable[[], Iterable[Destination]] = tuple,
    ) -> None:
        self._kinds, self._tools, self._destinations, self._made = kinds, tools, destinations, {}
        self._http = HttpSender(tools.agent, tools.reactor, tools.timeout, tools.begin_span, tools.wall)

    def send(self, delivery: Delivery, destination: Destination) -> Deferred[Attempt]:
        """
        Send a delivery once, as :data:`itsjustintv.interfaces.Send`.
        """
        return self._sender(destination.kind).send(delivery, destination)

    def ask(self, question: Delivery, destination: Destination) -> Deferred[Attempt]:
        """
        Ask without posting, where the sender of the kind can.
        """
        return cast("IAskingSender", self._sender(destination.kind)).ask(question, destination)

    def startService(self) -> None:
        super().startService()
        self.refresh()

    def refresh(self) -> None:
        """
        Hand the senders that follow the configuration their destinations.
        """
        found: dict[str, list[Destination]] = {kind: [] for kind in self._made}
        for each in self._destinations():
            found.setdefault(each.kind, []).append(each)
        for kind, theirs in found.items():
            if self._kinds[kind].follows:
                cast("IFollowingSender", self._sender(kind)).follow(theirs)

    def stopService(self) -> Deferred[None]:
        """
        Stop every sender that was made.
        """
        super().stopService()
        made, self._made = self._made, {}
        return gatherResults([each.stop() for each in made.values()]).addCallback(lambda _: None)

    def _sender(self, kind: str) -> ISender:
        make = self._kinds[kind].make_sender
        if make is None:
            return self._http
        if kind not in self._made:
            self._made[kind] = make(self._tools)
        return self._made[kind]
