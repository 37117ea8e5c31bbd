"""
The kind ``mqtt``: whether a streamer is live, as retained topics of a broker, and as a sensor of Home Assistant.

Sources: MQTT 3.1.1 (OASIS), and https://www.home-assistant.io/integrations/mqtt/ (discovery) and binary_sensor.mqtt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson
from attrs import field, frozen
from zope.interface import implementer

from itsjustintv.destinations.message_names import Moment
from itsjustintv.destinations.message_values import message_values
from itsjustintv.destinations.mqtt_client import ACCEPTED, REFUSED_LOGINS, Broker
from itsjustintv.destinations.mqtt_presence import OFFLINE, ONLINE, Shown
from itsjustintv.destinations.mqtt_sender import MqttSender
from itsjustintv.destinations.post_body import NOTHING, pack, present, to_send
from itsjustintv.interfaces import DestinationKind, IDestination
from itsjustintv.model import (
    STREAM_OFFLINE,
    Action,
    Delivery,
    Destination,
    Notice,
    OutgoingRequest,
    Result,
    Verdict,
    rfc3339,
)
from itsjustintv.support.http_response import Response

__all__ = ["MQTT_KIND", "Mqtt", "Settings"]

_HOST = re.compile(r"[A-Za-z0-9_.-]{1,253}|\[?[0-9A-Fa-f:.]+\]?", re.ASCII)
_TOPIC = re.compile(r"(?![$/])[^+#\0\s]{1,200}(?<!/)")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]", re.ASCII)


@frozen(kw_only=True)
class Settings:
    """
    The keys of a destination of this kind.

    :ivar host: of the broker.
    :ivar port: 0 for the usual one: 1883, with ``tls`` 8883.
    :ivar user: empty for no login.
    :ivar topic: what all topics begin with.
    :ivar discovery: the prefix of Home Assistant's discovery; empty for none.
    """

    host: str
    port: int = 0
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    topic: str = "itsjustintv"
    discovery: str = "homeassistant"

    @property
    def actual_port(self) -> int:
        return self.port or (8883 if self.tls else 1883)

    @property
    def bare_host(self) -> str:
        """
        The host; an IPv6 address without brackets.
        """
        return self.host.strip("[]")


@implementer(IDestination)
@frozen
class Mqtt:
    """
    A broker. What it is told is a state, so every message takes the place of the one before.
    """

    _destination: Destination

    def render(self, notice: Notice) -> bytes:
        """
        Make topics and payloads, in the order in which they are published: the state is the last.
        """
        if notice.action is Action.DELETE:
            return NOTHING
        settings = self._settings
        key = _NOT_IN_NAMES.sub("_", notice.streamer.key) or "streamer"
        # A test moves no sensor.
        base = f"{settings.topic}/{key}{'/test' if notice.test else ''}"
        attributes = _attributes(message_values(notice, self._destination))
        messages = [
            (f"{base}/attributes", orjson.dumps(attributes).decode()),
            (f"{base}/live", "OFF" if notice.event.event_type == STREAM_OFFLINE else "ON"),
        ]
        if settings.discovery and not notice.test:
            unique = f"itsjustintv_{_NOT_IN_NAMES.sub('_', notice.event.broadcaster_id) or key}"
            sensor = _sensor(base, self.shown().topic, key, unique, str(attributes.get("name", key)))
            topic = f"{settings.discovery}/binary_sensor/{unique}/config"
            messages.insert(0, (topic, orjson.dumps(sensor).decode()))
        body = {"topic": base, "messages": messages}
        return pack(body, body)

    def make_request(self, delivery: Delivery, now: float) -> OutgoingRequest:
        """
        Make the messages, as a list of topic and payload; method and URL are not those of HTTP.
        """
        messages = to_send(delivery).get("messages", [])
        return OutgoingRequest(method="PUBLISH", url=_address(self._settings), headers=(), body=orjson.dumps(messages))

    def server(self) -> Broker:
        """
        Where they are published.
        """
        settings = self._settings
        return Broker(
            host=settings.bare_host,
            port=settings.actual_port,
            tls=settings.tls,
            user=settings.user,
            password=settings.password,
        )

    def shown(self) -> Shown:
        """
        Where it is shown that the daemon runs.
        """
        return Shown(self.server(), f"{self._settings.topic}/status")

    def interpret(self, response: Response, delivery: Delivery, now: float) -> Result:
        """
        :param response: its status is the code of the broker's answer to a login (MQTT 3.1.1, 3.2.2.3), or one of HTTP.
        """
        name, code = self._destination.name, response.status
        if code == ACCEPTED or code // 100 == 2:
            remote = str(to_send(delivery).get("topic", ""))
            return Result("delivered", f"{name} has the state.", verdict=Verdict.OK, remote=remote)
        if code in REFUSED_LOGINS:
            detail = f"{name} does not accept user and password, or does not let the user connect."
            return Result(Verdict.UNAUTHORIZED.value, detail, final=True, verdict=Verdict.UNAUTHORIZED)
        return Result("error", f"{name} does not take a connection: look at the log of the broker.")

    @property
    def _settings(self) -> Settings:
        settings: Settings = self._destination.settings
        return settings


def _attributes(values: Mapping[str, object]) -> dict[str, Any]:
    """
    What Home Assistant shows of the sensor besides its state.
    """
    names = ("name", "login", "title", "category", "language", "tags", "url", "vod", "picture", "viewers")
    times = {name: values[name] for name in ("started", "ended")}
    return present(
        **{
            name: str(values[name]) if name in ("url", "vod", "picture") and values[name] else values[name]
            for name in names
        },
        **{name: rfc3339(each.at) for name, each in times.items() if isinstance(each, Moment)},
    )


def _sensor(base: str, availability: str, key: str, unique: str, name: str) -> Mapping[str, Any]:
    """
    The sensor in the form of Home Assistant's discovery.
    """
    return {
        "name": "Live",
        "unique_id": f"{unique}_live",
        "default_entity_id": f"binary_sensor.twitch_{key.lower().replace('-', '_')}",
        "state_topic": f"{base}/live",
        "json_attributes_topic": f"{base}/attributes",
        "availability_topic": availability,
        "payload_available": ONLINE,
        "payload_not_available": OFFLINE,
        "icon": "mdi:twitch",
        "device": {"identifiers": [unique], "name": name, "manufacturer": "Twitch"},
        "origin": {"name": "itsjustintv"},
    }


def _check(settings: Settings) -> Iterator[tuple[str, str]]:
    if not _HOST.fullmatch(settings.host):
        yield "host", "must be the name or the address of a broker, without a port"
    if not 0 <= settings.port <= 65_535:
        yield "port", "must be a port, or 0 for the usual one"
    if settings.password and not settings.user:
        yield "user", "must be given too: user and password belong together"
    if not _TOPIC.fullmatch(settings.topic):
        yield "topic", "must be a topic without +, # and blanks that neither begins nor ends with /"
    if settings.discovery and not _TOPIC.fullmatch(settings.discovery):
        yield "discovery", "must be a topic without +, # and blanks, or empty for no sensors"


def _address(settings: Settings) -> str:
    """
    The broker, with the user: another one may be let in where this one was not.
    """
    host = settings.bare_host
    scheme = "mqtts" if settings.tls else "mqtt"
    user = f"{quote(settings.user, safe='')}@" if settings.user else ""
    return f"{scheme}://{user}{f'[{host}]' if ':' in host else host}:{settings.actual_port}"


def _place(settings: Settings) -> Sequence[str]:
    return (settings.host.lower(), str(settings.actual_port), settings.topic)


MQTT_KIND = DestinationKind(
    name="mqtt",
    has_key=True,
    open=Mqtt,
    settings=Settings,
    check=_check,
    address=_address,
    place=_place,
    edits=True,
    make_sender=lambda tools: MqttSender(tools, Mqtt),
    asks=True,
    follows=True,
)
