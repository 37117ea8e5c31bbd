"""
How Twitch sends the events of a subscription, as a value: by webhook or through a conduit.

A transport equals another one when Twitch would send to the same place; the secret, which Twitch never shows, does not
count. :func:`configured_transport` makes the daemon's, :func:`listed_transport` reads those that Helix lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol
from urllib.parse import urlsplit

from attrs import define, field, frozen

from itsjustintv.config.sections import CONDUIT, WEBHOOK, Config, callback_url
from itsjustintv.twitch.json_fields import JSONFields

__all__ = [
    "TRANSPORTS",
    "ConduitTransport",
    "OtherTransport",
    "Transport",
    "TransportSwitch",
    "WebhookTransport",
    "configured_transport",
    "listed_transport",
]


class Transport(Protocol):
    """
    The ``transport`` of a subscription (dev.twitch.tv, "Create EventSub Subscription").
    """

    @property
    def method(self) -> str:
        """
        Twitch's name of the kind.
        """

    @property
    def address(self) -> str:
        """
        Where events are sent, in full; empty when that is not known.
        """

    @property
    def host(self) -> str:
        """
        A short name of that place.
        """

    @property
    def words(self) -> str:
        """
        How events arrive, to complete a sentence such as "they are sent ...".
        """

    @property
    def is_signed(self) -> bool:
        """
        Whether Twitch signs its messages with a secret.
        """

    @property
    def secret(self) -> str:
        """
        What Twitch is to sign its messages with; empty when it signs nothing, or in what Helix lists.
        """

    def to_helix(self) -> Mapping[str, str]:
        """
        The JSON object of a request that creates a subscription.
        """


@frozen
class WebhookTransport:
    """
    Messages are POSTed to a callback, and signed.
    """

    method: ClassVar[str] = WEBHOOK
    is_signed: ClassVar[bool] = True

    callback: str
    secret: str = field(default="", repr=False, eq=False)

    @property
    def address(self) -> str:
        return self.callback

    @property
    def host(self) -> str:
        return urlsplit(self.callback).hostname or ""

    @property
    def words(self) -> str:
        return f"by {self.method} to {self.callback}"

    def to_helix(self) -> Mapping[str, str]:
        return {"method": self.method, "callback": self.callback, "secret": self.secret}


@frozen
class ConduitTransport:
    """
    Messages are sent to a conduit, which hands each to one of its shards.

    :ivar conduit_id: empty when none has been created yet.
    """

    method: ClassVar[str] = CONDUIT
    is_signed: ClassVar[bool] = False
    secret: ClassVar[str] = ""

    conduit_id: str

    @property
    def address(self) -> str:
        return f"conduit:{self.conduit_id}"

    @property
    def host(self) -> str:
        return f"conduit {self.conduit_id}"

    @property
    def words(self) -> str:
        return f"through conduit {self.conduit_id}" if self.conduit_id else "through a conduit that the daemon creates"

    def to_helix(self) -> Mapping[str, str]:
        return {"method": self.method, "conduit_id": self.conduit_id}


@frozen
class OtherTransport:
    """
    A kind of transport that the daemon neither creates nor touches.
    """

    method: str
    address: ClassVar[str] = ""
    host: ClassVar[str] = ""
    is_signed: ClassVar[bool] = False
    secret: ClassVar[str] = ""

    @property
    def words(self) -> str:
        return f"by {self.method or 'an unknown method'}"

    def to_helix(self) -> Mapping[str, str]:
        return {"method": self.method}


#: The kinds that the daemon creates, and how what Helix lists of each is read.
TRANSPORTS: Mapping[str, Callable[[JSONFields], Transport]] = {
    WebhookTransport.method: lambda listed: WebhookTransport(listed.text("callback")),
    ConduitTransport.method: lambda listed: ConduitTransport(listed.text("conduit_id")),
}


def listed_transport(listed: JSONFields) -> Transport:
    """
    Read the transport of a subscription that Helix lists.
    """
    method = listed.text("method")
    read = TRANSPORTS.get(method)
    return OtherTransport(method) if read is None else read(listed)


def configured_transport(config: Config, conduit_id: str = "") -> Transport:
    """
    Make the transport that subscriptions are created with.

    :param conduit_id: of the daemon's conduit; empty while it has none.
    """
    if config.twitch.transport == CONDUIT:
        return ConduitTransport(conduit_id)
    return WebhookTransport(callback_url(config), config.twitch.webhook_secret)


@define(eq=False)
class TransportSwitch:
    """
    The transport that subscriptions are created with now. After a change to a conduit it is the former one until
    messages can arrive through the conduit.

    :ivar conduit: the transport of the conduit; ``None`` while no message can arrive through it.
    """

    _config: Callable[[], Config]
    _conduit: Callable[[], Transport | None]
    _former: Transport | None = field(default=None, init=False)

    def current(self) -> Transport:
        config = self._config()
        found = self._conduit() if config.twitch.transport == CONDUIT else configured_transport(config)
        self._former = found or self._former
        return self._former or configured_transport(config)
