"""
The kinds of destinations: which module renders the requests of each and reads the answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from itsjustintv.destinations.kind_table import KindTable
from itsjustintv.model import Destination, DestinationKind

if TYPE_CHECKING:
    from itsjustintv.interfaces import IDestination

__all__ = ["KINDS", "open_destination"]

#: A new kind is a module of this folder with a class, and a row here. Other packages add theirs by an entry point.
KINDS: Mapping[str, DestinationKind] = KindTable(
    {
        "discord": "itsjustintv.destinations.discord:DISCORD_KIND",
        "slack": "itsjustintv.destinations.slack:SLACK_KIND",
        "teams": "itsjustintv.destinations.teams:TEAMS_KIND",
        "telegram": "itsjustintv.destinations.telegram:TELEGRAM_KIND",
        "ntfy": "itsjustintv.destinations.ntfy:NTFY_KIND",
        "gotify": "itsjustintv.destinations.gotify:GOTIFY_KIND",
        "pushover": "itsjustintv.destinations.pushover:PUSHOVER_KIND",
        "matrix": "itsjustintv.destinations.matrix:MATRIX_KIND",
        "mastodon": "itsjustintv.destinations.mastodon:MASTODON_KIND",
        "bluesky": "itsjustintv.destinations.bluesky:BLUESKY_KIND",
        "email": "itsjustintv.destinations.email:EMAIL_KIND",
        "mqtt": "itsjustintv.destinations.mqtt:MQTT_KIND",
        "apprise": "itsjustintv.destinations.apprise:APPRISE_KIND",
        "webhook": "itsjustintv.destinations.webhook:WEBHOOK",
        "cloudevents": "itsjustintv.destinations.cloudevents:CLOUDEVENTS",
    }
)


def open_destination(destination: Destination) -> IDestination:
    """
    Make the adapter of a configured destination.
    """
    adapter: IDestination = KINDS[destination.kind].open(destination)
    return adapter
