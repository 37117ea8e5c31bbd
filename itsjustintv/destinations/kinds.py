"""
The kinds of destinations: which class renders the requests of each and reads the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from itsjustintv.destinations.webhook import Webhook
from itsjustintv.interfaces import IDestination
from itsjustintv.model import Destination

__all__ = ["KINDS", "open_destination"]

#: A new kind is a module of this folder with a class, and a row here.
KINDS: Mapping[str, Callable[[Destination], IDestination]] = {"webhook": Webhook}


def open_destination(destination: Destination) -> IDestination:
    """
    Make the adapter of a configured destination.
    """
    return KINDS[destination.kind](destination)
