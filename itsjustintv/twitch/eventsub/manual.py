"""
The subscriptions for an operator who wants to see them, understand them, or put them in order by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from attrs import define, evolve, frozen
from twisted.internet.interfaces import IReactorTime

from itsjustintv.errors import TwitchUnavailable
from itsjustintv.twitch.eventsub.plan import ENABLED, PENDING, Action, Plan, is_kind, plan
from itsjustintv.twitch.eventsub.plan_runner import PlanRunner, Settings, Tasks
from itsjustintv.twitch.eventsub.secret_rotation import Fingerprints
from itsjustintv.twitch.eventsub.subscriptions_api import Listing, Subscription, SubscriptionsAPI

__all__ = ["ManualSubscriptions", "Snapshot"]


@frozen
class Snapshot:
    """
    How things stand at one moment.

    :ivar wanted: keys of the configuration by user id.
    :ivar plan: what is to be done.
    """

    listing: Listing
    wanted: Mapping[str, str]
    plan: Plan
    _callback: str

    def is_ours(self, subscription: Subscription) -> bool:
        """
        Whether a subscription is one that we would touch.
        """
        decided = (*self.plan.keep, *self.plan.wait, *self.plan.delete)
        return any(each.subscription == subscription for each in decided)

    def streamer(self, broadcaster_id: str) -> str:
        """
        What the operator calls somebody.
        """
        return self.wanted.get(broadcaster_id, broadcaster_id)

    def steps(self) -> Sequence[str]:
        """
        Say what is to be done, a line for each thing.
        """
        said = [("delete", each) for each in self.plan.delete]
        said += [("create", each) for each in self.plan.create]
        said += [("wait for", each) for each in self.plan.wait]
        return [
            f"{verb} {each.subscription.id + ' of ' if each.subscription else ''}{self.streamer(each.broadcaster_id)}:"
            f" {each.reason}"
            for verb, each in said
        ]

    def explain(self, broadcaster_id: str) -> Sequence[tuple[str, str]]:
        """
        Answer about one streamer what an operator would ask.

        :param broadcaster_id: empty while it is not known.
        """
        wanted = broadcaster_id in self.wanted
        said = [
            ("wanted", f"yes, by streamers.{self.wanted[broadcaster_id]}" if wanted else "no"),
            ("user id", broadcaster_id or "unknown login: no such user at Twitch"),
            ("callback", self._callback),
        ]
        about = [each for each in self.listing.subscriptions if is_kind(each) and each.broadcaster_id == broadcaster_id]
        mine = [each for each in about if self.is_ours(each)]
        for each in mine:
            said += [
                ("subscription", each.id),
                ("status", each.status or "unknown"),
                ("since", f"{each.created_at or 'unknown'} (when it was created)"),
            ]
            said += [("why not", reason) for reason in self._reasons(each)]
        if not mine:
            said.append(("subscription", "none with this callback"))
        if others := sorted({urlsplit(each.callback).hostname or each.method for each in about if each not in mine}):
            said.append(("others", f"not touched, of {', '.join(others)}"))
        said.append(("next", self._next(broadcaster_id, wanted)))
        return said

    def _reasons(self, subscription: Subscription) -> Sequence[str]:
        return [each.reason for each in (*self.plan.wait, *self.plan.delete) if each.subscription == subscription]

    def _next(self, broadcaster_id: str, wanted: bool) -> str:
        def concerns(decisions: Sequence[Action]) -> bool:
            return any(each.broadcaster_id == broadcaster_id for each in decisions)

        if not broadcaster_id:
            return "correct the login in the configuration"
        if concerns(self.plan.create):
            verb = "replaced" if concerns(self.plan.delete) else "created"
            return f"it is {verb} by the daemon, or at once by 'itsjustintv subscriptions sync'"
        if concerns(self.plan.wait):
            return "the callback is verified by twitch; if that does not happen within 10 minutes, it is replaced"
        if concerns(self.plan.delete):
            return "it is deleted by the daemon, or at once by 'itsjustintv subscriptions prune'"
        return "nothing: it is as it should be" if wanted else "nothing: nobody wants to know"


@define(eq=False)
class ManualSubscriptions:
    """
    Looks, and does what is asked for.

    :ivar wanted: keys of the configuration by user id.
    """

    _api: SubscriptionsAPI
    _fingerprints: Fingerprints
    _clock: IReactorTime
    _terms: Settings
    wanted: Mapping[str, str]

    async def look(self) -> Snapshot:
        """
        Compare what is wanted with what there is. Changes nothing.

        :raises TwitchError: Twitch does not tell.
        :raises JournalUnavailable: it cannot be known which subscriptions are ours.
        """
        await self._fingerprints.load()
        listing = await self._api.list()
        drawn = plan(
            self.wanted,
            listing,
            self._terms.callback,
            lambda each: self._fingerprints.matches(each.id, self._terms.secret),
            self._clock.seconds(),
            created_here=self._fingerprints.created_here,
        )
        return Snapshot(listing, self.wanted, drawn, self._terms.callback)

    async def sync(self, view: Snapshot, advanced: Callable[[], object] = lambda: None) -> Tasks:
        """
        Do all that is to be done.

        :param advanced: is called whenever one more of :attr:`Plan.streamers` has been worked on.
        :raises TwitchUnavailable: Twitch does not answer, and nothing has been done.
        :raises JournalUnavailable: what was created is not remembered, and will be created again.
        """
        everything = len(view.plan.delete) + len(view.plan.create)
        crew = PlanRunner(self._api, self._fingerprints)
        work = await crew.carry_out(view.plan, self._terms, limit=everything, advanced=advanced)
        await self._fingerprints.save()
        if work.unavailable is not None and not (work.created or work.deleted):
            raise TwitchUnavailable(str(work.unavailable))
        return work

    async def prune(self, view: Snapshot, advanced: Callable[[], object] = lambda: None) -> Tasks:
        """
        Only delete, and only what has ended or what nobody wants; see :meth:`superfluous`.

        :param advanced: as in :meth:`sync`.
        :raises TwitchUnavailable: Twitch does not answer, and nothing has been done.
        """
        return await self.sync(evolve(view, plan=Plan(delete=self.superfluous(view))), advanced)

    def superfluous(self, view: Snapshot) -> tuple[Action, ...]:
        """
        What can be deleted without a gap: what does not deliver anyway, and what delivers what nobody wants.
        """
        replaced = {each.broadcaster_id for each in view.plan.create}
        return tuple(
            each
            for each in view.plan.delete
            if each.broadcaster_id not in replaced
            or (each.subscription is not None and each.subscription.status not in (ENABLED, PENDING))
        )
