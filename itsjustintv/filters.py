"""
Which broadcasts a streamer's destinations want to hear of. Pure.
"""

from __future__ import annotations

from enum import Enum

from itsjustintv.model import Enrichment, Event, Streamer

__all__ = ["FilterResult", "decide", "of_another_type"]


# Characters of a type that are told; Twitch's have at most 11.
_LONGEST = 40


class FilterResult(Enum):
    """
    What a filter says.
    """

    SEND = "send"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


def of_another_type(streamer: Streamer, event: Event) -> str:
    """
    Why a broadcast is not announced, whatever else it is: Twitch says that it is a rerun, a premiere, ... and those are
    not among the streamer's ``types``. Empty when there is nothing against it; so for a type that Twitch does not say.
    """
    if not streamer.types or not event.type or event.type.casefold() in streamer.types:
        return ""
    return f"a broadcast of type {event.type[:_LONGEST]} is not among the types {', '.join(streamer.types)}"


def decide(streamer: Streamer, enrichment: Enrichment) -> tuple[FilterResult, str]:
    """
    Apply a streamer's tag filter: one of its entries must be, whole and in whatever case, one of Twitch's own tags.
    The streamer's ``additional_tags`` are the same for every broadcast and never count.

    :return: the decision and the reason for it, empty when there is nothing against sending. ``UNKNOWN`` when there is
        a filter and the tags could not be fetched: the caller decides.
    """
    if not streamer.tag_filter:
        return FilterResult.SEND, ""
    if enrichment.tags is None:
        return FilterResult.UNKNOWN, "the tags of the broadcast could not be fetched"
    wanted = {tag.casefold() for tag in streamer.tag_filter}
    if wanted.isdisjoint(tag.casefold() for tag in enrichment.tags):
        return FilterResult.BLOCKED, "no tag of the broadcast is in tag_filter"
    return FilterResult.SEND, ""
