"""
Which secret Twitch signs with, remembered without remembering the secret.

Twitch never shows the secret of a subscription, and signs with the one it was created with for ever (dev.twitch.tv,
"Handling webhook events").
"""

from __future__ import annotations

import hmac
from collections.abc import Container, Iterable

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from itsjustintv.interfaces import IKeyValues

__all__ = ["KIND", "Fingerprints", "fingerprint"]

#: What fingerprints are kept as, in :class:`~itsjustintv.interfaces.IKeyValues`: by the id of the subscription.
KIND = "subscription"

# Seconds for which the fingerprint of a subscription that is not listed is kept: the list may be behind.
_KEPT_FOR = 3600.0


def fingerprint(secret: str, subscription_id: str) -> int:
    """
    63 bits that only somebody who has the secret can tell: the first of HMAC-SHA256 over the id.
    """
    digest = hmac.digest(secret.encode("utf-8"), subscription_id.encode("utf-8"), "sha256")
    return int.from_bytes(digest[:8], "big") >> 1


@define(eq=False)
class Fingerprints:
    """
    The fingerprint of every subscription that we have created.
    """

    _last_known: IKeyValues
    _clock: IReactorTime
    _known: dict[str, tuple[int, float]] = field(factory=dict, init=False)
    _unsaved: dict[str, int] = field(factory=dict, init=False)
    _saving: bool = field(default=False, init=False)

    @property
    def created_here(self) -> Container[str]:
        """
        The subscriptions that we have created, by id.
        """
        return self._known.keys()

    async def load(self) -> None:
        """
        Take up what is kept, by this process or another.

        :raises JournalUnavailable: it cannot be known.
        """
        now = self._clock.seconds()
        kept = await self._last_known.recall_all(KIND)
        self._known = {**kept, **{each: (value, now) for each, value in self._unsaved.items()}}

    def matches(self, subscription_id: str, secret: str) -> bool:
        """
        Whether a subscription is known to have been created with this secret.
        """
        kept = self._known.get(subscription_id)
        return kept is not None and kept[0] == fingerprint(secret, subscription_id)

    async def remember(self, subscription_id: str, secret: str) -> None:
        """
        Keep what a subscription was created with, many in one go when many come at the same time.

        :raises JournalUnavailable: it is not on disk; :meth:`save` tries again.
        """
        value = fingerprint(secret, subscription_id)
        self._known[subscription_id] = (value, self._clock.seconds())
        self._unsaved[subscription_id] = value
        if not self._saving:
            await self.save()

    async def save(self) -> None:
        """
        Keep what could not be kept before.

        :raises JournalUnavailable: it cannot be kept now either.
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
        Keep no longer what has been gone from Twitch for a while.

        :raises JournalUnavailable: they are still kept.
        """
        still = set(listed)
        before = self._clock.seconds() - _KEPT_FOR
        gone = [each for each, (_, at) in self._known.items() if each not in still and at < before]
        if gone:
            await self._last_known.forget(KIND, gone)
            for each in gone:
                self._known.pop(each, None)
