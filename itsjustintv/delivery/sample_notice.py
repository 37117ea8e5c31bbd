"""
Notices that are shown or sent without anything having happened: for a preview and for a test of a destination.
"""

from __future__ import annotations

from attrs import evolve, frozen

from itsjustintv.model import (
    CHANNEL_UPDATE,
    STREAM_OFFLINE,
    Action,
    Broadcast,
    Destination,
    Enrichment,
    Event,
    Notice,
    StreamDetails,
    Streamer,
    parse_rfc3339,
    rfc3339,
)

__all__ = ["TEST_DETAILS", "SampleNotice", "action_for"]

#: What a test says instead of what Twitch knows.
TEST_DETAILS = Enrichment(
    stream=StreamDetails(
        title="A test notification from itsjustintv, not a live broadcast", game_name="Just Chatting", language="en"
    ),
    tags=(),
)

_CHANGED = "A test notification from itsjustintv: the title has changed"

# How long a broadcast lasted whose start is not known, in seconds.
_LENGTH = 5400.0


def action_for(event: str, destination: Destination) -> Action:
    """
    What a destination does with a post at an event, ``online``, ``update`` or ``offline``, when all goes well.
    """
    policy = destination.policy
    if not destination.keeps_posts or event == "online":
        return Action.CREATE
    word = policy.on_update if event == "update" else policy.on_offline
    return {"edit": Action.EDIT, "delete": Action.DELETE}.get(word, Action.FOLLOW_UP)


@frozen(kw_only=True)
class SampleNotice:
    """
    Makes the notices of a broadcast that is not one, or not one of now.

    :ivar id: of the broadcast, and the beginning of those of its events.
    :ivar now: by the wall clock.
    :ivar name: of the streamer, as viewers see it; by default the login.
    :ivar stream_id: of the stream; likewise ``started_at``, RFC 3339, by default now.
    :ivar is_test: whether it is marked as a test.
    """

    streamer: Streamer
    id: str
    now: float
    enrichment: Enrichment = TEST_DETAILS
    name: str = ""
    stream_id: str = "0"
    started_at: str = ""
    is_test: bool = False

    def make(self, event: str, destination: Destination, action: Action, *, mention: bool = False) -> Notice:
        """
        Make the notice of an event for a destination.

        :param event: ``online``, ``update`` or ``offline``.
        """
        posts, details = destination.keeps_posts, self.enrichment
        if event == "update" and self.is_test:
            details = evolve(details, stream=evolve(details.stream, title=_CHANGED))
        return Notice(
            event=self._event(event, details, marked=posts and self.is_test),
            streamer=self.streamer,
            enrichment=details,
            built_at=self.now,
            test=self.is_test,
            action=action,
            broadcast=self._broadcast(event) if posts else None,
            mention=mention,
        )

    def _event(self, event: str, details: Enrichment, *, marked: bool) -> Event:
        login = self.streamer.login or self.streamer.key
        name = self.name or login
        started = Event(
            id=self.id,
            message_id="",
            stream_id=self.stream_id,
            broadcaster_id=self.streamer.user_id or "0",
            broadcaster_login=login,
            # A template may show nothing else.
            broadcaster_name=f"{name} (test)" if marked else name,
            type="live",
            started_at=self.started_at or rfc3339(self.now),
            received_at=self.now,
        )
        if event == "online":
            return started
        later = evolve(started, id=f"{self.id}-{event}", stream_id="", type="", started_at="", occurred_at=self.now)
        if event == "offline":
            return evolve(later, event_type=STREAM_OFFLINE)
        stream = details.stream
        return evolve(
            later,
            event_type=CHANNEL_UPDATE,
            title=stream.title,
            category_id=stream.game_id,
            category=stream.game_name,
            language=stream.language,
        )

    def _broadcast(self, event: str) -> Broadcast:
        started, stream, is_over = self.started_at, self.enrichment.stream, event == "offline"
        if is_over and (parse_rfc3339(started) or self.now) >= self.now:
            started = rfc3339(self.now - _LENGTH)
        return Broadcast(
            id=self.id,
            broadcaster_id=self.streamer.user_id or "0",
            streamer=self.streamer.key,
            started_at=started or rfc3339(self.now),
            stream_ids=(self.stream_id,),
            offline_at=self.now if is_over else None,
            title=stream.title,
            category=stream.game_name,
        )
