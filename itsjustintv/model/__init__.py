"""
The frozen values that travel from one part to the next.

Times are seconds since the epoch, UTC, as ``float``; texts that came from Twitch are kept as Twitch wrote them.
"""

from __future__ import annotations

from itsjustintv.model.broadcasts import Broadcast, Post, PostState, Standing
from itsjustintv.model.deliveries import (
    UNDELIVERED,
    Accounting,
    Action,
    Attempt,
    Census,
    Delivery,
    Due,
    Outcome,
    State,
    sent_form,
    shown_form,
)
from itsjustintv.model.destination_kind import Card, DestinationKind
from itsjustintv.model.destinations import (
    Destination,
    DestinationFilter,
    DestinationPolicy,
    OutgoingRequest,
    Result,
    Verdict,
    hash_place,
)
from itsjustintv.model.events import (
    CHANNEL_UPDATE,
    STREAM_OFFLINE,
    STREAM_ONLINE,
    Acceptance,
    Enrichment,
    Event,
    Notice,
    Owner,
    Picture,
    Presence,
    StreamDetails,
    Streamer,
    Subscribed,
    broadcast_key,
    broadcast_keys,
    end_key,
    message_key,
    return_key,
)
from itsjustintv.model.times import parse_rfc3339, rfc3339

__all__ = [
    "CHANNEL_UPDATE",
    "STREAM_OFFLINE",
    "STREAM_ONLINE",
    "UNDELIVERED",
    "Acceptance",
    "Accounting",
    "Action",
    "Attempt",
    "Broadcast",
    "Card",
    "Census",
    "Delivery",
    "Destination",
    "DestinationFilter",
    "DestinationKind",
    "DestinationPolicy",
    "Due",
    "Enrichment",
    "Event",
    "Notice",
    "Outcome",
    "OutgoingRequest",
    "Owner",
    "Picture",
    "Post",
    "PostState",
    "Presence",
    "Result",
    "Standing",
    "State",
    "StreamDetails",
    "Streamer",
    "Subscribed",
    "Verdict",
    "broadcast_key",
    "broadcast_keys",
    "end_key",
    "hash_place",
    "message_key",
    "parse_rfc3339",
    "return_key",
    "rfc3339",
    "sent_form",
    "shown_form",
]
