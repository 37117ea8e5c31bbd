"""
What the tests of certificates share.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred, maybeDeferred

from itsjustintv.tls.certificate import KEY_TYPES, Bundle
from tests.tls.authority import DAY, NOW, Issuer

__all__ = ["ISSUER", "NAME", "at_once", "bundle"]

NAME = "hooks.example.test"
ISSUER = Issuer()


def at_once(work: Any, *args: Any) -> Deferred[Any]:
    """
    A thread that takes no time.
    """
    return maybeDeferred(work, *args)


def bundle(
    *names: str, start: float = NOW, life: float = 90 * DAY, kind: str = "p256", issuer: Issuer = ISSUER
) -> Bundle:
    """
    A certificate that begins at ``start`` and lasts ``life`` seconds.
    """
    key = KEY_TYPES[kind]()
    leaf: x509.Certificate = issuer.issue(names or (NAME,), key.public_key(), start, start + life)
    return Bundle(key, leaf, (issuer.intermediate,))
