"""
What a delivery does with the post of its broadcast, when its turn comes: pure decisions.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from math import inf

from attrs import evolve, frozen

from itsjustintv.filters import unwanted_hour
from itsjustintv.model import (
    CHANNEL_UPDATE,
    STREAM_OFFLINE,
    STREAM_ONLINE,
    Action,
    Broadcast,
    Destination,
    DestinationPolicy,
    Enrichment,
    Event,
    Notice,
    Post,
    PostState,
    Standing,
    State,
    Streamer,
    end_key,
    message_key,
    return_key,
)

__all__ = [
    "OVERTAKEN",
    "SHOWN_ALREADY",
    "STILL_LIVE",
    "WAITS",
    "Decision",
    "PostPolicy",
    "as_refresh",
    "as_return",
    "as_update",
    "complete",
    "decide",
    "decide_refresh",
    "end_before",
    "hash_shown",
    "is_needless",
    "may_mention",
    "wants_previews",
    "wants_recordings",
]

#: Why a delivery was superseded: stable words for the journal, logs and metrics.
OVERTAKEN = "overtaken by later news"
SHOWN_ALREADY = "the post shows it already"
STILL_LIVE = "the broadcast is still live"

#: Why a delivery is held.
WAITS = "waits for the first message of the broadcast"


@frozen
class Decision:
    """
    What to do, or how the delivery ends without being sent.

    :ivar action: what to send, if it is sent.
    :ivar end: the state in which it ends, if it is not and does not wait.
    :ivar wait: whether to look again later, since another delivery comes first.
    :ivar reason: why it ends or waits: stable words for the journal and the log.
    :ivar supersede: id of the delivery that was to create the post and must not any more.
    """

    action: Action | None = None
    end: State = State.SUPERSEDED
    wait: bool = False
    reason: str = ""
    supersede: str | None = None


def _end(reason: str, state: State = State.SUPERSEDED, supersede: str | None = None) -> Decision:
    return Decision(end=state, reason=reason, supersede=supersede)


_NOTHING_OPEN = _end("no broadcast that is live goes on with it", State.FILTERED)
_NOT_ANNOUNCED = _end("the broadcast was not announced here", State.FILTERED)
_NOT_EDITABLE = _end("the destination cannot edit what it has posted")
_NOT_DELIVERED = _end("the first message of the broadcast was not delivered")
_ENDED = "the broadcast ended before it could be announced"
_OVER = _end("the broadcast has ended")
_NOT_LISTED = _end("Twitch does not list the stream")
_NO_POST = _end("there is no post to refresh")
_NOT_ASKED_FOR = _end("the destination does not ask for it any more")
_WAIT = Decision(wait=True, reason=WAITS)

# Seconds for which Get Channel Information and Get Streams may still show what was before a change.
_HELIX_DELAY = 90.0


@frozen
class PostPolicy:
    """
    The decisions below, with the configuration and the clocks of the moment.

    :ivar window: seconds after its end within which a stream goes on with a broadcast.
    :ivar settling: seconds for which changes of title and category are collected.
    :ivar under_way: whether an attempt on a delivery is being made.
    :ivar now: by the clock of the journal.
    :ivar wall: by the wall clock, since Twitch dates the end of a stream.
    :ivar previews: after how many seconds a post that shows a preview of a live broadcast is refreshed.
    :ivar recordings: after how many seconds the post of one that has ended is, for a recording that it does not have.
    """

    _window: Callable[[], float]
    _settling: Callable[[], float]
    _under_way: Callable[[str], bool]
    _now: Callable[[], float]
    _wall: Callable[[], float]
    _previews: Callable[[], tuple[float, ...]] = lambda: ()
    _recordings: Callable[[], tuple[float, ...]] = lambda: ()

    def delay(self, event: Event) -> float:
        """
        For how many seconds an event waits for what may follow: a stream that comes back, or a further change.
        """
        if event.event_type == CHANNEL_UPDATE:
            return self._settling()
        if event.event_type != STREAM_OFFLINE:
            return 0.0
        if not event.recovered:
            return self._window()
        # It may have ended long ago, or nothing says when.
        return max(0.0, event.occurred_at + self._window() - self._wall())

    def has_ended(self, broadcast: Broadcast) -> bool:
        """
        Whether a broadcast is over for good: nothing followed within the window.
        """
        return broadcast.offline_at is not None and self._wall() - broadcast.offline_at >= self._window()

    def decide(self, event: Event, destination: Destination, standing: Standing) -> Decision:
        """
        Do as :func:`decide`, now.
        """
        return decide(
            event.event_type,
            destination.policy,
            standing,
            place=destination.place,
            edits=destination.edits,
            ended=standing.broadcast is not None and self.has_ended(standing.broadcast),
            creation_under_way=standing.creating is not None and self._under_way(standing.creating),
        )

    def refreshes(self, event: Event, notice: Notice, destination: Destination, action: Action) -> tuple[float, ...]:
        """
        How many seconds after its acceptance a delivery is followed by refreshes of the post that it shows.

        :param event: as it was accepted.
        """
        broadcast = notice.broadcast
        if broadcast is None or action not in (Action.CREATE, Action.EDIT):
            return ()
        if event.event_type == STREAM_OFFLINE:
            is_complete = len(notice.enrichment.vods) >= len(broadcast.stream_ids)
            return () if is_complete or not wants_recordings(destination) else self._recordings()
        # A change shows the preview of its moment, late enough for Twitch to have one.
        begins = action is Action.CREATE or event.event_type == STREAM_ONLINE
        return self._previews() if begins and not shows_end(notice) and wants_previews(destination) else ()

    def is_recent(self, broadcast: Broadcast) -> bool:
        """
        Whether what Helix says of a broadcast may be older than what was announced last.
        """
        return self._wall() - broadcast.seen_at < _HELIX_DELAY

    def notice(  # noqa: PLR0917 - all of it is rendered
        self,
        event: Event,
        streamer: Streamer,
        enrichment: Enrichment,
        destination: Destination,
        standing: Standing,
        action: Action,
    ) -> Notice:
        """
        Make what is rendered: with a mention if there may be one, and silent in quiet hours and for what is over.
        """
        policy, broadcast = destination.policy, standing.broadcast
        ended = event.event_type == STREAM_OFFLINE or (broadcast is not None and self.has_ended(broadcast))
        if ended and action is not Action.FOLLOW_UP:
            # What is late is shown as it is now.
            event = evolve(event, event_type=STREAM_OFFLINE)
        is_quiet = bool(unwanted_hour(policy, self._wall(), any_quiet=True))
        silent = is_quiet or ended or action is Action.FOLLOW_UP
        return Notice(
            event=event,
            streamer=streamer,
            enrichment=enrichment,
            built_at=self._wall(),
            action=Action.EDIT if action is Action.REFRESH else action,
            broadcast=broadcast,
            mention=standing.mentioned
            if action in (Action.EDIT, Action.REFRESH)
            else action is Action.CREATE and not silent and may_mention(policy, standing, self._now()),
            silent=silent,
        )


def may_mention(policy: DestinationPolicy, standing: Standing, now: float) -> bool:
    """
    Whether a new post mentions those whom the policy names: once for a broadcast, and not within the cooldown after the
    last mention for the streamer.

    :param now: by the clock of the journal.
    """
    if not policy.mention or standing.mentioned:
        return False
    return now - (-inf if standing.mentioned_at is None else standing.mentioned_at) >= policy.cooldown


def as_return(event: Event, latest: Broadcast | None) -> Event | None:
    """
    Make news of the start of a stream that is known, if it came back under its id after the end of its broadcast.

    :param latest: the last broadcast of the channel.
    :return: the event with keys of its own; ``None`` for a copy of the start.
    """
    if latest is None or latest.offline_at is None or latest.stream_ids[-1:] != (event.stream_id,):
        return None
    if event.sent_at <= latest.offline_at:
        return None
    return evolve(event, keys=(message_key(event.message_id), return_key(latest.id, latest.offline_at)))


def end_before(event: Event, former: Broadcast, event_id: str) -> Event:
    """
    Make the end of a broadcast that no message reported, of the start of the next one.
    """
    stream_id = former.stream_ids[-1] if former.stream_ids else ""
    return Event(
        id=event_id,
        message_id="",
        stream_id=stream_id,
        broadcaster_id=event.broadcaster_id,
        broadcaster_login=event.broadcaster_login,
        broadcaster_name=event.broadcaster_name,
        type="",
        started_at="",
        received_at=event.received_at,
        recovered=True,
        event_type=STREAM_OFFLINE,
        keys=(end_key(former.id, stream_id),),
    )


def as_update(event: Event, enrichment: Enrichment) -> Event:
    """
    Make of an end that turned out to be none what it has found out instead: title and category as they are now.
    """
    stream = enrichment.stream
    return evolve(
        event,
        event_type=CHANNEL_UPDATE,
        title=stream.title,
        category_id=stream.game_id,
        category=stream.game_name,
        language=stream.language,
    )


def as_refresh(event: Event, broadcast: Broadcast | None) -> Event:
    """
    Make of an event that showed a post as live what a refresh of it shows: whatever is true of the broadcast now.
    """
    if event.event_type == STREAM_OFFLINE or broadcast is None:
        return event
    return evolve(event, event_type=STREAM_ONLINE, stream_id=next(reversed(broadcast.stream_ids), event.stream_id))


def complete(
    event: Event, enrichment: Enrichment, broadcast: Broadcast, *, is_behind: bool = False
) -> tuple[Event, Enrichment]:
    """
    Add what is known of a broadcast to what could not be found out: the type of its stream, title and category. After
    the end these are the last that were announced, since the channel may show the next ones.

    :param is_behind: whether title and category may not be the newest that were announced.
    """
    stream = enrichment.stream
    if event.event_type == STREAM_OFFLINE or is_behind:
        stream = evolve(stream, title=broadcast.title or stream.title, game_name=broadcast.category or stream.game_name)
    elif event.event_type != CHANNEL_UPDATE and not stream.title:
        stream = evolve(stream, title=broadcast.title, game_name=stream.game_name or broadcast.category)
    return evolve(event, type=event.type or broadcast.type), evolve(enrichment, stream=stream)


def hash_shown(notice: Notice) -> str:
    """
    Hash what a post shows, as far as a change of it is worth an edit: not the number of viewers.
    """
    stream, broadcast = notice.enrichment.stream, notice.broadcast
    ended = shows_end(notice)
    parts = (
        notice.event.broadcaster_name,
        stream.title,
        stream.game_name,
        repr(broadcast.offline_at) if ended and broadcast is not None else "",
        *notice.enrichment.vods,
        *notice.streamer.additional_tags,
    )
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def decide(  # noqa: PLR0911 - a table
    event_type: str,
    policy: DestinationPolicy,
    standing: Standing,
    *,
    place: str,
    edits: bool,
    ended: bool,
    creation_under_way: bool,
) -> Decision:
    """
    Decide what becomes of a post.

    :param place: the address of the destination now, as :attr:`~itsjustintv.model.Destination.place`.
    :param edits: whether the destination can edit its posts. Otherwise an edit would be one more message.
    :param ended: whether the broadcast is over for good.
    :param creation_under_way: whether the attempt that may create the post is being made at this moment.
    """
    post = standing.post
    if standing.broadcast is None:
        # News that was accepted when the destination was another one, which kept no posts.
        return Decision(action=Action.CREATE) if event_type == STREAM_ONLINE else _NOTHING_OPEN
    if event_type == STREAM_OFFLINE:
        if standing.broadcast.is_live:
            return _end(STILL_LIVE)
        return _offline(policy, standing, place, creation_under_way=creation_under_way)
    # Of what is over, nothing is created that would have to be deleted at once.
    may_create = not ended or (policy.on_offline != "delete" and (policy.late == "tell" or standing.requested))
    if post is not None:
        if event_type == CHANNEL_UPDATE and policy.on_update == "post":
            return Decision(action=Action.FOLLOW_UP)
        unchangeable = _unchangeable(post, place) if edits or post.state is PostState.GONE else _NOT_EDITABLE
        if unchangeable is None:
            is_old = event_type == CHANNEL_UPDATE and standing.overtaken
            return _end(OVERTAKEN) if is_old else Decision(action=Action.EDIT)
        is_recreated = post.state is PostState.GONE and policy.recreate and not ended
        return Decision(action=Action.CREATE) if is_recreated or (standing.requested and may_create) else unchangeable
    if standing.creating is not None:
        return _WAIT
    if standing.failed is not None and not standing.requested:
        return _NOT_DELIVERED
    return Decision(action=Action.CREATE) if may_create else _end(_ENDED)


def _offline(  # noqa: PLR0911 - a table
    policy: DestinationPolicy, standing: Standing, place: str, *, creation_under_way: bool
) -> Decision:
    post = standing.post
    late = policy.late == "tell" and policy.on_offline != "delete"
    if post is not None:
        if policy.on_offline == "post":
            return Decision(action=Action.FOLLOW_UP)
        action = Action.DELETE if policy.on_offline == "delete" else Action.EDIT
        return _unchangeable(post, place) or Decision(action=action)
    if standing.creating is not None:
        if standing.uncertain or creation_under_way:
            return _WAIT
        if late:
            return Decision(action=Action.CREATE, supersede=standing.creating)
        return _end(_ENDED, supersede=standing.creating)
    if standing.given_up and standing.failed is None:
        return Decision(action=Action.CREATE) if late else _end(_ENDED)
    if standing.failed is None:
        return _NOT_ANNOUNCED
    if late and policy.on_offline == "post":
        return Decision(action=Action.FOLLOW_UP)
    return _NOT_DELIVERED


def decide_refresh(  # noqa: PLR0911 - a table
    event_type: str, destination: Destination, standing: Standing, *, listed: bool
) -> Decision:
    """
    Decide whether a post is refreshed. What stands there is edited, or stays as it is: nothing is created or deleted.

    :param listed: whether Twitch lists the stream.
    """
    broadcast, post = standing.broadcast, standing.post
    if broadcast is None or post is None:
        return _NO_POST
    if event_type == STREAM_OFFLINE:
        if broadcast.is_live:
            return _end(STILL_LIVE)
        wanted = wants_recordings(destination)
    else:
        if not broadcast.is_live:
            return _OVER
        if not listed:
            return _NOT_LISTED
        wanted = wants_previews(destination)
    if not wanted:
        return _NOT_ASKED_FOR
    if standing.overtaken:
        return _end(OVERTAKEN)
    return _unchangeable(post, destination.place) or Decision(action=Action.REFRESH)


def is_needless(notice: Notice, action: Action) -> bool:
    """
    Whether nothing needs to be sent when a post shows by its hash what a notice does. A preview is a new one each time.
    """
    if action is Action.REFRESH:
        return shows_end(notice) or not notice.enrichment.stream.thumbnail_url
    return action is Action.EDIT


def shows_end(notice: Notice) -> bool:
    """
    Whether a notice shows that the broadcast is over.
    """
    return notice.event.event_type == STREAM_OFFLINE


def wants_previews(destination: Destination) -> bool:
    """
    Whether the posts of a destination show a preview, and are edited while the broadcast is live.
    """
    policy = destination.policy
    return destination.previews and policy.on_update == "edit" and "update" in policy.events


def wants_recordings(destination: Destination) -> bool:
    """
    Whether the posts of a destination are edited when the broadcast has ended.
    """
    policy = destination.policy
    return destination.edits and policy.on_offline == "edit" and "offline" in policy.events


def _unchangeable(post: Post, place: str) -> Decision | None:
    """
    Why a post cannot be changed, if it cannot.
    """
    if post.state is PostState.GONE:
        return _end("the post was deleted at the destination")
    if post.state is PostState.LOST:
        return _end("the id of the post is not known")
    if post.place != place:
        return _end("the post is at a former address of the destination")
    return None
