"""
The address at which Twitch is told to reach us.
"""

from __future__ import annotations

from itsjustintv.config.sections import Config

__all__ = ["callback_url"]

_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - addresses that mean every interface


def callback_url(config: Config) -> str:
    """
    The callback of our EventSub subscriptions: ``twitch.incoming_webhook_url`` as it is, else ``/twitch`` at
    ``server.external_domain``, else at the first of ``server.tls.domains``, else at ``server.listen_addr`` in plain
    http, which only a simulator accepts.
    """
    server = config.server
    if config.twitch.incoming_webhook_url:
        return config.twitch.incoming_webhook_url
    if server.external_domain:
        return f"https://{server.external_domain}/twitch"
    if server.tls.domains:
        return f"https://{_in_url(server.tls.domains[0])}/twitch"
    host = "localhost" if server.listen_addr in _EVERYWHERE else server.listen_addr
    return f"http://{_in_url(host)}:{server.port}/twitch"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
