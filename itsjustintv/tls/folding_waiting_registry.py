"""
Who waits for a certificate.
"""

from __future__ import annotations

from collections.abc import Collection

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred

__all__ = ["Waiting", "give_up"]


@define(eq=False)
class Waiting:
    """
    Those who are told once a name can be served.
    """

    _waiters: list[tuple[str, Deferred[None]]] = field(factory=list, init=False)

    def for_name(self, name: str) -> Deferred[None]:
        """
        Wait for a name.
        """
        waiter: Deferred[None] = Deferred()
        self._waiters.append((name, waiter))
        return waiter

    def tell(self, valid: Collection[str]) -> None:
        """
        Tell those who wait for one of these names.
        """
        waiters, self._waiters = self._waiters, []
        for name, waiter in waiters:
            if name in valid:
                waiter.callback(None)
            else:
                self._waiters.append((name, waiter))

    def give_up(self) -> None:
        """
        Let nobody wait any more.
        """
        waiters, self._waiters = self._waiters, []
        for _, waiter in waiters:
            give_up(waiter)


def give_up(waiter: Deferred[None]) -> None:
    """
    End somebody's waiting with ``CancelledError``.
    """
    waiter.cancel()
    # Whoever had something to say about it has said it by now.
    waiter.addErrback(lambda failure: failure.trap(CancelledError) and None)
