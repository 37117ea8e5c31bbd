"""
Decides which broadcasts are announced where and when: by type, tags, category, title and hour. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import Enum
from functools import cache
from zoneinfo import ZoneInfo

from itsjustintv.model import DestinationFilter, DestinationPolicy, Enrichment, Event, Streamer
from itsjustintv.support.bounded_pattern import BoundedPattern

__all__ = ["FilterResult", "apply_filter", "apply_tag_filter", "unwanted_hour", "unwanted_type"]


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


def apply_filter(wanted: DestinationFilter, event: Event, enrichment: Enrichment) -> tuple[FilterResult, str]:
    """
    Apply the filter of a destination. The title and the category are those of the event if it has some, else what was
    found out.

    :return: as :func:`apply_tag_filter`.
    """
    if not (wanted.types or wanted.categories or wanted.title or wanted.tags):
        return FilterResult.SEND, ""
    stream = enrichment.stream
    title = event.title or stream.title
    categories = {(event.category or stream.game_name).casefold(), event.category_id or stream.game_id} - {""}
    tags = None if enrichment.tags is None else {tag.casefold() for tag in enrichment.tags}
    checks: tuple[tuple[Sequence[str], bool, Callable[[str], bool], str], ...] = (
        (wanted.types if event.type else (), True, lambda each: each.casefold() == event.type.casefold(), "type"),
        (wanted.categories, bool(categories), lambda each: each.casefold() in categories, "category"),
        (wanted.title, bool(title), lambda each: _is_in_title(each, title), "title"),
        (wanted.tags, tags is not None, lambda each: each.casefold() in (tags or ()), "tags"),
    )
    unknown = [what for entries, is_known, _, what in checks if entries and not is_known]
    for entries, is_known, matches, what in checks:
        if entries and is_known and not _holds(entries, matches):
            return FilterResult.BLOCKED, f"the filter of the destination excludes the {what} of the broadcast"
    if unknown:
        return FilterResult.UNKNOWN, f"the {unknown[0]} of the broadcast could not be fetched"
    return FilterResult.SEND, ""


def _holds(entries: Iterable[str], matches: Callable[[str], bool]) -> bool:
    """
    Whether a list holds: no excluding entry matches, and one of the others does, if there are any.
    """
    excluding = [each[1:] for each in entries if each.startswith("!")]
    including = [each for each in entries if not each.startswith("!")]
    return not any(map(matches, excluding)) and (not including or any(map(matches, including)))


def _is_in_title(entry: str, title: str) -> bool:
    if len(entry) > len("//") and entry.startswith("/") and entry.endswith("/"):
        return _parse(entry[1:-1]).search(title)
    return entry.casefold() in title.casefold()


@cache
def _parse(pattern: str) -> BoundedPattern:
    return BoundedPattern.parse(pattern)


def unwanted_hour(policy: DestinationPolicy, now: float, *, any_quiet: bool = False) -> str:
    """
    Why nothing new is posted at this hour: it is a quiet one, and then new posts are dropped. Empty when it is none.

    :param now: by the wall clock.
    :param any_quiet: whether hours count in which posts are silent only.
    """
    if not policy.quiet_hours or not (any_quiet or policy.quiet == "drop"):
        return ""
    time = datetime.fromtimestamp(now, ZoneInfo(policy.timezone)).strftime("%H:%M")
    for span in policy.quiet_hours:
        start, _, end = span.partition("-")
        if start <= time < end if start < end else time >= start or time < end:
            return f"it is {time} ({policy.timezone}), in the quiet hours {span}"
    return ""
