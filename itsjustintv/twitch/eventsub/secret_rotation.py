"""
Which secret each subscription was created with, remembered as a fingerprint.

Twitch never shows the secret of a subscription, and always signs with the one it was created with (dev.twitch.tv,
"Handling webhook events").
"""

from __future__ import annotations

import hmac
from collections.abc import Container, Iterable

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from itsjustintv.interfaces import IKeyValues
from itsjustintv.twitch.eventsub.subscriptions_api import Subscription

__all__ = ["KIND", "Fingerprints", "fingerprint"]

#: The kind of fingerprints in :class:`~itsjustintv.interfaces.IKeyValues`: by the id of the subscription.
KIND = "subscription"

# Seconds for which the fingerprint of a subscription that is not listed is kept: the list may be behind.
_RETENTION = 3600.0


def fingerprint(secret: str, subscription_id: str) -> int:
    """
    The first 63 bits of HMAC-SHA256 over the id, which only the holder of the secret can compute.
    """
    digest = hmac.digest(secret.encode("utf-8"), subscription_id.encode("utf-8"), "sha256")
    return int.from_bytes(digest[:8], "big") >> 1


@define(eq=False)
class Fingerprints:
    """
    The fingerprints of the subscriptions that this daemon created.
    """

    _last_known: IKeyValues
    _clock: IReactorTime
    _known: dict[str, tuple[int, float]] = field(factory=dict, init=False)
    _unsaved: dict[str, int] = field(factory=dict, init=False)
    _saving: bool = field(default=False, init=False)

    @property
    def created_here(self) -> Container[str]:
        """
        The ids of these subscriptions.
        """
        return self._known.keys()

    async def load(self) -> None:
        """
        Load what this process or another one stored.

        :raises JournalUnavailable: it cannot be read.
        """
        now = self._clock.seconds()
        stored = await self._last_known.recall_all(KIND)
        self._known = {**stored, **{each: (value, now) for each, value in self._unsaved.items()}}

    def matches(self, subscription_id: str, secret: str) -> bool:
        """
        Whether a subscription is known to have been created with this secret.
        """
        known = self._known.get(subscription_id)
        return known is not None and known[0] == fingerprint(secret, subscription_id)

    def is_current(self, subscription: Subscription, secret: str) -> bool:
        """
        Whether a subscription is known to have been created with this secret, or needs none.
        """
        return not subscription.transport.is_signed or self.matches(subscription.id, secret)

    async def remember(self, subscription_id: str, secret: str) -> None:
        """
        Store the fingerprint of a new subscription; many at the same time are one write.

        :raises JournalUnavailable: it is not on disk; :meth:`save` tries again.
        """
        value = fingerprint(secret, subscription_id)
        self._known[subscription_id] = (value, self._clock.seconds())
        self._unsaved[subscription_id] = value
        if not self._saving:
            await self.save()

    async def save(self) -> None:
        """
        Store what could not be stored before.

        :raises JournalUnavailable: it cannot be stored now either.
        """
        self._saving = True
        try:
            while self._unsaved:
                saved = dict(self._unsaved)
                await self._last_known.remember_all(KIND, saved, self._clock.seconds())
                for each in saved:
                    self._unsaved.pop(each, None)
        finally:
            self._saving = False

    async def forget_all_but(self, listed: Iterable[str]) -> None:
        """
        Delete the fingerprints of subscriptions that Twitch has not listed for a while.

        :raises JournalUnavailable: none is deleted.
        """
        still = set(listed)
        before = self._clock.seconds() - _RETENTION
        gone = [each for each, (_, at) in self._known.items() if each not in still and at < before]
        if gone:
            await self._last_known.forget(KIND, gone)
            for each in gone:
                self._known.pop(each, None)
