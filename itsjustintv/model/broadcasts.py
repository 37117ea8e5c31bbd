"""
A broadcast over short drops, and what stands at a destination for it.
"""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

from itsjustintv.model.deliveries import State
from itsjustintv.model.times import parse_rfc3339

__all__ = ["Broadcast", "Post", "PostState", "Standing"]


@frozen(kw_only=True)
class Broadcast:
    """
    What a viewer calls one broadcast: one stream, or several of the same channel with short drops between them.

    :ivar id: that of the event that opened it.
    :ivar streamer: key of the streamer's table when it opened.
    :ivar started_at: RFC 3339, as Twitch wrote it for the first stream.
    :ivar stream_ids: of its streams, in order.
    :ivar offline_at: when its last stream ended, as Twitch said, in seconds since the epoch; ``None`` while it is live,
        0 when it has ended and nothing says when.
    :ivar title: the title that was last announced, empty for none; likewise ``category``.
    :ivar type: of its first stream, as :attr:`Event.type`.
    :ivar seen_at: when its latest start or change happened, in seconds since the epoch, or it was last seen live.
    """

    id: str
    broadcaster_id: str
    streamer: str
    started_at: str
    stream_ids: tuple[str, ...]
    offline_at: float | None = None
    title: str = ""
    category: str = ""
    type: str = ""
    seen_at: float = 0.0

    @property
    def is_live(self) -> bool:
        """
        Whether its last stream has not ended, as far as is known.
        """
        return self.offline_at is None

    def began_after(self, moment: str) -> bool:
        """
        Whether it began after a moment, both as Twitch wrote them: ids follow this machine's clock, which may have been
        set back.
        """
        began, other = parse_rfc3339(self.started_at), parse_rfc3339(moment)
        return began is not None and other is not None and began > other

    @property
    def duration(self) -> float | None:
        """
        Seconds from its first start to its end; ``None`` while it has not ended, or when its end or start is unknown.
        """
        started = parse_rfc3339(self.started_at)
        if not self.offline_at or started is None:
            return None
        return max(0.0, self.offline_at - started)


class PostState(StrEnum):
    """
    Where a post stands: it can be changed; it needs no further change; it was deleted there; its id is unknown.
    """

    OPEN = "open"
    CLOSED = "closed"
    GONE = "gone"
    LOST = "lost"


@frozen(kw_only=True)
class Post:
    """
    What stands at a destination for a broadcast: one message, which later events change.

    :ivar place: as :attr:`Destination.place` when it was created; its id means nothing at another.
    :ivar remote: what the service calls it, as its adapter wrote it; empty when that is unknown.
    :ivar shown: hash of what it shows, so that an edit that changes nothing is not sent.
    """

    broadcast: str
    destination: str
    place: str
    remote: str
    shown: str = ""
    state: PostState = PostState.OPEN


@frozen(kw_only=True)
class Standing:
    """
    Where the post stands that a delivery is about.

    :ivar broadcast: what the event belongs to; ``None`` when none was open.
    :ivar post: what stands at the destination; ``None`` when nothing was created there.
    :ivar creating: id of an earlier delivery that may still create the post; ``None`` when there is none.
    :ivar uncertain: whether an attempt of it may have created the post although no answer says so.
    :ivar changing: whether an earlier change of the post, or a refresh, waits for an attempt.
    :ivar overtaken: whether a later change of the post was delivered, or waits for an attempt; of a refresh, whether
        any change waits for one.
    :ivar given_up: whether the delivery that was to create the post was ended, since the broadcast was over.
    :ivar requested: whether an operator asked for this delivery.
    :ivar failed: how an earlier delivery ended that was to create the post and did not; ``None`` when there is none.
    :ivar mentioned: whether a message to the destination about this broadcast has mentioned its readers, or may have.
    :ivar mentioned_at: when the destination was last mentioned for the streamer; ``None`` for never.
    """

    broadcast: Broadcast | None = None
    post: Post | None = None
    creating: str | None = None
    uncertain: bool = False
    changing: bool = False
    overtaken: bool = False
    given_up: bool = False
    requested: bool = False
    failed: State | None = None
    mentioned: bool = False
    mentioned_at: float | None = None

    def shows(self, shown: str) -> bool:
        """
        Whether the post shows something already, by its hash, and nothing that is under way changes that.
        """
        return self.post is not None and self.post.shown == shown and not self.changing
