"""
The kinds of destinations: which class renders the requests of each and reads the answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from itsjustintv.destinations.webhook import Webhook
from itsjustintv.interfaces import DestinationKind, IDestination
from itsjustintv.model import Destination

__all__ = ["KINDS", "open_destination"]

#: A new kind is a module of this folder with a class, and a row here.
KINDS: Mapping[str, DestinationKind] = {
    each.name: each
    for each in (DestinationKind(name="webhook", open=Webhook, settings=None, keeps_posts=False, concurrency=None),)
}


def open_destination(destination: Destination) -> IDestination:
    """
    Make the adapter of a configured destination.
    """
    return KINDS[destination.kind].open(destination)
