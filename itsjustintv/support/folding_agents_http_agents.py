"""
The HTTP clients: one for deliveries, one for Twitch, one for an authority of certificates.
"""

from __future__ import annotations

from typing import Any

from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, _HTTP11ClientFactory

from itsjustintv.support.folding_connection_http_agents import FirmEndpoints
from itsjustintv.support.folding_trust_http_agents import policy_for
from itsjustintv.support.http_agents import AnyHostEndpoints, ExactAgent

__all__ = ["authority_agent", "deliveries_agent", "twitch_agent"]


def twitch_agent(reactor: Any) -> Agent:
    """
    An agent for Twitch. Connections are kept for a minute, as many as are used at once: with TLS a new one costs more
    than what is asked over it.
    """
    endpoints = AnyHostEndpoints(reactor, BrowserLikePolicyForHTTPS())
    return ExactAgent.connecting(reactor, endpoints, _quiet_pool(reactor, idle=60, kept=32))


def deliveries_agent(reactor: Any) -> Agent:
    """
    An agent for deliveries. Connections are kept for the length of a burst only: one that the receiver is about to
    close would cost an attempt.
    """
    endpoints = FirmEndpoints(reactor, BrowserLikePolicyForHTTPS())
    return ExactAgent.connecting(reactor, endpoints, _quiet_pool(reactor, idle=2, kept=64))


def authority_agent(reactor: Any, ca_bundle: str) -> tuple[Agent, HTTPConnectionPool]:
    """
    An agent for an authority of certificates, and its connections, to be closed at the end.

    :param ca_bundle: file of the certificates by which the authority is believed; empty for the system's.
    :raises CertificateUnusable: that file cannot be used.
    """
    pool = _quiet_pool(reactor, idle=60, kept=2)
    return ExactAgent.connecting(reactor, AnyHostEndpoints(reactor, policy_for(ca_bundle)), pool), pool


def _quiet_pool(reactor: Any, idle: int, kept: int) -> HTTPConnectionPool:
    """
    A pool that keeps some connections to each host for some seconds, and does not log the address of each one it opens.
    """
    pool = HTTPConnectionPool(reactor, persistent=True)
    pool.cachedConnectionTimeout = idle
    pool.maxPersistentPerHost = kept
    pool._factory = _QuietFactory  # noqa: SLF001 - there is no other way to it
    return pool


class _QuietFactory(_HTTP11ClientFactory):
    noisy = False
