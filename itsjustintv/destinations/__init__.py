"""
What to send and how: a module for each kind of destination, and the sender of its requests. Knows no queue and no
journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from itsjustintv.destinations.webhook import Webhook
from itsjustintv.interfaces import IDestination
from itsjustintv.model import Destination

__all__ = ["KINDS", "open_destination"]

#: The kinds of destinations: a new one is a module with a class, and a row here.
KINDS: Mapping[str, Callable[[Destination], IDestination]] = {"webhook": Webhook}


def open_destination(destination: Destination) -> IDestination:
    """
    Make the adapter of a configured destination.
    """
    return KINDS[destination.kind](destination)
