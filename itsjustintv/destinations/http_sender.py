"""
Sends deliveries that are one HTTP request each.
"""

from __future__ import annotations

from attrs import define
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from itsjustintv.destinations.http_exchange import HttpExchange
from itsjustintv.destinations.kinds import open_destination
from itsjustintv.interfaces import ISender
from itsjustintv.model import Attempt, Delivery, Destination

__all__ = ["HttpSender"]


@implementer(ISender)
@define(eq=False)
class HttpSender(HttpExchange):
    """
    Sends a delivery to its destination once: the request that the adapter of its kind makes.
    """

    def send(self, delivery: Delivery, destination: Destination) -> Deferred[Attempt]:
        return self.exchange(open_destination(destination), delivery, destination)

    def stop(self) -> Deferred[None]:
        return succeed(None)
