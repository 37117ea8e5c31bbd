"""
Builds what receives EventSub messages through a conduit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from itsjustintv.app.context import Context
from itsjustintv.support.http_agents import make_endpoints
from itsjustintv.twitch.api.helix import Helix
from itsjustintv.twitch.eventsub.conduits_api import ConduitsAPI
from itsjustintv.twitch.eventsub.intake import FrameIntake, Intake
from itsjustintv.twitch.eventsub.shards import MakeSession, ShardService
from itsjustintv.twitch.eventsub.transport import ConduitTransport

if TYPE_CHECKING:
    from itsjustintv.twitch.eventsub.session import EventSubSession, SessionOwner

__all__ = ["ConduitParts"]


@frozen
class ConduitParts:
    """
    The connections to Twitch, and what takes their messages. Without a conduit they do nothing.
    """

    frames: FrameIntake
    shards: ShardService

    @classmethod
    def of(
        cls,
        context: Context,
        helix: Helix,
        intake: Intake,
        on_gap: Callable[[float], None],
        on_open: Callable[[ConduitTransport], None],
    ) -> ConduitParts:
        """
        :param on_gap: called when messages may have been missed; see :class:`ShardService`.
        :param on_open: called when messages can arrive through another conduit than before.
        """
        config = context.config

        def on_pressure(pressed: bool) -> None:
            shards.pause(pressed)

        frames = FrameIntake(intake, context.reactor, context.new_event_id, on_pressure)
        shards = ShardService(
            ConduitsAPI(helix),
            _session_factory(context),
            lambda: config().twitch,
            context.reactor,
            context.file_threads.run,
            frames.received,
            on_gap,
            on_open,
            context.wall.seconds,
        )
        return cls(frames, shards)

    def public(self) -> Mapping[str, object] | None:
        """
        Numbers for the public health report; ``None`` where messages arrive by webhook.
        """
        if not (configured := self.shards.configured()):
            return None
        found = self.shards.status()
        return {
            "shards": configured,
            "enabled": sum(each.enabled for each in found),
            "standing_by": sum(each.standing_by for each in found),
            "held": self.frames.held,
        }


def _session_factory(context: Context) -> MakeSession:
    endpoints = make_endpoints(context.reactor)

    def make_session(owner: SessionOwner, name: str) -> EventSubSession:
        # With these comes the library of the WebSocket, which only a conduit needs.
        from itsjustintv.support.websocket import WebSocketDialer  # noqa: PLC0415
        from itsjustintv.twitch.eventsub.session import EventSubSession  # noqa: PLC0415

        return EventSubSession(
            WebSocketDialer(context.reactor, endpoints),
            context.reactor,
            context.random,
            lambda: context.config().twitch.conduit.websocket_url,
            lambda: int(context.config().twitch.conduit.keepalive),
            owner,
            name,
        )

    return make_session
