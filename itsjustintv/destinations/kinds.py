"""
The kinds of destinations: which class renders the requests of each and reads the answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from itsjustintv.destinations.apprise import APPRISE_KIND
from itsjustintv.destinations.bluesky import BLUESKY_KIND
from itsjustintv.destinations.cloudevents import CLOUDEVENTS
from itsjustintv.destinations.discord import DISCORD_KIND
from itsjustintv.destinations.email import EMAIL_KIND
from itsjustintv.destinations.gotify import GOTIFY_KIND
from itsjustintv.destinations.kind_table import KindTable
from itsjustintv.destinations.mastodon import MASTODON_KIND
from itsjustintv.destinations.matrix import MATRIX_KIND
from itsjustintv.destinations.mqtt import MQTT_KIND
from itsjustintv.destinations.ntfy import NTFY_KIND
from itsjustintv.destinations.pushover import PUSHOVER_KIND
from itsjustintv.destinations.slack import SLACK_KIND
from itsjustintv.destinations.teams import TEAMS_KIND
from itsjustintv.destinations.telegram import TELEGRAM_KIND
from itsjustintv.destinations.webhook import WEBHOOK
from itsjustintv.interfaces import DestinationKind, IDestination
from itsjustintv.model import Destination

__all__ = ["KINDS", "open_destination"]

#: A new kind is a module of this folder with a class, and a row here. Other packages add theirs by an entry point.
KINDS: Mapping[str, DestinationKind] = KindTable(
    {
        each.name: each
        for each in (
            DISCORD_KIND,
            SLACK_KIND,
            TEAMS_KIND,
            TELEGRAM_KIND,
            NTFY_KIND,
            GOTIFY_KIND,
            PUSHOVER_KIND,
            MATRIX_KIND,
            MASTODON_KIND,
            BLUESKY_KIND,
            EMAIL_KIND,
            MQTT_KIND,
            APPRISE_KIND,
            WEBHOOK,
            CLOUDEVENTS,
        )
    }
)


def open_destination(destination: Destination) -> IDestination:
    """
    Make the adapter of a configured destination.
    """
    return KINDS[destination.kind].open(destination)
