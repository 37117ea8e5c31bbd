"""
Decides which broadcasts of a streamer are announced: by their type and by their tags. Pure.
"""

from __future__ import annotations

from enum import Enum

from itsjustintv.model import Enrichment, Event, Streamer

__all__ = ["FilterResult", "apply_tag_filter", "unwanted_type"]


# Characters of a type that are shown; Twitch's have at most 11.
_SHOWN = 40


class FilterResult(Enum):
    """
    Whether a filter lets a broadcast through.
    """

    SEND = "send"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


def unwanted_type(streamer: Streamer, event: Event) -> str:
    """
    Why a broadcast is not announced because of its type (rerun, premiere, ...): it is not among the streamer's
    ``types``. Empty when it is, and when Twitch gave no type.
    """
    if not streamer.types or not event.type or event.type.casefold() in streamer.types:
        return ""
    return f"a broadcast of type {event.type[:_SHOWN]} is not among the types {', '.join(streamer.types)}"


def apply_tag_filter(streamer: Streamer, enrichment: Enrichment) -> tuple[FilterResult, str]:
    """
    Apply a streamer's tag filter: one of its entries must be, whole and in whatever case, one of Twitch's own tags.
    The streamer's ``additional_tags`` are the same for every broadcast and never count.

    :return: the result, and the reason for it unless it is ``SEND``. ``UNKNOWN`` when there is a filter and the tags
        could not be fetched: the caller decides.
    """
    if not streamer.tag_filter:
        return FilterResult.SEND, ""
    if enrichment.tags is None:
        return FilterResult.UNKNOWN, "the tags of the broadcast could not be fetched"
    allowed = {tag.casefold() for tag in streamer.tag_filter}
    if allowed.isdisjoint(tag.casefold() for tag in enrichment.tags):
        return FilterResult.BLOCKED, "no tag of the broadcast is in tag_filter"
    return FilterResult.SEND, ""
