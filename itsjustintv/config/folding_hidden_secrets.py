"""
What of a configuration must not be shown to anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from itsjustintv.config.sections import Config
from itsjustintv.support.http_url import after_host

__all__ = ["given_to_collectors", "secrets"]

# Characters of a path below which it says nothing: /webhook, /notify.
_TELLING = 12


def secrets(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """
    Everything in a configuration that must not appear in a log. A webhook's address is one of them, and so is what
    comes after its host, unless it is too short to be a secret.

    :param environ: has what is given to collectors of telemetry.
    """
    yield from (config.twitch.client_secret, config.twitch.webhook_secret, config.server.tls.eab_hmac)
    yield config.admin.token
    yield from given_to_collectors(config, environ)
    yield from _target(config.global_webhook.url, config.global_webhook.target_webhook_secret)
    for streamer in config.streamers.values():
        yield from _target(streamer.target_webhook_url, streamer.target_webhook_secret)


def given_to_collectors(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """
    The secrets among them that collectors of telemetry are sent.
    """
    endpoints = [config.telemetry.endpoint]
    for name, value in environ.items():
        if name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("HEADERS"):
            values = [pair.partition("=")[2].strip() for pair in value.split(",")]
            # They are written as in an address, and sent as they are meant.
            yield from (*values, *map(unquote, values))
        elif name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("ENDPOINT"):
            endpoints.append(value.strip())
    for url in endpoints:
        place, _, query = url.partition("?")
        yield query
        # The place itself is in the log; a name with a password before it is not.
        yield place.partition("://")[2].partition("/")[0].rpartition("@")[0].partition(":")[2]


def _target(url: str, secret: str) -> Iterator[str]:
    yield from (url, secret)
    path = after_host(url)
    yield from (part for part in (path, *path.split("?", 1)) if len(part) >= _TELLING)
