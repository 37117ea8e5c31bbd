"""
The `subscriptions` command: shows, explains and reconciles the subscriptions without the daemon.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime

from itsjustintv.errors import TwitchUnavailable
from itsjustintv.twitch.eventsub.event_types import STREAM_ONLINE, Topic, name_topic
from itsjustintv.twitch.eventsub.plan import ENABLED, PENDING, Action, Plan, plan, topics_of
from itsjustintv.twitch.eventsub.plan_runner import PlanResult, PlanRunner
from itsjustintv.twitch.eventsub.secret_rotation import Fingerprints
from itsjustintv.twitch.eventsub.subscriptions_api import Listing, Subscription, SubscriptionsAPI
from itsjustintv.twitch.eventsub.transport import ConduitTransport, Transport

__all__ = ["ManualSubscriptions", "Snapshot"]


@frozen
class Snapshot:
    """
    The configuration and Twitch's list at one moment, compared.

    :ivar streamers: keys of the configuration by user id.
    :ivar topics: everything that is wanted.
    :ivar plan: what is to be done.
    """

    listing: Listing
    streamers: Mapping[str, str]
    topics: Sequence[Topic]
    plan: Plan
    _transport: Transport

    def is_ours(self, subscription: Subscription) -> bool:
        """
        Whether a subscription is one that the daemon manages.
        """
        actions = (*self.plan.keep, *self.plan.wait, *self.plan.delete)
        return any(each.subscription == subscription for each in actions)

    def streamer(self, broadcaster_id: str) -> str:
        """
        Name a streamer as the configuration does; by the user id when it is not configured.
        """
        return self.streamers.get(broadcaster_id, broadcaster_id)

    def name(self, topic: Topic | None, broadcaster_id: str) -> str:
        """
        Name a streamer, and what a subscription is for unless it is for the start of broadcasts.
        """
        return name_topic(topic, self.streamer(broadcaster_id))

    def steps(self) -> Sequence[str]:
        """
        Describe what is to be done, one line per step.
        """
        steps = [("delete", each) for each in self.plan.delete]
        steps += [("create", each) for each in self.plan.create]
        steps += [("wait for", each) for each in self.plan.wait]
        steps += [("do not create", each) for each in self.plan.postponed]
        return [
            f"{verb} {each.subscription.id + ' of ' if each.subscription else ''}"
            f"{self.name(each.topic, each.broadcaster_id)}: {each.reason}"
            for verb, each in steps
        ]

    def explain(self, broadcaster_id: str) -> Sequence[tuple[str, str]]:
        """
        Answer an operator's questions about one streamer: pairs of question and answer.

        :param broadcaster_id: empty while it is not known.
        """
        configured = broadcaster_id in self.streamers
        where = "conduit" if isinstance(self._transport, ConduitTransport) else "callback"
        answers = [
            ("wanted", f"yes, by streamers.{self.streamers[broadcaster_id]}" if configured else "no"),
            ("user id", broadcaster_id or "unknown login: no such user at Twitch"),
            ("transport", self._transport.words),
        ]
        about = [
            each
            for each in self.listing.subscriptions
            if each.topic is not None and each.topic.broadcaster_id == broadcaster_id
        ]
        mine = [each for each in about if self.is_ours(each)]
        for each in mine:
            answers += [
                ("subscription", name_topic(each.topic, each.id)),
                ("status", each.status or "unknown"),
                ("since", f"{each.created_at or 'unknown'} (when it was created)"),
            ]
            answers += [("why not", reason) for reason in self._reasons(each)]
        if not mine:
            answers.append(("subscription", f"none with this {where}"))
        subscribed = {each.topic for each in mine}
        lacking = [each for each in self.topics if each.broadcaster_id == broadcaster_id and each not in subscribed]
        answers += [
            ("subscription", f"none for {each.event_type.name}")
            for each in lacking
            if each.event_type is not STREAM_ONLINE
        ]
        answers += [("why not", each.reason) for each in self.plan.postponed if each.broadcaster_id == broadcaster_id]
        if others := sorted({each.transport.host or each.transport.method for each in about if each not in mine}):
            answers.append(("others", f"not touched, of {', '.join(others)}"))
        answers.append(("next", self._next(broadcaster_id, configured=configured)))
        return answers

    def _reasons(self, subscription: Subscription) -> Sequence[str]:
        return [each.reason for each in (*self.plan.wait, *self.plan.delete) if each.subscription == subscription]

    def _next(self, broadcaster_id: str, *, configured: bool) -> str:
        def concerns(actions: Sequence[Action]) -> bool:
            return any(each.broadcaster_id == broadcaster_id for each in actions)

        if not broadcaster_id:
            return "correct the login in the configuration"
        if concerns(self.plan.create):
            verb = "replace" if concerns(self.plan.delete) else "create"
            by_hand = f"the daemon will {verb} it; to do so now, run 'itsjustintv subscriptions sync'"
            at_start = "start the daemon, which creates the conduit and the subscription"
            return at_start if self._transport == ConduitTransport("") else by_hand
        if concerns(self.plan.wait):
            return "Twitch verifies the callback; after 10 minutes without success, it is replaced"
        if concerns(self.plan.delete):
            return "the daemon will delete it; to do so now, run 'itsjustintv subscriptions prune'"
        if concerns(self.plan.postponed):
            return "ask Twitch for a higher limit, or use another client id for some streamers"
        return "nothing: the subscription works" if configured else "nothing: the streamer is not configured"


@define(eq=False)
class ManualSubscriptions:
    """
    Takes snapshots, and carries out what an operator asks for.

    :ivar streamers: keys of the configuration by user id.
    :ivar wanted: the types of events that destinations of a streamer ask for, by user id.
    """

    _api: SubscriptionsAPI
    _fingerprints: Fingerprints
    _clock: IReactorTime
    _transport: Transport
    streamers: Mapping[str, str]
    _wanted: Mapping[str, Collection[str]] = field(factory=dict, kw_only=True)

    async def take_snapshot(self) -> Snapshot:
        """
        Compare the configuration with Twitch's list. Changes nothing.

        :raises TwitchError: the list is not available.
        :raises JournalUnavailable: it is not known which subscriptions are ours.
        """
        await self._fingerprints.load()
        listing = await self._api.list()
        wanted = {each: self._wanted.get(each, ()) for each in self.streamers}
        needed = plan(
            wanted,
            listing,
            self._transport,
            lambda each: self._fingerprints.is_current(each, self._transport.secret),
            self._clock.seconds(),
            created_here=self._fingerprints.created_here,
        )
        return Snapshot(listing, self.streamers, topics_of(wanted), needed, self._transport)

    async def sync(self, snapshot: Snapshot, on_progress: Callable[[], object] = lambda: None) -> PlanResult:
        """
        Do everything in the plan.

        :param on_progress: called after each of :attr:`Plan.topics`.
        :raises TwitchUnavailable: Twitch does not answer, and nothing has been done.
        :raises JournalUnavailable: the fingerprint of what was created is not stored; it will be created again.
        """
        everything = len(snapshot.plan.delete) + len(snapshot.plan.create)
        runner = PlanRunner(self._api, self._fingerprints)
        result = await runner.run(snapshot.plan, self._transport, limit=everything, on_progress=on_progress)
        await self._fingerprints.save()
        if result.unavailable is not None and not (result.created or result.deleted):
            raise TwitchUnavailable(str(result.unavailable))
        return result

    async def prune(self, snapshot: Snapshot, on_progress: Callable[[], object] = lambda: None) -> PlanResult:
        """
        Delete what is :meth:`superfluous`, and create nothing.

        :param on_progress: as in :meth:`sync`.
        :raises TwitchUnavailable: Twitch does not answer, and nothing has been done.
        """
        return await self.sync(evolve(snapshot, plan=Plan(delete=self.superfluous(snapshot))), on_progress)

    def superfluous(self, snapshot: Snapshot) -> tuple[Action, ...]:
        """
        What can be deleted without a gap: what does not deliver anyway, and what is for streamers who are not
        configured.
        """
        replaced = {each.topic for each in (*snapshot.plan.create, *snapshot.plan.postponed)}
        return tuple(
            each
            for each in snapshot.plan.delete
            if each.topic not in replaced
            or (each.subscription is not None and each.subscription.status not in (ENABLED, PENDING))
        )
